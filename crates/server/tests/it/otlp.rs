//! Export requests for tests, and the server's books.

use std::time::{SystemTime, UNIX_EPOCH};

use trefoil_wire::otlp::{json, schema};
use trefoil_wire::protobuf::Writer;
use trefoil_wire::protobuf::schema::Message;

use crate::binary::Server;

/// The three signals: name, schema, gRPC path.
pub(crate) const SIGNALS: [(&str, &Message, &str); 3] = [
    ("traces", &schema::TRACE_REQUEST, crate::grpc::TRACES),
    ("metrics", &schema::METRICS_REQUEST, crate::grpc::METRICS),
    ("logs", &schema::LOGS_REQUEST, crate::grpc::LOGS),
];

pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// A request with `count` items, as JSON. Item `i` carries the number `first + i`.
pub(crate) fn request(signal: &str, service: &str, first: u64, count: u64) -> String {
    let now = now_ns();
    let items: Vec<String> = (first..first + count)
        .map(|n| match signal {
            "traces" => format!(
                r#"{{"traceId":"{:032x}","spanId":"{:016x}","name":"op","kind":2,
                "startTimeUnixNano":"{now}","endTimeUnixNano":"{}",
                "attributes":[{{"key":"n","value":{{"intValue":"{n}"}}}}]}}"#,
                u128::from(n) + 1,
                n + 1,
                now + 1_000_000
            ),
            "logs" => format!(
                r#"{{"timeUnixNano":"{now}","severityNumber":9,"body":{{"stringValue":"line {n}"}}}}"#
            ),
            _ => format!(
                r#"{{"timeUnixNano":"{now}","asInt":"{n}",
                "attributes":[{{"key":"n","value":{{"stringValue":"{n}"}}}}]}}"#
            ),
        })
        .collect();
    let items = items.join(",");
    let resource = format!(
        r#""resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}}"#
    );
    match signal {
        "traces" => {
            format!(r#"{{"resourceSpans":[{{{resource},"scopeSpans":[{{"spans":[{items}]}}]}}]}}"#)
        }
        "logs" => format!(
            r#"{{"resourceLogs":[{{{resource},"scopeLogs":[{{"logRecords":[{items}]}}]}}]}}"#
        ),
        _ => format!(
            r#"{{"resourceMetrics":[{{{resource},"scopeMetrics":[{{"metrics":[
            {{"name":"test.value","gauge":{{"dataPoints":[{items}]}}}}]}}]}}]}}"#
        ),
    }
}

pub(crate) fn to_protobuf(message: &'static Message, text: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    json::to_protobuf(message, text.as_bytes(), &mut writer).unwrap_or_else(|e| panic!("{e}"));
    writer.into_bytes()
}

/// One sample of `/metrics`, 0 if it is not there.
pub(crate) fn counter(server: &Server, name: &str) -> f64 {
    let page = server.get("/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// received, stored and refused items of a signal.
pub(crate) fn books(server: &Server, signal: &str) -> (f64, f64, f64) {
    let page = server.get("/metrics").text();
    let sum = |name: &str| -> f64 {
        let prefix = format!("{name}{{signal=\"{signal}\"");
        let lines = page.lines().filter(|line| line.starts_with(&prefix));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    (
        sum("trefoil_received_items_total"),
        sum("trefoil_stored_items_total"),
        sum("trefoil_refused_items_total"),
    )
}
