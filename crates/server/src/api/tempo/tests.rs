use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::json;
use trefoil_store::{Settings, Store, Tally};
use trefoil_wire::protobuf::Reader;

use crate::api::sample_trace::{START_NS, TRACE, get, get_bytes, get_json, spans};
use crate::config::Config;
use crate::pipeline::{Pipeline, Signal};
use crate::selfmon::Counters;

const ID: &str = "00112233445566778899aabbccddeeff";

/// Stores an export request in a fresh store and compares what comes out with the sample.
fn check_trace_request(request: &[u8]) {
    let store = Arc::new(Store::in_memory(Settings::default()));
    let pipeline =
        Pipeline::new(Arc::clone(&store), &Config::for_tests(), Arc::new(Counters::default()));
    let outcome = pipeline.export(Signal::Traces, request, START_NS as i64).unwrap();
    assert_eq!(outcome.refused, 0, "{}", outcome.message);
    let stored = store.snapshot().trace(TRACE, &Tally::unlimited()).unwrap();
    let expected = spans();
    assert_eq!(stored.len(), expected.len());
    for (got, (resource, scope, span)) in stored.iter().zip(&expected) {
        assert_eq!(got.span, *span);
        assert_eq!(*got.resource, *resource);
        assert_eq!(*got.scope, *scope);
    }
}

#[tokio::test]
async fn a_trace_as_protobuf_holds_every_field() {
    let (status, body) =
        get_bytes(&format!("/tempo/api/traces/{ID}"), "application/protobuf").await;
    assert_eq!(status, StatusCode::OK);
    check_trace_request(&body);
    let (_, body) = get_bytes(&format!("/tempo/api/v2/traces/{ID}"), "application/protobuf").await;
    let mut reader = Reader::new(&body);
    let trace = reader.next_field().unwrap().unwrap();
    assert_eq!(trace.number, 1);
    check_trace_request(trace.bytes().unwrap());
}

#[tokio::test]
async fn a_trace_as_json_has_tempos_shape() {
    let trace = get_json(&format!("/tempo/api/traces/{ID}")).await;
    let batches = trace["batches"].as_array().unwrap();
    assert_eq!(batches.len(), 2);
    let span = &batches[1]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], json!("ABEiM0RVZneImaq7zN3u/w=="));
    assert_eq!(span["parentSpanId"], json!("AQEBAQEBAQE="));
    assert_eq!(span["kind"], json!("SPAN_KIND_CLIENT"));
    assert_eq!(span["startTimeUnixNano"], json!((START_NS + 10_000_000).to_string()));
    assert_eq!(span["status"], json!({ "code": "STATUS_CODE_ERROR", "message": "failed" }));
    assert_eq!(
        span["attributes"][1],
        json!({ "key": "retries", "value": { "intValue": "9007199254740993" } })
    );
    assert_eq!(batches[1]["scopeSpans"][0]["scope"]["name"], json!("sqlx"));
    let v2 = get_json(&format!("/tempo/api/v2/traces/{ID}")).await;
    assert_eq!(v2["trace"]["resourceSpans"], trace["batches"]);
}

#[tokio::test]
async fn trace_ids_are_padded_and_checked() {
    for id in [ID, "112233445566778899aabbccddeeff", "0112233445566778899AABBCCDDEEFF"] {
        let (status, body) = get(&format!("/tempo/api/traces/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{id}: {body}");
    }
    for (path, expected, message) in [
        ("traces/1234", StatusCode::NOT_FOUND, "trace not found"),
        ("v2/traces/1234", StatusCode::NOT_FOUND, "trace not found"),
        ("traces/xyz", StatusCode::BAD_REQUEST, "invalid character 'x'"),
        (
            "traces/112233445566778899aabbccddeeff001122",
            StatusCode::BAD_REQUEST,
            "1 to 32 hex digits",
        ),
        (&format!("traces/{ID}?start=1&end=2"), StatusCode::NOT_FOUND, "not found"),
        (
            &format!("traces/{ID}?start=5&end=2"),
            StatusCode::BAD_REQUEST,
            "start must be before end",
        ),
        (&format!("v2/traces/{ID}?q={{}}"), StatusCode::BAD_REQUEST, "not supported"),
    ] {
        let (status, body) = get(&format!("/tempo/api/{path}")).await;
        assert_eq!(status, expected, "{path}: {body}");
        assert!(body.contains(message), "{path}: {body}");
    }
}

#[tokio::test]
async fn search_answers_in_tempos_shape() {
    let answer =
        get_json("/tempo/api/search?q={ status = error && span.db.system = \"postgresql\" }").await;
    let traces = answer["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 1);
    let trace = &traces[0];
    assert_eq!(trace["traceID"], json!("112233445566778899aabbccddeeff"));
    assert_eq!(trace["rootServiceName"], json!("front"));
    assert_eq!(trace["rootTraceName"], json!("GET /orders"));
    assert_eq!(trace["startTimeUnixNano"], json!(START_NS.to_string()));
    assert_eq!(trace["durationMs"], json!(250));
    let span = json!({
        "spanID": "0202020202020202",
        "name": "query",
        "startTimeUnixNano": (START_NS + 10_000_000).to_string(),
        "durationNanos": "20000500",
        "attributes": [
            { "key": "status", "value": { "stringValue": "error" } },
            { "key": "db.system", "value": { "stringValue": "postgresql" } },
        ],
    });
    assert_eq!(trace["spanSets"], json!([{ "spans": [span], "matched": 1 }]));
    assert_eq!(trace["spanSet"], trace["spanSets"][0]);
    assert_eq!(
        trace["serviceStats"],
        json!({ "front": { "spanCount": 1 }, "db": { "spanCount": 1, "errorCount": 1 } })
    );
    assert_eq!(answer["metrics"]["inspectedTraces"], json!(1));
    assert!(answer.get("status").is_none());
}

/// How many traces a search finds.
async fn found(query: &str) -> usize {
    get_json(&format!("/tempo/api/search?{query}")).await["traces"].as_array().unwrap().len()
}

#[tokio::test]
async fn s7_search_takes_traceql_plain_forms_and_tags() {
    let second = START_NS / 1_000_000_000;
    for (query, expected) in [
        ("q={}", 1),
        ("", 1),
        ("q={ duration > 1s }", 0),
        ("q=duration > 100ms", 1),
        ("q=duration > 1s", 0),
        ("q=operation=\"query\"", 1),
        ("q=error=true", 1),
        ("q=tags.db.system=\"postgresql\" AND tags.ratio=\"x\"", 0),
        ("q=tags.db.system=\"postgresql\" AND tags.ratio=0.5", 1),
        ("q=http.status_code=500", 1),
        ("tags=service.name=front", 1),
        ("tags=service.name=FRO", 1),
        ("tags=service.name=front db.system=postgres", 1),
        ("tags=db.system=mysql", 0),
        ("tags=http.status_code=500 name=\"GET /orders\"", 1),
        ("tags=error=true", 1),
        ("tags=status.code=ok", 1),
        ("tags=root.service.name=db", 0),
        ("tags=db.system=.*", 0),
        ("minDuration=200ms", 1),
        ("minDuration=300ms", 0),
        ("maxDuration=300ms&tags=service.name=front", 1),
        (&format!("start={}&end={}", second - 10, second + 10), 1),
        (&format!("start={}&end={}", second - 10, second - 5), 0),
        (&format!("start={second}&end={second}"), 1),
        (&format!("start={second}000&end={second}000"), 1),
        ("start=2026-11-20T23:59:59Z&end=2026-11-21T00:00:01Z", 1),
        ("start=2026-11-22T00:00:00Z", 0),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_the_reason() {
    for (path, message) in [
        ("search?q={ status = }", "parse error at line 1, col 12: unexpected"),
        ("search?q={} | rate()", "ask for it as metrics"),
        ("search?q=duration > 5", "unit"),
        ("search?limit=0", "invalid limit"),
        ("search?limit=x", "invalid limit"),
        ("search?spss=-1", "invalid spss"),
        ("search?start=abc", "neither a Unix time nor RFC 3339"),
        ("search?start=9&end=3", "start must be before end"),
        ("search?minDuration=abc", "invalid minDuration"),
        ("search?tags=abc", "expected key=value"),
        ("search/tags?scope=foo", "invalid scope"),
        ("v2/search/tag/foo/values", "no TraceQL field"),
        ("metrics/query_range", "parameter q is missing"),
        ("metrics/query_range?q={}", "makes no series"),
        ("metrics/query_range?q={}|rate()&step=0", "invalid step"),
        ("metrics/query_range?q={}|rate()&step=1ms&since=1h", "longer step"),
        ("metrics/query?q={}|compare()", "parse error at line 1"),
    ] {
        let (status, body) = get(&format!("/tempo/api/{path}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {body}");
        assert!(body.contains(message), "{path}: {body}");
    }
}

#[tokio::test]
async fn tags_and_their_values() {
    let names = get_json("/tempo/api/search/tags?scope=span").await;
    let expected = json!([
        "cached",
        "db.system",
        "http.status_code",
        "key",
        "plan",
        "ratio",
        "retries",
        "tables"
    ]);
    assert_eq!(names["tagNames"], expected);
    let all = get_json("/tempo/api/search/tags").await["tagNames"].clone();
    for name in ["service.name", "db.system", "exception.message", "why", "lang"] {
        assert!(all.as_array().unwrap().contains(&json!(name)), "{name} in {all}");
    }
    let scopes = get_json("/tempo/api/v2/search/tags").await["scopes"].clone();
    assert_eq!(
        scopes[0],
        json!({ "name": "resource", "tags": ["deployment.environment", "service.name"] })
    );
    assert_eq!(scopes[3], json!({ "name": "event", "tags": ["exception.message"] }));
    let filtered =
        get_json("/tempo/api/v2/search/tags?scope=span&q={ name = \"GET /orders\" }").await;
    assert_eq!(filtered["scopes"], json!([{ "name": "span", "tags": ["http.status_code"] }]));
    for (path, expected) in [
        ("search/tag/service.name/values", json!(["db", "front"])),
        ("search/tag/name/values", json!(["GET /orders", "query"])),
        ("search/tag/http.status_code/values", json!(["500"])),
        ("search/tag/nowhere/values", json!([])),
        ("search/tag/status/values", json!(["error", "ok", "unset"])),
        ("search/tag/service.name/values?limit=1", json!(["front"])),
        (
            "v2/search/tag/resource.service.name/values",
            json!([{ "type": "string", "value": "db" }, { "type": "string", "value": "front" }]),
        ),
        ("v2/search/tag/.http.status_code/values", json!([{ "type": "int", "value": "500" }])),
        ("v2/search/tag/span.ratio/values", json!([{ "type": "float", "value": "0.5" }])),
        ("v2/search/tag/span.cached/values", json!([{ "type": "bool", "value": "false" }])),
        (
            "v2/search/tag/span.tables/values",
            json!([{ "type": "string", "value": "a" }, { "type": "string", "value": "b" }]),
        ),
        ("v2/search/tag/rootName/values", json!([{ "type": "string", "value": "GET /orders" }])),
        ("v2/search/tag/event:name/values", json!([{ "type": "string", "value": "exception" }])),
        (
            "v2/search/tag/resource.service.name/values?q={ status = error }",
            json!([{ "type": "string", "value": "db" }]),
        ),
        // Still being typed: the part that is whole filters.
        (
            "v2/search/tag/name/values?q={ status = error && resource.service.name = }",
            json!([{ "type": "string", "value": "query" }]),
        ),
        (
            "v2/search/tag/name/values?q={ sta",
            json!([{ "type": "string", "value": "GET /orders" }, { "type": "string", "value": "query" }]),
        ),
        ("v2/search/tag/name/values?start=1&end=2", json!([])),
    ] {
        assert_eq!(get_json(&format!("/tempo/api/{path}")).await["tagValues"], expected, "{path}");
    }
    let statuses = get_json("/tempo/api/v2/search/tag/status/values").await;
    assert_eq!(statuses["tagValues"][0], json!({ "type": "keyword", "value": "error" }));
}

#[tokio::test]
async fn metrics_over_time_and_at_once() {
    let second = START_NS / 1_000_000_000;
    let range = format!("start={}&end={}&step=60s", second - 60, second + 60);
    let answer = get_json(&format!(
        "/tempo/api/metrics/query_range?q={{}} | count_over_time() by (resource.service.name)&{range}&exemplars=1"
    ))
    .await;
    // The root starts at a step's end, which belongs to the interval before.
    let at = |second: u64| (second * 1_000).to_string();
    let samples = |values: [u64; 3]| {
        let times = [second - 60, second, second + 60];
        let samples: Vec<_> = times
            .iter()
            .zip(values)
            .map(|(t, v)| json!({ "timestampMs": at(*t), "value": v as f64 }))
            .collect();
        json!(samples)
    };
    let series = answer["series"].as_array().unwrap();
    assert_eq!(series.len(), 2);
    assert_eq!(
        series[0]["labels"],
        json!([{ "key": "resource.service.name", "value": { "stringValue": "db" } }])
    );
    assert_eq!(series[0]["promLabels"], json!("{\"resource.service.name\"=\"db\"}"));
    assert_eq!(series[0]["samples"], samples([0, 0, 1]));
    assert_eq!(series[1]["samples"], samples([0, 1, 0]));
    let exemplars: Vec<_> = series.iter().filter_map(|s| s.get("exemplars")).collect();
    assert_eq!(exemplars.len(), 1);
    assert_eq!(exemplars[0][0]["labels"][0]["value"]["stringValue"], json!(ID));
    let answer = get_json("/tempo/api/metrics/query?q={} | max_over_time(duration)&since=5m").await;
    assert_eq!(answer["series"][0]["value"], json!(0.25));
    assert_eq!(
        answer["series"][0]["labels"],
        json!([{ "key": "__name__", "value": { "stringValue": "max_over_time" } }])
    );
}

#[tokio::test]
async fn echo_and_build_info() {
    assert_eq!(get("/tempo/api/echo").await, (StatusCode::OK, "echo".to_owned()));
    assert!(get_json("/tempo/api/status/buildinfo").await["version"].is_string());
}
