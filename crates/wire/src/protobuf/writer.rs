use std::fmt;

/// Fields below this one have a tag of one byte.
const ONE_BYTE_FIELDS: u32 = 16;

/// Writes one message after the other into a growing byte string.
///
/// Fields that hold their default are left out by the callers where proto3 says so; a
/// writer writes what it is told.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Writer::default()
    }

    /// A writer that goes on behind bytes that are already there.
    #[must_use]
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Writer { bytes }
    }

    /// What was written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Number of bytes written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True if nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// `uint32`, `uint64`, `bool` and enums of positive numbers.
    pub fn varint(&mut self, field: u32, value: u64) {
        self.tag(field, 0);
        self.raw_varint(value);
    }

    /// `int64`, and `int32` and enums after sign extension.
    pub fn int(&mut self, field: u32, value: i64) {
        self.varint(field, value.cast_unsigned());
    }

    /// `sint32` and `sint64`.
    pub fn sint(&mut self, field: u32, value: i64) {
        self.varint(field, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// `bool`.
    pub fn bool(&mut self, field: u32, value: bool) {
        self.varint(field, u64::from(value));
    }

    /// `fixed64`.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, 1);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `fixed32`.
    pub fn fixed32(&mut self, field: u32, value: u32) {
        self.tag(field, 5);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `double`.
    pub fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// `bytes`.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.head(field, value.len());
        self.bytes.extend_from_slice(value);
    }

    /// What stands before `bytes` or a message of so many bytes, which the caller writes next.
    pub fn head(&mut self, field: u32, length: usize) {
        if field < ONE_BYTE_FIELDS && length < 0x80 {
            self.bytes.extend_from_slice(&[(field << 3 | 2) as u8, length as u8]);
        } else {
            self.tag(field, 2);
            self.raw_varint(length as u64);
        }
    }

    /// `string`.
    pub fn str(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// `string`, formatted in place and cut at a character where it would be longer than
    /// `bytes_max`. Answers whether it was cut. What a failing formatter wrote stays.
    pub fn format(&mut self, field: u32, text: fmt::Arguments<'_>, bytes_max: usize) -> bool {
        if let Some(text) = text.as_str()
            && text.len() <= bytes_max
        {
            self.str(field, text);
            return false;
        }
        let open = self.open(field);
        let mut bounded = Bounded { bytes: &mut self.bytes, left: bytes_max, cut: false };
        // The error is the formatter's own, or ours to make it stop at the limit.
        let _ = fmt::write(&mut bounded, text);
        let cut = bounded.cut;
        self.close(open);
        cut
    }

    /// `string`, left out if empty.
    pub fn str_if_any(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.str(field, value);
        }
    }

    /// `uint32`, left out if zero.
    pub fn varint_if_any(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.varint(field, value);
        }
    }

    /// `fixed64`, left out if zero.
    pub fn fixed64_if_any(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.fixed64(field, value);
        }
    }

    /// `repeated fixed64` in packed form, left out if empty.
    pub fn packed_fixed64(&mut self, field: u32, values: &[u64]) {
        self.packed(field, values, |w, value| w.bytes.extend_from_slice(&value.to_le_bytes()));
    }

    /// `repeated double` in packed form, left out if empty.
    pub fn packed_double(&mut self, field: u32, values: &[f64]) {
        self.packed(field, values, |w, value| w.bytes.extend_from_slice(&value.to_le_bytes()));
    }

    /// `repeated uint64` in packed form, left out if empty.
    pub fn packed_varint(&mut self, field: u32, values: &[u64]) {
        self.packed(field, values, Writer::raw_varint);
    }

    /// Fields that are encoded already.
    pub fn encoded(&mut self, fields: &[u8]) {
        self.bytes.extend_from_slice(fields);
    }

    /// A message, written by `fill`.
    pub fn message(&mut self, field: u32, fill: impl FnOnce(&mut Writer)) {
        let open = self.open(field);
        fill(self);
        self.close(open);
    }

    /// Begins a message whose length is not known yet. To be closed with [`Writer::close`]
    /// in reverse order of opening.
    pub fn open(&mut self, field: u32) -> Open {
        if field < ONE_BYTE_FIELDS {
            self.bytes.extend_from_slice(&[(field << 3 | 2) as u8, 0]);
        } else {
            self.tag(field, 2);
            self.bytes.push(0);
        }
        Open(self.bytes.len())
    }

    /// Ends a message: puts its length in front of it.
    pub fn close(&mut self, open: Open) {
        let Open(start) = open;
        let length = self.bytes.len() - start;
        if length < 0x80 {
            self.bytes[start - 1] = length as u8;
            return;
        }
        // One byte was kept for the length: enough for most attributes and events. What is
        // longer moves up, which costs less than measuring everything twice.
        let width = varint_len(length as u64);
        self.bytes.resize(self.bytes.len() + width - 1, 0);
        self.bytes.copy_within(start..start + length, start + width - 1);
        let mut rest = length as u64;
        for byte in &mut self.bytes[start - 1..start - 1 + width] {
            *byte = (rest & 0x7f) as u8 | 0x80;
            rest >>= 7;
        }
        self.bytes[start + width - 2] &= 0x7f;
    }

    fn packed<T: Copy>(&mut self, field: u32, values: &[T], put: impl Fn(&mut Writer, T)) {
        if values.is_empty() {
            return;
        }
        self.message(field, |w| values.iter().for_each(|&value| put(w, value)));
    }

    /// Eight bare bytes, within a packed field.
    pub(crate) fn raw_fixed64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn tag(&mut self, field: u32, wire_type: u64) {
        self.raw_varint(u64::from(field) << 3 | wire_type);
    }

    /// A bare varint, within a packed field.
    pub(crate) fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// Text that may not grow beyond a limit.
struct Bounded<'b> {
    bytes: &'b mut Vec<u8>,
    left: usize,
    cut: bool,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.left {
            self.left -= text.len();
            self.bytes.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let end = text.floor_char_boundary(self.left);
        self.bytes.extend_from_slice(&text.as_bytes()[..end]);
        (self.left, self.cut) = (0, true);
        Err(fmt::Error)
    }
}

/// A message that is being written; says where it began.
#[derive(Debug)]
#[must_use]
pub struct Open(usize);

/// Bytes that a number takes as a varint.
fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}
