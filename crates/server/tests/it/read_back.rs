//! What came in by OTLP comes out of every API, counted and compared.

use serde_json::Value;

use crate::binary::{Server, request, shared};
use crate::otlp;

const JSON: (&str, &str) = ("content-type", "application/json");

fn post(server: &Server, signal: &str, text: &str) {
    let response =
        request(&server.otlp_http, "POST", &format!("/v1/{signal}"), &[JSON], text.as_bytes());
    assert_eq!((response.status, response.text().as_str()), (200, "{}"));
}

fn get(server: &Server, path: &str) -> Value {
    let response = server.get(path);
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    response.json()
}

/// All values below any key of this name.
fn find<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| find(item, key, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.push(value);
                }
                find(value, key, found);
            }
        }
        _ => {}
    }
}

fn lines(signal: &str) -> Option<(String, Vec<Value>)> {
    let text = std::fs::read_to_string(shared()?.join(format!("data/otlp-{signal}.json"))).unwrap();
    let requests = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Some((text, requests))
}

fn all<'a>(requests: &'a [Value], key: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    requests.iter().for_each(|request| find(request, key, &mut found));
    found
}

#[test]
fn every_shared_span_comes_back_by_trace_through_tempo_and_jaeger() {
    let Some((text, requests)) = lines("traces") else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--retention-traces=none"]);
    post(&server, "traces", &text);
    let sent = all(&requests, "spanId");
    let links = all(&requests, "links").iter().map(|l| l.as_array().unwrap().len()).sum::<usize>();
    let mut traces: Vec<&str> =
        all(&requests, "traceId").iter().map(|id| id.as_str().unwrap()).collect();
    traces.sort_unstable();
    traces.dedup();
    // Spans and links both have a `spanId`.
    let spans = sent.len() - links;
    assert!(spans > 100 && traces.len() > 1, "{spans} spans in {} traces", traces.len());
    let (mut by_tempo, mut by_jaeger) = (0, 0);
    for trace in traces {
        let response = server.get(&format!("/tempo/api/v2/traces/{trace}"));
        if response.status == 404 {
            // Known only from a link.
            continue;
        }
        let answer = response.json();
        by_tempo += all(&[answer], "startTimeUnixNano").len();
        let answer = get(&server, &format!("/jaeger/api/traces/{trace}"));
        by_jaeger += answer["data"][0]["spans"].as_array().unwrap().len();
    }
    assert_eq!((by_tempo, by_jaeger), (spans, spans));
    // And after a restart.
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(dir.path(), &["--retention-traces=none"]);
    let id = all(&requests, "traceId")[0].as_str().unwrap();
    assert!(
        !all(&[get(&server, &format!("/tempo/api/traces/{id}"))], "startTimeUnixNano").is_empty()
    );
}

#[test]
fn every_shared_data_point_comes_back_through_prometheus() {
    let Some((text, requests)) = lines("metrics") else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--retention-metrics=none"]);
    post(&server, "metrics", &text);
    let mut expected = 0;
    let mut times = Vec::new();
    for points in all(&requests, "dataPoints") {
        for point in points.as_array().unwrap() {
            times.push(point["timeUnixNano"].as_str().unwrap().parse::<u64>().unwrap() / 1_000_000);
            let list = |name: &str| point.get(name).and_then(Value::as_array).map(Vec::len);
            let is_number = point.get("asInt").is_some() || point.get("asDouble").is_some();
            expected += match list("explicitBounds") {
                _ if is_number => 1,
                // The buckets, +Inf, the count, and the sum if there is one.
                Some(bounds) => bounds + 2 + usize::from(point.get("sum").is_some()),
                // A summary: the quantiles, the count and the sum.
                None => list("quantileValues").unwrap_or(0) + 2,
            };
        }
    }
    assert!(expected > 10_000);
    times.sort_unstable();
    let (first, last) = (times[0], times[times.len() - 1]);
    // Samples are counted by the server's own engine: one question over all series.
    let window = (last - first) / 1000 + 60;
    let query =
        format!("sum(count_over_time({{__name__!=\"target_info\",__name__!=\"\"}}[{window}s]))");
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let time = last / 1000 + 1;
    let answer = get(&server, &format!("/api/v1/query?query={query}&time={time}"));
    let counted: usize = answer["data"]["result"][0]["value"][1].as_str().unwrap().parse().unwrap();
    assert_eq!(counted, expected);
}

#[test]
fn every_log_record_comes_back_through_loki() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    for batch in 0..5 {
        post(&server, "logs", &otlp::request("logs", "reader", batch * 100, 100));
    }
    let count = |server: &Server| {
        let query = "%7Bservice_name%3D%22reader%22%7D";
        let answer =
            get(server, &format!("/loki/api/v1/query_range?query={query}&limit=5000&since=1h"));
        let streams = answer["data"]["result"].as_array().unwrap().clone();
        let mut lines: Vec<String> = streams
            .iter()
            .flat_map(|stream| stream["values"].as_array().unwrap())
            .map(|entry| entry[1].as_str().unwrap().to_owned())
            .collect();
        lines.sort();
        lines.dedup();
        lines.len()
    };
    assert_eq!(count(&server), 500);
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(count(&Server::start(dir.path(), &[])), 500);
}
