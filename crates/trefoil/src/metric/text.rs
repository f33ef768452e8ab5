//! Metrics as text, for Prometheus.

use std::borrow::Cow;
use std::collections::HashMap;

use trefoil_wire::exposition::{self, Format, Writer};

use super::declare::Audience;
use super::exemplar::Exemplar;
use super::family::Kind;
use super::label::Stored;
use super::name::{family_name, label_name};
use super::registry::{Collected, Registry};
use super::series::{Point, Reading};
use super::{exponential, histogram};
use crate::resource::Resource;
use crate::value::Value;

impl Registry {
    /// All metrics as text, with the resource as `target_info`.
    pub(crate) fn write_text(&self, format: Format, resource: Option<&Resource>) -> String {
        let mut w = Writer::new(format);
        if let Some(resource) = resource {
            write_target(&mut w, resource);
        }
        write(&self.collect(), &mut w);
        w.finish()
    }
}

fn write_target(w: &mut Writer, resource: &Resource) {
    let labels: Stored =
        resource.attributes().iter().map(|(k, v)| (Cow::Owned(k.clone()), v.clone())).collect();
    w.family("target", exposition::Kind::Info, "", "Who exports the metrics.");
    let labels = text_labels(&labels, None);
    w.info(&borrowed(&labels));
}

/// Families with one name in several scopes are one family here.
fn write(collected: &[Collected], w: &mut Writer) {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for metric in collected.iter().filter(|m| m.definition.audience != Audience::Push) {
        let (name, unit) = family_name(&metric.definition, metric.kind);
        let claims: Vec<String> =
            suffixes(metric.kind).iter().map(|suffix| format!("{name}{suffix}")).collect();
        let holder = claims.iter().find_map(|claim| places.get(claim).copied());
        match holder {
            None => {
                places.extend(claims.into_iter().map(|claim| (claim, groups.len())));
                groups.push(Group { name, unit, metrics: vec![metric] });
            }
            // The same name for something else: Prometheus knows no scopes, the first wins.
            Some(place) if groups[place].takes(&name, metric) => groups[place].metrics.push(metric),
            Some(_) => {}
        }
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    for group in &groups {
        group.write(w);
    }
}

/// What a family of this kind puts behind its name; no two families may share one.
fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Counter => &["", "_total", "_created"],
        Kind::Gauge | Kind::UpDownCounter => &[""],
        Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
    }
}

struct Group<'a> {
    name: String,
    unit: String,
    metrics: Vec<&'a Collected>,
}

impl Group<'_> {
    fn takes(&self, name: &str, metric: &Collected) -> bool {
        self.name == name && self.metrics.iter().all(|other| other.kind == metric.kind)
    }

    fn write(&self, w: &mut Writer) {
        let Some(first) = self.metrics.first() else { return };
        let kind = match first.kind {
            Kind::Counter => exposition::Kind::Counter,
            Kind::Gauge | Kind::UpDownCounter => exposition::Kind::Gauge,
            Kind::Histogram => exposition::Kind::Histogram,
        };
        w.family(&self.name, kind, &self.unit, first.definition.description.trim());
        for (i, metric) in self.metrics.iter().enumerate() {
            // Two scopes may have the same labels, which must not meet.
            let scope = (i > 0).then_some(&*metric.definition.scope.name);
            for point in &metric.points {
                write_point(w, kind, point, scope);
            }
        }
    }
}

fn write_point(w: &mut Writer, kind: exposition::Kind, point: &Point, scope: Option<&str>) {
    let labels = text_labels(&point.labels, scope);
    let labels = borrowed(&labels);
    match &point.value {
        Reading::Number(value) if kind == exposition::Kind::Counter => {
            let exemplar = point.exemplars.first().map(text_exemplar);
            w.counter(&labels, value.as_f64(), exemplar.as_ref());
        }
        Reading::Number(value) => w.gauge(&labels, value.as_f64()),
        Reading::Histogram(value) => {
            let exemplars: Vec<_> = point.exemplars.iter().map(text_exemplar).collect();
            w.histogram(&labels, with_exemplars(&buckets(value), &exemplars), value.sum);
        }
        Reading::Exponential(value) => {
            let exemplars: Vec<_> = point.exemplars.iter().map(text_exemplar).collect();
            let buckets = exponential_buckets(value.clone());
            w.histogram(&labels, with_exemplars(&buckets, &exemplars), value.sum);
        }
    }
}

/// Upper bounds with the number of measurements up to them.
fn buckets(value: &histogram::Reading) -> Vec<(f64, u64)> {
    let mut total = 0;
    // TRAP: OpenMetrics forbids a sum beside negative bounds; buckets are cumulative, so
    // these can go.
    let shown = |(bound, _): &(f64, u64)| *bound >= 0.0;
    let bounds = value.bounds.iter().copied().chain([f64::INFINITY]);
    bounds
        .zip(&value.counts)
        .map(|(bound, count)| {
            total += count;
            (bound, total)
        })
        .filter(shown)
        .collect()
}

/// Resolution of exponential histograms as text: two buckets for each doubling. A fixed one,
/// so that the bounds of a series do not change from scrape to scrape.
const TEXT_SCALE: i32 = 1;

fn exponential_buckets(mut value: exponential::Reading) -> Vec<(f64, u64)> {
    value.coarsen(u32::try_from(value.scale - TEXT_SCALE).unwrap_or(0));
    let mut total = 0;
    let mut buckets = Vec::new();
    total += value.negative.counts.iter().sum::<u64>();
    total += value.zeros;
    if total > 0 {
        buckets.push((0.0, total));
    }
    for (index, count) in (value.positive.offset..).zip(&value.positive.counts) {
        total += count;
        buckets.push((value.bound(index), total));
    }
    if buckets.last().is_none_or(|(bound, _)| bound.is_finite()) {
        buckets.push((f64::INFINITY, total));
    }
    buckets
}

/// Gives each bucket the exemplar that lies in it.
fn with_exemplars<'e>(
    buckets: &'e [(f64, u64)],
    exemplars: &'e [exposition::Exemplar<'e>],
) -> impl Iterator<Item = (f64, u64, Option<&'e exposition::Exemplar<'e>>)> {
    let mut below = f64::NEG_INFINITY;
    buckets.iter().map(move |&(bound, count)| {
        let inside = |e: &&exposition::Exemplar<'_>| e.value > below && e.value <= bound;
        let exemplar = exemplars.iter().filter(inside).max_by_key(|e| e.time_ms);
        below = bound;
        (bound, count, exemplar)
    })
}

fn text_exemplar(exemplar: &Exemplar) -> exposition::Exemplar<'static> {
    exposition::Exemplar {
        labels: vec![
            ("trace_id", Cow::Owned(exemplar.trace_id.to_string())),
            ("span_id", Cow::Owned(exemplar.span_id.to_string())),
        ],
        value: exemplar.value,
        time_ms: i64::try_from(exemplar.time_ns / 1_000_000).ok(),
    }
}

/// Labels whose names become the same share one, their values joined by `;`.
fn text_labels(labels: &Stored, scope: Option<&str>) -> Vec<(String, String)> {
    let mut texts: Vec<(String, String)> = Vec::with_capacity(labels.len() + 1);
    for (name, value) in labels {
        let name = label_name(name);
        let value = text_value(value);
        match texts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                values.push(';');
                values.push_str(&value);
            }
            None => texts.push((name, value)),
        }
    }
    texts.extend(scope.map(|scope| ("otel_scope_name".to_owned(), scope.to_owned())));
    texts
}

fn borrowed(labels: &[(String, String)]) -> Vec<(&str, &str)> {
    labels.iter().map(|(name, value)| (&**name, &**value)).collect()
}

fn text_value(value: &Value) -> String {
    match value {
        Value::Str(text) => text.clone().into_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Array(values) => {
            let texts: Vec<String> = values.iter().map(text_value).collect();
            format!("[{}]", texts.join(","))
        }
    }
}
