//! A small store on disk whose files the fuzzer may change, with checksums that hold:
//! what the checksums would catch is tested elsewhere, here we look behind them.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trefoil_store::model::{
    Attribute, Event, Exemplar, Histogram, Link, LogRecord, Metadata, MetricKind, Resource, Sample,
    SampleValue, Scope, Span, Value,
};
use trefoil_store::{
    Batch, Compare, Error, Field, KeptTraces, Labels, LogScan, MatchOp, Matcher, Order, Retention,
    Samples, Settings, SpanColumns, SpanFilter, SpanScan, Store, Tally, TimeRange,
};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a WAL segment's header, and of a record's.
const SEGMENT_HEADER: usize = 24;
const RECORD_HEADER: usize = 20;

/// A place for the files of one process: where `TREFOIL_FUZZ_SCRATCH` says, which the
/// runner removes afterwards, or a temporary folder.
pub struct Scratch {
    root: PathBuf,
}

impl Scratch {
    /// Makes an empty folder.
    #[must_use]
    pub fn new() -> Self {
        let root = std::env::var_os("TREFOIL_FUZZ_SCRATCH").map_or_else(
            || std::env::temp_dir().join(format!("trefoil-fuzz-{}", std::process::id())),
            PathBuf::from,
        );
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).expect("a temporary folder");
        Scratch { root }
    }

    /// A folder within that is empty again.
    #[must_use]
    pub fn fresh(&self, name: &str) -> PathBuf {
        let folder = self.root.join(name);
        let _ = std::fs::remove_dir_all(&folder);
        for sub in ["wal", "parts"] {
            std::fs::create_dir_all(folder.join(sub)).expect("a temporary folder");
        }
        folder
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch::new()
    }
}

/// Settings under which nothing is dropped for its age.
#[must_use]
pub fn settings() -> Settings {
    let retention = Retention { metrics: None, logs: None, traces: None };
    Settings {
        memory_bytes: 64 << 20,
        retention,
        fsync: false,
        disk_reserve_bytes: 0,
        ..Settings::default()
    }
}

/// The same with traces that stay for longer than others.
#[must_use]
pub fn thinning() -> Settings {
    let day = Duration::from_secs(86_400);
    let settings = settings();
    let retention = Retention { traces: Some(day), ..settings.retention };
    let kept_traces = Some(KeptTraces { kept: day * 100_000, slow_ns: u64::MAX });
    Settings { retention, kept_traces, ..settings }
}

/// Long after everything that is written here.
pub const NOW_NS: i64 = 1_800_000_000_000_000_000;

/// Rows of every kind.
#[must_use]
pub fn batch() -> Batch {
    let mut batch = Batch::new();
    let text = |text: &'static str| Value::Str(Cow::Borrowed(text));
    let attribute = |key: &'static str, value| Attribute { key: Cow::Borrowed(key), value };
    let list = Value::Array(vec![Value::Int(-1), Value::Map(vec![attribute("k", text("v"))])]);
    let resource = batch.resource(&Resource {
        attributes: vec![attribute("service.name", text("shop"))],
        ..Resource::default()
    });
    let scope = batch.scope(&Scope { name: "lib".into(), ..Scope::default() });
    for i in 1..=9u8 {
        let time_ns = 1_700_000_000_000_000_000 + u64::from(i) * 1_000_000_000;
        let attributes = vec![
            attribute("a", text("b")),
            attribute("n", Value::Int(i.into())),
            attribute("d", Value::Double(0.5)),
            attribute("l", list.clone()),
        ];
        batch.span(
            resource,
            scope,
            &Span {
                trace_id: [i / 4 + 1; 16],
                span_id: [i; 8],
                name: if i % 2 == 0 { "GET /".into() } else { "query".into() },
                start_ns: time_ns,
                end_ns: time_ns + 1000,
                attributes: attributes.clone(),
                events: vec![Event { time_ns, name: "e".into(), ..Event::default() }],
                links: vec![Link { trace_id: [9; 16], span_id: [8; 8], ..Link::default() }],
                ..Span::default()
            },
        );
        let record = LogRecord {
            time_ns,
            body: if i % 3 == 0 { list.clone() } else { text("a line of text") },
            attributes,
            trace_id: [i / 4 + 1; 16],
            ..LogRecord::default()
        };
        batch.log(resource, scope, &Labels::from_pairs([("app", "shop")]), &record);
        let time_ms = time_ns as i64 / 1_000_000;
        let series = batch.series(resource, scope, &Labels::from_pairs([("__name__", "up")]));
        let value = SampleValue::Float(f64::from(i));
        batch.sample(series, &Sample { time_ms, start_ms: 0, value });
        let native = batch.series(resource, scope, &Labels::from_pairs([("__name__", "h")]));
        let histogram = Histogram {
            count: 3.0,
            sum: 1.5,
            positive_spans: vec![trefoil_store::model::BucketSpan { offset: -1, length: 2 }],
            positive_buckets: vec![1.0, 2.0],
            ..Histogram::default()
        };
        let value = SampleValue::Histogram(Box::new(histogram));
        batch.sample(native, &Sample { time_ms, start_ms: 1, value });
        let labels = Labels::from_pairs([("trace_id", "ab")]);
        batch.exemplar(series, &Exemplar { time_ms, value: 1.0, labels });
    }
    let known = Metadata { kind: MetricKind::Gauge, unit: "s".into(), help: "h".into() };
    batch.metadata("up", &known);
    batch
}

/// Opens a directory and asks everything. A store may refuse what it finds; it must not
/// panic, and what it takes it must be able to answer, flush, merge and open again.
pub fn exercise(dir: &Path) {
    let Some(store) = open(dir) else { return };
    ask(&store);
    let kept = store.flush().and_then(|()| store.maintain(NOW_NS));
    if let Err(error) = kept {
        assert!(!error.to_string().is_empty());
        return;
    }
    ask(&store);
    let _ = store.merge();
    ask(&store);
    if store.close().is_ok()
        && let Some(store) = open(dir)
    {
        ask(&store);
    }
}

fn open(dir: &Path) -> Option<Store> {
    match Store::open(dir, settings()) {
        Ok(store) => Some(store),
        Err(error) => {
            assert!(!matches!(error, Error::Locked(_)), "{error}");
            None
        }
    }
}

fn ask(store: &Store) {
    let snapshot = store.snapshot();
    let tally = Tally::unlimited();
    let range = TimeRange::ALL;
    let any = [Matcher::new("x", MatchOp::NotEqual, "y").expect("no pattern")];
    if let Ok(found) = snapshot.series(&any, range, &tally) {
        let mut samples = Samples::default();
        for series in found {
            let _ = snapshot.samples(&series, range, &mut samples, &tally);
        }
    }
    let _ = snapshot.label_names(&[], range, &tally);
    let _ = snapshot.label_values("app", &[], range, &tally);
    let _ = snapshot.exemplars(&any, range, &tally);
    let _ = snapshot.streams(&any, range, &tally);
    let _ = snapshot.metadata();
    for order in [Order::Forward, Order::Backward, Order::Any] {
        let scan = LogScan { streams: &[], range, lines: &[], order };
        let _ = snapshot.logs(&scan, &tally, &mut |_| ControlFlow::Continue(()));
        let scan = SpanScan { range, filter: &SpanFilter::All, order };
        let _ = snapshot.spans(&scan, &tally, &mut |_| ControlFlow::Continue(()));
    }
    let tagged = SpanFilter::And(vec![
        SpanFilter::Field(Field::Any("n".to_owned()), Compare::Equal(Value::Int(1))),
        SpanFilter::Mentions("k".to_owned(), "v".to_owned()),
    ]);
    let scan = SpanScan { range, filter: &tagged, order: Order::Any };
    let _ = snapshot.spans(&scan, &tally, &mut |_| ControlFlow::Continue(()));
    let _ = snapshot.thinned_spans(range, &tally, &mut |counted| {
        assert!(counted.durations_ns.0 <= counted.durations_ns.1);
    });
    for id in 1..=11 {
        let _ = snapshot.trace([id; 16], &tally);
        let _ = snapshot.trace_overview([id; 16], &tally);
        let _ = snapshot.trace_spans([id; 16], &tagged, SpanColumns::ALL, &tally);
        let _ = snapshot.trace_logs([id; 16], &tally);
    }
}

/// A WAL segment with one record of this content.
#[must_use]
pub fn segment(payload: &[u8]) -> Vec<u8> {
    let mut out = b"TRFWAL\0\x01".to_vec();
    out.extend_from_slice(&1u64.to_le_bytes());
    out.extend_from_slice(&xxh3_64(&out).to_le_bytes());
    let mut record = (payload.len() as u32).to_le_bytes().to_vec();
    record.extend_from_slice(&1u64.to_le_bytes());
    let checksum = xxh3_64(&[&record, payload].concat());
    record.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&record);
    out.extend_from_slice(payload);
    out
}

/// The name of the segment whose first append is number 1.
pub const SEGMENT_NAME: &str = "0000000000000001.wal";

/// The content of the first record of a segment.
#[must_use]
pub fn first_payload(segment: &[u8]) -> Option<&[u8]> {
    let record = segment.get(SEGMENT_HEADER..)?;
    let length = u32::from_le_bytes(record.get(..4)?.try_into().ok()?) as usize;
    record.get(RECORD_HEADER..RECORD_HEADER + length)
}

/// Files of a store: those of `folder` within `dir`, by name.
#[must_use]
pub fn files(dir: &Path, folder: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(dir.join(folder)) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let bytes = std::fs::read(entry.path()).ok()?;
            Some((entry.file_name().into_string().ok()?, bytes))
        })
        .collect();
    files.sort();
    files
}
