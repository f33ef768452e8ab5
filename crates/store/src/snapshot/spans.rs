//! Spans of a snapshot.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::logs::{Account, bounds_of, times_of};
use super::{HeadView, Snapshot, SpanColumns, SpanScan, TimeRange, bad_head};
use crate::bytes::Reader;
use crate::error::Result;
use crate::filter::{Compare, Field, SpanFilter};
use crate::head::{RowFilter, RowRef, clamp_time};
use crate::model::{Resource, Scope, StoredSpan, Value};
use crate::part::Signal;
use crate::part::spans::{
    Ids, Sought, SpanBlockInfo, SpanRows, SpansPart, ThinnedSpans, TracePage, Traces,
    needs_attributes,
};
use crate::row;
use crate::scan::{self, Opening, Run};
use crate::tally::Tally;

pub(super) fn scan(
    snapshot: &Snapshot,
    scan: &SpanScan<'_>,
    columns: SpanColumns,
    tally: &Tally,
    visit: &mut dyn FnMut(&StoredSpan<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let filter = &scan.filter.anchored();
    let range = scan.range.after(snapshot.cutoffs_ns[Signal::Traces as usize]);
    let mut account = Account::new(tally);
    let mut heads = Vec::new();
    for view in &snapshot.heads {
        heads.extend(HeadSpans::matching(view, range, filter, columns, &mut account)?);
    }
    let plan = Plan { filters: by_cost(filter), columns, range };
    let sought = Sought::of(filter);
    let mut runs = Vec::new();
    for part in &snapshot.parts.spans {
        let mut sieves = Sieves::new(snapshot, part, &sought, tally);
        for (info, at) in part.blocks.iter().zip(0u32..) {
            if range.overlaps((info.min_ns, info.max_ns))
                && may_match(filter, info)
                && sieves.may_pass(info)?
            {
                runs.push(SpanRun::Part(PartSpans { snapshot, part, at, plan: &plan, tally }));
            } else {
                tally.blocks_skipped.fetch_add(1, Relaxed);
            }
        }
    }
    runs.extend(heads.iter().map(SpanRun::Head));
    let mut pages = Pages::new(snapshot, tally);
    scan::scan(&runs, scan.order, tally.threads(), &mut |open: &SpanOpen<'_>, row| match open {
        SpanOpen::Head(head) => {
            let (span, _) = head.span(row)?;
            Ok(visit(&span))
        }
        SpanOpen::Part(part, rows) => {
            account.add(0)?;
            let ids = match columns.ids {
                true => pages.ids(part, rows, row as usize)?,
                false => Some(([0; 16], [0; 8], [0; 8])),
            };
            // Without its page a row has no ids; the tally knows that it is missing.
            let Some(ids) = ids else { return Ok(ControlFlow::Continue(())) };
            let span = rows.stored(part, row as usize, ids);
            Ok(visit(&span.ok_or_else(|| part.file.corrupt("a span row is malformed"))?))
        }
    })?;
    account.settle()
}

/// What is done with every block.
struct Plan<'a> {
    /// Conditions that must all hold; those that need no attributes come first, and the
    /// attributes are not read where they leave nothing.
    filters: Vec<&'a SpanFilter>,
    columns: SpanColumns,
    range: TimeRange,
}

pub(super) fn by_cost(filter: &SpanFilter) -> Vec<&SpanFilter> {
    let mut filters = match filter {
        SpanFilter::And(all) => all.iter().collect(),
        one => vec![one],
    };
    filters.sort_by_key(|filter| needs_attributes(filter));
    filters
}

/// Looks ids up in the pages of traces; rows that follow have theirs in one page mostly.
pub(super) struct Pages<'a> {
    snapshot: &'a Snapshot,
    tally: &'a Tally,
    /// Part and place of the page last used.
    last: Option<((u64, u64), Arc<TracePage>)>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, tally: &'a Tally) -> Self {
        Pages { snapshot, tally, last: None }
    }

    /// `None` if the page is damaged.
    fn ids(&mut self, part: &SpansPart, rows: &SpanRows, row: usize) -> Result<Option<Ids>> {
        let malformed = || part.file.corrupt("a span names a trace that is not there");
        let Some(number) = rows.block.trace_number(row) else {
            return rows.ids(row, None).map(Some).ok_or_else(malformed);
        };
        let Some(page) = self.page(part, number)? else { return Ok(None) };
        rows.ids(row, Some(&page)).map(Some).ok_or_else(malformed)
    }

    pub(super) fn page(&mut self, part: &SpansPart, number: u64) -> Result<Option<Arc<TracePage>>> {
        let Traces::Table(table) = &part.traces else { return Ok(None) };
        let Some(info) = table.page_of(number) else {
            return Err(part.file.corrupt("a span names a trace that is not there"));
        };
        let key = (part.file.info.id, info.structure.offset());
        if let Some((known, page)) = &self.last
            && *known == key
        {
            return Ok(Some(Arc::clone(page)));
        }
        let page = self.snapshot.trace_page(part, info, self.tally)?;
        self.last = page.clone().map(|page| (key, page));
        Ok(page)
    }
}

/// Whether a span of the block could satisfy the condition, by what the footer knows.
pub(super) fn may_match(filter: &SpanFilter, info: &SpanBlockInfo) -> bool {
    match filter {
        SpanFilter::And(all) => all.iter().all(|f| may_match(f, info)),
        SpanFilter::Or(any) => any.iter().any(|f| may_match(f, info)),
        SpanFilter::Field(Field::Status, Compare::Status(status)) => {
            info.statuses & 1 << *status as u8 != 0
        }
        SpanFilter::Field(Field::Duration, compare) => {
            let (min, max) = info.durations_ns;
            let bound = |ns: u64| Value::Int(i64::try_from(ns).unwrap_or(i64::MAX));
            match compare {
                Compare::Greater(_) | Compare::GreaterEqual(_) => compare.matches(&bound(max)),
                Compare::Less(_) | Compare::LessEqual(_) => compare.matches(&bound(min)),
                _ => true,
            }
        }
        SpanFilter::Field(Field::Resource(key), Compare::Equal(Value::Str(service)))
            if key == "service.name" =>
        {
            // Spans whose service is not a text sort first, under no name.
            info.services.0.is_empty()
                || (*info.services.0 <= **service && **service <= *info.services.1)
        }
        _ => true,
    }
}

/// Whether blocks of a part have what a condition seeks, by their sieves.
pub(super) struct Sieves<'a> {
    snapshot: &'a Snapshot,
    part: &'a SpansPart,
    sought: &'a Sought,
    tally: &'a Tally,
    /// The page last used; `None` in it if that is damaged: then anything may pass.
    page: Option<(u32, Option<Arc<Vec<u8>>>)>,
}

impl<'a> Sieves<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        part: &'a SpansPart,
        sought: &'a Sought,
        tally: &'a Tally,
    ) -> Self {
        Sieves { snapshot, part, sought, tally, page: None }
    }

    pub(super) fn may_pass(&mut self, info: &SpanBlockInfo) -> Result<bool> {
        let (Some(sieve), false) = (&info.sieve, matches!(self.sought, Sought::Nothing)) else {
            return Ok(true);
        };
        if self.page.as_ref().is_none_or(|(at, _)| *at != sieve.page) {
            let page = match self.part.sieve_pages.get(sieve.page as usize) {
                Some(page) => self.snapshot.bytes(&self.part.file, page, self.tally)?,
                None => None,
            };
            self.page = Some((sieve.page, page));
        }
        let page = self.page.as_ref().and_then(|(_, page)| page.as_ref());
        Ok(page.is_none_or(|page| self.sought.may_be_in(sieve.of(page))))
    }
}

/// A head or a block of a part.
enum SpanRun<'a> {
    Head(&'a HeadSpans),
    Part(PartSpans<'a>),
}

enum SpanOpen<'a> {
    Head(&'a HeadSpans),
    Part(&'a SpansPart, SpanRows),
}

/// Rows of a block, and those of them that are wanted, as (time, row).
type Matching = (SpanRows, Vec<(i64, u32)>);

struct PartSpans<'a> {
    snapshot: &'a Snapshot,
    part: &'a SpansPart,
    /// The block's place in the part.
    at: u32,
    plan: &'a Plan<'a>,
    tally: &'a Tally,
}

impl<'a> PartSpans<'a> {
    fn info(&self) -> &'a SpanBlockInfo {
        // The scan has counted the blocks.
        &self.part.blocks[self.at as usize]
    }

    /// Reads the block; the rows are those that satisfy the scan. A damaged block has none.
    fn open(&self) -> Result<Opening<SpanOpen<'a>>> {
        let opened = self.read()?;
        let (rows, matching) = opened.unwrap_or_else(|| (SpanRows::none(), Vec::new()));
        self.tally.add((rows.block.len() - matching.len()) as u64, 0)?;
        Ok((SpanOpen::Part(self.part, rows), matching))
    }

    fn read(&self) -> Result<Option<Matching>> {
        let (info, columns) = (self.info(), self.plan.columns);
        let Some(block) = self.snapshot.span_block(self.part, info, self.tally)? else {
            return Ok(None);
        };
        let mut rows = SpanRows { at: self.at, block, attributes: None, details: None };
        let starts = rows.block.starts.iter().map(|&start| clamp_time(start));
        let mut matching: Vec<bool> = starts.map(|s| self.plan.range.contains(s)).collect();
        for filter in &self.plan.filters {
            if !matching.contains(&true) {
                break;
            }
            if needs_attributes(filter) && !self.add_attributes(&mut rows)? {
                return Ok(None);
            }
            let these = self.part.matching(&rows, filter);
            matching.iter_mut().zip(these).for_each(|(row, this)| *row &= this);
        }
        if matching.contains(&true) {
            if columns.attributes && !self.add_attributes(&mut rows)? {
                return Ok(None);
            }
            if columns.details {
                let block = &rows.block;
                let details = self.snapshot.span_details(self.part, info, block, self.tally)?;
                if details.is_none() {
                    return Ok(None);
                }
                rows.details = details;
            }
        }
        let matching = matching.into_iter().enumerate().filter(|(_, matches)| *matches);
        let timed = |(row, _): (usize, bool)| (clamp_time(rows.block.starts[row]), row as u32);
        let matching = matching.map(timed).collect();
        Ok(Some((rows, matching)))
    }

    /// False if they are damaged.
    fn add_attributes(&self, rows: &mut SpanRows) -> Result<bool> {
        if rows.attributes.is_none() {
            let (info, block) = (self.info(), &rows.block);
            rows.attributes = self.snapshot.span_attributes(self.part, info, block, self.tally)?;
        }
        Ok(rows.attributes.is_some())
    }
}

impl<'a> Run for SpanRun<'a> {
    type Open = SpanOpen<'a>;

    fn bounds(&self) -> (i64, i64) {
        match self {
            SpanRun::Head(head) => bounds_of(&head.rows),
            SpanRun::Part(part) => (part.info().min_ns, part.info().max_ns),
        }
    }

    fn open(&self) -> Result<Opening<SpanOpen<'a>>> {
        match self {
            SpanRun::Head(head) => Ok((SpanOpen::Head(head), times_of(&head.rows))),
            SpanRun::Part(part) => part.open(),
        }
    }
}

/// A part or block that lies within the range as a whole need not be read row by row: every
/// resource it names has a span.
pub(super) fn resources(
    snapshot: &Snapshot,
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<Arc<Resource<'static>>>> {
    let range = range.after(snapshot.cutoffs_ns[Signal::Traces as usize]);
    let mut found: Vec<Arc<Resource<'static>>> = Vec::new();
    for part in &snapshot.parts.spans {
        let part_info = &part.file.info;
        if range.contains(part_info.min_ns) && range.contains(part_info.max_ns) {
            found.extend((0..).map_while(|at| part.owners.resource(at).cloned()));
            tally.blocks_skipped.fetch_add(part.blocks.len() as u64, Relaxed);
            continue;
        }
        let mut places = HashSet::new();
        for info in &part.blocks {
            if !range.overlaps((info.min_ns, info.max_ns)) {
                tally.blocks_skipped.fetch_add(1, Relaxed);
                continue;
            }
            let Some(block) = snapshot.span_block(part, info, tally)? else { continue };
            let rows = block.resources.iter().zip(&block.starts);
            places.extend(rows.filter(|(_, t)| range.contains(clamp_time(**t))).map(|(r, _)| *r));
        }
        found.extend(places.into_iter().filter_map(|at| part.owners.resource(at).cloned()));
    }
    for view in &snapshot.heads {
        let tables = view.head.read();
        let mut seen = vec![false; tables.resources.values.len()];
        let rows = tables.spans.visible(view.visible);
        tally.add(0, rows.len() as u64 * 8)?;
        for row in rows.iter().filter(|row| range.contains(row.time_ns)) {
            seen[row.resource as usize] = true;
        }
        let values = tables.resources.values.iter().zip(seen);
        found.extend(values.filter(|(_, seen)| *seen).map(|(resource, _)| Arc::clone(resource)));
    }
    Ok(found)
}

pub(super) fn thinned(
    snapshot: &Snapshot,
    range: TimeRange,
    tally: &Tally,
    visit: &mut dyn FnMut(&ThinnedSpans<'_>),
) -> Result<bool> {
    let range = range.after(snapshot.cutoffs_ns[Signal::Traces as usize]);
    let mut is_complete = true;
    for part in &snapshot.parts.spans {
        if !range.overlaps((part.file.info.min_ns, part.file.info.max_ns)) {
            continue;
        }
        is_complete &= !part.thinned.is_incomplete;
        for counts in part.thinned.blocks().iter().filter(|c| range.overlaps(c.bounds_ns())) {
            let Some(block) = snapshot.bytes(&part.file, &counts.block, tally)? else {
                is_complete = false;
                continue;
            };
            tally.add(1, 0)?;
            part.each_count(&block, &mut |_, counted| {
                if range.overlaps(counted.bounds_ns()) {
                    visit(counted);
                }
            })?;
        }
    }
    Ok(is_complete)
}

/// Spans of one head: what a scan takes along so that it need not hold the lock.
#[derive(Debug)]
pub(super) struct HeadSpans {
    pub(super) rows: Vec<RowRef>,
    batches: Vec<Arc<Vec<u8>>>,
    resources: Vec<Arc<Resource<'static>>>,
    scopes: Vec<Arc<Scope<'static>>>,
    /// What is decoded of a row.
    pub(super) columns: SpanColumns,
}

impl HeadSpans {
    /// The rows that a scan hands out, all of which are looked at here; `None` without any.
    fn matching(
        view: &HeadView,
        range: TimeRange,
        filter: &SpanFilter,
        columns: SpanColumns,
        account: &mut Account<'_>,
    ) -> Result<Option<Self>> {
        let mut spans = HeadSpans::with_rows(view, Vec::new());
        spans.columns = columns;
        let filter = RowFilter::new(filter, spans.resources.iter().map(|r| &**r));
        let of: Vec<bool> = (0..spans.resources.len()).map(|at| filter.may_be_of(at)).collect();
        let may = |row: &&RowRef| {
            range.contains(row.time_ns) && of.get(row.resource as usize) == Some(&true)
        };
        let tables = view.head.read();
        let visible = tables.spans.visible(view.visible);
        let candidates: Vec<RowRef> = visible.iter().filter(may).copied().collect();
        let passed_over = visible.len() - candidates.len();
        drop(tables);
        account.pass_over(passed_over)?;
        let mut rows = Vec::new();
        for row in &candidates {
            let bytes = spans.bytes(row).ok_or_else(bad_head)?;
            account.add(bytes.len())?;
            if filter.matches(bytes, row.resource as usize).ok_or_else(bad_head)? {
                rows.push(*row);
            }
        }
        spans.rows = rows;
        Ok((!spans.rows.is_empty()).then_some(spans))
    }

    pub(super) fn with_rows(view: &HeadView, rows: Vec<RowRef>) -> Self {
        let tables = view.head.read();
        HeadSpans {
            rows,
            batches: tables.batches.clone(),
            resources: tables.resources.values.clone(),
            scopes: tables.scopes.values.clone(),
            columns: SpanColumns::ALL,
        }
    }

    /// A row, as its payload has it.
    fn bytes(&self, row: &RowRef) -> Option<&[u8]> {
        // Its length stands before it.
        let payload = self.batches.get(row.batch as usize)?;
        let len = payload.get((row.offset as usize).checked_sub(4)?..row.offset as usize)?;
        let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
        payload.get(row.offset as usize..(row.offset as usize).checked_add(len)?)
    }

    /// A span and its encoded size.
    pub(super) fn span(&self, row: u32) -> Result<(StoredSpan<'_>, usize)> {
        self.decode(row).ok_or_else(bad_head)
    }

    fn decode(&self, row: u32) -> Option<(StoredSpan<'_>, usize)> {
        let row = self.rows.get(row as usize)?;
        let bytes = self.bytes(row)?;
        let SpanColumns { attributes, details, .. } = self.columns;
        let span = StoredSpan {
            span: row::span_with(&mut Reader::new(bytes), attributes, details)?,
            resource: Arc::clone(self.resources.get(row.resource as usize)?),
            scope: Arc::clone(self.scopes.get(row.scope as usize)?),
        };
        Some((span, bytes.len()))
    }
}
