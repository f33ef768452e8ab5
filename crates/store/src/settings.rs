//! What a user may tune.

use std::time::Duration;

/// How long each signal is kept. `None` keeps it for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Samples, metadata, exemplars.
    pub metrics: Option<Duration>,
    /// Log records.
    pub logs: Option<Duration>,
    /// Spans.
    pub traces: Option<Duration>,
}

impl Default for Retention {
    /// 15 days, 7 days, 72 hours (S12).
    fn default() -> Self {
        const HOUR: u64 = 3600;
        Retention {
            metrics: Some(Duration::from_secs(15 * 24 * HOUR)),
            logs: Some(Duration::from_secs(7 * 24 * HOUR)),
            traces: Some(Duration::from_secs(72 * HOUR)),
        }
    }
}

/// How many bytes of parts each signal may have on disk; the oldest go first. `None` is
/// as many as there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionBytes {
    /// Samples, exemplars.
    pub metrics: Option<u64>,
    /// Log records.
    pub logs: Option<u64>,
    /// Spans.
    pub traces: Option<u64>,
}

/// Traces that are kept for longer than the rest: those with an error, slow ones, and
/// those that an exemplar points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptTraces {
    /// How long; with less than [`Retention::traces`] it means nothing.
    pub kept: Duration,
    /// A trace with a span that lasts so long is slow, in nanoseconds.
    pub slow_ns: u64,
}

/// Settings of the store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory for heads, caches and merges together, in bytes.
    pub memory_bytes: u64,
    /// How long each signal is kept.
    pub retention: Retention,
    /// How much of each signal is kept.
    pub retention_bytes: RetentionBytes,
    /// Traces that are kept for longer.
    pub kept_traces: Option<KeptTraces>,
    /// Bytes of the file system that stay free: with less, appends are refused until there
    /// is room again, and reading goes on.
    pub disk_reserve_bytes: u64,
    /// Whether an append waits for fsync. Without it, what the kernel had not written yet
    /// is lost with a power cut (not with a crash of the process).
    pub fsync: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            memory_bytes: 512 << 20,
            retention: Retention::default(),
            retention_bytes: RetentionBytes::default(),
            kept_traces: None,
            disk_reserve_bytes: 64 << 20,
            fsync: true,
        }
    }
}
