//! Metric expressions: every leaf reads its rows once and fills a grid of all steps, the
//! operators above it combine grids.

use trefoil_store::Snapshot;

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::logql::answer::{Data, LabelSet, SeriesValues};
use crate::logql::ast::{Grouping, MetricExpr, RangeOp, VectorAggregation, VectorOp};
use crate::logql::eval::Params;

mod aggregate;
mod binary;
mod label_replace;
mod range;
mod window;

/// One series over all steps; `None` where it has no value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GridSeries {
    pub(crate) labels: LabelSet,
    pub(crate) values: Vec<Option<f64>>,
}

/// What an expression is worth.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// The same number at every step.
    Number(f64),
    /// Series; no two have the same labels at one step.
    Grid(Vec<GridSeries>),
}

/// Everything an evaluation needs besides the expression.
pub(crate) struct Context<'c> {
    pub(crate) snapshot: &'c Snapshot,
    pub(crate) params: &'c Params,
    pub(crate) limits: &'c Limits<'c>,
    pub(crate) steps: usize,
}

/// Runs a metric expression.
pub(crate) fn run(
    snapshot: &Snapshot,
    expr: &MetricExpr,
    params: &Params,
    limits: &Limits<'_>,
    matched: &mut u64,
) -> Result<Data> {
    let context = Context { snapshot, params, limits, steps: params.steps() };
    let value = eval(expr, &context, matched)?;
    let mut grid = match value {
        Value::Number(number) if params.instant => return Ok(Data::Scalar(number)),
        Value::Number(number) => vec![constant(number, context.steps)],
        Value::Grid(grid) => grid,
    };
    let ordered = params.instant && is_ordered(expr);
    if !ordered {
        grid.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    Ok(if params.instant {
        Data::Vector(
            grid.into_iter()
                .filter_map(|s| Some((s.labels, s.values.first().copied().flatten()?)))
                .collect(),
        )
    } else {
        Data::Matrix(grid.into_iter().filter_map(|series| points(series, params)).collect())
    })
}

fn points(series: GridSeries, params: &Params) -> Option<SeriesValues> {
    let values: Vec<(i64, f64)> = series
        .values
        .iter()
        .enumerate()
        .filter_map(|(step, value)| Some((params.step_time(step), (*value)?)))
        .collect();
    (!values.is_empty()).then_some(SeriesValues { labels: series.labels, values })
}

/// Whether the expression itself orders its vector.
fn is_ordered(expr: &MetricExpr) -> bool {
    matches!(expr, MetricExpr::Vectors(v)
        if matches!(v.op, VectorOp::Topk | VectorOp::Bottomk | VectorOp::Sort | VectorOp::SortDesc))
}

fn constant(number: f64, steps: usize) -> GridSeries {
    GridSeries { labels: LabelSet::default(), values: vec![Some(number); steps] }
}

/// Evaluates an expression. Its depth is bounded by the parser.
fn eval(expr: &MetricExpr, context: &Context<'_>, matched: &mut u64) -> Result<Value> {
    Ok(match expr {
        MetricExpr::Number(number) => Value::Number(*number),
        MetricExpr::Vector(number) => Value::Grid(vec![constant(*number, context.steps)]),
        MetricExpr::Range(range) => Value::Grid(range::eval(range, None, context, matched)?),
        MetricExpr::Vectors(vectors) => Value::Grid(aggregation(vectors, context, matched)?),
        MetricExpr::Binary(binary) => {
            let left = eval(&binary.left, context, matched)?;
            let right = eval(&binary.right, context, matched)?;
            binary::eval(binary, left, right, context)?
        }
        MetricExpr::LabelReplace(replace) => {
            let inner = eval(&replace.inner, context, matched)?;
            Value::Grid(label_replace::eval(replace, grid(inner, "label_replace")?)?)
        }
    })
}

fn grid(value: Value, name: &str) -> Result<Vec<GridSeries>> {
    match value {
        Value::Grid(grid) => Ok(grid),
        Value::Number(_) => {
            Err(Error::bad(0..0, format!("{name} needs a vector, not a number; use vector()")))
        }
    }
}

fn aggregation(
    vectors: &VectorAggregation,
    context: &Context<'_>,
    matched: &mut u64,
) -> Result<Vec<GridSeries>> {
    let none = Grouping { without: false, labels: Vec::new() };
    let inner = match &vectors.inner {
        // A sum of counts is the count of the sum's groups: rows are counted there at once,
        // and only the labels that remain are looked at.
        MetricExpr::Range(range) if vectors.op == VectorOp::Sum && adds_up(range.op) => {
            let outer = vectors.grouping.as_ref().unwrap_or(&none);
            range::eval(range, Some(outer), context, matched)?
        }
        inner => grid(eval(inner, context, matched)?, vectors.op.name())?,
    };
    aggregate::eval(vectors, inner, context)
}

/// Whether the values of two disjoint sets of rows add up to that of their union.
fn adds_up(op: RangeOp) -> bool {
    matches!(
        op,
        RangeOp::Count | RangeOp::Rate | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Sum
    )
}

/// Refuses a grid that is larger than a query may hold.
pub(crate) fn check_size(series: usize, context: &Context<'_>) -> Result<()> {
    if series > context.limits.series_max {
        return Err(Error::limit(format!(
            "maximum number of series ({}) reached for a single query; consider reducing query \
             cardinality by adding more specific stream selectors, reducing the time range, or \
             aggregating results with functions like sum(), count() or topk()",
            context.limits.series_max
        )));
    }
    if series.saturating_mul(context.steps) > context.limits.samples_max {
        return Err(Error::limit(format!(
            "the query holds more than {} samples; use fewer series or a larger step",
            context.limits.samples_max
        )));
    }
    Ok(())
}
