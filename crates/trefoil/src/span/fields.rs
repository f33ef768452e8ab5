//! Fields of `tracing` as attributes, and the fields with a meaning of their own.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use tracing_core::field::{Field, Visit};

use super::encode::{
    attribute_bool, attribute_double, attribute_int, attribute_str, attribute_text, cut,
};
use crate::attribute::Encoded;

/// Writes the fields of a span or an event into a buffer.
pub(super) struct Fields<'a> {
    pub(super) body: &'a mut Vec<u8>,
    /// Texts that are no attributes: a name, a description.
    pub(super) texts: &'a mut Vec<u8>,
    /// The number of the field that holds an attribute.
    pub(super) field: u8,
    pub(super) limits: Limits,
    pub(super) found: &'a mut Found,
}

/// What may be at most.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) attributes: u32,
    pub(super) value_bytes: Option<usize>,
}

/// What was among the fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Attributes that were written.
    pub(super) attributes: u32,
    /// Attributes beyond the limit.
    pub(super) dropped: u32,
    /// `otel.name`.
    pub(super) name: Text,
    /// `otel.status_description`.
    pub(super) description: Text,
    /// What a field says that says that something failed.
    pub(super) error: Text,
    /// `message` of an event.
    pub(super) message: Text,
    /// `otel.kind` as a number of OTLP, else 0.
    pub(super) kind: u8,
    /// When a layer of ours says that it began, else 0.
    pub(super) start_ns: u64,
    /// `otel.status_code` as a number of OTLP.
    pub(super) status: Option<u8>,
    /// Whether a field says that something failed.
    pub(super) failed: bool,
}

/// A text among the texts, possibly empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text {
    start: u32,
    end: u32,
}

impl Text {
    pub(super) fn new(range: Range<usize>) -> Text {
        Text { start: range.start as u32, end: range.end as u32 }
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(super) fn bytes(self, texts: &[u8]) -> &[u8] {
        texts.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    #[inline]
    pub(super) fn of(self, texts: &[u8]) -> &str {
        if self.is_empty() {
            return "";
        }
        std::str::from_utf8(self.bytes(texts)).unwrap_or_default()
    }
}

/// Fields that become something else than an attribute, or an attribute and something else.
#[derive(Clone, Copy, PartialEq)]
enum Special {
    Name,
    Kind,
    StatusCode,
    StatusDescription,
    /// Its presence says that the span failed. The first of them says how.
    Error,
    Message,
}

/// The names that tracing-opentelemetry made common, and OpenTelemetry's for exceptions.
#[inline]
fn special(name: &str) -> Option<Special> {
    match name.as_bytes().first()? {
        b'e' => match name {
            "error" | "err" | "error.message" | "error.type" | "exception.message"
            | "exception.type" => Some(Special::Error),
            _ => None,
        },
        b'm' if name == "message" => Some(Special::Message),
        b'o' => match name {
            "otel.name" => Some(Special::Name),
            "otel.kind" => Some(Special::Kind),
            "otel.status_code" => Some(Special::StatusCode),
            "otel.status_description" | "otel.status_message" => Some(Special::StatusDescription),
            _ => None,
        },
        _ => None,
    }
}

impl Fields<'_> {
    /// Whether one more attribute may be written.
    #[inline]
    fn admit(&mut self) -> bool {
        if self.found.attributes < self.limits.attributes {
            self.found.attributes += 1;
            return true;
        }
        self.found.dropped += 1;
        false
    }

    fn text(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let special = special(name);
        if matches!(special, None | Some(Special::Error)) {
            if self.admit() {
                let limit = self.limits.value_bytes;
                let range = attribute_text(self.body, self.field, name, value, limit);
                if special.is_some() && !self.found.failed {
                    let start = self.texts.len();
                    self.texts.extend_from_slice(&self.body[range]);
                    self.set(special, start);
                }
            }
            return;
        }
        let start = self.texts.len();
        let _ = fmt::write(&mut Appended(self.texts), value);
        self.set(special, start);
    }

    fn take(&mut self, encoded: &Encoded) {
        self.found.attributes += encoded.count();
        self.body.extend_from_slice(encoded.bytes());
        if let Some((name, kind, start_ns)) = encoded.beginning() {
            let start = self.texts.len();
            self.texts.extend_from_slice(name);
            self.found.name = Text::new(start..self.texts.len());
            (self.found.kind, self.found.start_ns) = (kind, start_ns);
        }
    }

    /// A text that lies at the end of the texts is what `special` says it is.
    fn set(&mut self, special: Option<Special>, start: usize) {
        let text = &self.texts[start..];
        let range = Text::new(start..self.texts.len());
        let found = &mut *self.found;
        match special {
            Some(Special::Name) => found.name = range,
            Some(Special::Kind) => found.kind = kind(text).unwrap_or(found.kind),
            Some(Special::StatusCode) => found.status = status(text).or(found.status),
            Some(Special::StatusDescription) => found.description = range,
            Some(Special::Message) => found.message = range,
            Some(Special::Error) if !found.failed => (found.error, found.failed) = (range, true),
            Some(Special::Error) | None => {}
        }
    }
}

/// OTLP's `SPAN_KIND_SERVER`.
#[cfg(feature = "http")]
pub(crate) const SERVER: u8 = 2;

/// `server`, `SERVER`, `Server`… as a number of OTLP.
fn kind(text: &[u8]) -> Option<u8> {
    let kinds = ["internal", "server", "client", "producer", "consumer"];
    let at = kinds.iter().position(|kind| text.eq_ignore_ascii_case(kind.as_bytes()))?;
    Some(at as u8 + 1)
}

fn status(text: &[u8]) -> Option<u8> {
    let codes = ["unset", "ok", "error"];
    codes.iter().position(|code| text.eq_ignore_ascii_case(code.as_bytes())).map(|at| at as u8)
}

impl Visit for Fields<'_> {
    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        let name = field.name();
        let special = special(name);
        if matches!(special, None | Some(Special::Error)) && self.admit() {
            let value = cut(value, self.limits.value_bytes);
            attribute_str(self.body, self.field, name, value);
        }
        if special.is_some() {
            let start = self.texts.len();
            self.texts.extend_from_slice(value.as_bytes());
            self.set(special, start);
        }
    }

    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        if self.admit() {
            attribute_int(self.body, self.field, field.name(), value);
        }
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            // OTLP has no unsigned integers.
            Err(_) => self.text(field.name(), format_args!("{value}")),
        }
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        if self.admit() {
            attribute_bool(self.body, self.field, field.name(), value);
        }
        // `error = true` is how OpenTracing said it.
        if value && special(field.name()) == Some(Special::Error) {
            self.found.failed = true;
        }
    }

    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        if self.admit() {
            attribute_double(self.body, self.field, field.name(), value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if let Some(encoded) = value.downcast_ref::<Encoded>() {
            return self.take(encoded);
        }
        self.text(field.name(), format_args!("{value}"));
        if value.source().is_some() && field.name() != "exception.message" {
            self.text("exception.message", format_args!("{}", Chain(value)));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), format_args!("{value:?}"));
    }
}

/// An error and its causes as text.
pub(super) fn chain(error: &dyn Error) -> String {
    Chain(error).to_string()
}

/// An error and its causes: `cannot start: no such file`.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

struct Appended<'a>(&'a mut Vec<u8>);

impl fmt::Write for Appended<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
