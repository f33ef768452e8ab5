//! Puts samples of one series from several places into one sorted list.

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

    /// Many at once, in the order of their times; there may be no start times.
    pub(crate) fn floats(&mut self, times_ms: &[i64], starts_ms: &[i64], values: &[f64]) {
        let (Some(&first), Some(&last)) = (times_ms.first(), times_ms.last()) else { return };
        self.sorted &= self.last_ms.is_none_or(|before| before < first);
        self.sorted &= times_ms.windows(2).all(|pair| pair[0] < pair[1]);
        self.last_ms = Some(last);
        self.count(times_ms.len() as u32, false);
        let out = &mut *self.out;
        let says_starts = starts_ms.iter().any(|&start| start != 0);
        if says_starts || !out.float_starts_ms.is_empty() {
            out.float_starts_ms.resize(out.floats.len(), 0);
            match says_starts {
                true => out.float_starts_ms.extend_from_slice(starts_ms),
                false => out.float_starts_ms.resize(out.floats.len() + values.len(), 0),
            }
        }
        out.float_times_ms.extend_from_slice(times_ms);
        out.floats.extend_from_slice(values);
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
        let chunks: [(&[i64], &[i64], &[f64]); 6] = [
            (&[10, 20], &[], &[1.0, 2.0]),
            (&[], &[], &[]),
            (&[20, 30], &[5, 0], &[3.0, 4.0]),
            (&[40], &[0], &[5.0]),
            (&[15, 50], &[], &[6.0, 7.0]),
            (&[60, 70], &[9, 9], &[8.0, 9.0]),
        ];
        for first in 0..chunks.len() {
            for end in first..=chunks.len() {
                let (mut many, mut single) = (Samples::default(), Samples::default());
                let mut gather = Gather::new(&mut many);
                for (times, starts, values) in &chunks[first..end] {
                    gather.floats(times, starts, values);
                }
                gather.finish();
                let mut gather = Gather::new(&mut single);
                for (times, starts, values) in &chunks[first..end] {
                    for (i, time) in times.iter().enumerate() {
                        gather.float(*time, starts.get(i).copied().unwrap_or(0), values[i]);
                    }
                }
                gather.finish();
                assert_eq!(many.float_times_ms, single.float_times_ms, "{first}..{end}");
                assert_eq!(many.float_starts_ms, single.float_starts_ms, "{first}..{end}");
                assert_eq!(many.floats, single.floats, "{first}..{end}");
            }
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
