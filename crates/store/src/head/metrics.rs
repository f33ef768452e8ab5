//! Series and samples of the head.

use std::collections::HashMap;
use std::sync::Arc;

use crate::intern::Seeded;
use crate::labels::Labels;
use crate::matcher::{MatchOp, Matcher};
use crate::model::{Exemplar, Histogram, SampleValue};
use crate::payload::SampleRow;
use crate::samples::Gather;
use crate::snapshot::TimeRange;

/// Metrics of one head.
#[derive(Debug, Default)]
pub(crate) struct MetricsHead {
    by_labels: HashMap<Labels, u32, Seeded>,
    label_bytes: usize,
    by_name: HashMap<Box<str>, Vec<u32>>,
    pub(crate) series: Vec<HeadSeries>,
    pub(crate) exemplars: Vec<HeadExemplar>,
    /// All samples together.
    pub(crate) samples: u64,
    histogram_bytes: usize,
}

/// One series: samples in the order they were appended.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    pub(crate) labels: Labels,
    pub(crate) resource: u32,
    pub(crate) scope: u32,
    floats: Vec<HeadFloat>,
    /// Start times, each from the sample at that place on; they rarely change.
    starts: Vec<(u32, i64)>,
    histograms: Vec<HeadHistogram>,
}

#[derive(Clone, Copy, Debug)]
struct HeadFloat {
    time_ms: i64,
    value: f64,
    number: u32,
}

#[derive(Clone, Debug)]
struct HeadHistogram {
    time_ms: i64,
    start_ms: i64,
    number: u32,
    /// How many floats came before: keeps the order between the two kinds.
    floats_before: u32,
    value: Arc<Histogram>,
}

/// An exemplar and the series it belongs to.
#[derive(Debug)]
pub(crate) struct HeadExemplar {
    pub(crate) series: u32,
    pub(crate) number: u32,
    pub(crate) exemplar: Exemplar,
}

impl MetricsHead {
    pub(crate) fn series(&mut self, labels: &[u8], resource: u32, scope: u32) -> Option<u32> {
        if let Some(&index) = self.by_labels.get(labels) {
            let series = self.series.get_mut(index as usize)?;
            (series.resource, series.scope) = (resource, scope);
            return Some(index);
        }
        let index = u32::try_from(self.series.len()).ok()?;
        let labels = Labels::from_bytes(labels)?;
        let name = labels.metric_name().unwrap_or("");
        match self.by_name.get_mut(name) {
            Some(list) => list.push(index),
            None => drop(self.by_name.insert(name.into(), vec![index])),
        }
        self.label_bytes += labels.as_bytes().len();
        self.by_labels.insert(labels.clone(), index);
        self.series.push(HeadSeries {
            labels,
            resource,
            scope,
            floats: Vec::new(),
            starts: Vec::new(),
            histograms: Vec::new(),
        });
        Some(index)
    }

    pub(crate) fn push(&mut self, index: u32, number: u32, sample: SampleRow) -> Option<()> {
        let series = self.series.get_mut(index as usize)?;
        let SampleRow { time_ms, start_ms, .. } = sample;
        self.samples += 1;
        match sample.value {
            SampleValue::Float(value) => {
                let at = u32::try_from(series.floats.len()).ok()?;
                if series.starts.last().map_or(0, |&(_, start)| start) != start_ms {
                    series.starts.push((at, start_ms));
                }
                series.floats.push(HeadFloat { time_ms, value, number });
            }
            SampleValue::Histogram(value) => {
                let buckets = value.positive_buckets.len() + value.negative_buckets.len();
                self.histogram_bytes += 256 + buckets * 10 + value.custom_values.len() * 8;
                let floats_before = series.floats.len() as u32;
                let value = Arc::from(value);
                let sample = HeadHistogram { time_ms, start_ms, number, floats_before, value };
                series.histograms.push(sample);
            }
        }
        Some(())
    }

    /// Places of the series that match, in any order.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Vec<u32> {
        let name = matchers
            .iter()
            .find(|m| m.name == "__name__" && m.op == MatchOp::Equal && !m.value.is_empty());
        let matches = |&index: &u32| {
            let series = self.series.get(index as usize);
            series.is_some_and(|s| matchers.iter().all(|m| m.matches_labels(&s.labels)))
        };
        match name {
            Some(name) => {
                let list = self.by_name.get(name.value.as_str()).map_or(&[][..], Vec::as_slice);
                list.iter().copied().filter(matches).collect()
            }
            None => (0..self.series.len() as u32).filter(matches).collect(),
        }
    }

    /// Roughly the memory taken, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        // A vector has on average a quarter of its capacity to spare.
        let sample = size_of::<HeadFloat>() * 5 / 4;
        self.series.len() * (size_of::<HeadSeries>() + 48)
            + self.label_bytes
            + self.samples as usize * sample
            + self.histogram_bytes
            + self.exemplars.len() * 160
    }
}

impl HeadSeries {
    /// Whether a sample that `visible` allows lies within the range.
    pub(crate) fn has_samples(&self, visible: u32, range: TimeRange) -> bool {
        let ms = range.to_ms();
        self.floats.iter().any(|s| s.number <= visible && ms.contains(&s.time_ms))
            || self.histograms.iter().any(|s| s.number <= visible && ms.contains(&s.time_ms))
    }

    /// Adds visible samples within the range to `out`, in the order of arrival.
    pub(crate) fn gather(&self, visible: u32, range: TimeRange, out: &mut Gather<'_>) {
        let ms = range.to_ms();
        let mut starts = self.starts.iter().peekable();
        let mut start_ms = 0;
        let mut histograms = self.histograms.iter().peekable();
        let mut add_histograms = |before: u32, out: &mut Gather<'_>| {
            while let Some(h) = histograms.next_if(|h| h.floats_before <= before) {
                if h.number <= visible && ms.contains(&h.time_ms) {
                    out.histogram(h.time_ms, h.start_ms, &h.value);
                }
            }
        };
        for (at, sample) in self.floats.iter().enumerate() {
            add_histograms(at as u32, out);
            if let Some(&(_, start)) = starts.next_if(|(from, _)| *from == at as u32) {
                start_ms = start;
            }
            if sample.number <= visible && ms.contains(&sample.time_ms) {
                out.float(sample.time_ms, start_ms, sample.value);
            }
        }
        add_histograms(u32::MAX, out);
    }

    /// Calls `each` with the time of every sample.
    pub(crate) fn each_time(&self, mut each: impl FnMut(i64)) {
        self.floats.iter().for_each(|s| each(s.time_ms));
        self.histograms.iter().for_each(|s| each(s.time_ms));
    }

    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }
}
