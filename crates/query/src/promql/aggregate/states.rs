//! Aggregations that keep a small state per group and step: `sum`, `avg`, `count`, `min`,
//! `max`, `group`, `stddev`, `stdvar`, `quantile`.

use std::sync::Arc;

use trefoil_store::model::Histogram;

use super::super::ast::{Aggregate, AggregateOp};
use super::super::column::{Column, Series, Steps, is_present};
use super::super::eval::Evaluator;
use super::super::histogram::accumulate::{Accumulator, Mean, kahan_add};
use super::super::labels::Needed;
use super::super::notes::Notes;
use super::super::rollup;
use super::Grouping;
use super::mean::MeanState;
use crate::error::Result;

/// Streams the operand into its groups.
pub(super) fn reduce(
    ev: &mut Evaluator<'_>,
    aggregate: &Aggregate,
    steps: Steps,
) -> Result<Vec<Series>> {
    let op = aggregate.op;
    let quantiles = match &aggregate.param {
        Some(param) => ev.scalar(param, steps)?,
        None => Vec::new(),
    };
    if let Some(param) = &aggregate.param {
        for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            ev.notes.warn(param.span.start, rollup::invalid_quantile(*q));
        }
    }
    let at = aggregate.expr.span.start;
    let mut grouping = Grouping::new(aggregate);
    let mut states: Vec<GroupState> = Vec::new();
    let needed = match aggregate.without {
        true => Needed::All,
        false => Needed::Only(&aggregate.labels),
    };
    ev.stream_with(&aggregate.expr, steps, needed, &mut |ev, labels, drop_name, column| {
        if column.is_empty() {
            return Ok(());
        }
        let group = grouping.find(labels, drop_name);
        if group == states.len() {
            ev.hold(steps.count)?;
            states.push(GroupState::new(op, steps.count));
        }
        if op == AggregateOp::Quantile {
            ev.hold(column.len())?;
        }
        states[group].add(&mut ev.notes, op, at, column);
        Ok(())
    })?;
    let mut out = Vec::with_capacity(states.len());
    for (state, (labels, drop_name)) in states.into_iter().zip(grouping.groups) {
        let column = state.finish(&mut ev.notes, op, at, &quantiles);
        if !column.is_empty() {
            out.push(Series { labels, drop_name, column });
        }
    }
    Ok(out)
}

/// One group over all steps.
enum GroupState {
    Sum(Sums, Extra),
    Mean(Vec<MeanState>, Extra),
    /// `count`, `min`, `max`, `group`: one number, 0 or absent to begin with.
    Number(Vec<f64>),
    /// Count, mean and sum of squared deviations.
    Spread(Vec<(f64, f64, f64)>),
    Values(Vec<Vec<f64>>),
}

/// Compensated sums, one for each step.
struct Sums {
    /// The mark of absence until a float is added.
    sums: Vec<f64>,
    lost: Vec<f64>,
}

/// What a sum or mean needs besides floats.
struct Extra {
    steps: usize,
    /// Empty if there are no histograms.
    histograms: Vec<HistogramState>,
}

#[derive(Clone, Default)]
enum HistogramState {
    #[default]
    None,
    Sum(Box<Accumulator>),
    Mean(Box<Mean>),
    /// Exponential and custom buckets met.
    Mixed,
}

impl GroupState {
    fn new(op: AggregateOp, count: usize) -> GroupState {
        let extra = || Extra { steps: count, histograms: Vec::new() };
        match op {
            AggregateOp::Sum => GroupState::Sum(Sums::new(count), extra()),
            AggregateOp::Avg => GroupState::Mean(vec![MeanState::default(); count], extra()),
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                GroupState::Spread(vec![(0.0, 0.0, 0.0); count])
            }
            AggregateOp::Quantile => GroupState::Values(vec![Vec::new(); count]),
            _ => GroupState::Number(Column::absent(count).floats),
        }
    }

    fn add(&mut self, notes: &mut Notes, op: AggregateOp, at: usize, column: &Column) {
        let present = |value: &&f64| is_present(**value);
        match self {
            GroupState::Sum(sums, extra) => {
                sums.add(&column.floats);
                extra.add(notes, op, at, column);
            }
            GroupState::Mean(means, extra) => {
                for (i, value) in column.floats.iter().enumerate().filter(|(_, v)| is_present(**v))
                {
                    means[i].add(*value);
                }
                extra.add(notes, op, at, column);
            }
            GroupState::Number(numbers) => {
                add_numbers(numbers, op, column);
                if matches!(op, AggregateOp::Min | AggregateOp::Max) {
                    ignored(notes, op, at, column);
                }
            }
            GroupState::Spread(spreads) => {
                for (spread, value) in spreads.iter_mut().zip(&column.floats) {
                    if is_present(*value) {
                        add_spread(spread, *value);
                    }
                }
                ignored(notes, op, at, column);
            }
            GroupState::Values(lists) => {
                for (list, value) in lists.iter_mut().zip(&column.floats) {
                    list.extend(Some(value).filter(present));
                }
                ignored(notes, op, at, column);
            }
        }
    }

    fn finish(self, notes: &mut Notes, op: AggregateOp, at: usize, quantiles: &[f64]) -> Column {
        match self {
            GroupState::Sum(sums, extra) => extra.finish(notes, at, |i| sums.value(i)),
            GroupState::Mean(means, extra) => {
                extra.finish(notes, at, |i| means[i].has_any().then(|| means[i].value()))
            }
            GroupState::Number(floats) => Column { floats, histograms: Vec::new() },
            GroupState::Spread(spreads) => {
                let mut column = Column::absent(spreads.len());
                for (out, (count, _, squares)) in column.floats.iter_mut().zip(spreads) {
                    if count > 0.0 {
                        let variance = squares / count;
                        *out = if op == AggregateOp::Stddev { variance.sqrt() } else { variance };
                    }
                }
                column
            }
            GroupState::Values(lists) => {
                let mut column = Column::absent(lists.len());
                for ((out, mut list), q) in column.floats.iter_mut().zip(lists).zip(quantiles) {
                    if !list.is_empty() {
                        *out = rollup::quantile(*q, &mut list);
                    }
                }
                column
            }
        }
    }
}

/// A remark if histograms were left out.
fn ignored(notes: &mut Notes, op: AggregateOp, at: usize, column: &Column) {
    if column.histograms.iter().any(Option::is_some) {
        notes.info(at, format!("ignored histogram in {} aggregation", op.name()));
    }
}

fn add_numbers(numbers: &mut [f64], op: AggregateOp, column: &Column) {
    if matches!(op, AggregateOp::Count | AggregateOp::Group) {
        for (i, number) in numbers.iter_mut().enumerate() {
            if column.has(i) {
                let first = op == AggregateOp::Group || !is_present(*number);
                *number = if first { 1.0 } else { *number + 1.0 };
            }
        }
        return;
    }
    let max = op == AggregateOp::Max;
    for (number, value) in numbers.iter_mut().zip(&column.floats) {
        if !is_present(*value) {
            continue;
        }
        let better = if max { *value > *number } else { *value < *number };
        if better || number.is_nan() {
            // The mark of absence is a NaN too, so the first value always gets in.
            *number = *value;
        }
    }
}

/// Welford's method.
fn add_spread((count, mean, squares): &mut (f64, f64, f64), value: f64) {
    *count += 1.0;
    if *count == 1.0 {
        *mean = value;
        *squares = if value.is_finite() { 0.0 } else { f64::NAN };
        return;
    }
    let delta = value - *mean;
    *mean += delta / *count;
    *squares += delta * (value - *mean);
}

impl Sums {
    fn new(count: usize) -> Sums {
        Sums { sums: Column::absent(count).floats, lost: vec![0.0; count] }
    }

    fn add(&mut self, floats: &[f64]) {
        let sums = self.sums.chunks_mut(STEPS_AT_A_TIME).zip(self.lost.chunks_mut(STEPS_AT_A_TIME));
        for ((sums, lost), floats) in sums.zip(floats.chunks(STEPS_AT_A_TIME)) {
            match all_present(sums) && all_present(floats) {
                true => add_to_each(sums, lost, floats),
                false => add_to_some(sums, lost, floats),
            }
        }
    }

    fn value(&self, step: usize) -> Option<f64> {
        let (sum, lost) = (self.sums[step], self.lost[step]);
        is_present(sum).then_some(if sum.is_infinite() { sum } else { sum + lost })
    }
}

/// Steps that are looked at together: most series have a value at all of them.
const STEPS_AT_A_TIME: usize = 64;

fn all_present(floats: &[f64]) -> bool {
    // Without an end to look for, several are compared at a time.
    floats.iter().fold(true, |all, value| all & is_present(*value))
}

/// Without a branch, so that several are added at a time.
fn add_to_each(sums: &mut [f64], lost: &mut [f64], floats: &[f64]) {
    for ((sum, lost), value) in sums.iter_mut().zip(lost).zip(floats) {
        (*sum, *lost) = kahan_add(*value, *sum, *lost);
    }
}

fn add_to_some(sums: &mut [f64], lost: &mut [f64], floats: &[f64]) {
    for ((sum, lost), value) in sums.iter_mut().zip(lost).zip(floats) {
        if is_present(*value) {
            // The first value is taken as it is, so that an infinity stays one.
            let is_first = !is_present(*sum);
            (*sum, *lost) = if is_first { (*value, 0.0) } else { kahan_add(*value, *sum, *lost) };
        }
    }
}

impl Extra {
    fn add(&mut self, notes: &mut Notes, op: AggregateOp, at: usize, column: &Column) {
        for (i, histogram) in column.histograms.iter().enumerate() {
            let Some(histogram) = histogram else { continue };
            if self.histograms.is_empty() {
                self.histograms.resize(self.steps, HistogramState::None);
            }
            self.histograms[i].add(notes, op, at, histogram);
        }
    }

    fn finish(self, notes: &mut Notes, at: usize, float: impl Fn(usize) -> Option<f64>) -> Column {
        let mut column = Column::absent(self.steps);
        for i in 0..self.steps {
            let histogram = self.histograms.get(i).cloned().unwrap_or_default();
            match (float(i), histogram) {
                (Some(value), HistogramState::None) => column.floats[i] = value,
                (None, HistogramState::None | HistogramState::Mixed) => {}
                (Some(_), _) => {
                    notes.warn(at, "encountered a mix of histograms and floats for aggregation");
                }
                (None, state) => {
                    if let Some((sum, collided)) = state.finish() {
                        if collided {
                            notes.warn(
                                at,
                                "conflicting counter resets during histogram aggregation",
                            );
                        }
                        column.set_histogram(i, Arc::new(sum));
                    }
                }
            }
        }
        column
    }
}

impl HistogramState {
    fn add(&mut self, notes: &mut Notes, op: AggregateOp, at: usize, h: &Histogram) {
        let done = match self {
            HistogramState::None => {
                *self = if op == AggregateOp::Avg {
                    HistogramState::Mean(Box::new(Mean::of(h)))
                } else {
                    HistogramState::Sum(Box::new(Accumulator::of(h)))
                };
                return;
            }
            HistogramState::Sum(sum) => sum.add(h),
            HistogramState::Mean(mean) => mean.add(h),
            HistogramState::Mixed => return,
        };
        match done {
            Ok(true) => {
                notes.info(at, "mismatched custom buckets were reconciled during aggregation");
            }
            Ok(false) => {}
            Err(_) => {
                notes.warn(
                    at,
                    "vector contains a mix of histograms with exponential and custom buckets schemas",
                );
                *self = HistogramState::Mixed;
            }
        }
    }

    fn finish(self) -> Option<(Histogram, bool)> {
        match self {
            HistogramState::Sum(sum) => Some((sum.finish(), sum.resets_collide())),
            HistogramState::Mean(mean) => Some(mean.finish()),
            HistogramState::None | HistogramState::Mixed => None,
        }
    }
}
