//! Collects spans into the series of one metrics function.

use std::collections::{BTreeMap, HashMap};

use trefoil_store::ThinnedSpans;

use super::super::ast::{Field, Intrinsic, MetricsFunction, MetricsOp};
use super::super::eval::{self, SpanView};
use super::super::value::Value;
use super::{Exemplar, Grid, Series};
use crate::error::{Error, Result};
use crate::limits::Limits;

/// The series of one function while spans come in.
pub(super) struct Leaf<'a> {
    function: &'a MetricsFunction,
    grid: Grid,
    limits: &'a Limits<'a>,
    groups: Vec<Group>,
    places: HashMap<Vec<u8>, usize>,
    /// Reused for every span.
    key: Vec<u8>,
    /// Key and place of the group last used: spans of one service and name come together.
    last: Option<(Vec<u8>, usize)>,
    exemplars_left: usize,
}

struct Group {
    by: Vec<Value<'static>>,
    cells: Cells,
    /// At most one for each interval.
    exemplars: BTreeMap<usize, Exemplar>,
}

/// One number, or what is needed for it, per interval.
enum Cells {
    /// Counts, minima, maxima or sums.
    Numbers(Vec<f64>),
    /// Sums and counts.
    Means(Vec<(f64, u64)>),
    /// Counts by upper bound of the bucket. The bounds are positive, so their bits order
    /// as they do.
    Buckets(Vec<BTreeMap<u64, u64>>),
}

impl<'a> Leaf<'a> {
    pub(super) fn new(
        function: &'a MetricsFunction,
        grid: Grid,
        exemplars: usize,
        limits: &'a Limits<'a>,
    ) -> Self {
        Leaf {
            function,
            grid,
            limits,
            groups: Vec::new(),
            places: HashMap::new(),
            key: Vec::new(),
            last: None,
            exemplars_left: exemplars,
        }
    }

    /// Adds a span, if it starts within the grid and has the value that is measured.
    pub(super) fn observe(&mut self, view: SpanView<'_>) -> Result<()> {
        let Some(interval) = self.grid.interval(view.stored.span.start_ns) else { return Ok(()) };
        let measured = match &self.function.of {
            None => None,
            Some(field) => {
                let value = eval::field_value(field, view).single();
                let number = match self.function.op {
                    MetricsOp::Quantile | MetricsOp::Histogram => bucket(&value),
                    _ => seconds_or_number(&value),
                };
                if number.is_none() {
                    return Ok(());
                }
                number
            }
        };
        let exemplar = self.exemplars_left > 0;
        let op = self.function.op;
        let group = self.group(view)?;
        group.cells.add(op, interval, measured.unwrap_or(1.0));
        if exemplar && !group.exemplars.contains_key(&interval) {
            let value = match op {
                MetricsOp::Quantile
                | MetricsOp::Min
                | MetricsOp::Max
                | MetricsOp::Avg
                | MetricsOp::Sum => measured,
                _ => None,
            };
            group.exemplars.insert(interval, exemplar_of(view, value));
            self.exemplars_left -= 1;
        }
        Ok(())
    }

    /// The fields it groups by or measures, but for the duration it measures.
    pub(super) fn fields(&self) -> impl Iterator<Item = &'a Field> {
        let of = self.function.of.iter().filter(|field| !is_duration(field));
        self.function.by.iter().chain(of)
    }

    /// Adds spans that are only counted, all in one interval; the view shows the shortest
    /// of them. What [`fields`](Self::fields) names is the same for all.
    pub(super) fn observe_thinned(
        &mut self,
        view: SpanView<'_>,
        thinned: &ThinnedSpans<'_>,
        interval: usize,
    ) -> Result<()> {
        let op = self.function.op;
        let count = thinned.count as f64;
        let value = self.function.of.as_ref().map(|field| eval::field_value(field, view).single());
        let (one, all) = match (&self.function.of, &value) {
            (Some(field), Some(value)) => {
                let (min_ns, max_ns) = thinned.durations_ns;
                let seconds = |ns: u64| ns as f64 / 1e9;
                let one = match op {
                    MetricsOp::Quantile | MetricsOp::Histogram => bucket(value),
                    MetricsOp::Max if is_duration(field) => Some(seconds(max_ns)),
                    MetricsOp::Min if is_duration(field) => Some(seconds(min_ns)),
                    _ => seconds_or_number(value),
                };
                let Some(one) = one else { return Ok(()) };
                let sum = match is_duration(field) {
                    true => seconds(thinned.duration_sum_ns),
                    false => one * count,
                };
                (one, sum)
            }
            _ => (1.0, count),
        };
        let group = self.group(view)?;
        match &mut group.cells {
            Cells::Means(cells) => {
                let (sum, spans) = cells[interval];
                cells[interval] = (sum + all, spans.saturating_add(thinned.count));
            }
            Cells::Buckets(cells) => {
                let spans = cells[interval].entry(one.to_bits()).or_default();
                *spans = spans.saturating_add(thinned.count);
            }
            cells => {
                let value = if matches!(op, MetricsOp::Min | MetricsOp::Max) { one } else { all };
                cells.add(op, interval, value);
            }
        }
        Ok(())
    }

    fn group(&mut self, view: SpanView<'_>) -> Result<&mut Group> {
        self.key.clear();
        for field in &self.function.by {
            eval::field_value(field, view).single().write_key(&mut self.key);
        }
        if let Some((key, place)) = &self.last
            && *key == self.key
        {
            return Ok(&mut self.groups[*place]);
        }
        let known = self.places.get(&self.key).copied();
        let place = known.unwrap_or(self.groups.len());
        if known.is_none() {
            self.check_size()?;
            let by =
                self.function.by.iter().map(|f| eval::field_value(f, view).single().into_owned());
            let group = Group {
                by: by.collect(),
                cells: Cells::new(self.function.op, self.grid.count),
                exemplars: BTreeMap::new(),
            };
            self.groups.push(group);
            self.places.insert(self.key.clone(), place);
        }
        self.last = Some((self.key.clone(), place));
        Ok(&mut self.groups[place])
    }

    fn check_size(&self) -> Result<()> {
        let groups = self.groups.len() + 1;
        if groups > self.limits.series_max || groups * self.grid.count > self.limits.samples_max {
            return Err(Error::limit(format!(
                "more than {} series of {} points: group by fewer fields or ask for a longer step",
                groups - 1,
                self.grid.count
            )));
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Vec<Series> {
        let function = self.function;
        // Without groups a count of nothing is known: it is zero, everywhere.
        if self.groups.is_empty()
            && function.by.is_empty()
            && matches!(function.op, MetricsOp::Rate | MetricsOp::Count)
        {
            let cells = Cells::new(function.op, self.grid.count);
            self.groups.push(Group { by: Vec::new(), cells, exemplars: BTreeMap::new() });
        }
        let step_s = self.grid.step_ns as f64 / 1e9;
        self.groups.into_iter().flat_map(|group| group.series(function, step_s)).collect()
    }
}

fn is_duration(field: &Field) -> bool {
    matches!(field, Field::Intrinsic(Intrinsic::Duration))
}

fn exemplar_of(view: SpanView<'_>, value: Option<f64>) -> Exemplar {
    let span = &view.stored.span;
    Exemplar {
        trace_id: span.trace_id,
        span_id: span.span_id,
        time_ms: i64::try_from(span.start_ns / 1_000_000).unwrap_or(i64::MAX),
        value,
    }
}

/// Durations count in seconds.
fn seconds_or_number(value: &Value<'_>) -> Option<f64> {
    let number = match value {
        Value::Duration(ns) => *ns as f64 / 1e9,
        other => other.number()?,
    };
    (!number.is_nan()).then_some(number)
}

/// The power of two at or above a value: of nanoseconds for durations (given in seconds),
/// of the number itself for others. What is below 2 (ns) has no bucket in Tempo; fractions,
/// which Tempo leaves out, do here.
fn bucket(value: &Value<'_>) -> Option<f64> {
    let power = |v: i64| (v >= 2).then(|| (v as u64).next_power_of_two() as f64);
    match value {
        Value::Duration(ns) => power(*ns).map(|p| p / 1e9),
        Value::Int(v) => power(*v),
        Value::Float(v) if *v > 0.0 && v.is_finite() => Some(v.log2().ceil().exp2()),
        _ => None,
    }
}

impl Cells {
    fn new(op: MetricsOp, count: usize) -> Self {
        match op {
            MetricsOp::Rate | MetricsOp::Count => Cells::Numbers(vec![0.0; count]),
            MetricsOp::Min | MetricsOp::Max | MetricsOp::Sum => {
                Cells::Numbers(vec![f64::NAN; count])
            }
            MetricsOp::Avg => Cells::Means(vec![(0.0, 0); count]),
            MetricsOp::Quantile | MetricsOp::Histogram => {
                Cells::Buckets(vec![BTreeMap::new(); count])
            }
        }
    }

    fn add(&mut self, op: MetricsOp, interval: usize, value: f64) {
        match self {
            Cells::Numbers(cells) => {
                let old = cells[interval];
                cells[interval] = match op {
                    _ if old.is_nan() => value,
                    MetricsOp::Min => old.min(value),
                    MetricsOp::Max => old.max(value),
                    _ => old + value,
                };
            }
            Cells::Means(cells) => {
                cells[interval].0 += value;
                cells[interval].1 += 1;
            }
            Cells::Buckets(cells) => *cells[interval].entry(value.to_bits()).or_default() += 1,
        }
    }
}

impl Group {
    fn series(self, function: &MetricsFunction, step_s: f64) -> Vec<Series> {
        let labels = labels(function, &self.by);
        let exemplars: Vec<Exemplar> = self.exemplars.into_values().collect();
        match self.cells {
            Cells::Numbers(mut values) => {
                if function.op == MetricsOp::Rate {
                    values.iter_mut().for_each(|v| *v /= step_s);
                }
                vec![Series { labels, values, exemplars }]
            }
            Cells::Means(cells) => {
                // Without spans: 0 / 0, which is no number, as it should be.
                let values = cells.iter().map(|(sum, count)| sum / *count as f64).collect();
                vec![Series { labels, values, exemplars }]
            }
            Cells::Buckets(cells) if function.op == MetricsOp::Quantile => function
                .quantiles
                .iter()
                .enumerate()
                .map(|(at, q)| Series {
                    labels: with_label(&labels, "p", *q),
                    values: cells.iter().map(|buckets| quantile(*q, buckets)).collect(),
                    exemplars: if at == 0 { exemplars.clone() } else { Vec::new() },
                })
                .collect(),
            Cells::Buckets(cells) => histogram(&labels, &cells),
        }
    }
}

/// One series of counts for each bucket that occurs.
fn histogram(labels: &[(String, Value<'static>)], cells: &[BTreeMap<u64, u64>]) -> Vec<Series> {
    let mut bounds: Vec<u64> = cells.iter().flat_map(|b| b.keys().copied()).collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds
        .into_iter()
        .map(|bound| Series {
            labels: with_label(labels, "__bucket", f64::from_bits(bound)),
            values: cells.iter().map(|b| b.get(&bound).map_or(0.0, |n| *n as f64)).collect(),
            exemplars: Vec::new(),
        })
        .collect()
}

/// Missing values are left out; if all are, the first stays as nil, since a series needs
/// a label. Without `by (…)` the series has its function's name, but for the functions
/// that add a label of their own.
fn labels(function: &MetricsFunction, by: &[Value<'static>]) -> Vec<(String, Value<'static>)> {
    let own_label = matches!(function.op, MetricsOp::Quantile | MetricsOp::Histogram);
    if function.by.is_empty() && !own_label {
        return vec![("__name__".to_owned(), Value::Text(function.op.name().into()))];
    }
    let named = function.by.iter().zip(by).filter(|(_, value)| **value != Value::Nil);
    let mut labels: Vec<_> =
        named.map(|(field, value)| (field.to_string(), value.clone())).collect();
    if let (true, false, Some(first)) = (labels.is_empty(), own_label, function.by.first()) {
        labels.push((first.to_string(), Value::Nil));
    }
    labels
}

fn with_label(
    labels: &[(String, Value<'static>)],
    name: &str,
    value: f64,
) -> Vec<(String, Value<'static>)> {
    let mut labels = labels.to_vec();
    labels.push((name.to_owned(), Value::Float(value)));
    labels
}

/// The quantile of a histogram of powers of two, interpolated on the logarithmic scale
/// between the bucket before and the one the quantile falls into; 0 without any span, as
/// Tempo has it.
fn quantile(q: f64, buckets: &BTreeMap<u64, u64>) -> f64 {
    let total: u64 = buckets.values().sum();
    if total == 0 {
        return 0.0;
    }
    // Rounded up, so that a high quantile of few spans is the greatest of them.
    let wanted = ((q * total as f64).ceil() as u64).max(1);
    let mut before = 0;
    let mut lower: Option<f64> = None;
    for (bound, count) in buckets {
        let upper = f64::from_bits(*bound);
        if before + count == wanted {
            return upper;
        }
        if before + count > wanted {
            let lower = lower.unwrap_or(upper / 2.0).log2();
            let share = (wanted - before) as f64 / *count as f64;
            return (lower + (upper.log2() - lower) * share).exp2();
        }
        before += count;
        lower = Some(upper);
    }
    lower.unwrap_or(0.0)
}
