//! Directories written by earlier versions of the formats stay readable.
//!
//! `TREFOIL_WRITE_FIXTURE=1 cargo test -p trefoil-store fixture` writes the directory of
//! the current version; do so once when a format changes, and keep the older ones.

use std::path::{Path, PathBuf};

use trefoil_store::model::{
    Event, Exemplar, Histogram, Link, LogRecord, Metadata, MetricKind, Sample, SampleValue, Scope,
    Span, SpanKind, StatusCode, Value,
};
use trefoil_store::{Batch, Labels, Order, SpanFilter, Store, Tally, TimeRange};

use crate::make::{
    add_record, add_sample, add_span, attribute, float, read_logs, read_series, read_spans,
    service, text,
};
use crate::states::settings;

const MS: i64 = 1_780_000_000_000;
const NS: u64 = 1_780_000_000_000_000_000;

/// Every version that was ever released.
const VERSIONS: [&str; 10] = ["v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn a_span(n: u8) -> Span<'static> {
    let attributes = vec![
        attribute("http.response.status_code", Value::Int(500 + i64::from(n))),
        attribute("ratio", Value::Double(0.25)),
        attribute("list", Value::Array(vec![Value::Bool(true), Value::Empty])),
    ];
    let exception = Event {
        time_ns: NS + 7,
        name: "exception".into(),
        attributes: vec![attribute("exception.message", text("boom"))],
        dropped_attributes: 1,
    };
    let link = Link { trace_id: [9; 16], span_id: [8; 8], ..Link::default() };
    Span {
        trace_id: [n; 16],
        span_id: [n; 8],
        parent_span_id: [n / 2; 8],
        trace_state: "k=v".into(),
        flags: 0x101,
        name: "GET /".into(),
        kind: SpanKind::Server,
        start_ns: NS,
        end_ns: NS + 1_000_000,
        attributes,
        events: vec![exception],
        links: vec![link],
        status: StatusCode::Error,
        status_message: "bad".into(),
        ..Span::default()
    }
}

fn a_record(n: u8) -> LogRecord<'static> {
    LogRecord {
        time_ns: NS + u64::from(n),
        observed_ns: NS + 5,
        severity: 9,
        severity_text: "INFO".into(),
        body: if n.is_multiple_of(2) {
            text("a line")
        } else {
            Value::Map(vec![attribute("k", text("v"))])
        },
        attributes: vec![attribute("user", text("u1"))],
        trace_id: [n; 16],
        span_id: [n; 8],
        ..LogRecord::default()
    }
}

fn a_histogram() -> Histogram {
    Histogram {
        schema: 2,
        count: 3.0,
        sum: 1.5,
        positive_buckets: vec![1.0, 2.0],
        ..Histogram::default()
    }
}

/// What the second of two appends adds is left in the WAL.
fn batch(n: u8) -> Batch {
    let mut batch = Batch::new();
    for i in 0..20 {
        let value = f64::from(n) + f64::from(i) / 10.0;
        add_sample(
            &mut batch,
            &[("__name__", "up"), ("job", "a")],
            &float(MS + i64::from(i) * 1000 + i64::from(n), value),
        );
    }
    let resource = batch.resource(&service("s"));
    let scope = batch.scope(&Scope::default());
    let series = batch.series(resource, scope, &Labels::from_pairs([("__name__", "latency")]));
    let value = SampleValue::Histogram(Box::new(a_histogram()));
    batch.sample(series, &Sample { time_ms: MS + i64::from(n), start_ms: MS, value });
    let labels = Labels::from_pairs([("trace_id", "t")]);
    batch.exemplar(series, &Exemplar { time_ms: MS + i64::from(n), value: 0.5, labels });
    let known = Metadata { kind: MetricKind::Histogram, unit: "s".into(), help: "how long".into() };
    batch.metadata("latency", &known);
    add_record(&mut batch, &[("service_name", "s")], &a_record(n));
    add_span(&mut batch, "cart", &a_span(n));
    batch
}

fn write(dir: &Path) {
    let store = Store::open(dir, settings()).unwrap();
    store.append(&batch(1)).unwrap();
    store.flush().unwrap();
    store.append(&batch(2)).unwrap();
    drop(store);
    std::fs::remove_file(dir.join("lock")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn fixtures_of_every_format_version_read_back_whole() {
    let current = fixtures().join(VERSIONS[VERSIONS.len() - 1]);
    if std::env::var_os("TREFOIL_WRITE_FIXTURE").is_some() {
        let _ = std::fs::remove_dir_all(&current);
        write(&current);
    }
    for version in VERSIONS {
        let dir = tempfile::tempdir().unwrap();
        copy(&fixtures().join(version), dir.path());
        let store = Store::open(dir.path(), settings()).unwrap();
        assert_eq!(store.stats().damaged_blocks, 0);
        assert!(store.stats().replayed > 0 && store.stats().logs.parts > 0);
        check(&store);
        store.flush().unwrap();
        store.merge().unwrap();
        check(&store);
    }
}

fn check(store: &Store) {
    let snapshot = store.snapshot();
    let series = read_series(&snapshot, &[], TimeRange::ALL);
    let names: Vec<&str> = series.iter().map(|(labels, _)| labels.as_str()).collect();
    assert_eq!(names, [r#"{__name__="latency"}"#, r#"{__name__="up", job="a"}"#]);
    let latency = &series[0].1;
    assert_eq!(latency.histogram_times_ms, [MS + 1, MS + 2]);
    assert_eq!(latency.histogram_starts_ms, [MS, MS]);
    assert_eq!(*latency.histograms[1], a_histogram());
    let up = &series[1].1;
    assert_eq!(up.floats.len(), 40);
    assert_eq!((up.float_times_ms[3], up.floats[3]), (MS + 1002, 2.1));

    let tally = Tally::unlimited();
    let exemplars = snapshot.exemplars(&[], TimeRange::ALL, &tally).unwrap();
    assert_eq!((exemplars.len(), exemplars[0].1.len()), (1, 2));
    assert_eq!(snapshot.metadata()[0].1.help, "how long");

    let logs = read_logs(&snapshot, &[], &[], TimeRange::ALL, Order::Forward, 9);
    let records: Vec<LogRecord<'_>> = logs.into_iter().map(|log| log.record).collect();
    assert_eq!(records, [a_record(1), a_record(2)]);
    let spans = read_spans(&snapshot, &SpanFilter::All, TimeRange::ALL, Order::Forward);
    let spans: Vec<Span<'_>> = spans.into_iter().map(|stored| stored.span).collect();
    assert_eq!(spans, [a_span(1), a_span(2)]);
    for n in [1, 2] {
        let trace = snapshot.trace([n; 16], &tally).unwrap();
        assert_eq!((trace.len(), &trace[0].span), (1, &a_span(n)));
        assert_eq!(*trace[0].resource, service("cart"));
        assert_eq!(snapshot.trace_logs([n; 16], &tally).unwrap()[0].record, a_record(n));
    }
}
