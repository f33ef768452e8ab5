//! `histogram_…` functions, of native histograms and of classic ones with `le` labels.

use std::collections::HashMap;

use trefoil_store::Labels;

use super::super::ast::Call;
use super::super::ast::Node;
use super::super::column::{Column, Series, Steps, is_present};
use super::super::eval::{Evaluator, Sink};
use super::super::histogram::{classic, estimate};
use super::super::notes::for_metric;
use super::super::{labels, numbers, rollup};
use super::Func;
use crate::error::{Error, Result};

/// Functions of one native histogram without parameters.
pub(super) fn of_one(function: Func) -> bool {
    matches!(
        function,
        Func::HistogramAvg
            | Func::HistogramCount
            | Func::HistogramSum
            | Func::HistogramStddev
            | Func::HistogramStdvar
    )
}

/// Applies a function of one native histogram to each series; floats are left out.
pub(super) fn stream(
    ev: &mut Evaluator<'_>,
    function: Func,
    arg: &Node,
    steps: Steps,
    sink: Sink<'_>,
) -> Result<()> {
    let buckets = matches!(function, Func::HistogramStddev | Func::HistogramStdvar);
    let stats_only = std::mem::replace(&mut ev.stats_only, !buckets);
    let result = ev.stream(arg, steps, &mut |ev, labels, _, column| {
        let histograms = std::mem::take(&mut column.histograms);
        column.reset(steps.count);
        for (value, histogram) in column.floats.iter_mut().zip(histograms) {
            let Some(h) = histogram else { continue };
            *value = match function {
                Func::HistogramCount => h.count,
                Func::HistogramSum => h.sum,
                Func::HistogramAvg => h.sum / h.count,
                Func::HistogramStddev => estimate::variance(&h).sqrt(),
                _ => estimate::variance(&h),
            };
        }
        sink(ev, labels, true, column)
    });
    ev.stats_only = stats_only;
    result
}

/// What is asked of each histogram at each step.
enum Question {
    Quantile(Vec<f64>),
    Fraction(Vec<f64>, Vec<f64>),
}

/// The series of one classic histogram.
struct Classic {
    labels: Labels,
    drop_name: bool,
    /// Upper bound and series.
    buckets: Vec<(f64, usize)>,
}

/// `histogram_quantile`, `histogram_quantiles`, `histogram_fraction`.
pub(super) fn estimate(ev: &mut Evaluator<'_>, call: &Call, steps: Steps) -> Result<Vec<Series>> {
    let stats_only = std::mem::replace(&mut ev.stats_only, false);
    let result = ask(ev, call, steps);
    ev.stats_only = stats_only;
    result
}

fn ask(ev: &mut Evaluator<'_>, call: &Call, steps: Steps) -> Result<Vec<Series>> {
    let args = &call.args;
    match call.function.id {
        Func::HistogramQuantile => {
            let q = quantiles(ev, &args[0], steps)?;
            let series = ev.vector(&args[1], steps)?;
            answer(ev, &series, &Question::Quantile(q), &args[1], steps)
        }
        Func::HistogramFraction => {
            let lower = ev.scalar(&args[0], steps)?;
            let upper = ev.scalar(&args[1], steps)?;
            let series = ev.vector(&args[2], steps)?;
            answer(ev, &series, &Question::Fraction(lower, upper), &args[2], steps)
        }
        _ => {
            let name = String::from_utf8(ev.text(&args[1])?)
                .ok()
                .filter(|name| !name.is_empty())
                .ok_or_else(|| Error::bad(args[1].span.clone(), "invalid label name"))?;
            let mut wanted = Vec::new();
            for arg in &args[2..] {
                wanted.push(quantiles(ev, arg, steps)?);
            }
            let series = ev.vector(&args[0], steps)?;
            let mut out = Vec::new();
            for q in wanted {
                // The label's value is the quantile, which is one number for all steps.
                let shown = numbers::open_metrics(q.first().copied().unwrap_or(f64::NAN));
                let some = answer(ev, &series, &Question::Quantile(q), &args[0], steps)?;
                out.extend(some.into_iter().map(|mut one| {
                    one.labels = labels::with_label(&one.labels, &name, &shown);
                    one
                }));
            }
            Ok(out)
        }
    }
}

fn quantiles(ev: &mut Evaluator<'_>, arg: &Node, steps: Steps) -> Result<Vec<f64>> {
    let values = ev.scalar(arg, steps)?;
    for q in values.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
        ev.notes.warn(arg.span.start, rollup::invalid_quantile(*q));
    }
    Ok(values)
}

fn answer(
    ev: &mut Evaluator<'_>,
    series: &[Series],
    question: &Question,
    arg: &Node,
    steps: Steps,
) -> Result<Vec<Series>> {
    let at = arg.span.start;
    let (mut groups, by_labels) = classic_groups(ev, series, at);
    // Where a classic and a native histogram with the same labels meet, neither counts.
    let mut skipped: HashMap<usize, Vec<bool>> = HashMap::new();
    let mut out = Vec::new();
    for one in series.iter().filter(|one| !one.column.histograms.is_empty()) {
        ev.check()?;
        let rival = by_labels.get(&one.labels).copied();
        let mut column = Column::absent(steps.count);
        for (i, histogram) in one.column.histograms.iter().enumerate() {
            let Some(h) = histogram else { continue };
            let name = one.labels.metric_name().unwrap_or("");
            if let Some(group) = rival
                && groups[group]
                    .buckets
                    .iter()
                    .any(|(_, s)| is_present(series[*s].column.floats[i]))
            {
                let text = "vector contains a mix of classic and native histograms";
                ev.notes.warn(at, for_metric(text, name));
                skipped.entry(group).or_insert_with(|| vec![false; steps.count])[i] = true;
                continue;
            }
            column.floats[i] = of_native(ev, h, question, i, at, name);
        }
        out.push(Series { labels: one.labels.clone(), drop_name: true, column });
    }
    let mut buckets = Vec::new();
    for (nth, group) in groups.iter_mut().enumerate() {
        ev.check()?;
        let mut column = Column::absent(steps.count);
        let name = group.labels.metric_name().unwrap_or("");
        for i in 0..steps.count {
            if skipped.get(&nth).is_some_and(|flags| flags[i]) {
                continue;
            }
            buckets.clear();
            for (upper, s) in &group.buckets {
                let count = series[*s].column.floats[i];
                if is_present(count) {
                    buckets.push(classic::Bucket { upper: *upper, count });
                }
            }
            if buckets.is_empty() {
                continue;
            }
            column.floats[i] = match question {
                Question::Fraction(lower, upper) => {
                    classic::fraction(lower[i], upper[i], &mut buckets)
                }
                Question::Quantile(q) => {
                    let (value, forced) = classic::quantile(q[i], &mut buckets);
                    if forced {
                        let text = "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
                        ev.notes.info(at, for_metric(text, name));
                    }
                    value
                }
            };
        }
        let (labels, drop_name) = (group.labels.clone(), group.drop_name);
        out.push(Series { labels, drop_name, column });
    }
    for one in &out {
        ev.hold(one.column.floats.len())?;
    }
    out.retain(|one| !one.column.is_empty());
    Ok(out)
}

/// Float series by their labels without `le`.
fn classic_groups(
    ev: &mut Evaluator<'_>,
    series: &[Series],
    at: usize,
) -> (Vec<Classic>, HashMap<Labels, usize>) {
    let mut groups: Vec<Classic> = Vec::new();
    let mut by_labels: HashMap<Labels, usize> = HashMap::new();
    for (i, one) in series.iter().enumerate() {
        if !one.column.floats.iter().any(|value| is_present(*value)) {
            continue;
        }
        let le = one.labels.get("le").unwrap_or("");
        let Ok(upper) = le.parse::<f64>() else {
            let name = one.labels.metric_name().unwrap_or("");
            let le = super::super::print::quote(le);
            let text = format!("bucket label \"le\" is missing or has a malformed value of {le}");
            ev.notes.warn(at, for_metric(&text, name));
            continue;
        };
        let labels = labels::without_label(&one.labels, &["le"]);
        let group = *by_labels.entry(labels.clone()).or_insert_with(|| {
            groups.push(Classic { labels, drop_name: true, buckets: Vec::new() });
            groups.len() - 1
        });
        groups[group].buckets.push((upper, i));
    }
    (groups, by_labels)
}

fn of_native(
    ev: &mut Evaluator<'_>,
    h: &trefoil_store::model::Histogram,
    question: &Question,
    step: usize,
    at: usize,
    name: &str,
) -> f64 {
    match question {
        Question::Quantile(q) => {
            let (value, effect) = estimate::quantile(q[step], h);
            let what = match effect {
                estimate::NanEffect::None => return value,
                estimate::NanEffect::Skewed => "is skewed higher",
                estimate::NanEffect::Result => "is NaN",
            };
            let text = format!("input to histogram_quantile has NaN observations, result {what}");
            ev.notes.info(at, for_metric(&text, name));
            value
        }
        Question::Fraction(lower, upper) => {
            let (value, has_nan) = estimate::fraction(lower[step], upper[step], h);
            if has_nan {
                let text = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
                ev.notes.info(at, for_metric(text, name));
            }
            value
        }
    }
}
