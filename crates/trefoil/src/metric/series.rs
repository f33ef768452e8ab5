//! One series: its labels and what was measured.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use trefoil_wire::otlp::metrics::Number as WireNumber;

use super::exemplar::{Exemplar, Exemplars};
use super::label::Stored;
use crate::clock;
use crate::span;

/// What a series keeps of its measurements.
pub(super) trait Store: Sized + Send + Sync + 'static {
    /// What all series of a metric share.
    type Settings: Clone + Send + Sync + 'static;
    type Value: Copy;

    fn new(settings: &Self::Settings) -> Self;

    /// Takes a measurement; gives the place in the exemplars that it belongs to.
    fn record(&self, settings: &Self::Settings, value: Self::Value) -> usize;

    /// Places for exemplars.
    fn exemplar_places(settings: &Self::Settings) -> usize;

    fn as_f64(value: Self::Value) -> f64;

    /// What was measured; `None` shows nothing. `round` is that of [`Family::round`](super::family::Family).
    fn read(&self, settings: &Self::Settings, round: u64) -> Option<Reading>;
}

/// One series.
pub(super) struct Series<S: Store> {
    /// Unique in the process.
    pub(super) id: u64,
    pub(super) labels: Stored,
    pub(super) hash: u64,
    /// Unix nanoseconds since which it counts.
    pub(super) created_ns: u64,
    pub(super) store: S,
    pub(super) settings: S::Settings,
    exemplars: Exemplars,
}

static SERIES: AtomicU64 = AtomicU64::new(0);

impl<S: Store> Series<S> {
    pub(super) fn new(labels: Stored, hash: u64, settings: &S::Settings, exemplars: bool) -> Self {
        let places = if exemplars { S::exemplar_places(settings) } else { 0 };
        Series {
            id: SERIES.fetch_add(1, Relaxed),
            labels,
            hash,
            created_ns: clock::now_ns(),
            store: S::new(settings),
            settings: settings.clone(),
            exemplars: Exemplars::new(places),
        }
    }

    #[inline]
    pub(super) fn record(&self, value: S::Value) {
        let place = self.store.record(&self.settings, value);
        if self.exemplars.wants(place) && span::is_inside() {
            self.exemplars.offer(place, S::as_f64(value));
        }
    }

    pub(super) fn read(&self, round: u64) -> Option<Point> {
        let value = self.store.read(&self.settings, round)?;
        Some(Point {
            series: self.id,
            labels: self.labels.clone(),
            created_ns: self.created_ns,
            value,
            exemplars: self.exemplars.read(),
        })
    }
}

/// A series as it stood at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) series: u64,
    pub(crate) labels: Stored,
    pub(crate) created_ns: u64,
    pub(crate) value: Reading,
    pub(crate) exemplars: Vec<Exemplar>,
}

/// Its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    Number(WireNumber),
    Histogram(super::histogram::Reading),
    Exponential(super::exponential::Reading),
}
