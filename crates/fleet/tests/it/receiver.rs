//! An OTLP/HTTP receiver that remembers all it got.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use prost::Message;
use trefoil_otlp_messages::collector::logs::v1::ExportLogsServiceRequest;
use trefoil_otlp_messages::collector::metrics::v1::ExportMetricsServiceRequest;
use trefoil_otlp_messages::collector::trace::v1::ExportTraceServiceRequest;
use trefoil_otlp_messages::logs::v1::ResourceLogs;
use trefoil_otlp_messages::metrics::v1::ResourceMetrics;
use trefoil_otlp_messages::trace::v1::ResourceSpans;

#[derive(Default)]
pub(crate) struct Received {
    pub(crate) traces: Vec<ResourceSpans>,
    pub(crate) metrics: Vec<ResourceMetrics>,
    pub(crate) logs: Vec<ResourceLogs>,
}

pub(crate) type Shared = Arc<Mutex<Received>>;

pub(crate) async fn start() -> (SocketAddr, Shared) {
    let received = Shared::default();
    let router = Router::new()
        .route("/v1/traces", post(traces))
        .route("/v1/metrics", post(metrics))
        .route("/v1/logs", post(logs))
        .with_state(Arc::clone(&received));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, received)
}

async fn traces(State(received): State<Shared>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    received.lock().unwrap().traces.extend(request.resource_spans);
    StatusCode::OK
}

async fn metrics(State(received): State<Shared>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportMetricsServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    received.lock().unwrap().metrics.extend(request.resource_metrics);
    StatusCode::OK
}

async fn logs(State(received): State<Shared>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportLogsServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    received.lock().unwrap().logs.extend(request.resource_logs);
    StatusCode::OK
}
