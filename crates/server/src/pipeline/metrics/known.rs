//! Series that were seen before: from the bytes of a data point to the handles of its
//! series, without making its labels again.
//!
//! A sender repeats the attributes of each point with every push, byte for byte. So the
//! series of a point are looked up by a hash of what makes them: resource, scope, metric,
//! attributes, bounds. The hash has 128 bits and a random seed: that two points that a
//! server will ever see have one is not to be expected, and cannot be brought about.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key([u64; 2]);

/// A half will do: it is a hash already.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

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
    /// The points of a place (a resource with a scope) are all in one of them.
    shards: [Mutex<Shard>; SHARDS],
    /// Series in the young generations. Taken before a shard.
    young_series: Mutex<usize>,
    /// Series to a generation.
    series_max: usize,
}

/// Where the next point of a place is looked for first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    shard: usize,
    next: usize,
}

/// Two generations: what is asked for moves to the young one; when that is full, the old
/// one goes.
#[derive(Debug, Default)]
struct Shard {
    young: Generation,
    old: Generation,
}

/// Points in the order in which they came first. A sender repeats not only its points but
/// their order: the next one lies behind the last one, which the processor has fetched by
/// then, while each place in the table is one that it must wait for.
#[derive(Debug, Default)]
struct Generation {
    entries: Vec<(Key, Handles)>,
    /// From a half of the key to the place among the entries.
    places: HashMap<u64, u32, BuildHasherDefault<AlreadyHashed>>,
}

/// So many are looked at before the table is: some points may have gone.
const AHEAD: usize = 4;

impl KnownSeries {
    /// With a part of this much memory.
    pub(crate) fn new(memory_bytes: u64) -> Self {
        let series = memory_bytes / MEMORY_SHARE / SERIES_BYTES / 2;
        KnownSeries {
            seed: RandomState::new().build_hasher().finish(),
            shards: std::array::from_fn(|_| Mutex::default()),
            young_series: Mutex::default(),
            series_max: usize::try_from(series).unwrap_or(usize::MAX).max(1),
        }
    }

    /// The key of these bytes.
    pub(super) fn key(&self, bytes: &[u8]) -> Key {
        let hash = xxh3_128_with_seed(bytes, self.seed);
        Key([hash as u64, (hash >> 64) as u64])
    }

    /// Begins with the points of a place.
    pub(super) fn cursor(&self, place: Key) -> Cursor {
        Cursor { shard: place.0[1] as usize % SHARDS, next: usize::MAX }
    }

    pub(super) fn get(&self, cursor: &mut Cursor, key: Key) -> Option<Handles> {
        let shard = hold(&self.shards[cursor.shard]);
        if let Some(at) = shard.young.find(cursor.next, key) {
            cursor.next = at + 1;
            return Some(shard.young.entries[at].1.clone());
        }
        let at = shard.old.find(usize::MAX, key)?;
        let found = shard.old.entries[at].1.clone();
        drop(shard);
        self.insert(cursor, key, found.clone());
        Some(found)
    }

    pub(super) fn insert(&self, cursor: &mut Cursor, key: Key, series: Handles) {
        // A point without a series takes a place too.
        let counted = series.len().max(1);
        let mut young_series = hold(&self.young_series);
        if *young_series + counted > self.series_max {
            for shard in &self.shards {
                let mut shard = hold(shard);
                shard.old = std::mem::take(&mut shard.young);
            }
            *young_series = 0;
        }
        *young_series += counted;
        let young = &mut hold(&self.shards[cursor.shard]).young;
        young.places.insert(key.0[0], young.entries.len() as u32);
        young.entries.push((key, series));
        cursor.next = young.entries.len();
    }
}

impl Generation {
    /// The place of a point, which may be `next` or soon after it.
    fn find(&self, next: usize, key: Key) -> Option<usize> {
        let is = |(known, _): &(Key, Handles)| *known == key;
        let ahead = self.entries.get(next..).unwrap_or(&[]);
        if let Some(at) = ahead.iter().take(AHEAD).position(is) {
            return Some(next + at);
        }
        let at = *self.places.get(&key.0[0])? as usize;
        self.entries.get(at).is_some_and(is).then_some(at)
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        key.0.iter().for_each(|half| self.0.extend_from_slice(&half.to_le_bytes()));
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
        unreachable!("only halves of keys are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use trefoil_store::{Labels, Settings, Store};

    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_there_is_a_bound() {
        let store = Store::in_memory(Settings::default());
        let known = KnownSeries::new(MEMORY_SHARE * SERIES_BYTES * 2 * 160);
        let key = |n: u32| known.key(&n.to_le_bytes());
        let handle = || store.series_handle(Labels::from_pairs([("a", "b")]));
        let one = || Handles::new(vec![handle()]);
        let mut cursors: Vec<Cursor> = (0..20).map(|place| known.cursor(key(place))).collect();
        for n in 0..10_000 {
            known.insert(&mut cursors[n as usize % 20], key(n), one());
            assert!(known.get(&mut cursors[0], key(0)).is_some(), "{n}");
        }
        let held = known.shards.iter().map(|shard| {
            let shard = shard.lock().unwrap();
            assert_eq!(shard.young.entries.len(), shard.young.places.len());
            shard.young.entries.len() + shard.old.entries.len()
        });
        assert!(held.sum::<usize>() <= 320);
        assert!(known.get(&mut cursors[5], key(5)).is_none());
        for count in [0, 1, 2, 7] {
            let handles: Vec<_> = (0..count).map(|_| handle()).collect();
            assert_eq!(Handles::new(handles).len(), count);
        }
    }

    #[test]
    fn points_are_found_in_any_order() {
        let store = Store::in_memory(Settings::default());
        let known = KnownSeries::new(1 << 30);
        let key = |n: u32| known.key(&n.to_le_bytes());
        let labels = |n: u32| Labels::from_pairs([("n", n.to_string().as_str())]);
        let place = known.cursor(key(u32::MAX));
        let mut cursor = place;
        for n in 0..100 {
            assert!(known.get(&mut cursor, key(n)).is_none());
            known.insert(&mut cursor, key(n), Handles::new(vec![store.series_handle(labels(n))]));
        }
        for (start, step) in [(0, 1), (0, 3), (0, 7), (99, 99), (5, 0)] {
            let mut cursor = place;
            for n in (0..100).map(|i| (start + i * step) % 100) {
                let found = known.get(&mut cursor, key(n)).unwrap();
                assert_eq!(found[0].labels(), &labels(n), "{start} {step}");
            }
        }
    }
}
