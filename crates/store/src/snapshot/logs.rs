//! Log streams and records of a snapshot.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{HeadView, LogScan, ROWS_PER_TALLY, Snapshot, TimeRange, bad_head};
use crate::bytes::Reader;
use crate::error::Result;
use crate::head::{RowRef, clamp_time};
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::model::{Resource, Scope, StoredLog, TraceId};
use crate::part::logs::{LogBlockInfo, LogRows, LogsPart};
use crate::part::{Signal, blocks_of};
use crate::row::{self, LogStart};
use crate::scan::{self, Opening, Run};
use crate::search::LineSearch;
use crate::tally::Tally;
use crate::words::SoughtWords;

pub(super) fn streams(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<Labels>> {
    let range = range.after(snapshot.cutoffs_ns[Signal::Logs as usize]);
    let mut found = BTreeSet::new();
    for part in &snapshot.parts.logs {
        let wanted = matching_of_part(part, matchers);
        for (stream, wanted) in part.streams.iter().zip(wanted) {
            if wanted && range.overlaps((stream.min_ns, stream.max_ns)) {
                found.insert(stream.labels.clone());
            }
        }
        tally.add(0, part.streams.len() as u64 * 64)?;
    }
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

pub(super) fn matching_of_part(part: &LogsPart, matchers: &[Matcher]) -> Vec<bool> {
    let matches = |labels: &Labels| matchers.iter().all(|m| m.matches_labels(labels));
    part.streams.iter().map(|stream| matches(&stream.labels)).collect()
}

pub(super) fn scan(
    snapshot: &Snapshot,
    scan: &LogScan<'_>,
    tally: &Tally,
    visit: &mut dyn FnMut(&StoredLog<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let range = scan.range.after(snapshot.cutoffs_ns[Signal::Logs as usize]);
    let scan = &LogScan { range, ..scan.clone() };
    let wanted: Vec<Vec<bool>> =
        snapshot.parts.logs.iter().map(|part| matching_of_part(part, scan.streams)).collect();
    let search = &LineSearch::new(scan.lines);
    let heads: Vec<HeadLogs> =
        snapshot.heads.iter().filter_map(|view| HeadLogs::new(view, scan, search)).collect();
    let blocks = wanted_blocks(snapshot, (scan, search), &wanted, tally)?;
    let mut runs: Vec<LogRun<'_>> = blocks.into_iter().map(LogRun::Part).collect();
    runs.extend(heads.iter().map(LogRun::Head));
    let mut account = Account::new(tally);
    scan::scan(&runs, scan.order, tally.threads(), &mut |open: &LogOpen<'_>, row| match open {
        LogOpen::Head(head) => {
            let (log, bytes) = head.record(row)?;
            account.add(bytes)?;
            if !search.matches(&log.record.body) {
                return Ok(ControlFlow::Continue(()));
            }
            Ok(visit(&log))
        }
        LogOpen::Part(part, rows) => {
            account.add(0)?;
            let log = rows.stored(part, row as usize);
            Ok(visit(&log.ok_or_else(|| part.file.corrupt("a log row is malformed"))?))
        }
    })?;
    account.settle()
}

/// Blocks that may have rows for the scan.
pub(super) fn wanted_blocks<'a>(
    snapshot: &'a Snapshot,
    (scan, search): (&'a LogScan<'a>, &'a LineSearch<'a>),
    wanted: &'a [Vec<bool>],
    tally: &'a Tally,
) -> Result<Vec<PartLogs<'a>>> {
    let mut blocks = Vec::new();
    for (part, wanted) in snapshot.parts.logs.iter().zip(wanted) {
        let mut filters = Filters { snapshot, part, sought: &search.words, tally, page: None };
        for info in &part.blocks {
            let (first, last) = (info.streams.0 as usize, info.streams.1 as usize);
            let any = wanted.get(first..=last).is_some_and(|streams| streams.contains(&true));
            let within = any && scan.range.overlaps((info.min_ns, info.max_ns));
            if within && filters.may_pass(info)? {
                blocks.push(PartLogs { snapshot, part, info, wanted, scan, search, tally });
            } else {
                tally.blocks_skipped.fetch_add(1, Relaxed);
            }
        }
    }
    Ok(blocks)
}

/// Whether blocks of a part have what is sought, by their filters.
struct Filters<'a> {
    snapshot: &'a Snapshot,
    part: &'a LogsPart,
    sought: &'a SoughtWords,
    tally: &'a Tally,
    /// The page last used; `None` in it if that is damaged: then anything may pass.
    page: Option<(u32, Option<Arc<Vec<u8>>>)>,
}

impl Filters<'_> {
    fn may_pass(&mut self, info: &LogBlockInfo) -> Result<bool> {
        let (Some(words), false) = (&info.words, self.sought.is_nothing()) else { return Ok(true) };
        if words.is_empty() {
            return Ok(false);
        }
        if self.page.as_ref().is_none_or(|(at, _)| *at != words.page) {
            let page = match self.part.words.get(words.page as usize) {
                Some(page) => self.snapshot.bytes(&self.part.file, page, self.tally)?,
                None => None,
            };
            self.page = Some((words.page, page));
        }
        let page = self.page.as_ref().and_then(|(_, page)| page.as_ref());
        let filter = page.and_then(|page| words.of(page));
        Ok(filter.is_none_or(|filter| self.sought.may_be_in(filter)))
    }
}

/// A head or a block of a part.
enum LogRun<'a> {
    Head(&'a HeadLogs),
    Part(PartLogs<'a>),
}

enum LogOpen<'a> {
    Head(&'a HeadLogs),
    Part(&'a LogsPart, LogRows),
}

pub(super) struct PartLogs<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) part: &'a LogsPart,
    pub(super) info: &'a LogBlockInfo,
    /// Which streams of the part.
    pub(super) wanted: &'a [bool],
    pub(super) scan: &'a LogScan<'a>,
    pub(super) search: &'a LineSearch<'a>,
    pub(super) tally: &'a Tally,
}

impl<'a> PartLogs<'a> {
    /// Reads the block; the rows are those that satisfy the scan. A damaged block has none.
    fn open(&self) -> Result<Opening<LogOpen<'a>>> {
        let Some((mut rows, matching)) = self.read()? else { return Ok(self.nothing()) };
        let (snapshot, part, info, tally) = (self.snapshot, self.part, self.info, self.tally);
        let whole = matching.is_empty()
            || (snapshot.add_bodies(part, info, &mut rows, tally)?
                && snapshot.add_log_attributes(part, info, &mut rows, tally)?
                && snapshot.add_log_ids(part, info, &mut rows, tally)?);
        if !whole {
            return Ok(self.nothing());
        }
        Ok((LogOpen::Part(self.part, rows), matching))
    }

    /// What stands for a damaged block.
    fn nothing(&self) -> Opening<LogOpen<'a>> {
        (LogOpen::Part(self.part, LogRows::default()), Vec::new())
    }

    /// Rows that satisfy the scan, with what the conditions needed; `None` if that is damaged.
    pub(super) fn read(&self) -> Result<Option<Matching>> {
        let (snapshot, part, info, tally) = (self.snapshot, self.part, self.info, self.tally);
        let Some(block) = snapshot.log_block(part, info, tally)? else { return Ok(None) };
        let mut rows = LogRows::new(block);
        let mut matching = Vec::new();
        for (stream, run) in rows.block.streams() {
            if self.wanted.get(stream as usize) != Some(&true) {
                continue;
            }
            for row in run {
                let time_ns = clamp_time(rows.block.times[row]);
                if self.scan.range.contains(time_ns) {
                    matching.push((time_ns, row as u32));
                }
            }
        }
        if !self.search.is_nothing() && !matching.is_empty() {
            if !snapshot.add_bodies(part, info, &mut rows, tally)? {
                return Ok(None);
            }
            let bodies = rows.bodies.as_ref();
            bodies
                .map_or(Some(()), |b| b.retain(&rows.block, self.search, &mut matching))
                .ok_or_else(|| part.file.corrupt("a log row is malformed"))?;
        }
        tally.add((rows.block.len() - matching.len()) as u64, 0)?;
        Ok(Some((rows, matching)))
    }
}

/// Rows of a block, and those of them that are wanted, as (time, row).
pub(super) type Matching = (LogRows, Vec<(i64, u32)>);

impl<'a> Run for LogRun<'a> {
    type Open = LogOpen<'a>;

    fn bounds(&self) -> (i64, i64) {
        match self {
            LogRun::Head(head) => bounds_of(&head.rows),
            LogRun::Part(part) => (part.info.min_ns, part.info.max_ns),
        }
    }

    fn open(&self) -> Result<Opening<LogOpen<'a>>> {
        match self {
            LogRun::Head(head) => Ok((LogOpen::Head(head), times_of(&head.rows))),
            LogRun::Part(part) => part.open(),
        }
    }
}

pub(super) fn of_trace(
    snapshot: &Snapshot,
    trace: TraceId,
    tally: &Tally,
) -> Result<Vec<StoredLog<'static>>> {
    let mut found = Vec::new();
    if trace == [0; 16] {
        return Ok(found);
    }
    for part in &snapshot.parts.logs {
        let Some(index) = part.traces.block_of(trace) else { continue };
        let Some(index) = snapshot.bytes(&part.file, index, tally)? else { continue };
        let blocks = blocks_of(&index, trace)
            .ok_or_else(|| part.file.corrupt("its trace index is malformed"))?;
        for info in blocks.iter().filter_map(|&block| part.blocks.get(block as usize)) {
            let Some(block) = snapshot.log_block(part, info, tally)? else { continue };
            let mut rows = LogRows::new(block);
            if !(snapshot.add_log_ids(part, info, &mut rows, tally)?
                && snapshot.add_bodies(part, info, &mut rows, tally)?
                && snapshot.add_log_attributes(part, info, &mut rows, tally)?)
            {
                continue;
            }
            let ids = rows.ids.iter().flat_map(|ids| ids.traces.iter().enumerate());
            for (row, _) in ids.filter(|(_, id)| **id == trace) {
                let log = rows.stored(part, row);
                let log = log.ok_or_else(|| part.file.corrupt("a log row is malformed"))?;
                tally.add(1, 0)?;
                found.push(log.into_owned());
            }
        }
    }
    for view in &snapshot.heads {
        let rows = view.head.read().logs.of_trace(trace, view.visible);
        let logs = HeadLogs::with_rows(view, rows);
        for row in 0..logs.rows.len() as u32 {
            let (log, bytes) = logs.record(row)?;
            tally.add(1, bytes as u64)?;
            found.push(log.into_owned());
        }
    }
    let cutoff_ns = snapshot.cutoffs_ns[Signal::Logs as usize];
    found.retain(|log| clamp_time(log.record.time_ns) >= cutoff_ns);
    found.sort_by_key(|log| log.record.time_ns);
    Ok(found)
}

/// Log records of one head: what a scan takes along so that it need not hold the lock.
#[derive(Debug)]
pub(super) struct HeadLogs {
    pub(super) rows: Vec<RowRef>,
    batches: Vec<Arc<Vec<u8>>>,
    streams: Vec<Arc<Labels>>,
    resources: Vec<Arc<Resource<'static>>>,
    scopes: Vec<Arc<Scope<'static>>>,
}

impl HeadLogs {
    pub(super) fn new(
        view: &HeadView,
        scan: &LogScan<'_>,
        search: &LineSearch<'_>,
    ) -> Option<Self> {
        let tables = view.head.read();
        let wanted = matching_streams(&tables.streams.values, scan.streams);
        let rows: Vec<RowRef> = tables
            .logs
            .visible(view.visible)
            .iter()
            .filter(|row| wanted[row.stream as usize] && scan.range.contains(row.time_ns))
            .copied()
            .collect();
        let others = match search.is_nothing() {
            true => Vec::new(),
            false => tables.logs.other_bodies().to_vec(),
        };
        drop(tables);
        let mut logs = HeadLogs::with_rows(view, rows);
        if !search.is_nothing() {
            logs.retain(search, &others);
        }
        (!logs.rows.is_empty()).then_some(logs)
    }

    /// Leaves rows that may satisfy the conditions on the line: payloads hold bodies as they
    /// are, unless they are no text.
    fn retain(&mut self, search: &LineSearch<'_>, others: &[u32]) {
        let batches = &self.batches;
        let may = |batch: u32| {
            others.binary_search(&batch).is_ok()
                || batches.get(batch as usize).is_none_or(|bytes| search.may_be_in(bytes))
        };
        let mut last = None;
        self.rows.retain(|row| {
            let known = last.filter(|(batch, _)| *batch == row.batch);
            let (batch, batch_may) = known.unwrap_or_else(|| (row.batch, may(row.batch)));
            last = Some((batch, batch_may));
            let bytes = batches.get(row.batch as usize).and_then(|b| b.get(row.offset as usize..));
            batch_may
                && bytes
                    .and_then(row::log_start)
                    .is_none_or(|start| start.text.is_none_or(|text| search.may_be_in(text)))
        });
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

    /// The first fields of a record.
    pub(super) fn start(&self, row: &RowRef) -> Result<LogStart<'_>> {
        let bytes = self.batches.get(row.batch as usize).and_then(|b| b.get(row.offset as usize..));
        bytes.and_then(row::log_start).ok_or_else(bad_head)
    }

    /// A record and its encoded size.
    pub(super) fn record(&self, row: u32) -> Result<(StoredLog<'_>, usize)> {
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

    /// Counts rows of which nothing was read.
    pub(super) fn pass_over(&mut self, rows: usize) -> Result<()> {
        self.rows += rows;
        self.settle()
    }

    pub(super) fn settle(&mut self) -> Result<()> {
        let (rows, bytes) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.bytes));
        self.tally.add(rows as u64, bytes as u64)
    }
}
