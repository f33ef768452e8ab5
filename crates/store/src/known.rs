//! Handles of series: what a sender of many samples keeps, so that neither it nor the log
//! repeats the labels of each series with each sample.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::labels::Labels;

/// Stands for a series of one open store. Cheap to copy and to keep; made by
/// [`Store::series_handle`](crate::Store::series_handle). Another store, or this one opened
/// again, takes it for what its labels say.
#[derive(Clone, Debug)]
pub struct SeriesHandle(Arc<Known>);

#[derive(Debug)]
struct Known {
    labels: Labels,
    /// The open store that made it.
    instance: u64,
    /// The append that told the store of the series, and the series' place in it: both in
    /// one number, as they are read and written by many threads. 0 if there is none.
    place: AtomicU64,
}

/// Where the log has the labels of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the append.
    pub(crate) append: u64,
    /// Which of the append's series it is.
    pub(crate) at: u32,
}

/// Bits for the place in an append: more series than a batch can hold. What is left is
/// enough for a thousand appends a second for a century.
const AT_BITS: u32 = 22;

impl SeriesHandle {
    pub(crate) fn new(labels: Labels, instance: u64) -> Self {
        SeriesHandle(Arc::new(Known { labels, instance, place: AtomicU64::new(0) }))
    }

    /// The labels of the series.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    pub(crate) fn instance(&self) -> u64 {
        self.0.instance
    }

    pub(crate) fn place(&self) -> Option<Place> {
        match self.0.place.load(Relaxed) {
            0 => None,
            both => {
                Some(Place { append: both >> AT_BITS, at: (both & ((1 << AT_BITS) - 1)) as u32 })
            }
        }
    }

    pub(crate) fn set_place(&self, place: Place) {
        let fits = place.at < 1 << AT_BITS && place.append < 1 << (64 - AT_BITS);
        let both = if fits { place.append << AT_BITS | u64::from(place.at) } else { 0 };
        self.0.place.store(both, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_or_is_forgotten_when_it_does_not_fit() {
        let handle = SeriesHandle::new(Labels::empty(), 1);
        assert_eq!(handle.place(), None);
        let places = [(1, 0), (7, 1), ((1 << 42) - 1, (1 << 22) - 1)];
        for (append, at) in places {
            handle.set_place(Place { append, at });
            assert_eq!(handle.place(), Some(Place { append, at }));
        }
        for (append, at) in [(1 << 42, 0), (1, 1 << 22)] {
            handle.set_place(Place { append, at });
            assert_eq!(handle.place(), None);
        }
    }
}
