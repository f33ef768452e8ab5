//! Stored spans in OTLP's forms.

use std::collections::HashMap;
use std::sync::Arc;

use trefoil_query::{Error, ErrorKind};
use trefoil_store::model::{Resource, Scope, Span, StoredSpan, Value};
use trefoil_wire::otlp::json::{self, Style};
use trefoil_wire::otlp::trace::{SpanWriter, TraceWriter};
use trefoil_wire::otlp::{MapWriter, ValueWriter};
use trefoil_wire::protobuf::Writer;
use trefoil_wire::protobuf::schema::Message;

/// Spans of one resource and scope.
struct Group<'a> {
    resource: &'a Arc<Resource<'static>>,
    scopes: Vec<(&'a Arc<Scope<'static>>, Vec<&'a Span<'a>>)>,
}

/// In the order in which resources and scopes first occur.
fn groups<'a>(spans: &'a [StoredSpan<'a>]) -> Vec<Group<'a>> {
    let mut out: Vec<Group<'a>> = Vec::new();
    let mut places: HashMap<*const Resource<'static>, usize> = HashMap::new();
    for stored in spans {
        let place = *places.entry(Arc::as_ptr(&stored.resource)).or_insert(out.len());
        if place == out.len() {
            out.push(Group { resource: &stored.resource, scopes: Vec::new() });
        }
        let scopes = &mut out[place].scopes;
        match scopes.iter_mut().find(|(scope, _)| Arc::ptr_eq(scope, &stored.scope)) {
            Some((_, spans)) => spans.push(&stored.span),
            None => scopes.push((&stored.scope, vec![&stored.span])),
        }
    }
    out
}

/// A message that [`write`] has filled, as JSON.
///
/// # Errors
/// Never, unless what was written is not that message.
pub(crate) fn to_json(
    message: &'static Message,
    bytes: &[u8],
    style: Style,
) -> Result<String, Error> {
    let mut out = String::with_capacity(bytes.len() * 3);
    json::from_protobuf(message, bytes, style, &mut out).map_err(|error| Error {
        kind: ErrorKind::Storage,
        message: format!("the trace cannot be written as JSON: {error}"),
        span: 0..0,
    })?;
    Ok(out)
}

/// Writes a trace's `resource_spans` as protobuf.
pub(crate) fn write(spans: &[StoredSpan<'_>], writer: &mut Writer) {
    let mut trace = TraceWriter(writer);
    for group in groups(spans) {
        trace.resource_spans(|out| {
            out.resource(|resource| {
                for a in &group.resource.attributes {
                    resource.attribute(&a.key, |v| write_value(v, &a.value));
                }
                resource.dropped_attributes_count(group.resource.dropped_attributes);
            });
            for (scope, spans) in &group.scopes {
                out.scope_spans(|out| {
                    out.scope(|out| {
                        out.name(&scope.name);
                        out.version(&scope.version);
                        for a in &scope.attributes {
                            out.attribute(&a.key, |v| write_value(v, &a.value));
                        }
                        out.dropped_attributes_count(scope.dropped_attributes);
                    });
                    for span in spans {
                        out.span(|out| write_span(out, span));
                    }
                    out.schema_url(&scope.schema_url);
                });
            }
            out.schema_url(&group.resource.schema_url);
        });
    }
}

fn write_span(out: &mut SpanWriter<'_>, span: &Span<'_>) {
    out.ids(&span.trace_id, &span.span_id);
    out.trace_state(&span.trace_state);
    if span.parent_span_id != [0; 8] {
        out.parent_span_id(&span.parent_span_id);
    }
    out.name(&span.name);
    out.kind(span.kind as u8);
    out.times(span.start_ns, span.end_ns);
    for a in &span.attributes {
        out.attribute(&a.key, |v| write_value(v, &a.value));
    }
    out.dropped_counts(span.dropped_attributes, span.dropped_events, span.dropped_links);
    for event in &span.events {
        out.event(|out| {
            out.time_unix_nano(event.time_ns);
            out.name(&event.name);
            for a in &event.attributes {
                out.attribute(&a.key, |v| write_value(v, &a.value));
            }
            out.dropped_attributes_count(event.dropped_attributes);
        });
    }
    for link in &span.links {
        out.link(|out| {
            out.ids(&link.trace_id, &link.span_id);
            out.trace_state(&link.trace_state);
            for a in &link.attributes {
                out.attribute(&a.key, |v| write_value(v, &a.value));
            }
            out.dropped_attributes_count(link.dropped_attributes);
            out.flags(link.flags);
        });
    }
    out.status(span.status as u8, &span.status_message);
    out.flags(span.flags);
}

fn write_value(out: &mut ValueWriter<'_>, value: &Value<'_>) {
    match value {
        Value::Empty => {}
        Value::Str(v) => out.str(v),
        Value::Bool(v) => out.bool(*v),
        Value::Int(v) => out.int(*v),
        Value::Double(v) => out.double(*v),
        Value::Bytes(v) => out.bytes(v),
        Value::Array(items) => out.array(|out| {
            for item in items {
                out.item(|v| write_value(v, item));
            }
        }),
        Value::Map(pairs) => out.map(|out: &mut MapWriter<'_>| {
            for pair in pairs {
                out.pair(&pair.key, |v| write_value(v, &pair.value));
            }
        }),
    }
}
