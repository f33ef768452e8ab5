//! Decoded blocks that queries share, within a bound.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::part::logs::{LogAttributes, LogBlock, LogBodies, LogIds};
use crate::part::metrics::SeriesBlock;
use crate::part::spans::{IndexBlock, SpanAttributes, SpanBlock, SpanDetails, TracePage};

/// A block of a part: the part's id and the block's place in the file.
pub(crate) type Key = (u64, u64);

/// A decoded block.
#[derive(Clone, Debug)]
pub(crate) enum Cached {
    Series(Arc<SeriesBlock>),
    Bytes(Arc<Vec<u8>>),
    Log(Arc<LogBlock>),
    LogBodies(Arc<LogBodies>),
    LogAttributes(Arc<LogAttributes>),
    LogIds(Arc<LogIds>),
    Span(Arc<SpanBlock>),
    SpanAttributes(Arc<SpanAttributes>),
    SpanDetails(Arc<SpanDetails>),
    TracePage(Arc<TracePage>),
    TraceIndex(Arc<IndexBlock>),
}

impl Cached {
    fn byte_len(&self) -> usize {
        match self {
            Cached::Series(block) => block.byte_len(),
            Cached::Bytes(bytes) => bytes.len(),
            Cached::Log(block) => block.byte_len(),
            Cached::LogBodies(bodies) => bodies.byte_len(),
            Cached::LogAttributes(attributes) => attributes.byte_len(),
            Cached::LogIds(ids) => ids.byte_len(),
            Cached::Span(block) => block.byte_len(),
            Cached::SpanAttributes(attributes) => attributes.byte_len(),
            Cached::SpanDetails(details) => details.byte_len(),
            Cached::TracePage(page) => page.byte_len(),
            Cached::TraceIndex(index) => index.byte_len(),
        }
    }
}

/// Two generations: what is asked for moves to the young one, and when that is full, the
/// old one goes. That keeps what is used and forgets what one large scan has passed by.
#[derive(Debug)]
pub(crate) struct Cache {
    bytes_max: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Key, Cached>,
    young_bytes: usize,
    old: HashMap<Key, Cached>,
    old_bytes: usize,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Cache { bytes_max, generations: Mutex::default() }
    }

    fn hold(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: Key) -> Option<Cached> {
        let mut generations = self.hold();
        if let Some(found) = generations.young.get(&key) {
            return Some(found.clone());
        }
        let found = generations.old.remove(&key)?;
        self.add(&mut generations, key, found.clone());
        Some(found)
    }

    /// Memory of what is kept, or a little more: what was asked for again counts twice
    /// until the older generation goes.
    pub(crate) fn bytes(&self) -> u64 {
        let generations = self.hold();
        (generations.young_bytes + generations.old_bytes) as u64
    }

    pub(crate) fn insert(&self, key: Key, block: Cached) {
        self.add(&mut self.hold(), key, block);
    }

    fn add(&self, generations: &mut Generations, key: Key, block: Cached) {
        let bytes = block.byte_len();
        if bytes > self.bytes_max / 4 {
            return;
        }
        if generations.young_bytes + bytes > self.bytes_max / 2 {
            generations.old = std::mem::take(&mut generations.young);
            generations.old_bytes = std::mem::take(&mut generations.young_bytes);
        }
        if generations.young.insert(key, block).is_none() {
            generations.young_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_and_stays_within_its_bound() {
        let cache = Cache::new(1000);
        let block = || Cached::Bytes(Arc::new(vec![0; 100]));
        for i in 0..100 {
            cache.insert((1, i), block());
            assert!(cache.get((1, 0)).is_some(), "{i}");
            let generations = cache.hold();
            assert!(generations.young.len() + generations.old.len() <= 10);
        }
        assert!(cache.get((1, 50)).is_none());
        cache.insert((2, 0), Cached::Bytes(Arc::new(vec![0; 900])));
        assert!(cache.get((2, 0)).is_none(), "too large to be worth it");
    }
}
