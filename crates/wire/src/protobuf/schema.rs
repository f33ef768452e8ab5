//! Messages described as data: for JSON, and for the path of a field in an error.

use std::fmt::Write as _;

use super::error::{Error, ErrorKind};
use super::reader::Reader;

/// One message type.
#[derive(Debug)]
pub struct Message {
    /// Its name, e.g. `ExportTraceServiceRequest`.
    pub name: &'static str,
    /// Its fields by number.
    pub fields: &'static [FieldType],
}

/// One field of a message type.
#[derive(Debug)]
pub struct FieldType {
    /// The number on the wire.
    pub number: u32,
    /// The name in the `.proto` file, e.g. `resource_spans`.
    pub name: &'static str,
    /// The name in JSON, e.g. `resourceSpans`.
    pub json_name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may come many times.
    pub repeated: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A message. Behind a function, because messages contain each other.
    Message(fn() -> &'static Message),
    /// An enum, with the names of its numbers.
    Enum(&'static [(&'static str, i32)]),
    /// UTF-8 text.
    Str,
    /// Bytes, in JSON as base64.
    Bytes,
    /// A trace or span id: bytes, in OTLP's JSON as hexadecimal.
    Id,
    /// A boolean.
    Bool,
    /// `double`.
    Double,
    /// `int64`, in JSON as text.
    Int64,
    /// `uint64`, in JSON as text.
    Uint64,
    /// `fixed64`, in JSON as text.
    Fixed64,
    /// `sfixed64`, in JSON as text.
    Sfixed64,
    /// `int32`.
    Int32,
    /// `uint32`.
    Uint32,
    /// `sint32` in zigzag form.
    Sint32,
    /// `fixed32`.
    Fixed32,
}

impl FieldType {
    /// Describes a field that comes at most once.
    pub(crate) const fn one(
        number: u32,
        name: &'static str,
        json_name: &'static str,
        kind: Kind,
    ) -> Self {
        FieldType { number, name, json_name, kind, repeated: false }
    }

    /// Describes a repeated field.
    pub(crate) const fn many(
        number: u32,
        name: &'static str,
        json_name: &'static str,
        kind: Kind,
    ) -> Self {
        FieldType { number, name, json_name, kind, repeated: true }
    }
}

impl Message {
    /// The field with a number.
    #[must_use]
    pub fn field(&self, number: u32) -> Option<&'static FieldType> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// The path of the field that an error points at, e.g. `resource_spans[0].resource`.
    /// Empty for the message itself; as far as it can be followed in damaged bytes.
    #[must_use]
    pub fn path_to(&'static self, bytes: &[u8], error: &Error) -> String {
        let mut path = String::new();
        let mut message = self;
        let mut reader = Reader::new(bytes);
        loop {
            if let ErrorKind::Missing(field) = error.kind
                && reader.position() == error.offset
            {
                push_name(&mut path, field);
                return path;
            }
            match step(message, reader, error, &mut path) {
                Some((inner, inner_reader)) => (message, reader) = (inner, inner_reader),
                None => return path,
            }
        }
    }
}

/// Appends the field of `message` that the error points at; gives the message inside it,
/// if the error lies deeper.
fn step<'a>(
    message: &'static Message,
    start: Reader<'a>,
    error: &Error,
    path: &mut String,
) -> Option<(&'static Message, Reader<'a>)> {
    // A message that lacks a field may be empty and end where all the others around it end.
    let missing = usize::from(matches!(error.kind, ErrorKind::Missing(_)));
    let mut reader = start;
    let field = loop {
        let field = reader.next_field().ok()??;
        if error.offset < reader.position() + missing {
            break field;
        }
    };
    let Some(described) = message.field(field.number) else {
        push_name(path, &format!("field {}", field.number));
        return None;
    };
    push_name(path, described.name);
    if described.repeated && matches!(described.kind, Kind::Message(_) | Kind::Str) {
        let _ = write!(path, "[{}]", occurrences(start, field.number, field.at));
    }
    let Kind::Message(inner) = described.kind else { return None };
    let inner_reader = field.reader().ok()?;
    (inner_reader.position() <= error.offset).then(|| (inner(), inner_reader))
}

/// How many fields of a number come before an offset.
fn occurrences(mut reader: Reader<'_>, number: u32, before: usize) -> usize {
    let mut count = 0;
    while let Ok(Some(field)) = reader.next_field() {
        if field.at >= before {
            break;
        }
        count += usize::from(field.number == number);
    }
    count
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}
