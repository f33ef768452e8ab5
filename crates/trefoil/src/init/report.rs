//! What a flush or a shutdown could send, and what not.

use std::fmt;
use std::time::Duration;

use crate::account::{Counts, Dropped, Signal};

/// What a flush or a shutdown could send, and what not.
///
/// Displayed as a line of what was sent and one for each signal that lost something.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Of spans.
    pub traces: SignalReport,
    /// Of data points.
    pub metrics: SignalReport,
    /// Of log records.
    pub logs: SignalReport,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether everything that waited was dealt with before the deadline.
    pub complete: bool,
}

impl Report {
    /// The three signals.
    pub fn signals(&self) -> impl Iterator<Item = &SignalReport> {
        [&self.traces, &self.metrics, &self.logs].into_iter()
    }

    /// Items that did not leave since the start, for any reason but sampling.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.signals().map(|signal| signal.counts.dropped_total()).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = |signal: &SignalReport| signal.counts.exported;
        write!(
            f,
            "sent {} spans, {} data points, {} log records",
            sent(&self.traces),
            sent(&self.metrics),
            sent(&self.logs)
        )?;
        if !self.complete {
            write!(f, "; not all could be sent in {:.1?}", self.elapsed)?;
        }
        self.signals()
            .filter(|signal| signal.counts.dropped_total() > 0)
            .try_for_each(|signal| write!(f, "; {signal}"))
    }
}

/// Of one signal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignalReport {
    /// Which.
    pub signal: Signal,
    /// What became of its items since the start.
    pub counts: Counts,
    /// Exporters that have trouble, and what it is.
    pub problems: Vec<String>,
}

impl SignalReport {
    pub(super) fn new(signal: Signal, counts: Counts, problems: Vec<String>) -> SignalReport {
        SignalReport { signal, counts, problems }
    }

    /// Items that the end of the process was too early for.
    #[must_use]
    pub fn lost_at_the_end(&self) -> u64 {
        self.counts.dropped(Dropped::Shutdown)
    }
}

impl fmt::Display for SignalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lost: {}", items(self.signal), self.counts.dropped_total())?;
        let reasons = Dropped::ALL.iter().map(|reason| (reason, self.counts.dropped(*reason)));
        for (index, (reason, count)) in reasons.filter(|(_, count)| *count > 0).enumerate() {
            let between = if index == 0 { " (" } else { ", " };
            write!(f, "{between}{} {count}", reason.as_str())?;
        }
        f.write_str(")")?;
        self.problems.iter().try_for_each(|problem| write!(f, ": {problem}"))
    }
}

fn items(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "spans",
        Signal::Metrics => "data points",
        Signal::Logs => "log records",
    }
}
