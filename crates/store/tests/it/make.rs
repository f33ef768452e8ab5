//! Small rows for tests.

use std::borrow::Cow;
use std::ops::ControlFlow;

use trefoil_store::model::{
    Attribute, LogRecord, Resource, Sample, SampleValue, Scope, Span, StoredLog, StoredSpan, Value,
};
use trefoil_store::{
    Batch, Labels, LineFilter, LogScan, Matcher, Order, Samples, Snapshot, SpanFilter, SpanScan,
    Tally, TimeRange,
};

pub(crate) fn text(text: &str) -> Value<'static> {
    Value::Str(Cow::Owned(text.to_owned()))
}

pub(crate) fn attribute(key: &str, value: Value<'static>) -> Attribute<'static> {
    Attribute { key: Cow::Owned(key.to_owned()), value }
}

pub(crate) fn service(name: &str) -> Resource<'static> {
    Resource { attributes: vec![attribute("service.name", text(name))], ..Resource::default() }
}

pub(crate) fn float(time_ms: i64, value: f64) -> Sample {
    Sample { time_ms, start_ms: 0, value: SampleValue::Float(value) }
}

pub(crate) fn add_sample(batch: &mut Batch, labels: &[(&str, &str)], sample: &Sample) {
    let resource = batch.resource(&service("s"));
    let scope = batch.scope(&Scope::default());
    let series = batch.series(resource, scope, &Labels::from_pairs(labels.iter().copied()));
    batch.sample(series, sample);
}

pub(crate) fn add_log(batch: &mut Batch, stream: &[(&str, &str)], time_ns: u64, line: &str) {
    let record = LogRecord { time_ns, body: text(line), ..LogRecord::default() };
    add_record(batch, stream, &record);
}

pub(crate) fn add_record(batch: &mut Batch, stream: &[(&str, &str)], record: &LogRecord<'_>) {
    let resource = batch.resource(&service("s"));
    let scope = batch.scope(&Scope::default());
    batch.log(resource, scope, &Labels::from_pairs(stream.iter().copied()), record);
}

pub(crate) fn add_span(batch: &mut Batch, service_name: &str, span: &Span<'_>) {
    let resource = batch.resource(&service(service_name));
    let scope = batch.scope(&Scope { name: Cow::Borrowed("lib"), ..Scope::default() });
    batch.span(resource, scope, span);
}

pub(crate) fn span(trace: u8, id: u8, start_ns: u64, name: &str) -> Span<'static> {
    Span {
        trace_id: [trace; 16],
        span_id: [id; 8],
        name: Cow::Owned(name.to_owned()),
        start_ns,
        end_ns: start_ns + 10,
        ..Span::default()
    }
}

/// All series that match, with their samples.
pub(crate) fn read_series(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
) -> Vec<(String, Samples)> {
    let tally = Tally::unlimited();
    let mut out = Vec::new();
    for series in snapshot.series(matchers, range, &tally).unwrap() {
        let mut samples = Samples::default();
        snapshot.samples(&series, range, &mut samples, &tally).unwrap();
        out.push((format!("{:?}", series.labels), samples));
    }
    out
}

pub(crate) fn read_logs(
    snapshot: &Snapshot,
    streams: &[Matcher],
    lines: &[LineFilter],
    range: TimeRange,
    order: Order,
    limit: usize,
) -> Vec<StoredLog<'static>> {
    let mut out = Vec::new();
    let scan = LogScan { streams, range, lines, order };
    snapshot
        .logs(&scan, &Tally::unlimited(), &mut |log| {
            out.push(log.clone().into_owned());
            if out.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    out
}

pub(crate) fn read_spans(
    snapshot: &Snapshot,
    filter: &SpanFilter,
    range: TimeRange,
    order: Order,
) -> Vec<StoredSpan<'static>> {
    let mut out = Vec::new();
    let scan = SpanScan { range, filter, order };
    snapshot
        .spans(&scan, &Tally::unlimited(), &mut |span| {
            out.push(span.clone().into_owned());
            ControlFlow::Continue(())
        })
        .unwrap();
    out
}
