//! Loki's push API: protobuf in a snappy block, and JSON.
//!
//! Source: "Loki HTTP API", `POST /loki/api/v1/push`, and `pkg/push/push.proto`.
//! JSON becomes protobuf, so that one path follows.

mod json;
mod labels;

pub use json::to_protobuf;
pub use labels::{LABELS_MAX, LabelError, parse_labels};

use crate::protobuf::schema::FieldType as F;
use crate::protobuf::schema::Kind::{Int32, Int64, Message as M, Str};
use crate::protobuf::schema::Message;
use crate::protobuf::{Decode, Reader, Repeated, Result};

#[cfg(test)]
mod tests;

/// `logproto.PushRequest`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PushRequest<'a> {
    /// Entries by stream.
    pub streams: Repeated<'a, Stream<'a>>,
}

impl<'a> PushRequest<'a> {
    /// Reads the outermost fields of a request.
    ///
    /// # Errors
    /// The outermost fields are damaged.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        Self::decode(Reader::new(bytes))
    }
}

impl<'a> Decode<'a> for PushRequest<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut request = PushRequest::default();
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                request.streams.push(&field, &reader)?;
            }
        }
        Ok(request)
    }
}

/// Entries of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream<'a> {
    /// The labels as a selector writes them, e.g. `{app="shop", level="info"}`; see
    /// [`parse_labels`].
    pub labels: &'a str,
    /// The entries.
    pub entries: Repeated<'a, Entry<'a>>,
}

impl<'a> Decode<'a> for Stream<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut stream = Stream::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => stream.labels = field.str()?,
                2 => stream.entries.push(&field, &reader)?,
                _ => {}
            }
        }
        Ok(stream)
    }
}

/// One log line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    timestamp: Timestamp,
    /// The line.
    pub line: &'a str,
    /// Labels of this line alone.
    pub structured_metadata: Repeated<'a, LabelPair<'a>>,
}

impl Entry<'_> {
    /// Unix nanoseconds; `None` if they do not fit into 64 bits.
    #[inline]
    #[must_use]
    pub fn time_unix_nano(&self) -> Option<i64> {
        let Timestamp { seconds, nanos } = self.timestamp;
        seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(nanos))
    }
}

impl<'a> Decode<'a> for Entry<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut entry = Entry::default();
        let mut timestamp = None;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => field.set_message(&mut timestamp)?,
                2 => entry.line = field.str()?,
                3 => entry.structured_metadata.push(&field, &reader)?,
                _ => {}
            }
        }
        entry.timestamp = timestamp.unwrap_or_default();
        Ok(entry)
    }
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, Debug, Default)]
struct Timestamp {
    seconds: i64,
    nanos: i32,
}

impl Decode<'_> for Timestamp {
    #[inline]
    fn decode(mut reader: Reader<'_>) -> Result<Self> {
        let mut timestamp = Timestamp::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => timestamp.seconds = field.i64()?,
                2 => timestamp.nanos = field.i32()?,
                _ => {}
            }
        }
        Ok(timestamp)
    }
}

/// One label of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelPair<'a> {
    /// Name.
    pub name: &'a str,
    /// Value.
    pub value: &'a str,
}

impl<'a> Decode<'a> for LabelPair<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut pair = LabelPair::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => pair.name = field.str()?,
                2 => pair.value = field.str()?,
                _ => {}
            }
        }
        Ok(pair)
    }
}

/// `logproto.PushRequest`, for the paths in errors.
pub static PUSH_REQUEST: Message =
    Message { name: "PushRequest", fields: &[F::many(1, "streams", "streams", M(|| &STREAM))] };

static STREAM: Message = Message {
    name: "Stream",
    fields: &[F::one(1, "labels", "labels", Str), F::many(2, "entries", "entries", M(|| &ENTRY))],
};

static ENTRY: Message = Message {
    name: "Entry",
    fields: &[
        F::one(1, "timestamp", "timestamp", M(|| &TIMESTAMP)),
        F::one(2, "line", "line", Str),
        F::many(3, "structured_metadata", "structuredMetadata", M(|| &LABEL_PAIR)),
    ],
};

static TIMESTAMP: Message = Message {
    name: "Timestamp",
    fields: &[F::one(1, "seconds", "seconds", Int64), F::one(2, "nanos", "nanos", Int32)],
};

static LABEL_PAIR: Message = Message {
    name: "LabelPair",
    fields: &[F::one(1, "name", "name", Str), F::one(2, "value", "value", Str)],
};
