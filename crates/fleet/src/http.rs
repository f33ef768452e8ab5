//! HTTP on both sides. The spans, the metrics and the headers between services come from
//! the layers of the crate.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};
use trefoil::Telemetry;
use trefoil::http::HttpClientService;

use crate::service::Stop;

/// The services' answers are small; more than this is not one of them.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

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

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.kind, "message": self.message });
        (self.status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

/// What a handler answers.
pub(crate) type Answer = Result<axum::Json<Value>, Failure>;

/// Answers requests until the fleet stops.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: Stop) {
    let stopping = async move { stop.requested().await };
    // It ends when told to; an error would be the listener's, and the fleet goes on without.
    let _ = axum::serve(listener, router).with_graceful_shutdown(stopping).await;
}

type Plain = legacy::Client<HttpConnector, Full<Bytes>>;

/// Calls other services as part of the current span.
#[derive(Clone, Debug)]
pub(crate) struct Client(HttpClientService<Plain>);

impl Client {
    pub(crate) fn new(telemetry: &Telemetry) -> Client {
        Client(telemetry.http_client_layer().layer(plain()))
    }

    pub(crate) async fn call(
        &self,
        (peer, address): (&'static str, SocketAddr),
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        let (status, answer) = exchange(self.0.clone(), method, address, path, body).await?;
        accept(peer, status, answer)
    }
}

/// Calls services as somebody who emits nothing.
#[derive(Clone, Debug)]
pub(crate) struct Visitor(Plain);

impl Visitor {
    pub(crate) fn new() -> Visitor {
        Visitor(plain())
    }

    pub(crate) async fn visit(
        &self,
        method: Method,
        address: SocketAddr,
        path: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        let (status, answer) = exchange(self.0.clone(), method, address, path, body).await?;
        accept("the service", status, answer)
    }
}

fn plain() -> Plain {
    legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http()
}

async fn exchange<C, B>(
    client: C,
    method: Method,
    address: SocketAddr,
    path: &str,
    body: &Value,
) -> Result<(StatusCode, Value), Failure>
where
    C: Service<Request<Full<Bytes>>, Response = axum::http::Response<B>, Error: fmt::Display>,
    B: axum::body::HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(text)))
        .map_err(|error| unreachable(&error))?;
    let exchange = async {
        let response = client.oneshot(request).await.map_err(|error| unreachable(&error))?;
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

fn unreachable(error: &dyn fmt::Display) -> Failure {
    Failure::new(StatusCode::BAD_GATEWAY, "connection", format!("connection failed: {error}"))
}
