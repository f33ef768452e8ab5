//! The web app at `/ui/`, embedded in the binary.

use std::sync::Arc;

use axum::Router;

use crate::api::AppState;

/// `/ui/` and what lies below, but for `/ui/api/`.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new()
}
