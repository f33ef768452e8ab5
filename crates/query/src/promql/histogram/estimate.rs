//! Estimates from native histograms: quantile, fraction, spread.
//!
//! Source: Prometheus documentation, `histogram_quantile`, `histogram_fraction`,
//! `histogram_stddev`: exponential interpolation within exponential buckets, linear
//! interpolation within the zero bucket and custom buckets.

use trefoil_store::model::Histogram;

use super::accumulate::kahan_add;
use super::{Bucket, all_buckets, is_custom};

/// What a quantile suffers from observations of NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NanEffect {
    None,
    /// They are above everything, so the quantile is one of a larger population.
    Skewed,
    /// The quantile falls among them.
    Result,
}

/// Without observations on one side, the zero bucket holds none of that side either.
fn narrow_zero(h: &Histogram, bucket: &mut Bucket) {
    if h.negative_buckets.is_empty() && !h.positive_buckets.is_empty() {
        bucket.lower = 0.0;
    } else if h.positive_buckets.is_empty() && !h.negative_buckets.is_empty() {
        bucket.upper = 0.0;
    }
}

/// The value below which a share of the observations lies.
pub(crate) fn quantile(q: f64, h: &Histogram) -> (f64, NanEffect) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, NanEffect::None);
    }
    if q > 1.0 {
        return (f64::INFINITY, NanEffect::None);
    }
    if h.count == 0.0 || q.is_nan() {
        return (f64::NAN, NanEffect::None);
    }
    let has_nan = h.sum.is_nan();
    // Counting from the nearer end loses less to rounding; NaN is above all, so then from below.
    let from_below = has_nan || q < 0.5;
    let rank = if from_below { q * h.count } else { (1.0 - q) * h.count };
    let mut buckets = all_buckets(h);
    if !from_below {
        buckets.reverse();
    }
    let mut count = 0.0;
    let mut found = Bucket { lower: 0.0, upper: 0.0, count: 0.0 };
    for bucket in buckets.into_iter().filter(|b| b.count != 0.0) {
        found = bucket;
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    let effect = if has_nan { NanEffect::Skewed } else { NanEffect::None };
    if is_custom(h) {
        if found.lower == f64::NEG_INFINITY {
            if found.upper <= 0.0 {
                return (found.upper, effect);
            }
            found.lower = 0.0;
        } else if found.upper == f64::INFINITY {
            return (found.lower, effect);
        }
    } else if found.lower < 0.0 && found.upper > 0.0 {
        narrow_zero(h, &mut found);
    }
    let count = count.min(h.count);
    if count < rank {
        if has_nan {
            return (f64::NAN, NanEffect::Result);
        }
        return (found.upper, effect);
    }
    let within = if from_below { rank - (count - found.count) } else { count - rank };
    (interpolate(h, &found, within / found.count), effect)
}

fn interpolate(h: &Histogram, bucket: &Bucket, fraction: f64) -> f64 {
    if is_custom(h) || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let log_lower = bucket.lower.abs().log2();
    let log_upper = bucket.upper.abs().log2();
    if bucket.lower > 0.0 {
        return (log_lower + (log_upper - log_lower) * fraction).exp2();
    }
    -(log_upper + (log_lower - log_upper) * (1.0 - fraction)).exp2()
}

/// How many of a bucket's observations lie below a value within it.
pub(crate) fn share_below(h: &Histogram, bucket: &Bucket, is_zero: bool, value: f64) -> f64 {
    if is_custom(h) || is_zero {
        if bucket.lower == f64::NEG_INFINITY {
            return bucket.count;
        }
        if bucket.upper == f64::INFINITY {
            return 0.0;
        }
        return bucket.count * (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let log_lower = bucket.lower.abs().log2();
    let log_upper = bucket.upper.abs().log2();
    let log_value = value.abs().log2();
    let fraction = if value > 0.0 {
        (log_value - log_lower) / (log_upper - log_lower)
    } else {
        1.0 - (log_value - log_upper) / (log_lower - log_upper)
    };
    bucket.count * fraction
}

/// The share of observations between two values. True if NaN observations were left out.
pub(crate) fn fraction(lower: f64, upper: f64, h: &Histogram) -> (f64, bool) {
    let has_nan = h.sum.is_nan();
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, false);
    }
    if lower >= upper {
        return (0.0, has_nan);
    }
    let mut rank = 0.0;
    let (mut lower_rank, mut upper_rank) = (None, None);
    for mut bucket in all_buckets(h) {
        let is_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if is_zero {
            narrow_zero(h, &mut bucket);
        }
        for (value, at) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if at.is_some() {
                continue;
            }
            if bucket.lower >= value {
                *at = Some(rank);
            } else if bucket.upper > value {
                *at = Some(rank + share_below(h, &bucket, is_zero, value));
            }
        }
        rank += bucket.count;
    }
    let most = if has_nan { rank } else { h.count };
    let clamp = |at: Option<f64>| at.unwrap_or(most).min(most);
    ((clamp(upper_rank) - clamp(lower_rank)) / h.count, has_nan)
}

/// The variance, with each bucket's observations at its middle.
pub(crate) fn variance(h: &Histogram) -> f64 {
    let mean = h.sum / h.count;
    let (mut sum, mut lost) = (0.0, 0.0);
    for bucket in all_buckets(h).into_iter().filter(|b| b.count != 0.0) {
        let middle = if is_custom(h) {
            f64::midpoint(bucket.upper, bucket.lower)
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let delta = middle - mean;
        (sum, lost) = kahan_add(bucket.count * delta * delta, sum, lost);
    }
    (sum + lost) / h.count
}
