//! Spans and traces of a snapshot.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::logs::{Account, bounds_of, times_of};
use super::{HeadView, Snapshot, SpanScan, bad_head};
use crate::bytes::Reader;
use crate::error::Result;
use crate::head::RowRef;
use crate::model::{Resource, Scope, StoredSpan, TraceId};
use crate::row;
use crate::scan::{self, Opening, Run};
use crate::tally::Tally;

pub(super) fn scan(
    snapshot: &Snapshot,
    scan: &SpanScan<'_>,
    tally: &Tally,
    visit: &mut dyn FnMut(&StoredSpan<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let filter = scan.filter.anchored();
    let heads: Vec<HeadSpans> =
        snapshot.heads.iter().filter_map(|view| HeadSpans::new(view, scan)).collect();
    let runs: Vec<&HeadSpans> = heads.iter().collect();
    let mut account = Account::new(tally);
    scan::scan(&runs, scan.order, &mut |open: &&HeadSpans, row| {
        let (span, bytes) = open.span(row)?;
        account.add(bytes)?;
        if !filter.matches(&span.span, &span.resource) {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(visit(&span))
    })?;
    account.settle()
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
    for view in &snapshot.heads {
        let rows = view.head.read().spans.of_trace(trace, view.visible);
        let spans = HeadSpans::with_rows(view, rows);
        for row in 0..spans.rows.len() as u32 {
            let (span, bytes) = spans.span(row)?;
            tally.add(1, bytes as u64)?;
            found.push(span.into_owned());
        }
    }
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
    fn new(view: &HeadView, scan: &SpanScan<'_>) -> Option<Self> {
        let tables = view.head.read();
        let rows: Vec<RowRef> = tables
            .spans
            .visible(view.visible)
            .iter()
            .filter(|row| scan.range.contains(row.time_ns))
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

impl<'a> Run for &'a HeadSpans {
    type Open = &'a HeadSpans;

    fn bounds(&self) -> (i64, i64) {
        bounds_of(&self.rows)
    }

    fn open(&self) -> Result<Opening<&'a HeadSpans>> {
        Ok((self, times_of(&self.rows)))
    }
}
