//! Spans and traces of a snapshot.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::logs::{Account, bounds_of, times_of};
use super::{HeadView, Snapshot, SpanScan, TimeRange, bad_head};
use crate::bytes::Reader;
use crate::error::Result;
use crate::filter::{Compare, Field, SpanFilter};
use crate::head::{RowRef, clamp_time};
use crate::model::{Resource, Scope, StoredSpan, TraceId, Value};
use crate::part::spans::{SpanBlock, SpanBlockInfo, SpansPart};
use crate::part::{Signal, blocks_of};
use crate::row;
use crate::scan::{self, Opening, Run};
use crate::tally::Tally;

pub(super) fn scan(
    snapshot: &Snapshot,
    scan: &SpanScan<'_>,
    tally: &Tally,
    visit: &mut dyn FnMut(&StoredSpan<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let filter = &scan.filter.anchored();
    let range = scan.range.after(snapshot.cutoffs_ns[Signal::Traces as usize]);
    let heads: Vec<HeadSpans> =
        snapshot.heads.iter().filter_map(|view| HeadSpans::new(view, range)).collect();
    let mut runs = Vec::new();
    for part in &snapshot.parts.spans {
        for info in &part.blocks {
            if range.overlaps((info.min_ns, info.max_ns)) && may_match(filter, info) {
                runs.push(SpanRun::Part(PartSpans { snapshot, part, info, range, filter, tally }));
            } else {
                tally.blocks_skipped.fetch_add(1, Relaxed);
            }
        }
    }
    runs.extend(heads.iter().map(SpanRun::Head));
    let mut account = Account::new(tally);
    scan::scan(&runs, scan.order, &mut |open: &SpanOpen<'_>, row| match open {
        SpanOpen::Head(head) => {
            let (span, bytes) = head.span(row)?;
            account.add(bytes)?;
            if !filter.matches(&span.span, &span.resource) {
                return Ok(ControlFlow::Continue(()));
            }
            Ok(visit(&span))
        }
        SpanOpen::Part(part, block) => {
            account.add(0)?;
            let span = part.stored(block, row as usize);
            Ok(visit(&span.ok_or_else(|| part.file.corrupt("a span row is malformed"))?))
        }
    })?;
    account.settle()
}

/// Whether a span of the block could satisfy the condition, by what the footer knows.
fn may_match(filter: &SpanFilter, info: &SpanBlockInfo) -> bool {
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

/// A head or a block of a part.
enum SpanRun<'a> {
    Head(&'a HeadSpans),
    Part(PartSpans<'a>),
}

enum SpanOpen<'a> {
    Head(&'a HeadSpans),
    Part(&'a SpansPart, Arc<SpanBlock>),
}

struct PartSpans<'a> {
    snapshot: &'a Snapshot,
    part: &'a SpansPart,
    info: &'a SpanBlockInfo,
    range: TimeRange,
    filter: &'a SpanFilter,
    tally: &'a Tally,
}

impl<'a> PartSpans<'a> {
    /// Reads the block; the rows are those that satisfy the scan. A damaged block has none.
    fn open(&self) -> Result<Opening<SpanOpen<'a>>> {
        let Some(block) = self.snapshot.span_block(self.part, self.info, self.tally)? else {
            return Ok((SpanOpen::Part(self.part, Arc::new(SpanBlock::default())), Vec::new()));
        };
        let matching = self.part.matching(&block, self.filter);
        let times = block.starts.iter().map(|&start| clamp_time(start)).enumerate();
        let rows: Vec<(i64, u32)> = times
            .filter(|(row, time)| matching[*row] && self.range.contains(*time))
            .map(|(row, time)| (time, row as u32))
            .collect();
        self.tally.add((block.len() - rows.len()) as u64, 0)?;
        Ok((SpanOpen::Part(self.part, block), rows))
    }
}

impl<'a> Run for SpanRun<'a> {
    type Open = SpanOpen<'a>;

    fn bounds(&self) -> (i64, i64) {
        match self {
            SpanRun::Head(head) => bounds_of(&head.rows),
            SpanRun::Part(part) => (part.info.min_ns, part.info.max_ns),
        }
    }

    fn open(&self) -> Result<Opening<SpanOpen<'a>>> {
        match self {
            SpanRun::Head(head) => Ok((SpanOpen::Head(head), times_of(&head.rows))),
            SpanRun::Part(part) => part.open(),
        }
    }
}

pub(super) fn of_trace(
    snapshot: &Snapshot,
    trace: TraceId,
    tally: &Tally,
) -> Result<Vec<StoredSpan<'static>>> {
    let mut found: Vec<StoredSpan<'static>> = Vec::new();
    if trace == [0; 16] {
        return Ok(found);
    }
    for part in &snapshot.parts.spans {
        let Some(index) = part.traces.block_of(trace) else { continue };
        let Some(index) = snapshot.bytes(&part.file, index, tally)? else { continue };
        let blocks = blocks_of(&index, trace)
            .ok_or_else(|| part.file.corrupt("its trace index is malformed"))?;
        for info in blocks.iter().filter_map(|&block| part.blocks.get(block as usize)) {
            let Some(block) = snapshot.span_block(part, info, tally)? else { continue };
            let ids = block.trace_ids.iter().enumerate();
            for (row, _) in ids.filter(|(_, id)| **id == trace) {
                let span = part.stored(&block, row);
                let span = span.ok_or_else(|| part.file.corrupt("a span row is malformed"))?;
                tally.add(1, 0)?;
                found.push(span.into_owned());
            }
        }
    }
    for view in &snapshot.heads {
        let rows = view.head.read().spans.of_trace(trace, view.visible);
        let spans = HeadSpans::with_rows(view, rows);
        for row in 0..spans.rows.len() as u32 {
            let (span, bytes) = spans.span(row)?;
            tally.add(1, bytes as u64)?;
            found.push(span.into_owned());
        }
    }
    let cutoff_ns = snapshot.cutoffs_ns[Signal::Traces as usize];
    found.retain(|s| clamp_time(s.span.start_ns) >= cutoff_ns);
    found.sort_by_key(|s| s.span.start_ns);
    forget_repeats(&mut found);
    Ok(found)
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

/// Spans of one head: what a scan takes along so that it need not hold the lock.
#[derive(Debug)]
struct HeadSpans {
    rows: Vec<RowRef>,
    batches: Vec<Arc<Vec<u8>>>,
    resources: Vec<Arc<Resource<'static>>>,
    scopes: Vec<Arc<Scope<'static>>>,
}

impl HeadSpans {
    fn new(view: &HeadView, range: TimeRange) -> Option<Self> {
        let tables = view.head.read();
        let rows: Vec<RowRef> = tables
            .spans
            .visible(view.visible)
            .iter()
            .filter(|row| range.contains(row.time_ns))
            .copied()
            .collect();
        drop(tables);
        (!rows.is_empty()).then(|| HeadSpans::with_rows(view, rows))
    }

    fn with_rows(view: &HeadView, rows: Vec<RowRef>) -> Self {
        let tables = view.head.read();
        HeadSpans {
            rows,
            batches: tables.batches.clone(),
            resources: tables.resources.values.clone(),
            scopes: tables.scopes.values.clone(),
        }
    }

    /// A span and its encoded size.
    fn span(&self, row: u32) -> Result<(StoredSpan<'_>, usize)> {
        self.decode(row).ok_or_else(bad_head)
    }

    fn decode(&self, row: u32) -> Option<(StoredSpan<'_>, usize)> {
        let row = self.rows.get(row as usize)?;
        let bytes = self.batches.get(row.batch as usize)?.get(row.offset as usize..)?;
        let mut r = Reader::new(bytes);
        let span = StoredSpan {
            span: row::span(&mut r)?,
            resource: Arc::clone(self.resources.get(row.resource as usize)?),
            scope: Arc::clone(self.scopes.get(row.scope as usize)?),
        };
        Some((span, bytes.len() - r.remaining()))
    }
}
