//! Estimates from classic histograms, series with an `le` label.

/// A cumulative bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    /// `le`.
    pub(crate) upper: f64,
    /// Observations up to it.
    pub(crate) count: f64,
}

/// Relative difference below which a decreasing count is a rounding error.
const ROUNDING: f64 = 1e-12;

/// Sorts, joins equal bounds and makes counts ascend. False if there is no `+Inf`
/// bucket; the second value tells whether counts had to be raised.
fn prepare(buckets: &mut Vec<Bucket>) -> (bool, bool) {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return (false, false);
    }
    buckets.dedup_by(|later, earlier| {
        let same = later.upper == earlier.upper;
        if same {
            earlier.count += later.count;
        }
        same
    });
    let mut forced = false;
    let mut previous = buckets[0].count;
    for bucket in buckets.iter_mut().skip(1) {
        if nearly_equal(previous, bucket.count) {
            bucket.count = previous;
        } else if bucket.count < previous {
            bucket.count = previous;
            forced = true;
        }
        previous = bucket.count;
    }
    (true, forced)
}

fn nearly_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return (a - b).abs() < ROUNDING * f64::MIN_POSITIVE;
    }
    (a - b).abs() / sum.min(f64::MAX) < ROUNDING
}

/// The value below which a share of the observations lies, linear within a bucket. The
/// second value tells whether counts did not ascend and had to be raised.
pub(crate) fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    let (complete, forced) = prepare(buckets);
    if !complete || buckets.len() < 2 {
        return (f64::NAN, forced);
    }
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if observations == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = q * observations;
    let at = buckets[..last].iter().position(|b| b.count >= rank).unwrap_or(last);
    if at == last {
        return (buckets[last - 1].upper, forced);
    }
    let Bucket { upper, mut count } = buckets[at];
    if at == 0 && upper <= 0.0 {
        return (upper, forced);
    }
    let mut start = 0.0;
    if at > 0 {
        start = buckets[at - 1].upper;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    (start + (upper - start) * (rank / count), forced)
}

/// The share of observations between two values, linear within a bucket.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    let (complete, _) = prepare(buckets);
    let count = buckets.last().map_or(0.0, |b| b.count);
    if !complete || count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let mut rank = 0.0;
    let mut start = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let (mut lower_rank, mut upper_rank) = (None, None);
    for bucket in buckets.iter() {
        for (value, at) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if at.is_some() {
                continue;
            }
            if start >= value {
                *at = Some(rank);
            } else if bucket.upper > value {
                let inside = bucket.count - rank;
                *at = Some(if start == f64::NEG_INFINITY {
                    rank + inside
                } else if bucket.upper == f64::INFINITY {
                    rank
                } else {
                    rank + inside * (value - start) / (bucket.upper - start)
                });
            }
        }
        rank = bucket.count;
        start = bucket.upper;
    }
    let clamp = |at: Option<f64>| at.unwrap_or(count).min(count);
    (clamp(upper_rank) - clamp(lower_rank)) / count
}
