//! Metrics of all five kinds.

use super::attributes::Attributes;
use super::id::{RawId, SpanId, TraceId};
use super::origin::{Resource, Scope};
use crate::protobuf::{
    Decode, Double, ErrorKind, Field, Fixed64, Reader, Repeated, Result, Scalars, Uint64,
};

pub mod write;

/// Bit of a data point's flags: there is no value, the series ended
/// (`DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`).
pub const NO_RECORDED_VALUE: u32 = 1;

/// `ExportMetricsServiceRequest`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportRequest<'a> {
    /// Metrics by resource.
    pub resource_metrics: Repeated<'a, ResourceMetrics<'a>>,
}

impl<'a> ExportRequest<'a> {
    /// Reads the outermost fields of a request.
    ///
    /// # Errors
    /// The outermost fields are damaged.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        Self::decode(Reader::new(bytes))
    }
}

impl<'a> Decode<'a> for ExportRequest<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut request = ExportRequest::default();
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                request.resource_metrics.push(&field, &reader)?;
            }
        }
        Ok(request)
    }
}

/// Metrics of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceMetrics<'a> {
    /// Who emitted them; `None` means unknown.
    pub resource: Option<Resource<'a>>,
    /// Metrics by scope.
    pub scope_metrics: Repeated<'a, ScopeMetrics<'a>>,
    /// Schema of the resource.
    pub schema_url: &'a str,
}

impl<'a> Decode<'a> for ResourceMetrics<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut view = ResourceMetrics::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => field.set_message(&mut view.resource)?,
                2 => view.scope_metrics.push(&field, &reader)?,
                3 => view.schema_url = field.str()?,
                _ => {}
            }
        }
        Ok(view)
    }
}

/// Metrics of one scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeMetrics<'a> {
    /// Which library emitted them; `None` means unknown.
    pub scope: Option<Scope<'a>>,
    /// The metrics.
    pub metrics: Repeated<'a, Metric<'a>>,
    /// Schema of the metrics.
    pub schema_url: &'a str,
}

impl<'a> Decode<'a> for ScopeMetrics<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut view = ScopeMetrics::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => field.set_message(&mut view.scope)?,
                2 => view.metrics.push(&field, &reader)?,
                3 => view.schema_url = field.str()?,
                _ => {}
            }
        }
        Ok(view)
    }
}

/// One metric with its data points.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metric<'a> {
    /// Name, e.g. `http.server.request.duration`.
    pub name: &'a str,
    /// What it means.
    pub description: &'a str,
    /// Unit in UCUM, e.g. `s` or `By`.
    pub unit: &'a str,
    /// Kind and data points.
    pub data: Data<'a>,
    /// Facts about the metric as a whole, not part of its identity.
    pub metadata: Attributes<'a>,
}

/// Kind and data points of a metric.
#[derive(Clone, Copy, Debug, Default)]
pub enum Data<'a> {
    /// A kind unknown to this version, or none.
    #[default]
    Empty,
    /// Current values.
    Gauge(Repeated<'a, NumberPoint<'a>>),
    /// Sums since a start.
    Sum(Points<'a, NumberPoint<'a>>),
    /// Histograms with explicit bounds.
    Histogram(Points<'a, HistogramPoint<'a>>),
    /// Histograms with exponential buckets.
    ExponentialHistogram(Points<'a, ExponentialHistogramPoint<'a>>),
    /// Precomputed quantiles.
    Summary(Repeated<'a, SummaryPoint<'a>>),
}

impl<'a> Decode<'a> for Metric<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut metric = Metric::default();
        let mut kind = 0;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => metric.name = field.str()?,
                2 => metric.description = field.str()?,
                3 => metric.unit = field.str()?,
                5 | 7 | 9 | 10 | 11 => {
                    // A `oneof`: of several the last one counts, but one kind in two
                    // pieces would have to be merged, which no sender asks for.
                    if std::mem::replace(&mut kind, field.number) == field.number {
                        return Err(field.error(ErrorKind::Duplicate));
                    }
                    metric.data = Data::decode(&field)?;
                }
                12 => metric.metadata.push(&field, &reader)?,
                _ => {}
            }
        }
        Ok(metric)
    }
}

impl<'a> Data<'a> {
    fn decode(field: &Field<'a>) -> Result<Self> {
        Ok(match field.number {
            5 => Data::Gauge(field.message::<Points<'a, _>>()?.data_points),
            7 => Data::Sum(field.message()?),
            9 => Data::Histogram(field.message()?),
            10 => Data::ExponentialHistogram(field.message()?),
            11 => Data::Summary(field.message::<Points<'a, _>>()?.data_points),
            _ => Data::Empty,
        })
    }
}

/// Data points with what they have in common.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a, T> {
    /// The data points.
    pub data_points: Repeated<'a, T>,
    /// 0 unspecified, 1 delta, 2 cumulative.
    pub aggregation_temporality: i32,
    /// Whether a sum only goes up. Always false for other kinds.
    pub is_monotonic: bool,
}

impl<'a, T: Decode<'a>> Decode<'a> for Points<'a, T> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut points = Points {
            data_points: Repeated::default(),
            aggregation_temporality: 0,
            is_monotonic: false,
        };
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => points.data_points.push(&field, &reader)?,
                2 => points.aggregation_temporality = field.i32()?,
                3 => points.is_monotonic = field.bool()?,
                _ => {}
            }
        }
        Ok(points)
    }
}

/// An integer or a double.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
}

impl Number {
    /// As a double; integers beyond 2^53 lose their last digits.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        }
    }
}

/// A value of a gauge or sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberPoint<'a> {
    /// What tells the series apart.
    pub attributes: Attributes<'a>,
    /// Unix nanoseconds since which a sum counts, 0 if unknown.
    pub start_time_unix_nano: u64,
    /// Unix nanoseconds.
    pub time_unix_nano: u64,
    /// The value; `None` if none was set.
    pub value: Option<Number>,
    /// Example observations.
    pub exemplars: Repeated<'a, Exemplar<'a>>,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl<'a> Decode<'a> for NumberPoint<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut point = NumberPoint::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                2 => point.start_time_unix_nano = field.fixed64()?,
                3 => point.time_unix_nano = field.fixed64()?,
                4 => point.value = Some(Number::Double(field.double()?)),
                5 => point.exemplars.push(&field, &reader)?,
                6 => point.value = Some(Number::Int(field.fixed64()?.cast_signed())),
                7 => point.attributes.push(&field, &reader)?,
                8 => point.flags = field.u32()?,
                _ => {}
            }
        }
        Ok(point)
    }
}

/// A histogram with explicit bounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistogramPoint<'a> {
    /// What tells the series apart.
    pub attributes: Attributes<'a>,
    /// Unix nanoseconds since which it counts, 0 if unknown.
    pub start_time_unix_nano: u64,
    /// Unix nanoseconds.
    pub time_unix_nano: u64,
    /// Number of observations.
    pub count: u64,
    /// Their sum, if it means something.
    pub sum: Option<f64>,
    /// Observations per bucket, not cumulative; one more than there are bounds, or none.
    pub bucket_counts: Scalars<'a, Fixed64>,
    /// Upper bounds, included, ascending, without +Inf.
    pub explicit_bounds: Scalars<'a, Double>,
    /// Example observations.
    pub exemplars: Repeated<'a, Exemplar<'a>>,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
    /// Smallest observation.
    pub min: Option<f64>,
    /// Largest observation.
    pub max: Option<f64>,
}

impl<'a> Decode<'a> for HistogramPoint<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut point = HistogramPoint::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                2 => point.start_time_unix_nano = field.fixed64()?,
                3 => point.time_unix_nano = field.fixed64()?,
                4 => point.count = field.fixed64()?,
                5 => point.sum = Some(field.double()?),
                6 => point.bucket_counts.push(&field, &reader)?,
                7 => point.explicit_bounds.push(&field, &reader)?,
                8 => point.exemplars.push(&field, &reader)?,
                9 => point.attributes.push(&field, &reader)?,
                10 => point.flags = field.u32()?,
                11 => point.min = Some(field.double()?),
                12 => point.max = Some(field.double()?),
                _ => {}
            }
        }
        Ok(point)
    }
}

/// A histogram with exponential buckets: bucket `i` holds observations in
/// (base^i, base^(i+1)], base = 2^(2^-scale).
#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialHistogramPoint<'a> {
    /// What tells the series apart.
    pub attributes: Attributes<'a>,
    /// Unix nanoseconds since which it counts, 0 if unknown.
    pub start_time_unix_nano: u64,
    /// Unix nanoseconds.
    pub time_unix_nano: u64,
    /// Number of observations.
    pub count: u64,
    /// Their sum, if it means something.
    pub sum: Option<f64>,
    /// Resolution.
    pub scale: i32,
    /// Observations that count as zero.
    pub zero_count: u64,
    /// Positive observations.
    pub positive: Option<Buckets<'a>>,
    /// Negative observations.
    pub negative: Option<Buckets<'a>>,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
    /// Example observations.
    pub exemplars: Repeated<'a, Exemplar<'a>>,
    /// Smallest observation.
    pub min: Option<f64>,
    /// Largest observation.
    pub max: Option<f64>,
    /// Observations within ±this count as zero.
    pub zero_threshold: f64,
}

impl<'a> Decode<'a> for ExponentialHistogramPoint<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut point = ExponentialHistogramPoint::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => point.attributes.push(&field, &reader)?,
                2 => point.start_time_unix_nano = field.fixed64()?,
                3 => point.time_unix_nano = field.fixed64()?,
                4 => point.count = field.fixed64()?,
                5 => point.sum = Some(field.double()?),
                6 => point.scale = field.sint32()?,
                7 => point.zero_count = field.fixed64()?,
                8 => field.set_message(&mut point.positive)?,
                9 => field.set_message(&mut point.negative)?,
                10 => point.flags = field.u32()?,
                11 => point.exemplars.push(&field, &reader)?,
                12 => point.min = Some(field.double()?),
                13 => point.max = Some(field.double()?),
                14 => point.zero_threshold = field.double()?,
                _ => {}
            }
        }
        Ok(point)
    }
}

/// A run of exponential buckets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buckets<'a> {
    /// Index of the first bucket.
    pub offset: i32,
    /// Observations per bucket, not cumulative.
    pub bucket_counts: Scalars<'a, Uint64>,
}

impl<'a> Decode<'a> for Buckets<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut buckets = Buckets::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => buckets.offset = field.sint32()?,
                2 => buckets.bucket_counts.push(&field, &reader)?,
                _ => {}
            }
        }
        Ok(buckets)
    }
}

/// Quantiles that the sender computed.
#[derive(Clone, Copy, Debug, Default)]
pub struct SummaryPoint<'a> {
    /// What tells the series apart.
    pub attributes: Attributes<'a>,
    /// Unix nanoseconds since which it counts, 0 if unknown.
    pub start_time_unix_nano: u64,
    /// Unix nanoseconds.
    pub time_unix_nano: u64,
    /// Number of observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The quantiles.
    pub quantile_values: Repeated<'a, ValueAtQuantile>,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl<'a> Decode<'a> for SummaryPoint<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut point = SummaryPoint::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                2 => point.start_time_unix_nano = field.fixed64()?,
                3 => point.time_unix_nano = field.fixed64()?,
                4 => point.count = field.fixed64()?,
                5 => point.sum = field.double()?,
                6 => point.quantile_values.push(&field, &reader)?,
                7 => point.attributes.push(&field, &reader)?,
                8 => point.flags = field.u32()?,
                _ => {}
            }
        }
        Ok(point)
    }
}

/// One quantile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ValueAtQuantile {
    /// 0 to 1.
    pub quantile: f64,
    /// The value at it.
    pub value: f64,
}

impl Decode<'_> for ValueAtQuantile {
    fn decode(mut reader: Reader<'_>) -> Result<Self> {
        let mut at = ValueAtQuantile::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => at.quantile = field.double()?,
                2 => at.value = field.double()?,
                _ => {}
            }
        }
        Ok(at)
    }
}

/// An example observation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exemplar<'a> {
    /// Attributes of the observation that are not on the series.
    pub filtered_attributes: Attributes<'a>,
    /// Unix nanoseconds.
    pub time_unix_nano: u64,
    /// The observed value.
    pub value: Option<Number>,
    /// The trace's id, not checked.
    pub raw_trace_id: RawId<'a>,
    /// The span's id, not checked.
    pub raw_span_id: RawId<'a>,
}

impl Exemplar<'_> {
    /// The trace it came from. A wrong id counts as none.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        self.raw_trace_id.lenient()
    }

    /// The span it came from. A wrong id counts as none.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        self.raw_span_id.lenient()
    }
}

impl<'a> Decode<'a> for Exemplar<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut exemplar = Exemplar::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                2 => exemplar.time_unix_nano = field.fixed64()?,
                3 => exemplar.value = Some(Number::Double(field.double()?)),
                4 => exemplar.raw_span_id = RawId::of(&field)?,
                5 => exemplar.raw_trace_id = RawId::of(&field)?,
                6 => exemplar.value = Some(Number::Int(field.fixed64()?.cast_signed())),
                7 => exemplar.filtered_attributes.push(&field, &reader)?,
                _ => {}
            }
        }
        Ok(exemplar)
    }
}
