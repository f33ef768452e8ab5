//! Columns of a block: numbers, byte strings and attributes, each in the form that
//! suits its content. `docs/format/columns.md` describes them. zstd comes after.

use crate::bytes::{Reader, put_bytes, put_signed, put_varint, unzigzag, zigzag};
use crate::intern::Interner;

mod attributes;
mod bits;
mod lines;
mod numbers;
#[cfg(test)]
mod tests;

pub(crate) use attributes::{Attributes, AttributesWriter};
pub(crate) use lines::{Condition, KnownTemplates, Lines, LinesWriter, Needle};
pub(crate) use numbers::{numbers, put_numbers};

/// The most rows a block may claim to have: far above what is written, far below what hurts.
pub(crate) const ROWS_MAX: usize = 1 << 24;

const INTS_EQUAL: u8 = 0;
const INTS_VARINT: u8 = 1;
const INTS_DELTA: u8 = 2;
const INTS_FIXED: u8 = 3;

/// Appends numbers in the smallest of four forms. The reader must know how many there are.
pub(crate) fn put_ints(out: &mut Vec<u8>, values: &[u64]) {
    let from = out.len();
    write_ints(out, values);
    debug_assert!(
        ints(&mut Reader::new(&out[from..]), values.len()).is_some_and(|read| read == values),
        "numbers come back as they went in"
    );
}

fn write_ints(out: &mut Vec<u8>, values: &[u64]) {
    let first = values.first().copied().unwrap_or(0);
    if values.iter().all(|&v| v == first) {
        out.push(INTS_EQUAL);
        put_varint(out, first);
        return;
    }
    let (mut plain, mut delta, mut previous) = (0, 0, 0u64);
    for &value in values {
        plain += varint_len(value);
        delta += varint_len(zigzag(value.wrapping_sub(previous) as i64));
        previous = value;
    }
    let fixed = values.len() * 8;
    if fixed <= plain.min(delta) {
        out.push(INTS_FIXED);
        for value in values {
            out.extend_from_slice(&value.to_le_bytes());
        }
    } else if delta < plain {
        out.push(INTS_DELTA);
        let mut previous = 0u64;
        for &value in values {
            put_signed(out, value.wrapping_sub(previous) as i64);
            previous = value;
        }
    } else {
        out.push(INTS_VARINT);
        for &value in values {
            put_varint(out, value);
        }
    }
}

fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Reads `count` numbers.
pub(crate) fn ints(r: &mut Reader<'_>, count: usize) -> Option<Vec<u64>> {
    if count > ROWS_MAX {
        return None;
    }
    let form = r.u8()?;
    if form == INTS_EQUAL {
        return Some(vec![r.varint()?; count]);
    }
    if count > r.remaining() {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    let mut previous = 0u64;
    for _ in 0..count {
        values.push(match form {
            INTS_VARINT => r.varint()?,
            INTS_DELTA => {
                previous = previous.wrapping_add(unzigzag(r.varint()?) as u64);
                previous
            }
            INTS_FIXED => r.u64()?,
            _ => return None,
        });
    }
    Some(values)
}

/// Appends signed numbers.
pub(crate) fn put_signed_ints(out: &mut Vec<u8>, values: &[i64]) {
    let values: Vec<u64> = values.iter().map(|&v| zigzag(v)).collect();
    put_ints(out, &values);
}

/// Reads `count` signed numbers.
pub(crate) fn signed_ints(r: &mut Reader<'_>, count: usize) -> Option<Vec<i64>> {
    Some(ints(r, count)?.into_iter().map(unzigzag).collect())
}

/// Collects byte strings of one column.
#[derive(Debug, Default)]
pub(crate) struct StringsWriter {
    distinct: Interner,
    codes: Vec<u64>,
}

const STRINGS_CODED: u8 = 0;
const STRINGS_PLAIN: u8 = 1;

impl StringsWriter {
    pub(crate) fn push(&mut self, text: &[u8]) {
        let last = self.codes.last().copied();
        let code = match last.filter(|&last| self.distinct.get(last as u32) == Some(text)) {
            Some(last) => last,
            None => u64::from(self.distinct.insert(text).0),
        };
        self.codes.push(code);
    }

    /// Each string once.
    pub(crate) fn distinct(&self) -> impl Iterator<Item = &[u8]> {
        self.distinct.iter()
    }

    /// Writes the column: the distinct strings once and a code for each row, unless most
    /// are distinct anyway. The reader must know how many rows there are.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        let from = out.len();
        self.write(out);
        debug_assert!(self.is_read_from(&out[from..]), "strings come back as they went in");
    }

    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.codes.iter().map(|&code| self.distinct.get(code as u32).unwrap_or(b""))
    }

    fn is_read_from(&self, block: &[u8]) -> bool {
        let column = Strings::read(block, &mut Reader::new(block), self.codes.len());
        let same = |column: Strings| {
            self.texts().enumerate().all(|(row, text)| column.get(block, row) == text)
        };
        column.is_some_and(same)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.distinct.len() * 4 > self.codes.len() * 3 {
            out.push(STRINGS_PLAIN);
            put_ints(out, &self.texts().map(|text| text.len() as u64).collect::<Vec<_>>());
            self.texts().for_each(|text| out.extend_from_slice(text));
            return;
        }
        out.push(STRINGS_CODED);
        put_varint(out, self.distinct.len() as u64);
        for text in self.distinct.iter() {
            put_bytes(out, text);
        }
        put_ints(out, &self.codes);
    }
}

/// A column of byte strings; the bytes stay in the block.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    /// Where each distinct string lies in the block.
    places: Vec<(u32, u32)>,
    /// Which of them each row has; empty if row `i` has the `i`-th.
    codes: Vec<u32>,
}

impl Strings {
    /// Reads a column of `count` rows out of `block`, where `r` stands.
    pub(crate) fn read(block: &[u8], r: &mut Reader<'_>, count: usize) -> Option<Self> {
        if count > ROWS_MAX {
            return None;
        }
        match r.u8()? {
            STRINGS_PLAIN => {
                let lengths = ints(r, count)?;
                let mut places = Vec::with_capacity(count);
                let mut at = block.len() - r.remaining();
                for len in lengths {
                    r.take(usize::try_from(len).ok()?)?;
                    places.push((u32::try_from(at).ok()?, len as u32));
                    at += len as usize;
                }
                Some(Strings { places, codes: Vec::new() })
            }
            STRINGS_CODED => {
                let distinct = r.count(1)?;
                let mut places = Vec::with_capacity(distinct);
                for _ in 0..distinct {
                    let len = r.bytes()?.len();
                    let at = block.len() - r.remaining() - len;
                    places.push((u32::try_from(at).ok()?, u32::try_from(len).ok()?));
                }
                let mut codes = Vec::with_capacity(count);
                for code in ints(r, count)? {
                    if code >= distinct as u64 {
                        return None;
                    }
                    codes.push(code as u32);
                }
                Some(Strings { places, codes })
            }
            _ => None,
        }
    }

    /// The row's string.
    pub(crate) fn get<'a>(&self, block: &'a [u8], row: usize) -> &'a [u8] {
        self.distinct(block, self.code(row))
    }

    /// The row's string as text; what is stored as text is UTF-8.
    pub(crate) fn text<'a>(&self, block: &'a [u8], row: usize) -> &'a str {
        std::str::from_utf8(self.get(block, row)).unwrap_or("")
    }

    /// Which distinct string the row has.
    pub(crate) fn code(&self, row: usize) -> usize {
        if self.codes.is_empty() { row } else { self.codes.get(row).map_or(0, |&c| c as usize) }
    }

    /// How many distinct strings there are at most.
    pub(crate) fn distinct_len(&self) -> usize {
        self.places.len()
    }

    /// A distinct string by its number.
    pub(crate) fn distinct<'a>(&self, block: &'a [u8], code: usize) -> &'a [u8] {
        let Some(&(at, len)) = self.places.get(code) else { return b"" };
        block.get(at as usize..at as usize + len as usize).unwrap_or(b"")
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.places.len() * 8 + self.codes.len() * 4
    }
}

/// Appends values of `N` bytes each, as they are: ids are random, nothing else helps.
/// All zero in every row takes one byte.
pub(crate) fn put_fixed<const N: usize>(out: &mut Vec<u8>, values: &[[u8; N]]) {
    let from = out.len();
    write_fixed(out, values);
    debug_assert!(
        fixed(&mut Reader::new(&out[from..]), values.len()).is_some_and(|read| read == values),
        "ids come back as they went in"
    );
}

fn write_fixed<const N: usize>(out: &mut Vec<u8>, values: &[[u8; N]]) {
    let zeros = values.iter().filter(|v| **v == [0; N]).count();
    if zeros == values.len() {
        out.push(0);
    } else if zeros == 0 {
        out.push(1);
        values.iter().for_each(|v| out.extend_from_slice(v));
    } else {
        out.push(2);
        for chunk in values.chunks(8) {
            let bits = chunk.iter().enumerate();
            out.push(bits.fold(0, |bits, (i, v)| bits | u8::from(*v != [0; N]) << i));
        }
        values.iter().filter(|v| **v != [0; N]).for_each(|v| out.extend_from_slice(v));
    }
}

/// Reads `count` values of `N` bytes each.
pub(crate) fn fixed<const N: usize>(r: &mut Reader<'_>, count: usize) -> Option<Vec<[u8; N]>> {
    if count > ROWS_MAX {
        return None;
    }
    match r.u8()? {
        0 => Some(vec![[0; N]; count]),
        1 => {
            let bytes = r.take(count.checked_mul(N)?)?;
            Some(bytes.chunks_exact(N).filter_map(|c| c.try_into().ok()).collect())
        }
        2 => {
            let present = r.take(count.div_ceil(8))?;
            let mut values = Vec::with_capacity(count);
            for i in 0..count {
                let is = present.get(i / 8)? >> (i % 8) & 1 == 1;
                values.push(if is { r.array()? } else { [0; N] });
            }
            Some(values)
        }
        _ => None,
    }
}
