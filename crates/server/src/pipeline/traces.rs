//! Spans: as they are.

use trefoil_store::model::{Event, Link, Span, SpanKind, StatusCode};
use trefoil_wire::otlp::trace as wire;
use trefoil_wire::protobuf::Error;

use super::attribute::{attributes, check_name, resource, scope};
use super::refusal::ItemError;
use super::{Intake, Pipeline};

/// Events, and links, of one span. SDKs stop at 128 by default.
const EVENTS_MAX: usize = 4096;

/// Puts the spans of a request into the batch.
///
/// # Errors
/// The request is damaged.
pub(super) fn translate<'a>(
    pipeline: &Pipeline,
    request: &'a [u8],
    intake: &mut Intake<'a>,
) -> Result<(), Error> {
    let mut span = Span::default();
    for resource_spans in wire::ExportRequest::new(request)?.resource_spans {
        let resource_spans = resource_spans?;
        let resource = resource(resource_spans.resource.as_ref(), resource_spans.schema_url);
        let resource_index = resource.map(|resource| intake.batch.resource(&resource));
        for scope_spans in resource_spans.scope_spans {
            let scope_spans = scope_spans?;
            let count = scope_spans.spans.len() as u64;
            intake.received += count;
            let place = resource_index.and_then(|resource| {
                let scope = scope(scope_spans.scope.as_ref(), scope_spans.schema_url)?;
                Ok((resource, intake.batch.scope(&scope)))
            });
            let (resource, scope) = match place {
                Ok(place) => place,
                Err(error) => {
                    intake.refusals.refuse(error, count, "")?;
                    continue;
                }
            };
            for view in scope_spans.spans {
                // A refusal names its span, not the one before it.
                span.name = "".into();
                let read = view.map_err(ItemError::from).and_then(|view| {
                    fill(&mut span, &view)?;
                    intake.check_time(span.start_ns, pipeline.retention.traces)?;
                    Ok(())
                });
                match read {
                    Ok(()) => intake.batch.span(resource, scope, &span),
                    Err(error) => intake.refusals.refuse(error, 1, &span.name)?,
                }
            }
        }
    }
    Ok(())
}

/// Reads a span into one that is used again and again, for its lists' capacity.
fn fill<'a>(span: &mut Span<'a>, view: &wire::Span<'a>) -> Result<(), ItemError> {
    span.name = view.name.into();
    span.trace_id = view.trace_id()?;
    span.span_id = view.span_id()?;
    span.parent_span_id = view.parent_span_id()?.unwrap_or_default();
    span.trace_state = view.trace_state.into();
    span.flags = view.flags;
    span.kind = kind(view.kind);
    span.start_ns = view.start_time_unix_nano;
    span.end_ns = view.end_time_unix_nano;
    span.dropped_attributes = view.dropped_attributes_count;
    span.dropped_events = view.dropped_events_count;
    span.dropped_links = view.dropped_links_count;
    let status = view.status.unwrap_or_default();
    span.status = match status.code {
        1 => StatusCode::Ok,
        2 => StatusCode::Error,
        _ => StatusCode::Unset,
    };
    span.status_message = status.message.into();
    check_name(view.name)?;
    attributes(view.attributes, &mut span.attributes)?;
    if view.events.len() > EVENTS_MAX || view.links.len() > EVENTS_MAX {
        return Err(ItemError::Rule("too_many_events_or_links"));
    }
    span.events.clear();
    for event in view.events {
        span.events.push(read_event(&event?)?);
    }
    span.links.clear();
    for link in view.links {
        span.links.push(read_link(&link?)?);
    }
    Ok(())
}

/// A kind unknown to this version counts as not said.
fn kind(kind: i32) -> SpanKind {
    match kind {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

fn read_event<'a>(view: &wire::Event<'a>) -> Result<Event<'a>, ItemError> {
    let mut event = Event {
        time_ns: view.time_unix_nano,
        name: view.name.into(),
        attributes: Vec::new(),
        dropped_attributes: view.dropped_attributes_count,
    };
    attributes(view.attributes, &mut event.attributes)?;
    Ok(event)
}

/// A link may point nowhere: collectors pass links with ids of zeros on, and so do we.
fn read_link<'a>(view: &wire::Link<'a>) -> Result<Link<'a>, ItemError> {
    let mut link = Link {
        trace_id: view.raw_trace_id.optional()?.unwrap_or_default(),
        span_id: view.raw_span_id.optional()?.unwrap_or_default(),
        trace_state: view.trace_state.into(),
        flags: view.flags,
        attributes: Vec::new(),
        dropped_attributes: view.dropped_attributes_count,
    };
    attributes(view.attributes, &mut link.attributes)?;
    Ok(link)
}
