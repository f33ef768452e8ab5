//! Hands out rows of many runs in one order of time.
//!
//! A run is a head or a block of a part: rows between two times. It is opened only when
//! the scan reaches its first time, and dropped when its last row is out, so a scan that
//! breaks early reads little, and one that goes on holds only the runs that overlap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::snapshot::Order;

/// An opened run and its rows that may be handed out, as (time, row).
pub(crate) type Opening<O> = (O, Vec<(i64, u32)>);

/// Takes one row of an opened run.
pub(crate) type Emit<'a, O> = &'a mut dyn FnMut(&O, u32) -> Result<ControlFlow<()>>;

/// Rows that can be opened later.
pub(crate) trait Run {
    /// What the run is once opened.
    type Open;

    /// Bounds of the rows' times.
    fn bounds(&self) -> (i64, i64);

    /// Reads the run; the rows come in any order.
    fn open(&self) -> Result<Opening<Self::Open>>;
}

/// The time of a run's next row, or its earliest possible one while it is not opened, and
/// the run's rank. Equal times keep the order of the runs, and within a run the order of
/// its rows; backward is the exact mirror.
type Entry = Reverse<(i64, u32)>;

/// Calls `emit` for every row of every run, ordered by time, until it breaks.
pub(crate) fn scan<R: Run>(runs: &[R], order: Order, emit: Emit<'_, R::Open>) -> Result<()> {
    if order == Order::Any {
        return scan_as_they_lie(runs, emit);
    }
    let backward = order == Order::Backward;
    // Backward is forward over mirrored times.
    let key = |time: i64| if backward { !time } else { time };
    let last = runs.len().saturating_sub(1);
    let rank = |at: usize| (if backward { last - at } else { at }) as u32;
    let mut open: Vec<Option<Opened<R::Open>>> = runs.iter().map(|_| None).collect();
    let mut heap: BinaryHeap<Entry> = BinaryHeap::with_capacity(runs.len());
    for (at, run) in runs.iter().enumerate() {
        let (min, max) = run.bounds();
        heap.push(Reverse((key(if backward { max } else { min }), rank(at))));
    }
    while let Some(Reverse((_, at))) = heap.pop() {
        let slot = rank(at as usize) as usize;
        if open[slot].is_none() {
            let (run, mut rows) = runs[slot].open()?;
            if backward {
                rows.reverse();
            }
            rows.sort_by_key(|&(time, _)| key(time));
            let first = rows.first().map(|&(time, _)| key(time));
            if let Some(first) = first {
                open[slot] = Some(Opened { run, rows, next: 0 });
                heap.push(Reverse((first, at)));
            }
            continue;
        }
        let limit = heap.peek().map(|&Reverse(entry)| entry);
        let Some(opened) = &mut open[slot] else { continue };
        // Stay with this run while no other comes first.
        while let Some(&(time, row)) = opened.rows.get(opened.next) {
            if limit.is_some_and(|limit| limit < (key(time), at)) {
                heap.push(Reverse((key(time), at)));
                break;
            }
            opened.next += 1;
            if emit(&opened.run, row)?.is_break() {
                return Ok(());
            }
        }
        if opened.next == opened.rows.len() {
            open[slot] = None;
        }
    }
    Ok(())
}

struct Opened<O> {
    run: O,
    rows: Vec<(i64, u32)>,
    next: usize,
}

fn scan_as_they_lie<R: Run>(runs: &[R], emit: Emit<'_, R::Open>) -> Result<()> {
    for run in runs {
        let (run, rows) = run.open()?;
        for (_, row) in rows {
            if emit(&run, row)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Fixed<'a>(&'a [i64], &'a Cell<u32>);

    impl Run for Fixed<'_> {
        type Open = Vec<i64>;

        fn bounds(&self) -> (i64, i64) {
            (*self.0.iter().min().unwrap(), *self.0.iter().max().unwrap())
        }

        fn open(&self) -> Result<Opening<Vec<i64>>> {
            self.1.set(self.1.get() + 1);
            let rows = self.0.iter().enumerate().map(|(i, &t)| (t, i as u32)).collect();
            Ok((self.0.to_vec(), rows))
        }
    }

    fn collect(runs: &[Fixed<'_>], order: Order, limit: usize) -> Vec<i64> {
        let mut out = Vec::new();
        scan(runs, order, &mut |run, row| {
            out.push(run[row as usize]);
            Ok(if out.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .unwrap();
        out
    }

    #[test]
    fn merges_overlapping_runs_in_both_directions() {
        let opened = Cell::new(0);
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
    fn opens_only_what_it_reaches() {
        let opened = Cell::new(0);
        let runs = [Fixed(&[1, 2, 3], &opened), Fixed(&[10, 11], &opened), Fixed(&[20], &opened)];
        assert_eq!(collect(&runs, Order::Forward, 2), [1, 2]);
        assert_eq!(opened.get(), 1);
        opened.set(0);
        assert_eq!(collect(&runs, Order::Backward, 2), [20, 11]);
        assert_eq!(opened.get(), 2);
    }
}
