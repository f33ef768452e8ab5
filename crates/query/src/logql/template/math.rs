//! Mathematical functions. Integers are 64 bits wide and what is not a number counts as 0,
//! as in Loki.

use super::value::Value;

/// Calls a function of this file; `None` if there is none of this name and arity.
pub(super) fn call(name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    let value = match (name, arguments) {
        ("int", [value]) => Value::Int(value.int()),
        ("float64", [value]) => Value::Float(value.float()),
        ("ceil", [value]) => Value::Float(value.float().ceil()),
        ("floor", [value]) => Value::Float(value.float().floor()),
        ("round", [value, digits]) => Value::Float(round(value.float(), digits.int(), 0.5)),
        ("round", [value, digits, on]) => {
            Value::Float(round(value.float(), digits.int(), on.float()))
        }
        ("div" | "mod", [a, b]) => return Some(divide(name, a.int(), b.int())),
        ("sub", [a, b]) => return Some(checked(a.int().checked_sub(b.int()))),
        ("add" | "mul" | "max" | "min", [first, others @ ..]) => {
            return Some(fold_int(name, first.int(), others));
        }
        ("addf" | "subf" | "mulf" | "divf" | "maxf" | "minf", [first, others @ ..]) => {
            Value::Float(fold_float(name, first.float(), others))
        }
        _ => return None,
    };
    Some(Ok(value))
}

fn checked(value: Option<i64>) -> Result<Value, String> {
    value.map(Value::Int).ok_or_else(|| "the result does not fit into 64 bits".to_owned())
}

fn divide(name: &str, a: i64, b: i64) -> Result<Value, String> {
    if b == 0 {
        return Err("integer divide by zero".to_owned());
    }
    checked(if name == "div" { a.checked_div(b) } else { a.checked_rem(b) })
}

fn fold_int(name: &str, first: i64, others: &[Value]) -> Result<Value, String> {
    let mut total = Some(first);
    for other in others.iter().map(Value::int) {
        total = total.and_then(|total| match name {
            "add" => total.checked_add(other),
            "mul" => total.checked_mul(other),
            "max" => Some(total.max(other)),
            _ => Some(total.min(other)),
        });
    }
    checked(total)
}

fn fold_float(name: &str, first: f64, others: &[Value]) -> f64 {
    others.iter().map(Value::float).fold(first, |total, other| match name {
        "addf" => total + other,
        "subf" => total - other,
        "mulf" => total * other,
        "divf" => total / other,
        "maxf" => total.max(other),
        _ => total.min(other),
    })
}

/// Rounds up from `on` of the last digit on.
fn round(value: f64, digits: i64, on: f64) -> f64 {
    let power = 10f64.powi(digits.clamp(-300, 300) as i32);
    let scaled = power * value;
    let part = (scaled % 1.0).abs();
    let rounded = match (part >= on, value > 0.0) {
        (true, true) => scaled.ceil(),
        (true, false) => scaled.floor(),
        (false, true) => scaled.floor(),
        (false, false) => scaled.ceil(),
    };
    rounded / power
}
