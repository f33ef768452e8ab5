//! Threads that read ahead change nothing about what is found, in which order, or what is read.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use trefoil_store::model::Value;
use trefoil_store::{
    Batch, Compare, Error, Field, LineFilter, LogScan, Order, Settings, SpanFilter, SpanScan,
    Store, Tally, TimeRange,
};

use crate::log_groups;
use crate::make::{add_span, attribute, span};

const ORDERS: [Order; 3] = [Order::Forward, Order::Backward, Order::Any];
/// How many are taken before the scan breaks.
const LIMITS: [usize; 4] = [1, 100, 2_500, usize::MAX];

/// Seven parts that overlap, and a head.
fn store() -> Store {
    let store = Store::in_memory(Settings::default());
    for part in 0..8 {
        store.append(&log_groups::batch(part * 500, 500)).unwrap();
        let mut batch = Batch::new();
        for n in 0..400u64 {
            let start_ns = 1_780_000_000_000_000_000 + part * 100_000 + n * n % 271 * 1_000;
            let name = ["GET /", "run", "select"][n as usize % 3];
            let mut one = span((n % 90) as u8 + 1, part as u8 * 20 + 1, start_ns, name);
            one.attributes.push(attribute("n", Value::Int((n % 10) as i64)));
            add_span(&mut batch, ["cart", "pay"][n as usize % 2], &one);
        }
        store.append(&batch).unwrap();
        if part < 7 {
            store.flush().unwrap();
        }
    }
    store
}

/// Hands out what it finds until that breaks.
type Scan<'a> = &'a dyn Fn(&Tally, Visit<'_>);
type Visit<'a> = &'a mut dyn FnMut(String) -> ControlFlow<()>;

/// What a scan hands out until it breaks, by so many threads, and how much it read.
fn taken(threads: usize, limit: usize, scan: Scan<'_>) -> (Vec<String>, u64) {
    let tally = Tally::unlimited().with_threads(threads);
    let mut taken = Vec::new();
    scan(&tally, &mut |one| {
        taken.push(one);
        if taken.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let rows = tally.rows.load(Relaxed);
    (taken, rows)
}

fn compare(what: &str, scan: Scan<'_>) {
    let (all, rows) = taken(1, usize::MAX, scan);
    assert!(all.len() > 300, "{what} finds too little to compare");
    for (threads, limit) in [2, 5].into_iter().flat_map(|t| LIMITS.map(|limit| (t, limit))) {
        let (some, read) = taken(threads, limit, scan);
        assert_eq!(some, all[..limit.min(all.len())], "{what}, {threads} threads, limit {limit}");
        if limit >= all.len() {
            assert_eq!(read, rows, "{what}: rows looked at");
        }
    }
}

#[test]
fn log_records_come_as_from_one_thread() {
    let snapshot = store().snapshot();
    for order in ORDERS {
        for lines in [vec![], vec![LineFilter::Contains("7".into())]] {
            let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &lines, order };
            compare(&format!("{order:?} {lines:?}"), &|tally, visit| {
                snapshot.logs(&scan, tally, &mut |log| visit(format!("{log:?}"))).unwrap();
            });
        }
    }
}

#[test]
fn spans_come_as_from_one_thread() {
    let snapshot = store().snapshot();
    let filters = [
        SpanFilter::And(Vec::new()),
        SpanFilter::Field(Field::Span("n".into()), Compare::Less(Value::Int(4))),
    ];
    for order in ORDERS {
        for filter in &filters {
            let scan = SpanScan { range: TimeRange::ALL, filter, order };
            compare(&format!("{order:?} {filter:?}"), &|tally, visit| {
                snapshot.spans(&scan, tally, &mut |span| visit(format!("{span:?}"))).unwrap();
            });
        }
    }
}

#[test]
fn limits_and_cancelling_stop_all_threads() {
    let snapshot = store().snapshot();
    let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Forward };
    let run = |tally: &Tally| snapshot.logs(&scan, tally, &mut |_| ControlFlow::Continue(()));
    for threads in [1, 2, 5] {
        let small = Tally::new(2_000).with_threads(threads);
        assert!(matches!(run(&small), Err(Error::LimitExceeded { limit: 2_000, .. })));
        let cancelled = Tally::unlimited().with_threads(threads);
        cancelled.cancel();
        assert!(matches!(run(&cancelled), Err(Error::Cancelled)));
    }
}
