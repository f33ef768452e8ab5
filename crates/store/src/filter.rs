//! The small closed set of conditions a scan can evaluate next to the data.
//! Whatever does not fit stays in `query`.

use regex::Regex;

use crate::model::{SpanKind, StatusCode, Value};

/// What a span condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Operation name.
    Name,
    /// Role.
    Kind,
    /// Status code.
    Status,
    /// Status message.
    StatusMessage,
    /// End minus start in nanoseconds, 0 if negative.
    Duration,
    /// An attribute of the span.
    Span(String),
    /// An attribute of the resource.
    Resource(String),
    /// An attribute of the span or, failing that, of the resource (TraceQL's `.key`).
    Any(String),
}

/// How a field is compared. A comparison between different types is false.
#[derive(Clone, Debug)]
pub enum Compare {
    /// Equal to a value; integers and doubles compare by number.
    Equal(Value<'static>),
    /// Present, of the same type, and different.
    NotEqual(Value<'static>),
    /// Less, for numbers, durations and text.
    Less(Value<'static>),
    /// Less or equal.
    LessEqual(Value<'static>),
    /// Greater.
    Greater(Value<'static>),
    /// Greater or equal.
    GreaterEqual(Value<'static>),
    /// Text that matches the whole pattern.
    Regex(Regex),
    /// Text that does not.
    NotRegex(Regex),
    /// The span's kind.
    Kind(SpanKind),
    /// The span's status.
    Status(StatusCode),
    /// The attribute exists.
    Exists,
}

/// A condition on one span.
#[derive(Clone, Debug)]
pub enum SpanFilter {
    /// Always true.
    All,
    /// One comparison.
    Field(Field, Compare),
    /// All of them.
    And(Vec<SpanFilter>),
    /// Any of them.
    Or(Vec<SpanFilter>),
    /// Not this one.
    Not(Box<SpanFilter>),
}

/// A condition on the text of a log line (the body as text).
#[derive(Clone, Debug)]
pub enum LineFilter {
    /// Contains the text, byte for byte.
    Contains(String),
    /// Does not contain it.
    NotContains(String),
    /// Matches the pattern somewhere.
    Regex(Regex),
    /// Does not match it anywhere.
    NotRegex(Regex),
}
