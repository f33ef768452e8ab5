//! Functions of one float: rounding, logarithms, angles, clamping.

use super::super::ast::Call;
use super::super::column::{Column, Steps, is_present};
use super::super::eval::{Evaluator, Sink};
use super::Func;
use crate::error::Result;

/// The plain functions.
fn unary(function: Func) -> Option<fn(f64) -> f64> {
    Some(match function {
        Func::Abs => f64::abs,
        Func::Acos => f64::acos,
        Func::Acosh => f64::acosh,
        Func::Asin => f64::asin,
        Func::Asinh => f64::asinh,
        Func::Atan => f64::atan,
        Func::Atanh => f64::atanh,
        Func::Ceil => f64::ceil,
        Func::Cos => f64::cos,
        Func::Cosh => f64::cosh,
        Func::Deg => f64::to_degrees,
        Func::Exp => f64::exp,
        Func::Floor => f64::floor,
        Func::Ln => f64::ln,
        Func::Log10 => f64::log10,
        Func::Log2 => f64::log2,
        Func::Rad => f64::to_radians,
        Func::Sgn => sign,
        Func::Sin => f64::sin,
        Func::Sinh => f64::sinh,
        Func::Sqrt => f64::sqrt,
        Func::Tan => f64::tan,
        Func::Tanh => f64::tanh,
        _ => return None,
    })
}

/// −1, 1, or the value itself if it is zero or NaN.
fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// Whether the function is of this family.
pub(super) fn knows(function: Func) -> bool {
    unary(function).is_some()
        || matches!(function, Func::Clamp | Func::ClampMax | Func::ClampMin | Func::Round)
}

/// Applies the function to each series; histograms are left out.
pub(super) fn stream(
    ev: &mut Evaluator<'_>,
    call: &Call,
    steps: Steps,
    sink: Sink<'_>,
) -> Result<()> {
    let function = call.function.id;
    let mut scalars = Vec::new();
    for arg in &call.args[1..] {
        scalars.push(ev.scalar(arg, steps)?);
    }
    ev.stream(&call.args[0], steps, &mut |ev, labels, _, column| {
        column.drop_histograms();
        match unary(function) {
            Some(f) => column.map_floats(f),
            None => with_scalars(function, &scalars, column),
        }
        sink(ev, labels, true, column)
    })
}

fn with_scalars(function: Func, scalars: &[Vec<f64>], column: &mut Column) {
    for i in 0..column.floats.len() {
        let value = column.floats[i];
        if !is_present(value) {
            continue;
        }
        let scalar = |n: usize| scalars.get(n).map(|s| s[i]);
        let first = scalar(0).unwrap_or(1.0);
        column.floats[i] = match function {
            Func::ClampMin => larger(value, first),
            Func::ClampMax => smaller(value, first),
            Func::Round => round(value, first),
            _ => {
                let most = scalar(1).unwrap_or(f64::NAN);
                if most < first {
                    column.clear(i);
                    continue;
                }
                larger(first, smaller(most, value))
            }
        };
    }
}

/// As `f64::max`, but NaN wins.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// As `f64::min`, but NaN wins.
fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// Rounds half up to a multiple. Multiplying by the inverse is more exact than dividing.
fn round(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}
