//! Items of one thread that go to the queue together.
//!
//! To push each item by itself costs three locked instructions and a search for a free shard;
//! into its outbox a thread writes with one, and encodes in place. Whoever takes items out of
//! the queue empties all outboxes first, so nothing waits longer for lying in one, and a thread
//! that ends, however it ends, leaves its outbox where it is found.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Amount, BATCH_BYTES_MAX, Entry, Lane, Lanes, Priority, Queue, Waiting, shard_of_thread,
};
use crate::account::Dropped;
use crate::spin::Spin;

/// Most items and bytes in an outbox: the way to the queue costs little for each of them, and
/// they still lie in the processor's cache.
const ITEMS_MAX: usize = 32;
const BYTES_MAX: usize = 16 << 10;

/// Memory that an outbox keeps: one large item is no reason to keep more.
const BYTES_KEPT: usize = 2 * BYTES_MAX;

/// Most outboxes. Threads beyond that push each item by itself.
const OUTBOXES_MAX: usize = 32;

/// What may lie in an outbox, as a share of what the queue may hold: all outboxes together hold
/// at most half as much again.
const SHARE: usize = 2 * OUTBOXES_MAX;

/// Finished items of one thread. They have normal priority: errors do not wait.
#[repr(align(128))]
pub(crate) struct Outbox {
    pile: Spin<Pile>,
    /// As in [`Waiting`], for who only wants to know.
    amount: AtomicU64,
    items_max: usize,
    bytes_max: usize,
    /// That of its thread: who takes over its items for the thread must not change their order.
    shard: usize,
}

#[derive(Default)]
struct Pile {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    /// Bytes of the entries: what lies behind was left by somebody who panicked.
    length: usize,
    closed: bool,
}

impl Outbox {
    /// Adds the item that `fill` appends; true if the outbox is to be handed over now. `None`,
    /// and nothing is done, if somebody empties it at this moment or it is closed: then the
    /// item is for [`Queue::push`]. `fill` must not call foreign code.
    #[inline]
    pub(crate) fn write(
        &self,
        queue: &Queue,
        scope: &'static str,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Option<bool> {
        self.pile.try_with(|pile| {
            if pile.closed {
                return None;
            }
            pile.bytes.truncate(pile.length);
            fill(&mut pile.bytes);
            let length = pile.bytes.len() - pile.length;
            if length > BATCH_BYTES_MAX {
                pile.bytes.truncate(pile.length);
                pile.bytes.shrink_to(BYTES_KEPT);
                queue.account.dropped(Dropped::TooLarge, 1);
            } else {
                pile.entries.push(Entry { scope, length: length as u32 });
                pile.length += length;
            }
            let (items, bytes) = (pile.entries.len(), pile.length);
            self.amount.store(Waiting::word(items, bytes), Ordering::Relaxed);
            Some(items >= self.items_max || bytes >= self.bytes_max)
        })?
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outbox").field(&self.amount).finish()
    }
}

impl Pile {
    fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.length = 0;
        self.bytes.shrink_to(BYTES_KEPT);
    }
}

/// The outboxes of all threads. Those that only this list holds are of threads that ended.
#[derive(Default)]
pub(super) struct Outboxes(Mutex<Vec<Arc<Outbox>>>);

impl Outboxes {
    pub(super) fn amount(&self) -> Amount {
        let Ok(outboxes) = self.0.try_lock() else { return Amount::default() };
        let amounts = outboxes.iter().map(|outbox| outbox.amount.load(Ordering::Relaxed));
        Waiting::amount(amounts.sum())
    }
}

impl Queue {
    /// An outbox for this thread, if the queue is large enough for that and there are not too
    /// many already.
    pub(crate) fn outbox(&self) -> Option<Arc<Outbox>> {
        let settings = &self.settings;
        let items = (settings.queue_items_max / SHARE).min(settings.batch_items_max / 8);
        let bytes = settings.queue_bytes_max / SHARE;
        if items < 2 {
            return None;
        }
        let outbox = Arc::new(Outbox {
            pile: Spin::new(Pile::default()),
            amount: AtomicU64::new(0),
            items_max: items.min(ITEMS_MAX),
            bytes_max: bytes.min(BYTES_MAX),
            shard: shard_of_thread(),
        });
        let mut outboxes = self.outboxes.0.lock().unwrap_or_else(PoisonError::into_inner);
        if outboxes.len() == OUTBOXES_MAX {
            self.empty_all(&mut outboxes);
        }
        if outboxes.len() == OUTBOXES_MAX || self.is_closed() {
            return None;
        }
        outboxes.push(Arc::clone(&outbox));
        Some(outbox)
    }

    /// Takes over what lies in the outbox of this thread, unless somebody does so already.
    pub(crate) fn take_over(&self, outbox: &Outbox) {
        let _ = outbox.pile.try_with(|pile| self.take_pile(pile, outbox, || self.lock_any()));
    }

    /// Takes over what lies in all outboxes.
    pub(in crate::export) fn empty_outboxes(&self) {
        let mut outboxes = self.outboxes.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.empty_all(&mut outboxes);
    }

    fn empty_all(&self, outboxes: &mut Vec<Arc<Outbox>>) {
        outboxes.retain(|outbox| {
            let in_use = Arc::strong_count(outbox) > 1;
            outbox.pile.with(|pile| self.take_pile(pile, outbox, || self.lock_of(outbox)));
            in_use
        });
    }

    /// The shards are closed: what lies in outboxes is too late, and what is still written.
    pub(super) fn close_outboxes(&self) {
        let mut outboxes = self.outboxes.0.lock().unwrap_or_else(PoisonError::into_inner);
        for outbox in outboxes.drain(..) {
            outbox.pile.with(|pile| {
                pile.closed = true;
                self.take_pile(pile, &outbox, || self.lock_of(&outbox));
            });
        }
    }

    fn lock_of(&self, outbox: &Outbox) -> MutexGuard<'_, Lanes> {
        self.shards[outbox.shard & (self.shards.len() - 1)].lock()
    }

    fn is_closed(&self) -> bool {
        self.shards.last().is_none_or(|shard| shard.lock().closed)
    }

    fn take_pile<'a>(
        &'a self,
        pile: &mut Pile,
        outbox: &Outbox,
        lock: impl FnOnce() -> MutexGuard<'a, Lanes>,
    ) {
        let (items, bytes) = (pile.entries.len(), pile.length);
        if items == 0 {
            return;
        }
        let before = self.waiting.add(items, bytes);
        if before.items + items <= self.settings.queue_items_max
            && before.bytes + bytes <= self.settings.queue_bytes_max
        {
            self.append(pile, lock());
            if before.items < self.settings.batch_items_max
                && before.items + items >= self.settings.batch_items_max
            {
                self.wake.notify_one();
            }
        } else {
            self.waiting.remove(items, bytes);
            let mut at = 0;
            for entry in &pile.entries {
                let end = at + entry.length as usize;
                self.push(entry.scope, Priority::Normal, &pile.bytes[at..end]);
                at = end;
            }
        }
        pile.clear();
        outbox.amount.store(0, Ordering::Relaxed);
    }

    /// Appends items that have been counted as waiting.
    fn append(&self, pile: &mut Pile, mut lanes: MutexGuard<'_, Lanes>) {
        if lanes.closed {
            drop(lanes);
            self.waiting.remove(pile.entries.len(), pile.length);
            return self.too_late(pile.entries.len());
        }
        lanes.normal.append(&mut pile.entries, &pile.bytes[..pile.length]);
    }
}

impl Lane {
    fn append(&mut self, entries: &mut Vec<Entry>, bytes: &[u8]) {
        self.entries.extend(entries.drain(..));
        self.bytes.extend_from_slice(bytes);
    }
}
