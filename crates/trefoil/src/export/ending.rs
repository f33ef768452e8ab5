//! The end of the process as the exporters see it: when it began, and until when they may
//! still send.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long an exporter of which little is to be expected is still tried at the end.
const GRACE_OF_HOPELESS: Duration = Duration::from_millis(400);

/// A receiver that owes an answer for longer is not waited for at the end.
const SILENCE_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Ending {
    /// When it began, and when it must be over.
    span: Cell<Option<(Instant, Instant)>>,
    begun: Notify,
    /// By receiver.
    healths: RefCell<Vec<(String, Rc<Health>)>>,
}

/// What is to be expected of a receiver when the process ends.
#[derive(Debug, Default)]
pub(super) struct Health {
    failing: Cell<bool>,
    /// Since when it owes an answer.
    silent_since: Cell<Option<Instant>>,
}

impl Health {
    /// A request begins.
    pub(super) fn asked(&self) {
        if self.silent_since.get().is_none() {
            self.silent_since.set(Some(Instant::now()));
        }
    }

    /// A request ended: well, or with a failure that may pass.
    pub(super) fn answered(&self, well: bool) {
        self.failing.set(!well);
        self.silent_since.set(None);
    }

    /// Whether it fails, or says nothing although its request may still have time.
    pub(super) fn is_hopeless(&self) -> bool {
        let silent = self.silent_since.get().map(|since| since.elapsed());
        self.failing.get() || silent.is_some_and(|silent| silent >= SILENCE_MAX)
    }
}

impl Ending {
    /// The health that all exporters to a receiver share.
    pub(super) fn health(&self, receiver: &str) -> Rc<Health> {
        let mut healths = self.healths.borrow_mut();
        if let Some((_, health)) = healths.iter().find(|(known, _)| known == receiver) {
            return Rc::clone(health);
        }
        let health = Rc::<Health>::default();
        healths.push((receiver.to_owned(), Rc::clone(&health)));
        health
    }

    /// From now on, until then at the latest.
    pub(super) fn begin(&self, deadline: Instant) {
        self.span.set(Some((Instant::now(), deadline)));
        self.begun.notify_waiters();
    }

    /// Until when all must be over, if it has begun.
    pub(super) fn of_all(&self) -> Option<Instant> {
        self.span.get().map(|(_, deadline)| deadline)
    }

    /// Waits until there is no more time for an exporter.
    pub(super) async fn expired(&self, is_hopeless: impl Fn() -> bool) {
        loop {
            let begun = self.begun.notified();
            match self.span.get() {
                None => begun.await,
                Some((begin, deadline)) => {
                    let grace = begin + GRACE_OF_HOPELESS;
                    let end = if is_hopeless() { grace.min(deadline) } else { deadline };
                    return tokio::time::sleep_until(end).await;
                }
            }
        }
    }
}
