//! Samples from the store: the newest one within the lookback for instant vectors, all of
//! a window for ranges.

mod ahead;

use std::sync::Arc;

use trefoil_store::model::{CounterReset, Histogram, is_stale};
use trefoil_store::{Labels, Samples, Series, Snapshot, Tally, TimeRange};

use super::ast::{Edge, Node, Selector};
use super::column::{Column, Steps};
use super::eval::{Evaluator, Sink};
use super::histogram::counts_fell;
use super::notes::Notes;
use super::rollup::extended;
use crate::error::Result;

/// What reading samples needs of a query; threads share it.
#[derive(Clone, Copy)]
struct Reader<'a> {
    snapshot: &'a Snapshot,
    tally: &'a Tally,
    lookback_ms: i64,
    stats_only: bool,
    start_ms: i64,
    end_ms: i64,
}

impl<'a> Reader<'a> {
    fn new(ev: &Evaluator<'a>, (start_ms, end_ms): (i64, i64)) -> Reader<'a> {
        Reader {
            snapshot: ev.snapshot,
            tally: ev.limits.tally,
            lookback_ms: ev.lookback_ms,
            stats_only: ev.stats_only,
            start_ms,
            end_ms,
        }
    }

    fn series(&self, selector: &Selector) -> Result<Vec<Series>> {
        let range = TimeRange::from_ms(self.start_ms, self.end_ms);
        Ok(self.snapshot.series(&selector.matchers, range, self.tally)?)
    }

    fn read(&self, series: &Series, samples: &mut Samples) -> Result<()> {
        let range = TimeRange::from_ms(self.start_ms, self.end_ms);
        self.snapshot.samples(series, range, samples, self.tally)?;
        if !samples.histograms.is_empty() {
            let before = self.just_before(series)?;
            tell_resets(samples, before, self.stats_only);
        }
        Ok(())
    }

    /// The samples shortly before: whether the first histogram of a window follows a
    /// reset depends on them.
    fn just_before(&self, series: &Series) -> Result<Samples> {
        let (start, end) = (self.start_ms - self.lookback_ms, self.start_ms - 1);
        let mut before = Samples::default();
        let range = TimeRange::from_ms(start, end);
        self.snapshot.samples(series, range, &mut before, self.tally)?;
        Ok(before)
    }
}

/// Hands out every matching series with its samples between two times, both included.
/// Staleness markers are still among them. The buffer is reused.
pub(crate) fn fetch(
    ev: &mut Evaluator<'_>,
    selector: &Selector,
    start_ms: i64,
    end_ms: i64,
    each: &mut dyn FnMut(&mut Evaluator<'_>, &Labels, &mut Samples) -> Result<()>,
) -> Result<()> {
    let reader = Reader::new(ev, (start_ms, end_ms));
    let mut samples = Samples::default();
    for series in &reader.series(selector)? {
        reader.read(series, &mut samples)?;
        if !samples.floats.is_empty() || !samples.histograms.is_empty() {
            each(ev, &series.labels, &mut samples)?;
        }
    }
    Ok(())
}

/// Makes a column of a series' samples.
pub(crate) type ColumnOf = Box<dyn FnMut(&mut Notes, &Labels, &mut Samples, &mut Column) + Send>;

/// Samples that one thread makes before its columns are handed on: few enough for them to
/// stay in the cache, enough to make another thread worth it.
const BLOCK_SAMPLES: usize = 64 << 10;
/// Blocks to a thread: while one is taken in, others are made.
const BLOCKS_AHEAD: usize = 2;

/// As [`fetch`], but hands out a column of each series. Where there are many series,
/// several threads make them, each with a `worker` of its own; the order stays.
pub(crate) fn columns(
    ev: &mut Evaluator<'_>,
    selector: &Selector,
    times: (i64, i64),
    steps: usize,
    worker: &(dyn Fn() -> ColumnOf + Sync),
    each: &mut dyn FnMut(&mut Evaluator<'_>, &Labels, &mut Column) -> Result<()>,
) -> Result<()> {
    let reader = Reader::new(ev, times);
    let series = reader.series(selector)?;
    let size = (BLOCK_SAMPLES / steps.max(1)).clamp(16, 4096);
    let parts: Vec<&[Series]> = series.chunks(size).collect();
    let threads = ev.limits.threads.clamp(1, parts.len().max(1));
    let ahead = if threads > 1 { BLOCKS_AHEAD } else { 1 };
    let blocks = (0..threads * ahead).map(|_| Block::new(worker())).collect();
    let make = |at: usize, block: &mut Block| block.run(&reader, parts[at]);
    ahead::in_order(parts.len(), threads - 1, blocks, &make, &mut |at, block| {
        ev.notes.append(&mut block.notes);
        for (one, column) in parts[at].iter().zip(&mut block.columns) {
            each(ev, &one.labels, column)?;
        }
        Ok(())
    })
}

/// What a thread makes at a time.
struct Block {
    worker: ColumnOf,
    samples: Samples,
    columns: Vec<Column>,
    notes: Notes,
}

impl Block {
    fn new(worker: ColumnOf) -> Block {
        let (samples, notes) = (Samples::default(), Notes::default());
        Block { worker, samples, columns: Vec::new(), notes }
    }

    fn run(&mut self, reader: &Reader<'_>, series: &[Series]) -> Result<()> {
        self.columns.resize_with(series.len().max(self.columns.len()), Column::default);
        for (one, column) in series.iter().zip(&mut self.columns) {
            reader.read(one, &mut self.samples)?;
            (self.worker)(&mut self.notes, &one.labels, &mut self.samples, column);
        }
        Ok(())
    }
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
    if selector.edge == Edge::Smoothed {
        return extended::smoothed_instant(ev, node, selector, refs, sink);
    }
    let times = (refs.start_ms - lookback + 1, refs.last());
    let worker = || -> ColumnOf {
        Box::new(move |_, _, samples, column| {
            column.reset(refs.count);
            fill(column, samples, refs, lookback);
        })
    };
    columns(ev, selector, times, refs.count, &worker, &mut |ev, labels, column| {
        sink(ev, labels, false, column)
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
    // Hardly any series has some: without an end to look for, eight are compared at a time.
    if samples.floats.iter().fold(false, |any, value| any | is_stale(*value)) {
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
