//! OTLP/gRPC: a unary call on HTTP/2, and what its answer means.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName, TE};
use http::{HeaderMap, HeaderValue, StatusCode};
use trefoil_wire::compression::{Encoding, decompress};
use trefoil_wire::grpc::{Code, Status, decode_message, split_frame};

use super::{http as otlp_http, short};
use crate::account::Signal;
use crate::export::connection::Answer;
use crate::export::target::{Accepted, Failure};

const GRPC_STATUS: &str = "grpc-status";
const GRPC_MESSAGE: &str = "grpc-message";
const GRPC_DETAILS: &str = "grpc-status-details-bin";
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Largest message of an answer.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

pub(super) fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

pub(super) fn headers(headers: &mut HeaderMap, gzipped: bool, timeout: Duration) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("identity,gzip"));
    if gzipped {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static("gzip"));
    }
    // At most eight digits.
    let milliseconds = timeout.as_millis().min(99_999_999);
    if let Ok(value) = HeaderValue::try_from(format!("{milliseconds}m")) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}

pub(super) fn judge(answer: &Answer) -> Result<Accepted, Failure> {
    // A server without a message to send puts the status into the headers.
    let trailers = answer.trailers.as_ref().filter(|trailers| trailers.contains_key(GRPC_STATUS));
    let ending = trailers.unwrap_or(&answer.headers);
    let Some(status) = ending.get(GRPC_STATUS) else { return Err(not_grpc(answer)) };
    let number = status.to_str().ok().and_then(|text| text.parse().ok());
    let code = number.map_or(Code::Unknown, Code::from_number);
    if code == Code::Ok {
        return message(answer).ok_or_else(|| {
            Failure::Final("it answers with a message that is not OTLP's".to_owned())
        });
    }
    let text = |name: &str| ending.get(name).and_then(|value| value.to_str().ok());
    let said = short(&decode_message(text(GRPC_MESSAGE).unwrap_or_default()));
    let details = text(GRPC_DETAILS).and_then(Status::from_details_header);
    let after = details.and_then(|status| status.retry_after);
    let why = format!("it answers {code:?} ({}): {said}", code as u8);
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Err(Failure::Retry { why, after }),
        Code::ResourceExhausted if after.is_some() => Err(Failure::Retry { why, after }),
        _ => Err(Failure::Final(why)),
    }
}

/// HTTP without a gRPC status: a proxy, or another kind of server. Which of its errors may
/// pass is gRPC's own list, `http-grpc-status-mapping.md`.
fn not_grpc(answer: &Answer) -> Failure {
    let status = answer.status;
    let why = format!("it answers HTTP {status} without a gRPC status; is this OTLP over gRPC?");
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Failure::retry(why),
        _ => Failure::Final(why),
    }
}

fn message(answer: &Answer) -> Option<Accepted> {
    if answer.body.is_empty() {
        return Some(Accepted::default());
    }
    let (frame, _) = split_frame(&answer.body, MESSAGE_BYTES_MAX).ok()??;
    if !frame.compressed {
        return otlp_http::partial_success(frame.message);
    }
    let encoding = answer.headers.get(GRPC_ENCODING)?.to_str().ok()?;
    let mut plain = Vec::new();
    let encoding = Encoding::from_header(encoding)?;
    decompress(encoding, frame.message, MESSAGE_BYTES_MAX, &mut plain).ok()?;
    otlp_http::partial_success(&plain)
}
