//! Current values.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::declare::Definition;
use super::family::{Family, Kind};
use super::instrument::Instrument;
use super::label::LabelSet;
use super::number::{Number, read, wire};
use super::registry::Registry;
use super::series::{Reading, Series, Store};

/// A value that is set. The last one counts.
pub struct Gauge<L: LabelSet = (), V: Number = f64> {
    instrument: Instrument<L, Last<V>>,
}

impl<L: LabelSet, V: Number> Gauge<L, V> {
    /// See [`metrics!`](crate::metrics).
    #[doc(hidden)]
    pub const fn declare(definition: Definition) -> Self {
        Gauge { instrument: Instrument::new(definition) }
    }

    pub(super) fn in_registry(registry: &Registry, definition: &Definition) -> Self {
        Gauge { instrument: Instrument::of(register(registry, definition)) }
    }

    /// Sets the value.
    #[inline]
    pub fn set(&self, value: V, labels: L::Of<'_>) {
        self.instrument.record(labels, value, register);
    }

    /// The gauge of these labels, which is looked up once.
    pub fn bind(&self, labels: L::Of<'_>) -> BoundGauge<V> {
        BoundGauge(self.instrument.series(labels, register))
    }

    /// Shows all combinations of labels that can be counted, at zero.
    pub fn fill(&self) {
        self.instrument.fill(register);
    }
}

fn register<V: Number>(registry: &Registry, definition: &Definition) -> Arc<Family<Last<V>>> {
    registry.register(definition, Kind::Gauge, ())
}

/// A gauge of fixed labels.
pub struct BoundGauge<V: Number = f64>(Arc<Series<Last<V>>>);

impl<V: Number> BoundGauge<V> {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: V) {
        self.0.record(value);
    }
}

/// The last value. There is one cell: threads do not add, they overwrite each other.
pub(super) struct Last<V>(AtomicU64, std::marker::PhantomData<V>);

impl<V: Number> Store for Last<V> {
    type Settings = ();
    type Value = V;

    fn new((): &()) -> Self {
        Last(AtomicU64::new(V::ZERO.to_bits()), std::marker::PhantomData)
    }

    #[inline]
    fn record(&self, (): &(), value: V) -> usize {
        self.0.store(value.to_bits(), Relaxed);
        0
    }

    fn exemplar_places((): &()) -> usize {
        0
    }

    fn as_f64(value: V) -> f64 {
        value.as_f64()
    }

    fn read(&self, (): &(), _: u64) -> Option<Reading> {
        Some(Reading::Number(wire(read::<V>(&self.0))))
    }
}

impl<L: LabelSet, V: Number> fmt::Debug for Gauge<L, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gauge({:?})", self.instrument)
    }
}

impl<V: Number> fmt::Debug for BoundGauge<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoundGauge({:?})", self.0.labels)
    }
}
