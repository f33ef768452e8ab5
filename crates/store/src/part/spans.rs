//! Parts of spans, sorted by service and name, then start time.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use super::tables::{Owner, Owners, OwnersWriter};
use super::trace_index::{TraceIndex, TraceIndexWriter};
use super::{BlockRef, PartFile, PartWriter};
use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::columns::{
    Attributes, AttributesWriter, ROWS_MAX, Strings, StringsWriter, fixed, ints, put_fixed,
    put_ints, put_signed_ints, signed_ints,
};
use crate::error::Result;
use crate::head::clamp_time;
use crate::model::{Event, Link, Resource, Span, SpanId, StoredSpan, TraceId, Value};
use crate::row;
use crate::vfs::Vfs;

mod filter;

/// A block is closed at this many rows or bytes, whichever comes first: a trace has its
/// spans in many blocks, so a block is small enough to read for one span.
const BLOCK_ROWS: usize = 512;
const BLOCK_BYTES: usize = 1 << 20;

/// The service a resource names, or nothing.
pub(crate) fn service_of<'a>(resource: &'a Resource<'_>) -> &'a str {
    let name = resource.attributes.iter().find(|a| a.key == "service.name");
    match name.map(|a| &a.value) {
        Some(Value::Str(text)) => text,
        _ => "",
    }
}

/// Writes a part; spans come sorted by service and name, then start.
#[derive(Debug)]
pub(crate) struct SpansWriter {
    part: PartWriter,
    owners: OwnersWriter,
    blocks: Vec<SpanBlockInfo>,
    block: BlockWriter,
    traces: TraceIndexWriter,
    pub(crate) rows: u64,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
}

/// What the footer says of a block.
#[derive(Clone, Debug)]
pub(crate) struct SpanBlockInfo {
    pub(crate) block: BlockRef,
    pub(crate) rows: u32,
    /// Bounds of start times.
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
    /// Bounds of durations.
    pub(crate) durations_ns: (u64, u64),
    /// A bit for each status code that occurs.
    pub(crate) statuses: u8,
    /// First and last service.
    pub(crate) services: (Box<str>, Box<str>),
}

#[derive(Debug, Default)]
struct BlockWriter {
    services: (Box<str>, Box<str>),
    resources: Vec<u64>,
    scopes: Vec<u64>,
    trace_ids: Vec<TraceId>,
    span_ids: Vec<SpanId>,
    parent_ids: Vec<SpanId>,
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

impl SpansWriter {
    pub(crate) fn create(vfs: &dyn Vfs, path: &Path, level: i32) -> Result<Self> {
        Ok(SpansWriter {
            part: PartWriter::create(vfs, path, level)?,
            owners: OwnersWriter::default(),
            blocks: Vec::new(),
            block: BlockWriter::default(),
            traces: TraceIndexWriter::default(),
            rows: 0,
            min_ns: i64::MAX,
            max_ns: i64::MIN,
        })
    }

    pub(crate) fn push(&mut self, service: &str, owner: Owner<'_>, span: &Span<'_>) -> Result<()> {
        let start_ns = clamp_time(span.start_ns);
        self.min_ns = self.min_ns.min(start_ns);
        self.max_ns = self.max_ns.max(start_ns);
        self.rows += 1;
        self.traces.push(span.trace_id, self.blocks.len() as u32);
        self.block.push(service, self.owners.insert(owner), span);
        if self.block.starts.len() >= BLOCK_ROWS || self.block.byte_len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        let block = std::mem::take(&mut self.block);
        if block.starts.is_empty() {
            return Ok(());
        }
        let starts = || block.starts.iter().map(|&t| clamp_time(t));
        self.blocks.push(SpanBlockInfo {
            block: self.part.block(&block.finish())?,
            rows: block.starts.len() as u32,
            min_ns: starts().min().unwrap_or(0),
            max_ns: starts().max().unwrap_or(0),
            durations_ns: block.bounds_ns.unwrap_or_default(),
            statuses: block.statuses.iter().fold(0, |bits, &s| bits | 1 << s),
            services: block.services,
        });
        Ok(())
    }

    /// Writes what is left and syncs; returns the file's length.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.end_block()?;
        let mut footer = Vec::new();
        self.owners.finish(&mut footer);
        put_varint(&mut footer, self.blocks.len() as u64);
        for info in &self.blocks {
            info.block.put(&mut footer);
            put_varint(&mut footer, u64::from(info.rows));
            put_signed(&mut footer, info.min_ns);
            put_signed(&mut footer, info.max_ns);
            put_varint(&mut footer, info.durations_ns.0);
            put_varint(&mut footer, info.durations_ns.1);
            footer.push(info.statuses);
            put_bytes(&mut footer, info.services.0.as_bytes());
            put_bytes(&mut footer, info.services.1.as_bytes());
        }
        self.traces.finish(&mut self.part, &mut footer)?;
        self.part.finish(&footer)
    }
}

impl BlockWriter {
    fn push(&mut self, service: &str, (resource, scope): (u32, u32), span: &Span<'_>) {
        if self.starts.is_empty() {
            self.services.0 = service.into();
        }
        if *self.services.1 != *service {
            self.services.1 = service.into();
        }
        self.resources.push(u64::from(resource));
        self.scopes.push(u64::from(scope));
        self.trace_ids.push(span.trace_id);
        self.span_ids.push(span.span_id);
        self.parent_ids.push(span.parent_span_id);
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

    /// Roughly the bytes collected.
    fn byte_len(&self) -> usize {
        self.starts.len() * 96
            + self.attributes.byte_len()
            + self.events.attributes.byte_len()
            + self.links.attributes.byte_len()
            + self.text_bytes
            + (self.events.times.len() + self.links.flags.len()) * 48
    }

    fn finish(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.byte_len());
        put_varint(&mut out, self.starts.len() as u64);
        put_ints(&mut out, &self.resources);
        put_ints(&mut out, &self.scopes);
        put_fixed(&mut out, &self.trace_ids);
        put_fixed(&mut out, &self.span_ids);
        put_fixed(&mut out, &self.parent_ids);
        put_ints(&mut out, &self.starts);
        put_signed_ints(&mut out, &self.durations);
        put_ints(&mut out, &self.kinds);
        put_ints(&mut out, &self.statuses);
        self.names.finish(&mut out);
        self.status_messages.finish(&mut out);
        self.trace_states.finish(&mut out);
        put_ints(&mut out, &self.flags);
        self.attributes.finish(&mut out);
        self.dropped.iter().for_each(|column| put_ints(&mut out, column));
        self.events.finish(&mut out);
        self.links.finish(&mut out);
        out
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

/// A part that can be asked.
#[derive(Debug)]
pub(crate) struct SpansPart {
    pub(crate) file: PartFile,
    pub(crate) owners: Owners,
    pub(crate) blocks: Vec<SpanBlockInfo>,
    pub(crate) traces: TraceIndex,
}

impl SpansPart {
    pub(crate) fn new(file: PartFile, footer: &[u8]) -> Result<Self> {
        let mut r = Reader::new(footer);
        let Some((owners, blocks, traces)) = read_footer(&mut r) else {
            return Err(file.corrupt("the footer is malformed"));
        };
        Ok(SpansPart { file, owners, blocks, traces })
    }

    /// Reads a block; `None` if it is damaged.
    pub(crate) fn read(&self, info: &SpanBlockInfo) -> Result<Option<Arc<SpanBlock>>> {
        let Some(bytes) = self.file.read(&info.block)? else { return Ok(None) };
        let block = SpanBlock::read(bytes).filter(|b| b.len() == info.rows as usize);
        if block.is_none() {
            self.file.set_aside(&info.block);
        }
        Ok(block.map(Arc::new))
    }

    /// A row of a block of this part.
    pub(crate) fn stored<'a>(&self, block: &'a SpanBlock, row: usize) -> Option<StoredSpan<'a>> {
        Some(StoredSpan {
            span: block.span(row)?,
            resource: Arc::clone(self.owners.resource(*block.resources.get(row)?)?),
            scope: Arc::clone(self.owners.scope(*block.scopes.get(row)?)?),
        })
    }
}

fn read_footer(r: &mut Reader<'_>) -> Option<(Owners, Vec<SpanBlockInfo>, TraceIndex)> {
    let owners = Owners::read(r)?;
    let mut blocks = Vec::new();
    for _ in 0..r.count(19)? {
        blocks.push(SpanBlockInfo {
            block: BlockRef::read(r)?,
            rows: r.varint32()?,
            min_ns: r.signed()?,
            max_ns: r.signed()?,
            durations_ns: (r.varint()?, r.varint()?),
            statuses: r.u8()?,
            services: (r.str()?.into(), r.str()?.into()),
        });
    }
    let traces = TraceIndex::read(r)?;
    r.is_empty().then_some((owners, blocks, traces))
}

/// A decoded block. Strings stay in its bytes.
#[derive(Debug, Default)]
pub(crate) struct SpanBlock {
    bytes: Vec<u8>,
    pub(crate) resources: Vec<u64>,
    pub(crate) scopes: Vec<u64>,
    pub(crate) trace_ids: Vec<TraceId>,
    span_ids: Vec<SpanId>,
    parent_ids: Vec<SpanId>,
    pub(crate) starts: Vec<u64>,
    durations: Vec<i64>,
    kinds: Vec<u64>,
    statuses: Vec<u64>,
    names: Strings,
    status_messages: Strings,
    trace_states: Strings,
    flags: Vec<u64>,
    attributes: Attributes,
    dropped: [Vec<u64>; 3],
    events: Events,
    links: Links,
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

impl SpanBlock {
    fn read(bytes: Vec<u8>) -> Option<Self> {
        let b = &bytes[..];
        let r = &mut Reader::new(b);
        let rows = usize::try_from(r.varint()?).ok().filter(|&rows| rows <= ROWS_MAX)?;
        let block = SpanBlock {
            resources: ints(r, rows)?,
            scopes: ints(r, rows)?,
            trace_ids: fixed(r, rows)?,
            span_ids: fixed(r, rows)?,
            parent_ids: fixed(r, rows)?,
            starts: ints(r, rows)?,
            durations: signed_ints(r, rows)?,
            kinds: ints(r, rows)?,
            statuses: ints(r, rows)?,
            names: Strings::read(b, r, rows)?,
            status_messages: Strings::read(b, r, rows)?,
            trace_states: Strings::read(b, r, rows)?,
            flags: ints(r, rows)?,
            attributes: Attributes::read(b, r, rows)?,
            dropped: [ints(r, rows)?, ints(r, rows)?, ints(r, rows)?],
            events: Events::read(b, r, rows)?,
            links: Links::read(b, r, rows)?,
            bytes: Vec::new(),
        };
        r.is_empty().then_some(SpanBlock { bytes, ..block })
    }

    pub(crate) fn span(&self, row: usize) -> Option<Span<'_>> {
        let b = &self.bytes[..];
        let start_ns = *self.starts.get(row)?;
        Some(Span {
            trace_id: *self.trace_ids.get(row)?,
            span_id: *self.span_ids.get(row)?,
            parent_span_id: *self.parent_ids.get(row)?,
            trace_state: Cow::Borrowed(self.trace_states.text(b, row)),
            flags: *self.flags.get(row)? as u32,
            name: Cow::Borrowed(self.names.text(b, row)),
            kind: row::span_kind(*self.kinds.get(row)? as u8)?,
            start_ns,
            end_ns: start_ns.wrapping_add(*self.durations.get(row)? as u64),
            attributes: self.attributes.get(b, row),
            dropped_attributes: *self.dropped[0].get(row)? as u32,
            events: self.events.get(b, row, start_ns)?,
            dropped_events: *self.dropped[1].get(row)? as u32,
            links: self.links.get(b, row)?,
            dropped_links: *self.dropped[2].get(row)? as u32,
            status: row::status_code(*self.statuses.get(row)? as u8)?,
            status_message: Cow::Borrowed(self.status_messages.text(b, row)),
        })
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
        self.bytes.len()
            + self.len() * 160
            + self.attributes.byte_len()
            + self.events.attributes.byte_len()
            + self.links.attributes.byte_len()
    }
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
