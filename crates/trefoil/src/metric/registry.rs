//! All metrics of a process, or of a test.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::counter::{Counter, UpDownCounter};
use super::declare::{Audience, Buckets, Definition, Scope};
use super::family::{Collect, Family, Kind};
use super::gauge::Gauge;
use super::histogram::Histogram;
use super::label::LabelSet;
use super::number::Number;
use super::observe::{
    Observable, ObservableCounter, ObservableGauge, ObservableUpDownCounter, Observers,
};
use super::series::{Point, Store};
use crate::config::MetricSettings;

/// All metrics of a process, or of a test.
///
/// What [`metrics!`](crate::metrics) declares is in the [global](Registry::global) one.
pub struct Registry {
    families: Mutex<Families>,
    limits: Arc<Limits>,
    observers: Observers,
    /// One collection at a time, so that a push and a scrape do not run callbacks twice.
    collecting: Mutex<()>,
    /// Whether it reports the process.
    has_runtime: AtomicBool,
}

#[derive(Default)]
struct Families {
    /// By the names of scope and metric.
    places: HashMap<(Cow<'static, str>, Cow<'static, str>), usize>,
    list: Vec<Arc<dyn Collect>>,
    conflicts: Vec<Cow<'static, str>>,
}

/// What the settings say, for all metrics.
pub(super) struct Limits {
    cardinality: AtomicUsize,
    pub(super) high_cardinality: AtomicBool,
    pub(super) exemplars: AtomicBool,
    pub(super) exponential: AtomicBool,
    /// Of the hashes of labels.
    pub(super) seed: u64,
}

/// OpenTelemetry's default.
const CARDINALITY_LIMIT: usize = 2000;

impl Limits {
    /// Series of a metric, the overflow series not counted.
    pub(super) fn series_max(&self) -> usize {
        self.cardinality.load(Relaxed).saturating_sub(1).max(1)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Registry::new()
    }
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Registry {
        Registry {
            families: Mutex::default(),
            limits: Arc::new(Limits {
                cardinality: AtomicUsize::new(CARDINALITY_LIMIT),
                high_cardinality: AtomicBool::new(false),
                exemplars: AtomicBool::new(true),
                exponential: AtomicBool::new(false),
                seed: std::collections::hash_map::RandomState::new().hash_one(0),
            }),
            observers: Observers::default(),
            collecting: Mutex::new(()),
            has_runtime: AtomicBool::new(false),
        }
    }

    /// The one that declared metrics are in.
    #[must_use]
    pub fn global() -> &'static Arc<Registry> {
        static GLOBAL: LazyLock<Arc<Registry>> = LazyLock::new(Arc::default);
        &GLOBAL
    }

    /// Begins a metric whose name is known only while the program runs.
    ///
    /// ```
    /// use trefoil::metric::{AnyLabels, Counter, Registry};
    ///
    /// let registry = Registry::new();
    /// let jobs: Counter<AnyLabels> = registry.metric("jobs_total").description("Jobs.").counter();
    /// jobs.add(1, &[("queue", "mail".into())]);
    /// ```
    pub fn metric(&self, name: impl Into<Cow<'static, str>>) -> MetricBuilder<'_> {
        let definition = Definition {
            name: name.into(),
            description: Cow::Borrowed(""),
            unit: Cow::Borrowed(""),
            scope: Scope::default(),
            buckets: Buckets::Default,
            audience: Audience::Both,
        };
        MetricBuilder { registry: self, definition }
    }

    /// Takes the settings over. Series that are there already stay as they are.
    pub(crate) fn configure(&self, settings: &MetricSettings) {
        self.limits.cardinality.store(settings.cardinality_limit, Relaxed);
        self.limits.high_cardinality.store(settings.high_cardinality, Relaxed);
        self.limits.exemplars.store(settings.exemplars, Relaxed);
        self.limits.exponential.store(settings.exponential_histograms, Relaxed);
    }

    /// True for the first who asks.
    pub(super) fn claim_runtime(&self) -> bool {
        !self.has_runtime.swap(true, Relaxed)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn observers(&self) -> &Observers {
        &self.observers
    }

    /// The family of a definition. A metric that was declared before is the same one; if it
    /// was another kind of metric, the first one wins and this one is recorded nowhere.
    pub(super) fn register<S: Store>(
        &self,
        definition: &Definition,
        kind: Kind,
        settings: S::Settings,
    ) -> Arc<Family<S>> {
        let definition = Arc::new(definition.clone());
        let new = Arc::new(Family::<S>::new(definition, kind, settings, Arc::clone(&self.limits)));
        // Compiled for each kind of instrument and labels, so the work is done elsewhere.
        let first: Arc<dyn Any + Send + Sync> = self.first(Arc::clone(&new) as _);
        first.downcast().unwrap_or(new)
    }

    /// The family that was registered first under this name, from now on perhaps this one. If
    /// the first one is of another kind, `new` itself, which nobody collects.
    fn first(&self, new: Arc<dyn Collect>) -> Arc<dyn Collect> {
        let definition = Arc::clone(new.definition());
        let mut families = self.families();
        let key = (definition.scope.name.clone(), definition.name.clone());
        let Some(&place) = families.places.get(&key) else {
            let place = families.list.len();
            families.list.push(Arc::clone(&new));
            families.places.insert(key, place);
            return new;
        };
        let first = Arc::clone(&families.list[place]);
        // TRAP: asked of the trait object itself, the type is that of all families.
        let (one, other): (&dyn Any, &dyn Any) = (&*first, &*new);
        let same_type = one.type_id() == other.type_id();
        let same_unit = first.definition().unit == definition.unit;
        if same_type && same_unit && first.kind() == new.kind() {
            return first;
        }
        if !families.conflicts.contains(&definition.name) {
            families.conflicts.push(definition.name.clone());
            drop(families);
            warn_of_conflict(first.definition(), &definition, new.kind());
        }
        new
    }

    /// What all metrics say now, ordered by scope and name. Metrics without series are left
    /// out. Recording goes on meanwhile.
    pub(crate) fn collect(&self) -> Vec<Collected> {
        let _one = self.collecting.lock().unwrap_or_else(PoisonError::into_inner);
        self.observers.run();
        let families = self.families().list.clone();
        let mut all: Vec<Collected> = families
            .iter()
            .map(|family| Collected {
                definition: Arc::clone(family.definition()),
                kind: family.kind(),
                points: family.collect(),
            })
            .filter(|collected| !collected.points.is_empty())
            .collect();
        all.sort_by(|a, b| {
            let key = |c: &Collected| (c.definition.scope.name.clone(), c.definition.name.clone());
            key(a).cmp(&key(b))
        });
        all
    }

    /// Names, units and descriptions of metrics that are against the customs of Prometheus,
    /// a line each, with what to do. For a test of the service that records them.
    #[must_use]
    pub fn check_names(&self) -> Vec<String> {
        let families = self.families();
        let problems = families.list.iter().flat_map(|family| {
            let definition = family.definition();
            let problems = super::name::problems(definition, family.kind());
            let name = definition.name.clone();
            problems.into_iter().map(move |problem| format!("{name}: {problem}"))
        });
        problems.collect()
    }

    /// Measurements that went to overflow series, by the names of the metrics.
    pub(crate) fn overflowed(&self) -> Vec<(Cow<'static, str>, u64)> {
        let families = self.families();
        let counts = families.list.iter().map(|f| (f.definition().name.clone(), f.overflowed()));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    fn families(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({} metrics)", self.families().list.len())
    }
}

fn warn_of_conflict(first: &Definition, second: &Definition, kind: Kind) {
    tracing::warn!(
        target: "trefoil",
        metric = %second.name,
        first_unit = %first.unit,
        unit = %second.unit,
        kind = ?kind,
        "a metric is declared twice with another kind or unit; the first declaration wins and \
         the second is not exported: give one of them another name"
    );
}

/// A metric as it stood at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Collected {
    pub(crate) definition: Arc<Definition>,
    pub(crate) kind: Kind,
    pub(crate) points: Vec<Point>,
}

/// A metric that is being described.
#[derive(Debug)]
#[must_use]
pub struct MetricBuilder<'r> {
    registry: &'r Registry,
    definition: Definition,
}

impl MetricBuilder<'_> {
    /// The unit in UCUM, e.g. `s` or `By`.
    pub fn unit(mut self, unit: impl Into<Cow<'static, str>>) -> Self {
        self.definition.unit = unit.into();
        self
    }

    /// What it means.
    pub fn description(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.definition.description = description.into();
        self
    }

    /// The library that records it, and its version.
    pub fn scope(
        mut self,
        name: impl Into<Cow<'static, str>>,
        version: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.definition.scope = Scope { name: name.into(), version: version.into() };
        self
    }

    pub(super) fn audience(mut self, audience: Audience) -> Self {
        self.definition.audience = audience;
        self
    }

    /// How a histogram counts.
    pub fn buckets(mut self, buckets: Buckets) -> Self {
        self.definition.buckets = buckets;
        self
    }

    /// A sum that only goes up.
    #[must_use]
    pub fn counter<L: LabelSet, V: Number>(self) -> Counter<L, V> {
        Counter::in_registry(self.registry, &self.definition)
    }

    /// A sum that goes up and down.
    #[must_use]
    pub fn up_down_counter<L: LabelSet, V: Number>(self) -> UpDownCounter<L, V> {
        UpDownCounter::in_registry(self.registry, &self.definition)
    }

    /// A value that is set.
    #[must_use]
    pub fn gauge<L: LabelSet, V: Number>(self) -> Gauge<L, V> {
        Gauge::in_registry(self.registry, &self.definition)
    }

    /// A distribution.
    #[must_use]
    pub fn histogram<L: LabelSet>(self) -> Histogram<L> {
        Histogram::in_registry(self.registry, &self.definition)
    }

    /// A current value that callbacks give.
    #[must_use]
    pub fn observable_gauge<L: LabelSet, V: Number>(self) -> ObservableGauge<L, V> {
        ObservableGauge::in_registry(self.registry, &self.definition)
    }

    /// A total that only goes up, given by callbacks.
    #[must_use]
    pub fn observable_counter<L: LabelSet, V: Number>(self) -> ObservableCounter<L, V> {
        ObservableCounter::in_registry(self.registry, &self.definition)
    }

    /// A total that goes up and down, given by callbacks.
    #[must_use]
    pub fn observable_up_down_counter<L: LabelSet, V: Number>(
        self,
    ) -> ObservableUpDownCounter<L, V> {
        ObservableUpDownCounter::in_registry(self.registry, &self.definition)
    }

    pub(crate) fn observable<L: LabelSet, V: Number>(self, kind: Kind) -> Observable<L, V> {
        Observable::in_registry(self.registry, &self.definition, kind)
    }
}
