use prost::Message as _;
use trefoil_otlp_messages::collector::logs::v1::ExportLogsServiceRequest;
use trefoil_otlp_messages::collector::metrics::v1::ExportMetricsServiceRequest;
use trefoil_otlp_messages::collector::trace::v1::ExportTraceServiceRequest;
use trefoil_otlp_messages::common::v1::any_value::Value as Any;
use trefoil_otlp_messages::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use trefoil_otlp_messages::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use trefoil_otlp_messages::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    metric, number_data_point,
};
use trefoil_otlp_messages::resource::v1::Resource;
use trefoil_otlp_messages::trace::v1::span::Event;
use trefoil_otlp_messages::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::*;

const START: u64 = 1_700_000_000_000_000_000;

fn attribute(key: &str, value: Any) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn text(value: &str) -> Any {
    Any::StringValue(value.to_owned())
}

fn resource() -> Option<Resource> {
    let attributes = vec![attribute("service.name", text("images"))];
    Some(Resource { attributes, ..Resource::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "jobs".to_owned(), ..InstrumentationScope::default() })
}

fn span(id: u8, parent: u8, name: &str, micros: [u64; 2]) -> Span {
    let parent_span_id = if parent == 0 { Vec::new() } else { vec![parent; 8] };
    Span {
        trace_id: vec![0xab; 16],
        span_id: vec![id; 8],
        parent_span_id,
        name: name.to_owned(),
        start_time_unix_nano: START + micros[0] * 1000,
        end_time_unix_nano: START + micros[1] * 1000,
        ..Span::default()
    }
}

fn trace() -> Vec<u8> {
    let root = Span {
        kind: 2,
        attributes: vec![attribute("http.route", text("/users/{id}"))],
        ..span(1, 9, "GET /users/{id}", [0, 12_345])
    };
    let query = Span {
        kind: 3,
        status: Some(Status { code: 2, message: "too late".to_owned() }),
        events: vec![Event {
            time_unix_nano: START + 3_000_000,
            name: "exception".to_owned(),
            attributes: vec![attribute("exception.message", text("timed out after 1 s"))],
            ..Event::default()
        }],
        ..span(2, 1, "SELECT", [1000, 4000])
    };
    // As they end: children before parents.
    let spans = vec![
        query,
        span(4, 3, "parse", [5_000, 5_001]),
        span(3, 1, "render", [4_500, 6_000]),
        root,
    ];
    let scope_spans = vec![ScopeSpans { scope: scope(), spans, ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { resource: resource(), scope_spans, ..Default::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec()
}

fn log() -> Vec<u8> {
    let record = LogRecord {
        time_unix_nano: START + 123_456_789,
        severity_number: 13,
        severity_text: "WARN".to_owned(),
        body: Some(AnyValue { value: Some(text("disk is nearly full")) }),
        attributes: vec![attribute("free", Any::IntValue(12))],
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        ..LogRecord::default()
    };
    let scope_logs =
        vec![ScopeLogs { scope: scope(), log_records: vec![record], ..Default::default() }];
    let resource_logs = ResourceLogs { resource: resource(), scope_logs, ..Default::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }.encode_to_vec()
}

fn metrics() -> Vec<u8> {
    let point = NumberDataPoint {
        value: Some(number_data_point::Value::AsInt(7)),
        attributes: vec![attribute("state", text("open"))],
        ..Default::default()
    };
    let gauge = Metric {
        name: "jobs".to_owned(),
        unit: "{job}".to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
        ..Metric::default()
    };
    let point = HistogramDataPoint { count: 4, sum: Some(2.0), ..Default::default() };
    let histogram = Metric {
        name: "job.duration".to_owned(),
        unit: "s".to_owned(),
        data: Some(metric::Data::Histogram(Histogram {
            data_points: vec![point],
            aggregation_temporality: 2,
        })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics {
        scope: scope(),
        metrics: vec![gauge, histogram],
        ..Default::default()
    }];
    let resource_metrics =
        ResourceMetrics { resource: resource(), scope_metrics, ..Default::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }.encode_to_vec()
}

fn printed(json: bool, colour: bool, signal: Signal, request: &[u8]) -> String {
    let prepared = Stdout { json, colour }.prepare(signal, request).unwrap();
    String::from_utf8(prepared.messages[0].to_vec()).unwrap()
}

#[test]
fn t1_people_see_a_trace_as_a_tree() {
    let expected = "\
trace abababababababababababababababab images
  GET /users/{id}  12.3 ms  server  http.route=/users/{id}
  ├─ SELECT  3.00 ms  client  ERROR too late
  │  · +2.00 ms exception exception.message=\"timed out after 1 s\"
  └─ render  1.50 ms  internal
     └─ parse  1.00 µs  internal
";
    assert_eq!(printed(false, false, Signal::Traces, &trace()), expected);
    let coloured = printed(false, true, Signal::Traces, &trace());
    assert!(coloured.contains("\x1b[31mERROR\x1b[0m"), "{coloured:?}");
}

#[test]
fn t1_people_see_logs_and_metrics_as_lines() {
    let log = printed(false, false, Signal::Logs, &log());
    assert_eq!(log, "22:13:20.123  WARN jobs: disk is nearly full free=12\n");
    let expected = "jobs{state=\"open\"} 7 {job}\njob.duration count 4 sum 2 s mean 0.5000 s\n";
    assert_eq!(printed(false, false, Signal::Metrics, &metrics()), expected);
}

#[test]
fn t1_json_has_a_line_an_item() {
    let lines = |signal, request: &[u8]| -> Vec<serde_json::Value> {
        let text = printed(true, true, signal, request);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let spans = lines(Signal::Traces, &trace());
    assert_eq!(spans.len(), 4);
    assert_eq!(
        spans[0],
        serde_json::json!({
            "signal": "span", "service": "images", "scope": "jobs",
            "trace_id": "ab".repeat(16), "span_id": "02".repeat(8),
            "parent_span_id": "01".repeat(8), "name": "SELECT", "kind": "client",
            "start_ns": START + 1_000_000, "end_ns": START + 4_000_000,
            "status": "error", "status_message": "too late",
            "events": [{
                "time_ns": START + 3_000_000, "name": "exception",
                "attributes": {"exception.message": "timed out after 1 s"},
            }],
        })
    );
    let expected = serde_json::json!({
        "signal": "log", "service": "images", "scope": "jobs", "time_ns": START + 123_456_789,
        "severity": "WARN", "severity_number": 13, "body": "disk is nearly full",
        "trace_id": "ab".repeat(16), "span_id": "01".repeat(8), "attributes": {"free": 12},
    });
    assert_eq!(lines(Signal::Logs, &log()), [expected]);
    let metrics = lines(Signal::Metrics, &metrics());
    assert_eq!(metrics[0]["metric"]["name"], "jobs");
    assert_eq!(metrics[0]["metric"]["gauge"]["dataPoints"][0]["asInt"], "7");
    assert_eq!(metrics[1]["metric"]["name"], "job.duration");
}

#[test]
fn a_span_that_is_its_own_ancestor_is_no_way_into_the_woods() {
    let spans = vec![span(1, 2, "a", [0, 1]), span(2, 1, "b", [0, 1]), span(3, 3, "c", [0, 1])];
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { scope_spans, ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };
    let text = printed(false, false, Signal::Traces, &request.encode_to_vec());
    let expected = "  c  1.00 µs  internal\n  a  1.00 µs  internal\n  └─ b  1.00 µs  internal\n";
    assert!(text.ends_with(expected), "{text}");
}
