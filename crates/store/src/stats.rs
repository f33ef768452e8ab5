//! What the store tells about itself, as plain values for the server to publish.

/// One signal's share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalStats {
    /// Spans, log records or samples appended since start.
    pub appended: u64,
    /// Items in the head.
    pub head_items: u64,
    /// Bytes the head uses.
    pub head_bytes: u64,
    /// Items in parts.
    pub part_items: u64,
    /// Bytes of parts on disk.
    pub part_bytes: u64,
    /// Parts on disk.
    pub parts: u64,
    /// Items dropped by retention since start.
    pub expired: u64,
    /// Items taken out of parts by deletion, or by thinning traces, since start.
    pub deleted: u64,
}

/// What a backup or a restoration has copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files of parts.
    pub files: u64,
    /// Their bytes; hard links take no room.
    pub bytes: u64,
}

/// What reading everything has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files read: the manifest, parts, segments of the log.
    pub files: u64,
    /// Blocks of parts read.
    pub blocks: u64,
    /// Bytes of parts and segments.
    pub bytes: u64,
    /// A line for each damaged place; empty if all is well.
    pub damaged: Vec<String>,
    /// Files in quarantine.
    pub quarantined: Vec<String>,
}

/// Somebody's share of a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Spans or log records; for samples, series, counted once in each part.
    pub items: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Who fills the disk, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// By service; without one under the empty name.
    pub samples_by_service: Vec<(String, Share)>,
    /// By service.
    pub logs_by_service: Vec<(String, Share)>,
    /// By service.
    pub spans_by_service: Vec<(String, Share)>,
    /// By metric name.
    pub samples_by_metric: Vec<(String, Share)>,
}

/// How much a deletion has taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Samples.
    pub samples: u64,
    /// Log records.
    pub logs: u64,
    /// Spans.
    pub spans: u64,
}

/// A snapshot of the store's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Samples.
    pub metrics: SignalStats,
    /// Log records.
    pub logs: SignalStats,
    /// Spans.
    pub traces: SignalStats,
    /// Metric series in the head.
    pub series: u64,
    /// Log streams in the head.
    pub streams: u64,
    /// Bytes of WAL segments on disk.
    pub wal_bytes: u64,
    /// fsync calls on the WAL since start.
    pub wal_syncs: u64,
    /// Items replayed from the WAL at start.
    pub replayed: u64,
    /// Bytes cut off the end of the WAL at start, because no whole record was there: what
    /// a crash left of a write that nobody was told had succeeded. After a clean stop it
    /// means that the disk has changed what it kept.
    pub wal_cut_bytes: u64,
    /// Blocks set aside because their checksum did not hold.
    pub damaged_blocks: u64,
    /// Damaged files in the directory `quarantine`, as of the start or the last trim.
    pub quarantined_files: u64,
    /// Memory of decoded blocks kept for queries.
    pub cache_bytes: u64,
    /// Bytes free on the file system when last looked at; `u64::MAX` if that is unknown.
    pub disk_free_bytes: u64,
    /// Bytes of the file system that appends leave free.
    pub disk_reserve_bytes: u64,
    /// Why appends are refused until there is room on the disk, if they are.
    pub disk_full: Option<String>,
    /// Why writing stopped, if it has.
    pub poisoned: Option<String>,
}
