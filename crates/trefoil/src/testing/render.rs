//! Telemetry as text that is the same in each run.

use std::collections::HashMap;
use std::fmt::Write;

use super::decoded::{Event, Log, Metric, Reading, Span};
use crate::id::SpanId;
use crate::span::Status;
use crate::value::Value;

/// Attributes that differ from build to build, or from run to run.
const LEFT_OUT: [&str; 2] = ["code.", "thread."];

pub(super) fn tree(spans: &[Span]) -> String {
    let by_id: HashMap<SpanId, &Span> = spans.iter().map(|span| (span.span_id, span)).collect();
    let mut children: HashMap<Option<SpanId>, Vec<&Span>> = HashMap::new();
    for span in spans {
        let parent = span.parent.filter(|parent| by_id.contains_key(parent));
        children.entry(parent).or_default().push(span);
    }
    // A parent may be given by hand and begin after its child; siblings are in order anyway.
    children.values_mut().for_each(|siblings| siblings.sort_by_key(|span| span.start_ns));
    let mut out = String::new();
    let mut open: Vec<(usize, &Span)> = Vec::new();
    let push = |open: &mut Vec<_>, parent: Option<SpanId>, depth: usize| {
        let below = children.get(&parent).into_iter().flatten();
        open.extend(below.rev().map(|span| (depth, *span)));
    };
    push(&mut open, None, 0);
    while let Some((depth, span)) = open.pop() {
        line(&mut out, depth, span);
        push(&mut open, Some(span.span_id), depth + 1);
    }
    out
}

fn line(out: &mut String, depth: usize, span: &Span) {
    let indent = "  ".repeat(depth);
    let _ = write!(out, "{indent}{}", span.name);
    if span.kind != "internal" {
        let _ = write!(out, " ({})", span.kind);
    }
    match &span.status {
        Status::Unset => {}
        Status::Ok => out.push_str(" OK"),
        Status::Error(why) if why.is_empty() => out.push_str(" ERROR"),
        Status::Error(why) => {
            let _ = write!(out, " ERROR {why:?}");
        }
    }
    attributes(out, &span.attributes);
    if depth == 0 && span.parent.is_some() {
        out.push_str(" (its parent is elsewhere)");
    }
    out.push('\n');
    for Event { name, attributes: of_event, .. } in &span.events {
        let _ = write!(out, "{indent}  * {name}");
        // The target is a path in the test's own code.
        let own: Vec<_> = of_event.iter().filter(|(key, _)| key != "target").cloned().collect();
        attributes(out, &own);
        out.push('\n');
    }
    for link in &span.links {
        let _ = write!(out, "{indent}  ->");
        attributes(out, &link.attributes);
        out.push('\n');
    }
}

pub(super) fn logs(logs: &[Log], spans: &[Span]) -> String {
    let names: HashMap<SpanId, &str> = spans.iter().map(|s| (s.span_id, s.name.as_str())).collect();
    let mut out = String::new();
    for log in logs {
        let _ = write!(out, "{} {:?}", log.severity, log.message);
        // The subsystem follows from the target, which is a path in the test's own code.
        let of_test = |key: &str| key == "subsystem";
        let own: Vec<_> = log.attributes.iter().filter(|(key, _)| !of_test(key)).cloned().collect();
        attributes(&mut out, &own);
        if let Some(span) = log.span_id {
            let _ = write!(out, " in {}", names.get(&span).unwrap_or(&"a span that did not end"));
        }
        out.push('\n');
    }
    out
}

pub(super) fn metrics(metrics: &[Metric]) -> String {
    let mut out = String::new();
    for metric in metrics {
        out.push_str(&metric.name);
        if !metric.labels.is_empty() {
            out.push('{');
            for (at, (key, label)) in metric.labels.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                let _ = write!(out, "{key}=");
                value(&mut out, label);
            }
            out.push('}');
        }
        let _ = match metric.reading {
            Reading::Number(number) => writeln!(out, " {number}"),
            Reading::Histogram { count, .. } => writeln!(out, " n={count}"),
        };
    }
    out
}

fn attributes(out: &mut String, attributes: &[(String, Value)]) {
    let is_stable = |key: &str| !LEFT_OUT.iter().any(|prefix| key.starts_with(prefix));
    let mut sorted: Vec<_> = attributes.iter().filter(|(key, _)| is_stable(key)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, of_key) in sorted {
        let _ = write!(out, " {key}=");
        value(out, of_key);
    }
}

fn value(out: &mut String, of_key: &Value) {
    let _ = match of_key {
        Value::Str(text) => write!(out, "{text:?}"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::Double(value) => write!(out, "{value:?}"),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                value(out, item);
            }
            out.push(']');
            Ok(())
        }
    };
}
