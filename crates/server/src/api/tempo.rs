//! Tempo's HTTP API, mounted at `/tempo/api`.
//!
//! Source: Tempo, "Tempo HTTP API". Errors are plain text, as Tempo gives them. Wherever a
//! query is taken, the plain forms of `trefoil_query::traceql::plain` are taken as well.

mod metrics;
mod params;
mod search;
mod tags;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value as Json, json};
use trefoil_query::traceql::{self, Value};

use crate::api::AppState;
use crate::api::refused::Refused;

/// Paths relative to the mount.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/traces/{id}", get(trace::v1))
        .route("/v2/traces/{id}", get(trace::v2))
        .route("/search", get(search::search))
        .route("/search/tags", get(tags::names_v1))
        .route("/v2/search/tags", get(tags::names_v2))
        .route("/search/tag/{tag}/values", get(tags::values_v1))
        .route("/v2/search/tag/{tag}/values", get(tags::values_v2))
        .route("/metrics/query_range", get(metrics::range))
        .route("/metrics/query", get(metrics::instant))
        .route("/echo", get(|| async { "echo" }))
        .route("/status/buildinfo", get(build_info))
}

/// The version is that of the Tempo whose API this is: Grafana decides by it what it may
/// ask. Who answers is in `branch` and `revision`.
async fn build_info() -> Response {
    json_answer(&json!({
        "version": "2.9.0",
        "revision": env!("CARGO_PKG_VERSION"),
        "branch": "trefoil",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

type Answered = Result<Response, Refused>;

fn json_answer(body: &Json) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// A query in TraceQL or in a plain form.
fn parse(text: &str) -> Result<traceql::ast::Query, Refused> {
    let translated = traceql::plain::translate(text).map_err(|e| Refused::query(&e, text))?;
    traceql::parse(&translated).map_err(|e| Refused::query(&e, &translated))
}

/// A value as OTLP's `AnyValue` in JSON: what is no number or truth is text.
fn any_value(value: &Value<'_>) -> Json {
    match value {
        Value::Int(v) => json!({ "intValue": v.to_string() }),
        Value::Float(v) if v.is_finite() => json!({ "doubleValue": v }),
        Value::Bool(v) => json!({ "boolValue": v }),
        Value::List(items) => {
            let values: Vec<Json> = items.iter().map(any_value).collect();
            json!({ "arrayValue": { "values": values } })
        }
        other => json!({ "stringValue": other.text() }),
    }
}

fn key_value((key, value): &(String, Value<'static>)) -> Json {
    json!({ "key": key, "value": any_value(value) })
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
