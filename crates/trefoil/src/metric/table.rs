//! Series by the hash of their labels: found without a lock, added without moving others.
//!
//! Slots are only ever filled, so a search may stop at the first empty one: whoever adds a
//! series fills the first empty slot on the way of its hash, and two who add the same one
//! meet at that slot.

use std::sync::{Arc, OnceLock};

use super::label::Stored;
use super::series::{Series, Store};

/// Slots of the first segment; each next one has eight times as many.
const FIRST_SLOTS: usize = 16;
/// The last would have 32 million slots.
const SEGMENTS: usize = 8;
/// Slots that a hash may go to in one segment.
const PROBES: usize = 4;

/// All series of a metric but the overflow series.
pub(super) struct Table<S: Store> {
    segments: [OnceLock<Box<[Slot<S>]>>; SEGMENTS],
}

type Slot<S> = OnceLock<Arc<Series<S>>>;

impl<S: Store> Table<S> {
    pub(super) fn new() -> Self {
        Table { segments: [const { OnceLock::new() }; SEGMENTS] }
    }

    #[inline]
    pub(super) fn get(
        &self,
        hash: u64,
        matches: impl Fn(&Stored) -> bool,
    ) -> Option<&Arc<Series<S>>> {
        for segment in &self.segments {
            for slot in way(segment.get()?, hash) {
                let series = slot.get()?;
                if series.hash == hash && matches(&series.labels) {
                    return Some(series);
                }
            }
        }
        None
    }

    /// Finds the series or adds it; `make` gives `None` if there may not be more. Whether it
    /// was added, besides.
    pub(super) fn get_or_add(
        &self,
        hash: u64,
        // Not generic: it is rare, and would be compiled for all labels that there are.
        matches: &dyn Fn(&Stored) -> bool,
        make: &mut dyn FnMut() -> Option<Series<S>>,
    ) -> Option<(&Arc<Series<S>>, bool)> {
        let mut made = None;
        let mut is_made = false;
        for (i, segment) in self.segments.iter().enumerate() {
            let slots = segment
                .get_or_init(|| (0..FIRST_SLOTS << (3 * i)).map(|_| OnceLock::new()).collect());
            for slot in way(slots, hash) {
                if slot.get().is_none() {
                    if !std::mem::replace(&mut is_made, true) {
                        made = Some(Arc::new(make()?));
                    }
                    if let Some(series) = made.take() {
                        match slot.set(series) {
                            Ok(()) => return slot.get().map(|series| (series, true)),
                            // Somebody was faster, perhaps with the same series.
                            Err(series) => made = Some(series),
                        }
                    }
                }
                let series = slot.get()?;
                if series.hash == hash && matches(&series.labels) {
                    return Some((series, false));
                }
            }
        }
        None
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Series<S>>> {
        let segments = self.segments.iter().filter_map(OnceLock::get);
        segments.flat_map(|slots| slots.iter().filter_map(OnceLock::get))
    }
}

/// The slots of a segment that a hash may go to.
#[inline]
fn way<S: Store>(slots: &[Slot<S>], hash: u64) -> impl Iterator<Item = &Slot<S>> {
    // The number of slots is a power of two.
    let mask = slots.len().wrapping_sub(1);
    (0..PROBES).filter_map(move |i| slots.get((hash as usize).wrapping_add(i) & mask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::gauge::Last;
    use crate::value::Value;

    /// Threads that add the same series at the same time, in tables that collide a lot.
    #[test]
    fn each_series_is_there_once_whoever_adds_it() {
        let series: u64 = if cfg!(miri) { 40 } else { 500 };
        let table = Table::<Last<u64>>::new();
        let added: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut added = 0;
                        for i in 0..series {
                            // All hashes go the same few ways.
                            let hash = i % 3;
                            let label = Value::Int(i as i64);
                            let matches = |stored: &Stored| stored[0].1 == label;
                            let mut make = || {
                                let labels = Box::new([("i".into(), label.clone())]);
                                Some(Series::new(labels, hash, &(), false))
                            };
                            match table.get_or_add(hash, &matches, &mut make) {
                                Some((_, new)) => added += u64::from(new),
                                None => break,
                            }
                        }
                        added
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        // Three hashes have six slots in each segment.
        let all: Vec<_> = table.iter().map(|series| format!("{:?}", series.labels)).collect();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(all.len(), distinct.len());
        assert_eq!(added.iter().sum::<u64>(), all.len() as u64);
        for series in table.iter() {
            let found = table.get(series.hash, |stored| *stored == series.labels).unwrap();
            assert!(Arc::ptr_eq(found, series));
        }
        assert!(all.len() >= 8 * PROBES, "{}", all.len());
    }
}
