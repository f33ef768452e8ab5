//! Series over time, made from spans.
//!
//! A span counts in the interval its start falls into. Intervals are closed on the right
//! and named by that end; range queries are aligned to the step, with one interval before
//! the aligned start, as Tempo does. Series of counts and rates have a point in every
//! interval; the others only where a span had a value. Source: Tempo, "TraceQL metrics
//! functions", and the behaviour of its engine.

mod accumulate;
mod combine;
mod compare;
mod thinned;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use trefoil_store::model::{SpanId, TraceId};
use trefoil_store::{Order, Snapshot, SpanColumns, SpanScan, TimeRange};

use super::ast::{
    CompareFunction, Expr, Field, MetricsExpr, MetricsFunction, Pipeline, Query, Root, SpansetExpr,
    Stage,
};
use super::eval::{self, SpanView};
use super::trace::Trace;
use super::value::Value;
use super::{columns, pipeline, prefilter, search};
use crate::error::{Error, Result};
use crate::limits::Limits;
use accumulate::Leaf;
use compare::Comparison;
use thinned::Lacking;

/// How many points a series may have: what Prometheus allows, and more than any screen shows.
const POINTS_MAX: i64 = 11_000;

/// Over which time, in which steps.
#[derive(Clone, Copy, Debug)]
pub struct MetricsParams {
    /// Unix nanoseconds.
    pub start_ns: i64,
    /// Unix nanoseconds.
    pub end_ns: i64,
    /// Nanoseconds between points.
    pub step_ns: i64,
    /// At most so many exemplars in all.
    pub exemplars: usize,
}

/// Series with a common grid of instants.
#[derive(Clone, Debug, Default)]
pub struct MetricsAnswer {
    /// Ends of the intervals, in Unix milliseconds.
    pub times_ms: Vec<i64>,
    /// By labels.
    pub series: Vec<Series>,
    /// Spans that were read.
    pub inspected_spans: u64,
    /// Bytes that were read.
    pub inspected_bytes: u64,
    /// Why the numbers may be too low, if something was skipped.
    pub partial: Option<String>,
}

/// One series.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Names and values, in the order of `by (…)`.
    pub labels: Vec<(String, Value<'static>)>,
    /// One value for each instant; NaN where there is none.
    pub values: Vec<f64>,
    /// Spans that are part of it.
    pub exemplars: Vec<Exemplar>,
}

/// A span that is part of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Its start in Unix milliseconds.
    pub time_ms: i64,
    /// What was measured of it; `None` where spans are only counted.
    pub value: Option<f64>,
}

/// Intervals of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Where the first interval starts.
    start_ns: i64,
    step_ns: i64,
    count: usize,
    /// A single interval that includes its start.
    instant: bool,
}

impl Grid {
    fn range(params: &MetricsParams) -> Result<Grid> {
        let step = params.step_ns;
        if step <= 0 {
            return Err(Error::bad(0..0, "the step must be longer than nothing"));
        }
        if params.end_ns < params.start_ns {
            return Err(Error::bad(0..0, "the end is before the start"));
        }
        let start = params.start_ns.saturating_sub(params.start_ns.rem_euclid(step));
        let start = if start > step { start - step } else { start };
        let length = params.end_ns.saturating_sub(start);
        let count = length / step + i64::from(length % step != 0);
        if count > POINTS_MAX {
            return Err(Error::limit(format!(
                "{count} points for each series, at most {POINTS_MAX}: ask for a longer step or less time"
            )));
        }
        Ok(Grid { start_ns: start, step_ns: step, count: count.max(1) as usize, instant: false })
    }

    fn instant(start_ns: i64, end_ns: i64) -> Result<Grid> {
        if end_ns <= start_ns {
            return Err(Error::bad(0..0, "the end is not after the start"));
        }
        Ok(Grid { start_ns, step_ns: end_ns.saturating_sub(start_ns), count: 1, instant: true })
    }

    /// The interval of an instant.
    fn interval(&self, time_ns: u64) -> Option<usize> {
        let offset = i64::try_from(time_ns).ok()?.checked_sub(self.start_ns)?;
        if offset == 0 && self.instant {
            return Some(0);
        }
        let interval = usize::try_from(offset.saturating_sub(1).div_euclid(self.step_ns)).ok()?;
        (interval < self.count).then_some(interval)
    }

    fn end_of(&self, interval: usize) -> i64 {
        self.start_ns.saturating_add(self.step_ns.saturating_mul(interval as i64 + 1))
    }

    fn times_ms(&self) -> Vec<i64> {
        (0..self.count).map(|i| self.end_of(i).div_euclid(1_000_000)).collect()
    }

    fn time_range(&self) -> TimeRange {
        let first = if self.instant { self.start_ns } else { self.start_ns.saturating_add(1) };
        TimeRange { start_ns: first, end_ns: self.end_of(self.count - 1) }
    }
}

/// Runs a metrics query over a range in steps.
///
/// # Errors
/// Not a metrics query, too many points or series, cancelled, or unreadable.
pub fn metrics_range(
    snapshot: &Snapshot,
    query: &Query,
    params: &MetricsParams,
    limits: &Limits<'_>,
) -> Result<MetricsAnswer> {
    let grid = Grid::range(params)?;
    answer(snapshot, query, grid, params.exemplars, limits)
}

/// Runs a metrics query over one interval, both ends included.
///
/// # Errors
/// As [`metrics_range`].
pub fn metrics_instant(
    snapshot: &Snapshot,
    query: &Query,
    start_ns: i64,
    end_ns: i64,
    limits: &Limits<'_>,
) -> Result<MetricsAnswer> {
    answer(snapshot, query, Grid::instant(start_ns, end_ns)?, 0, limits)
}

/// The step Tempo chooses for a range: about 240 points, a multiple of a round time.
#[must_use]
pub fn default_step_ns(start_ns: i64, end_ns: i64) -> i64 {
    const SECOND: i64 = 1_000_000_000;
    let length = end_ns.saturating_sub(start_ns).max(0);
    let wanted = length / 240;
    let round = if length < 60 * SECOND {
        SECOND / 20
    } else {
        let rounds = [3600, 300, 60, 15, 5, 1].map(|s| s * SECOND);
        rounds.into_iter().find(|round| wanted > *round).unwrap_or(SECOND)
    };
    (wanted / round).max(1) * round
}

fn answer(
    snapshot: &Snapshot,
    query: &Query,
    grid: Grid,
    exemplars: usize,
    limits: &Limits<'_>,
) -> Result<MetricsAnswer> {
    let Root::Metrics(expr) = &query.root else {
        return Err(Error::bad(
            0..0,
            "this finds traces and makes no series: end it with a function such as | rate()",
        ));
    };
    let run = Run { snapshot, grid, exemplars, limits, lacking: RefCell::default() };
    let mut series = run.expr(expr)?;
    series.retain(|s| s.values.iter().any(|v| !v.is_nan()));
    series.sort_by_cached_key(combine::key);
    let damaged = limits.tally.blocks_damaged.load(Relaxed) > 0;
    Ok(MetricsAnswer {
        times_ms: grid.times_ms(),
        series,
        inspected_spans: limits.tally.rows.load(Relaxed),
        inspected_bytes: limits.tally.bytes.load(Relaxed),
        partial: match damaged {
            true => Some("damaged blocks were skipped".to_owned()),
            false => run.lacking.borrow().message(),
        },
    })
}

struct Run<'a> {
    snapshot: &'a Snapshot,
    grid: Grid,
    exemplars: usize,
    limits: &'a Limits<'a>,
    /// What of spans that were thinned out is missing in the numbers.
    lacking: RefCell<Lacking>,
}

impl Run<'_> {
    fn expr(&self, expr: &MetricsExpr) -> Result<Vec<Series>> {
        match expr {
            MetricsExpr::Leaf(pipeline, function) => self.leaf(pipeline, function),
            MetricsExpr::Compare(pipeline, function) => self.compare(pipeline, function),
            MetricsExpr::Math(op, lhs, rhs) => {
                Ok(combine::math(*op, self.expr(lhs)?, self.expr(rhs)?))
            }
            MetricsExpr::Scaled(op, of, number, on_left) => {
                let mut series = self.expr(of)?;
                combine::scale(*op, &mut series, *number, *on_left);
                Ok(series)
            }
            MetricsExpr::Staged(of, stages) => {
                let mut series = self.expr(of)?;
                for stage in stages {
                    combine::second_stage(*stage, &mut series);
                }
                Ok(series)
            }
        }
    }

    fn leaf(&self, pipeline: &Pipeline, function: &MetricsFunction) -> Result<Vec<Series>> {
        let mut leaf = Leaf::new(function, self.grid, self.exemplars, self.limits);
        let fields: Vec<&Field> = function.by.iter().chain(&function.of).collect();
        let needs_trace = fields.iter().any(|field| eval::field_needs_trace(field));
        let own = fields.into_iter().map(columns::of_field).fold(SpanColumns::NONE, columns::both);
        let columns = SpanColumns { ids: own.ids || self.exemplars > 0, ..own };
        self.each(pipeline, needs_trace, columns, &mut |view| leaf.observe(view))?;
        self.add_thinned(pipeline, needs_trace, &mut leaf)?;
        Ok(leaf.finish())
    }

    fn compare(&self, pipeline: &Pipeline, function: &CompareFunction) -> Result<Vec<Series>> {
        let mut comparison = Comparison::new(function, self.grid, self.limits);
        let needs_trace = eval::needs_trace(&function.selection);
        // Whatever a span has is compared.
        self.each(pipeline, needs_trace, SpanColumns::ALL, &mut |view| comparison.observe(view))?;
        self.lack_thinned()?;
        Ok(comparison.finish())
    }

    /// Hands out the spans a pipeline selects, with these columns at least.
    fn each(
        &self,
        pipeline: &Pipeline,
        needs_trace: bool,
        columns: SpanColumns,
        observe: Observe<'_>,
    ) -> Result<()> {
        match span_filters(pipeline) {
            Some(filters) if !needs_trace => self.each_span(pipeline, &filters, columns, observe),
            _ => self.each_trace(pipeline, observe),
        }
    }

    /// Each span is judged by itself, so no trace is put together.
    fn each_span(
        &self,
        pipeline: &Pipeline,
        filters: &[&Expr],
        columns: SpanColumns,
        observe: Observe<'_>,
    ) -> Result<()> {
        let filter = prefilter::of_pipeline(pipeline);
        let columns = filters.iter().map(|f| columns::of_expr(f)).fold(columns, columns::both);
        let scan = SpanScan { range: self.grid.time_range(), filter: &filter, order: Order::Any };
        let mut observed = Ok(());
        self.snapshot.spans_with(&scan, columns, self.limits.tally, &mut |stored| {
            let view = SpanView { stored, trace: None };
            if filters.iter().all(|f| eval::holds(f, view)) {
                observed = observe(view);
            }
            if observed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        observed
    }

    fn each_trace(&self, pipeline: &Pipeline, observe: Observe<'_>) -> Result<()> {
        let filter = prefilter::of_pipeline(pipeline);
        let range = search::widened(self.grid.time_range());
        search::each_candidate(self.snapshot, &filter, range, self.limits, |spans, _| {
            let trace = Trace::new(spans);
            for set in pipeline::run(pipeline, &trace)? {
                for at in set.spans {
                    observe(SpanView { stored: &trace.spans[at], trace: Some((&trace, at)) })?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Takes the selected spans one by one.
type Observe<'o> = &'o mut dyn FnMut(SpanView<'_>) -> Result<()>;

/// The conditions of a pipeline that can be judged span by span, or `None` if it needs
/// whole traces.
fn span_filters(pipeline: &Pipeline) -> Option<Vec<&Expr>> {
    let mut filters = Vec::new();
    for stage in &pipeline.stages {
        match stage {
            Stage::Spansets(SpansetExpr::Filter(expr)) if !eval::needs_trace(expr) => {
                filters.push(expr);
            }
            Stage::Select(_) => {}
            _ => return None,
        }
    }
    Some(filters)
}
