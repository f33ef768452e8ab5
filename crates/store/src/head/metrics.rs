//! Series and samples of the head.

use std::collections::HashMap;
use std::sync::Arc;

use crate::intern::Seeded;
use crate::labels::Labels;
use crate::matcher::{MatchOp, Matcher};
use crate::model::{Exemplar, Histogram, SampleValue};
use crate::payload::{SampleRow, SeriesRun};
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
    /// Appends that later ones may refer to, by number.
    named: Vec<Named>,
    named_bytes: usize,
    /// Samples of series whose name is lost.
    pub(crate) nameless: u64,
}

/// The series that an append names, in its order.
#[derive(Clone, Debug)]
struct Named {
    append: u64,
    series: Vec<NamedSeries>,
}

#[derive(Clone, Copy, Debug)]
struct NamedSeries {
    index: u32,
    resource: u32,
    scope: u32,
}

/// The place of a series whose name is lost with a damaged append.
pub(super) const NAMELESS: u32 = u32::MAX;

/// One series: samples in the order they were appended.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    pub(crate) labels: Labels,
    pub(crate) resource: u32,
    pub(crate) scope: u32,
    floats: Vec<HeadFloat>,
    /// Start time of the first float, and of the others if nothing rare says otherwise.
    start_ms: i64,
    rare: Option<Box<Rare>>,
}

/// What few series have: the others are one line of the processor's cache each.
#[derive(Debug, Default)]
struct Rare {
    /// Start times that differ from the one before, each from the float at that place on.
    starts: Vec<(u32, i64)>,
    histograms: Vec<HeadHistogram>,
}

/// Packed, because there are millions of them and a fifth would be padding.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
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
    /// Places of a payload's series; those it names itself can be referred to from now on.
    /// Of these `shared` has the labels, one after the other, as far as they are in memory.
    pub(super) fn name_series(
        &mut self,
        append: u64,
        runs: &[SeriesRun<'_>],
        resources: &[u32],
        scopes: &[u32],
        shared: &[Option<Labels>],
    ) -> Option<Vec<u32>> {
        let mut named: Vec<NamedSeries> = Vec::new();
        let mut any_new = false;
        let mut shared = shared.iter();
        for run in runs {
            match run {
                SeriesRun::New(entries) => {
                    any_new |= !entries.is_empty();
                    for entry in entries {
                        let resource = *resources.get(entry.resource as usize)?;
                        let scope = *scopes.get(entry.scope as usize)?;
                        let shared = shared.next().and_then(Option::as_ref);
                        let index = self.series((entry.labels, shared), resource, scope)?;
                        named.push(NamedSeries { index, resource, scope });
                    }
                }
                SeriesRun::Known { append, at, count } => {
                    let known = self.named.binary_search_by_key(append, |named| named.append);
                    let known = known.ok().map(|found| &self.named[found].series);
                    let from = *at as usize;
                    let known = known.and_then(|all| all.get(from..from.checked_add(*count)?));
                    let Some(known) = known else {
                        let none = NamedSeries { index: NAMELESS, resource: 0, scope: 0 };
                        named.resize(named.len() + count, none);
                        continue;
                    };
                    for one in known {
                        let series = self.series.get_mut(one.index as usize)?;
                        (series.resource, series.scope) = (one.resource, one.scope);
                    }
                    named.extend_from_slice(known);
                }
            }
        }
        let places = named.iter().map(|one| one.index).collect();
        if any_new && self.named.last().is_none_or(|last| last.append < append) {
            named.shrink_to_fit();
            self.named_bytes += named.len() * size_of::<NamedSeries>();
            self.named.push(Named { append, series: named });
        }
        Some(places)
    }

    /// The same series, without samples and exemplars.
    pub(super) fn without_samples(&self) -> MetricsHead {
        let mut next = MetricsHead::default();
        for series in &self.series {
            let labels = (series.labels.as_bytes(), Some(&series.labels));
            let _ = next.series(labels, series.resource, series.scope);
        }
        next.named.clone_from(&self.named);
        next.named_bytes = self.named_bytes;
        next.nameless = self.nameless;
        next
    }

    /// The place of a series by its labels, which may also be in memory as they are.
    fn series(
        &mut self,
        (labels, shared): (&[u8], Option<&Labels>),
        resource: u32,
        scope: u32,
    ) -> Option<u32> {
        if let Some(&index) = self.by_labels.get(labels) {
            let series = self.series.get_mut(index as usize)?;
            (series.resource, series.scope) = (resource, scope);
            return Some(index);
        }
        let index = u32::try_from(self.series.len()).ok()?;
        debug_assert!(shared.is_none_or(|shared| shared.as_bytes() == labels));
        // Whoever sends the series has them for as long as it does: one copy is enough.
        let labels = shared.map_or_else(|| Labels::from_bytes(labels), |s| Some(s.clone()))?;
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
            start_ms: 0,
            rare: None,
        });
        Some(index)
    }

    /// Expects as many series as another head has.
    pub(super) fn reserve(&mut self, like: &MetricsHead) {
        self.by_labels.reserve(like.series.len());
        self.series.reserve(like.series.len());
    }

    /// Places of all series, in the order of a part.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        let mut names: Vec<_> = self.by_name.iter().collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        let mut order = Vec::with_capacity(self.series.len());
        let mut of_name: Vec<(&Labels, u32)> = Vec::new();
        for (_, places) in names {
            of_name.clear();
            of_name.extend(places.iter().map(|&at| (&self.series[at as usize].labels, at)));
            of_name.sort_unstable_by_key(|(labels, _)| *labels);
            order.extend(of_name.iter().map(|(_, at)| at));
        }
        order
    }

    pub(crate) fn push(&mut self, index: u32, number: u32, sample: SampleRow) -> Option<()> {
        if index == NAMELESS {
            self.nameless += 1;
            return Some(());
        }
        let series = self.series.get_mut(index as usize)?;
        let SampleRow { time_ms, start_ms, .. } = sample;
        self.samples += 1;
        match sample.value {
            SampleValue::Float(value) => {
                let at = u32::try_from(series.floats.len()).ok()?;
                if at == 0 {
                    series.start_ms = start_ms;
                } else if series.last_start_ms() != start_ms {
                    series.rare.get_or_insert_default().starts.push((at, start_ms));
                }
                series.floats.push(HeadFloat { time_ms, value, number });
            }
            SampleValue::Histogram(value) => {
                let buckets = value.positive_buckets.len() + value.negative_buckets.len();
                self.histogram_bytes += 256 + buckets * 10 + value.custom_values.len() * 8;
                let floats_before = series.floats.len() as u32;
                let value = Arc::from(value);
                let sample = HeadHistogram { time_ms, start_ms, number, floats_before, value };
                series.rare.get_or_insert_default().histograms.push(sample);
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
        self.series_bytes()
            + self.samples as usize * sample
            + self.histogram_bytes
            + self.exemplars.len() * 160
    }

    /// What series take before they have a sample.
    pub(crate) fn series_bytes(&self) -> usize {
        self.series.len() * (size_of::<HeadSeries>() + 48) + self.label_bytes + self.named_bytes
    }
}

impl HeadSeries {
    /// Start time of the last float.
    fn last_start_ms(&self) -> i64 {
        let changed = self.rare.as_ref().and_then(|rare| rare.starts.last());
        changed.map_or(self.start_ms, |&(_, start)| start)
    }

    fn histograms(&self) -> &[HeadHistogram] {
        self.rare.as_ref().map_or(&[], |rare| &rare.histograms)
    }

    /// Whether a sample that `visible` allows lies within the range.
    pub(crate) fn has_samples(&self, visible: u32, range: TimeRange) -> bool {
        let ms = range.to_ms();
        let has = |s: &HeadFloat| s.number <= visible && ms.contains(&{ s.time_ms });
        self.floats.iter().any(has)
            || self.histograms().iter().any(|s| s.number <= visible && ms.contains(&s.time_ms))
    }

    /// Adds visible samples within the range to `out`, in the order of arrival.
    pub(crate) fn gather(&self, visible: u32, range: TimeRange, out: &mut Gather<'_>) {
        let ms = range.to_ms();
        let starts = self.rare.as_ref().map_or(&[][..], |rare| &rare.starts);
        let mut starts = starts.iter().peekable();
        let mut start_ms = self.start_ms;
        let mut histograms = self.histograms().iter().peekable();
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
            if sample.number <= visible && ms.contains(&{ sample.time_ms }) {
                out.float(sample.time_ms, start_ms, sample.value);
            }
        }
        add_histograms(u32::MAX, out);
    }

    /// Calls `each` with the time of every sample.
    pub(crate) fn each_time(&self, mut each: impl FnMut(i64)) {
        self.floats.iter().for_each(|s| each(s.time_ms));
        self.histograms().iter().for_each(|s| each(s.time_ms));
    }

    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.floats.len() + self.histograms().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Samples;

    #[test]
    fn samples_come_back_with_their_start_times_and_in_their_order() {
        assert!(size_of::<HeadSeries>() <= 64 && size_of::<HeadFloat>() == 20);
        for starts in [[0, 0, 0, 0], [7, 7, 7, 7], [0, 7, 7, 9], [7, 0, 7, 7], [7, 8, 8, 0]] {
            for histograms in [0b0000, 0b0001, 0b0110, 0b1000, 0b1111] {
                let mut head = MetricsHead::default();
                let labels = Labels::from_pairs([("__name__", "up")]);
                let series = head.series((labels.as_bytes(), None), 0, 0).unwrap();
                let (mut found, mut expect) = (Samples::default(), Samples::default());
                let mut gather = Gather::new(&mut expect);
                for (i, start_ms) in starts.into_iter().enumerate() {
                    let time_ms = 10 + i as i64;
                    let value = match histograms >> i & 1 {
                        0 => SampleValue::Float(i as f64),
                        _ => SampleValue::Histogram(Box::default()),
                    };
                    match &value {
                        SampleValue::Float(float) => gather.float(time_ms, start_ms, *float),
                        SampleValue::Histogram(h) => {
                            gather.histogram(time_ms, start_ms, &Arc::new((**h).clone()));
                        }
                    }
                    let row = SampleRow { series, time_ms, start_ms, value };
                    head.push(series, i as u32, row).unwrap();
                }
                gather.finish();
                let mut gather = Gather::new(&mut found);
                head.series[0].gather(u32::MAX, TimeRange::ALL, &mut gather);
                gather.finish();
                assert_eq!(format!("{found:?}"), format!("{expect:?}"));
                assert_eq!(head.series[0].len(), 4);
            }
        }
    }
}
