//! Spans as Jaeger's collector and agent take them, made of OTLP's.
//!
//! Sources: `jaeger.thrift` and `agent.thrift` of jaegertracing/jaeger-idl for the messages,
//! OpenTelemetry specification "OpenTelemetry to Jaeger Transformation" for what becomes what.

mod thrift;

pub use thrift::{Encoding, Writer};

use crate::otlp::trace::{Event, ExportRequest, Link, ResourceSpans, Span};
use crate::otlp::{AnyValue, Attributes, KeyValue, Resource, Scope};
use crate::protobuf::{Repeated, Result};

/// Spans of one process, each encoded by itself, so that they can be put together as a
/// receiver's limits ask for.
#[derive(Debug)]
pub struct Process {
    encoding: Encoding,
    process: Vec<u8>,
    spans: Vec<Vec<u8>>,
}

/// Translates an OTLP export request: a `Process` for each resource in it.
///
/// # Errors
/// The request is damaged.
pub fn processes(request: &[u8], encoding: Encoding) -> Result<Vec<Process>> {
    let request = ExportRequest::new(request)?;
    request.resource_spans.iter().map(|spans| process(&spans?, encoding)).collect()
}

impl Process {
    /// A `Batch` of all spans, as the collector takes it.
    #[must_use]
    pub fn batch(&self) -> Vec<u8> {
        let mut w = Writer::new(self.encoding);
        self.write_batch(&self.spans, &mut w);
        w.into_bytes()
    }

    /// `emitBatch` calls of at most `limit` bytes each, as the agent takes them, and how many
    /// spans are too large for one.
    #[must_use]
    pub fn emit_batch_calls(&self, limit: usize) -> (Vec<Vec<u8>>, u64) {
        // Name, list head and ends: a few bytes around process and spans.
        const AROUND: usize = 40;
        let room = limit.saturating_sub(self.process.len() + AROUND);
        let (mut calls, mut too_large) = (Vec::new(), 0);
        let mut rest = self.spans.as_slice();
        while let Some(first) = rest.first() {
            if first.len() > room {
                too_large += 1;
                rest = &rest[1..];
                continue;
            }
            let mut bytes = 0;
            let fits = |span: &&Vec<u8>| {
                bytes += span.len();
                bytes <= room
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count());
            let mut w = Writer::new(self.encoding);
            w.one_way_call("emitBatch", |w| {
                w.structure(1, |w| self.write_batch(now, w));
            });
            calls.push(w.into_bytes());
            rest = later;
        }
        (calls, too_large)
    }

    fn write_batch(&self, spans: &[Vec<u8>], w: &mut Writer) {
        w.encoded_structure(1, &self.process);
        w.encoded_structures(2, spans);
        w.end();
    }
}

fn process(of: &ResourceSpans<'_>, encoding: Encoding) -> Result<Process> {
    let mut w = Writer::new(encoding);
    write_process(of.resource.as_ref(), &mut w)?;
    let mut spans = Vec::new();
    for scope_spans in of.scope_spans {
        let scope_spans = scope_spans?;
        for span in scope_spans.spans {
            let mut w = Writer::new(encoding);
            write_span(scope_spans.scope.as_ref(), &span?, &mut w)?;
            spans.push(w.into_bytes());
        }
    }
    Ok(Process { encoding, process: w.into_bytes(), spans })
}

/// `Process { 1: serviceName, 2: tags }`
fn write_process(resource: Option<&Resource<'_>>, w: &mut Writer) -> Result<()> {
    let attributes = resource.map(|resource| resource.attributes).unwrap_or_default();
    let mut service = "unknown_service";
    for attribute in attributes {
        let attribute = attribute?;
        if let ("service.name", AnyValue::Str(name)) = (attribute.key, attribute.value) {
            service = name;
        }
    }
    w.text(1, service);
    w.list(2, |list| {
        for attribute in attributes {
            let attribute = attribute?;
            if attribute.key != "service.name" {
                list.item(|w| write_tag(&attribute, w))?;
            }
        }
        Ok(())
    })?;
    w.end();
    Ok(())
}

/// `Span { 1: traceIdLow, 2: traceIdHigh, 3: spanId, 4: parentSpanId, 5: operationName,
/// 6: references, 7: flags, 8: startTime, 9: duration, 10: tags, 11: logs }`
fn write_span(scope: Option<&Scope<'_>>, span: &Span<'_>, w: &mut Writer) -> Result<()> {
    write_trace_id(span.trace_id()?, [1, 2], w);
    w.i64(3, i64::from_be_bytes(span.span_id()?));
    w.i64(4, span.parent_span_id()?.map_or(0, i64::from_be_bytes));
    w.text(5, span.name);
    if !span.links.is_empty() {
        w.list(6, |list| {
            span.links.iter().try_for_each(|link| list.item(|w| write_reference(&link?, w)))
        })?;
    }
    // What is exported is sampled.
    w.i32(7, 1);
    let duration = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    w.i64(8, (span.start_time_unix_nano / 1000).cast_signed());
    w.i64(9, (duration / 1000).cast_signed());
    w.list(10, |list| {
        write_tags(span.attributes, list)?;
        let mut tag = |key: &'static str, value: AnyValue<'_>| {
            list.item(|w| write_tag(&KeyValue { key, value }, w))
        };
        if let Some(kind) = span_kind(span.kind) {
            tag("span.kind", AnyValue::Str(kind))?;
        }
        let status = span.status.unwrap_or_default();
        match status.code {
            1 => tag("otel.status_code", AnyValue::Str("OK"))?,
            2 => {
                tag("otel.status_code", AnyValue::Str("ERROR"))?;
                tag("error", AnyValue::Bool(true))?;
            }
            _ => {}
        }
        if !status.message.is_empty() {
            tag("otel.status_description", AnyValue::Str(status.message))?;
        }
        if let Some(scope) = scope {
            for (key, value) in
                [("otel.scope.name", scope.name), ("otel.scope.version", scope.version)]
            {
                if !value.is_empty() {
                    tag(key, AnyValue::Str(value))?;
                }
            }
        }
        if !span.trace_state.is_empty() {
            tag("w3c.tracestate", AnyValue::Str(span.trace_state))?;
        }
        let dropped = [
            ("otel.dropped_attributes_count", span.dropped_attributes_count),
            ("otel.dropped_events_count", span.dropped_events_count),
            ("otel.dropped_links_count", span.dropped_links_count),
        ];
        for (key, count) in dropped.into_iter().filter(|(_, count)| *count > 0) {
            tag(key, AnyValue::Int(i64::from(count)))?;
        }
        Ok(())
    })?;
    write_logs(span.events, w)?;
    w.end();
    Ok(())
}

fn span_kind(kind: i32) -> Option<&'static str> {
    match kind {
        2 => Some("server"),
        3 => Some("client"),
        4 => Some("producer"),
        5 => Some("consumer"),
        _ => None,
    }
}

/// `Log { 1: timestamp, 2: fields }`
fn write_logs(events: Repeated<'_, Event<'_>>, w: &mut Writer) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    w.list(11, |list| {
        events.iter().try_for_each(|event| {
            let event = event?;
            list.item(|w| {
                w.i64(1, (event.time_unix_nano / 1000).cast_signed());
                w.list(2, |list| {
                    let name = KeyValue { key: "event", value: AnyValue::Str(event.name) };
                    list.item(|w| write_tag(&name, w))?;
                    write_tags(event.attributes, list)?;
                    let key = "otel.event.dropped_attributes_count";
                    let value = AnyValue::Int(i64::from(event.dropped_attributes_count));
                    match event.dropped_attributes_count {
                        0 => Ok(()),
                        _ => list.item(|w| write_tag(&KeyValue { key, value }, w)),
                    }
                })
            })
        })
    })
}

/// `SpanRef { 1: refType, 2: traceIdLow, 3: traceIdHigh, 4: spanId }`; 1 is FOLLOWS_FROM.
fn write_reference(link: &Link<'_>, w: &mut Writer) -> Result<()> {
    w.i32(1, 1);
    write_trace_id(link.trace_id()?, [2, 3], w);
    w.i64(4, i64::from_be_bytes(link.span_id()?));
    Ok(())
}

fn write_trace_id(id: crate::otlp::TraceId, [low, high]: [i16; 2], w: &mut Writer) {
    let id = u128::from_be_bytes(id);
    w.i64(low, (id as u64).cast_signed());
    w.i64(high, ((id >> 64) as u64).cast_signed());
}

fn write_tags(attributes: Attributes<'_>, list: &mut thrift::List<'_>) -> Result<()> {
    attributes.iter().try_for_each(|attribute| {
        let attribute = attribute?;
        list.item(|w| write_tag(&attribute, w))
    })
}

/// `Tag { 1: key, 2: vType, 3: vStr, 4: vDouble, 5: vBool, 6: vLong, 7: vBinary }`. Lists
/// and maps become text in JSON.
fn write_tag(attribute: &KeyValue<'_>, w: &mut Writer) -> Result<()> {
    w.text(1, attribute.key);
    match attribute.value {
        AnyValue::Str(value) => {
            w.i32(2, 0);
            w.text(3, value);
        }
        AnyValue::Double(value) => {
            w.i32(2, 1);
            w.double(4, value);
        }
        AnyValue::Bool(value) => {
            w.i32(2, 2);
            w.bool(5, value);
        }
        AnyValue::Int(value) => {
            w.i32(2, 3);
            w.i64(6, value);
        }
        AnyValue::Bytes(value) => {
            w.i32(2, 4);
            w.bytes(7, value);
        }
        value @ (AnyValue::Empty | AnyValue::Array(_) | AnyValue::Map(_)) => {
            let mut text = String::new();
            value.write_json(&mut text)?;
            w.i32(2, 0);
            w.text(3, &text);
        }
    }
    Ok(())
}
