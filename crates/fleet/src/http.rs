//! HTTP on both sides: requests that arrive become server spans, calls to others client
//! spans, and the trace goes along in W3C headers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use opentelemetry::trace::SpanKind;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::service::Stop;
use crate::telemetry::{Telemetry, Work};

/// The services' answers are small; more than this is not one of them.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bounds in seconds, as the semantic conventions give them for HTTP durations.
pub(crate) const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Why something did not work, for the caller and for the span.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// Few and constant: `error.type`.
    pub(crate) kind: &'static str,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Failure { status, kind, message: message.into() }
    }

    pub(crate) fn not_found(what: &str) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.kind, "message": self.message });
        (self.status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

/// What a handler answers.
pub(crate) type Answer = Result<axum::Json<Value>, Failure>;

/// A request that was answered, for the service's own metrics.
pub(crate) struct Exchange<'a> {
    pub(crate) method: &'a str,
    /// The route's pattern, so that ids do not become labels.
    pub(crate) route: &'a str,
    pub(crate) status: u16,
    pub(crate) seconds: f64,
    pub(crate) request_bytes: u64,
}

/// Counts an exchange under the names that the service's document gives.
pub(crate) type Record = Arc<dyn Fn(&Exchange<'_>) + Send + Sync>;

#[derive(Clone)]
struct Watch {
    telemetry: Arc<Telemetry>,
    duration: Histogram<f64>,
    record: Record,
}

/// Wraps a router so that each request has its span, which handlers find as an extension.
pub(crate) fn observed(router: Router, telemetry: &Arc<Telemetry>, record: Record) -> Router {
    let duration = telemetry.meter.f64_histogram("http.server.request.duration");
    let duration = duration.with_unit("s").with_boundaries(SECONDS.to_vec());
    let duration = duration.with_description("Duration of HTTP server requests.").build();
    let watch = Watch { telemetry: Arc::clone(telemetry), duration, record };
    router.route_layer(middleware::from_fn_with_state(watch, observe))
}

async fn observe(State(watch): State<Watch>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_default();
    let method = request.method().to_string();
    let request_bytes = request.headers().get("content-length");
    let request_bytes = request_bytes.and_then(|n| n.to_str().ok()?.parse().ok()).unwrap_or(0);
    let attributes = vec![
        KeyValue::new("http.request.method", method.clone()),
        KeyValue::new("http.route", route.clone()),
        KeyValue::new("url.path", request.uri().path().to_owned()),
        KeyValue::new("url.scheme", "http"),
    ];
    let parent = watch.telemetry.extract(request.headers());
    let name = format!("{method} {route}");
    let work = Work::begin(&watch.telemetry, &parent, name, SpanKind::Server, attributes);
    request.extensions_mut().insert(work.clone());
    let start = Instant::now();
    let response = next.run(request).await;
    let seconds = start.elapsed().as_secs_f64();
    let status = response.status();
    work.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        let message = status.canonical_reason().unwrap_or("server error");
        work.fail(&Failure::new(status, "server_error", message));
    }
    work.close();
    let status = status.as_u16();
    let labels = [
        KeyValue::new("http.request.method", method.clone()),
        KeyValue::new("http.route", route.clone()),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ];
    watch.duration.record(seconds, &labels);
    (watch.record)(&Exchange { method: &method, route: &route, status, seconds, request_bytes });
    response
}

/// Answers requests until the fleet stops.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: Stop) {
    let stopping = async move { stop.requested().await };
    // It ends when told to; an error would be the listener's, and the fleet goes on without.
    let _ = axum::serve(listener, router).with_graceful_shutdown(stopping).await;
}

/// Calls other services.
#[derive(Clone, Debug)]
pub(crate) struct Client(hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>);

impl Client {
    pub(crate) fn new() -> Client {
        let executor = hyper_util::rt::TokioExecutor::new();
        Client(hyper_util::client::legacy::Client::builder(executor).build_http())
    }

    /// Calls another service as part of a piece of work, which it continues.
    pub(crate) async fn call(
        &self,
        work: &Work,
        method: Method,
        (peer, address): (&'static str, SocketAddr),
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        let attributes = vec![
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("server.address", address.ip().to_string()),
            KeyValue::new("server.port", i64::from(address.port())),
            KeyValue::new("url.full", format!("http://{address}{path}")),
            KeyValue::new("peer.service", peer),
        ];
        let call = work.call(method.to_string(), attributes);
        let mut request = axum::http::Request::builder().method(method);
        if let Some(headers) = request.headers_mut() {
            call.inject(headers);
        }
        let result =
            self.exchange(request, address, path, body).await.and_then(|(status, answer)| {
                call.set("http.response.status_code", i64::from(status.as_u16()));
                accept(peer, status, answer)
            });
        call.end(result)
    }

    /// Calls a service as a visitor who emits nothing.
    pub(crate) async fn visit(
        &self,
        method: Method,
        address: SocketAddr,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        let request = axum::http::Request::builder().method(method);
        let (status, answer) = self.exchange(request, address, path, body).await?;
        accept("the service", status, answer)
    }

    async fn exchange(
        &self,
        request: axum::http::request::Builder,
        address: SocketAddr,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value), Failure> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let request = request
            .uri(format!("http://{address}{path}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(text)))
            .map_err(|error| unreachable(&error))?;
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| unreachable(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(Body::new(body), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| unreachable(&*error))?.to_bytes();
            Ok((head.status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
        };
        match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!("timeout after {} s", ANSWER_WITHIN.as_secs());
                Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message))
            }
        }
    }
}

fn accept(peer: &str, status: StatusCode, answer: Value) -> Result<Value, Failure> {
    if status.is_success() {
        return Ok(answer);
    }
    let reason = answer["message"].as_str().unwrap_or("no reason given");
    let message = format!("{peer} answered {}: {reason}", status.as_u16());
    // Whoever depends on a service that failed has failed itself; a refusal is passed on.
    let status = if status.is_server_error() { StatusCode::BAD_GATEWAY } else { status };
    Err(Failure::new(status, "upstream", message))
}

fn unreachable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(StatusCode::BAD_GATEWAY, "connection", format!("connection failed: {error}"))
}
