//! What all instruments are made of: a definition, and the way from labels to a series.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::declare::Definition;
use super::family::Family;
use super::label::{LabelSet, Labels};
use super::registry::Registry;
use super::series::{Series, Store};

/// An instrument whose cells are `S`.
pub(super) struct Instrument<L: LabelSet, S: Store> {
    definition: Definition,
    ready: OnceLock<Ready<S>>,
    labels: PhantomData<fn(L)>,
}

/// What the first use makes.
pub(super) struct Ready<S: Store> {
    pub(super) family: Arc<Family<S>>,
    /// The series of each combination of labels, where combinations can be counted.
    table: Box<[OnceLock<Arc<Series<S>>>]>,
}

impl<L: LabelSet, S: Store> Instrument<L, S> {
    pub(super) const fn new(definition: Definition) -> Self {
        Instrument { definition, ready: OnceLock::new(), labels: PhantomData }
    }

    /// One that is registered already.
    pub(super) fn of(family: Arc<Family<S>>) -> Self {
        let definition = Definition::clone(&family.definition);
        let ready = OnceLock::from(Ready::new::<L>(family));
        Instrument { definition, ready, labels: PhantomData }
    }

    pub(super) fn definition(&self) -> &Definition {
        &self.definition
    }

    #[inline]
    pub(super) fn record(
        &self,
        labels: L::Of<'_>,
        value: S::Value,
        register: impl FnOnce(&Registry, &Definition) -> Arc<Family<S>>,
    ) {
        if <L::Of<'static> as Labels>::STATES > 0
            && let Some(ready) = self.ready.get()
            && let Some(series) = ready.table.get(labels.state()).and_then(OnceLock::get)
        {
            return series.record(value);
        }
        self.ready(register).record(labels, value);
    }

    /// The series of these labels, for a bound handle.
    pub(super) fn series(
        &self,
        labels: L::Of<'_>,
        register: impl FnOnce(&Registry, &Definition) -> Arc<Family<S>>,
    ) -> Arc<Series<S>> {
        Arc::clone(self.ready(register).family.series(labels).0)
    }

    pub(super) fn ready(
        &self,
        register: impl FnOnce(&Registry, &Definition) -> Arc<Family<S>>,
    ) -> &Ready<S> {
        self.ready.get_or_init(|| Ready::new::<L>(register(Registry::global(), &self.definition)))
    }

    /// Makes the series of all combinations of labels.
    pub(super) fn fill(&self, register: impl FnOnce(&Registry, &Definition) -> Arc<Family<S>>) {
        let ready = self.ready(register);
        for state in 0..<L::Of<'static> as Labels>::STATES {
            ready.family.series(StateLabels::<L>::new(state));
        }
    }
}

impl<S: Store> Ready<S> {
    pub(super) fn new<L: LabelSet>(family: Arc<Family<S>>) -> Self {
        let states = <L::Of<'static> as Labels>::STATES;
        Ready { family, table: (0..states).map(|_| OnceLock::new()).collect() }
    }

    #[inline(never)]
    pub(super) fn record<L: Labels>(&self, labels: L, value: S::Value) {
        let (series, keep) = self.family.series(labels);
        series.record(value);
        if keep && let Some(slot) = self.table.get(labels.state()) {
            // Another thread may have been faster, with the same series.
            let _ = slot.set(Arc::clone(series));
        }
    }
}

impl<L: LabelSet, S: Store> fmt::Debug for Instrument<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.definition.name)
    }
}

/// One of the countable combinations.
pub(super) struct StateLabels<L>(usize, PhantomData<fn(L)>);

impl<L> StateLabels<L> {
    pub(super) fn new(state: usize) -> Self {
        StateLabels(state, PhantomData)
    }
}

impl<L> Clone for StateLabels<L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for StateLabels<L> {}

impl<L: LabelSet> Labels for StateLabels<L> {
    const STATES: usize = 0;

    fn state(&self) -> usize {
        self.0
    }

    fn visit(&self, each: &mut dyn FnMut(&'static str, bool, super::LabelValue<'_>)) {
        <L::Of<'static> as Labels>::visit_state(self.0, each);
    }
}
