//! Segments of the log that are damaged, or that were never finished.

use super::*;

fn damage_of(stats: &Stats) -> u64 {
    stats.damaged_blocks + stats.quarantined_files
}

/// Wherever the power goes while a damaged segment is set aside, the next start knows.
#[test]
fn damage_of_the_log_is_known_after_a_power_cut_at_any_operation() {
    let prepare = |seed| {
        let vfs = Faulty::new(seed);
        let store = open_on(&vfs).unwrap();
        store.append(&numbered(1)).unwrap();
        store.append(&numbered(2)).unwrap();
        drop(store);
        vfs.flip(&dir().join("wal/0000000000000001.wal"), 60);
        vfs
    };
    let work = |vfs: &Faulty| {
        let store = open_on(vfs)?;
        assert!(damage_of(&store.stats()) > 0);
        store.append(&numbered(3))?;
        store.flush()?;
        store.close()
    };
    let whole = prepare(1);
    let before = whole.operations();
    work(&whole).unwrap();
    let operations = whole.operations() - before;
    // What survives of names that were not synced is a matter of chance.
    for (seed, at) in (1..20).flat_map(|seed| (1..=operations).map(move |at| (seed, at))) {
        let vfs = prepare(seed);
        vfs.fail_at(at, Fault::Crash);
        let _ = work(&vfs);
        let store = open_on(&vfs.after_power_loss()).unwrap();
        let damage = damage_of(&store.stats());
        assert!(damage > 0, "seed {seed}, power cut at {at} of {operations}: damage forgotten");
    }
}

/// A disk that fails twice keeps a segment that could not be begun and not be removed.
/// Later appends went to the one before it, so nothing is missing.
#[test]
fn a_segment_that_was_never_begun_is_no_damage() {
    let mut left_behind = 0;
    for at in 1..30 {
        let mut vfs = Faulty::new(at);
        let store = open_on(&vfs).unwrap();
        store.append(&numbered(1)).unwrap();
        vfs.fail_at(at, Fault::Io);
        vfs.fail_at(at + 1, Fault::Io);
        let _ = store.flush();
        vfs.heal();
        let Ok(()) = store.append(&numbered(2)) else { continue };
        left_behind += u32::from(vfs.list(&dir().join("wal")).unwrap().len() > 1);
        drop(store);
        for start in 1..4 {
            vfs = vfs.after_kill();
            let store = open_on(&vfs).unwrap();
            assert_eq!(damage_of(&store.stats()), 0, "failed at {at}, start {start}");
            let model = Model { acknowledged: [1, 2].into(), ..Model::default() };
            model.check(&store.snapshot()).unwrap();
        }
    }
    assert!(left_behind > 0, "no failure leaves a segment behind: nothing is shown");
}

/// Only the start that cuts a record off knows of it: when it fails later, its error says so.
#[test]
fn a_start_that_fails_after_it_has_cut_the_log_says_so() {
    let (mut failed, mut told) = (0, 0);
    for at in 1..40 {
        let vfs = Faulty::new(at);
        let store = open_on(&vfs).unwrap();
        store.append(&numbered(1)).unwrap();
        drop(store);
        vfs.flip(&dir().join("wal/0000000000000001.wal"), 60);
        vfs.fail_at(at, Fault::Io);
        let first = open_on(&vfs);
        failed += u32::from(first.is_err());
        let mut says = match &first {
            Ok(store) => store.stats().wal_cut_bytes > 0,
            Err(error) => {
                assert!(matches!(error.cause(), Error::Io { .. }), "{error}");
                matches!(error, Error::AfterCut { bytes, .. } if *bytes > 0)
            }
        };
        told += u32::from(says && first.is_err());
        drop(first);
        vfs.heal();
        let vfs = vfs.after_kill();
        let store = open_on(&vfs).unwrap();
        says |= store.stats().wal_cut_bytes > 0;
        assert!(says, "failed at {at}: a record is gone, and nobody has said so");
    }
    assert!(failed > told && told > 0, "{failed} starts failed, {told} after the cut");
}
