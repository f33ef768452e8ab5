//! Binary operators: on numbers, on histograms, on vectors that find each other by labels.

mod matching;
mod op;
mod sets;

use trefoil_store::Labels;

use super::ast::{Binary, Node, Type};
use super::column::{Cell, Column, Series, Steps, is_present};
use super::eval::{Evaluator, Sink};
use super::histogram::scale;
use crate::error::Result;

pub(crate) use op::{Outcome, apply, compute, holds};

/// Whether an operand is a scalar.
pub(crate) fn has_scalar(b: &Binary) -> bool {
    b.left.value_type() == Type::Scalar || b.right.value_type() == Type::Scalar
}

/// Two scalars.
pub(crate) fn scalars(ev: &mut Evaluator<'_>, b: &Binary, steps: Steps) -> Result<Vec<f64>> {
    let left = ev.scalar(&b.left, steps)?;
    let right = ev.scalar(&b.right, steps)?;
    let pairs = left.into_iter().zip(right);
    if b.op.is_comparison() {
        return Ok(pairs.map(|(l, r)| f64::from(u8::from(holds(b.op, l, r)))).collect());
    }
    Ok(pairs.map(|(l, r)| compute(b.op, l, r)).collect())
}

/// `-x`.
pub(crate) fn negate(column: &mut Column) {
    column.map_floats(|value| -value);
    for histogram in column.histograms.iter_mut().flatten() {
        *histogram = std::sync::Arc::new(scale(histogram, -1.0));
    }
}

/// A vector and a scalar.
pub(crate) fn with_scalar(
    ev: &mut Evaluator<'_>,
    node: &Node,
    b: &Binary,
    steps: Steps,
    sink: Sink<'_>,
) -> Result<()> {
    let scalar_left = b.left.value_type() == Type::Scalar;
    let (vector, scalar) = if scalar_left { (&b.right, &b.left) } else { (&b.left, &b.right) };
    let numbers = ev.scalar(scalar, steps)?;
    let stats_only = ev.stats_only;
    ev.stats_only &= !b.op.is_trim();
    let drops = b.op.drops_name() || b.returns_bool;
    let at = node.span.start;
    let result = ev.stream(vector, steps, &mut |ev, labels, drop_name, column| {
        for (i, number) in numbers.iter().enumerate() {
            let Some(cell) = column.get(i) else { continue };
            let number = Cell::Float(*number);
            let (left, right) = if scalar_left { (&number, &cell) } else { (&cell, &number) };
            let outcome = apply(&mut ev.notes, at, b.op, left, right);
            match outcome {
                Outcome::Value(value) => column.set(i, value),
                // A comparison keeps the vector's sample, whichever side it is on.
                Outcome::Keep(_) if b.returns_bool => set_bool(column, i, true),
                Outcome::Keep(_) => {}
                Outcome::Drop if b.returns_bool => set_bool(column, i, false),
                Outcome::Drop | Outcome::Incompatible => column.clear(i),
            }
        }
        sink(ev, labels, drop_name || drops, column)
    });
    ev.stats_only = stats_only;
    result
}

fn set_bool(column: &mut Column, i: usize, value: bool) {
    column.clear(i);
    column.floats[i] = f64::from(u8::from(value));
}

/// Two vectors.
pub(crate) fn vectors(
    ev: &mut Evaluator<'_>,
    node: &Node,
    b: &Binary,
    steps: Steps,
) -> Result<Vec<Series>> {
    let stats_only = ev.stats_only;
    ev.stats_only &= !b.op.is_trim();
    let left = ev.vector(&b.left, steps)?;
    let right = ev.vector(&b.right, steps)?;
    ev.stats_only = stats_only;
    if b.op.is_set() {
        return sets::combine(ev, b, left, right, steps);
    }
    matching::combine(ev, node, b, left, right, steps)
}

/// What samples are matched by: the labels of `on`, or all but those of `ignoring` and
/// the name.
fn write_signature(out: &mut Vec<u8>, labels: &Labels, b: &Binary) {
    if b.matching.on {
        super::labels::write_only(out, labels, &b.matching.labels);
    } else {
        super::labels::write_without(out, labels, &b.matching.labels);
    }
}

/// Marks the steps at which a column has a value.
fn mark(present: &mut [bool], column: &Column) {
    for (flag, value) in present.iter_mut().zip(&column.floats) {
        *flag |= is_present(*value);
    }
    for (flag, histogram) in present.iter_mut().zip(&column.histograms) {
        *flag |= histogram.is_some();
    }
}
