//! Exponential histograms: read, coarsened, added up, and turned into native histograms.

use std::collections::BTreeMap;

use trefoil_store::model::{BucketSpan, CounterReset, Histogram};
use trefoil_wire::otlp::metrics::{Buckets, ExponentialHistogramPoint};

use crate::pipeline::refusal::ItemError;

/// Buckets of one side. SDKs stop at 160 by default.
const BUCKETS_MAX: usize = 4096;
/// The finest and coarsest resolution of Prometheus's native histograms.
const SCHEMA_MAX: i32 = 8;
const SCHEMA_MIN: i32 = -4;
/// The width of the zero bucket where the sender does not say, as Prometheus's OTLP
/// endpoint has it.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Empty buckets between two runs that are written out rather than skipped.
const GAP_MAX: i64 = 2;

/// A histogram with exponential buckets; bucket `i` ends at 2^(i · 2^-schema), included,
/// which is how Prometheus numbers them (OTLP's are lower by one).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exponential {
    schema: i32,
    zero_threshold: f64,
    zero_count: f64,
    count: f64,
    sum: f64,
    positive: BTreeMap<i64, f64>,
    negative: BTreeMap<i64, f64>,
}

impl Exponential {
    /// Reads a data point, coarsened to the finest resolution Prometheus has.
    pub(super) fn read(point: &ExponentialHistogramPoint<'_>) -> Result<Exponential, ItemError> {
        if point.scale < SCHEMA_MIN {
            return Err(ItemError::Rule("scale_too_small"));
        }
        let schema = point.scale.min(SCHEMA_MAX);
        // Beyond 63 all indexes are 0 or -1 anyway.
        let shift = (i64::from(point.scale) - i64::from(schema)).min(63);
        let threshold = point.zero_threshold;
        let histogram = Exponential {
            schema,
            zero_threshold: if threshold > 0.0 { threshold } else { ZERO_THRESHOLD },
            zero_count: point.zero_count as f64,
            count: point.count as f64,
            // A sum that was not sent is unknown, not zero.
            sum: point.sum.unwrap_or(f64::NAN),
            positive: read_buckets(point.positive.as_ref(), shift)?,
            negative: read_buckets(point.negative.as_ref(), shift)?,
        };
        let in_buckets: f64 = histogram.positive.values().chain(histogram.negative.values()).sum();
        if in_buckets + histogram.zero_count != histogram.count {
            return Err(ItemError::Rule("count_mismatch"));
        }
        Ok(histogram)
    }

    /// Adds (`sign` 1) or takes away (`sign` -1) another histogram.
    pub(super) fn add(&mut self, other: &Exponential, sign: f64) {
        let schema = self.schema.min(other.schema);
        let other_shift = other.schema - schema;
        self.coarsen(schema);
        self.zero_count += sign * other.zero_count;
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        for (mine, theirs) in
            [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)]
        {
            for (index, count) in theirs {
                *mine.entry(coarse_index(*index, other_shift)).or_insert(0.0) += sign * count;
            }
            mine.retain(|_, count| *count != 0.0);
        }
    }

    /// Whether two histograms may be added: their zero buckets have the same width.
    pub(super) fn is_like(&self, other: &Exponential) -> bool {
        self.zero_threshold == other.zero_threshold
    }

    fn coarsen(&mut self, schema: i32) {
        let shift = self.schema - schema;
        if shift == 0 {
            return;
        }
        for buckets in [&mut self.positive, &mut self.negative] {
            let mut coarse = BTreeMap::new();
            for (index, count) in std::mem::take(buckets) {
                *coarse.entry(coarse_index(index, shift)).or_insert(0.0) += count;
            }
            *buckets = coarse;
        }
        self.schema = schema;
    }

    /// In the form the store keeps.
    pub(super) fn to_native(&self) -> Histogram {
        let (positive_spans, positive_buckets) = spans(&self.positive);
        let (negative_spans, negative_buckets) = spans(&self.negative);
        Histogram {
            counter_reset: CounterReset::Unknown,
            schema: self.schema as i8,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: Vec::new(),
        }
    }
}

/// The bucket of a coarser histogram that holds bucket `index`: halving the resolution
/// puts buckets 1 and 2 into bucket 1, 3 and 4 into 2.
fn coarse_index(index: i64, shift: i32) -> i64 {
    ((index - 1) >> shift) + 1
}

fn read_buckets(view: Option<&Buckets<'_>>, shift: i64) -> Result<BTreeMap<i64, f64>, ItemError> {
    let mut buckets = BTreeMap::new();
    let Some(view) = view else { return Ok(buckets) };
    for (at, count) in view.bucket_counts.iter().enumerate() {
        let count = count?;
        if at == BUCKETS_MAX {
            return Err(ItemError::Rule("too_many_buckets"));
        }
        if count > 0 {
            let index = ((i64::from(view.offset) + at as i64) >> shift) + 1;
            *buckets.entry(index).or_insert(0.0) += count as f64;
        }
    }
    Ok(buckets)
}

/// Runs of neighbouring buckets; short gaps are filled with zeros.
fn spans(buckets: &BTreeMap<i64, f64>) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut counts = Vec::with_capacity(buckets.len());
    let mut next = 0;
    for (&index, &count) in buckets {
        let gap = index - next;
        match spans.last_mut() {
            Some(span) if gap <= GAP_MAX => {
                counts.extend((0..gap).map(|_| 0.0));
                span.length += gap as u32 + 1;
            }
            // Indexes come from `i32`s, so their differences fit but for the extremes,
            // which no double reaches.
            _ => spans.push(BucketSpan { offset: gap as i32, length: 1 }),
        }
        counts.push(count);
        next = index + 1;
    }
    (spans, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i32, positive: &[(i64, f64)]) -> Exponential {
        let count = positive.iter().map(|(_, count)| count).sum();
        Exponential {
            schema,
            zero_threshold: ZERO_THRESHOLD,
            zero_count: 0.0,
            count,
            sum: 1.0,
            positive: positive.iter().copied().collect(),
            negative: BTreeMap::new(),
        }
    }

    #[test]
    fn spans_skip_long_gaps_and_fill_short_ones() {
        let native = histogram(0, &[(-3, 1.0), (-2, 2.0), (1, 3.0), (9, 4.0)]).to_native();
        let span = |offset, length| BucketSpan { offset, length };
        assert_eq!(native.positive_spans, [span(-3, 5), span(7, 1)]);
        assert_eq!(native.positive_buckets, [1.0, 2.0, 0.0, 0.0, 3.0, 4.0]);
    }

    #[test]
    fn adding_coarsens_to_the_coarser_of_the_two() {
        // Bounds at schema 1: 2^(i/2). Buckets 1, 2 → 1; 3, 4 → 2; 0, -1 → 0.
        let mut fine = histogram(1, &[(-1, 1.0), (0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
        fine.add(&histogram(0, &[(2, 5.0)]), 1.0);
        assert_eq!(fine.positive, [(0, 2.0), (1, 2.0), (2, 6.0)].into_iter().collect());
        assert_eq!((fine.schema, fine.count, fine.sum), (0, 10.0, 2.0));
        fine.add(&histogram(0, &[(2, 6.0)]), -1.0);
        assert_eq!(fine.positive, [(0, 2.0), (1, 2.0)].into_iter().collect());
    }
}
