//! The store on a file system that fails: at every operation, in every way.
//!
//! A script of appends, flushes, merges and restarts runs on [`Faulty`]; the model knows
//! which batches were acknowledged. Whatever happens, exactly those are there afterwards,
//! and perhaps, whole, those whose answer was a loss of certainty.
//! `TREFOIL_SEED=n cargo test -p trefoil-store faults` runs one seed, `TREFOIL_SEEDS=from..to`
//! many.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::SpanFilter;
use crate::labels::Labels;
use crate::manifest::Manifest;
use crate::model::{
    Attribute, Exemplar, LogRecord, MetricKind, Resource, Sample, SampleValue, Scope, Span, Value,
};
use crate::settings::Retention;
use crate::snapshot::{LogScan, Order, Samples, SpanScan, TimeRange};
use crate::tally::Tally;
use crate::vfs::faulty::{Fault, Faulty};

mod admin;
mod day;
mod faults;
mod lifecycle;
mod references;
mod retention;
mod segments;
mod selection;
mod simulation;

fn settings() -> Settings {
    let retention = Retention { metrics: None, logs: None, traces: None };
    Settings { retention, ..Settings::default() }
}

fn dir() -> &'static Path {
    Path::new("data")
}

fn open_on(vfs: &Faulty) -> Result<Store> {
    open::open(Arc::new(vfs.clone()), dir(), settings())
}

const DAY_NS: i64 = 86_400_000_000_000;
/// Midnight in 2026.
const START_NS: i64 = 20_600 * DAY_NS;

/// A batch that can be told from all others in every signal: two samples, log records and
/// spans each, on two days, the second as large as the id says.
fn numbered(id: u64) -> Batch {
    let mut batch = Batch::new();
    let attributes =
        vec![Attribute { key: "service.name".into(), value: Value::Str("sim".into()) }];
    let resource = batch.resource(&Resource { attributes, ..Resource::default() });
    let scope = batch.scope(&Scope::default());
    for row in 0..2u64 {
        let time_ns = START_NS + id as i64 * 1_000_000 + row as i64 * DAY_NS;
        let labels = Labels::from_pairs([("__name__", "m"), ("n", &(id % 3).to_string())]);
        let series = batch.series(resource, scope, &labels);
        let value = SampleValue::Float((id * 2 + row) as f64);
        batch.sample(series, &Sample { time_ms: time_ns / 1_000_000, start_ms: 0, value });
        let padding = "x".repeat((id as usize * 37) % 300);
        let record = LogRecord {
            time_ns: time_ns as u64,
            body: Value::Str(format!("{id} {row} {padding}").into()),
            ..LogRecord::default()
        };
        batch.log(resource, scope, &Labels::from_pairs([("s", "1")]), &record);
        let mut trace_id = [1; 16];
        trace_id[..8].copy_from_slice(&id.to_le_bytes());
        let span = Span {
            trace_id,
            span_id: [row as u8 + 1; 8],
            start_ns: time_ns as u64,
            end_ns: time_ns as u64 + 5,
            name: "op".into(),
            ..Span::default()
        };
        batch.span(resource, scope, &span);
    }
    batch
}

/// How often each row of each batch is there, by signal.
#[derive(Debug, Default)]
struct Found {
    samples: BTreeMap<(u64, u64), u32>,
    logs: BTreeMap<(u64, u64), u32>,
    spans: BTreeMap<(u64, u64), u32>,
    /// Rows of traces asked for by id.
    traces: BTreeMap<(u64, u64), u32>,
}

fn find(snapshot: &Snapshot) -> Found {
    let tally = Tally::unlimited();
    let mut found = Found::default();
    let mut samples = Samples::default();
    for series in snapshot.series(&[], TimeRange::ALL, &tally).unwrap() {
        snapshot.samples(&series, TimeRange::ALL, &mut samples, &tally).unwrap();
        for value in &samples.floats {
            let value = *value as u64;
            *found.samples.entry((value / 2, value % 2)).or_default() += 1;
        }
    }
    let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Forward };
    snapshot
        .logs(&scan, &tally, &mut |log| {
            let text = log.record.body.as_text();
            let mut words = text.split(' ').map(|w| w.parse().unwrap_or(0));
            let key = (words.next().unwrap(), words.next().unwrap());
            *found.logs.entry(key).or_default() += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    let scan = SpanScan { range: TimeRange::ALL, filter: &SpanFilter::All, order: Order::Any };
    let row_of = |span: &Span<'_>| {
        let id = u64::from_le_bytes(span.trace_id[..8].try_into().unwrap());
        (id, u64::from(span.span_id[0]) - 1)
    };
    let mut ids = BTreeSet::new();
    snapshot
        .spans(&scan, &tally, &mut |stored| {
            *found.spans.entry(row_of(&stored.span)).or_default() += 1;
            ids.insert(stored.span.trace_id);
            ControlFlow::Continue(())
        })
        .unwrap();
    for id in ids {
        for stored in snapshot.trace(id, &tally).unwrap() {
            *found.traces.entry(row_of(&stored.span)).or_default() += 1;
        }
    }
    assert_eq!(tally.blocks_damaged.into_inner(), 0);
    found
}

/// What the store has promised.
#[derive(Clone, Debug, Default)]
struct Model {
    acknowledged: BTreeSet<u64>,
    /// May be there or not, but not in pieces.
    uncertain: BTreeSet<u64>,
}

impl Model {
    /// Compares a snapshot with the promises.
    fn check(&self, snapshot: &Snapshot) -> std::result::Result<(), String> {
        let found = find(snapshot);
        let present: BTreeSet<u64> = found.logs.keys().map(|(id, _)| *id).collect();
        for id in &self.acknowledged {
            if !present.contains(id) {
                return Err(format!("batch {id} was acknowledged and is lost"));
            }
        }
        for id in &present {
            if !self.acknowledged.contains(id) && !self.uncertain.contains(id) {
                return Err(format!("batch {id} was refused and is there"));
            }
        }
        let signals = [
            ("samples", &found.samples),
            ("logs", &found.logs),
            ("spans", &found.spans),
            ("traces", &found.traces),
        ];
        for (signal, rows) in signals {
            let expect: BTreeMap<(u64, u64), u32> =
                present.iter().flat_map(|&id| [((id, 0), 1), ((id, 1), 1)]).collect();
            if *rows != expect {
                return Err(format!("{signal}: found {rows:?}, expected {expect:?}"));
            }
        }
        Ok(())
    }
}

/// The seeds that the environment asks for, or the default.
fn seeds(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let variable = |name| std::env::var(name).ok();
    if let Some(seed) = variable("TREFOIL_SEED").and_then(|v| v.parse::<u64>().ok()) {
        return seed..seed + 1;
    }
    let range = variable("TREFOIL_SEEDS").and_then(|text| {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    range.unwrap_or(default)
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
