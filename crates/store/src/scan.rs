//! Hands out rows of many runs in one order of time.
//!
//! A run is a head or a block of a part: rows between two times. It is opened only when
//! the scan reaches its first time, or shortly before that, and dropped when its last row is
//! out, so a scan that breaks early reads little, and one that goes on holds only the runs
//! that overlap and a few more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use crate::ahead::{self, Items};
use crate::error::{Error, Result};
use crate::snapshot::Order;

/// An opened run and its rows that may be handed out, as (time, row).
pub(crate) type Opening<O> = (O, Vec<(i64, u32)>);

/// Takes one row of an opened run.
pub(crate) type Emit<'a, O> = &'a mut dyn FnMut(&O, u32) -> Result<ControlFlow<()>>;

/// Rows that can be opened later.
pub(crate) trait Run: Sync {
    /// What the run is once opened.
    type Open: Send;

    /// Bounds of the rows' times.
    fn bounds(&self) -> (i64, i64);

    /// Reads the run; the rows come in any order.
    fn open(&self) -> Result<Opening<Self::Open>>;
}

/// Calls `emit` for every row of every run, ordered by time, until it breaks. Several threads
/// open runs ahead, in the order in which they are reached.
pub(crate) fn scan<R: Run>(
    runs: &[R],
    order: Order,
    threads: usize,
    emit: Emit<'_, R::Open>,
) -> Result<()> {
    let places = in_order_of_time(runs, order);
    let open = |at: usize, opened: &mut Option<Opened<R::Open>>| {
        let (run, mut rows) = runs[places[at].1].open()?;
        if order == Order::Backward {
            rows.reverse();
        }
        if order != Order::Any {
            rows.sort_by_key(|&(time, _)| order.key(time));
        }
        *opened = Some(Opened { run, rows, next: 0 });
        Ok(())
    };
    ahead::run(runs.len(), threads, &mut || None, &open, |opened| match order {
        Order::Any => one_by_one(opened, emit),
        _ => merged(&places, opened, order, emit),
    })
}

/// Each run's earliest possible time and its place, in the order in which they are reached.
fn in_order_of_time<R: Run>(runs: &[R], order: Order) -> Vec<(i64, usize)> {
    let first = |run: &R| {
        let (min, max) = run.bounds();
        order.key(if order == Order::Backward { max } else { min })
    };
    let mut places: Vec<(i64, usize)> = runs.iter().map(first).zip(0..).collect();
    match order {
        Order::Any => {}
        Order::Forward => places.sort_by_key(|&(first, _)| first),
        Order::Backward => {
            places.reverse();
            places.sort_by_key(|&(first, _)| first);
        }
    }
    places
}

impl Order {
    /// What rises along the scan: backward is forward over mirrored times.
    fn key(self, time: i64) -> i64 {
        if self == Order::Backward { !time } else { time }
    }
}

/// Runs that are opened ahead.
type Ahead<'s, 'e, O> = Items<'s, 'e, Option<Opened<O>>, Error>;

fn one_by_one<O: Send>(runs: &mut Ahead<'_, '_, O>, emit: Emit<'_, O>) -> Result<()> {
    while let Some((_, opened)) = runs.next()? {
        for Opened { run, rows, .. } in opened.iter() {
            for &(_, row) in rows {
                if emit(run, row)?.is_break() {
                    return Ok(());
                }
            }
        }
        runs.give_back(None);
    }
    Ok(())
}

/// The time of an opened run's next row, and the run's rank. Equal times keep the order of the
/// runs, and within a run the order of its rows; backward is the exact mirror.
type Entry = Reverse<(i64, usize)>;

fn merged<O: Send>(
    places: &[(i64, usize)],
    runs: &mut Ahead<'_, '_, O>,
    order: Order,
    emit: Emit<'_, O>,
) -> Result<()> {
    let rank =
        |place: usize| if order == Order::Backward { places.len() - 1 - place } else { place };
    let mut open: Vec<Option<Opened<O>>> = places.iter().map(|_| None).collect();
    let mut heap: BinaryHeap<Entry> = BinaryHeap::new();
    let mut rest = places.iter().map(|&(first, place)| (first, rank(place))).peekable();
    loop {
        // A run is opened before any row that may come after one of its own.
        let next = heap.peek().map(|&Reverse(entry)| entry);
        if let Some(&(first, this)) = rest.peek()
            && next.is_none_or(|next| (first, this) < next)
        {
            rest.next();
            let Some((_, opened)) = runs.next()? else { return Ok(()) };
            runs.give_back(None);
            let time = opened.as_ref().and_then(|opened| opened.rows.first()).map(|row| row.0);
            if let Some(time) = time {
                heap.push(Reverse((order.key(time), this)));
                open[this] = opened;
            }
            continue;
        }
        let Some(Reverse((_, this))) = heap.pop() else { return Ok(()) };
        let Some(opened) = &mut open[this] else { continue };
        let other = heap.peek().map(|&Reverse(entry)| entry);
        let limit = other.into_iter().chain(rest.peek().copied()).min();
        // Stay with this run while no other comes first.
        while let Some(&(time, row)) = opened.rows.get(opened.next) {
            if limit.is_some_and(|limit| limit < (order.key(time), this)) {
                heap.push(Reverse((order.key(time), this)));
                break;
            }
            opened.next += 1;
            if emit(&opened.run, row)?.is_break() {
                return Ok(());
            }
        }
        if opened.next == opened.rows.len() {
            open[this] = None;
        }
    }
}

struct Opened<O> {
    run: O,
    rows: Vec<(i64, u32)>,
    next: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    struct Fixed<'a>(&'a [i64], &'a AtomicU32);

    impl Run for Fixed<'_> {
        type Open = Vec<i64>;

        fn bounds(&self) -> (i64, i64) {
            (*self.0.iter().min().unwrap(), *self.0.iter().max().unwrap())
        }

        fn open(&self) -> Result<Opening<Vec<i64>>> {
            self.1.fetch_add(1, Relaxed);
            let rows = self.0.iter().enumerate().map(|(i, &t)| (t, i as u32)).collect();
            Ok((self.0.to_vec(), rows))
        }
    }

    fn collect(runs: &[Fixed<'_>], order: Order, limit: usize) -> Vec<i64> {
        collect_by(1, runs, order, limit)
    }

    fn collect_by(threads: usize, runs: &[Fixed<'_>], order: Order, limit: usize) -> Vec<i64> {
        let mut out = Vec::new();
        scan(runs, order, threads, &mut |run, row| {
            out.push(run[row as usize]);
            Ok(if out.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .unwrap();
        out
    }

    #[test]
    fn merges_overlapping_runs_in_both_directions() {
        let opened = AtomicU32::new(0);
        let runs = [
            Fixed(&[5, 1, 9], &opened),
            Fixed(&[2, 2, 30], &opened),
            Fixed(&[i64::MAX, -4], &opened),
        ];
        let mut expect = vec![-4, 1, 2, 2, 5, 9, 30, i64::MAX];
        assert_eq!(collect(&runs, Order::Forward, 100), expect);
        expect.reverse();
        assert_eq!(collect(&runs, Order::Backward, 100), expect);
        assert_eq!(collect(&runs, Order::Any, 100).len(), 8);
    }

    #[test]
    fn threads_change_nothing_about_the_order() {
        let opened = AtomicU32::new(0);
        // Overlapping, touching and lonely runs, equal times among them.
        let times: Vec<Vec<i64>> = (0..60)
            .map(|run| (0..run % 7).map(|row| (run / 3) * 10 + row * row % 25).collect())
            .collect();
        let runs: Vec<Fixed<'_>> = times.iter().map(|times| Fixed(times, &opened)).collect();
        let runs: Vec<Fixed<'_>> = runs.into_iter().filter(|run| !run.0.is_empty()).collect();
        for order in [Order::Forward, Order::Backward, Order::Any] {
            let alone = collect(&runs, order, usize::MAX);
            assert_eq!(alone.len(), times.iter().map(Vec::len).sum::<usize>());
            for limit in [1, 2, 17, 90, usize::MAX] {
                let some = &alone[..limit.min(alone.len())];
                assert_eq!(collect_by(3, &runs, order, limit), some, "{order:?} {limit}");
            }
        }
        let mut sorted = collect_by(3, &runs, Order::Forward, usize::MAX);
        assert!(sorted.is_sorted());
        sorted.reverse();
        assert_eq!(collect_by(3, &runs, Order::Backward, usize::MAX), sorted);
    }

    #[test]
    fn opens_only_what_it_reaches() {
        let opened = AtomicU32::new(0);
        let runs = [Fixed(&[1, 2, 3], &opened), Fixed(&[10, 11], &opened), Fixed(&[20], &opened)];
        assert_eq!(collect(&runs, Order::Forward, 2), [1, 2]);
        assert_eq!(opened.load(Relaxed), 1);
        opened.store(0, Relaxed);
        assert_eq!(collect(&runs, Order::Backward, 2), [20, 11]);
        assert_eq!(opened.load(Relaxed), 2);
    }
}
