//! One trace: all spans in columns, one span in full, the trace's logs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value as Json, json};
use trefoil_query::{Error, Limits};
use trefoil_store::model::{Attribute, SpanId, StoredLog, StoredSpan, TraceId, Value};

use super::scan::{self, Services};
use super::{answer, hex, not_found};
use crate::api::{Api, AppState};

/// Spans of one trace that are sent; a browser draws no more.
const SPANS_MAX: usize = 200_000;
/// Log records of one trace that are sent.
const LOGS_MAX: usize = 5000;
/// How deep nested attribute values are followed.
const DEPTH_MAX: usize = 32;

/// Row i of each list is span i, by start.
#[derive(Debug, Default, Serialize)]
pub(super) struct Skeleton {
    trace_id: String,
    /// Text: nanoseconds since 1970 do not fit a double.
    start_ns: String,
    duration_ns: u64,
    services: Vec<Service>,
    names: Vec<String>,
    pub(super) id: Vec<String>,
    /// Row of the parent, −1 for a root, −2 if the parent is not here.
    pub(super) parent: Vec<i32>,
    name: Vec<usize>,
    service: Vec<usize>,
    kind: Vec<u8>,
    status: Vec<u8>,
    start: Vec<u64>,
    duration: Vec<u64>,
    logs: Vec<u32>,
    events: Vec<usize>,
    partial: String,
}

#[derive(Debug, Serialize)]
struct Service {
    name: String,
    color: usize,
}

pub(super) async fn skeleton(
    State(state): State<Arc<AppState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(trace_id) = read_id::<16>(&id) else { return bad_id(&id) };
    let asked = Arc::clone(&state);
    let result = state
        .ask(Api::Ui, None, move |snapshot, limits| {
            let spans = snapshot.trace(trace_id, limits.tally)?;
            let logs = snapshot.trace_logs(trace_id, limits.tally)?;
            let mut skeleton = build(trace_id, &spans, &logs, limits);
            for service in &mut skeleton.services {
                service.color = asked.colors.place(&service.name);
            }
            Ok(skeleton)
        })
        .await;
    match result {
        Ok(skeleton) if skeleton.id.is_empty() => {
            not_found(format!("no span of trace {} is kept here", hex(&trace_id)))
        }
        result => answer(&headers, result),
    }
}

fn build(
    trace_id: TraceId,
    spans: &[StoredSpan<'_>],
    logs: &[StoredLog<'_>],
    limits: &Limits<'_>,
) -> Skeleton {
    let shown = &spans[..spans.len().min(SPANS_MAX)];
    let first_ns = shown.iter().map(|stored| stored.span.start_ns).min().unwrap_or(0);
    let last_ns = shown.iter().map(|s| s.span.end_ns.max(s.span.start_ns)).max().unwrap_or(0);
    let rows: HashMap<SpanId, usize> =
        shown.iter().enumerate().map(|(row, stored)| (stored.span.span_id, row)).collect();
    let mut log_counts: HashMap<SpanId, u32> = HashMap::new();
    for log in logs {
        *log_counts.entry(log.record.span_id).or_insert(0) += 1;
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut services = Services::default();
    let mut out = Skeleton {
        trace_id: hex(&trace_id),
        start_ns: first_ns.to_string(),
        duration_ns: last_ns - first_ns,
        ..Skeleton::default()
    };
    for stored in shown {
        let span = &stored.span;
        let next = names.len();
        let name = *names.entry(&span.name).or_insert(next);
        if name == out.names.len() {
            out.names.push(span.name.clone().into_owned());
        }
        let parent = match rows.get(&span.parent_span_id) {
            _ if span.parent_span_id == [0; 8] => -1,
            Some(row) => i32::try_from(*row).unwrap_or(-2),
            None => -2,
        };
        out.id.push(hex(&span.span_id));
        out.parent.push(parent);
        out.name.push(name);
        out.service.push(services.number(&stored.resource));
        out.kind.push(span.kind as u8);
        out.status.push(span.status as u8);
        out.start.push(span.start_ns - first_ns);
        out.duration.push(scan::duration_ns(span));
        out.logs.push(log_counts.get(&span.span_id).copied().unwrap_or(0));
        out.events.push(span.events.len());
    }
    let service = |name| Service { name, color: 0 };
    out.services = services.names.into_iter().map(service).collect();
    if spans.len() > SPANS_MAX {
        out.partial = format!("the first {SPANS_MAX} of {} spans", spans.len());
    } else if limits.tally.blocks_damaged.load(Relaxed) > 0 {
        out.partial = "damaged blocks were skipped".to_owned();
    }
    out
}

pub(super) async fn span(
    State(state): State<Arc<AppState>>,
    Path((id, span_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(trace_id) = read_id::<16>(&id) else { return bad_id(&id) };
    let Some(span_id) = read_id::<8>(&span_id) else { return bad_id(&span_id) };
    let result = state
        .ask(Api::Ui, None, move |snapshot, limits| {
            let spans = snapshot.trace(trace_id, limits.tally)?;
            Ok(spans.iter().find(|stored| stored.span.span_id == span_id).map(detail))
        })
        .await;
    match result {
        Ok(None) => {
            not_found(format!("no span {} of trace {} is kept here", hex(&span_id), hex(&trace_id)))
        }
        Ok(Some(detail)) => answer(&headers, Ok(detail)),
        Err(error) => answer::<Json>(&headers, Err(error)),
    }
}

fn detail(stored: &StoredSpan<'_>) -> Json {
    let span = &stored.span;
    let events: Vec<Json> = span
        .events
        .iter()
        .map(|event| {
            json!({
                "time_ns": event.time_ns.to_string(),
                "offset_ns": i64::try_from(i128::from(event.time_ns) - i128::from(span.start_ns)).ok(),
                "name": event.name,
                "attributes": attributes(&event.attributes),
            })
        })
        .collect();
    let links: Vec<Json> = span
        .links
        .iter()
        .map(|link| {
            json!({
                "trace_id": hex(&link.trace_id),
                "span_id": hex(&link.span_id),
                "attributes": attributes(&link.attributes),
            })
        })
        .collect();
    let none = span.parent_span_id == [0; 8];
    json!({
        "trace_id": hex(&span.trace_id),
        "span_id": hex(&span.span_id),
        "parent_span_id": if none { String::new() } else { hex(&span.parent_span_id) },
        "name": span.name,
        "kind": span.kind as u8,
        "status": span.status as u8,
        "status_message": span.status_message,
        "start_ns": span.start_ns.to_string(),
        "end_ns": span.end_ns.to_string(),
        "duration_ns": scan::duration_ns(span),
        "trace_state": span.trace_state,
        "flags": span.flags,
        "service": scan::service_name(&stored.resource),
        "attributes": attributes(&span.attributes),
        "events": events,
        "links": links,
        "resource": attributes(&stored.resource.attributes),
        "scope": {
            "name": stored.scope.name,
            "version": stored.scope.version,
            "attributes": attributes(&stored.scope.attributes),
        },
        "dropped": {
            "attributes": span.dropped_attributes,
            "events": span.dropped_events,
            "links": span.dropped_links,
        },
    })
}

fn attributes(list: &[Attribute<'_>]) -> Vec<Json> {
    let row = |a: &Attribute<'_>| json!({ "key": a.key, "value": plain(&a.value, DEPTH_MAX) });
    list.iter().map(row).collect()
}

/// A value as JSON. Integers past 2^53 and doubles JSON cannot write become text.
fn plain(value: &Value<'_>, depth: usize) -> Json {
    const EXACT_MAX: u64 = 1 << 53;
    match value {
        Value::Empty => Json::Null,
        Value::Str(text) => json!(text),
        Value::Bool(bool) => json!(bool),
        Value::Int(int) if int.unsigned_abs() > EXACT_MAX => json!(int.to_string()),
        Value::Int(int) => json!(int),
        Value::Double(double) if double.is_finite() => json!(double),
        Value::Double(double) => json!(double.to_string()),
        Value::Array(_) | Value::Map(_) if depth == 0 => json!(value.as_text()),
        Value::Array(list) => list.iter().map(|item| plain(item, depth - 1)).collect(),
        Value::Map(list) => {
            let pair = |a: &Attribute<'_>| (a.key.clone().into_owned(), plain(&a.value, depth - 1));
            Json::Object(list.iter().map(pair).collect())
        }
        Value::Bytes(_) => json!(value.as_text()),
    }
}

#[derive(Debug, Serialize)]
struct Logs {
    rows: Vec<Row>,
    partial: String,
}

#[derive(Debug, Serialize)]
struct Row {
    time_ns: String,
    level: &'static str,
    service: String,
    line: String,
    trace_id: String,
    span_id: String,
    labels: serde_json::Map<String, Json>,
}

pub(super) async fn logs(
    State(state): State<Arc<AppState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(trace_id) = read_id::<16>(&id) else { return bad_id(&id) };
    let result = state
        .ask(Api::Ui, None, move |snapshot, limits| {
            let logs = snapshot.trace_logs(trace_id, limits.tally)?;
            let partial = if logs.len() > LOGS_MAX {
                format!("the first {LOGS_MAX} of {} records", logs.len())
            } else {
                String::new()
            };
            Ok::<_, Error>(Logs { rows: logs.iter().take(LOGS_MAX).map(row).collect(), partial })
        })
        .await;
    answer(&headers, result)
}

fn row(log: &StoredLog<'_>) -> Row {
    let record = &log.record;
    let mut labels = serde_json::Map::new();
    for (name, value) in log.stream.iter() {
        labels.insert(name.to_owned(), json!(value));
    }
    for attribute in &record.attributes {
        labels.insert(attribute.key.clone().into_owned(), json!(attribute.value.as_text()));
    }
    Row {
        time_ns: record.time_ns.to_string(),
        level: level(record.severity),
        service: scan::service_name(&log.resource).to_owned(),
        line: record.body.as_text().into_owned(),
        trace_id: hex(&record.trace_id),
        span_id: hex(&record.span_id),
        labels,
    }
}

/// OTLP's severity numbers come in fours.
fn level(severity: u8) -> &'static str {
    match severity {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=24 => "error",
        _ => "",
    }
}

/// Hexadecimal digits of an id of N bytes; shorter ones are padded in front, as Jaeger does.
fn read_id<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.is_empty() || text.len() > 2 * N || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let padded = format!("{text:0>width$}", width = 2 * N);
    let mut id = [0; N];
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&padded[2 * at..2 * at + 2], 16).ok()?;
    }
    (id != [0; N]).then_some(id)
}

fn bad_id(text: &str) -> Response {
    let message =
        format!("`{}` is not an id: hexadecimal digits, not all zero", text.escape_debug());
    super::refuse(&Error::bad(0..0, message))
}

#[cfg(test)]
mod tests {
    use super::read_id;

    #[test]
    fn ids_are_padded_and_nonsense_is_refused() {
        assert_eq!(read_id::<2>("a1"), Some([0, 0xa1]));
        assert_eq!(read_id::<2>("A1b2"), Some([0xa1, 0xb2]));
        for bad in ["", "0000", "a1b2c", "xy", "+1", "é"] {
            assert_eq!(read_id::<2>(bad), None, "{bad}");
        }
    }
}
