use axum::http::StatusCode;
use serde_json::{Value as Json, json};
use trefoil_wire::otlp::json::to_protobuf;
use trefoil_wire::otlp::schema;
use trefoil_wire::protobuf::Writer;

use crate::api::sample_trace::{START_NS, get, get_json};

const ID: &str = "00112233445566778899aabbccddeeff";
const START_US: u64 = START_NS / 1_000;

#[tokio::test]
async fn a_trace_in_the_form_of_jaegers_ui() {
    let answer = get_json(&format!("/jaeger/api/traces/{ID}")).await;
    for (key, value) in
        [("total", json!(0)), ("limit", json!(0)), ("offset", json!(0)), ("errors", json!(null))]
    {
        assert_eq!(answer[key], value, "{key}");
    }
    let trace = &answer["data"][0];
    assert_eq!(trace["traceID"], json!(ID));
    let process = |service: &str| {
        let tag = json!({ "key": "deployment.environment", "type": "string", "value": "prod" });
        json!({ "serviceName": service, "tags": [tag] })
    };
    assert_eq!(trace["processes"], json!({ "p1": process("front"), "p2": process("db") }));
    let spans = trace["spans"].as_array().unwrap();
    assert_eq!(
        spans[0],
        json!({
            "traceID": ID,
            "spanID": "0101010101010101",
            "operationName": "GET /orders",
            "references": [],
            "startTime": START_US,
            "duration": 250_000,
            "tags": [
                { "key": "http.status_code", "type": "int64", "value": 500 },
                { "key": "span.kind", "type": "string", "value": "server" },
                { "key": "otel.status_code", "type": "string", "value": "OK" },
            ],
            "logs": [],
            "processID": "p1",
            "warnings": null,
        })
    );
    let child = &spans[1];
    assert_eq!(child["processID"], json!("p2"));
    assert_eq!(child["flags"], json!(1));
    assert_eq!(child["duration"], json!(20_000));
    assert_eq!(
        child["references"],
        json!([
            { "refType": "CHILD_OF", "traceID": ID, "spanID": "0101010101010101" },
            { "refType": "FOLLOWS_FROM", "traceID": "07".repeat(16), "spanID": "0808080808080808" },
        ])
    );
    let fields = json!([
        { "key": "event", "type": "string", "value": "exception" },
        { "key": "exception.message", "type": "string", "value": "no rows" },
        { "key": "otel.dropped_attributes_count", "type": "int64", "value": 2 },
    ]);
    assert_eq!(child["logs"], json!([{ "timestamp": START_US + 20_000, "fields": fields }]));
    let tags = child["tags"].as_array().unwrap();
    for (key, kind, value) in [
        ("otel.scope.name", "string", json!("sqlx")),
        ("otel.scope.version", "string", json!("0.9")),
        ("lang", "string", json!("rust")),
        ("db.system", "string", json!("postgresql")),
        ("retries", "int64", json!("9007199254740993")),
        ("ratio", "float64", json!(0.5)),
        ("cached", "bool", json!(false)),
        ("key", "binary", json!("/wA=")),
        ("tables", "string", json!("[\"a\",\"b\"]")),
        ("plan", "string", json!("{\"cost\":3}")),
        ("span.kind", "string", json!("client")),
        ("otel.status_code", "string", json!("ERROR")),
        ("otel.status_description", "string", json!("failed")),
        ("error", "bool", json!(true)),
        ("w3c.tracestate", "string", json!("vendor=1")),
        ("otel.dropped_attributes_count", "int64", json!(1)),
        ("otel.dropped_events_count", "int64", json!(3)),
        ("otel.dropped_links_count", "int64", json!(5)),
    ] {
        assert!(
            tags.contains(&json!({ "key": key, "type": kind, "value": value })),
            "{key} in {tags:?}"
        );
    }
    assert_eq!(tags.len(), 18);
}

#[tokio::test]
async fn services_operations_and_dependencies() {
    let answer = get_json("/jaeger/api/services").await;
    assert_eq!(
        answer,
        json!({ "data": ["db", "front"], "total": 2, "limit": 0, "offset": 0, "errors": null })
    );
    for (path, data, total) in [
        ("services/front/operations", json!(["GET /orders"]), 1),
        ("services/nowhere/operations", json!([]), 0),
        ("operations?service=front", json!([{ "name": "GET /orders", "spanKind": "server" }]), 1),
        (
            "operations?service=db&spanKind=client",
            json!([{ "name": "query", "spanKind": "client" }]),
            1,
        ),
        ("operations?service=db&spanKind=server", json!([]), 0),
        ("dependencies", json!([{ "parent": "front", "child": "db", "callCount": 1 }]), 0),
        (&format!("dependencies?endTs={}&lookback=1000", START_US / 1_000 - 5_000), json!([]), 0),
    ] {
        let answer = get_json(&format!("/jaeger/api/{path}")).await;
        assert_eq!((&answer["data"], &answer["total"]), (&data, &json!(total)), "{path}");
    }
}

#[tokio::test]
async fn s7_searches() {
    let around = format!("start={}&end={}", START_US - 1_000_000, START_US + 1_000_000);
    for (query, expected) in [
        ("service=front", 1),
        ("service=front&lookback=1h", 1),
        ("service=front&lookback=30s", 0),
        (&format!("service=front&{around}"), 1),
        (&format!("service=front&{around}&lookback=custom"), 1),
        (&format!("service=front&start={}&end={}", START_US + 1, START_US + 2), 0),
        ("service=nowhere", 0),
        ("service=db&operation=query", 1),
        ("service=db&operation=all", 1),
        ("service=front&operation=query", 0),
        ("service=front&minDuration=200ms", 1),
        ("service=front&minDuration=300ms", 0),
        ("service=front&maxDuration=300ms", 1),
        ("service=front&maxDuration=1ms", 0),
        ("service=front&tags={\"http.status_code\":\"500\"}", 1),
        ("service=front&tag=http.status_code:500", 1),
        ("service=front&tag=http.status_code:404", 0),
        ("service=db&tags={\"error\":\"true\",\"db.system\":\"postgresql\"}", 1),
        ("service=front&tags={\"error\":\"true\"}", 0),
        ("service=db&tag=span.kind:client&tag=otel.status_code:ERROR", 1),
        ("service=db&tag=otel.scope.name:sqlx", 1),
        ("service=db&tag=exception.message:no rows", 1),
        ("service=db&tag=deployment.environment:prod", 1),
        ("service=db&tag=why:batch", 1),
        ("service=db&tag=lang:rust", 1),
        ("service=db&tag=ratio:0.5&tag=cached:false", 1),
        ("service=db&limit=0", 0),
        (&format!("traceID={ID}"), 1),
        (&format!("traceID={ID}&traceID=1234"), 1),
    ] {
        let answer = get_json(&format!("/jaeger/api/traces?{query}")).await;
        assert_eq!(answer["data"].as_array().unwrap().len(), expected, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_in_the_envelope() {
    for (path, code, message) in [
        ("traces", 400, "parameter 'service' is required"),
        ("operations", 400, "parameter 'service' is required"),
        ("operations?service=a&spanKind=b", 400, "unsupported span kind"),
        ("traces?service=a&minDuration=5", 400, "'minDuration'"),
        ("traces?service=a&minDuration=2s&maxDuration=1s", 400, "greater than 'minDuration'"),
        ("traces?service=a&tags=x", 400, "malformed 'tags'"),
        ("traces?service=a&tags={\"a\":[]}", 400, "malformed 'tags'"),
        ("traces?service=a&tag=x", 400, "malformed 'tag'"),
        ("traces?service=a&start=x", 400, "'start'"),
        ("traces?service=a&limit=-1", 400, "'limit'"),
        ("traces?service=a&lookback=x", 400, "'lookback'"),
        ("traces?traceID=x", 400, "no trace ID"),
        ("traces/xyz", 400, "no trace ID"),
        ("traces/1234", 404, "trace not found"),
        ("dependencies?endTs=x", 400, "'endTs'"),
    ] {
        let (status, body) = get(&format!("/jaeger/api/{path}")).await;
        let answer: Json = serde_json::from_str(&body).unwrap();
        assert_eq!(status.as_u16(), code, "{path}: {body}");
        assert_eq!(answer["data"], Json::Null);
        assert_eq!(answer["errors"][0]["code"], json!(code), "{path}");
        assert!(answer["errors"][0]["msg"].as_str().unwrap().contains(message), "{path}: {body}");
    }
}

#[tokio::test]
async fn version_3_answers_in_otlp() {
    assert_eq!(get_json("/jaeger/api/v3/services").await, json!({ "services": ["db", "front"] }));
    let operations = get_json("/jaeger/api/v3/operations?service=db").await;
    assert_eq!(operations, json!({ "operations": [{ "name": "query", "spanKind": "client" }] }));
    let trace = get_json(&format!("/jaeger/api/v3/traces/{ID}")).await["result"].clone();
    assert_eq!(trace["resourceSpans"][1]["scopeSpans"][0]["spans"][0]["traceId"], json!(ID));
    // It is OTLP: what reads requests reads it.
    to_protobuf(&schema::TRACE_REQUEST, trace.to_string().as_bytes(), &mut Writer::new()).unwrap();
    let times =
        "query.start_time_min=2026-11-20T23:00:00Z&query.start_time_max=2026-11-21T01:00:00Z";
    let found = get_json(&format!("/jaeger/api/v3/traces?query.service_name=front&{times}")).await;
    assert_eq!(found["result"], trace);
    for (path, status, message) in [
        (
            format!("traces?query.service_name=nowhere&{times}"),
            StatusCode::NOT_FOUND,
            "No traces found",
        ),
        ("traces?query.service_name=a".to_owned(), StatusCode::BAD_REQUEST, "query.start_time_min"),
        ("traces/1234".to_owned(), StatusCode::NOT_FOUND, "trace not found"),
    ] {
        let (got, body) = get(&format!("/jaeger/api/v3/{path}")).await;
        assert_eq!(got, status, "{path}: {body}");
        let answer: Json = serde_json::from_str(&body).unwrap();
        assert!(answer["error"]["message"].as_str().unwrap().contains(message), "{path}: {body}");
    }
}
