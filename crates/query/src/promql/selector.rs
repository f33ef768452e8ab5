//! Samples from the store: the newest one within the lookback for instant vectors, all of
//! a window for ranges.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use trefoil_store::model::{CounterReset, Histogram, is_stale};
use trefoil_store::{Labels, Samples, Selection, SeriesReader, Snapshot, Tally, TimeRange, ahead};

use super::ast::{Edge, Node, Selector};
use super::column::{Column, Steps};
use super::eval::{Evaluator, Sink};
use super::histogram::counts_fell;
use super::labels::Needed;
use super::notes::Notes;
use super::rollup::extended;
use crate::error::Result;

/// The series of a selector, and what reading them needs of a query; threads share it.
struct Selected<'a> {
    snapshot: &'a Snapshot,
    selection: Selection,
    tally: &'a Tally,
    lookback_ms: i64,
    stats_only: bool,
    times: (i64, i64),
}

impl<'a> Selected<'a> {
    fn new(ev: &Evaluator<'a>, selector: &Selector, times: (i64, i64)) -> Result<Selected<'a>> {
        let range = TimeRange::from_ms(times.0, times.1);
        let tally = ev.limits.tally;
        Ok(Selected {
            snapshot: ev.snapshot,
            selection: ev.snapshot.select(&selector.matchers, range, tally)?,
            tally,
            lookback_ms: ev.lookback_ms,
            stats_only: ev.stats_only,
            times,
        })
    }

    fn reader(&self) -> Reader<'_> {
        let within = |(start_ms, end_ms)| {
            let range = TimeRange::from_ms(start_ms, end_ms);
            self.snapshot.reader(&self.selection, range, self.tally)
        };
        let (start_ms, _) = self.times;
        Reader {
            within: within(self.times),
            before: within((start_ms - self.lookback_ms, start_ms - 1)),
            stats_only: self.stats_only,
        }
    }
}

/// Reads one series after the other.
struct Reader<'a> {
    within: SeriesReader<'a>,
    /// Of the time shortly before: whether the first histogram of a window follows a reset
    /// depends on it.
    before: SeriesReader<'a>,
    stats_only: bool,
}

impl Reader<'_> {
    fn read(&mut self, series: usize, samples: &mut Samples) -> Result<()> {
        self.within.samples(series, samples)?;
        if !samples.histograms.is_empty() {
            let mut before = Samples::default();
            self.before.samples(series, &mut before)?;
            tell_resets(samples, before, self.stats_only);
        }
        Ok(())
    }

    /// The same, but samples before the newest one may be missing.
    fn read_newest(&mut self, series: usize, samples: &mut Samples) -> Result<()> {
        self.within.newest(series, samples)?;
        // Whether a histogram follows a reset depends on the others.
        if samples.histograms.is_empty() { Ok(()) } else { self.read(series, samples) }
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
    let selected = Selected::new(ev, selector, (start_ms, end_ms))?;
    let mut reader = selected.reader();
    let mut samples = Samples::default();
    for series in 0..selected.selection.len() {
        reader.read(series, &mut samples)?;
        if !samples.floats.is_empty() || !samples.histograms.is_empty() {
            each(ev, &reader.within.labels(series), &mut samples)?;
        }
    }
    Ok(())
}

/// Makes a column of a series' samples.
pub(crate) type ColumnOf = Box<dyn FnMut(&mut Notes, &Labels, &mut Samples, &mut Column) + Send>;

/// Samples that one thread makes before its columns are handed on: few enough for them to
/// stay in the cache, enough to make another thread worth it.
const BLOCK_SAMPLES: usize = 64 << 10;

/// What is to be read for columns.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) selector: &'a Selector,
    /// The first and the last time, in milliseconds.
    pub(crate) times: (i64, i64),
    pub(crate) needed: Needed<'a>,
    /// Whether samples before the newest one do not matter.
    pub(crate) newest: bool,
}

/// As [`fetch`], but hands out a column of each series. Where there are many series,
/// several threads make them, each with a `worker` of its own; the order stays.
pub(crate) fn columns(
    ev: &mut Evaluator<'_>,
    wanted: Wanted<'_>,
    steps: usize,
    worker: &(dyn Fn() -> ColumnOf + Sync),
    each: &mut dyn FnMut(&mut Evaluator<'_>, &Labels, &mut Column) -> Result<()>,
) -> Result<()> {
    let selected = Selected::new(ev, wanted.selector, wanted.times)?;
    let all = selected.selection.len();
    let size = (BLOCK_SAMPLES / steps.max(1)).clamp(16, 4096);
    let count = all.div_ceil(size);
    let threads = ev.limits.tally.threads();
    let mut block = || Block::new(worker(), selected.reader());
    let make =
        |at: usize, block: &mut Block<'_>| block.run(wanted, at * size..all.min((at + 1) * size));
    ahead::in_order(count, threads, &mut block, &make, &mut |_, block| {
        ev.notes.append(&mut block.notes);
        for (labels, column) in block.labels.iter().zip(&mut block.columns) {
            each(ev, labels, column)?;
        }
        Ok(ControlFlow::Continue(()))
    })
    .map(drop)
}

/// What a thread makes at a time.
struct Block<'a> {
    worker: ColumnOf,
    reader: Reader<'a>,
    samples: Samples,
    labels: Vec<Labels>,
    columns: Vec<Column>,
    notes: Notes,
}

impl<'a> Block<'a> {
    fn new(worker: ColumnOf, reader: Reader<'a>) -> Block<'a> {
        Block {
            worker,
            reader,
            samples: Samples::default(),
            labels: Vec::new(),
            columns: Vec::new(),
            notes: Notes::default(),
        }
    }

    fn run(&mut self, wanted: Wanted<'_>, series: Range<usize>) -> Result<()> {
        self.labels.clear();
        self.columns.resize_with(series.len().max(self.columns.len()), Column::default);
        for (one, column) in series.zip(&mut self.columns) {
            match wanted.newest {
                true => self.reader.read_newest(one, &mut self.samples)?,
                false => self.reader.read(one, &mut self.samples)?,
            }
            let labels = wanted.needed.read(&mut self.reader.within, one);
            (self.worker)(&mut self.notes, &labels, &mut self.samples, column);
            self.labels.push(labels);
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
    needed: Needed<'_>,
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
    let wanted = Wanted { selector, times, needed, newest: refs.count == 1 };
    columns(ev, wanted, refs.count, &worker, &mut |ev, labels, column| {
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
