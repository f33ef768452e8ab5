//! What the store keeps: spans, log records and samples, each with its resource.
//!
//! One type serves both directions. Strings are [`Cow`]s, so a row borrows from the
//! bytes it was decoded from (a request on the way in, a block on the way out) and
//! becomes `'static` only where somebody keeps it. Field names and meanings are those
//! of the OpenTelemetry protocol 1.x.

use std::borrow::Cow;
use std::sync::Arc;

use crate::labels::Labels;

mod owned;
mod text;

/// A 16-byte trace id; all zero means "none".
pub type TraceId = [u8; 16];
/// An 8-byte span id; all zero means "none".
pub type SpanId = [u8; 8];

/// OTLP's `AnyValue`.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Value<'a> {
    /// An `AnyValue` with nothing set.
    #[default]
    Empty,
    /// UTF-8 text.
    Str(Cow<'a, str>),
    /// A boolean.
    Bool(bool),
    /// A 64-bit signed integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Raw bytes.
    Bytes(Cow<'a, [u8]>),
    /// A list of values.
    Array(Vec<Value<'a>>),
    /// A list of key-value pairs, in the order they came.
    Map(Vec<Attribute<'a>>),
}

/// One key with its value, on a resource, scope, span, event, link or log record.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Attribute<'a> {
    /// The key, e.g. `http.request.method`.
    pub key: Cow<'a, str>,
    /// The value.
    pub value: Value<'a>,
}

/// Who emitted the telemetry. Two signals with equal resources share an identity.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Resource<'a> {
    /// Attributes as they came.
    pub attributes: Vec<Attribute<'a>>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
    /// The semantic-convention schema of the attributes, or empty.
    pub schema_url: Cow<'a, str>,
}

/// Which library emitted the telemetry.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Scope<'a> {
    /// Library name.
    pub name: Cow<'a, str>,
    /// Library version.
    pub version: Cow<'a, str>,
    /// Attributes as they came.
    pub attributes: Vec<Attribute<'a>>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
    /// The schema of the items below this scope, or empty.
    pub schema_url: Cow<'a, str>,
}

/// The role of a span. The numbers are OTLP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// Inside one process.
    Internal = 1,
    /// Serves a remote request.
    Server = 2,
    /// Makes a remote request.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Handles a message.
    Consumer = 5,
}

/// How a span ended. The numbers are OTLP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum StatusCode {
    /// Not said.
    #[default]
    Unset = 0,
    /// Declared a success.
    Ok = 1,
    /// Failed.
    Error = 2,
}

/// A point in time within a span.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Event<'a> {
    /// Unix nanoseconds.
    pub time_ns: u64,
    /// Event name, e.g. `exception`.
    pub name: Cow<'a, str>,
    /// Attributes as they came.
    pub attributes: Vec<Attribute<'a>>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
}

/// A pointer to another span.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Link<'a> {
    /// The linked trace.
    pub trace_id: TraceId,
    /// The linked span.
    pub span_id: SpanId,
    /// W3C `tracestate` of the link, or empty.
    pub trace_state: Cow<'a, str>,
    /// W3C trace flags of the link.
    pub flags: u32,
    /// Attributes as they came.
    pub attributes: Vec<Attribute<'a>>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
}

/// One span. Its resource and scope are named by the batch or found in [`StoredSpan`].
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Span<'a> {
    /// Trace the span belongs to; never all zero once stored.
    pub trace_id: TraceId,
    /// The span's own id; never all zero once stored.
    pub span_id: SpanId,
    /// The parent's id, all zero for a root.
    pub parent_span_id: SpanId,
    /// W3C `tracestate`, or empty.
    pub trace_state: Cow<'a, str>,
    /// W3C trace flags and OTLP's "remote parent" bits.
    pub flags: u32,
    /// Operation name.
    pub name: Cow<'a, str>,
    /// Role.
    pub kind: SpanKind,
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Unix nanoseconds; may be before `start_ns` when clocks are bad.
    pub end_ns: u64,
    /// Attributes as they came.
    pub attributes: Vec<Attribute<'a>>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
    /// Events in the order they came.
    pub events: Vec<Event<'a>>,
    /// How many events the sender dropped.
    pub dropped_events: u32,
    /// Links in the order they came.
    pub links: Vec<Link<'a>>,
    /// How many links the sender dropped.
    pub dropped_links: u32,
    /// How the span ended.
    pub status: StatusCode,
    /// Text that goes with an error status.
    pub status_message: Cow<'a, str>,
}

/// One log record. Its stream, resource and scope are named by the batch.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct LogRecord<'a> {
    /// Unix nanoseconds; the pipeline falls back to the observed time, so never 0 once stored.
    pub time_ns: u64,
    /// Unix nanoseconds at which the record was first seen, 0 if not said.
    pub observed_ns: u64,
    /// OTLP severity 1–24, 0 if not said.
    pub severity: u8,
    /// The sender's own word for the severity, or empty.
    pub severity_text: Cow<'a, str>,
    /// The body; a string nearly always.
    pub body: Value<'a>,
    /// Attributes as they came (Loki's "structured metadata").
    pub attributes: Vec<Attribute<'a>>,
    /// How many attributes the sender dropped.
    pub dropped_attributes: u32,
    /// W3C trace flags.
    pub flags: u32,
    /// Trace the record belongs to, or zero.
    pub trace_id: TraceId,
    /// Span the record belongs to, or zero.
    pub span_id: SpanId,
    /// Name of the event, if the record is one, or empty.
    pub event_name: Cow<'a, str>,
}

/// A span as a query sees it.
#[derive(Clone, Debug)]
pub struct StoredSpan<'a> {
    /// The span itself.
    pub span: Span<'a>,
    /// Who emitted it; shared by all spans of the same resource.
    pub resource: Arc<Resource<'static>>,
    /// Which library emitted it.
    pub scope: Arc<Scope<'static>>,
}

/// A log record as a query sees it.
#[derive(Clone, Debug)]
pub struct StoredLog<'a> {
    /// The record itself.
    pub record: LogRecord<'a>,
    /// The labels of the stream that holds it.
    pub stream: Labels,
    /// Who emitted it.
    pub resource: Arc<Resource<'static>>,
    /// Which library emitted it.
    pub scope: Arc<Scope<'static>>,
}

/// What kind of metric a family is, in Prometheus's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum MetricKind {
    /// Not said.
    #[default]
    Unknown = 0,
    /// Only goes up, but for resets.
    Counter = 1,
    /// Goes both ways.
    Gauge = 2,
    /// `_bucket`, `_sum`, `_count` series, or native histogram samples.
    Histogram = 3,
    /// `quantile`, `_sum`, `_count` series.
    Summary = 4,
}

/// What is known of a metric family.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Kind.
    pub kind: MetricKind,
    /// Unit in the sender's own words, e.g. `s` or `By`, or empty.
    pub unit: String,
    /// Description, or empty.
    pub help: String,
}

/// The value of one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A number. Its bits are kept exactly: [`STALE_NAN`] is a marker, not a number.
    Float(f64),
    /// A native histogram.
    Histogram(Box<Histogram>),
}

/// The NaN by which Prometheus marks the end of a series (`0x7ff0000000000002`).
pub const STALE_NAN: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// True for exactly the marker, not for other NaNs.
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN.to_bits()
}

/// One sample of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Unix milliseconds.
    pub time_ms: i64,
    /// Unix milliseconds since which a cumulative value counts; 0 if not said.
    pub start_ms: i64,
    /// The value.
    pub value: SampleValue,
}

/// A native histogram in Prometheus's float form: counts per bucket are absolute, not deltas.
///
/// Source: Prometheus native histogram specification, "Data model". `schema` −4…8 are
/// exponential with growth 2^(2^−schema); −53 has the explicit bounds of `custom_values`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Histogram {
    /// Whether a reset is known to have happened before this sample.
    pub counter_reset: CounterReset,
    /// Resolution.
    pub schema: i8,
    /// Observations within ±this count as zero.
    pub zero_threshold: f64,
    /// Observations that counted as zero.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations.
    pub sum: f64,
    /// Which positive buckets exist.
    pub positive_spans: Vec<BucketSpan>,
    /// Their counts.
    pub positive_buckets: Vec<f64>,
    /// Which negative buckets exist.
    pub negative_spans: Vec<BucketSpan>,
    /// Their counts.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of the buckets of schema −53, ascending, without +Inf.
    pub custom_values: Vec<f64>,
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BucketSpan {
    /// Gap to the previous span, or the first bucket's index for the first span.
    pub offset: i32,
    /// Number of buckets in the run.
    pub length: u32,
}

/// What is known about a counter reset before a histogram sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum CounterReset {
    /// Nothing: compare the buckets.
    #[default]
    Unknown = 0,
    /// There was one.
    Reset = 1,
    /// There was none.
    NotReset = 2,
    /// The histogram is a gauge and does not reset.
    Gauge = 3,
}

/// An example observation, pointing at the trace it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Unix milliseconds.
    pub time_ms: i64,
    /// The observed value.
    pub value: f64,
    /// Usually `trace_id` and `span_id`, plus filtered attributes.
    pub labels: Labels,
}
