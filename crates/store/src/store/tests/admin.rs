//! Backup and restore, verifying, quarantine, and who fills the disk.

use super::*;

fn model(ids: impl IntoIterator<Item = u64>) -> Model {
    Model { acknowledged: ids.into_iter().collect(), ..Model::default() }
}

#[test]
fn a_backup_holds_what_was_acknowledged_and_does_not_change_any_more() {
    let root = tempfile::tempdir().unwrap();
    let [data, backup, restored] = ["data", "backup", "restored"].map(|n| root.path().join(n));
    let store = Store::open(&data, settings()).unwrap();
    for id in 1..=10 {
        store.append(&numbered(id)).unwrap();
        if id % 4 == 0 {
            store.flush().unwrap();
        }
    }
    let copied = store.backup(&backup).unwrap();
    assert_eq!(copied.files, store.stats().logs.parts * 3);
    let again = store.backup(&backup).unwrap_err().to_string();
    assert!(again.contains("not empty"), "{again}");
    for id in 11..=20 {
        store.append(&numbered(id)).unwrap();
    }
    store.merge().unwrap();
    store.close().unwrap();
    // Later the original is lost.
    std::fs::remove_dir_all(&data).unwrap();
    assert_eq!(restore(&backup, &restored).unwrap(), copied);
    assert!(restore(&backup, &restored).unwrap_err().to_string().contains("not empty"));
    for place in [&restored, &backup] {
        let store = Store::open(place, settings()).unwrap();
        model(1..=10).check(&store.snapshot()).unwrap();
        assert_eq!(store.verify().unwrap().damaged, [""; 0]);
        store.append(&numbered(50)).unwrap();
        store.merge().unwrap();
        model((1..=10).chain([50])).check(&store.snapshot()).unwrap();
    }
    let live = restore(&restored, &root.path().join("x")).unwrap_err().to_string();
    assert!(live.contains("in use"), "{live}");
    let none = restore(root.path(), &root.path().join("y")).unwrap_err().to_string();
    assert!(none.contains("no complete backup"), "{none}");
}

#[test]
fn a_backup_that_a_crash_interrupts_is_no_backup() {
    let backup = Path::new("backup");
    for at in 1.. {
        let vfs = Faulty::new(at);
        let store = open_on(&vfs).unwrap();
        store.append(&numbered(1)).unwrap();
        vfs.fail_at(at, Fault::Crash);
        let done = store.backup(backup).is_ok();
        drop(store);
        let after = vfs.after_power_loss();
        if let Some(manifest) = Manifest::load(&after, backup).unwrap() {
            assert_eq!(manifest.parts.len(), 6, "crash at {at}");
            let store = open::open(Arc::new(after.clone()), backup, settings()).unwrap();
            model([1]).check(&store.snapshot()).unwrap();
        }
        let store = open_on(&after).unwrap();
        model([1]).check(&store.snapshot()).unwrap();
        if done {
            return;
        }
    }
}

/// Any bit of any durable file: verifying finds it, and a quarantine leaves a store that
/// is whole again, with the rest of the rows.
#[test]
fn verify_finds_any_flipped_bit_and_quarantine_leaves_the_rest_readable() {
    let whole = Faulty::new(1);
    {
        let store = open_on(&whole).unwrap();
        for id in 1..=6 {
            store.append(&numbered(id)).unwrap();
            if id % 3 == 0 {
                store.flush().unwrap();
            }
        }
        let report = store.verify().unwrap();
        assert_eq!(report.damaged, [""; 0]);
        // The manifest, six or twelve parts, and the log.
        assert!(report.files >= 8 && report.blocks >= 18 && report.bytes > 1000, "{report:?}");
    }
    let files = whole.files();
    let parts: Vec<_> =
        files.iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "part")).collect();
    assert!(parts.len() >= 6);
    let mut lost = 0;
    for (path, len) in parts {
        for at in (0..*len).step_by(7) {
            let vfs = whole.after_kill();
            let store = open_on(&vfs).unwrap();
            vfs.flip(path, at);
            let report = store.verify().unwrap();
            assert_eq!(report.damaged.len(), 1, "byte {at} of {}: {report:?}", path.display());
            let named = path.file_name().unwrap().to_str().unwrap();
            assert!(report.damaged[0].contains(named), "{report:?}");
            let moved = store.quarantine().unwrap();
            // The store has read the footer when it was opened: only a restart misses it.
            let at_start = moved == 0;
            if at_start {
                drop(store);
                match open_on(&vfs.after_kill()) {
                    // The version of the format is beyond us.
                    Err(Error::Corrupt { .. }) => assert_eq!(at, 7),
                    Err(error) => panic!("{error}"),
                    Ok(store) => {
                        assert_eq!(store.quarantine().unwrap(), 1, "byte {at}");
                        assert_eq!(store.verify().unwrap().damaged, [""; 0]);
                        assert_eq!(store.stats().quarantined_files, 1);
                        lost += 1;
                    }
                }
                continue;
            }
            let report = store.verify().unwrap();
            assert_eq!((report.damaged, report.quarantined.len()), (Vec::new(), 1));
            let found = find(&store.snapshot());
            let rows = found.samples.len() + found.logs.len() + found.spans.len();
            // The index of traces holds no rows.
            assert!((24..=36).contains(&rows), "{rows}");
            store.merge().unwrap();
            drop(store);
            let store = open_on(&vfs.after_power_loss()).unwrap();
            assert_eq!(store.verify().unwrap().damaged, [""; 0]);
            assert_eq!(store.stats().quarantined_files, 1);
            lost += 1;
        }
    }
    assert!(lost > 100, "{lost}");
}

#[test]
fn usage_shares_out_all_bytes() {
    let store = open_on(&Faulty::new(1)).unwrap();
    for id in 1..=20 {
        store.append(&numbered(id)).unwrap();
    }
    store.flush().unwrap();
    let (usage, stats) = (store.usage().unwrap(), store.stats());
    let sum = |shares: &[(String, crate::Share)]| -> u64 { shares.iter().map(|s| s.1.bytes).sum() };
    let near = |a: u64, b: u64| assert!(a <= b && a + 20 >= b, "{a} of {b}");
    near(sum(&usage.samples_by_service), stats.metrics.part_bytes);
    near(sum(&usage.samples_by_metric), stats.metrics.part_bytes);
    near(sum(&usage.logs_by_service), stats.logs.part_bytes);
    near(sum(&usage.spans_by_service), stats.traces.part_bytes);
    assert_eq!(usage.spans_by_service[0].0, "sim");
    assert_eq!(usage.spans_by_service[0].1.items, 40);
    assert_eq!(usage.samples_by_metric[0].0, "m");
}
