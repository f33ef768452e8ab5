//! `anchored` and `smoothed`: ranges whose edges have values.
//!
//! Anchored, the last sample at or before the start of the range stands at its start.
//! Smoothed, the values at both edges are interpolated between the samples around them;
//! a counter that was reset in between is taken to have restarted from zero.

use std::sync::Arc;

use trefoil_store::Samples;
use trefoil_store::model::{CounterReset, Histogram};

use super::super::ast::{Edge, Node, Selector};
use super::super::column::{Cell, Column, Steps};
use super::super::eval::{Evaluator, Sink};
use super::super::functions::Func;
use super::super::histogram::accumulate::{Accumulator, MixedSchemas};
use super::super::histogram::{divide, is_custom, is_reset, scale};
use super::super::notes::{Notes, for_metric};
use super::super::selector::{drop_stale, fetch};
use super::{Roller, Window, rate};
use crate::error::Result;

/// The function's value for a window that also shows samples around the range.
pub(super) fn roll(notes: &mut Notes, roller: &Roller, w: &Window<'_>) -> Option<Cell> {
    match roller.function {
        Func::Resets => Some(Cell::Float(rate::resets(&anchored(w)?))),
        Func::Changes => Some(Cell::Float(rate::changes(&anchored(w)?))),
        _ => difference(notes, roller, w),
    }
}

/// The window from its anchor on; `None` without a sample in the range itself.
fn anchored<'a>(w: &Window<'a>) -> Option<Window<'a>> {
    let before = |times: &[i64]| times.partition_point(|t| *t <= w.start_ms);
    let (floats, histograms) = (before(w.float_times), before(w.histogram_times));
    if floats == w.float_times.len() && histograms == w.histogram_times.len() {
        return None;
    }
    let float = floats.checked_sub(1).map(|i| w.float_times[i]);
    let histogram = histograms.checked_sub(1).map(|i| w.histogram_times[i]);
    // Only the newest sample of either kind is the anchor.
    let (from_float, from_histogram) = if histogram > float {
        (floats, histograms - 1)
    } else {
        (floats.saturating_sub(1), histograms)
    };
    Some(Window {
        float_times: &w.float_times[from_float..],
        floats: &w.floats[from_float..],
        float_starts: w.float_starts.get(from_float..).unwrap_or(&[]),
        histogram_times: &w.histogram_times[from_histogram..],
        histograms: &w.histograms[from_histogram..],
        histogram_starts: w.histogram_starts.get(from_histogram..).unwrap_or(&[]),
        ..*w
    })
}

/// `rate`, `increase`, `delta`.
fn difference(notes: &mut Notes, roller: &Roller, w: &Window<'_>) -> Option<Cell> {
    let is_counter = roller.function != Func::Delta;
    let smoothed = roller.edge == Edge::Smoothed;
    let shown = if smoothed { *w } else { anchored(w)? };
    let times = match (shown.floats.is_empty(), shown.histograms.is_empty()) {
        (false, false) => {
            roller.mixed(notes, w.name);
            return None;
        }
        (false, true) => shown.float_times,
        (true, false) => shown.histogram_times,
        (true, true) => return None,
    };
    let edges = Edges::find(times, w, smoothed)?;
    let cell = if shown.floats.is_empty() {
        let change = histogram_change(notes, roller, &shown, edges, is_counter)?;
        Cell::Histogram(Arc::new(if roller.function == Func::Rate {
            divide(&change, (w.end_ms - w.start_ms) as f64 / 1e3)
        } else {
            change
        }))
    } else {
        if is_counter {
            rate::not_named_as_counter(notes, roller, w.name);
        }
        let change = float_change(&shown, edges, is_counter);
        Cell::Float(if roller.function == Func::Rate {
            change / ((w.end_ms - w.start_ms) as f64 / 1e3)
        } else {
            change
        })
    };
    Some(cell)
}

/// The samples between which the value goes, by index. `left` is the first point: the
/// sample `left.0`, or what lies between it and the next one at a share of the way.
#[derive(Clone, Copy, Debug)]
struct Edges {
    left: (usize, f64),
    /// The last point, in the same way.
    right: (usize, f64),
}

impl Edges {
    fn find(times: &[i64], w: &Window<'_>, smoothed: bool) -> Option<Edges> {
        let last = times.len() - 1;
        if !smoothed {
            return Some(Edges { left: (0, 0.0), right: (last, 0.0) });
        }
        if times[0] > w.end_ms || times[last] <= w.start_ms {
            return None;
        }
        let share = |i: usize, time: i64| match times.get(i + 1) {
            Some(next) if time > times[i] => (time - times[i]) as f64 / (next - times[i]) as f64,
            _ => 0.0,
        };
        let left = times.partition_point(|t| *t <= w.start_ms).saturating_sub(1);
        let right = times.partition_point(|t| *t <= w.end_ms).saturating_sub(1);
        Some(Edges {
            left: (left, share(left, w.start_ms)),
            right: (right, share(right, w.end_ms)),
        })
    }

    /// The samples strictly between the edges, by index. If the first point lies beyond
    /// its sample, a reset before the next one is already part of its value.
    fn inner(self) -> std::ops::RangeInclusive<usize> {
        self.left.0 + 1..=self.right.0
    }
}

fn between(before: f64, after: f64, share: f64, is_counter: bool) -> f64 {
    if is_counter && after < before {
        return after * share;
    }
    before + (after - before) * share
}

fn float_change(w: &Window<'_>, edges: Edges, is_counter: bool) -> f64 {
    let at = |(i, share): (usize, f64)| {
        if share == 0.0 {
            w.floats[i]
        } else {
            between(w.floats[i], w.floats[i + 1], share, is_counter)
        }
    };
    let (left, right) = (at(edges.left), at(edges.right));
    let mut change = right - left;
    if is_counter {
        let mut before = left;
        for i in edges.inner() {
            if w.floats[i] < before {
                change += before;
            }
            before = w.floats[i];
        }
        if right < before {
            change += before;
        }
    }
    change
}

fn histogram_change(
    notes: &mut Notes,
    roller: &Roller,
    w: &Window<'_>,
    edges: Edges,
    is_counter: bool,
) -> Option<Histogram> {
    let all = w.histograms;
    let last = edges.right.0 + usize::from(edges.right.1 > 0.0);
    let used = &all[edges.left.0..=last];
    let gauges = used.iter().filter(|h| h.counter_reset == CounterReset::Gauge).count();
    if is_counter && gauges > 0 {
        roller.not_a(notes, w.name, "counter");
    }
    if !is_counter && gauges < used.len() {
        roller.not_a(notes, w.name, "gauge");
    }
    if used.iter().any(|h| is_custom(h) != is_custom(&used[0])) {
        roller.mixed_schemas(notes, w.name);
        return None;
    }
    let (change, reconciled) = histogram_difference(all, edges, is_counter).ok()?;
    if reconciled {
        roller.reconciled(notes, "subtraction");
    }
    Some(change)
}

fn histogram_difference(
    all: &[Arc<Histogram>],
    edges: Edges,
    is_counter: bool,
) -> std::result::Result<(Histogram, bool), MixedSchemas> {
    let at = |(i, share): (usize, f64)| {
        if share == 0.0 {
            return Ok((*all[i]).clone());
        }
        interpolate(&all[i], &all[i + 1], share, is_counter)
    };
    let (left, right) = (at(edges.left)?, at(edges.right)?);
    let mut change = Accumulator::of(&right);
    let mut reconciled = change.subtract(&left)?;
    if is_counter {
        for i in edges.inner() {
            // Interpolated across this reset, the left edge already lies after it.
            let covered = i == edges.left.0 + 1 && edges.left.1 > 0.0;
            if !covered && is_reset(&all[i], &all[i - 1]) {
                reconciled |= change.add(&all[i - 1])?;
            }
        }
        let (i, share) = edges.right;
        let same_gap = i == edges.left.0 && edges.left.1 > 0.0;
        if share > 0.0 && !same_gap && is_reset(&all[i + 1], &all[i]) {
            reconciled |= change.add(&all[i])?;
        }
    }
    let mut change = change.finish();
    change.counter_reset = CounterReset::Gauge;
    Ok((change, reconciled))
}

fn interpolate(
    before: &Histogram,
    after: &Histogram,
    share: f64,
    is_counter: bool,
) -> std::result::Result<Histogram, MixedSchemas> {
    if is_custom(before) != is_custom(after) {
        return Err(MixedSchemas);
    }
    if is_counter && is_reset(after, before) {
        return Ok(scale(after, share));
    }
    let mut sum = Accumulator::of(&scale(before, 1.0 - share));
    sum.add(&scale(after, share))?;
    Ok(sum.finish())
}

/// `metric smoothed`: the value between the samples around each time.
pub(crate) fn smoothed_instant(
    ev: &mut Evaluator<'_>,
    node: &Node,
    selector: &Selector,
    refs: Steps,
    sink: Sink<'_>,
) -> Result<()> {
    let lookback = ev.lookback_ms;
    let mut column = Column::default();
    let (start, end) = (refs.start_ms - lookback + 1, refs.last() + lookback);
    let at = node.span.start;
    fetch(ev, selector, start, end, &mut |ev, labels, samples| {
        drop_stale(samples);
        column.reset(refs.count);
        let name = labels.metric_name().unwrap_or("");
        for (i, time) in refs.times().enumerate() {
            match value_at(samples, time, lookback) {
                Ok(Some(cell)) => column.set(i, cell),
                Ok(None) => {}
                Err(why) => ev.notes.warn(at, for_metric(why, name)),
            }
        }
        sink(ev, labels, false, &mut column)
    })
}

fn value_at(
    samples: &Samples,
    time: i64,
    lookback: i64,
) -> std::result::Result<Option<Cell>, &'static str> {
    let near = |times: &[i64]| {
        let first = times.partition_point(|t| *t <= time - lookback);
        first..times.partition_point(|t| *t <= time + lookback)
    };
    let (floats, histograms) = (near(&samples.float_times_ms), near(&samples.histogram_times_ms));
    if !floats.is_empty() && !histograms.is_empty() {
        return Err("encountered a mix of histograms and floats");
    }
    let is_float = histograms.is_empty();
    let (times, range) = if is_float {
        (&samples.float_times_ms, floats)
    } else {
        (&samples.histogram_times_ms, histograms)
    };
    let after = times.partition_point(|t| *t <= time);
    if range.is_empty() || after <= range.start {
        return Ok(None);
    }
    let before = after - 1;
    let share = if times[before] == time || after >= range.end {
        0.0
    } else {
        (time - times[before]) as f64 / (times[after] - times[before]) as f64
    };
    if is_float {
        let value = samples.floats[before];
        let value =
            if share == 0.0 { value } else { between(value, samples.floats[after], share, false) };
        return Ok(Some(Cell::Float(value)));
    }
    let first = &samples.histograms[before];
    if share == 0.0 {
        return Ok(Some(Cell::Histogram(Arc::clone(first))));
    }
    let is_counter = first.counter_reset != CounterReset::Gauge;
    interpolate(first, &samples.histograms[after], share, is_counter)
        .map(|h| Some(Cell::Histogram(Arc::new(h))))
        .map_err(
            |_| "vector contains a mix of histograms with exponential and custom buckets schemas",
        )
}
