//! Series made from spans.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value as Json, json};
use trefoil_query::traceql::{self, Exemplar, MetricsAnswer, MetricsParams, Series, Value};

use super::params::Params;
use super::{Answered, Refused, hex, json_answer, key_value, parse};
use crate::api::{Api, AppState};

/// How far back a query looks if the request does not say.
const HOUR_NS: i64 = 3_600_000_000_000;
/// Exemplars in an answer if the request does not say, and at most.
const EXEMPLARS: usize = 100;

/// `metrics/query_range`
pub(super) async fn range(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let query = query(&params)?;
    let (start_ns, end_ns) = times(&params, state.clock.now_ns())?;
    let step_ns = match params.get("step").map(str::parse::<f64>) {
        // A bare number is seconds, as Prometheus takes it.
        Some(Ok(seconds)) if seconds > 0.0 && seconds < 1e9 => (seconds * 1e9) as i64,
        Some(Ok(_)) => return Err(Refused::bad("invalid step: must be longer than nothing")),
        _ => params
            .duration_ns("step")?
            .unwrap_or_else(|| traceql::default_step_ns(start_ns, end_ns)),
    };
    let exemplars = params.get("exemplars").map_or(Ok(0), |_| params.count("exemplars", 0))?;
    let params = MetricsParams { start_ns, end_ns, step_ns, exemplars: exemplars.min(EXEMPLARS) };
    let answer = state
        .ask(Api::Tempo, None, move |snapshot, limits| {
            traceql::metrics_range(snapshot, &query, &params, limits)
        })
        .await
        .map_err(|e| Refused::query(&e, ""))?;
    let series: Vec<Json> = answer.series.iter().map(|s| range_json(s, &answer.times_ms)).collect();
    Ok(json_answer(&answer_json(series, &answer)))
}

/// `metrics/query`
pub(super) async fn instant(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let query = query(&params)?;
    let (start_ns, end_ns) = times(&params, state.clock.now_ns())?;
    let answer = state
        .ask(Api::Tempo, None, move |snapshot, limits| {
            traceql::metrics_instant(snapshot, &query, start_ns, end_ns, limits)
        })
        .await
        .map_err(|e| Refused::query(&e, ""))?;
    let series: Vec<Json> = answer.series.iter().map(instant_json).collect();
    Ok(json_answer(&answer_json(series, &answer)))
}

/// The query is `q`; Grafana's older versions say `query`.
fn query(params: &Params) -> Result<traceql::ast::Query, Refused> {
    let text = params.get("q").or_else(|| params.get("query"));
    parse(text.ok_or_else(|| Refused::bad("the parameter q is missing"))?)
}

fn times(params: &Params, now_ns: i64) -> Result<(i64, i64), Refused> {
    let end = params.time_ns("end")?.unwrap_or(now_ns);
    let since = params.duration_ns("since")?.unwrap_or(HOUR_NS);
    let start = params.time_ns("start")?.unwrap_or_else(|| end.saturating_sub(since));
    if start >= end {
        return Err(Refused::bad("http parameter start must be before end"));
    }
    Ok((start, end))
}

fn answer_json(series: Vec<Json>, answer: &MetricsAnswer) -> Json {
    let mut out = Map::new();
    out.insert("series".to_owned(), Json::Array(series));
    let metrics = json!({
        "inspectedSpans": answer.inspected_spans.to_string(),
        "inspectedBytes": answer.inspected_bytes.to_string(),
    });
    out.insert("metrics".to_owned(), metrics);
    if let Some(why) = &answer.partial {
        out.insert("status".to_owned(), json!("PARTIAL"));
        out.insert("message".to_owned(), json!(why));
    }
    Json::Object(out)
}

fn range_json(series: &Series, times_ms: &[i64]) -> Json {
    let points = series.values.iter().zip(times_ms).filter(|(value, _)| value.is_finite());
    let samples: Vec<Json> = points
        .map(|(value, time)| json!({ "timestampMs": time.to_string(), "value": value }))
        .collect();
    let mut out = labelled(series);
    out.insert("samples".to_owned(), Json::Array(samples));
    if !series.exemplars.is_empty() {
        let exemplars = series.exemplars.iter().map(|e| exemplar_json(e, series, times_ms));
        out.insert("exemplars".to_owned(), exemplars.collect());
    }
    Json::Object(out)
}

fn instant_json(series: &Series) -> Json {
    let mut out = labelled(series);
    out.insert("value".to_owned(), json!(series.values.first().filter(|v| v.is_finite())));
    Json::Object(out)
}

fn labelled(series: &Series) -> Map<String, Json> {
    let mut out = Map::new();
    out.insert("labels".to_owned(), series.labels.iter().map(key_value).collect());
    out.insert("promLabels".to_owned(), json!(prometheus_labels(series)));
    out
}

/// Where spans are only counted, an exemplar stands at the height of its series.
fn exemplar_json(exemplar: &Exemplar, series: &Series, times_ms: &[i64]) -> Json {
    let interval = times_ms.partition_point(|time| *time < exemplar.time_ms);
    let value =
        exemplar.value.or_else(|| series.values.get(interval).copied()).filter(|v| v.is_finite());
    let label = |key: &str, id: &[u8]| json!({ "key": key, "value": { "stringValue": hex(id) } });
    json!({
        "labels": [label("trace:id", &exemplar.trace_id), label("span:id", &exemplar.span_id)],
        "value": value.unwrap_or(0.0),
        "timestampMs": exemplar.time_ms.to_string(),
    })
}

/// `{a="b"}`: how clients of Prometheus read labels. Missing and empty values have words.
fn prometheus_labels(series: &Series) -> String {
    let mut pairs: Vec<(&str, String)> = series
        .labels
        .iter()
        .map(|(name, value)| {
            let text = match value {
                Value::Nil => "<nil>".to_owned(),
                Value::Text(text) if text.is_empty() => "<empty>".to_owned(),
                Value::Int(v) => format!("int({v})"),
                other => other.text(),
            };
            (name.as_str(), text)
        })
        .collect();
    pairs.sort_unstable();
    let mut out = "{".to_owned();
    for (i, (name, text)) in pairs.iter().enumerate() {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let name = if plain { (*name).to_owned() } else { format!("{name:?}") };
        let _ = write!(out, "{}{name}={text:?}", if i > 0 { ", " } else { "" });
    }
    out.push('}');
    out
}
