//! What there is to ask for: series, label names and values, metadata, exemplars.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use trefoil_query::promql;
use trefoil_store::model::{Metadata, MetricKind};
use trefoil_store::{Labels, Matcher};

use super::envelope::{Failure, Reply, Success};
use super::json;
use super::params::Params;
use crate::api::{Api, AppState};

const TRUNCATED: &str = "results truncated due to limit";

/// Label sets of the series that match any of the selectors.
pub(super) async fn series(State(state): State<Arc<AppState>>, params: Params) -> Reply {
    let selectors = params.selectors()?;
    if selectors.is_empty() {
        return Err(Failure::bad("no match[] parameter provided"));
    }
    let (range, limit) = (params.range()?, params.limit()?);
    let answer = state.ask(Api::Prometheus, params.timeout()?, move |snapshot, limits| {
        let mut found: BTreeSet<Labels> = BTreeSet::new();
        for matchers in &selectors {
            let series = snapshot.series(matchers, range, limits.tally)?;
            found.extend(series.into_iter().map(|one| one.labels));
        }
        let mut data = Vec::new();
        json::list(&mut data, found.iter().take(limit), json::labels);
        Ok(limited(data, found.len() > limit))
    });
    Ok(answer.await?)
}

/// Names of labels, of all series or of those that match.
pub(super) async fn labels(State(state): State<Arc<AppState>>, params: Params) -> Reply {
    let selectors = or_all(params.selectors()?);
    let (range, limit) = (params.range()?, params.limit()?);
    let answer = state.ask(Api::Prometheus, params.timeout()?, move |snapshot, limits| {
        let mut found = BTreeSet::new();
        for matchers in &selectors {
            found.extend(snapshot.label_names(matchers, range, limits.tally)?);
        }
        Ok(texts(&found, limit))
    });
    Ok(answer.await?)
}

/// Values of one label, of all series or of those that match.
pub(super) async fn values(
    State(state): State<Arc<AppState>>,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    let name = unescape_name(&name);
    if name.is_empty() {
        return Err(Failure::bad("invalid label name: \"\""));
    }
    let selectors = or_all(params.selectors()?);
    let (range, limit) = (params.range()?, params.limit()?);
    let answer = state.ask(Api::Prometheus, params.timeout()?, move |snapshot, limits| {
        let mut found = BTreeSet::new();
        for matchers in &selectors {
            found.extend(snapshot.label_values(&name, matchers, range, limits.tally)?);
        }
        Ok(texts(&found, limit))
    });
    Ok(answer.await?)
}

fn or_all(selectors: Vec<Vec<Matcher>>) -> Vec<Vec<Matcher>> {
    if selectors.is_empty() { vec![Vec::new()] } else { selectors }
}

fn texts(found: &BTreeSet<String>, limit: usize) -> Success {
    let mut data = Vec::new();
    json::list(&mut data, found.iter().take(limit), |out, text| json::text(out, text));
    limited(data, found.len() > limit)
}

fn limited(data: Vec<u8>, truncated: bool) -> Success {
    let warnings = if truncated { vec![TRUNCATED.to_owned()] } else { Vec::new() };
    Success { data, warnings, ..Success::default() }
}

/// `U__my_2e_label` is `my.label`: how Prometheus writes names that do not fit a path.
fn unescape_name(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("U__") else {
        return name.to_owned();
    };
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('_') {
            out.push('_');
            rest = tail;
            continue;
        }
        let code = rest.split_once('_').and_then(|(hex, tail)| {
            let c = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
            Some((c, tail))
        });
        let Some((c, tail)) = code else {
            // Not an escape after all: the name is what it says.
            return name.to_owned();
        };
        out.push(c);
        rest = tail;
    }
    out + rest
}

/// Type, unit and description of metric families.
pub(super) async fn metadata(State(state): State<Arc<AppState>>, params: Params) -> Reply {
    let limit = params.limit()?;
    let only = params.get("metric").map(str::to_owned);
    let answer = state.ask(Api::Prometheus, None, move |snapshot, _| {
        let known = snapshot.metadata();
        let wanted = known.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
        let mut data = vec![b'{'];
        for (i, (name, known)) in wanted.take(limit).enumerate() {
            if i > 0 {
                data.push(b',');
            }
            json::text(&mut data, name);
            data.push(b':');
            one_metadata(&mut data, known);
        }
        data.push(b'}');
        Ok(Success::data(data))
    });
    Ok(answer.await?)
}

fn one_metadata(out: &mut Vec<u8>, known: &Metadata) {
    let kind = match known.kind {
        MetricKind::Unknown => "unknown",
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
        MetricKind::Summary => "summary",
    };
    out.extend_from_slice(b"[{");
    for (i, (name, value)) in
        [("type", kind), ("help", known.help.as_str()), ("unit", known.unit.as_str())]
            .into_iter()
            .enumerate()
    {
        if i > 0 {
            out.push(b',');
        }
        json::text(out, name);
        out.push(b':');
        json::text(out, value);
    }
    out.extend_from_slice(b"}]");
}

/// Exemplars of the series that an expression selects.
pub(super) async fn exemplars(State(state): State<Arc<AppState>>, params: Params) -> Reply {
    let text = params.get("query").unwrap_or("");
    let expr = promql::parse(text).map_err(|why| Failure::syntax("query", text, &why))?;
    let range = params.range()?;
    let answer = state.ask(Api::Prometheus, params.timeout()?, move |snapshot, limits| {
        let mut found = std::collections::BTreeMap::new();
        for matchers in expr.selectors() {
            for (series, exemplars) in snapshot.exemplars(matchers, range, limits.tally)? {
                found.insert(series.labels, exemplars);
            }
        }
        let mut data = Vec::new();
        json::list(&mut data, &found, |out, (labels, exemplars)| {
            out.extend_from_slice(br#"{"seriesLabels":"#);
            json::labels(out, labels);
            out.extend_from_slice(br#","exemplars":"#);
            json::list(out, exemplars, |out, exemplar| {
                out.extend_from_slice(br#"{"labels":"#);
                json::labels(out, &exemplar.labels);
                out.extend_from_slice(br#","value":"#);
                json::number(out, exemplar.value);
                out.extend_from_slice(br#","timestamp":"#);
                json::time(out, exemplar.time_ms);
                out.push(b'}');
            });
            out.push(b'}');
        });
        Ok(Success::data(data))
    });
    Ok(answer.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_label_names() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__service_2e_name", "service.name"),
            ("U__a__b", "a_b"),
            ("U__caf_e9_", "café"),
            ("U__broken_zz_x", "U__broken_zz_x"),
            ("U__open_2e", "U__open_2e"),
        ] {
            assert_eq!(unescape_name(escaped), name);
        }
    }
}
