//! `h </ x` and `h >/ x`: what of a histogram lies below or above a value.
//!
//! Source: Prometheus documentation, "Histogram trim operators". Within a bucket the
//! observations are spread as for quantiles; the sum becomes an estimate, because nobody
//! knows which observations have gone.

use trefoil_store::model::Histogram;

use super::estimate::share_below;
use super::{Bucket, bounds, is_custom, pairs, spans_of};

/// Which side is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Below,
    Above,
}

/// The part of a histogram below or above a value.
pub(crate) fn trim(h: &Histogram, keep: Keep, value: f64) -> Histogram {
    let everything = if keep == Keep::Below { f64::INFINITY } else { f64::NEG_INFINITY };
    if value == everything {
        return h.clone();
    }
    let mut trimmer = Trimmer { h, keep, value, count: 0.0, sum: 0.0, removed: false };
    let negative: Vec<(i32, f64)> = pairs(&h.negative_spans, &h.negative_buckets)
        .map(|(index, count)| {
            let (lower, upper) = bounds(h, index);
            (index, trimmer.part(Bucket { lower: -upper, upper: -lower, count }, false))
        })
        .collect();
    let zero = trimmer.zero();
    let positive: Vec<(i32, f64)> = pairs(&h.positive_spans, &h.positive_buckets)
        .map(|(index, count)| {
            let (lower, upper) = bounds(h, index);
            (index, trimmer.part(Bucket { lower, upper, count }, false))
        })
        .collect();
    if !trimmer.removed {
        return h.clone();
    }
    let (positive_spans, positive_buckets) = spans_of(positive.into_iter());
    let (negative_spans, negative_buckets) = spans_of(negative.into_iter());
    Histogram {
        counter_reset: h.counter_reset,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: zero,
        count: trimmer.count,
        sum: trimmer.sum,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        custom_values: h.custom_values.clone(),
    }
}

struct Trimmer<'a> {
    h: &'a Histogram,
    keep: Keep,
    value: f64,
    count: f64,
    sum: f64,
    removed: bool,
}

impl Trimmer<'_> {
    fn zero(&mut self) -> f64 {
        let h = self.h;
        if h.zero_count == 0.0 || is_custom(h) {
            return h.zero_count;
        }
        let mut bucket =
            Bucket { lower: -h.zero_threshold, upper: h.zero_threshold, count: h.zero_count };
        if h.negative_buckets.is_empty() && !h.positive_buckets.is_empty() {
            bucket.lower = 0.0;
        } else if h.positive_buckets.is_empty() && !h.negative_buckets.is_empty() {
            bucket.upper = 0.0;
        }
        self.part(bucket, true)
    }

    /// How much of a bucket is kept; adds it to count and sum.
    fn part(&mut self, mut bucket: Bucket, is_zero: bool) -> f64 {
        if bucket.count == 0.0 {
            return 0.0;
        }
        // The lowest custom bucket is taken to start at 0 where that can be.
        let from_zero = bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0;
        if from_zero
            && bucket.upper < f64::INFINITY
            && (self.keep == Keep::Below || self.value >= 0.0)
        {
            bucket.lower = 0.0;
        }
        let (kept, rest) = match self.keep {
            Keep::Below => self.below(bucket, is_zero),
            Keep::Above => self.above(bucket, is_zero),
        };
        if kept != bucket.count {
            self.removed = true;
        }
        if kept != 0.0 {
            self.count += kept;
            self.sum += kept * self.middle(&rest, is_zero);
        }
        kept
    }

    fn below(&self, bucket: Bucket, is_zero: bool) -> (f64, Bucket) {
        if bucket.upper <= self.value {
            return (bucket.count, bucket);
        }
        let open = bucket.upper == f64::INFINITY;
        if bucket.lower >= self.value || open {
            return (0.0, bucket);
        }
        let kept = share_below(self.h, &bucket, is_zero, self.value);
        (kept, Bucket { upper: self.value, ..bucket })
    }

    fn above(&self, bucket: Bucket, is_zero: bool) -> (f64, Bucket) {
        if bucket.lower >= self.value {
            return (bucket.count, bucket);
        }
        // Where a bucket without a lower bound is cut, nobody knows what lies above.
        if bucket.upper <= self.value || bucket.lower == f64::NEG_INFINITY {
            return (0.0, bucket);
        }
        let kept = bucket.count - share_below(self.h, &bucket, is_zero, self.value);
        (kept, Bucket { lower: self.value, ..bucket })
    }

    /// Where the observations of a bucket are taken to lie.
    fn middle(&self, bucket: &Bucket, is_zero: bool) -> f64 {
        if bucket.lower == f64::NEG_INFINITY {
            return bucket.upper;
        }
        if bucket.upper == f64::INFINITY {
            return bucket.lower;
        }
        if is_custom(self.h) || is_zero {
            return f64::midpoint(bucket.lower, bucket.upper);
        }
        (bucket.lower * bucket.upper).sqrt().copysign(bucket.upper)
    }
}
