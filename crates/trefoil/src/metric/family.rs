//! All series of one metric.

use std::any::Any;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::declare::Definition;
use super::label::{Labels, Lookup, Stored};
use super::registry::Limits;
use super::series::{Point, Series, Store};
use crate::value::Value;

/// Locks over which the series are spread; more than threads often meet.
const SHARDS: usize = 8;

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
    shards: [RwLock<Known<S>>; SHARDS],
    series: AtomicUsize,
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
            shards: Default::default(),
            series: AtomicUsize::new(0),
            overflow: OnceLock::new(),
            overflowed: AtomicU64::new(0),
            warned: AtomicBool::new(false),
            round: AtomicU64::new(0),
        }
    }

    /// The series of these labels, seen by `use_it`; `keep` if it is theirs alone, so that
    /// they may remember it.
    pub(super) fn with_series<L: Labels, T>(
        &self,
        labels: L,
        use_it: impl FnOnce(&Arc<Series<S>>, bool) -> T,
    ) -> T {
        let all = self.limits.high_cardinality.load(Relaxed);
        let hash = labels.hash(self.limits.seed, all);
        let shard = &self.shards[(hash >> 56) as usize % SHARDS];
        let known = shard.read().unwrap_or_else(PoisonError::into_inner);
        let (series, _) = find(&known, hash, |stored| labels.matches(stored, all));
        if let Some(series) = series {
            return use_it(series, true);
        }
        drop(known);
        match self.create(shard, hash, &labels, all) {
            Some(series) => use_it(&series, true),
            None => {
                self.overflowed.fetch_add(1, Relaxed);
                use_it(self.overflow_series(), false)
            }
        }
    }

    /// `None` if there are as many series as there may be.
    fn create(
        &self,
        shard: &RwLock<Known<S>>,
        hash: u64,
        labels: &impl Labels,
        all: bool,
    ) -> Option<Arc<Series<S>>> {
        if self.is_full() {
            return None;
        }
        let mut known = shard.write().unwrap_or_else(PoisonError::into_inner);
        let (found, vacant) = find(&known, hash, |stored| labels.matches(stored, all));
        if let Some(series) = found {
            return Some(Arc::clone(series));
        }
        if self.series.fetch_add(1, Relaxed) >= self.limits.series_max() {
            self.series.fetch_sub(1, Relaxed);
            return None;
        }
        let series = Arc::new(self.new_series(labels.store(all)));
        known.insert(vacant, Arc::clone(&series));
        Some(series)
    }

    /// The overflow series counts among those a metric may have, as OpenTelemetry has it.
    fn is_full(&self) -> bool {
        self.series.load(Relaxed) >= self.limits.series_max()
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
            Arc::new(self.new_series(Box::new([label])))
        })
    }

    fn new_series(&self, labels: Stored) -> Series<S> {
        let exemplars = self.kind != Kind::UpDownCounter && self.limits.exemplars.load(Relaxed);
        Series::new(labels, &self.settings, exemplars)
    }

    fn all(&self) -> Vec<Arc<Series<S>>> {
        let mut all = Vec::with_capacity(self.series.load(Relaxed) + 1);
        for shard in &self.shards {
            let known = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(known.values().cloned());
        }
        all.extend(self.overflow.get().cloned());
        all
    }
}

/// Series by the hash of their labels.
type Known<S> = HashMap<u64, Arc<Series<S>>, BuildHasherDefault<Hashed>>;

/// The series that matches, or where it would go: hashes that collide take the next number.
/// Series are never removed, so the chain has no gaps.
fn find<S: Store>(
    known: &Known<S>,
    mut hash: u64,
    matches: impl Fn(&Stored) -> bool,
) -> (Option<&Arc<Series<S>>>, u64) {
    loop {
        match known.get(&hash) {
            Some(series) if matches(&series.labels) => return (Some(series), hash),
            Some(_) => hash = hash.wrapping_add(1),
            None => return (None, hash),
        }
    }
}

/// The key is a hash already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
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
        let mut points: Vec<Point> =
            self.all().iter().filter_map(|series| series.read(round)).collect();
        points.sort_by(|a, b| by_labels(&a.labels, &b.labels));
        points
    }

    fn overflowed(&self) -> u64 {
        self.overflowed.load(Relaxed)
    }
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
