//! Exemplars of metrics: the dots on a chart that lead to traces.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use trefoil_query::{Error, Limits};
use trefoil_store::{Matcher, Snapshot};

use super::{Window, answer};
use crate::api::{Api, AppState};

/// Names of metrics in one request.
const NAMES_MAX: usize = 20;
/// Exemplars in an answer: more dots than a chart is wide help nobody.
const SENT_MAX: usize = 400;

#[derive(Deserialize)]
pub(super) struct Params {
    names: String,
}

#[derive(Debug, Serialize)]
struct Exemplars {
    exemplars: Vec<Row>,
    partial: String,
}

#[derive(Debug, Serialize)]
struct Row {
    time_ms: i64,
    value: f64,
    trace_id: String,
    span_id: String,
    series: Map<String, Json>,
}

pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    Query(params): Query<Params>,
    window: Window,
    headers: HeaderMap,
) -> Response {
    let result = state
        .ask(Api::Ui, None, move |snapshot, limits| build(snapshot, limits, window, &params.names))
        .await;
    answer(&headers, result)
}

fn build(
    snapshot: &Snapshot,
    limits: &Limits<'_>,
    window: Window,
    names: &str,
) -> Result<Exemplars, Error> {
    let mut rows: Vec<Row> = Vec::new();
    for name in asked(names) {
        let matchers = [Matcher::equal("__name__", &name)];
        for (series, found) in snapshot.exemplars(&matchers, window.range(), limits.tally)? {
            let text = |(name, value): (&str, &str)| (name.to_owned(), Json::from(value));
            let labels: Map<String, Json> = series.labels.iter().map(text).collect();
            rows.extend(found.iter().filter(|e| e.value.is_finite()).map(|exemplar| {
                let label = |name| exemplar.labels.get(name).unwrap_or("").to_owned();
                Row {
                    time_ms: exemplar.time_ms,
                    value: exemplar.value,
                    trace_id: label("trace_id"),
                    span_id: label("span_id"),
                    series: labels.clone(),
                }
            }));
        }
    }
    rows.sort_by(|a, b| {
        (a.time_ms, &a.trace_id, &a.span_id).cmp(&(b.time_ms, &b.trace_id, &b.span_id))
    });
    rows.dedup_by(|a, b| (a.time_ms, &a.span_id, a.value) == (b.time_ms, &b.span_id, b.value));
    let total = rows.len();
    if total > SENT_MAX {
        // Evenly over time.
        let mut at = 0;
        rows.retain(|_| {
            at += 1;
            at * SENT_MAX / total != (at - 1) * SENT_MAX / total
        });
    }
    let partial =
        if total > SENT_MAX { format!("{SENT_MAX} of {total} exemplars") } else { String::new() };
    Ok(Exemplars { exemplars: rows, partial })
}

/// The metrics to look at. A histogram's exemplars hang on its buckets, whichever of its
/// series is named.
fn asked(names: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for name in names.split(',').filter(|name| !name.is_empty()).take(NAMES_MAX) {
        let family = ["_sum", "_count", "_bucket"].iter().find_map(|s| name.strip_suffix(s));
        all.insert(name.to_owned());
        all.insert(format!("{}_bucket", family.unwrap_or(name)));
    }
    all
}
