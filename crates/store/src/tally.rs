//! The running account of one query: what it read, what it may still read and by how many
//! threads, whether to stop.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::error::{Error, Result};

/// Shared between a query and whoever watches it. Scans add to it and ask it whether to
/// go on; anyone may [`cancel`](Tally::cancel).
#[derive(Debug)]
pub struct Tally {
    cancelled: AtomicBool,
    /// Stopped because the process needs the memory: how much it may have, or 0.
    starved: AtomicU64,
    bytes_max: u64,
    threads: usize,
    /// Decoded bytes looked at so far.
    pub bytes: AtomicU64,
    /// Rows or samples looked at so far.
    pub rows: AtomicU64,
    /// Blocks read so far.
    pub blocks_read: AtomicU64,
    /// Blocks skipped because their time range, min/max or index ruled them out.
    pub blocks_skipped: AtomicU64,
    /// Blocks skipped because their checksum did not hold; an answer with any is partial.
    pub blocks_damaged: AtomicU64,
}

/// More threads than this only take the machine away from everybody else.
const THREADS_MAX: usize = 4;

/// As many as the machine runs at once, but at most four. Asking takes reading files.
static THREADS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX));

impl Tally {
    /// A tally that stops the query after `bytes_max` bytes, and lets it have as many threads as
    /// the machine runs at once, but at most four.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Tally {
            cancelled: AtomicBool::new(false),
            starved: AtomicU64::new(0),
            bytes_max,
            threads: *THREADS,
            bytes: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            blocks_read: AtomicU64::new(0),
            blocks_skipped: AtomicU64::new(0),
            blocks_damaged: AtomicU64::new(0),
        }
    }

    /// A tally of one thread without a limit, for tests and small internal questions.
    #[must_use]
    pub fn unlimited() -> Self {
        Tally::new(u64::MAX).with_threads(1)
    }

    /// The same with another number of threads.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Tally { threads, ..self }
    }

    /// Threads that one query may keep busy while it reads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Asks every scan of this query to stop at its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Whether it was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    /// Decoded bytes looked at so far.
    #[must_use]
    pub fn read_so_far(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Asks every scan of this query to stop because all queries together take more than
    /// what `memory_bytes` leaves them.
    pub fn starve(&self, memory_bytes: u64) {
        self.starved.store(memory_bytes, Relaxed);
        self.cancel();
    }

    /// Adds to the account.
    ///
    /// # Errors
    /// [`Error::Cancelled`] or [`Error::LimitExceeded`] when the scan must stop.
    pub fn add(&self, rows: u64, bytes: u64) -> Result<()> {
        self.rows.fetch_add(rows, Relaxed);
        let bytes = self.bytes.fetch_add(bytes, Relaxed) + bytes;
        if self.cancelled.load(Relaxed) {
            return Err(match self.starved.load(Relaxed) {
                0 => Error::Cancelled,
                limit => Error::LimitExceeded { what: "memory (--memory); ask for less", limit },
            });
        }
        if bytes > self.bytes_max {
            return Err(Error::LimitExceeded {
                what: "bytes read by one query",
                limit: self.bytes_max,
            });
        }
        Ok(())
    }
}
