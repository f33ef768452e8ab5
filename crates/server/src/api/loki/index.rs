//! `index/stats`, `index/volume` and `index/volume_range`: how much there is.
//!
//! Loki estimates these from its index; here they are counted, so they are exact.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::State;
use trefoil_query::logql::{self, LabelSet};
use trefoil_query::{Error, Limits};
use trefoil_store::{Labels, LogScan, Matcher, Order, Snapshot, TimeRange};

use super::params::{HOUR_NS, Params};
use super::write::{label_set, list, sample};
use super::{Answered, Refused, json};
use crate::api::{Api, AppState};

/// How many series an answer has if the request does not say.
const SERIES: usize = 100;

/// How many points of time `volume_range` may have, as in other range queries.
const STEPS_MAX: i64 = 11_000;

/// Lines and bytes of one stream.
#[derive(Clone, Copy, Default)]
struct Amount {
    lines: u64,
    bytes: u64,
}

/// How many streams, lines and bytes a selector resolves to.
pub(super) async fn stats(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let (start_ns, end_ns) = params.range(state.clock.now_ns(), HOUR_NS)?;
    let matchers = selector(&params)?;
    let range = TimeRange { start_ns, end_ns };
    let asked = state.ask(Api::Loki, params.timeout()?, move |snapshot, limits| {
        let mut streams: HashMap<Labels, Amount> = HashMap::new();
        count(snapshot, limits, &matchers, range, &mut |stream, _, bytes| {
            let amount = streams.entry(stream.clone()).or_default();
            amount.lines += 1;
            amount.bytes += bytes;
        })?;
        Ok(streams)
    });
    let streams = asked.await.map_err(|e| Refused::query(&e, ""))?;
    let body = serde_json::json!({
        "streams": streams.len(),
        "chunks": streams.len(),
        "entries": streams.values().map(|a| a.lines).sum::<u64>(),
        "bytes": streams.values().map(|a| a.bytes).sum::<u64>(),
    });
    Ok(json(body.to_string()))
}

/// The selector of the request; `{}` stands for everything.
fn selector(params: &Params) -> Result<Vec<Matcher>, Refused> {
    let text = params.query()?;
    if text.trim() == "{}" {
        return Ok(Vec::new());
    }
    logql::parse_selector(text).map_err(|e| Refused::query(&e, text))
}

fn count(
    snapshot: &Snapshot,
    limits: &Limits<'_>,
    matchers: &[Matcher],
    range: TimeRange,
    add: &mut dyn FnMut(&Labels, i64, u64),
) -> Result<(), Error> {
    let scan = LogScan { streams: matchers, range, lines: &[], order: Order::Any };
    snapshot.logs(&scan, limits.tally, &mut |log| {
        let time_ns = i64::try_from(log.record.time_ns).unwrap_or(i64::MAX);
        add(&log.stream, time_ns, log.record.body.as_text().len() as u64);
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// What volumes are added up by.
struct Aggregation {
    /// The labels that count; all that the selector names if the request has none.
    labels: Vec<String>,
    /// True for label names alone, without values.
    names_only: bool,
}

impl Aggregation {
    fn new(params: &Params, matchers: &[Matcher]) -> Result<Self, Refused> {
        let names_only = match params.get("aggregateBy") {
            None | Some("series") => false,
            Some("labels") => true,
            Some(other) => {
                let why = format!("invalid aggregateBy {other:?}: expected series or labels");
                return Err(Refused::bad(why));
            }
        };
        let mut labels: Vec<String> = match params.get("targetLabels") {
            Some(list) => list.split(',').map(|name| name.trim().to_owned()).collect(),
            None => matchers.iter().map(|matcher| matcher.name.clone()).collect(),
        };
        labels.retain(|label| !label.is_empty());
        Ok(Aggregation { labels, names_only })
    }

    /// The series that a stream's volume is added to.
    fn series(&self, stream: &Labels) -> Vec<LabelSet> {
        let wanted = |name: &str| self.labels.is_empty() || self.labels.iter().any(|l| l == name);
        let pairs = stream.iter().filter(|(name, _)| wanted(name));
        if self.names_only {
            return pairs.map(|(n, _)| LabelSet(vec![(n.to_owned(), String::new())])).collect();
        }
        let pairs: Vec<_> = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        // With targets given, a stream without any of them is not part of the answer.
        if pairs.is_empty() { Vec::new() } else { vec![LabelSet(pairs)] }
    }
}

type Volumes = Vec<(LabelSet, BTreeMap<i64, u64>)>;

/// Bytes per series and bucket, largest series first; a bucket is named by its end.
async fn volumes(
    state: &AppState,
    params: &Params,
    range: TimeRange,
    step_ns: i64,
) -> Result<Volumes, Refused> {
    let limit = params.count("limit", SERIES)?;
    let matchers = selector(params)?;
    let aggregation = Aggregation::new(params, &matchers)?;
    let asked = state.ask(Api::Loki, params.timeout()?, move |snapshot, limits| {
        let mut streams: HashMap<Labels, BTreeMap<i64, u64>> = HashMap::new();
        count(snapshot, limits, &matchers, range, &mut |stream, time_ns, bytes| {
            let bucket = time_ns.saturating_sub(range.start_ns) / step_ns;
            let end = range.start_ns.saturating_add((bucket + 1).saturating_mul(step_ns));
            let buckets = streams.entry(stream.clone()).or_default();
            *buckets.entry(end.min(range.end_ns)).or_default() += bytes;
        })?;
        let mut series: HashMap<LabelSet, BTreeMap<i64, u64>> = HashMap::new();
        for (stream, buckets) in streams {
            for labels in aggregation.series(&stream) {
                let total = series.entry(labels).or_default();
                buckets.iter().for_each(|(end, bytes)| *total.entry(*end).or_default() += bytes);
            }
        }
        let mut series: Volumes = series.into_iter().collect();
        let total = |buckets: &BTreeMap<i64, u64>| buckets.values().sum::<u64>();
        series.sort_by(|a, b| total(&b.1).cmp(&total(&a.1)).then_with(|| a.0.cmp(&b.0)));
        series.truncate(limit);
        Ok(series)
    });
    asked.await.map_err(|e| Refused::query(&e, ""))
}

/// Bytes per series over the whole range, as a vector.
pub(super) async fn volume(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let (start_ns, end_ns) = params.range(state.clock.now_ns(), HOUR_NS)?;
    let range = TimeRange { start_ns, end_ns };
    let volumes = volumes(&state, &params, range, i64::MAX).await?;
    let mut out = br#"{"status":"success","data":{"resultType":"vector","result":"#.to_vec();
    list(&mut out, &volumes, |out, (labels, buckets)| {
        out.extend_from_slice(br#"{"metric":"#);
        label_set(out, labels);
        out.extend_from_slice(br#","value":"#);
        sample(out, end_ns, buckets.values().sum::<u64>() as f64);
        out.push(b'}');
    });
    out.extend_from_slice(br#","stats":{}}}"#);
    Ok(json(out))
}

/// Bytes per series and step, as a matrix.
pub(super) async fn volume_range(State(state): State<Arc<AppState>>, params: Params) -> Answered {
    let (start_ns, end_ns) = params.range(state.clock.now_ns(), HOUR_NS)?;
    let step_ns = params.step(start_ns, end_ns)?;
    if end_ns.saturating_sub(start_ns) / step_ns > STEPS_MAX {
        return Err(Refused::bad(format!("more than {STEPS_MAX} steps; use a larger step")));
    }
    let range = TimeRange { start_ns, end_ns };
    let volumes = volumes(&state, &params, range, step_ns).await?;
    let mut out = br#"{"status":"success","data":{"resultType":"matrix","result":"#.to_vec();
    list(&mut out, &volumes, |out, (labels, buckets)| {
        out.extend_from_slice(br#"{"metric":"#);
        label_set(out, labels);
        out.extend_from_slice(br#","values":"#);
        let points: Vec<_> = buckets.iter().collect();
        list(out, &points, |out, (end, bytes)| sample(out, **end, **bytes as f64));
        out.push(b'}');
    });
    out.extend_from_slice(br#","stats":{}}}"#);
    Ok(json(out))
}

/// The values of every label of some streams.
pub(super) fn values_by_label(streams: &[Labels]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in streams.iter().flat_map(Labels::iter) {
        found.entry(name).or_default().insert(value);
    }
    found
}
