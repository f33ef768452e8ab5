//! OTLP over HTTP: `POST /v1/{traces,metrics,logs}`, protobuf or JSON.
//!
//! Source: OpenTelemetry protocol specification, "OTLP/HTTP".

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use trefoil_wire::compression::Encoding;
use trefoil_wire::otlp::export_response;
use trefoil_wire::otlp::json;

use super::{Content, Export, RETRY_AFTER, Refusal, is_grpc};
use crate::api::AppState;
use crate::pipeline::{Outcome, Signal};

/// The three paths.
pub(super) fn routes() -> Router<Arc<AppState>> {
    let route = |signal: Signal| {
        post(move |State(state): State<Arc<AppState>>, request: Request| async move {
            answer(&state, signal, request).await
        })
    };
    Router::new()
        .route("/v1/traces", route(Signal::Traces))
        .route("/v1/metrics", route(Signal::Metrics))
        .route("/v1/logs", route(Signal::Logs))
}

async fn answer(state: &Arc<AppState>, signal: Signal, request: Request) -> Response {
    // An error is answered in the request's own form; protobuf if that is unknown.
    let content = content(request.headers());
    let form = content.as_ref().copied().unwrap_or(Content::Protobuf);
    let result = match content {
        Ok(_) if is_grpc(&request) => Err(Refusal::Bad(
            "gRPC has its own path, not /v1/…; configure the client for gRPC without a path"
                .to_owned(),
        )),
        Ok(content) => receive(state, signal, content, request).await,
        Err(refusal) => Err(refusal),
    };
    let response = match result {
        Ok(outcome) => success(signal, form, &outcome),
        Err(refusal) => failure(form, refusal),
    };
    state.counters.request("http", signal, response.status().as_u16());
    response
}

async fn receive(
    state: &Arc<AppState>,
    signal: Signal,
    content: Content,
    request: Request,
) -> Result<Outcome, Refusal> {
    let encoding = encoding(request.headers())?;
    let declared = length(request.headers());
    let max = state.config.body_bytes_max;
    let (body, permit) = state.admission.read(request.into_body(), declared, max).await?;
    super::export(state, Export { signal, content, encoding, body, permit }).await
}

fn content(headers: &HeaderMap) -> Result<Content, Refusal> {
    let value =
        headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let essence = value.as_deref().and_then(|value| value.split(';').next()).unwrap_or("").trim();
    match essence.to_ascii_lowercase().as_str() {
        "application/x-protobuf" | "application/protobuf" => Ok(Content::Protobuf),
        "application/json" => Ok(Content::Json),
        "" => Err(Refusal::Unsupported(
            "Content-Type is missing; application/x-protobuf or application/json is expected"
                .to_owned(),
        )),
        other => Err(Refusal::Unsupported(format!(
            "Content-Type {other} is not supported; application/x-protobuf or application/json is expected"
        ))),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let (first, second) = (values.next(), values.next());
    let text = match (first, second) {
        (None, _) => return Ok(Encoding::Identity),
        (Some(value), None) => {
            String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase()
        }
        (Some(_), Some(_)) => "(several)".to_owned(),
    };
    Encoding::from_header(&text).ok_or_else(|| {
        Refusal::Unsupported(format!(
            "Content-Encoding {text} is not supported; gzip, zstd, deflate or none is expected"
        ))
    })
}

pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn success(signal: Signal, form: Content, outcome: &Outcome) -> Response {
    let message = export_response(outcome.refused, &outcome.message);
    match form {
        Content::Protobuf => reply(StatusCode::OK, form, message),
        Content::Json => {
            let mut text = String::new();
            // It is our own message, just written.
            let schema = signal.response_schema();
            match json::from_protobuf(schema, &message, json::Style::Otlp, &mut text) {
                Ok(()) => reply(StatusCode::OK, form, text.into_bytes()),
                Err(error) => failure(form, Refusal::Internal(error.to_string())),
            }
        }
    }
}

fn failure(form: Content, refusal: Refusal) -> Response {
    let http = refusal.http_status();
    let retry = matches!(refusal, Refusal::Busy(_) | Refusal::Unavailable(_));
    let status = refusal.grpc_status();
    let body = match form {
        Content::Protobuf => status.to_protobuf(),
        Content::Json => status.to_json().into_bytes(),
    };
    let mut response = reply(http, form, body);
    if retry {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    }
    response
}

fn reply(status: StatusCode, form: Content, body: Vec<u8>) -> Response {
    let content_type = match form {
        Content::Protobuf => "application/x-protobuf",
        Content::Json => "application/json",
    };
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}
