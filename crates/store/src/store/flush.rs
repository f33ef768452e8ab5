//! From the head to parts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::open::PARTS_DIR;
use super::{Store, hold};
use crate::error::{Error, Failure, Result};
use crate::head::{Head, HeadSeries, RowRef, Tables};
use crate::manifest::Manifest;
use crate::model::Metadata;
use crate::part::logs::LogsWriter;
use crate::part::metrics::MetricsWriter;
use crate::part::spans::{SpansWriter, TraceNumbers, service_of};
use crate::part::{LEVEL_FLUSH, Owner, PartFile, PartInfo, PartSet, Signal, partition_of};
use crate::samples::Gather;
use crate::snapshot::{Samples, TimeRange};
use crate::vfs::Vfs;

/// The head is flushed at this age at the latest: bounds replay, and makes retention and
/// damage a matter of parts.
const HEAD_AGE_MAX_NS: i64 = 15 * 60 * 1_000_000_000;
/// At so many times what the head should take an append helps or waits.
const PRESSED: u64 = 2;
/// How long it waits for the flush of another at most: senders become as fast as the disk
/// instead of being refused a little later.
const RELIEF_MAX: Duration = Duration::from_millis(100);
/// Families remembered; more are a sender that puts ids into metric names.
const FAMILIES_MAX: usize = 50_000;
/// Bytes of a family's name, unit and help each: the manifest holds them all.
const FAMILY_TEXT_MAX: usize = 1024;
/// Files kept open between maintenances.
const OPEN_FILES_MAX: usize = 256;

/// What only maintenance touches.
#[derive(Debug)]
pub(super) struct Maintenance {
    pub(super) manifest: Manifest,
    /// When maintenance first saw the current head with something in it.
    head_since_ns: Option<i64>,
}

impl Maintenance {
    pub(super) fn new(manifest: Manifest) -> Self {
        Maintenance { manifest, head_since_ns: None }
    }
}

/// Tells appends that a flush has made room.
#[derive(Debug, Default)]
pub(super) struct Relief {
    flushes: Mutex<u64>,
    another: Condvar,
}

impl Relief {
    fn flushes(&self) -> u64 {
        *hold(&self.flushes)
    }

    fn flushed(&self) {
        *hold(&self.flushes) += 1;
        self.another.notify_all();
    }

    /// Returns when there were more than so many, or at the end of patience.
    fn wait_for_another(&self, seen: u64) {
        let none_yet = |flushes: &mut u64| *flushes == seen;
        let waited = self.another.wait_timeout_while(hold(&self.flushes), RELIEF_MAX, none_yet);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Adds what a head has learned of metric families.
pub(super) fn learn(known: &mut Arc<BTreeMap<String, Metadata>>, new: BTreeMap<String, Metadata>) {
    if new.iter().any(|(name, metadata)| known.get(name) != Some(metadata)) {
        learn_into(Arc::make_mut(known), new);
    }
}

pub(super) fn learn_into(known: &mut BTreeMap<String, Metadata>, new: BTreeMap<String, Metadata>) {
    for (name, mut metadata) in new {
        let room = known.len() < FAMILIES_MAX || known.contains_key(&name);
        if room && name.len() <= FAMILY_TEXT_MAX {
            shorten(&mut metadata.unit);
            shorten(&mut metadata.help);
            known.insert(name, metadata);
        }
    }
}

fn shorten(text: &mut String) {
    if text.len() > FAMILY_TEXT_MAX {
        let end = (0..=FAMILY_TEXT_MAX).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
    }
}

impl Store {
    pub(super) fn flush_if_due(&self, maintenance: &mut Maintenance, now_ns: i64) -> Result<()> {
        let (pending, frozen) = {
            let view = hold(&self.view);
            (view.last > view.head.base(), view.frozen.is_some())
        };
        if !pending {
            maintenance.head_since_ns = None;
        }
        let since = *maintenance.head_since_ns.get_or_insert(now_ns);
        let old = pending && now_ns.saturating_sub(since) >= HEAD_AGE_MAX_NS;
        let large = self.counters.head_weight.load(Relaxed) >= self.limits.head_weight;
        // Batches of many series with a sample each are long in the log and short in the
        // head; replaying them all would make the next start slow.
        let long = self.commit.wal_stats().0 >= self.limits.head_weight * 4;
        if old || large || (long && pending) || frozen {
            self.flush_all(maintenance)
        } else {
            Ok(())
        }
    }

    /// Keeps the head from growing when flushes are slower than what comes. The append that
    /// asks is acknowledged whatever happens here; the next maintenance tries again and
    /// reports.
    pub(super) fn relieve_head(&self) {
        let limit = self.limits.head_weight * PRESSED;
        let seen = self.relief.flushes();
        if matches!(self.flush_over(limit), Ok(false))
            && self.counters.head_weight.load(Relaxed) >= limit
        {
            self.relief.wait_for_another(seen);
        }
    }

    /// Flushes if the heads take so much and nobody flushes already.
    pub(super) fn flush_over(&self, limit: u64) -> Result<bool> {
        if self.counters.head_weight.load(Relaxed) < limit {
            return Ok(false);
        }
        let Ok(mut maintenance) = self.maintenance.try_lock() else { return Ok(false) };
        let _guard = self.poison.on_panic("a flush");
        self.poison.check()?;
        self.flush_all(&mut maintenance).map(|()| true)
    }

    /// Freezes the head and writes it; a head that an earlier try left frozen comes first.
    pub(super) fn flush_all(&self, maintenance: &mut Maintenance) -> Result<()> {
        self.flush_frozen(maintenance)?;
        self.freeze()?;
        maintenance.head_since_ns = None;
        self.flush_frozen(maintenance)
    }

    /// Puts an empty head in the place of the current one.
    fn freeze(&self) -> Result<()> {
        let _turn = self.commit.take_turn();
        let last = {
            let view = hold(&self.view);
            if view.last == view.head.base() {
                return Ok(());
            }
            view.last
        };
        self.commit.wal().rotate()?;
        let current = Arc::clone(&hold(&self.view).head);
        let next = Arc::new(Head::after(&current, last));
        let mut view = hold(&self.view);
        let head = std::mem::replace(&mut view.head, next);
        view.frozen = Some((head, last));
        Ok(())
    }

    fn flush_frozen(&self, maintenance: &mut Maintenance) -> Result<()> {
        let (frozen, families) = {
            let view = hold(&self.view);
            (view.frozen.clone(), Arc::clone(&view.families))
        };
        let Some((head, last)) = frozen else { return Ok(()) };
        let dir = self.dir.join(PARTS_DIR);
        let mut next = maintenance.manifest.clone();
        // Ids are used up even by a try that fails: its files may be there until a restart.
        let written = write_parts(&*self.vfs, &dir, &head, last, &mut next.next_part);
        maintenance.manifest.next_part = next.next_part;
        let infos = written?;
        next.parts.extend(&infos);
        next.flushed = last;
        next.families = BTreeMap::clone(&families);
        self.change_parts(maintenance, next, &infos, &[])?;
        self.count_head_bytes();
        self.relief.flushed();
        self.commit.wal().trim(last)
    }

    /// Makes a new manifest durable and shows its parts, in one step for whoever looks.
    /// A flush takes the frozen head away in that step.
    pub(super) fn change_parts(
        &self,
        maintenance: &mut Maintenance,
        next: Manifest,
        added: &[PartInfo],
        removed: &[u64],
    ) -> Result<()> {
        let flushed = next.flushed != maintenance.manifest.flushed;
        let mut parts = PartSet::clone(&hold(&self.view).parts);
        for info in added {
            parts.open(&self.vfs, &self.dir.join(PARTS_DIR), *info, &self.damage)?;
        }
        match next.save(&*self.vfs, &self.dir) {
            Ok(()) => {}
            Err(Failure::Refused(error)) => {
                // Nobody names them, and what is short of room needs theirs.
                for info in added {
                    let _ = self.vfs.remove(&self.dir.join(PARTS_DIR).join(info.file_name()));
                }
                return Err(error);
            }
            Err(Failure::Lost(error)) => {
                // Which manifest is on the disk is not known now, so neither is which parts
                // may be removed or what may be trimmed.
                self.poison.set(error.to_string());
                return Err(error);
            }
        }
        maintenance.manifest = next;
        parts.remove(removed);
        let mut view = hold(&self.view);
        view.parts = Arc::new(parts);
        if flushed {
            view.frozen = None;
        }
        Ok(())
    }

    /// Keeps the number of open files bounded.
    pub(super) fn close_idle_files(&self) {
        let parts = Arc::clone(&hold(&self.view).parts);
        if parts.files().count() > OPEN_FILES_MAX {
            parts.files().for_each(PartFile::close);
        }
    }
}

/// Writes a head as parts, one for each signal and day, and makes them durable. Nothing
/// refers to them yet. On an error, what was written is removed as far as possible.
pub(super) fn write_parts(
    vfs: &dyn Vfs,
    dir: &Path,
    head: &Head,
    last: u64,
    next_part: &mut u64,
) -> Result<Vec<PartInfo>> {
    let mut flush =
        Flush { vfs, dir, first: head.base() + 1, last, next_part, written: Vec::new() };
    let tables = head.read();
    let done = flush
        .metrics(&tables)
        .and_then(|()| flush.logs(&tables))
        .and_then(|()| flush.spans(&tables))
        .and_then(|()| vfs.sync_dir(dir).map_err(|e| Error::io("sync", dir, e)));
    if let Err(error) = done {
        for info in &flush.written {
            let _ = vfs.remove(&dir.join(info.file_name()));
        }
        return Err(error);
    }
    Ok(flush.written)
}

struct Flush<'a> {
    vfs: &'a dyn Vfs,
    dir: &'a Path,
    first: u64,
    last: u64,
    next_part: &'a mut u64,
    written: Vec<PartInfo>,
}

impl Flush<'_> {
    /// Names the next part; its file is removed if the flush fails.
    fn begin(&mut self, signal: Signal, day: i32) -> PartInfo {
        let info = PartInfo {
            signal,
            id: *self.next_part,
            day,
            first_number: self.first,
            last_number: self.last,
            rows: 0,
            bytes: 0,
            min_ns: 0,
            max_ns: 0,
            thinned: false,
        };
        *self.next_part += 1;
        self.written.push(info);
        info
    }

    fn end(&mut self, rows: u64, bytes: u64, (min_ns, max_ns): (i64, i64)) {
        if let Some(info) = self.written.last_mut() {
            *info = PartInfo { rows, bytes, min_ns, max_ns, ..*info };
        }
    }

    fn metrics(&mut self, tables: &Tables) -> Result<()> {
        let order = tables.metrics.in_order();
        let series_at = |i: u32| &tables.metrics.series[i as usize];
        let mut ranks = vec![0u32; order.len()];
        for (rank, &series) in order.iter().enumerate() {
            ranks[series as usize] = rank as u32;
        }
        let mut exemplars: Vec<_> = tables.metrics.exemplars.iter().collect();
        exemplars.sort_by_key(|e| (ranks[e.series as usize], e.exemplar.time_ms));
        let owner = |series: &HeadSeries| owner_of(tables, series.resource, series.scope);

        for (day, range) in sample_days(tables) {
            let info = self.begin(Signal::Metrics, day);
            let path = self.dir.join(info.file_name());
            let mut writer = MetricsWriter::create(self.vfs, &path, LEVEL_FLUSH)?;
            let mut samples = Samples::default();
            for &at in &order {
                let series = series_at(at);
                let mut gather = Gather::new(&mut samples);
                series.gather(u32::MAX, range, &mut gather);
                gather.finish();
                keep_day(&mut samples, day);
                writer.push(&series.labels, owner(series), &samples)?;
            }
            for exemplar in &exemplars {
                if partition_of_ms(exemplar.exemplar.time_ms) == day {
                    let series = series_at(exemplar.series);
                    writer.push_exemplar(&series.labels, owner(series), &exemplar.exemplar)?;
                }
            }
            let rows = writer.rows;
            let bounds = (ns_of_ms(writer.min_ms), ns_of_ms(writer.max_ms));
            let bytes = writer.finish()?;
            self.end(rows, bytes, bounds);
        }
        Ok(())
    }

    fn logs(&mut self, tables: &Tables) -> Result<()> {
        let mut ranks: Vec<u32> = (0..tables.streams.values.len() as u32).collect();
        ranks.sort_by(|&a, &b| {
            tables.streams.values[a as usize].cmp(&tables.streams.values[b as usize])
        });
        let mut rank_of = vec![0u32; ranks.len()];
        for (rank, &stream) in ranks.iter().enumerate() {
            rank_of[stream as usize] = rank as u32;
        }
        for (day, mut rows) in rows_by_day(&tables.logs.rows) {
            rows.sort_by_key(|row| (rank_of[row.stream as usize], row.time_ns));
            let info = self.begin(Signal::Logs, day);
            let path = self.dir.join(info.file_name());
            let mut writer = LogsWriter::create(self.vfs, &path, LEVEL_FLUSH)?;
            for row in rows {
                let record = tables.log(row).ok_or_else(bad_row)?;
                let stream = &tables.streams.values[row.stream as usize];
                writer.push(stream, owner_of(tables, row.resource, row.scope), &record)?;
            }
            let (rows, bounds) = (writer.rows, (writer.min_ns, writer.max_ns));
            let bytes = writer.finish()?;
            self.end(rows, bytes, bounds);
        }
        Ok(())
    }

    fn spans(&mut self, tables: &Tables) -> Result<()> {
        for (day, rows) in rows_by_day(&tables.spans.rows) {
            let mut keyed = Vec::with_capacity(rows.len());
            let mut starts = Vec::with_capacity(rows.len());
            for row in rows {
                starts.push((tables.trace_of(row).ok_or_else(bad_row)?, row.time_ns));
                let name = tables.span_name(row).ok_or_else(bad_row)?;
                let service = service_of(&tables.resources.values[row.resource as usize]);
                keyed.push((service, name, row.time_ns, row));
            }
            keyed.sort_by_key(|&(service, name, start, _)| (service, name, start));
            let info = self.begin(Signal::Traces, day);
            let path = self.dir.join(info.file_name());
            let numbers = TraceNumbers::new(starts.into_iter());
            let mut writer = SpansWriter::create(self.vfs, &path, LEVEL_FLUSH, numbers)?;
            for (service, _, _, row) in keyed {
                let span = tables.span(row).ok_or_else(bad_row)?;
                writer.push(service, owner_of(tables, row.resource, row.scope), &span)?;
            }
            let (rows, bounds) = (writer.rows, (writer.min_ns, writer.max_ns));
            let bytes = writer.finish()?;
            self.end(rows, bytes, bounds);
        }
        Ok(())
    }
}

fn bad_row() -> Error {
    Error::Corrupt { path: "head".into(), why: "a row in memory cannot be decoded".into() }
}

fn owner_of(tables: &Tables, resource: u32, scope: u32) -> Owner<'_> {
    Owner {
        resource: tables.resources.interner.get(resource).unwrap_or(&[]),
        scope: tables.scopes.interner.get(scope).unwrap_or(&[]),
    }
}

fn rows_by_day(rows: &[RowRef]) -> BTreeMap<i32, Vec<&RowRef>> {
    let mut days: BTreeMap<i32, Vec<&RowRef>> = BTreeMap::new();
    for row in rows {
        days.entry(partition_of(row.time_ns)).or_default().push(row);
    }
    days
}

/// Milliseconds as nanoseconds; what lies beyond their range counts as its end.
pub(super) fn ns_of_ms(ms: i64) -> i64 {
    ms.saturating_mul(1_000_000)
}

/// The partition of a sample.
pub(super) fn partition_of_ms(ms: i64) -> i32 {
    partition_of(ns_of_ms(ms))
}

/// The partitions that samples and exemplars lie in, each with a range that covers it.
fn sample_days(tables: &Tables) -> BTreeMap<i32, TimeRange> {
    let mut days = BTreeSet::new();
    for series in &tables.metrics.series {
        series.each_time(|ms| {
            days.insert(partition_of_ms(ms));
        });
    }
    for exemplar in &tables.metrics.exemplars {
        days.insert(partition_of_ms(exemplar.exemplar.time_ms));
    }
    let range = |day: i32| match day {
        0.. => {
            const DAY_MS: i64 = 86_400_000;
            let start = i64::from(day) * DAY_MS;
            TimeRange::from_ms(start, start + DAY_MS - 1)
        }
        _ => TimeRange::ALL,
    };
    days.into_iter().map(|day| (day, range(day))).collect()
}

/// Drops samples of other partitions; only the one for outlandish times has any, as its
/// range is all of time.
fn keep_day(samples: &mut Samples, day: i32) {
    if day >= 0 {
        return;
    }
    let all = std::mem::take(samples);
    let mut gather = Gather::new(samples);
    let start = |starts: &[i64], i: usize| starts.get(i).copied().unwrap_or(0);
    for (i, &ms) in all.float_times_ms.iter().enumerate() {
        if partition_of_ms(ms) == day {
            gather.float(ms, start(&all.float_starts_ms, i), all.floats[i]);
        }
    }
    for (i, &ms) in all.histogram_times_ms.iter().enumerate() {
        if partition_of_ms(ms) == day {
            gather.histogram(ms, start(&all.histogram_starts_ms, i), &all.histograms[i]);
        }
    }
    gather.finish();
}
