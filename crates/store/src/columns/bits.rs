//! Bits in a row, low bit first.

/// Appends bits to bytes.
#[derive(Debug)]
pub(super) struct BitWriter<'o> {
    out: &'o mut Vec<u8>,
    pending: u64,
    /// Bits in `pending`, fewer than 8 between calls.
    count: u32,
}

impl<'o> BitWriter<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        BitWriter { out, pending: 0, count: 0 }
    }

    /// Appends the low `bits` of a value, at most 64; the others must be zero.
    pub(super) fn put(&mut self, value: u64, bits: u32) {
        if bits > 32 {
            self.put_few(value & 0xffff_ffff, 32);
            self.put_few(value >> 32, bits - 32);
        } else {
            self.put_few(value, bits);
        }
    }

    fn put_few(&mut self, value: u64, bits: u32) {
        self.pending |= value << self.count;
        self.count += bits;
        let whole = (self.count / 8) as usize;
        self.out.extend_from_slice(&self.pending.to_le_bytes()[..whole]);
        self.pending >>= whole * 8;
        self.count %= 8;
    }

    /// Fills the last byte.
    pub(super) fn finish(self) {
        if self.count > 0 {
            self.out.push(self.pending as u8);
        }
    }
}

/// How many bits can be seen at once, wherever in a byte they begin.
pub(super) const PEEKED_BITS: u32 = 57;

/// Reads what [`BitWriter`] wrote. Past the end everything is zero: whoever reads checks at
/// the end how far it went.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, at: 0 }
    }

    /// The next bits, [`PEEKED_BITS`] of which at least are right.
    pub(super) fn peek(&self) -> u64 {
        let from = self.at / 8;
        let word = match self.bytes.get(from..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(word) => u64::from_le_bytes(*word),
            None => self.peek_at_the_end(from),
        };
        word >> (self.at % 8)
    }

    #[cold]
    fn peek_at_the_end(&self, from: usize) -> u64 {
        let rest = self.bytes.get(from..).unwrap_or(&[]);
        rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }

    pub(super) fn skip(&mut self, bits: u32) {
        self.at += bits as usize;
    }

    /// The next bits, at most 64.
    pub(super) fn take(&mut self, bits: u32) -> u64 {
        if bits <= PEEKED_BITS {
            let value = self.peek() & ((1 << bits) - 1);
            self.skip(bits);
            return value;
        }
        let low = self.take(32);
        low | self.take(bits - 32) << 32
    }

    /// How many bytes it went into, `None` if that is past the end.
    pub(super) fn bytes_read(&self) -> Option<usize> {
        Some(self.at.div_ceil(8)).filter(|read| *read <= self.bytes.len())
    }
}
