//! Metrics as OTLP, cumulative or as what was added since the reader's last time.

use std::collections::HashMap;

use trefoil_wire::otlp::ValueWriter;
use trefoil_wire::otlp::metrics::Number;
use trefoil_wire::otlp::metrics::write::{
    ExemplarWriter, ExponentialHistogramPointWriter, HistogramPointWriter, MetricWriter,
    NumberPointWriter, ResourceMetricsWriter, ScopeMetricsWriter, Temporality,
};
use trefoil_wire::protobuf::Writer;

use super::declare::Audience;
use super::exemplar::Exemplar;
use super::family::Kind;
use super::registry::{Collected, Registry};
use super::series::{Point, Reading};
use super::{exponential, histogram};

/// What a reader saw the last time.
#[derive(Debug, Default)]
pub(crate) struct ReaderState {
    delta: bool,
    /// Unix nanoseconds of the last collection, 0 before the first.
    last_ns: u64,
    /// Totals by series; only for delta.
    totals: HashMap<u64, Reading>,
}

impl ReaderState {
    pub(crate) fn new(delta: bool) -> ReaderState {
        ReaderState { delta, ..ReaderState::default() }
    }

    /// What is new of a point and since when; `None` if there is nothing new.
    fn advance(&mut self, kind: Kind, point: &Point) -> Option<(u64, Reading)> {
        // As OpenTelemetry's preference "delta" has it: a sum that goes up and down stays
        // a total, since nobody wants its differences.
        if !self.delta || matches!(kind, Kind::Gauge | Kind::UpDownCounter) {
            return Some((point.created_ns, point.value.clone()));
        }
        let before = self.totals.insert(point.series, point.value.clone());
        let start = if before.is_some() { self.last_ns } else { point.created_ns };
        let new = match before {
            Some(before) => difference(point.value.clone(), before),
            None => point.value.clone(),
        };
        (!is_nothing(&new)).then_some((start, new))
    }
}

impl Registry {
    /// `ScopeMetrics` messages, which are field 2 of `ResourceMetrics`, for as many requests as
    /// they need if none may be longer than `bytes_max`. A single point that is longer goes
    /// alone.
    pub(crate) fn write_otlp_in_parts(
        &self,
        reader: &mut ReaderState,
        now_ns: u64,
        bytes_max: usize,
    ) -> Vec<Part> {
        let collected = self.collect();
        let parts = write(&collected, reader, now_ns, bytes_max);
        reader.last_ns = now_ns;
        parts
    }

    /// The same in one piece, appended. Says how many points are in it.
    pub(crate) fn write_otlp(&self, w: &mut Writer, reader: &mut ReaderState, now_ns: u64) -> u64 {
        let parts = self.write_otlp_in_parts(reader, now_ns, usize::MAX);
        parts.iter().for_each(|part| w.encoded(&part.scopes));
        parts.iter().map(|part| part.points).sum()
    }
}

/// What one request holds.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// `ScopeMetrics` messages, each as field 2.
    pub(crate) scopes: Vec<u8>,
    pub(crate) points: u64,
}

/// Writes what was collected; see [`Registry::write_otlp_in_parts`].
fn write(
    collected: &[Collected],
    reader: &mut ReaderState,
    now_ns: u64,
    bytes_max: usize,
) -> Vec<Part> {
    let mut parts = Vec::new();
    let times = Times { since_ns: reader.last_ns, now_ns };
    for same_scope in collected.chunk_by(|a, b| a.definition.scope == b.definition.scope) {
        let all: Vec<(&Collected, Vec<News<'_>>)> = same_scope
            .iter()
            .filter(|metric| metric.definition.audience != Audience::Pull)
            .map(|metric| (metric, news(metric, reader)))
            .filter(|(_, news)| !news.is_empty())
            .collect();
        let metrics: Vec<_> = all.iter().map(|(metric, news)| (*metric, &news[..])).collect();
        write_scope(&metrics, reader.delta, times, bytes_max, &mut parts);
    }
    parts
}

/// A metric with some of its points.
type Slice<'a> = (&'a Collected, &'a [News<'a>]);

/// Adds metrics of one scope to the last part, or to new ones. What is too long is halved and written again:
/// how long it gets is not known before.
fn write_scope(
    metrics: &[Slice<'_>],
    delta: bool,
    times: Times,
    bytes_max: usize,
    parts: &mut Vec<Part>,
) {
    let Some((first, _)) = metrics.first() else { return };
    let scope = &first.definition.scope;
    let mut w = Writer::new();
    ResourceMetricsWriter(&mut w).scope_metrics(|w| {
        w.scope(|w| {
            w.name(&scope.name);
            w.version(&scope.version);
        });
        for (metric, news) in metrics {
            write_metric(w, metric, news, delta, times);
        }
    });
    let bytes = w.into_bytes();
    if bytes.len() > bytes_max
        && let Some(halves) = halves(metrics)
    {
        return halves.iter().for_each(|half| write_scope(half, delta, times, bytes_max, parts));
    }
    let points = metrics.iter().map(|(_, news)| news.len() as u64).sum();
    match parts.last_mut() {
        Some(last) if last.scopes.len() + bytes.len() <= bytes_max => {
            last.scopes.extend_from_slice(&bytes);
            last.points += points;
        }
        _ => parts.push(Part { scopes: bytes, points }),
    }
}

/// Half of the metrics each or, of a single one, half of its points. `None` for one point.
fn halves<'a>(metrics: &[Slice<'a>]) -> Option<[Vec<Slice<'a>>; 2]> {
    match metrics {
        [(_, [] | [_])] => None,
        [(metric, news)] => {
            let (one, other) = news.split_at(news.len() / 2);
            Some([vec![(*metric, one)], vec![(*metric, other)]])
        }
        _ => {
            let (one, other) = metrics.split_at(metrics.len() / 2);
            Some([one.to_vec(), other.to_vec()])
        }
    }
}

/// A point with what is new of it, and since when.
struct News<'a> {
    point: &'a Point,
    start_ns: u64,
    value: Reading,
}

#[derive(Clone, Copy)]
struct Times {
    /// The reader's last time.
    since_ns: u64,
    now_ns: u64,
}

fn news<'a>(metric: &'a Collected, reader: &mut ReaderState) -> Vec<News<'a>> {
    let points = metric.points.iter();
    points
        .filter_map(|point| {
            let (start_ns, value) = reader.advance(metric.kind, point)?;
            Some(News { point, start_ns, value })
        })
        .collect()
}

fn write_metric(
    w: &mut ScopeMetricsWriter<'_>,
    metric: &Collected,
    news: &[News<'_>],
    delta: bool,
    times: Times,
) {
    let definition = &metric.definition;
    let temporality = if delta { Temporality::Delta } else { Temporality::Cumulative };
    w.metric(|w| {
        w.names(&definition.name, definition.description.trim(), &definition.unit);
        match metric.kind {
            Kind::Gauge => w.gauge(|w| {
                for news in news {
                    w.point(|w| write_number(w, news, 0, times));
                }
            }),
            Kind::Counter => w.sum(temporality, true, |w| {
                for news in news {
                    w.point(|w| write_number(w, news, news.start_ns, times));
                }
            }),
            Kind::UpDownCounter => w.sum(Temporality::Cumulative, false, |w| {
                for news in news {
                    w.point(|w| write_number(w, news, news.start_ns, times));
                }
            }),
            Kind::Histogram => write_histograms(w, news, temporality, times),
        }
    });
}

/// All points of one metric are of one kind.
fn write_histograms(
    w: &mut MetricWriter<'_>,
    news: &[News<'_>],
    temporality: Temporality,
    times: Times,
) {
    if matches!(news.first().map(|news| &news.value), Some(Reading::Exponential(_))) {
        w.exponential_histogram(temporality, |w| {
            for news in news {
                if let Reading::Exponential(value) = &news.value {
                    w.point(|w| write_exponential(w, news, value, times));
                }
            }
        });
    } else {
        w.histogram(temporality, |w| {
            for news in news {
                if let Reading::Histogram(value) = &news.value {
                    w.point(|w| write_explicit(w, news, value, times));
                }
            }
        });
    }
}

fn write_number(w: &mut NumberPointWriter<'_>, news: &News<'_>, start_ns: u64, times: Times) {
    for (name, value) in &news.point.labels {
        w.attribute(name, |w: &mut ValueWriter<'_>| value.write(w));
    }
    w.times(start_ns, times.now_ns);
    if let Reading::Number(value) = news.value {
        w.value(value);
    }
    for exemplar in fresh(&news.point.exemplars, times) {
        w.exemplar(|w| write_exemplar(w, exemplar));
    }
}

fn write_explicit(
    w: &mut HistogramPointWriter<'_>,
    news: &News<'_>,
    value: &histogram::Reading,
    times: Times,
) {
    for (name, value) in &news.point.labels {
        w.attribute(name, |w: &mut ValueWriter<'_>| value.write(w));
    }
    w.times(news.start_ns, times.now_ns);
    w.totals(value.count(), Some(value.sum));
    w.buckets(&value.counts, &value.bounds);
    w.extremes(value.extremes.min(), value.extremes.max());
    for exemplar in fresh(&news.point.exemplars, times) {
        w.exemplar(|w| write_exemplar(w, exemplar));
    }
}

fn write_exponential(
    w: &mut ExponentialHistogramPointWriter<'_>,
    news: &News<'_>,
    value: &exponential::Reading,
    times: Times,
) {
    for (name, value) in &news.point.labels {
        w.attribute(name, |w: &mut ValueWriter<'_>| value.write(w));
    }
    w.times(news.start_ns, times.now_ns);
    w.totals(value.count(), Some(value.sum));
    w.scale(value.scale, value.zeros, 0.0);
    let counts = |run: &exponential::Run| run.counts.iter().copied().collect::<Vec<u64>>();
    w.positive(value.positive.offset, &counts(&value.positive));
    w.negative(value.negative.offset, &counts(&value.negative));
    w.extremes(value.extremes.min(), value.extremes.max());
    for exemplar in fresh(&news.point.exemplars, times) {
        w.exemplar(|w| write_exemplar(w, exemplar));
    }
}

/// Exemplars that this reader has not had.
fn fresh(exemplars: &[Exemplar], times: Times) -> impl Iterator<Item = &Exemplar> {
    exemplars.iter().filter(move |exemplar| exemplar.known_ns >= times.since_ns)
}

fn write_exemplar(w: &mut ExemplarWriter<'_>, exemplar: &Exemplar) {
    w.time_unix_nano(exemplar.time_ns);
    w.value(Number::Double(exemplar.value));
    w.ids(&exemplar.trace_id.0, &exemplar.span_id.0);
}

fn difference(now: Reading, before: Reading) -> Reading {
    match (now, before) {
        (Reading::Number(Number::Int(now)), Reading::Number(Number::Int(before))) => {
            Reading::Number(Number::Int(now.wrapping_sub(before)))
        }
        (Reading::Number(Number::Double(now)), Reading::Number(Number::Double(before))) => {
            Reading::Number(Number::Double(now - before))
        }
        (Reading::Histogram(mut now), Reading::Histogram(before)) => {
            for (count, before) in now.counts.iter_mut().zip(&before.counts) {
                *count = count.saturating_sub(*before);
            }
            now.sum -= before.sum;
            // Those of this interval are not known.
            now.extremes = histogram::Extremes::NONE;
            Reading::Histogram(now)
        }
        (Reading::Exponential(now), Reading::Exponential(before)) => {
            Reading::Exponential(now.since(before))
        }
        (now, _) => now,
    }
}

fn is_nothing(value: &Reading) -> bool {
    match value {
        Reading::Number(Number::Int(value)) => *value == 0,
        Reading::Number(Number::Double(value)) => *value == 0.0,
        Reading::Histogram(value) => value.count() == 0,
        Reading::Exponential(value) => value.count() == 0,
    }
}
