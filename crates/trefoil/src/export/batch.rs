//! What leaves together: items of one signal, grouped by scope, and what becomes of them
//! at each exporter.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;
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
    number: u64,
    /// Exporters that are not done yet.
    open: Cell<usize>,
    /// Of several exporters the one that took most of it says what became of it.
    best: Cell<Option<Outcome>>,
    /// Whether the exporter that answers for it has it on disk, and says later.
    spooled: Cell<bool>,
    ledger: Rc<Ledger>,
}

impl Half {
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
            ledger.half(groups.items, priority, groups.into_bytes(), exporters)
        };
        halves.map(half).collect()
    }

    /// One exporter is done with it.
    pub(super) fn settle(&self, exporter: &Account, outcome: Outcome) {
        outcome.book(exporter, self.items);
        let best = self.best.get();
        if best.is_none_or(|best| best.exported(self.items) < outcome.exported(self.items)) {
            self.best.set(Some(outcome));
        }
        self.close_one();
    }

    /// One exporter has it on disk and will say later what became of it, for all if
    /// `answers`.
    pub(super) fn settle_spooled(&self, answers: bool) {
        self.spooled.set(self.spooled.get() | answers);
        self.close_one();
    }

    fn close_one(&self) {
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 {
            self.ledger.close(self);
        }
    }
}

/// Where the fate of a signal's items is written down, and what is still on its way.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The signal's account, which others write to as well.
    signal: Arc<Account>,
    /// What came here from the exporters, for the account of a single one.
    settled: Arc<Account>,
    next: Cell<u64>,
    open: RefCell<BTreeMap<u64, u64>>,
    /// Told whenever a half is closed.
    pub(super) progress: Notify,
}

impl Ledger {
    pub(super) fn new(signal: Arc<Account>, settled: Arc<Account>) -> Rc<Ledger> {
        let (next, open, progress) = Default::default();
        Rc::new(Ledger { signal, settled, next, open, progress })
    }

    pub(super) fn half(
        self: &Rc<Ledger>,
        items: u64,
        priority: Priority,
        scopes: Vec<u8>,
        exporters: usize,
    ) -> Rc<Half> {
        let number = self.next.get();
        self.next.set(number + 1);
        self.open.borrow_mut().insert(number, items);
        Rc::new(Half {
            items,
            priority,
            scopes,
            number,
            open: Cell::new(exporters),
            best: Cell::new(None),
            spooled: Cell::new(false),
            ledger: Rc::clone(self),
        })
    }

    fn close(&self, half: &Half) {
        if let Some(outcome) = half.best.get().filter(|_| !half.spooled.get()) {
            self.book(outcome, half.items);
        }
        self.open.borrow_mut().remove(&half.number);
        self.progress.notify_waiters();
    }

    /// Writes down what became of items, for the signal.
    pub(super) fn book(&self, outcome: Outcome, items: u64) {
        outcome.book(&self.signal, items);
        outcome.book(&self.settled, items);
    }

    /// Items that an earlier process left on disk are as good as produced.
    pub(super) fn produced(&self, items: u64) {
        self.signal.produced(items);
        self.settled.produced(items);
    }

    pub(super) fn account(&self) -> &Account {
        &self.signal
    }

    /// The number of the next half.
    pub(super) fn next(&self) -> u64 {
        self.next.get()
    }

    /// Items of halves below that number that are not settled.
    pub(super) fn open_before(&self, number: u64) -> u64 {
        self.open.borrow().range(..number).map(|(_, items)| items).sum()
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

    pub(super) fn book(self, account: &Account, items: u64) {
        account.exported(self.exported(items));
        if let Outcome::Dropped(reason, dropped) = self {
            account.dropped(reason, dropped);
        }
    }
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
        let room = self.groups.iter().map(|(_, group)| group.len() + HEAD_BYTES_MAX).sum();
        let mut all = Writer::from_vec(Vec::with_capacity(room));
        for (_, group) in &self.groups {
            all.bytes(2, group.as_bytes());
        }
        all.into_bytes()
    }
}

/// An OTLP export request of these halves, of any signal: their envelopes have one shape.
pub(super) fn request(resource: &Resource, halves: &[Rc<Half>]) -> Vec<u8> {
    let mut head = Writer::new();
    head.bytes(1, resource.encoded());
    let scopes: usize = halves.iter().map(|half| half.scopes.len()).sum();
    let length = head.len() + scopes;
    // Lengths are known, so nothing of what may be megabytes moves.
    let mut w = Writer::from_vec(Vec::with_capacity(length + HEAD_BYTES_MAX));
    w.head(1, length);
    w.encoded(head.as_bytes());
    halves.iter().for_each(|half| w.encoded(&half.scopes));
    w.into_bytes()
}

/// Tag and length of a field take no more.
const HEAD_BYTES_MAX: usize = 11;

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
    pub(super) fn settle_accepted(self, exporter: &Account, mut rejected: u64) {
        for half in self.halves.iter().rev() {
            let lost = rejected.min(half.items);
            rejected -= lost;
            let outcome = match lost {
                0 => Outcome::Exported,
                _ => Outcome::Dropped(Dropped::Refused, lost),
            };
            half.settle(exporter, outcome);
        }
    }

    pub(super) fn settle_dropped(self, exporter: &Account, reason: Dropped) {
        self.halves.iter().for_each(|half| half.settle(exporter, Outcome::all(reason, half)));
    }
}

/// Parcels of one exporter while it is busy.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    parcels: RefCell<VecDeque<Parcel>>,
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
