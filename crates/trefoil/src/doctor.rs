//! Why nothing arrives: each way to the receivers is tried, each counter looked at, and the
//! cause named.

mod message;
mod network;
mod sniff;
mod state;
#[cfg(test)]
mod tests;
mod vitals;

use std::fmt;
use std::time::Duration;

use crate::account::Signal;
use crate::init::Handle;

pub(crate) use vitals::Vitals;

/// Longest that all ways to receivers together are tried.
const DEADLINE: Duration = Duration::from_secs(8);

impl Handle {
    /// Sends one item of each signal to each of its receivers, looks at what has happened so
    /// far, and says what keeps telemetry from arriving and what to do.
    ///
    /// What it sends is named `trefoil.doctor` and counted nowhere. It blocks for as long as
    /// a receiver takes to answer, eight seconds at most: call it at the start, from a
    /// command, or on a thread that may wait (`tokio::task::spawn_blocking`).
    #[must_use]
    pub fn doctor(&self) -> Diagnosis {
        self.diagnose(&Thresholds::default())
    }

    pub(crate) fn diagnose(&self, thresholds: &Thresholds) -> Diagnosis {
        let mut findings = Vec::new();
        state::examine(&self.parts, thresholds, &mut findings);
        if self.parts.running.is_some() {
            network::examine(&self.parts, DEADLINE, &mut findings);
        }
        // Problems first, each kind in the order it was found.
        findings.sort_by_key(|finding| !finding.is_problem());
        Diagnosis { findings }
    }
}

/// From when on something counts as strange.
#[derive(Clone, Debug)]
pub(crate) struct Thresholds {
    /// A `/metrics` that nobody reads.
    pub(crate) scrape: Duration,
    /// A span that is open.
    pub(crate) open_span: Duration,
    /// A clock that differs from the receiver's. Its answers have whole seconds.
    pub(crate) skew: Duration,
    /// Requests without a span, or without a caller's context.
    pub(crate) requests: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            scrape: Duration::from_secs(5 * 60),
            open_span: Duration::from_secs(10 * 60),
            skew: Duration::from_secs(10),
            requests: 100,
        }
    }
}

/// What was found. Displayed as a list, problems first.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    findings: Vec<Finding>,
}

impl Diagnosis {
    /// All that was found, good or bad.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.findings.iter().any(Finding::is_problem)
    }

    /// Whether this was found.
    #[must_use]
    pub fn has(&self, cause: Cause) -> bool {
        self.findings.iter().any(|finding| finding.cause == cause)
    }
}

/// One thing that was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// What it is, for programs.
    pub cause: Cause,
    /// The signal it concerns, if it does not concern all.
    pub signal: Option<Signal>,
    /// What was seen.
    pub message: String,
    /// What to do; empty where nothing is.
    pub advice: String,
}

impl Finding {
    fn new(cause: Cause, signal: Option<Signal>, message: String, advice: &str) -> Finding {
        Finding { cause, signal, message, advice: advice.to_owned() }
    }

    /// Whether it keeps telemetry from arriving, or will.
    #[must_use]
    pub fn is_problem(&self) -> bool {
        !matches!(
            self.cause,
            Cause::Arrives | Cause::Unverified | Cause::NoExporter | Cause::NoHttpLayer
        )
    }
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The receiver acknowledged what was sent to it.
    Arrives,
    /// It was sent, by a protocol without answers.
    Unverified,
    /// Telemetry is switched off.
    Disabled,
    /// A setting means nothing.
    BadSetting,
    /// A signal goes nowhere, as somebody asked for.
    NoExporter,
    /// The name of the receiver's host is not known.
    NameNotResolved,
    /// Nobody listens there.
    Refused,
    /// No answer came: a firewall, a wrong address, or a receiver that hangs.
    NoAnswer,
    /// The network does not lead there.
    Unreachable,
    /// TLS failed: a certificate that is not trusted, a name that is not in it.
    Tls,
    /// The port speaks another protocol than the one that is spoken to it.
    WrongProtocol,
    /// The receiver does not let us in.
    Unauthorized,
    /// Something else than a receiver of OTLP is at that path.
    WrongPath,
    /// The receiver is there and cannot take anything now.
    Overloaded,
    /// The receiver refused what it was sent, for another reason.
    Rejected,
    /// Sampling, or a level, leaves all traces out.
    NotSampled,
    /// Requests came, and no span was begun for them.
    NoServerSpan,
    /// No layer of this telemetry is in front of a server.
    NoHttpLayer,
    /// No request brought its caller's context along.
    NoCallerContext,
    /// `/metrics` is served and nobody reads it.
    NotScraped,
    /// This clock and the receiver's differ.
    ClockSkew,
    /// Items were lost.
    Lost,
    /// The exporter failed the last time it tried.
    Failing,
    /// Spans have been open for long: they may never be closed.
    OpenSpans,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.cause {
            Cause::Arrives => "✓ ",
            _ if self.is_problem() => "✗ ",
            _ => "· ",
        })?;
        if let Some(signal) = self.signal {
            write!(f, "{}: ", signal.as_str())?;
        }
        f.write_str(&self.message)?;
        if !self.advice.is_empty() {
            write!(f, "\n    → {}", self.advice)?;
        }
        Ok(())
    }
}
