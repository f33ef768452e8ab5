//! Identical lines that come too fast: the first of each second pass, the rest is counted
//! and told in one line.
//!
//! A line is identical if target, message and fields are: a message that stays the same
//! while its fields change tells something new each time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Locks, so that threads that log different lines do not wait for each other.
const SHARDS: usize = 16;
/// Lines that are watched behind one lock; of more, the longest unseen is forgotten.
const LINES_PER_SHARD: usize = 32;
const WINDOW_NS: u64 = 1_000_000_000;

/// Whether a line passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    HeldBack,
}

/// A line that was held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) scope: &'static str,
    pub(super) severity: u8,
    /// Fields of a `LogRecord`: what makes it the line it is.
    pub(super) line: Box<[u8]>,
    pub(super) count: u64,
}

/// The lines of the last second.
#[derive(Debug)]
pub(super) struct Repeats {
    limit: u32,
    shards: [Mutex<Vec<Line>>; SHARDS],
    /// When the oldest held-back line is to be reported; `u64::MAX` if there is none.
    due_ns: AtomicU64,
}

#[derive(Debug)]
struct Line {
    hash: u64,
    window_ns: u64,
    admitted: u32,
    held_back: Option<Repeated>,
    /// When what was held back is to be reported.
    due_ns: u64,
}

impl Repeats {
    /// At most `limit` identical lines a second, at least one.
    pub(super) fn new(limit: u32) -> Repeats {
        Repeats {
            limit: limit.max(1),
            shards: Default::default(),
            due_ns: AtomicU64::new(u64::MAX),
        }
    }

    pub(super) fn admit(
        &self,
        scope: &'static str,
        line: &[u8],
        severity: u8,
        now_ns: u64,
    ) -> Verdict {
        let hash = hash(scope, line);
        let shard = &self.shards[hash as usize % SHARDS];
        let mut lines = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = lines.iter_mut().find(|known| known.hash == hash) else {
            let window_ns = now_ns;
            let fresh = Line { hash, window_ns, admitted: 1, held_back: None, due_ns: 0 };
            remember(&mut lines, fresh);
            return Verdict::Admitted;
        };
        if now_ns.saturating_sub(known.window_ns) >= WINDOW_NS {
            (known.window_ns, known.admitted) = (now_ns, 0);
        }
        if known.admitted < self.limit {
            known.admitted += 1;
            return Verdict::Admitted;
        }
        if known.held_back.is_none() {
            known.due_ns = known.window_ns + WINDOW_NS;
            self.due_ns.fetch_min(known.due_ns, Ordering::Relaxed);
        }
        let fresh = || Repeated { scope, severity, line: line.into(), count: 0 };
        known.held_back.get_or_insert_with(fresh).count += 1;
        Verdict::HeldBack
    }

    /// Whether something held back is to be reported.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.due_ns.load(Ordering::Relaxed)
    }

    /// Takes what was held back in a second that is over; or all.
    pub(super) fn take_due(&self, now_ns: u64, all: bool) -> Vec<Repeated> {
        self.due_ns.store(u64::MAX, Ordering::Relaxed);
        let mut due = Vec::new();
        for shard in &self.shards {
            let mut lines = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for line in lines.iter_mut().filter(|line| line.held_back.is_some()) {
                if all || now_ns >= line.due_ns {
                    due.extend(line.held_back.take());
                } else {
                    self.due_ns.fetch_min(line.due_ns, Ordering::Relaxed);
                }
            }
        }
        due
    }
}

/// Takes the place of the line that was seen longest ago and has nothing to report.
fn remember(lines: &mut Vec<Line>, fresh: Line) {
    if lines.len() < LINES_PER_SHARD {
        return lines.push(fresh);
    }
    let oldest = lines.iter_mut().filter(|line| line.held_back.is_none());
    // If all have, this one is not watched, which errs towards telling too much.
    if let Some(oldest) = oldest.min_by_key(|line| line.window_ns) {
        *oldest = fresh;
    }
}

/// Not for enemies: two lines that collide on purpose only hold each other back.
fn hash(scope: &'static str, line: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = scope.as_ptr().addr() as u64;
    let mut mix = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    let mut words = line.chunks_exact(8);
    for word in &mut words {
        mix(word.try_into().map_or(0, u64::from_le_bytes));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(u64::from_le_bytes(last));
    mix(line.len() as u64);
    hash ^ (hash >> 32)
}
