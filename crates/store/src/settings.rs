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

/// Settings of the store.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory for heads, caches and merges together, in bytes.
    pub memory_bytes: u64,
    /// How long each signal is kept.
    pub retention: Retention,
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
            disk_reserve_bytes: 64 << 20,
            fsync: true,
        }
    }
}
