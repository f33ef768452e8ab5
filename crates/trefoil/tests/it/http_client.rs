//! Clients of hyper, tower and reqwest against real servers (T2, T4, G1).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceBuilder, ServiceExt as _};
use trefoil::Telemetry;
use trefoil::reqwest::SendTraced as _;

use crate::edge::{Left, has, run, run_with, serve, status};

const CLIENT: i32 = 3;
const ERROR: i32 = 2;

type Seen = Arc<Mutex<Vec<HeaderMap>>>;

/// A server that keeps the headers it was sent.
async fn server() -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let hello = |headers: HeaderMap| async move {
        keep.lock().unwrap().push(headers);
        "hello"
    };
    let router = Router::new()
        .route("/hello", get(hello))
        .route("/fail", get(|| async { StatusCode::SERVICE_UNAVAILABLE }));
    (serve(router).await, seen)
}

/// One request by a client of hyper with our layer.
async fn ask(telemetry: &Telemetry, url: &str) -> Result<String, String> {
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(HttpConnector::new());
    let client = ServiceBuilder::new().layer(telemetry.http_client_layer()).service(client);
    let request = Request::get(url).body(Body::empty()).unwrap();
    let response = client.oneshot(request).await.map_err(|error| error.to_string())?;
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

#[track_caller]
fn check_injected(left: &Left, seen: &Seen, name: &str) {
    let span = left.span(name);
    let seen = seen.lock().unwrap();
    let sent = seen[0]["traceparent"].to_str().unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let expect = format!("00-{}-{}-", hex(&span.trace_id), hex(&span.span_id));
    assert!(sent.starts_with(&expect), "the client's span is the parent: {sent}, {expect}");
}

#[test]
fn g1_a_request_of_a_tower_client_is_a_span_that_the_server_continues() {
    let mut seen = Seen::default();
    let left = run(async |telemetry| {
        let (address, kept) = server().await;
        seen = kept;
        let url = format!("http://me:s3cr3t@{address}/hello?key=s3cr3t");
        assert_eq!(ask(telemetry, &url).await.as_deref(), Ok("hello"));
    });
    check_injected(&left, &seen, "GET");
    let span = left.span("GET");
    assert_eq!((span.kind, status(span)), (CLIENT, 0));
    let attributes = crate::edge::attributes(&span.attributes);
    let url = &attributes["url.full"];
    assert!(url.starts_with("http://REDACTED:REDACTED@127.0.0.1:"), "{url}");
    assert!(url.ends_with("/hello?key=REDACTED"), "{url}");
    has(
        &span.attributes,
        &[
            ("http.request.method", "GET"),
            ("server.address", "127.0.0.1"),
            ("http.response.status_code", "200"),
            ("http.response.body.size", "5"),
            ("network.protocol.version", "1.1"),
            ("error.type", "-"),
        ],
    );
    let points = left.points("http.client.request.duration");
    assert_eq!((points.len(), points[0].1), (1, 1.0));
    assert_eq!(points[0].0["server.address"], "127.0.0.1");
    assert!(!format!("{:?} {:?}", left.spans, left.metrics).contains("s3cr3t"));
}

#[test]
fn g1_clients_count_4xx_5xx_and_no_answer_as_errors() {
    for (path, code, error) in [("/fail", "503", "503"), ("/none", "404", "404")] {
        let left = run(async |telemetry| {
            let (address, _) = server().await;
            ask(telemetry, &format!("http://{address}{path}")).await.unwrap();
        });
        let span = left.span("GET");
        assert_eq!(status(span), ERROR);
        has(&span.attributes, &[("http.response.status_code", code), ("error.type", error)]);
    }
    let left = run(async |telemetry| {
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        ask(telemetry, &format!("http://{address}/")).await.unwrap_err();
    });
    let span = left.span("GET");
    assert_eq!(status(span), ERROR);
    let attributes = crate::edge::attributes(&span.attributes);
    assert!(attributes["error.type"].contains("Error"), "{attributes:?}");
}

#[test]
fn g1_a_request_of_reqwest_is_a_span_that_the_server_continues() {
    let mut seen = Seen::default();
    let left = run(async |telemetry| {
        let (address, kept) = server().await;
        seen = kept;
        let (http, client) = (telemetry.reqwest(), reqwest::Client::new());
        let url = format!("http://{address}/hello?key=s3cr3t");
        let response = http.send(client.get(url).bearer_auth("s3cr3t")).await.unwrap();
        assert_eq!(response.text().await.unwrap(), "hello");
        let url = format!("http://{address}/fail");
        assert_eq!(client.post(url).send_traced().await.unwrap().status(), 405);
    });
    check_injected(&left, &seen, "GET");
    has(
        &left.span("GET").attributes,
        &[("http.response.status_code", "200"), ("server.address", "127.0.0.1")],
    );
    assert_eq!(status(left.span("POST")), ERROR);
    // That without a sender is in the registry of the process, which is not this one.
    let points = left.points("http.client.request.duration");
    assert_eq!((points.len(), points[0].1), (1, 1.0));
    assert_eq!(points[0].0["http.request.method"], "GET");
    assert!(!format!("{:?}", left.spans).contains("s3cr3t"));
}

#[test]
fn t4_context_and_baggage_travel_through_two_services() {
    let left = run_with(
        |builder| builder.baggage_attribute("tenant"),
        async |telemetry| {
            let backend = Router::new().route("/work", get(|| async { "done" }));
            let backend = serve(backend.layer(telemetry.http_layer())).await;
            let client = telemetry.http_client_layer();
            let front = get(move || async move {
                let http = Client::builder(TokioExecutor::new());
                let http = http.build::<_, Body>(HttpConnector::new());
                let http = ServiceBuilder::new().layer(client).service(http);
                let url = format!("http://{backend}/work");
                let request = Request::get(url).body(Body::empty()).unwrap();
                http.oneshot(request).await.unwrap();
                "asked"
            });
            let front = Router::new().route("/front", front).layer(telemetry.http_layer());
            let front = serve(front).await;
            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let client = reqwest::Client::new().get(format!("http://{front}/front"));
            let client = client.header("traceparent", trace).header("baggage", "tenant=acme");
            client.send().await.unwrap();
            crate::edge::ended(telemetry, 3).await;
        },
    );
    let (front, call, back) = (left.span("GET /front"), left.span("GET"), left.span("GET /work"));
    assert_eq!(call.parent_span_id, front.span_id);
    assert_eq!(back.parent_span_id, call.span_id);
    for span in [front, call, back] {
        assert_eq!(span.trace_id, front.trace_id);
        has(&span.attributes, &[("tenant", "acme")]);
    }
}

#[test]
fn t4_all_formats_are_written_at_once() {
    use trefoil::PropagatorName::{B3, B3Multi, Baggage, Jaeger, TraceContext};
    let mut seen = Seen::default();
    run_with(
        |builder| builder.propagators(&[TraceContext, Baggage, Jaeger, B3, B3Multi]),
        async |telemetry| {
            let (address, kept) = server().await;
            seen = kept;
            ask(telemetry, &format!("http://{address}/hello")).await.unwrap();
        },
    );
    let seen = seen.lock().unwrap();
    let trace = &seen[0]["traceparent"].to_str().unwrap()[3..35];
    for name in ["uber-trace-id", "b3", "x-b3-traceid"] {
        assert!(seen[0][name].to_str().unwrap().starts_with(trace), "{name}");
    }
}
