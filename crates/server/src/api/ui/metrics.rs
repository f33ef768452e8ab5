//! The catalogue of metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use trefoil_query::{Error, Limits};
use trefoil_store::Snapshot;
use trefoil_store::model::{Metadata, MetricKind};

use super::{Window, answer};
use crate::api::{Api, AppState};

/// Metrics in one answer.
const METRICS_MAX: usize = 10_000;
/// Services named beside a metric.
const SERVICES_MAX: usize = 50;

#[derive(Debug, Serialize)]
struct Catalogue {
    metrics: Vec<Metric>,
    partial: String,
}

#[derive(Debug, Default, Serialize)]
struct Metric {
    name: String,
    family: String,
    kind: &'static str,
    unit: String,
    help: String,
    series: u64,
    services: BTreeSet<String>,
}

pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    window: Window,
    headers: HeaderMap,
) -> Response {
    let result =
        state.ask(Api::Ui, None, move |snapshot, limits| build(snapshot, limits, window)).await;
    answer(&headers, result)
}

fn build(snapshot: &Snapshot, limits: &Limits<'_>, window: Window) -> Result<Catalogue, Error> {
    let known: BTreeMap<String, Metadata> = snapshot.metadata().into_iter().collect();
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut left_out = 0u64;
    for series in snapshot.series(&[], window.range(), limits.tally)? {
        let Some(name) = series.labels.metric_name() else { continue };
        if metrics.len() >= METRICS_MAX && !metrics.contains_key(name) {
            left_out += 1;
            continue;
        }
        let metric = metrics.entry(name.to_owned()).or_insert_with(|| describe(name, &known));
        metric.series += 1;
        let service = series.labels.get("service_name").or_else(|| series.labels.get("job"));
        if let Some(service) = service.filter(|_| metric.services.len() < SERVICES_MAX) {
            metric.services.insert(service.to_owned());
        }
    }
    let partial = match left_out {
        0 => String::new(),
        count => format!("{count} series of further metrics are left out"),
    };
    Ok(Catalogue { metrics: metrics.into_values().collect(), partial })
}

/// A metric with what is known of its family.
fn describe(name: &str, known: &BTreeMap<String, Metadata>) -> Metric {
    let (family, metadata) = family(name, known);
    let kind = match metadata.map(|metadata| metadata.kind) {
        Some(MetricKind::Counter) => "counter",
        Some(MetricKind::Gauge) => "gauge",
        Some(MetricKind::Histogram) => "histogram",
        Some(MetricKind::Summary) => "summary",
        Some(MetricKind::Unknown) | None => "unknown",
    };
    Metric {
        name: name.to_owned(),
        family: family.to_owned(),
        kind,
        unit: metadata.map(|metadata| metadata.unit.clone()).unwrap_or_default(),
        help: metadata.map(|metadata| metadata.help.clone()).unwrap_or_default(),
        ..Metric::default()
    }
}

/// The family a series belongs to: its name, or that without a suffix of histograms,
/// summaries and counters.
fn family<'a>(
    name: &'a str,
    known: &'a BTreeMap<String, Metadata>,
) -> (&'a str, Option<&'a Metadata>) {
    let suffixes = ["_bucket", "_sum", "_count", "_total"];
    let cut = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
    std::iter::once(name)
        .chain(cut)
        .find_map(|family| Some((family, Some(known.get(family)?))))
        .unwrap_or((name, None))
}
