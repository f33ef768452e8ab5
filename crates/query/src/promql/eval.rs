//! Walks the tree. An expression yields columns, one per series over all steps; where the
//! parent takes series one at a time (aggregations, functions of one series), they are
//! streamed to it and never all held.

use trefoil_store::{Labels, Snapshot};

use super::ast::{At, Kind, Node, Shift, Span, SpanOp, Subquery};
use super::column::{Column, Series, Steps, Value};
use super::functions::Func;
use super::labels::Needed;
use super::notes::Notes;
use super::{aggregate, binary, functions, rollup, selector};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;

/// The grid of a subquery that names none: Prometheus's default evaluation interval.
pub(crate) const DEFAULT_SUBQUERY_STEP_MS: i64 = 60_000;

/// Where a stream's series go: labels, whether the name is to be dropped, values.
pub(crate) type Sink<'s> =
    &'s mut dyn FnMut(&mut Evaluator<'_>, &Labels, bool, &mut Column) -> Result<()>;

/// One query while it runs.
#[derive(Debug)]
pub(crate) struct Evaluator<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) limits: &'a Limits<'a>,
    pub(crate) lookback_ms: i64,
    /// The steps of the whole query, for `step()`, `range()`, `@ start()`.
    pub(crate) query: Steps,
    /// The end that was asked for; the last step is before it when the range is no whole
    /// number of steps. `@ end()` and `range()` mean this one.
    end_ms: i64,
    pub(crate) is_range: bool,
    pub(crate) notes: Notes,
    /// Whether only count and sum of histograms are asked for. Prometheus then finds
    /// counter resets on the fly and tells them, which decides about some warnings.
    pub(crate) stats_only: bool,
    held: usize,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        limits: &'a Limits<'a>,
        lookback_ms: i64,
        query: Steps,
        end_ms: i64,
        is_range: bool,
    ) -> Self {
        Evaluator {
            snapshot,
            limits,
            lookback_ms,
            query,
            end_ms,
            is_range,
            notes: Notes::default(),
            stats_only: false,
            held: 0,
        }
    }

    /// Accounts for samples that are kept until the query ends.
    pub(crate) fn hold(&mut self, samples: usize) -> Result<()> {
        self.held = self.held.saturating_add(samples);
        if self.held > self.limits.samples_max {
            return Err(Error::limit(format!(
                "query processing would load too many samples into memory in query execution: more than {}; ask for less time, fewer series or a greater step",
                self.limits.samples_max
            )));
        }
        Ok(())
    }

    /// Stops if the query was cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        Ok(self.limits.tally.add(0, 0)?)
    }

    /// Evaluates any expression.
    pub(crate) fn eval(&mut self, node: &Node, steps: Steps) -> Result<Value> {
        match &node.kind {
            Kind::Str(text) => Ok(Value::String(text.clone())),
            Kind::Paren(inner) => self.eval(inner, steps),
            _ if node.value_type() == super::ast::Type::Scalar => {
                Ok(Value::Scalar(self.scalar(node, steps)?))
            }
            _ => Ok(Value::Vector(self.vector(node, steps)?)),
        }
    }

    /// Evaluates a scalar expression.
    pub(crate) fn scalar(&mut self, node: &Node, steps: Steps) -> Result<Vec<f64>> {
        match &node.kind {
            Kind::Number { value, .. } => Ok(vec![*value; steps.count]),
            Kind::Paren(inner) => self.scalar(inner, steps),
            Kind::Unary { negative, expr } => {
                let mut values = self.scalar(expr, steps)?;
                if *negative {
                    values.iter_mut().for_each(|v| *v = -*v);
                }
                Ok(values)
            }
            Kind::Binary(b) => binary::scalars(self, b, steps),
            Kind::Call(call) => functions::scalar(self, call, steps),
            _ => Err(not_a(node, "scalar")),
        }
    }

    /// Evaluates an instant vector expression.
    pub(crate) fn vector(&mut self, node: &Node, steps: Steps) -> Result<Vec<Series>> {
        if steps.count > 1 && is_invariant(node) {
            let once = Steps { count: 1, ..steps };
            let mut series = self.vector(node, once)?;
            for one in &mut series {
                self.hold(steps.count)?;
                one.column = one.column.broadcast(steps.count);
            }
            return Ok(series);
        }
        match &node.kind {
            Kind::Paren(inner) => self.vector(inner, steps),
            Kind::Aggregate(a) => aggregate::vector(self, node, a, steps),
            Kind::Binary(b) if !binary::has_scalar(b) => binary::vectors(self, node, b, steps),
            Kind::Call(call) if !functions::streams(call) => {
                functions::vector(self, node, call, steps)
            }
            _ => self.collect(node, steps),
        }
    }

    /// Gathers what [`Evaluator::stream`] yields.
    fn collect(&mut self, node: &Node, steps: Steps) -> Result<Vec<Series>> {
        let mut out = Vec::new();
        self.stream(node, steps, &mut |ev, labels, drop_name, column| {
            if column.is_empty() {
                return Ok(());
            }
            ev.hold(column.floats.len())?;
            let labels = labels.clone();
            out.push(Series { labels, drop_name, column: std::mem::take(column) });
            Ok(())
        })?;
        Ok(out)
    }

    /// Evaluates an instant vector expression and hands out its series one by one. The
    /// sink may take the column's contents.
    pub(crate) fn stream(&mut self, node: &Node, steps: Steps, sink: Sink<'_>) -> Result<()> {
        self.stream_with(node, steps, Needed::All, sink)
    }

    /// The same, where labels that nobody needs may be missing.
    pub(crate) fn stream_with(
        &mut self,
        node: &Node,
        steps: Steps,
        needed: Needed<'_>,
        sink: Sink<'_>,
    ) -> Result<()> {
        let many = steps.count > 1 && is_invariant(node);
        match &node.kind {
            _ if many => {}
            Kind::Paren(inner) => return self.stream_with(inner, steps, needed, sink),
            Kind::Selector(s) => return selector::stream(self, node, s, steps, needed, sink),
            Kind::Unary { negative, expr } => {
                let negative = *negative;
                return self.stream(expr, steps, &mut |ev, labels, drop_name, column| {
                    if negative {
                        binary::negate(column);
                    }
                    sink(ev, labels, drop_name || negative, column)
                });
            }
            Kind::Binary(b) if binary::has_scalar(b) => {
                return binary::with_scalar(self, node, b, steps, sink);
            }
            Kind::Call(call) if rollup::takes(call.function.id) => {
                return rollup::stream(self, call, steps, needed, sink);
            }
            Kind::Call(call) if functions::streams(call) => {
                return functions::stream(self, call, steps, sink);
            }
            Kind::Number { .. } | Kind::Str(_) | Kind::Matrix(_) | Kind::Subquery(_) => {
                return Err(not_a(node, "instant vector"));
            }
            _ => {}
        }
        for mut series in self.vector(node, steps)? {
            sink(self, &series.labels, series.drop_name, &mut series.column)?;
        }
        Ok(())
    }

    /// Evaluates a string argument, which is a literal.
    pub(crate) fn text(&self, node: &Node) -> Result<Vec<u8>> {
        match &node.unparen().kind {
            Kind::Str(text) => Ok(text.clone()),
            _ => Err(not_a(node, "string")),
        }
    }

    /// A duration in milliseconds.
    pub(crate) fn span_ms(&self, span: &Span) -> Result<i64> {
        let ms = (self.span_seconds(span) * 1e3).round();
        // Ten thousand years: all times stay well within i64 milliseconds.
        if !ms.is_finite() || ms.abs() > 3.2e14 {
            return Err(Error::execution(format!("duration {span} is out of range")));
        }
        Ok(ms as i64)
    }

    fn span_seconds(&self, span: &Span) -> f64 {
        match span {
            Span::Literal { seconds, .. } => *seconds,
            Span::Step => self.query.step_ms as f64 / 1e3,
            Span::Range => (self.end_ms - self.query.start_ms) as f64 / 1e3,
            Span::Negative(inner) => -self.span_seconds(inner),
            Span::Paren(inner) => self.span_seconds(inner),
            Span::Min(a, b) => self.span_seconds(a).min(self.span_seconds(b)),
            Span::Max(a, b) => self.span_seconds(a).max(self.span_seconds(b)),
            Span::Binary(op, left, right) => {
                let (left, right) = (self.span_seconds(left), self.span_seconds(right));
                match op {
                    SpanOp::Add => left + right,
                    SpanOp::Sub => left - right,
                    SpanOp::Mul => left * right,
                    SpanOp::Div => left / right,
                    SpanOp::Mod => left % right,
                    SpanOp::Pow => left.powf(right),
                }
            }
        }
    }

    /// A range's length, which must be positive.
    pub(crate) fn range_ms(&self, span: &Span) -> Result<i64> {
        match self.span_ms(span)? {
            ms if ms > 0 => Ok(ms),
            _ => Err(Error {
                kind: ErrorKind::Bad,
                message: format!("duration must be greater than 0, got {span}"),
                span: 0..0,
            }),
        }
    }

    /// The times that `offset` and `@` make of the steps.
    pub(crate) fn shifted(&self, shift: &Shift, steps: Steps) -> Result<Steps> {
        let offset = match &shift.offset {
            Some(span) => self.span_ms(span)?,
            None => 0,
        };
        let fixed = match shift.at {
            None => return Ok(Steps { start_ms: steps.start_ms - offset, ..steps }),
            Some(At::Time(ms)) => ms,
            Some(At::Start) => self.query.start_ms,
            Some(At::End) => self.end_ms,
        };
        Ok(Steps { start_ms: fixed.saturating_sub(offset), step_ms: 0, count: steps.count })
    }

    /// The steps a subquery evaluates its expression at, so that the windows of all its
    /// reference times are covered.
    pub(crate) fn substeps(
        &self,
        subquery: &Subquery,
        refs: Steps,
        range_ms: i64,
    ) -> Result<Steps> {
        let step_ms = match &subquery.step {
            None => DEFAULT_SUBQUERY_STEP_MS,
            Some(span) => self.range_ms(span)?,
        };
        let open = refs.start_ms.saturating_sub(range_ms);
        // The grid is aligned to the epoch, not to the query; the window is left-open.
        let start_ms = (open.div_euclid(step_ms) + 1) * step_ms;
        let count = (refs.last() - start_ms).div_euclid(step_ms) + 1;
        let count = usize::try_from(count).unwrap_or(0);
        if count > self.limits.samples_max {
            return Err(Error::limit(format!(
                "the subquery has {count} steps: use a greater step"
            )));
        }
        Ok(Steps { start_ms, step_ms, count })
    }
}

fn not_a(node: &Node, wanted: &str) -> Error {
    // The parser checks types, so this is a mistake of ours; say so instead of panicking.
    Error::bad(node.span.clone(), format!("internal error: {node} is no {wanted}"))
}

/// Whether an expression has the same value at every step: all its selectors are pinned
/// with `@` and it asks for no time.
pub(crate) fn is_invariant(node: &Node) -> bool {
    match &node.kind {
        Kind::Number { .. } | Kind::Str(_) => true,
        Kind::Selector(selector) => selector.shift.at.is_some(),
        Kind::Matrix(matrix) => matrix.selector.shift.at.is_some(),
        Kind::Subquery(subquery) => subquery.shift.at.is_some(),
        Kind::Unary { expr, .. } | Kind::Paren(expr) => is_invariant(expr),
        Kind::Binary(binary) => is_invariant(&binary.left) && is_invariant(&binary.right),
        Kind::Aggregate(a) => is_invariant(&a.expr) && a.param.as_ref().is_none_or(is_invariant),
        Kind::Call(call) => {
            !asks_for_time(call.function.id, call.args.is_empty())
                && call.args.iter().all(is_invariant)
        }
    }
}

fn asks_for_time(function: Func, no_args: bool) -> bool {
    match function {
        Func::Time | Func::PredictLinear | Func::Timestamp => true,
        // `start()` and its kin are the same at every step; date functions without an
        // argument take the time of evaluation.
        Func::Start | Func::End | Func::Step | Func::Range | Func::Pi => false,
        _ => no_args,
    }
}
