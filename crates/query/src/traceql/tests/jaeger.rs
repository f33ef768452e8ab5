//! Jaeger's own storage fixtures: each query must find exactly the traces it names.

use std::path::PathBuf;

use serde_json::Value as Json;
use trefoil_store::model::{Attribute, Event, Link, Resource, Scope, Span, SpanKind, Value};
use trefoil_store::{Batch, Settings, Store, Tally, TimeRange};

use super::load::{span_id, trace_id};
use crate::limits::Limits;
use crate::traceql::catalog;
use crate::traceql::jaeger::{TraceQuery, find_traces};

fn fixtures() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("TREFOIL_SHARED").map_or(beside, PathBuf::from);
    let dir = shared.join("conformance/jaeger");
    if !dir.is_dir() {
        eprintln!("SKIPPED: no Jaeger fixtures at {}; set TREFOIL_SHARED", dir.display());
        return None;
    }
    Some(dir)
}

fn read(path: PathBuf) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn jaegers_fixture_queries_find_exactly_their_traces() {
    let Some(dir) = fixtures() else { return };
    let store = Store::in_memory(Settings::default());
    for entry in std::fs::read_dir(dir.join("traces")).unwrap() {
        append(&store, &read(entry.unwrap().path()));
    }
    let queries = read(dir.join("queries.json"));
    let tally = Tally::unlimited();
    for case in queries.as_array().unwrap() {
        let query = trace_query(&case["Query"]);
        let found = find_traces(&store.snapshot(), &query, &Limits::new(&tally)).unwrap();
        let mut found: Vec<String> =
            found.iter().map(|t| crate::traceql::eval::hex(&t[0].span.trace_id)).collect();
        let named = case["ExpectedFixtures"].as_array().unwrap().iter();
        let mut expected: Vec<String> = named
            .map(|name| {
                let fixture = read(dir.join(format!("traces/{}.json", name.as_str().unwrap())));
                let span = &fixture["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
                span["traceId"].as_str().unwrap().to_owned()
            })
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}", case["Caption"]);
    }
    println!("{} Jaeger queries", queries.as_array().unwrap().len());
    let limits = Limits::new(&tally);
    let services = catalog::services(&store.snapshot(), TimeRange::ALL, &limits).unwrap();
    assert!(services.contains("example-service-1") && services.contains("query01-service"));
    let operations =
        catalog::operations(&store.snapshot(), "example-service-1", None, TimeRange::ALL, &limits)
            .unwrap();
    let expected = [
        ("example-operation-1", "unspecified"),
        ("example-operation-3", "server"),
        ("example-operation-4", "client"),
    ];
    assert_eq!(operations, expected.map(|(n, k)| (n.to_owned(), k)).into());
}

fn trace_query(json: &Json) -> TraceQuery {
    let text = |key: &str| Some(json[key].as_str().unwrap().to_owned()).filter(|t| !t.is_empty());
    // A Go duration: nanoseconds.
    let nanos = |key: &str| json[key].as_u64().filter(|v| *v > 0);
    let tags = json["Tags"].as_object().into_iter().flatten().map(|(key, value)| {
        (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    });
    TraceQuery {
        service: text("ServiceName"),
        operation: text("OperationName"),
        tags: tags.collect(),
        start_ns: utc_ns(json["StartTimeMin"].as_str().unwrap()),
        end_ns: utc_ns(json["StartTimeMax"].as_str().unwrap()),
        min_duration_ns: nanos("DurationMin"),
        max_duration_ns: nanos("DurationMax"),
        limit: json["NumTraces"].as_u64().unwrap() as usize,
    }
}

/// `2017-01-26T15:46:31.639875Z`: all queries are of that day.
fn utc_ns(text: &str) -> i64 {
    const DAY: i64 = 1_485_388_800;
    let time = text.strip_prefix("2017-01-26T").unwrap().trim_end_matches('Z');
    let parts: Vec<f64> = time.split(':').map(|p| p.parse().unwrap()).collect();
    let micros = ((parts[0] * 3600.0 + parts[1] * 60.0 + parts[2]) * 1e6).round() as i64;
    DAY * 1_000_000_000 + micros * 1_000
}

fn append(store: &Store, json: &Json) {
    let mut batch = Batch::new();
    for group in json["resourceSpans"].as_array().unwrap() {
        let resource = batch.resource(&Resource {
            attributes: attributes(&group["resource"]),
            ..Resource::default()
        });
        for scoped in group["scopeSpans"].as_array().unwrap() {
            let text = |key: &str| scoped["scope"][key].as_str().unwrap_or("").to_owned().into();
            let scope = Scope {
                name: text("name"),
                version: text("version"),
                attributes: attributes(&scoped["scope"]),
                ..Scope::default()
            };
            let scope = batch.scope(&scope);
            for json in scoped["spans"].as_array().unwrap() {
                batch.span(resource, scope, &span(json));
            }
        }
    }
    store.append(&batch).unwrap();
}

fn span(json: &Json) -> Span<'static> {
    let time = |json: &Json| json.as_str().map_or(0, |t| t.parse().unwrap());
    let list = |key: &str| json[key].as_array().cloned().unwrap_or_default();
    Span {
        trace_id: trace_id(json["traceId"].as_str().unwrap()),
        span_id: span_id(json["spanId"].as_str().unwrap()),
        name: json["name"].as_str().unwrap().to_owned().into(),
        kind: match json["kind"].as_u64() {
            Some(2) => SpanKind::Server,
            Some(3) => SpanKind::Client,
            _ => SpanKind::Unspecified,
        },
        start_ns: time(&json["startTimeUnixNano"]),
        end_ns: time(&json["endTimeUnixNano"]),
        attributes: attributes(json),
        events: list("events")
            .iter()
            .map(|e| Event {
                time_ns: time(&e["timeUnixNano"]),
                attributes: attributes(e),
                ..Event::default()
            })
            .collect(),
        links: list("links")
            .iter()
            .map(|l| Link {
                trace_id: trace_id(l["traceId"].as_str().unwrap()),
                span_id: span_id(l["spanId"].as_str().unwrap()),
                attributes: attributes(l),
                ..Link::default()
            })
            .collect(),
        ..Span::default()
    }
}

fn attributes(json: &Json) -> Vec<Attribute<'static>> {
    let list = json["attributes"].as_array().cloned().unwrap_or_default();
    let attribute = |json: &Json| {
        let (kind, value) = json["value"].as_object().unwrap().iter().next().unwrap();
        let text = || value.as_str().unwrap().to_owned();
        let value = match kind.as_str() {
            "stringValue" => Value::Str(text().into()),
            "intValue" => Value::Int(text().parse().unwrap()),
            "doubleValue" => Value::Double(value.as_f64().unwrap()),
            "boolValue" => Value::Bool(value.as_bool().unwrap()),
            // No query asks for the blobs; their text stands for them.
            _ => Value::Bytes(text().into_bytes().into()),
        };
        Attribute { key: json["key"].as_str().unwrap().to_owned().into(), value }
    };
    list.iter().map(attribute).collect()
}
