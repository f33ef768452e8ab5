use std::fmt;

use super::reader::WireType;
use super::schema::Message;

/// Result of reading protobuf.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a message, and where.
///
/// Small and free of allocation; [`Error::explain`] makes the text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Bytes from the start of the outermost message to the field that is wrong; for
    /// [`ErrorKind::Missing`] to the first byte of the message that lacks it.
    pub offset: usize,
}

/// What can be wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The bytes end in the middle of a field, or a length points past the end.
    Truncated,
    /// A varint longer than 64 bits.
    VarintTooLong,
    /// A field number that protobuf does not allow (0, or above 2^29 - 1).
    FieldNumber,
    /// A group or a wire type that does not exist. No protocol here uses groups.
    UnknownWireType(u8),
    /// A known field in another wire type than its own.
    WireType {
        /// What the field is declared as.
        expected: WireType,
        /// What came.
        got: WireType,
    },
    /// A field that may come once came twice.
    Duplicate,
    /// Text that is not UTF-8.
    Utf8,
    /// An id of the wrong length.
    IdLength {
        /// Bytes that came.
        got: usize,
        /// Bytes that an id of this kind has.
        expected: usize,
    },
    /// An id that must not be all zero is.
    IdZero,
    /// A field without which the item means nothing. Its name.
    Missing(&'static str),
    /// Messages nest deeper than [`NESTING_MAX`](super::NESTING_MAX).
    Depth,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, offset: usize) -> Self {
        Error { kind, offset }
    }

    /// True if the message around the damage can not be trusted either, so that the whole
    /// request must be refused. False if only the item that holds the field is bad.
    #[must_use]
    pub fn is_structural(&self) -> bool {
        match self.kind {
            ErrorKind::Truncated
            | ErrorKind::VarintTooLong
            | ErrorKind::FieldNumber
            | ErrorKind::UnknownWireType(_)
            | ErrorKind::WireType { .. }
            | ErrorKind::Duplicate => true,
            ErrorKind::Utf8
            | ErrorKind::IdLength { .. }
            | ErrorKind::IdZero
            | ErrorKind::Missing(_)
            | ErrorKind::Depth => false,
        }
    }

    /// The error with the path of the field, e.g.
    /// `resource_spans[0].scope_spans[1].spans[2].trace_id: 15 bytes, expected 16 (at byte 311)`.
    ///
    /// `message` describes `bytes`, the outermost message. The path is found by walking
    /// the bytes again, so that reading them costs nothing for it.
    #[must_use]
    pub fn explain(&self, message: &'static Message, bytes: &[u8]) -> String {
        format!("{} (at byte {})", self.explain_translated(message, bytes), self.offset)
    }

    /// As [`Error::explain`] without the offset, for bytes that the sender has never seen
    /// because they were translated from JSON.
    #[must_use]
    pub fn explain_translated(&self, message: &'static Message, bytes: &[u8]) -> String {
        let mut path = message.path_to(bytes, self);
        if path.is_empty() {
            message.name.clone_into(&mut path);
        }
        format!("{path}: {}", self.kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.offset)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Truncated => f.write_str("the bytes end in the middle of a field"),
            ErrorKind::VarintTooLong => f.write_str("a varint longer than 64 bits"),
            ErrorKind::FieldNumber => f.write_str("a field number outside 1 to 2^29 - 1"),
            ErrorKind::UnknownWireType(n) => {
                write!(f, "wire type {n} is a group or unknown; neither is supported")
            }
            ErrorKind::WireType { expected, got } => write!(f, "a {got}, expected a {expected}"),
            ErrorKind::Duplicate => f.write_str("given twice, expected once"),
            ErrorKind::Utf8 => f.write_str("text that is not UTF-8"),
            ErrorKind::IdLength { got, expected } => {
                write!(f, "{got} bytes, expected {expected}")
            }
            ErrorKind::IdZero => f.write_str("an id of zeros means none, but one is required"),
            ErrorKind::Missing(_) => f.write_str("missing, but required"),
            ErrorKind::Depth => {
                write!(f, "messages nest deeper than the limit of {}", super::NESTING_MAX)
            }
        }
    }
}
