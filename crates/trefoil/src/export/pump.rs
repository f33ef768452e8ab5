//! What moves a signal from its source to its exporters: when a batch is full, when its time
//! has come, when somebody asks.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::batch::{Half, Ledger, Parcel};
use super::lane::Lane;
use super::queue::{BATCH_BYTES_MAX, Priority, Queue};
use crate::account::{Account, Dropped, Signal};
use crate::metric::Part;

/// The current state of all metrics for one request or several, none longer than so many
/// bytes, given the time in Unix nanoseconds.
pub(crate) type Collect = Box<dyn FnMut(u64, usize) -> Vec<Part> + Send>;

#[derive(Debug)]
pub(super) struct Pump {
    pub(super) signal: Signal,
    source: Source,
    lanes: Vec<Rc<Lane>>,
    ledger: Rc<Ledger>,
    /// Told by the lanes.
    freed: Rc<Notify>,
    /// Asks for all that waits, batch or not.
    now: Notify,
    /// Items taken so far.
    taken: Cell<u64>,
}

pub(super) enum Source {
    Queue(Arc<Queue>),
    Metrics { collect: RefCell<Collect>, interval: Duration, account: Arc<Account> },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Queue(_) => "Queue",
            Source::Metrics { .. } => "Metrics",
        })
    }
}

impl Pump {
    pub(super) fn new(
        signal: Signal,
        source: Source,
        lanes: Vec<Rc<Lane>>,
        ledger: Rc<Ledger>,
        freed: Rc<Notify>,
    ) -> Rc<Pump> {
        let (now, taken) = Default::default();
        Rc::new(Pump { signal, source, lanes, ledger, freed, now, taken })
    }

    /// Runs until the process ends.
    pub(super) async fn run(self: Rc<Self>) {
        match &self.source {
            Source::Queue(queue) => self.run_queue(queue).await,
            Source::Metrics { interval, .. } => self.run_metrics(*interval).await,
        }
    }

    async fn run_queue(&self, queue: &Queue) {
        let settings = queue.settings();
        let mut due = Instant::now() + settings.delay;
        // Whether also a batch that is not full may leave.
        let mut all = false;
        loop {
            tokio::select! {
                () = queue.wake().notified() => {}
                () = self.freed.notified() => {}
                () = self.now.notified() => all = true,
                () = sleep_until(due) => all = true,
            }
            while self.lanes.iter().any(|lane| lane.is_free()) {
                if !all && queue.waiting().items < settings.batch_items_max {
                    break;
                }
                if !self.take(queue) {
                    all = false;
                    due = Instant::now() + settings.delay;
                    self.ledger.progress.notify_waiters();
                    break;
                }
            }
            if all {
                // The lanes are busy; one that gets free goes on at once.
                due = Instant::now() + settings.delay;
            }
        }
    }

    /// Hands a batch to the lanes; false if nothing waits.
    fn take(&self, queue: &Queue) -> bool {
        let halves = Half::take(queue, &self.ledger, self.lanes.len());
        if halves.is_empty() {
            return false;
        }
        let items: u64 = halves.iter().map(|half| half.items).sum();
        self.taken.set(self.taken.get() + items);
        self.offer(halves);
        self.ledger.progress.notify_waiters();
        true
    }

    fn offer(&self, halves: Vec<Rc<Half>>) {
        for lane in &self.lanes {
            lane.offer(Parcel { signal: self.signal, halves: halves.clone(), rounds: 0 });
        }
    }

    async fn run_metrics(&self, interval: Duration) {
        let mut due = Instant::now() + interval;
        loop {
            sleep_until(due).await;
            self.collect();
            // Points lie at even distances; what was missed is not made up for.
            due = (due + interval).max(Instant::now());
        }
    }

    fn collect(&self) {
        let Source::Metrics { collect, account, .. } = &self.source else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut collect = collect.borrow_mut();
        // A callback of the application may panic; the next collection is another try.
        let parts =
            catch_unwind(AssertUnwindSafe(|| collect(now.as_nanos() as u64, BATCH_BYTES_MAX)));
        for Part { scopes, points } in parts.unwrap_or_default() {
            account.produced(points);
            let half = self.ledger.half(points, Priority::Normal, scopes, self.lanes.len());
            self.offer(vec![half]);
        }
    }

    /// Sends all that is there now, and waits until it is settled or time is up. Gives the
    /// items that are not.
    pub(super) async fn flush(&self, deadline: Instant) -> u64 {
        self.lanes.iter().for_each(|lane| lane.hurry());
        // Whether in time or not: what is left is counted below.
        let _ = timeout_at(deadline, self.settled()).await;
        let waiting = match &self.source {
            Source::Queue(queue) => queue.waiting().items as u64,
            Source::Metrics { .. } => 0,
        };
        waiting + self.ledger.open_before(self.ledger.next())
    }

    async fn settled(&self) {
        match &self.source {
            Source::Metrics { .. } => self.collect(),
            Source::Queue(queue) => {
                queue.empty_outboxes();
                let goal = self.taken.get() + queue.waiting().items as u64;
                self.now.notify_one();
                loop {
                    let progress = self.ledger.progress.notified();
                    if self.taken.get() >= goal || queue.waiting().items == 0 {
                        break;
                    }
                    progress.await;
                }
            }
        }
        let last = self.ledger.next();
        loop {
            let progress = self.ledger.progress.notified();
            if self.ledger.open_before(last) == 0 {
                return;
            }
            progress.await;
        }
    }

    /// The end: what is still here is dropped and counted, and nothing is taken any more.
    pub(super) async fn end(&self, limit: Instant) {
        if let Source::Queue(queue) = &self.source {
            queue.close();
        }
        self.lanes.iter().for_each(Lane::give_up);
        let _ = timeout_at(limit, self.settled_all()).await;
    }

    /// Items that the end of the process cost.
    pub(super) fn lost_by_shutdown(&self) -> u64 {
        self.ledger.account().read().dropped(Dropped::Shutdown)
    }

    async fn settled_all(&self) {
        loop {
            let progress = self.ledger.progress.notified();
            if self.ledger.open_before(self.ledger.next()) == 0 {
                return;
            }
            progress.await;
        }
    }
}
