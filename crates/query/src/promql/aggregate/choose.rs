//! Aggregations that keep some of the series as they are: `topk`, `bottomk`, `limitk`,
//! `limit_ratio`.

use trefoil_store::Labels;
use xxhash_rust::xxh64::xxh64;

use super::super::ast::{Aggregate, AggregateOp};
use super::super::column::{Series, Steps, is_present};
use super::super::eval::Evaluator;
use super::super::numbers::general;
use super::Grouping;
use crate::error::{Error, Result};

/// Evaluates the operand and clears what is not chosen.
pub(super) fn choose(
    ev: &mut Evaluator<'_>,
    aggregate: &Aggregate,
    steps: Steps,
) -> Result<Vec<Series>> {
    let params = match &aggregate.param {
        Some(param) => ev.scalar(param, steps)?,
        None => Vec::new(),
    };
    check_params(ev, aggregate, &params)?;
    let mut series = ev.vector(&aggregate.expr, steps)?;
    ev.check()?;
    if aggregate.op == AggregateOp::LimitRatio {
        return Ok(limit_ratio(series, &params));
    }
    let mut grouping = Grouping::new(aggregate);
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (i, one) in series.iter().enumerate() {
        let group = grouping.find(&one.labels, one.drop_name);
        members.resize_with(grouping.groups.len(), Vec::new);
        members[group].push(i);
    }
    let ranked = aggregate.op != AggregateOp::LimitK;
    let has_histograms = series.iter().any(|s| s.column.histograms.iter().any(Option::is_some));
    if ranked && has_histograms {
        let text = format!("ignored histogram in {} aggregation", aggregate.op.name());
        ev.notes.info(aggregate.expr.span.start, text);
        series.iter_mut().for_each(|one| one.column.drop_histograms());
    }
    let mut order = Vec::with_capacity(series.len());
    for group in &members {
        let mut chosen = Vec::new();
        for (step, k) in params.iter().enumerate() {
            chosen = choose_at(&mut series, group, step, *k, aggregate.op);
        }
        // An instant query answers in order of rank; a range query sorts by labels anyway.
        order.extend(if ranked && steps.count == 1 { chosen } else { group.clone() });
    }
    let mut slots: Vec<Option<Series>> = series.into_iter().map(Some).collect();
    let picked = order.into_iter().filter_map(|i| slots.get_mut(i)?.take());
    Ok(picked.filter(|one| !one.column.is_empty()).collect())
}

fn check_params(ev: &mut Evaluator<'_>, aggregate: &Aggregate, params: &[f64]) -> Result<()> {
    let ratio = aggregate.op == AggregateOp::LimitRatio;
    for value in params {
        if value.is_nan() {
            let what = if ratio { "Ratio" } else { "Parameter" };
            return Err(Error::execution(format!("{what} value is NaN")));
        }
        if !ratio && value.abs() > i64::MAX as f64 {
            return Err(Error::execution(format!("Scalar value {value} overflows int64")));
        }
        if ratio && value.abs() > 1.0 {
            let at = aggregate.param.as_ref().map_or(0, |param| param.span.start);
            ev.notes.warn(
                at,
                format!(
                    "ratio value should be between -1 and 1, got {}, capping to {}",
                    general(*value),
                    value.signum()
                ),
            );
        }
    }
    Ok(())
}

/// Clears all but `k` members at a step; answers the chosen ones, best first.
fn choose_at(
    series: &mut [Series],
    group: &[usize],
    step: usize,
    k: f64,
    op: AggregateOp,
) -> Vec<usize> {
    let mut there: Vec<usize> = match op {
        AggregateOp::LimitK => {
            group.iter().copied().filter(|i| series[*i].column.has(step)).collect()
        }
        _ => group.iter().copied().filter(|i| is_present(series[*i].column.floats[step])).collect(),
    };
    if op != AggregateOp::LimitK {
        let value = |i: &usize| series[*i].column.floats[step];
        there.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            let order = if op == AggregateOp::TopK { b.total_cmp(&a) } else { a.total_cmp(&b) };
            // NaN is last, whichever way.
            a.is_nan().cmp(&b.is_nan()).then(order)
        });
    }
    let k = if k >= 1.0 { k as usize } else { 0 };
    let rest = there.split_off(k.min(there.len()));
    for i in rest {
        series[i].column.clear(step);
    }
    there
}

/// Keeps the series whose hash falls into the share: for a negative ratio those that the
/// complement leaves out.
fn limit_ratio(mut series: Vec<Series>, ratios: &[f64]) -> Vec<Series> {
    for one in &mut series {
        let place = place_of(&one.labels);
        for (step, ratio) in ratios.iter().enumerate() {
            let ratio = ratio.clamp(-1.0, 1.0);
            let kept = if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio };
            if !kept {
                one.column.clear(step);
            }
        }
    }
    series.retain(|one| !one.column.is_empty());
    series
}

/// A number in 0…1 that only depends on the labels.
fn place_of(labels: &Labels) -> f64 {
    xxh64(labels.as_bytes(), 0) as f64 / u64::MAX as f64
}
