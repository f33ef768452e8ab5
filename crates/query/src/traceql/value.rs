//! The values an expression on a span can have, and how they compare and compute.
//!
//! Tempo's rules: values of different types do not compare (every operator is false,
//! `!=` too), except that integers, floats and durations compare as numbers; a missing
//! attribute is nil, and every comparison with nil is false. A list satisfies a
//! comparison when one element does, `!=` and `!~` when all do. Source: Tempo, "Construct
//! a TraceQL query" (comparison operators, arrays), and the behaviour of its engine.

use std::borrow::Cow;
use std::cmp::Ordering;

use regex::Regex;
use trefoil_store::model::{self, SpanKind, StatusCode};
use trefoil_store::order_int_double;

use super::ast::{ArithOp, CompareOp, Literal};
use crate::duration;

/// A value of a span.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// The attribute is absent.
    Nil,
    /// An integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// True or false.
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    /// A span status.
    Status(StatusCode),
    /// A span kind.
    Kind(SpanKind),
    /// A list attribute.
    List(Vec<Value<'a>>),
    /// One value for each event or link that has it; any of them may satisfy a comparison.
    Each(Vec<Value<'a>>),
    /// Bytes or a map: present, but equal to nothing TraceQL can write.
    Opaque,
}

impl<'a> Value<'a> {
    /// An attribute's value.
    pub(crate) fn from_model(value: &'a model::Value<'_>) -> Value<'a> {
        match value {
            model::Value::Empty => Value::Nil,
            model::Value::Str(text) => Value::Text(Cow::Borrowed(text)),
            model::Value::Bool(v) => Value::Bool(*v),
            model::Value::Int(v) => Value::Int(*v),
            model::Value::Double(v) => Value::Float(*v),
            model::Value::Array(items) => {
                Value::List(items.iter().map(Value::from_model).collect())
            }
            model::Value::Bytes(_) | model::Value::Map(_) => Value::Opaque,
        }
    }

    /// A constant's value.
    pub(crate) fn from_literal(literal: &'a Literal) -> Value<'a> {
        match literal {
            Literal::Int(v) => Value::Int(*v),
            Literal::Float(v) => Value::Float(*v),
            Literal::Text(v) => Value::Text(Cow::Borrowed(v)),
            Literal::Bool(v) => Value::Bool(*v),
            Literal::Duration(v) => Value::Duration(*v),
            Literal::Status(v) => Value::Status(*v),
            Literal::Kind(v) => Value::Kind(*v),
        }
    }

    /// The constant with this value, if there is one.
    pub(crate) fn to_literal(&self) -> Option<Literal> {
        Some(match self {
            Value::Int(v) => Literal::Int(*v),
            Value::Float(v) => Literal::Float(*v),
            Value::Text(v) => Literal::Text(v.clone().into_owned()),
            Value::Bool(v) => Literal::Bool(*v),
            Value::Duration(v) => Literal::Duration(*v),
            Value::Status(v) => Literal::Status(*v),
            Value::Kind(v) => Literal::Kind(*v),
            Value::Nil | Value::List(_) | Value::Each(_) | Value::Opaque => return None,
        })
    }

    /// The same value without borrowing.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::List(items) => Value::List(items.into_iter().map(Value::into_owned).collect()),
            Value::Each(items) => Value::Each(items.into_iter().map(Value::into_owned).collect()),
            Value::Nil => Value::Nil,
            Value::Int(v) => Value::Int(v),
            Value::Float(v) => Value::Float(v),
            Value::Bool(v) => Value::Bool(v),
            Value::Duration(v) => Value::Duration(v),
            Value::Status(v) => Value::Status(v),
            Value::Kind(v) => Value::Kind(v),
            Value::Opaque => Value::Opaque,
        }
    }

    /// The first of several values, for places that take only one.
    pub(crate) fn single(self) -> Value<'a> {
        match self {
            Value::Each(items) => items.into_iter().next().unwrap_or(Value::Nil),
            other => other,
        }
    }

    /// True or false, if it is that; several values are true when one of them is.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self {
            Value::Bool(v) => Some(*v),
            Value::Each(items) => {
                let mut known = items.iter().filter_map(Value::truth).peekable();
                known.peek()?;
                Some(known.any(|v| v))
            }
            _ => None,
        }
    }

    /// As a number: durations in nanoseconds.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(v) | Value::Duration(v) => Some(*v as f64),
            Value::Float(v) => Some(*v),
            _ => None,
        }
    }

    /// As Tempo shows it in labels and search results.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Value::Nil | Value::Opaque => "nil".to_owned(),
            Value::Int(v) => v.to_string(),
            Value::Float(v) => v.to_string(),
            Value::Text(v) => v.clone().into_owned(),
            Value::Bool(v) => v.to_string(),
            Value::Duration(v) => duration::format_go_ns(*v),
            Value::Status(v) => status_name(*v).to_owned(),
            Value::Kind(v) => kind_name(*v).to_owned(),
            Value::List(items) | Value::Each(items) => {
                let items: Vec<String> = items.iter().map(Value::text).collect();
                format!("[{}]", items.join(" "))
            }
        }
    }

    /// Appends bytes that are equal exactly for equal values, to group by, and that order
    /// as the values do.
    pub(crate) fn write_key(&self, key: &mut Vec<u8>) {
        match self {
            Value::Nil => key.push(0),
            Value::Int(v) => put(key, 1, &ordered(*v)),
            Value::Float(v) => put(key, 2, &ordered(float_order(*v))),
            Value::Text(v) => put_text(key, v),
            Value::Bool(v) => put(key, 4, &[u8::from(*v)]),
            Value::Duration(v) => put(key, 5, &ordered(*v)),
            Value::Status(v) => put(key, 6, &[*v as u8]),
            Value::Kind(v) => put(key, 7, &[*v as u8]),
            Value::List(items) | Value::Each(items) => {
                put(key, 8, &(items.len() as u64).to_be_bytes());
                items.iter().for_each(|item| item.write_key(key));
            }
            Value::Opaque => key.push(9),
        }
    }
}

fn put(key: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    key.push(tag);
    key.extend_from_slice(bytes);
}

/// Ended by `0 1`, with a zero byte inside written as `0 255`: so no text's key is the
/// beginning of another's, and shorter texts come first.
fn put_text(key: &mut Vec<u8>, text: &str) {
    key.push(3);
    for (at, part) in text.as_bytes().split(|b| *b == 0).enumerate() {
        if at > 0 {
            key.extend([0, u8::MAX]);
        }
        key.extend_from_slice(part);
    }
    key.extend([0, 1]);
}

fn ordered(value: i64) -> [u8; 8] {
    (value ^ i64::MIN).to_be_bytes()
}

/// An integer that orders as the float does (IEEE 754 total order).
fn float_order(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// TraceQL's word for a status.
#[must_use]
pub fn status_name(status: StatusCode) -> &'static str {
    match status {
        StatusCode::Error => "error",
        StatusCode::Ok => "ok",
        StatusCode::Unset => "unset",
    }
}

/// TraceQL's word for a kind.
#[must_use]
pub fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "unspecified",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// `a op b`.
pub(crate) fn compare(op: CompareOp, a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Each(items), _) => items.iter().any(|item| compare(op, item, b)),
        (_, Value::Each(items)) => items.iter().any(|item| compare(op, a, item)),
        (Value::List(_), Value::List(_)) => false,
        (Value::List(items), _) if op == CompareOp::NotEqual => {
            all(items, |item| scalar(op, item, b))
        }
        (Value::List(items), _) => items.iter().any(|item| scalar(op, item, b)),
        (_, Value::List(_)) => compare(op.flipped(), b, a),
        _ => scalar(op, a, b),
    }
}

/// An empty list has no type, so it does not compare: not even with `!=`.
fn all(items: &[Value<'_>], holds: impl Fn(&Value<'_>) -> bool) -> bool {
    !items.is_empty() && items.iter().all(holds)
}

fn scalar(op: CompareOp, a: &Value<'_>, b: &Value<'_>) -> bool {
    let equality = matches!(op, CompareOp::Equal | CompareOp::NotEqual);
    let ordering = match (a, b) {
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Some(a.cmp(b)),
        // As the store does, or a block it rules out would have had a match.
        (Value::Int(a) | Value::Duration(a), Value::Float(b)) => order_int_double(*a, *b),
        (Value::Float(a), Value::Int(b) | Value::Duration(b)) => {
            order_int_double(*b, *a).map(Ordering::reverse)
        }
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) if equality => Some(a.cmp(b)),
        (Value::Status(a), Value::Status(b)) if equality => equal_or_less(a == b),
        (Value::Kind(a), Value::Kind(b)) if equality => equal_or_less(a == b),
        _ => match (a.number(), b.number()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            _ => return false,
        },
    };
    op.holds(ordering)
}

fn equal_or_less(equal: bool) -> Option<Ordering> {
    Some(if equal { Ordering::Equal } else { Ordering::Less })
}

/// `value =~ regex` (positive) or `value !~ regex`; only text can match or not match.
pub(crate) fn matches(positive: bool, value: &Value<'_>, regex: &Regex) -> bool {
    let one = |v: &Value<'_>| matches!(v, Value::Text(text) if regex.is_match(text) == positive);
    match value {
        Value::Each(items) => items.iter().any(|item| matches(positive, item, regex)),
        Value::List(items) if positive => items.iter().any(one),
        Value::List(items) => all(items, one),
        _ => one(value),
    }
}

/// `a op b` for numbers, else nil. Integers stay integers and wrap, as in Go; anything
/// else is computed as floats. An integer division by zero is nil, so that one span with
/// a zero does not fail the whole search (Tempo fails it).
pub(crate) fn arith(op: ArithOp, a: &Value<'_>, b: &Value<'_>) -> Value<'static> {
    if let (Value::Int(a), Value::Int(b)) = (a, b) {
        return integer_arith(op, *a, *b);
    }
    let (Some(x), Some(y)) = (a.number(), b.number()) else { return Value::Nil };
    Value::Float(match op {
        ArithOp::Add => x + y,
        ArithOp::Sub => x - y,
        ArithOp::Mul => x * y,
        ArithOp::Div => x / y,
        ArithOp::Mod => x % y,
        ArithOp::Pow => x.powf(y),
    })
}

fn integer_arith(op: ArithOp, a: i64, b: i64) -> Value<'static> {
    match op {
        ArithOp::Add => Value::Int(a.wrapping_add(b)),
        ArithOp::Sub => Value::Int(a.wrapping_sub(b)),
        ArithOp::Mul => Value::Int(a.wrapping_mul(b)),
        ArithOp::Div | ArithOp::Mod if b == 0 => Value::Nil,
        ArithOp::Div => Value::Int(a.wrapping_div(b)),
        ArithOp::Mod => Value::Int(a.wrapping_rem(b)),
        ArithOp::Pow => match u32::try_from(b) {
            Ok(exponent) => Value::Int(a.wrapping_pow(exponent)),
            Err(_) => Value::Float((a as f64).powf(b as f64)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_exactly_beyond_two_to_the_53rd() {
        let int = |v| Value::Int(v);
        let cases = [
            (int((1 << 53) + 1), CompareOp::Equal, (1_i64 << 53) as f64, false),
            (int((1 << 53) + 1), CompareOp::Greater, (1_i64 << 53) as f64, true),
            (int(1 << 53), CompareOp::Equal, (1_i64 << 53) as f64, true),
            (int(i64::MAX), CompareOp::Less, 9_223_372_036_854_775_808.0, true),
            (Value::Duration(3), CompareOp::Greater, 2.5, true),
            (int(0), CompareOp::NotEqual, f64::NAN, true),
            (int(0), CompareOp::Less, f64::NAN, false),
        ];
        for (a, op, b, expected) in cases {
            assert_eq!(compare(op, &a, &Value::Float(b)), expected, "{a:?} {op:?} {b}");
            assert_eq!(compare(op.flipped(), &Value::Float(b), &a), expected, "{b} {op:?} {a:?}");
        }
    }
}
