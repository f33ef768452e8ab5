//! Structured metadata: what Loki's OTLP endpoint keeps beside a line, under Loki's names.
//!
//! Source: Loki, "Ingesting logs to Loki using OpenTelemetry Collector", "Format
//! considerations": resource attributes that are not stream labels, scope, attributes and
//! the fields of the record, with every character outside `[A-Za-z0-9_]` made `_`.

use std::borrow::Cow;
use std::fmt::Write;

use trefoil_store::model::{Attribute, LogRecord, StoredLog, Value};

use crate::logql::level;

/// How deep maps are flattened; deeper ones stay JSON.
const DEPTH_MAX: usize = 32;

/// The line of a record: its body as text, as the store's line filters see it.
pub(crate) fn line<'r>(record: &'r LogRecord<'_>) -> Cow<'r, str> {
    record.body.as_text()
}

/// An attribute name as Loki stores it.
pub(crate) fn sanitize(name: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 4);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push_str("key_");
    }
    out.extend(name.chars().map(|c| if fits(c) { c } else { '_' }));
    Cow::Owned(out)
}

/// Calls `visit` with each name and value; names may repeat, the first one counts.
/// `detected_level` is not among them: see [`detected_level`].
pub(crate) fn visit<'r>(log: &'r StoredLog<'_>, sink: &mut dyn FnMut(Cow<'r, str>, Cow<'r, str>)) {
    let record = &log.record;
    attributes(&record.attributes, sink);
    fields(record, sink);
    if !log.scope.name.is_empty() {
        sink("scope_name".into(), Cow::Borrowed(&log.scope.name));
    }
    if !log.scope.version.is_empty() {
        sink("scope_version".into(), Cow::Borrowed(&log.scope.version));
    }
    attributes(&log.scope.attributes, sink);
    attributes(&log.resource.attributes, &mut |name, value| {
        // Whatever became a stream label is not repeated.
        if log.stream.get(&name).is_none() {
            sink(name, value);
        }
    });
}

fn fields<'r>(record: &'r LogRecord<'_>, sink: &mut dyn FnMut(Cow<'r, str>, Cow<'r, str>)) {
    if record.trace_id != [0; 16] {
        sink("trace_id".into(), hex(&record.trace_id).into());
    }
    if record.span_id != [0; 8] {
        sink("span_id".into(), hex(&record.span_id).into());
    }
    if record.severity != 0 {
        sink("severity_number".into(), record.severity.to_string().into());
    }
    if !record.severity_text.is_empty() {
        sink("severity_text".into(), Cow::Borrowed(&record.severity_text));
    }
    if record.observed_ns != 0 {
        sink("observed_timestamp".into(), record.observed_ns.to_string().into());
    }
    if record.flags != 0 {
        sink("flags".into(), record.flags.to_string().into());
    }
    if record.dropped_attributes != 0 {
        sink("dropped_attributes_count".into(), record.dropped_attributes.to_string().into());
    }
    if !record.event_name.is_empty() {
        sink("event_name".into(), Cow::Borrowed(&record.event_name));
    }
}

/// Where the value of a name was found; its text is made only when somebody wants it.
#[derive(Clone, Copy)]
enum Found<'r> {
    Value(&'r Value<'r>),
    Text(&'r str),
    Number(u64),
    Id(&'r [u8]),
    /// Within a map, which has to be flattened to get at it.
    Nested,
}

/// The value of one name, without making the text of the others.
pub(crate) fn get<'r>(log: &'r StoredLog<'_>, name: &str) -> Option<Cow<'r, str>> {
    Some(match find(log, name)? {
        Found::Value(value) => value.as_text(),
        Found::Text(text) => Cow::Borrowed(text),
        Found::Number(number) => Cow::Owned(number.to_string()),
        Found::Id(id) => Cow::Owned(hex(id)),
        Found::Nested => {
            let mut found = None;
            visit(log, &mut |n, value| {
                if found.is_none() && n == name {
                    found = Some(value);
                }
            });
            return found;
        }
    })
}

/// Whether a name has a value.
pub(crate) fn has(log: &StoredLog<'_>, name: &str) -> bool {
    match find(log, name) {
        Some(Found::Nested) => get(log, name).is_some(),
        found => found.is_some(),
    }
}

fn find<'r>(log: &'r StoredLog<'_>, name: &str) -> Option<Found<'r>> {
    find_attribute(&log.record.attributes, name)
        .or_else(|| find_field(&log.record, name))
        .or_else(|| match name {
            "scope_name" => {
                Some(Found::Text(&log.scope.name)).filter(|_| !log.scope.name.is_empty())
            }
            "scope_version" => {
                Some(Found::Text(&log.scope.version)).filter(|_| !log.scope.version.is_empty())
            }
            _ => None,
        })
        .or_else(|| find_attribute(&log.scope.attributes, name))
        .or_else(|| {
            let found = find_attribute(&log.resource.attributes, name)?;
            log.stream.get(name).is_none().then_some(found)
        })
}

fn find_field<'r>(record: &'r LogRecord<'_>, name: &str) -> Option<Found<'r>> {
    let number = |number: u64| (number != 0).then_some(Found::Number(number));
    let text = |text: &'r str| (!text.is_empty()).then_some(Found::Text(text));
    let id = |id: &'r [u8]| id.iter().any(|b| *b != 0).then_some(Found::Id(id));
    match name {
        "trace_id" => id(&record.trace_id),
        "span_id" => id(&record.span_id),
        "severity_number" => number(u64::from(record.severity)),
        "severity_text" => text(&record.severity_text),
        "observed_timestamp" => number(record.observed_ns),
        "flags" => number(u64::from(record.flags)),
        "dropped_attributes_count" => number(u64::from(record.dropped_attributes)),
        "event_name" => text(&record.event_name),
        _ => None,
    }
}

fn find_attribute<'r>(list: &'r [Attribute<'_>], name: &str) -> Option<Found<'r>> {
    list.iter().find_map(|attribute| match &attribute.value {
        Value::Empty => None,
        Value::Map(_) => {
            let prefix = sanitize(&attribute.key);
            let inside = name.strip_prefix(&*prefix)?.starts_with('_');
            inside.then_some(Found::Nested)
        }
        value => is_named(&attribute.key, name).then_some(Found::Value(value)),
    })
}

/// Whether a key becomes this name, as [`sanitize`] does it.
fn is_named(key: &str, name: &str) -> bool {
    if key == name {
        return !key.starts_with(|c: char| c.is_ascii_digit())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    }
    // Only keys with something to replace are left; most are told apart by a character.
    let first = |text: &str| text.bytes().next().filter(u8::is_ascii_alphabetic);
    match (first(key), first(name)) {
        (Some(a), Some(b)) if a != b => false,
        _ => sanitize(key) == name,
    }
}

/// Whether an attribute of this key may have to do with the label of this name.
pub(crate) fn may_show(key: &str, name: &str) -> bool {
    let of = |name: &str| {
        let key = sanitize(key);
        // A map's members become labels that begin with its key.
        key == name || name.strip_prefix(&*key).is_some_and(|rest| rest.starts_with('_'))
    };
    of(name)
        || name.strip_suffix("_extracted").is_some_and(of)
        || (name == "detected_level" && level::rank(key).is_some())
}

/// The level Loki would have detected: an explicit label, the severity, the line.
pub(crate) fn detected_level(log: &StoredLog<'_>) -> &'static str {
    let known = known_level(log).or_else(|| level::from_line(&line(&log.record)));
    known.unwrap_or("unknown")
}

/// The level as far as it does not take the line to know it.
pub(crate) fn known_level(log: &StoredLog<'_>) -> Option<&'static str> {
    let record = &log.record;
    let mut best: Option<(usize, &'static str)> = None;
    let mut consider = |rank: usize, text: &str| {
        if best.is_none_or(|(other, _)| rank < other)
            && let Some(level) = level::from_word(text)
        {
            best = Some((rank, level));
        }
    };
    for (name, value) in log.stream.iter() {
        if let Some(rank) = level::rank(name) {
            consider(2 * rank, value);
        }
    }
    for attribute in &record.attributes {
        if let Some(rank) = level::rank(&attribute.key) {
            consider(2 * rank + 1, &attribute.value.as_text());
        }
    }
    best.map(|(_, level)| level)
        .or_else(|| level::from_severity(record.severity))
        .or_else(|| level::from_word(&record.severity_text))
}

fn attributes<'r>(list: &'r [Attribute<'_>], sink: &mut dyn FnMut(Cow<'r, str>, Cow<'r, str>)) {
    for attribute in list {
        flatten(sanitize(&attribute.key), &attribute.value, 0, sink);
    }
}

/// Maps become `outer_inner`; everything else is one label.
fn flatten<'r>(
    name: Cow<'r, str>,
    value: &'r Value<'_>,
    depth: usize,
    sink: &mut dyn FnMut(Cow<'r, str>, Cow<'r, str>),
) {
    match value {
        Value::Map(members) if depth < DEPTH_MAX => {
            for member in members {
                let inner = format!("{name}_{}", sanitize(&member.key));
                flatten(Cow::Owned(inner), &member.value, depth + 1, sink);
            }
        }
        Value::Empty => {}
        _ => sink(name, value.as_text()),
    }
}

/// Writes a JSON string with its quotes.
pub(crate) fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// Standard base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, b| word << 8 | u32::from(*b));
        let word = word << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(char::from(DIGITS[(word >> (18 - 6 * place)) as usize & 63]));
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
    fn names_are_made_to_fit() {
        assert_eq!(sanitize("http.status-code"), "http_status_code");
        assert_eq!(sanitize("1a"), "key_1a");
        assert_eq!(sanitize("plain_1"), "plain_1");
    }
}
