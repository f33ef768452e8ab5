//! Blocks of columns that several threads make ahead of the one that takes them in order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// Makes the blocks numbered from 0 to `total` by calls of `make`, on this thread and on
/// `helpers` others, and hands them to `take` on this thread, in order. There are as many
/// blocks at once as `spare` brings, which is at least one; they are used again.
pub(super) fn in_order<B: Send>(
    total: usize,
    helpers: usize,
    spare: Vec<B>,
    make: &(dyn Fn(usize, &mut B) -> Result<()> + Sync),
    take: &mut dyn FnMut(usize, &mut B) -> Result<()>,
) -> Result<()> {
    let state = State { next: 0, total, spare, made: BTreeMap::new() };
    let desk = Desk { state: Mutex::new(state), changed: Condvar::new() };
    std::thread::scope(|scope| {
        let _closing = Closing(&desk);
        for _ in 0..helpers {
            scope.spawn(|| desk.help(make));
        }
        for at in 0..total {
            let mut block = desk.fetch(at, make)?;
            take(at, &mut block)?;
            desk.hold().spare.push(block);
            desk.changed.notify_all();
        }
        Ok(())
    })
}

/// What the threads share.
struct Desk<B> {
    state: Mutex<State<B>>,
    changed: Condvar,
}

struct State<B> {
    /// The first block that nobody makes yet.
    next: usize,
    total: usize,
    spare: Vec<B>,
    made: BTreeMap<usize, Result<B>>,
}

impl<B> State<B> {
    /// The next block to make, if there is one and room for it.
    fn claim(&mut self) -> Option<(usize, B)> {
        if self.next == self.total {
            return None;
        }
        let block = self.spare.pop()?;
        self.next += 1;
        Some((self.next - 1, block))
    }
}

impl<B> Desk<B> {
    fn hold(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<B>>) -> MutexGuard<'a, State<B>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes blocks until there are no more to make.
    fn help(&self, make: &(dyn Fn(usize, &mut B) -> Result<()> + Sync)) {
        let mut state = self.hold();
        while state.next < state.total {
            let Some((at, mut block)) = state.claim() else {
                state = self.wait(state);
                continue;
            };
            drop(state);
            // Whoever waits for this block must learn that it does not come.
            let made = catch_unwind(AssertUnwindSafe(|| make(at, &mut block)));
            let made = made.unwrap_or_else(|_| {
                Err(Error::execution("a thread of the query failed; the server's log says where"))
            });
            state = self.hold();
            state.made.insert(at, made.map(|()| block));
            self.changed.notify_all();
        }
    }

    /// The block of this number, which is the next to be taken; makes blocks until it is
    /// there. Those before it are spare again, so it has been claimed or can be.
    fn fetch(&self, at: usize, make: &(dyn Fn(usize, &mut B) -> Result<()> + Sync)) -> Result<B> {
        let mut state = self.hold();
        loop {
            if let Some(made) = state.made.remove(&at) {
                return made;
            }
            match state.claim() {
                Some((claimed, mut block)) => {
                    drop(state);
                    let made = make(claimed, &mut block).map(|()| block);
                    state = self.hold();
                    state.made.insert(claimed, made);
                }
                None => state = self.wait(state),
            }
        }
    }
}

/// Lets the helpers end, whatever happens to the thread that takes.
struct Closing<'a, B>(&'a Desk<B>);

impl<B> Drop for Closing<'_, B> {
    fn drop(&mut self) {
        let mut state = self.0.hold();
        state.next = state.total;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        total: usize,
        helpers: usize,
        spare: usize,
        make: &(dyn Fn(usize, &mut usize) -> Result<()> + Sync),
    ) -> (Vec<usize>, Result<()>) {
        let mut taken = Vec::new();
        let result = in_order(total, helpers, vec![0; spare], make, &mut |at, block| {
            assert_eq!(at, taken.len());
            taken.push(*block);
            Ok(())
        });
        (taken, result)
    }

    #[test]
    fn blocks_come_in_order_whoever_makes_them() {
        for total in [0, 1, 2, 7, 100] {
            for (helpers, spare) in [(0, 1), (1, 1), (1, 2), (3, 2), (3, 8)] {
                let (taken, result) = run(total, helpers, spare, &|at, block| {
                    *block = at * at;
                    Ok(())
                });
                assert!(result.is_ok());
                let expect: Vec<usize> = (0..total).map(|at| at * at).collect();
                assert_eq!(taken, expect, "{total} {helpers} {spare}");
            }
        }
    }

    #[test]
    fn the_first_error_ends_it_and_what_came_before_is_taken() {
        for helpers in [0, 1, 3] {
            let (taken, result) = run(50, helpers, 6, &|at, _| match at {
                20.. => Err(Error::execution("no more")),
                _ => Ok(()),
            });
            assert_eq!(taken.len(), 20);
            assert!(result.is_err_and(|error| error.message == "no more"));
        }
    }

    #[test]
    fn a_panic_of_a_helper_is_an_error() {
        let here = std::thread::current().id();
        let (taken, result) = run(1_000, 1, 4, &|_, _| {
            assert_eq!(std::thread::current().id(), here, "a helper fails on purpose");
            std::thread::yield_now();
            Ok(())
        });
        // If this thread made them all before the other one began, none has failed.
        assert!(result.is_err() || taken.len() == 1_000);
    }
}
