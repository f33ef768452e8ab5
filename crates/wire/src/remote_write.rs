//! Prometheus remote write 1.0: `prometheus.WriteRequest`, in a snappy block.
//!
//! Source: "Prometheus Remote-Write Specification" 1.0 and `prompb/{remote,types}.proto`.
//! Version 2.0 is in [`v2`]; the two share samples and histograms.

pub mod v2;

use crate::protobuf::schema::FieldType as F;
use crate::protobuf::schema::Kind::{
    Double as D, Enum, Int64, Message as M, Sint32, Str, Uint32 as U32, Uint64,
};
use crate::protobuf::schema::Message;
use crate::protobuf::{Decode, Double, Reader, Repeated, Result, Scalars, Sint64, Writer};

/// `prometheus.WriteRequest`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteRequest<'a> {
    /// Series with new samples.
    pub timeseries: Repeated<'a, TimeSeries<'a>>,
    /// What is known of metric families. Not tied to the series of the same request.
    pub metadata: Repeated<'a, Metadata<'a>>,
}

impl<'a> WriteRequest<'a> {
    /// Reads the outermost fields of a request.
    ///
    /// # Errors
    /// The outermost fields are damaged.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        Self::decode(Reader::new(bytes))
    }
}

impl<'a> Decode<'a> for WriteRequest<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut request = WriteRequest::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => request.timeseries.push(&field, &reader)?,
                3 => request.metadata.push(&field, &reader)?,
                _ => {}
            }
        }
        Ok(request)
    }
}

/// One series.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeSeries<'a> {
    /// Labels, `__name__` among them; senders sort them by name.
    pub labels: Repeated<'a, Label<'a>>,
    /// Samples by time.
    pub samples: Repeated<'a, Sample>,
    /// Example observations.
    pub exemplars: Repeated<'a, Exemplar<'a>>,
    /// Native histograms by time.
    pub histograms: Repeated<'a, Histogram<'a>>,
}

impl<'a> Decode<'a> for TimeSeries<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut series = TimeSeries::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => series.labels.push(&field, &reader)?,
                2 => series.samples.push(&field, &reader)?,
                3 => series.exemplars.push(&field, &reader)?,
                4 => series.histograms.push(&field, &reader)?,
                _ => {}
            }
        }
        Ok(series)
    }
}

/// One label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label<'a> {
    /// Name.
    pub name: &'a str,
    /// Value.
    pub value: &'a str,
}

impl<'a> Decode<'a> for Label<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut label = Label::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => label.name = field.str()?,
                2 => label.value = field.str()?,
                _ => {}
            }
        }
        Ok(label)
    }
}

/// One sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Value; its bits matter, because one NaN marks the end of a series.
    pub value: f64,
    /// Unix milliseconds.
    pub timestamp: i64,
    /// Unix milliseconds since which a cumulative value counts, 0 if unknown. Only in 2.0.
    pub start_timestamp: i64,
}

impl Decode<'_> for Sample {
    #[inline]
    fn decode(mut reader: Reader<'_>) -> Result<Self> {
        let mut sample = Sample::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => sample.value = field.double()?,
                2 => sample.timestamp = field.i64()?,
                3 => sample.start_timestamp = field.i64()?,
                _ => {}
            }
        }
        Ok(sample)
    }
}

/// An example observation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exemplar<'a> {
    /// Usually `trace_id`.
    pub labels: Repeated<'a, Label<'a>>,
    /// The observed value.
    pub value: f64,
    /// Unix milliseconds.
    pub timestamp: i64,
}

impl<'a> Decode<'a> for Exemplar<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut exemplar = Exemplar::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => exemplar.labels.push(&field, &reader)?,
                2 => exemplar.value = field.double()?,
                3 => exemplar.timestamp = field.i64()?,
                _ => {}
            }
        }
        Ok(exemplar)
    }
}

/// A count that is an integer in integer histograms and a double in float histograms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Count {
    /// Of an integer histogram.
    Int(u64),
    /// Of a float histogram.
    Float(f64),
}

impl Default for Count {
    fn default() -> Self {
        Count::Int(0)
    }
}

/// A native histogram. Integer histograms have `deltas`, float histograms `counts`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Histogram<'a> {
    /// Number of observations.
    pub count: Count,
    /// Their sum.
    pub sum: f64,
    /// Resolution: −4 to 8, or −53 for custom bounds.
    pub schema: i32,
    /// Observations within ±this count as zero.
    pub zero_threshold: f64,
    /// Observations that count as zero.
    pub zero_count: Count,
    /// Which negative buckets exist.
    pub negative_spans: Repeated<'a, BucketSpan>,
    /// Count of each negative bucket as the difference to the one before.
    pub negative_deltas: Scalars<'a, Sint64>,
    /// Count of each negative bucket.
    pub negative_counts: Scalars<'a, Double>,
    /// Which positive buckets exist.
    pub positive_spans: Repeated<'a, BucketSpan>,
    /// Count of each positive bucket as the difference to the one before.
    pub positive_deltas: Scalars<'a, Sint64>,
    /// Count of each positive bucket.
    pub positive_counts: Scalars<'a, Double>,
    /// 0 unknown, 1 reset, 2 no reset, 3 gauge.
    pub reset_hint: i32,
    /// Unix milliseconds.
    pub timestamp: i64,
    /// Upper bounds of the buckets of schema −53.
    pub custom_values: Scalars<'a, Double>,
    /// Unix milliseconds since which it counts, 0 if unknown. Only in 2.0.
    pub start_timestamp: i64,
}

impl<'a> Decode<'a> for Histogram<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut histogram = Histogram::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => histogram.count = Count::Int(field.u64()?),
                2 => histogram.count = Count::Float(field.double()?),
                3 => histogram.sum = field.double()?,
                4 => histogram.schema = field.sint32()?,
                5 => histogram.zero_threshold = field.double()?,
                6 => histogram.zero_count = Count::Int(field.u64()?),
                7 => histogram.zero_count = Count::Float(field.double()?),
                8 => histogram.negative_spans.push(&field, &reader)?,
                9 => histogram.negative_deltas.push(&field, &reader)?,
                10 => histogram.negative_counts.push(&field, &reader)?,
                11 => histogram.positive_spans.push(&field, &reader)?,
                12 => histogram.positive_deltas.push(&field, &reader)?,
                13 => histogram.positive_counts.push(&field, &reader)?,
                14 => histogram.reset_hint = field.i32()?,
                15 => histogram.timestamp = field.i64()?,
                16 => histogram.custom_values.push(&field, &reader)?,
                17 => histogram.start_timestamp = field.i64()?,
                _ => {}
            }
        }
        Ok(histogram)
    }
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketSpan {
    /// Gap to the previous span, or the first bucket's index for the first span.
    pub offset: i32,
    /// Number of buckets in the run.
    pub length: u32,
}

impl Decode<'_> for BucketSpan {
    fn decode(mut reader: Reader<'_>) -> Result<Self> {
        let mut span = BucketSpan::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => span.offset = field.sint32()?,
                2 => span.length = field.u32()?,
                _ => {}
            }
        }
        Ok(span)
    }
}

/// What is known of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// 0 unknown, 1 counter, 2 gauge, 3 histogram, 4 gauge histogram, 5 summary, 6 info,
    /// 7 state set.
    pub kind: i32,
    /// Name of the family.
    pub metric_family_name: &'a str,
    /// What it means.
    pub help: &'a str,
    /// Unit.
    pub unit: &'a str,
}

impl<'a> Decode<'a> for Metadata<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut metadata = Metadata::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => metadata.kind = field.i32()?,
                2 => metadata.metric_family_name = field.str()?,
                4 => metadata.help = field.str()?,
                5 => metadata.unit = field.str()?,
                _ => {}
            }
        }
        Ok(metadata)
    }
}

/// Writes one series with plain samples into a request: for sending and for tests.
pub fn write_series(w: &mut Writer, labels: &[(&str, &str)], samples: &[(f64, i64)]) {
    w.message(1, |w| {
        for (name, value) in labels {
            w.message(1, |w| {
                w.str(1, name);
                w.str(2, value);
            });
        }
        for &(value, timestamp) in samples {
            w.message(2, |w| {
                w.fixed64_if_any(1, value.to_bits());
                w.varint_if_any(2, timestamp.cast_unsigned());
            });
        }
    });
}

/// `prometheus.WriteRequest`, for the paths in errors.
pub static WRITE_REQUEST: Message = Message {
    name: "WriteRequest",
    fields: &[
        F::many(1, "timeseries", "timeseries", M(|| &TIME_SERIES)),
        F::many(3, "metadata", "metadata", M(|| &METADATA)),
    ],
};

static TIME_SERIES: Message = Message {
    name: "TimeSeries",
    fields: &[
        F::many(1, "labels", "labels", M(|| &LABEL)),
        F::many(2, "samples", "samples", M(|| &SAMPLE)),
        F::many(3, "exemplars", "exemplars", M(|| &EXEMPLAR)),
        F::many(4, "histograms", "histograms", M(|| &HISTOGRAM)),
    ],
};

static LABEL: Message = Message {
    name: "Label",
    fields: &[F::one(1, "name", "name", Str), F::one(2, "value", "value", Str)],
};

static SAMPLE: Message = Message {
    name: "Sample",
    fields: &[
        F::one(1, "value", "value", D),
        F::one(2, "timestamp", "timestamp", Int64),
        F::one(3, "start_timestamp", "startTimestamp", Int64),
    ],
};

static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        F::many(1, "labels", "labels", M(|| &LABEL)),
        F::one(2, "value", "value", D),
        F::one(3, "timestamp", "timestamp", Int64),
    ],
};

static METADATA: Message = Message {
    name: "MetricMetadata",
    fields: &[
        F::one(1, "type", "type", Enum(&[])),
        F::one(2, "metric_family_name", "metricFamilyName", Str),
        F::one(4, "help", "help", Str),
        F::one(5, "unit", "unit", Str),
    ],
};

static HISTOGRAM: Message = Message {
    name: "Histogram",
    fields: &[
        F::one(1, "count_int", "countInt", Uint64),
        F::one(2, "count_float", "countFloat", D),
        F::one(3, "sum", "sum", D),
        F::one(4, "schema", "schema", Sint32),
        F::one(5, "zero_threshold", "zeroThreshold", D),
        F::one(6, "zero_count_int", "zeroCountInt", Uint64),
        F::one(7, "zero_count_float", "zeroCountFloat", D),
        F::many(8, "negative_spans", "negativeSpans", M(|| &BUCKET_SPAN)),
        F::many(9, "negative_deltas", "negativeDeltas", Int64),
        F::many(10, "negative_counts", "negativeCounts", D),
        F::many(11, "positive_spans", "positiveSpans", M(|| &BUCKET_SPAN)),
        F::many(12, "positive_deltas", "positiveDeltas", Int64),
        F::many(13, "positive_counts", "positiveCounts", D),
        F::one(14, "reset_hint", "resetHint", Enum(&[])),
        F::one(15, "timestamp", "timestamp", Int64),
        F::many(16, "custom_values", "customValues", D),
        F::one(17, "start_timestamp", "startTimestamp", Int64),
    ],
};

static BUCKET_SPAN: Message = Message {
    name: "BucketSpan",
    fields: &[F::one(1, "offset", "offset", Sint32), F::one(2, "length", "length", U32)],
};

#[cfg(test)]
mod tests;
