//! Prometheus's HTTP API, mounted at `/api/v1` and `/prometheus/api/v1`.

use std::sync::Arc;

use axum::Router;

use crate::api::AppState;

/// Paths relative to the mount.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new()
}
