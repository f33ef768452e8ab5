//! How Loki and Tempo say no: a status and a line of plain text.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use trefoil_query::{Error, ErrorKind};

/// An answer that is not one: the reason as plain text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
}

impl Refused {
    /// The request is wrong.
    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Refused { status: StatusCode::BAD_REQUEST, reason: reason.into() }
    }

    /// The error of a query, with its place if it speaks of one.
    pub(crate) fn query(error: &Error, text: &str) -> Self {
        let status = match error.kind {
            // Both answer 400 to whatever the asker can change.
            ErrorKind::Bad | ErrorKind::Execution | ErrorKind::Limit => StatusCode::BAD_REQUEST,
            ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Storage => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if error.kind != ErrorKind::Bad || error.span == (0..0) {
            return Refused { status, reason: error.message.clone() };
        }
        let (line, column) = error.position(text);
        let reason = format!("parse error at line {line}, col {column}: {}", error.message);
        Refused { status, reason }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        (self.status, content_type, self.reason).into_response()
    }
}
