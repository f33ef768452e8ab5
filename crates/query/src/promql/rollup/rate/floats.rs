//! `rate`, `increase` and `delta` of a series of nothing but floats, all windows at once.
//! The answers are those of [`extrapolated`](super::extrapolated), bit for bit.

use trefoil_store::Samples;

use super::super::super::column::{Column, Steps};
use super::super::super::functions::Func;
use super::super::super::notes::Notes;
use super::super::{Bounds, Roller};
use super::{Sampled, all_equal, known_start, not_named_as_counter, start_proves_reset};

/// Where the windows of all steps lie among the times of samples. Series that are scraped
/// together have the same times, and most neighbours are; so it is kept for the next one.
#[derive(Debug, Default)]
pub(in super::super) struct Grid {
    times: Vec<i64>,
    /// What it was made for besides the times.
    steps: Option<(Steps, i64)>,
    extents: Vec<Extent>,
    weights: Weights,
    runs: Vec<Run>,
}

/// The samples of one window.
#[derive(Clone, Copy, Debug)]
struct Extent {
    first: u32,
    /// Past the last one.
    end: u32,
    span: Sampled,
}

/// What the times of samples alone say about the windows, a value for each step.
#[derive(Debug, Default)]
struct Weights {
    /// From the first sample to the last one, in milliseconds.
    sampled: Vec<f64>,
    /// What the change is extended by before the first sample, in milliseconds.
    to_start: Vec<f64>,
    /// What the change is multiplied with, if nothing forbids that extension.
    factor: Vec<f64>,
}

/// Steps one after the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    from: usize,
    to: usize,
    /// Whether all windows have so many samples, at least two, and move on by one from step
    /// to step: as all but the first do of samples that come as often as the steps.
    even: bool,
}

/// Steps of an even run that are taken at a time.
const STEPS_AT_A_TIME: usize = 32;

impl Grid {
    /// Makes it fit, if it was made for something else.
    fn fit(&mut self, times: &[i64], refs: Steps, range_ms: i64, seconds: f64) {
        if self.times == times && self.steps == Some((refs, range_ms)) {
            return;
        }
        self.times.clear();
        self.times.extend_from_slice(times);
        self.steps = Some((refs, range_ms));
        self.extents.clear();
        let mut bounds = Bounds::default();
        self.extents.extend(refs.times().map(|end_ms| {
            bounds.slide(times, end_ms - range_ms, end_ms);
            Extent::new(bounds, times, (end_ms - range_ms, end_ms))
        }));
        self.weights.weigh(&self.extents, seconds);
        self.runs.clear();
        for (step, extent) in self.extents.iter().enumerate() {
            let even = extent.end - extent.first >= 2;
            let follows = step > 0 && extent.moved_on_by_one(&self.extents[step - 1]);
            match self.runs.last_mut() {
                Some(run) if run.even == even && (!even || follows) => run.to = step + 1,
                _ => self.runs.push(Run { from: step, to: step + 1, even }),
            }
        }
    }
}

impl Extent {
    fn new(bounds: Bounds, times: &[i64], (start_ms, end_ms): (i64, i64)) -> Extent {
        let within = bounds.of(times);
        let first_ms = within.first().copied().unwrap_or(end_ms);
        let last_ms = within.last().copied().unwrap_or(end_ms);
        let span = Sampled { start_ms, end_ms, first_ms, last_ms, count: within.len() };
        Extent { first: bounds.first as u32, end: bounds.end as u32, span }
    }

    fn moved_on_by_one(&self, before: &Extent) -> bool {
        self.first == before.first + 1 && self.end == before.end + 1
    }
}

impl Weights {
    fn weigh(&mut self, extents: &[Extent], seconds: f64) {
        let Weights { sampled, to_start, factor } = self;
        sampled.clear();
        to_start.clear();
        factor.clear();
        for Extent { span, .. } in extents {
            sampled.push((span.last_ms - span.first_ms) as f64);
            to_start.push(span.to_start());
            factor.push(span.factor(None) / seconds);
        }
    }

    /// Whether a counter with this first value that grew by so much is certainly above zero
    /// all the way to where the change is extended to. A product says it as well as the
    /// quotient that [`Sampled::factor`] takes, as long as neither is at the ends of what a
    /// double can be; the margin is far more than both are rounded by.
    fn stays_positive(&self, step: usize, change: f64, first: f64) -> bool {
        let least = self.to_start[step] * change * (1.0 + 1e-9);
        least.is_normal() && self.sampled[step] * first >= least
    }

    /// Fills in the steps from `from` on, given the first and last values of their windows.
    /// True if some are limited: if the change must perhaps not be extended in full.
    fn fill(&self, from: usize, firsts: &[f64], lasts: &[f64], out: &mut [f64]) -> bool {
        let steps = from..from + out.len();
        let (sampled, to_start) = (&self.sampled[steps.clone()], &self.to_start[steps.clone()]);
        let values = firsts.iter().zip(lasts).zip(&self.factor[steps]);
        let weights = sampled.iter().zip(to_start);
        let mut limited = false;
        // Without a branch, so that several are taken at a time.
        for ((((first, last), factor), (sampled, to_start)), out) in values.zip(weights).zip(out) {
            let change = last - first;
            *out = change * factor;
            let least = to_start * change * (1.0 + 1e-9);
            // As `stays_positive` says.
            let positive = least.is_normal() & (sampled * first >= least);
            limited |= (change > 0.0) & (*first >= 0.0) & !positive;
        }
        limited
    }
}

/// All windows of a series whose start times, if there are any, do not overlap.
pub(in super::super) fn of_floats(
    notes: &mut Notes,
    roller: &mut Roller,
    name: &str,
    samples: &Samples,
    refs: Steps,
    range_ms: i64,
    column: &mut Column,
) {
    let is_counter = roller.function != Func::Delta;
    let seconds = if roller.function == Func::Rate { range_ms as f64 / 1e3 } else { 1.0 };
    let starts = if is_counter { &samples.float_starts_ms[..] } else { &[] };
    let counter = Counter { times: &samples.float_times_ms, values: &samples.floats, starts };
    let one_start = all_equal(starts);
    let mut resets = std::mem::take(&mut roller.resets);
    resets.clear();
    if is_counter && counter.has_resets(one_start) {
        counter.count_resets(&mut resets);
    }
    roller.grid.fit(counter.times, refs, range_ms, seconds);
    let last_start = match one_start {
        true => starts.first().copied(),
        false => starts.iter().copied().max(),
    };
    let grid = &roller.grid;
    let windows = Windows {
        grid,
        counter,
        is_counter,
        resets: &resets,
        last_start: last_start.unwrap_or(0),
        seconds,
    };
    windows.fill(&mut column.floats);
    let any = grid.extents.iter().any(|extent| extent.first < extent.end);
    roller.resets = resets;
    if any && is_counter {
        not_named_as_counter(notes, roller, name);
    }
}

/// All windows of a series.
struct Windows<'a> {
    grid: &'a Grid,
    counter: Counter<'a>,
    is_counter: bool,
    /// As [`Counter::count_resets`] gives them; empty if there are none.
    resets: &'a [u32],
    /// The last start time that is said, or 0.
    last_start: i64,
    seconds: f64,
}

impl Windows<'_> {
    fn fill(&self, out: &mut [f64]) {
        for run in &self.grid.runs {
            let mut from = run.from;
            while from < run.to {
                let to = run.to.min(from + STEPS_AT_A_TIME);
                if !(run.even && self.fill_evenly(from, &mut out[from..to])) {
                    for (step, out) in (from..to).zip(&mut out[from..to]) {
                        if let Some(value) = self.value(step) {
                            *out = value;
                        }
                    }
                }
                from = to;
            }
        }
    }

    /// Fills in steps of an even run, unless one of them needs a closer look.
    fn fill_evenly(&self, from: usize, out: &mut [f64]) -> bool {
        let Extent { first, end, span } = self.grid.extents[from];
        if !self.resets.is_empty() || self.last_start > span.start_ms {
            return false;
        }
        let values = self.counter.values;
        let (first, last) = (first as usize, end as usize - 1);
        let (firsts, lasts) = (&values[first..first + out.len()], &values[last..last + out.len()]);
        let limited = self.grid.weights.fill(from, firsts, lasts, out);
        !(self.is_counter && limited)
    }

    fn value(&self, step: usize) -> Option<f64> {
        let (counter, weights, extent) =
            (&self.counter, &self.grid.weights, &self.grid.extents[step]);
        let (first, end) = (extent.first as usize, extent.end as usize);
        // Only a start within the window makes one sample enough, or a difference.
        if self.last_start > extent.span.start_ms
            && first < end
            && let Some(start) = known_start(counter.starts, counter.times, first)
            && start > extent.span.start_ms
        {
            let change = counter.change(first, end) + counter.values[first];
            return Some(change * (extent.span.factor_from(start) / self.seconds));
        }
        if end - first < 2 {
            return None;
        }
        let from = counter.values[first];
        let change = match self.resets.get(first) != self.resets.get(end - 1) {
            false => counter.values[end - 1] - from,
            true => counter.change(first, end),
        };
        let limited = self.is_counter
            && change > 0.0
            && from >= 0.0
            && !weights.stays_positive(step, change, from);
        let factor = match limited {
            false => weights.factor[step],
            true => extent.span.factor(Some((change, from))) / self.seconds,
        };
        Some(change * factor)
    }
}

/// Samples of a counter.
struct Counter<'a> {
    times: &'a [i64],
    values: &'a [f64],
    starts: &'a [i64],
}

impl Counter<'_> {
    /// Whether it was reset before its `i`-th sample, which is not the first.
    fn was_reset(&self, i: usize) -> bool {
        self.values[i] < self.values[i - 1] || start_proves_reset(self.starts, self.times, i)
    }

    /// `one_start` says that all start times are equal.
    fn has_resets(&self, one_start: bool) -> bool {
        let fell = self.values.windows(2).fold(false, |fell, pair| fell | (pair[1] < pair[0]));
        fell || self.starts_prove_resets(one_start)
    }

    fn starts_prove_resets(&self, one_start: bool) -> bool {
        let (Some(&start), Some(&time)) = (self.starts.first(), self.times.first()) else {
            return false;
        };
        // One start before all samples, as most have, proves nothing.
        let before_all = one_start && start <= time;
        !before_all && (1..self.times.len()).any(|i| start_proves_reset(self.starts, self.times, i))
    }

    /// For each sample, how many resets there were up to it.
    fn count_resets(&self, out: &mut Vec<u32>) {
        let mut count = 0;
        out.extend((0..self.values.len()).map(|i| {
            count += u32::from(i > 0 && self.was_reset(i));
            count
        }));
    }

    /// How much it grew between samples of a window, given what was lost by resets.
    fn change(&self, first: usize, end: usize) -> f64 {
        let mut change = self.values[end - 1] - self.values[first];
        for i in first + 1..end {
            if self.was_reset(i) {
                change += self.values[i - 1];
            }
        }
        change
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::super::ast::Edge;
    use super::super::super::super::column::{Cell, is_present};
    use super::super::super::Window;
    use super::super::{extrapolated, overlaps};
    use super::*;

    /// Random numbers from a seed (SplitMix64).
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Counters that are reset now and then, with start times in every relation to them.
    fn samples(state: &mut u64) -> Samples {
        let mut samples = Samples::default();
        let (mut time, mut value, mut start) = (1_000_000, 0.0, 0);
        let with_starts = !random(state).is_multiple_of(4);
        // Regular and without resets, as most are.
        let calm = random(state).is_multiple_of(2);
        for _ in 0..random(state) % 80 {
            let before = time;
            time +=
                [1_000, 1_000, 1_000, 37, 9_000][if calm { 0 } else { random(state) as usize % 5 }];
            value += (random(state) % 100) as f64;
            match if calm { 6 } else { random(state) % 12 } {
                0 => value = (random(state) % 7) as f64,
                1 => start = before + 1,
                2 => start = before,
                3 => (start, value) = (before + 10, 3.0),
                4 => start = 0,
                5 => start = time,
                _ => {}
            }
            samples.float_times_ms.push(time);
            samples.floats.push(value);
            if with_starts {
                samples.float_starts_ms.push(start);
            }
        }
        samples
    }

    /// Samples at other times, or at the same times; values of any magnitude.
    fn next_samples(state: &mut u64, last: &Samples) -> Samples {
        let mut next = samples(state);
        if random(state).is_multiple_of(2) {
            let len = next.floats.len().min(last.floats.len());
            next.float_times_ms = last.float_times_ms[..len].to_vec();
            next.floats.truncate(len);
            next.float_starts_ms.truncate(len);
        }
        let scale = [1.0, 1.0, 1.0, 1e-320, 1e-12, 1e306, -1.0][random(state) as usize % 7];
        next.floats.iter_mut().for_each(|value| *value *= scale);
        next
    }

    fn roller(function: Func) -> Roller {
        Roller {
            function,
            scalars: Arc::from([]),
            at: 0,
            first_at: 0,
            edge: Edge::Plain,
            lookback_ms: 300_000,
            scratch: Vec::new(),
            resets: Vec::new(),
            grid: Grid::default(),
        }
    }

    #[test]
    fn all_windows_of_a_series_are_as_each_by_itself() {
        let (mut state, mut compared, mut with_starts, mut limited, mut evenly) = (7, 0, 0, 0, 0);
        let mut samples = Samples::default();
        let functions = [Func::Rate, Func::Increase, Func::Delta];
        let mut rollers = functions.map(roller);
        for round in 0..6_000 {
            samples = next_samples(&mut state, &samples);
            if overlaps(&samples.float_starts_ms, &samples.float_times_ms) {
                continue;
            }
            let (function, roller) = (functions[round % 3], &mut rollers[round % 3]);
            let step_ms = [700, 1_000][round / 7 % 2];
            let refs = Steps { start_ms: 999_000, step_ms, count: 120 };
            let range_ms = [500, 3_000, 20_000][round / 1_000 % 3];
            let (mut notes, mut column) = (Notes::default(), Column::default());
            column.reset(refs.count);
            of_floats(&mut notes, roller, "c_total", &samples, refs, range_ms, &mut column);
            evenly +=
                usize::from(roller.grid.runs.iter().any(|run| run.even && run.to > run.from + 9));
            let mut bounds = Bounds::default();
            for (i, end_ms) in refs.times().enumerate() {
                let start_ms = end_ms - range_ms;
                bounds.slide(&samples.float_times_ms, start_ms, end_ms);
                let window = Window {
                    name: "c_total",
                    start_ms,
                    end_ms,
                    float_times: bounds.of(&samples.float_times_ms),
                    float_starts: bounds.of(&samples.float_starts_ms),
                    floats: bounds.of(&samples.floats),
                    histogram_times: &[],
                    histogram_starts: &[],
                    histograms: &[],
                };
                let (counter, rate) = (function != Func::Delta, function == Func::Rate);
                let expect = match extrapolated(&mut notes, roller, &window, counter, rate) {
                    Some(Cell::Float(value)) => value,
                    _ => {
                        assert!(!is_present(column.floats[i]), "{round} {i}");
                        continue;
                    }
                };
                let found = column.floats[i];
                let same = found.to_bits() == expect.to_bits() || found.is_nan() && expect.is_nan();
                assert!(same, "{round} {i}: {found} {expect} {samples:?}");
                compared += 1;
                with_starts += usize::from(counter && !samples.float_starts_ms.is_empty());
                let weights = &roller.grid.weights;
                let (first, last) = (samples.floats[bounds.first], samples.floats[bounds.end - 1]);
                limited += usize::from(counter && !weights.stays_positive(i, last - first, first));
            }
        }
        assert!(compared > 50_000 && with_starts > 10_000 && limited > 10_000);
        assert!(limited < compared - 10_000, "{limited} of {compared}");
        assert!(evenly > 400, "{evenly}");
    }
}
