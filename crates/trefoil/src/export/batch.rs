//! What leaves together: items of one signal, grouped by scope, and what becomes of them
//! at each exporter.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use trefoil_wire::otlp::ScopeWriter;
use trefoil_wire::protobuf::Writer;

use super::queue::{Priority, Queue};
use crate::account::{Account, Dropped, Signal};
use crate::resource::Resource;

/// Items of one signal and one priority, shared by all exporters of the signal.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) items: u64,
    pub(super) priority: Priority,
    /// `ScopeSpans`, `ScopeLogs` or `ScopeMetrics`, each as field 2 of what holds them.
    pub(super) scopes: Vec<u8>,
    fate: Fate,
}

impl Half {
    pub(super) fn new(
        items: u64,
        priority: Priority,
        scopes: Vec<u8>,
        ledger: &Rc<Ledger>,
        exporters: usize,
    ) -> Rc<Half> {
        let fate = Fate {
            ledger: Rc::clone(ledger),
            open: Cell::new(exporters),
            best: Cell::new(Outcome::Dropped(Dropped::ExportFailed, items)),
        };
        Rc::new(Half { items, priority, scopes, fate })
    }

    /// Takes up to a batch out of the queue: errors and the rest, for so many exporters.
    pub(super) fn take(queue: &Queue, ledger: &Rc<Ledger>, exporters: usize) -> Vec<Rc<Half>> {
        let mut groups = [Groups::default(), Groups::default()];
        let [errors, normal] = &mut groups;
        queue.take(&mut |scope, priority, message| match priority {
            Priority::Error => errors.add(scope, message),
            Priority::Normal => normal.add(scope, message),
        });
        let halves = groups.into_iter().zip([Priority::Error, Priority::Normal]);
        let halves = halves.filter(|(groups, _)| groups.items > 0);
        let half = |(groups, priority): (Groups, Priority)| {
            Half::new(groups.items, priority, groups.into_bytes(), ledger, exporters)
        };
        halves.map(half).collect()
    }

    /// One exporter is done with it.
    pub(super) fn settle(&self, lane: &Account, outcome: Outcome) {
        outcome.book(lane, self.items);
        let fate = &self.fate;
        if outcome.exported(self.items) > fate.best.get().exported(self.items) {
            fate.best.set(outcome);
        } else if let Outcome::Dropped(..) = outcome
            && fate.best.get().exported(self.items) == 0
        {
            fate.best.set(outcome);
        }
        fate.open.set(fate.open.get() - 1);
        if fate.open.get() == 0 {
            fate.best.get().book(&fate.ledger.signal, self.items);
            fate.best.get().book(&fate.ledger.settled, self.items);
        }
    }
}

/// How a half ended at an exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Acknowledged.
    Exported,
    /// So many of it were not, the rest was.
    Dropped(Dropped, u64),
}

impl Outcome {
    pub(super) fn all(reason: Dropped, half: &Half) -> Outcome {
        Outcome::Dropped(reason, half.items)
    }

    fn exported(self, items: u64) -> u64 {
        match self {
            Outcome::Exported => items,
            Outcome::Dropped(_, dropped) => items - dropped,
        }
    }

    fn book(self, account: &Account, items: u64) {
        account.exported(self.exported(items));
        if let Outcome::Dropped(reason, dropped) = self {
            account.dropped(reason, dropped);
        }
    }
}

/// Where the fate of a signal's items is written down.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The signal's account, which others write to as well.
    pub(super) signal: Arc<Account>,
    /// What the exporters alone wrote there.
    pub(super) settled: Arc<Account>,
}

/// Of several exporters the one that took most of it says what became of it.
#[derive(Debug)]
struct Fate {
    ledger: Rc<Ledger>,
    /// Exporters that are not done yet.
    open: Cell<usize>,
    best: Cell<Outcome>,
}

/// Items by scope, in the order in which the scopes first came.
#[derive(Default)]
struct Groups {
    items: u64,
    groups: Vec<(&'static str, Writer)>,
}

impl Groups {
    fn add(&mut self, scope: &'static str, message: &[u8]) {
        self.items += 1;
        // A service has few scopes, and neighbours mostly share theirs.
        let place = self.groups.iter().rposition(|(known, _)| *known == scope);
        let place = place.unwrap_or_else(|| {
            let mut w = Writer::new();
            w.message(1, |w| ScopeWriter(w).name(scope));
            self.groups.push((scope, w));
            self.groups.len() - 1
        });
        self.groups[place].1.bytes(2, message);
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut all = Writer::new();
        for (_, group) in &self.groups {
            all.bytes(2, group.as_bytes());
        }
        all.into_bytes()
    }
}

/// An OTLP export request of these halves, of any signal: their envelopes have one shape.
pub(super) fn request(resource: &Resource, halves: &[Rc<Half>]) -> Vec<u8> {
    let scopes: usize = halves.iter().map(|half| half.scopes.len()).sum();
    let envelope = resource.encoded().len() + 24;
    let mut bytes = Vec::with_capacity(scopes + envelope);
    let mut w = Writer::from_vec(std::mem::take(&mut bytes));
    w.message(1, |w| {
        w.bytes(1, resource.encoded());
        let mut inner = std::mem::take(w).into_bytes();
        halves.iter().for_each(|half| inner.extend_from_slice(&half.scopes));
        *w = Writer::from_vec(inner);
    });
    w.into_bytes()
}

/// What one exporter sends at once.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) signal: Signal,
    pub(super) halves: Vec<Rc<Half>>,
    /// How often its time ran out already: errors are tried again when nothing else is left.
    pub(super) rounds: u32,
}

impl Parcel {
    pub(super) fn items(&self) -> u64 {
        self.halves.iter().map(|half| half.items).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.halves.iter().map(|half| half.scopes.len()).sum()
    }

    /// The receiver took it, but for `rejected` items: whether errors are among those it
    /// does not say, so the others are counted first.
    pub(super) fn settle_accepted(self, lane: &Account, mut rejected: u64) {
        for half in self.halves.iter().rev() {
            let lost = rejected.min(half.items);
            rejected -= lost;
            let outcome = match lost {
                0 => Outcome::Exported,
                _ => Outcome::Dropped(Dropped::Refused, lost),
            };
            half.settle(lane, outcome);
        }
    }

    pub(super) fn settle_dropped(self, lane: &Account, reason: Dropped) {
        self.halves.iter().for_each(|half| half.settle(lane, Outcome::all(reason, half)));
    }
}

/// Where each lane's waiting parcels are held while its exporter is busy.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    parcels: RefCell<std::collections::VecDeque<Parcel>>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.parcels.borrow().is_empty()
    }

    pub(super) fn pop(&self) -> Option<Parcel> {
        self.parcels.borrow_mut().pop_front()
    }

    /// Adds a parcel at the end, or in front if it was tried before.
    pub(super) fn push(&self, parcel: Parcel) {
        let mut parcels = self.parcels.borrow_mut();
        match parcel.rounds {
            0 => parcels.push_back(parcel),
            _ => parcels.push_front(parcel),
        }
    }

    pub(super) fn amount(&self) -> (u64, usize) {
        let parcels = self.parcels.borrow();
        (parcels.iter().map(Parcel::items).sum(), parcels.iter().map(Parcel::bytes).sum())
    }

    /// Takes out what goes first: the oldest normal half, or else the oldest errors.
    pub(super) fn evict(&self) -> Option<Rc<Half>> {
        let mut parcels = self.parcels.borrow_mut();
        let normal = |half: &Rc<Half>| half.priority == Priority::Normal;
        let place = parcels.iter().position(|parcel| parcel.halves.iter().any(normal));
        let parcel = parcels.get_mut(place.unwrap_or(0))?;
        let half = match parcel.halves.iter().position(normal) {
            Some(place) => parcel.halves.remove(place),
            None => parcel.halves.remove(0),
        };
        parcels.retain(|parcel| !parcel.halves.is_empty());
        Some(half)
    }
}
