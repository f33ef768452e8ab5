//! Samples from the store: the newest one within the lookback for instant vectors, all of
//! a window for ranges.

use std::sync::Arc;

use trefoil_store::model::{CounterReset, Histogram, is_stale};
use trefoil_store::{Labels, Samples, TimeRange};

use super::ast::{Edge, Node, Selector};
use super::column::{Column, Steps};
use super::eval::{Evaluator, Sink};
use super::histogram::counts_fell;
use super::rollup::extended;
use crate::error::Result;

/// Hands out every matching series with its samples between two times, both included.
/// Staleness markers are still among them. The buffer is reused.
pub(crate) fn fetch(
    ev: &mut Evaluator<'_>,
    selector: &Selector,
    start_ms: i64,
    end_ms: i64,
    each: &mut dyn FnMut(&mut Evaluator<'_>, &Labels, &mut Samples) -> Result<()>,
) -> Result<()> {
    let range = TimeRange::from_ms(start_ms, end_ms);
    let tally = ev.limits.tally;
    let series = ev.snapshot.series(&selector.matchers, range, tally)?;
    let mut samples = Samples::default();
    for one in &series {
        ev.snapshot.samples(one, range, &mut samples, tally)?;
        if samples.floats.is_empty() && samples.histograms.is_empty() {
            continue;
        }
        if !samples.histograms.is_empty() {
            let before = histograms_before(ev, one, start_ms)?;
            tell_resets(&mut samples, before, ev.stats_only);
        }
        each(ev, &one.labels, &mut samples)?;
    }
    Ok(())
}

/// The newest histogram shortly before a time: whether the first one of a window follows
/// a reset depends on it.
fn histograms_before(
    ev: &Evaluator<'_>,
    series: &trefoil_store::Series,
    start_ms: i64,
) -> Result<Samples> {
    let range =
        TimeRange::from_ms(start_ms.saturating_sub(ev.lookback_ms), start_ms.saturating_sub(1));
    let mut before = Samples::default();
    ev.snapshot.samples(series, range, &mut before, ev.limits.tally)?;
    Ok(before)
}

/// Says of each histogram whether a counter reset came before it, where the sender did
/// not. As Prometheus's chunks do, a reset is only told as "unknown", which makes readers
/// compare for themselves; its reader for count and sum alone tells it outright.
fn tell_resets(samples: &mut Samples, before: Samples, outright: bool) {
    let mut previous: Option<(i64, Arc<Histogram>)> =
        before.histogram_times_ms.last().copied().zip(before.histograms.last().cloned());
    let mut floats =
        before.float_times_ms.iter().chain(&samples.float_times_ms).copied().peekable();
    for (time, histogram) in samples.histogram_times_ms.iter().zip(&mut samples.histograms) {
        let mut float_between = false;
        while let Some(float) = floats.next_if(|float| float < time) {
            float_between |= previous.as_ref().is_none_or(|(before, _)| float > *before);
        }
        if histogram.counter_reset == CounterReset::Unknown && !is_stale(histogram.sum) {
            let hint = match &previous {
                Some((_, last)) if !float_between && !is_stale(last.sum) => {
                    match counts_fell(histogram, last) {
                        false => CounterReset::NotReset,
                        true if outright => CounterReset::Reset,
                        true => CounterReset::Unknown,
                    }
                }
                _ => CounterReset::Unknown,
            };
            if hint != CounterReset::Unknown {
                Arc::make_mut(histogram).counter_reset = hint;
            }
        }
        previous = Some((*time, Arc::clone(histogram)));
    }
}

/// An instant vector selector.
pub(crate) fn stream(
    ev: &mut Evaluator<'_>,
    node: &Node,
    selector: &Selector,
    steps: Steps,
    sink: Sink<'_>,
) -> Result<()> {
    let refs = ev.shifted(&selector.shift, steps)?;
    let lookback = ev.lookback_ms;
    let mut column = Column::default();
    if selector.edge == Edge::Smoothed {
        return extended::smoothed_instant(ev, node, selector, refs, sink);
    }
    fetch(ev, selector, refs.start_ms - lookback + 1, refs.last(), &mut |ev, labels, samples| {
        column.reset(refs.count);
        fill(&mut column, samples, refs, lookback);
        sink(ev, labels, false, &mut column)
    })
}

/// For each reference time the newest sample not older than the lookback, unless that is
/// a staleness marker.
fn fill(column: &mut Column, samples: &Samples, refs: Steps, lookback_ms: i64) {
    newest(samples, refs, lookback_ms, |i, at| match at {
        At::Float(at) => column.floats[i] = samples.floats[at],
        At::Histogram(at) => column.set_histogram(i, Arc::clone(&samples.histograms[at])),
    });
}

/// For each reference time the time (or start time) of its sample in seconds.
pub(crate) fn stream_times(
    ev: &mut Evaluator<'_>,
    selector: &Selector,
    steps: Steps,
    starts: bool,
    sink: Sink<'_>,
) -> Result<()> {
    let refs = ev.shifted(&selector.shift, steps)?;
    let lookback = ev.lookback_ms;
    let mut column = Column::default();
    fetch(ev, selector, refs.start_ms - lookback + 1, refs.last(), &mut |ev, labels, samples| {
        column.reset(refs.count);
        newest(samples, refs, lookback, |i, at| {
            let ms = match (at, starts) {
                (At::Float(at), false) => samples.float_times_ms[at],
                (At::Float(at), true) => samples.float_starts_ms.get(at).copied().unwrap_or(0),
                (At::Histogram(at), false) => samples.histogram_times_ms[at],
                (At::Histogram(at), true) => {
                    samples.histogram_starts_ms.get(at).copied().unwrap_or(0)
                }
            };
            column.floats[i] = ms as f64 / 1e3;
        });
        sink(ev, labels, true, &mut column)
    })
}

/// Where a sample lies.
#[derive(Clone, Copy)]
enum At {
    Float(usize),
    Histogram(usize),
}

fn newest(samples: &Samples, refs: Steps, lookback_ms: i64, mut found: impl FnMut(usize, At)) {
    let (mut floats, mut histograms) = (0, 0);
    for (i, time) in refs.times().enumerate() {
        while samples.float_times_ms.get(floats).is_some_and(|t| *t <= time) {
            floats += 1;
        }
        while samples.histogram_times_ms.get(histograms).is_some_and(|t| *t <= time) {
            histograms += 1;
        }
        let float_time = floats.checked_sub(1).map(|at| samples.float_times_ms[at]);
        let histogram_time = histograms.checked_sub(1).map(|at| samples.histogram_times_ms[at]);
        let oldest = time - lookback_ms;
        if histogram_time > float_time {
            let at = histograms - 1;
            if histogram_time.is_some_and(|t| t > oldest) && !is_stale(samples.histograms[at].sum) {
                found(i, At::Histogram(at));
            }
        } else if float_time.is_some_and(|t| t > oldest) && !is_stale(samples.floats[floats - 1]) {
            found(i, At::Float(floats - 1));
        }
    }
}

/// Removes staleness markers: a range does not see them.
pub(crate) fn drop_stale(samples: &mut Samples) {
    if samples.floats.iter().any(|value| is_stale(*value)) {
        let keep: Vec<bool> = samples.floats.iter().map(|value| !is_stale(*value)).collect();
        retain(&mut samples.float_times_ms, &keep);
        retain(&mut samples.float_starts_ms, &keep);
        retain(&mut samples.floats, &keep);
    }
    if samples.histograms.iter().any(|h| is_stale(h.sum)) {
        let keep: Vec<bool> = samples.histograms.iter().map(|h| !is_stale(h.sum)).collect();
        retain(&mut samples.histogram_times_ms, &keep);
        retain(&mut samples.histogram_starts_ms, &keep);
        retain(&mut samples.histograms, &keep);
    }
}

fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
    let mut flags = keep.iter();
    values.retain(|_| flags.next().copied().unwrap_or(true));
}
