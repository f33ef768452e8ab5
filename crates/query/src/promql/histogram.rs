//! Native histograms: buckets as lists, bounds, comparison, reset detection, text.
//!
//! Source: Prometheus native histogram specification.

pub(crate) mod accumulate;
pub(crate) mod classic;
pub(crate) mod estimate;
pub(crate) mod trim;

use trefoil_store::model::{BucketSpan, CounterReset, Histogram};

use super::numbers::general;

/// The schema whose bounds are listed.
pub(crate) const CUSTOM: i8 = -53;

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// Whether the bounds are listed.
pub(crate) fn is_custom(h: &Histogram) -> bool {
    h.schema == CUSTOM
}

/// The buckets of spans as index and count.
pub(crate) fn pairs<'a>(
    spans: &'a [BucketSpan],
    buckets: &'a [f64],
) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut next = 0i32;
    let indexes = spans.iter().flat_map(move |span| {
        let start = next.saturating_add(span.offset);
        next = start.saturating_add_unsigned(span.length);
        start..next
    });
    indexes.zip(buckets.iter().copied())
}

/// Spans for buckets sorted by index, without the empty ones.
pub(crate) fn spans_of(list: impl Iterator<Item = (i32, f64)>) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut buckets = Vec::new();
    let mut next = 0i32;
    for (index, count) in list {
        if count == 0.0 {
            continue;
        }
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(BucketSpan { offset: index.saturating_sub(next), length: 1 }),
        }
        next = index.saturating_add(1);
        buckets.push(count);
    }
    (spans, buckets)
}

/// The upper bound of an exponential bucket: 2^(index · 2^−schema).
pub(crate) fn exponential_bound(index: i32, schema: i8) -> f64 {
    let bound = if schema <= 0 {
        let exponent = i64::from(index) << (-i32::from(schema)).clamp(0, 30);
        2f64.powi(exponent.clamp(-2000, 2000) as i32)
    } else {
        let schema = i32::from(schema).min(30);
        let fraction = index & ((1 << schema) - 1);
        let whole = index >> schema;
        (f64::from(fraction) / f64::from(1 << schema)).exp2() * 2f64.powi(whole)
    };
    if bound.is_infinite() { f64::MAX } else { bound }
}

/// The bounds of a positive (or custom) bucket.
pub(crate) fn bounds(h: &Histogram, index: i32) -> (f64, f64) {
    if is_custom(h) {
        let at = |i: i32| usize::try_from(i).ok().and_then(|i| h.custom_values.get(i)).copied();
        let lower = if index == 0 {
            f64::NEG_INFINITY
        } else {
            at(index.saturating_sub(1)).unwrap_or(f64::INFINITY)
        };
        return (lower, at(index).unwrap_or(f64::INFINITY));
    }
    (exponential_bound(index.saturating_sub(1), h.schema), exponential_bound(index, h.schema))
}

/// All buckets from the lowest to the highest, the zero bucket if it counted anything.
pub(crate) fn all_buckets(h: &Histogram) -> Vec<Bucket> {
    let mut out: Vec<Bucket> = pairs(&h.negative_spans, &h.negative_buckets)
        .map(|(index, count)| {
            let (lower, upper) = bounds(h, index);
            Bucket { lower: -upper, upper: -lower, count }
        })
        .collect();
    out.reverse();
    if h.zero_count != 0.0 {
        out.push(Bucket { lower: -h.zero_threshold, upper: h.zero_threshold, count: h.zero_count });
    }
    out.extend(pairs(&h.positive_spans, &h.positive_buckets).map(|(index, count)| {
        let (lower, upper) = bounds(h, index);
        Bucket { lower, upper, count }
    }));
    out
}

/// Whether two histograms say the same, empty buckets aside.
pub(crate) fn equal(a: &Histogram, b: &Histogram) -> bool {
    let same = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan());
    let side = |h: &Histogram, negative: bool| {
        let (spans, buckets) = if negative {
            (&h.negative_spans, &h.negative_buckets)
        } else {
            (&h.positive_spans, &h.positive_buckets)
        };
        pairs(spans, buckets).filter(|(_, count)| *count != 0.0).collect::<Vec<_>>()
    };
    let head = a.schema == b.schema && same(a.count, b.count) && same(a.sum, b.sum);
    let rest = if is_custom(a) {
        a.custom_values == b.custom_values
    } else {
        a.zero_threshold == b.zero_threshold && same(a.zero_count, b.zero_count)
    };
    head && rest && [true, false].into_iter().all(|negative| side(a, negative) == side(b, negative))
}

/// Multiplies all counts and the sum.
pub(crate) fn scale(h: &Histogram, factor: f64) -> Histogram {
    let mut out = map_counts(h, |x| x * factor);
    if factor < 0.0 {
        out.counter_reset = CounterReset::Gauge;
    }
    out
}

/// Divides all counts and the sum. Division by zero leaves no meaningful buckets.
pub(crate) fn divide(h: &Histogram, divisor: f64) -> Histogram {
    let mut out = map_counts(h, |x| x / divisor);
    if divisor == 0.0 {
        out.positive_spans.clear();
        out.positive_buckets.clear();
        out.negative_spans.clear();
        out.negative_buckets.clear();
    }
    if divisor < 0.0 {
        out.counter_reset = CounterReset::Gauge;
    }
    out
}

fn map_counts(h: &Histogram, f: impl Fn(f64) -> f64) -> Histogram {
    let mut out = h.clone();
    let parts = [&mut out.zero_count, &mut out.count, &mut out.sum];
    let buckets = out.positive_buckets.iter_mut().chain(&mut out.negative_buckets);
    for value in parts.into_iter().chain(buckets) {
        *value = f(*value);
    }
    compact(&mut out);
    out
}

/// Removes empty buckets.
pub(crate) fn compact(h: &mut Histogram) {
    (h.positive_spans, h.positive_buckets) =
        spans_of(pairs(&h.positive_spans, &h.positive_buckets).collect::<Vec<_>>().into_iter());
    (h.negative_spans, h.negative_buckets) =
        spans_of(pairs(&h.negative_spans, &h.negative_buckets).collect::<Vec<_>>().into_iter());
}

/// Whether a counter was reset between two samples, as their hints and counts tell.
pub(crate) fn is_reset(current: &Histogram, previous: &Histogram) -> bool {
    match current.counter_reset {
        CounterReset::Reset => true,
        CounterReset::NotReset => false,
        CounterReset::Unknown | CounterReset::Gauge => counts_fell(current, previous),
    }
}

/// Whether any count is lower than before, compared at the coarser of both resolutions.
/// A finer resolution or a narrower zero bucket than before only comes from a restart.
pub(crate) fn counts_fell(current: &Histogram, previous: &Histogram) -> bool {
    if current.count < previous.count || is_custom(current) != is_custom(previous) {
        return true;
    }
    if !is_custom(current)
        && (current.schema > previous.schema || current.zero_threshold < previous.zero_threshold)
    {
        return true;
    }
    let mut now = accumulate::Accumulator::of(current);
    let mut before = accumulate::Accumulator::of(previous);
    if now.align(&mut before).is_err() || now.zero_threshold != current.zero_threshold {
        return true;
    }
    now.fell_below(&before)
}

/// As Prometheus prints a histogram: `{count:4, sum:5, [-0.001,0.001]:1, (1,2]:3}`.
pub(crate) fn text(h: &Histogram) -> String {
    let mut out = format!("{{count:{}, sum:{}", general(h.count), general(h.sum));
    for bucket in all_buckets(h) {
        if bucket.count == 0.0 {
            continue;
        }
        let (open, close) = brackets(h, &bucket);
        out += &format!(
            ", {open}{},{}{close}:{}",
            general(bucket.lower),
            general(bucket.upper),
            general(bucket.count)
        );
    }
    out.push('}');
    out
}

/// Which bounds belong to a bucket: both for the zero bucket, the outer one for the others.
fn brackets(h: &Histogram, bucket: &Bucket) -> (char, char) {
    if is_custom(h) {
        return if bucket.lower == f64::NEG_INFINITY { ('[', ']') } else { ('(', ']') };
    }
    if bucket.lower == -bucket.upper {
        ('[', ']')
    } else if bucket.lower < 0.0 {
        ('[', ')')
    } else {
        ('(', ']')
    }
}

/// A bucket as the HTTP API lists it: which bounds belong to it (0 upper, 1 lower, 2
/// none, 3 both), lower bound, upper bound, count.
#[must_use]
pub fn api_buckets(h: &Histogram) -> Vec<(u8, f64, f64, f64)> {
    let kept = all_buckets(h).into_iter().filter(|bucket| bucket.count != 0.0);
    kept.map(|bucket| {
        let rule = match brackets(h, &bucket) {
            ('[', ']') => 3,
            ('[', _) => 1,
            _ => 0,
        };
        (rule, bucket.lower, bucket.upper, bucket.count)
    })
    .collect()
}
