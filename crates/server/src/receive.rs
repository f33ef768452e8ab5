//! Receiving: protocols on one side, the pipeline on the other.
//!
//! Every port that receives takes OTLP over gRPC and over HTTP alike, so that a client
//! with the right protocol and the "wrong" port is served rather than puzzled.

pub(crate) mod admission;
mod cors;
mod loki_push;
mod otlp_grpc;
mod otlp_http;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
pub(crate) use cors::allow_origins;
use trefoil_wire::compression::{self, Encoding};
use trefoil_wire::grpc::{Code, Status};
use trefoil_wire::otlp::json;
use trefoil_wire::protobuf::Writer;

use crate::api::AppState;
use crate::pipeline::{Outcome, Rejected, Signal};
use admission::Permit;

/// When a client that found us busy should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Everything that a receiving port takes.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new().merge(otlp_http::routes()).merge(otlp_grpc::routes()).merge(loki_push::routes())
}

/// What a port answers where it has nothing: in the asker's protocol, with the way.
pub(crate) async fn not_found(request: Request) -> Response {
    if is_grpc(&request) {
        return otlp_grpc::unimplemented(request.uri().path());
    }
    let text = format!(
        "nothing at {}; OTLP/HTTP is at /v1/traces, /v1/metrics and /v1/logs, the web app at /ui/\n",
        request.uri().path()
    );
    (StatusCode::NOT_FOUND, text).into_response()
}

fn is_grpc(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Why a request was refused; each transport has its own numbers for these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is wrong and stays wrong.
    Bad(String),
    /// The body did not come in time.
    Slow(String),
    /// Larger than a limit.
    TooLarge(String),
    /// A content type or encoding that is not supported.
    Unsupported(String),
    /// Too much is in flight; try again later.
    Busy(String),
    /// Writing does not work now.
    Unavailable(String),
    /// A bug.
    Internal(String),
}

impl Refusal {
    /// The HTTP status. OTLP clients try again after 429 and 503, not after the others.
    fn http_status(&self) -> StatusCode {
        match self {
            Refusal::Bad(_) => StatusCode::BAD_REQUEST,
            Refusal::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same as `google.rpc.Status`. OTLP clients try again after `RESOURCE_EXHAUSTED`
    /// only with a retry hint.
    fn grpc_status(self) -> Status {
        let retry_after =
            matches!(self, Refusal::Busy(_) | Refusal::Unavailable(_)).then_some(RETRY_AFTER);
        let (code, message) = match self {
            Refusal::Bad(message) => (Code::InvalidArgument, message),
            Refusal::Slow(message) => (Code::DeadlineExceeded, message),
            Refusal::TooLarge(message) | Refusal::Busy(message) => {
                (Code::ResourceExhausted, message)
            }
            Refusal::Unsupported(message) => (Code::Unimplemented, message),
            Refusal::Unavailable(message) => (Code::Unavailable, message),
            Refusal::Internal(message) => (Code::Internal, message),
        };
        Status { code, message, retry_after }
    }
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Malformed(text) => Refusal::Bad(text),
            Rejected::TooLarge(text) => Refusal::TooLarge(text),
            Rejected::Busy(text) => Refusal::Busy(text),
            Rejected::DiskFull(text) | Rejected::Unavailable(text) => Refusal::Unavailable(text),
        }
    }
}

/// The form of an export request's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Protobuf,
    Json,
}

/// An export request whose body has come.
struct Export {
    signal: Signal,
    content: Content,
    encoding: Encoding,
    body: Bytes,
    permit: Permit,
}

/// Decompresses, decodes and stores a request.
async fn export(state: &Arc<AppState>, export: Export) -> Result<Outcome, Refusal> {
    on_a_thread(state, export, store).await
}

/// Runs the storing of a request on a thread where that may take its time.
async fn on_a_thread(
    state: &Arc<AppState>,
    export: Export,
    store: fn(&AppState, Export) -> Result<Outcome, Refusal>,
) -> Result<Outcome, Refusal> {
    let Ok(slot) = Arc::clone(&state.admission.slots).acquire_owned().await else {
        return Err(Refusal::Unavailable("the server is stopping".to_owned()));
    };
    let state = Arc::clone(state);
    let work = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        store(&state, export)
    });
    let failed = "the request failed inside the server; its log says where";
    work.await.unwrap_or_else(|_| Err(Refusal::Internal(failed.to_owned())))
}

fn store(state: &AppState, mut export: Export) -> Result<Outcome, Refusal> {
    let now_ns = state.clock.now_ns();
    let body = decompress(state, &mut export)?;
    let body = match export.content {
        Content::Protobuf => body,
        Content::Json => Bytes::from(from_json(export.signal, &body)?),
    };
    state.counters.signal(export.signal).bytes(body.len() as u64);
    Ok(state.pipeline.export(export.signal, &body, now_ns)?)
}

/// Translates a request in JSON to protobuf; or several, one per line, as the file exporters
/// of OpenTelemetry write them. Requests one after the other are one request in protobuf.
fn from_json(signal: Signal, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut writer = Writer::new();
    if !is_json_lines(body) {
        json::to_protobuf(signal.schema(), body, &mut writer)
            .map_err(|error| Refusal::Bad(error.to_string()))?;
        return Ok(writer.into_bytes());
    }
    for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            json::to_protobuf(signal.schema(), line, &mut writer)
                .map_err(|error| Refusal::Bad(format!("request on line {}: {error}", at + 1)))?;
        }
    }
    Ok(writer.into_bytes())
}

/// Whether the first line is an object of its own and more follows.
fn is_json_lines(body: &[u8]) -> bool {
    let Some(end) = body.iter().position(|byte| *byte == b'\n') else { return false };
    let (first, rest) = body.split_at(end);
    let first = first.trim_ascii();
    first.starts_with(b"{") && first.ends_with(b"}") && !rest.trim_ascii().is_empty()
}

/// How much a body usually grows: what is reserved for it before it is known.
const GROWTH: usize = 8;

fn decompress(state: &AppState, export: &mut Export) -> Result<Bytes, Refusal> {
    let max = state.config.body_bytes_max;
    let busy = || Refusal::Busy("too many requests are in flight; try again later".to_owned());
    if export.encoding == Encoding::Identity {
        // For the batch that is made of it.
        export.permit.grow(2 * export.body.len()).then_some(()).ok_or_else(busy)?;
        return Ok(export.body.clone());
    }
    let guess = max.min(GROWTH * export.body.len() + (64 << 10));
    for limit in [guess, max] {
        export.permit.grow(export.body.len() + 2 * limit).then_some(()).ok_or_else(busy)?;
        let mut out = Vec::new();
        match compression::decompress(export.encoding, &export.body, limit, &mut out) {
            Ok(()) => return Ok(Bytes::from(out)),
            Err(compression::Error::TooLarge { .. }) if limit < max => {}
            Err(error @ compression::Error::TooLarge { .. }) => {
                return Err(Refusal::TooLarge(format!(
                    "{error}; send smaller batches or raise --max-body"
                )));
            }
            Err(error @ compression::Error::Damaged { .. }) => {
                return Err(Refusal::Bad(error.to_string()));
            }
        }
    }
    Err(Refusal::Internal("decompression has no third try".to_owned()))
}
