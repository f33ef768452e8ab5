//! Tempo's HTTP API, mounted at `/tempo/api`.

use std::sync::Arc;

use axum::Router;

use crate::api::AppState;

/// Paths relative to the mount.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new()
}
