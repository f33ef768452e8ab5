//! Metrics as text: Prometheus 0.0.4 and OpenMetrics 1.0, written and parsed.
//!
//! Sources: "Exposition formats" of prometheus.io, and the OpenMetrics 1.0 specification
//! (prometheus/OpenMetrics).

mod lines;
mod parse;
mod rules;
mod write;

use std::borrow::Cow;
use std::fmt;

pub use parse::parse;
pub use write::Writer;

#[cfg(test)]
mod tests;

/// Characters that the label names and values of one exemplar may have together.
pub const EXEMPLAR_LABEL_CHARACTERS_MAX: usize = 128;

/// Labels that one sample may have; far beyond what anyone means, and little enough to
/// compare each with each.
pub const LABELS_MAX: usize = 512;

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4: forgiving, times in milliseconds.
    Prometheus,
    /// OpenMetrics text 1.0: strict, times in seconds, ends in `# EOF`.
    OpenMetrics,
}

impl Format {
    /// Value of the `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Kind of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// Not said. `untyped` in Prometheus's format.
    #[default]
    Unknown,
    /// Only goes up.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Cumulative buckets.
    Histogram,
    /// Buckets that go both ways. Only in OpenMetrics.
    GaugeHistogram,
    /// Precomputed quantiles.
    Summary,
    /// Facts that do not change. Only in OpenMetrics.
    Info,
    /// Which of some states hold. Only in OpenMetrics.
    StateSet,
}

impl Kind {
    /// The word in a `TYPE` line of OpenMetrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Unknown => "unknown",
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::GaugeHistogram => "gaugehistogram",
            Kind::Summary => "summary",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
        }
    }

    fn from_str(word: &str, format: Format) -> Option<Self> {
        let all = [
            Kind::Counter,
            Kind::Gauge,
            Kind::Histogram,
            Kind::Summary,
            Kind::GaugeHistogram,
            Kind::Info,
            Kind::StateSet,
            Kind::Unknown,
        ];
        let known = match format {
            Format::Prometheus if word == "untyped" => return Some(Kind::Unknown),
            Format::Prometheus => &all[..4],
            Format::OpenMetrics => &all[..],
        };
        known.iter().copied().find(|kind| kind.as_str() == word)
    }

    /// What a sample's name may have behind the family's name.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Kind::Unknown | Kind::Gauge | Kind::StateSet => &[""],
            Kind::Counter => &["_total", "_created"],
            Kind::Histogram => &["_bucket", "_count", "_sum", "_created"],
            Kind::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
            Kind::Summary => &["", "_count", "_sum", "_created"],
            Kind::Info => &["_info"],
        }
    }
}

/// A metric family with its samples.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Family<'a> {
    /// Name. In Prometheus's format a counter's ends in `_total`, in OpenMetrics it does not.
    pub name: &'a str,
    /// Kind.
    pub kind: Kind,
    /// What it means, or empty.
    pub help: Cow<'a, str>,
    /// Unit, or empty.
    pub unit: &'a str,
    /// Samples in the order they came.
    pub samples: Vec<Sample<'a>>,
}

/// A label's name and value.
pub type Label<'a> = (&'a str, Cow<'a, str>);

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Full name, with a suffix like `_bucket`.
    pub name: &'a str,
    /// Labels in the order they came; no name comes twice.
    pub labels: Vec<Label<'a>>,
    /// Value.
    pub value: f64,
    /// Unix milliseconds, if said.
    pub time_ms: Option<i64>,
    /// Example observation.
    pub exemplar: Option<Exemplar<'a>>,
}

impl Sample<'_> {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(n, _)| *n == name).map(|(_, value)| &**value)
    }
}

/// An example observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar<'a> {
    /// Usually `trace_id` and `span_id`.
    pub labels: Vec<Label<'a>>,
    /// The observed value.
    pub value: f64,
    /// Unix milliseconds, if said.
    pub time_ms: Option<i64>,
}

/// Why a text was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for Error {}
