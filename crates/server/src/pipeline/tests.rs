//! Requests written as OTLP/JSON, and what a snapshot then shows.

use std::fmt::Write;
use std::ops::ControlFlow;

use trefoil_store::{LogScan, Order, Samples, Settings, Snapshot, Tally, TimeRange};
use trefoil_wire::otlp::json;
use trefoil_wire::protobuf::Writer;

use super::*;

/// Now, in the tests' world: 2026-11-21 00:00:00 UTC.
const NOW_NS: i64 = 1_795_219_200_000_000_000;

/// A pipeline over a store in memory.
pub(super) struct Bench {
    pub(super) pipeline: Pipeline,
    store: Arc<Store>,
    counters: Arc<Counters>,
}

impl Bench {
    pub(super) fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Bench {
        let mut config = Config::for_tests();
        config.retention = Retention { metrics: None, logs: None, traces: None };
        change(&mut config);
        let store = Arc::new(Store::in_memory(Settings::default()));
        let counters = Arc::new(Counters::default());
        let pipeline = Pipeline::new(Arc::clone(&store), &config, Arc::clone(&counters));
        Bench { pipeline, store, counters }
    }

    pub(super) fn export(&self, signal: Signal, text: &str) -> Result<Outcome, Rejected> {
        self.pipeline.export(signal, &protobuf(signal, text), NOW_NS)
    }

    /// Sends data points of one metric, as JSON, from a service `shop/api`.
    pub(super) fn metric(&self, metric: &str) -> Outcome {
        let text = format!(
            r#"{{"resourceMetrics":[{{"resource":{{"attributes":[
                {{"key":"service.name","value":{{"stringValue":"api"}}}},
                {{"key":"service.namespace","value":{{"stringValue":"shop"}}}}]}},
              "scopeMetrics":[{{"scope":{{"name":"lib","version":"1"}},"metrics":[{metric}]}}]}}]}}"#
        );
        self.export(Signal::Metrics, &text).unwrap()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.store.snapshot()
    }

    /// Every series with its samples, one per line, without the labels of the resource.
    pub(super) fn series(&self) -> String {
        let (snapshot, tally) = (self.snapshot(), Tally::unlimited());
        let mut text = String::new();
        let mut samples = Samples::default();
        for series in snapshot.series(&[], TimeRange::ALL, &tally).unwrap() {
            let name = series.labels.metric_name().unwrap_or_default();
            let labels: Vec<String> = series
                .labels
                .iter()
                .filter(|(n, _)| {
                    !["__name__", "job", "service_name", "service_namespace"].contains(n)
                })
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            snapshot.samples(&series, TimeRange::ALL, &mut samples, &tally).unwrap();
            write!(text, "{name}{{{}}}", labels.join(",")).unwrap();
            for (time, value) in samples.float_times_ms.iter().zip(&samples.floats) {
                let stale = trefoil_store::model::is_stale(*value);
                let value = if stale { "stale".to_owned() } else { value.to_string() };
                write!(text, " {value}@{time}").unwrap();
            }
            for (time, histogram) in samples.histogram_times_ms.iter().zip(&samples.histograms) {
                write!(
                    text,
                    " {{schema:{} count:{} sum:{} zero:{} {:?} {:?} | {:?} {:?}}}@{time}",
                    histogram.schema,
                    histogram.count,
                    histogram.sum,
                    histogram.zero_count,
                    histogram
                        .positive_spans
                        .iter()
                        .map(|s| (s.offset, s.length))
                        .collect::<Vec<_>>(),
                    histogram.positive_buckets,
                    histogram
                        .negative_spans
                        .iter()
                        .map(|s| (s.offset, s.length))
                        .collect::<Vec<_>>(),
                    histogram.negative_buckets,
                )
                .unwrap();
            }
            text.push('\n');
        }
        text
    }

    fn page(&self) -> String {
        let mut text = String::new();
        for signal in Signal::ALL {
            text.push_str(&format!(
                "{}: {}\n",
                signal.name(),
                self.counters.signal(signal).summary()
            ));
        }
        text
    }
}

pub(super) fn protobuf(signal: Signal, text: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    json::to_protobuf(signal.schema(), text.as_bytes(), &mut writer)
        .unwrap_or_else(|e| panic!("{e}"));
    writer.into_bytes()
}

const TRACE: &str = "0102030405060708090a0b0c0d0e0f10";

fn spans(spans: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"stringValue":"api"}}}}]}},
          "scopeSpans":[{{"scope":{{"name":"lib"}},"spans":[{spans}]}}]}}]}}"#
    )
}

fn span(id: &str, start: i64) -> String {
    format!(
        r#"{{"traceId":"{TRACE}","spanId":"{id}","name":"op","kind":2,
            "startTimeUnixNano":"{start}","endTimeUnixNano":"{}",
            "attributes":[{{"key":"n","value":{{"intValue":"7"}}}}],
            "events":[{{"timeUnixNano":"5","name":"e"}}],
            "links":[{{"traceId":"{TRACE}","spanId":"0000000000000009"}}],
            "status":{{"code":2,"message":"no"}},"traceState":"a=b","flags":257}}"#,
        start + 10
    )
}

#[test]
fn a_span_comes_back_field_by_field() {
    let bench = Bench::new();
    let outcome = bench.export(Signal::Traces, &spans(&span("0000000000000001", NOW_NS))).unwrap();
    assert_eq!(outcome, Outcome::default());
    let mut trace = [0; 16];
    (1..=16).for_each(|i| trace[i - 1] = i as u8);
    let stored = bench.snapshot().trace(trace, &Tally::unlimited()).unwrap();
    let [stored] = &stored[..] else { panic!("{stored:?}") };
    let span = &stored.span;
    assert_eq!((&*span.name, span.kind as u8, span.flags), ("op", 2, 257));
    assert_eq!((span.start_ns, span.end_ns), (NOW_NS as u64, NOW_NS as u64 + 10));
    assert_eq!((&*span.trace_state, &*span.status_message, span.status as u8), ("a=b", "no", 2));
    assert_eq!(span.attributes[0].value, trefoil_store::model::Value::Int(7));
    assert_eq!((&*span.events[0].name, span.links[0].span_id[7]), ("e", 9));
    assert_eq!(stored.resource.attributes[0].key, "service.name");
    assert_eq!(stored.scope.name, "lib");
}

#[test]
fn one_bad_span_keeps_the_others_and_the_books_balance() {
    let bench = Bench::with(|config| config.retention = Retention::default());
    let good = span("0000000000000001", NOW_NS);
    let zero = span("0000000000000000", NOW_NS);
    let old = span("0000000000000002", NOW_NS - 73 * 3600 * 1_000_000_000);
    let short = r#"{"traceId":"","spanId":"0000000000000003","name":"x"}"#;
    let ahead = span("0000000000000004", NOW_NS + 600_000_000_000);
    let all = [good.as_str(), &zero, &old, short, &ahead].join(",");
    let outcome = bench.export(Signal::Traces, &spans(&all)).unwrap();
    assert_eq!(outcome.refused, 3);
    assert!(
        outcome.message.contains("1 zero_id, 1 older_than_retention, 1 missing_field"),
        "{outcome:?}"
    );
    assert!(outcome.message.contains("spans[1].span_id"), "{outcome:?}");
    let page = bench.page();
    assert!(page.contains("traces: received 5 stored 2 refused 3 future 1"), "{page}");
}

#[test]
fn a_damaged_request_is_refused_whole_with_the_place() {
    let bench = Bench::new();
    let mut bytes = protobuf(Signal::Traces, &spans(&span("0000000000000001", NOW_NS)));
    // The length of the span's name points past the end of the span.
    let name = bytes.windows(3).position(|window| window == b"\x02op").unwrap();
    bytes[name] = 0x7f;
    let error = bench.pipeline.export(Signal::Traces, &bytes, NOW_NS).unwrap_err();
    let Rejected::Malformed(text) = error else { panic!("{error:?}") };
    assert!(text.contains("spans[0]") && text.contains("at byte"), "{text}");
    assert!(bench.snapshot().trace([1; 16], &Tally::unlimited()).unwrap().is_empty());
    for signal in Signal::ALL {
        assert_eq!(
            bench.pipeline.export(signal, &[], NOW_NS).unwrap(),
            Outcome::default(),
            "empty"
        );
        assert!(bench.pipeline.export(signal, b"\xff\xff\xff", NOW_NS).is_err());
    }
}

#[test]
fn log_records_go_to_the_stream_of_their_resource() {
    let bench = Bench::new();
    let text = format!(
        r#"{{"resourceLogs":[
        {{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"stringValue":"api"}}}},
            {{"key":"k8s.pod.name","value":{{"stringValue":"p1"}}}},
            {{"key":"host.name","value":{{"stringValue":"h"}}}}]}},
          "scopeLogs":[{{"logRecords":[
            {{"timeUnixNano":"{NOW_NS}","severityNumber":17,"severityText":"ERROR",
              "body":{{"stringValue":"boom"}},"traceId":"{TRACE}","spanId":"0000000000000001",
              "attributes":[{{"key":"k","value":{{"boolValue":true}}}}]}},
            {{"observedTimeUnixNano":"{}","body":{{"kvlistValue":{{"values":[
              {{"key":"a","value":{{"intValue":1}}}}]}}}}}},
            {{"body":{{"stringValue":"no time at all"}},"severityNumber":99}}]}}]}},
        {{"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"1","body":{{"stringValue":"nobody's"}}}}]}}]}}]}}"#,
        NOW_NS + 1
    );
    assert_eq!(bench.export(Signal::Logs, &text).unwrap(), Outcome::default());
    let mut seen = Vec::new();
    let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Forward };
    bench
        .snapshot()
        .logs(&scan, &Tally::unlimited(), &mut |log| {
            let record = &log.record;
            seen.push(format!(
                "{:?} {} {} {}",
                log.stream,
                record.time_ns,
                record.severity,
                attribute::text(&record.body)
            ));
            ControlFlow::Continue(())
        })
        .unwrap();
    seen.sort();
    let stream = r#"{k8s_pod_name="p1", service_name="api"}"#;
    assert_eq!(
        seen,
        [
            format!("{stream} {NOW_NS} 0 no time at all"),
            format!("{stream} {NOW_NS} 17 boom"),
            format!("{stream} {} 0 {{\"a\":1}}", NOW_NS + 1),
            r#"{service_name="unknown_service"} 1 0 nobody's"#.to_owned(),
        ]
    );
}
