//! A query error: whose fault, what, and where in the text.

use std::fmt;
use std::ops::Range;

/// Result of parsing or running a query.
pub type Result<T> = std::result::Result<T, Error>;

/// Whose fault an error is; decides the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is not of the language, or asks for something we do not know: 400.
    Bad,
    /// The question is well formed but cannot be answered on this data (many-to-many
    /// matching, a duplicate series in a result): 422.
    Execution,
    /// A named limit was reached: 422, or 429 if trying later may help.
    Limit,
    /// Cancelled or timed out: 503.
    Cancelled,
    /// The store could not read: 500.
    Storage,
}

/// An error with the part of the query it speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Whose fault.
    pub kind: ErrorKind,
    /// What is wrong and what to do, without the position.
    pub message: String,
    /// Byte range in the query text; empty and at 0 if it is about the whole.
    pub span: Range<usize>,
}

impl Error {
    /// The text is wrong here.
    pub fn bad(span: Range<usize>, message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Bad, message: message.into(), span }
    }

    /// The data does not allow it.
    pub fn execution(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Execution, message: message.into(), span: 0..0 }
    }

    /// A limit was reached.
    pub fn limit(message: impl Into<String>) -> Self {
        Error { kind: ErrorKind::Limit, message: message.into(), span: 0..0 }
    }

    /// Line and column (both from 1, columns in characters) of the span's start in `text`.
    #[must_use]
    pub fn position(&self, text: &str) -> (usize, usize) {
        let before = text.get(..self.span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<trefoil_store::Error> for Error {
    fn from(error: trefoil_store::Error) -> Self {
        let kind = match &error {
            trefoil_store::Error::Cancelled => ErrorKind::Cancelled,
            trefoil_store::Error::LimitExceeded { .. } => ErrorKind::Limit,
            _ => ErrorKind::Storage,
        };
        Error { kind, message: error.to_string(), span: 0..0 }
    }
}
