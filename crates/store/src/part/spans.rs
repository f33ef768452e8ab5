//! Parts of spans, sorted by service and name, then start time.
//!
//! A block is kept in three pieces that are read on their own: what most conditions ask
//! for, attributes, and the details (events and links). Ids lie with their traces, and what
//! occurs in blocks in sieves, many to a page.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::tables::{Owner, Owners, OwnersWriter};
use super::trace_index::{TraceIndex, blocks_of};
use super::{BlockRef, PartFile, PartWriter};
use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::error::Result;
use crate::head::clamp_time;
use crate::intern::Seeded;
use crate::model::{Resource, Span, SpanId, StoredSpan, TraceId, Value};
use crate::row;
use crate::vfs::Vfs;

mod block;
mod filter;
mod sieve;
mod thinned;
mod traces;
mod whole;

use block::BlockWriter;
pub(crate) use block::{SpanAttributes, SpanBlock, SpanDetails};
pub(crate) use filter::needs_attributes;
pub(crate) use sieve::Sought;
use sieve::{LANE_BYTES, SieveWriter};
pub use thinned::ThinnedSpans;
use thinned::{Thinned, ThinnedWriter, each_count};
pub(crate) use traces::{IndexBlock, PageInfo, TraceNumbers, TracePage, TraceTable};
use traces::{Traced, TracesWriter};
pub(crate) use whole::WholeSpans;

/// A block is closed at this many rows or bytes, whichever comes first: a trace has its
/// spans in many blocks, so a block is small enough to read for one span.
const BLOCK_ROWS: usize = 512;
const BLOCK_BYTES: usize = 1 << 20;
/// A page of sieves is closed at this many bytes.
const SIEVES_BYTES: usize = 64 << 10;
/// The first version of the format whose blocks have sieves.
const SIEVES_SINCE: u8 = 3;
/// The first version of the format that counts what was thinned out.
const THINNED_SINCE: u8 = 4;

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
    traces: TracesWriter,
    /// What is known of each resource and scope that was named before.
    noted: HashMap<(u32, u32), SieveWriter, Seeded>,
    /// The page of sieves to come, and those that are written.
    sieves: Vec<u8>,
    sieve_pages: Vec<BlockRef>,
    thinned: ThinnedWriter,
    pub(crate) rows: u64,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
}

/// What the footer says of a block.
#[derive(Clone, Debug)]
pub(crate) struct SpanBlockInfo {
    pub(crate) block: BlockRef,
    /// Attributes and details; `None` in version 1, whose blocks have everything in one.
    pub(crate) more: Option<(BlockRef, BlockRef)>,
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
    /// `None` in versions that have none.
    pub(crate) sieve: Option<SieveRef>,
}

/// Where the sieve of a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SieveRef {
    /// The page, by its place.
    pub(crate) page: u32,
    /// Where it begins there and how long it is, in bytes.
    at: u32,
    len: u32,
}

impl SieveRef {
    /// The sieve out of its page.
    pub(crate) fn of<'a>(&self, page: &'a [u8]) -> &'a [u8] {
        // An empty sieve lets everything pass.
        page.get(self.at as usize..self.at as usize + self.len as usize).unwrap_or(&[])
    }
}

impl SpansWriter {
    /// `numbers` knows the traces of all spans that will come.
    pub(crate) fn create(
        vfs: &dyn Vfs,
        path: &Path,
        level: i32,
        numbers: TraceNumbers,
    ) -> Result<Self> {
        Ok(SpansWriter {
            part: PartWriter::create(vfs, path, level)?,
            owners: OwnersWriter::default(),
            blocks: Vec::new(),
            block: BlockWriter::default(),
            traces: TracesWriter::new(numbers),
            noted: HashMap::default(),
            sieves: Vec::new(),
            sieve_pages: Vec::new(),
            thinned: ThinnedWriter::default(),
            rows: 0,
            min_ns: i64::MAX,
            max_ns: i64::MIN,
        })
    }

    pub(crate) fn push(&mut self, service: &str, owner: Owner<'_>, span: &Span<'_>) -> Result<()> {
        let start_ns = clamp_time(span.start_ns);
        self.reach((start_ns, start_ns));
        self.rows += 1;
        let traced = Traced {
            trace: span.trace_id,
            span: span.span_id,
            parent: span.parent_span_id,
            start_ns,
            end_ns: clamp_time(span.end_ns),
            status: span.status,
            service,
            name: &span.name,
        };
        let trace = self.traces.push(&traced, self.blocks.len() as u32);
        let places = self.owners.insert(owner);
        self.noted.entry(places).or_insert_with(|| sieve_of(owner));
        self.block.push(service, places, trace, span);
        if self.block.len() >= BLOCK_ROWS || self.block.byte_len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    /// Counts a span that does not stay.
    pub(crate) fn thin(&mut self, owner: Owner<'_>, span: &Span<'_>) {
        let start_ns = clamp_time(span.start_ns);
        self.reach((start_ns, start_ns));
        self.thinned.span(self.owners.resource(owner.resource), span);
    }

    /// Takes over what a part has counted, as far as it is to stay. Returns how many spans
    /// are no longer counted, and how many blocks of counts are damaged.
    pub(crate) fn take_counts(
        &mut self,
        part: &SpansPart,
        stays: &dyn Fn(&ThinnedSpans<'_>) -> bool,
    ) -> Result<(u64, u64)> {
        let (mut gone, mut damaged) = (0u64, 0);
        if part.thinned.is_incomplete {
            self.thinned.is_incomplete();
        }
        let info = part.file.info;
        for block in part.thinned.blocks() {
            let Some(bytes) = part.file.read(&block.block)? else {
                damaged += 1;
                self.thinned.is_incomplete();
                continue;
            };
            part.each_count(&bytes, &mut |resource, counted| {
                let Some(encoded) = part.owners.encoded_resource(resource) else { return };
                if !stays(counted) {
                    gone = gone.saturating_add(counted.count);
                    return;
                }
                let (first_ns, last_ns) = counted.bounds_ns();
                self.reach((first_ns.max(info.min_ns), last_ns.min(info.max_ns)));
                self.thinned.counted(self.owners.resource(encoded), counted);
            })?;
        }
        Ok((gone, damaged))
    }

    fn reach(&mut self, (min_ns, max_ns): (i64, i64)) {
        self.min_ns = self.min_ns.min(min_ns);
        self.max_ns = self.max_ns.max(max_ns);
    }

    fn end_block(&mut self) -> Result<()> {
        let block = std::mem::take(&mut self.block);
        if block.len() == 0 {
            return Ok(());
        }
        let (core, attributes, details) = block.finish();
        let (min_ns, max_ns) = block.bounds();
        let sieve = self.sieve(&block)?;
        self.blocks.push(SpanBlockInfo {
            block: self.part.block(&core)?,
            more: Some((self.part.block(&attributes)?, self.part.block(&details)?)),
            rows: block.len() as u32,
            min_ns,
            max_ns,
            durations_ns: block.durations_ns(),
            statuses: block.statuses(),
            services: block.into_services(),
            sieve: Some(sieve),
        });
        Ok(())
    }

    /// Adds the sieve of a block to the page.
    fn sieve(&mut self, block: &BlockWriter) -> Result<SieveRef> {
        if self.sieves.len() >= SIEVES_BYTES {
            self.end_sieves()?;
        }
        let mut sieve = SieveWriter::default();
        block.note(&mut sieve);
        for owner in block.owners() {
            self.noted.get(&owner).into_iter().for_each(|noted| sieve.add(noted));
        }
        let lanes = sieve.finish();
        let (page, at) = (self.sieve_pages.len() as u32, self.sieves.len() as u32);
        self.sieves.extend_from_slice(&lanes);
        Ok(SieveRef { page, at, len: lanes.len() as u32 })
    }

    fn end_sieves(&mut self) -> Result<()> {
        if !self.sieves.is_empty() {
            // Half of its bits are set: it does not compress.
            self.sieve_pages.push(self.part.raw_block(&self.sieves)?);
            self.sieves.clear();
        }
        Ok(())
    }

    /// Writes what is left and syncs; returns the file's length.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.end_block()?;
        self.end_sieves()?;
        let mut footer = Vec::new();
        self.owners.finish(&mut footer);
        put_varint(&mut footer, self.sieve_pages.len() as u64);
        self.sieve_pages.iter().for_each(|page| page.put(&mut footer));
        put_varint(&mut footer, self.blocks.len() as u64);
        for info in &self.blocks {
            info.block.put(&mut footer);
            if let Some((attributes, details)) = &info.more {
                attributes.put(&mut footer);
                details.put(&mut footer);
            }
            put_varint(&mut footer, u64::from(info.rows));
            put_signed(&mut footer, info.min_ns);
            put_signed(&mut footer, info.max_ns);
            put_varint(&mut footer, info.durations_ns.0);
            put_varint(&mut footer, info.durations_ns.1);
            footer.push(info.statuses);
            put_bytes(&mut footer, info.services.0.as_bytes());
            put_bytes(&mut footer, info.services.1.as_bytes());
            if let Some(sieve) = &info.sieve {
                put_varint(&mut footer, u64::from(sieve.page));
                put_varint(&mut footer, u64::from(sieve.len) / LANE_BYTES as u64);
            }
        }
        self.traces.finish(&mut self.part, &mut footer)?;
        self.thinned.finish(&mut self.part, &mut footer)?;
        self.part.finish(&footer)
    }
}

/// What the attributes of a resource and a scope add to a sieve.
fn sieve_of(owner: Owner<'_>) -> SieveWriter {
    let mut sieve = SieveWriter::default();
    // Both were encoded here.
    row::resource(&mut Reader::new(owner.resource)).iter().for_each(|r| sieve.resource(r));
    row::scope(&mut Reader::new(owner.scope)).iter().for_each(|s| sieve.scope(s));
    sieve
}

/// A part that can be asked.
#[derive(Debug)]
pub(crate) struct SpansPart {
    pub(crate) file: PartFile,
    pub(crate) owners: Owners,
    /// Where the sieves of blocks are.
    pub(crate) sieve_pages: Vec<BlockRef>,
    pub(crate) blocks: Vec<SpanBlockInfo>,
    pub(crate) traces: Traces,
    /// Spans that are only counted.
    pub(crate) thinned: Thinned,
}

/// How a part finds traces.
#[derive(Debug)]
pub(crate) enum Traces {
    /// Version 1: ids are in the blocks, and an index leads to those.
    Index(TraceIndex),
    Table(TraceTable),
}

/// Ids of a span: trace, its own, parent.
pub(crate) type Ids = (TraceId, SpanId, SpanId);

impl SpansPart {
    pub(crate) fn new(file: PartFile, footer: &[u8]) -> Result<Self> {
        let mut r = Reader::new(footer);
        let Some((owners, sieve_pages, blocks, traces)) = read_footer(&mut r, file.version) else {
            return Err(file.corrupt("the footer is malformed"));
        };
        let thinned = match file.version >= THINNED_SINCE {
            true => Thinned::read(&mut r),
            false => Some(Thinned::uncounted(file.info.thinned)),
        };
        let Some(thinned) = thinned.filter(|_| r.is_empty()) else {
            return Err(file.corrupt("the footer is malformed"));
        };
        Ok(SpansPart { file, owners, sieve_pages, blocks, traces, thinned })
    }

    /// Every block of the file.
    pub(crate) fn block_refs(&self) -> Vec<BlockRef> {
        let mut refs = self.sieve_pages.clone();
        for info in &self.blocks {
            refs.push(info.block);
            refs.extend(info.more.iter().flat_map(|(attributes, details)| [*attributes, *details]));
        }
        refs.extend(self.thinned.blocks().iter().map(|counts| counts.block));
        match &self.traces {
            Traces::Index(index) => refs.extend(index.block_refs()),
            Traces::Table(table) => refs.extend(table.block_refs()),
        }
        refs
    }

    /// Reads the first piece of a block; `None` if it is damaged.
    pub(crate) fn read(&self, info: &SpanBlockInfo) -> Result<Option<Arc<SpanBlock>>> {
        self.file.decode(&info.block, |bytes| {
            let block = SpanBlock::read(bytes, self.file.version);
            block.filter(|b| b.len() == info.rows as usize)
        })
    }

    /// Reads the attributes of a block.
    pub(crate) fn read_attributes(
        &self,
        info: &BlockRef,
        rows: u32,
    ) -> Result<Option<Arc<SpanAttributes>>> {
        self.file.decode(info, |bytes| SpanAttributes::read(bytes, rows as usize))
    }

    /// Reads the details of a block.
    pub(crate) fn read_details(
        &self,
        info: &BlockRef,
        rows: u32,
    ) -> Result<Option<Arc<SpanDetails>>> {
        self.file.decode(info, |bytes| SpanDetails::read(bytes, rows as usize))
    }

    /// Reads a page of traces.
    pub(crate) fn read_page(&self, info: &PageInfo) -> Result<Option<Arc<TracePage>>> {
        let Some(ids) = self.file.read(&info.ids)? else { return Ok(None) };
        self.file
            .decode(&info.structure, |bytes| TracePage::read(info, bytes, &ids, self.file.version))
    }

    /// Reads a block of the index by trace.
    pub(crate) fn read_index(&self, block: &BlockRef) -> Result<Option<Arc<IndexBlock>>> {
        self.file.decode(block, |bytes| IndexBlock::read(&bytes))
    }

    /// Reads all pieces of a block; `None` if one is damaged.
    pub(crate) fn read_whole(&self, at: u32, info: &SpanBlockInfo) -> Result<Option<SpanRows>> {
        let Some(block) = self.read(info)? else { return Ok(None) };
        let pieces = match (&info.more, &block.inline) {
            (Some((attributes, details)), _) => {
                let attributes = self.read_attributes(attributes, info.rows)?;
                (attributes, self.read_details(details, info.rows)?)
            }
            (None, Some((a, d))) => (Some(Arc::clone(a)), Some(Arc::clone(d))),
            (None, None) => (None, None),
        };
        let (Some(attributes), Some(details)) = pieces else { return Ok(None) };
        let (attributes, details) = (Some(attributes), Some(details));
        Ok(Some(SpanRows { at, block, attributes, details }))
    }

    /// Hands out the counts of a block, each with the place of its resource.
    pub(crate) fn each_count(
        &self,
        block: &[u8],
        visit: &mut dyn FnMut(u64, &ThinnedSpans<'_>),
    ) -> Result<()> {
        let done = each_count(block, &self.owners, visit);
        done.ok_or_else(|| self.file.corrupt("a count of thinned spans is malformed"))
    }

    /// The blocks that may have rows of a trace by an index of version 1, which has them in
    /// this block.
    pub(crate) fn blocks_by_index(&self, index: &[u8], trace: TraceId) -> Result<Vec<u32>> {
        blocks_of(index, trace).ok_or_else(|| self.file.corrupt("its trace index is malformed"))
    }
}

/// Rows of a block, with the pieces of it that are wanted.
#[derive(Clone, Debug)]
pub(crate) struct SpanRows {
    /// The block's place in its part.
    pub(crate) at: u32,
    pub(crate) block: Arc<SpanBlock>,
    pub(crate) attributes: Option<Arc<SpanAttributes>>,
    pub(crate) details: Option<Arc<SpanDetails>>,
}

impl SpanRows {
    /// What stands for a damaged block.
    pub(crate) fn none() -> Self {
        SpanRows { at: 0, block: Arc::default(), attributes: None, details: None }
    }

    /// A row; what was not read of it is empty.
    pub(crate) fn stored(&self, part: &SpansPart, row: usize, ids: Ids) -> Option<StoredSpan<'_>> {
        let mut span = self.block.span(row)?;
        (span.trace_id, span.span_id, span.parent_span_id) = ids;
        if let Some(attributes) = &self.attributes {
            span.attributes = attributes.get(row);
        }
        if let Some(details) = &self.details {
            span.events = details.events(row, span.start_ns)?;
            span.links = details.links(row)?;
        }
        let (resource, scope) = (*self.block.resources.get(row)?, *self.block.scopes.get(row)?);
        Some(StoredSpan {
            span,
            resource: Arc::clone(part.owners.resource(resource)?),
            scope: Arc::clone(part.owners.scope(scope)?),
        })
    }

    /// The ids of a row; the page is that of its trace, if the part has pages.
    pub(crate) fn ids(&self, row: usize, page: Option<&TracePage>) -> Option<Ids> {
        match page {
            None => self.block.inline_ids(row),
            Some(page) => {
                let trace = self.block.trace_number(row)?;
                page.span(trace, self.at, || self.block.rows_before(row))
            }
        }
    }
}

type Footer = (Owners, Vec<BlockRef>, Vec<SpanBlockInfo>, Traces);

fn read_footer(r: &mut Reader<'_>, version: u8) -> Option<Footer> {
    let owners = Owners::read(r)?;
    let mut sieve_pages = Vec::new();
    if version >= SIEVES_SINCE {
        for _ in 0..r.count(11)? {
            sieve_pages.push(BlockRef::read(r)?);
        }
    }
    let mut blocks: Vec<SpanBlockInfo> = Vec::new();
    for _ in 0..r.count(19)? {
        let before = blocks.last().and_then(|info| info.sieve);
        blocks.push(SpanBlockInfo {
            block: BlockRef::read(r)?,
            more: match version {
                1 => None,
                _ => Some((BlockRef::read(r)?, BlockRef::read(r)?)),
            },
            rows: r.varint32()?,
            min_ns: r.signed()?,
            max_ns: r.signed()?,
            durations_ns: (r.varint()?, r.varint()?),
            statuses: r.u8()?,
            services: (r.str()?.into(), r.str()?.into()),
            sieve: match version >= SIEVES_SINCE {
                true => Some(read_sieve_ref(r, before, &sieve_pages)?),
                false => None,
            },
        });
    }
    let traces = match version {
        1 => Traces::Index(TraceIndex::read(r)?),
        _ => Traces::Table(TraceTable::read(r, version)?),
    };
    Some((owners, sieve_pages, blocks, traces))
}

/// A sieve begins where the one before in its page ends.
fn read_sieve_ref(
    r: &mut Reader<'_>,
    before: Option<SieveRef>,
    pages: &[BlockRef],
) -> Option<SieveRef> {
    let (page, lanes) = (r.varint32()?, r.varint32()?);
    let at = before.filter(|before| before.page == page).map_or(0, |before| before.at + before.len);
    let len = lanes.checked_mul(LANE_BYTES as u32)?;
    let end = u64::from(at) + u64::from(len);
    (end <= pages.get(page as usize)?.raw_len()).then_some(SieveRef { page, at, len })
}

#[cfg(test)]
mod tests;
