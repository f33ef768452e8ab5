//! The primitives every encoding of the store is made of: varints, zigzag, length-prefixed
//! strings, and a reader that checks every bound.

/// Appends an unsigned LEB128 varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number, zigzag first, so that small magnitudes stay short.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Appends a length-prefixed byte string.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Maps small magnitudes of either sign to small unsigned numbers.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Undoes [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads what the functions above wrote. Every method is `None` past the end or on a
/// form that is never written; nothing is allocated from a length that is not backed by bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(len)?;
        self.rest = tail;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (&first, tail) = self.rest.split_first()?;
        self.rest = tail;
        Some(first)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn f64(&mut self) -> Option<f64> {
        self.u64().map(f64::from_bits)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Some(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
            if shift > 63 {
                return None;
            }
        }
    }

    pub(crate) fn varint32(&mut self) -> Option<u32> {
        u32::try_from(self.varint()?).ok()
    }

    /// A count of items that each take at least `bytes_each` of what remains.
    pub(crate) fn count(&mut self, bytes_each: usize) -> Option<usize> {
        let count = usize::try_from(self.varint()?).ok()?;
        (count.checked_mul(bytes_each)? <= self.remaining()).then_some(count)
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        self.varint().map(unzigzag)
    }

    /// Hands out `count` signed numbers, most of which are short.
    #[inline]
    pub(crate) fn each_signed(&mut self, count: usize, mut each: impl FnMut(i64)) -> Option<()> {
        let mut r = *self;
        for _ in 0..count {
            each(unzigzag(r.short_varint()?));
        }
        *self = r;
        Some(())
    }

    /// Fills `out` with what `each` makes of as many signed numbers.
    #[inline]
    pub(crate) fn each_signed_into<T>(
        &mut self,
        out: &mut [T],
        mut each: impl FnMut(i64) -> T,
    ) -> Option<()> {
        let mut r = *self;
        for place in out {
            *place = each(unzigzag(r.short_varint()?));
        }
        *self = r;
        Some(())
    }

    /// Skips so many varints.
    pub(crate) fn skip_varints(&mut self, count: usize) -> Option<()> {
        let mut left = count;
        // A varint ends at a byte without the high bit. Eight bytes have no more than eight
        // ends, so this never goes too far.
        while left >= 8
            && let Some((word, rest)) = self.rest.split_first_chunk::<8>()
        {
            let ends = !u64::from_le_bytes(*word) & 0x8080_8080_8080_8080;
            left -= ends.count_ones() as usize;
            self.rest = rest;
        }
        while left > 0 {
            left -= usize::from(self.u8()? < 0x80);
        }
        Some(())
    }

    /// A varint that is mostly of one or two bytes.
    #[inline(always)]
    fn short_varint(&mut self) -> Option<u64> {
        match *self.rest {
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Some(u64::from(first))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Some(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    /// Skips these bytes if they come next.
    pub(crate) fn skip(&mut self, bytes: &[u8]) -> bool {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => return false,
        }
        true
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        self.take(len)
    }

    pub(crate) fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_at_the_edges() {
        let mut out = Vec::new();
        let unsigned = [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX];
        let signed = [0, -1, 1, 63, -64, 64, i64::MIN, i64::MAX];
        for v in unsigned {
            put_varint(&mut out, v);
        }
        for v in signed {
            put_signed(&mut out, v);
        }
        let mut reader = Reader::new(&out);
        for v in unsigned {
            assert_eq!(reader.varint(), Some(v));
        }
        for v in signed {
            assert_eq!(reader.signed(), Some(v));
        }
        assert!(reader.is_empty());
    }

    #[test]
    fn varints_are_skipped_as_they_are_read() {
        let value = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i * 7 % 64);
        let mut out = Vec::new();
        (0..200).for_each(|i| put_varint(&mut out, value(i)));
        for count in 0..200 {
            let mut reader = Reader::new(&out);
            assert_eq!(reader.skip_varints(count), Some(()));
            assert_eq!(reader.varint(), Some(value(count as u64)));
        }
        assert_eq!(Reader::new(&out).skip_varints(201), None);
        assert_eq!(Reader::new(&[0x80; 20]).skip_varints(1), None);
    }

    #[test]
    fn refuses_what_runs_past_the_end() {
        assert_eq!(Reader::new(&[0x80]).varint(), None);
        assert_eq!(Reader::new(&[0xff; 11]).varint(), None);
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(), None);
        assert_eq!(Reader::new(&[2, 0xff, 0xfe]).str(), None);
        assert_eq!(Reader::new(&[200, 1, 0]).count(1), None);
        assert_eq!(Reader::new(&[1, 2, 3]).u32(), None);
    }
}
