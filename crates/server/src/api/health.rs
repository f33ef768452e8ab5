//! `/-/healthy`, `/-/ready` and `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use trefoil_store::Stats;

use crate::api::AppState;

/// Paths at the root of every HTTP port.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/-/healthy", get(|| async { "trefoil is healthy\n" }))
        .route("/-/ready", get(ready))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready means: the WAL is replayed and writes are accepted. The ports open only then,
/// so this says no only after the disk refused, or while it is full.
async fn ready(State(state): State<Arc<AppState>>) -> (StatusCode, String) {
    match refusing(&state.store.stats()) {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("writes are refused: {why}\n")),
    }
}

/// Why the store takes no writes, if it does not.
pub(crate) fn refusing(stats: &Stats) -> Option<&str> {
    stats.poisoned.as_deref().or(stats.disk_full.as_deref())
}

async fn metrics(State(state): State<Arc<AppState>>) -> impl IntoResponse {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], crate::selfmon::exposition(&state))
}
