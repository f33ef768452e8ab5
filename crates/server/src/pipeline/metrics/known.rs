//! Series that were seen before: from the bytes of a data point to the handles of its
//! series, without making its labels again.
//!
//! A sender repeats the attributes of each point with every push, byte for byte. So the
//! series of a point are looked up by a hash of what makes them: resource, scope, metric,
//! attributes, bounds. The hash has 128 bits and a random seed: that two points that a
//! server will ever see have one is not to be expected, and cannot be brought about.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trefoil_store::SeriesHandle;
use trefoil_wire::protobuf::{Decode, Repeated, Scalar, Scalars};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// What is known is spread over so many locks.
const SHARDS: usize = 16;
/// Share of the memory for everything that may be spent here.
const MEMORY_SHARE: u64 = 10;
/// About what a series takes here: its labels, its handle, its part of an entry.
const SERIES_BYTES: u64 = 400;

/// A hash of what makes the series of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

/// The series of one point. Most points have one: it lies in the table itself.
#[derive(Clone, Debug)]
pub(super) enum Handles {
    One(SeriesHandle),
    Many(Arc<[SeriesHandle]>),
}

impl Handles {
    pub(super) fn new(mut handles: Vec<SeriesHandle>) -> Handles {
        match (handles.pop(), handles.is_empty()) {
            (Some(one), true) => Handles::One(one),
            (last, _) => Handles::Many(handles.into_iter().chain(last).collect()),
        }
    }
}

impl Deref for Handles {
    type Target = [SeriesHandle];

    fn deref(&self) -> &[SeriesHandle] {
        match self {
            Handles::One(handle) => std::slice::from_ref(handle),
            Handles::Many(handles) => handles,
        }
    }
}

/// The series of points, as many as there is room for.
#[derive(Debug)]
pub(crate) struct KnownSeries {
    seed: u64,
    shards: [Mutex<Shard>; SHARDS],
    /// Series to a generation of a shard.
    series_max: usize,
}

/// Two generations: what is asked for moves to the young one; when that is full, the old
/// one goes.
#[derive(Debug, Default)]
struct Shard {
    young: Generation,
    young_series: usize,
    old: Generation,
}

type Generation = HashMap<Key, Handles, BuildHasherDefault<AlreadyHashed>>;

impl KnownSeries {
    /// With a part of this much memory.
    pub(crate) fn new(memory_bytes: u64) -> Self {
        let series = memory_bytes / MEMORY_SHARE / SERIES_BYTES / 2 / SHARDS as u64;
        KnownSeries {
            seed: RandomState::new().build_hasher().finish(),
            shards: std::array::from_fn(|_| Mutex::default()),
            series_max: usize::try_from(series).unwrap_or(usize::MAX).max(1),
        }
    }

    /// The key of these bytes.
    pub(super) fn key(&self, bytes: &[u8]) -> Key {
        Key(xxh3_128_with_seed(bytes, self.seed))
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        // The low bits choose the place in the shard's table.
        let shard = &self.shards[(key.0 >> 124) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: Key) -> Option<Handles> {
        let mut shard = self.shard(key);
        if let Some(found) = shard.young.get(&key) {
            return Some(found.clone());
        }
        let found = shard.old.remove(&key)?;
        shard.add(key, found.clone(), self.series_max);
        Some(found)
    }

    pub(super) fn insert(&self, key: Key, series: Handles) {
        self.shard(key).add(key, series, self.series_max);
    }
}

impl Shard {
    fn add(&mut self, key: Key, series: Handles, series_max: usize) {
        if self.young_series + series.len() > series_max {
            self.old = std::mem::take(&mut self.young);
            self.young_series = 0;
        }
        self.young_series += series.len();
        self.young.insert(key, series);
    }
}

/// The bytes that a key is made of.
#[derive(Debug, Default)]
pub(super) struct KeyBytes(Vec<u8>);

impl KeyBytes {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds bytes and where they end.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn push_key(&mut self, key: Key) {
        self.0.extend_from_slice(&key.0.to_le_bytes());
    }

    /// Adds messages as they came, each with its end.
    pub(super) fn push_messages<'a, T: Decode<'a>>(&mut self, messages: &Repeated<'a, T>) {
        messages.each_bytes(|bytes| self.push(bytes));
    }

    /// Adds numbers as they came.
    pub(super) fn push_numbers<T: Scalar>(&mut self, numbers: &Scalars<'_, T>) {
        numbers.each_bytes(|bytes| self.push(bytes));
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Keys are hashes already.
#[derive(Default, Debug)]
pub(crate) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u128 keys are hashed");
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

#[cfg(test)]
mod tests {
    use trefoil_store::{Labels, Settings, Store};

    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_there_is_a_bound() {
        let store = Store::in_memory(Settings::default());
        let known = KnownSeries::new(MEMORY_SHARE * SERIES_BYTES * 2 * SHARDS as u64 * 10);
        let key = |n: u32| known.key(&n.to_le_bytes());
        let handle = || store.series_handle(Labels::from_pairs([("a", "b")]));
        let one = || Handles::new(vec![handle()]);
        for n in 0..10_000 {
            known.insert(key(n), one());
            assert!(known.get(key(0)).is_some(), "{n}");
        }
        let held = known.shards.iter().map(|shard| {
            let shard = shard.lock().unwrap();
            shard.young.len() + shard.old.len()
        });
        assert!(held.sum::<usize>() <= 20 * SHARDS);
        assert!(known.get(key(5)).is_none());
        for count in [0, 1, 2, 7] {
            let handles: Vec<_> = (0..count).map(|_| handle()).collect();
            assert_eq!(Handles::new(handles).len(), count);
        }
    }
}
