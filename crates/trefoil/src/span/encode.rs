//! Attributes, events and spans as OTLP's bytes, appended to a buffer.
//!
//! Source: `opentelemetry/proto/trace/v1/trace.proto` and `common/v1/common.proto`. The
//! lengths of texts and numbers are known before they are written, so nothing moves but the
//! text of a long `Debug` value.

use std::fmt;

use trefoil_wire::otlp::ValueWriter;
use trefoil_wire::protobuf::Writer;

use crate::value::Value;

/// Field of `Span`: an attribute.
pub(crate) const SPAN_ATTRIBUTE: u8 = 9;
/// Field of `Span.Event`: an attribute.
pub(crate) const EVENT_ATTRIBUTE: u8 = 3;
/// Field of `Span.Link`: an attribute.
pub(crate) const LINK_ATTRIBUTE: u8 = 4;

/// Wire type of what has a length.
const LENGTH: u8 = 2;

/// The tag of field `field`, which is below 16.
#[inline]
pub(super) const fn tag(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

/// Bytes that a number takes as a varint.
#[inline]
pub(super) fn varint_len(value: usize) -> usize {
    if value < 0x80 { 1 } else { (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize }
}

#[inline]
pub(super) fn varint(buf: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buf.push(value as u8 | 0x80);
        value >>= 7;
    }
    buf.push(value as u8);
}

/// Appends the parts one after the other: there is one question whether there is room.
#[inline]
#[allow(unsafe_code)]
pub(super) fn put<const N: usize>(buf: &mut Vec<u8>, parts: [&[u8]; N]) {
    let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    buf.reserve(length);
    let start = buf.len();
    // SAFETY: `reserve` made room for `length` bytes behind the first `start` (it panics if
    // the sum was too large for one), the parts are that long together and are borrowed, so
    // they do not lie in `buf`; all `length` bytes are written before they count as such.
    unsafe {
        let mut at = buf.as_mut_ptr().add(start);
        for part in parts {
            std::ptr::copy_nonoverlapping(part.as_ptr(), at, part.len());
            at = at.add(part.len());
        }
        buf.set_len(start + length);
    }
}

/// Field `field`, below 16, with a text or bytes.
#[inline]
pub(super) fn bytes(buf: &mut Vec<u8>, field: u8, value: &[u8]) {
    if value.len() < 0x80 {
        put(buf, [&[tag(field, LENGTH), value.len() as u8], value]);
    } else {
        buf.push(tag(field, LENGTH));
        varint(buf, value.len() as u64);
        buf.extend_from_slice(value);
    }
}

/// Field `field`, below 16, with eight bytes.
#[inline]
pub(super) fn fixed64(buf: &mut Vec<u8>, field: u8, value: u64) {
    let mut bytes = [tag(field, 1); 9];
    bytes[1..].copy_from_slice(&value.to_le_bytes());
    buf.extend_from_slice(&bytes);
}

/// A `KeyValue` as field `field` whose `AnyValue` consists of these bytes.
#[inline]
fn pair(buf: &mut Vec<u8>, field: u8, key: &str, value: &[u8]) {
    let length = key.len() + value.len() + 4;
    if length < 0x80 {
        // So are all other lengths: one byte each, and nothing has to be found out.
        let head = [tag(field, LENGTH), length as u8, tag(1, LENGTH), key.len() as u8];
        put(buf, [&head, key.as_bytes(), &[tag(2, LENGTH), value.len() as u8], value]);
    } else {
        long_key(buf, field, key, value.len());
        buf.extend_from_slice(value);
    }
}

/// Begins a `KeyValue` as field `field` whose `AnyValue` takes `value_len` bytes.
#[inline(never)]
fn long_key(buf: &mut Vec<u8>, field: u8, key: &str, value_len: usize) {
    let length = 1 + varint_len(key.len()) + key.len() + 1 + varint_len(value_len) + value_len;
    buf.reserve(length + 8);
    buf.push(tag(field, LENGTH));
    varint(buf, length as u64);
    bytes(buf, 1, key.as_bytes());
    buf.push(tag(2, LENGTH));
    varint(buf, value_len as u64);
}

/// An attribute that is a text.
#[inline]
pub(crate) fn attribute_str(buf: &mut Vec<u8>, field: u8, name: &str, value: &str) {
    let (key_len, value_len) = (name.len(), value.len());
    let length = key_len + value_len + 6;
    if length < 0x80 {
        let head = [tag(field, LENGTH), length as u8, tag(1, LENGTH), key_len as u8];
        let middle = [tag(2, LENGTH), value_len as u8 + 2, tag(1, LENGTH), value_len as u8];
        put(buf, [&head, name.as_bytes(), &middle, value.as_bytes()]);
    } else {
        long_key(buf, field, name, 1 + varint_len(value_len) + value_len);
        bytes(buf, 1, value.as_bytes());
    }
}

/// The body of a log record, field 5: a text of so many bytes, which `fill` appends.
pub(crate) fn text_body(buf: &mut Vec<u8>, length: usize, fill: impl FnOnce(&mut Vec<u8>)) {
    buf.push(tag(5, LENGTH));
    varint(buf, (1 + varint_len(length) + length) as u64);
    buf.push(tag(1, LENGTH));
    varint(buf, length as u64);
    fill(buf);
}

/// An attribute that is a boolean.
#[inline]
pub(crate) fn attribute_bool(buf: &mut Vec<u8>, field: u8, name: &str, value: bool) {
    pair(buf, field, name, &[tag(2, 0), u8::from(value)]);
}

/// An attribute that is an integer.
#[inline]
pub(crate) fn attribute_int(buf: &mut Vec<u8>, field: u8, name: &str, value: i64) {
    match value {
        0..0x80 => pair(buf, field, name, &[tag(3, 0), value as u8]),
        0x80..0x4000 => {
            pair(buf, field, name, &[tag(3, 0), value as u8 | 0x80, (value >> 7) as u8]);
        }
        _ => attribute_long_int(buf, field, name, value),
    }
}

#[inline(never)]
fn attribute_long_int(buf: &mut Vec<u8>, field: u8, name: &str, value: i64) {
    let mut rest = value.cast_unsigned();
    // The tag and at most ten bytes.
    let mut encoded = [tag(3, 0); 11];
    let mut length = 1;
    while rest >= 0x80 {
        encoded[length] = rest as u8 | 0x80;
        rest >>= 7;
        length += 1;
    }
    encoded[length] = rest as u8;
    pair(buf, field, name, &encoded[..=length]);
}

/// An attribute that is a double.
#[inline]
pub(crate) fn attribute_double(buf: &mut Vec<u8>, field: u8, name: &str, value: f64) {
    let mut encoded = [tag(4, 1); 9];
    encoded[1..].copy_from_slice(&value.to_bits().to_le_bytes());
    pair(buf, field, name, &encoded);
}

/// An attribute that is the text of `value`, of which `limit` bytes are kept. Returns where
/// the text lies.
pub(crate) fn attribute_text(
    buf: &mut Vec<u8>,
    field: u8,
    name: &str,
    value: fmt::Arguments<'_>,
    limit: Option<usize>,
) -> std::ops::Range<usize> {
    let start = buf.len();
    // Room for the head of a short text; what is longer moves up.
    let short = start + head_len(name, 0);
    buf.resize(short, 0);
    let mut cut = Cut { buf, left: limit.unwrap_or(usize::MAX) };
    // An implementation of `Debug` that fails leaves what it wrote so far.
    let _ = fmt::write(&mut cut, value);
    let length = buf.len() - short;
    let text = start + head_len(name, length);
    if text != short {
        buf.resize(text + length, 0);
        buf.copy_within(short..short + length, text);
    }
    // The head is written behind the text and copied before it.
    let end = buf.len();
    long_key(buf, field, name, 1 + varint_len(length) + length);
    buf.push(tag(1, LENGTH));
    varint(buf, length as u64);
    buf.copy_within(end.., start);
    buf.truncate(end);
    text..end
}

/// Bytes before the text of an attribute.
fn head_len(name: &str, text: usize) -> usize {
    let any = 1 + varint_len(text) + text;
    let pair = 1 + varint_len(name.len()) + name.len() + 1 + varint_len(any) + any;
    1 + varint_len(pair) + pair - text
}

/// An attribute that is any value.
pub(crate) fn attribute_value(
    buf: &mut Vec<u8>,
    field: u8,
    name: &str,
    value: &Value,
    limit: Option<usize>,
) {
    match value {
        Value::Str(value) => attribute_str(buf, field, name, cut(value, limit)),
        Value::Bool(value) => attribute_bool(buf, field, name, *value),
        Value::Int(value) => attribute_int(buf, field, name, *value),
        Value::Double(value) => attribute_double(buf, field, name, *value),
        Value::Array(_) => {
            let mut w = Writer::new();
            value.write(&mut ValueWriter(&mut w));
            pair(buf, field, name, w.as_bytes());
        }
    }
}

/// The first bytes of a text, up to the end of a character.
#[inline]
pub(crate) fn cut(text: &str, limit: Option<usize>) -> &str {
    match limit {
        Some(limit) if text.len() > limit => &text[..text.floor_char_boundary(limit)],
        _ => text,
    }
}

/// Appends text until there is enough of it.
struct Cut<'a> {
    buf: &'a mut Vec<u8>,
    left: usize,
}

impl fmt::Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, Some(self.left));
        self.buf.extend_from_slice(kept.as_bytes());
        // After a cut nothing more fits, not even a shorter character.
        self.left = if kept.len() < text.len() { 0 } else { self.left - kept.len() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_all_lengths_arrive_and_nothing_beside_them_changes() {
        let text: Vec<u8> = (0..200).collect();
        for length in 0..text.len() {
            for before in 0..3 {
                let mut buf = vec![0xaa; before];
                put(&mut buf, [&[1, 2, 3], &text[..length], &[4, 5], &text[..length / 2]]);
                let mut expect = vec![0xaa; before];
                expect.extend([1, 2, 3]);
                expect.extend(&text[..length]);
                expect.extend([4, 5]);
                expect.extend(&text[..length / 2]);
                assert_eq!(buf, expect, "{length} bytes behind {before}");
            }
        }
    }
}
