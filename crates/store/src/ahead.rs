//! Items that several threads make ahead of the one that takes them in order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

/// Items to a thread: while one is taken, others are made.
const ROOM: usize = 2;

/// Makes the items numbered from 0 to `total` by calls of `make`, on this thread and on
/// `threads` less one others, and hands them to `take` on this thread, in order, until it
/// breaks, which is told. An item is made in what `spare` gives, of which there are few, used again and again.
///
/// # Errors
/// The first error of `make`, in the order of the items, or of `take`. A panic of `make` goes
/// on in this thread.
pub fn in_order<T: Send, E: Send>(
    total: usize,
    threads: usize,
    spare: &mut dyn FnMut() -> T,
    make: Make<'_, T, E>,
    take: Take<'_, T, E>,
) -> Result<ControlFlow<()>, E> {
    run(total, threads, spare, make, |items| {
        while let Some((at, mut item)) = items.next()? {
            if take(at, &mut item)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            items.give_back(item);
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Makes an item of this number.
pub type Make<'a, T, E> = &'a (dyn Fn(usize, &mut T) -> Result<(), E> + Sync);

/// Takes an item of this number.
pub type Take<'a, T, E> = &'a mut dyn FnMut(usize, &mut T) -> Result<ControlFlow<()>, E>;

/// As [`in_order`], for one who comes for the items.
pub(crate) fn run<T: Send, E: Send, R>(
    total: usize,
    threads: usize,
    spare: &mut dyn FnMut() -> T,
    make: Make<'_, T, E>,
    take: impl FnOnce(&mut Items<'_, '_, T, E>) -> R,
) -> R {
    let threads = threads.clamp(1, total.max(1));
    let room = if threads > 1 { threads * ROOM } else { 1 };
    let spare = std::iter::repeat_with(spare).take(room).collect();
    let state = Mutex::new(State { next: 0, total, spare, made: BTreeMap::new() });
    let desk = Desk { state, changed: Condvar::new(), make };
    thread::scope(|scope| {
        let _closing = Closing(&desk);
        take(&mut Items { scope, desk: &desk, helpers: threads - 1, taken: 0 })
    })
}

/// Items, which come in order.
pub(crate) struct Items<'s, 'e, T, E> {
    scope: &'s Scope<'s, 'e>,
    desk: &'e Desk<'e, T, E>,
    /// Threads that do not help yet: the first item may be all that is asked for.
    helpers: usize,
    taken: usize,
}

impl<T: Send, E: Send> Items<'_, '_, T, E> {
    /// The next item and its number.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, T)>, E> {
        let at = self.taken;
        if at == self.desk.hold().total {
            return Ok(None);
        }
        if at > 0 {
            let desk = self.desk;
            (0..std::mem::take(&mut self.helpers)).for_each(|_| {
                self.scope.spawn(|| desk.help());
            });
        }
        self.taken += 1;
        Ok(Some((at, self.desk.fetch(at)?)))
    }

    /// Lets another item be made in this one's place.
    pub(crate) fn give_back(&mut self, item: T) {
        self.desk.hold().spare.push(item);
        self.desk.changed.notify_all();
    }
}

/// What the threads share.
struct Desk<'e, T, E> {
    state: Mutex<State<T, E>>,
    changed: Condvar,
    make: Make<'e, T, E>,
}

struct State<T, E> {
    /// The first item that nobody makes yet.
    next: usize,
    total: usize,
    spare: Vec<T>,
    made: BTreeMap<usize, thread::Result<Result<T, E>>>,
}

impl<T, E> State<T, E> {
    /// The next item to make, if there is one and room for it.
    fn claim(&mut self) -> Option<(usize, T)> {
        if self.next == self.total {
            return None;
        }
        let item = self.spare.pop()?;
        self.next += 1;
        Some((self.next - 1, item))
    }
}

impl<T, E> Desk<'_, T, E> {
    fn hold(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T, E>>) -> MutexGuard<'a, State<T, E>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes items until there are no more to make.
    fn help(&self) {
        let mut state = self.hold();
        while state.next < state.total {
            let Some((at, mut item)) = state.claim() else {
                state = self.wait(state);
                continue;
            };
            drop(state);
            // Whoever waits for this item must learn that it does not come.
            let made = catch_unwind(AssertUnwindSafe(|| (self.make)(at, &mut item)));
            state = self.hold();
            state.made.insert(at, made.map(|made| made.map(|()| item)));
            self.changed.notify_all();
        }
    }

    /// The item of this number, which is the next to be taken; makes items until it is there.
    /// Those before it are spare again, so it has been claimed or can be.
    fn fetch(&self, at: usize) -> Result<T, E> {
        let mut state = self.hold();
        loop {
            if let Some(made) = state.made.remove(&at) {
                drop(state);
                return made.unwrap_or_else(|panic| resume_unwind(panic));
            }
            match state.claim() {
                Some((claimed, mut item)) => {
                    drop(state);
                    let made = (self.make)(claimed, &mut item).map(|()| item);
                    if claimed == at {
                        return made;
                    }
                    state = self.hold();
                    state.made.insert(claimed, Ok(made));
                }
                None => state = self.wait(state),
            }
        }
    }
}

/// Lets the helpers end, whatever happens to the thread that takes.
struct Closing<'a, 'e, T, E>(&'a Desk<'e, T, E>);

impl<T, E> Drop for Closing<'_, '_, T, E> {
    fn drop(&mut self) {
        let mut state = self.0.hold();
        state.next = state.total;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), &'static str>;

    fn taken(
        total: usize,
        threads: usize,
        last: usize,
        make: Make<'_, usize, &'static str>,
    ) -> (Vec<usize>, Outcome) {
        let mut taken = Vec::new();
        let result = in_order(total, threads, &mut || 0, make, &mut |at, item| {
            assert_eq!(at, taken.len());
            taken.push(*item);
            Ok(if at == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        (taken, result.map(drop))
    }

    #[test]
    fn items_come_in_order_whoever_makes_them() {
        for total in [0, 1, 2, 7, 100] {
            for threads in [0, 1, 2, 4] {
                for last in [0, 1, 5, 1000] {
                    let (taken, result) = taken(total, threads, last, &|at, item| {
                        *item = at * at;
                        Ok(())
                    });
                    assert_eq!(result, Ok(()));
                    let expect: Vec<usize> = (0..total.min(last + 1)).map(|at| at * at).collect();
                    assert_eq!(taken, expect, "{total} {threads} {last}");
                }
            }
        }
    }

    #[test]
    fn the_first_error_ends_it_and_what_came_before_is_taken() {
        for threads in [1, 2, 4] {
            let (taken, result) = taken(50, threads, 1000, &|at, _| match at {
                20.. => Err("no more"),
                _ => Ok(()),
            });
            assert_eq!((taken.len(), result), (20, Err("no more")));
        }
    }

    #[test]
    fn a_panic_of_a_helper_reaches_the_one_who_takes() {
        let here = thread::current().id();
        let done = catch_unwind(|| {
            taken(1_000, 2, 1_000, &|_, _| {
                assert_eq!(thread::current().id(), here, "a helper fails on purpose");
                thread::yield_now();
                Ok(())
            })
        });
        // If this thread made them all before the other one began, none has failed.
        assert!(done.is_err() || done.is_ok_and(|(taken, _)| taken.len() == 1_000));
    }

    #[test]
    fn who_takes_one_item_has_no_help_and_no_more_are_made() {
        let made = std::sync::atomic::AtomicUsize::new(0);
        let count = |_, _: &mut usize| {
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        };
        assert_eq!(taken(100, 4, 0, &count).0.len(), 1);
        assert_eq!(made.into_inner(), 1);
    }
}
