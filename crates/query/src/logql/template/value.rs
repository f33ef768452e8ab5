//! Values of the template language and how Go prints them.

use std::fmt::Write;

use crate::logql::json::{Json, each_item, each_member};

use super::time;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Unix nanoseconds; wider than 64 bits because Go's zero time is the year 1.
    Time(i128),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    /// The labels of the row: what `.` is at first.
    Labels,
}

impl Value {
    pub(super) fn truth(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(members) => !members.is_empty(),
            Value::Time(_) | Value::Labels => true,
        }
    }

    /// The value as a function that wants text gets it.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        self.print(&mut out);
        out
    }

    /// Prints as Go's `%v` does.
    pub(super) fn print(&self, out: &mut String) {
        match self {
            Value::Nil | Value::Labels => out.push_str("<no value>"),
            Value::Bool(value) => {
                let _ = write!(out, "{value}");
            }
            Value::Int(value) => {
                let _ = write!(out, "{value}");
            }
            Value::Float(value) => out.push_str(&go_float(*value)),
            Value::Text(text) => out.push_str(text),
            Value::Time(ns) => out.push_str(&time::default_text(*ns)),
            Value::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { " " } else { "" });
                    item.print(out);
                }
                out.push(']');
            }
            Value::Map(members) => {
                out.push_str("map[");
                for (i, (key, value)) in members.iter().enumerate() {
                    out.push_str(if i > 0 { " " } else { "" });
                    out.push_str(key);
                    out.push(':');
                    value.print(out);
                }
                out.push(']');
            }
        }
    }

    /// As `cast.ToInt64`: what cannot be read is 0.
    pub(super) fn int(&self) -> i64 {
        match self {
            Value::Int(value) => *value,
            Value::Float(value) => *value as i64,
            Value::Bool(value) => i64::from(*value),
            Value::Text(text) => {
                let whole = match text.split_once('.') {
                    Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
                    _ => text.as_str(),
                };
                parse_int(whole).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// As `cast.ToFloat64`: what cannot be read is 0.
    pub(super) fn float(&self) -> f64 {
        match self {
            Value::Int(value) => *value as f64,
            Value::Float(value) => *value,
            Value::Bool(value) => f64::from(u8::from(*value)),
            Value::Text(text) => text.trim().parse().unwrap_or(0.0),
            _ => 0.0,
        }
    }

    /// Reads a JSON document, `None` if it is none.
    pub(super) fn from_json(text: &str) -> Option<Value> {
        Some(from_json(crate::logql::json::whole(text).ok()?))
    }
}

/// The document was read as a whole before, so its parts are well formed, and no deeper
/// than the reader allows.
fn from_json(json: Json<'_>) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(text) => Value::Float(text.parse().unwrap_or(0.0)),
        Json::Str(_) => Value::Text(json.text().into_owned()),
        Json::Array(text) => {
            let mut items = Vec::new();
            let _ = each_item(text, &mut |item| items.push(from_json(item)));
            Value::List(items)
        }
        Json::Object(text) => {
            let mut members: Vec<(String, Value)> = Vec::new();
            let _ = each_member(text, &mut |key, value| {
                members.retain(|(name, _)| *name != key);
                members.push((key.into_owned(), from_json(value)));
                Ok(())
            });
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Map(members)
        }
    }
}

/// An integer as Go reads it with base 0: `10`, `-0x1f`, `0b11`, `0o7`.
pub(super) fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

/// A float as Go's `%v` prints it: shortest, with an exponent below 1e-4 and from 1e21 on.
pub(super) fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        return go_exponent(&format!("{value:e}"));
    }
    format!("{value}")
}

/// Rust writes `1e-7`, Go `1e-07`.
pub(super) fn go_exponent(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}
