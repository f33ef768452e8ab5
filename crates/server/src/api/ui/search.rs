//! Traces that a question finds: TraceQL, or the plain forms people type (S7).

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use trefoil_query::Error;
use trefoil_query::traceql::{self, SearchParams, TraceSummary, plain};

use super::{Window, answer, hex, ms};
use crate::api::{Api, AppState};

/// Traces of one answer.
const LIMIT_MAX: usize = 5000;
const LIMIT: usize = 200;

#[derive(Deserialize)]
pub(super) struct Params {
    #[serde(default)]
    q: String,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Found {
    /// The TraceQL that ran.
    query: String,
    /// Whether it is a translation of what was typed.
    translated: bool,
    traces: Vec<Hit>,
    partial: String,
}

#[derive(Debug, Serialize)]
struct Hit {
    trace_id: String,
    root_service: String,
    root_name: String,
    start_ms: i64,
    duration_ns: u64,
    spans: u64,
    errors: u64,
    matched: usize,
    span_id: String,
    services: Vec<Service>,
}

#[derive(Debug, Serialize)]
struct Service {
    name: String,
    color: usize,
    spans: u64,
    errors: u64,
}

pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    Query(params): Query<Params>,
    window: Window,
    headers: HeaderMap,
) -> Response {
    let asked = Arc::clone(&state);
    let result = state
        .ask(Api::Ui, None, move |snapshot, limits| {
            let text = plain::translate(&params.q)?;
            let query = traceql::parse(&text)?;
            let range = window.range();
            let search = SearchParams {
                start_ns: range.start_ns,
                end_ns: range.end_ns,
                limit: params.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX),
                spans_per_spanset: 1,
            };
            let found = traceql::search(snapshot, &query, &search, limits)?;
            let hits = found.traces.into_iter().map(|trace| hit(trace, &asked));
            Ok::<_, Error>(Found {
                translated: !params.q.trim().is_empty() && text != params.q.trim(),
                query: text,
                traces: hits.collect(),
                partial: found.partial.unwrap_or_default(),
            })
        })
        .await;
    answer(&headers, result)
}

fn hit(trace: TraceSummary, state: &AppState) -> Hit {
    let name = |name: String| if name.is_empty() { "unknown_service".to_owned() } else { name };
    let services: Vec<Service> = trace
        .services
        .into_iter()
        .map(|(service, stats)| {
            let service = name(service);
            let color = state.colors.place(&service);
            Service { color, name: service, spans: stats.spans, errors: stats.errors }
        })
        .collect();
    let first = trace.spansets.iter().flat_map(|set| &set.spans).next();
    Hit {
        trace_id: hex(&trace.trace_id),
        root_service: trace.root_service.map(name).unwrap_or_default(),
        root_name: trace.root_name.unwrap_or_default(),
        start_ms: ms(trace.start_ns),
        duration_ns: trace.duration_ns,
        spans: services.iter().map(|s| s.spans).sum(),
        errors: services.iter().map(|s| s.errors).sum(),
        matched: trace.spansets.iter().map(|set| set.matched).sum(),
        span_id: first.map(|span| hex(&span.span_id)).unwrap_or_default(),
        services,
    }
}
