//! Flushing, merging, retention, damage and limits, on a file system that works.

use std::sync::atomic::Ordering::Relaxed;

use super::*;

fn model(ids: impl IntoIterator<Item = u64>) -> Model {
    Model { acknowledged: ids.into_iter().collect(), ..Model::default() }
}

#[test]
fn merging_keeps_everything_in_few_parts() {
    let store = open_on(&Faulty::new(1)).unwrap();
    let before = {
        for id in 1..=40 {
            store.append(&numbered(id)).unwrap();
            store.flush().unwrap();
        }
        store.snapshot()
    };
    assert_eq!(store.stats().logs.parts, 80, "one a flush and day");
    store.merge().unwrap();
    let stats = store.stats();
    assert_eq!([stats.metrics.parts, stats.logs.parts, stats.traces.parts], [2, 2, 2]);
    assert_eq!(stats.logs.part_items, 80);
    model(1..=40).check(&store.snapshot()).unwrap();
    model(1..=40).check(&before).unwrap();
}

#[test]
fn maintenance_keeps_the_number_of_parts_small() {
    let store = open_on(&Faulty::new(1)).unwrap();
    for id in 1..=200 {
        store.append(&numbered(id)).unwrap();
        store.flush().unwrap();
        store.maintain(START_NS).unwrap();
        // As maintenance would between two flushes that are seconds apart.
        while store.merge_some().unwrap() {}
    }
    let stats = store.stats();
    for signal in [stats.metrics, stats.logs, stats.traces] {
        assert!(signal.parts <= 30, "{} parts", signal.parts);
        assert_eq!(signal.part_items, 400);
    }
    model(1..=200).check(&store.snapshot()).unwrap();
}

#[test]
fn parts_that_were_replaced_stay_readable_until_their_last_reader_is_gone() {
    let vfs = Faulty::new(1);
    let store = open_on(&vfs).unwrap();
    for id in 1..=3 {
        store.append(&numbered(id)).unwrap();
        store.flush().unwrap();
    }
    let files =
        || vfs.files().iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "part")).count();
    let old = store.snapshot();
    store.merge().unwrap();
    assert_eq!(files(), 24);
    model(1..=3).check(&old).unwrap();
    drop(old);
    assert_eq!(files(), 6);
}

#[test]
fn the_later_of_two_equal_samples_wins_wherever_they_are() {
    let store = open_on(&Faulty::new(1)).unwrap();
    let write = |value: f64| {
        let mut batch = Batch::new();
        let resource = batch.resource(&Resource::default());
        let scope = batch.scope(&Scope::default());
        let series = batch.series(resource, scope, &Labels::from_pairs([("__name__", "m")]));
        let value = SampleValue::Float(value);
        batch.sample(series, &Sample { time_ms: 7, start_ms: 0, value });
        store.append(&batch).unwrap();
    };
    let read = || {
        let snapshot = store.snapshot();
        let tally = Tally::unlimited();
        let series = snapshot.series(&[], TimeRange::ALL, &tally).unwrap();
        let mut samples = Samples::default();
        snapshot.samples(&series[0], TimeRange::ALL, &mut samples, &tally).unwrap();
        samples.floats
    };
    for value in 1..=20 {
        write(f64::from(value));
        assert_eq!(read(), [f64::from(value)]);
        if value % 2 == 0 {
            store.flush().unwrap();
            assert_eq!(read(), [f64::from(value)]);
        }
        if value % 6 == 0 {
            store.merge_some().unwrap();
            assert_eq!(read(), [f64::from(value)]);
        }
    }
    store.merge().unwrap();
    assert_eq!(read(), [20.0]);
}

#[test]
fn a_damaged_block_is_set_aside_and_the_rest_still_answers() {
    let vfs = Faulty::new(1);
    let store = open_on(&vfs).unwrap();
    for id in 1..=2 {
        store.append(&numbered(id)).unwrap();
        store.flush().unwrap();
    }
    drop(store);
    let part = vfs.files().into_iter().find(|(p, _)| p.ends_with("0000000000000002.part"));
    // The first byte after the magic belongs to the first block.
    vfs.flip(&part.unwrap().0, 9);
    let store = open_on(&vfs).unwrap();
    let tally = Tally::unlimited();
    let mut lines = 0;
    let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Forward };
    let mut count = |_: &crate::model::StoredLog<'_>| {
        lines += 1;
        ControlFlow::Continue(())
    };
    store.snapshot().logs(&scan, &tally, &mut count).unwrap();
    assert_eq!(lines, 3);
    assert_eq!(tally.blocks_damaged.load(Relaxed), 1);
    assert_eq!(store.stats().damaged_blocks, 1);
    // Merging would make the loss final, so the part is left alone.
    store.merge().unwrap();
    assert_eq!(store.stats().logs.parts, 3);
    let again = Tally::unlimited();
    store.snapshot().logs(&scan, &again, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(again.blocks_damaged.load(Relaxed), 1);
    assert_eq!(store.stats().damaged_blocks, 1, "counted once");
}

#[test]
fn a_part_whose_footer_is_damaged_does_not_keep_the_store_closed() {
    let vfs = Faulty::new(1);
    let store = open_on(&vfs).unwrap();
    store.append(&numbered(1)).unwrap();
    store.flush().unwrap();
    drop(store);
    let parts: Vec<_> = vfs
        .files()
        .into_iter()
        .filter(|(p, _)| p.extension().is_some_and(|e| e == "part"))
        .collect();
    vfs.flip(&parts[0].0, parts[0].1 - 1);
    let store = open_on(&vfs).unwrap();
    assert_eq!(store.stats().damaged_blocks, 1);
    assert_eq!(find(&store.snapshot()).logs.len(), 2);
    assert_eq!(find(&store.snapshot()).samples.len(), 1);
}

#[test]
fn damage_in_the_middle_of_the_wal_costs_one_record_and_is_counted() {
    let vfs = Faulty::new(1);
    let store = open_on(&vfs).unwrap();
    for id in 1..=3 {
        store.append(&numbered(id)).unwrap();
    }
    drop(store);
    let (path, len) =
        vfs.files().into_iter().find(|(p, _)| p.extension().is_some_and(|e| e == "wal")).unwrap();
    vfs.flip(&path, len / 2);
    let store = open_on(&vfs).unwrap();
    assert_eq!(store.stats().damaged_blocks, 1);
    model([1, 3]).check(&store.snapshot()).unwrap();
}

#[test]
fn an_unknown_format_version_is_a_clear_error() {
    for name in ["manifest", "0000000000000000.part", "0000000000000001.wal"] {
        let vfs = Faulty::new(1);
        let store = open_on(&vfs).unwrap();
        store.append(&numbered(1)).unwrap();
        if name.ends_with("part") {
            store.flush().unwrap();
        }
        drop(store);
        let (path, len) = vfs.files().into_iter().find(|(p, _)| p.ends_with(name)).unwrap();
        let mut bytes = vec![0; len];
        vfs.open(&path).unwrap().read_at(0, &mut bytes).unwrap();
        bytes[7] = 99;
        // The checksum of the version's block is made to hold: only the version is new.
        if name == "manifest" {
            let body = len - 8;
            let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..body]);
            bytes[body..].copy_from_slice(&checksum.to_le_bytes());
        } else if name.ends_with("wal") {
            let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..16]);
            bytes[16..24].copy_from_slice(&checksum.to_le_bytes());
        }
        vfs.create(&path).unwrap().append(&bytes).unwrap();
        let error = open_on(&vfs).unwrap_err().to_string();
        assert!(error.contains("format version is 99") && error.contains(name), "{error}");
    }
}

#[test]
fn a_lost_manifest_is_an_error_and_not_an_empty_store() {
    let vfs = Faulty::new(1);
    drop(open_on(&vfs).unwrap());
    vfs.remove(&dir().join("manifest")).unwrap();
    let error = open_on(&vfs).unwrap_err().to_string();
    assert!(error.contains("missing"), "{error}");
}

#[test]
fn a_full_head_refuses_until_it_is_flushed() {
    let mut small = settings();
    small.memory_bytes = 8 << 20;
    let vfs = Faulty::new(1);
    let store = open::open(Arc::new(vfs.clone()), dir(), small).unwrap();
    // Flushing fails for lack of space, so the head cannot give way.
    let _held = hold(&store.maintenance);
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    let body = Value::Str("x".repeat(200_000).into());
    let record = LogRecord { time_ns: 1, body, ..LogRecord::default() };
    batch.log(resource, scope, &Labels::from_pairs([("s", "1")]), &record);
    let mut accepted = 0;
    let refused = loop {
        match store.append(&batch) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Busy(_)), "{refused}");
    assert!((5..30).contains(&accepted), "{accepted}");
    drop(_held);
    store.flush().unwrap();
    store.append(&batch).unwrap();
}

#[test]
fn a_long_log_is_replayed_in_bounded_memory() {
    let vfs = Faulty::new(1);
    let store = open_on(&vfs).unwrap();
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    for i in 0..1000u64 {
        let body = Value::Str("line of a log ".repeat(8).into());
        let record = LogRecord { time_ns: i, body, ..LogRecord::default() };
        batch.log(resource, scope, &Labels::from_pairs([("s", "1")]), &record);
    }
    for _ in 0..20 {
        store.append(&batch).unwrap();
    }
    drop(store);
    let mut small = settings();
    small.memory_bytes = 8 << 20;
    let store = open::open(Arc::new(vfs), dir(), small).unwrap();
    let stats = store.stats();
    assert_eq!(stats.replayed, 20_000);
    assert_eq!(stats.logs.head_items + stats.logs.part_items, 20_000);
    assert!(stats.logs.parts > 1 && stats.logs.head_bytes < 2 << 20, "{stats:?}");
}

#[test]
fn many_threads_append_and_share_syncs() {
    let store = open_on(&Faulty::new(1)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..50 {
                    store.append(&numbered(thread * 100 + i)).unwrap();
                    if i % 20 == 7 {
                        store.flush().unwrap();
                    }
                }
            });
        }
    });
    let ids = (0..4u64).flat_map(|thread| (0..50).map(move |i| thread * 100 + i));
    model(ids).check(&store.snapshot()).unwrap();
    assert!(store.stats().wal_syncs <= 200);
}

#[test]
fn a_panic_in_maintenance_stops_writing_and_not_reading() {
    let store = open_on(&Faulty::new(1)).unwrap();
    store.append(&numbered(1)).unwrap();
    std::thread::scope(|scope| {
        let panicked = scope.spawn(|| {
            let _guard = store.poison.on_panic("maintenance");
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
    });
    assert!(matches!(store.append(&numbered(2)), Err(Error::Poisoned(_))));
    assert!(matches!(store.maintain(1), Err(Error::Poisoned(_))));
    model([1]).check(&store.snapshot()).unwrap();
}

#[test]
fn metadata_and_exemplars_survive_flush_merge_and_restart() {
    let vfs = Faulty::new(1);
    let mut store = open_on(&vfs).unwrap();
    let known = Metadata { kind: MetricKind::Counter, unit: "s".into(), help: "h".into() };
    for time_ms in 1..=3 {
        let mut batch = Batch::new();
        let resource = batch.resource(&Resource::default());
        let scope = batch.scope(&Scope::default());
        let series = batch.series(resource, scope, &Labels::from_pairs([("__name__", "m")]));
        let labels = Labels::from_pairs([("trace_id", "t")]);
        batch.exemplar(series, &Exemplar { time_ms, value: 1.0, labels });
        batch.metadata("m", &known);
        store.append(&batch).unwrap();
        store.flush().unwrap();
        store = {
            drop(store);
            open_on(&vfs).unwrap()
        };
    }
    store.merge().unwrap();
    let snapshot = store.snapshot();
    assert_eq!(snapshot.metadata(), [("m".to_owned(), known)]);
    let exemplars = snapshot.exemplars(&[], TimeRange::ALL, &Tally::unlimited()).unwrap();
    let times: Vec<i64> = exemplars[0].1.iter().map(|e| e.time_ms).collect();
    assert_eq!(times, [1, 2, 3]);
}

#[test]
fn two_processes_do_not_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), settings()).unwrap();
    let error = Store::open(dir.path(), settings()).unwrap_err();
    assert!(matches!(error, Error::Locked(_)), "{error}");
    store.append(&numbered(1)).unwrap();
    drop(store);
    let store = Store::open(dir.path(), settings()).unwrap();
    model([1]).check(&store.snapshot()).unwrap();
}

#[test]
fn long_texts_and_wide_histograms_are_flushed_and_come_back() {
    let store = open_on(&Faulty::new(1)).unwrap();
    let long = "y".repeat(300_000);
    for n in 0..12u64 {
        let mut batch = Batch::new();
        let resource = batch.resource(&Resource::default());
        let scope = batch.scope(&Scope::default());
        let labels = Labels::from_pairs([("__name__", "m"), ("n", &format!("{n}{long}"))]);
        let series = batch.series(resource, scope, &labels);
        let histogram = crate::model::Histogram {
            positive_buckets: vec![n as f64; 40_000],
            ..crate::model::Histogram::default()
        };
        for time_ms in 0..2 {
            let value = SampleValue::Histogram(Box::new(histogram.clone()));
            batch.sample(series, &Sample { time_ms, start_ms: 0, value });
        }
        let record = LogRecord {
            time_ns: n,
            severity_text: long.clone().into(),
            event_name: long.clone().into(),
            ..LogRecord::default()
        };
        batch.log(resource, scope, &Labels::from_pairs([("s", "1")]), &record);
        let span = Span {
            trace_id: [1; 16],
            span_id: [n as u8 + 1; 8],
            trace_state: long.clone().into(),
            ..Span::default()
        };
        batch.span(resource, scope, &span);
        batch.metadata(&format!("f{n}"), &Metadata { help: long.clone(), ..Metadata::default() });
        store.append(&batch).unwrap();
        store.flush().unwrap();
    }
    store.merge().unwrap();
    let snapshot = store.snapshot();
    let tally = Tally::unlimited();
    let mut samples = Samples::default();
    let all = snapshot.series(&[], TimeRange::ALL, &tally).unwrap();
    assert_eq!(all.len(), 12);
    snapshot.samples(&all[3], TimeRange::ALL, &mut samples, &tally).unwrap();
    assert_eq!(samples.histograms.len(), 2);
    assert_eq!(samples.histograms[1].positive_buckets.len(), 40_000);
    assert_eq!(snapshot.trace([1; 16], &tally).unwrap().len(), 12);
    assert!(snapshot.metadata().iter().all(|(_, known)| known.help.len() == 1024));
}

#[test]
fn a_batch_that_could_not_be_read_back_is_refused() {
    let store = open_on(&Faulty::new(1)).unwrap();
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    let body = Value::Str("x".repeat(BATCH_BYTES_MAX + 1).into());
    let record = LogRecord { time_ns: 1, body, ..LogRecord::default() };
    batch.log(resource, scope, &Labels::empty(), &record);
    assert!(matches!(store.append(&batch), Err(Error::LimitExceeded { .. })));
}

#[test]
fn every_snapshot_is_consistent_while_others_append_flush_and_merge() {
    let store = open_on(&Faulty::new(1)).unwrap();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..2u64 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                for i in 0..60 {
                    store.append(&numbered(thread * 1000 + i)).unwrap();
                }
                done.fetch_add(1, Relaxed);
            });
        }
        scope.spawn(|| {
            while done.load(Relaxed) < 2 {
                store.flush().unwrap();
                store.maintain(START_NS).unwrap();
            }
        });
        let mut seen = 0;
        while done.load(Relaxed) < 2 {
            let snapshot = store.snapshot();
            let first = find(&snapshot);
            let ids: BTreeSet<u64> = first.logs.keys().map(|(id, _)| *id).collect();
            assert!(ids.len() >= seen, "a later snapshot shows less");
            seen = ids.len();
            // Each batch is there whole and once, and the same snapshot answers the same.
            model(ids).check(&snapshot).unwrap();
        }
    });
    let ids = (0..2u64).flat_map(|thread| (0..60).map(move |i| thread * 1000 + i));
    model(ids).check(&store.snapshot()).unwrap();
}

#[test]
fn a_nearly_full_disk_refuses_writes_keeps_reading_and_resumes_by_itself() {
    let vfs = Faulty::new(1);
    let store = Settings { disk_reserve_bytes: 100_000, ..settings() };
    let store = open::open(Arc::new(vfs.clone()), dir(), store).unwrap();
    vfs.limit(110_000);
    store.measure_disk();
    let mut accepted = BTreeSet::new();
    let refused = loop {
        let id = accepted.len() as u64 + 1;
        match store.append(&numbered(id)) {
            Ok(()) => accepted.insert(id),
            Err(error) => break error,
        };
    };
    assert!(matches!(refused, Error::DiskFull(_)), "{refused}");
    assert!((3..30).contains(&accepted.len()), "{}", accepted.len());
    assert!(store.stats().disk_full.is_some_and(|why| why.contains("--disk-reserve")));
    model(accepted.clone()).check(&store.snapshot()).unwrap();
    // The reserve is there so that the head can become parts.
    store.flush().unwrap();
    store.maintain(START_NS).unwrap();
    vfs.heal();
    store.maintain(START_NS).unwrap();
    assert_eq!(store.stats().disk_full, None);
    store.append(&numbered(1000)).unwrap();
    accepted.insert(1000);
    model(accepted).check(&store.snapshot()).unwrap();
}

#[test]
fn a_store_on_a_full_disk_opens_answers_and_resumes() {
    let vfs = Faulty::new(1);
    let mut small = settings();
    (small.memory_bytes, small.disk_reserve_bytes) = (8 << 20, 0);
    let store = open::open(Arc::new(vfs.clone()), dir(), small.clone()).unwrap();
    // More than the head may have before it is flushed.
    let mut batch = numbered(1);
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    let body = Value::Str(format!("1 0 {}", "x".repeat(300_000)).into());
    let record = LogRecord { time_ns: 1, body, ..LogRecord::default() };
    batch.log(resource, scope, &Labels::from_pairs([("s", "2")]), &record);
    for _ in 0..3 {
        store.append(&batch).unwrap();
    }
    drop(store);
    let vfs = vfs.after_kill();
    vfs.limit(0);
    let store = open::open(Arc::new(vfs.clone()), dir(), small).unwrap();
    assert_eq!(store.stats().replayed, 3 * 7);
    assert!(matches!(store.append(&numbered(2)), Err(Error::DiskFull(_))));
    assert_eq!(find(&store.snapshot()).samples.len(), 2);
    vfs.heal();
    store.maintain(START_NS).unwrap();
    store.append(&numbered(3)).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = open_on(&vfs.after_power_loss()).unwrap();
    assert_eq!(find(&store.snapshot()).samples.len(), 4);
}

#[test]
fn a_disk_full_to_the_last_byte_costs_nothing_but_time() {
    let vfs = Faulty::new(1);
    let store = Settings { disk_reserve_bytes: 0, ..settings() };
    let store = open::open(Arc::new(vfs.clone()), dir(), store).unwrap();
    let mut next = 1;
    let mut accepted = BTreeSet::new();
    // Each room ends a flush somewhere else: in a part, in the log, in the manifest.
    for room in (0..6000).step_by(97) {
        store.append(&numbered(next)).unwrap();
        accepted.insert(next);
        next += 1;
        vfs.limit(room);
        for _ in 0..3 {
            let _ = store.maintain(START_NS);
            let _ = store.flush();
            if store.append(&numbered(next)).is_ok() {
                accepted.insert(next);
            }
            next += 1;
        }
        assert_eq!(store.stats().poisoned, None, "room for {room} bytes");
        vfs.heal();
        store.maintain(START_NS).unwrap();
    }
    store.flush().unwrap();
    model(accepted.clone()).check(&store.snapshot()).unwrap();
    let named = store.stats();
    let named = named.metrics.parts + named.logs.parts + named.traces.parts;
    let files =
        vfs.files().iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "part")).count();
    assert_eq!(files as u64, named, "failed flushes leave nothing behind");
    drop(store);
    model(accepted).check(&open_on(&vfs.after_power_loss()).unwrap().snapshot()).unwrap();
}

#[test]
fn the_head_stays_small_by_whoever_looks_or_by_the_appends_themselves() {
    let settings = Settings { memory_bytes: 8 << 20, ..settings() };
    let limit = 8 << 20 >> 4;
    let store = open::open(Arc::new(Faulty::new(1)), dir(), settings).unwrap();
    let mut id = 0;
    let mut append = || {
        id += 1;
        store.append(&numbered(id)).unwrap();
        store.counters.head_weight.load(Relaxed)
    };
    while append() < limit {
        assert!(!store.flush_if_large().unwrap(), "nothing to do yet");
    }
    assert!(store.flush_if_large().unwrap());
    assert_eq!(store.counters.head_weight.load(Relaxed), 0);
    let largest = (0..10_000).map(|_| append()).max().unwrap();
    assert!((limit..3 * limit).contains(&largest), "{largest} bytes, {limit} are enough");
}
