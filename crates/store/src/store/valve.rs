//! The valve before the disk: it closes while there is still room, and opens by itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::Store;
use crate::error::{Error, Result};

/// Keeps a part of the file system free: the head must be able to become parts, a merge to
/// end, and the manifest to be replaced when appends have taken the rest.
#[derive(Debug)]
pub(super) struct Valve {
    reserve_bytes: u64,
    /// Free when last looked at.
    free_bytes: AtomicU64,
    /// Appended since then.
    written_bytes: AtomicU64,
    closed: AtomicBool,
}

impl Valve {
    pub(super) fn new(reserve_bytes: u64) -> Self {
        Valve {
            reserve_bytes,
            free_bytes: AtomicU64::new(u64::MAX),
            written_bytes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Bytes free when last looked at.
    pub(super) fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Relaxed)
    }

    /// Why appends are refused, if they are.
    pub(super) fn why(&self) -> Option<String> {
        const MIB: u64 = 1 << 20;
        self.closed.load(Relaxed).then(|| {
            format!(
                "the disk is nearly full: {} MiB are free, {} MiB are held in reserve; make room, \
                 shorten retention or lower --disk-reserve",
                self.free_bytes() / MIB,
                self.reserve_bytes / MIB
            )
        })
    }

    /// Whether so much more can be written without touching what is held in reserve.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.free_bytes().saturating_sub(self.reserve_bytes) >= bytes
    }

    /// The error of a write; closes if it was for want of room.
    pub(super) fn told(&self, error: Error) -> Error {
        if !error.is_disk_full() {
            return error;
        }
        self.free_bytes.store(0, Relaxed);
        self.closed.store(true, Relaxed);
        Error::DiskFull(format!(
            "the disk is full: {error}; writes are refused until there is room"
        ))
    }

    fn measured(&self, free_bytes: u64) {
        self.written_bytes.store(0, Relaxed);
        self.free_bytes.store(free_bytes, Relaxed);
        // Opens a little later than it closes, so that it does not flutter.
        let enough = match self.closed.load(Relaxed) {
            true => self.reserve_bytes + self.reserve_bytes / 8,
            false => self.reserve_bytes,
        };
        self.closed.store(free_bytes < enough, Relaxed);
    }
}

impl Store {
    /// Looks how much room there is.
    pub(super) fn measure_disk(&self) {
        // Where that cannot be told, the disk's own refusals must do.
        let free = self.vfs.free_bytes(&self.dir).unwrap_or(u64::MAX);
        self.valve.measured(free);
    }

    /// Refuses an append that would touch the reserve.
    pub(super) fn check_disk(&self, bytes: u64) -> Result<()> {
        let valve = &self.valve;
        let written = valve.written_bytes.fetch_add(bytes, Relaxed) + bytes;
        if !valve.closed.load(Relaxed) && !valve.has_room(written) {
            // Between two maintenances much can come, and much can have been removed.
            self.measure_disk();
        }
        valve.why().map_or(Ok(()), |why| Err(Error::DiskFull(why)))
    }
}
