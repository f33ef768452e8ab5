//! `/-/admin/…`: operations on the data itself, on the main port only.

use std::collections::HashMap;
use std::path::{Component, Path};
use std::sync::Arc;

use axum::Router;
use axum::extract::{self, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::refused::Refused;
use crate::admin::Operation;
use crate::api::AppState;

/// A request must carry this header: a page in a browser cannot send it to another origin
/// without being asked first, and this port does not say yes to that.
pub(crate) const HEADER: &str = "x-trefoil-admin";

/// Paths on the main port.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/-/admin/{verb}", post(operate))
}

async fn operate(
    State(state): State<Arc<AppState>>,
    extract::Path(verb): extract::Path<String>,
    Query(parameters): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    if !headers.contains_key(HEADER) {
        return Err(Refused::bad(format!("the header `{HEADER}: 1` is missing\n")));
    }
    let operation = Operation::read(&verb, &|name| parameters.get(name).cloned());
    let operation = match operation.map_err(Refused::bad)? {
        // Whoever can reach the port must not choose where this process writes.
        Operation::Backup(to) if is_name(&to) => {
            Operation::Backup(state.config.data.join("backups").join(to))
        }
        Operation::Backup(_) => {
            let why = "a server makes backups in the folder `backups` of its data: give a name, \
                       not a path";
            return Err(Refused::bad(why));
        }
        other => other,
    };
    let store = Arc::clone(&state.store);
    let work = tokio::task::spawn_blocking(move || operation.run(&store));
    match work.await {
        Ok(Ok(answer)) => Ok(axum::Json(answer).into_response()),
        Ok(Err(reason)) => Err(Refused { status: StatusCode::CONFLICT, reason }),
        Err(_) => {
            let reason = "it failed inside the server; its log says where".to_owned();
            Err(Refused { status: StatusCode::INTERNAL_SERVER_ERROR, reason })
        }
    }
}

fn is_name(path: &Path) -> bool {
    let mut parts = path.components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}
