//! Values from a seed: edges of their range more often than not.

/// A generator of numbers (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.u64() % end
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Any number, small and extreme ones often.
    pub(crate) fn wide(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => self.below(128),
            2 => u64::MAX,
            3 => 1 << self.below(64),
            4 => 1_700_000_000_000_000_000 + self.below(1 << 40),
            _ => self.u64(),
        }
    }

    pub(crate) fn i64(&mut self) -> i64 {
        self.wide().cast_signed()
    }

    pub(crate) fn u32(&mut self) -> u32 {
        (self.wide() >> (32 * self.below(2))) as u32
    }

    pub(crate) fn i32(&mut self) -> i32 {
        self.u32().cast_signed()
    }

    /// Never NaN, which equals nothing.
    pub(crate) fn f64(&mut self) -> f64 {
        match self.below(6) {
            0 => 0.0,
            1 => f64::INFINITY,
            2 => f64::MIN_POSITIVE / 4.0,
            3 => self.i64() as f64,
            4 => f64::MAX,
            _ => self.u64() as f64 / 1e19 - 0.9,
        }
    }

    pub(crate) fn option<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.bool() { Some(make(self)) } else { None }
    }

    pub(crate) fn list<T>(&mut self, longest: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(longest + 1)).map(|_| make(self)).collect()
    }

    pub(crate) fn text(&mut self) -> String {
        let words = ["", "a", "GET /", "ünï\n\"\\\u{0}", "😀", "k.e.y", &"long ".repeat(40)];
        words[self.below(words.len() as u64) as usize].to_owned()
    }

    /// An id that is never all zero.
    pub(crate) fn id(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(255) as u8 + 1).collect()
    }

    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        self.list(20, |random| random.u64() as u8)
    }
}
