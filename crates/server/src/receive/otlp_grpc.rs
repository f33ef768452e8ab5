//! OTLP over gRPC: the three `Export` methods, unary, on plain HTTP/2.
//!
//! Source: "gRPC over HTTP2" and the OpenTelemetry protocol specification, "OTLP/gRPC".
//! Why there is no gRPC library here: docs/adr/0002.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt, Full};
use trefoil_wire::compression::Encoding;
use trefoil_wire::grpc::{
    Code, FRAME_HEADER_BYTES, FrameError, Status, encode_message, push_frame, split_frame,
};
use trefoil_wire::otlp::export_response;

use super::{Content, Export, Refusal, is_grpc, otlp_http};
use crate::api::AppState;
use crate::pipeline::{Outcome, Signal};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// Bytes of an error's text in the headers: peers refuse long ones (8 KiB by default).
const MESSAGE_BYTES_MAX: usize = 1024;

/// The three methods.
pub(super) fn routes() -> Router<Arc<AppState>> {
    let route = |signal: Signal| {
        post(move |State(state): State<Arc<AppState>>, request: Request| async move {
            answer(&state, signal, request).await
        })
    };
    let path = |package: &str, service: &str| {
        format!("/opentelemetry.proto.collector.{package}.v1.{service}Service/Export")
    };
    Router::new()
        .route(&path("trace", "Trace"), route(Signal::Traces))
        .route(&path("metrics", "Metrics"), route(Signal::Metrics))
        .route(&path("logs", "Logs"), route(Signal::Logs))
}

/// The answer to a method that does not exist.
pub(super) fn unimplemented(path: &str) -> Response {
    let message =
        format!("there is no method {path}; OTLP's Export for traces, metrics and logs is here");
    failure(Status { code: Code::Unimplemented, message, retry_after: None })
}

async fn answer(state: &Arc<AppState>, signal: Signal, request: Request) -> Response {
    if !is_grpc(&request) {
        let text = "Content-Type application/grpc is expected here; OTLP/HTTP is at /v1/…\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    if request.version() != Version::HTTP_2 {
        let text = "gRPC needs HTTP/2; a proxy in between may have made it HTTP/1\n";
        return (StatusCode::HTTP_VERSION_NOT_SUPPORTED, text).into_response();
    }
    match receive(state, signal, request).await {
        Ok(outcome) => {
            state.counters.request("grpc", signal, Code::Ok as u16);
            success(&outcome)
        }
        Err(refusal) => {
            let status = refusal.grpc_status();
            state.counters.request("grpc", signal, status.code as u16);
            failure(status)
        }
    }
}

async fn receive(
    state: &Arc<AppState>,
    signal: Signal,
    request: Request,
) -> Result<Outcome, Refusal> {
    let encoding = encoding(request.headers())?;
    let declared = otlp_http::length(request.headers());
    let max = state.config.body_bytes_max;
    let limit = max + FRAME_HEADER_BYTES;
    let (body, permit) = state.admission.read(request.into_body(), declared, limit).await?;
    let frame = match split_frame(&body, max) {
        Ok(Some((frame, []))) => frame,
        Ok(Some(_)) => return Err(Refusal::Bad("Export takes one message, more came".to_owned())),
        Ok(None) => return Err(Refusal::Bad("the stream ends within a message".to_owned())),
        Err(error @ FrameError::TooLarge { .. }) => {
            return Err(Refusal::TooLarge(error.to_string()));
        }
        Err(error @ FrameError::Flag(_)) => return Err(Refusal::Bad(error.to_string())),
    };
    let encoding = match (frame.compressed, encoding) {
        (false, _) => Encoding::Identity,
        (true, Encoding::Identity) => {
            let text = "the message is marked compressed, but there is no grpc-encoding";
            return Err(Refusal::Bad(text.to_owned()));
        }
        (true, encoding) => encoding,
    };
    let body = body.slice_ref(frame.message);
    let content = Content::Protobuf;
    super::export(state, Export { signal, content, encoding, body, permit }).await
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(value) = headers.get(GRPC_ENCODING) else { return Ok(Encoding::Identity) };
    let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    Encoding::from_header(&text).ok_or_else(|| {
        Refusal::Unsupported(format!("grpc-encoding {text} is not supported; gzip or zstd is"))
    })
}

fn success(outcome: &Outcome) -> Response {
    let message = export_response(outcome.refused, &outcome.message);
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + message.len());
    if push_frame(&message, false, &mut frame).is_none() {
        return failure(Status {
            code: Code::Internal,
            message: "the answer is too long".to_owned(),
            retry_after: None,
        });
    }
    let mut trailers = HeaderMap::new();
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let body = Full::from(frame).with_trailers(async move { Some(Ok(trailers)) });
    respond(Body::new(body))
}

/// An answer that is all headers ("Trailers-Only").
fn failure(status: Status) -> Response {
    let mut response = respond(Body::empty());
    let headers = response.headers_mut();
    headers.insert(GRPC_STATUS, HeaderValue::from(status.code as u16));
    let status = Status { message: shorten(&status.message).to_owned(), ..status };
    if let Ok(value) = HeaderValue::from_str(&encode_message(&status.message)) {
        headers.insert(GRPC_MESSAGE, value);
    }
    if let Ok(value) = HeaderValue::from_str(&status.to_details_header()) {
        headers.insert(GRPC_DETAILS, value);
    }
    response
}

fn respond(body: Body) -> Response {
    let accept = HeaderValue::from_static("identity,gzip,zstd");
    ([(header::CONTENT_TYPE, CONTENT_TYPE), (GRPC_ACCEPT, accept)], body).into_response()
}

fn shorten(text: &str) -> &str {
    let end = text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= MESSAGE_BYTES_MAX);
    &text[..end.last().unwrap_or(0)]
}
