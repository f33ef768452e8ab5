//! Traces that match a query.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value as Json, json};
use trefoil_query::traceql::{
    self, SearchAnswer, SearchParams, SpanSummary, SpansetSummary, TraceSummary,
};

use super::params::Params;
use super::{Answered, Refused, hex, json_answer, key_value, parse};
use crate::api::{Api, AppState};

/// Traces in an answer if the request does not say.
const LIMIT: usize = 20;
/// Spans in a spanset if the request does not say.
const SPANS_PER_SPANSET: usize = 3;
/// What Tempo shows for a trace whose root span has not arrived.
const NO_ROOT: &str = "<root span not yet received>";

/// `search`
pub(super) async fn search(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let query = match params.get("q") {
        Some(text) => parse(text)?,
        None => parse(&from_tags(&params)?)?,
    };
    let range = params.range()?;
    let params = SearchParams {
        start_ns: range.start_ns,
        end_ns: range.end_ns,
        limit: params.count("limit", LIMIT)?,
        spans_per_spanset: params.count("spss", SPANS_PER_SPANSET)?,
    };
    let answer = state
        .ask(Api::Tempo, None, move |snapshot, limits| {
            traceql::search(snapshot, &query, &params, limits)
        })
        .await
        .map_err(|e| Refused::query(&e, ""))?;
    Ok(json_answer(&answer_json(&answer)))
}

/// `tags`, `minDuration` and `maxDuration` as TraceQL. Each tag may be on any span of the
/// trace, and its value is a part of the text in any case. Source: Tempo, "Search".
fn from_tags(params: &Params) -> Result<String, Refused> {
    let mut spansets = Vec::new();
    for (key, value) in logfmt(params.get("tags").unwrap_or(""))? {
        spansets.push(format!("{{ {} }}", tag_condition(&key, &value)?));
    }
    let mut durations = Vec::new();
    for (name, op) in [("minDuration", ">="), ("maxDuration", "<=")] {
        if let Some(ns) = params.duration_ns(name)? {
            durations.push(format!("traceDuration {op} {ns}ns"));
        }
    }
    if !durations.is_empty() {
        spansets.push(format!("{{ {} }}", durations.join(" && ")));
    }
    Ok(if spansets.is_empty() { "{ }".to_owned() } else { spansets.join(" && ") })
}

fn tag_condition(key: &str, value: &str) -> Result<String, Refused> {
    let field = match key {
        "name" | "statusMessage" => key.to_owned(),
        "root.name" => "rootName".to_owned(),
        "root.service.name" => "rootServiceName".to_owned(),
        "service.name" => "resource.service.name".to_owned(),
        "error" | "status" | "status.code" | "kind" | "span.kind" => {
            let key = if key == "status.code" { "status" } else { key };
            let plain = format!("{key}={value:?}");
            let query =
                traceql::plain::translate(&plain).map_err(|e| Refused::query(&e, &plain))?;
            return Ok(query.trim_matches(['{', '}', ' ']).to_owned());
        }
        _ => format!(".\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    let escaped = literal_pattern(value).replace('\\', "\\\\").replace('"', "\\\"");
    let part = format!("{field} =~ \"(?i).*{escaped}.*\"");
    let typed = value.parse::<f64>().is_ok_and(f64::is_finite) || matches!(value, "true" | "false");
    Ok(if typed { format!("{part} || {field} = {value}") } else { part })
}

/// A pattern that matches just this text.
fn literal_pattern(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$#&-~/".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// `key=value key="a value"`.
fn logfmt(text: &str) -> Result<Vec<(String, String)>, Refused> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let bad = || Refused::bad(format!("invalid tags: expected key=value at {rest:?}"));
        let (key, after) = rest.split_once('=').ok_or_else(bad)?;
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(bad());
        }
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or_else(bad)?,
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        out.push((key.to_owned(), value));
        rest = tail.trim_start();
    }
    Ok(out)
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => out.push(chars.next()?.1),
            _ => out.push(c),
        }
    }
    None
}

fn answer_json(answer: &SearchAnswer) -> Json {
    let traces: Vec<Json> = answer.traces.iter().map(trace_json).collect();
    let mut out = Map::new();
    out.insert("traces".to_owned(), Json::Array(traces));
    out.insert(
        "metrics".to_owned(),
        json!({
            "inspectedTraces": answer.inspected_traces,
            "inspectedSpans": answer.inspected_spans.to_string(),
            "inspectedBytes": answer.inspected_bytes.to_string(),
            "completedJobs": 1,
            "totalJobs": 1,
        }),
    );
    if let Some(why) = &answer.partial {
        out.insert("status".to_owned(), json!("PARTIAL"));
        out.insert("message".to_owned(), json!(why));
    }
    Json::Object(out)
}

fn trace_json(trace: &TraceSummary) -> Json {
    let stats: Map<String, Json> = trace
        .services
        .iter()
        .map(|(name, stats)| {
            let mut out = json!({ "spanCount": stats.spans });
            if stats.errors > 0 {
                out["errorCount"] = json!(stats.errors);
            }
            (name.clone(), out)
        })
        .collect();
    let sets: Vec<Json> = trace.spansets.iter().map(spanset_json).collect();
    json!({
        // Without leading zeros, as Tempo writes them here.
        "traceID": hex(&trace.trace_id).trim_start_matches('0'),
        "rootServiceName": trace.root_service.as_deref().unwrap_or(NO_ROOT),
        "rootTraceName": trace.root_name.as_deref().unwrap_or(""),
        "startTimeUnixNano": trace.start_ns.to_string(),
        "durationMs": trace.duration_ns / 1_000_000,
        // The first spanset once more: where clients before `spanSets` look.
        "spanSet": sets.first(),
        "spanSets": sets,
        "serviceStats": stats,
    })
}

fn spanset_json(set: &SpansetSummary) -> Json {
    let mut out = Map::new();
    out.insert("spans".to_owned(), set.spans.iter().map(span_json).collect());
    out.insert("matched".to_owned(), json!(set.matched));
    if !set.attributes.is_empty() {
        out.insert("attributes".to_owned(), set.attributes.iter().map(key_value).collect());
    }
    Json::Object(out)
}

fn span_json(span: &SpanSummary) -> Json {
    let mut out = Map::new();
    out.insert("spanID".to_owned(), json!(hex(&span.span_id)));
    out.insert("name".to_owned(), json!(span.name));
    out.insert("startTimeUnixNano".to_owned(), json!(span.start_ns.to_string()));
    out.insert("durationNanos".to_owned(), json!(span.duration_ns.to_string()));
    if !span.attributes.is_empty() {
        out.insert("attributes".to_owned(), span.attributes.iter().map(key_value).collect());
    }
    Json::Object(out)
}
