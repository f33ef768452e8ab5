//! Spans.

use super::attributes::{Attributes, ValueWriter, write_attribute};
use super::id::{RawId, SpanId, TraceId};
use super::origin::{Resource, ResourceWriter, Scope, ScopeWriter};
use crate::protobuf::{Decode, Reader, Repeated, Result, Writer};

/// `ExportTraceServiceRequest`; also `TracesData` and Tempo's `Trace`, which have the same fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportRequest<'a> {
    /// Spans by resource.
    pub resource_spans: Repeated<'a, ResourceSpans<'a>>,
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
                request.resource_spans.push(&field, &reader)?;
            }
        }
        Ok(request)
    }
}

/// Spans of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceSpans<'a> {
    /// Who emitted them; `None` means unknown.
    pub resource: Option<Resource<'a>>,
    /// Spans by scope.
    pub scope_spans: Repeated<'a, ScopeSpans<'a>>,
    /// Schema of the resource.
    pub schema_url: &'a str,
}

impl<'a> Decode<'a> for ResourceSpans<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut view = ResourceSpans::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => field.set_message(&mut view.resource)?,
                2 => view.scope_spans.push(&field, &reader)?,
                3 => view.schema_url = field.str()?,
                _ => {}
            }
        }
        Ok(view)
    }
}

/// Spans of one scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeSpans<'a> {
    /// Which library emitted them; `None` means unknown.
    pub scope: Option<Scope<'a>>,
    /// The spans.
    pub spans: Repeated<'a, Span<'a>>,
    /// Schema of the spans.
    pub schema_url: &'a str,
}

impl<'a> Decode<'a> for ScopeSpans<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut view = ScopeSpans::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => field.set_message(&mut view.scope)?,
                2 => view.spans.push(&field, &reader)?,
                3 => view.schema_url = field.str()?,
                _ => {}
            }
        }
        Ok(view)
    }
}

/// One span.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// Offset of the message in the request.
    start: usize,
    /// The trace's id, not checked; see [`Span::trace_id`].
    pub raw_trace_id: RawId<'a>,
    /// The span's id, not checked; see [`Span::span_id`].
    pub raw_span_id: RawId<'a>,
    /// The parent's id, not checked; see [`Span::parent_span_id`].
    pub raw_parent_span_id: RawId<'a>,
    /// W3C `tracestate`.
    pub trace_state: &'a str,
    /// W3C trace flags and the "remote parent" bits.
    pub flags: u32,
    /// Operation name.
    pub name: &'a str,
    /// Role: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// Unix nanoseconds.
    pub start_time_unix_nano: u64,
    /// Unix nanoseconds.
    pub end_time_unix_nano: u64,
    /// Attributes as they came.
    pub attributes: Attributes<'a>,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// Points in time within the span.
    pub events: Repeated<'a, Event<'a>>,
    /// How many events the sender dropped.
    pub dropped_events_count: u32,
    /// Pointers to other spans.
    pub links: Repeated<'a, Link<'a>>,
    /// How many links the sender dropped.
    pub dropped_links_count: u32,
    /// How the span ended; `None` means unset.
    pub status: Option<Status<'a>>,
}

impl Span<'_> {
    /// The trace's id.
    ///
    /// # Errors
    /// It is absent, of the wrong length, or all zero.
    #[inline]
    pub fn trace_id(&self) -> Result<TraceId> {
        self.raw_trace_id.required("trace_id", self.start)
    }

    /// The span's id.
    ///
    /// # Errors
    /// It is absent, of the wrong length, or all zero.
    #[inline]
    pub fn span_id(&self) -> Result<SpanId> {
        self.raw_span_id.required("span_id", self.start)
    }

    /// The parent's id; `None` for a root.
    ///
    /// # Errors
    /// It is of the wrong length.
    #[inline]
    pub fn parent_span_id(&self) -> Result<Option<SpanId>> {
        self.raw_parent_span_id.optional()
    }
}

impl<'a> Decode<'a> for Span<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut span = Span { start: reader.position(), ..Span::default() };
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => span.raw_trace_id = RawId::of(&field)?,
                2 => span.raw_span_id = RawId::of(&field)?,
                3 => span.trace_state = field.str()?,
                4 => span.raw_parent_span_id = RawId::of(&field)?,
                5 => span.name = field.str()?,
                6 => span.kind = field.i32()?,
                7 => span.start_time_unix_nano = field.fixed64()?,
                8 => span.end_time_unix_nano = field.fixed64()?,
                9 => span.attributes.push(&field, &reader)?,
                10 => span.dropped_attributes_count = field.u32()?,
                11 => span.events.push(&field, &reader)?,
                12 => span.dropped_events_count = field.u32()?,
                13 => span.links.push(&field, &reader)?,
                14 => span.dropped_links_count = field.u32()?,
                15 => field.set_message(&mut span.status)?,
                16 => span.flags = field.fixed32()?,
                _ => {}
            }
        }
        Ok(span)
    }
}

/// A point in time within a span.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'a> {
    /// Unix nanoseconds.
    pub time_unix_nano: u64,
    /// Event name, e.g. `exception`.
    pub name: &'a str,
    /// Attributes as they came.
    pub attributes: Attributes<'a>,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
}

impl<'a> Decode<'a> for Event<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut event = Event::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => event.time_unix_nano = field.fixed64()?,
                2 => event.name = field.str()?,
                3 => event.attributes.push(&field, &reader)?,
                4 => event.dropped_attributes_count = field.u32()?,
                _ => {}
            }
        }
        Ok(event)
    }
}

/// A pointer to another span.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link<'a> {
    /// Offset of the message in the request.
    start: usize,
    /// The linked trace's id, not checked.
    pub raw_trace_id: RawId<'a>,
    /// The linked span's id, not checked.
    pub raw_span_id: RawId<'a>,
    /// W3C `tracestate` of the link.
    pub trace_state: &'a str,
    /// W3C trace flags of the link.
    pub flags: u32,
    /// Attributes as they came.
    pub attributes: Attributes<'a>,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
}

impl Link<'_> {
    /// The linked trace's id.
    ///
    /// # Errors
    /// It is absent, of the wrong length, or all zero.
    pub fn trace_id(&self) -> Result<TraceId> {
        self.raw_trace_id.required("trace_id", self.start)
    }

    /// The linked span's id.
    ///
    /// # Errors
    /// It is absent, of the wrong length, or all zero.
    pub fn span_id(&self) -> Result<SpanId> {
        self.raw_span_id.required("span_id", self.start)
    }
}

impl<'a> Decode<'a> for Link<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut link = Link { start: reader.position(), ..Link::default() };
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => link.raw_trace_id = RawId::of(&field)?,
                2 => link.raw_span_id = RawId::of(&field)?,
                3 => link.trace_state = field.str()?,
                4 => link.attributes.push(&field, &reader)?,
                5 => link.dropped_attributes_count = field.u32()?,
                6 => link.flags = field.fixed32()?,
                _ => {}
            }
        }
        Ok(link)
    }
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status<'a> {
    /// Text that goes with an error.
    pub message: &'a str,
    /// 0 unset, 1 ok, 2 error.
    pub code: i32,
}

impl<'a> Decode<'a> for Status<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut status = Status::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                2 => status.message = field.str()?,
                3 => status.code = field.i32()?,
                _ => {}
            }
        }
        Ok(status)
    }
}

/// Writes an `ExportTraceServiceRequest`, or a message with the same fields.
#[derive(Debug)]
pub struct TraceWriter<'w>(pub &'w mut Writer);

impl TraceWriter<'_> {
    /// Adds spans of one resource.
    pub fn resource_spans(&mut self, fill: impl FnOnce(&mut ResourceSpansWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ResourceSpansWriter(w)));
    }
}

/// Writes `ResourceSpans`.
#[derive(Debug)]
pub struct ResourceSpansWriter<'w>(pub &'w mut Writer);

impl ResourceSpansWriter<'_> {
    /// Who emitted the spans.
    pub fn resource(&mut self, fill: impl FnOnce(&mut ResourceWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ResourceWriter(w)));
    }

    /// Adds spans of one scope.
    pub fn scope_spans(&mut self, fill: impl FnOnce(&mut ScopeSpansWriter<'_>)) {
        self.0.message(2, |w| fill(&mut ScopeSpansWriter(w)));
    }

    /// Schema of the resource.
    pub fn schema_url(&mut self, url: &str) {
        self.0.str_if_any(3, url);
    }
}

/// Writes `ScopeSpans`.
#[derive(Debug)]
pub struct ScopeSpansWriter<'w>(pub &'w mut Writer);

impl ScopeSpansWriter<'_> {
    /// Which library emitted the spans.
    pub fn scope(&mut self, fill: impl FnOnce(&mut ScopeWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ScopeWriter(w)));
    }

    /// Adds a span.
    pub fn span(&mut self, fill: impl FnOnce(&mut SpanWriter<'_>)) {
        self.0.message(2, |w| fill(&mut SpanWriter(w)));
    }

    /// Schema of the spans.
    pub fn schema_url(&mut self, url: &str) {
        self.0.str_if_any(3, url);
    }
}

/// Writes a span. Each method writes a field; those of plain values are called once.
#[derive(Debug)]
pub struct SpanWriter<'w>(pub &'w mut Writer);

impl SpanWriter<'_> {
    /// The ids of trace and span.
    pub fn ids(&mut self, trace_id: &TraceId, span_id: &SpanId) {
        self.0.bytes(1, trace_id);
        self.0.bytes(2, span_id);
    }

    /// The parent's id. Not called for a root.
    pub fn parent_span_id(&mut self, id: &SpanId) {
        self.0.bytes(4, id);
    }

    /// W3C `tracestate`.
    pub fn trace_state(&mut self, state: &str) {
        self.0.str_if_any(3, state);
    }

    /// W3C trace flags and the "remote parent" bits.
    pub fn flags(&mut self, flags: u32) {
        if flags != 0 {
            self.0.fixed32(16, flags);
        }
    }

    /// Operation name.
    pub fn name(&mut self, name: &str) {
        self.0.str_if_any(5, name);
    }

    /// Role, as a number of OTLP.
    pub fn kind(&mut self, kind: u8) {
        self.0.varint_if_any(6, u64::from(kind));
    }

    /// Start and end in Unix nanoseconds.
    pub fn times(&mut self, start_unix_nano: u64, end_unix_nano: u64) {
        self.0.fixed64_if_any(7, start_unix_nano);
        self.0.fixed64_if_any(8, end_unix_nano);
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 9, key, fill);
    }

    /// How many attributes, events and links were dropped.
    pub fn dropped_counts(&mut self, attributes: u32, events: u32, links: u32) {
        self.0.varint_if_any(10, u64::from(attributes));
        self.0.varint_if_any(12, u64::from(events));
        self.0.varint_if_any(14, u64::from(links));
    }

    /// Adds an event.
    pub fn event(&mut self, fill: impl FnOnce(&mut EventWriter<'_>)) {
        self.0.message(11, |w| fill(&mut EventWriter(w)));
    }

    /// Adds a link.
    pub fn link(&mut self, fill: impl FnOnce(&mut LinkWriter<'_>)) {
        self.0.message(13, |w| fill(&mut LinkWriter(w)));
    }

    /// How the span ended: code as a number of OTLP, and a message.
    pub fn status(&mut self, code: u8, message: &str) {
        self.0.message(15, |w| {
            w.str_if_any(2, message);
            w.varint_if_any(3, u64::from(code));
        });
    }
}

/// Writes an event.
#[derive(Debug)]
pub struct EventWriter<'w>(pub &'w mut Writer);

impl EventWriter<'_> {
    /// Unix nanoseconds.
    pub fn time_unix_nano(&mut self, time: u64) {
        self.0.fixed64_if_any(1, time);
    }

    /// Event name.
    pub fn name(&mut self, name: &str) {
        self.0.str_if_any(2, name);
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 3, key, fill);
    }

    /// How many attributes were dropped.
    pub fn dropped_attributes_count(&mut self, count: u32) {
        self.0.varint_if_any(4, u64::from(count));
    }
}

/// Writes a link.
#[derive(Debug)]
pub struct LinkWriter<'w>(pub &'w mut Writer);

impl LinkWriter<'_> {
    /// The ids of the linked trace and span.
    pub fn ids(&mut self, trace_id: &TraceId, span_id: &SpanId) {
        self.0.bytes(1, trace_id);
        self.0.bytes(2, span_id);
    }

    /// W3C `tracestate` of the link.
    pub fn trace_state(&mut self, state: &str) {
        self.0.str_if_any(3, state);
    }

    /// W3C trace flags of the link.
    pub fn flags(&mut self, flags: u32) {
        if flags != 0 {
            self.0.fixed32(6, flags);
        }
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 4, key, fill);
    }

    /// How many attributes were dropped.
    pub fn dropped_attributes_count(&mut self, count: u32) {
        self.0.varint_if_any(5, u64::from(count));
    }
}
