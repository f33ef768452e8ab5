//! A lane with a shelf: what cannot be sent is put aside on disk, and sent from there before
//! anything new.

use super::*;

impl Lane {
    /// Takes over what an earlier process left.
    pub(super) fn take_over(self: &Rc<Self>) {
        let Some(shelf) = &self.shelf else { return };
        let (items, bytes) = shelf.amount();
        self.known.account.produced(items);
        if self.answers {
            self.ledger.produced(items);
        }
        self.known.pending_items.fetch_add(items, Ordering::Relaxed);
        self.known.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.resend();
    }

    /// Puts a parcel on the shelf.
    pub(super) fn put_aside(self: &Rc<Self>, shelf: &Shelf, parcel: Parcel) {
        for half in &parcel.halves {
            let request = request(&self.around.resource, std::slice::from_ref(half));
            let before = shelf.amount().1;
            let put = shelf.put(half.items, half.priority, &request, |evicted| {
                self.book(Outcome::Dropped(Dropped::QueueFull, evicted), evicted);
                self.known.pending_items.fetch_sub(evicted, Ordering::Relaxed);
            });
            match put {
                Ok(()) => half.settle_spooled(self.answers),
                Err(error) => {
                    let why = format!("the spool: {error}");
                    self.around.status_line.failed(&self.known.endpoint, self.signal, &why);
                    half.settle(&self.known.account, Outcome::all(Dropped::ExportFailed, half));
                    self.known.pending_items.fetch_sub(half.items, Ordering::Relaxed);
                }
            }
            // From memory to disk, less what was evicted there.
            self.known.pending_bytes.fetch_sub(half.scopes.len() as u64, Ordering::Relaxed);
            self.shelf_changed(before, shelf);
        }
        self.resend();
    }

    /// Sends from the shelf, one after the other, until it is empty.
    pub(super) fn resend(self: &Rc<Self>) {
        let Some(shelf) = &self.shelf else { return };
        let ends = self.around.ending.of_all().is_some();
        if shelf.is_empty() || ends || self.resending.replace(true) {
            return;
        }
        let lane = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while let Some(number) = lane.shelf.as_ref().and_then(Shelf::oldest) {
                if !lane.resend_one(number).await {
                    break;
                }
            }
            lane.resending.set(false);
            lane.freed.notify_one();
        });
    }

    /// Sends one file; false if the process ends.
    async fn resend_one(&self, number: u64) -> bool {
        let Some(shelf) = &self.shelf else { return false };
        let end = match shelf.read(number) {
            Ok(request) => self.deliver(request, true).await,
            Err(why) => {
                self.failed(&why, false);
                End::Refused
            }
        };
        let before = shelf.amount().1;
        let outcome = |items: u64| match end {
            End::Accepted(0) => Some(Outcome::Exported),
            End::Accepted(rejected) => {
                Some(Outcome::Dropped(Dropped::Refused, rejected.min(items)))
            }
            End::Refused => Some(Outcome::Dropped(Dropped::Refused, items)),
            End::OutOfTime | End::Stopped => None,
        };
        if outcome(0).is_some() {
            // None if it was evicted meanwhile; then it is counted already.
            let items = shelf.remove(number);
            if let Some(outcome) = outcome(items) {
                self.book(outcome, items);
            }
            self.known.pending_items.fetch_sub(items, Ordering::Relaxed);
            self.shelf_changed(before, shelf);
        }
        !matches!(end, End::Stopped)
    }

    fn book(&self, outcome: Outcome, items: u64) {
        outcome.book(&self.known.account, items);
        if self.answers {
            self.ledger.book(outcome, items);
        }
    }

    fn shelf_changed(&self, before: u64, shelf: &Shelf) {
        let now = shelf.amount().1;
        let bytes = &self.known.pending_bytes;
        match now.checked_sub(before) {
            Some(more) => bytes.fetch_add(more, Ordering::Relaxed),
            None => bytes.fetch_sub(before - now, Ordering::Relaxed),
        };
    }
}
