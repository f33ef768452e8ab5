//! The frame around every answer: status, data, warnings; or the kind of error and why.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use trefoil_query::{Error, ErrorKind};

use super::json;

/// An error as Prometheus tells it.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Failure {
    /// The request is wrong: 400.
    pub(super) fn bad(message: impl Into<String>) -> Failure {
        Failure { status: StatusCode::BAD_REQUEST, kind: "bad_data", message: message.into() }
    }

    /// One parameter is wrong: 400.
    pub(super) fn parameter(name: &str, why: impl std::fmt::Display) -> Failure {
        Failure::bad(format!("invalid parameter {name:?}: {why}"))
    }

    /// There is no such path: 404.
    pub(super) fn not_found(message: impl Into<String>) -> Failure {
        Failure { status: StatusCode::NOT_FOUND, kind: "not_found", message: message.into() }
    }

    /// A parameter that holds an expression does not parse: 400, with the position.
    pub(super) fn syntax(name: &str, text: &str, error: &Error) -> Failure {
        let (line, column) = error.position(text);
        Failure::parameter(name, format!("{line}:{column}: parse error: {}", error.message))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let kind = match error.kind {
            ErrorKind::Bad => "bad_data",
            ErrorKind::Execution | ErrorKind::Limit => "execution",
            ErrorKind::Cancelled => "timeout",
            ErrorKind::Storage => "internal",
        };
        Failure { status: crate::api::status(&error), kind, message: error.message }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut out = Vec::with_capacity(64 + self.message.len());
        out.extend_from_slice(br#"{"status":"error","errorType":""#);
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(br#"","error":"#);
        json::text(&mut out, &self.message);
        out.push(b'}');
        respond(self.status, out)
    }
}

/// What a handler answers.
pub(super) type Reply = Result<Success, Failure>;

/// The JSON of `data`, with notes beside it.
#[derive(Debug, Default)]
pub(super) struct Success {
    pub(super) data: Vec<u8>,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

impl Success {
    /// Data without notes.
    pub(super) fn data(data: impl Into<Vec<u8>>) -> Success {
        Success { data: data.into(), ..Success::default() }
    }
}

/// Notes of one kind that an answer shows; Prometheus shows ten as well.
const NOTES_MAX: usize = 10;

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let mut out = Vec::with_capacity(self.data.len() + 64);
        out.extend_from_slice(br#"{"status":"success","data":"#);
        out.extend_from_slice(&self.data);
        for (name, notes) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if notes.is_empty() {
                continue;
            }
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            json::list(&mut out, notes.iter().take(NOTES_MAX), |out, note| json::text(out, note));
            if notes.len() > NOTES_MAX {
                out.pop();
                out.push(b',');
                let more = notes.len() - NOTES_MAX;
                json::text(&mut out, &format!("{more} more {name} omitted"));
                out.push(b']');
            }
        }
        out.push(b'}');
        respond(StatusCode::OK, out)
    }
}

fn respond(status: StatusCode, json: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(json)).into_response()
}
