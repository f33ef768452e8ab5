//! Loki's push API: `POST /loki/api/v1/push`, protobuf in a snappy block, or JSON.
//!
//! Source: Loki HTTP API, "Ingest logs". All lines stored is 204; a line that is refused
//! makes it 400 with the reason, though the others are stored, as in Loki.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use trefoil_wire::compression::Encoding;
use trefoil_wire::loki_push;
use trefoil_wire::protobuf::Writer;

use super::otlp_http::length;
use super::{Content, Export, RETRY_AFTER, Refusal, decompress, on_a_thread};
use crate::api::AppState;
use crate::pipeline::{Outcome, Signal};

/// The path.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/loki/api/v1/push", post(push))
}

async fn push(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let response = match receive(&state, request).await {
        Ok(outcome) if outcome.refused == 0 => StatusCode::NO_CONTENT.into_response(),
        Ok(outcome) => (StatusCode::BAD_REQUEST, outcome.message).into_response(),
        Err(refusal) => refused(refusal),
    };
    state.counters.request("loki", Signal::Logs, response.status().as_u16());
    response
}

fn refused(refusal: Refusal) -> Response {
    let status = refusal.http_status();
    let retry = matches!(refusal, Refusal::Busy(_) | Refusal::Unavailable(_));
    let mut response = (status, refusal.grpc_status().message).into_response();
    if retry {
        let after = HeaderValue::from(RETRY_AFTER.as_secs());
        response.headers_mut().insert(header::RETRY_AFTER, after);
    }
    response
}

async fn receive(state: &Arc<AppState>, request: Request) -> Result<Outcome, Refusal> {
    let (content, encoding) = form(request.headers())?;
    let declared = length(request.headers());
    let max = state.config.body_bytes_max;
    let (body, permit) = state.admission.read(request.into_body(), declared, max).await?;
    let export = Export { signal: Signal::Logs, content, encoding, body, permit };
    on_a_thread(state, export, store).await
}

/// Protobuf is always in a snappy block; JSON is as its `Content-Encoding` says.
fn form(headers: &HeaderMap) -> Result<(Content, Encoding), Refusal> {
    let text = |name| {
        let value = headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        String::from_utf8_lossy(value).trim().to_ascii_lowercase()
    };
    let content_type = text(header::CONTENT_TYPE);
    let encoding = text(header::CONTENT_ENCODING);
    let unsupported = |what: &str, value: &str, expected: &str| {
        Refusal::Unsupported(format!("{what} {value} is not supported; {expected} is expected"))
    };
    match content_type.split(';').next().unwrap_or_default().trim() {
        "" | "application/x-protobuf" => match encoding.as_str() {
            "" | "snappy" => Ok((Content::Protobuf, Encoding::SnappyBlock)),
            other => Err(unsupported("Content-Encoding", other, "snappy")),
        },
        "application/json" => match Encoding::from_header(&encoding) {
            Some(encoding) if encoding != Encoding::SnappyBlock => Ok((Content::Json, encoding)),
            _ => Err(unsupported("Content-Encoding", &encoding, "gzip, deflate or none")),
        },
        other => {
            Err(unsupported("Content-Type", other, "application/x-protobuf or application/json"))
        }
    }
}

fn store(state: &AppState, mut export: Export) -> Result<Outcome, Refusal> {
    let now_ns = state.clock.now_ns();
    let body = decompress(state, &mut export)?;
    let body = match export.content {
        Content::Protobuf => body,
        Content::Json => {
            let mut writer = Writer::new();
            loki_push::to_protobuf(&body, &mut writer)
                .map_err(|error| Refusal::Bad(error.to_string()))?;
            Bytes::from(writer.into_bytes())
        }
    };
    state.counters.signal(Signal::Logs).bytes(body.len() as u64);
    Ok(state.pipeline.push(&body, now_ns)?)
}
