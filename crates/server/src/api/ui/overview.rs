//! The overview: services, how they do against the window before, and what goes wrong.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use trefoil_query::{Error, Limits};
use trefoil_store::model::{Span, StatusCode, StoredLog, StoredSpan, Value};
use trefoil_store::{LogScan, Order, Snapshot, SpanFilter, TimeRange};

use super::histogram::Durations;
use super::scan::{self, Budget, Services};
use super::{Window, answer, hex, ms};
use crate::api::{Api, AppState};

/// Points of a sparkline.
const SPARK: usize = 60;
/// Different errors kept while counting, and those that are sent.
const ERRORS_MAX: usize = 2000;
const ERRORS_SENT: usize = 40;
/// How much of a message tells one error from another, in characters.
const MESSAGE_MAX: usize = 300;
/// OTLP's first severity number of "error".
const SEVERITY_ERROR: u8 = 17;

#[derive(Debug, Serialize)]
pub(super) struct Overview {
    from_ms: i64,
    to_ms: i64,
    services: Vec<Service>,
    errors: Vec<ErrorRow>,
    partial: String,
}

#[derive(Debug, Default, Serialize)]
struct Service {
    name: String,
    color: usize,
    requests: u64,
    errors: u64,
    p50_ns: u64,
    p95_ns: u64,
    prev: Before,
    spark: Vec<u32>,
    spark_errors: Vec<u32>,
    last_seen_ms: i64,
}

#[derive(Debug, Default, Serialize)]
struct Before {
    requests: u64,
    errors: u64,
    p95_ns: u64,
}

#[derive(Clone, Debug, Serialize)]
struct ErrorRow {
    service: String,
    color: usize,
    message: String,
    source: &'static str,
    count: u64,
    first_ms: i64,
    last_ms: i64,
    trace_id: String,
    span_id: String,
    fresh: bool,
}

pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    window: Window,
    headers: HeaderMap,
) -> Response {
    let asked = Arc::clone(&state);
    let result = state
        .ask(Api::Ui, None, move |snapshot, limits| {
            let mut overview = build(snapshot, limits, window)?;
            for service in &mut overview.services {
                service.color = asked.colors.place(&service.name);
            }
            for error in &mut overview.errors {
                error.color = asked.colors.place(&error.service);
            }
            Ok(overview)
        })
        .await;
    answer(&headers, result)
}

/// What is counted of one service.
#[derive(Debug)]
struct Counts {
    now: Durations,
    before: Durations,
    row: Service,
}

fn build(snapshot: &Snapshot, limits: &Limits<'_>, window: Window) -> Result<Overview, Error> {
    let mut budget = Budget::new();
    let mut services = Services::default();
    let mut counts: Vec<Counts> = Vec::new();
    let mut errors = Errors::new(window);
    let from_ms = window.from_ms - window.width_ms();
    let both = Window { from_ms, ..window };
    scan::spans(
        snapshot,
        both.range(),
        &SpanFilter::All,
        limits.tally,
        &mut budget,
        &mut |stored| {
            let number = services.number(&stored.resource);
            while counts.len() < services.names.len() {
                counts.push(Counts::new());
            }
            if scan::is_entry(&stored.span) {
                counts[number].add(&stored.span, window);
            }
            if stored.span.status == StatusCode::Error {
                errors.span(&services.names[number], stored);
            }
        },
    )?;
    error_logs(snapshot, limits, both.range(), &mut errors, &mut budget)?;
    let rows = counts.into_iter().zip(&services.names).map(|(counts, name)| counts.row(name));
    Ok(Overview {
        from_ms: window.from_ms,
        to_ms: window.to_ms,
        services: rows.filter(|row| row.requests > 0 || row.prev.requests > 0).collect(),
        errors: errors.worst(),
        partial: budget.finish(limits.tally),
    })
}

fn error_logs(
    snapshot: &Snapshot,
    limits: &Limits<'_>,
    range: TimeRange,
    errors: &mut Errors,
    budget: &mut Budget,
) -> Result<(), Error> {
    if !budget.partial.is_empty() {
        return Ok(());
    }
    let scan = LogScan { streams: &[], range, lines: &[], order: Order::Any };
    snapshot.logs(&scan, limits.tally, &mut |log| {
        if log.record.severity >= SEVERITY_ERROR {
            errors.log(log);
        }
        match budget.step("spans and log records") {
            ControlFlow::Break(()) => ControlFlow::Break(()),
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
        }
    })?;
    Ok(())
}

impl Counts {
    fn new() -> Self {
        let row =
            Service { spark: vec![0; SPARK], spark_errors: vec![0; SPARK], ..Service::default() };
        Counts { now: Durations::default(), before: Durations::default(), row }
    }

    fn add(&mut self, span: &Span<'_>, window: Window) {
        let at_ms = ms(span.start_ns);
        let failed = span.status == StatusCode::Error;
        let row = &mut self.row;
        row.last_seen_ms = row.last_seen_ms.max(at_ms);
        if at_ms < window.from_ms {
            row.prev.requests += 1;
            row.prev.errors += u64::from(failed);
            self.before.add(scan::duration_ns(span));
            return;
        }
        row.requests += 1;
        row.errors += u64::from(failed);
        self.now.add(scan::duration_ns(span));
        let share = (at_ms - window.from_ms) as f64 / window.width_ms() as f64;
        let bucket = ((share * SPARK as f64) as usize).min(SPARK - 1);
        row.spark[bucket] += 1;
        row.spark_errors[bucket] += u32::from(failed);
    }

    fn row(self, name: &str) -> Service {
        let mut row = self.row;
        name.clone_into(&mut row.name);
        row.p50_ns = self.now.quantile_or_zero(0.5);
        row.p95_ns = self.now.quantile_or_zero(0.95);
        row.prev.p95_ns = self.before.quantile_or_zero(0.95);
        row
    }
}

/// Errors by service and message, numbers in the message aside.
#[derive(Debug)]
struct Errors {
    window: Window,
    rows: HashMap<(String, String), ErrorRow>,
    /// Failed spans without a message, by service: shown if nothing better is known.
    mute: HashMap<String, ErrorRow>,
}

impl Errors {
    fn new(window: Window) -> Self {
        Errors { window, rows: HashMap::new(), mute: HashMap::new() }
    }

    fn span(&mut self, service: &str, stored: &StoredSpan<'_>) {
        let span = &stored.span;
        let row = |message: &str| ErrorRow {
            service: service.to_owned(),
            color: 0,
            message: message.chars().take(MESSAGE_MAX).collect(),
            source: "span",
            count: 0,
            first_ms: i64::MAX,
            last_ms: i64::MIN,
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            fresh: true,
        };
        match message(span) {
            Some(text) => self.add(ms(span.start_ns), row(text)),
            None if scan::is_entry(span) => {
                let text = format!("{} failed", span.name);
                let entry = self.mute.entry(service.to_owned()).or_insert_with(|| row(&text));
                count(entry, &row(&text), ms(span.start_ns), self.window);
            }
            None => {}
        }
    }

    fn log(&mut self, log: &StoredLog<'_>) {
        let record = &log.record;
        let text = record.body.as_text();
        let none = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        let id = |bytes: &[u8]| if none(bytes) { String::new() } else { hex(bytes) };
        let row = ErrorRow {
            service: scan::service_name(&log.resource).to_owned(),
            color: 0,
            message: said(text.lines().next().unwrap_or("")).chars().take(MESSAGE_MAX).collect(),
            source: "log",
            count: 0,
            first_ms: i64::MAX,
            last_ms: i64::MIN,
            trace_id: id(&record.trace_id),
            span_id: id(&record.span_id),
            fresh: true,
        };
        self.add(ms(record.time_ns), row);
    }

    fn add(&mut self, at_ms: i64, row: ErrorRow) {
        let key = (row.service.clone(), fingerprint(&row.message));
        if self.rows.len() >= ERRORS_MAX && !self.rows.contains_key(&key) {
            return;
        }
        let known = self.rows.entry(key).or_insert_with(|| row.clone());
        count(known, &row, at_ms, self.window);
    }

    /// New ones first, then by how often, then by how recent.
    fn worst(self) -> Vec<ErrorRow> {
        let spoken: Vec<ErrorRow> = self.rows.into_values().collect();
        let silent = self.mute.into_values();
        let silent: Vec<ErrorRow> =
            silent.filter(|row| spoken.iter().all(|other| other.service != row.service)).collect();
        let mut all: Vec<ErrorRow> = spoken.into_iter().chain(silent).collect();
        all.retain(|row| row.count > 0);
        all.sort_by(|a, b| {
            let by = (b.fresh, b.count, b.last_ms).cmp(&(a.fresh, a.count, a.last_ms));
            by.then_with(|| a.message.cmp(&b.message))
        });
        all.truncate(ERRORS_SENT);
        all
    }
}

/// Counts one more of an error; in the window before it only makes the error an old one.
fn count(known: &mut ErrorRow, row: &ErrorRow, at_ms: i64, window: Window) {
    if at_ms < window.from_ms {
        known.fresh = false;
        return;
    }
    known.count += 1;
    known.first_ms = known.first_ms.min(at_ms);
    if at_ms >= known.last_ms {
        known.last_ms = at_ms;
        known.message.clone_from(&row.message);
        known.trace_id.clone_from(&row.trace_id);
        known.span_id.clone_from(&row.span_id);
    }
}

/// What a failed span says: its status message, or that of the exception it recorded.
fn message<'s>(span: &'s Span<'_>) -> Option<&'s str> {
    if !span.status_message.is_empty() {
        return Some(&span.status_message);
    }
    span.events.iter().rev().find_map(|event| {
        let text = event.attributes.iter().find(|a| a.key == "exception.message")?;
        match &text.value {
            Value::Str(text) if !text.is_empty() => Some(&**text),
            _ => None,
        }
    })
}

/// What a structured line says, without its other fields: the message of a JSON object or of
/// `key=value` pairs, with the error that goes with it. Any other line as it is.
fn said(line: &str) -> String {
    const MESSAGES: [&str; 3] = ["msg", "message", "event"];
    const ERRORS: [&str; 3] = ["error", "err", "reason"];
    let object: Option<serde_json::Map<String, serde_json::Value>> =
        line.starts_with('{').then(|| serde_json::from_str(line).ok()).flatten();
    let find = |names: &[&str]| match &object {
        Some(object) => names.iter().find_map(|name| Some(object.get(*name)?.as_str()?.to_owned())),
        None => names.iter().find_map(|name| pair(line, name)),
    };
    match (find(&MESSAGES), find(&ERRORS)) {
        (Some(message), Some(error)) => format!("{message}: {error}"),
        (Some(message), None) => message,
        _ => line.to_owned(),
    }
}

/// The value of `name=value` or `name="value"` in a line.
fn pair(line: &str, name: &str) -> Option<String> {
    let starts = |at: usize| at == 0 || line.as_bytes().get(at - 1) == Some(&b' ');
    let (at, _) = line.match_indices(name).find(|(at, _)| {
        starts(*at) && line.get(at + name.len()..).is_some_and(|rest| rest.starts_with('='))
    })?;
    let rest = line.get(at + name.len() + 1..)?;
    match rest.strip_prefix('"') {
        Some(quoted) => Some(quoted.split_once('"')?.0.to_owned()),
        None => rest.split(' ').next().map(str::to_owned),
    }
}

/// The message with every word that has a digit in it (ids, times, counts) made one sign.
fn fingerprint(message: &str) -> String {
    let word = |word: &str| {
        if word.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() }
    };
    message.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{fingerprint, said};

    #[test]
    fn structured_lines_are_shown_by_what_they_say() {
        for (line, want) in [
            ("plain words", "plain words"),
            (r#"{"ts":1,"level":"error","msg":"no card","error":"timeout"}"#, "no card: timeout"),
            (r#"level=error msg="upstream call failed" err=EOF"#, "upstream call failed: EOF"),
            (r#"{"broken"#, r#"{"broken"#),
            (r#"xmsg="no" msg="open"#, r#"xmsg="no" msg="open"#),
        ] {
            assert_eq!(said(line), want);
        }
    }

    #[test]
    fn messages_that_differ_by_numbers_are_one_error() {
        assert_eq!(fingerprint("order 17 failed"), fingerprint("order  9 failed"));
        assert_ne!(fingerprint("order 17 failed"), fingerprint("order 17 declined"));
    }
}
