//! Sums: counters and up-down counters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::declare::Definition;
use super::family::{Family, Kind};
use super::instrument::Instrument;
use super::label::LabelSet;
use super::number::{Number, add_alone, add_shared, read, wire};
use super::registry::Registry;
use super::series::{Reading, Series, Store};
use super::stripe::{Stripe, Striped};

/// A sum that only goes up.
pub struct Counter<L: LabelSet = (), V: Number = u64> {
    instrument: Instrument<L, Sum<V>>,
}

impl<L: LabelSet, V: Number> Counter<L, V> {
    /// See [`metrics!`](crate::metrics).
    #[doc(hidden)]
    pub const fn declare(definition: Definition) -> Self {
        Counter { instrument: Instrument::new(definition) }
    }

    pub(super) fn in_registry(registry: &Registry, definition: &Definition) -> Self {
        Counter { instrument: Instrument::of(register(registry, definition)) }
    }

    /// Adds. What is negative or not a number is left out: a counter only goes up.
    #[inline]
    pub fn add(&self, value: V, labels: L::Of<'_>) {
        if value >= V::ZERO {
            self.instrument.record(labels, value, register);
        }
    }

    /// The counter of these labels, which is looked up once.
    pub fn bind(&self, labels: L::Of<'_>) -> BoundCounter<V> {
        BoundCounter(self.instrument.series(labels, register))
    }

    /// Shows all combinations of labels that can be counted, at zero, so that the first
    /// increase of each is seen as one.
    pub fn fill(&self) {
        self.instrument.fill(register);
    }
}

impl<L: LabelSet> Counter<L> {
    /// Adds one.
    #[inline]
    pub fn inc(&self, labels: L::Of<'_>) {
        self.add(1, labels);
    }
}

fn register<V: Number>(registry: &Registry, definition: &Definition) -> Arc<Family<Sum<V>>> {
    registry.register(definition, Kind::Counter, ())
}

/// A counter of fixed labels.
pub struct BoundCounter<V: Number = u64>(Arc<Series<Sum<V>>>);

impl<V: Number> BoundCounter<V> {
    /// Adds. What is negative or not a number is left out.
    #[inline]
    pub fn add(&self, value: V) {
        if value >= V::ZERO {
            self.0.record(value);
        }
    }
}

/// A sum that goes up and down, like the requests in flight.
pub struct UpDownCounter<L: LabelSet = (), V: Number = i64> {
    instrument: Instrument<L, Sum<V>>,
}

impl<L: LabelSet, V: Number> UpDownCounter<L, V> {
    /// See [`metrics!`](crate::metrics).
    #[doc(hidden)]
    pub const fn declare(definition: Definition) -> Self {
        UpDownCounter { instrument: Instrument::new(definition) }
    }

    pub(super) fn in_registry(registry: &Registry, definition: &Definition) -> Self {
        UpDownCounter { instrument: Instrument::of(register_up_down(registry, definition)) }
    }

    /// Adds a value, which may be negative.
    #[inline]
    pub fn add(&self, value: V, labels: L::Of<'_>) {
        self.instrument.record(labels, value, register_up_down);
    }

    /// The counter of these labels, which is looked up once.
    pub fn bind(&self, labels: L::Of<'_>) -> BoundUpDownCounter<V> {
        BoundUpDownCounter(self.instrument.series(labels, register_up_down))
    }

    /// Shows all combinations of labels that can be counted, at zero.
    pub fn fill(&self) {
        self.instrument.fill(register_up_down);
    }
}

fn register_up_down<V: Number>(
    registry: &Registry,
    definition: &Definition,
) -> Arc<Family<Sum<V>>> {
    registry.register(definition, Kind::UpDownCounter, ())
}

/// An up-down counter of fixed labels.
pub struct BoundUpDownCounter<V: Number = i64>(Arc<Series<Sum<V>>>);

impl<V: Number> BoundUpDownCounter<V> {
    /// Adds a value, which may be negative.
    #[inline]
    pub fn add(&self, value: V) {
        self.0.record(value);
    }
}

/// Cells of a sum.
pub(super) struct Sum<V>(Striped<SumCell<V>>);

impl<V: Number> Store for Sum<V> {
    type Settings = ();
    type Value = V;

    fn new(settings: &()) -> Self {
        Sum(Striped::new(settings))
    }

    #[inline]
    fn record(&self, settings: &(), value: V) -> usize {
        self.0.record(settings, value);
        0
    }

    fn exemplar_places((): &()) -> usize {
        1
    }

    fn as_f64(value: V) -> f64 {
        value.as_f64()
    }

    fn read(&self, (): &(), _: u64) -> Option<Reading> {
        let sum = self.0.iter().fold(V::ZERO, |sum, cell| sum.plus(read(&cell.0.0)));
        Some(Reading::Number(wire(sum)))
    }
}

/// On a cache line of its own, so that two threads do not fight over it.
struct SumCell<V>(Box<Line>, std::marker::PhantomData<V>);

#[repr(align(64))]
struct Line(AtomicU64);

impl<V: Number> Stripe for SumCell<V> {
    type Settings = ();
    type Value = V;

    fn new((): &()) -> Self {
        SumCell(Box::new(Line(AtomicU64::new(V::ZERO.to_bits()))), std::marker::PhantomData)
    }

    #[inline]
    fn alone(&self, (): &(), value: V) {
        add_alone(&self.0.0, value);
    }

    fn shared(&self, (): &(), value: V) {
        add_shared(&self.0.0, value);
    }
}

macro_rules! debug {
    ($($type:ident),*) => {$(
        impl<L: LabelSet, V: Number> fmt::Debug for $type<L, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($type), self.instrument)
            }
        }
    )*};
}
debug!(Counter, UpDownCounter);

macro_rules! debug_bound {
    ($($type:ident),*) => {$(
        impl<V: Number> fmt::Debug for $type<V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($type), self.0.labels)
            }
        }
    )*};
}
debug_bound!(BoundCounter, BoundUpDownCounter);
