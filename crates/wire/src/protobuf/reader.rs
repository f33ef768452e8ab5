use std::fmt;

use super::error::{Error, ErrorKind, Result};
use super::{Decode, NESTING_MAX};

/// Highest field number that protobuf allows.
const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;

/// Walks the fields of one message.
///
/// The slice always begins at the start of the *outermost* message and ends at the end of
/// this one, so that every position is an offset that can be told to the sender.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    data: &'a [u8],
    position: usize,
    depth: u8,
}

impl<'a> Reader<'a> {
    /// A reader of nothing.
    pub(super) const EMPTY: Reader<'static> = Reader { data: &[], position: 0, depth: 0 };

    /// A reader of an outermost message.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Reader { data, position: 0, depth: 0 }
    }

    /// The next field, or `None` at the end of the message.
    ///
    /// # Errors
    /// The bytes are damaged.
    // Inlined, the field stays in registers; as a call it goes through memory, which
    // doubles the time to walk a span.
    #[inline(always)]
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>> {
        if self.position >= self.data.len() {
            return Ok(None);
        }
        let at = self.position;
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > FIELD_NUMBER_MAX {
            return Err(Error::new(ErrorKind::FieldNumber, at));
        }
        let value = match (tag & 7) as u8 {
            0 => Value::Varint(self.varint_of(at)?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array(at)?)),
            2 => Value::Bytes(self.length_delimited(at)?),
            5 => Value::Fixed32(u32::from_le_bytes(self.array(at)?)),
            other => return Err(Error::new(ErrorKind::UnknownWireType(other), at)),
        };
        Ok(Some(Field { number: number as u32, at, value }))
    }

    /// Offset of the next byte to read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// True if nothing is left to read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.position >= self.data.len()
    }

    /// The bytes not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.data.get(self.position..).unwrap_or_default()
    }

    /// A reader for the fields from `start` to `end`, both offsets within this message.
    pub(super) fn window(&self, start: usize, end: usize) -> Reader<'a> {
        let data = self.data.get(..end).unwrap_or(self.data);
        Reader { data, position: start, depth: self.depth }
    }

    /// Reads a bare varint, as packed fields have them.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64> {
        self.varint_of(self.position)
    }

    /// Reads a varint that belongs to the field at `at`.
    #[inline]
    fn varint_of(&mut self, at: usize) -> Result<u64> {
        match self.data.get(self.position) {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(at),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self, at: usize) -> Result<u64> {
        let mut value = 0u64;
        for (i, &byte) in self.rest().iter().take(10).enumerate() {
            // The tenth byte holds the 64th bit and nothing else.
            if i == 9 && byte > 1 {
                return Err(Error::new(ErrorKind::VarintTooLong, at));
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.position += i + 1;
                return Ok(value);
            }
        }
        Err(Error::new(ErrorKind::Truncated, at))
    }

    /// Reads exactly `N` bytes that belong to the field at `at`.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self, at: usize) -> Result<[u8; N]> {
        let end = self.position.checked_add(N);
        let bytes = end.and_then(|end| self.data.get(self.position..end));
        match bytes.and_then(|bytes| <[u8; N]>::try_from(bytes).ok()) {
            Some(array) => {
                self.position += N;
                Ok(array)
            }
            None => Err(Error::new(ErrorKind::Truncated, at)),
        }
    }

    #[inline]
    fn length_delimited(&mut self, at: usize) -> Result<Reader<'a>> {
        let length = self.varint_of(at)?;
        let left = self.data.len() - self.position;
        if length > left as u64 {
            return Err(Error::new(ErrorKind::Truncated, at));
        }
        let start = self.position;
        self.position += length as usize;
        let depth = self.depth.saturating_add(1);
        Ok(Reader { data: &self.data[..self.position], position: start, depth })
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({}..{})", self.position, self.data.len())
    }
}

/// One field of a message, not yet interpreted.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The field number.
    pub number: u32,
    /// Offset of the field's tag.
    pub at: usize,
    value: Value<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(Reader<'a>),
    Fixed32(u32),
}

/// The four encodings of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireType {
    /// A variable-length integer, boolean or enum.
    Varint,
    /// Eight bytes.
    Fixed64,
    /// A length and that many bytes: text, bytes, messages, packed numbers.
    Bytes,
    /// Four bytes.
    Fixed32,
}

impl fmt::Display for WireType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WireType::Varint => "varint",
            WireType::Fixed64 => "64-bit field",
            WireType::Bytes => "length-delimited field",
            WireType::Fixed32 => "32-bit field",
        })
    }
}

impl<'a> Field<'a> {
    /// How the field is encoded.
    #[must_use]
    pub fn wire_type(&self) -> WireType {
        match self.value {
            Value::Varint(_) => WireType::Varint,
            Value::Fixed64(_) => WireType::Fixed64,
            Value::Bytes(_) => WireType::Bytes,
            Value::Fixed32(_) => WireType::Fixed32,
        }
    }

    /// An error about this field.
    #[must_use]
    pub fn error(&self, kind: ErrorKind) -> Error {
        Error::new(kind, self.at)
    }

    #[cold]
    fn unexpected(&self, expected: WireType) -> Error {
        self.error(ErrorKind::WireType { expected, got: self.wire_type() })
    }

    /// An unsigned varint: `uint64`, and what other integers are made from.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn u64(&self) -> Result<u64> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.unexpected(WireType::Varint)),
        }
    }

    /// An `int64`.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn i64(&self) -> Result<i64> {
        Ok(self.u64()?.cast_signed())
    }

    /// A `uint32`. Higher bits are cut off, as protobuf asks for.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn u32(&self) -> Result<u32> {
        Ok(self.u64()? as u32)
    }

    /// An `int32` or an enum. Higher bits are cut off, as protobuf asks for.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn i32(&self) -> Result<i32> {
        Ok(self.u64()? as i32)
    }

    /// A `sint32` in zigzag form.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn sint32(&self) -> Result<i32> {
        let value = self.u32()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A `sint64` in zigzag form.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn sint64(&self) -> Result<i64> {
        let value = self.u64()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A `bool`.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn bool(&self) -> Result<bool> {
        Ok(self.u64()? != 0)
    }

    /// A `fixed64`.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn fixed64(&self) -> Result<u64> {
        match self.value {
            Value::Fixed64(value) => Ok(value),
            _ => Err(self.unexpected(WireType::Fixed64)),
        }
    }

    /// A `fixed32`.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn fixed32(&self) -> Result<u32> {
        match self.value {
            Value::Fixed32(value) => Ok(value),
            _ => Err(self.unexpected(WireType::Fixed32)),
        }
    }

    /// A `double`, bit for bit.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn double(&self) -> Result<f64> {
        self.fixed64().map(f64::from_bits)
    }

    /// The content of a length-delimited field.
    ///
    /// # Errors
    /// The field has another wire type.
    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8]> {
        self.delimited().map(|reader| reader.rest())
    }

    /// The content of a `string`.
    ///
    /// # Errors
    /// The field has another wire type or is not UTF-8.
    #[inline]
    pub fn str(&self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.error(ErrorKind::Utf8))
    }

    /// A reader of the message in the field.
    ///
    /// # Errors
    /// The field has another wire type, or messages nest too deep.
    #[inline]
    pub fn reader(&self) -> Result<Reader<'a>> {
        let reader = self.delimited()?;
        if reader.depth > NESTING_MAX {
            return Err(self.error(ErrorKind::Depth));
        }
        Ok(reader)
    }

    /// The message in the field.
    ///
    /// # Errors
    /// As [`Field::reader`] and [`Decode::decode`].
    #[inline]
    pub fn message<T: Decode<'a>>(&self) -> Result<T> {
        T::decode(self.reader()?)
    }

    /// The message in a field that may come only once. Protobuf would merge two of them;
    /// no sender does that, so it is refused rather than answered wrongly.
    ///
    /// # Errors
    /// As [`Field::message`], or the field came before.
    #[inline]
    pub fn set_message<T: Decode<'a>>(&self, into: &mut Option<T>) -> Result<()> {
        if into.is_some() {
            return Err(self.error(ErrorKind::Duplicate));
        }
        *into = Some(self.message()?);
        Ok(())
    }

    #[inline]
    pub(super) fn delimited(&self) -> Result<Reader<'a>> {
        match self.value {
            Value::Bytes(reader) => Ok(reader),
            _ => Err(self.unexpected(WireType::Bytes)),
        }
    }

    /// Bits of a number in any wire type, `None` for a length-delimited field.
    #[inline]
    pub(super) fn number_bits(&self) -> Option<(WireType, u64)> {
        match self.value {
            Value::Varint(v) => Some((WireType::Varint, v)),
            Value::Fixed64(v) => Some((WireType::Fixed64, v)),
            Value::Fixed32(v) => Some((WireType::Fixed32, u64::from(v))),
            Value::Bytes(_) => None,
        }
    }
}
