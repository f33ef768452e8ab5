//! PromQL, with the semantics of Prometheus 3, its experimental functions included.
//!
//! [`parse`] makes an [`Expr`] of a text; [`instant`] and [`range`] evaluate it over a
//! snapshot. Names are dropped late (Prometheus's `promql-delayed-name-removal`), so that
//! `label_replace` can still use the name of what a function was applied to.

mod aggregate;
mod answer;
mod ast;
mod binary;
mod column;
mod eval;
mod functions;
mod histogram;
mod labels;
mod lexer;
mod notes;
pub mod numbers;
mod parser;
mod print;
mod rollup;
pub mod script;
mod selector;

use std::fmt;
use std::sync::Arc;

use trefoil_store::{Labels, Matcher, Samples, Snapshot};

pub use self::answer::{Answer, AnswerSample, AnswerSeries, AnswerValue, SampleValue};
use self::ast::{Kind, Node, Type};
use self::column::{Cell, Series, Steps, Value, is_present};
use self::eval::Evaluator;
pub use self::histogram::api_buckets;
use self::notes::Level;
use crate::error::{Error, Result};
use crate::limits::Limits;

/// How far back a sample is looked for: Prometheus's default of five minutes.
pub const LOOKBACK_MS: i64 = 300_000;

/// A parsed expression. Prints itself in canonical form.
#[derive(Clone, Debug)]
pub struct Expr {
    text: Arc<str>,
    root: Node,
}

impl Expr {
    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The conditions of every selector in it.
    #[must_use]
    pub fn selectors(&self) -> Vec<&[Matcher]> {
        let mut found = Vec::new();
        let mut open = vec![&self.root];
        while let Some(node) = open.pop() {
            match &node.kind {
                Kind::Selector(selector) => found.push(selector.matchers.as_slice()),
                Kind::Matrix(matrix) => found.push(matrix.selector.matchers.as_slice()),
                _ => open.extend(node.children()),
            }
        }
        found
    }

    /// The type of its value: `scalar`, `instant vector`, `range vector` or `string`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.root.value_type().name()
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

/// Parses an expression and checks its types.
///
/// # Errors
/// The text is no PromQL; the span says where. Prometheus's wording.
pub fn parse(text: &str) -> Result<Expr> {
    Ok(Expr { text: Arc::from(text), root: parser::parse(text)? })
}

/// Parses a series selector such as `up{job="api"}` into its conditions.
///
/// # Errors
/// The text is no selector.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>> {
    Ok(parser::parse_selector(text)?.matchers)
}

/// Evaluates an expression at one time (Unix milliseconds).
///
/// # Errors
/// The data does not allow it, a limit was reached, the query was cancelled.
pub fn instant(
    snapshot: &Snapshot,
    expr: &Expr,
    time_ms: i64,
    lookback_ms: i64,
    limits: &Limits<'_>,
) -> Result<Answer> {
    check_time(time_ms)?;
    let steps = Steps::one(time_ms);
    let mut ev = Evaluator::new(snapshot, limits, lookback_ms, steps, time_ms, false);
    let root = expr.root.unparen();
    let value = if root.value_type() == Type::Matrix {
        AnswerValue::Matrix(range_vector(&mut ev, root, steps)?)
    } else {
        match ev.eval(root, steps)? {
            Value::Scalar(values) => {
                AnswerValue::Scalar(time_ms, values.first().copied().unwrap_or(f64::NAN))
            }
            Value::String(text) => AnswerValue::String(time_ms, text),
            Value::Vector(series) => AnswerValue::Vector(samples_at(&mut ev, series, time_ms)?),
        }
    };
    Ok(answer(&ev, expr, value))
}

/// Evaluates an expression at every step from `start_ms` to `end_ms`.
///
/// # Errors
/// As [`instant`]; also if the expression is a range vector or a string, or the step is
/// not positive.
pub fn range(
    snapshot: &Snapshot,
    expr: &Expr,
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
    lookback_ms: i64,
    limits: &Limits<'_>,
) -> Result<Answer> {
    let found = expr.root.value_type();
    if !matches!(found, Type::Scalar | Type::Vector) {
        return Err(Error::bad(
            0..0,
            format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                found.name()
            ),
        ));
    }
    if step_ms <= 0 || end_ms < start_ms {
        return Err(Error::bad(0..0, "the step must be positive and the end not before the start"));
    }
    check_time(start_ms)?;
    check_time(end_ms)?;
    let count = usize::try_from(end_ms.saturating_sub(start_ms) / step_ms).unwrap_or(usize::MAX);
    if count >= limits.samples_max {
        return Err(Error::limit(format!("the range has {count} steps: use a greater step")));
    }
    let steps = Steps { start_ms, step_ms, count: count + 1 };
    let mut ev = Evaluator::new(snapshot, limits, lookback_ms, steps, end_ms, true);
    let series = match ev.eval(&expr.root, steps)? {
        Value::Vector(series) => finish(&mut ev, series)?,
        Value::Scalar(floats) => {
            let column = column::Column { floats, histograms: Vec::new() };
            vec![Series { labels: Labels::empty(), drop_name: false, column }]
        }
        Value::String(_) => Vec::new(),
    };
    let mut out: Vec<AnswerSeries> = series.iter().map(|one| over_time(one, steps)).collect();
    out.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(answer(&ev, expr, AnswerValue::Matrix(out)))
}

/// Times are kept well within i64 milliseconds, so that no offset or range can overflow.
fn check_time(time_ms: i64) -> Result<()> {
    const TIME_MAX_MS: u64 = 9_000_000_000_000_000;
    if time_ms.unsigned_abs() > TIME_MAX_MS {
        return Err(Error::bad(0..0, format!("time of {time_ms} ms is out of range")));
    }
    Ok(())
}

fn answer(ev: &Evaluator<'_>, expr: &Expr, value: AnswerValue) -> Answer {
    Answer {
        value,
        warnings: ev.notes.render(Level::Warning, &expr.text),
        infos: ev.notes.render(Level::Info, &expr.text),
    }
}

/// Drops the names that are to be dropped and joins what has become equal.
fn finish(ev: &mut Evaluator<'_>, mut series: Vec<Series>) -> Result<Vec<Series>> {
    series.retain(|one| !one.column.is_empty());
    for one in &mut series {
        if one.drop_name {
            one.labels = labels::without_metadata(&one.labels);
        }
    }
    let series = functions::distinct(series)?;
    if series.len() > ev.limits.series_max {
        return Err(Error::limit(format!(
            "the answer has {} series, more than {}: aggregate or narrow the selection",
            series.len(),
            ev.limits.series_max
        )));
    }
    Ok(series)
}

fn samples_at(
    ev: &mut Evaluator<'_>,
    series: Vec<Series>,
    time_ms: i64,
) -> Result<Vec<AnswerSample>> {
    let series = finish(ev, series)?;
    let sample = |one: Series| {
        let value = match one.column.get(0)? {
            Cell::Float(value) => SampleValue::Float(value),
            Cell::Histogram(h) => SampleValue::Histogram(h),
        };
        Some(AnswerSample { labels: one.labels, time_ms, value })
    };
    Ok(series.into_iter().filter_map(sample).collect())
}

fn over_time(series: &Series, steps: Steps) -> AnswerSeries {
    let mut out = AnswerSeries { labels: series.labels.clone(), ..AnswerSeries::default() };
    for (i, time) in steps.times().enumerate() {
        if is_present(series.column.floats[i]) {
            out.floats.push((time, series.column.floats[i]));
        } else if let Some(histogram) = series.column.histogram(i) {
            out.histograms.push((time, Arc::clone(histogram)));
        }
    }
    out
}

/// A range vector as such: the samples themselves.
fn range_vector(ev: &mut Evaluator<'_>, node: &Node, steps: Steps) -> Result<Vec<AnswerSeries>> {
    let mut out: Vec<AnswerSeries> = Vec::new();
    let mut keep = |ev: &mut Evaluator<'_>, labels: &Labels, samples: &Samples| {
        let count = samples.floats.len() + samples.histograms.len();
        ev.hold(count)?;
        if count > 0 {
            let floats = samples.float_times_ms.iter().copied().zip(samples.floats.iter().copied());
            let histograms =
                samples.histogram_times_ms.iter().copied().zip(samples.histograms.iter().cloned());
            out.push(AnswerSeries {
                labels: labels.clone(),
                floats: floats.collect(),
                histograms: histograms.collect(),
            });
        }
        Ok(())
    };
    match &node.kind {
        Kind::Matrix(matrix) => {
            let range_ms = ev.range_ms(&matrix.range)?;
            let refs = ev.shifted(&matrix.selector.shift, steps)?;
            let (start, end) = (refs.start_ms - range_ms + 1, refs.last());
            selector::fetch(ev, &matrix.selector, start, end, &mut |ev, labels, samples| {
                selector::drop_stale(samples);
                keep(ev, labels, samples)
            })?;
        }
        Kind::Subquery(subquery) => {
            let range_ms = ev.range_ms(&subquery.range)?;
            let refs = ev.shifted(&subquery.shift, steps)?;
            rollup::each_subquery_series(
                ev,
                subquery,
                refs,
                range_ms,
                &mut |ev, labels, dropped, samples| {
                    let labels =
                        if dropped { labels::without_metadata(labels) } else { labels.clone() };
                    keep(ev, &labels, samples)
                },
            )?;
        }
        _ => return Err(Error::bad(node.span.clone(), "internal error: expected a range vector")),
    }
    out.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(out)
}

#[cfg(test)]
mod tests;
