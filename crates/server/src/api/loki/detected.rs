//! `detected_labels`, `detected_fields` and `detected_field/{name}/values`: what Grafana's
//! Logs Drilldown offers to filter by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use trefoil_query::logql::{self, Data, Expr, detect};
use trefoil_store::TimeRange;

use super::index::values_by_label;
use super::params::{HOUR_NS, LINES_MAX, Params};
use super::{Answered, Refused, json};
use crate::api::{Api, AppState};

/// How many lines are looked at, and how many fields or values are shown, if the request
/// does not say.
const LOOK: usize = 1000;

/// The labels of matching streams that are worth filtering by, with how many values each has.
pub(super) async fn labels(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let (start_ns, end_ns) = params.range(state.clock.now_ns(), HOUR_NS)?;
    let matchers = match params.get("query").map(str::trim) {
        None | Some("{}") => Vec::new(),
        Some(text) => logql::parse_selector(text).map_err(|e| Refused::query(&e, text))?,
    };
    let range = TimeRange { start_ns, end_ns };
    let asked = state.ask(Api::Loki, params.timeout()?, move |snapshot, limits| {
        Ok(snapshot.streams(&matchers, range, limits.tally)?)
    });
    let streams = asked.await.map_err(|e| Refused::query(&e, ""))?;
    let found: Vec<_> = values_by_label(&streams)
        .into_iter()
        .filter(|(_, values)| !values.iter().all(|value| is_id(value)))
        .map(|(label, values)| serde_json::json!({"label": label, "cardinality": values.len()}))
        .collect();
    Ok(json(serde_json::json!({"detectedLabels": found}).to_string()))
}

/// Numbers and UUIDs tell single things apart; nobody chooses among them.
fn is_id(value: &str) -> bool {
    let uuid = value.len() == 36
        && value.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    uuid || value.parse::<f64>().is_ok()
}

/// A field with what was seen of it.
#[derive(Default)]
struct Seen {
    values: BTreeSet<String>,
    parsers: BTreeSet<&'static str>,
}

type Found = BTreeMap<String, Seen>;

async fn look(state: &AppState, params: &Params) -> Result<Found, Refused> {
    let (start_ns, end_ns) = params.range(state.clock.now_ns(), HOUR_NS)?;
    let text = params.query()?.to_owned();
    let expr = logql::parse(&text).map_err(|e| Refused::query(&e, &text))?;
    if !matches!(expr, Expr::Log(_)) {
        return Err(Refused::bad("only log selector is supported"));
    }
    let mut question = logql::Params::range(start_ns, end_ns, 0);
    question.limit = params.count("line_limit", LOOK)?.min(LINES_MAX);
    question.now_ns = state.clock.now_ns();
    let asked = state.ask(Api::Loki, params.timeout()?, move |snapshot, limits| {
        let parsers = detect::parsers(&expr);
        let mut found = Found::new();
        if let Data::Streams(entries) = logql::run(snapshot, &expr, &question, limits)?.data {
            for field in entries.iter().flat_map(|entry| detect::fields(entry, &parsers)) {
                let seen = found.entry(field.name).or_default();
                seen.values.insert(field.value);
                if field.parser.is_some() {
                    if parsers.is_empty() {
                        seen.parsers.extend(field.parser);
                    } else {
                        seen.parsers.extend(&parsers);
                    }
                }
            }
        }
        Ok(found)
    });
    asked.await.map_err(|e| Refused::query(&e, &text))
}

/// The kind of all values, or "string" if they differ.
fn kind(values: &BTreeSet<String>) -> &'static str {
    let mut kinds = values.iter().map(|value| detect::kind(value));
    let first = kinds.next().unwrap_or("string");
    if kinds.all(|kind| kind == first) { first } else { "string" }
}

/// The fields of matching lines.
pub(super) async fn fields(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let limit = params.count("limit", LOOK)?;
    let found = look(&state, &params).await?;
    let fields: Vec<_> = found
        .iter()
        .take(limit)
        .map(|(label, seen)| {
            serde_json::json!({
                "label": label,
                "type": kind(&seen.values),
                "cardinality": seen.values.len(),
                "parsers": seen.parsers,
            })
        })
        .collect();
    Ok(json(serde_json::json!({"fields": fields, "limit": limit}).to_string()))
}

/// The values of one field of matching lines.
pub(super) async fn values(
    State(state): State<Arc<AppState>>,
    Path(name): Path<String>,
    params: Params,
) -> Answered {
    let limit = params.count("limit", LOOK)?;
    let found = look(&state, &params).await?;
    let values: Vec<_> =
        found.get(&name).into_iter().flat_map(|seen| &seen.values).take(limit).collect();
    Ok(json(serde_json::json!({"values": values, "limit": limit}).to_string()))
}
