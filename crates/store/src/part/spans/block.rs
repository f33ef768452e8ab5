//! The columns of a block of spans.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::sieve::{Place, SieveWriter};

use crate::bytes::{Reader, put_varint};
use crate::columns::{
    Attributes, AttributesWriter, ROWS_MAX, Strings, StringsWriter, fixed, ints, put_fixed,
    put_ints, put_signed_ints, signed_ints,
};
use crate::head::clamp_time;
use crate::model::{Attribute, Event, Link, Span, SpanId, TraceId, Value};
use crate::row;

#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    services: (Box<str>, Box<str>),
    resources: Vec<u64>,
    scopes: Vec<u64>,
    traces: Vec<u64>,
    starts: Vec<u64>,
    durations: Vec<i64>,
    /// Bounds of what a filter calls the duration: 0 if the end is before the start.
    bounds_ns: Option<(u64, u64)>,
    kinds: Vec<u64>,
    statuses: Vec<u64>,
    names: StringsWriter,
    status_messages: StringsWriter,
    trace_states: StringsWriter,
    flags: Vec<u64>,
    attributes: AttributesWriter,
    dropped: [Vec<u64>; 3],
    events: EventsWriter,
    links: LinksWriter,
    /// Of all texts outside attributes.
    text_bytes: usize,
}

#[derive(Debug, Default)]
struct EventsWriter {
    counts: Vec<u64>,
    times: Vec<i64>,
    names: StringsWriter,
    attributes: AttributesWriter,
    dropped: Vec<u64>,
}

#[derive(Debug, Default)]
struct LinksWriter {
    counts: Vec<u64>,
    trace_ids: Vec<TraceId>,
    span_ids: Vec<SpanId>,
    trace_states: StringsWriter,
    flags: Vec<u64>,
    attributes: AttributesWriter,
    dropped: Vec<u64>,
}

impl BlockWriter {
    pub(super) fn push(
        &mut self,
        service: &str,
        (resource, scope): (u32, u32),
        trace: u32,
        span: &Span<'_>,
    ) {
        if self.starts.is_empty() {
            self.services.0 = service.into();
        }
        if *self.services.1 != *service {
            self.services.1 = service.into();
        }
        self.resources.push(u64::from(resource));
        self.scopes.push(u64::from(scope));
        self.traces.push(u64::from(trace));
        self.starts.push(span.start_ns);
        self.durations.push(span.end_ns.wrapping_sub(span.start_ns) as i64);
        let duration = span.end_ns.saturating_sub(span.start_ns);
        let (min, max) = self.bounds_ns.unwrap_or((duration, duration));
        self.bounds_ns = Some((min.min(duration), max.max(duration)));
        self.kinds.push(span.kind as u64);
        self.statuses.push(span.status as u64);
        self.names.push(span.name.as_bytes());
        self.status_messages.push(span.status_message.as_bytes());
        self.trace_states.push(span.trace_state.as_bytes());
        self.flags.push(u64::from(span.flags));
        self.attributes.push(&span.attributes);
        self.dropped[0].push(u64::from(span.dropped_attributes));
        self.dropped[1].push(u64::from(span.dropped_events));
        self.dropped[2].push(u64::from(span.dropped_links));
        self.events.push(span);
        self.links.push(span);
        let events = span.events.iter().map(|event| event.name.len());
        let links = span.links.iter().map(|link| link.trace_state.len());
        self.text_bytes += span.name.len() + span.status_message.len() + span.trace_state.len();
        self.text_bytes += events.sum::<usize>() + links.sum::<usize>();
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bounds of start times.
    pub(super) fn bounds(&self) -> (i64, i64) {
        let starts = || self.starts.iter().map(|&t| clamp_time(t));
        (starts().min().unwrap_or(0), starts().max().unwrap_or(0))
    }

    pub(super) fn durations_ns(&self) -> (u64, u64) {
        self.bounds_ns.unwrap_or_default()
    }

    /// A bit for each status that occurs.
    pub(super) fn statuses(&self) -> u8 {
        self.statuses.iter().fold(0, |bits, &s| bits | 1 << s)
    }

    /// Each pair of resource and scope once.
    pub(super) fn owners(&self) -> HashSet<(u32, u32)> {
        let pairs = self.resources.iter().zip(&self.scopes);
        pairs.map(|(resource, scope)| (*resource as u32, *scope as u32)).collect()
    }

    /// Notes names and attributes, but for those of resources and scopes.
    pub(super) fn note(&self, sieve: &mut SieveWriter) {
        self.names.distinct().for_each(|name| sieve.name(name));
        for event in self.events.names.distinct() {
            let name = Value::Str(String::from_utf8_lossy(event));
            sieve.attribute(Place::Other, "event", &name);
        }
        let mut note = |place, attributes: &AttributesWriter| {
            attributes.each_distinct(&mut |key, value| sieve.value(place, key, value));
            let keys = attributes.keys().filter_map(|key| std::str::from_utf8(key).ok());
            keys.for_each(|key| sieve.key(place, key));
        };
        note(Place::Span, &self.attributes);
        note(Place::Other, &self.events.attributes);
        note(Place::Other, &self.links.attributes);
    }

    pub(super) fn into_services(self) -> (Box<str>, Box<str>) {
        self.services
    }

    /// Roughly the bytes collected.
    pub(super) fn byte_len(&self) -> usize {
        self.starts.len() * 64
            + self.attributes.byte_len()
            + self.events.attributes.byte_len()
            + self.links.attributes.byte_len()
            + self.text_bytes
            + (self.events.times.len() + self.links.flags.len()) * 48
    }

    /// The three pieces.
    pub(super) fn finish(&self) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let mut out = Vec::with_capacity(self.starts.len() * 24);
        put_varint(&mut out, self.starts.len() as u64);
        put_ints(&mut out, &self.resources);
        put_ints(&mut out, &self.scopes);
        put_ints(&mut out, &self.traces);
        put_ints(&mut out, &self.starts);
        put_signed_ints(&mut out, &self.durations);
        put_ints(&mut out, &self.kinds);
        put_ints(&mut out, &self.statuses);
        self.names.finish(&mut out);
        self.status_messages.finish(&mut out);
        self.trace_states.finish(&mut out);
        put_ints(&mut out, &self.flags);
        self.dropped.iter().for_each(|column| put_ints(&mut out, column));
        let mut attributes = Vec::with_capacity(self.attributes.byte_len());
        self.attributes.finish(&mut attributes);
        let mut details = Vec::new();
        self.events.finish(&mut details);
        self.links.finish(&mut details);
        (out, attributes, details)
    }
}

impl EventsWriter {
    fn push(&mut self, span: &Span<'_>) {
        self.counts.push(span.events.len() as u64);
        for event in &span.events {
            self.times.push(event.time_ns.wrapping_sub(span.start_ns) as i64);
            self.names.push(event.name.as_bytes());
            self.attributes.push(&event.attributes);
            self.dropped.push(u64::from(event.dropped_attributes));
        }
    }

    fn finish(&self, out: &mut Vec<u8>) {
        put_ints(out, &self.counts);
        put_signed_ints(out, &self.times);
        self.names.finish(out);
        self.attributes.finish(out);
        put_ints(out, &self.dropped);
    }
}

impl LinksWriter {
    fn push(&mut self, span: &Span<'_>) {
        self.counts.push(span.links.len() as u64);
        for link in &span.links {
            self.trace_ids.push(link.trace_id);
            self.span_ids.push(link.span_id);
            self.trace_states.push(link.trace_state.as_bytes());
            self.flags.push(u64::from(link.flags));
            self.attributes.push(&link.attributes);
            self.dropped.push(u64::from(link.dropped_attributes));
        }
    }

    fn finish(&self, out: &mut Vec<u8>) {
        put_ints(out, &self.counts);
        put_fixed(out, &self.trace_ids);
        put_fixed(out, &self.span_ids);
        self.trace_states.finish(out);
        put_ints(out, &self.flags);
        self.attributes.finish(out);
        put_ints(out, &self.dropped);
    }
}

/// The first piece of a block, decoded. Strings stay in its bytes.
#[derive(Debug, Default)]
pub(crate) struct SpanBlock {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(crate) resources: Vec<u64>,
    pub(crate) scopes: Vec<u64>,
    ids: BlockIds,
    pub(crate) starts: Vec<u64>,
    pub(super) durations: Vec<i64>,
    pub(super) kinds: Vec<u64>,
    pub(super) statuses: Vec<u64>,
    pub(super) names: Strings,
    pub(super) status_messages: Strings,
    trace_states: Strings,
    flags: Vec<u64>,
    dropped: [Vec<u64>; 3],
    /// The other pieces, where they came with this one (version 1).
    pub(crate) inline: Option<(Arc<SpanAttributes>, Arc<SpanDetails>)>,
}

/// How a block knows the ids of its rows.
#[derive(Debug)]
enum BlockIds {
    /// Version 1: as they are.
    Inline { traces: Vec<TraceId>, spans: Vec<SpanId>, parents: Vec<SpanId> },
    /// The numbers of traces in the part.
    Numbers(Vec<u64>),
}

impl Default for BlockIds {
    fn default() -> Self {
        BlockIds::Numbers(Vec::new())
    }
}

impl SpanBlock {
    pub(super) fn read(bytes: Vec<u8>, version: u8) -> Option<Self> {
        if version == 1 { Self::read_v1(bytes) } else { Self::read_v2(bytes) }
    }

    fn read_v2(bytes: Vec<u8>) -> Option<Self> {
        let b = &bytes[..];
        let r = &mut Reader::new(b);
        let rows = usize::try_from(r.varint()?).ok().filter(|&rows| rows <= ROWS_MAX)?;
        let block = SpanBlock {
            resources: ints(r, rows)?,
            scopes: ints(r, rows)?,
            ids: BlockIds::Numbers(ints(r, rows)?),
            starts: ints(r, rows)?,
            durations: signed_ints(r, rows)?,
            kinds: ints(r, rows)?,
            statuses: ints(r, rows)?,
            names: Strings::read(b, r, rows)?,
            status_messages: Strings::read(b, r, rows)?,
            trace_states: Strings::read(b, r, rows)?,
            flags: ints(r, rows)?,
            dropped: [ints(r, rows)?, ints(r, rows)?, ints(r, rows)?],
            ..SpanBlock::default()
        };
        r.is_empty().then(|| SpanBlock { bytes: Arc::new(bytes), ..block })
    }

    fn read_v1(bytes: Vec<u8>) -> Option<Self> {
        let b = &bytes[..];
        let r = &mut Reader::new(b);
        let rows = usize::try_from(r.varint()?).ok().filter(|&rows| rows <= ROWS_MAX)?;
        let (resources, scopes) = (ints(r, rows)?, ints(r, rows)?);
        let (traces, spans, parents) = (fixed(r, rows)?, fixed(r, rows)?, fixed(r, rows)?);
        let (starts, durations) = (ints(r, rows)?, signed_ints(r, rows)?);
        let (kinds, statuses) = (ints(r, rows)?, ints(r, rows)?);
        let names = Strings::read(b, r, rows)?;
        let status_messages = Strings::read(b, r, rows)?;
        let trace_states = Strings::read(b, r, rows)?;
        let flags = ints(r, rows)?;
        let attributes = Attributes::read(b, r, rows)?;
        let dropped = [ints(r, rows)?, ints(r, rows)?, ints(r, rows)?];
        let (events, links) = (Events::read(b, r, rows)?, Links::read(b, r, rows)?);
        r.is_empty().then_some(())?;
        let bytes = Arc::new(bytes);
        let attributes = SpanAttributes { bytes: Arc::clone(&bytes), attributes };
        let details = SpanDetails { bytes: Arc::clone(&bytes), events, links };
        Some(SpanBlock {
            bytes,
            resources,
            scopes,
            ids: BlockIds::Inline { traces, spans, parents },
            starts,
            durations,
            kinds,
            statuses,
            names,
            status_messages,
            trace_states,
            flags,
            dropped,
            inline: Some((Arc::new(attributes), Arc::new(details))),
        })
    }

    /// A row without ids and without what the other pieces have.
    pub(super) fn span(&self, row: usize) -> Option<Span<'_>> {
        let b = &self.bytes[..];
        let start_ns = *self.starts.get(row)?;
        Some(Span {
            trace_state: Cow::Borrowed(self.trace_states.text(b, row)),
            flags: *self.flags.get(row)? as u32,
            name: Cow::Borrowed(self.names.text(b, row)),
            kind: row::span_kind(*self.kinds.get(row)? as u8)?,
            start_ns,
            end_ns: start_ns.wrapping_add(*self.durations.get(row)? as u64),
            dropped_attributes: *self.dropped[0].get(row)? as u32,
            dropped_events: *self.dropped[1].get(row)? as u32,
            dropped_links: *self.dropped[2].get(row)? as u32,
            status: row::status_code(*self.statuses.get(row)? as u8)?,
            status_message: Cow::Borrowed(self.status_messages.text(b, row)),
            ..Span::default()
        })
    }

    /// Trace, span and parent where the block has them itself.
    pub(super) fn inline_ids(&self, row: usize) -> Option<(TraceId, SpanId, SpanId)> {
        let BlockIds::Inline { traces, spans, parents } = &self.ids else { return None };
        Some((*traces.get(row)?, *spans.get(row)?, *parents.get(row)?))
    }

    /// The number of a row's trace, if the block has not its id.
    pub(crate) fn trace_number(&self, row: usize) -> Option<u64> {
        let BlockIds::Numbers(numbers) = &self.ids else { return None };
        numbers.get(row).copied()
    }

    /// How many rows of the same trace come before this one.
    pub(super) fn rows_before(&self, row: usize) -> usize {
        let BlockIds::Numbers(numbers) = &self.ids else { return 0 };
        let Some((number, before)) = numbers.get(..=row).and_then(<[u64]>::split_last) else {
            return 0;
        };
        before.iter().filter(|&n| n == number).count()
    }

    /// Rows of a trace by its number.
    pub(crate) fn rows_of(&self, number: u64) -> Vec<usize> {
        let BlockIds::Numbers(numbers) = &self.ids else { return Vec::new() };
        numbers.iter().enumerate().filter(|(_, n)| **n == number).map(|(row, _)| row).collect()
    }

    /// Rows of a trace by its id, where the block has ids itself.
    pub(crate) fn rows_with(&self, trace: TraceId) -> Vec<usize> {
        let BlockIds::Inline { traces, .. } = &self.ids else { return Vec::new() };
        traces.iter().enumerate().filter(|(_, id)| **id == trace).map(|(row, _)| row).collect()
    }

    /// Trace ids with starts, where the block has ids itself.
    pub(crate) fn inline_traces(&self) -> impl Iterator<Item = (TraceId, i64)> {
        let traces = match &self.ids {
            BlockIds::Inline { traces, .. } => &traces[..],
            BlockIds::Numbers(_) => &[],
        };
        traces.iter().zip(&self.starts).map(|(id, start)| (*id, clamp_time(*start)))
    }

    /// Operation name of a row.
    pub(crate) fn name(&self, row: usize) -> &str {
        self.names.text(&self.bytes, row)
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        let inline = self.inline.as_ref().map_or(0, |(attributes, details)| {
            attributes.byte_len() + details.byte_len() + self.len() * 32
        });
        self.bytes.len() + self.len() * 120 + inline
    }
}

/// The attributes of a block's spans.
#[derive(Debug)]
pub(crate) struct SpanAttributes {
    bytes: Arc<Vec<u8>>,
    attributes: Attributes,
}

impl SpanAttributes {
    pub(super) fn read(bytes: Vec<u8>, rows: usize) -> Option<Self> {
        let r = &mut Reader::new(&bytes);
        let attributes = Attributes::read(&bytes, r, rows)?;
        r.is_empty().then(|| SpanAttributes { bytes: Arc::new(bytes), attributes })
    }

    pub(super) fn get(&self, row: usize) -> Vec<Attribute<'_>> {
        self.attributes.get(&self.bytes, row)
    }

    /// See [`Attributes::matching`].
    pub(super) fn matching(
        &self,
        key: &str,
        test: &dyn Fn(&Value<'_>) -> bool,
    ) -> Vec<Option<bool>> {
        self.attributes.matching(&self.bytes, key, test)
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len() + self.attributes.byte_len()
    }
}

/// Events and links of a block's spans.
#[derive(Debug)]
pub(crate) struct SpanDetails {
    bytes: Arc<Vec<u8>>,
    events: Events,
    links: Links,
}

impl SpanDetails {
    pub(super) fn read(bytes: Vec<u8>, rows: usize) -> Option<Self> {
        let r = &mut Reader::new(&bytes);
        let events = Events::read(&bytes, r, rows)?;
        let links = Links::read(&bytes, r, rows)?;
        r.is_empty().then(|| SpanDetails { bytes: Arc::new(bytes), events, links })
    }

    pub(super) fn events(&self, row: usize, start_ns: u64) -> Option<Vec<Event<'_>>> {
        self.events.get(&self.bytes, row, start_ns)
    }

    pub(super) fn links(&self, row: usize) -> Option<Vec<Link<'_>>> {
        self.links.get(&self.bytes, row)
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
            + (self.events.firsts.len() + self.links.firsts.len()) * 4
            + self.events.attributes.byte_len()
            + self.links.attributes.byte_len()
    }
}

#[derive(Debug, Default)]
struct Events {
    /// Where each row's events begin; one more entry than rows.
    firsts: Vec<u32>,
    times: Vec<i64>,
    names: Strings,
    attributes: Attributes,
    dropped: Vec<u64>,
}

#[derive(Debug, Default)]
struct Links {
    /// Where each row's links begin; one more entry than rows.
    firsts: Vec<u32>,
    trace_ids: Vec<TraceId>,
    span_ids: Vec<SpanId>,
    trace_states: Strings,
    flags: Vec<u64>,
    attributes: Attributes,
    dropped: Vec<u64>,
}

/// From counts per row to where each row begins; `None` if there are too many.
fn firsts(counts: &[u64]) -> Option<Vec<u32>> {
    let mut firsts = Vec::with_capacity(counts.len() + 1);
    let mut next = 0u64;
    firsts.push(0);
    for &count in counts {
        next = next.checked_add(count).filter(|&n| n <= ROWS_MAX as u64)?;
        firsts.push(next as u32);
    }
    Some(firsts)
}

fn rows_of(firsts: &[u32], row: usize) -> Option<std::ops::Range<usize>> {
    Some(*firsts.get(row)? as usize..*firsts.get(row + 1)? as usize)
}

impl Events {
    fn read(block: &[u8], r: &mut Reader<'_>, rows: usize) -> Option<Self> {
        let firsts = firsts(&ints(r, rows)?)?;
        let count = *firsts.last()? as usize;
        Some(Events {
            firsts,
            times: signed_ints(r, count)?,
            names: Strings::read(block, r, count)?,
            attributes: Attributes::read(block, r, count)?,
            dropped: ints(r, count)?,
        })
    }

    fn get<'a>(&self, block: &'a [u8], row: usize, start_ns: u64) -> Option<Vec<Event<'a>>> {
        let mut events = Vec::new();
        for at in rows_of(&self.firsts, row)? {
            events.push(Event {
                time_ns: start_ns.wrapping_add(*self.times.get(at)? as u64),
                name: Cow::Borrowed(self.names.text(block, at)),
                attributes: self.attributes.get(block, at),
                dropped_attributes: *self.dropped.get(at)? as u32,
            });
        }
        Some(events)
    }
}

impl Links {
    fn read(block: &[u8], r: &mut Reader<'_>, rows: usize) -> Option<Self> {
        let firsts = firsts(&ints(r, rows)?)?;
        let count = *firsts.last()? as usize;
        Some(Links {
            firsts,
            trace_ids: fixed(r, count)?,
            span_ids: fixed(r, count)?,
            trace_states: Strings::read(block, r, count)?,
            flags: ints(r, count)?,
            attributes: Attributes::read(block, r, count)?,
            dropped: ints(r, count)?,
        })
    }

    fn get<'a>(&self, block: &'a [u8], row: usize) -> Option<Vec<Link<'a>>> {
        let mut links = Vec::new();
        for at in rows_of(&self.firsts, row)? {
            links.push(Link {
                trace_id: *self.trace_ids.get(at)?,
                span_id: *self.span_ids.get(at)?,
                trace_state: Cow::Borrowed(self.trace_states.text(block, at)),
                flags: *self.flags.get(at)? as u32,
                attributes: self.attributes.get(block, at),
                dropped_attributes: *self.dropped.get(at)? as u32,
            });
        }
        Some(links)
    }
}
