//! `rate`, `increase`, `delta`, `irate`, `idelta`, `resets`, `changes`.
//!
//! Source: Prometheus documentation of these functions and its conformance scripts: the
//! extrapolation to the range's edges, and start timestamps as evidence of resets.

mod floats;

use std::sync::Arc;

use trefoil_store::model::{CounterReset, Histogram};

use super::super::column::Cell;
use super::super::histogram::accumulate::Accumulator;
use super::super::histogram::{divide, equal, is_custom, is_reset, scale};
use super::super::notes::Notes;
use super::{Roller, Window};
pub(super) use floats::{Grid, of_floats};

/// A sample's start time says when its counter began to count, if it lies before the
/// sample.
fn known_start(starts: &[i64], times: &[i64], i: usize) -> Option<i64> {
    starts.get(i).copied().filter(|start| *start != 0 && *start < times[i])
}

/// Whether a start time proves a reset between a sample and the one before it.
///
/// A start after the earlier sample does. A start at the earlier sample does if that one
/// has a start of its own: then the samples are deltas, one after the other. Otherwise
/// the earlier sample only marks an unknown beginning.
pub(super) fn start_proves_reset(starts: &[i64], times: &[i64], i: usize) -> bool {
    let Some(start) = known_start(starts, times, i) else {
        return false;
    };
    let before = times[i - 1];
    start > before || (start == before && known_start(starts, times, i - 1).is_some())
}

/// A start time before the earlier sample that differs from that sample's own start.
pub(super) fn overlaps(starts: &[i64], times: &[i64]) -> bool {
    if all_equal(starts) {
        return false;
    }
    let pairs = starts.windows(2).zip(times);
    pairs.into_iter().any(|(pair, before)| pair[1] != pair[0] && pair[1] != 0 && pair[1] < *before)
}

fn all_equal(starts: &[i64]) -> bool {
    // Most are: without an end to look for, several are compared at a time.
    let Some(first) = starts.first() else { return true };
    starts.iter().fold(true, |equal, start| equal & (start == first))
}

/// The change over the range, extended to its edges.
pub(super) fn extrapolated(
    notes: &mut Notes,
    roller: &Roller,
    w: &Window<'_>,
    is_counter: bool,
    is_rate: bool,
) -> Option<Cell> {
    let (times, starts) = match (w.floats.is_empty(), w.histograms.is_empty()) {
        (false, false) => {
            roller.mixed(notes, w.name);
            return None;
        }
        (false, true) => (w.float_times, w.float_starts),
        _ => (w.histogram_times, w.histogram_starts),
    };
    let starts = if is_counter { starts } else { &[] };
    let from_start = known_start(starts, times, 0).filter(|start| *start > w.start_ms);
    if times.is_empty() || (times.len() < 2 && from_start.is_none()) {
        return None;
    }
    if overlaps(starts, times) {
        let name = super::super::print::quote(w.name);
        notes.warn(
            roller.at,
            format!("sample has start time that overlaps with previous sample timestamp for metric {name}"),
        );
    }
    if is_counter && !w.floats.is_empty() {
        not_named_as_counter(notes, roller, w.name);
    }
    let change = if w.floats.is_empty() {
        let change = histogram_change(notes, roller, w, starts, is_counter, from_start.is_some())?;
        Change::Histogram(change, w.histograms[0].count)
    } else {
        Change::Float(float_change(w, starts, is_counter, from_start.is_some()), w.floats[0])
    };
    let (total, first) = match &change {
        Change::Float(total, first) => (*total, *first),
        Change::Histogram(total, first) => (total.count, *first),
    };
    let span = Sampled {
        start_ms: w.start_ms,
        end_ms: w.end_ms,
        first_ms: times[0],
        last_ms: times[times.len() - 1],
        count: times.len(),
    };
    let mut factor = match from_start {
        Some(start_ms) => span.factor_from(start_ms),
        None => span.factor(is_counter.then_some((total, first))),
    };
    if is_rate {
        factor /= (w.end_ms - w.start_ms) as f64 / 1e3;
    }
    Some(match change {
        Change::Float(change, _) => Cell::Float(change * factor),
        Change::Histogram(change, _) => Cell::Histogram(Arc::new(scale(&change, factor))),
    })
}

enum Change {
    /// The change and the first value.
    Float(f64, f64),
    /// The change and the first count.
    Histogram(Histogram, f64),
}

fn float_change(w: &Window<'_>, starts: &[i64], is_counter: bool, from_start: bool) -> f64 {
    let floats = w.floats;
    let mut change = floats[floats.len() - 1] - floats[0];
    if is_counter {
        for i in 1..floats.len() {
            if floats[i] < floats[i - 1] || start_proves_reset(starts, w.float_times, i) {
                change += floats[i - 1];
            }
        }
    }
    if from_start { change + floats[0] } else { change }
}

fn histogram_change(
    notes: &mut Notes,
    roller: &Roller,
    w: &Window<'_>,
    starts: &[i64],
    is_counter: bool,
    from_start: bool,
) -> Option<Histogram> {
    let all = w.histograms;
    let (first, last) = (&all[0], &all[all.len() - 1]);
    let gauge = |h: &Histogram| h.counter_reset == CounterReset::Gauge;
    if is_counter && all.iter().any(|h| gauge(h)) {
        roller.not_a(notes, w.name, "counter");
    }
    let gauges = gauge(first) && gauge(last);
    if !is_counter && !gauges {
        roller.not_a(notes, w.name, "gauge");
    }
    let reset_at = |i: usize| {
        is_counter
            && (is_reset(&all[i], &all[i - 1]) || start_proves_reset(starts, w.histogram_times, i))
    };
    // After a reset, or with a start in the range, the first sample itself is not compared,
    // so its buckets need not fit.
    let skip_first = all.len() > 1 && reset_at(1);
    let considered = if skip_first { &all[1..] } else { all };
    let checked = if is_counter { considered } else { &[Arc::clone(&all[0]), Arc::clone(last)] };
    if checked.iter().any(|h| is_custom(h) != is_custom(&considered[0])) {
        roller.mixed_schemas(notes, w.name);
        return None;
    }
    let mut change = Accumulator::of(last);
    let mut reconciled = (false, false);
    let mut add = |h: &Histogram, negative: bool| {
        let done = if negative { change.subtract(h) } else { change.add(h) };
        match (done, negative) {
            (Ok(differed), true) => reconciled.0 |= differed,
            (Ok(differed), false) => reconciled.1 |= differed,
            (Err(_), _) => return false,
        }
        true
    };
    let mut fits = skip_first || from_start || add(first, true);
    if skip_first && from_start {
        fits &= add(first, false);
    }
    for i in (1 + usize::from(skip_first))..all.len() {
        if reset_at(i) {
            fits &= add(&all[i - 1], false);
        }
    }
    if !fits {
        roller.mixed_schemas(notes, w.name);
        return None;
    }
    if reconciled.0 {
        roller.reconciled(notes, "subtraction");
    }
    if reconciled.1 {
        roller.reconciled(notes, "addition");
    }
    let mut change = change.finish();
    change.counter_reset = CounterReset::Gauge;
    Some(change)
}

/// Where in a range its samples lie.
#[derive(Clone, Copy, Debug)]
struct Sampled {
    start_ms: i64,
    end_ms: i64,
    first_ms: i64,
    last_ms: i64,
    count: usize,
}

impl Sampled {
    /// How much more than between its samples a value changed in the range. Samples stand
    /// for up to half a sampling interval beyond the first and last one, or all the way to
    /// the edge if that is near. A counter, of which the total change and the first value
    /// are given, is not extended to below zero.
    fn factor(self, counter: Option<(f64, f64)>) -> f64 {
        let sampled = (self.last_ms - self.first_ms) as f64;
        let mut to_start = self.to_start();
        if let Some((total, first)) = counter
            && total > 0.0
            && first >= 0.0
        {
            to_start = to_start.min(sampled * (first / total));
        }
        (sampled + to_start + self.to_end()) / sampled
    }

    /// The same if it is known when the counter started, within the range.
    fn factor_from(self, start_ms: i64) -> f64 {
        if self.count < 2 {
            return 1.0;
        }
        let sampled = (self.last_ms - start_ms) as f64;
        (sampled + self.to_end()) / sampled
    }

    /// Between two samples, on average.
    fn between(self) -> f64 {
        (self.last_ms - self.first_ms) as f64 / (self.count as f64 - 1.0)
    }

    fn to_start(self) -> f64 {
        let (to_start, between) = ((self.first_ms - self.start_ms) as f64, self.between());
        if to_start >= between * 1.1 { between / 2.0 } else { to_start }
    }

    fn to_end(self) -> f64 {
        let between = self.between();
        let to_end = (self.end_ms - self.last_ms) as f64;
        if to_end >= between * 1.1 { between / 2.0 } else { to_end }
    }
}

/// Counters are named so; a remark if this one is not.
pub(super) fn not_named_as_counter(notes: &mut Notes, roller: &Roller, name: &str) {
    let suffixes = ["_total", "_sum", "_count", "_bucket"];
    if !name.is_empty() && !suffixes.iter().any(|s| name.ends_with(s)) {
        let name = super::super::print::quote(name);
        notes.info(
            roller.at,
            format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name}"
            ),
        );
    }
}

/// The change between the last two samples.
pub(super) fn last_two(
    notes: &mut Notes,
    roller: &Roller,
    w: &Window<'_>,
    is_rate: bool,
) -> Option<Cell> {
    let merged = last_samples(w);
    let [(before_t, before), (last_t, last)] = merged?;
    let seconds = (last_t - before_t) as f64 / 1e3;
    if seconds == 0.0 {
        return None;
    }
    match (before, last) {
        (Cell::Float(before), Cell::Float(last)) => {
            let i = w.floats.len() - 1;
            let reset =
                is_rate && (last < before || start_proves_reset(w.float_starts, w.float_times, i));
            let change = if reset { last } else { last - before };
            Some(Cell::Float(if is_rate { change / seconds } else { change }))
        }
        (Cell::Histogram(before), Cell::Histogram(last)) => {
            let i = w.histograms.len() - 1;
            let proven = start_proves_reset(w.histogram_starts, w.histogram_times, i);
            let change = histogram_step(notes, roller, w, &before, &last, is_rate, proven)?;
            let change = if is_rate { divide(&change, seconds) } else { change };
            Some(Cell::Histogram(Arc::new(change)))
        }
        _ => {
            roller.mixed(notes, w.name);
            None
        }
    }
}

fn histogram_step(
    notes: &mut Notes,
    roller: &Roller,
    w: &Window<'_>,
    before: &Histogram,
    last: &Histogram,
    is_rate: bool,
    proven_reset: bool,
) -> Option<Histogram> {
    let gauges =
        [before, last].into_iter().filter(|h| h.counter_reset == CounterReset::Gauge).count();
    if is_rate && gauges > 0 {
        roller.not_a(notes, w.name, "counter");
    }
    if !is_rate && gauges < 2 {
        roller.not_a(notes, w.name, "gauge");
    }
    let mut change = Accumulator::of(last);
    if !(is_rate && (proven_reset || is_reset(last, before))) {
        match change.subtract(before) {
            Ok(true) => roller.reconciled(notes, "subtraction"),
            Ok(false) => {}
            Err(_) => {
                roller.mixed_schemas(notes, w.name);
                return None;
            }
        }
    }
    let mut change = change.finish();
    change.counter_reset = CounterReset::Gauge;
    Some(change)
}

/// The last two samples of either kind.
fn last_samples(w: &Window<'_>) -> Option<[(i64, Cell); 2]> {
    let (mut floats, mut histograms) = (w.floats.len(), w.histograms.len());
    let mut take = || {
        let float = floats.checked_sub(1).map(|i| w.float_times[i]);
        let histogram = histograms.checked_sub(1).map(|i| w.histogram_times[i]);
        if histogram > float {
            histograms -= 1;
            Some((histogram?, Cell::Histogram(Arc::clone(&w.histograms[histograms]))))
        } else {
            floats = floats.checked_sub(1)?;
            Some((float?, Cell::Float(w.floats[floats])))
        }
    };
    let last = take()?;
    let before = take()?;
    Some([before, last])
}

/// A sample of either kind, by reference.
#[derive(Clone, Copy)]
enum Seen<'a> {
    /// Index among the floats, and the value.
    Float(usize, f64),
    /// Index among the histograms, and the histogram.
    Histogram(usize, &'a Histogram),
}

/// All samples of both kinds by time.
fn by_time<'a>(w: &Window<'a>) -> impl Iterator<Item = Seen<'a>> {
    let w = *w;
    let (mut floats, mut histograms) = (0, 0);
    std::iter::from_fn(move || {
        let float = w.float_times.get(floats);
        let histogram = w.histogram_times.get(histograms);
        let float_first = match (float, histogram) {
            (Some(f), Some(h)) => f <= h,
            (f, _) => f.is_some(),
        };
        if float_first {
            floats += 1;
            return Some(Seen::Float(floats - 1, w.floats[floats - 1]));
        }
        histogram?;
        histograms += 1;
        Some(Seen::Histogram(histograms - 1, &w.histograms[histograms - 1]))
    })
}

/// How often the counter was reset. A change of kind counts.
pub(super) fn resets(w: &Window<'_>) -> f64 {
    count_steps(w, |before, now| match (before, now) {
        (Seen::Float(_, before), Seen::Float(i, now)) => {
            now < before || start_proves_reset(w.float_starts, w.float_times, i)
        }
        (Seen::Histogram(_, before), Seen::Histogram(i, now)) => {
            is_reset(now, before) || start_proves_reset(w.histogram_starts, w.histogram_times, i)
        }
        _ => true,
    })
}

/// How often the value changed. A change of kind counts.
pub(super) fn changes(w: &Window<'_>) -> f64 {
    count_steps(w, |before, now| match (before, now) {
        (Seen::Float(_, before), Seen::Float(_, now)) => {
            now != before && !(now.is_nan() && before.is_nan())
        }
        (Seen::Histogram(_, before), Seen::Histogram(_, now)) => !equal(now, before),
        _ => true,
    })
}

fn count_steps(w: &Window<'_>, counts: impl Fn(Seen<'_>, Seen<'_>) -> bool) -> f64 {
    let mut samples = by_time(w);
    let Some(mut before) = samples.next() else {
        return 0.0;
    };
    let mut total = 0.0;
    for now in samples {
        if counts(before, now) {
            total += 1.0;
        }
        before = now;
    }
    total
}
