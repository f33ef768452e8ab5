//! `compare()`: which attribute values a selection of spans has more often than the rest.
//!
//! Spans that satisfy the condition are the selection, all others the baseline; in each,
//! the values of every attribute are counted per interval. Shown are the most frequent
//! values of each attribute, and how many spans have the attribute at all. Durations, ids
//! and what only the whole trace knows are not counted: hardly two spans share them.
//! Source: Tempo, "TraceQL metrics functions", `compare`.

use std::collections::{BTreeMap, HashMap};

use super::super::ast::{CompareFunction, Field, Intrinsic, Scope};
use super::super::eval::{self, SpanView};
use super::super::value::Value;
use super::{Grid, Series};
use crate::error::{Error, Result};
use crate::limits::Limits;

/// The counts while spans come in.
pub(super) struct Comparison<'a> {
    function: &'a CompareFunction,
    grid: Grid,
    limits: &'a Limits<'a>,
    sides: [Side; 2],
    series: usize,
}

/// Counts of the baseline or of the selection, by the attribute's name.
#[derive(Default)]
struct Side(BTreeMap<String, Attribute>);

#[derive(Default)]
struct Attribute {
    totals: Vec<f64>,
    values: HashMap<Vec<u8>, (Value<'static>, Vec<f64>)>,
}

/// Names of the sides, and of their totals.
const SIDES: [(&str, &str); 2] = [("baseline", "baseline_total"), ("selection", "selection_total")];

impl<'a> Comparison<'a> {
    pub(super) fn new(function: &'a CompareFunction, grid: Grid, limits: &'a Limits<'a>) -> Self {
        Comparison { function, grid, limits, sides: <[Side; 2]>::default(), series: 0 }
    }

    /// Counts a span, if it starts within the grid.
    pub(super) fn observe(&mut self, view: SpanView<'_>) -> Result<()> {
        let span = &view.stored.span;
        let Some(interval) = self.grid.interval(span.start_ns) else { return Ok(()) };
        let start = i64::try_from(span.start_ns).unwrap_or(i64::MAX);
        let in_window = self.function.window.is_none_or(|(from, to)| from < start && start <= to);
        let side = usize::from(in_window && eval::holds(&self.function.selection, view));
        for intrinsic in [
            Intrinsic::Name,
            Intrinsic::Status,
            Intrinsic::StatusMessage,
            Intrinsic::Kind,
            Intrinsic::EventName,
            Intrinsic::InstrumentationName,
            Intrinsic::InstrumentationVersion,
        ] {
            let field = Field::Intrinsic(intrinsic);
            self.count(side, interval, &field, eval::field_value(&field, view))?;
        }
        let events = span.events.iter().flat_map(|e| &e.attributes);
        let links = span.links.iter().flat_map(|l| &l.attributes);
        let attributes = span.attributes.iter().map(|a| (Scope::Span, a));
        let attributes = attributes
            .chain(view.stored.resource.attributes.iter().map(|a| (Scope::Resource, a)))
            .chain(view.stored.scope.attributes.iter().map(|a| (Scope::Instrumentation, a)))
            .chain(events.map(|a| (Scope::Event, a)))
            .chain(links.map(|a| (Scope::Link, a)));
        for (scope, attribute) in attributes {
            let field = Field::Attribute { scope, parent: false, name: attribute.key.to_string() };
            self.count(side, interval, &field, Value::from_model(&attribute.value))?;
        }
        Ok(())
    }

    fn count(
        &mut self,
        side: usize,
        interval: usize,
        field: &Field,
        value: Value<'_>,
    ) -> Result<()> {
        let value = value.single();
        let is_blank = matches!(&value, Value::Text(text) if text.is_empty());
        if is_blank || matches!(value, Value::Nil | Value::Opaque) {
            return Ok(());
        }
        let points = self.grid.count;
        let attribute = self.sides[side].0.entry(field.to_string()).or_default();
        attribute.totals.resize(points, 0.0);
        attribute.totals[interval] += 1.0;
        let mut key = Vec::new();
        value.write_key(&mut key);
        if let Some((_, counts)) = attribute.values.get_mut(&key) {
            counts[interval] += 1.0;
            return Ok(());
        }
        let mut counts = vec![0.0; points];
        counts[interval] = 1.0;
        attribute.values.insert(key, (value.into_owned(), counts));
        self.series += 1;
        if self.series * points > self.limits.samples_max {
            return Err(Error::limit(
                "too many different values to compare: ask for a longer step or less time",
            ));
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Series> {
        let top = self.function.top;
        let mut out = Vec::new();
        for ((side_name, total_name), side) in SIDES.into_iter().zip(self.sides) {
            for (name, attribute) in side.0 {
                let series = |meta: &str, value: Value<'static>, values: Vec<f64>| Series {
                    labels: vec![
                        ("__meta_type".to_owned(), Value::Text(meta.to_owned().into())),
                        (name.clone(), value),
                    ],
                    values,
                    exemplars: Vec::new(),
                };
                let mut values: Vec<_> = attribute.values.into_iter().collect();
                let sum = |counts: &[f64]| counts.iter().sum::<f64>();
                // The most frequent first; equal ones by value, so that the answer is always the same.
                values.sort_by(|(key_a, (_, a)), (key_b, (_, b))| {
                    sum(b).total_cmp(&sum(a)).then_with(|| key_a.cmp(key_b))
                });
                for (_, (value, counts)) in values.into_iter().take(top) {
                    out.push(series(side_name, value, counts));
                }
                out.push(series(total_name, Value::Nil, attribute.totals));
            }
        }
        out
    }
}
