//! Functions of a range: a window slides over each series' samples.

pub(crate) mod extended;
mod over_time;
mod rate;
mod regression;

use std::sync::Arc;

use trefoil_store::model::Histogram;
use trefoil_store::{Labels, Samples};

use super::ast::{Call, Edge, Kind, Matrix, Node, Subquery};
use super::column::{Cell, Column, Steps, is_present};
use super::eval::{Evaluator, Sink};
use super::functions::Func;
use super::labels::Needed;
use super::notes::{Notes, for_metric};
use super::selector::{ColumnOf, Wanted, columns, drop_stale};
use crate::error::{Error, Result};
pub(crate) use over_time::{invalid_quantile, quantile};

/// Whether a function takes a range and yields one value per series and step.
pub(crate) fn takes(function: Func) -> bool {
    use Func::{
        AvgOverTime, Changes, CountOverTime, Delta, Deriv, DoubleExponentialSmoothing,
        FirstOverTime, Idelta, Increase, Irate, LastOverTime, MadOverTime, MaxOverTime,
        MinOverTime, PredictLinear, PresentOverTime, QuantileOverTime, Rate, Resets,
        StddevOverTime, StdvarOverTime, SumOverTime, TsOfFirstOverTime, TsOfLastOverTime,
        TsOfMaxOverTime, TsOfMinOverTime,
    };
    matches!(
        function,
        AvgOverTime
            | Changes
            | CountOverTime
            | Delta
            | Deriv
            | DoubleExponentialSmoothing
            | FirstOverTime
            | Idelta
            | Increase
            | Irate
            | LastOverTime
            | MadOverTime
            | MaxOverTime
            | MinOverTime
            | PredictLinear
            | PresentOverTime
            | QuantileOverTime
            | Rate
            | Resets
            | StddevOverTime
            | StdvarOverTime
            | SumOverTime
            | TsOfFirstOverTime
            | TsOfLastOverTime
            | TsOfMaxOverTime
            | TsOfMinOverTime
    )
}

/// The samples of a series that a window shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    /// The metric's name, for notes.
    pub(crate) name: &'a str,
    /// Exclusive start of the range, Unix milliseconds.
    pub(crate) start_ms: i64,
    /// Inclusive end of the range.
    pub(crate) end_ms: i64,
    pub(crate) float_times: &'a [i64],
    /// Start times; empty if no sample has one.
    pub(crate) float_starts: &'a [i64],
    pub(crate) floats: &'a [f64],
    pub(crate) histogram_times: &'a [i64],
    pub(crate) histogram_starts: &'a [i64],
    pub(crate) histograms: &'a [Arc<Histogram>],
}

/// One call while it runs.
#[derive(Debug)]
pub(crate) struct Roller {
    pub(crate) function: Func,
    /// Scalar arguments per step.
    scalars: Arc<[Vec<f64>]>,
    /// Where the range argument starts in the text.
    pub(crate) at: usize,
    /// Where the first argument starts in the text.
    first_at: usize,
    edge: Edge,
    lookback_ms: i64,
    /// For sorting and the like.
    scratch: Vec<f64>,
    /// For each sample, how many resets there were up to it; empty if there were none.
    resets: Vec<u32>,
    /// Where the windows lie among the samples of the last series.
    grid: rate::Grid,
}

/// Where in the sample lists the window of the current step lies.
#[derive(Clone, Copy, Default)]
struct Bounds {
    first: usize,
    end: usize,
}

impl Bounds {
    /// Moves to the samples in (start, end].
    fn slide(&mut self, times: &[i64], start: i64, end: i64) {
        while times.get(self.first).is_some_and(|t| *t <= start) {
            self.first += 1;
        }
        self.end = self.end.max(self.first);
        while times.get(self.end).is_some_and(|t| *t <= end) {
            self.end += 1;
        }
    }

    fn of<T>(self, values: &[T]) -> &[T] {
        values.get(self.first..self.end).unwrap_or(&[])
    }
}

/// Evaluates a call, series by series.
pub(crate) fn stream(
    ev: &mut Evaluator<'_>,
    call: &Call,
    steps: Steps,
    needed: Needed<'_>,
    sink: Sink<'_>,
) -> Result<()> {
    let function = call.function.id;
    let (arg, others): (&Node, Vec<&Node>) = match (function, &call.args[..]) {
        (Func::QuantileOverTime, [q, range, ..]) => (range, vec![q]),
        (_, [range, others @ ..]) => (range, others.iter().collect()),
        _ => return Err(Error::execution("internal error: a range function without arguments")),
    };
    let scalars = others.iter().map(|node| ev.scalar(node, steps)).collect::<Result<Vec<_>>>()?;
    check_factors(function, &scalars)?;
    let mut roller = Roller {
        function,
        scalars: scalars.into(),
        at: arg.span.start,
        first_at: call.args[0].span.start,
        edge: Edge::Plain,
        lookback_ms: ev.lookback_ms,
        scratch: Vec::new(),
        resets: Vec::new(),
        grid: rate::Grid::default(),
    };
    let keeps_name = matches!(function, Func::LastOverTime | Func::FirstOverTime);
    match &arg.unparen().kind {
        Kind::Matrix(matrix) => {
            roller.edge = matrix.selector.edge;
            matrix_windows(ev, matrix, steps, &roller, needed, !keeps_name, sink)
        }
        Kind::Subquery(subquery) => {
            subquery_windows(ev, subquery, steps, &roller, !keeps_name, sink)
        }
        _ => Err(Error::bad(arg.span.clone(), "internal error: expected a range vector")),
    }
}

/// Smoothing factors must lie between 0 and 1.
fn check_factors(function: Func, scalars: &[Vec<f64>]) -> Result<()> {
    if function != Func::DoubleExponentialSmoothing {
        return Ok(());
    }
    for (values, what, symbol) in [(&scalars[0], "smoothing", "sf"), (&scalars[1], "trend", "tf")] {
        if let Some(bad) = values.iter().find(|f| !(**f > 0.0 && **f < 1.0)) {
            return Err(Error::execution(format!(
                "invalid {what} factor. Expected: 0 < {symbol} < 1, got: {bad:.6}"
            )));
        }
    }
    Ok(())
}

fn matrix_windows(
    ev: &mut Evaluator<'_>,
    matrix: &Matrix,
    steps: Steps,
    roller: &Roller,
    needed: Needed<'_>,
    drop_name: bool,
    sink: Sink<'_>,
) -> Result<()> {
    let range_ms = ev.range_ms(&matrix.range)?;
    let refs = ev.shifted(&matrix.selector.shift, steps)?;
    let (before, after) = roller.margins();
    let times = (refs.start_ms - range_ms - before + 1, refs.last() + after);
    let worker = || -> ColumnOf {
        let mut roller = roller.again();
        Box::new(move |notes, labels, samples, column| {
            drop_stale(samples);
            column.reset(steps.count);
            slide(notes, &mut roller, labels, samples, refs, steps, range_ms, column);
        })
    };
    let wanted = Wanted { selector: &matrix.selector, times, needed, newest: false };
    columns(ev, wanted, steps.count, &worker, &mut |ev, labels, column| {
        sink(ev, labels, drop_name, column)
    })
}

fn subquery_windows(
    ev: &mut Evaluator<'_>,
    subquery: &Subquery,
    steps: Steps,
    roller: &Roller,
    drop_name: bool,
    sink: Sink<'_>,
) -> Result<()> {
    let range_ms = ev.range_ms(&subquery.range)?;
    let refs = ev.shifted(&subquery.shift, steps)?;
    let mut column = Column::default();
    let mut work = roller.again();
    each_subquery_series(ev, subquery, refs, range_ms, &mut |ev, labels, dropped, samples| {
        column.reset(steps.count);
        slide(&mut ev.notes, &mut work, labels, samples, refs, steps, range_ms, &mut column);
        sink(ev, labels, drop_name || dropped, &mut column)
    })
}

/// What a subquery's series are handed to.
type SamplesSink<'s> =
    &'s mut dyn FnMut(&mut Evaluator<'_>, &Labels, bool, &mut Samples) -> Result<()>;

/// Evaluates a subquery's expression on its grid and hands out each series as samples.
pub(crate) fn each_subquery_series(
    ev: &mut Evaluator<'_>,
    subquery: &Subquery,
    refs: Steps,
    range_ms: i64,
    each: SamplesSink<'_>,
) -> Result<()> {
    let inner = ev.substeps(subquery, refs, range_ms)?;
    if inner.count == 0 {
        return Ok(());
    }
    // A subquery may repeat or skip samples, so what was found between neighbours does
    // not hold between its values; the reader for count and sum is not for it either.
    let stats_only = std::mem::replace(&mut ev.stats_only, false);
    let mut samples = Samples::default();
    let result = ev.stream(&subquery.expr, inner, &mut |ev, labels, dropped, column| {
        samples_of(column, inner, &mut samples);
        each(ev, labels, dropped, &mut samples)
    });
    ev.stats_only = stats_only;
    result
}

fn samples_of(column: &Column, steps: Steps, samples: &mut Samples) {
    use trefoil_store::model::CounterReset::{Gauge, Unknown};
    *samples = Samples::default();
    for (i, value) in column.floats.iter().enumerate() {
        if is_present(*value) {
            samples.float_times_ms.push(steps.time(i));
            samples.floats.push(*value);
        }
    }
    for (i, histogram) in column.histograms.iter().enumerate() {
        if let Some(histogram) = histogram {
            let mut histogram = Arc::clone(histogram);
            if !matches!(histogram.counter_reset, Gauge | Unknown) {
                Arc::make_mut(&mut histogram).counter_reset = Unknown;
            }
            samples.histogram_times_ms.push(steps.time(i));
            samples.histograms.push(histogram);
        }
    }
}

/// Fills a column with the function of each step's window.
#[allow(clippy::too_many_arguments)] // One loop; a struct for it would only move the list.
fn slide(
    notes: &mut Notes,
    roller: &mut Roller,
    labels: &Labels,
    samples: &Samples,
    refs: Steps,
    steps: Steps,
    range_ms: i64,
    column: &mut Column,
) {
    let name = labels.metric_name().unwrap_or("");
    let plain_floats = roller.edge == Edge::Plain
        && samples.histograms.is_empty()
        && !rate::overlaps(&samples.float_starts_ms, &samples.float_times_ms);
    if plain_floats && matches!(roller.function, Func::Rate | Func::Increase | Func::Delta) {
        return rate::of_floats(notes, roller, name, samples, refs, range_ms, column);
    }
    let (before, after) = roller.margins();
    let (mut floats, mut histograms) = (Bounds::default(), Bounds::default());
    for (i, end_ms) in refs.times().enumerate() {
        let start_ms = end_ms - range_ms;
        floats.slide(&samples.float_times_ms, start_ms - before, end_ms + after);
        histograms.slide(&samples.histogram_times_ms, start_ms - before, end_ms + after);
        if floats.first == floats.end && histograms.first == histograms.end {
            continue;
        }
        let window = Window {
            name,
            start_ms,
            end_ms,
            float_times: floats.of(&samples.float_times_ms),
            float_starts: floats.of(&samples.float_starts_ms),
            floats: floats.of(&samples.floats),
            histogram_times: histograms.of(&samples.histogram_times_ms),
            histogram_starts: histograms.of(&samples.histogram_starts_ms),
            histograms: histograms.of(&samples.histograms),
        };
        if let Some(cell) = roller.roll(notes, &window, i, steps.time(i)) {
            column.set(i, cell);
        }
    }
}

impl Roller {
    /// The same call for another thread.
    fn again(&self) -> Roller {
        Roller {
            function: self.function,
            scalars: Arc::clone(&self.scalars),
            at: self.at,
            first_at: self.first_at,
            edge: self.edge,
            lookback_ms: self.lookback_ms,
            scratch: Vec::new(),
            resets: Vec::new(),
            grid: rate::Grid::default(),
        }
    }

    /// How far before and after the range samples are looked at.
    fn margins(&self) -> (i64, i64) {
        match self.edge {
            Edge::Plain => (0, 0),
            Edge::Anchored => (self.lookback_ms, 0),
            Edge::Smoothed => (self.lookback_ms, self.lookback_ms),
        }
    }

    fn scalar(&self, argument: usize, step: usize) -> f64 {
        self.scalars.get(argument).and_then(|v| v.get(step)).copied().unwrap_or(f64::NAN)
    }

    fn roll(
        &mut self,
        notes: &mut Notes,
        w: &Window<'_>,
        step: usize,
        time_ms: i64,
    ) -> Option<Cell> {
        if self.edge != Edge::Plain {
            return extended::roll(notes, self, w);
        }
        match self.function {
            Func::Rate => rate::extrapolated(notes, self, w, true, true),
            Func::Increase => rate::extrapolated(notes, self, w, true, false),
            Func::Delta => rate::extrapolated(notes, self, w, false, false),
            Func::Irate => rate::last_two(notes, self, w, true),
            Func::Idelta => rate::last_two(notes, self, w, false),
            Func::Resets => Some(Cell::Float(rate::resets(w))),
            Func::Changes => Some(Cell::Float(rate::changes(w))),
            Func::Deriv | Func::PredictLinear | Func::DoubleExponentialSmoothing => {
                let value = regression::regress(self, w, step, time_ms);
                if !w.histograms.is_empty() && !w.floats.is_empty() {
                    self.histograms_ignored(notes, w.name);
                }
                value.map(Cell::Float)
            }
            _ => over_time::roll(notes, self, w, step),
        }
    }

    fn mixed(&self, notes: &mut Notes, name: &str) {
        notes.warn(self.at, for_metric("encountered a mix of histograms and floats", name));
    }

    fn mixed_schemas(&self, notes: &mut Notes, name: &str) {
        notes.warn(
            self.at,
            for_metric(
                "vector contains a mix of histograms with exponential and custom buckets schemas",
                name,
            ),
        );
    }

    fn histograms_ignored(&self, notes: &mut Notes, name: &str) {
        notes.info(
            self.at,
            for_metric("ignored histograms in a range containing both floats and histograms", name),
        );
    }

    fn not_a(&self, notes: &mut Notes, name: &str, what: &str) {
        let name = super::print::quote(name);
        notes.warn(self.at, format!("this native histogram metric is not a {what}: {name}"));
    }

    fn reconciled(&self, notes: &mut Notes, doing: &str) {
        notes.info(self.at, format!("mismatched custom buckets were reconciled during {doing}"));
    }
}
