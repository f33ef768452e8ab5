//! The row form of every model type: what the WAL and the head hold.
//!
//! `docs/format/wal.md` describes it. Writing cannot fail but for depth, reading is `None`
//! on anything that was never written.

use std::borrow::Cow;

use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::model::{
    Attribute, BucketSpan, CounterReset, Event, Histogram, Link, LogRecord, MetricKind, Resource,
    Scope, Span, SpanId, SpanKind, StatusCode, TraceId, Value,
};

/// How deep an `AnyValue` may nest. OTLP senders stay below 10; recursion on the way out
/// is bounded by this as well.
pub(crate) const VALUE_DEPTH_MAX: u32 = 64;

/// A value nested deeper than [`VALUE_DEPTH_MAX`]; the row it belongs to is incomplete.
#[derive(Debug)]
pub(crate) struct TooDeep;

type Written = Result<(), TooDeep>;

pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value<'_>, depth: u32) -> Written {
    if depth > VALUE_DEPTH_MAX {
        return Err(TooDeep);
    }
    match value {
        Value::Empty => out.push(0),
        Value::Str(text) => {
            out.push(1);
            put_bytes(out, text.as_bytes());
        }
        Value::Bool(b) => out.push(if *b { 3 } else { 2 }),
        Value::Int(i) => {
            out.push(4);
            put_signed(out, *i);
        }
        Value::Double(d) => {
            out.push(5);
            out.extend_from_slice(&d.to_bits().to_le_bytes());
        }
        Value::Bytes(bytes) => {
            out.push(6);
            put_bytes(out, bytes);
        }
        Value::Array(items) => {
            out.push(7);
            put_varint(out, items.len() as u64);
            for item in items {
                put_value(out, item, depth + 1)?;
            }
        }
        Value::Map(pairs) => {
            out.push(8);
            put_attributes(out, pairs, depth + 1)?;
        }
    }
    Ok(())
}

pub(crate) fn value<'a>(r: &mut Reader<'a>, depth: u32) -> Option<Value<'a>> {
    if depth > VALUE_DEPTH_MAX {
        return None;
    }
    Some(match r.u8()? {
        0 => Value::Empty,
        1 => Value::Str(Cow::Borrowed(r.str()?)),
        2 => Value::Bool(false),
        3 => Value::Bool(true),
        4 => Value::Int(r.signed()?),
        5 => Value::Double(r.f64()?),
        6 => Value::Bytes(Cow::Borrowed(r.bytes()?)),
        7 => {
            let count = r.count(1)?;
            let mut items = Vec::new();
            for _ in 0..count {
                items.push(value(r, depth + 1)?);
            }
            Value::Array(items)
        }
        8 => Value::Map(attributes(r, depth + 1)?),
        _ => return None,
    })
}

pub(crate) fn put_attributes(out: &mut Vec<u8>, pairs: &[Attribute<'_>], depth: u32) -> Written {
    put_varint(out, pairs.len() as u64);
    for pair in pairs {
        put_bytes(out, pair.key.as_bytes());
        put_value(out, &pair.value, depth)?;
    }
    Ok(())
}

fn attributes<'a>(r: &mut Reader<'a>, depth: u32) -> Option<Vec<Attribute<'a>>> {
    let count = r.count(2)?;
    let mut pairs = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let key = Cow::Borrowed(r.str()?);
        pairs.push(Attribute { key, value: value(r, depth)? });
    }
    Some(pairs)
}

pub(crate) fn put_resource(out: &mut Vec<u8>, resource: &Resource<'_>) -> Written {
    put_attributes(out, &resource.attributes, 0)?;
    put_varint(out, u64::from(resource.dropped_attributes));
    put_bytes(out, resource.schema_url.as_bytes());
    Ok(())
}

pub(crate) fn resource<'a>(r: &mut Reader<'a>) -> Option<Resource<'a>> {
    Some(Resource {
        attributes: attributes(r, 0)?,
        dropped_attributes: r.varint32()?,
        schema_url: Cow::Borrowed(r.str()?),
    })
}

pub(crate) fn put_scope(out: &mut Vec<u8>, scope: &Scope<'_>) -> Written {
    put_bytes(out, scope.name.as_bytes());
    put_bytes(out, scope.version.as_bytes());
    put_attributes(out, &scope.attributes, 0)?;
    put_varint(out, u64::from(scope.dropped_attributes));
    put_bytes(out, scope.schema_url.as_bytes());
    Ok(())
}

pub(crate) fn scope<'a>(r: &mut Reader<'a>) -> Option<Scope<'a>> {
    Some(Scope {
        name: Cow::Borrowed(r.str()?),
        version: Cow::Borrowed(r.str()?),
        attributes: attributes(r, 0)?,
        dropped_attributes: r.varint32()?,
        schema_url: Cow::Borrowed(r.str()?),
    })
}

/// Trace id, start time and the rest, in this order: the head reads only the front.
pub(crate) fn put_span(out: &mut Vec<u8>, span: &Span<'_>) -> Written {
    out.extend_from_slice(&span.trace_id);
    out.extend_from_slice(&span.start_ns.to_le_bytes());
    out.extend_from_slice(&span.span_id);
    out.extend_from_slice(&span.parent_span_id);
    put_signed(out, span.end_ns.wrapping_sub(span.start_ns) as i64);
    out.push(span.kind as u8 | (span.status as u8) << 4);
    put_bytes(out, span.name.as_bytes());
    put_bytes(out, span.status_message.as_bytes());
    put_bytes(out, span.trace_state.as_bytes());
    put_varint(out, u64::from(span.flags));
    put_attributes(out, &span.attributes, 0)?;
    put_varint(out, u64::from(span.dropped_attributes));
    put_varint(out, span.events.len() as u64);
    for event in &span.events {
        put_signed(out, event.time_ns.wrapping_sub(span.start_ns) as i64);
        put_bytes(out, event.name.as_bytes());
        put_attributes(out, &event.attributes, 0)?;
        put_varint(out, u64::from(event.dropped_attributes));
    }
    put_varint(out, u64::from(span.dropped_events));
    put_varint(out, span.links.len() as u64);
    for link in &span.links {
        out.extend_from_slice(&link.trace_id);
        out.extend_from_slice(&link.span_id);
        put_bytes(out, link.trace_state.as_bytes());
        put_varint(out, u64::from(link.flags));
        put_attributes(out, &link.attributes, 0)?;
        put_varint(out, u64::from(link.dropped_attributes));
    }
    put_varint(out, u64::from(span.dropped_links));
    Ok(())
}

pub(crate) fn span<'a>(r: &mut Reader<'a>) -> Option<Span<'a>> {
    span_with(r, true, true)
}

/// A span without its attributes, or without events and links and what follows them, if
/// those are not wanted: then the reader stops where they begin.
pub(crate) fn span_with<'a>(
    r: &mut Reader<'a>,
    wants_attributes: bool,
    wants_details: bool,
) -> Option<Span<'a>> {
    let trace_id = r.array()?;
    let start_ns = r.u64()?;
    let span_id = r.array()?;
    let parent_span_id = r.array()?;
    let end_ns = start_ns.wrapping_add(r.signed()? as u64);
    let (kind, status) = kind_and_status(r.u8()?)?;
    let mut span = Span {
        trace_id,
        span_id,
        parent_span_id,
        start_ns,
        end_ns,
        kind,
        status,
        name: Cow::Borrowed(r.str()?),
        status_message: Cow::Borrowed(r.str()?),
        trace_state: Cow::Borrowed(r.str()?),
        flags: r.varint32()?,
        ..Span::default()
    };
    if wants_attributes || wants_details {
        span.attributes = attributes(r, 0)?;
        span.dropped_attributes = r.varint32()?;
    }
    if wants_details {
        span.events = events(r, start_ns)?;
        span.dropped_events = r.varint32()?;
        span.links = links(r)?;
        span.dropped_links = r.varint32()?;
    }
    Some(span)
}

/// Start and trace id: all the head asks of a span.
pub(crate) fn span_front(row: &[u8]) -> Option<(u64, TraceId)> {
    let mut r = Reader::new(row);
    let trace_id = r.array()?;
    Some((r.u64()?, trace_id))
}

/// The name alone: what a flush sorts by.
pub(crate) fn span_name(row: &[u8]) -> Option<&str> {
    let mut r = Reader::new(row);
    r.take(16 + 8 + 8 + 8)?;
    r.signed()?;
    r.u8()?;
    r.str()
}

/// What [`put_span`] has in one byte.
pub(crate) fn kind_and_status(byte: u8) -> Option<(SpanKind, StatusCode)> {
    Some((span_kind(byte & 0xf)?, status_code(byte >> 4)?))
}

/// The first attribute of a key, with nothing decoded of the others; the outer `None` is for
/// a malformed row.
pub(crate) fn span_attribute<'a>(row: &'a [u8], key: &str) -> Option<Option<Value<'a>>> {
    let mut r = Reader::new(row);
    r.take(16 + 8 + 8 + 8)?;
    r.signed()?;
    r.u8()?;
    for _text in 0..3 {
        r.bytes()?;
    }
    r.varint32()?;
    for _ in 0..r.count(2)? {
        if r.bytes()? == key.as_bytes() {
            return value(&mut r, 0).map(Some);
        }
        skip_value(&mut r, 0)?;
    }
    Some(None)
}

fn skip_value(r: &mut Reader<'_>, depth: u32) -> Option<()> {
    if depth > VALUE_DEPTH_MAX {
        return None;
    }
    match r.u8()? {
        0 | 2 | 3 => {}
        1 | 6 => drop(r.bytes()?),
        4 => drop(r.varint()?),
        5 => drop(r.u64()?),
        7 => {
            for _ in 0..r.count(1)? {
                skip_value(r, depth + 1)?;
            }
        }
        8 => {
            for _ in 0..r.count(2)? {
                r.bytes()?;
                skip_value(r, depth + 1)?;
            }
        }
        _ => return None,
    }
    Some(())
}

fn events<'a>(r: &mut Reader<'a>, start_ns: u64) -> Option<Vec<Event<'a>>> {
    let count = r.count(4)?;
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(Event {
            time_ns: start_ns.wrapping_add(r.signed()? as u64),
            name: Cow::Borrowed(r.str()?),
            attributes: attributes(r, 0)?,
            dropped_attributes: r.varint32()?,
        });
    }
    Some(events)
}

fn links<'a>(r: &mut Reader<'a>) -> Option<Vec<Link<'a>>> {
    let count = r.count(28)?;
    let mut links = Vec::new();
    for _ in 0..count {
        links.push(Link {
            trace_id: r.array()?,
            span_id: r.array()?,
            trace_state: Cow::Borrowed(r.str()?),
            flags: r.varint32()?,
            attributes: attributes(r, 0)?,
            dropped_attributes: r.varint32()?,
        });
    }
    Some(links)
}

pub(crate) fn span_kind(code: u8) -> Option<SpanKind> {
    Some(match code {
        0 => SpanKind::Unspecified,
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => return None,
    })
}

pub(crate) fn status_code(code: u8) -> Option<StatusCode> {
    Some(match code {
        0 => StatusCode::Unset,
        1 => StatusCode::Ok,
        2 => StatusCode::Error,
        _ => return None,
    })
}

/// Time and trace id in front: the head reads only these.
pub(crate) fn put_log(out: &mut Vec<u8>, record: &LogRecord<'_>) -> Written {
    out.extend_from_slice(&record.time_ns.to_le_bytes());
    let traced = record.trace_id != [0; 16] || record.span_id != [0; 8];
    let observed = record.observed_ns != 0;
    out.push(u8::from(traced) | u8::from(observed) << 1);
    if traced {
        out.extend_from_slice(&record.trace_id);
        out.extend_from_slice(&record.span_id);
    }
    if observed {
        put_signed(out, record.observed_ns.wrapping_sub(record.time_ns) as i64);
    }
    out.push(record.severity);
    put_bytes(out, record.severity_text.as_bytes());
    put_value(out, &record.body, 0)?;
    put_attributes(out, &record.attributes, 0)?;
    put_varint(out, u64::from(record.dropped_attributes));
    put_varint(out, u64::from(record.flags));
    put_bytes(out, record.event_name.as_bytes());
    Ok(())
}

/// Time, trace id and whether the body is text: all the head asks of a log record.
pub(crate) fn log_front(row: &[u8]) -> Option<(u64, TraceId, bool)> {
    let mut r = Reader::new(row);
    let time_ns = r.u64()?;
    let flags = r.u8()?;
    let trace = if flags & 1 != 0 { r.array()? } else { [0; 16] };
    if flags & 1 != 0 {
        r.take(size_of::<SpanId>())?;
    }
    if flags & 2 != 0 {
        r.signed()?;
    }
    r.u8()?;
    r.bytes()?;
    Some((time_ns, trace, r.u8()? == 1))
}

/// What most questions need of a log record, without the rest.
#[derive(Debug)]
pub(crate) struct LogStart<'a> {
    pub(crate) severity: u8,
    pub(crate) severity_text: &'a str,
    /// The body, if it is text; it is UTF-8.
    pub(crate) text: Option<&'a [u8]>,
    /// Stands at the attributes.
    rest: Reader<'a>,
}

pub(crate) fn log_start(row: &[u8]) -> Option<LogStart<'_>> {
    let mut r = Reader::new(row);
    r.u64()?;
    let flags = r.u8()?;
    if flags & 1 != 0 {
        r.take(size_of::<TraceId>() + size_of::<SpanId>())?;
    }
    if flags & 2 != 0 {
        r.signed()?;
    }
    let (severity, severity_text) = (r.u8()?, r.str()?);
    let mut body = r;
    let text = match body.u8()? {
        1 => Some(body.bytes()?),
        _ => None,
    };
    match text {
        Some(_) => r = body,
        None => skip_value(&mut r, 0)?,
    }
    Some(LogStart { severity, severity_text, text, rest: r })
}

impl<'a> LogStart<'a> {
    /// The keys of the attributes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Option<&'a str>> {
        let mut r = self.rest;
        let mut left = r.count(2).unwrap_or(0);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let key = r.str();
            if skip_value(&mut r, 0).is_none() {
                left = 0;
            }
            Some(key)
        })
    }
}

pub(crate) fn log<'a>(r: &mut Reader<'a>) -> Option<LogRecord<'a>> {
    let time_ns = r.u64()?;
    let flags = r.u8()?;
    let (trace_id, span_id) =
        if flags & 1 != 0 { (r.array()?, r.array()?) } else { ([0; 16], [0; 8]) };
    let observed_ns = if flags & 2 != 0 { time_ns.wrapping_add(r.signed()? as u64) } else { 0 };
    Some(LogRecord {
        time_ns,
        trace_id,
        span_id,
        observed_ns,
        severity: r.u8()?,
        severity_text: Cow::Borrowed(r.str()?),
        body: value(r, 0)?,
        attributes: attributes(r, 0)?,
        dropped_attributes: r.varint32()?,
        flags: r.varint32()?,
        event_name: Cow::Borrowed(r.str()?),
    })
}

pub(crate) fn put_histogram(out: &mut Vec<u8>, histogram: &Histogram) {
    out.push(histogram.counter_reset as u8);
    out.push(histogram.schema as u8);
    for number in [histogram.zero_threshold, histogram.zero_count, histogram.count, histogram.sum] {
        out.extend_from_slice(&number.to_bits().to_le_bytes());
    }
    for (spans, buckets) in [
        (&histogram.positive_spans, &histogram.positive_buckets),
        (&histogram.negative_spans, &histogram.negative_buckets),
    ] {
        put_varint(out, spans.len() as u64);
        for span in spans {
            put_signed(out, i64::from(span.offset));
            put_varint(out, u64::from(span.length));
        }
        put_floats(out, buckets);
    }
    put_floats(out, &histogram.custom_values);
}

pub(crate) fn histogram(r: &mut Reader<'_>) -> Option<Histogram> {
    let counter_reset = match r.u8()? {
        0 => CounterReset::Unknown,
        1 => CounterReset::Reset,
        2 => CounterReset::NotReset,
        3 => CounterReset::Gauge,
        _ => return None,
    };
    Some(Histogram {
        counter_reset,
        schema: r.u8()? as i8,
        zero_threshold: r.f64()?,
        zero_count: r.f64()?,
        count: r.f64()?,
        sum: r.f64()?,
        positive_spans: bucket_spans(r)?,
        positive_buckets: floats(r)?,
        negative_spans: bucket_spans(r)?,
        negative_buckets: floats(r)?,
        custom_values: floats(r)?,
    })
}

fn bucket_spans(r: &mut Reader<'_>) -> Option<Vec<BucketSpan>> {
    let count = r.count(2)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = i32::try_from(r.signed()?).ok()?;
        spans.push(BucketSpan { offset, length: r.varint32()? });
    }
    Some(spans)
}

fn put_floats(out: &mut Vec<u8>, floats: &[f64]) {
    put_varint(out, floats.len() as u64);
    for float in floats {
        out.extend_from_slice(&float.to_bits().to_le_bytes());
    }
}

fn floats(r: &mut Reader<'_>) -> Option<Vec<f64>> {
    let count = r.count(8)?;
    let mut floats = Vec::with_capacity(count);
    for _ in 0..count {
        floats.push(r.f64()?);
    }
    Some(floats)
}

pub(crate) fn metric_kind(code: u8) -> Option<MetricKind> {
    Some(match code {
        0 => MetricKind::Unknown,
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::Summary,
        _ => return None,
    })
}
