//! An axum service, bare and instrumented: a request in the process, and a server under load.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::Request;
use axum::routing::get;
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_instrumentation_tower::http::server::LayerBuilder;
use opentelemetry_sdk::trace::Sampler;
use tower::{Service, ServiceExt};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

use crate::{Case, Running, stock};

pub(crate) const CASES: &[Case] = &[
    Case { name: "http request · bare axum", start: || in_process(bare()) },
    Case { name: "http request · trefoil", start: || in_process(ours()) },
    Case { name: "http request · stock: spans, metrics, log", start: || in_process(full()) },
];

type Settle = Box<dyn FnMut()>;

fn bare() -> (Router, Settle) {
    (service(), Box::new(|| {}))
}

fn service() -> Router {
    Router::new().route("/users/{id}", get(async |Path(id): Path<u32>| format!("user {id}")))
}

fn ours() -> (Router, Settle) {
    let telemetry =
        trefoil::Trefoil::builder("bench").discard().install().expect("nothing else is installed");
    let router = service().layer(telemetry.http_layer());
    let settle = move || {
        telemetry.flush(Duration::from_secs(5));
    };
    (router, Box::new(settle))
}

/// What a careful service of today puts together: spans, metrics, a log record a request.
fn full() -> (Router, Settle) {
    let (traces, tracer) = stock::traces(Sampler::AlwaysOn);
    let (metrics, logs) = (stock::metrics(), stock::logs());
    opentelemetry::global::set_meter_provider(metrics.clone());
    let subscriber = Registry::default()
        .with(tracing_opentelemetry::layer().with_tracer(tracer))
        .with(OpenTelemetryTracingBridge::new(&logs));
    tracing::subscriber::set_global_default(subscriber).expect("nothing else is installed");
    let measured = LayerBuilder::builder().build().expect("its defaults are valid");
    let logged = axum::middleware::from_fn(async |request: Request<Body>, next| {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let start = Instant::now();
        let response: axum::response::Response = axum::middleware::Next::run(next, request).await;
        let (status, took) = (response.status().as_u16(), start.elapsed().as_secs_f64());
        tracing::info!(%method, path, status, took, "request");
        response
    });
    let router = service().layer(logged).layer(OtelAxumLayer::default()).layer(measured);
    let settle = move || {
        let _ = traces.force_flush();
        let _ = logs.force_flush();
        let _ = &metrics;
    };
    (router, Box::new(settle))
}

fn in_process((router, settle): (Router, Settle)) -> Running {
    // As `axum::serve` does, once: else axum puts the layers around the handler anew for each
    // request.
    let mut router: Router = router.with_state(());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let operate = move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                let request = Request::get("/users/42").body(Body::empty()).expect("it is valid");
                let ready = ServiceExt::<Request<Body>>::ready(&mut router).await;
                let response = ready.expect("it never fails").call(request).await;
                let body = response.expect("it never fails").into_body();
                axum::body::to_bytes(body, 1024).await.expect("it is short");
            }
        });
    };
    Running { operate: Box::new(operate), settle }
}

/// Serves until standard input ends; prints the address first.
pub(crate) fn serve(name: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let (router, _settle) = match name {
        "bare" => bare(),
        "trefoil" => ours(),
        _ => full(),
    };
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("loopback has a free port");
    println!("{}", listener.local_addr().expect("it is bound"));
    runtime.spawn(async move { axum::serve(listener, router).await });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    // Its exporters go with the process.
    std::process::exit(0);
}

/// Connections of the load.
const CONNECTIONS: usize = 16;

/// Asks as fast as the server answers; prints requests per second.
pub(crate) fn load(address: &str, seconds: u64) {
    let request = b"GET /users/42 HTTP/1.1\r\nHost: bench\r\n\r\n";
    let mut connections: Vec<std::net::TcpStream> = (0..CONNECTIONS)
        .map(|_| std::net::TcpStream::connect(address).expect("the server listens"))
        .collect();
    for connection in &connections {
        let _ = connection.set_nodelay(true);
    }
    let start = Instant::now();
    let mut answered = 0_u64;
    let mut buffer = [0; 1024];
    // One request on each connection, then one answer from each: the server always has work.
    while start.elapsed() < Duration::from_secs(seconds) {
        for connection in &mut connections {
            connection.write_all(request).expect("the server listens");
        }
        for connection in &mut connections {
            let read = connection.read(&mut buffer).expect("the server answers");
            assert!(buffer[..read].starts_with(b"HTTP/1.1 200"), "an answer of 200");
            answered += 1;
        }
    }
    println!("{:.0}", answered as f64 / start.elapsed().as_secs_f64());
}
