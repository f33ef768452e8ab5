use std::fmt;
use std::marker::PhantomData;

use super::Decode;
use super::error::{ErrorKind, Result};
use super::reader::{Field, Reader, WireType};

/// Where the occurrences of one repeated field lie: from the first to the last.
#[derive(Clone, Copy)]
struct Range<'a> {
    reader: Reader<'a>,
    number: u32,
    count: u32,
}

impl<'a> Range<'a> {
    const EMPTY: Self = Range { reader: Reader::EMPTY, number: 0, count: 0 };

    #[inline]
    fn push(&mut self, field: &Field<'a>, message: &Reader<'a>) {
        let start = if self.count == 0 { field.at } else { self.reader.position() };
        *self = Range {
            reader: message.window(start, message.position()),
            number: field.number,
            count: self.count.saturating_add(1),
        };
    }

    /// The next occurrence; other fields between them are passed over.
    #[inline]
    fn next(&mut self) -> Result<Option<Field<'a>>> {
        while let Some(field) = self.reader.next_field()? {
            if field.number == self.number {
                return Ok(Some(field));
            }
        }
        Ok(None)
    }

    /// The bytes of each occurrence, not looked into. An error ends it with bytes that no
    /// other field has.
    fn each_bytes(mut self, mut each: impl FnMut(&[u8])) {
        loop {
            match self.next() {
                Ok(Some(field)) => match (field.delimited(), field.number_bits()) {
                    (Ok(bytes), _) => each(bytes.rest()),
                    (Err(_), Some((_, bits))) => each(&bits.to_le_bytes()),
                    (Err(_), None) => each(b"\xff"),
                },
                Ok(None) => break,
                Err(error) => {
                    each(format!("{error:?}").as_bytes());
                    break;
                }
            }
        }
    }
}

/// The messages of a repeated field, decoded as they are iterated.
pub struct Repeated<'a, T> {
    range: Range<'a>,
    of: PhantomData<T>,
}

// Derived, these would ask it of `T` too.
impl<T> Copy for Repeated<'_, T> {}

impl<T> Clone for Repeated<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Default for Repeated<'_, T> {
    fn default() -> Self {
        Repeated { range: Range::EMPTY, of: PhantomData }
    }
}

impl<T> fmt::Debug for Repeated<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repeated({} × field {})", self.range.count, self.range.number)
    }
}

impl<'a, T: Decode<'a>> Repeated<'a, T> {
    /// Notes an occurrence that `message` has just read.
    ///
    /// # Errors
    /// The field is not length-delimited.
    #[inline]
    pub(crate) fn push(&mut self, field: &Field<'a>, message: &Reader<'a>) -> Result<()> {
        field.delimited()?;
        self.range.push(field, message);
        Ok(())
    }

    /// Number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.count as usize
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.count == 0
    }

    /// Calls `each` with the undecoded bytes of every message: whoever has seen the same
    /// bytes before need not decode them again.
    pub fn each_bytes(&self, each: impl FnMut(&[u8])) {
        self.range.each_bytes(each);
    }

    /// Decodes one after the other.
    #[must_use]
    pub fn iter(&self) -> RepeatedIter<'a, T> {
        RepeatedIter { range: self.range, of: PhantomData }
    }
}

impl<'a, T: Decode<'a>> IntoIterator for Repeated<'a, T> {
    type Item = Result<T>;
    type IntoIter = RepeatedIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T: Decode<'a>> IntoIterator for &Repeated<'a, T> {
    type Item = Result<T>;
    type IntoIter = RepeatedIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator of [`Repeated`]. After a message with an error it goes on with the next one.
#[derive(Clone)]
pub struct RepeatedIter<'a, T> {
    range: Range<'a>,
    of: PhantomData<T>,
}

impl<T> fmt::Debug for RepeatedIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepeatedIter({:?})", self.range.reader)
    }
}

impl<'a, T: Decode<'a>> Iterator for RepeatedIter<'a, T> {
    type Item = Result<T>;

    #[inline]
    fn next(&mut self) -> Option<Result<T>> {
        match self.range.next() {
            Ok(field) => field.map(|field| field.message()),
            Err(error) => {
                self.range = Range::EMPTY;
                Some(Err(error))
            }
        }
    }
}

/// A kind of number that a repeated field can hold.
pub trait Scalar: Copy {
    /// The number in Rust.
    type Item;
    /// How it is encoded.
    const WIRE_TYPE: WireType;
    /// Makes it from the bits on the wire.
    fn from_bits(bits: u64) -> Self::Item;
}

/// `repeated fixed64`.
#[derive(Clone, Copy, Debug)]
pub enum Fixed64 {}

/// `repeated uint64`.
#[derive(Clone, Copy, Debug)]
pub enum Uint64 {}

/// `repeated sint64`, in zigzag form.
#[derive(Clone, Copy, Debug)]
pub enum Sint64 {}

/// `repeated uint32`.
#[derive(Clone, Copy, Debug)]
pub enum Uint32 {}

/// `repeated double`.
#[derive(Clone, Copy, Debug)]
pub enum Double {}

impl Scalar for Fixed64 {
    type Item = u64;
    const WIRE_TYPE: WireType = WireType::Fixed64;
    fn from_bits(bits: u64) -> u64 {
        bits
    }
}

impl Scalar for Uint64 {
    type Item = u64;
    const WIRE_TYPE: WireType = WireType::Varint;
    fn from_bits(bits: u64) -> u64 {
        bits
    }
}

impl Scalar for Sint64 {
    type Item = i64;
    const WIRE_TYPE: WireType = WireType::Varint;
    fn from_bits(bits: u64) -> i64 {
        (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
    }
}

impl Scalar for Uint32 {
    type Item = u32;
    const WIRE_TYPE: WireType = WireType::Varint;
    fn from_bits(bits: u64) -> u32 {
        bits as u32
    }
}

impl Scalar for Double {
    type Item = f64;
    const WIRE_TYPE: WireType = WireType::Fixed64;
    fn from_bits(bits: u64) -> f64 {
        f64::from_bits(bits)
    }
}

/// The numbers of a repeated field, packed or not.
pub struct Scalars<'a, T> {
    range: Range<'a>,
    of: PhantomData<T>,
}

// Derived, these would ask it of `T` too.
impl<T> Copy for Scalars<'_, T> {}

impl<T> Clone for Scalars<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Default for Scalars<'_, T> {
    fn default() -> Self {
        Scalars { range: Range::EMPTY, of: PhantomData }
    }
}

impl<T> fmt::Debug for Scalars<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scalars(field {})", self.range.number)
    }
}

impl<'a, T: Scalar> Scalars<'a, T> {
    /// Notes an occurrence that `message` has just read.
    ///
    /// # Errors
    /// The field is neither packed nor a single number of this kind.
    #[inline]
    pub(crate) fn push(&mut self, field: &Field<'a>, message: &Reader<'a>) -> Result<()> {
        let got = field.wire_type();
        if got != WireType::Bytes && got != T::WIRE_TYPE {
            return Err(field.error(ErrorKind::WireType { expected: T::WIRE_TYPE, got }));
        }
        self.range.push(field, message);
        Ok(())
    }

    /// True if the field did not come. It can also have come packed with nothing in it.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.range.count == 0
    }

    /// Calls `each` with the undecoded bytes of every occurrence of the field.
    pub fn each_bytes(&self, each: impl FnMut(&[u8])) {
        self.range.each_bytes(each);
    }

    /// Decodes one after the other.
    #[must_use]
    pub fn iter(&self) -> ScalarsIter<'a, T> {
        ScalarsIter::new(self.range, None)
    }
}

impl<'a, T: Scalar> IntoIterator for Scalars<'a, T> {
    type Item = Result<T::Item>;
    type IntoIter = ScalarsIter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator of [`Scalars`]. It ends after an error.
#[derive(Clone)]
pub struct ScalarsIter<'a, T> {
    range: Range<'a>,
    /// A field that was taken but not looked into.
    pending: Option<Field<'a>>,
    /// The packed field being read.
    packed: Reader<'a>,
    /// Where that field began.
    at: usize,
    of: PhantomData<T>,
}

impl<T> fmt::Debug for ScalarsIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScalarsIter({:?}, {:?})", self.packed, self.range.reader)
    }
}

impl<'a, T: Scalar> ScalarsIter<'a, T> {
    fn new(range: Range<'a>, pending: Option<Field<'a>>) -> Self {
        ScalarsIter { range, pending, packed: Reader::EMPTY, at: 0, of: PhantomData }
    }

    /// The numbers of one occurrence of a field.
    #[must_use]
    pub fn of(field: &Field<'a>) -> Self {
        ScalarsIter::new(Range::EMPTY, Some(*field))
    }

    fn step(&mut self) -> Result<Option<T::Item>> {
        loop {
            if !self.packed.is_at_end() {
                let bits = match T::WIRE_TYPE {
                    WireType::Varint => self.packed.varint()?,
                    WireType::Fixed32 => u64::from(u32::from_le_bytes(self.packed.array(self.at)?)),
                    _ => u64::from_le_bytes(self.packed.array(self.at)?),
                };
                return Ok(Some(T::from_bits(bits)));
            }
            let next = match self.pending.take() {
                Some(field) => Some(field),
                None => self.range.next()?,
            };
            let Some(field) = next else { return Ok(None) };
            match field.number_bits() {
                Some((wire_type, bits)) if wire_type == T::WIRE_TYPE => {
                    return Ok(Some(T::from_bits(bits)));
                }
                Some((got, _)) => {
                    let expected = T::WIRE_TYPE;
                    return Err(field.error(ErrorKind::WireType { expected, got }));
                }
                None => {
                    self.packed = field.delimited()?;
                    self.at = field.at;
                }
            }
        }
    }
}

impl<T: Scalar> Iterator for ScalarsIter<'_, T> {
    type Item = Result<T::Item>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.range = Range::EMPTY;
            self.packed = Reader::EMPTY;
        }
        step.transpose()
    }
}
