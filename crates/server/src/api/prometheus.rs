//! Prometheus's HTTP API, mounted at `/api/v1` and `/prometheus/api/v1`.
//!
//! Source: Prometheus documentation, "HTTP API". Every path takes its parameters from the
//! URL and, with POST, from a form as well.

mod envelope;
mod json;
mod names;
mod params;
mod query;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::api::AppState;

/// Paths relative to the mount.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/query", get(query::instant).post(query::instant))
        .route("/query_range", get(query::range).post(query::range))
        .route("/format_query", get(query::format).post(query::format))
        .route("/query_exemplars", get(names::exemplars).post(names::exemplars))
        .route("/series", get(names::series).post(names::series))
        .route("/labels", get(names::labels).post(names::labels))
        .route("/label/{name}/values", get(names::values))
        .route("/metadata", get(names::metadata))
        .route("/targets/metadata", get(status::empty_list))
        .route("/targets", get(status::targets))
        .route("/rules", get(status::rules))
        .route("/alerts", get(status::alerts))
        .route("/alertmanagers", get(status::alertmanagers))
        .route("/status/buildinfo", get(status::buildinfo))
        .route("/status/runtimeinfo", get(status::runtimeinfo))
        .route("/status/tsdb", get(status::tsdb))
        .route("/status/flags", get(status::flags))
        .route("/status/config", get(status::config))
        .fallback(status::not_found)
}

#[cfg(test)]
mod tests;
