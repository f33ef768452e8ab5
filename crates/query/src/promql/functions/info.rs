//! `info(v, {…})`: labels of info metrics such as `target_info`, joined by `instance` and
//! `job`.
//!
//! Source: Prometheus documentation, `info`, and its conformance script.

use std::collections::{BTreeMap, HashMap};

use trefoil_store::{Labels, LabelsBuilder, MatchOp, Matcher};

use super::super::ast::{Call, Edge, Kind, Node, Selector, Shift};
use super::super::column::{Column, Series, Steps, is_present};
use super::super::eval::Evaluator;
use super::super::selector;
use crate::error::{Error, Result};

/// What tells which info series belongs to which series.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// A series of an info metric.
struct Info {
    name: String,
    labels: Labels,
    /// When its newest sample was, in seconds, per step.
    times: Vec<f64>,
}

/// The second argument, taken apart.
struct Wanted {
    /// Conditions on the info metric's name.
    names: Vec<Matcher>,
    /// Conditions on its labels; only these labels are joined, or all without any.
    data: Vec<Matcher>,
}

impl Wanted {
    fn of(arg: Option<&Node>) -> Wanted {
        let matchers: &[Matcher] = match arg.map(|arg| &arg.kind) {
            Some(Kind::Selector(selector)) => &selector.matchers,
            _ => &[],
        };
        let (mut names, data): (Vec<Matcher>, Vec<Matcher>) =
            matchers.iter().cloned().partition(|m| m.name == "__name__");
        if names.is_empty() {
            names.push(Matcher::equal("__name__", "target_info"));
        } else if names.iter().all(|m| matches!(m.op, MatchOp::NotEqual | MatchOp::NotRegex))
            && let Ok(any) = Matcher::new("__name__", MatchOp::Regex, ".+_info")
        {
            names.push(any);
        }
        Wanted { names, data }
    }

    fn includes(&self, label: &str) -> bool {
        label != "__name__" && (self.data.is_empty() || self.data.iter().any(|m| m.name == label))
    }

    /// Whether a series may stay as it is where it has no info series.
    fn optional(&self) -> bool {
        self.data.iter().all(|m| m.matches(""))
    }
}

/// Evaluates the call.
pub(super) fn info(ev: &mut Evaluator<'_>, call: &Call, steps: Steps) -> Result<Vec<Series>> {
    let wanted = Wanted::of(call.args.get(1));
    let base = ev.vector(&call.args[0], steps)?;
    let refs = reference_times(ev, &call.args[0], steps)?;
    let infos = fetch_infos(ev, &wanted, refs)?;
    let mut out = Vec::new();
    let mut known: HashMap<Labels, usize> = HashMap::new();
    for one in base {
        ev.check()?;
        let name = one.labels.metric_name().unwrap_or("");
        let is_info = wanted.names.iter().all(|m| m.matches(name));
        if is_info {
            push(ev, &mut out, &mut known, one)?;
            continue;
        }
        let candidates = identity(&one.labels).and_then(|key| infos.get(&key));
        for series in enrich(&one, candidates.map_or(&[], Vec::as_slice), &wanted)? {
            push(ev, &mut out, &mut known, series)?;
        }
    }
    Ok(out)
}

fn push(
    ev: &mut Evaluator<'_>,
    out: &mut Vec<Series>,
    known: &mut HashMap<Labels, usize>,
    series: Series,
) -> Result<()> {
    if let Some(at) = known.get(&series.labels) {
        if !out[*at].column.merge(&series.column) {
            return Err(Error::execution("vector cannot contain metrics with the same labelset"));
        }
        return Ok(());
    }
    ev.hold(series.column.floats.len())?;
    known.insert(series.labels.clone(), out.len());
    out.push(series);
    Ok(())
}

/// The identifying labels; `None` if there are none.
fn identity(labels: &Labels) -> Option<[String; 2]> {
    let key = IDENTIFYING.map(|name| labels.get(name).unwrap_or("").to_owned());
    key.iter().any(|value| !value.is_empty()).then_some(key)
}

/// Splits a series into those it becomes as its info series change over time.
fn enrich(base: &Series, infos: &[Info], wanted: &Wanted) -> Result<Vec<Series>> {
    let mut parts: Vec<Series> = Vec::new();
    let count = base.column.floats.len();
    for step in 0..count {
        let Some(cell) = base.column.get(step) else { continue };
        // Of several series of one info metric the one with the newest sample counts.
        let mut newest: BTreeMap<&str, &Info> = BTreeMap::new();
        for info in infos.iter().filter(|info| is_present(info.times[step])) {
            let best = newest.entry(&info.name).or_insert(info);
            if info.times[step] > best.times[step] {
                *best = info;
            }
        }
        if newest.is_empty() && !wanted.optional() {
            continue;
        }
        let labels = joined(&base.labels, newest.values().copied(), wanted)?;
        let part = match parts.iter_mut().find(|part| part.labels == labels) {
            Some(part) => part,
            None => {
                let column = Column::absent(count);
                parts.push(Series { labels, drop_name: base.drop_name, column });
                let last = parts.len() - 1;
                &mut parts[last]
            }
        };
        part.column.set(step, cell);
    }
    Ok(parts)
}

fn joined<'a>(
    base: &Labels,
    infos: impl Iterator<Item = &'a Info>,
    wanted: &Wanted,
) -> Result<Labels> {
    let mut builder = LabelsBuilder::from_labels(base);
    for info in infos {
        for (name, value) in info.labels.iter().filter(|(name, _)| wanted.includes(name)) {
            if base.get(name).is_some() {
                continue;
            }
            match builder.get(name) {
                Some(other) if other != value => {
                    return Err(Error::execution(format!("conflicting label: {name}")));
                }
                _ => builder.set(name, value),
            }
        }
    }
    Ok(builder.build())
}

fn fetch_infos(
    ev: &mut Evaluator<'_>,
    wanted: &Wanted,
    refs: Steps,
) -> Result<HashMap<[String; 2], Vec<Info>>> {
    let selector = Selector {
        name: None,
        matchers: wanted.names.iter().chain(&wanted.data).cloned().collect(),
        shift: Shift::default(),
        edge: Edge::Plain,
    };
    let mut infos: HashMap<[String; 2], Vec<Info>> = HashMap::new();
    let lookback = ev.lookback_ms;
    let start = refs.start_ms - lookback + 1;
    // A histogram is no info metric; say so rather than join nothing.
    selector::fetch(ev, &selector, start, refs.last(), &mut |_, labels, samples| {
        let name = labels.metric_name().unwrap_or("");
        if !samples.histograms.is_empty() {
            return Err(Error::execution(format!(
                "this should be an info metric, with float samples: {name}"
            )));
        }
        Ok(())
    })?;
    selector::stream_times(ev, &selector, refs, false, &mut |ev, labels, _, column| {
        ev.hold(column.floats.len())?;
        let Some(key) = identity(labels) else { return Ok(()) };
        let name = labels.metric_name().unwrap_or("").to_owned();
        let times = std::mem::take(&mut column.floats);
        infos.entry(key).or_default().push(Info { name, labels: labels.clone(), times });
        Ok(())
    })?;
    Ok(infos)
}

/// The times the first argument's samples are read at: its `@` and offsets.
fn reference_times(ev: &Evaluator<'_>, node: &Node, steps: Steps) -> Result<Steps> {
    let mut refs = steps;
    let mut node = node;
    loop {
        node = match &node.kind {
            Kind::Selector(selector) => return ev.shifted(&selector.shift, refs),
            Kind::Matrix(matrix) => return ev.shifted(&matrix.selector.shift, refs),
            Kind::Subquery(subquery) => {
                refs = ev.shifted(&subquery.shift, refs)?;
                &subquery.expr
            }
            Kind::Unary { expr, .. } | Kind::Paren(expr) => expr,
            Kind::Binary(binary) => &binary.left,
            Kind::Aggregate(aggregate) => &aggregate.expr,
            Kind::Call(call) => match call.args.iter().find(|arg| reads(arg)) {
                Some(arg) => arg,
                None => return Ok(refs),
            },
            Kind::Number { .. } | Kind::Str(_) => return Ok(refs),
        };
    }
}

fn reads(node: &Node) -> bool {
    !matches!(node.unparen().kind, Kind::Number { .. } | Kind::Str(_))
}
