//! Metrics that are asked for when they are collected.
//!
//! Callbacks run on a thread of their own with a budget of time: one that hangs delays a
//! collection once, one that panics delays none, and the values of the last time stand in.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::declare::Definition;
use super::family::{Family, Kind};
use super::instrument::{Instrument, Ready, StateLabels};
use super::label::{LabelSet, Labels};
use super::number::{Number, read, wire};
use super::registry::Registry;
use super::series::{Reading, Store};

/// Longest that a collection waits for callbacks. A scrape has ten seconds by default, a
/// shutdown one.
const BUDGET: Duration = Duration::from_millis(250);

/// An instrument whose values callbacks give. A series that the last callbacks did not
/// mention is not exported.
pub(crate) struct Observable<L: LabelSet, V: Number> {
    instrument: Instrument<L, Seen<V>>,
    kind: Kind,
    observed: OnceLock<Arc<Observed>>,
}

impl<L: LabelSet, V: Number> Observable<L, V> {
    const fn declare(definition: Definition, kind: Kind) -> Self {
        Observable { instrument: Instrument::new(definition), kind, observed: OnceLock::new() }
    }

    pub(super) fn in_registry(registry: &Registry, definition: &Definition, kind: Kind) -> Self {
        let family = registry.register(definition, kind, ());
        let observed = registry.observers().of_family(Arc::clone(&family) as _);
        Observable { instrument: Instrument::of(family), kind, observed: OnceLock::from(observed) }
    }

    /// Adds a callback.
    pub(crate) fn observe(&self, callback: impl Fn(&Observer<'_, L, V>) + Send + 'static) {
        let ready = self
            .instrument
            .ready(|registry, definition| registry.register(definition, self.kind, ()));
        let family = Arc::clone(&ready.family);
        let observed = self
            .observed
            .get_or_init(|| Registry::global().observers().of_family(Arc::clone(&family) as _));
        let ready = Ready::new::<L>(family);
        observed.add(Box::new(move |round| {
            callback(&Observer { ready: &ready, round, labels: std::marker::PhantomData });
        }));
    }
}

/// Takes the values of a callback.
pub struct Observer<'a, L: LabelSet, V: Number> {
    ready: &'a Ready<Seen<V>>,
    round: u64,
    labels: std::marker::PhantomData<fn(L)>,
}

impl<L: LabelSet, V: Number> Observer<'_, L, V> {
    /// The value now; of a counter, its total.
    pub fn set(&self, value: V, labels: L::Of<'_>) {
        self.ready.record(labels, (value, self.round));
    }

    /// Sets all combinations of labels that can be counted to zero, so that those not
    /// mentioned after it are exported as zero instead of not at all.
    pub fn fill(&self) {
        for state in 0..<L::Of<'static> as Labels>::STATES {
            let (series, _) = self.ready.family.series(StateLabels::<L>::new(state));
            series.record((V::ZERO, self.round));
        }
    }
}

impl<L: LabelSet, V: Number> fmt::Debug for Observer<'_, L, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observer({})", self.ready.family.definition.name)
    }
}

macro_rules! observables {
    ($($(#[doc = $doc:expr])* $name:ident $kind:ident $value:ty;)*) => {$(
        $(#[doc = $doc])*
        pub struct $name<L: LabelSet = (), V: Number = $value>(Observable<L, V>);

        impl<L: LabelSet, V: Number> $name<L, V> {
            /// See [`metrics!`](crate::metrics).
            #[doc(hidden)]
            pub const fn declare(definition: Definition) -> Self {
                $name(Observable::declare(definition, Kind::$kind))
            }

            pub(super) fn in_registry(registry: &Registry, definition: &Definition) -> Self {
                $name(Observable::in_registry(registry, definition, Kind::$kind))
            }

            /// Adds a callback, which every collection calls on a thread of its own.
            ///
            /// If it takes longer than a quarter of a second, or panics, the values of the
            /// last time are exported instead.
            pub fn observe(&self, callback: impl Fn(&Observer<'_, L, V>) + Send + 'static) {
                self.0.observe(callback);
            }
        }

        impl<L: LabelSet, V: Number> fmt::Debug for $name<L, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0.instrument)
            }
        }
    )*};
}
observables! {
    /// A current value that callbacks give.
    ObservableGauge Gauge f64;
    /// A total that only goes up, given by callbacks.
    ObservableCounter Counter u64;
    /// A total that goes up and down, given by callbacks.
    ObservableUpDownCounter UpDownCounter i64;
}

/// All callbacks of a registry.
#[derive(Default)]
pub(super) struct Observers {
    all: Mutex<Vec<Arc<Observed>>>,
}

impl Observers {
    fn of_family(&self, family: Arc<dyn Rounds>) -> Arc<Observed> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| Arc::ptr_eq(&known.family, &family)) {
            return Arc::clone(known);
        }
        let observed = Arc::new(Observed {
            family,
            callbacks: Mutex::default(),
            running: AtomicBool::new(false),
            warned: AtomicBool::new(false),
        });
        all.push(Arc::clone(&observed));
        observed
    }

    /// Runs all callbacks, waiting no longer than the budget. Those that still run from the
    /// last time are left alone.
    pub(super) fn run(&self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.retain(|observed| observed.is_idle());
        if all.is_empty() {
            return;
        }
        let (done, wait) = channel();
        let work = move || {
            for observed in all {
                observed.run();
            }
            // The collection may have gone on without.
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name("trefoil-observe".to_owned()).spawn(work);
        if let Err(error) = thread {
            tracing::warn!(
                target: "trefoil",
                %error,
                "no thread for callbacks of metrics; their last values are exported"
            );
        } else if wait.recv_timeout(BUDGET) == Err(RecvTimeoutError::Timeout) {
            tracing::debug!(
                target: "trefoil",
                "callbacks of metrics take longer than {BUDGET:?}; their last values are exported"
            );
        }
    }
}

/// A family with its callbacks.
struct Observed {
    family: Arc<dyn Rounds>,
    callbacks: Mutex<Vec<Callback>>,
    running: AtomicBool,
    warned: AtomicBool,
}

/// Is told the number of its round.
type Callback = Box<dyn Fn(u64) + Send>;

impl Observed {
    fn add(&self, callback: Callback) {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner).push(callback);
    }

    fn is_idle(&self) -> bool {
        !self.running.load(Relaxed)
    }

    fn run(&self) {
        if self.running.swap(true, Relaxed) {
            return;
        }
        let round = self.family.round().load(Relaxed) + 1;
        let mut complete = true;
        let callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        for callback in &*callbacks {
            complete &= catch_unwind(AssertUnwindSafe(|| callback(round))).is_ok();
        }
        drop(callbacks);
        if complete {
            // Only now are series that were not mentioned gone.
            self.family.round().store(round, Relaxed);
        } else if !self.warned.swap(true, Relaxed) {
            tracing::warn!(
                target: "trefoil",
                metric = %self.family.definition().name,
                "the callback of a metric panicked; its last values are exported"
            );
        }
        self.running.store(false, Relaxed);
    }
}

/// A family of an observable, whatever it counts.
trait Rounds: Send + Sync {
    fn round(&self) -> &AtomicU64;
    fn definition(&self) -> &Definition;
}

impl<V: Number> Rounds for Family<Seen<V>> {
    fn round(&self) -> &AtomicU64 {
        &self.round
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }
}

/// The value that the last callback gave, and its round.
pub(super) struct Seen<V>(AtomicU64, AtomicU64, std::marker::PhantomData<V>);

impl<V: Number> Store for Seen<V> {
    type Settings = ();
    type Value = (V, u64);

    fn new((): &()) -> Self {
        Seen(AtomicU64::new(V::ZERO.to_bits()), AtomicU64::new(0), std::marker::PhantomData)
    }

    fn record(&self, (): &(), (value, round): (V, u64)) -> usize {
        self.0.store(value.to_bits(), Relaxed);
        self.1.store(round, Relaxed);
        0
    }

    fn exemplar_places((): &()) -> usize {
        0
    }

    fn as_f64((value, _): (V, u64)) -> f64 {
        value.as_f64()
    }

    fn read(&self, (): &(), round: u64) -> Option<Reading> {
        (self.1.load(Relaxed) >= round).then(|| Reading::Number(wire(read::<V>(&self.0))))
    }
}
