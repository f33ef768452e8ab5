//! The server layer in front of axum, over real sockets (T2, G1).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceBuilder;
use tower::ServiceExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use trefoil::http::{Route, Trust};
use trefoil::{Builder, Telemetry};

use crate::edge::{Attributes, Left, attributes, ended, has, run, run_with, serve, status};
use crate::layers::Text;

const SERVER: i32 = 2;
const ERROR: i32 = 2;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Frames of a body, made one by one.
fn frames(texts: Vec<&'static str>) -> impl futures_util::Stream<Item = &'static str> {
    futures_util::stream::unfold(texts.into_iter(), |mut texts| async move {
        tokio::task::yield_now().await;
        texts.next().map(|text| (text, texts))
    })
}

fn routes() -> Router {
    use futures_util::StreamExt as _;
    let events = || async {
        Sse::new(frames(vec!["one", "two"]).map(|text| {
            tracing::info!("event {text}");
            Ok::<_, Infallible>(Event::default().data(text))
        }))
    };
    let socket = |upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket| async move {
            let _ = socket.send(Message::Text("hello".into())).await;
        })
    };
    let broken = || async {
        let frames = frames(vec!["some", "thing"]);
        Body::from_stream(frames.map(|text| match text {
            "thing" => Err(std::io::Error::other("the disk is gone")),
            text => Ok(text),
        }))
    };
    Router::new()
        .route("/jobs/{id}", get(|| async { "a job" }).post(|| async { "posted" }))
        .route("/work", get(work))
        .route("/fail", get(|| async { (StatusCode::BAD_GATEWAY, "no") }))
        .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
        .route("/panic", get(|| async { panic!("the handler fell over") as &str }))
        .route("/never", get(std::future::pending::<&str>))
        .route("/endless", get(|| async { Body::from_stream(endless()) }))
        .route("/broken", get(broken))
        .route("/events", get(events))
        .route("/socket", any(socket))
        .nest("/api", Router::new().route("/vms/{vm}", get(|| async { "a vm" })))
        .nest_service("/files", any(|| async { "a file" }))
}

async fn work() -> &'static str {
    tracing::info_span!("inner").in_scope(|| tracing::info!("working"));
    "done"
}

fn endless() -> impl futures_util::Stream<Item = Result<&'static str, Infallible>> {
    futures_util::stream::repeat_with(|| Ok("again and again")).then_yield()
}

trait ThenYield: futures_util::Stream + Sized {
    fn then_yield(self) -> impl futures_util::Stream<Item = Self::Item>;
}

impl<S: futures_util::Stream> ThenYield for S {
    fn then_yield(self) -> impl futures_util::Stream<Item = S::Item> {
        use futures_util::StreamExt as _;
        self.then(|item| async {
            tokio::task::yield_now().await;
            item
        })
    }
}

/// Sends the head of a request and reads until `until` was seen, or the end.
async fn send(server: SocketAddr, head: &str, until: Option<&str>) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let head = format!("{}\r\nhost: Example.com:8080\r\n\r\n", head.replace('\n', "\r\n"));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&got).into_owned();
        if until.is_some_and(|until| text.contains(until)) {
            return text;
        }
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer));
        match read.await.expect("an answer in time") {
            Ok(0) | Err(_) => return text,
            Ok(n) => got.extend_from_slice(&buffer[..n]),
        }
    }
}

async fn get_once(server: SocketAddr, path: &str) -> String {
    send(server, &format!("GET {path} HTTP/1.1\nconnection: close"), None).await
}

/// What left a server with the layer around `routes` after one request.
fn one(request: &'static str, until: Option<&'static str>) -> (String, Left) {
    let mut answer = String::new();
    let left = run(async |telemetry| {
        let server = serve(routes().layer(telemetry.http_layer())).await;
        answer = send(server, request, until).await;
        ended(telemetry, 1).await;
    });
    (answer, left)
}

#[test]
fn t2_a_request_is_a_span_with_the_conventions_attributes() {
    let (answer, left) = one(
        "POST /jobs/7?token=s3cr3t&n HTTP/1.1\nuser-agent: curl/8\nauthorization: Bearer s3cr3t\n\
         cookie: id=s3cr3t\ncontent-length: 0\nconnection: close",
        None,
    );
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("posted"), "{answer}");
    let span = left.span("POST /jobs/{id}");
    assert_eq!((span.kind, status(span)), (SERVER, 0));
    assert!(span.parent_span_id.is_empty() && span.end_time_unix_nano > span.start_time_unix_nano);
    has(
        &span.attributes,
        &[
            ("http.request.method", "POST"),
            ("http.request.method_original", "-"),
            ("http.route", "/jobs/{id}"),
            ("url.path", "/jobs/7"),
            ("url.scheme", "http"),
            ("url.query", "token=REDACTED&REDACTED"),
            ("server.address", "Example.com"),
            ("server.port", "8080"),
            ("client.address", "127.0.0.1"),
            ("network.peer.address", "127.0.0.1"),
            ("network.protocol.version", "1.1"),
            ("user_agent.original", "curl/8"),
            ("http.request.body.size", "0"),
            ("http.response.status_code", "200"),
            ("http.response.body.size", "6"),
            ("error.type", "-"),
        ],
    );
    let everything = format!("{:?} {:?} {:?}", left.spans, left.metrics, left.logs);
    assert!(!everything.contains("s3cr3t"), "a secret left: {everything}");
}

/// The layer hands all attributes over at once where nobody else sees them and no limit cuts
/// them. It must not show.
#[test]
fn t2_what_leaves_is_the_same_whoever_else_looks_on() {
    let seen = Text::default();
    let (writer, requests) = (seen.clone(), REQUESTS);
    let after = |set: Box<dyn FnOnce(Builder) -> Builder>| {
        run_with(set, async |telemetry| {
            let server = serve(routes().layer(telemetry.http_layer())).await;
            for (i, request) in requests.iter().enumerate() {
                send(server, request, None).await;
                ended(telemetry, i as u64 + 1).await;
            }
        })
    };
    let layer = move |builder: Builder| {
        let make = move || writer.clone();
        builder.layers(|ours| ours.with(tracing_subscriber::fmt::layer().with_writer(make)))
    };
    let limits = [("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "60000")];
    let alone = told(&after(Box::new(|builder| builder)));
    assert_eq!(alone, told(&after(Box::new(layer))));
    assert_eq!(alone, told(&after(Box::new(move |builder| builder.variables(limits)))));
    let lines = seen.lines().join("\n");
    for text in ["POST /jobs/7 200 ", "http.route=\"/jobs/{id}\"", "user_agent.original=\"curl/8\""]
    {
        assert!(lines.contains(text), "{text} in {lines}");
    }
}

const REQUESTS: [&str; 5] = [
    "POST /jobs/7?n=1 HTTP/1.1\nuser-agent: curl/8\ncontent-length: 0\nconnection: close",
    "BREW /no/such/path HTTP/1.0\nconnection: close",
    "GET /fail HTTP/1.1\nconnection: close",
    "GET /panic HTTP/1.1\nconnection: close",
    "HEAD /files/x HTTP/1.1\nconnection: close",
];

/// Names, bodies and attributes, without what is never twice the same.
fn told(left: &Left) -> Vec<(String, i32, Attributes)> {
    let attributes = |all: &[_]| {
        let mut attributes = attributes(all);
        assert_eq!(attributes.len(), all.len(), "{attributes:?}");
        attributes.remove("code.line.number");
        attributes
    };
    let spans = left.spans.iter();
    let spans = spans.map(|span| (span.name.clone(), span.kind, attributes(&span.attributes)));
    let lines = left.logs.iter().map(|record| {
        let mut attributes = attributes(&record.attributes);
        let seconds = attributes.remove("http.server.request.duration");
        let body = crate::edge::text(record.body.as_ref());
        let (said, took) = match body.strip_suffix(" ms") {
            Some(line) => line.rsplit_once(' ').unwrap(),
            None => return (body, record.severity_number, attributes),
        };
        let (took, seconds): (f64, f64) =
            (took.parse().unwrap(), seconds.unwrap().parse().unwrap());
        assert!((took - seconds * 1e3).abs() < 0.001, "{body}: {seconds} s");
        (said.to_owned(), record.severity_number, attributes)
    });
    spans.chain(lines).collect()
}

#[test]
fn t2_metrics_and_the_access_log_tell_the_same() {
    let (_, left) = one("GET /jobs/7 HTTP/1.1\nconnection: close", None);
    let points = left.points("http.server.request.duration");
    let (labels, count, seconds) = &points[0];
    assert_eq!((points.len(), *count), (1, 1.0));
    assert!(*seconds > 0.0 && *seconds < 20.0, "{seconds}");
    let expect = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/jobs/{id}"),
        ("network.protocol.version", "1.1"),
        ("url.scheme", "http"),
    ];
    let expect = expect.map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(*labels, expect.into_iter().collect());
    let active = left.points("http.server.active_requests");
    assert_eq!((active.len(), active[0].1), (1, 0.0));
    assert_eq!(left.points("http.server.response.body.size")[0].2, 5.0);

    let record = &left.logs[0];
    let span = left.span("GET /jobs/{id}");
    assert_eq!((left.logs.len(), &record.trace_id), (1, &span.trace_id));
    assert_eq!(record.span_id, span.span_id);
    let line = crate::edge::text(record.body.as_ref());
    assert!(line.starts_with("GET /jobs/7 200 "), "{line}");
    assert!(span.events.is_empty(), "the access log is no event of the span: {:?}", span.events);
    has(&record.attributes, &[("http.route", "/jobs/{id}"), ("http.response.status_code", "200")]);
}

#[test]
fn t2_paths_never_become_names_or_labels() {
    for (request, status_code) in [
        ("GET /no/such/path HTTP/1.1\nconnection: close", "404"),
        ("DELETE /jobs/7 HTTP/1.1\nconnection: close", "405"),
        ("BREW /no/such/path HTTP/1.1\nconnection: close", "404"),
    ] {
        let (_, left) = one(request, None);
        let name = left.spans[0].name.clone();
        let method = request.split(' ').next().unwrap();
        let known = if method == "BREW" { "_OTHER" } else { method };
        match method {
            "BREW" => assert_eq!(name, "HTTP"),
            "DELETE" => assert_eq!(name, "DELETE /jobs/{id}"),
            _ => assert_eq!(name, method),
        }
        let original = if method == "BREW" { "BREW" } else { "-" };
        has(
            &left.spans[0].attributes,
            &[
                ("http.request.method", known),
                ("http.request.method_original", original),
                ("http.response.status_code", status_code),
                ("error.type", "-"),
            ],
        );
        assert_eq!(status(&left.spans[0]), 0, "4xx is not the server's failure");
        let labels = format!("{:?}", left.points("http.server.request.duration"));
        assert!(!labels.contains("/no/such") && !labels.contains("BREW"), "{labels}");
    }
}

#[test]
fn t2_a_route_in_nested_routers_is_whole() {
    let (_, left) = one("GET /api/vms/3 HTTP/1.1\nconnection: close", None);
    has(&left.span("GET /api/vms/{vm}").attributes, &[("http.response.status_code", "200")]);
    let (_, left) = one("GET /files/secret/name HTTP/1.1\nconnection: close", None);
    assert!(!left.spans[0].name.contains("secret"), "{:?}", left.names());
}

#[test]
fn t2_failures_are_errors() {
    let (answer, left) = one("GET /fail HTTP/1.1\nconnection: close", None);
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let span = left.span("GET /fail");
    assert_eq!(status(span), ERROR);
    has(&span.attributes, &[("http.response.status_code", "502"), ("error.type", "502")]);
    let (labels, ..) = &left.points("http.server.request.duration")[0];
    assert_eq!(labels["error.type"], "502");
    assert_eq!(left.logs[0].severity_number, 17, "the access log says so, too");
}

#[test]
fn t2_a_panic_is_recorded_and_goes_on() {
    let (answer, left) = one("GET /panic HTTP/1.1", None);
    assert_eq!(answer, "", "the connection breaks, as it does without the layer");
    let span = left.span("GET /panic");
    assert_eq!(status(span), ERROR);
    has(&span.attributes, &[("http.response.status_code", "500"), ("error.type", "panic")]);
    assert_eq!(span.events.len(), 1, "{:?}", span.events);
    assert_eq!(span.events[0].name, "exception");
    has(&span.events[0].attributes, &[("exception.message", "the handler fell over")]);
    let (labels, count, _) = &left.points("http.server.request.duration")[0];
    assert_eq!((labels["error.type"].as_str(), *count), ("panic", 1.0));
    assert_eq!(left.points("http.server.active_requests")[0].1, 0.0);
}

#[test]
fn t2_spans_of_streams_end_with_the_stream() {
    let (answer, left) = one("GET /events HTTP/1.1\nconnection: close", None);
    assert!(answer.contains("data: one") && answer.contains("data: two"), "{answer}");
    let span = left.span("GET /events");
    assert_eq!(status(span), 0);
    has(&span.attributes, &[("error.type", "-"), ("http.response.body.size", "22")]);
    // What is logged while the stream is made is logged in the span.
    let events: Vec<_> = left.logs.iter().filter(|record| record.span_id == span.span_id).collect();
    assert_eq!(events.len(), 3, "{events:?}");
}

/// Nobody has to ask for an end that is known, nor to drop the body.
#[test]
fn t2_a_span_ends_with_the_frame_that_is_known_to_be_the_last() {
    use http_body_util::BodyExt as _;
    let left = run(async |telemetry| {
        let service = routes().layer(telemetry.http_layer());
        let request = http::Request::get("/jobs/7").body(Body::empty()).unwrap();
        let mut body = service.oneshot(request).await.unwrap().into_body();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap().as_ref(), b"a job");
        assert_eq!(telemetry.counts(trefoil::Signal::Traces).produced, 1);
        assert!(body.frame().await.is_none());
    });
    let span = left.span("GET /jobs/{id}");
    has(&span.attributes, &[("http.response.body.size", "5"), ("error.type", "-")]);
    // One reading of the clock says when both ended, and how long both took.
    let [line] = &left.logs[..] else { panic!("{:?}", left.logs) };
    assert_eq!((line.time_unix_nano, &line.span_id), (span.end_time_unix_nano, &span.span_id));
    let took = (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e9;
    has(&line.attributes, &[("http.server.request.duration", &took.to_string())]);
    assert_eq!(left.points("http.server.request.duration")[0].2, took);
}

/// A task that holds the span of a request goes on when that is answered: the span ends with it.
#[test]
fn t2_a_span_that_others_hold_ends_with_the_last_of_them() {
    let left = run(async |telemetry| {
        let (hold, held) = std::sync::mpsc::channel();
        let routes = Router::new().route(
            "/later",
            get(move || async move {
                hold.send(tracing::Span::current()).unwrap();
                "soon"
            }),
        );
        let server = serve(routes.layer(telemetry.http_layer())).await;
        assert!(get_once(server, "/later").await.ends_with("soon"));
        let span = held.recv().unwrap();
        assert_eq!(telemetry.counts(trefoil::Signal::Traces).produced, 0);
        span.in_scope(|| tracing::info!("still at work"));
        drop(span);
        ended(telemetry, 1).await;
    });
    let span = left.span("GET /later");
    let last = left.logs.iter().map(|record| record.time_unix_nano).max();
    assert!(Some(span.end_time_unix_nano) >= last, "{span:?}");
}

#[test]
fn t2_spans_of_websockets_are_their_handshakes() {
    let (answer, left) = one(
        "GET /socket HTTP/1.1\nconnection: upgrade\nupgrade: websocket\n\
         sec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        Some("hello"),
    );
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    let span = left.span("GET /socket");
    assert_eq!(status(span), 0);
    has(&span.attributes, &[("http.response.status_code", "101"), ("error.type", "-")]);
}

#[test]
fn t2_a_client_that_goes_away_is_no_failure_of_the_server() {
    for (path, seen, status_code) in [("/never", "", "-"), ("/endless", "again", "200")] {
        let left = run(async |telemetry| {
            let server = serve(routes().layer(telemetry.http_layer())).await;
            let head = format!("GET {path} HTTP/1.1");
            if seen.is_empty() {
                let mut stream = TcpStream::connect(server).await.unwrap();
                stream.write_all(format!("{head}\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
                // The handler runs once the server has read the head.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                drop(stream);
            } else {
                send(server, &head, Some(seen)).await;
            }
            ended(telemetry, 1).await;
        });
        let span = &left.spans[0];
        assert_eq!((span.name.as_str(), status(span)), (format!("GET {path}").as_str(), 0));
        let expect = [("cancelled", "true"), ("http.response.status_code", status_code)];
        has(&span.attributes, &expect);
        assert_eq!(left.points("http.server.active_requests")[0].1, 0.0);
    }
}

#[test]
fn t2_bodies_that_break_off_are_failures() {
    let (_, left) = one("GET /broken HTTP/1.1\nconnection: close", None);
    let span = left.span("GET /broken");
    assert_eq!(status(span), ERROR);
    has(&span.attributes, &[("error.type", "body_error"), ("http.response.status_code", "200")]);
}

#[test]
fn t2_bodies_that_are_not_sent_are_no_cancellations() {
    for request in
        ["HEAD /jobs/7 HTTP/1.1\nconnection: close", "GET /teapot HTTP/1.1\nconnection: close"]
    {
        let (_, left) = one(request, None);
        has(&left.spans[0].attributes, &[("error.type", "-"), ("cancelled", "-")]);
    }
}

#[test]
fn t2_the_callers_context_is_continued_and_handed_on() {
    let left = run(async |telemetry| {
        let server = serve(routes().layer(telemetry.http_layer().trace_response(true))).await;
        let head = format!(
            "GET /work HTTP/1.1\nconnection: close\ntraceparent: 00-{TRACE}-{CALLER}-01\n\
             tracestate: congo=t61rcWkgMzE"
        );
        let answer = send(server, &head, None).await;
        assert!(answer.contains(&format!("traceresponse: 00-{TRACE}-")), "{answer}");
        ended(telemetry, 2).await;
    });
    let (span, inner) = (left.span("GET /work"), left.span("inner"));
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), CALLER);
    assert_eq!(span.trace_state, "congo=t61rcWkgMzE");
    assert_eq!((&inner.trace_id, &inner.parent_span_id), (&span.trace_id, &span.span_id));
}

#[test]
fn t2_callers_are_trusted_as_far_as_is_said() {
    let parent =
        format!("GET /jobs/1 HTTP/1.1\nconnection: close\ntraceparent: 00-{TRACE}-{CALLER}-01");
    for trust in [Trust::Link, Trust::Ignore] {
        let left = run(async |telemetry| {
            let server = serve(routes().layer(telemetry.http_layer().trust(trust))).await;
            send(server, &parent, None).await;
            ended(telemetry, 1).await;
        });
        let span = left.span("GET /jobs/{id}");
        assert!(span.parent_span_id.is_empty());
        assert_ne!(hex(&span.trace_id), TRACE);
        let links: Vec<_> = span.links.iter().map(|link| hex(&link.trace_id)).collect();
        assert_eq!(links, if trust == Trust::Link { vec![TRACE.to_owned()] } else { vec![] });
    }
}

#[test]
fn m3_a_caller_that_does_not_sample_is_honoured() {
    for (flags, expect) in [("00", 0), ("01", 1)] {
        let left = run(async |telemetry| {
            let server = serve(routes().layer(telemetry.http_layer())).await;
            let head = format!(
                "GET /jobs/1 HTTP/1.1\nconnection: close\ntraceparent: 00-{TRACE}-{CALLER}-{flags}"
            );
            send(server, &head, None).await;
            ended(telemetry, 1).await;
        });
        assert_eq!(left.spans.len(), expect, "flags {flags}");
    }
}

#[test]
fn g1_the_order_of_layers_does_not_matter() {
    type Build = fn(&Telemetry) -> Router;
    let orders: [(&str, Build); 4] = [
        ("inside", |t| routes().layer(t.http_layer())),
        ("route layer", |t| routes().route_layer(t.http_layer())),
        ("twice", |t| routes().layer(t.http_layer()).layer(t.http_layer())),
        ("outside and inside", |t| {
            let inner = routes().route_layer(t.http_layer());
            Router::new()
                .fallback_service(ServiceBuilder::new().layer(t.http_layer()).service(inner))
        }),
    ];
    for (order, build) in orders {
        let left = run(async |telemetry| {
            let server = serve(build(telemetry)).await;
            get_once(server, "/work").await;
            ended(telemetry, 2).await;
        });
        let mut names = left.names();
        names.sort_unstable();
        assert_eq!(names, ["GET /work", "inner"], "{order}");
        assert_eq!(left.span("inner").parent_span_id, left.span("GET /work").span_id, "{order}");
        has(&left.span("GET /work").attributes, &[("http.route", "/work")]);
        assert_eq!(left.points("http.server.request.duration")[0].1, 1.0, "{order}");
    }
}

#[test]
fn g1_a_layer_outside_of_other_routers_takes_hints() {
    let left = run(async |telemetry| {
        let service = tower::service_fn(|_: http::Request<Body>| async {
            let mut response = http::Response::new(Body::from("hello"));
            response.extensions_mut().insert(Route::from("/things/{thing}"));
            Ok::<_, Infallible>(response)
        });
        let service = ServiceBuilder::new().layer(telemetry.http_layer()).service(service);
        let request = http::Request::get("/things/7").body(Body::empty()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        assert_eq!(body.to_bytes(), "hello");
    });
    has(&left.span("GET /things/{thing}").attributes, &[("http.route", "/things/{thing}")]);
}

#[test]
fn g1_services_keep_the_metrics_that_their_documents_name() {
    let left = run(async |telemetry| {
        let layer = telemetry.http_layer().service_metrics("hypeman").access_log(false);
        let server = serve(routes().layer(layer)).await;
        for path in ["/jobs/1", "/jobs/2", "/nowhere", "/fail"] {
            get_once(server, path).await;
        }
        ended(telemetry, 4).await;
    });
    let mut points: Vec<_> = left
        .points("hypeman_http_requests_total")
        .into_iter()
        .map(|(l, n, _)| format!("{} {} {} {n}", l["method"], l["path"], l["status"]))
        .collect();
    points.sort_unstable();
    assert_eq!(points, ["GET /fail 502 1", "GET /jobs/{id} 200 2", "GET unmatched 404 1"]);
    assert_eq!(left.points("hypeman_http_request_duration_seconds").len(), 3);
    assert!(left.logs.is_empty(), "{:?}", left.logs);
}

#[test]
fn s12_routes_are_sampled_each_in_its_way() {
    let left = run_with(
        |builder| builder.sample_route("/jobs/{id}", 0.0).keep_errors(false),
        async |telemetry| {
            let server = serve(routes().layer(telemetry.http_layer())).await;
            get_once(server, "/jobs/1").await;
            get_once(server, "/api/vms/1").await;
            ended(telemetry, 2).await;
        },
    );
    assert_eq!(left.names(), ["GET /api/vms/{vm}"]);
    assert_eq!(left.points("http.server.request.duration").len(), 2, "metrics count all");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
