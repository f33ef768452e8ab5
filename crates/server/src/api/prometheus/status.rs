//! What Grafana and operators ask about the server itself.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use serde_json::json;
use trefoil_store::TimeRange;

use super::envelope::{Failure, Reply, Success};
use super::params::Params;
use crate::api::{Api, AppState};

/// The Prometheus whose language and API this is. Grafana decides by it what to ask for.
const PROMETHEUS_VERSION: &str = "3.5.0";

fn value(value: &serde_json::Value) -> Reply {
    Ok(Success::data(value.to_string()))
}

/// Version: the Prometheus we answer like, and ourselves as its revision.
pub(super) async fn buildinfo() -> Reply {
    value(&json!({
        "version": PROMETHEUS_VERSION,
        "revision": concat!("trefoil-", env!("CARGO_PKG_VERSION")),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

/// When the server started and how long it keeps samples.
pub(super) async fn runtimeinfo(State(state): State<Arc<AppState>>) -> Reply {
    let stats = state.store.stats();
    let retention = state.config.retention.metrics;
    let retention = retention.map_or("none".to_owned(), |r| format!("{}s", r.as_secs()));
    value(&json!({
        "startTime": rfc3339(state.started_ns),
        "CWD": state.config.data.display().to_string(),
        "reloadConfigSuccess": true,
        "lastConfigTime": rfc3339(state.started_ns),
        "corruptionCount": stats.damaged_blocks,
        "goroutineCount": 0,
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, usize::from),
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": retention,
    }))
}

fn rfc3339(ns: i64) -> String {
    let seconds = ns.div_euclid(1_000_000_000);
    let days = seconds.div_euclid(86_400);
    let (year, month, day) = civil(days);
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day % 3600 / 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month, day of a day since 1970. Source: H. Hinnant, "chrono-compatible low-level
/// date algorithms".
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Entries per list of `/status/tsdb` unless the request says otherwise.
const TOP: usize = 10;

/// Where the series come from: the metrics and labels with most of them.
pub(super) async fn tsdb(State(state): State<Arc<AppState>>, params: Params) -> Reply {
    let top = match params.limit()? {
        usize::MAX => TOP,
        limit => limit.min(10_000),
    };
    let answer = state.ask(Api::Prometheus, params.timeout()?, move |snapshot, limits| {
        let series = snapshot.series(&[], TimeRange::ALL, limits.tally)?;
        let mut by_name: HashMap<&str, u64> = HashMap::new();
        let mut by_pair: HashMap<(&str, &str), u64> = HashMap::new();
        for (name, label) in series.iter().flat_map(|one| one.labels.iter()) {
            *by_pair.entry((name, label)).or_default() += 1;
            if name == "__name__" {
                *by_name.entry(label).or_default() += 1;
            }
        }
        let mut values: HashMap<&str, u64> = HashMap::new();
        let mut memory: HashMap<&str, u64> = HashMap::new();
        for (name, label) in by_pair.keys() {
            *values.entry(name).or_default() += 1;
            *memory.entry(name).or_default() += label.len() as u64;
        }
        let pairs = by_pair.iter().map(|((name, label), n)| (format!("{name}={label}"), *n));
        let own = |map: &HashMap<&str, u64>| -> Vec<(String, u64)> {
            map.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
        };
        Ok(json!({
            "headStats": {
                "numSeries": series.len(),
                "numLabelPairs": by_pair.len(),
                "chunkCount": 0,
                "minTime": 0,
                "maxTime": 0,
            },
            "seriesCountByMetricName": highest(own(&by_name), top),
            "labelValueCountByLabelName": highest(own(&values), top),
            "memoryInBytesByLabelName": highest(own(&memory), top),
            "seriesCountByLabelValuePair": highest(pairs.collect(), top),
        }))
    });
    value(&answer.await?)
}

fn highest(mut counts: Vec<(String, u64)>, top: usize) -> Vec<serde_json::Value> {
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(top);
    counts.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// Nothing is scraped yet.
pub(super) async fn targets() -> Reply {
    value(&json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}))
}

/// There are no rules yet.
pub(super) async fn rules() -> Reply {
    value(&json!({"groups": []}))
}

/// Nothing fires without rules.
pub(super) async fn alerts() -> Reply {
    value(&json!({"alerts": []}))
}

/// Nothing is notified.
pub(super) async fn alertmanagers() -> Reply {
    value(&json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

/// Our flags are not Prometheus's.
pub(super) async fn flags() -> Reply {
    value(&json!({}))
}

/// There is no configuration file of Prometheus.
pub(super) async fn config() -> Reply {
    value(&json!({"yaml": ""}))
}

/// An empty list.
pub(super) async fn empty_list() -> Reply {
    value(&json!([]))
}

/// A path that the API does not have.
pub(super) async fn not_found(uri: Uri) -> Failure {
    Failure::not_found(format!("the Prometheus API here has no {}", uri.path()))
}
