//! Ids of traces and spans, and where new ones come from.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// A trace's id: 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A span's id: 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl TraceId {
    /// The id, unless it is all zero, which means none.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Option<TraceId> {
        (bytes != [0; 16]).then_some(TraceId(bytes))
    }

    /// The 56 random bits by which consistent sampling decides (W3C trace context level 2).
    #[must_use]
    pub fn randomness(self) -> u64 {
        let [.., a, b, c, d, e, f, g] = self.0;
        u64::from_be_bytes([0, a, b, c, d, e, f, g])
    }
}

impl SpanId {
    /// The id, unless it is all zero, which means none.
    #[must_use]
    pub fn new(bytes: [u8; 8]) -> Option<SpanId> {
        (bytes != [0; 8]).then_some(SpanId(bytes))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where new ids of one thread come from: xoshiro256++, seeded by the operating system.
///
/// Source: David Blackman and Sebastiano Vigna, "Scrambled linear pseudorandom number
/// generators", <https://prng.di.unimi.it/xoshiro256plusplus.c> (public domain).
#[derive(Debug)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// A generator that seeds itself when it is first used.
    pub(crate) const fn new() -> Random {
        Random { state: [0; 4] }
    }

    /// The id of a new trace. `now_ns` is mixed in so that a forked child, which has the same
    /// state, makes other ids than its parent.
    pub(crate) fn trace_id(&mut self, now_ns: u64) -> TraceId {
        let high = self.next() ^ scatter(now_ns);
        let low = self.next() ^ scatter(!now_ns);
        let [mut id, lower] = [high, low].map(u128::from);
        id = id << 64 | lower;
        TraceId(if id == 0 { 1 } else { id }.to_be_bytes())
    }

    /// The id of a new span.
    pub(crate) fn span_id(&mut self, now_ns: u64) -> SpanId {
        let id = self.next() ^ scatter(now_ns);
        SpanId(if id == 0 { 1 } else { id }.to_be_bytes())
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        if a | b | c | d == 0 {
            self.seed();
        }
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// The standard library draws the keys of a thread's hashers from the operating system.
    #[cold]
    fn seed(&mut self) {
        for (number, word) in self.state.iter_mut().enumerate() {
            *word = RandomState::new().hash_one(number);
        }
        self.state[0] |= 1;
    }
}

/// Spreads the bits of a time over a word: the multiplier of splitmix64.
fn scatter(value: u64) -> u64 {
    value.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_of_many_threads_differ_and_are_not_zero() {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(|| {
                    let mut random = Random::new();
                    (0..20_000).map(|_| random.span_id(5)).collect::<Vec<_>>()
                })
            })
            .collect();
        let ids: Vec<SpanId> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert!(ids.iter().all(|id| SpanId::new(id.0).is_some()));
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 160_000);
    }

    /// Consistent sampling goes by these bits: each must be set in half of the ids.
    #[test]
    fn bits_of_trace_ids_are_even() {
        let mut random = Random::new();
        let mut set = [0_u32; 128];
        for now in 0..10_000 {
            let id = u128::from_be_bytes(random.trace_id(now).0);
            for (bit, count) in set.iter_mut().enumerate() {
                *count += (id >> bit & 1) as u32;
            }
        }
        // Six standard deviations of 10 000 throws of a coin are 300.
        assert!(set.iter().all(|&count| count.abs_diff(5_000) < 300), "{set:?}");
    }

    #[test]
    fn a_copied_state_makes_other_ids_at_another_time() {
        let mut parent = Random::new();
        parent.span_id(1);
        let mut child = Random { state: parent.state };
        assert_ne!(parent.span_id(100), child.span_id(101));
        assert_ne!(parent.trace_id(200), child.trace_id(201));
    }
}
