//! `labels`, `label/{name}/values` and `series`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use trefoil_query::logql;
use trefoil_store::{Labels, Matcher, TimeRange};

use super::params::{HOUR_NS, Params};
use super::write::string;
use super::{Answered, Refused, json};
use crate::api::{Api, AppState};

/// How far back these look if the request does not say.
const DEFAULT_NS: i64 = 6 * HOUR_NS;

/// How many selectors one request may have.
const SELECTORS_MAX: usize = 100;

/// Names of the labels of matching streams.
pub(super) async fn names(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let streams = streams(&state, &params, &["query"]).await?;
    let names: BTreeSet<&str> =
        streams.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
    Ok(success(&names))
}

/// Values of one label of matching streams.
pub(super) async fn values(
    State(state): State<Arc<AppState>>,
    Path(name): Path<String>,
    params: Params,
) -> Answered {
    let streams = streams(&state, &params, &["query"]).await?;
    let values: BTreeSet<&str> = streams.iter().filter_map(|labels| labels.get(&name)).collect();
    Ok(success(&values))
}

/// The label sets of matching streams.
pub(super) async fn series(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let streams = streams(&state, &params, &["match[]", "match"]).await?;
    let mut out = br#"{"status":"success","data":["#.to_vec();
    for (i, labels) in streams.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        object(&mut out, labels);
    }
    out.extend_from_slice(b"]}");
    Ok(json(out))
}

fn object(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        string(out, value);
    }
    out.push(b'}');
}

fn success(values: &BTreeSet<&str>) -> axum::response::Response {
    json(serde_json::json!({"status": "success", "data": values}).to_string())
}

/// The streams that match any of the selectors under these names; all, if there is none.
async fn streams(
    state: &AppState,
    params: &Params,
    selectors: &[&str],
) -> Result<BTreeSet<Labels>, Refused> {
    let (start_ns, end_ns) = params.range(state.clock.now_ns(), DEFAULT_NS)?;
    let mut wanted: Vec<Vec<Matcher>> = Vec::new();
    for text in selectors.iter().flat_map(|name| params.all(name)) {
        // `{}` stands for everything here, unlike in a query.
        if !text.trim().is_empty() && text.trim() != "{}" {
            wanted.push(logql::parse_selector(text).map_err(|e| Refused::query(&e, text))?);
        }
    }
    if wanted.len() > SELECTORS_MAX {
        return Err(Refused::bad(format!("more than {SELECTORS_MAX} selectors in one request")));
    }
    if wanted.is_empty() {
        wanted.push(Vec::new());
    }
    let range = TimeRange { start_ns, end_ns };
    let asked = state.ask(Api::Loki, params.timeout()?, move |snapshot, limits| {
        let mut found = BTreeSet::new();
        for matchers in &wanted {
            found.extend(snapshot.streams(matchers, range, limits.tally)?);
        }
        Ok(found)
    });
    asked.await.map_err(|e| Refused::query(&e, ""))
}
