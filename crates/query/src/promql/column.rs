//! Values of series over the steps of a query, one column per series.

use std::sync::Arc;

use trefoil_store::Labels;
use trefoil_store::model::{Histogram, STALE_NAN, is_stale};

/// The instants an expression is evaluated at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    /// The first, in Unix milliseconds.
    pub(crate) start_ms: i64,
    /// Distance between two; 0 if there is only one.
    pub(crate) step_ms: i64,
    /// How many.
    pub(crate) count: usize,
}

impl Steps {
    /// One instant.
    pub(crate) fn one(time_ms: i64) -> Steps {
        Steps { start_ms: time_ms, step_ms: 0, count: 1 }
    }

    /// The time of one step.
    pub(crate) fn time(&self, i: usize) -> i64 {
        self.start_ms.saturating_add(self.step_ms.saturating_mul(i as i64))
    }

    /// The time of the last step.
    pub(crate) fn last(&self) -> i64 {
        self.time(self.count.saturating_sub(1))
    }

    /// All times.
    pub(crate) fn times(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |i| self.time(i))
    }
}

/// The mark of an absent float. Samples that are stale never get into a column, and no
/// arithmetic yields this signalling NaN, so it is free to mean "nothing here".
pub(crate) const ABSENT: f64 = STALE_NAN;

/// Whether a float is there.
pub(crate) fn is_present(value: f64) -> bool {
    !is_stale(value)
}

/// One value per step: a float, a histogram, or nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    /// Floats, [`ABSENT`] where there is none.
    pub(crate) floats: Vec<f64>,
    /// Histograms; empty if the column has none at all.
    pub(crate) histograms: Vec<Option<Arc<Histogram>>>,
}

/// One value.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Column {
    /// Nothing at every step.
    pub(crate) fn absent(count: usize) -> Column {
        Column { floats: vec![ABSENT; count], histograms: Vec::new() }
    }

    /// Empties the column for another series.
    pub(crate) fn reset(&mut self, count: usize) {
        self.floats.clear();
        self.floats.resize(count, ABSENT);
        self.histograms.clear();
    }

    /// The histogram at a step.
    pub(crate) fn histogram(&self, i: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(i)?.as_ref()
    }

    /// The value at a step.
    pub(crate) fn get(&self, i: usize) -> Option<Cell> {
        let float = self.floats[i];
        if is_present(float) {
            return Some(Cell::Float(float));
        }
        self.histogram(i).map(|h| Cell::Histogram(Arc::clone(h)))
    }

    /// Whether there is a value at a step.
    pub(crate) fn has(&self, i: usize) -> bool {
        is_present(self.floats[i]) || self.histogram(i).is_some()
    }

    /// Whether there is no value at all.
    pub(crate) fn is_empty(&self) -> bool {
        !self.floats.iter().any(|f| is_present(*f)) && !self.histograms.iter().any(Option::is_some)
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.floats.iter().filter(|f| is_present(**f)).count()
            + self.histograms.iter().flatten().count()
    }

    /// Puts a value at a step.
    pub(crate) fn set(&mut self, i: usize, cell: Cell) {
        match cell {
            Cell::Float(value) => self.floats[i] = value,
            Cell::Histogram(histogram) => self.set_histogram(i, histogram),
        }
    }

    /// Puts a histogram at a step.
    pub(crate) fn set_histogram(&mut self, i: usize, histogram: Arc<Histogram>) {
        if self.histograms.is_empty() {
            self.histograms.resize(self.floats.len(), None);
        }
        self.floats[i] = ABSENT;
        self.histograms[i] = Some(histogram);
    }

    /// Removes the value at a step.
    pub(crate) fn clear(&mut self, i: usize) {
        self.floats[i] = ABSENT;
        if let Some(histogram) = self.histograms.get_mut(i) {
            *histogram = None;
        }
    }

    /// Replaces every float.
    pub(crate) fn map_floats(&mut self, f: impl Fn(f64) -> f64) {
        for value in &mut self.floats {
            if is_present(*value) {
                *value = f(*value);
            }
        }
    }

    /// Removes all histograms.
    pub(crate) fn drop_histograms(&mut self) {
        self.histograms.clear();
    }

    /// Takes the other's values where this one has none. False if both have one.
    pub(crate) fn merge(&mut self, other: &Column) -> bool {
        (0..self.floats.len()).all(|i| match other.get(i) {
            None => true,
            Some(_) if self.has(i) => false,
            Some(cell) => {
                self.set(i, cell);
                true
            }
        })
    }

    /// The first step's value at `count` steps.
    pub(crate) fn broadcast(&self, count: usize) -> Column {
        Column {
            floats: vec![self.floats[0]; count],
            histograms: match self.histogram(0) {
                Some(h) => vec![Some(Arc::clone(h)); count],
                None => Vec::new(),
            },
        }
    }
}

/// A series of an instant vector, over all steps.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Its labels.
    pub(crate) labels: Labels,
    /// Whether name, type and unit go when the query ends. Until then they stay, so that
    /// `label_replace` can still see them.
    pub(crate) drop_name: bool,
    /// Its values.
    pub(crate) column: Column,
}

/// The value of an expression.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// One float per step.
    Scalar(Vec<f64>),
    /// An instant vector per step.
    Vector(Vec<Series>),
    /// A string.
    String(Vec<u8>),
}
