//! The running account of one query: what it read, what it may still read, whether to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::error::{Error, Result};

/// Shared between a query and whoever watches it. Scans add to it and ask it whether to
/// go on; anyone may [`cancel`](Tally::cancel).
#[derive(Debug)]
pub struct Tally {
    cancelled: AtomicBool,
    bytes_max: u64,
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

impl Tally {
    /// A tally that stops the query after `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Tally {
            cancelled: AtomicBool::new(false),
            bytes_max,
            bytes: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            blocks_read: AtomicU64::new(0),
            blocks_skipped: AtomicU64::new(0),
            blocks_damaged: AtomicU64::new(0),
        }
    }

    /// A tally without a limit, for tests and small internal questions.
    #[must_use]
    pub fn unlimited() -> Self {
        Tally::new(u64::MAX)
    }

    /// Asks every scan of this query to stop at its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Adds to the account.
    ///
    /// # Errors
    /// [`Error::Cancelled`] or [`Error::LimitExceeded`] when the scan must stop.
    pub fn add(&self, rows: u64, bytes: u64) -> Result<()> {
        self.rows.fetch_add(rows, Relaxed);
        let bytes = self.bytes.fetch_add(bytes, Relaxed) + bytes;
        if self.cancelled.load(Relaxed) {
            return Err(Error::Cancelled);
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
