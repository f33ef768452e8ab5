//! A value as text: what a log line shows and what line filters look at.

use std::borrow::Cow;
use std::fmt::Write;

use super::{Attribute, Value};

impl Value<'_> {
    /// The value as text: strings as they are, nothing for the empty value, numbers in
    /// decimal, lists and maps as JSON, bytes as base64. This is how OpenTelemetry's
    /// collector turns a log body into a line.
    #[must_use]
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Value::Str(text) => Cow::Borrowed(text),
            Value::Empty => Cow::Borrowed(""),
            Value::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            Value::Int(i) => Cow::Owned(i.to_string()),
            Value::Double(d) => Cow::Owned(d.to_string()),
            Value::Bytes(bytes) => Cow::Owned(base64(bytes)),
            Value::Array(_) | Value::Map(_) => {
                let mut out = String::new();
                put_json(&mut out, self);
                Cow::Owned(out)
            }
        }
    }
}

/// The depth is that of the value, which whoever made it has bounded.
fn put_json(out: &mut String, value: &Value<'_>) {
    match value {
        Value::Empty => out.push_str("null"),
        Value::Str(text) => put_json_str(out, text),
        Value::Bytes(bytes) => put_json_str(out, &base64(bytes)),
        Value::Double(d) if !d.is_finite() => put_json_str(out, &d.to_string()),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) => out.push_str(&value.as_text()),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                put_json(out, item);
            }
            out.push(']');
        }
        Value::Map(pairs) => put_json_map(out, pairs),
    }
}

fn put_json_map(out: &mut String, pairs: &[Attribute<'_>]) {
    out.push('{');
    for (i, pair) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        put_json_str(out, &pair.key);
        out.push(':');
        put_json(out, &pair.value);
    }
    out.push('}');
}

fn put_json_str(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, &b| bits << 8 | u32::from(b));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            if digit <= chunk.len() {
                out.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_the_collector_writes_them() {
        let str = |s: &'static str| Value::Str(Cow::Borrowed(s));
        let pair = |k: &'static str, value| Attribute { key: Cow::Borrowed(k), value };
        let cases = [
            (Value::Empty, ""),
            (str("a \"b\""), "a \"b\""),
            (Value::Bool(true), "true"),
            (Value::Int(-7), "-7"),
            (Value::Double(1.5), "1.5"),
            (Value::Bytes(Cow::Borrowed(b"ab")), "YWI="),
            (Value::Bytes(Cow::Borrowed(b"abc")), "YWJj"),
            (Value::Array(vec![Value::Int(1), Value::Empty, str("x")]), r#"[1,null,"x"]"#),
            (
                Value::Map(vec![
                    pair("k\n", str("\u{1}\\")),
                    pair("b", Value::Bytes(Cow::Borrowed(b"a"))),
                ]),
                r#"{"k\n":"\u0001\\","b":"YQ=="}"#,
            ),
        ];
        for (value, expect) in cases {
            assert_eq!(value.as_text(), expect);
        }
    }
}
