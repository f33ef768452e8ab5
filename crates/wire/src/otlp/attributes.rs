//! Values of any type, and attributes made of them.

use std::fmt;

use std::fmt::Write as _;

use crate::protobuf::{Decode, Error, ErrorKind, Field, Reader, Repeated, Result, Writer};
use crate::{base64, json};

/// A value of any type. Lists and maps are decoded as they are iterated.
#[derive(Clone, Copy, Debug, Default)]
pub enum AnyValue<'a> {
    /// Nothing set.
    #[default]
    Empty,
    /// Text.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list.
    Array(Repeated<'a, AnyValue<'a>>),
    /// Pairs in the order they came.
    Map(Repeated<'a, KeyValue<'a>>),
}

impl<'a> Decode<'a> for AnyValue<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        // The value is a `oneof`: of several, the last one counts.
        let mut value = AnyValue::Empty;
        while let Some(field) = reader.next_field()? {
            value = match field.number {
                1 => AnyValue::Str(field.str()?),
                2 => AnyValue::Bool(field.bool()?),
                3 => AnyValue::Int(field.i64()?),
                4 => AnyValue::Double(field.double()?),
                5 if matches!(value, AnyValue::Array(_)) => return Err(twice(&field)),
                5 => AnyValue::Array(field.message::<List<'a, AnyValue<'a>>>()?.0),
                6 if matches!(value, AnyValue::Map(_)) => return Err(twice(&field)),
                6 => AnyValue::Map(field.message::<List<'a, KeyValue<'a>>>()?.0),
                7 => AnyValue::Bytes(field.bytes()?),
                _ => value,
            };
        }
        Ok(value)
    }
}

impl AnyValue<'_> {
    /// Appends it as the JSON that people expect: numbers are numbers, bytes are base64, what
    /// JSON has no number for is text.
    ///
    /// # Errors
    /// A list or map in it is damaged.
    pub fn write_json(&self, out: &mut String) -> Result<()> {
        // Writing to a string can not fail.
        let _ = match self {
            AnyValue::Empty => write!(out, "null"),
            AnyValue::Str(value) => {
                json::write_string(value, out);
                Ok(())
            }
            AnyValue::Bool(value) => write!(out, "{value}"),
            AnyValue::Int(value) => write!(out, "{value}"),
            AnyValue::Double(value) if value.is_finite() => write!(out, "{value:?}"),
            AnyValue::Double(value) => write!(out, "\"{value}\""),
            AnyValue::Bytes(value) => {
                out.push('"');
                base64::encode_into(value, out);
                out.push('"');
                Ok(())
            }
            AnyValue::Array(values) => {
                for (i, value) in values.iter().enumerate() {
                    out.push(if i == 0 { '[' } else { ',' });
                    value?.write_json(out)?;
                }
                out.push_str(if values.is_empty() { "[]" } else { "]" });
                Ok(())
            }
            AnyValue::Map(pairs) => {
                for (i, pair) in pairs.iter().enumerate() {
                    let pair = pair?;
                    out.push(if i == 0 { '{' } else { ',' });
                    json::write_string(pair.key, out);
                    out.push(':');
                    pair.value.write_json(out)?;
                }
                out.push_str(if pairs.is_empty() { "{}" } else { "}" });
                Ok(())
            }
        };
        Ok(())
    }
}

#[cold]
fn twice(field: &Field<'_>) -> Error {
    field.error(ErrorKind::Duplicate)
}

/// `ArrayValue` and `KeyValueList`: messages with one repeated field.
struct List<'a, T>(Repeated<'a, T>);

impl<'a, T: Decode<'a>> Decode<'a> for List<'a, T> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut values = Repeated::default();
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                values.push(&field, &reader)?;
            }
        }
        Ok(List(values))
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyValue<'a> {
    /// The key, e.g. `http.request.method`.
    pub key: &'a str,
    /// The value.
    pub value: AnyValue<'a>,
}

impl<'a> Decode<'a> for KeyValue<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut key = "";
        let mut value = None;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => key = field.str()?,
                2 => field.set_message(&mut value)?,
                _ => {}
            }
        }
        Ok(KeyValue { key, value: value.unwrap_or_default() })
    }
}

/// Attributes of anything.
pub type Attributes<'a> = Repeated<'a, KeyValue<'a>>;

/// Writes one `AnyValue`. One call of one method makes the value; none leaves it empty.
#[derive(Debug)]
pub struct ValueWriter<'w>(pub &'w mut Writer);

impl ValueWriter<'_> {
    /// Text.
    pub fn str(&mut self, value: &str) {
        self.0.str(1, value);
    }

    /// Text, formatted in place and cut at a character where it would be longer than
    /// `bytes_max`. Answers whether it was cut.
    pub fn format(&mut self, text: fmt::Arguments<'_>, bytes_max: usize) -> bool {
        self.0.format(1, text, bytes_max)
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        self.0.bool(2, value);
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        self.0.int(3, value);
    }

    /// A double.
    pub fn double(&mut self, value: f64) {
        self.0.double(4, value);
    }

    /// Bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.0.bytes(7, value);
    }

    /// A list.
    pub fn array(&mut self, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        self.0.message(5, |w| fill(&mut ArrayWriter(w)));
    }

    /// Pairs.
    pub fn map(&mut self, fill: impl FnOnce(&mut MapWriter<'_>)) {
        self.0.message(6, |w| fill(&mut MapWriter(w)));
    }

    /// A value that was read, written again.
    ///
    /// # Errors
    /// A list or map in it is damaged.
    pub fn copy(&mut self, value: &AnyValue<'_>) -> Result<()> {
        match value {
            AnyValue::Empty => {}
            AnyValue::Str(v) => self.str(v),
            AnyValue::Bool(v) => self.bool(*v),
            AnyValue::Int(v) => self.int(*v),
            AnyValue::Double(v) => self.double(*v),
            AnyValue::Bytes(v) => self.bytes(v),
            AnyValue::Array(values) => {
                let open = self.0.open(5);
                for value in values {
                    let value = value?;
                    let inner = self.0.open(1);
                    self.copy(&value)?;
                    self.0.close(inner);
                }
                self.0.close(open);
            }
            AnyValue::Map(pairs) => {
                let open = self.0.open(6);
                for pair in pairs {
                    let pair = pair?;
                    let inner = self.0.open(1);
                    self.0.str_if_any(1, pair.key);
                    let value = self.0.open(2);
                    self.copy(&pair.value)?;
                    self.0.close(value);
                    self.0.close(inner);
                }
                self.0.close(open);
            }
        }
        Ok(())
    }
}

/// Writes the items of a list.
#[derive(Debug)]
pub struct ArrayWriter<'w>(pub &'w mut Writer);

impl ArrayWriter<'_> {
    /// Adds an item.
    pub fn item(&mut self, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ValueWriter(w)));
    }
}

/// Writes the pairs of a map.
#[derive(Debug)]
pub struct MapWriter<'w>(pub &'w mut Writer);

impl MapWriter<'_> {
    /// Adds a pair.
    pub fn pair(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 1, key, fill);
    }
}

/// Writes the body of a log record, or another lone value, as field `field`.
pub(crate) fn write_value(w: &mut Writer, field: u32, fill: impl FnOnce(&mut ValueWriter<'_>)) {
    w.message(field, |w| fill(&mut ValueWriter(w)));
}

/// Writes one attribute as field `field`.
pub(crate) fn write_attribute(
    w: &mut Writer,
    field: u32,
    key: &str,
    fill: impl FnOnce(&mut ValueWriter<'_>),
) {
    w.message(field, |w| {
        w.str(1, key);
        w.message(2, |w| fill(&mut ValueWriter(w)));
    });
}
