//! Writers of metrics.

use super::Number;
use crate::otlp::attributes::{ValueWriter, write_attribute};
use crate::otlp::id::{SpanId, TraceId};
use crate::otlp::origin::{ResourceWriter, ScopeWriter};
use crate::protobuf::Writer;

/// Writes an `ExportMetricsServiceRequest`.
#[derive(Debug)]
pub struct MetricsWriter<'w>(pub &'w mut Writer);

impl MetricsWriter<'_> {
    /// Adds metrics of one resource.
    pub fn resource_metrics(&mut self, fill: impl FnOnce(&mut ResourceMetricsWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ResourceMetricsWriter(w)));
    }
}

/// Writes `ResourceMetrics`.
#[derive(Debug)]
pub struct ResourceMetricsWriter<'w>(pub &'w mut Writer);

impl ResourceMetricsWriter<'_> {
    /// Who emitted the metrics.
    pub fn resource(&mut self, fill: impl FnOnce(&mut ResourceWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ResourceWriter(w)));
    }

    /// Adds metrics of one scope.
    pub fn scope_metrics(&mut self, fill: impl FnOnce(&mut ScopeMetricsWriter<'_>)) {
        self.0.message(2, |w| fill(&mut ScopeMetricsWriter(w)));
    }

    /// Schema of the resource.
    pub fn schema_url(&mut self, url: &str) {
        self.0.str_if_any(3, url);
    }
}

/// Writes `ScopeMetrics`.
#[derive(Debug)]
pub struct ScopeMetricsWriter<'w>(pub &'w mut Writer);

impl ScopeMetricsWriter<'_> {
    /// Which library emitted the metrics.
    pub fn scope(&mut self, fill: impl FnOnce(&mut ScopeWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ScopeWriter(w)));
    }

    /// Adds a metric.
    pub fn metric(&mut self, fill: impl FnOnce(&mut MetricWriter<'_>)) {
        self.0.message(2, |w| fill(&mut MetricWriter(w)));
    }

    /// Schema of the metrics.
    pub fn schema_url(&mut self, url: &str) {
        self.0.str_if_any(3, url);
    }
}

/// Whether values count since a fixed start or since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Temporality {
    /// Since the last report.
    Delta = 1,
    /// Since a fixed start.
    Cumulative = 2,
}

/// Writes a metric: its names, then exactly one of the kinds.
#[derive(Debug)]
pub struct MetricWriter<'w>(pub &'w mut Writer);

impl MetricWriter<'_> {
    /// Name, description, unit.
    pub fn names(&mut self, name: &str, description: &str, unit: &str) {
        self.0.str_if_any(1, name);
        self.0.str_if_any(2, description);
        self.0.str_if_any(3, unit);
    }

    /// Adds a fact about the metric as a whole.
    pub fn metadata(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 12, key, fill);
    }

    /// Current values.
    pub fn gauge(&mut self, fill: impl FnOnce(&mut NumberPointsWriter<'_>)) {
        self.0.message(5, |w| fill(&mut NumberPointsWriter(w)));
    }

    /// Sums.
    pub fn sum(
        &mut self,
        temporality: Temporality,
        is_monotonic: bool,
        fill: impl FnOnce(&mut NumberPointsWriter<'_>),
    ) {
        self.0.message(7, |w| {
            fill(&mut NumberPointsWriter(w));
            w.varint(2, temporality as u64);
            w.varint_if_any(3, u64::from(is_monotonic));
        });
    }

    /// Histograms with explicit bounds.
    pub fn histogram(
        &mut self,
        temporality: Temporality,
        fill: impl FnOnce(&mut HistogramPointsWriter<'_>),
    ) {
        self.0.message(9, |w| {
            fill(&mut HistogramPointsWriter(w));
            w.varint(2, temporality as u64);
        });
    }

    /// Histograms with exponential buckets.
    pub fn exponential_histogram(
        &mut self,
        temporality: Temporality,
        fill: impl FnOnce(&mut ExponentialHistogramPointsWriter<'_>),
    ) {
        self.0.message(10, |w| {
            fill(&mut ExponentialHistogramPointsWriter(w));
            w.varint(2, temporality as u64);
        });
    }

    /// Precomputed quantiles.
    pub fn summary(&mut self, fill: impl FnOnce(&mut SummaryPointsWriter<'_>)) {
        self.0.message(11, |w| fill(&mut SummaryPointsWriter(w)));
    }
}

/// Writes the points of a gauge or sum.
#[derive(Debug)]
pub struct NumberPointsWriter<'w>(pub &'w mut Writer);

impl NumberPointsWriter<'_> {
    /// Adds a point.
    pub fn point(&mut self, fill: impl FnOnce(&mut NumberPointWriter<'_>)) {
        self.0.message(1, |w| fill(&mut NumberPointWriter(w)));
    }
}

/// Writes the points of a histogram.
#[derive(Debug)]
pub struct HistogramPointsWriter<'w>(pub &'w mut Writer);

impl HistogramPointsWriter<'_> {
    /// Adds a point.
    pub fn point(&mut self, fill: impl FnOnce(&mut HistogramPointWriter<'_>)) {
        self.0.message(1, |w| fill(&mut HistogramPointWriter(w)));
    }
}

/// Writes the points of an exponential histogram.
#[derive(Debug)]
pub struct ExponentialHistogramPointsWriter<'w>(pub &'w mut Writer);

impl ExponentialHistogramPointsWriter<'_> {
    /// Adds a point.
    pub fn point(&mut self, fill: impl FnOnce(&mut ExponentialHistogramPointWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ExponentialHistogramPointWriter(w)));
    }
}

/// Writes the points of a summary.
#[derive(Debug)]
pub struct SummaryPointsWriter<'w>(pub &'w mut Writer);

impl SummaryPointsWriter<'_> {
    /// Adds a point.
    pub fn point(&mut self, fill: impl FnOnce(&mut SummaryPointWriter<'_>)) {
        self.0.message(1, |w| fill(&mut SummaryPointWriter(w)));
    }
}

/// Writes a point of a gauge or sum.
#[derive(Debug)]
pub struct NumberPointWriter<'w>(pub &'w mut Writer);

impl NumberPointWriter<'_> {
    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 7, key, fill);
    }

    /// Unix nanoseconds of the start (0 if unknown) and of the value.
    pub fn times(&mut self, start_unix_nano: u64, time_unix_nano: u64) {
        write_times(self.0, start_unix_nano, time_unix_nano);
    }

    /// The value.
    pub fn value(&mut self, value: Number) {
        write_number(self.0, 4, value);
    }

    /// Adds an exemplar.
    pub fn exemplar(&mut self, fill: impl FnOnce(&mut ExemplarWriter<'_>)) {
        self.0.message(5, |w| fill(&mut ExemplarWriter(w)));
    }

    /// See [`NO_RECORDED_VALUE`](super::NO_RECORDED_VALUE).
    pub fn flags(&mut self, flags: u32) {
        self.0.varint_if_any(8, u64::from(flags));
    }
}

/// Writes a point of a histogram.
#[derive(Debug)]
pub struct HistogramPointWriter<'w>(pub &'w mut Writer);

impl HistogramPointWriter<'_> {
    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 9, key, fill);
    }

    /// Unix nanoseconds of the start (0 if unknown) and of the value.
    pub fn times(&mut self, start_unix_nano: u64, time_unix_nano: u64) {
        write_times(self.0, start_unix_nano, time_unix_nano);
    }

    /// Number of observations and their sum.
    pub fn totals(&mut self, count: u64, sum: Option<f64>) {
        write_totals(self.0, count, sum);
    }

    /// Observations per bucket, not cumulative, and the upper bounds (one fewer).
    pub fn buckets(&mut self, counts: &[u64], bounds: &[f64]) {
        self.0.packed_fixed64(6, counts);
        self.0.packed_double(7, bounds);
    }

    /// Smallest and largest observation.
    pub fn extremes(&mut self, min: Option<f64>, max: Option<f64>) {
        write_optional(self.0, 11, min);
        write_optional(self.0, 12, max);
    }

    /// Adds an exemplar.
    pub fn exemplar(&mut self, fill: impl FnOnce(&mut ExemplarWriter<'_>)) {
        self.0.message(8, |w| fill(&mut ExemplarWriter(w)));
    }

    /// See [`NO_RECORDED_VALUE`](super::NO_RECORDED_VALUE).
    pub fn flags(&mut self, flags: u32) {
        self.0.varint_if_any(10, u64::from(flags));
    }
}

/// Writes a point of an exponential histogram.
#[derive(Debug)]
pub struct ExponentialHistogramPointWriter<'w>(pub &'w mut Writer);

impl ExponentialHistogramPointWriter<'_> {
    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 1, key, fill);
    }

    /// Unix nanoseconds of the start (0 if unknown) and of the value.
    pub fn times(&mut self, start_unix_nano: u64, time_unix_nano: u64) {
        write_times(self.0, start_unix_nano, time_unix_nano);
    }

    /// Number of observations and their sum.
    pub fn totals(&mut self, count: u64, sum: Option<f64>) {
        write_totals(self.0, count, sum);
    }

    /// Resolution, observations that count as zero, and what counts as zero.
    pub fn scale(&mut self, scale: i32, zero_count: u64, zero_threshold: f64) {
        if scale != 0 {
            self.0.sint(6, i64::from(scale));
        }
        self.0.fixed64_if_any(7, zero_count);
        self.0.fixed64_if_any(14, zero_threshold.to_bits());
    }

    /// Positive observations per bucket from the index `offset` on.
    pub fn positive(&mut self, offset: i32, counts: &[u64]) {
        write_buckets(self.0, 8, offset, counts);
    }

    /// Negative observations per bucket from the index `offset` on.
    pub fn negative(&mut self, offset: i32, counts: &[u64]) {
        write_buckets(self.0, 9, offset, counts);
    }

    /// Smallest and largest observation.
    pub fn extremes(&mut self, min: Option<f64>, max: Option<f64>) {
        write_optional(self.0, 12, min);
        write_optional(self.0, 13, max);
    }

    /// Adds an exemplar.
    pub fn exemplar(&mut self, fill: impl FnOnce(&mut ExemplarWriter<'_>)) {
        self.0.message(11, |w| fill(&mut ExemplarWriter(w)));
    }

    /// See [`NO_RECORDED_VALUE`](super::NO_RECORDED_VALUE).
    pub fn flags(&mut self, flags: u32) {
        self.0.varint_if_any(10, u64::from(flags));
    }
}

/// Writes a point of a summary.
#[derive(Debug)]
pub struct SummaryPointWriter<'w>(pub &'w mut Writer);

impl SummaryPointWriter<'_> {
    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 7, key, fill);
    }

    /// Unix nanoseconds of the start (0 if unknown) and of the value.
    pub fn times(&mut self, start_unix_nano: u64, time_unix_nano: u64) {
        write_times(self.0, start_unix_nano, time_unix_nano);
    }

    /// Number of observations and their sum.
    pub fn totals(&mut self, count: u64, sum: f64) {
        self.0.fixed64_if_any(4, count);
        self.0.fixed64_if_any(5, sum.to_bits());
    }

    /// Adds a quantile (0 to 1) and the value at it.
    pub fn quantile(&mut self, quantile: f64, value: f64) {
        self.0.message(6, |w| {
            w.fixed64_if_any(1, quantile.to_bits());
            w.fixed64_if_any(2, value.to_bits());
        });
    }

    /// See [`NO_RECORDED_VALUE`](super::NO_RECORDED_VALUE).
    pub fn flags(&mut self, flags: u32) {
        self.0.varint_if_any(8, u64::from(flags));
    }
}

/// Writes an exemplar.
#[derive(Debug)]
pub struct ExemplarWriter<'w>(pub &'w mut Writer);

impl ExemplarWriter<'_> {
    /// Adds an attribute that is not on the series.
    pub fn filtered_attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 7, key, fill);
    }

    /// Unix nanoseconds.
    pub fn time_unix_nano(&mut self, time: u64) {
        self.0.fixed64_if_any(2, time);
    }

    /// The observed value.
    pub fn value(&mut self, value: Number) {
        write_number(self.0, 3, value);
    }

    /// The trace and span it came from.
    pub fn ids(&mut self, trace_id: &TraceId, span_id: &SpanId) {
        self.0.bytes(5, trace_id);
        self.0.bytes(4, span_id);
    }
}

fn write_times(w: &mut Writer, start_unix_nano: u64, time_unix_nano: u64) {
    w.fixed64_if_any(2, start_unix_nano);
    w.fixed64_if_any(3, time_unix_nano);
}

fn write_totals(w: &mut Writer, count: u64, sum: Option<f64>) {
    w.fixed64_if_any(4, count);
    write_optional(w, 5, sum);
}

/// A double whose absence means something: written even if zero.
fn write_optional(w: &mut Writer, field: u32, value: Option<f64>) {
    if let Some(value) = value {
        w.double(field, value);
    }
}

/// `as_double` has a number of its own in each message, `as_int` is always field 6.
fn write_number(w: &mut Writer, double_field: u32, value: Number) {
    match value {
        Number::Int(value) => w.fixed64(6, value.cast_unsigned()),
        Number::Double(value) => w.double(double_field, value),
    }
}

fn write_buckets(w: &mut Writer, field: u32, offset: i32, counts: &[u64]) {
    w.message(field, |w| {
        if offset != 0 {
            w.sint(1, i64::from(offset));
        }
        w.packed_varint(2, counts);
    });
}
