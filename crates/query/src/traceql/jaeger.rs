//! Jaeger's search: one span must satisfy every condition, and tags are text.
//!
//! A tag is looked for on the span, its resource, its instrumentation scope, its events
//! and its links; a number or truth matches by the text Jaeger shows for it. Tags that
//! Jaeger derives from OTLP fields (`error`, `span.kind`, `otel.status_code`, …) are
//! derived here too. Source: Jaeger's query service and OpenTelemetry's "Trace data
//! transformation to non-OTLP formats: Jaeger".

use std::collections::HashSet;
use std::ops::ControlFlow;

use trefoil_store::model::{Attribute, Event, SpanKind, StatusCode, StoredSpan, TraceId, Value};
use trefoil_store::{
    Compare, Field, Order, Snapshot, SpanColumns, SpanFilter, SpanScan, TimeRange,
};

use super::eval;
use crate::error::Result;
use crate::limits::Limits;

/// What to search for; `None` and empty mean "any".
#[derive(Clone, Debug, Default)]
pub struct TraceQuery {
    /// `service.name` of the resource.
    pub service: Option<String>,
    /// Span name.
    pub operation: Option<String>,
    /// Keys and values, all of which the span must have.
    pub tags: Vec<(String, String)>,
    /// The span starts here or later, in Unix nanoseconds,
    pub start_ns: i64,
    /// and here or earlier.
    pub end_ns: i64,
    /// The span takes at least so long, in nanoseconds,
    pub min_duration_ns: Option<u64>,
    /// and at most so long.
    pub max_duration_ns: Option<u64>,
    /// At most so many traces.
    pub limit: usize,
}

/// Whole traces that have a span for the query, the one with the latest such span first.
///
/// # Errors
/// Cancelled, over the tally's limit, or unreadable.
pub fn find_traces(
    snapshot: &Snapshot,
    query: &TraceQuery,
    limits: &Limits<'_>,
) -> Result<Vec<Vec<StoredSpan<'static>>>> {
    let ids = find_trace_ids(snapshot, query, limits)?;
    ids.into_iter().map(|id| Ok(snapshot.trace(id, limits.tally)?)).collect()
}

fn find_trace_ids(
    snapshot: &Snapshot,
    query: &TraceQuery,
    limits: &Limits<'_>,
) -> Result<Vec<TraceId>> {
    let limit = query.limit.min(limits.series_max);
    let filter = filter(query);
    let range = TimeRange { start_ns: query.start_ns, end_ns: query.end_ns };
    let scan = SpanScan { range, filter: &filter, order: Order::Backward };
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    if limit == 0 {
        return Ok(found);
    }
    // A tag may be anywhere; without one only the ids are of interest.
    let tags = !query.tags.is_empty();
    let columns = SpanColumns { ids: true, attributes: tags, details: tags };
    snapshot.spans_with(&scan, columns, limits.tally, &mut |stored| {
        let matches = query.tags.iter().all(|(key, value)| has_tag(stored, key, value));
        if matches && seen.insert(stored.span.trace_id) {
            found.push(stored.span.trace_id);
        }
        if found.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}

/// Everything but the tags; of those, what the store can rule out.
fn filter(query: &TraceQuery) -> SpanFilter {
    let text = |field, value: &String| {
        SpanFilter::Field(field, Compare::Equal(Value::Str(value.clone().into())))
    };
    let nanoseconds = |v: u64| Value::Int(i64::try_from(v).unwrap_or(i64::MAX));
    let mut terms = Vec::new();
    if let Some(service) = &query.service {
        terms.push(text(Field::Resource("service.name".to_owned()), service));
    }
    if let Some(operation) = &query.operation {
        terms.push(text(Field::Name, operation));
    }
    if let Some(min) = query.min_duration_ns {
        terms.push(SpanFilter::Field(Field::Duration, Compare::GreaterEqual(nanoseconds(min))));
    }
    if let Some(max) = query.max_duration_ns {
        terms.push(SpanFilter::Field(Field::Duration, Compare::LessEqual(nanoseconds(max))));
    }
    terms.extend(query.tags.iter().filter_map(|(key, value)| tag_filter(key, value)));
    SpanFilter::And(terms)
}

/// Holds for every span that [has the tag](has_tag); `None` if the store cannot ask for it.
fn tag_filter(key: &str, value: &str) -> Option<SpanFilter> {
    let derived = match key {
        "error" => (value == "true").then_some((Field::Status, Compare::Status(StatusCode::Error))),
        "span.kind" => {
            let kind = KINDS.into_iter().find(|kind| kind_tag(*kind) == Some(value));
            kind.map(|kind| (Field::Kind, Compare::Kind(kind)))
        }
        "otel.status_code" => {
            let codes = [StatusCode::Ok, StatusCode::Error];
            let code = codes.into_iter().find(|code| status_tag(*code) == Some(value));
            code.map(|code| (Field::Status, Compare::Status(code)))
        }
        "otel.status_description"
        | "otel.scope.name"
        | "otel.library.name"
        | "otel.scope.version"
        | "otel.library.version"
        | "w3c.tracestate" => return None,
        _ => None,
    };
    let mentions = SpanFilter::Mentions(key.to_owned(), value.to_owned());
    Some(match derived {
        Some((field, compare)) => SpanFilter::Or(vec![SpanFilter::Field(field, compare), mentions]),
        None => mentions,
    })
}

const KINDS: [SpanKind; 5] = [
    SpanKind::Internal,
    SpanKind::Server,
    SpanKind::Client,
    SpanKind::Producer,
    SpanKind::Consumer,
];

fn has_tag(stored: &StoredSpan<'_>, key: &str, value: &str) -> bool {
    let span = &stored.span;
    has_derived_tag(stored, key, value)
        || has_attribute(&span.attributes, key, value)
        || has_attribute(&stored.resource.attributes, key, value)
        || has_attribute(&stored.scope.attributes, key, value)
        || span.events.iter().any(|event| event_has(event, key, value))
        || span.links.iter().any(|link| has_attribute(&link.attributes, key, value))
}

fn event_has(event: &Event<'_>, key: &str, value: &str) -> bool {
    (key == "event" && event.name == value) || has_attribute(&event.attributes, key, value)
}

/// Tags that Jaeger's translation makes of OTLP fields.
fn has_derived_tag(stored: &StoredSpan<'_>, key: &str, value: &str) -> bool {
    let (span, scope) = (&stored.span, &stored.scope);
    match key {
        "error" => value == "true" && span.status == StatusCode::Error,
        "span.kind" => kind_tag(span.kind) == Some(value),
        "otel.status_code" => status_tag(span.status) == Some(value),
        "otel.status_description" => !value.is_empty() && span.status_message == value,
        "otel.scope.name" | "otel.library.name" => !value.is_empty() && scope.name == value,
        "otel.scope.version" | "otel.library.version" => {
            !value.is_empty() && scope.version == value
        }
        "w3c.tracestate" => !value.is_empty() && span.trace_state == value,
        _ => false,
    }
}

/// The tag `span.kind`, absent where the sender did not say.
#[must_use]
pub fn kind_tag(kind: SpanKind) -> Option<&'static str> {
    (kind != SpanKind::Unspecified).then(|| super::kind_name(kind))
}

/// The tag `otel.status_code`, absent where the sender did not say.
#[must_use]
pub fn status_tag(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::Unset => None,
        StatusCode::Ok => Some("OK"),
        StatusCode::Error => Some("ERROR"),
    }
}

fn has_attribute(attributes: &[Attribute<'_>], key: &str, value: &str) -> bool {
    attributes.iter().any(|a| a.key == key && value_is(&a.value, value))
}

/// Whether a value, written as text, is this one; a list has it if one element does.
fn value_is(value: &Value<'_>, text: &str) -> bool {
    match value {
        Value::Empty => text.is_empty(),
        Value::Str(v) => v == text,
        Value::Bool(v) => text == if *v { "true" } else { "false" },
        Value::Int(v) => text.parse() == Ok(*v),
        Value::Double(v) => text.parse() == Ok(*v),
        Value::Bytes(v) => text.eq_ignore_ascii_case(&eval::hex(v)),
        Value::Array(items) => items.iter().any(|item| value_is(item, text)),
        Value::Map(_) => false,
    }
}
