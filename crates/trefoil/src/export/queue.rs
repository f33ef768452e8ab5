//! Finished spans and log records on their way to the exporter's thread.

mod outbox;

pub(crate) use outbox::Outbox;

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::account::{Account, Dropped};
use crate::config::BatchSettings;
use outbox::Outboxes;

/// Largest item, and most bytes of items in a batch. Receivers of OTLP over gRPC take
/// 4 MiB unless told otherwise; the rest is for the envelope.
pub(super) const BATCH_BYTES_MAX: usize = (4 << 20) - (64 << 10);

/// Most shards. More threads than that share, and take another shard if theirs is busy.
const SHARDS_MAX: usize = 8;

/// Memory that an empty lane of a shard keeps for its next items.
const LANE_BYTES_KEPT: usize = 1 << 20;

/// What goes first when room is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    Normal,
    /// A span that failed, and what belongs to its trace; a record of WARN or worse.
    Error,
}

/// Items of one signal that wait to be exported.
///
/// Producers lock one of a few shards for the time of a copy; which one is a matter of the
/// thread, and a busy one is passed by. What waits in all shards is one number. A thread with
/// an [`Outbox`] comes here once for many items.
pub(crate) struct Queue {
    account: Arc<Account>,
    settings: BatchSettings,
    waiting: Waiting,
    shards: Box<[Shard]>,
    outboxes: Outboxes,
    /// Told when a batch is full, and when it is to be closed.
    wake: Arc<Notify>,
    /// There is no exporter: items are left out on purpose.
    unwanted: AtomicBool,
}

impl Queue {
    pub(crate) fn new(mut settings: BatchSettings, account: Arc<Account>) -> Queue {
        // A batch that the queue cannot hold would never be full.
        settings.batch_items_max =
            settings.batch_items_max.clamp(1, settings.queue_items_max.max(1));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = threads.next_power_of_two().min(SHARDS_MAX);
        Queue {
            account,
            settings,
            waiting: Waiting::default(),
            shards: (0..shards).map(|_| Shard::default()).collect(),
            outboxes: Outboxes::default(),
            wake: Arc::new(Notify::new()),
            unwanted: AtomicBool::new(false),
        }
    }

    /// Takes a finished item: `message` is an OTLP `Span` or `LogRecord`, `scope` the name of
    /// its instrumentation scope. Never waits for the exporter; what finds no room is
    /// dropped by priority and counted. The caller has counted it as produced.
    pub(crate) fn push(&self, scope: &'static str, priority: Priority, message: &[u8]) {
        let bytes = message.len();
        if bytes > BATCH_BYTES_MAX {
            return self.account.dropped(Dropped::TooLarge, 1);
        }
        let before = self.waiting.add(1, bytes);
        if before.items >= self.settings.queue_items_max
            || before.bytes + bytes > self.settings.queue_bytes_max
        {
            self.waiting.remove(1, bytes);
            if priority == Priority::Normal || !self.make_room(bytes) {
                return self.account.dropped(Dropped::QueueFull, 1);
            }
            self.waiting.add(1, bytes);
        }
        self.put(scope, priority, message);
        // Once a batch: whoever takes items looks again by itself.
        if before.items + 1 == self.settings.batch_items_max {
            self.wake.notify_one();
        }
    }

    fn put(&self, scope: &'static str, priority: Priority, message: &[u8]) {
        let mut lanes = self.lock_any();
        if lanes.closed {
            drop(lanes);
            self.waiting.remove(1, message.len());
            return self.too_late(1);
        }
        lanes.of(priority).push(scope, message);
    }

    /// Counts items that nobody takes any more.
    fn too_late(&self, items: usize) {
        match self.unwanted.load(Ordering::Relaxed) {
            true => self.account.sampled_out(items as u64),
            false => self.account.dropped(Dropped::Shutdown, items as u64),
        }
    }

    /// A shard of this thread's choice, or the next that is free.
    fn lock_any(&self) -> MutexGuard<'_, Lanes> {
        let own = shard_of_thread();
        let mask = self.shards.len() - 1;
        for step in 0..self.shards.len() {
            if let Ok(lanes) = self.shards[(own + step) & mask].lanes.try_lock() {
                return lanes;
            }
        }
        self.shards[own & mask].lock()
    }

    /// Drops the oldest normal items until an error has room; false if there are too few.
    #[cold]
    fn make_room(&self, bytes: usize) -> bool {
        let own = shard_of_thread();
        let mask = self.shards.len() - 1;
        for step in 0..self.shards.len() {
            let mut lanes = self.shards[(own + step) & mask].lock();
            while !self.has_room(bytes) {
                let Some(evicted) = lanes.normal.evict() else { break };
                self.waiting.remove(1, evicted);
                self.account.dropped(Dropped::QueueFull, 1);
            }
            if self.has_room(bytes) {
                return true;
            }
        }
        false
    }

    fn has_room(&self, bytes: usize) -> bool {
        let now = self.waiting.read();
        now.items < self.settings.queue_items_max
            && now.bytes + bytes <= self.settings.queue_bytes_max
    }

    /// Hands over up to a batch of items, errors first.
    pub(super) fn take(&self, item: &mut dyn FnMut(&'static str, Priority, &[u8])) -> usize {
        self.empty_outboxes();
        let mut room = (self.settings.batch_items_max, BATCH_BYTES_MAX);
        let before = room.0;
        for priority in [Priority::Error, Priority::Normal] {
            for shard in &self.shards {
                let mut lanes = shard.lock();
                let mut taken = Amount::default();
                lanes.of(priority).take(&mut room, &mut |scope, message| {
                    taken = Amount { items: taken.items + 1, bytes: taken.bytes + message.len() };
                    item(scope, priority, message);
                });
                // Once, not for each: producers add to the same number meanwhile.
                self.waiting.remove(taken.items, taken.bytes);
            }
        }
        before - room.0
    }

    /// Hands over all items.
    #[cfg(test)]
    pub(crate) fn drain(&self, item: &mut dyn FnMut(&'static str, Priority, &[u8])) {
        while self.take(item) > 0 {}
    }

    /// Counts whatever waits and whatever still comes as dropped by the shutdown.
    pub(super) fn close(&self) {
        for shard in &self.shards {
            let mut lanes = shard.lock();
            lanes.closed = true;
            let lost = lanes.clear();
            drop(lanes);
            self.waiting.remove(lost.items, lost.bytes);
            self.too_late(lost.items);
        }
        self.close_outboxes();
    }

    /// There is no exporter: what comes counts as left out on purpose.
    pub(super) fn close_as_unwanted(&self) {
        self.unwanted.store(true, Ordering::Relaxed);
        self.close();
    }

    /// Items and bytes that wait. Never waits for a lock itself: in a forked child nobody
    /// would release it.
    pub(super) fn waiting(&self) -> Amount {
        let (shards, outboxes) = (self.waiting.read(), self.outboxes.amount());
        Amount { items: shards.items + outboxes.items, bytes: shards.bytes + outboxes.bytes }
    }

    pub(super) fn settings(&self) -> &BatchSettings {
        &self.settings
    }

    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    pub(super) fn wake(&self) -> &Notify {
        &self.wake
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.waiting.read()).finish_non_exhaustive()
    }
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn shard_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS_MAX);
        }
        shard.get()
    })
}

/// So many items of so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) items: usize,
    pub(super) bytes: usize,
}

/// Items (upper 24 bits) and bytes (lower 40) in one number, so that a push adds once.
#[derive(Default)]
#[repr(align(128))]
struct Waiting(AtomicU64);

impl Waiting {
    const ITEM: u64 = 1 << 40;

    fn amount(word: u64) -> Amount {
        Amount { items: (word >> 40) as usize, bytes: (word & (Self::ITEM - 1)) as usize }
    }

    fn word(items: usize, bytes: usize) -> u64 {
        items as u64 * Self::ITEM + bytes as u64
    }

    /// Adds items; gives what was there before.
    fn add(&self, items: usize, bytes: usize) -> Amount {
        Self::amount(self.0.fetch_add(Self::word(items, bytes), Ordering::Relaxed))
    }

    fn remove(&self, items: usize, bytes: usize) {
        self.0.fetch_sub(Self::word(items, bytes), Ordering::Relaxed);
    }

    fn read(&self) -> Amount {
        Self::amount(self.0.load(Ordering::Relaxed))
    }
}

// Neighbours on one cache line would slow each other down.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    lanes: Mutex<Lanes>,
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Lanes {
    normal: Lane,
    error: Lane,
    closed: bool,
}

impl Lanes {
    fn of(&mut self, priority: Priority) -> &mut Lane {
        match priority {
            Priority::Normal => &mut self.normal,
            Priority::Error => &mut self.error,
        }
    }

    fn clear(&mut self) -> Amount {
        let mut lost = Amount::default();
        for lane in [std::mem::take(&mut self.normal), std::mem::take(&mut self.error)] {
            lost.items += lane.entries.len();
            lost.bytes += lane.bytes.len() - lane.head;
        }
        lost
    }
}

/// Items in the order they came: their bytes end to end, and where each is from.
#[derive(Default)]
struct Lane {
    entries: VecDeque<Entry>,
    bytes: Vec<u8>,
    /// Bytes before it are gone.
    head: usize,
}

struct Entry {
    scope: &'static str,
    length: u32,
}

impl Lane {
    fn push(&mut self, scope: &'static str, message: &[u8]) {
        // No item is longer than BATCH_BYTES_MAX.
        self.entries.push_back(Entry { scope, length: message.len() as u32 });
        self.bytes.extend_from_slice(message);
    }

    /// Drops the oldest item; gives its bytes.
    fn evict(&mut self) -> Option<usize> {
        let entry = self.entries.pop_front()?;
        self.advance(entry.length as usize);
        Some(entry.length as usize)
    }

    /// Hands over the oldest items as far as there is room: items and bytes.
    fn take(&mut self, room: &mut (usize, usize), item: &mut dyn FnMut(&'static str, &[u8])) {
        let mut at = self.head;
        while let Some(entry) = self.entries.front() {
            let length = entry.length as usize;
            if room.0 == 0 || room.1 < length {
                // A batch without it is full; the item begins the next one.
                *room = (room.0, 0);
                break;
            }
            *room = (room.0 - 1, room.1 - length);
            item(entry.scope, &self.bytes[at..at + length]);
            at += length;
            self.entries.pop_front();
        }
        self.advance(at - self.head);
    }

    fn advance(&mut self, bytes: usize) {
        self.head += bytes;
        if self.entries.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(LANE_BYTES_KEPT);
            self.head = 0;
        } else if self.head > self.bytes.len() / 2 {
            // Moves no more bytes than were taken since the last time.
            self.bytes.drain(..self.head);
            self.head = 0;
        }
    }
}

#[cfg(test)]
mod tests;
