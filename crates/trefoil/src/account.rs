//! What became of everything: produced = exported + dropped + sampled out + pending.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::metric::{Stripe, Striped};

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// The last segment of OTLP's path, `/v1/…`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }
}

/// Why an item did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The queue was full: the exporter cannot keep up or its endpoint is away.
    QueueFull,
    /// Memory for undecided traces was used up.
    Evicted,
    /// It is larger than an item may be.
    TooLarge,
    /// Tried as often and as long as the protocol allows.
    ExportFailed,
    /// The receiver refused it, by a status that is final or by a partial success.
    Refused,
    /// The process ended before it was sent.
    Shutdown,
    /// Identical lines came too fast.
    RateLimited,
}

impl Dropped {
    /// All reasons, in the order of their counters.
    pub const ALL: [Dropped; 7] = [
        Dropped::QueueFull,
        Dropped::Evicted,
        Dropped::TooLarge,
        Dropped::ExportFailed,
        Dropped::Refused,
        Dropped::Shutdown,
        Dropped::RateLimited,
    ];

    /// The value of the label `reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Dropped::QueueFull => "queue_full",
            Dropped::Evicted => "evicted",
            Dropped::TooLarge => "too_large",
            Dropped::ExportFailed => "export_failed",
            Dropped::Refused => "refused",
            Dropped::Shutdown => "shutdown",
            Dropped::RateLimited => "rate_limited",
        }
    }
}

/// Counters of one signal. Each item that was produced ends in exactly one of the others.
pub(crate) struct Account {
    /// What happens to each item: a cell for each thread.
    often: Striped<Often>,
    exported: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
}

impl Account {
    #[inline]
    pub(crate) fn produced(&self, items: u64) {
        self.often.record(&(), (items, 0));
    }

    #[inline]
    pub(crate) fn sampled_out(&self, items: u64) {
        self.often.record(&(), (0, items));
    }

    pub(crate) fn exported(&self, items: u64) {
        self.exported.fetch_add(items, Ordering::Release);
    }

    pub(crate) fn dropped(&self, reason: Dropped, items: u64) {
        self.dropped[reason as usize].fetch_add(items, Ordering::Release);
    }

    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        Counts {
            exported: read(&self.exported),
            dropped: self.dropped.each_ref().map(read),
            sampled_out: self.often.iter().map(|often| read(&often.sampled_out)).sum(),
            // Last, so that nothing is counted as ended that is not yet as produced.
            produced: self.often.iter().map(|often| read(&often.produced)).sum(),
        }
    }
}

impl Default for Account {
    fn default() -> Self {
        Account {
            often: Striped::new(&()),
            exported: AtomicU64::new(0),
            dropped: Default::default(),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read().fmt(f)
    }
}

/// What one thread counted. A cache line of its own: neighbours would slow each other down.
#[repr(align(64))]
struct Often {
    produced: AtomicU64,
    sampled_out: AtomicU64,
}

impl Stripe for Often {
    type Settings = ();
    /// Items produced, items sampled out.
    type Value = (u64, u64);

    fn new(_: &()) -> Often {
        Often { produced: AtomicU64::new(0), sampled_out: AtomicU64::new(0) }
    }

    #[inline]
    fn alone(&self, _: &(), (produced, sampled_out): (u64, u64)) {
        for (cell, items) in [(&self.produced, produced), (&self.sampled_out, sampled_out)] {
            if items > 0 {
                cell.store(cell.load(Ordering::Relaxed) + items, Ordering::Release);
            }
        }
    }

    fn shared(&self, _: &(), (produced, sampled_out): (u64, u64)) {
        self.produced.fetch_add(produced, Ordering::Release);
        self.sampled_out.fetch_add(sampled_out, Ordering::Release);
    }
}

/// Counters as they stood at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items that came into being.
    pub produced: u64,
    /// Items that a receiver acknowledged.
    pub exported: u64,
    /// Items of traces that sampling left out.
    pub sampled_out: u64,
    dropped: [u64; Dropped::ALL.len()],
}

impl Counts {
    /// The view of one exporter of several: what it did itself, and what never came as far
    /// as the exporters, which is all of the signal's but what they `settled` together.
    /// Both may have produced: found items on disk that an earlier process left.
    pub(crate) fn of_exporter(own: &Counts, settled: &Counts, signal: &Counts) -> Counts {
        let dropped = std::array::from_fn(|reason| {
            own.dropped[reason] + signal.dropped[reason].saturating_sub(settled.dropped[reason])
        });
        let produced = own.produced + signal.produced.saturating_sub(settled.produced);
        Counts { produced, exported: own.exported, dropped, ..*signal }
    }

    /// Items lost for one reason.
    #[must_use]
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize]
    }

    /// Items lost for any reason.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Items that are still on their way.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let ended = self.exported + self.sampled_out + self.dropped_total();
        self.produced.saturating_sub(ended)
    }
}
