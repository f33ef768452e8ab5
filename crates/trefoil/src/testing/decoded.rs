//! What left, read back from its bytes.

use trefoil_wire::otlp::logs::{self, LogRecord};
use trefoil_wire::otlp::metrics::{Data, Number, ResourceMetrics};
use trefoil_wire::otlp::{AnyValue, Attributes, trace};
use trefoil_wire::protobuf::{Decode, Reader};

use crate::id::{SpanId, TraceId};
use crate::span::Status;
use crate::value::Value;

/// A span that ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Whose child it is.
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: String,
    /// `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: &'static str,
    /// How it ended.
    pub status: Status,
    /// In the order in which they left.
    pub attributes: Vec<(String, Value)>,
    /// In the order of time.
    pub events: Vec<Event>,
    /// Other spans that it has to do with.
    pub links: Vec<Link>,
    /// The instrumentation scope: `tracing`'s target.
    pub scope: String,
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Unix nanoseconds.
    pub end_ns: u64,
    /// W3C trace flags and OTLP's own bits.
    pub flags: u32,
    /// W3C `tracestate`.
    pub state: String,
}

/// An event of a span.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Its name.
    pub name: String,
    /// In the order in which they left.
    pub attributes: Vec<(String, Value)>,
    /// Unix nanoseconds.
    pub time_ns: u64,
}

/// A link of a span.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// The other span's trace.
    pub trace_id: Option<TraceId>,
    /// The other span.
    pub span_id: Option<SpanId>,
    /// In the order in which they left.
    pub attributes: Vec<(String, Value)>,
}

/// A log record.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Log {
    /// `TRACE` … `FATAL`.
    pub severity: String,
    /// 1–24.
    pub severity_number: i32,
    /// The body, if it is text.
    pub message: String,
    /// The name of the event, if it has one.
    pub event_name: String,
    /// In the order in which they left, `subsystem` among them.
    pub attributes: Vec<(String, Value)>,
    /// The instrumentation scope: the target.
    pub scope: String,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
    /// W3C trace flags.
    pub flags: u32,
    /// Unix nanoseconds.
    pub time_ns: u64,
}

/// What one series of a metric says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Labels by name.
    pub labels: Vec<(String, Value)>,
    /// What it says.
    pub reading: Reading,
    /// Whether it counts from a start, so that a difference means something.
    is_total: bool,
}

/// What a series says.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reading {
    /// A counter or gauge.
    Number(f64),
    /// A histogram.
    Histogram {
        /// Measurements.
        count: u64,
        /// Their sum.
        sum: f64,
    },
}

macro_rules! attribute_of {
    ($($type:ident . $field:ident),*) => {$(
        impl $type {
            /// The value of an attribute.
            #[must_use]
            pub fn attribute(&self, key: &str) -> Option<&Value> {
                self.$field.iter().find(|(k, _)| k == key).map(|(_, value)| value)
            }
        }
    )*};
}
attribute_of!(Span.attributes, Event.attributes, Link.attributes, Log.attributes, Metric.labels);

impl Metric {
    /// By what it is found.
    pub(super) fn place(&self) -> (&str, String) {
        (&self.name, format!("{:?}", self.labels))
    }

    /// What it says beyond what it said then; `None` if that is nothing.
    pub(super) fn since(mut self, then: &[Metric]) -> Option<Metric> {
        let Some(then) = then.iter().find(|then| then.place() == self.place()) else {
            return Some(self);
        };
        if then.reading == self.reading {
            return None;
        }
        if self.is_total {
            self.reading = match (self.reading, then.reading) {
                (Reading::Number(now), Reading::Number(then)) => Reading::Number(now - then),
                (Reading::Histogram { count, sum }, Reading::Histogram { count: c, sum: s }) => {
                    Reading::Histogram { count: count.saturating_sub(c), sum: sum - s }
                }
                (now, _) => now,
            };
        }
        Some(self)
    }
}

/// The spans of an export request.
pub(super) fn spans(body: &[u8]) -> Vec<Span> {
    let request = trace::ExportRequest::new(body).unwrap_or_default();
    let scopes =
        request.resource_spans.iter().flatten().flat_map(|r| r.scope_spans.iter().flatten());
    scopes
        .flat_map(|scope| {
            let name = scope.scope.map_or_else(String::new, |scope| scope.name.to_owned());
            scope.spans.iter().flatten().map(move |view| span(&view, &name))
        })
        .collect()
}

fn span(view: &trace::Span<'_>, scope: &str) -> Span {
    let event = |event: trace::Event<'_>| Event {
        name: event.name.to_owned(),
        attributes: attributes(&event.attributes),
        time_ns: event.time_unix_nano,
    };
    let link = |link: trace::Link<'_>| Link {
        trace_id: id(link.raw_trace_id.bytes()).and_then(TraceId::new),
        span_id: id(link.raw_span_id.bytes()).and_then(SpanId::new),
        attributes: attributes(&link.attributes),
    };
    Span {
        trace_id: TraceId(id(view.raw_trace_id.bytes()).unwrap_or_default()),
        span_id: SpanId(id(view.raw_span_id.bytes()).unwrap_or_default()),
        parent: id(view.raw_parent_span_id.bytes()).and_then(SpanId::new),
        name: view.name.to_owned(),
        kind: match view.kind {
            2 => "server",
            3 => "client",
            4 => "producer",
            5 => "consumer",
            _ => "internal",
        },
        status: match view.status {
            Some(trace::Status { code: 1, .. }) => Status::Ok,
            Some(trace::Status { code: 2, message, .. }) => Status::error(message.to_owned()),
            _ => Status::Unset,
        },
        attributes: attributes(&view.attributes),
        events: view.events.iter().flatten().map(event).collect(),
        links: view.links.iter().flatten().map(link).collect(),
        scope: scope.to_owned(),
        start_ns: view.start_time_unix_nano,
        end_ns: view.end_time_unix_nano,
        flags: view.flags,
        state: view.trace_state.to_owned(),
    }
}

/// The records of an export request.
pub(super) fn logs(body: &[u8]) -> Vec<Log> {
    let request = logs::ExportRequest::new(body).unwrap_or_default();
    let scopes = request.resource_logs.iter().flatten().flat_map(|r| r.scope_logs.iter().flatten());
    scopes
        .flat_map(|scope| {
            let name = scope.scope.map_or_else(String::new, |scope| scope.name.to_owned());
            scope.log_records.iter().flatten().map(move |view| log(&view, &name))
        })
        .collect()
}

fn log(view: &LogRecord<'_>, scope: &str) -> Log {
    Log {
        severity: view.severity_text.to_owned(),
        severity_number: view.severity_number,
        message: match view.body {
            Some(AnyValue::Str(text)) => text.to_owned(),
            _ => String::new(),
        },
        event_name: view.event_name.to_owned(),
        attributes: attributes(&view.attributes),
        scope: scope.to_owned(),
        trace_id: view.trace_id().map(TraceId),
        span_id: view.span_id().map(SpanId),
        flags: view.flags,
        time_ns: view.time_unix_nano,
    }
}

/// The series of a `ResourceMetrics` message.
pub(super) fn metrics(body: &[u8]) -> Vec<Metric> {
    let resource = ResourceMetrics::decode(Reader::new(body)).unwrap_or_default();
    let scopes = resource.scope_metrics.iter().flatten();
    let mut found = Vec::new();
    for metric in scopes.flat_map(|scope| scope.metrics.iter().flatten()) {
        let mut push = |labels: &Attributes<'_>, reading: Reading, is_total: bool| {
            let mut labels = attributes(labels);
            labels.sort_by(|a, b| a.0.cmp(&b.0));
            let (name, unit) = (metric.name.to_owned(), metric.unit.to_owned());
            found.push(Metric { name, unit, labels, reading, is_total });
        };
        match metric.data {
            Data::Gauge(points) => {
                for point in points.iter().flatten() {
                    push(&point.attributes, number(point.value), false);
                }
            }
            Data::Sum(sum) => {
                for point in sum.data_points.iter().flatten() {
                    push(&point.attributes, number(point.value), true);
                }
            }
            Data::Histogram(histogram) => {
                for point in histogram.data_points.iter().flatten() {
                    let (count, sum) = (point.count, point.sum.unwrap_or_default());
                    push(&point.attributes, Reading::Histogram { count, sum }, true);
                }
            }
            Data::ExponentialHistogram(histogram) => {
                for point in histogram.data_points.iter().flatten() {
                    let (count, sum) = (point.count, point.sum.unwrap_or_default());
                    push(&point.attributes, Reading::Histogram { count, sum }, true);
                }
            }
            Data::Summary(_) | Data::Empty => {}
        }
    }
    found
}

fn number(number: Option<Number>) -> Reading {
    Reading::Number(match number {
        Some(Number::Int(value)) => value as f64,
        Some(Number::Double(value)) => value,
        None => f64::NAN,
    })
}

fn attributes(view: &Attributes<'_>) -> Vec<(String, Value)> {
    view.iter().flatten().map(|pair| (pair.key.to_owned(), value(&pair.value))).collect()
}

fn value(any: &AnyValue<'_>) -> Value {
    match any {
        AnyValue::Str(text) => Value::from((*text).to_owned()),
        AnyValue::Bool(value) => Value::Bool(*value),
        AnyValue::Int(value) => Value::Int(*value),
        AnyValue::Double(value) => Value::Double(*value),
        AnyValue::Array(items) => Value::Array(items.iter().flatten().map(|v| value(&v)).collect()),
        // The crate itself writes none of these.
        AnyValue::Empty | AnyValue::Bytes(_) | AnyValue::Map(_) => Value::from(format!("{any:?}")),
    }
}

fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}
