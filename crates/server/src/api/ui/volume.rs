//! How many lines a LogQL query finds over time, by level.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use trefoil_query::logql::{self, Data, Expr, Params as LogParams};
use trefoil_query::{Error, Limits};
use trefoil_store::Snapshot;

use super::{Window, answer};
use crate::api::{Api, AppState};

/// Bars of the histogram.
const BARS: i64 = 100;

#[derive(Deserialize)]
pub(super) struct Params {
    q: String,
}

#[derive(Debug, Serialize)]
struct Volume {
    /// Where each bar starts.
    times_ms: Vec<i64>,
    step_ms: i64,
    levels: Vec<Level>,
    total: u64,
    partial: String,
}

#[derive(Debug, Serialize)]
struct Level {
    level: &'static str,
    counts: Vec<u64>,
}

pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    Query(params): Query<Params>,
    window: Window,
    headers: HeaderMap,
) -> Response {
    let result = state
        .ask(Api::Ui, None, move |snapshot, limits| build(snapshot, limits, window, &params.q))
        .await;
    answer(&headers, result)
}

fn build(
    snapshot: &Snapshot,
    limits: &Limits<'_>,
    window: Window,
    text: &str,
) -> Result<Volume, Error> {
    let step_ms = (window.width_ms() / BARS).max(1);
    let bars = (window.width_ms() + step_ms - 1) / step_ms;
    let mut volume = Volume {
        times_ms: (0..bars).map(|bar| window.from_ms + bar * step_ms).collect(),
        step_ms,
        levels: Vec::new(),
        total: 0,
        partial: String::new(),
    };
    let Expr::Log(log) = logql::parse(text)? else {
        // A query that makes numbers has no lines of its own to count.
        return Ok(volume);
    };
    // The engine that finds the lines counts them: each bar is the range before its end.
    let counting = format!("sum by (detected_level) (count_over_time({log} [{step_ms}ms]))");
    let counting = logql::parse(&counting)?;
    let ns = |ms: i64| ms.saturating_mul(1_000_000);
    let first = window.from_ms + step_ms;
    let last = window.from_ms + bars * step_ms;
    let params = LogParams::range(ns(first), ns(last), ns(step_ms));
    let answer = logql::run(snapshot, &counting, &params, limits)?;
    let mut counts: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    if let Data::Matrix(series) = answer.data {
        for one in series {
            let level = level(one.labels.get("detected_level").unwrap_or(""));
            let row = counts.entry(level).or_insert_with(|| vec![0; volume.times_ms.len()]);
            for (at_ns, value) in one.values {
                let bar = (at_ns / 1_000_000 - first) / step_ms;
                if let Some(count) = usize::try_from(bar).ok().and_then(|bar| row.get_mut(bar)) {
                    *count += value as u64;
                }
            }
        }
    }
    volume.total = counts.values().flatten().sum();
    volume.levels = counts.into_iter().map(|(level, counts)| Level { level, counts }).collect();
    if answer.stats.blocks_damaged > 0 {
        volume.partial = "damaged blocks were skipped".to_owned();
    }
    Ok(volume)
}

/// Loki's levels as the five the app draws.
fn level(detected: &str) -> &'static str {
    match detected {
        "fatal" | "critical" | "error" => "error",
        "warn" => "warn",
        "info" => "info",
        "debug" => "debug",
        "trace" => "trace",
        _ => "",
    }
}
