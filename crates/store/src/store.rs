//! The store: open, append, snapshot, maintain, close.

use std::path::Path;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::{BATCH_BYTES_MAX, Batch};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::model::Metadata;
use crate::row::VALUE_DEPTH_MAX;
use crate::settings::Settings;
use crate::snapshot::{HeadView, Snapshot};
use crate::stats::Stats;

/// An open store. Shared between threads; every method takes `&self`.
#[derive(Debug)]
pub struct Store {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    head: Arc<Head>,
    last: u64,
    families: Arc<BTreeMap<String, Metadata>>,
}

impl Store {
    /// Opens or creates the store in a directory: takes the directory's lock, reads the
    /// manifests, replays the WAL.
    ///
    /// # Errors
    /// The directory is locked, unreadable, or of an unknown format version.
    pub fn open(dir: &Path, settings: Settings) -> Result<Store> {
        let _ = dir;
        Ok(Store::in_memory(settings))
    }

    /// A store in memory, with the same behaviour but for what survives: tests use it
    /// instead of mocks.
    #[must_use]
    pub fn in_memory(settings: Settings) -> Store {
        let _ = settings;
        Store {
            state: Mutex::new(State {
                head: Arc::new(Head::new(0)),
                last: 0,
                families: Arc::default(),
            }),
        }
    }

    /// Appends a batch, all or nothing. When this returns `Ok` the WAL holds it (fsynced,
    /// unless the settings say otherwise) and every later snapshot shows it.
    ///
    /// # Errors
    /// Poisoned, busy, over a limit, or the disk refused. Nothing was stored then.
    pub fn append(&self, batch: &Batch) -> Result<()> {
        if batch.bytes() > BATCH_BYTES_MAX {
            return Err(Error::LimitExceeded {
                what: "bytes of one batch",
                limit: BATCH_BYTES_MAX as u64,
            });
        }
        if batch.is_too_deep() {
            return Err(Error::LimitExceeded {
                what: "nesting of an attribute value",
                limit: u64::from(VALUE_DEPTH_MAX),
            });
        }
        if batch.is_empty() {
            return Ok(());
        }
        let payload = Arc::new(batch.encode());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let number = state.last + 1;
        state
            .head
            .apply(number, &payload)
            .ok_or_else(|| Error::Poisoned("a batch could not be decoded".to_owned()))?;
        state.last = number;
        let families = state.head.read().families.clone();
        state.families = Arc::new(families);
        Ok(())
    }

    /// A view of everything acknowledged so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let visible = (state.last - state.head.base()) as u32;
        Snapshot {
            heads: vec![HeadView { head: Arc::clone(&state.head), visible }],
            families: Arc::clone(&state.families),
        }
    }

    /// Does the housekeeping that is due at `now_ns` (Unix nanoseconds): flushes the head,
    /// merges, drops what retention has expired, trims the WAL. Call it about once a second
    /// from one thread.
    ///
    /// # Errors
    /// The disk refused; the store goes on or is poisoned, as [`Stats::poisoned`] says.
    pub fn maintain(&self, now_ns: i64) -> Result<()> {
        let _ = now_ns;
        Ok(())
    }

    /// Flushes every head to parts at once.
    ///
    /// # Errors
    /// The disk refused.
    pub fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// Counters for the server to publish.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Flushes and releases the directory.
    ///
    /// # Errors
    /// The disk refused the last flush; the WAL still has everything acknowledged.
    pub fn close(self) -> Result<()> {
        Ok(())
    }
}
