//! Distributions over fixed buckets, and the instrument for both kinds.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::declare::{Buckets, Definition};
use super::exponential::Exponential;
use super::family::{Family, Kind};
use super::instrument::Instrument;
use super::label::LabelSet;
use super::number::{add_alone, add_shared, read};
use super::registry::Registry;
use super::series::{self, Series, Store};
use super::stripe::{Stripe, Striped};

/// A distribution of measurements.
pub struct Histogram<L: LabelSet = ()> {
    explicit: Instrument<L, Explicit>,
    /// Whether it is exponential is known with the settings, at the first use.
    exponential: OnceLock<Option<Instrument<L, Exponential>>>,
}

impl<L: LabelSet> Histogram<L> {
    /// See [`metrics!`](crate::metrics).
    #[doc(hidden)]
    pub const fn declare(definition: Definition) -> Self {
        Histogram { explicit: Instrument::new(definition), exponential: OnceLock::new() }
    }

    pub(super) fn in_registry(registry: &Registry, definition: &Definition) -> Self {
        if is_exponential(registry, definition) {
            let exponential = Instrument::of(register_exponential(registry, definition));
            let explicit = Instrument::new(definition.clone());
            return Histogram { explicit, exponential: OnceLock::from(Some(exponential)) };
        }
        let explicit = Instrument::of(register(registry, definition));
        Histogram { explicit, exponential: OnceLock::from(None) }
    }

    /// Takes a measurement. What is infinite or not a number is left out.
    #[inline]
    pub fn record(&self, value: f64, labels: L::Of<'_>) {
        if !value.is_finite() {
            return;
        }
        match self.exponential.get() {
            Some(None) => self.explicit.record(labels, value, register),
            _ => self.record_exponential(value, labels),
        }
    }

    /// Takes a duration, in seconds.
    #[inline]
    pub fn record_duration(&self, duration: Duration, labels: L::Of<'_>) {
        self.record(duration.as_secs_f64(), labels);
    }

    /// The histogram of these labels, which is looked up once.
    pub fn bind(&self, labels: L::Of<'_>) -> BoundHistogram {
        BoundHistogram(match self.exponential() {
            None => Bound::Explicit(self.explicit.series(labels, register)),
            Some(exponential) => {
                Bound::Exponential(exponential.series(labels, register_exponential))
            }
        })
    }

    /// Shows all combinations of labels that can be counted, at zero.
    pub fn fill(&self) {
        match self.exponential() {
            None => self.explicit.fill(register),
            Some(exponential) => exponential.fill(register_exponential),
        }
    }

    #[inline(never)]
    fn record_exponential(&self, value: f64, labels: L::Of<'_>) {
        match self.exponential() {
            None => self.explicit.record(labels, value, register),
            Some(exponential) => exponential.record(labels, value, register_exponential),
        }
    }

    fn exponential(&self) -> Option<&Instrument<L, Exponential>> {
        let decide = || {
            let definition = self.explicit.definition();
            is_exponential(Registry::global(), definition)
                .then(|| Instrument::new(definition.clone()))
        };
        self.exponential.get_or_init(decide).as_ref()
    }
}

fn is_exponential(registry: &Registry, definition: &Definition) -> bool {
    match definition.buckets {
        Buckets::Exponential => true,
        Buckets::Explicit(_) => false,
        Buckets::Default => registry.limits().exponential.load(Relaxed),
    }
}

fn register(registry: &Registry, definition: &Definition) -> Arc<Family<Explicit>> {
    registry.register(definition, Kind::Histogram, Bounds::of(definition))
}

fn register_exponential(registry: &Registry, definition: &Definition) -> Arc<Family<Exponential>> {
    registry.register(definition, Kind::Histogram, ())
}

/// A histogram of fixed labels.
pub struct BoundHistogram(Bound);

enum Bound {
    Explicit(Arc<Series<Explicit>>),
    Exponential(Arc<Series<Exponential>>),
}

impl BoundHistogram {
    /// Takes a measurement. What is infinite or not a number is left out.
    #[inline]
    pub fn record(&self, value: f64) {
        if !value.is_finite() {
            return;
        }
        match &self.0 {
            Bound::Explicit(series) => series.record(value),
            Bound::Exponential(series) => series.record(value),
        }
    }

    /// Takes a duration, in seconds.
    #[inline]
    pub fn record_duration(&self, duration: Duration) {
        self.record(duration.as_secs_f64());
    }
}

/// Bounds for durations in seconds, of the semantic conventions for HTTP, RPC and databases.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Bounds for sizes in bytes: 256 B to 64 MiB in steps of four.
const BYTES: [f64; 10] = [
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// OpenTelemetry's default bounds, which suit milliseconds.
const OTHERS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
];

/// Upper bounds of the buckets but the last, ascending, with a table that leads to the
/// bucket of a value in a step or two.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    all: Arc<[f64]>,
    /// For each quarter of a doubling, from the first positive bound to the last: the first
    /// bucket that its values may be in. Empty if there would be too many.
    starts: Arc<[u16]>,
    /// The quarter that `starts` begins with.
    first: u64,
}

/// Quarters of doublings that are tabled: enough for nanoseconds to years.
const QUARTERS_MAX: u64 = 256;

/// Exponent and the first two bits of a positive double: numbers the quarters of doublings.
#[inline]
fn quarter(value: f64) -> u64 {
    value.to_bits() >> 50
}

impl Bounds {
    /// Makes them ascend, whatever was declared.
    fn new(declared: &[f64]) -> Bounds {
        let mut all: Vec<f64> = declared.iter().copied().filter(|b| b.is_finite()).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        let first = all.iter().find(|bound| **bound > 0.0).map_or(0, |bound| quarter(*bound));
        let last = all.last().filter(|bound| **bound > 0.0).map_or(0, |bound| quarter(*bound));
        let mut starts = Vec::new();
        if last - first < QUARTERS_MAX && all.len() < usize::from(u16::MAX) {
            let start = |edge: f64| all.partition_point(|bound| *bound < edge) as u16;
            starts.extend((first..=last).map(|quarter| start(f64::from_bits(quarter << 50))));
            // What is below the table begins at the beginning.
            starts[0] = 0;
        }
        Bounds { all: all.into(), starts: starts.into(), first }
    }

    fn of(definition: &Definition) -> Bounds {
        Bounds::new(match &definition.buckets {
            Buckets::Explicit(bounds) => bounds,
            _ => match &*definition.unit {
                "s" => &SECONDS,
                "By" => &BYTES,
                _ => &OTHERS,
            },
        })
    }

    /// The bucket of a finite value: the first whose bound is not below it.
    #[inline]
    fn bucket(&self, value: f64) -> usize {
        if value <= 0.0 || self.starts.is_empty() {
            return self.all.partition_point(|bound| *bound < value);
        }
        let place = quarter(value).saturating_sub(self.first) as usize;
        let mut bucket = usize::from(self.starts[place.min(self.starts.len() - 1)]);
        while self.all.get(bucket).is_some_and(|bound| *bound < value) {
            bucket += 1;
        }
        bucket
    }
}

/// Cells of a histogram with fixed buckets.
pub(super) struct Explicit(Striped<ExplicitCell>);

impl Store for Explicit {
    type Settings = Bounds;
    type Value = f64;

    fn new(bounds: &Bounds) -> Self {
        Explicit(Striped::new(bounds))
    }

    #[inline]
    fn record(&self, bounds: &Bounds, value: f64) -> usize {
        let bucket = bounds.bucket(value);
        self.0.record(bounds, (bucket, value));
        bucket
    }

    fn exemplar_places(bounds: &Bounds) -> usize {
        bounds.all.len() + 1
    }

    fn as_f64(value: f64) -> f64 {
        value
    }

    fn read(&self, bounds: &Bounds, _: u64) -> Option<series::Reading> {
        let mut reading = Reading {
            bounds: Arc::clone(&bounds.all),
            counts: vec![0; bounds.all.len() + 1],
            sum: 0.0,
            extremes: Extremes::NONE,
        };
        for cell in self.0.iter() {
            cell.add_to(&mut reading);
        }
        Some(series::Reading::Histogram(reading))
    }
}

/// Words of a cell before its buckets: sum, smallest, largest.
const SUM: usize = 0;
const MIN: usize = 1;
const MAX: usize = 2;
const BUCKETS: usize = 3;

/// One block of words, so that a measurement touches two or three lines next to each other.
struct ExplicitCell(Box<[AtomicU64]>);

impl Stripe for ExplicitCell {
    type Settings = Bounds;
    /// Bucket and value.
    type Value = (usize, f64);

    fn new(bounds: &Bounds) -> Self {
        let word = |i| match i {
            MIN => f64::INFINITY.to_bits(),
            MAX => f64::NEG_INFINITY.to_bits(),
            _ => 0,
        };
        ExplicitCell((0..BUCKETS + bounds.all.len() + 1).map(|i| AtomicU64::new(word(i))).collect())
    }

    #[inline]
    fn alone(&self, _: &Bounds, (bucket, value): (usize, f64)) {
        let [sum, min, max, buckets @ ..] = &*self.0 else { return };
        let Some(count) = buckets.get(bucket) else { return };
        add_alone(sum, value);
        if value < read(min) {
            min.store(value.to_bits(), Relaxed);
        }
        if value > read(max) {
            max.store(value.to_bits(), Relaxed);
        }
        add_alone(count, 1u64);
    }

    fn shared(&self, _: &Bounds, (bucket, value): (usize, f64)) {
        let [sum, min, max, buckets @ ..] = &*self.0 else { return };
        let Some(count) = buckets.get(bucket) else { return };
        add_shared(sum, value);
        let smaller = |bits| (value < f64::from_bits(bits)).then_some(value.to_bits());
        let larger = |bits| (value > f64::from_bits(bits)).then_some(value.to_bits());
        // An error says that the value was not an extreme one.
        let _ = min.fetch_update(Relaxed, Relaxed, smaller);
        let _ = max.fetch_update(Relaxed, Relaxed, larger);
        add_shared(count, 1u64);
    }
}

impl ExplicitCell {
    fn add_to(&self, reading: &mut Reading) {
        for (count, cell) in reading.counts.iter_mut().zip(&self.0[BUCKETS..]) {
            *count += read::<u64>(cell);
        }
        reading.sum += read::<f64>(&self.0[SUM]);
        reading.extremes.include(Extremes { min: read(&self.0[MIN]), max: read(&self.0[MAX]) });
    }
}

/// A histogram as it stood. What is measured meanwhile may be in the buckets and not yet in
/// the sum.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) bounds: Arc<[f64]>,
    /// Per bucket, not cumulative; one more than there are bounds.
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: f64,
    pub(crate) extremes: Extremes,
}

impl Reading {
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Smallest and largest measurement; infinite if there was none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extremes {
    min: f64,
    max: f64,
}

impl Extremes {
    pub(crate) const NONE: Extremes = Extremes { min: f64::INFINITY, max: f64::NEG_INFINITY };

    pub(super) fn include(&mut self, other: Extremes) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    pub(super) fn include_value(&mut self, value: f64) {
        self.include(Extremes { min: value, max: value });
    }

    pub(crate) fn min(self) -> Option<f64> {
        self.min.is_finite().then_some(self.min)
    }

    pub(crate) fn max(self) -> Option<f64> {
        self.max.is_finite().then_some(self.max)
    }
}

impl<L: LabelSet> fmt::Debug for Histogram<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Histogram({:?})", self.explicit)
    }
}

impl fmt::Debug for BoundHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = match &self.0 {
            Bound::Explicit(series) => &series.labels,
            Bound::Exponential(series) => &series.labels,
        };
        write!(f, "BoundHistogram({labels:?})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upper bounds are inclusive, as OTLP and Prometheus have them; the table must find what
    /// a look at each bound finds.
    #[test]
    fn values_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let many: Vec<f64> = (0..400).map(|i| f64::from(i) * 0.37).collect();
        let wide: Vec<f64> = (-300..300).step_by(50).map(|i| f64::from(i).exp2()).collect();
        let sets: [&[f64]; 9] = [
            &SECONDS,
            &BYTES,
            &OTHERS,
            &many,
            &wide,
            &[],
            &[0.0],
            &[-5.0, -1.0],
            &[-2.0, 0.0, 2.0, 2.1, 2.2],
        ];
        for bounds in sets {
            let table = Bounds::new(bounds);
            let check = |value: f64| {
                let expect = bounds.iter().filter(|bound| **bound < value).count();
                assert_eq!(table.bucket(value), expect, "{value} in {bounds:?}");
            };
            for bound in bounds {
                [*bound, bound.next_up(), bound.next_down()].into_iter().for_each(check);
            }
            for i in -1100..1100 {
                let value = f64::from(i).exp2() * 1.3;
                [value, -value].into_iter().filter(|v| v.is_finite()).for_each(check);
            }
            [0.0, -0.0, f64::MAX, f64::MIN, 5e-324].into_iter().for_each(check);
        }
        assert_eq!(Bounds::new(&SECONDS).bucket(0.005), 0);
        assert_eq!(Bounds::new(&SECONDS).bucket(10.1), 14);
    }
}
