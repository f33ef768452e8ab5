//! Group commit: many threads append, one of them writes and syncs for all that wait.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use super::{HEAD_BYTES_PER_BYTE, Store, hold};
use crate::batch::Encoded;
use crate::error::{Error, Failure, Result};
use crate::head::{Head, Tables};
use crate::labels::Labels;
use crate::wal::{Record, Wal};

/// The queue before the WAL.
#[derive(Debug)]
pub(super) struct Commit {
    queue: Mutex<Queue>,
    /// Signalled when a turn ends.
    turn_over: Condvar,
    waiting_bytes: AtomicU64,
    /// Only whoever has the turn takes this lock for long.
    wal: Mutex<Wal>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Arc<Waiting>>,
    /// Somebody has the turn: writes for a group, or changes what the next group meets.
    taken: bool,
}

/// One append that waits for its answer.
#[derive(Debug)]
struct Waiting {
    payload: Arc<Vec<u8>>,
    /// The oldest append that the payload refers to.
    oldest: Option<u64>,
    /// Labels that the payload repeats.
    labels: Vec<Option<Labels>>,
    answer: OnceLock<Answer>,
}

impl Waiting {
    fn new(encoded: Encoded) -> Self {
        let Encoded { bytes, oldest, labels } = encoded;
        Waiting { payload: Arc::new(bytes), oldest, labels, answer: OnceLock::new() }
    }
}

type Answer = std::result::Result<Committed, Refusal>;

/// What became of an append that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// Under this number.
    At(u64),
    /// Not at all: it refers to an append that parts hold by now, and the log no more. It
    /// must be encoded anew.
    Stale,
}

/// An error that can be told to every append of a group.
#[derive(Clone, Debug)]
enum Refusal {
    Poisoned(String),
    DiskFull(String),
    Io(&'static str, std::path::PathBuf, std::io::ErrorKind, String),
    Other(String),
}

impl Refusal {
    fn of(error: Error) -> Self {
        match error {
            Error::DiskFull(why) => Refusal::DiskFull(why),
            Error::Io { doing, path, source } => {
                Refusal::Io(doing, path, source.kind(), source.to_string())
            }
            other => Refusal::Other(other.to_string()),
        }
    }

    fn error(&self) -> Error {
        match self.clone() {
            Refusal::Poisoned(why) => Error::Poisoned(why),
            Refusal::DiskFull(why) => Error::DiskFull(why),
            Refusal::Io(doing, path, kind, text) => {
                Error::Io { doing, path, source: std::io::Error::new(kind, text) }
            }
            Refusal::Other(why) => Error::Corrupt { path: "wal".into(), why },
        }
    }
}

impl Commit {
    pub(super) fn new(wal: Wal) -> Self {
        Commit {
            queue: Mutex::default(),
            turn_over: Condvar::new(),
            waiting_bytes: AtomicU64::new(0),
            wal: Mutex::new(wal),
        }
    }

    /// Bytes of appends that wait for their turn.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes.load(Relaxed)
    }

    /// Bytes and syncs of the WAL.
    pub(super) fn wal_stats(&self) -> (u64, u64) {
        let wal = hold(&self.wal);
        (wal.bytes(), wal.syncs)
    }

    pub(super) fn wal(&self) -> std::sync::MutexGuard<'_, Wal> {
        hold(&self.wal)
    }

    /// Waits until nobody writes, and keeps it so until the answer is dropped.
    pub(super) fn take_turn(&self) -> Turn<'_> {
        let mut queue = hold(&self.queue);
        while queue.taken {
            queue = self.turn_over.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.taken = true;
        Turn { commit: self, group: Vec::new() }
    }
}

/// The right to write. Dropping it gives the turn on, also in a panic.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    commit: &'a Commit,
    /// The appends this turn writes for.
    group: Vec<Arc<Waiting>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        for waiting in &self.group {
            // Only a panic leaves one without an answer.
            let _ = waiting.answer.set(Err(Refusal::Poisoned("a commit panicked".to_owned())));
        }
        hold(&self.commit.queue).taken = false;
        self.commit.turn_over.notify_all();
    }
}

impl Store {
    /// Queues a batch and returns when the WAL holds it and the head shows it, or neither.
    pub(super) fn commit(&self, encoded: Encoded) -> Result<Committed> {
        let bytes = encoded.bytes.len() as u64 * HEAD_BYTES_PER_BYTE;
        let mine = Arc::new(Waiting::new(encoded));
        self.commit.waiting_bytes.fetch_add(bytes, Relaxed);
        let mut queue = hold(&self.commit.queue);
        queue.waiting.push(Arc::clone(&mine));
        let answer = loop {
            if let Some(answer) = mine.answer.get() {
                break answer.as_ref().map_err(Refusal::error).copied();
            }
            if queue.taken {
                queue = self.commit.turn_over.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.taken = true;
            let group = std::mem::take(&mut queue.waiting);
            drop(queue);
            self.write_group(Turn { commit: &self.commit, group });
            queue = hold(&self.commit.queue);
        };
        drop(queue);
        self.commit.waiting_bytes.fetch_sub(bytes, Relaxed);
        answer
    }

    fn write_group(&self, mut turn: Turn<'_>) {
        let _guard = self.poison.on_panic("a commit");
        // Checked with the turn in hand: what was poisoned in between must not be written.
        if let Some(why) = self.poison.why() {
            return answer_all(&turn.group, &Err(Refusal::Poisoned(why)));
        }
        let (head, last) = {
            let view = hold(&self.view);
            (Arc::clone(&view.head), view.last)
        };
        // With the turn in hand nobody changes the head. TRAP: what refers to an append that
        // is in no log any more would be lost with the next restart.
        let stale = |w: &Arc<Waiting>| w.oldest.is_some_and(|oldest| oldest <= head.base());
        turn.group.iter().filter(|w| stale(w)).for_each(|w| {
            let _ = w.answer.set(Ok(Committed::Stale));
        });
        turn.group.retain(|w| !stale(w));
        if turn.group.is_empty() {
            return;
        }
        let numbered = turn.group.iter().zip(last + 1..);
        let records: Vec<Record> = numbered.map(|(w, n)| (n, Arc::clone(&w.payload))).collect();
        let written = hold(&self.commit.wal).write(&records);
        match written {
            Ok(()) => self.show(&head, &records, &turn.group),
            Err(Failure::Refused(error)) => {
                let error = self.valve.told(error);
                answer_all(&turn.group, &Err(Refusal::of(error)));
            }
            Err(Failure::Lost(error)) => {
                self.poison.set(error.to_string());
                answer_all(&turn.group, &Err(Refusal::Poisoned(error.to_string())));
            }
        }
    }

    /// Puts what the WAL holds into the head, in the WAL's order.
    fn show(&self, head: &Head, records: &[Record], group: &[Arc<Waiting>]) {
        for ((number, payload), waiting) in records.iter().zip(group) {
            if head.apply_with(*number, payload, &waiting.labels).is_none() {
                let why = "a batch could not be read back; this is a defect".to_owned();
                self.poison.set(why.clone());
                return answer_all(group, &Err(Refusal::Poisoned(why)));
            }
            let families = head.take_families();
            let mut view = hold(&self.view);
            view.last = *number;
            super::flush::learn(&mut view.families, families);
            drop(view);
            let _ = waiting.answer.set(Ok(Committed::At(*number)));
        }
        self.count_head_bytes();
    }

    /// Notes what the heads take.
    pub(super) fn count_head_bytes(&self) {
        let view = hold(&self.view);
        let heads = view.frozen.iter().map(|(head, _)| head).chain([&view.head]);
        let (mut bytes, mut weight) = (0, 0);
        for head in heads {
            let tables = head.read();
            bytes += tables.bytes() as u64;
            weight += weight_of(&tables);
        }
        self.counters.head_bytes.store(bytes, Relaxed);
        self.counters.head_weight.store(weight, Relaxed);
    }
}

/// How much reason a head is to flush it. A series comes back with its next sample, and to
/// name it again costs more than some samples do, so it counts little, until there are so
/// many that they fill the memory by themselves.
fn weight_of(tables: &Tables) -> u64 {
    let all = tables.bytes() as u64;
    let series = tables.metrics.series_bytes() as u64;
    (all - series / 8 * 7).max(all / 3)
}

#[cfg(test)]
impl Store {
    /// Commits batches as one group, as if a thread each had waited for the same turn.
    pub(super) fn commit_group(&self, batches: &[crate::Batch]) -> Vec<Result<()>> {
        let waiting = |batch: &crate::Batch| {
            let encoded = batch.encode(self.instance, u64::MAX);
            Arc::new(Waiting::new(Encoded { oldest: None, ..encoded }))
        };
        let group: Vec<Arc<Waiting>> = batches.iter().map(waiting).collect();
        let mut turn = self.commit.take_turn();
        turn.group = group.clone();
        self.write_group(turn);
        let answer = |w: &Arc<Waiting>| match w.answer.get() {
            Some(answer) => answer.as_ref().map_err(Refusal::error).map(|_| ()),
            None => panic!("a turn ended without an answer"),
        };
        group.iter().map(answer).collect()
    }
}

fn answer_all(group: &[Arc<Waiting>], answer: &Answer) {
    for waiting in group {
        // Those that have one keep it.
        let _ = waiting.answer.set(answer.clone());
    }
}
