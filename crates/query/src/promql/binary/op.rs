//! One operation on two samples.

use std::sync::Arc;

use super::super::ast::BinaryOp;
use super::super::column::Cell;
use super::super::histogram::accumulate::Accumulator;
use super::super::histogram::trim::{Keep, trim};
use super::super::histogram::{compact, divide, equal, scale};
use super::super::notes::Notes;

/// What becomes of two samples.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A new value.
    Value(Cell),
    /// The comparison holds: the left sample.
    Keep(Cell),
    /// The comparison does not hold.
    Drop,
    /// The operator does not know these kinds of samples; a remark was left.
    Incompatible,
}

/// Arithmetic on numbers.
pub(crate) fn compute(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => f64::NAN,
    }
}

/// Comparison of numbers.
pub(crate) fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Less => left < right,
        BinaryOp::LessEqual => left <= right,
        BinaryOp::Greater => left > right,
        BinaryOp::GreaterEqual => left >= right,
        _ => false,
    }
}

/// Applies an operator to two samples of any kind.
pub(crate) fn apply(
    notes: &mut Notes,
    at: usize,
    op: BinaryOp,
    left: &Cell,
    right: &Cell,
) -> Outcome {
    match (left, right) {
        (Cell::Float(l), Cell::Float(r)) if op.is_comparison() => kept(holds(op, *l, *r), left),
        (Cell::Float(l), Cell::Float(r)) if !op.is_trim() => {
            Outcome::Value(Cell::Float(compute(op, *l, *r)))
        }
        (Cell::Histogram(l), Cell::Histogram(r)) => match op {
            BinaryOp::Equal => kept(equal(l, r), left),
            BinaryOp::NotEqual => kept(!equal(l, r), left),
            BinaryOp::Add | BinaryOp::Sub => add(notes, at, op, l, r),
            _ => incompatible(notes, at, op, left, right),
        },
        (Cell::Histogram(l), Cell::Float(r)) => {
            let value = match op {
                BinaryOp::Mul => scale(l, *r),
                BinaryOp::Div => divide(l, *r),
                BinaryOp::TrimUpper => trim(l, Keep::Below, *r),
                BinaryOp::TrimLower => trim(l, Keep::Above, *r),
                _ => return incompatible(notes, at, op, left, right),
            };
            Outcome::Value(Cell::Histogram(Arc::new(value)))
        }
        (Cell::Float(l), Cell::Histogram(r)) if op == BinaryOp::Mul => {
            Outcome::Value(Cell::Histogram(Arc::new(scale(r, *l))))
        }
        _ => incompatible(notes, at, op, left, right),
    }
}

fn kept(holds: bool, left: &Cell) -> Outcome {
    if holds { Outcome::Keep(left.clone()) } else { Outcome::Drop }
}

fn add(
    notes: &mut Notes,
    at: usize,
    op: BinaryOp,
    left: &trefoil_store::model::Histogram,
    right: &trefoil_store::model::Histogram,
) -> Outcome {
    let mut sum = Accumulator::of(left);
    let (done, doing) = if op == BinaryOp::Add {
        (sum.add(right), "addition")
    } else {
        (sum.subtract(right), "subtraction")
    };
    match done {
        Err(_) => {
            notes.warn(
                at,
                "vector contains a mix of histograms with exponential and custom buckets schemas",
            );
            return Outcome::Incompatible;
        }
        Ok(true) => {
            notes.info(at, format!("mismatched custom buckets were reconciled during {doing}"));
        }
        Ok(false) => {}
    }
    if sum.resets_collide() {
        notes.warn(at, format!("conflicting counter resets during histogram {doing}"));
    }
    let mut sum = sum.finish();
    compact(&mut sum);
    Outcome::Value(Cell::Histogram(Arc::new(sum)))
}

fn incompatible(notes: &mut Notes, at: usize, op: BinaryOp, left: &Cell, right: &Cell) -> Outcome {
    let kind = |cell: &Cell| match cell {
        Cell::Float(_) => "float",
        Cell::Histogram(_) => "histogram",
    };
    let op = op.text();
    notes.info(
        at,
        format!(
            "incompatible sample types encountered for binary operator {op:?}: {} {op} {}",
            kind(left),
            kind(right)
        ),
    );
    Outcome::Incompatible
}
