//! Loki's HTTP API, mounted at `/loki/api/v1`.
//!
//! Source: Loki, "Loki HTTP API". Errors are plain text with status 400, as Loki gives
//! them; answers are JSON. Paths Loki only has with extra settings (`patterns`, `rules`,
//! `delete`) are not there.

mod detected;
mod index;
mod labels;
mod params;
mod query;
mod tail;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::api::AppState;
use crate::api::refused::Refused;

/// How many clients may follow the log at once (Loki's `max_concurrent_tail_requests`).
const TAILS_MAX: usize = 10;

/// Paths relative to the mount.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    let tails = Arc::new(Semaphore::new(TAILS_MAX));
    Router::new()
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/format_query", get(query::format).post(query::format))
        .route("/labels", get(labels::names).post(labels::names))
        .route("/label", get(labels::names).post(labels::names))
        .route("/label/{name}/values", get(labels::values).post(labels::values))
        .route("/series", get(labels::series).post(labels::series))
        .route("/index/stats", get(index::stats).post(index::stats))
        .route("/index/volume", get(index::volume).post(index::volume))
        .route("/index/volume_range", get(index::volume_range).post(index::volume_range))
        .route("/detected_labels", get(detected::labels).post(detected::labels))
        .route("/detected_fields", get(detected::fields).post(detected::fields))
        .route("/detected_field/{name}/values", get(detected::values).post(detected::values))
        .route("/status/buildinfo", get(build_info))
        .route(
            "/tail",
            get(move |state, upgrade, params| tail::tail(state, upgrade, params, tails)),
        )
}

type Answered = Result<Response, Refused>;

/// A finished JSON document.
fn json(body: impl Into<axum::body::Body>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json; charset=UTF-8")];
    (content_type, body.into()).into_response()
}

/// Clients read the version to see what they may ask; it is that of the Loki whose API
/// this is. Who answers is in `branch` and `revision`.
async fn build_info() -> Response {
    json(
        serde_json::json!({
            "version": "3.6.0",
            "revision": env!("CARGO_PKG_VERSION"),
            "branch": "trefoil",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        })
        .to_string(),
    )
}
