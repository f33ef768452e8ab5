//! Byte strings numbered in the order they first appear.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Gives equal byte strings equal numbers. The strings lie in one buffer.
#[derive(Clone, Debug)]
pub(crate) struct Interner {
    bytes: Vec<u8>,
    /// End of each string in `bytes`.
    ends: Vec<u32>,
    by_hash: HashMap<u64, u32, BuildHasherDefault<AlreadyHashed>>,
    /// Random, so that nobody can send strings that all collide.
    seed: u64,
}

impl Default for Interner {
    fn default() -> Self {
        Interner {
            bytes: Vec::new(),
            ends: Vec::new(),
            by_hash: HashMap::default(),
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}

impl Interner {
    /// The string's number, and whether it is new.
    pub(crate) fn insert(&mut self, text: &[u8]) -> (u32, bool) {
        let mut hash = xxh3_64_with_seed(text, self.seed);
        loop {
            match self.by_hash.get(&hash) {
                Some(&index) if self.get(index) == Some(text) => return (index, false),
                // Two strings with one hash: the second lives at the next free place.
                Some(_) => hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15),
                None => break,
            }
        }
        let index = self.ends.len() as u32;
        self.by_hash.insert(hash, index);
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
        (index, true)
    }

    pub(crate) fn get(&self, index: u32) -> Option<&[u8]> {
        let end = *self.ends.get(index as usize)? as usize;
        let start = match index {
            0 => 0,
            _ => self.ends[index as usize - 1] as usize,
        };
        self.bytes.get(start..end)
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all strings together; the caller keeps this below 4 GiB.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).filter_map(|index| self.get(index))
    }
}

/// Hashes byte strings with a random seed: as hard to attack as the standard hasher, and
/// many times faster on label sets.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Seeded(RandomState::new().build_hasher().finish())
    }
}

impl BuildHasher for Seeded {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher(self.0)
    }
}

/// See [`Seeded`].
#[derive(Debug)]
pub(crate) struct SeededHasher(u64);

impl Hasher for SeededHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, number: usize) {
        // The length before the bytes; the bytes mix it in.
        self.0 ^= number as u64;
    }
}

/// The keys are hashes already.
#[derive(Default, Debug)]
pub(crate) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_get_equal_numbers() {
        let mut interner = Interner::default();
        assert_eq!(interner.insert(b"a"), (0, true));
        assert_eq!(interner.insert(b""), (1, true));
        assert_eq!(interner.insert(b"a"), (0, false));
        assert_eq!(interner.insert(b""), (1, false));
        assert_eq!(interner.get(0), Some(&b"a"[..]));
        assert_eq!(interner.get(2), None);
        for i in 0..10_000u32 {
            assert_eq!(interner.insert(&i.to_le_bytes()), (i + 2, true));
        }
    }
}
