use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::Value as Json;
use tower::ServiceExt;
use trefoil_store::model::{
    Attribute, Event, Exemplar, LogRecord, Metadata, MetricKind, Resource, Sample, SampleValue,
    Scope, Span, SpanKind, StatusCode as Status, Value,
};
use trefoil_store::{Batch, Labels, Settings, Store};

use super::*;

/// The time of the tests, in Unix milliseconds: an hour from `FROM` to `TO`.
const TO: i64 = 1_795_000_000_000;
const FROM: i64 = TO - 3_600_000;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn attribute(key: &str, value: impl Into<String>) -> Attribute<'static> {
    Attribute { key: key.to_owned().into(), value: Value::Str(value.into().into()) }
}

fn resource(service: &str) -> Resource<'static> {
    let attributes = vec![
        attribute("service.name", service),
        attribute("service.version", "1.2.3"),
        attribute("service.instance.id", format!("{service}-1")),
    ];
    Resource { attributes, ..Resource::default() }
}

fn span(id: u8, parent: u8, name: &'static str, kind: SpanKind, start_ms: i64) -> Span<'static> {
    let start_ns = start_ms as u64 * 1_000_000;
    Span {
        trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes(),
        span_id: [0, 0, 0, 0, 0, 0, 0, id],
        parent_span_id: [0, 0, 0, 0, 0, 0, 0, parent],
        name: name.into(),
        kind,
        start_ns,
        end_ns: start_ns + 100_000_000 / u64::from(id),
        ..Span::default()
    }
}

/// gateway → checkout → a database; the checkout fails. One more request two hours ago.
fn shop() -> Store {
    let store = Store::in_memory(Settings::default());
    let mut batch = Batch::new();
    let scope = batch.scope(&Scope { name: "shop".into(), ..Scope::default() });
    let gateway = batch.resource(&resource("gateway"));
    let checkout = batch.resource(&resource("checkout"));
    let at = TO - 60_000;
    batch.span(gateway, scope, &span(1, 0, "POST /order", SpanKind::Server, at));
    batch.span(gateway, scope, &span(2, 1, "Place", SpanKind::Client, at + 1));
    let failed = Span {
        status: Status::Error,
        attributes: vec![attribute("tenant.id", "t-1")],
        events: vec![Event {
            time_ns: (at as u64 + 3) * 1_000_000,
            name: "exception".into(),
            attributes: vec![attribute("exception.message", "card 4711 declined")],
            dropped_attributes: 0,
        }],
        ..span(3, 2, "Place", SpanKind::Server, at + 2)
    };
    batch.span(checkout, scope, &failed);
    let query = Span {
        attributes: vec![attribute("db.system.name", "postgresql"), attribute("db.namespace", "o")],
        ..span(4, 3, "SELECT", SpanKind::Client, at + 3)
    };
    batch.span(checkout, scope, &query);
    let orphan = Span { trace_id: [7; 16], ..span(5, 9, "late", SpanKind::Internal, at) };
    batch.span(checkout, scope, &orphan);
    // Names a service we know, which did not answer.
    let refused = Span {
        trace_id: [7; 16],
        attributes: vec![attribute("peer.service", "gateway")],
        ..span(7, 5, "call back", SpanKind::Client, at)
    };
    batch.span(checkout, scope, &refused);
    let old =
        Span { trace_id: [8; 16], ..span(6, 0, "POST /order", SpanKind::Server, FROM - 60_000) };
    batch.span(gateway, scope, &old);
    for (n, (severity, text)) in
        [(9, "order taken"), (13, "slow card"), (17, "card 9 declined")].into_iter().enumerate()
    {
        let record = LogRecord {
            time_ns: (at as u64 + n as u64) * 1_000_000,
            severity,
            body: Value::Str(text.into()),
            trace_id: failed.trace_id,
            span_id: failed.span_id,
            ..LogRecord::default()
        };
        let stream = Labels::from_pairs([("service_name", "checkout")]);
        batch.log(checkout, scope, &stream, &record);
    }
    let labels = [("__name__", "orders_total"), ("service_name", "checkout")];
    let series = batch.series(checkout, scope, &Labels::from_pairs(labels));
    let sample = Sample { time_ms: at, start_ms: 0, value: SampleValue::Float(1.0) };
    batch.sample(series, &sample);
    let labels = Labels::from_pairs([("trace_id", TRACE), ("span_id", "0000000000000003")]);
    batch.exemplar(series, &Exemplar { time_ms: at, value: 0.5, labels });
    let kind = MetricKind::Counter;
    batch.metadata("orders", &Metadata { kind, unit: "1".into(), help: "Orders.".into() });
    store.append(&batch).unwrap();
    store
}

async fn ask(path: &str) -> (StatusCode, Json) {
    ask_of(&AppState::for_tests(shop(), TO * 1_000_000), path).await
}

async fn ask_of(state: &Arc<AppState>, path: &str) -> (StatusCode, Json) {
    let app = crate::api::router(state);
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn ok(path: &str) -> Json {
    let join = if path.contains('?') { '&' } else { '?' };
    let (status, json) = ask(&format!("/ui/api/{path}{join}from={FROM}&to={TO}")).await;
    assert_eq!(status, StatusCode::OK, "{path}: {json}");
    json
}

/// The values of one member of each object of a list.
fn column(list: &Json, name: &str) -> Vec<Json> {
    list.as_array().unwrap().iter().map(|row| row[name].clone()).collect()
}

#[tokio::test]
async fn the_overview_counts_requests_and_errors_now_and_before() {
    let overview = ok("overview").await;
    let services = overview["services"].as_array().unwrap();
    let find = |name: &str| services.iter().find(|s| s["name"] == name).unwrap();
    let gateway = find("gateway");
    assert_eq!((&gateway["requests"], &gateway["errors"]), (&json!(1), &json!(0)));
    assert_eq!(gateway["prev"]["requests"], 1);
    assert_eq!(gateway["last_seen_ms"], TO - 60_000);
    let p95 = gateway["p95_ns"].as_f64().unwrap();
    assert!((p95 / 100e6 - 1.0).abs() < 0.04, "{p95}");
    let checkout = find("checkout");
    assert_eq!((&checkout["requests"], &checkout["errors"]), (&json!(1), &json!(1)));
    let spark = checkout["spark"].as_array().unwrap();
    assert_eq!((spark.len(), &spark[59]), (60, &json!(1)));
    assert_eq!(overview["partial"], "");
    let errors = &overview["errors"];
    // The span's exception and the log say the same but for the number: one row.
    assert_eq!(column(errors, "count"), [json!(2)]);
    assert_eq!(column(errors, "trace_id"), [json!(TRACE)]);
    assert_eq!(column(errors, "fresh"), [json!(true)]);
}

#[tokio::test]
async fn the_map_joins_services_by_parent_links_and_names_the_database() {
    let map = ok("map").await;
    assert_eq!(column(&map["nodes"], "name"), ["checkout", "gateway", "postgresql o"]);
    assert_eq!(column(&map["nodes"], "kind"), ["service", "service", "database"]);
    let edges: Vec<String> = map["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| format!("{} {} {} {}", e["from"], e["to"], e["requests"], e["errors"]))
        .collect();
    let want = [
        r#""checkout" "gateway" 1 0"#,
        r#""checkout" "postgresql o" 1 0"#,
        r#""gateway" "checkout" 1 1"#,
    ];
    assert_eq!(edges, want);
}

#[tokio::test]
async fn a_service_over_time_with_its_operations_and_instances() {
    let service = ok("service?name=checkout").await;
    assert_eq!(column(&service["operations"], "name"), ["Place"]);
    assert_eq!(column(&service["operations"], "errors"), [json!(1)]);
    assert_eq!(column(&service["instances"], "instance"), ["checkout-1"]);
    assert_eq!(column(&service["instances"], "spans"), [json!(4)]);
    let requests: Vec<u64> =
        service["requests"].as_array().unwrap().iter().filter_map(Json::as_u64).collect();
    assert_eq!((requests.len(), requests.iter().sum::<u64>()), (90, 1));
    assert_eq!(service["p95_ns"][0], Json::Null);
    assert!(ok("service?name=nobody").await["operations"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn s7_plain_forms_find_traces_and_show_the_translation() {
    for (typed, traceql, found) in [
        ("error=true", "{ status = error }", 1),
        ("tags.tenant.id=\"t-1\"", "", 1),
        ("operation=\"SELECT\"", "{ name = \"SELECT\" }", 1),
        ("duration > 1s", "{ duration > 1s }", 0),
        ("{ name = \"late\" }", "{ name = \"late\" }", 1),
    ] {
        let typed_encoded = typed.replace(' ', "%20").replace('"', "%22").replace('=', "%3D");
        let answer = ok(&format!("traces?q={}", typed_encoded.replace('>', "%3E"))).await;
        assert_eq!(answer["traces"].as_array().unwrap().len(), found, "{typed}");
        assert_eq!(answer["translated"], !typed.starts_with('{'), "{typed}");
        if !traceql.is_empty() {
            assert_eq!(answer["query"], traceql);
        }
    }
    let one = &ok("traces?q=error%3Dtrue").await["traces"][0];
    assert_eq!(one["root_name"], "POST /order");
    assert_eq!((&one["spans"], &one["errors"], &one["matched"]), (&json!(4), &json!(1), &json!(1)));
    assert_eq!(one["span_id"], "0000000000000003");
}

#[tokio::test]
async fn a_query_error_names_its_place() {
    let (status, error) =
        ask(&format!("/ui/api/traces?q=%7B%20name%20%3D%20%7D&from={FROM}&to={TO}")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error["start"], 9, "{error}");
    for path in ["overview", "overview?from=1", "overview?from=x&to=2", "overview?from=5&to=5"] {
        let (status, error) = ask(&format!("/ui/api/{path}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(error["error"].is_string());
    }
}

#[tokio::test]
async fn a_trace_in_columns_with_parents_and_log_counts() {
    let (status, trace) = ask(&format!("/ui/api/trace/{TRACE}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(trace["parent"], json!([-1, 0, 1, 2]));
    assert_eq!(trace["status"], json!([0, 0, 2, 0]));
    assert_eq!(trace["logs"], json!([0, 0, 3, 0]));
    assert_eq!(trace["events"], json!([0, 0, 1, 0]));
    assert_eq!(trace["start"], json!([0, 1_000_000, 2_000_000, 3_000_000]));
    assert_eq!(trace["start_ns"], format!("{}000000", TO - 60_000));
    assert_eq!(column(&trace["services"], "name"), ["gateway", "checkout"]);
    let (_, orphan) = ask("/ui/api/trace/07070707070707070707070707070707").await;
    assert_eq!(orphan["parent"], json!([-2, 0]));
}

#[tokio::test]
async fn a_span_in_full_and_the_logs_of_its_trace() {
    let (_, span) = ask(&format!("/ui/api/trace/{TRACE}/span/0000000000000003")).await;
    assert_eq!(span["attributes"], json!([{ "key": "tenant.id", "value": "t-1" }]));
    assert_eq!(span["events"][0]["offset_ns"], 1_000_000);
    assert_eq!(span["parent_span_id"], "0000000000000002");
    assert_eq!(span["service"], "checkout");
    let (_, logs) = ask(&format!("/ui/api/trace/{TRACE}/logs")).await;
    assert_eq!(column(&logs["rows"], "level"), ["info", "warn", "error"]);
    assert_eq!(column(&logs["rows"], "span_id"), ["0000000000000003"; 3]);
    for path in ["trace/0000000000000000000000000000dead", &format!("trace/{TRACE}/span/ff")] {
        assert_eq!(ask(&format!("/ui/api/{path}")).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(ask("/ui/api/trace/nonsense").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn log_volume_by_level_holds_every_line_once() {
    let volume = ok("logs/volume?q=%7Bservice_name%3D%22checkout%22%7D").await;
    assert_eq!(column(&volume["levels"], "level"), ["error", "info", "warn"]);
    assert_eq!(volume["total"], 3);
    assert_eq!(volume["times_ms"].as_array().unwrap().len(), 100);
    let none = ok("logs/volume?q=%7Bservice_name%3D%22nobody%22%7D").await;
    assert_eq!(none["total"], 0);
}

#[tokio::test]
async fn metrics_have_type_and_services_and_exemplars_lead_to_traces() {
    let metrics = ok("metrics").await;
    let metric = &metrics["metrics"][0];
    assert_eq!((&metric["name"], &metric["kind"]), (&json!("orders_total"), &json!("counter")));
    assert_eq!((&metric["series"], &metric["help"]), (&json!(1), &json!("Orders.")));
    assert_eq!(metric["services"], json!(["checkout"]));
    let exemplars = ok("exemplars?names=orders_total").await;
    assert_eq!(column(&exemplars["exemplars"], "trace_id"), [json!(TRACE)]);
}

#[tokio::test]
async fn a_service_gets_a_colour_by_sending_spans_not_by_being_asked_for() {
    let state = AppState::for_tests(shop(), TO * 1_000_000);
    for name in ["nobody", "checkout"] {
        let path = format!("/ui/api/service?name={name}&from={FROM}&to={TO}");
        assert_eq!(ask_of(&state, &path).await.0, StatusCode::OK);
    }
    let (_, services) = ask_of(&state, "/ui/api/services").await;
    assert_eq!(services["services"], json!([{ "name": "checkout", "color": 0 }]));
}

#[tokio::test]
async fn colours_are_places_in_the_order_of_first_sight() {
    let book = ColorBook::open(None);
    assert_eq!((book.place("b"), book.place("a"), book.place("b")), (0, 1, 0));
}
