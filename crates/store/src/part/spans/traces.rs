//! The traces of a part: ids, and what belongs together.
//!
//! A span's rows lie by service and name, so the spans of one trace are scattered. What
//! only the trace knows is kept with the trace: its id once instead of in every span, the
//! span ids, and parents by their place among the trace's spans. Ids are random and do not
//! compress; kept this way they are half of a span's bytes instead of three quarters.
//!
//! Traces are numbered by their first start, so that spans that follow in time have
//! numbers that follow. A page has some hundred traces; `docs/format/part.md` has the bytes.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::bytes::{Reader, put_bytes, put_varint};
use crate::columns::{
    ROWS_MAX, Strings, StringsWriter, fixed, ints, put_fixed, put_ints, put_signed_ints,
    signed_ints,
};
use crate::error::Result;
use crate::intern::{Interner, Seeded};
use crate::model::{SpanId, StatusCode, TraceId};
use crate::part::{BlockRef, PartWriter};

/// A page is closed at this many traces or spans, whichever comes first.
const PAGE_TRACES: usize = 256;
const PAGE_SPANS: usize = 4096;
/// Traces to a block of the index by id.
const INDEX_TRACES: usize = 4096;
/// Up to here a parent is looked for among the spans of its trace one by one.
const SEARCHED_MAX: usize = 64;

/// The first version of the format whose pages sum traces up.
const SUMS_SINCE: u8 = 6;

/// What a parent id is made from: nothing, a span of the trace, or an id of its own.
const PARENT_NONE: u64 = 0;
const PARENT_FOREIGN: u64 = 1;
const PARENT_FIRST: u64 = 2;

/// The numbers that the traces of a part to be written will have.
#[derive(Debug)]
pub(crate) struct TraceNumbers(HashMap<TraceId, u32, Seeded>);

impl TraceNumbers {
    /// Numbers traces by their first start, given one for every span or trace.
    pub(crate) fn new(starts: impl Iterator<Item = (TraceId, i64)>) -> Self {
        let mut firsts: HashMap<TraceId, i64, Seeded> = HashMap::default();
        for (trace, start) in starts {
            firsts.entry(trace).and_modify(|first| *first = start.min(*first)).or_insert(start);
        }
        let mut order: Vec<(i64, TraceId)> = firsts.into_iter().map(|(id, at)| (at, id)).collect();
        order.sort_unstable();
        TraceNumbers(order.into_iter().zip(0u32..).map(|((_, id), number)| (id, number)).collect())
    }
}

/// One span, as far as its trace is concerned. A merge has one for each span in memory.
#[derive(Clone, Copy, Debug)]
struct Entry {
    trace: u32,
    block: u32,
    span: SpanId,
    parent: SpanId,
    /// Its service, by number, times two; odd if it failed.
    service: u32,
}

/// What all spans of a trace in the part add up to.
#[derive(Clone, Copy, Debug)]
struct Sum {
    id: TraceId,
    start_ns: i64,
    end_ns: i64,
    errors: u64,
    spans: u32,
    root: Option<Root>,
}

/// The first span without a parent; of several that start at once that of the least id.
#[derive(Clone, Copy, Debug)]
struct Root {
    start_ns: i64,
    span: SpanId,
    /// Which of the trace's spans it is, in the order of rows.
    place: u32,
    name: u32,
}

/// Collects the spans of traces while a part is written.
#[derive(Debug)]
pub(crate) struct TracesWriter {
    numbers: TraceNumbers,
    /// In the order of rows.
    entries: Vec<Entry>,
    sums: Vec<Option<Sum>>,
    services: Interner,
    /// Of roots.
    names: Interner,
}

/// What the trace table wants to know of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced<'a> {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    pub(crate) parent: SpanId,
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) status: StatusCode,
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
}

impl TracesWriter {
    pub(crate) fn new(numbers: TraceNumbers) -> Self {
        let sums = vec![None; numbers.0.len()];
        let (services, names) = (Interner::default(), Interner::default());
        TracesWriter { numbers, entries: Vec::new(), sums, services, names }
    }

    /// Notes a row of a block; returns the number of its trace.
    pub(crate) fn push(&mut self, row: &Traced<'_>, block: u32) -> u32 {
        let next = self.numbers.0.len() as u32;
        // A trace that nobody announced comes last.
        let number = *self.numbers.0.entry(row.trace).or_insert(next);
        self.sums.resize(self.numbers.0.len(), None);
        let error = row.status == StatusCode::Error;
        if let Some(sum) = self.sums.get_mut(number as usize) {
            let sum = sum.get_or_insert_with(|| Sum::new(row.trace, row.start_ns, row.end_ns));
            sum.start_ns = sum.start_ns.min(row.start_ns);
            sum.end_ns = sum.end_ns.max(row.end_ns);
            sum.errors += u64::from(error);
            let is_first = sum.root.is_none_or(|r| (row.start_ns, row.span) < (r.start_ns, r.span));
            if row.parent == [0; 8] && is_first {
                let (name, _) = self.names.insert(row.name.as_bytes());
                let (start_ns, span, place) = (row.start_ns, row.span, sum.spans);
                sum.root = Some(Root { start_ns, span, place, name });
            }
            sum.spans += 1;
        }
        let (service, _) = self.services.insert(row.service.as_bytes());
        let service = service << 1 | u32::from(error);
        let (span, parent) = (row.span, row.parent);
        self.entries.push(Entry { trace: number, block, span, parent, service });
        number
    }

    /// Writes pages and index and, into the footer, where they are.
    pub(crate) fn finish(mut self, part: &mut PartWriter, footer: &mut Vec<u8>) -> Result<()> {
        // Stable: within a trace the order of rows is what the reader counts by.
        self.entries.sort_by_key(|entry| entry.trace);
        // Numbers whose trace has no row (a cutoff took them) stay: they cost a byte or two.
        let mut pages = Vec::new();
        let mut count = 0u64;
        let mut page = PageWriter::default();
        let mut rest = &self.entries[..];
        for (number, sum) in (0u32..).zip(&self.sums) {
            let end = rest.partition_point(|entry| entry.trace == number);
            let (spans, later) = rest.split_at(end);
            let root = sum.as_ref().and_then(|sum| sum.root);
            let name = root.and_then(|root| self.names.get(root.name)).unwrap_or(b"");
            page.push(sum.as_ref(), spans, name);
            rest = later;
            if page.is_full() || number as usize + 1 == self.sums.len() {
                let page = std::mem::take(&mut page);
                put_varint(&mut pages, page.ids.len() as u64);
                let (structure, ids) = page.finish();
                part.block(&structure)?.put(&mut pages);
                part.raw_block(&ids)?.put(&mut pages);
                count += 1;
            }
        }
        put_varint(footer, count);
        footer.extend_from_slice(&pages);
        let ids = self.sums.iter().zip(0u32..).filter_map(|(sum, n)| Some((sum.as_ref()?.id, n)));
        write_index(ids.filter(|(id, _)| *id != [0; 16]), part, footer)?;
        put_varint(footer, self.services.len() as u64);
        self.services.iter().for_each(|service| put_bytes(footer, service));
        Ok(())
    }
}

impl Sum {
    fn new(id: TraceId, start_ns: i64, end_ns: i64) -> Self {
        Sum { id, start_ns, end_ns, errors: 0, spans: 0, root: None }
    }
}

#[derive(Debug, Default)]
struct PageWriter {
    ids: Vec<TraceId>,
    counts: Vec<u64>,
    starts: Vec<i64>,
    durations: Vec<i64>,
    errors: Vec<u64>,
    first_blocks: Vec<u64>,
    later_blocks: Vec<u64>,
    parents: Vec<u64>,
    spans: Vec<SpanId>,
    foreign: Vec<SpanId>,
    services: Vec<u64>,
    roots: Vec<u64>,
    /// After the first start.
    root_starts: Vec<u64>,
    root_names: StringsWriter,
}

impl PageWriter {
    fn is_full(&self) -> bool {
        self.ids.len() >= PAGE_TRACES || self.spans.len() >= PAGE_SPANS
    }

    fn push(&mut self, sum: Option<&Sum>, spans: &[Entry], root_name: &[u8]) {
        let none = Sum::new([0; 16], 0, 0);
        let sum = sum.unwrap_or(&none);
        self.ids.push(sum.id);
        self.counts.push(spans.len() as u64);
        self.starts.push(sum.start_ns);
        self.durations.push(sum.end_ns.wrapping_sub(sum.start_ns));
        self.errors.push(sum.errors);
        self.roots.push(sum.root.map_or(0, |root| u64::from(root.place) + 1));
        let after = |root: Root| root.start_ns.wrapping_sub(sum.start_ns) as u64;
        self.root_starts.push(sum.root.map_or(0, after));
        self.root_names.push(root_name);
        self.services.extend(spans.iter().map(|entry| u64::from(entry.service)));
        let mut last = None;
        let places = Places::of(spans);
        for entry in spans {
            match last {
                None => self.first_blocks.push(u64::from(entry.block)),
                Some(last) => self.later_blocks.push(u64::from(entry.block - last)),
            }
            last = Some(entry.block);
            self.spans.push(entry.span);
            let parent = match entry.parent {
                [0, 0, 0, 0, 0, 0, 0, 0] => PARENT_NONE,
                parent => places.find(parent).map_or(PARENT_FOREIGN, |at| PARENT_FIRST + at),
            };
            if parent == PARENT_FOREIGN {
                self.foreign.push(entry.parent);
            }
            self.parents.push(parent);
        }
    }

    /// What compresses, and what does not.
    fn finish(&self) -> (Vec<u8>, Vec<u8>) {
        let mut out = Vec::new();
        put_varint(&mut out, self.ids.len() as u64);
        put_ints(&mut out, &self.counts);
        put_signed_ints(&mut out, &self.starts);
        put_signed_ints(&mut out, &self.durations);
        put_ints(&mut out, &self.errors);
        put_varint(&mut out, self.first_blocks.len() as u64);
        put_ints(&mut out, &self.first_blocks);
        put_ints(&mut out, &self.later_blocks);
        put_ints(&mut out, &self.parents);
        put_ints(&mut out, &self.services);
        put_ints(&mut out, &self.roots);
        put_ints(&mut out, &self.root_starts);
        self.root_names.finish(&mut out);
        let mut ids = Vec::with_capacity((self.ids.len() * 2 + self.spans.len()) * 8 + 16);
        put_fixed(&mut ids, &self.ids);
        put_fixed(&mut ids, &self.spans);
        put_varint(&mut ids, self.foreign.len() as u64);
        put_fixed(&mut ids, &self.foreign);
        (out, ids)
    }
}

/// Where the spans of a trace are, by id. The first counts where two have one id: they
/// are the same eight bytes.
enum Places<'a> {
    Few(&'a [Entry]),
    Many(HashMap<SpanId, u64, Seeded>),
}

impl<'a> Places<'a> {
    fn of(spans: &'a [Entry]) -> Self {
        if spans.len() <= SEARCHED_MAX {
            return Places::Few(spans);
        }
        let mut places: HashMap<SpanId, u64, Seeded> = HashMap::default();
        for (entry, at) in spans.iter().zip(0u64..) {
            places.entry(entry.span).or_insert(at);
        }
        Places::Many(places)
    }

    fn find(&self, id: SpanId) -> Option<u64> {
        match self {
            Places::Few(spans) => spans.iter().position(|e| e.span == id).map(|at| at as u64),
            Places::Many(places) => places.get(&id).copied(),
        }
    }
}

/// The index by id: hashes in order with the numbers of their traces, some thousands to a
/// block. A hash is as long as makes one look-up in sixty read a page for nothing.
fn write_index(
    ids: impl Iterator<Item = (TraceId, u32)>,
    part: &mut PartWriter,
    footer: &mut Vec<u8>,
) -> Result<()> {
    let mut entries: Vec<(u64, u32)> = ids.map(|(id, number)| (xxh3_64(&id), number)).collect();
    let shift = (64 - 6u32).saturating_sub(64 - (entries.len() as u64).leading_zeros());
    entries.iter_mut().for_each(|(hash, _)| *hash >>= shift);
    entries.sort_unstable();
    let blocks = entries.chunks(INDEX_TRACES);
    put_varint(footer, u64::from(shift));
    put_varint(footer, blocks.len() as u64);
    for block in blocks {
        let mut out = Vec::new();
        put_varint(&mut out, block.len() as u64);
        put_ints(&mut out, &block.iter().map(|(hash, _)| *hash).collect::<Vec<_>>());
        put_ints(&mut out, &block.iter().map(|(_, n)| u64::from(*n)).collect::<Vec<_>>());
        put_varint(footer, block[0].0);
        part.block(&out)?.put(footer);
    }
    Ok(())
}

/// Where the pages and the index of a part are.
#[derive(Debug, Default)]
pub(crate) struct TraceTable {
    pages: Vec<PageInfo>,
    shift: u32,
    /// First hash of each block.
    index: Vec<(u64, BlockRef)>,
    /// By number; `None` in versions that do not sum traces up.
    services: Option<Vec<Box<str>>>,
}

/// What the footer says of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageInfo {
    /// Number of its first trace.
    first: u32,
    pub(crate) structure: BlockRef,
    pub(crate) ids: BlockRef,
}

impl PageInfo {
    /// Whether the trace of a number is in this page or in a later one.
    pub(crate) fn begins_by(&self, number: u64) -> bool {
        u64::from(self.first) <= number
    }
}

impl TraceTable {
    pub(crate) fn read(r: &mut Reader<'_>, version: u8) -> Option<Self> {
        let mut pages = Vec::new();
        let mut next = 0u32;
        for _ in 0..r.count(23)? {
            let first = next;
            next = next.checked_add(r.varint32()?)?;
            pages.push(PageInfo { first, structure: BlockRef::read(r)?, ids: BlockRef::read(r)? });
        }
        let shift = r.varint32().filter(|&shift| shift < 64)?;
        let mut index = Vec::new();
        for _ in 0..r.count(12)? {
            index.push((r.varint()?, BlockRef::read(r)?));
        }
        let mut services = None;
        if version >= SUMS_SINCE {
            let mut names = Vec::new();
            for _ in 0..r.count(1)? {
                names.push(r.str()?.into());
            }
            services = Some(names);
        }
        Some(TraceTable { pages, shift, index, services })
    }

    /// Every block of the pages and of the index.
    pub(crate) fn block_refs(&self) -> impl Iterator<Item = BlockRef> {
        let pages = self.pages.iter().flat_map(|page| [page.structure, page.ids]);
        pages.chain(self.index.iter().map(|(_, block)| *block))
    }

    /// Names of services by number, if traces are summed up.
    pub(crate) fn services(&self) -> Option<&[Box<str>]> {
        self.services.as_deref()
    }

    pub(crate) fn pages(&self) -> &[PageInfo] {
        &self.pages
    }

    /// The page that has the trace of a number.
    pub(crate) fn page_of(&self, number: u64) -> Option<&PageInfo> {
        let after = self.pages.partition_point(|page| page.begins_by(number));
        self.pages.get(after.checked_sub(1)?)
    }

    /// The blocks of the index that may know a trace: two where its hash is on the border.
    pub(crate) fn index_blocks(&self, trace: TraceId) -> &[(u64, BlockRef)] {
        let hash = xxh3_64(&trace) >> self.shift;
        let after = self.index.partition_point(|&(first, _)| first <= hash);
        let before = self.index.partition_point(|&(first, _)| first < hash);
        self.index.get(before.saturating_sub(1)..after).unwrap_or(&[])
    }

    /// The numbers that a block of the index has for a trace.
    pub(crate) fn numbers(&self, block: &IndexBlock, trace: TraceId) -> Vec<u64> {
        let hash = xxh3_64(&trace) >> self.shift;
        let from = block.hashes.partition_point(|&h| h < hash);
        let to = block.hashes.partition_point(|&h| h <= hash);
        block.numbers.get(from..to).map(<[u64]>::to_vec).unwrap_or_default()
    }
}

/// A decoded block of the index.
#[derive(Debug)]
pub(crate) struct IndexBlock {
    hashes: Vec<u64>,
    numbers: Vec<u64>,
}

impl IndexBlock {
    pub(crate) fn read(block: &[u8]) -> Option<Self> {
        let mut r = Reader::new(block);
        let count = usize::try_from(r.varint()?).ok()?;
        let (hashes, numbers) = (ints(&mut r, count)?, ints(&mut r, count)?);
        r.is_empty().then_some(IndexBlock { hashes, numbers })
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        (self.hashes.len() + self.numbers.len()) * 8
    }
}

/// A decoded page.
#[derive(Debug)]
pub(crate) struct TracePage {
    first: u32,
    ids: Vec<TraceId>,
    /// Where each trace's spans begin; one more entry than traces.
    firsts: Vec<u32>,
    pub(crate) starts: Vec<i64>,
    /// Of each span, in the order of rows.
    blocks: Vec<u32>,
    spans: Vec<SpanId>,
    parents: Vec<SpanId>,
    sums: Option<PageSums>,
}

/// What traces of a page add up to.
#[derive(Debug)]
struct PageSums {
    durations: Vec<i64>,
    /// Of each span, as [`Entry`] has it.
    services: Vec<u64>,
    roots: Vec<u64>,
    root_starts: Vec<u64>,
    root_names: Strings,
    /// Where the names are.
    structure: Vec<u8>,
}

/// What a part knows of a trace without looking at its rows.
#[derive(Clone, Debug)]
pub(crate) struct TraceSum<'a> {
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    /// Start, id, place of the service and name of the root.
    pub(crate) root: Option<(i64, SpanId, u32, &'a str)>,
    /// Of each span its id, its service by number, and whether it failed.
    pub(crate) spans: Vec<(SpanId, u32, bool)>,
}

impl TracePage {
    pub(crate) fn read(
        info: &PageInfo,
        structure: Vec<u8>,
        raw: &[u8],
        version: u8,
    ) -> Option<Self> {
        let r = &mut Reader::new(&structure);
        let traces = usize::try_from(r.varint()?).ok().filter(|&n| n <= ROWS_MAX)?;
        let counts = ints(r, traces)?;
        let starts = signed_ints(r, traces)?;
        let (durations, _errors) = (signed_ints(r, traces)?, ints(r, traces)?);
        let total = counts.iter().try_fold(0u64, |sum, &n| sum.checked_add(n))?;
        let total = usize::try_from(total).ok().filter(|&n| n <= ROWS_MAX)?;
        let with_spans = counts.iter().filter(|&&n| n > 0).count();
        if r.varint()? != with_spans as u64 {
            return None;
        }
        let mut first_blocks = ints(r, with_spans)?.into_iter();
        let mut later_blocks = ints(r, total - with_spans)?.into_iter();
        let codes = ints(r, total)?;
        let sums = match version >= SUMS_SINCE {
            false => None,
            true => Some((ints(r, total)?, ints(r, traces)?, ints(r, traces)?)),
        };
        let root_names = match sums {
            None => Strings::default(),
            Some(_) => Strings::read(&structure, r, traces)?,
        };
        let whole = r.is_empty();
        let r = &mut Reader::new(raw);
        let ids = fixed(r, traces)?;
        let spans: Vec<SpanId> = fixed(r, total)?;
        let foreign = r.varint()?;
        let mut foreign = fixed(r, usize::try_from(foreign).ok()?)?.into_iter();
        let mut firsts = Vec::with_capacity(traces + 1);
        let (mut blocks, mut parents) = (Vec::with_capacity(total), Vec::with_capacity(total));
        firsts.push(0);
        for count in counts {
            let begin = blocks.len();
            let end = begin + count as usize;
            let mut block = 0u64;
            for (at, &code) in codes.get(begin..end)?.iter().enumerate() {
                let next = if at == 0 { &mut first_blocks } else { &mut later_blocks };
                block = block.checked_add(next.next()?)?;
                blocks.push(u32::try_from(block).ok()?);
                parents.push(match code {
                    PARENT_NONE => [0; 8],
                    PARENT_FOREIGN => foreign.next()?,
                    code => *spans.get(begin..end)?.get((code - PARENT_FIRST) as usize)?,
                });
            }
            firsts.push(end as u32);
        }
        let whole = whole && r.is_empty() && foreign.next().is_none();
        let sums = sums.map(|(services, roots, root_starts)| PageSums {
            durations,
            services,
            roots,
            root_starts,
            root_names,
            structure,
        });
        let first = info.first;
        whole.then_some(TracePage { first, ids, firsts, starts, blocks, spans, parents, sums })
    }

    /// What the trace of a number adds up to; `None` if that is not known.
    pub(crate) fn sum(&self, number: u64) -> Option<TraceSum<'_>> {
        let sums = self.sums.as_ref()?;
        let (at, range) = (self.place(number)?, self.spans_of(number)?);
        let ids = self.spans.get(range.clone())?;
        let services = sums.services.get(range)?;
        let spans = ids.iter().zip(services);
        let spans: Vec<_> =
            spans.map(|(id, service)| (*id, (service >> 1) as u32, service & 1 == 1)).collect();
        let start_ns = *self.starts.get(at)?;
        let root = match sums.roots.get(at)?.checked_sub(1) {
            None => None,
            Some(place) => {
                let (id, service, _) = *spans.get(usize::try_from(place).ok()?)?;
                let start_ns = start_ns.wrapping_add(*sums.root_starts.get(at)? as i64);
                Some((start_ns, id, service, sums.root_names.text(&sums.structure, at)))
            }
        };
        let end_ns = start_ns.wrapping_add(*sums.durations.get(at)?);
        Some(TraceSum { start_ns, end_ns, root, spans })
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(u64::from(self.first))?).ok()
    }

    /// The id of a trace by its number.
    pub(crate) fn id(&self, number: u64) -> Option<TraceId> {
        self.ids.get(self.place(number)?).copied()
    }

    fn spans_of(&self, number: u64) -> Option<std::ops::Range<usize>> {
        let at = self.place(number)?;
        Some(*self.firsts.get(at)? as usize..*self.firsts.get(at + 1)? as usize)
    }

    /// The blocks that have spans of a trace, ascending, each once.
    pub(crate) fn blocks_of(&self, number: u64) -> Option<Vec<u32>> {
        let mut blocks = self.blocks.get(self.spans_of(number)?)?.to_vec();
        blocks.dedup();
        Some(blocks)
    }

    /// Ids of a trace's span in a block: trace, span, parent. `nth` says the how manieth of
    /// the block's spans of this trace it is, which is asked only if there are several.
    pub(crate) fn span(
        &self,
        number: u64,
        block: u32,
        nth: impl FnOnce() -> usize,
    ) -> Option<(TraceId, SpanId, SpanId)> {
        let spans = self.spans_of(number)?;
        let blocks = self.blocks.get(spans.clone())?;
        let first = blocks.partition_point(|&b| b < block);
        let nth = if blocks.get(first + 1) == Some(&block) { nth() } else { 0 };
        (*blocks.get(first + nth)? == block).then_some(())?;
        let at = spans.start + first + nth;
        Some((self.id(number)?, *self.spans.get(at)?, *self.parents.get(at)?))
    }

    /// Ids and first starts of all traces that have spans.
    pub(crate) fn traces(&self) -> impl Iterator<Item = (TraceId, i64)> {
        let firsts = self.firsts.windows(2);
        let with_spans = firsts.zip(&self.ids).zip(&self.starts);
        with_spans.filter(|((f, _), _)| f[0] < f[1]).map(|((_, id), start)| (*id, *start))
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        let sums = self
            .sums
            .as_ref()
            .map_or(0, |sums| sums.structure.len() + self.ids.len() * 36 + self.spans.len() * 8);
        self.ids.len() * 28 + self.spans.len() * 20 + sums
    }
}
