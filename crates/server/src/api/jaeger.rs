//! Jaeger's query API, mounted at `/jaeger/api`.
//!
//! Source: Jaeger, "APIs" (the JSON that its UI reads, and API v3), and OpenTelemetry,
//! "Trace data transformation to non-OTLP formats: Jaeger".

mod model;
mod params;
#[cfg(test)]
mod tests;
mod v3;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value as Json, json};
use trefoil_query::traceql::catalog;
use trefoil_query::traceql::jaeger::{self, TraceQuery};
use trefoil_query::{Error, ErrorKind};
use trefoil_store::TimeRange;
use trefoil_store::model::{StoredSpan, TraceId};

use crate::api::{Api, AppState};
use params::Params;

/// Paths relative to the mount.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/services", get(services))
        .route("/services/{service}/operations", get(service_operations))
        .route("/operations", get(operations))
        .route("/traces", get(traces))
        .route("/traces/{id}", get(trace))
        .route("/dependencies", get(dependencies))
        .route("/v3/services", get(v3::services))
        .route("/v3/operations", get(v3::operations))
        .route("/v3/traces", get(v3::traces))
        .route("/v3/traces/{id}", get(v3::trace))
}

/// How far back dependencies look if the request does not say.
const DAY_NS: i64 = 24 * 3_600_000_000_000;

/// An answer that is not one: Jaeger puts the reason into the envelope.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    reason: String,
}

impl Refused {
    fn bad(reason: impl Into<String>) -> Self {
        Refused { status: StatusCode::BAD_REQUEST, reason: reason.into() }
    }

    fn not_found() -> Self {
        Refused { status: StatusCode::NOT_FOUND, reason: "trace not found".to_owned() }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let status = match error.kind {
            ErrorKind::Bad | ErrorKind::Execution | ErrorKind::Limit => StatusCode::BAD_REQUEST,
            ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Storage => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refused { status, reason: error.message }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let errors = json!([{ "code": self.status.as_u16(), "msg": self.reason }]);
        let body = json!({ "data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors });
        (self.status, [(header::CONTENT_TYPE, "application/json")], body.to_string())
            .into_response()
    }
}

type Answered = Result<Response, Refused>;

fn json_answer(body: &Json) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The envelope around every answer. Jaeger counts lists of names, not traces.
fn envelope(data: Json, total: usize) -> Response {
    json_answer(&json!({ "data": data, "total": total, "limit": 0, "offset": 0, "errors": null }))
}

async fn services(State(state): State<Arc<AppState>>) -> Answered {
    let names = find_services(&state).await?;
    let total = names.len();
    Ok(envelope(json!(names), total))
}

async fn find_services(state: &AppState) -> Result<Vec<String>, Refused> {
    let found = state.ask(Api::Jaeger, None, |snapshot, limits| {
        catalog::services(snapshot, TimeRange::ALL, limits)
    });
    Ok(found.await?.into_iter().collect())
}

/// Names only.
async fn service_operations(
    State(state): State<Arc<AppState>>,
    Path(service): Path<String>,
) -> Answered {
    let mut names: Vec<String> =
        find_operations(&state, service, None).await?.into_iter().map(|(name, _)| name).collect();
    names.dedup();
    let total = names.len();
    Ok(envelope(json!(names), total))
}

/// Names with kinds.
async fn operations(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let service = params.required("service")?.to_owned();
    let found = find_operations(&state, service, params.kind("spanKind")?).await?;
    let data: Vec<Json> = found
        .iter()
        .map(|(name, kind)| json!({ "name": name, "spanKind": shown_kind(kind) }))
        .collect();
    let total = data.len();
    Ok(envelope(Json::Array(data), total))
}

/// Jaeger has no word for "not said".
fn shown_kind(kind: &str) -> &str {
    if kind == "unspecified" { "" } else { kind }
}

async fn find_operations(
    state: &AppState,
    service: String,
    kind: Option<trefoil_store::model::SpanKind>,
) -> Result<Vec<(String, &'static str)>, Refused> {
    let found = state.ask(Api::Jaeger, None, move |snapshot, limits| {
        catalog::operations(snapshot, &service, kind, TimeRange::ALL, limits)
    });
    Ok(found.await?.into_iter().collect())
}

async fn trace(State(state): State<Arc<AppState>>, Path(id): Path<String>) -> Answered {
    let found = find_by_ids(&state, vec![params::trace_id(&id)?]).await?;
    if found.is_empty() {
        return Err(Refused::not_found());
    }
    Ok(envelope(found.iter().map(|spans| model::trace(spans)).collect(), 0))
}

/// Whole traces; those that are unknown are left out.
async fn find_by_ids(
    state: &AppState,
    ids: Vec<TraceId>,
) -> Result<Vec<Vec<StoredSpan<'static>>>, Refused> {
    let found = state.ask(Api::Jaeger, None, move |snapshot, limits| {
        let mut found = Vec::new();
        for id in ids {
            let spans = snapshot.trace(id, limits.tally)?;
            if !spans.is_empty() {
                found.push(spans);
            }
        }
        Ok(found)
    });
    Ok(found.await?)
}

async fn traces(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let ids: Vec<TraceId> =
        params.all("traceID").map(params::trace_id).collect::<Result<_, _>>()?;
    let found = if ids.is_empty() {
        find(&state, params.search(state.clock.now_ns())?).await?
    } else {
        find_by_ids(&state, ids).await?
    };
    Ok(envelope(found.iter().map(|spans| model::trace(spans)).collect(), 0))
}

async fn find(
    state: &AppState,
    query: TraceQuery,
) -> Result<Vec<Vec<StoredSpan<'static>>>, Refused> {
    let found = state.ask(Api::Jaeger, None, move |snapshot, limits| {
        jaeger::find_traces(snapshot, &query, limits)
    });
    Ok(found.await?)
}

async fn dependencies(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let end_ns = match params.number("endTs")? {
        Some(ms) => ms.saturating_mul(1_000_000),
        None => state.clock.now_ns(),
    };
    let lookback_ns = params.number("lookback")?.map_or(DAY_NS, |ms| ms.saturating_mul(1_000_000));
    let range = TimeRange { start_ns: end_ns.saturating_sub(lookback_ns), end_ns };
    let found = state.ask(Api::Jaeger, None, move |snapshot, limits| {
        catalog::dependencies(snapshot, range, limits)
    });
    let (edges, complete) = found.await?;
    if !complete {
        return Err(Refused::bad(
            "there are too many spans to count the calls of: ask for a shorter lookback",
        ));
    }
    let data: Vec<Json> = edges
        .iter()
        .map(|e| json!({ "parent": e.parent, "child": e.child, "callCount": e.calls }))
        .collect();
    Ok(envelope(Json::Array(data), 0))
}
