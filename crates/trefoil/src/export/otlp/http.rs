//! OTLP/HTTP: headers of a request, and what an answer means.

use std::time::SystemTime;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use trefoil_wire::grpc::Status;
use trefoil_wire::otlp::{ExportResponse, json, schema};
use trefoil_wire::protobuf::{Decode as _, Reader, Writer};

use super::short;
use crate::account::Signal;
use crate::config::OtlpProtocol;
use crate::export::connection::Answer;
use crate::export::retry::parse_retry_after;
use crate::export::target::{Accepted, Failure};

pub(super) fn headers(headers: &mut HeaderMap, protocol: OtlpProtocol, gzipped: bool) {
    let content = match protocol {
        OtlpProtocol::HttpJson => "application/json",
        _ => "application/x-protobuf",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    if gzipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

pub(super) fn judge(signal: Signal, answer: &Answer) -> Result<Accepted, Failure> {
    if answer.status.is_success() {
        return accepted(signal, answer).ok_or_else(|| {
            let status = answer.status.as_u16();
            Failure::Final(format!("it answers {status} with something that is not OTLP's"))
        });
    }
    let said = message(answer);
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let why = format!("it answers {}{said}", answer.status);
    match answer.status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let asked = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let after = asked.and_then(|value| parse_retry_after(value, SystemTime::now()));
            Err(Failure::Retry { why, after })
        }
        status if status.is_redirection() => {
            let to = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let to = to.map_or_else(String::new, |to| format!(" to {to}"));
            Err(Failure::Final(format!(
                "it redirects{to} ({}); redirects are not followed, set the endpoint to where \
                 it leads",
                status.as_u16()
            )))
        }
        StatusCode::NOT_FOUND => {
            let hint = format!("{why}; OTLP/HTTP is mostly at /v1/{}", signal.as_str());
            Err(Failure::Final(hint))
        }
        _ => Err(Failure::Final(why)),
    }
}

/// The body of a success: empty, protobuf or JSON. Some receivers say no content type, or
/// that it is text.
fn accepted(signal: Signal, answer: &Answer) -> Option<Accepted> {
    let mut body = answer.body.to_vec();
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        let message = match signal {
            Signal::Traces => &schema::TRACE_RESPONSE,
            Signal::Metrics => &schema::METRICS_RESPONSE,
            Signal::Logs => &schema::LOGS_RESPONSE,
        };
        let mut w = Writer::new();
        json::to_protobuf(message, &body, &mut w).ok()?;
        body = w.into_bytes();
    }
    partial_success(&body)
}

/// An `Export…ServiceResponse` of any signal.
pub(super) fn partial_success(body: &[u8]) -> Option<Accepted> {
    let response = ExportResponse::decode(Reader::new(body)).ok()?;
    let message = short(response.error_message);
    Some(Accepted {
        rejected: u64::try_from(response.rejected).unwrap_or(0),
        message: (!message.is_empty()).then_some(message),
    })
}

/// What an error's body says to people: a `Status`, or text.
fn message(answer: &Answer) -> String {
    let kind = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match kind.unwrap_or_default() {
        kind if kind.starts_with("application/x-protobuf") => {
            Status::from_protobuf(&answer.body).map(|status| short(&status.message))
        }
        kind if kind.starts_with("text/html") => Ok(String::new()),
        _ => Ok(short(&String::from_utf8_lossy(&answer.body))),
    }
    .unwrap_or_default()
}
