//! Aggregations over series: `sum by (a) (…)`, `topk(3, …)`, `sort(…)`.

use std::collections::HashMap;

use super::{Context, GridSeries, check_size};
use crate::error::Result;
use crate::logql::answer::LabelSet;
use crate::logql::ast::{Grouping, VectorAggregation, VectorOp};

/// Evaluates an aggregation over a grid.
pub(super) fn eval(
    vectors: &VectorAggregation,
    grid: Vec<GridSeries>,
    context: &Context<'_>,
) -> Result<Vec<GridSeries>> {
    match vectors.op {
        VectorOp::Sort => Ok(sorted(grid, false)),
        VectorOp::SortDesc => Ok(sorted(grid, true)),
        VectorOp::Topk | VectorOp::Bottomk => Ok(best(vectors, grid, context)),
        _ => {
            let groups = group(&grid, vectors.grouping.as_ref());
            check_size(groups.len(), context)?;
            Ok(groups
                .into_iter()
                .map(|(labels, members)| GridSeries {
                    labels,
                    values: (0..context.steps)
                        .map(|step| {
                            let values: Vec<f64> =
                                members.iter().filter_map(|m| grid[*m].values[step]).collect();
                            (!values.is_empty()).then(|| fold(vectors.op, &values))
                        })
                        .collect(),
                })
                .collect())
        }
    }
}

/// The labels that remain of a series.
fn remaining(labels: &LabelSet, grouping: Option<&Grouping>) -> LabelSet {
    let Some(grouping) = grouping else { return LabelSet::default() };
    let mut kept = labels.clone();
    kept.retain(|name| grouping.labels.iter().any(|label| label == name) != grouping.without);
    kept
}

/// Groups in the order in which they appear, with the places of their members.
fn group(grid: &[GridSeries], grouping: Option<&Grouping>) -> Vec<(LabelSet, Vec<usize>)> {
    let mut groups: Vec<(LabelSet, Vec<usize>)> = Vec::new();
    let mut index: HashMap<LabelSet, usize> = HashMap::new();
    for (at, series) in grid.iter().enumerate() {
        let labels = remaining(&series.labels, grouping);
        let place = *index.entry(labels).or_insert_with_key(|labels| {
            groups.push((labels.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(at);
    }
    groups
}

fn fold(op: VectorOp, values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = || {
        values.iter().fold((0.0, 0.0), |(mean, n), v| (mean + (v - mean) / (n + 1.0), n + 1.0)).0
    };
    match op {
        VectorOp::Sum => values.iter().sum(),
        VectorOp::Count => count,
        VectorOp::Avg => mean(),
        VectorOp::Min => {
            values.iter().copied().fold(f64::NAN, |a, b| if b < a || a.is_nan() { b } else { a })
        }
        VectorOp::Max => {
            values.iter().copied().fold(f64::NAN, |a, b| if b > a || a.is_nan() { b } else { a })
        }
        VectorOp::Stdvar | VectorOp::Stddev => {
            let mean = mean();
            let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
            if op == VectorOp::Stddev { variance.sqrt() } else { variance }
        }
        VectorOp::Topk | VectorOp::Bottomk | VectorOp::Sort | VectorOp::SortDesc => f64::NAN,
    }
}

/// The k greatest or least of each group at each step, with their own labels; ordered by
/// the first step, which is the only one of an instant query.
fn best(
    vectors: &VectorAggregation,
    grid: Vec<GridSeries>,
    context: &Context<'_>,
) -> Vec<GridSeries> {
    let top = vectors.op == VectorOp::Topk;
    let k = usize::try_from(vectors.parameter.unwrap_or(1)).unwrap_or(usize::MAX);
    let mut kept: Vec<Vec<Option<f64>>> = vec![vec![None; context.steps]; grid.len()];
    for (_, members) in group(&grid, vectors.grouping.as_ref()) {
        (0..context.steps).for_each(|step| keep_best(&grid, &members, step, (k, top), &mut kept));
    }
    let chosen = grid
        .into_iter()
        .zip(kept)
        .filter(|(_, values)| values.iter().any(Option::is_some))
        .map(|(series, values)| GridSeries { labels: series.labels, values })
        .collect();
    sorted(chosen, top)
}

fn keep_best(
    grid: &[GridSeries],
    members: &[usize],
    step: usize,
    (k, top): (usize, bool),
    kept: &mut [Vec<Option<f64>>],
) {
    let mut ranked: Vec<(usize, f64)> =
        members.iter().filter_map(|m| Some((*m, grid[*m].values[step]?))).collect();
    ranked
        .sort_by(|a, b| order(a.1, b.1, top).then_with(|| grid[a.0].labels.cmp(&grid[b.0].labels)));
    for (member, value) in ranked.into_iter().take(k) {
        kept[member][step] = Some(value);
    }
}

/// NaN comes last either way.
fn order(a: f64, b: f64, descending: bool) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Greater,
        (false, true) => std::cmp::Ordering::Less,
        (false, false) if descending => b.total_cmp(&a),
        (false, false) => a.total_cmp(&b),
    }
}

fn sorted(mut grid: Vec<GridSeries>, descending: bool) -> Vec<GridSeries> {
    let first = |series: &GridSeries| series.values.first().copied().flatten().unwrap_or(f64::NAN);
    grid.sort_by(|a, b| {
        order(first(a), first(b), descending).then_with(|| a.labels.cmp(&b.labels))
    });
    grid
}
