//! Sums of native histograms, compensated like sums of floats, at the coarsest
//! resolution and the widest zero bucket met.

use std::collections::BTreeMap;

use trefoil_store::model::{CounterReset, Histogram};

use super::{CUSTOM, exponential_bound, pairs, spans_of};

/// Exponential and custom buckets cannot be added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MixedSchemas;

/// Adds to a sum and keeps what rounding lost. Source: Kahan and Babuška, in Neumaier's
/// variant, as Prometheus sums.
#[inline]
pub(crate) fn kahan_add(increment: f64, sum: f64, lost: f64) -> (f64, f64) {
    let total = sum + increment;
    let (of_sum, of_increment) = ((sum - total) + increment, (increment - total) + sum);
    let error = if sum.abs() >= increment.abs() { of_sum } else { of_increment };
    (total, if total.is_infinite() { 0.0 } else { lost + error })
}

/// A compensated sum.
#[derive(Clone, Copy, Debug, Default)]
struct Term {
    sum: f64,
    lost: f64,
}

impl Term {
    fn of(value: f64) -> Term {
        Term { sum: value, lost: 0.0 }
    }

    fn add(&mut self, other: Term) {
        let (sum, lost) = kahan_add(other.sum, self.sum, self.lost + other.lost);
        *self = Term { sum, lost };
    }

    fn value(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }

    fn scale(&mut self, factor: f64) {
        self.sum *= factor;
        self.lost *= factor;
    }
}

type Side = BTreeMap<i32, Term>;

/// A histogram while it is being summed.
#[derive(Clone, Debug)]
pub(crate) struct Accumulator {
    schema: i8,
    /// Widest zero bucket met.
    pub(crate) zero_threshold: f64,
    custom: Vec<f64>,
    zero: Term,
    count: Term,
    sum: Term,
    positive: Side,
    negative: Side,
    hint: CounterReset,
    saw_reset: bool,
    saw_not_reset: bool,
}

impl Accumulator {
    /// Starts with a first histogram.
    pub(crate) fn of(h: &Histogram) -> Accumulator {
        let side = |spans, buckets| pairs(spans, buckets).map(|(i, n)| (i, Term::of(n))).collect();
        Accumulator {
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            custom: h.custom_values.clone(),
            zero: Term::of(h.zero_count),
            count: Term::of(h.count),
            sum: Term::of(h.sum),
            positive: side(&h.positive_spans, &h.positive_buckets),
            negative: side(&h.negative_spans, &h.negative_buckets),
            hint: h.counter_reset,
            saw_reset: h.counter_reset == CounterReset::Reset,
            saw_not_reset: h.counter_reset == CounterReset::NotReset,
        }
    }

    /// Adds a histogram. True if listed bounds differed and only the common ones remain.
    pub(crate) fn add(&mut self, h: &Histogram) -> Result<bool, MixedSchemas> {
        let mut other = Accumulator::of(h);
        self.join_hints(&other);
        self.add_accumulated(&mut other)
    }

    /// Subtracts a histogram. The result is a gauge: it may go down.
    pub(crate) fn subtract(&mut self, h: &Histogram) -> Result<bool, MixedSchemas> {
        let mut other = Accumulator::of(h);
        other.scale(-1.0);
        self.hint = CounterReset::Gauge;
        self.add_accumulated(&mut other)
    }

    fn add_accumulated(&mut self, other: &mut Accumulator) -> Result<bool, MixedSchemas> {
        let reconciled = self.align(other)?;
        self.zero.add(other.zero);
        self.count.add(other.count);
        self.sum.add(other.sum);
        for (mine, theirs) in
            [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)]
        {
            for (index, term) in theirs {
                mine.entry(*index).or_default().add(*term);
            }
        }
        Ok(reconciled)
    }

    /// A gauge stays a gauge, an unknown stays unknown; a reset and no reset are unknown.
    fn join_hints(&mut self, other: &Accumulator) {
        use CounterReset::{Gauge, Unknown};
        self.saw_reset |= other.saw_reset;
        self.saw_not_reset |= other.saw_not_reset;
        if self.hint == other.hint {
            return;
        }
        self.hint = if self.hint == Gauge || other.hint == Gauge { Gauge } else { Unknown };
    }

    /// Whether samples with and without a counter reset were added to each other.
    pub(crate) fn resets_collide(&self) -> bool {
        self.saw_reset && self.saw_not_reset
    }

    /// Brings both to the same buckets. True if listed bounds differed.
    pub(crate) fn align(&mut self, other: &mut Accumulator) -> Result<bool, MixedSchemas> {
        if (self.schema == CUSTOM) != (other.schema == CUSTOM) {
            return Err(MixedSchemas);
        }
        if self.schema == CUSTOM {
            if self.custom == other.custom {
                return Ok(false);
            }
            let common: Vec<f64> = self
                .custom
                .iter()
                .filter(|bound| other.custom.iter().any(|b| b == *bound))
                .copied()
                .collect();
            self.keep_bounds(&common);
            other.keep_bounds(&common);
            return Ok(true);
        }
        while self.zero_threshold != other.zero_threshold {
            let (narrow, wide) = if self.zero_threshold < other.zero_threshold {
                (&mut *self, &mut *other)
            } else {
                (&mut *other, &mut *self)
            };
            narrow.widen_zero(wide.zero_threshold);
        }
        let schema = self.schema.min(other.schema);
        self.reduce(schema);
        other.reduce(schema);
        Ok(false)
    }

    fn keep_bounds(&mut self, common: &[f64]) {
        let mut kept = Side::new();
        for (index, term) in &self.positive {
            let bound = usize::try_from(*index).ok().and_then(|i| self.custom.get(i));
            let target = match bound {
                Some(bound) => common.partition_point(|b| b < bound),
                None => common.len(),
            };
            kept.entry(target as i32).or_default().add(*term);
        }
        self.positive = kept;
        self.custom = common.to_vec();
    }

    /// Moves buckets into the zero bucket up to a threshold, or beyond it if it lies
    /// within a bucket that counted something.
    fn widen_zero(&mut self, mut threshold: f64) {
        for side in [&self.positive, &self.negative, &self.positive] {
            for (index, term) in side {
                let lower = exponential_bound(index.saturating_sub(1), self.schema);
                let upper = exponential_bound(*index, self.schema);
                if lower < threshold && upper > threshold && term.sum != 0.0 {
                    threshold = upper;
                }
            }
        }
        self.zero_threshold = threshold;
        let schema = self.schema;
        let zero = &mut self.zero;
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|index, term| {
                let within = exponential_bound(index.saturating_sub(1), schema) < threshold;
                if within {
                    zero.add(*term);
                }
                !within
            });
        }
    }

    fn reduce(&mut self, schema: i8) {
        let shift = i32::from(self.schema) - i32::from(schema);
        if shift <= 0 {
            return;
        }
        for side in [&mut self.positive, &mut self.negative] {
            let mut coarse = Side::new();
            for (index, term) in &*side {
                let target = (index.saturating_sub(1) >> shift.min(31)) + 1;
                coarse.entry(target).or_default().add(*term);
            }
            *side = coarse;
        }
        self.schema = schema;
    }

    /// Whether any count is lower than the other's; both are aligned.
    pub(crate) fn fell_below(&self, before: &Accumulator) -> bool {
        let fell = |now: &Side, then: &Side| {
            then.iter().any(|(i, term)| now.get(i).map_or(0.0, |t| t.value()) < term.value())
        };
        self.zero.value() < before.zero.value()
            || fell(&self.positive, &before.positive)
            || fell(&self.negative, &before.negative)
    }

    /// Multiplies everything.
    pub(crate) fn scale(&mut self, factor: f64) {
        let parts = [&mut self.zero, &mut self.count, &mut self.sum];
        let buckets = self.positive.values_mut().chain(self.negative.values_mut());
        for term in parts.into_iter().chain(buckets) {
            term.scale(factor);
        }
    }

    /// Whether a number has become too large for a float.
    pub(crate) fn overflowed(&self) -> bool {
        let buckets = self.positive.values().chain(self.negative.values());
        [&self.zero, &self.count, &self.sum].into_iter().chain(buckets).any(|t| t.sum.is_infinite())
    }

    /// The sum.
    pub(crate) fn finish(&self) -> Histogram {
        let side = |side: &Side| spans_of(side.iter().map(|(i, term)| (*i, term.value())));
        let (positive_spans, positive_buckets) = side(&self.positive);
        let (negative_spans, negative_buckets) = side(&self.negative);
        Histogram {
            counter_reset: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero.value(),
            count: self.count.value(),
            sum: self.sum.value(),
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: self.custom.clone(),
        }
    }
}

/// A mean of histograms: a plain sum as long as it fits, then incrementally.
#[derive(Clone, Debug)]
pub(crate) struct Mean {
    sum: Accumulator,
    incremental: bool,
    count: f64,
}

impl Mean {
    /// Starts with a first histogram.
    pub(crate) fn of(h: &Histogram) -> Mean {
        Mean { sum: Accumulator::of(h), incremental: false, count: 1.0 }
    }

    /// Adds a histogram.
    pub(crate) fn add(&mut self, h: &Histogram) -> Result<bool, MixedSchemas> {
        self.count += 1.0;
        if !self.incremental {
            let mut sum = self.sum.clone();
            let reconciled = sum.add(h)?;
            if !sum.overflowed() {
                self.sum = sum;
                return Ok(reconciled);
            }
            self.incremental = true;
            self.sum.scale(1.0 / (self.count - 1.0));
        }
        self.sum.scale((self.count - 1.0) / self.count);
        let mut share = super::map_counts(h, |x| x / self.count);
        share.counter_reset = h.counter_reset;
        self.sum.add(&share)
    }

    /// The mean, and whether counter resets collided.
    pub(crate) fn finish(mut self) -> (Histogram, bool) {
        if !self.incremental {
            self.sum.scale(1.0 / self.count);
        }
        (self.sum.finish(), self.sum.resets_collide())
    }
}
