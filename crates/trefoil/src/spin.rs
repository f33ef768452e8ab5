//! A lock for a few dozen nanoseconds.

use std::cell::UnsafeCell;
use std::hint;
use std::sync::atomic::{AtomicBool, Ordering};

/// One locked instruction where the standard mutex needs two, and a byte where a thread that
/// waits spins, then yields.
#[derive(Debug)]
pub(crate) struct Spin<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `value` is reached only through `with` and `try_with`, which let in one thread at a
// time, as a mutex does, and by `get`, whose callers say why nobody else is there. Like for a
// mutex the value must be `Send`, as each thread may change it.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Spin<T> {}

impl<T> Spin<T> {
    pub(crate) fn new(value: T) -> Spin<T> {
        Spin { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Where the value lies, for who knows that nobody else looks at it.
    #[inline]
    pub(crate) fn get(&self) -> *mut T {
        self.value.get()
    }

    #[inline]
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        if self.held.swap(true, Ordering::Acquire) {
            self.wait();
        }
        self.held_by_us(change)
    }

    /// `None` if another thread is there.
    #[inline]
    pub(crate) fn try_with<R>(&self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        (!self.held.swap(true, Ordering::Acquire)).then(|| self.held_by_us(change))
    }

    #[inline]
    #[allow(unsafe_code)]
    fn held_by_us<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let _release = Release(&self.held);
        // SAFETY: `held` was false and is true now, by this thread; no other gets here until
        // `_release` is dropped, after `change` is done with the reference, also if it panics.
        change(unsafe { &mut *self.value.get() })
    }

    #[cold]
    fn wait(&self) {
        let mut tries = 0_u32;
        while self.held.load(Ordering::Relaxed) || self.held.swap(true, Ordering::Acquire) {
            tries += 1;
            if tries.is_multiple_of(64) {
                std::thread::yield_now();
            } else {
                hint::spin_loop();
            }
        }
    }
}

struct Release<'a>(&'a AtomicBool);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sum that two threads would lose if both were there at once.
    #[test]
    fn one_thread_at_a_time_and_who_does_not_wait_is_told() {
        const ADDS: u64 = if cfg!(miri) { 100 } else { 50_000 };
        let sum = Spin::new(0_u64);
        let refused: u64 = std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..ADDS).for_each(|_| sum.with(|sum| *sum += 1)));
            }
            let tries = (0..ADDS).filter(|_| sum.try_with(|sum| *sum += 1).is_none()).count();
            tries as u64
        });
        assert_eq!(sum.with(|sum| *sum) + refused, 3 * ADDS);
        assert_eq!(sum.with(|_| sum.try_with(|_| ())), None, "held by this thread");
    }
}
