//! Traces of a snapshot: whole, or what is known of them without looking at all their spans.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use super::spans::{HeadSpans, Pages, Sieves, by_cost, may_match};
use super::{Snapshot, SpanColumns};
use crate::error::Result;
use crate::filter::SpanFilter;
use crate::head::clamp_time;
use crate::model::{SpanId, StatusCode, StoredSpan, TraceId};
use crate::part::Signal;
use crate::part::spans::{
    Sought, SpanRows, SpansPart, TracePage, Traces, needs_attributes, service_of,
};
use crate::row;
use crate::tally::Tally;

/// What a trace adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceOverview {
    /// First start of a span, in Unix nanoseconds.
    pub start_ns: u64,
    /// Last end of a span, in Unix nanoseconds.
    pub end_ns: u64,
    /// Service and name of the first span without a parent; `None` while that has not come.
    pub root: Option<(String, String)>,
    /// Spans and spans with an error of each service, by its name.
    pub services: BTreeMap<String, (u64, u64)>,
}

pub(super) fn whole(
    snapshot: &Snapshot,
    trace: TraceId,
    tally: &Tally,
) -> Result<Vec<StoredSpan<'static>>> {
    let mut found: Vec<StoredSpan<'static>> = Vec::new();
    if trace == [0; 16] {
        return Ok(found);
    }
    for part in &snapshot.parts.spans {
        spans_of_part(snapshot, part, trace, tally, &mut found)?;
    }
    spans_of_heads(snapshot, trace, tally, &mut found)?;
    let cutoff_ns = snapshot.cutoffs_ns[Signal::Traces as usize];
    found.retain(|s| clamp_time(s.span.start_ns) >= cutoff_ns);
    found.sort_by_key(|s| s.span.start_ns);
    forget_repeats(&mut found);
    Ok(found)
}

/// Adds the spans of a trace that are in heads.
fn spans_of_heads(
    snapshot: &Snapshot,
    trace: TraceId,
    tally: &Tally,
    found: &mut Vec<StoredSpan<'static>>,
) -> Result<()> {
    for view in &snapshot.heads {
        let rows = view.head.read().spans.of_trace(trace, view.visible);
        let spans = HeadSpans::with_rows(view, rows);
        for row in 0..spans.rows.len() as u32 {
            let (span, bytes) = spans.span(row)?;
            tally.add(1, bytes as u64)?;
            found.push(span.into_owned());
        }
    }
    Ok(())
}

/// Adds a part's spans of a trace.
fn spans_of_part(
    snapshot: &Snapshot,
    part: &SpansPart,
    trace: TraceId,
    tally: &Tally,
    found: &mut Vec<StoredSpan<'static>>,
) -> Result<()> {
    match &part.traces {
        Traces::Index(index) => {
            let Some(index) = index.block_of(trace) else { return Ok(()) };
            let Some(index) = snapshot.bytes(&part.file, index, tally)? else { return Ok(()) };
            for at in part.blocks_by_index(&index, trace)? {
                let Some(rows) = whole_block(snapshot, part, at, tally)? else { continue };
                for row in rows.block.rows_with(trace) {
                    take(part, &rows, row, None, tally, found)?;
                }
            }
        }
        Traces::Table(_) => {
            each_page(snapshot, part, trace, tally, &mut |page, number| {
                spans_of_number(snapshot, part, page, number, tally, found)
            })?;
        }
    }
    Ok(())
}

/// Calls `visit` with each page of a part that has the trace, and its number there: one
/// mostly.
fn each_page(
    snapshot: &Snapshot,
    part: &SpansPart,
    trace: TraceId,
    tally: &Tally,
    visit: &mut dyn FnMut(&TracePage, u64) -> Result<()>,
) -> Result<()> {
    let Traces::Table(table) = &part.traces else { return Ok(()) };
    for (_, index) in table.index_blocks(trace) {
        let Some(index) = snapshot.trace_index(part, index, tally)? else { continue };
        for number in table.numbers(&index, trace) {
            let Some(page) = Pages::new(snapshot, tally).page(part, number)? else { continue };
            // The index knows hashes only.
            if page.id(number) == Some(trace) {
                visit(&page, number)?;
            }
        }
    }
    Ok(())
}

/// Adds the spans of the trace with this number.
fn spans_of_number(
    snapshot: &Snapshot,
    part: &SpansPart,
    page: &TracePage,
    number: u64,
    tally: &Tally,
    found: &mut Vec<StoredSpan<'static>>,
) -> Result<()> {
    for at in page.blocks_of(number).unwrap_or_default() {
        let Some(rows) = whole_block(snapshot, part, at, tally)? else { continue };
        for row in rows.block.rows_of(number) {
            take(part, &rows, row, Some(page), tally, found)?;
        }
    }
    Ok(())
}

/// All pieces of a block; `None` if one is damaged.
fn whole_block(
    snapshot: &Snapshot,
    part: &SpansPart,
    at: u32,
    tally: &Tally,
) -> Result<Option<SpanRows>> {
    let Some(info) = part.blocks.get(at as usize) else { return Ok(None) };
    let Some(block) = snapshot.span_block(part, info, tally)? else { return Ok(None) };
    let attributes = snapshot.span_attributes(part, info, &block, tally)?;
    let details = snapshot.span_details(part, info, &block, tally)?;
    let whole = attributes.is_some() && details.is_some();
    Ok(whole.then_some(SpanRows { at, block, attributes, details }))
}

fn take(
    part: &SpansPart,
    rows: &SpanRows,
    row: usize,
    page: Option<&TracePage>,
    tally: &Tally,
    found: &mut Vec<StoredSpan<'static>>,
) -> Result<()> {
    let span = rows.ids(row, page).and_then(|ids| rows.stored(part, row, ids));
    let span = span.ok_or_else(|| part.file.corrupt("a span row is malformed"))?;
    tally.add(1, 0)?;
    found.push(span.into_owned());
    Ok(())
}

/// A sender that got no answer sends again: spans that are equal in every byte are one.
fn forget_repeats(spans: &mut Vec<StoredSpan<'static>>) {
    let mut seen = HashSet::new();
    spans.retain(|stored| {
        let mut bytes = Vec::new();
        // What is stored was not too deep to be written once, so it is not now.
        let _ = row::put_resource(&mut bytes, &stored.resource);
        let _ = row::put_scope(&mut bytes, &stored.scope);
        let _ = row::put_span(&mut bytes, &stored.span);
        seen.insert(bytes)
    });
}

/// `None` if the spans must be looked at: the trace is unknown, or has spans with one id,
/// which may be one that was sent twice, or lies in a part that sums nothing up.
pub(super) fn overview(
    snapshot: &Snapshot,
    trace: TraceId,
    tally: &Tally,
) -> Result<Option<TraceOverview>> {
    let mut sums = Sums::default();
    if trace == [0; 16] {
        return Ok(None);
    }
    for part in &snapshot.parts.spans {
        if sums_of_part(snapshot, part, trace, tally, &mut sums)?.is_break() {
            return Ok(None);
        }
    }
    for view in &snapshot.heads {
        let rows = view.head.read().spans.of_trace(trace, view.visible);
        let mut spans = HeadSpans::with_rows(view, rows);
        spans.columns = SpanColumns::NONE;
        for row in 0..spans.rows.len() as u32 {
            let (StoredSpan { span, resource, .. }, bytes) = spans.span(row)?;
            tally.add(1, bytes as u64)?;
            let (start_ns, end_ns) = (clamp_time(span.start_ns), clamp_time(span.end_ns));
            sums.reach(start_ns, end_ns);
            let service = service_of(&resource);
            if span.parent_span_id == [0; 8] {
                sums.root(start_ns, span.span_id, service, &span.name);
            }
            sums.span(span.span_id, service, span.status == StatusCode::Error);
        }
    }
    let cutoff_ns = snapshot.cutoffs_ns[Signal::Traces as usize];
    Ok(sums.finish(cutoff_ns))
}

fn sums_of_part(
    snapshot: &Snapshot,
    part: &SpansPart,
    trace: TraceId,
    tally: &Tally,
    sums: &mut Sums,
) -> Result<ControlFlow<()>> {
    let table = match &part.traces {
        Traces::Table(table) => table,
        Traces::Index(index) => {
            let Some(index) = index.block_of(trace) else { return Ok(ControlFlow::Continue(())) };
            let Some(index) = snapshot.bytes(&part.file, index, tally)? else {
                return Ok(ControlFlow::Break(()));
            };
            return Ok(match part.blocks_by_index(&index, trace)?.is_empty() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            });
        }
    };
    let mut flow = ControlFlow::Continue(());
    each_page(snapshot, part, trace, tally, &mut |page, number| {
        let (Some(services), Some(sum)) = (table.services(), page.sum(number)) else {
            flow = ControlFlow::Break(());
            return Ok(());
        };
        let service = |number: u32| {
            let name = services.get(number as usize);
            name.map(|name| &**name).ok_or_else(|| part.file.corrupt("a service is not there"))
        };
        sums.reach(sum.start_ns, sum.end_ns);
        if let Some((start_ns, id, number, name)) = sum.root {
            sums.root(start_ns, id, service(number)?, name);
        }
        for (id, number, failed) in sum.spans {
            sums.span(id, service(number)?, failed);
        }
        Ok(())
    })?;
    Ok(flow)
}

/// Adds a trace up.
#[derive(Debug, Default)]
struct Sums {
    bounds_ns: Option<(i64, i64)>,
    root: Option<((i64, SpanId), (String, String))>,
    services: BTreeMap<String, (u64, u64)>,
    seen: HashSet<SpanId>,
    has_repeats: bool,
}

impl Sums {
    fn reach(&mut self, start_ns: i64, end_ns: i64) {
        let (start, end) = self.bounds_ns.unwrap_or((start_ns, end_ns));
        self.bounds_ns = Some((start.min(start_ns), end.max(end_ns)));
    }

    fn root(&mut self, start_ns: i64, id: SpanId, service: &str, name: &str) {
        if self.root.as_ref().is_none_or(|(known, _)| (start_ns, id) < *known) {
            self.root = Some(((start_ns, id), (service.to_owned(), name.to_owned())));
        }
    }

    fn span(&mut self, id: SpanId, service: &str, failed: bool) {
        self.has_repeats |= !self.seen.insert(id);
        if !self.services.contains_key(service) {
            self.services.insert(service.to_owned(), (0, 0));
        }
        if let Some((spans, errors)) = self.services.get_mut(service) {
            (*spans, *errors) = (*spans + 1, *errors + u64::from(failed));
        }
    }

    fn finish(self, cutoff_ns: i64) -> Option<TraceOverview> {
        // Of a time beyond the end of the scale only that is known.
        let bounds = self.bounds_ns.filter(|(start, end)| *start >= cutoff_ns && *end < i64::MAX);
        let (start_ns, end_ns) = bounds.filter(|_| !self.has_repeats)?;
        Some(TraceOverview {
            start_ns: u64::try_from(start_ns).ok()?,
            end_ns: u64::try_from(end_ns).ok()?,
            root: self.root.map(|(_, root)| root),
            services: self.services,
        })
    }
}

/// Spans of a trace that satisfy a condition, by start time.
pub(super) fn matching(
    snapshot: &Snapshot,
    trace: TraceId,
    filter: &SpanFilter,
    columns: SpanColumns,
    tally: &Tally,
) -> Result<Vec<StoredSpan<'static>>> {
    let filter = &filter.anchored();
    let sought = Sought::of(filter);
    let mut found = Vec::new();
    for part in &snapshot.parts.spans {
        if let Traces::Index(_) = &part.traces {
            spans_of_part(snapshot, part, trace, tally, &mut found)?;
            continue;
        }
        let mut sieves = Sieves::new(snapshot, part, &sought, tally);
        each_page(snapshot, part, trace, tally, &mut |page, number| {
            let mut of = OfTrace { snapshot, part, page, number, tally, found: &mut found };
            for at in page.blocks_of(number).unwrap_or_default() {
                let Some(info) = part.blocks.get(at as usize) else { continue };
                if may_match(filter, info) && sieves.may_pass(info)? {
                    of.block(at, filter, columns)?;
                }
            }
            Ok(())
        })?;
    }
    spans_of_heads(snapshot, trace, tally, &mut found)?;
    let cutoff_ns = snapshot.cutoffs_ns[Signal::Traces as usize];
    found.retain(|s| {
        clamp_time(s.span.start_ns) >= cutoff_ns && filter.matches(&s.span, &s.resource)
    });
    found.sort_by_key(|s| s.span.start_ns);
    forget_repeats(&mut found);
    Ok(found)
}

/// Looks for the spans of one trace in blocks.
struct OfTrace<'a> {
    snapshot: &'a Snapshot,
    part: &'a SpansPart,
    page: &'a TracePage,
    number: u64,
    tally: &'a Tally,
    found: &'a mut Vec<StoredSpan<'static>>,
}

impl OfTrace<'_> {
    /// Reads as little of a block as will do.
    fn block(&mut self, at: u32, filter: &SpanFilter, columns: SpanColumns) -> Result<()> {
        let (part, tally) = (self.part, self.tally);
        let Some(info) = part.blocks.get(at as usize) else { return Ok(()) };
        let Some(block) = self.snapshot.span_block(part, info, tally)? else { return Ok(()) };
        let mut rows = SpanRows { at, block, attributes: None, details: None };
        let mut wanted = rows.block.rows_of(self.number);
        let filters = by_cost(filter);
        let (cheap, dear): (Vec<&SpanFilter>, _) =
            filters.into_iter().partition(|filter| !needs_attributes(filter));
        self.retain(&rows, &mut wanted, &cheap)?;
        if wanted.is_empty() {
            return Ok(());
        }
        if columns.attributes || !dear.is_empty() {
            rows.attributes = self.snapshot.span_attributes(part, info, &rows.block, tally)?;
            if rows.attributes.is_none() {
                return Ok(());
            }
            self.retain(&rows, &mut wanted, &dear)?;
        }
        if columns.details && !wanted.is_empty() {
            rows.details = self.snapshot.span_details(part, info, &rows.block, tally)?;
            if rows.details.is_none() {
                return Ok(());
            }
        }
        for row in wanted {
            take(part, &rows, row, Some(self.page), tally, self.found)?;
        }
        Ok(())
    }

    /// Keeps the rows that satisfy all conditions.
    fn retain(
        &self,
        rows: &SpanRows,
        wanted: &mut Vec<usize>,
        filters: &[&SpanFilter],
    ) -> Result<()> {
        let mut kept = Vec::new();
        for &row in wanted.iter() {
            let stored = rows.stored(self.part, row, ([0; 16], [0; 8], [0; 8]));
            let stored = stored.ok_or_else(|| self.part.file.corrupt("a span row is malformed"))?;
            if filters.iter().all(|filter| filter.matches(&stored.span, &stored.resource)) {
                kept.push(row);
            }
        }
        *wanted = kept;
        Ok(())
    }
}
