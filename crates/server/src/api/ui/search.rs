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
/// So many times the limit are looked at to choose the failed and slow ones from.
const POOL: usize = 5;

#[derive(Deserialize)]
pub(super) struct Params {
    #[serde(default)]
    q: String,
    limit: Option<usize>,
    /// `new`: the newest. Else of many the failed ones, then the slowest.
    #[serde(default)]
    first: String,
}

#[derive(Debug, Serialize)]
struct Found {
    /// The TraceQL that ran.
    query: String,
    /// Whether it is a translation of what was typed.
    translated: bool,
    traces: Vec<Hit>,
    more: String,
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
            let limit = params.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
            let newest = params.first == "new";
            let pool = if newest { limit } else { limit * POOL };
            let search = SearchParams {
                start_ns: range.start_ns,
                end_ns: range.end_ns,
                limit: pool,
                spans_per_spanset: 1,
            };
            let found = traceql::search(snapshot, &query, &search, limits)?;
            let mut traces: Vec<Hit> = found.traces.into_iter().map(|t| hit(t, &asked)).collect();
            let more = choose(&mut traces, limit, pool, newest);
            Ok::<_, Error>(Found {
                translated: !params.q.trim().is_empty() && text != params.q.trim(),
                query: text,
                traces,
                more,
                partial: found.partial.unwrap_or_default(),
            })
        })
        .await;
    answer(&headers, result)
}

/// Cuts to the limit: the failed ones, then the slowest, or the newest. Says what was cut.
fn choose(traces: &mut Vec<Hit>, limit: usize, pool: usize, newest: bool) -> String {
    let found = traces.len();
    if !newest {
        traces.sort_by_key(|t| (t.errors == 0, std::cmp::Reverse(t.duration_ns)));
    }
    traces.truncate(limit);
    let of = if found == pool { format!("the newest {found}") } else { found.to_string() };
    match (found > limit, newest) {
        (true, _) => format!("{limit} of {of}: the failed ones, then the slowest"),
        (false, true) if found == pool => of,
        (false, _) => String::new(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_traces_the_failed_and_then_the_slowest_are_kept() {
        let hit = |n: u64, errors| Hit {
            trace_id: n.to_string(),
            root_service: String::new(),
            root_name: String::new(),
            start_ms: 0,
            duration_ns: n,
            spans: 1,
            errors,
            matched: 1,
            span_id: String::new(),
            services: Vec::new(),
        };
        let cut = |limit, pool, newest| {
            let mut all = vec![hit(1, 1), hit(5, 0), hit(2, 3), hit(9, 0), hit(3, 0)];
            let more = choose(&mut all, limit, pool, newest);
            (all.iter().map(|trace| trace.duration_ns).collect::<Vec<_>>(), more)
        };
        let (kept, more) = cut(3, 5, false);
        assert_eq!(kept, [2, 1, 9]);
        assert_eq!(more, "3 of the newest 5: the failed ones, then the slowest");
        assert_eq!(cut(3, 15, false).1, "3 of 5: the failed ones, then the slowest");
        assert_eq!(cut(9, 45, false).1, "");
        assert_eq!(cut(5, 5, true), (vec![1, 5, 2, 9, 3], "the newest 5".to_owned()));
    }
}
