//! One service over time: requests, errors, durations; its operations and instances.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use trefoil_query::{Error, Limits};
use trefoil_store::model::{Resource, StatusCode, StoredSpan, Value};
use trefoil_store::{Compare, Field, Snapshot, SpanFilter};

use super::histogram::Durations;
use super::scan::{self, Budget};
use super::{Window, answer, ms};
use crate::api::{Api, AppState};

/// Points of a chart.
const POINTS: usize = 90;
/// Different operations counted; names with ids in them would fill the memory.
const OPERATIONS_MAX: usize = 500;
/// Different instances counted.
const INSTANCES_MAX: usize = 200;

#[derive(Deserialize)]
pub(super) struct Params {
    name: String,
}

#[derive(Debug, Serialize)]
struct Detail {
    name: String,
    color: usize,
    times_ms: Vec<i64>,
    step_ms: i64,
    requests: Vec<u64>,
    errors: Vec<u64>,
    p50_ns: Vec<Option<u64>>,
    p95_ns: Vec<Option<u64>>,
    p99_ns: Vec<Option<u64>>,
    operations: Vec<Operation>,
    instances: Vec<Instance>,
    partial: String,
}

#[derive(Debug, Serialize)]
struct Operation {
    name: String,
    kind: u8,
    requests: u64,
    errors: u64,
    p50_ns: u64,
    p95_ns: u64,
    p99_ns: u64,
    total_ns: u64,
}

#[derive(Debug, Serialize)]
struct Instance {
    instance: String,
    version: String,
    spans: u64,
    last_ms: i64,
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
            let detail = build(snapshot, limits, window, &params.name)?;
            // Only what has sent spans gets a colour of its own; a name in a URL does not.
            let known = !detail.instances.is_empty();
            let color = if known { asked.colors.place(&detail.name) } else { 0 };
            Ok(Detail { color, ..detail })
        })
        .await;
    answer(&headers, result)
}

/// What is counted of one operation.
#[derive(Debug, Default)]
struct Counts {
    errors: u64,
    requests: u64,
    durations: Durations,
}

#[derive(Debug)]
struct Red {
    window: Window,
    steps: Vec<Counts>,
    operations: HashMap<(String, u8), Counts>,
    instances: HashMap<usize, (Arc<Resource<'static>>, u64, i64)>,
}

fn build(
    snapshot: &Snapshot,
    limits: &Limits<'_>,
    window: Window,
    name: &str,
) -> Result<Detail, Error> {
    let mut budget = Budget::new();
    let mut red = Red {
        window,
        steps: (0..POINTS).map(|_| Counts::default()).collect(),
        operations: HashMap::new(),
        instances: HashMap::new(),
    };
    let filter = filter(name);
    let range = window.range();
    scan::spans(snapshot, range, &filter, limits.tally, &mut budget, &mut |stored| {
        if scan::service_name(&stored.resource) == name {
            red.add(stored);
        }
    })?;
    let detail = red.detail(name);
    Ok(Detail { partial: budget.finish(limits.tally), ..detail })
}

/// What the store can rule out by itself; a nameless service has no attribute to ask for.
fn filter(name: &str) -> SpanFilter {
    if name == "unknown_service" {
        return SpanFilter::All;
    }
    let value = Value::Str(name.to_owned().into());
    SpanFilter::Field(Field::Resource("service.name".to_owned()), Compare::Equal(value))
}

impl Red {
    fn add(&mut self, stored: &StoredSpan<'_>) {
        let span = &stored.span;
        let at_ms = ms(span.start_ns);
        let address = Arc::as_ptr(&stored.resource) as usize;
        if self.instances.len() < INSTANCES_MAX || self.instances.contains_key(&address) {
            let instance = self
                .instances
                .entry(address)
                .or_insert_with(|| (Arc::clone(&stored.resource), 0, i64::MIN));
            instance.1 += 1;
            instance.2 = instance.2.max(at_ms);
        }
        if !scan::is_entry(span) {
            return;
        }
        let failed = span.status == StatusCode::Error;
        let duration = scan::duration_ns(span);
        let share = (at_ms - self.window.from_ms) as f64 / self.window.width_ms() as f64;
        let step = ((share * POINTS as f64) as usize).min(POINTS - 1);
        self.steps[step].add(failed, duration);
        let key = (span.name.clone().into_owned(), span.kind as u8);
        if self.operations.len() < OPERATIONS_MAX || self.operations.contains_key(&key) {
            self.operations.entry(key).or_default().add(failed, duration);
        }
    }

    fn detail(self, name: &str) -> Detail {
        let width = self.window.width_ms();
        let step_ms = (width / POINTS as i64).max(1);
        let at = |i: usize| self.window.from_ms + width * i as i64 / POINTS as i64;
        let quantiles =
            |share| self.steps.iter().map(|step| step.durations.quantile(share)).collect();
        let mut operations: Vec<Operation> =
            self.operations.iter().map(|(key, counts)| operation(key, counts)).collect();
        operations.sort_by(|a, b| b.total_ns.cmp(&a.total_ns).then_with(|| a.name.cmp(&b.name)));
        Detail {
            name: name.to_owned(),
            color: 0,
            times_ms: (0..POINTS).map(at).collect(),
            step_ms,
            requests: self.steps.iter().map(|step| step.requests).collect(),
            errors: self.steps.iter().map(|step| step.errors).collect(),
            p50_ns: quantiles(0.5),
            p95_ns: quantiles(0.95),
            p99_ns: quantiles(0.99),
            operations,
            instances: instances(self.instances),
            partial: String::new(),
        }
    }
}

impl Counts {
    fn add(&mut self, failed: bool, duration_ns: u64) {
        self.requests += 1;
        self.errors += u64::from(failed);
        self.durations.add(duration_ns);
    }
}

fn operation((name, kind): &(String, u8), counts: &Counts) -> Operation {
    Operation {
        name: name.clone(),
        kind: *kind,
        requests: counts.requests,
        errors: counts.errors,
        p50_ns: counts.durations.quantile_or_zero(0.5),
        p95_ns: counts.durations.quantile_or_zero(0.95),
        p99_ns: counts.durations.quantile_or_zero(0.99),
        total_ns: counts.durations.sum,
    }
}

fn instances(found: HashMap<usize, (Arc<Resource<'static>>, u64, i64)>) -> Vec<Instance> {
    let mut by_name: HashMap<(String, String), (u64, i64)> = HashMap::new();
    for (resource, spans, last_ms) in found.into_values() {
        let read = |key| scan::text(&resource.attributes, key).unwrap_or("").to_owned();
        let key = (read("service.instance.id"), read("service.version"));
        let sum = by_name.entry(key).or_insert((0, i64::MIN));
        sum.0 += spans;
        sum.1 = sum.1.max(last_ms);
    }
    let row =
        |((instance, version), (spans, last_ms))| Instance { instance, version, spans, last_ms };
    let mut rows: Vec<Instance> = by_name.into_iter().map(row).collect();
    rows.sort_by(|a, b| b.last_ms.cmp(&a.last_ms).then_with(|| a.instance.cmp(&b.instance)));
    rows
}
