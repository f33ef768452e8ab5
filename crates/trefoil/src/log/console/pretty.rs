//! Lines for people: time, level and subsystem in columns, the message, fields, and the
//! first digits of the trace.

use std::fmt::Write;

use trefoil_wire::otlp::AnyValue;
use trefoil_wire::otlp::logs::LogRecord;

use super::time;
use crate::log::subsystem;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
/// Digits of a trace id that tell traces on a screen apart, and that its search box takes.
const TRACE_DIGITS: usize = 8;

pub(super) fn render(out: &mut String, record: &LogRecord<'_>, colour: bool) {
    let paint = |out: &mut String, paint: &str| {
        if colour {
            out.push_str(paint);
        }
    };
    paint(out, DIM);
    time::clock(out, record.time_unix_nano);
    let _ = write!(out, ".{:03} ", record.time_unix_nano / 1_000_000 % 1000);
    paint(out, RESET);
    paint(out, level_paint(record.severity_number));
    let _ = write!(out, "{:>5}", record.severity_text);
    paint(out, RESET);

    let attributes = || record.attributes.iter().flatten();
    let named = attributes().find(|attribute| attribute.key == subsystem::FIELD);
    if let Some(AnyValue::Str(name)) = named.map(|attribute| attribute.value) {
        out.push(' ');
        let start = out.len();
        plain(out, name, false);
        let width = out[start..].chars().count();
        (width..10).for_each(|_| out.push(' '));
    }
    out.push_str("  ");
    match record.body {
        Some(AnyValue::Str(message)) => plain(out, message, true),
        Some(body) => value(out, &body),
        None => {}
    }
    for attribute in attributes() {
        if attribute.key == subsystem::FIELD || attribute.key.starts_with("code.") {
            continue;
        }
        out.push_str("  ");
        paint(out, DIM);
        plain(out, attribute.key, false);
        out.push('=');
        paint(out, RESET);
        value(out, &attribute.value);
    }
    if let Some(trace_id) = record.trace_id() {
        paint(out, DIM);
        let digits = format!("{:032x}", u128::from_be_bytes(trace_id));
        let _ = write!(out, "  trace={}", &digits[..TRACE_DIGITS]);
        paint(out, RESET);
    }
    out.push('\n');
}

fn level_paint(severity: i32) -> &'static str {
    match severity {
        ..=4 => "\x1b[2m",
        5..=8 => "\x1b[34m",
        9..=12 => "\x1b[32m",
        13..=16 => "\x1b[33m",
        17..=20 => "\x1b[31m",
        _ => "\x1b[1;31m",
    }
}

/// Text as it is, but for what would move the cursor or paint the terminal. The lines of a
/// message of several are indented below it.
fn plain(out: &mut String, text: &str, lines: bool) {
    for character in text.chars() {
        match character {
            '\n' if lines => out.push_str("\n    "),
            '\t' => out.push('\t'),
            character if character.is_control() => out.extend(character.escape_default()),
            character => out.push(character),
        }
    }
}

fn value(out: &mut String, any: &AnyValue<'_>) {
    match any {
        AnyValue::Empty => {}
        AnyValue::Str(text) => {
            let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"\"=".contains(c);
            if !text.is_empty() && text.chars().all(is_plain) {
                out.push_str(text);
            } else {
                let _ = write!(out, "{text:?}");
            }
        }
        AnyValue::Bool(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValue::Int(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValue::Double(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValue::Bytes(bytes) => {
            bytes.iter().for_each(|byte| {
                let _ = write!(out, "{byte:02x}");
            });
        }
        AnyValue::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().flatten().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                value(out, &item);
            }
            out.push(']');
        }
        AnyValue::Map(pairs) => {
            out.push('{');
            for (at, pair) in pairs.iter().flatten().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                plain(out, pair.key, false);
                out.push('=');
                value(out, &pair.value);
            }
            out.push('}');
        }
    }
}
