//! Each thread writes a cell of its own, so that two on one series do not wait for each
//! other, and adding needs no locked instruction. A reader adds the cells up.

use std::cell::Cell;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Threads that have cells of their own at one time. A thread beyond them writes the cell
/// that is shared, correctly but slower. More make every series larger.
pub(super) const SLOTS: usize = 16;

/// Something that is written by one thread or by many.
pub(crate) trait Stripe {
    type Settings;
    type Value: Copy;

    fn new(settings: &Self::Settings) -> Self;

    /// Takes a value while no other thread writes.
    fn alone(&self, settings: &Self::Settings, value: Self::Value);

    /// Takes a value while others may write, too.
    fn shared(&self, settings: &Self::Settings, value: Self::Value);
}

/// A stripe for each thread that wrote, and one for all threads without a slot.
pub(crate) struct Striped<T> {
    shared: T,
    own: [OnceLock<T>; SLOTS],
}

impl<T: Stripe> Striped<T> {
    pub(crate) fn new(settings: &T::Settings) -> Self {
        Striped { shared: T::new(settings), own: [const { OnceLock::new() }; SLOTS] }
    }

    #[inline]
    pub(crate) fn record(&self, settings: &T::Settings, value: T::Value) {
        match self.own.get(SLOT.get()).and_then(OnceLock::get) {
            Some(own) => own.alone(settings, value),
            None => self.record_first(settings, value),
        }
    }

    /// The first value of this thread, or one of a thread without a slot.
    #[cold]
    fn record_first(&self, settings: &T::Settings, value: T::Value) {
        if SLOT.get() == UNKNOWN {
            take_slot();
        }
        match self.own.get(SLOT.get()) {
            Some(own) => own.get_or_init(|| T::new(settings)).alone(settings, value),
            None => self.shared.shared(settings, value),
        }
    }

    /// All stripes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.shared).chain(self.own.iter().filter_map(OnceLock::get))
    }
}

/// The thread has not asked for a slot yet.
const UNKNOWN: usize = usize::MAX;
/// The thread came when all slots were taken, or is ending.
const NONE: usize = usize::MAX - 1;

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(UNKNOWN) };
    static LEASE: Lease = const { Lease };
}

/// Which slots are taken, a bit each.
static TAKEN: Mutex<u32> = Mutex::new(0);

/// Gives the thread's slot back when the thread ends.
///
/// Threads that have a slot one after the other are ordered by the lock: the later one
/// sees all that the earlier one wrote.
struct Lease;

impl Drop for Lease {
    fn drop(&mut self) {
        // Destructors of the thread that run after this one may still record.
        let slot = SLOT.replace(NONE);
        if slot < SLOTS {
            *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) &= !(1 << slot);
        }
    }
}

fn take_slot() {
    SLOT.set(NONE);
    // TRAP: a thread whose destructors have run must not take a slot: nobody would give it
    // back.
    if LEASE.try_with(|_| {}).is_err() {
        return;
    }
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let free = (!*taken).trailing_zeros() as usize;
    if free < SLOTS {
        *taken |= 1 << free;
        SLOT.set(free);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::metric::number::{add_alone, add_shared, read};

    struct Count(AtomicU64);

    impl Stripe for Count {
        type Settings = ();
        type Value = u64;

        fn new(_: &()) -> Self {
            Count(AtomicU64::new(0))
        }

        fn alone(&self, _: &(), value: u64) {
            add_alone(&self.0, value);
        }

        fn shared(&self, _: &(), value: u64) {
            add_shared(&self.0, value);
        }
    }

    /// Threads come and go, more than there are slots: nothing is lost.
    #[test]
    fn what_threads_add_is_the_sum_however_they_come_and_go() {
        const ADDS: u64 = if cfg!(miri) { 20 } else { 2_000 };
        const ROUNDS: u64 = if cfg!(miri) { 3 } else { 25 };
        const THREADS: u64 = SLOTS as u64 + 8;
        let counts = Arc::new(Striped::<Count>::new(&()));
        for _ in 0..ROUNDS {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let counts = Arc::clone(&counts);
                    std::thread::spawn(move || {
                        for _ in 0..ADDS {
                            counts.record(&(), 1);
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
        }
        let sum: u64 = counts.iter().map(|count| read::<u64>(&count.0)).sum();
        assert_eq!(sum, ROUNDS * THREADS * ADDS);
    }

    /// A thread's last words, from a destructor that runs when its slot is gone.
    #[test]
    fn a_destructor_at_the_end_of_a_thread_still_counts() {
        struct Last(Arc<Striped<Count>>);
        impl Drop for Last {
            fn drop(&mut self) {
                self.0.record(&(), 1);
            }
        }
        thread_local!(static LAST: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) });
        let counts = Arc::new(Striped::<Count>::new(&()));
        let inside = Arc::clone(&counts);
        let work = move || {
            LAST.set(Some(Last(Arc::clone(&inside))));
            inside.record(&(), 1);
        };
        std::thread::spawn(work).join().unwrap();
        assert_eq!(counts.iter().map(|count| read::<u64>(&count.0)).sum::<u64>(), 2);
    }
}
