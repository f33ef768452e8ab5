//! One JSON object a line.
//!
//! `timestamp` (RFC 3339), `level`, `message`, `target`, `subsystem`, `trace_id`, `span_id`,
//! then the record's own attributes beside them. An attribute that is called like one of
//! the former is written as `field.` and its name.

use std::fmt::Write;

use trefoil_wire::json::write_string;
use trefoil_wire::otlp::AnyValue;
use trefoil_wire::otlp::logs::LogRecord;

use super::time;
use crate::log::subsystem;

const RESERVED: [&str; 7] =
    ["timestamp", "level", "message", "target", "trace_id", "span_id", "event"];

pub(super) fn render(out: &mut String, scope: &str, record: &LogRecord<'_>) {
    out.push_str("{\"timestamp\":\"");
    time::rfc3339(out, record.time_unix_nano);
    let _ = write!(out, "\",\"level\":\"{}\",\"message\":", record.severity_text);
    value(out, &record.body.unwrap_or(AnyValue::Str("")));
    text(out, "target", scope);
    let attributes = || record.attributes.iter().flatten();
    if let Some(name) = attributes().find(|attribute| attribute.key == subsystem::FIELD) {
        out.push_str(",\"subsystem\":");
        value(out, &name.value);
    }
    if let Some(trace_id) = record.trace_id() {
        let _ = write!(out, ",\"trace_id\":\"{:032x}\"", u128::from_be_bytes(trace_id));
    }
    if let Some(span_id) = record.span_id() {
        let _ = write!(out, ",\"span_id\":\"{:016x}\"", u64::from_be_bytes(span_id));
    }
    if !record.event_name.is_empty() {
        text(out, "event", record.event_name);
    }
    for attribute in attributes().filter(|attribute| attribute.key != subsystem::FIELD) {
        out.push(',');
        if RESERVED.contains(&attribute.key) {
            write_string(&format!("field.{}", attribute.key), out);
        } else {
            write_string(attribute.key, out);
        }
        out.push(':');
        value(out, &attribute.value);
    }
    out.push_str("}\n");
}

fn text(out: &mut String, key: &str, text: &str) {
    let _ = write!(out, ",\"{key}\":");
    write_string(text, out);
}

pub(in crate::log) fn value(out: &mut String, any: &AnyValue<'_>) {
    match any {
        AnyValue::Empty => out.push_str("null"),
        AnyValue::Str(text) => write_string(text, out),
        AnyValue::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        AnyValue::Int(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValue::Double(value) if value.is_finite() => {
            let _ = write!(out, "{value}");
        }
        // JSON has no word for them.
        AnyValue::Double(value) => write_string(&value.to_string(), out),
        AnyValue::Bytes(bytes) => write_string(&hex(bytes), out),
        AnyValue::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().flatten().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                value(out, &item);
            }
            out.push(']');
        }
        AnyValue::Map(pairs) => {
            out.push('{');
            for (at, pair) in pairs.iter().flatten().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write_string(pair.key, out);
                out.push(':');
                value(out, &pair.value);
            }
            out.push('}');
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
