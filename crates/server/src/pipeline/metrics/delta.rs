//! Running totals of series that send deltas.
//!
//! Prometheus's functions know only cumulative series, so a delta is added to what came
//! before. The totals live in memory: after a restart they begin at zero again, which
//! every function takes for a counter reset, as it should.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use trefoil_store::Labels;

use super::exponential::Exponential;

/// Series whose totals are kept at once; each costs some 200 bytes and its buckets.
const SERIES_MAX: usize = 200_000;
/// A series that has not sent for this long is forgotten once the table is full, so that
/// names that come and go (pods) do not keep others out.
const IDLE_MS: i64 = 15 * 60 * 1000;

/// Why a delta was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its time is not after that of the delta before it: late, or sent twice.
    OutOfOrder,
    /// [`SERIES_MAX`] is reached.
    TooManySeries,
}

impl Refused {
    /// The label `reason`.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Refused::OutOfOrder => "delta_out_of_order",
            Refused::TooManySeries => "too_many_delta_series",
        }
    }
}

/// The totals of all delta series. One lock: a step is a few additions.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    series: Mutex<HashMap<Labels, Total>>,
}

#[derive(Debug)]
struct Total {
    /// Time of the last delta.
    time_ms: i64,
    /// Start of the first delta.
    start_ms: i64,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    /// Sums of numbers; `layout` says what they are (e.g. a hash of bucket bounds).
    Numbers {
        layout: u64,
        values: Vec<f64>,
    },
    Exponential(Exponential),
}

impl Value {
    /// Adds or takes away; false if the two are of different layout.
    fn add(&mut self, other: &Value, sign: f64) -> bool {
        match (self, other) {
            (
                Value::Numbers { layout, values },
                Value::Numbers { layout: other_layout, values: others },
            ) if layout == other_layout && values.len() == others.len() => {
                for (value, other) in values.iter_mut().zip(others) {
                    *value += sign * other;
                }
                true
            }
            (Value::Exponential(value), Value::Exponential(other)) if value.is_like(other) => {
                value.add(other, sign);
                true
            }
            _ => false,
        }
    }
}

/// A delta that was added, to be taken back if its batch could not be stored.
#[derive(Debug)]
pub(crate) struct Added {
    key: Labels,
    value: Value,
}

/// Times of one delta, and what its values mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) start_ms: i64,
    pub(super) time_ms: i64,
    pub(super) layout: u64,
}

impl Totals {
    /// Adds `values` to the series' totals, replaces them by the new totals, and gives the
    /// time since which they count.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was added then.
    pub(super) fn add(
        &self,
        key: &Labels,
        step: Step,
        values: &mut [f64],
    ) -> Result<(i64, Added), Refused> {
        let value = Value::Numbers { layout: step.layout, values: values.to_vec() };
        let (start_ms, total, added) = self.step(key, step, value)?;
        if let Value::Numbers { values: totals, .. } = total {
            values.copy_from_slice(&totals);
        }
        Ok((start_ms, added))
    }

    /// The same for a histogram.
    ///
    /// # Errors
    /// See [`Refused`]; nothing was added then.
    pub(super) fn add_exponential(
        &self,
        key: &Labels,
        step: Step,
        histogram: &mut Exponential,
    ) -> Result<(i64, Added), Refused> {
        let (start_ms, total, added) =
            self.step(key, step, Value::Exponential(histogram.clone()))?;
        if let Value::Exponential(total) = total {
            *histogram = total;
        }
        Ok((start_ms, added))
    }

    fn step(&self, key: &Labels, step: Step, value: Value) -> Result<(i64, Value, Added), Refused> {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let start_ms = if step.start_ms > 0 { step.start_ms } else { step.time_ms };
        let added = Added { key: key.clone(), value: value.clone() };
        if let Some(total) = series.get_mut(key) {
            if step.time_ms <= total.time_ms {
                return Err(Refused::OutOfOrder);
            }
            total.time_ms = step.time_ms;
            if !total.value.add(&value, 1.0) {
                (total.start_ms, total.value) = (start_ms, value);
            }
            return Ok((total.start_ms, total.value.clone(), added));
        }
        if series.len() >= SERIES_MAX {
            series.retain(|_, total| total.time_ms > step.time_ms.saturating_sub(IDLE_MS));
            if series.len() >= SERIES_MAX {
                return Err(Refused::TooManySeries);
            }
        }
        let total = Total { time_ms: step.time_ms, start_ms, value: value.clone() };
        series.insert(key.clone(), total);
        Ok((start_ms, value, added))
    }

    /// Takes back what was added for a batch that was not stored: its sender will send
    /// it again.
    pub(crate) fn take_back(&self, added: &[Added]) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        for added in added {
            if let Some(total) = series.get_mut(&added.key) {
                total.value.add(&added.value, -1.0);
                // The same time must be allowed again.
                total.time_ms = i64::MIN;
            }
        }
    }

    /// Series whose totals are kept.
    pub(crate) fn len(&self) -> usize {
        self.series.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(start_ms: i64, time_ms: i64) -> Step {
        Step { start_ms, time_ms, layout: 0 }
    }

    #[test]
    fn deltas_become_a_running_total_since_the_first_start() {
        let totals = Totals::default();
        let key = Labels::from_pairs([("__name__", "a")]);
        let add = |start, time, value| {
            let mut values = [value];
            totals.add(&key, step(start, time), &mut values).map(|(start, _)| (start, values[0]))
        };
        assert_eq!(add(1000, 2000, 3.0), Ok((1000, 3.0)));
        assert_eq!(add(2000, 3000, 4.0), Ok((1000, 7.0)));
        assert_eq!(add(2000, 3000, 4.0), Err(Refused::OutOfOrder), "sent twice");
        assert_eq!(add(3000, 4000, -2.0), Ok((1000, 5.0)));
    }

    #[test]
    fn what_was_not_stored_is_taken_back_and_may_come_again() {
        let totals = Totals::default();
        let key = Labels::from_pairs([("__name__", "a")]);
        totals.add(&key, step(0, 1), &mut [1.0]).unwrap();
        let (_, added) = totals.add(&key, step(0, 2), &mut [5.0]).unwrap();
        totals.take_back(&[added]);
        let mut values = [5.0];
        totals.add(&key, step(0, 2), &mut values).unwrap();
        assert_eq!(values, [6.0]);
    }

    #[test]
    fn other_buckets_begin_a_new_total() {
        let totals = Totals::default();
        let key = Labels::from_pairs([("__name__", "a")]);
        totals.add(&key, step(5, 10), &mut [1.0, 2.0]).unwrap();
        let mut values = [1.0, 1.0];
        let other = Step { start_ms: 10, time_ms: 20, layout: 1 };
        let (start, _) = totals.add(&key, other, &mut values).unwrap();
        assert_eq!((start, values), (10, [1.0, 1.0]));
    }
}
