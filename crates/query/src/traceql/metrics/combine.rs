//! Arithmetic on series, `topk`, `bottomk` and thresholds.

use std::collections::HashMap;

use super::super::ast::{ArithOp, SecondStage};
use super::super::value::Value;
use super::Series;

/// Bytes that are equal for equal labels, the name of the metric left out.
pub(super) fn key(series: &Series) -> Vec<u8> {
    let mut labels: Vec<_> = series.labels.iter().filter(|(name, _)| name != "__name__").collect();
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    let mut key = Vec::new();
    for (name, value) in labels {
        key.extend_from_slice(name.as_bytes());
        key.push(0);
        value.write_key(&mut key);
    }
    key
}

fn compute(op: ArithOp, a: f64, b: f64) -> f64 {
    match op {
        ArithOp::Add => a + b,
        ArithOp::Sub => a - b,
        ArithOp::Mul => a * b,
        // Not infinity: a share of nothing is unknown.
        ArithOp::Div if b == 0.0 => f64::NAN,
        ArithOp::Div => a / b,
        ArithOp::Mod => a % b,
        ArithOp::Pow => a.powf(b),
    }
}

/// Series with equal labels meet; a series without labels on one side meets all of the
/// other. What meets nothing is dropped.
pub(super) fn math(op: ArithOp, lhs: Vec<Series>, rhs: Vec<Series>) -> Vec<Series> {
    let index = |series: &[Series]| -> HashMap<Vec<u8>, usize> {
        series.iter().enumerate().map(|(at, s)| (key(s), at)).collect()
    };
    let (left, right) = (index(&lhs), index(&rhs));
    let unlabelled = &[][..];
    let target = if right.contains_key(unlabelled) { &left } else { &right };
    let find =
        |map: &HashMap<Vec<u8>, usize>, key: &[u8]| map.get(key).or(map.get(unlabelled)).copied();
    let mut out = Vec::new();
    for key in target.keys() {
        if let (Some(a), Some(b)) = (find(&left, key), find(&right, key)) {
            out.push(pair(op, &lhs[a], &rhs[b]));
        }
    }
    out
}

fn pair(op: ArithOp, a: &Series, b: &Series) -> Series {
    let values = a.values.iter().zip(&b.values).map(|(a, b)| compute(op, *a, *b)).collect();
    let name = |s: &Series| s.labels.iter().find(|(n, _)| n == "__name__").map(|(_, v)| v.text());
    let unnamed = |(n, _): &&(String, Value<'static>)| n != "__name__";
    let mut labels: Vec<(String, Value<'static>)> =
        a.labels.iter().filter(unnamed).cloned().collect();
    for label in b.labels.iter().filter(unnamed) {
        if !labels.contains(label) {
            labels.push(label.clone());
        }
    }
    if let (Some(a), Some(b)) = (name(a), name(b)) {
        let symbol = match op {
            ArithOp::Add => "+",
            ArithOp::Sub => "-",
            ArithOp::Mul => "*",
            ArithOp::Div => "/",
            ArithOp::Mod => "%",
            ArithOp::Pow => "^",
        };
        labels.push(("__name__".to_owned(), Value::Text(format!("({a} {symbol} {b})").into())));
    }
    let exemplars = a.exemplars.iter().chain(&b.exemplars).cloned().collect();
    Series { labels, values, exemplars }
}

/// Series with a number on one side.
pub(super) fn scale(op: ArithOp, series: &mut [Series], number: f64, on_left: bool) {
    for value in series.iter_mut().flat_map(|s| &mut s.values) {
        *value = if on_left { compute(op, number, *value) } else { compute(op, *value, number) };
    }
}

/// What follows a metrics function; points that are not kept become NaN.
pub(super) fn second_stage(stage: SecondStage, series: &mut [Series]) {
    match stage {
        SecondStage::TopK(k) => keep_extreme(series, k, |a, b| b.total_cmp(&a)),
        SecondStage::BottomK(k) => keep_extreme(series, k, |a, b| a.total_cmp(&b)),
        SecondStage::Filter(op, threshold) => {
            for value in series.iter_mut().flat_map(|s| &mut s.values) {
                if value.is_nan() || !op.holds((*value).partial_cmp(&threshold)) {
                    *value = f64::NAN;
                }
            }
        }
    }
}

/// At each instant keeps the first k by `order`; equal values are ordered by labels, so
/// that the answer is always the same.
fn keep_extreme(series: &mut [Series], k: usize, order: impl Fn(f64, f64) -> std::cmp::Ordering) {
    series.sort_by_cached_key(key);
    let points = series.iter().map(|s| s.values.len()).max().unwrap_or(0);
    for point in 0..points {
        let value = |s: &Series| s.values.get(point).copied().unwrap_or(f64::NAN);
        let mut ranked: Vec<usize> =
            (0..series.len()).filter(|at| !value(&series[*at]).is_nan()).collect();
        ranked.sort_by(|a, b| order(value(&series[*a]), value(&series[*b])));
        for dropped in ranked.into_iter().skip(k) {
            series[dropped].values[point] = f64::NAN;
        }
    }
}
