//! Log streams and records of a snapshot.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{HeadView, LogScan, ROWS_PER_TALLY, Snapshot, TimeRange, bad_head};
use crate::bytes::Reader;
use crate::error::Result;
use crate::filter::LineFilter;
use crate::head::RowRef;
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::model::{Resource, Scope, StoredLog, TraceId};
use crate::row;
use crate::scan::{self, Opening, Run};
use crate::tally::Tally;

pub(super) fn streams(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<Labels>> {
    let mut found = BTreeSet::new();
    for view in &snapshot.heads {
        let tables = view.head.read();
        let mut wanted = matching_streams(&tables.streams.values, matchers);
        let rows = tables.logs.visible(view.visible);
        tally.add(0, rows.len() as u64 * 8)?;
        for row in rows {
            let stream = row.stream as usize;
            if wanted[stream] && range.contains(row.time_ns) {
                wanted[stream] = false;
                found.insert(Labels::clone(&tables.streams.values[stream]));
            }
        }
    }
    Ok(found.into_iter().collect())
}

pub(super) fn matching_streams(streams: &[Arc<Labels>], matchers: &[Matcher]) -> Vec<bool> {
    streams.iter().map(|s| matchers.iter().all(|m| m.matches_labels(s))).collect()
}

pub(super) fn scan(
    snapshot: &Snapshot,
    scan: &LogScan<'_>,
    tally: &Tally,
    visit: &mut dyn FnMut(&StoredLog<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let heads: Vec<HeadLogs> =
        snapshot.heads.iter().filter_map(|view| HeadLogs::new(view, scan)).collect();
    let runs: Vec<&HeadLogs> = heads.iter().collect();
    let mut account = Account::new(tally);
    scan::scan(&runs, scan.order, &mut |open: &&HeadLogs, row| {
        let (log, bytes) = open.record(row)?;
        account.add(bytes)?;
        if !line_matches(scan.lines, &log) {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(visit(&log))
    })?;
    account.settle()
}

fn line_matches(lines: &[LineFilter], log: &StoredLog<'_>) -> bool {
    if lines.is_empty() {
        return true;
    }
    let line = log.record.body.as_text();
    lines.iter().all(|filter| filter.matches(&line))
}

pub(super) fn of_trace(
    snapshot: &Snapshot,
    trace: TraceId,
    tally: &Tally,
) -> Result<Vec<StoredLog<'static>>> {
    let mut found = Vec::new();
    for view in &snapshot.heads {
        let rows = view.head.read().logs.of_trace(trace, view.visible);
        let logs = HeadLogs::with_rows(view, rows);
        for row in 0..logs.rows.len() as u32 {
            let (log, bytes) = logs.record(row)?;
            tally.add(1, bytes as u64)?;
            found.push(log.into_owned());
        }
    }
    found.sort_by_key(|log| log.record.time_ns);
    Ok(found)
}

/// Log records of one head: what a scan takes along so that it need not hold the lock.
#[derive(Debug)]
struct HeadLogs {
    rows: Vec<RowRef>,
    batches: Vec<Arc<Vec<u8>>>,
    streams: Vec<Arc<Labels>>,
    resources: Vec<Arc<Resource<'static>>>,
    scopes: Vec<Arc<Scope<'static>>>,
}

impl HeadLogs {
    fn new(view: &HeadView, scan: &LogScan<'_>) -> Option<Self> {
        let tables = view.head.read();
        let wanted = matching_streams(&tables.streams.values, scan.streams);
        let rows: Vec<RowRef> = tables
            .logs
            .visible(view.visible)
            .iter()
            .filter(|row| wanted[row.stream as usize] && scan.range.contains(row.time_ns))
            .copied()
            .collect();
        drop(tables);
        (!rows.is_empty()).then(|| HeadLogs::with_rows(view, rows))
    }

    fn with_rows(view: &HeadView, rows: Vec<RowRef>) -> Self {
        let tables = view.head.read();
        HeadLogs {
            rows,
            batches: tables.batches.clone(),
            streams: tables.streams.values.clone(),
            resources: tables.resources.values.clone(),
            scopes: tables.scopes.values.clone(),
        }
    }

    /// A record and its encoded size.
    fn record(&self, row: u32) -> Result<(StoredLog<'_>, usize)> {
        self.decode(row).ok_or_else(bad_head)
    }

    fn decode(&self, row: u32) -> Option<(StoredLog<'_>, usize)> {
        let row = self.rows.get(row as usize)?;
        let bytes = self.batches.get(row.batch as usize)?.get(row.offset as usize..)?;
        let mut r = Reader::new(bytes);
        let log = StoredLog {
            record: row::log(&mut r)?,
            stream: Labels::clone(self.streams.get(row.stream as usize)?),
            resource: Arc::clone(self.resources.get(row.resource as usize)?),
            scope: Arc::clone(self.scopes.get(row.scope as usize)?),
        };
        Some((log, bytes.len() - r.remaining()))
    }
}

impl<'a> Run for &'a HeadLogs {
    type Open = &'a HeadLogs;

    fn bounds(&self) -> (i64, i64) {
        bounds_of(&self.rows)
    }

    fn open(&self) -> Result<Opening<&'a HeadLogs>> {
        Ok((self, times_of(&self.rows)))
    }
}

pub(super) fn bounds_of(rows: &[RowRef]) -> (i64, i64) {
    let times = || rows.iter().map(|row| row.time_ns);
    (times().min().unwrap_or(i64::MAX), times().max().unwrap_or(i64::MIN))
}

pub(super) fn times_of(rows: &[RowRef]) -> Vec<(i64, u32)> {
    rows.iter().enumerate().map(|(at, row)| (row.time_ns, at as u32)).collect()
}

/// Tells the tally in steps, not for every row.
#[derive(Debug)]
pub(super) struct Account<'a> {
    tally: &'a Tally,
    rows: usize,
    bytes: usize,
}

impl<'a> Account<'a> {
    pub(super) fn new(tally: &'a Tally) -> Self {
        Account { tally, rows: 0, bytes: 0 }
    }

    pub(super) fn add(&mut self, bytes: usize) -> Result<()> {
        self.rows += 1;
        self.bytes += bytes;
        if self.rows >= ROWS_PER_TALLY { self.settle() } else { Ok(()) }
    }

    pub(super) fn settle(&mut self) -> Result<()> {
        let (rows, bytes) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.bytes));
        self.tally.add(rows as u64, bytes as u64)
    }
}
