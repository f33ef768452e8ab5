//! What OpenMetrics asks of the samples of a family, beyond how they are written.

use std::collections::HashSet;

use super::lines::{Result, SampleLine, excerpt, number};
use super::{Kind, Label, Sample};

/// Checks the samples of one family as they come.
#[derive(Default)]
pub(super) struct GroupCheck<'a> {
    /// The metric (labels without `le`, `quantile` and the state) that the samples belong to.
    group: Vec<Label<'a>>,
    /// Metrics that were complete; none may come again.
    complete: HashSet<Vec<Label<'a>>>,
    started: bool,
    /// Samples of this metric at this time: name and distinguishing label.
    seen: HashSet<(&'a str, String)>,
    time: Option<f64>,
    histogram: HistogramCheck,
}

/// What is known of the histogram being read.
#[derive(Default)]
struct HistogramCheck {
    last_bound: Option<f64>,
    last_count: f64,
    infinite: bool,
    negative_bounds: bool,
    count: Option<f64>,
    sum: Option<f64>,
}

impl<'a> GroupCheck<'a> {
    pub(super) fn sample(
        &mut self,
        family: &'a str,
        kind: Kind,
        line: &SampleLine<'a>,
    ) -> Result<()> {
        let sample = &line.sample;
        let suffix = &sample.name[family.len()..];
        let own_label = match (kind, suffix) {
            (Kind::Histogram | Kind::GaugeHistogram, "_bucket") => "le",
            (Kind::Summary, "") => "quantile",
            (Kind::StateSet, _) => family,
            _ => "",
        };
        if !own_label.is_empty() && sample.label(own_label).is_none() {
            return Err(format!("{:?} needs the label {own_label:?}", sample.name));
        }
        check_value(kind, suffix, sample)?;
        if sample.exemplar.is_some() && !matches!(suffix, "_total" | "_bucket") {
            return Err(format!("{:?} can not have an exemplar", sample.name));
        }
        self.enter(kind, own_label, line)?;
        if matches!(kind, Kind::Histogram | Kind::GaugeHistogram) {
            self.histogram.sample(suffix, sample)?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self, kind: Kind) -> Result<()> {
        let histogram = std::mem::take(&mut self.histogram);
        if self.started && matches!(kind, Kind::Histogram | Kind::GaugeHistogram) {
            return histogram.end(kind);
        }
        Ok(())
    }

    /// Moves on to the sample's metric and time.
    fn enter(&mut self, kind: Kind, own_label: &str, line: &SampleLine<'a>) -> Result<()> {
        let sample = &line.sample;
        let mut group: Vec<Label<'a>> =
            sample.labels.iter().filter(|(name, _)| *name != own_label).cloned().collect();
        group.sort();
        let own = sample.label(own_label).unwrap_or_default().to_owned();
        if !self.started || group != self.group {
            self.end(kind)?;
            if self.complete.contains(&group) {
                return Err(format!("samples of {:?} are not together", sample.name));
            }
            let before = std::mem::replace(&mut self.group, group);
            if self.started {
                self.complete.insert(before);
            }
            self.started = true;
            self.seen.clear();
        } else if self.time.is_some() != line.time.is_some() {
            return Err("some samples of one metric have a time and some do not".to_owned());
        } else if self.time != line.time {
            if self.time > line.time {
                return Err("times within one metric go backwards".to_owned());
            }
            self.end(kind)?;
            self.seen.clear();
        }
        self.time = line.time;
        if !self.seen.insert((sample.name, own)) && line.time.is_none() {
            return Err(format!("{:?} comes twice with the same labels", sample.name));
        }
        Ok(())
    }
}

/// Which values a sample may have.
fn check_value(kind: Kind, suffix: &str, sample: &Sample<'_>) -> Result<()> {
    let value = sample.value;
    let not_negative = matches!(
        (kind, suffix),
        (Kind::Counter, "_total")
            | (Kind::Histogram, "_bucket" | "_count" | "_sum")
            | (Kind::GaugeHistogram, "_bucket" | "_gcount")
            | (Kind::Summary, "_count" | "_sum")
    );
    if not_negative && (value.is_nan() || value < 0.0) {
        return Err(format!("{:?} can not be {value}", sample.name));
    }
    match kind {
        Kind::Info if value != 1.0 => Err(format!("{:?} can only be 1", sample.name)),
        Kind::StateSet if value != 0.0 && value != 1.0 => {
            Err(format!("{:?} can only be 0 or 1", sample.name))
        }
        Kind::Summary if suffix.is_empty() => check_quantile(sample),
        _ => Ok(()),
    }
}

fn check_quantile(sample: &Sample<'_>) -> Result<()> {
    let quantile = number(sample.label("quantile").unwrap_or_default())?;
    if !(0.0..=1.0).contains(&quantile) {
        return Err(format!("the quantile {quantile} is not within 0 and 1"));
    }
    if sample.value < 0.0 {
        return Err(format!("{:?} can not be {}", sample.name, sample.value));
    }
    Ok(())
}

impl HistogramCheck {
    fn sample(&mut self, suffix: &str, sample: &Sample<'_>) -> Result<()> {
        match suffix {
            "_bucket" => self.bucket(sample)?,
            "_count" | "_gcount" => self.count = Some(sample.value),
            "_sum" | "_gsum" => self.sum = Some(sample.value),
            _ => {}
        }
        Ok(())
    }

    fn bucket(&mut self, sample: &Sample<'_>) -> Result<()> {
        let text = sample.label("le").unwrap_or_default();
        let bound = number(text)?;
        if bound.is_nan() || bound == f64::INFINITY && text != "+Inf" {
            return Err(format!(
                "le=\"{}\" is not a bound; the last one is \"+Inf\"",
                excerpt(text)
            ));
        }
        if self.last_bound.is_some_and(|last| last >= bound) {
            return Err("buckets must come in the order of their bounds".to_owned());
        }
        if self.last_bound.is_some() && sample.value < self.last_count {
            return Err("buckets are cumulative and can not go down".to_owned());
        }
        self.negative_bounds |= bound < 0.0;
        self.infinite |= bound == f64::INFINITY;
        self.last_bound = Some(bound);
        self.last_count = sample.value;
        Ok(())
    }

    fn end(self, kind: Kind) -> Result<()> {
        if !self.infinite {
            return Err("a histogram needs a bucket with le=\"+Inf\"".to_owned());
        }
        if self.count.is_some_and(|count| count != self.last_count) {
            return Err("the count of a histogram must equal its last bucket".to_owned());
        }
        if kind == Kind::Histogram && self.negative_bounds && self.sum.is_some() {
            return Err("a histogram with negative bounds can not have a sum".to_owned());
        }
        let needs_sum = kind == Kind::GaugeHistogram || !self.negative_bounds;
        if self.sum.is_some() && self.count.is_none()
            || needs_sum && self.count.is_some() && self.sum.is_none()
        {
            return Err("a histogram has a count and a sum, or neither".to_owned());
        }
        if kind == Kind::GaugeHistogram
            && !self.negative_bounds
            && self.sum.is_some_and(|sum| sum.is_nan() || sum < 0.0)
        {
            return Err("without negative bounds the sum can not be negative".to_owned());
        }
        Ok(())
    }
}
