use std::fmt::Write as _;

use super::{EXEMPLAR_LABEL_CHARACTERS_MAX, Exemplar, Format, Kind};

/// Writes families one after the other.
///
/// Names are given as OpenMetrics has them, a counter without `_total`; what
/// Prometheus's format does not know is written in the nearest form it has.
#[derive(Debug)]
pub struct Writer {
    format: Format,
    out: String,
    family: String,
    kind: Kind,
}

impl Writer {
    /// An empty text.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Writer { format, out: String::new(), family: String::new(), kind: Kind::Unknown }
    }

    /// Begins a family. The name must end in `_unit` if a unit is given.
    pub fn family(&mut self, name: &str, kind: Kind, unit: &str, help: &str) {
        name.clone_into(&mut self.family);
        self.kind = kind;
        let (shown, word) = match (self.format, kind) {
            (Format::OpenMetrics, _) => (name.to_owned(), kind.as_str()),
            (Format::Prometheus, Kind::Counter) => (format!("{name}_total"), "counter"),
            (Format::Prometheus, Kind::Info) => (format!("{name}_info"), "gauge"),
            (Format::Prometheus, Kind::StateSet) => (name.to_owned(), "gauge"),
            (Format::Prometheus, Kind::GaugeHistogram) => (name.to_owned(), "histogram"),
            (Format::Prometheus, Kind::Unknown) => (name.to_owned(), "untyped"),
            (Format::Prometheus, _) => (name.to_owned(), kind.as_str()),
        };
        if !help.is_empty() {
            let _ = write!(self.out, "# HELP {shown} ");
            escape(help, self.format == Format::OpenMetrics, &mut self.out);
            self.out.push('\n');
        }
        let _ = writeln!(self.out, "# TYPE {shown} {word}");
        if self.format == Format::OpenMetrics && !unit.is_empty() {
            let _ = writeln!(self.out, "# UNIT {shown} {unit}");
        }
    }

    /// Adds a counter's value.
    pub fn counter(
        &mut self,
        labels: &[(&str, &str)],
        value: f64,
        exemplar: Option<&Exemplar<'_>>,
    ) {
        self.sample("_total", labels, None, value, exemplar);
    }

    /// Adds the value of a gauge, or of a family of unknown type.
    pub fn gauge(&mut self, labels: &[(&str, &str)], value: f64) {
        self.sample("", labels, None, value, None);
    }

    /// Adds facts.
    pub fn info(&mut self, labels: &[(&str, &str)]) {
        self.sample("_info", labels, None, 1.0, None);
    }

    /// Adds a histogram: for each upper bound, the last one +Inf, the observations up to
    /// it and an exemplar; and the sum of all. Without a bound at +Inf nothing is written,
    /// since there would be no count.
    pub fn histogram<'e>(
        &mut self,
        labels: &[(&str, &str)],
        buckets: impl IntoIterator<Item = (f64, u64, Option<&'e Exemplar<'e>>)>,
        sum: f64,
    ) {
        let start = self.out.len();
        let mut last = None;
        for (bound, count, exemplar) in buckets {
            let bound_text = self.bound(bound);
            self.sample("_bucket", labels, Some(("le", &bound_text)), count as f64, exemplar);
            last = Some((bound, count));
        }
        match last {
            Some((f64::INFINITY, count)) => {
                self.sample("_count", labels, None, count as f64, None);
                self.sample("_sum", labels, None, sum, None);
            }
            _ => self.out.truncate(start),
        }
    }

    /// Adds a summary: quantiles (0 to 1) with their values, count and sum.
    pub fn summary(
        &mut self,
        labels: &[(&str, &str)],
        quantiles: &[(f64, f64)],
        count: u64,
        sum: f64,
    ) {
        for &(quantile, value) in quantiles {
            let text = self.bound(quantile);
            self.sample("", labels, Some(("quantile", &text)), value, None);
        }
        self.sample("_count", labels, None, count as f64, None);
        self.sample("_sum", labels, None, sum, None);
    }

    /// The text, ended as the format asks for.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn sample(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        own: Option<(&str, &str)>,
        value: f64,
        exemplar: Option<&Exemplar<'_>>,
    ) {
        let _ = write!(self.out, "{}{suffix}", self.family);
        write_labels(labels.iter().copied().chain(own), false, &mut self.out);
        self.out.push(' ');
        write_number(value, &mut self.out);
        if let Some(exemplar) = exemplar.filter(|_| self.format == Format::OpenMetrics) {
            self.exemplar(exemplar);
        }
        self.out.push('\n');
    }

    /// Left out if its labels are longer than the format allows.
    fn exemplar(&mut self, exemplar: &Exemplar<'_>) {
        let labels = exemplar.labels.iter().map(|(name, value)| (*name, &**value));
        let characters: usize =
            labels.clone().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if characters > EXEMPLAR_LABEL_CHARACTERS_MAX {
            return;
        }
        self.out.push_str(" # ");
        write_labels(labels, true, &mut self.out);
        self.out.push(' ');
        write_number(exemplar.value, &mut self.out);
        if let Some(time_ms) = exemplar.time_ms {
            let sign = if time_ms < 0 { "-" } else { "" };
            let (seconds, ms) = (time_ms.unsigned_abs() / 1000, time_ms.unsigned_abs() % 1000);
            let _ = write!(self.out, " {sign}{seconds}.{ms:03}");
        }
    }

    /// Bounds have a form of their own: OpenMetrics always shows a point or an exponent.
    fn bound(&self, bound: f64) -> String {
        let mut text = String::new();
        if self.format == Format::OpenMetrics && bound.is_finite() {
            let _ = write!(text, "{bound:?}");
        } else {
            write_number(bound, &mut text);
        }
        text
    }
}

fn write_labels<'l>(
    labels: impl Iterator<Item = (&'l str, &'l str)>,
    always: bool,
    out: &mut String,
) {
    let mut labels = labels.peekable();
    if labels.peek().is_none() && !always {
        return;
    }
    out.push('{');
    for (i, (name, value)) in labels.enumerate() {
        let _ = write!(out, "{}{name}=\"", if i == 0 { "" } else { "," });
        escape(value, true, out);
        out.push('"');
    }
    out.push('}');
}

fn write_number(value: f64, out: &mut String) {
    let _ = if value == f64::INFINITY {
        write!(out, "+Inf")
    } else if value == f64::NEG_INFINITY {
        write!(out, "-Inf")
    } else if value.is_nan() {
        write!(out, "NaN")
    } else if value.fract() == 0.0 && value.abs() < 1e15 {
        write!(out, "{}", value as i64)
    } else {
        write!(out, "{value:?}")
    };
}

fn escape(text: &str, quote: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quote => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}
