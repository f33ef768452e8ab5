//! Distributions over exponential buckets, which adjust to what is measured.
//!
//! Source: "Exponential Histogram" and its "all scales" mapping in OpenTelemetry's metrics
//! data model. A bucket `i` at scale `s` holds values in (2^(i/2^s), 2^((i+1)/2^s)].

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::histogram::Extremes;
use super::series::{self, Store};
use super::stripe::{Stripe, Striped};

/// Buckets of one sign; OpenTelemetry's default.
const BUCKETS_MAX: usize = 160;
/// Finest resolution; OpenTelemetry's default.
const SCALE_MAX: i32 = 20;
/// Places for exemplars, by powers of two.
const EXEMPLARS: usize = 16;

/// Cells of an exponential histogram.
pub(super) struct Exponential(Striped<ExponentialCell>);

impl Store for Exponential {
    type Settings = ();
    type Value = f64;

    fn new(settings: &()) -> Self {
        Exponential(Striped::new(settings))
    }

    #[inline]
    fn record(&self, settings: &(), value: f64) -> usize {
        self.0.record(settings, value);
        (value.to_bits() >> 52) as usize % EXEMPLARS
    }

    fn exemplar_places((): &()) -> usize {
        EXEMPLARS
    }

    fn as_f64(value: f64) -> f64 {
        value
    }

    fn read(&self, (): &(), _: u64) -> Option<series::Reading> {
        let mut reading = Reading::new();
        for cell in self.0.iter() {
            reading.merge(&cell.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Some(series::Reading::Exponential(reading))
    }
}

/// Its buckets move, so it has a lock, which only a reader ever contends for.
struct ExponentialCell(Box<Mutex<Reading>>);

impl Stripe for ExponentialCell {
    type Settings = ();
    type Value = f64;

    fn new((): &()) -> Self {
        ExponentialCell(Box::new(Mutex::new(Reading::new())))
    }

    #[inline]
    fn alone(&self, settings: &(), value: f64) {
        self.shared(settings, value);
    }

    fn shared(&self, (): &(), value: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(value);
    }
}

/// An exponential histogram.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) scale: i32,
    pub(crate) zeros: u64,
    pub(crate) positive: Run,
    pub(crate) negative: Run,
    pub(crate) sum: f64,
    pub(crate) extremes: Extremes,
}

/// Buckets next to each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Run {
    /// Index of the first.
    pub(crate) offset: i32,
    pub(crate) counts: VecDeque<u64>,
}

impl Reading {
    fn new() -> Self {
        Reading {
            scale: SCALE_MAX,
            zeros: 0,
            positive: Run::default(),
            negative: Run::default(),
            sum: 0.0,
            extremes: Extremes::NONE,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.zeros + self.positive.count() + self.negative.count()
    }

    fn record(&mut self, value: f64) {
        self.sum += value;
        self.extremes.include_value(value);
        let size = value.abs();
        if size < f64::MIN_POSITIVE {
            self.zeros += 1;
            return;
        }
        let run = if value > 0.0 { &self.positive } else { &self.negative };
        let mut index = index(size, self.scale);
        let steps = run.steps_to_hold(index, index);
        if steps > 0 {
            self.coarsen(steps);
            index >>= steps;
        }
        let run = if value > 0.0 { &mut self.positive } else { &mut self.negative };
        run.add(index, 1);
    }

    /// Adds another one, at the coarser scale of the two or as coarse as it must be.
    fn merge(&mut self, other: &Reading) {
        let mut other = other.clone();
        let scale = self.scale.min(other.scale);
        self.coarsen((self.scale - scale).cast_unsigned());
        other.coarsen((other.scale - scale).cast_unsigned());
        let steps = (self.positive.steps_to_hold_run(&other.positive))
            .max(self.negative.steps_to_hold_run(&other.negative));
        self.coarsen(steps);
        other.coarsen(steps);
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
        self.zeros += other.zeros;
        self.sum += other.sum;
        self.extremes.include(other.extremes);
    }

    /// Halves the resolution so often.
    pub(crate) fn coarsen(&mut self, steps: u32) {
        if steps > 0 {
            self.scale -= steps.cast_signed();
            self.positive.coarsen(steps);
            self.negative.coarsen(steps);
        }
    }

    /// What was added since an earlier reading of the same series.
    pub(crate) fn since(mut self, mut earlier: Reading) -> Reading {
        let scale = self.scale.min(earlier.scale);
        self.coarsen((self.scale - scale).cast_unsigned());
        earlier.coarsen((earlier.scale - scale).cast_unsigned());
        self.positive.subtract(&earlier.positive);
        self.negative.subtract(&earlier.negative);
        self.zeros = self.zeros.saturating_sub(earlier.zeros);
        self.sum -= earlier.sum;
        self.extremes = Extremes::NONE;
        self
    }

    /// The upper bound of a bucket.
    pub(crate) fn bound(&self, index: i32) -> f64 {
        ((f64::from(index) + 1.0) * f64::from(-self.scale).exp2()).exp2()
    }
}

/// The bucket of a positive, normal number.
fn index(size: f64, scale: i32) -> i32 {
    let bits = size.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let is_power = bits << 12 == 0;
    if scale <= 0 {
        // A power of two belongs to the bucket that ends in it.
        return (exponent - i32::from(is_power)) >> -scale;
    }
    if is_power {
        return (exponent << scale) - 1;
    }
    // Between two powers of two the logarithm is exact enough never to leave them.
    let within = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52).log2();
    let buckets = f64::from(scale).exp2();
    let inside = ((within * buckets).ceil() - 1.0).clamp(0.0, buckets - 1.0);
    (exponent << scale) + inside as i32
}

impl Run {
    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn end(&self) -> i32 {
        self.offset + self.counts.len() as i32 - 1
    }

    /// How often the resolution must be halved to hold buckets from `low` to `high`, too.
    fn steps_to_hold(&self, low: i32, high: i32) -> u32 {
        let (mut low, mut high) = (low, high);
        if !self.counts.is_empty() {
            low = low.min(self.offset);
            high = high.max(self.end());
        }
        let mut steps = 0;
        while i64::from(high >> steps) - i64::from(low >> steps) >= BUCKETS_MAX as i64 {
            steps += 1;
        }
        steps
    }

    fn steps_to_hold_run(&self, other: &Run) -> u32 {
        if other.counts.is_empty() { 0 } else { self.steps_to_hold(other.offset, other.end()) }
    }

    /// The caller has made sure that it fits.
    fn add(&mut self, index: i32, count: u64) {
        if self.counts.is_empty() {
            self.offset = index;
        }
        while index < self.offset {
            self.counts.push_front(0);
            self.offset -= 1;
        }
        let at = (index - self.offset) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += count;
    }

    fn merge(&mut self, other: &Run) {
        for (index, &count) in (other.offset..).zip(&other.counts) {
            if count > 0 {
                self.add(index, count);
            }
        }
    }

    fn subtract(&mut self, earlier: &Run) {
        for (index, &count) in (earlier.offset..).zip(&earlier.counts) {
            if let Some(own) = self.counts.get_mut((index - self.offset) as usize) {
                *own = own.saturating_sub(count);
            }
        }
    }

    fn coarsen(&mut self, steps: u32) {
        let finer = std::mem::take(self);
        for (index, &count) in (finer.offset..).zip(&finer.counts) {
            if count > 0 {
                self.add(index >> steps, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition itself, for scales where a bound can be computed exactly enough.
    #[test]
    fn a_value_lies_between_the_bounds_of_its_bucket() {
        for scale in [-4, -1, 0, 1, 3, 6, 10, 20] {
            let mut reading = Reading::new();
            reading.scale = scale;
            let mut value: f64 = 1e-12;
            while value < 1e12 {
                for value in [value, value.log2().round().exp2()] {
                    let index = index(value, scale);
                    let (low, high) = (reading.bound(index - 1), reading.bound(index));
                    let slack = 1e-9;
                    assert!(
                        value > low * (1.0 - slack) && value <= high * (1.0 + slack),
                        "{value} at scale {scale}: bucket {index} is ({low}, {high}]"
                    );
                }
                value *= 1.37;
            }
        }
        assert_eq!(index(1.0, 0), -1);
        assert_eq!(index(2.0, 0), 0);
        assert_eq!(index(1.5, 0), 0);
        assert_eq!(index(4.0, 3), 15);
        assert_eq!(index(f64::MAX, SCALE_MAX), (1024 << 20) - 1);
    }

    #[test]
    fn it_holds_all_doubles_in_160_buckets_and_forgets_none() {
        let mut reading = Reading::new();
        let values = [5e-324, f64::MIN_POSITIVE, 1e-9, 0.5, 1.0, 3.0, 1e9, f64::MAX, 0.0, -2.0];
        for value in values {
            reading.record(value);
        }
        assert_eq!(reading.count(), values.len() as u64);
        assert_eq!(reading.zeros, 2);
        assert!(reading.positive.counts.len() <= BUCKETS_MAX);
        assert!(reading.scale >= -10, "{}", reading.scale);
        assert_eq!(reading.negative.count(), 1);
    }

    #[test]
    fn merging_and_taking_the_difference_keep_the_counts() {
        let (mut a, mut b) = (Reading::new(), Reading::new());
        for i in 1..1000 {
            a.record(f64::from(i) * 0.001);
            b.record(f64::from(i) * 10.0);
        }
        let mut both = a.clone();
        both.merge(&b);
        assert_eq!(both.count(), 1998);
        assert!(both.positive.counts.len() <= BUCKETS_MAX);
        let rest = both.clone().since(a);
        assert_eq!(rest.count(), 999);
        assert!((rest.sum - b.sum).abs() < 1e-6);
        let median = {
            let mut seen = 0;
            let mut at = both.positive.offset;
            for count in &both.positive.counts {
                seen += count;
                if seen >= 999 {
                    break;
                }
                at += 1;
            }
            both.bound(at)
        };
        assert!((0.9..1.1).contains(&median), "{median}");
    }
}
