//! Crashes and failures at every operation of a script.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Append,
    Flush,
    Merge,
    Maintain,
    Restart,
}

fn script(seed: u64) -> Vec<Step> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut steps = vec![Step::Append];
    for _ in 0..14 {
        steps.push(match random(&mut state) % 10 {
            0..=4 => Step::Append,
            5 | 6 => Step::Flush,
            7 => Step::Merge,
            8 => Step::Maintain,
            _ => Step::Restart,
        });
    }
    steps
}

/// A run of a script, as far as it went.
struct Run {
    vfs: Faulty,
    model: Model,
    store: Option<Store>,
    next_id: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        Run { vfs: Faulty::new(seed), model: Model::default(), store: None, next_id: 1 }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            if self.vfs.crashed() {
                return;
            }
            self.step(*step);
        }
    }

    fn step(&mut self, step: Step) {
        if step == Step::Restart {
            self.store = None;
        }
        // An open that fails leaves nothing behind that keeps the next from succeeding.
        if self.store.is_none() {
            self.store = open_on(&self.vfs).ok();
        }
        let Some(store) = &self.store else { return };
        match step {
            Step::Append => {
                let id = self.next_id;
                self.next_id += 1;
                match store.append(&numbered(id)) {
                    Ok(()) => drop(self.model.acknowledged.insert(id)),
                    Err(Error::Poisoned(_)) => drop(self.model.uncertain.insert(id)),
                    Err(_) if self.vfs.crashed() => drop(self.model.uncertain.insert(id)),
                    Err(Error::Io { .. } | Error::DiskFull(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            // What they answer does not matter, only that nothing is lost or doubled.
            Step::Flush => drop(store.flush()),
            Step::Merge => drop(store.merge()),
            Step::Maintain => drop(store.maintain(START_NS + DAY_NS)),
            Step::Restart => {}
        }
    }

    /// The next process finds what it must, can go on, and so can the one after it.
    fn check_after(&mut self, vfs: Faulty, crash_again_at: u64) -> std::result::Result<(), String> {
        self.store = None;
        vfs.fail_at(crash_again_at, Fault::Crash);
        let mut vfs = vfs;
        if open_on(&vfs).is_err() {
            vfs = vfs.after_power_loss();
        } else {
            vfs = vfs.after_kill();
        }
        let store = open_on(&vfs).map_err(|e| format!("does not open: {e}"))?;
        if store.stats().damaged_blocks > 0 {
            return Err("a crash was taken for damage".to_owned());
        }
        self.model.check(&store.snapshot())?;
        // What is uncertain has been decided now.
        let mut model = self.model.clone();
        let here = find(&store.snapshot());
        model.uncertain.retain(|id| here.logs.contains_key(&(*id, 0)));
        model.acknowledged.append(&mut model.uncertain);
        let id = 1_000_000;
        store.append(&numbered(id)).map_err(|e| format!("does not go on: {e}"))?;
        model.acknowledged.insert(id);
        store.flush().map_err(|e| format!("does not flush: {e}"))?;
        store.merge().map_err(|e| format!("does not merge: {e}"))?;
        model.check(&store.snapshot())?;
        drop(store);
        let store = open_on(&vfs.after_power_loss()).map_err(|e| format!("third: {e}"))?;
        model.check(&store.snapshot())
    }
}

/// Operations the script does when nothing fails.
fn operations(seed: u64) -> u64 {
    let mut run = Run::new(seed);
    run.steps(&script(seed));
    let operations = run.vfs.operations();
    let store = run.store.take().unwrap();
    run.model.check(&store.snapshot()).unwrap();
    assert!(run.model.uncertain.is_empty());
    operations
}

#[test]
fn a_crash_at_any_operation_loses_and_doubles_nothing() {
    for seed in seeds(1..3) {
        let operations = operations(seed);
        assert!(operations > 50, "seed {seed} does {operations} operations only");
        for at in 1..=operations {
            let mut run = Run::new(seed);
            run.vfs.fail_at(at, Fault::Crash);
            run.steps(&script(seed));
            assert!(run.vfs.crashed(), "seed {seed} at {at}");
            let after = run.vfs.after_power_loss();
            let again = at % 40 + 1;
            if let Err(why) = run.check_after(after, again) {
                panic!("TREFOIL_SEED={seed}, crash at operation {at}, again at {again}: {why}");
            }
        }
    }
}

#[test]
fn a_kill_at_any_operation_loses_and_doubles_nothing() {
    for seed in seeds(1..3) {
        for at in 1..=operations(seed) {
            let mut run = Run::new(seed);
            run.vfs.fail_at(at, Fault::Crash);
            run.steps(&script(seed));
            let after = run.vfs.after_kill();
            if let Err(why) = run.check_after(after, at % 40 + 1) {
                panic!("TREFOIL_SEED={seed}, kill at operation {at}: {why}");
            }
        }
    }
}

#[test]
fn failing_operations_refuse_whole_batches_and_lose_nothing() {
    for seed in seeds(1..3) {
        for fault in [Fault::NoSpace, Fault::Io, Fault::FailedSync] {
            for at in 1..=operations(seed) {
                let mut run = Run::new(seed);
                run.vfs.fail_at(at, fault);
                run.steps(&script(seed));
                run.vfs.fail_at(u64::MAX / 2, fault);
                let failed = |why| panic!("TREFOIL_SEED={seed}, {fault:?} at {at}: {why}");
                if let Some(store) = &run.store {
                    // The running process shows what it acknowledged and no more.
                    let certain = Model { uncertain: BTreeSet::new(), ..run.model.clone() };
                    if !run.vfs.crashed()
                        && run.model.uncertain.is_empty()
                        && let Err(why) = certain.check(&store.snapshot())
                    {
                        failed(why);
                    }
                }
                let after = run.vfs.after_power_loss();
                if let Err(why) = run.check_after(after, at % 40 + 1) {
                    failed(why);
                }
            }
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_reading_goes_on() {
    let vfs = Faulty::new(5);
    let store = open_on(&vfs).unwrap();
    store.append(&numbered(1)).unwrap();
    vfs.fail_at(2, Fault::FailedSync);
    assert!(matches!(store.append(&numbered(2)), Err(Error::Poisoned(_))));
    assert!(matches!(store.append(&numbered(3)), Err(Error::Poisoned(_))));
    assert!(matches!(store.flush(), Err(Error::Poisoned(_))));
    assert!(store.stats().poisoned.is_some());
    let model = Model { acknowledged: [1].into(), ..Model::default() };
    model.check(&store.snapshot()).unwrap();
}

/// Controls: the checks above notice what they are for.
mod controls {
    use super::*;

    #[test]
    fn a_disk_that_only_says_it_synced_is_noticed() {
        let seed = 2;
        let noticed = (20..operations(seed)).filter(|&at| {
            let mut run = Run::new(seed);
            run.vfs.lie();
            run.vfs.fail_at(at, Fault::Crash);
            run.steps(&script(seed));
            let after = run.vfs.after_power_loss();
            run.check_after(after, u64::MAX / 2).is_err()
        });
        assert!(noticed.count() > 10);
    }

    #[test]
    fn replaying_what_parts_hold_is_noticed() {
        let seed = 3;
        let mut noticed = 0;
        for at in 20..operations(seed) {
            let mut run = Run::new(seed);
            run.vfs.fail_at(at, Fault::Crash);
            run.steps(&script(seed));
            let after = run.vfs.after_kill();
            // The mistake: to forget up to where the parts go.
            let Ok(Some(mut manifest)) = Manifest::load(&after, dir()) else { continue };
            manifest.flushed = 0;
            manifest.save(&after, dir()).unwrap();
            noticed += u32::from(run.check_after(after, u64::MAX / 2).is_err());
        }
        assert!(noticed > 0);
    }

    #[test]
    fn a_lost_record_is_noticed() {
        let vfs = Faulty::new(9);
        let store = open_on(&vfs).unwrap();
        store.append(&numbered(1)).unwrap();
        store.append(&numbered(2)).unwrap();
        drop(store);
        let (path, len) =
            vfs.files().into_iter().find(|(p, _)| p.ends_with("0000000000000001.wal")).unwrap();
        vfs.cut(&path, len as u64 - 1).unwrap();
        let store = open_on(&vfs).unwrap();
        let model = Model { acknowledged: [1, 2].into(), ..Model::default() };
        assert!(model.check(&store.snapshot()).unwrap_err().contains("lost"));
    }
}
