//! Series that the log names once and refers to afterwards.

use super::*;
use crate::vfs::Memory;
use crate::{Batch, SeriesHandle};

const SERIES: usize = 40;

/// One sample for each series, at this time.
fn round(handles: &[SeriesHandle], time_ms: i64) -> Batch {
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    for (handle, n) in handles.iter().zip(0i32..) {
        let series = batch.known_series(resource, scope, handle);
        let value = SampleValue::Float(time_ms as f64 + f64::from(n));
        batch.sample(series, &Sample { time_ms, start_ms: 0, value });
    }
    batch
}

fn handles(store: &Store) -> Vec<SeriesHandle> {
    let labels = |n: usize| Labels::from_pairs([("__name__", "m"), ("n", &*n.to_string())]);
    (0..SERIES).map(|n| store.series_handle(labels(n))).collect()
}

/// Every series has one sample for each time and the value that was sent.
fn check(store: &Store, times: &[i64]) {
    let snapshot = store.snapshot();
    let tally = Tally::unlimited();
    let all = snapshot.series(&[], TimeRange::ALL, &tally).unwrap();
    assert_eq!(all.len(), SERIES);
    for series in all {
        let n: f64 = series.labels.get("n").unwrap().parse().unwrap();
        let mut samples = Samples::default();
        snapshot.samples(&series, TimeRange::ALL, &mut samples, &tally).unwrap();
        assert_eq!(samples.float_times_ms, times, "{:?}", series.labels);
        assert!(samples.floats.iter().zip(times).all(|(v, t)| *v == *t as f64 + n));
    }
    assert_eq!(store.stats().damaged_blocks, 0);
}

fn open_in(vfs: &Memory) -> Store {
    let settings = Settings { memory_bytes: 8 << 20, ..Settings::default() };
    open::open(Arc::new(vfs.clone()), Path::new("d"), settings).unwrap()
}

#[test]
fn a_head_that_replay_flushes_in_the_middle_loses_no_names() {
    let vfs = Memory::default();
    let store = open_in(&vfs);
    let handles = handles(&store);
    let mut times = Vec::new();
    // More than replay keeps in one head, less than an append waits for a flush for.
    let limit = store.limits.head_weight;
    while store.counters.head_bytes.load(Relaxed) < limit + limit / 8 {
        let time_ms = 1_000_000 + times.len() as i64;
        store.append(&round(&handles, time_ms)).unwrap();
        times.push(time_ms);
    }
    assert_eq!(store.stats().metrics.parts, 0);
    check(&store, &times);
    drop(store);
    for again in 0..3 {
        let store = open_in(&vfs);
        assert!(store.stats().metrics.parts > 0, "replay has flushed");
        check(&store, &times);
        // What was known before is told again, once.
        let time_ms = 2_000_000 + again;
        let handles = self::handles(&store);
        store.append(&round(&handles, time_ms)).unwrap();
        times.push(time_ms);
        check(&store, &times);
    }
}

#[test]
fn what_was_flushed_is_told_again_and_what_was_not_is_not() {
    let vfs = Memory::default();
    let store = open_in(&vfs);
    let handles = handles(&store);
    let mut times = Vec::new();
    let mut grown = Vec::new();
    for n in 0..12 {
        if n % 4 == 3 {
            store.flush().unwrap();
        }
        let before = store.stats().wal_bytes;
        store.append(&round(&handles, n)).unwrap();
        times.push(n);
        grown.push(store.stats().wal_bytes - before);
        check(&store, &times);
    }
    for (n, grown) in grown.iter().enumerate() {
        let told = n == 0 || n % 4 == 3;
        assert_eq!(*grown > 40 * 15, told, "append {n} took {grown} bytes");
    }
    drop(store);
    check(&open_in(&vfs), &times);
}

#[test]
fn handles_of_another_store_are_names() {
    let first = Store::in_memory(Settings::default());
    let handles = handles(&first);
    first.append(&round(&handles, 1)).unwrap();
    let second = Store::in_memory(Settings::default());
    second.append(&round(&handles, 2)).unwrap();
    check(&first, &[1]);
    check(&second, &[2]);
    assert!(first.made(&handles[0]) && !second.made(&handles[0]));
}
