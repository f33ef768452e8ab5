//! The API as a client sees it: requests in, bytes out.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tower::ServiceExt;
use trefoil_store::model::{Attribute, LogRecord, Resource, Scope, Value};
use trefoil_store::{Batch, Labels, Settings, Store};
use trefoil_wire::compression::{Encoding, compress};
use trefoil_wire::protobuf::Writer;

use crate::api::{AppState, router};

/// 2021-01-01T00:00:00Z
const BASE_NS: i64 = 1_609_459_200_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

fn store() -> Store {
    let store = Store::in_memory(Settings::default());
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    let api = Labels::from_pairs([("app", "api"), ("env", "prod")]);
    let web = Labels::from_pairs([("app", "web"), ("pod", "7")]);
    let mut add = |stream: &Labels, at: i64, line: &str, user: &str| {
        let mut record = LogRecord {
            time_ns: (BASE_NS + at * SECOND_NS) as u64,
            body: Value::Str(line.to_owned().into()),
            ..LogRecord::default()
        };
        if !user.is_empty() {
            let value = Value::Str(user.to_owned().into());
            record.attributes.push(Attribute { key: "user".into(), value });
        }
        batch.log(resource, scope, stream, &record);
    };
    add(&api, 10, "level=info msg=\"a \\\"quoted\\\" word\" took=1.5s", "u1");
    add(&api, 20, "level=error msg=boom took=2s", "");
    add(&api, 30, "level=info msg=ok took=x", "u2");
    add(&web, 30, r#"{"level":"warn","status":404}"#, "");
    store.append(&batch).unwrap();
    store
}

/// What a request gets: status, content type, body.
async fn send(request: Request<Body>) -> (StatusCode, String, String) {
    let state = AppState::for_tests(store(), BASE_NS + 60 * SECOND_NS);
    let response = router(&state).oneshot(request).await.unwrap();
    let status = response.status();
    let content_type =
        response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, content_type.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
}

fn encode(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn path(path: &str, params: &[(&str, &str)]) -> String {
    let query: Vec<_> = params.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
    format!("/loki/api/v1/{path}?{}", query.join("&"))
}

async fn get(at: &str, params: &[(&str, &str)]) -> Json {
    let request = Request::get(path(at, params)).body(Body::empty()).unwrap();
    let (status, content_type, body) = send(request).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(content_type, "application/json; charset=UTF-8");
    serde_json::from_str(&body).unwrap()
}

async fn refused(at: &str, params: &[(&str, &str)]) -> String {
    let request = Request::get(path(at, params)).body(Body::empty()).unwrap();
    let (status, content_type, body) = send(request).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert_eq!(content_type, "text/plain; charset=utf-8");
    body
}

#[tokio::test]
async fn lines_come_as_streams_newest_first() {
    let answer = get("query_range", &[("query", "{app=\"api\"} |= \"info\"")]).await;
    assert_eq!(answer["status"], "success");
    assert_eq!(answer["data"]["resultType"], "streams");
    assert_eq!(
        answer["data"]["result"],
        json!([
            {"stream": {"app": "api", "detected_level": "info", "env": "prod", "user": "u1"},
             "values": [["1609459210000000000", "level=info msg=\"a \\\"quoted\\\" word\" took=1.5s"]]},
            {"stream": {"app": "api", "detected_level": "info", "env": "prod", "user": "u2"},
             "values": [["1609459230000000000", "level=info msg=ok took=x"]]},
        ])
    );
    let summary = &answer["data"]["stats"]["summary"];
    assert_eq!(summary["totalEntriesReturned"], 2);
    assert!(summary["execTime"].is_f64());
    assert!(answer["data"].get("encodingFlags").is_none());
}

#[tokio::test]
async fn grafana_gets_labels_by_category() {
    let request = Request::get(path(
        "query_range",
        &[("query", "{app=\"api\"} | logfmt"), ("limit", "2"), ("direction", "forward")],
    ))
    .header("X-Loki-Response-Encoding-Flags", "categorize-labels")
    .body(Body::empty())
    .unwrap();
    let (_, _, body) = send(request).await;
    let answer: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["data"]["encodingFlags"], json!(["categorize-labels"]));
    assert_eq!(
        answer["data"]["result"],
        json!([{"stream": {"app": "api", "env": "prod"}, "values": [
            ["1609459210000000000", "level=info msg=\"a \\\"quoted\\\" word\" took=1.5s",
             {"structuredMetadata": {"detected_level": "info", "user": "u1"},
              "parsed": {"level": "info", "msg": "a \"quoted\" word", "took": "1.5s"}}],
            ["1609459220000000000", "level=error msg=boom took=2s",
             {"structuredMetadata": {"detected_level": "error"},
              "parsed": {"level": "error", "msg": "boom", "took": "2s"}}],
        ]}])
    );
}

#[tokio::test]
async fn numbers_come_as_vector_matrix_and_scalar() {
    let query = "sum by (app) (count_over_time({app=~\".+\"}[1m]))";
    let answer = get("query", &[("query", query), ("time", "1609459260")]).await;
    assert_eq!(answer["data"]["resultType"], "vector");
    assert_eq!(
        answer["data"]["result"],
        json!([
            {"metric": {"app": "api"}, "value": [1_609_459_260, "3"]},
            {"metric": {"app": "web"}, "value": [1_609_459_260, "1"]},
        ])
    );
    let range = [
        ("query", "sum(rate({app=\"api\"}[10s]))"),
        ("start", "2021-01-01T00:00:10Z"),
        ("end", "1609459220.5"),
        ("step", "10.5"),
    ];
    let answer = get("query_range", &range).await;
    assert_eq!(
        answer["data"]["result"],
        json!([{"metric": {}, "values": [[1_609_459_210, "0.1"], [1_609_459_220.5, "0.1"]]}])
    );
    let answer = get("query", &[("query", "1 + 1"), ("time", "5")]).await;
    assert_eq!(answer["data"]["resultType"], "scalar");
    assert_eq!(answer["data"]["result"], json!([5, "2"]));
    // How Grafana checks that a Loki is there.
    let answer = get("query", &[("query", "vector(1)+vector(1)"), ("time", "4000000000")]).await;
    assert_eq!(
        answer["data"]["result"],
        json!([{"metric": {}, "value": [4_000_000_000_i64, "2"]}])
    );
}

#[tokio::test]
async fn a_form_is_as_good_as_a_url() {
    let form = format!("query={}&limit=1", encode("{app=\"api\"}"));
    let request = Request::post("/loki/api/v1/query_range")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap();
    let (status, _, body) = send(request).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["data"]["result"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn labels_values_and_series() {
    assert_eq!(
        get("labels", &[]).await,
        json!({"status": "success", "data": ["app", "env", "pod"]})
    );
    let query = [("query", "{app=\"web\"}")];
    assert_eq!(get("labels", &query).await["data"], json!(["app", "pod"]));
    assert_eq!(get("label", &[]).await["data"], json!(["app", "env", "pod"]));
    assert_eq!(get("label/app/values", &[]).await["data"], json!(["api", "web"]));
    assert_eq!(get("label/env/values", &query).await["data"], json!([]));
    assert_eq!(get("labels", &[("end", "5")]).await["data"], json!([]));
    let two = [("match[]", "{app=\"web\"}"), ("match[]", "{env=\"prod\"}")];
    assert_eq!(
        get("series", &two).await["data"],
        json!([{"app": "api", "env": "prod"}, {"app": "web", "pod": "7"}])
    );
    assert_eq!(get("series", &[("match[]", "{}")]).await["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn volumes_are_exact() {
    let stats = get("index/stats", &[("query", "{app=~\".+\"}")]).await;
    let bytes = "level=info msg=\"a \\\"quoted\\\" word\" took=1.5s".len()
        + "level=error msg=boom took=2s".len()
        + "level=info msg=ok took=x".len();
    let web = r#"{"level":"warn","status":404}"#.len();
    assert_eq!(stats, json!({"streams": 2, "chunks": 2, "entries": 4, "bytes": bytes + web}));
    let volume = get("index/volume", &[("query", "{app=~\".+\"}"), ("end", "1609459260")]).await;
    assert_eq!(
        volume["data"]["result"],
        json!([
            {"metric": {"app": "api"}, "value": [1_609_459_260, bytes.to_string()]},
            {"metric": {"app": "web"}, "value": [1_609_459_260, web.to_string()]},
        ])
    );
    let by_label = [("query", "{app=~\".+\"}"), ("aggregateBy", "labels"), ("targetLabels", "pod")];
    let volume = get("index/volume", &by_label).await;
    assert_eq!(volume["data"]["result"][0]["metric"], json!({"pod": ""}));
    let range = [
        ("query", "{app=\"web\"}"),
        ("start", "1609459200"),
        ("end", "1609459260"),
        ("step", "20s"),
    ];
    let volume = get("index/volume_range", &range).await;
    assert_eq!(volume["data"]["resultType"], "matrix");
    assert_eq!(
        volume["data"]["result"],
        json!([{"metric": {"app": "web"}, "values": [[1_609_459_240, web.to_string()]]}])
    );
}

#[tokio::test]
async fn detected_labels_and_fields() {
    let labels = get("detected_labels", &[]).await;
    // `pod` is a number only: nobody filters by it.
    assert_eq!(
        labels,
        json!({"detectedLabels": [
            {"label": "app", "cardinality": 2}, {"label": "env", "cardinality": 1}
        ]})
    );
    let fields = get("detected_fields", &[("query", "{app=\"api\"}")]).await;
    let field = |label: &str, kind: &str, cardinality: u32, parsers: Json| json!({"label": label, "type": kind, "cardinality": cardinality, "parsers": parsers});
    assert_eq!(
        fields["fields"],
        json!([
            field("detected_level", "string", 2, json!([])),
            field("level", "string", 2, json!(["logfmt"])),
            field("msg", "string", 3, json!(["logfmt"])),
            field("took", "string", 3, json!(["logfmt"])),
            field("user", "string", 2, json!([])),
        ])
    );
    let values = get("detected_field/status/values", &[("query", "{app=\"web\"}")]).await;
    assert_eq!(values["values"], json!(["404"]));
}

#[tokio::test]
async fn queries_are_formatted() {
    let answer = get("format_query", &[("query", "{app=   `x`}|=\"y\"")]).await;
    assert_eq!(answer, json!({"status": "success", "data": "{app=\"x\"} |= \"y\""}));
    let request =
        Request::get(path("format_query", &[("query", "{app=")])).body(Body::empty()).unwrap();
    let (status, _, body) = send(request).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let answer: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["status"], "invalid-query");
    assert!(
        answer["error"].as_str().unwrap().starts_with("parse error at line 1, col 6"),
        "{body}"
    );
}

#[tokio::test]
async fn refusals_say_what_and_where() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 11] = [
        ("query_range", &[], "\"query\" is missing"),
        ("query_range", &[("query", "{app=\"x\"} |")], "parse error at line 1, col 12: unexpected"),
        ("query_range", &[("query", "{app=~\".*\"}")], "at least one regexp or equality matcher"),
        (
            "query_range",
            &[("query", "{a=\"b\"}"), ("limit", "5001")],
            "max entries limit per query",
        ),
        ("query_range", &[("query", "{a=\"b\"}"), ("start", "x")], "could not parse \"start\""),
        ("query_range", &[("query", "{a=\"b\"}"), ("direction", "up")], "invalid direction"),
        ("query_range", &[("query", "{a=\"b\"}"), ("start", "9"), ("end", "8")], "end timestamp"),
        ("query_range", &[("query", "rate({a=\"b\"}[1m])"), ("step", "0")], "zero or negative"),
        ("query", &[("query", "{app=\"api\"}")], "log queries are not supported as an instant"),
        (
            "query",
            &[("query", "sum_over_time({app=\"api\"} | logfmt | unwrap took [1m])")],
            "pipeline error: 'SampleExtractionErr' for series",
        ),
        ("series", &[("match[]", "{app=\"x\"} |= \"y\"")], "expected a stream selector"),
    ];
    for (at, params, expected) in cases {
        let body = refused(at, params).await;
        assert!(body.contains(expected), "{at} {params:?}: {body}");
    }
}

#[tokio::test]
async fn times_at_the_edge_are_times() {
    let edge =
        [("start", "-9223372036854775808"), ("end", "9223372036854775807"), ("step", "900000000")];
    for (at, query) in [
        ("query_range", "sum(count_over_time({app=\"api\"}[1m]))"),
        ("query_range", "max_over_time({app=\"api\"} | logfmt | unwrap nope [290y] offset -290y)"),
        (
            "query_range",
            "rate_counter({app=\"api\"} | logfmt | unwrap duration(took) | __error__=\"\" [1s])",
        ),
        ("query_range", "{app=\"api\"}"),
        ("index/volume_range", "{app=\"api\"}"),
        ("index/volume", "{app=\"api\"}"),
        ("detected_fields", "{app=\"api\"}"),
        ("labels", "{app=\"api\"}"),
    ] {
        let mut params = edge.to_vec();
        params.push(("query", query));
        get(at, &params).await;
    }
    for time in ["-9223372036854775808", "9223372036854775807"] {
        let query = "sum(rate({app=\"api\"}[290y] offset 290y))";
        get("query", &[("query", query), ("time", time)]).await;
    }
}

#[tokio::test]
async fn build_info_tells_a_version() {
    let info = get("status/buildinfo", &[]).await;
    assert_eq!(info["branch"], "trefoil");
    assert!(info["version"].as_str().unwrap().starts_with("3."));
}

async fn push(
    state: &std::sync::Arc<AppState>,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (StatusCode, String) {
    let mut request = Request::post("/loki/api/v1/push");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).unwrap();
    let response = router(state).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn lines(state: &std::sync::Arc<AppState>, query: &str) -> Json {
    let params = [("query", query), ("direction", "forward")];
    let request = Request::get(path("query_range", &params)).body(Body::empty()).unwrap();
    let response = router(state).oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let mut answer: Json = serde_json::from_slice(&body).unwrap();
    answer["data"]["result"].take()
}

fn empty() -> std::sync::Arc<AppState> {
    AppState::for_tests(Store::in_memory(Settings::default()), BASE_NS + 60 * SECOND_NS)
}

const PUSH: &str = r#"{"streams": [{"stream": {"app": "shop", "pod": "p"}, "values": [
    ["1609459210000000000", "plain"],
    ["1609459220000000000", "with metadata",
     {"user": "u1", "trace_id": "0102030405060708090a0b0c0d0e0f10"}]]}]}"#;

fn pushed() -> Json {
    json!([
        {"stream": {"app": "shop", "detected_level": "unknown", "pod": "p", "service_name": "shop"},
         "values": [["1609459210000000000", "plain"]]},
        {"stream": {"app": "shop", "detected_level": "unknown", "pod": "p", "service_name": "shop",
                    "trace_id": "0102030405060708090a0b0c0d0e0f10", "user": "u1"},
         "values": [["1609459220000000000", "with metadata"]]},
    ])
}

#[tokio::test]
async fn pushed_json_is_answered_back() {
    let state = empty();
    let json = [("content-type", "application/json")];
    assert_eq!(push(&state, &json, PUSH.into()).await, (StatusCode::NO_CONTENT, String::new()));
    assert_eq!(lines(&state, "{app=\"shop\"}").await, pushed());
    let state = empty();
    let gzip = [("content-type", "application/json; charset=utf-8"), ("content-encoding", "gzip")];
    let body = compress(Encoding::Gzip, PUSH.as_bytes()).unwrap();
    assert_eq!(push(&state, &gzip, body).await.0, StatusCode::NO_CONTENT);
    assert_eq!(lines(&state, "{app=\"shop\"}").await, pushed());
}

#[tokio::test]
async fn pushed_protobuf_is_answered_back() {
    let state = empty();
    let mut writer = Writer::new();
    trefoil_wire::loki_push::to_protobuf(PUSH.as_bytes(), &mut writer).unwrap();
    let body = compress(Encoding::SnappyBlock, writer.as_bytes()).unwrap();
    let protobuf = [("content-type", "application/x-protobuf")];
    assert_eq!(push(&state, &protobuf, body).await, (StatusCode::NO_CONTENT, String::new()));
    assert_eq!(lines(&state, "{service_name=\"shop\"}").await, pushed());
}

#[tokio::test]
async fn bad_pushes_are_refused_and_good_lines_kept() {
    let json = [("content-type", "application/json")];
    for (body, status) in [
        ("", 400),
        ("{", 400),
        (r#"{"streams": [{"stream": {"a": 1}, "values": []}]}"#, 400),
        (r#"{"streams": [{"stream": {"a": "b"}, "values": [["x", "line"]]}]}"#, 400),
        (r#"{"streams": [{"stream": {"a": "b"}, "values": [[1, "line"]]}]}"#, 400),
        (r#"{"streams": [{"stream": {}, "values": [["1609459210000000000", "line"]]}]}"#, 400),
    ] {
        let (got, reason) = push(&empty(), &json, body.into()).await;
        assert_eq!(got.as_u16(), status, "{body}: {reason}");
        assert!(!reason.is_empty());
    }
    let junk = [("content-type", "application/x-protobuf")];
    assert_eq!(push(&empty(), &junk, vec![0xff; 100]).await.0, StatusCode::BAD_REQUEST);
    let xml = [("content-type", "text/xml")];
    assert_eq!(push(&empty(), &xml, Vec::new()).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);

    let state = empty();
    let body = r#"{"streams": [{"stream": {"a": "b"}, "values": [
        ["1609459210000000000", "good"], ["1", "far too old"]]}]}"#;
    let (status, reason) = push(&state, &json, body.into()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(reason.contains("older_than_retention"), "{reason}");
    let kept = lines(&state, "{a=\"b\"}").await;
    assert_eq!(kept[0]["values"], json!([["1609459210000000000", "good"]]));
    assert_eq!(kept[0]["stream"]["service_name"], "unknown_service");
}

#[tokio::test]
async fn tail_sends_what_is_there_and_what_comes() {
    let state = AppState::for_tests(store(), BASE_NS + 60 * SECOND_NS);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = router(&state);
    let server = tokio::spawn(async move { axum::serve(listener, server).await });
    let connect = async |query: &str| {
        let url = format!("ws://{address}{}", path("tail", &[("query", query), ("limit", "2")]));
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        tokio_tungstenite::client_async(url, stream).await
    };
    let (mut socket, _) = connect("{app=\"api\"} | keep app").await.unwrap();
    let next = async |socket: &mut tokio_tungstenite::WebSocketStream<_>| -> Json {
        let message = futures_util::StreamExt::next(socket).await.unwrap().unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    };
    let first = next(&mut socket).await;
    assert_eq!(
        first,
        json!({"streams": [{"stream": {"app": "api"}, "values": [
            ["1609459220000000000", "level=error msg=boom took=2s"],
            ["1609459230000000000", "level=info msg=ok took=x"],
        ]}]})
    );
    let json = [("content-type", "application/json")];
    let body = r#"{"streams": [{"stream": {"app": "api"}, "values": [
        ["1609459259000000000", "late"], ["1609459260000000000", "now"]]}]}"#;
    assert_eq!(push(&state, &json, body.into()).await.0, StatusCode::NO_CONTENT);
    let second = next(&mut socket).await;
    assert_eq!(
        second["streams"][0]["values"],
        json!([["1609459259000000000", "late"], ["1609459260000000000", "now"]])
    );
    assert!(connect("rate({app=\"api\"}[1m])").await.is_err(), "numbers cannot be tailed");
    server.abort();
}
