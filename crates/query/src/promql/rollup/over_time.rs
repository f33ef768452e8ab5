//! The `…_over_time` functions.

use std::sync::Arc;

use super::super::column::Cell;
use super::super::functions::Func;
use super::super::histogram::accumulate::{Accumulator, Mean, MixedSchemas, kahan_add};
use super::super::notes::Notes;
use super::{Roller, Window};

/// The function's value for a window.
pub(super) fn roll(
    notes: &mut Notes,
    roller: &mut Roller,
    w: &Window<'_>,
    step: usize,
) -> Option<Cell> {
    let cell = match roller.function {
        Func::SumOverTime | Func::AvgOverTime => return sum_or_mean(notes, roller, w),
        Func::CountOverTime => Cell::Float((w.floats.len() + w.histograms.len()) as f64),
        Func::PresentOverTime => Cell::Float(1.0),
        Func::LastOverTime if last_is_histogram(w) => {
            Cell::Histogram(Arc::clone(w.histograms.last()?))
        }
        Func::LastOverTime => Cell::Float(*w.floats.last()?),
        Func::FirstOverTime if first_is_histogram(w) => {
            Cell::Histogram(Arc::clone(w.histograms.first()?))
        }
        Func::FirstOverTime => Cell::Float(*w.floats.first()?),
        Func::TsOfLastOverTime => {
            Cell::Float(seconds(*w.float_times.last().max(w.histogram_times.last())?))
        }
        Func::TsOfFirstOverTime => {
            let times = w.float_times.first().into_iter().chain(w.histogram_times.first());
            Cell::Float(seconds(*times.min()?))
        }
        _ => {
            // The rest is for floats; histograms beside them are left out with a remark.
            if w.floats.is_empty() {
                return None;
            }
            if !w.histograms.is_empty() {
                roller.histograms_ignored(notes, w.name);
            }
            Cell::Float(of_floats(notes, roller, w, step)?)
        }
    };
    Some(cell)
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

fn last_is_histogram(w: &Window<'_>) -> bool {
    w.histogram_times.last() > w.float_times.last()
}

fn first_is_histogram(w: &Window<'_>) -> bool {
    match (w.histogram_times.first(), w.float_times.first()) {
        (Some(histogram), Some(float)) => histogram < float,
        (histogram, _) => histogram.is_some(),
    }
}

fn of_floats(notes: &mut Notes, roller: &mut Roller, w: &Window<'_>, step: usize) -> Option<f64> {
    let values = w.floats;
    Some(match roller.function {
        Func::MinOverTime => values[extreme(values, |new, best| new < best)],
        Func::MaxOverTime => values[extreme(values, |new, best| new > best)],
        Func::TsOfMinOverTime => seconds(w.float_times[extreme(values, |new, best| new <= best)]),
        Func::TsOfMaxOverTime => seconds(w.float_times[extreme(values, |new, best| new >= best)]),
        Func::StddevOverTime => variance(values).sqrt(),
        Func::StdvarOverTime => variance(values),
        Func::QuantileOverTime => {
            let q = roller.scalar(0, step);
            if !(0.0..=1.0).contains(&q) {
                notes.warn(roller.first_at, invalid_quantile(q));
            }
            roller.scratch.clear();
            roller.scratch.extend_from_slice(values);
            quantile(q, &mut roller.scratch)
        }
        Func::MadOverTime => {
            roller.scratch.clear();
            roller.scratch.extend_from_slice(values);
            let median = quantile(0.5, &mut roller.scratch);
            roller.scratch.iter_mut().for_each(|value| *value = (*value - median).abs());
            if values.iter().any(|v| v.is_nan()) {
                f64::NAN
            } else {
                quantile(0.5, &mut roller.scratch)
            }
        }
        _ => return None,
    })
}

/// The warning for a quantile outside of 0…1.
pub(crate) fn invalid_quantile(q: f64) -> String {
    format!("quantile value should be between 0 and 1, got {}", super::super::numbers::general(q))
}

/// Where the extreme value is; NaN gives way to anything.
fn extreme(values: &[f64], better: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if better(*value, values[best]) || values[best].is_nan() {
            best = i;
        }
    }
    best
}

/// Interpolated quantile; sorts the values, NaN lowest.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a, b) => b.cmp(&a),
    });
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor();
    let weight = rank - lower;
    let upper = (lower as usize + 1).min(values.len() - 1);
    values[lower as usize] * (1.0 - weight) + values[upper] * weight
}

fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares) = ((0.0, 0.0), (0.0, 0.0));
    for (i, value) in values.iter().enumerate() {
        let delta = value - (mean.0 + mean.1);
        mean = kahan_add(delta / (i + 1) as f64, mean.0, mean.1);
        squares = kahan_add(delta * (value - (mean.0 + mean.1)), squares.0, squares.1);
    }
    (squares.0 + squares.1) / values.len() as f64
}

fn sum_or_mean(notes: &mut Notes, roller: &Roller, w: &Window<'_>) -> Option<Cell> {
    let mean = roller.function == Func::AvgOverTime;
    if w.histograms.is_empty() {
        return Some(Cell::Float(if mean { average(w.floats) } else { sum(w.floats) }));
    }
    if !w.floats.is_empty() {
        roller.mixed(notes, w.name);
        return None;
    }
    let Ok((histogram, reconciled, collided)) = histogram_sum(w, mean) else {
        roller.mixed_schemas(notes, w.name);
        return None;
    };
    if reconciled {
        roller.reconciled(notes, "aggregation");
    }
    if collided {
        notes.warn(roller.at, "conflicting counter resets during histogram aggregation");
    }
    Some(Cell::Histogram(Arc::new(histogram)))
}

fn histogram_sum(
    w: &Window<'_>,
    mean: bool,
) -> Result<(trefoil_store::model::Histogram, bool, bool), MixedSchemas> {
    let (first, rest) = match w.histograms {
        [first, rest @ ..] => (first, rest),
        [] => return Err(MixedSchemas),
    };
    let mut reconciled = false;
    if mean {
        let mut sum = Mean::of(first);
        for h in rest {
            reconciled |= sum.add(h)?;
        }
        let (histogram, collided) = sum.finish();
        return Ok((histogram, reconciled, collided));
    }
    let mut sum = Accumulator::of(first);
    for h in rest {
        reconciled |= sum.add(h)?;
    }
    Ok((sum.finish(), reconciled, sum.resets_collide()))
}

fn sum(values: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0, 0.0);
    for value in values {
        (sum, lost) = kahan_add(*value, sum, lost);
    }
    if sum.is_infinite() { sum } else { sum + lost }
}

/// A plain mean as long as the sum fits into a float, then an incremental one.
fn average(values: &[f64]) -> f64 {
    let mut mean = super::super::aggregate::mean::MeanState::default();
    for value in values {
        mean.add(*value);
    }
    mean.value()
}
