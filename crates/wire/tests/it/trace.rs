use trefoil_otlp_messages::trace::v1::span::{Event, Link};
use trefoil_otlp_messages::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use trefoil_wire::otlp::{schema, trace};
use trefoil_wire::protobuf::Writer;

use crate::origin::{
    attributes, each_attribute, random_attributes, random_resource, random_scope, resource, scope,
    write_resource, write_scope, write_value,
};
use crate::random::Random;

#[test]
fn traces_agree_with_prost() {
    crate::check(&schema::TRACE_REQUEST, random, read, write);
}

fn random(random: &mut Random) -> TracesData {
    let resource_spans = random.list(3, |random| ResourceSpans {
        resource: random.option(random_resource),
        scope_spans: random.list(3, |random| ScopeSpans {
            scope: random.option(random_scope),
            spans: random.list(3, random_span),
            schema_url: random.text(),
        }),
        schema_url: random.text(),
    });
    TracesData { resource_spans }
}

fn random_span(random: &mut Random) -> Span {
    Span {
        trace_id: random.id(16),
        span_id: random.id(8),
        trace_state: random.text(),
        parent_span_id: random.option(|random| random.id(8)).unwrap_or_default(),
        flags: random.u32(),
        name: random.text(),
        kind: random.below(6) as i32,
        start_time_unix_nano: random.wide(),
        end_time_unix_nano: random.wide(),
        attributes: random_attributes(random),
        dropped_attributes_count: random.u32(),
        events: random.list(2, |random| Event {
            time_unix_nano: random.wide(),
            name: random.text(),
            attributes: random_attributes(random),
            dropped_attributes_count: random.u32(),
        }),
        dropped_events_count: random.u32(),
        links: random.list(2, |random| Link {
            trace_id: random.id(16),
            span_id: random.id(8),
            trace_state: random.text(),
            attributes: random_attributes(random),
            dropped_attributes_count: random.u32(),
            flags: random.u32(),
        }),
        dropped_links_count: random.u32(),
        status: random
            .option(|random| Status { message: random.text(), code: random.below(3) as i32 }),
    }
}

fn read(bytes: &[u8]) -> TracesData {
    let request = trace::ExportRequest::new(bytes).unwrap();
    let resource_spans = request.resource_spans.iter().map(|view| view.unwrap());
    let resource_spans = resource_spans.map(|view| ResourceSpans {
        resource: view.resource.map(resource),
        scope_spans: view.scope_spans.iter().map(|view| read_scope_spans(view.unwrap())).collect(),
        schema_url: view.schema_url.to_owned(),
    });
    TracesData { resource_spans: resource_spans.collect() }
}

fn read_scope_spans(view: trace::ScopeSpans<'_>) -> ScopeSpans {
    ScopeSpans {
        scope: view.scope.map(scope),
        spans: view.spans.iter().map(|span| read_span(span.unwrap())).collect(),
        schema_url: view.schema_url.to_owned(),
    }
}

fn read_span(view: trace::Span<'_>) -> Span {
    let events = view.events.iter().map(|event| event.unwrap());
    let links = view.links.iter().map(|link| link.unwrap());
    Span {
        trace_id: view.trace_id().unwrap().to_vec(),
        span_id: view.span_id().unwrap().to_vec(),
        trace_state: view.trace_state.to_owned(),
        parent_span_id: view.parent_span_id().unwrap().map(Vec::from).unwrap_or_default(),
        flags: view.flags,
        name: view.name.to_owned(),
        kind: view.kind,
        start_time_unix_nano: view.start_time_unix_nano,
        end_time_unix_nano: view.end_time_unix_nano,
        attributes: attributes(view.attributes),
        dropped_attributes_count: view.dropped_attributes_count,
        events: events
            .map(|event| Event {
                time_unix_nano: event.time_unix_nano,
                name: event.name.to_owned(),
                attributes: attributes(event.attributes),
                dropped_attributes_count: event.dropped_attributes_count,
            })
            .collect(),
        dropped_events_count: view.dropped_events_count,
        links: links
            .map(|link| Link {
                trace_id: link.trace_id().unwrap().to_vec(),
                span_id: link.span_id().unwrap().to_vec(),
                trace_state: link.trace_state.to_owned(),
                attributes: attributes(link.attributes),
                dropped_attributes_count: link.dropped_attributes_count,
                flags: link.flags,
            })
            .collect(),
        dropped_links_count: view.dropped_links_count,
        status: view
            .status
            .map(|status| Status { message: status.message.to_owned(), code: status.code }),
    }
}

fn write(data: &TracesData, w: &mut Writer) {
    for resource_spans in &data.resource_spans {
        trace::TraceWriter(w).resource_spans(|w| {
            if let Some(resource) = &resource_spans.resource {
                w.resource(|w| write_resource(resource, w));
            }
            for scope_spans in &resource_spans.scope_spans {
                w.scope_spans(|w| {
                    if let Some(scope) = &scope_spans.scope {
                        w.scope(|w| write_scope(scope, w));
                    }
                    for span in &scope_spans.spans {
                        w.span(|w| write_span(span, w));
                    }
                    w.schema_url(&scope_spans.schema_url);
                });
            }
            w.schema_url(&resource_spans.schema_url);
        });
    }
}

fn write_span(span: &Span, w: &mut trace::SpanWriter<'_>) {
    let id = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).unwrap();
    w.ids(&span.trace_id[..].try_into().unwrap(), &id(&span.span_id));
    if !span.parent_span_id.is_empty() {
        w.parent_span_id(&id(&span.parent_span_id));
    }
    w.trace_state(&span.trace_state);
    w.flags(span.flags);
    w.name(&span.name);
    w.kind(span.kind as u8);
    w.times(span.start_time_unix_nano, span.end_time_unix_nano);
    each_attribute(&span.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
    w.dropped_counts(
        span.dropped_attributes_count,
        span.dropped_events_count,
        span.dropped_links_count,
    );
    for event in &span.events {
        w.event(|w| {
            w.time_unix_nano(event.time_unix_nano);
            w.name(&event.name);
            each_attribute(&event.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
            w.dropped_attributes_count(event.dropped_attributes_count);
        });
    }
    for link in &span.links {
        w.link(|w| {
            w.ids(&link.trace_id[..].try_into().unwrap(), &id(&link.span_id));
            w.trace_state(&link.trace_state);
            w.flags(link.flags);
            each_attribute(&link.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
            w.dropped_attributes_count(link.dropped_attributes_count);
        });
    }
    if let Some(status) = &span.status {
        w.status(status.code as u8, &status.message);
    }
}
