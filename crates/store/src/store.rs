//! The store: open, append, snapshot, maintain, close.

use std::path::Path;

use crate::batch::Batch;
use crate::error::Result;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::stats::Stats;

/// An open store. Shared between threads; every method takes `&self`.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// Opens or creates the store in a directory: takes the directory's lock, reads the
    /// manifests, replays the WAL.
    ///
    /// # Errors
    /// The directory is locked, unreadable, or of an unknown format version.
    pub fn open(dir: &Path, settings: Settings) -> Result<Store> {
        unimplemented!()
    }

    /// A store in memory, with the same behaviour but for what survives: tests use it
    /// instead of mocks.
    #[must_use]
    pub fn in_memory(settings: Settings) -> Store {
        unimplemented!()
    }

    /// Appends a batch, all or nothing. When this returns `Ok` the WAL holds it (fsynced,
    /// unless the settings say otherwise) and every later snapshot shows it.
    ///
    /// # Errors
    /// Poisoned, busy, over a limit, or the disk refused. Nothing was stored then.
    pub fn append(&self, batch: &Batch) -> Result<()> {
        unimplemented!()
    }

    /// A view of everything acknowledged so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        unimplemented!()
    }

    /// Does the housekeeping that is due at `now_ns` (Unix nanoseconds): flushes the head,
    /// merges, drops what retention has expired, trims the WAL. Call it about once a second
    /// from one thread.
    ///
    /// # Errors
    /// The disk refused; the store goes on or is poisoned, as [`Stats::poisoned`] says.
    pub fn maintain(&self, now_ns: i64) -> Result<()> {
        unimplemented!()
    }

    /// Flushes every head to parts at once.
    ///
    /// # Errors
    /// The disk refused.
    pub fn flush(&self) -> Result<()> {
        unimplemented!()
    }

    /// Counters for the server to publish.
    #[must_use]
    pub fn stats(&self) -> Stats {
        unimplemented!()
    }

    /// Flushes and releases the directory.
    ///
    /// # Errors
    /// The disk refused the last flush; the WAL still has everything acknowledged.
    pub fn close(self) -> Result<()> {
        unimplemented!()
    }
}
