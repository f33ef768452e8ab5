//! Puts samples of one series from several places into one sorted list.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::model::Histogram;
use crate::snapshot::Samples;

/// Takes samples in the order in which they were appended, oldest append first, and
/// leaves them sorted by time in a [`Samples`]; of two with one time the later one stays.
#[derive(Debug)]
pub(crate) struct Gather<'a> {
    out: &'a mut Samples,
    last_ms: Option<i64>,
    sorted: bool,
    /// How many samples of each kind came in a row: `true` for histograms. Only needed to
    /// know which came later.
    runs: Vec<(bool, u32)>,
}

impl<'a> Gather<'a> {
    /// Starts with `out` emptied.
    pub(crate) fn new(out: &'a mut Samples) -> Self {
        out.float_times_ms.clear();
        out.float_starts_ms.clear();
        out.floats.clear();
        out.histogram_times_ms.clear();
        out.histogram_starts_ms.clear();
        out.histograms.clear();
        Gather { out, last_ms: None, sorted: true, runs: Vec::new() }
    }

    pub(crate) fn float(&mut self, time_ms: i64, start_ms: i64, value: f64) {
        self.arrived(time_ms, false);
        push_start(&mut self.out.float_starts_ms, self.out.floats.len(), start_ms);
        self.out.float_times_ms.push(time_ms);
        self.out.floats.push(value);
    }

    /// The times and values of all floats so far, for many to be put at their ends;
    /// [`Gather::take_floats`] must come next.
    pub(crate) fn float_columns(&mut self) -> (&mut Vec<i64>, &mut Vec<f64>) {
        (&mut self.out.float_times_ms, &mut self.out.floats)
    }

    /// Takes the floats that were put into the columns from place `at` on, if they lie
    /// within the range. `ascending` says that their times are known to ascend.
    pub(crate) fn take_floats(
        &mut self,
        at: usize,
        ascending: bool,
        starts: &Starts,
        range_ms: &RangeInclusive<i64>,
    ) {
        let Samples { float_times_ms: times_ms, float_starts_ms: starts_ms, floats, .. } =
            &mut *self.out;
        if !ascending && !is_ascending(&times_ms[at..]) {
            return self.take_one_by_one(at, starts, range_ms);
        }
        let from = times_ms[at..].partition_point(|time| time < range_ms.start());
        let to = times_ms[at..].partition_point(|time| time <= range_ms.end()).max(from);
        times_ms.truncate(at + to);
        times_ms.drain(at..at + from);
        floats.truncate(at + to);
        floats.drain(at..at + from);
        let (Some(&first), Some(&last)) = (times_ms.get(at), times_ms.last()) else { return };
        let says_starts = match starts {
            Starts::None => false,
            Starts::Same(start) => *start != 0,
            Starts::Each(starts) => starts[from..to].iter().any(|&start| start != 0),
        };
        if says_starts || !starts_ms.is_empty() {
            starts_ms.resize(at, 0);
            match starts {
                Starts::Each(starts) => starts_ms.extend_from_slice(&starts[from..to]),
                same => starts_ms.resize(floats.len(), same.get(0)),
            }
        }
        self.sorted &= self.last_ms.is_none_or(|before| before < first);
        self.last_ms = Some(last);
        self.count((to - from) as u32, false);
    }

    /// The same for times in any order.
    fn take_one_by_one(&mut self, at: usize, starts: &Starts, range_ms: &RangeInclusive<i64>) {
        let times_ms = self.out.float_times_ms.split_off(at);
        let floats = self.out.floats.split_off(at);
        for (i, (time_ms, value)) in times_ms.into_iter().zip(floats).enumerate() {
            if range_ms.contains(&time_ms) {
                self.float(time_ms, starts.get(i), value);
            }
        }
    }

    pub(crate) fn histogram(&mut self, time_ms: i64, start_ms: i64, value: &Arc<Histogram>) {
        self.arrived(time_ms, true);
        push_start(&mut self.out.histogram_starts_ms, self.out.histograms.len(), start_ms);
        self.out.histogram_times_ms.push(time_ms);
        self.out.histograms.push(Arc::clone(value));
    }

    fn arrived(&mut self, time_ms: i64, histogram: bool) {
        self.sorted &= self.last_ms.is_none_or(|last| last < time_ms);
        self.last_ms = Some(time_ms);
        self.count(1, histogram);
    }

    fn count(&mut self, more: u32, histogram: bool) {
        match self.runs.last_mut() {
            Some((kind, count)) if *kind == histogram => *count += more,
            _ => self.runs.push((histogram, more)),
        }
    }

    /// Sorts, if need be.
    pub(crate) fn finish(self) {
        if !self.sorted {
            sort(self.out, &self.runs);
        }
    }
}

/// Start times of many samples.
#[derive(Debug)]
pub(crate) enum Starts {
    /// None is said.
    None,
    Same(i64),
    /// One for each sample.
    Each(Vec<i64>),
}

impl Starts {
    /// That of a sample, 0 if it is not said.
    pub(crate) fn get(&self, i: usize) -> i64 {
        match self {
            Starts::None => 0,
            Starts::Same(start) => *start,
            Starts::Each(starts) => starts.get(i).copied().unwrap_or(0),
        }
    }
}

pub(crate) fn is_ascending(times: &[i64]) -> bool {
    // Nearly all do: without an end to look for at each step it is twice as fast.
    times.windows(2).fold(true, |ascending, pair| ascending & (pair[0] < pair[1]))
}

/// Start times are a list only if one of them is said.
fn push_start(starts: &mut Vec<i64>, before: usize, start_ms: i64) {
    if start_ms != 0 && starts.is_empty() {
        starts.resize(before, 0);
    }
    if start_ms != 0 || !starts.is_empty() {
        starts.push(start_ms);
    }
}

fn sort(out: &mut Samples, runs: &[(bool, u32)]) {
    // (time, is a histogram, place in its list), in the order of arrival.
    let mut all = Vec::with_capacity(out.floats.len() + out.histograms.len());
    let mut next = [0usize; 2];
    for &(histogram, count) in runs {
        for _ in 0..count {
            let at = next[usize::from(histogram)];
            next[usize::from(histogram)] += 1;
            let times = if histogram { &out.histogram_times_ms } else { &out.float_times_ms };
            all.push((times[at], histogram, at));
        }
    }
    all.sort_by_key(|&(time, ..)| time);
    let from = std::mem::take(out);
    let start = |starts: &[i64], at: usize| starts.get(at).copied().unwrap_or(0);
    for (i, &(time, histogram, at)) in all.iter().enumerate() {
        if all.get(i + 1).is_some_and(|&(next, ..)| next == time) {
            continue;
        }
        if histogram {
            let start_ms = start(&from.histogram_starts_ms, at);
            push_start(&mut out.histogram_starts_ms, out.histograms.len(), start_ms);
            out.histogram_times_ms.push(time);
            out.histograms.push(Arc::clone(&from.histograms[at]));
        } else {
            push_start(
                &mut out.float_starts_ms,
                out.floats.len(),
                start(&from.float_starts_ms, at),
            );
            out.float_times_ms.push(time);
            out.floats.push(from.floats[at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_are_as_one_by_one() {
        use Starts::{Each, None, Same};
        let chunks: [(&[i64], Starts, &[f64]); 8] = [
            (&[10, 20], None, &[1.0, 2.0]),
            (&[], None, &[]),
            (&[20, 30], Each(vec![5, 0]), &[3.0, 4.0]),
            (&[40], Same(0), &[5.0]),
            (&[15, 50], None, &[6.0, 7.0]),
            (&[60, 70, 80], Same(9), &[8.0, 9.0, 9.5]),
            (&[90, 90, 85], Each(vec![1, 2, 3]), &[10.0, 11.0, 12.0]),
            (&[95, 99], Each(vec![0, 4]), &[13.0, 14.0]),
        ];
        let ranges = [i64::MIN..=i64::MAX, 20..=70, 16..=89, 99..=99, 1..=2];
        for (first, end, range) in (0..chunks.len())
            .flat_map(|first| (first..=chunks.len()).map(move |end| (first, end)))
            .flat_map(|(first, end)| ranges.iter().map(move |range| (first, end, range)))
        {
            let (mut many, mut single) = (Samples::default(), Samples::default());
            let mut gather = Gather::new(&mut many);
            for (times, starts, values) in &chunks[first..end] {
                let (times_ms, floats) = gather.float_columns();
                let at = floats.len();
                times_ms.extend_from_slice(times);
                floats.extend_from_slice(values);
                gather.take_floats(at, false, starts, range);
            }
            gather.finish();
            let mut gather = Gather::new(&mut single);
            for (times, starts, values) in &chunks[first..end] {
                for (i, time) in times.iter().enumerate().filter(|(_, time)| range.contains(time)) {
                    gather.float(*time, starts.get(i), values[i]);
                }
            }
            gather.finish();
            assert_eq!(many.float_times_ms, single.float_times_ms, "{first}..{end} {range:?}");
            assert_eq!(many.float_starts_ms, single.float_starts_ms, "{first}..{end} {range:?}");
            assert_eq!(many.floats, single.floats, "{first}..{end} {range:?}");
        }
    }

    #[test]
    fn later_wins_over_both_kinds_and_starts_stay_with_their_sample() {
        let mut out = Samples::default();
        let histogram = Arc::new(Histogram::default());
        let mut gather = Gather::new(&mut out);
        gather.float(30, 0, 3.0);
        gather.float(10, 5, 1.0);
        gather.histogram(20, 7, &histogram);
        gather.histogram(30, 0, &histogram);
        gather.float(20, 0, 2.0);
        gather.float(10, 0, 1.5);
        gather.finish();
        assert_eq!(out.float_times_ms, [10, 20]);
        assert_eq!(out.floats, [1.5, 2.0]);
        assert!(out.float_starts_ms.is_empty());
        assert_eq!(out.histogram_times_ms, [30]);
        assert_eq!(out.histograms.len(), 1);
    }

    #[test]
    fn start_times_begin_where_the_first_is_said() {
        let mut out = Samples::default();
        let mut gather = Gather::new(&mut out);
        gather.float(1, 0, 1.0);
        gather.float(2, 1, 2.0);
        gather.float(3, 0, 3.0);
        gather.finish();
        assert_eq!(out.float_starts_ms, [0, 1, 0]);
        Gather::new(&mut out).finish();
        assert!(out.floats.is_empty() && out.float_starts_ms.is_empty());
    }
}
