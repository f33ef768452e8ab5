//! Operators between two expressions, with Prometheus's vector matching.

use std::collections::HashMap;

use super::{Context, GridSeries, Value, check_size};
use crate::error::{Error, Result};
use crate::logql::answer::LabelSet;
use crate::logql::ast::{Binary, BinaryOp, Matching};
use crate::logql::stages::label_filter::compare;

/// Evaluates an operator.
pub(super) fn eval(
    binary: &Binary,
    left: Value,
    right: Value,
    context: &Context<'_>,
) -> Result<Value> {
    Ok(match (left, right) {
        (Value::Number(a), Value::Number(b)) => {
            // Between numbers a comparison is 0 or 1, with `bool` or without.
            Value::Number(operate(binary.op, true, a, b).unwrap_or(f64::NAN))
        }
        (Value::Grid(grid), Value::Number(b)) => {
            Value::Grid(each(grid, |a| with_number(binary, a, b, a)))
        }
        (Value::Number(a), Value::Grid(grid)) => {
            Value::Grid(each(grid, |b| with_number(binary, a, b, b)))
        }
        (Value::Grid(a), Value::Grid(b)) => Value::Grid(match binary.op {
            BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => set(binary, a, b, context)?,
            _ => matched(binary, &a, &b, context)?,
        }),
    })
}

fn each(grid: Vec<GridSeries>, f: impl Fn(f64) -> Option<f64>) -> Vec<GridSeries> {
    grid.into_iter()
        .map(|mut series| {
            for value in &mut series.values {
                *value = value.and_then(&f);
            }
            series
        })
        .filter(|series| series.values.iter().any(Option::is_some))
        .collect()
}

/// A comparison without `bool` keeps the value of the vector, whichever side it is on.
fn with_number(binary: &Binary, a: f64, b: f64, vector: f64) -> Option<f64> {
    let result = operate(binary.op, binary.bool_modifier, a, b)?;
    let filters = matches!(binary.op, BinaryOp::Compare(_)) && !binary.bool_modifier;
    Some(if filters { vector } else { result })
}

/// Applies an operator to two numbers; `None` where a comparison without `bool` is false.
/// Division by zero is NaN, as in Loki.
pub(super) fn operate(op: BinaryOp, bool_modifier: bool, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div if b == 0.0 => f64::NAN,
        BinaryOp::Div => a / b,
        BinaryOp::Mod if b == 0.0 => f64::NAN,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Compare(op) => match (compare(op, &a, &b), bool_modifier) {
            (true, true) => 1.0,
            (false, true) => 0.0,
            (true, false) => a,
            (false, false) => return None,
        },
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => return None,
    })
}

/// The labels by which a series finds its partner.
fn signature(labels: &LabelSet, matching: Option<&Matching>) -> LabelSet {
    let mut kept = labels.clone();
    if let Some(matching) = matching {
        kept.retain(|name| matching.labels.iter().any(|label| label == name) == matching.on);
    }
    kept
}

/// Numbers the signatures of both sides.
struct Signatures {
    left: Vec<usize>,
    right: Vec<usize>,
    count: usize,
}

fn signatures(a: &[GridSeries], b: &[GridSeries], matching: Option<&Matching>) -> Signatures {
    let mut known: HashMap<LabelSet, usize> = HashMap::new();
    let mut number = |series: &GridSeries| {
        let next = known.len();
        *known.entry(signature(&series.labels, matching)).or_insert(next)
    };
    let left = a.iter().map(&mut number).collect();
    let right = b.iter().map(&mut number).collect();
    Signatures { left, right, count: known.len() }
}

fn set(
    binary: &Binary,
    mut a: Vec<GridSeries>,
    mut b: Vec<GridSeries>,
    context: &Context<'_>,
) -> Result<Vec<GridSeries>> {
    let signs = signatures(&a, &b, binary.matching.as_ref());
    let present = |grid: &[GridSeries], ids: &[usize]| -> Vec<Vec<bool>> {
        let mut seen = vec![vec![false; context.steps]; signs.count];
        for (series, id) in grid.iter().zip(ids) {
            for (step, value) in series.values.iter().enumerate() {
                seen[*id][step] |= value.is_some();
            }
        }
        seen
    };
    if binary.op == BinaryOp::Or {
        let taken = present(&a, &signs.left);
        for (series, id) in b.iter_mut().zip(&signs.right) {
            for (step, value) in series.values.iter_mut().enumerate() {
                if taken[*id][step] {
                    *value = None;
                }
            }
        }
        return union(a, b, context);
    }
    let other = present(&b, &signs.right);
    for (series, id) in a.iter_mut().zip(&signs.left) {
        for (step, value) in series.values.iter_mut().enumerate() {
            if other[*id][step] != (binary.op == BinaryOp::And) {
                *value = None;
            }
        }
    }
    a.retain(|series| series.values.iter().any(Option::is_some));
    Ok(a)
}

/// Puts two grids together; series of the same labels become one.
fn union(
    mut a: Vec<GridSeries>,
    b: Vec<GridSeries>,
    context: &Context<'_>,
) -> Result<Vec<GridSeries>> {
    let mut index: HashMap<LabelSet, usize> =
        a.iter().enumerate().map(|(at, series)| (series.labels.clone(), at)).collect();
    for series in b {
        if series.values.iter().all(Option::is_none) {
            continue;
        }
        match index.get(&series.labels) {
            Some(at) => {
                for (mine, other) in a[*at].values.iter_mut().zip(series.values) {
                    *mine = mine.or(other);
                }
            }
            None => {
                index.insert(series.labels.clone(), a.len());
                a.push(series);
            }
        }
    }
    check_size(a.len(), context)?;
    Ok(a)
}

/// Arithmetic and comparison between series that belong together.
fn matched(
    binary: &Binary,
    left: &[GridSeries],
    right: &[GridSeries],
    context: &Context<'_>,
) -> Result<Vec<GridSeries>> {
    let matching = binary.matching.as_ref();
    let group = matching.and_then(|m| m.group.as_ref());
    let signs = signatures(left, right, matching);
    // The "one" side may have a single series per signature, the "many" side several if a
    // group modifier says so.
    let swapped = group.is_some_and(|g| !g.left);
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let (many_ids, one_ids) =
        if swapped { (&signs.right, &signs.left) } else { (&signs.left, &signs.right) };
    let mut result = Output { series: Vec::new(), index: HashMap::new() };
    let mut partner: Vec<Option<usize>> = vec![None; signs.count];
    for step in 0..context.steps {
        partner.fill(None);
        for (at, id) in one_ids.iter().enumerate() {
            if one[at].values[step].is_some() && partner[*id].replace(at).is_some() {
                let side = if swapped { "left" } else { "right" };
                return Err(Error::execution(format!(
                    "found duplicate series on the {side} hand-side of {}: many-to-many matching \
                     not allowed: matching labels must be unique on one side",
                    binary.op
                )));
            }
        }
        let mut used = vec![false; if group.is_none() { signs.count } else { 0 }];
        for (at, id) in many_ids.iter().enumerate() {
            let (Some(mine), Some(other_at)) = (many[at].values[step], partner[*id]) else {
                continue;
            };
            let Some(theirs) = one[other_at].values[step] else { continue };
            if group.is_none() && std::mem::replace(&mut used[*id], true) {
                return Err(Error::execution(
                    "multiple matches for labels: many-to-one matching must be explicit \
                     (group_left/group_right)",
                ));
            }
            let (a, b) = if swapped { (theirs, mine) } else { (mine, theirs) };
            if let Some(value) = operate(binary.op, binary.bool_modifier, a, b) {
                let labels = result_labels(&many[at].labels, &one[other_at].labels, matching);
                result.put(labels, step, value, context)?;
            }
        }
    }
    Ok(result.series)
}

struct Output {
    series: Vec<GridSeries>,
    index: HashMap<LabelSet, usize>,
}

impl Output {
    fn put(
        &mut self,
        labels: LabelSet,
        step: usize,
        value: f64,
        context: &Context<'_>,
    ) -> Result<()> {
        let next = self.series.len();
        let at = match self.index.get(&labels) {
            Some(at) => *at,
            None => {
                check_size(next + 1, context)?;
                self.index.insert(labels.clone(), next);
                self.series.push(GridSeries { labels, values: vec![None; context.steps] });
                next
            }
        };
        if self.series[at].values[step].replace(value).is_some() {
            return Err(Error::execution(
                "multiple matches for labels: grouping labels must ensure unique matches",
            ));
        }
        Ok(())
    }
}

fn result_labels(many: &LabelSet, one: &LabelSet, matching: Option<&Matching>) -> LabelSet {
    let Some(matching) = matching else { return many.clone() };
    let Some(group) = &matching.group else { return signature(many, Some(matching)) };
    let mut labels = many.clone();
    for name in &group.include {
        match one.get(name) {
            Some(value) if !value.is_empty() => labels.set(name, value),
            _ => labels.retain(|label| label != name),
        }
    }
    labels
}
