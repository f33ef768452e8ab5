//! One exporter of one signal: what is on its way to it, when it is tried again, and what
//! is known about it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::batch::{Ledger, Outcome, Parcel, Waiting, request};
use super::ending::{Ending, Health};
use super::retry::Backoff;
use super::spool::Shelf;
use super::status_line::{StatusLine, authority};
use super::target::{Accepted, Failure, Prepared, Target};
use crate::account::{Account, Counts, Dropped, Signal};
use crate::config::{BatchSettings, ExporterSettings};
use crate::resource::Resource;

/// Requests at once to an exporter that answers. One that fails gets one at a time.
const IN_FLIGHT_MAX: usize = 4;

/// How often the time of an error's request may run out while there is room to keep it.
const ERROR_ROUNDS_MAX: u32 = 10;

/// What all lanes share.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) resource: Arc<Resource>,
    pub(super) ending: Ending,
    pub(super) status_line: StatusLine,
}

#[derive(Debug)]
pub(super) struct Lane {
    signal: Signal,
    target: Target,
    limits: BatchSettings,
    known: Arc<Known>,
    around: Rc<Surroundings>,
    waiting: Waiting,
    in_flight: Cell<usize>,
    /// Ends a pause between two tries.
    hurry: Notify,
    /// Told when there is room for another parcel.
    freed: Rc<Notify>,
    ledger: Rc<Ledger>,
    shelf: Option<Shelf>,
    /// Whether it says for the signal what became of items that it has on disk.
    answers: bool,
    resending: Cell<bool>,
    own_health: Health,
    /// Of all lanes to the same receiver.
    health: Rc<Health>,
}

/// What other threads may know about a lane.
#[derive(Debug)]
pub(crate) struct Known {
    pub(super) kind: &'static str,
    pub(super) endpoint: String,
    pub(super) signal: Signal,
    account: Account,
    /// The account of the signal, and what its exporters together wrote there.
    of_signal: Arc<Account>,
    settled: Arc<Account>,
    failing: AtomicBool,
    pending_items: AtomicU64,
    pending_bytes: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    pub(super) success: Option<SystemTime>,
    pub(super) error: Option<(SystemTime, String)>,
}

impl Known {
    pub(super) fn new(
        settings: &ExporterSettings,
        signal: Signal,
        of_signal: Arc<Account>,
        settled: Arc<Account>,
    ) -> Arc<Known> {
        Arc::new(Known {
            kind: Target::kind(settings),
            endpoint: Target::endpoint_of(settings).to_owned(),
            signal,
            account: Account::default(),
            of_signal,
            settled,
            failing: AtomicBool::new(false),
            pending_items: AtomicU64::new(0),
            pending_bytes: AtomicU64::new(0),
            last: Mutex::default(),
        })
    }

    /// What became of all items of the signal at this exporter.
    pub(super) fn counts(&self) -> Counts {
        // This one first: what it has, the others have.
        let own = self.account.read();
        let settled = self.settled.read();
        Counts::of_exporter(&own, &settled, &self.of_signal.read())
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Items and bytes on their way to this exporter, beyond the queue.
    pub(super) fn pending(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.pending_items), read(&self.pending_bytes))
    }

    pub(super) fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_last(&self, change: impl FnOnce(&mut Last)) {
        change(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Lane {
    pub(super) fn new(
        (target, known, shelf): (Target, Arc<Known>, Option<Shelf>),
        answers: bool,
        limits: BatchSettings,
        around: &Rc<Surroundings>,
        freed: &Rc<Notify>,
        ledger: &Rc<Ledger>,
    ) -> Rc<Lane> {
        let health = around.ending.health(authority(&known.endpoint));
        let lane = Rc::new(Lane {
            signal: known.signal,
            target,
            limits,
            known,
            around: Rc::clone(around),
            waiting: Waiting::default(),
            in_flight: Cell::new(0),
            hurry: Notify::new(),
            freed: Rc::clone(freed),
            ledger: Rc::clone(ledger),
            shelf,
            answers,
            resending: Cell::new(false),
            own_health: Health::default(),
            health,
        });
        lane.take_over();
        lane
    }

    /// Whether a parcel would leave at once.
    pub(super) fn is_free(&self) -> bool {
        let takes_all = self.shelf.as_ref().is_some_and(|shelf| !shelf.is_empty());
        takes_all || self.waiting.is_empty() && self.in_flight.get() < self.in_flight_max()
    }

    fn in_flight_max(&self) -> usize {
        match self.known.is_failing() {
            true => 1,
            false => IN_FLIGHT_MAX.min(self.target.in_flight_max()),
        }
    }

    /// Takes a parcel: it leaves at once or waits, within the limits of a queue.
    pub(super) fn offer(self: &Rc<Self>, parcel: Parcel) {
        self.count_pending(&parcel, true);
        if let Some(shelf) = self.shelf.as_ref().filter(|shelf| !shelf.is_empty()) {
            // What came before goes before.
            self.put_aside(shelf, parcel);
        } else if self.is_free() {
            self.start(parcel);
        } else {
            self.wait(parcel);
        }
    }

    fn start(self: &Rc<Self>, parcel: Parcel) {
        self.in_flight.set(self.in_flight.get() + 1);
        let lane = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let request = request(&lane.around.resource, &parcel.halves);
            let end = lane.deliver(request, lane.shelf.is_none()).await;
            lane.settle(parcel, end);
            lane.in_flight.set(lane.in_flight.get() - 1);
            lane.go_on();
            lane.resend();
        });
    }

    fn wait(&self, parcel: Parcel) {
        self.waiting.push(parcel);
        loop {
            let (items, bytes) = self.waiting.amount();
            let fits = items <= self.limits.queue_items_max as u64;
            if fits && bytes <= self.limits.queue_bytes_max {
                return;
            }
            let Some(half) = self.waiting.evict() else { return };
            self.count_gone(half.items, half.scopes.len());
            half.settle(&self.known.account, Outcome::all(Dropped::QueueFull, &half));
        }
    }

    /// Starts what waits as far as it may.
    fn go_on(self: &Rc<Self>) {
        while self.in_flight.get() < self.in_flight_max() {
            let Some(parcel) = self.waiting.pop() else { break };
            self.start(parcel);
        }
        self.freed.notify_one();
    }

    /// Drops all that waits: the process ends.
    pub(super) fn give_up(self: &Rc<Self>) {
        while let Some(parcel) = self.waiting.pop() {
            match &self.shelf {
                Some(shelf) => self.put_aside(shelf, parcel),
                None => {
                    self.count_pending(&parcel, false);
                    parcel.settle_dropped(&self.known.account, Dropped::Shutdown);
                }
            }
        }
    }

    /// Ends a pause between two tries.
    pub(super) fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    fn settle(self: &Rc<Self>, parcel: Parcel, end: End) {
        let account = &self.known.account;
        if let (End::OutOfTime | End::Stopped, Some(shelf)) = (&end, &self.shelf) {
            return self.put_aside(shelf, parcel);
        }
        let again = matches!(end, End::OutOfTime) && parcel.rounds < ERROR_ROUNDS_MAX;
        if again && let Some(errors) = self.keep_errors(&parcel) {
            return self.wait(errors);
        }
        self.count_pending(&parcel, false);
        match end {
            End::Accepted(rejected) => parcel.settle_accepted(account, rejected),
            End::Refused => parcel.settle_dropped(account, Dropped::Refused),
            End::OutOfTime => parcel.settle_dropped(account, Dropped::ExportFailed),
            End::Stopped => parcel.settle_dropped(account, Dropped::Shutdown),
        }
    }

    /// Errors go last: of a parcel whose time ran out they stay, and the rest is dropped.
    fn keep_errors(&self, parcel: &Parcel) -> Option<Parcel> {
        let is_error = |half: &super::batch::Half| half.priority == super::Priority::Error;
        if !parcel.halves.iter().any(|half| is_error(half)) {
            return None;
        }
        let (errors, rest) = parcel.halves.iter().cloned().partition(|half| is_error(half));
        let rest: Vec<_> = rest;
        for half in &rest {
            self.count_gone(half.items, half.scopes.len());
            half.settle(&self.known.account, Outcome::all(Dropped::ExportFailed, half));
        }
        Some(Parcel { signal: parcel.signal, halves: errors, rounds: parcel.rounds + 1 })
    }

    /// Tries until it is taken or refused, or its time is up, or once.
    async fn deliver(&self, request: Vec<u8>, persistent: bool) -> End {
        let prepared = match self.target.prepare(self.signal, request) {
            Ok(prepared) => prepared,
            Err(why) => {
                self.failed(&why, false);
                return End::Refused;
            }
        };
        let until = Instant::now() + self.limits.export_timeout;
        let mut backoff = Backoff::new();
        loop {
            let (why, after) = match self.attempt(&prepared, until).await {
                Try::Done(Ok(accepted)) => return self.accepted(accepted),
                Try::Done(Err(Failure::Final(why))) => {
                    self.failed(&why, false);
                    return End::Refused;
                }
                Try::Done(Err(Failure::Retry { why, after })) => (why, after),
                Try::Stopped => {
                    self.failed("no answer before the end", true);
                    return End::Stopped;
                }
            };
            self.failed(&why, true);
            if !persistent {
                return End::OutOfTime;
            }
            let again = Instant::now() + backoff.pause(after);
            if let Some(end) = self.around.ending.of_all() {
                // Without a word when to come back there is no use in waiting.
                if after.is_none() || again >= end {
                    return End::Stopped;
                }
            }
            // Also when there is no time for another try: it is not to be used up at once.
            tokio::select! {
                () = tokio::time::sleep_until(again.min(until)) => {}
                () = self.hurry.notified(), if after.is_none() => continue,
                () = self.ending() => return End::Stopped,
            }
            if Instant::now() >= until {
                return End::OutOfTime;
            }
        }
    }

    async fn attempt(&self, prepared: &Prepared, until: Instant) -> Try {
        let limit = until.min(Instant::now() + self.target.timeout());
        let attempt = tokio::time::timeout_at(limit, self.target.attempt(self.signal, prepared));
        let healths = [&self.own_health, &self.health];
        healths.iter().for_each(|health| health.asked());
        let done = tokio::select! {
            done = attempt => Try::Done(done.unwrap_or_else(|_| {
                self.target.disconnect();
                let why = "no answer in time".to_owned();
                Err(Failure::Retry { why, after: None })
            })),
            () = self.ending() => Try::Stopped,
        };
        if let Try::Done(answer) = &done {
            let may_pass = matches!(answer, Err(Failure::Retry { .. }));
            healths.iter().for_each(|health| health.answered(!may_pass));
        }
        done
    }

    /// Waits until the process ends and there is no more time for this exporter.
    async fn ending(&self) {
        let healths = [&self.own_health, &self.health];
        self.around.ending.expired(|| healths.iter().any(|health| health.is_hopeless())).await;
    }

    fn accepted(&self, accepted: Accepted) -> End {
        let now = SystemTime::now();
        self.known.set_last(|last| {
            last.success = Some(now);
            if let Some(message) = &accepted.message {
                last.error = Some((now, message.clone()));
            }
        });
        if let Some(message) = accepted.message.filter(|_| accepted.rejected > 0) {
            let name = &self.known.endpoint;
            self.around.status_line.refused(name, self.signal, accepted.rejected, &message);
        }
        self.known.failing.store(false, Ordering::Relaxed);
        self.around.status_line.recovered(&self.known.endpoint, self.signal);
        End::Accepted(accepted.rejected)
    }

    /// Notes a failure. One that may pass lets the lane go on with one request at a time.
    fn failed(&self, why: &str, may_pass: bool) {
        let now = SystemTime::now();
        self.known.set_last(|last| last.error = Some((now, why.to_owned())));
        if may_pass {
            self.known.failing.store(true, Ordering::Relaxed);
        }
        self.around.status_line.failed(&self.known.endpoint, self.signal, why);
    }

    fn count_pending(&self, parcel: &Parcel, come: bool) {
        let (items, bytes) = (parcel.items(), parcel.bytes());
        if come {
            self.known.pending_items.fetch_add(items, Ordering::Relaxed);
            self.known.pending_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        } else {
            self.count_gone(items, bytes);
        }
    }

    fn count_gone(&self, items: u64, bytes: usize) {
        self.known.pending_items.fetch_sub(items, Ordering::Relaxed);
        self.known.pending_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

mod shelf;

/// How the delivery of a parcel ended.
enum End {
    /// The receiver took it, but for so many items.
    Accepted(u64),
    Refused,
    OutOfTime,
    /// The process ends and there was no more time.
    Stopped,
}

enum Try {
    Done(Result<Accepted, Failure>),
    Stopped,
}
