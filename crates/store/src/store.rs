//! The store: open, append, snapshot, maintain, close.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::{BATCH_BYTES_MAX, Batch};
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::known::SeriesHandle;
use crate::labels::Labels;
use crate::model::Metadata;
use crate::part::{Damage, PartSet};
use crate::row::VALUE_DEPTH_MAX;
use crate::settings::Settings;
use crate::snapshot::{HeadView, Snapshot};
use crate::stats::{SignalStats, Stats};
use crate::vfs::{Disk, Lock, Memory, Vfs};
use crate::wal::PAYLOAD_BYTES_MAX;

mod backup;
mod commit;
mod delete;
mod flush;
mod merge;
mod open;
mod poison;
mod retention;
mod usage;
mod valve;
mod verify;

pub use backup::restore;
use commit::{Commit, Committed};
use flush::{Maintenance, Relief};
use poison::Poison;
use valve::Valve;

/// An open store. Shared between threads; every method takes `&self`.
///
/// The locks, in the order in which they may be taken: `merging`, `maintenance`, the commit's turn,
/// `view`, a head's tables.
#[derive(Debug)]
pub struct Store {
    /// Tells this opening of the store from all others of the process.
    instance: u64,
    dir: PathBuf,
    vfs: Arc<dyn Vfs>,
    settings: Settings,
    limits: Limits,
    commit: Commit,
    view: Mutex<View>,
    maintenance: Mutex<Maintenance>,
    relief: Relief,
    /// Held by the one merge that may go on.
    merging: Mutex<()>,
    cache: Arc<Cache>,
    damage: Arc<Damage>,
    poison: Poison,
    valve: Valve,
    counters: Counters,
    /// Dropped last: lets the directory go.
    _lock: Lock,
}

/// What the next snapshot will see.
#[derive(Debug)]
struct View {
    head: Arc<Head>,
    /// The head before, while it is being flushed, and its last append.
    frozen: Option<(Arc<Head>, u64)>,
    parts: Arc<PartSet>,
    families: Arc<BTreeMap<String, Metadata>>,
    /// The last append that is acknowledged.
    last: u64,
    /// Per signal: rows before this have expired.
    cutoffs_ns: [i64; 3],
}

/// Shares of [`Settings::memory_bytes`].
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The head is flushed when it weighs this much. Small, as a flush works with as much
    /// again and the next head fills meanwhile; parts get larger by merges.
    head_weight: u64,
    /// Appends are refused when heads and what waits take this much.
    head_bytes_max: u64,
    /// Decoded blocks kept for queries.
    cache_bytes: usize,
    /// Rows to a merged part of logs or spans: its trace index is in memory meanwhile.
    merge_rows_max: u64,
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        let memory = settings.memory_bytes.max(8 << 20);
        Limits {
            head_weight: memory / 16,
            head_bytes_max: memory / 2,
            cache_bytes: usize::try_from(memory / 8).unwrap_or(usize::MAX),
            merge_rows_max: (memory / 1024).clamp(1 << 17, 2 << 20),
        }
    }
}

/// What a byte of a batch takes in the head, about: rows are kept as they are, with
/// references to them.
const HEAD_BYTES_PER_BYTE: u64 = 2;

/// Counted since start.
#[derive(Debug, Default)]
struct Counters {
    /// Samples, log records, spans.
    appended: [AtomicU64; 3],
    expired: [AtomicU64; 3],
    deleted: [AtomicU64; 3],
    replayed: AtomicU64,
    wal_cut_bytes: AtomicU64,
    quarantined_files: AtomicU64,
    /// Memory of the heads, so that an append need not ask them.
    head_bytes: AtomicU64,
    /// In bytes as well: how much reason they are for a flush.
    head_weight: AtomicU64,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while something is held has poisoned the store, which says so on its own.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens or creates the store in a directory: takes the directory's lock, reads the
    /// manifests, replays the WAL.
    ///
    /// # Errors
    /// The directory is locked, unreadable, or of an unknown format version.
    pub fn open(dir: &Path, settings: Settings) -> Result<Store> {
        let vfs = Arc::new(Disk { fsync: settings.fsync });
        open::open(vfs, dir, settings)
    }

    /// A store in memory, with the same behaviour but for what survives: tests use it
    /// instead of mocks.
    #[must_use]
    pub fn in_memory(settings: Settings) -> Store {
        match open::open(Arc::new(Memory::default()), Path::new("memory"), settings) {
            Ok(store) => store,
            Err(error) => unreachable!("a new store in memory cannot fail to open: {error}"),
        }
    }

    /// Appends a batch, all or nothing. When this returns `Ok` the WAL holds it (fsynced,
    /// unless the settings say otherwise) and every later snapshot shows it.
    ///
    /// # Errors
    /// Poisoned, busy, over a limit, or the disk is full or refused. Nothing was stored then.
    pub fn append(&self, batch: &Batch) -> Result<()> {
        self.poison.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        check_limits(batch, self.limits)?;
        self.check_disk(batch.bytes() as u64)?;
        if self.head_bytes_and(batch.bytes()) > self.limits.head_bytes_max {
            return Err(Error::Busy("memory for recent data"));
        }
        self.commit_batch(batch)?;
        for (counter, rows) in self.counters.appended.iter().zip(batch.rows_by_signal()) {
            counter.fetch_add(rows as u64, Relaxed);
        }
        self.relieve_head();
        Ok(())
    }

    /// Encodes and commits; again if the head that it referred to was flushed meanwhile.
    fn commit_batch(&self, batch: &Batch) -> Result<()> {
        for tried in 0.. {
            // Whoever is overtaken again and again refers to nothing.
            let base = if tried < 3 { hold(&self.view).head.base() } else { u64::MAX };
            let encoded = batch.encode(self.instance, base);
            if encoded.bytes.len() > PAYLOAD_BYTES_MAX {
                let limit = PAYLOAD_BYTES_MAX as u64;
                return Err(Error::LimitExceeded { what: "bytes of one encoded batch", limit });
            }
            if let Committed::At(append) = self.commit(encoded)? {
                batch.settle(self.instance, base, append);
                break;
            }
        }
        Ok(())
    }

    /// A handle for a series, to append many samples of it with little said each time.
    #[must_use]
    pub fn series_handle(&self, labels: Labels) -> SeriesHandle {
        SeriesHandle::new(labels, self.instance)
    }

    /// Whether a handle is one of this opening of the store; only such ones save anything.
    #[must_use]
    pub fn made(&self, handle: &SeriesHandle) -> bool {
        handle.instance() == self.instance
    }

    fn head_bytes_and(&self, more: usize) -> u64 {
        let more = more as u64 * HEAD_BYTES_PER_BYTE;
        self.counters.head_bytes.load(Relaxed) + self.commit.waiting_bytes() + more
    }

    /// A view of everything acknowledged so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let view = hold(&self.view);
        let seen = |head: &Arc<Head>, last: u64| HeadView {
            head: Arc::clone(head),
            visible: u32::try_from(last - head.base()).unwrap_or(u32::MAX),
        };
        let frozen = view.frozen.as_ref().map(|(head, last)| seen(head, *last));
        Snapshot {
            parts: Arc::clone(&view.parts),
            heads: frozen.into_iter().chain([seen(&view.head, view.last)]).collect(),
            families: Arc::clone(&view.families),
            cutoffs_ns: view.cutoffs_ns,
            cache: Arc::clone(&self.cache),
        }
    }

    /// Does the housekeeping that is due at `now_ns` (Unix nanoseconds): flushes the head,
    /// merges, drops what retention has expired, trims the WAL. Call it about once a second
    /// from one thread.
    ///
    /// # Errors
    /// The disk refused; the store goes on or is poisoned, as [`Stats::poisoned`] says.
    pub fn maintain(&self, now_ns: i64) -> Result<()> {
        let _guard = self.poison.on_panic("maintenance");
        self.poison.check()?;
        self.measure_disk();
        {
            let mut maintenance = hold(&self.maintenance);
            // What makes room comes first, and is done whatever becomes of the flush.
            let expired = self.expire(&mut maintenance, now_ns);
            self.flush_if_due(&mut maintenance, now_ns)?;
            expired?;
        }
        self.resume_deletions()?;
        self.thin_traces(now_ns)?;
        self.merge_some()?;
        self.close_idle_files();
        Ok(())
    }

    /// Flushes the head if it is large, in the thread that asks; returns whether it did. Call
    /// it many times a second from a thread of its own: [`Store::maintain`] may be in the
    /// middle of a merge that takes seconds, and meanwhile the head would grow.
    ///
    /// # Errors
    /// As [`Store::maintain`], which tries again.
    pub fn flush_if_large(&self) -> Result<bool> {
        self.flush_over(self.limits.head_weight)
    }

    /// Flushes every head to parts at once.
    ///
    /// # Errors
    /// The disk refused.
    pub fn flush(&self) -> Result<()> {
        let _guard = self.poison.on_panic("a flush");
        let mut maintenance = hold(&self.maintenance);
        self.poison.check()?;
        self.flush_all(&mut maintenance)
    }

    /// Merges all parts of each partition into as few as may be, at once.
    ///
    /// # Errors
    /// The disk refused.
    pub fn merge(&self) -> Result<()> {
        let _guard = self.poison.on_panic("a merge");
        self.poison.check()?;
        self.merge_all()
    }

    /// Counters for the server to publish.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let view = hold(&self.view);
        let mut signals = [SignalStats::default(); 3];
        for (i, signal) in signals.iter_mut().enumerate() {
            signal.appended = self.counters.appended[i].load(Relaxed);
            signal.deleted = self.counters.deleted[i].load(Relaxed);
            signal.expired = self.counters.expired[i].load(Relaxed);
        }
        for file in view.parts.files() {
            let signal = &mut signals[file.info.signal as usize];
            signal.part_items += file.info.rows;
            signal.part_bytes += file.info.bytes;
            signal.parts += 1;
        }
        let (mut series, mut streams) = (0, 0);
        for head in view.frozen.iter().map(|(head, _)| head).chain([&view.head]) {
            let tables = head.read();
            series += tables.metrics.series.len() as u64;
            streams += tables.streams.values.len() as u64;
            let items = [
                tables.metrics.samples,
                tables.logs.rows.len() as u64,
                tables.spans.rows.len() as u64,
            ];
            for (i, signal) in signals.iter_mut().enumerate() {
                signal.head_items += items[i];
                signal.head_bytes += tables.bytes_by_signal()[i] as u64;
            }
        }
        drop(view);
        let (wal_bytes, wal_syncs) = self.commit.wal_stats();
        let [metrics, logs, traces] = signals;
        Stats {
            metrics,
            logs,
            traces,
            series,
            streams,
            wal_bytes,
            wal_syncs,
            replayed: self.counters.replayed.load(Relaxed),
            wal_cut_bytes: self.counters.wal_cut_bytes.load(Relaxed),
            quarantined_files: self.counters.quarantined_files.load(Relaxed),
            damaged_blocks: self.damage.blocks.load(Relaxed),
            cache_bytes: self.cache.bytes(),
            disk_free_bytes: self.valve.free_bytes(),
            disk_reserve_bytes: self.settings.disk_reserve_bytes,
            disk_full: self.valve.why(),
            poisoned: self.poison.why(),
        }
    }

    /// Flushes and releases the directory.
    ///
    /// # Errors
    /// The disk refused the last flush; the WAL still has everything acknowledged.
    pub fn close(self) -> Result<()> {
        self.flush()
    }
}

fn check_limits(batch: &Batch, limits: Limits) -> Result<()> {
    // A batch that an empty head could not take would be told to try again for ever.
    let limit = (BATCH_BYTES_MAX as u64).min(limits.head_bytes_max / HEAD_BYTES_PER_BYTE);
    if batch.bytes() as u64 > limit {
        return Err(Error::LimitExceeded { what: "bytes of one batch", limit });
    }
    if batch.is_too_deep() {
        let limit = u64::from(VALUE_DEPTH_MAX);
        return Err(Error::LimitExceeded { what: "nesting of an attribute value", limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
