//! All series of one metric.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::declare::Definition;
use super::label::{Labels, Lookup, Stored};
use super::registry::Limits;
use super::series::{Point, Series, Store};
use super::table::Table;
use crate::value::Value;

/// What a metric is, for those who read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    UpDownCounter,
    Gauge,
    Histogram,
}

/// All series of one metric.
pub(super) struct Family<S: Store> {
    pub(super) definition: Arc<Definition>,
    pub(super) kind: Kind,
    settings: S::Settings,
    limits: Arc<Limits>,
    table: Table<S>,
    /// Series in the table.
    len: AtomicUsize,
    overflow: OnceLock<Arc<Series<S>>>,
    /// Measurements that the overflow series took.
    overflowed: AtomicU64,
    warned: AtomicBool,
    /// Number of the last completed round of an observable's callbacks.
    pub(super) round: AtomicU64,
}

impl<S: Store> Family<S> {
    pub(super) fn new(
        definition: Arc<Definition>,
        kind: Kind,
        settings: S::Settings,
        limits: Arc<Limits>,
    ) -> Self {
        Family {
            definition,
            kind,
            settings,
            limits,
            table: Table::new(),
            len: AtomicUsize::new(0),
            overflow: OnceLock::new(),
            overflowed: AtomicU64::new(0),
            warned: AtomicBool::new(false),
            round: AtomicU64::new(0),
        }
    }

    /// The series of these labels; whether it is theirs alone, so that they may remember it.
    #[inline]
    pub(super) fn series<L: Labels>(&self, labels: L) -> (&Arc<Series<S>>, bool) {
        let all = self.limits.high_cardinality.load(Relaxed);
        let hash = labels.hash(self.limits.seed, all);
        match self.table.get(hash, |stored| labels.matches(stored, all)) {
            Some(series) => (series, true),
            None => self.add(hash, &labels, all),
        }
    }

    #[cold]
    fn add(&self, hash: u64, labels: &impl Labels, all: bool) -> (&Arc<Series<S>>, bool) {
        let mut reserved = false;
        let mut make = || {
            let one_more = |len: usize| (len < self.limits.series_max()).then_some(len + 1);
            self.len.fetch_update(Relaxed, Relaxed, one_more).ok()?;
            reserved = true;
            Some(self.new_series(labels.store(all), hash))
        };
        let found = self.table.get_or_add(hash, &|stored| labels.matches(stored, all), &mut make);
        match found {
            Some((series, added)) => {
                if reserved && !added {
                    // Another thread added the same one.
                    self.len.fetch_sub(1, Relaxed);
                }
                (series, true)
            }
            None => {
                self.overflowed.fetch_add(1, Relaxed);
                (self.overflow_series(), false)
            }
        }
    }

    fn overflow_series(&self) -> &Arc<Series<S>> {
        if !self.warned.swap(true, Relaxed) {
            tracing::warn!(
                target: "trefoil",
                metric = %self.definition.name,
                limit = self.limits.series_max() + 1,
                "a metric has more series than its limit; the rest goes to the series \
                 otel_metric_overflow=\"true\": leave out the label with most values, or raise \
                 the cardinality limit"
            );
        }
        self.overflow.get_or_init(|| {
            let label = ("otel_metric_overflow".into(), Value::Bool(true));
            Arc::new(self.new_series(Box::new([label]), 0))
        })
    }

    fn new_series(&self, labels: Stored, hash: u64) -> Series<S> {
        let exemplars = self.kind != Kind::UpDownCounter && self.limits.exemplars.load(Relaxed);
        Series::new(labels, hash, &self.settings, exemplars)
    }
}

/// A family whose kind of cells is not known.
pub(super) trait Collect: Any + Send + Sync {
    fn definition(&self) -> &Arc<Definition>;
    fn kind(&self) -> Kind;
    /// Its series as they stand, in the order of their labels.
    fn collect(&self) -> Vec<Point>;
    /// Measurements that went to the overflow series.
    fn overflowed(&self) -> u64;
}

impl<S: Store> Collect for Family<S> {
    fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn collect(&self) -> Vec<Point> {
        let round = self.round.load(Relaxed);
        let series = self.table.iter().chain(self.overflow.get());
        in_order(series.filter_map(|series| series.read(round)).collect())
    }

    fn overflowed(&self) -> u64 {
        self.overflowed.load(Relaxed)
    }
}

/// Compiled once, not for each kind of cells: sorting is much code.
fn in_order(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| by_labels(&a.labels, &b.labels));
    points
}

/// By names and values, numbers as numbers.
fn by_labels(a: &Stored, b: &Stored) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    for ((a_name, a_value), (b_name, b_value)) in a.iter().zip(b) {
        let values = || match (a_value, b_value) {
            (Value::Str(a), Value::Str(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
            _ => Ordering::Equal,
        };
        let order = a_name.cmp(b_name).then_with(values);
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}
