//! The whole store by seed: its clock, its disk and everything that can go wrong with them.
//!
//! A seed decides which batches come when, what time it is, when maintenance runs, and
//! which operation of the disk fails how: power cuts with torn and reordered writes, full
//! disks, errors, failed syncs, bits that rot. After every step the store is compared with
//! a model of what it promised. `TREFOIL_SEED=n cargo test -p trefoil-store simulation`
//! runs one seed and tells its story, `TREFOIL_SEEDS=from..to` runs many.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::Deletion;
use crate::part::Signal;
use crate::vfs::faulty::Mistake;

mod model;

use model::{Fate, FindError, Found, Handles, Model, Row, batch_of, find, time_of};

const STEPS: u32 = 30;
/// What the test command runs; development has run far more.
const SEEDS: Range<u64> = 1..4001;
/// No more seeds are begun after this time, unless the environment asks for them.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

struct Sim {
    random: u64,
    now_ns: i64,
    settings: Settings,
    vfs: Faulty,
    store: Option<Store>,
    model: Model,
    next_id: u64,
    handles: Handles,
    /// A snapshot and what it showed when it was taken.
    held: Option<(Snapshot, Found)>,
    story: Vec<String>,
    /// The end of the log was cut off after a bit had flipped.
    cut: bool,
    /// A damaged file keeps the store closed, with an error that says so.
    over: bool,
}

type Step<T = ()> = std::result::Result<T, String>;

impl Sim {
    fn new(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut random_state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut days = || match random(&mut random_state) % 3 {
            0 => None,
            n => Some(std::time::Duration::from_secs(n * 2 * 86_400)),
        };
        let retention = Retention { metrics: days(), logs: days(), traces: days() };
        let disk_reserve_bytes = [0, 1000, 64 << 20][seed as usize % 3];
        let memory_bytes = 8 << 20;
        let settings =
            Settings { retention, memory_bytes, disk_reserve_bytes, ..Settings::default() };
        Sim {
            random: random_state,
            now_ns: START_NS + DAY_NS / 2,
            settings,
            vfs: Faulty::mistaken(seed, mistake),
            store: None,
            model: Model::new(),
            next_id: 1,
            handles: Handles::new(),
            held: None,
            story: Vec::new(),
            cut: false,
            over: false,
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        (random(&mut self.random) >> 11) % limit
    }

    fn tell(&mut self, event: impl Into<String>) {
        self.story.push(format!("op {}: {}", self.vfs.operations(), event.into()));
    }

    fn run(&mut self) -> Step {
        self.open()?;
        for _ in 0..STEPS {
            if self.over {
                return Ok(());
            }
            self.step()?;
            self.recover()?;
            if self.below(2) == 0 {
                self.check()?;
            }
        }
        self.end()
    }

    fn step(&mut self) -> Step {
        match self.below(21) {
            0..=6 => self.append(),
            7 | 8 => self.maintain(),
            9 => self.flush(),
            10 => self.merge(),
            11 => self.clock(),
            12 => self.hold_snapshot(),
            13 => self.close()?,
            14 => self.kill()?,
            15 => self.power_cut()?,
            16 if self.below(4) == 0 => self.rot(),
            17 => self.delete(),
            _ => self.arm(),
        }
        Ok(())
    }

    fn append(&mut self) {
        let mut ids = Vec::new();
        for _ in 0..1 + self.below(3) {
            let id = self.next_id;
            self.next_id += 1;
            let rows: Vec<Row> = (0..1 + self.below(6))
                .map(|n| {
                    let signal = Signal::ALL[self.below(3) as usize];
                    let time_ns = time_of(self.now_ns, id, n, random(&mut self.random));
                    Row { signal, id, n, time_ns }
                })
                .collect();
            self.model.batches.insert(id, (Fate::Refused, rows));
            ids.push(id);
        }
        let Some(store) = &self.store else { return };
        let rows = |id: &u64| self.model.batches.get(id).map_or(&[][..], |(_, rows)| rows);
        let handles = &mut self.handles;
        let batches: Vec<Batch> =
            ids.iter().map(|id| batch_of(*id, rows(id), store, handles)).collect();
        let poisoned = store.stats().poisoned.is_some();
        let answers = match &batches[..] {
            [one] => vec![store.append(one)],
            group => store.commit_group(group),
        };
        for (id, answer) in ids.iter().zip(&answers) {
            let fate = match answer {
                Ok(()) => Fate::Acknowledged,
                Err(_) if poisoned => Fate::Refused,
                Err(Error::Poisoned(_)) => Fate::Uncertain,
                Err(_) if self.vfs.crashed() => Fate::Uncertain,
                Err(_) => Fate::Refused,
            };
            self.model.may_complain |= fate == Fate::Uncertain && ids.len() > 1;
            if let Some(batch) = self.model.batches.get_mut(id) {
                batch.0 = fate;
            }
        }
        self.tell(format!("append {ids:?}: {answers:?}"));
    }

    fn maintain(&mut self) {
        let Some(store) = &self.store else { return };
        let done = store.maintain(self.now_ns);
        let kept = self.settings.retention;
        for (at, kept) in [kept.metrics, kept.logs, kept.traces].into_iter().enumerate() {
            let Some(kept) = kept else { continue };
            let cutoff = self.now_ns - kept.as_nanos() as i64;
            let Model { may_expire_ns, expired_ns, .. } = &mut self.model;
            may_expire_ns[at] = may_expire_ns[at].max(cutoff);
            // After an error it is not known how far maintenance came.
            expired_ns[at] = if done.is_ok() { cutoff } else { expired_ns[at].min(cutoff) };
        }
        self.tell(format!("maintain at {}: {done:?}", self.now_ns));
    }

    fn flush(&mut self) {
        let done = self.store.as_ref().map(Store::flush);
        self.tell(format!("flush: {done:?}"));
    }

    fn merge(&mut self) {
        let done = self.store.as_ref().map(Store::merge);
        self.tell(format!("merge: {done:?}"));
    }

    fn delete(&mut self) {
        let start_ns = self.now_ns.div_euclid(DAY_NS) * DAY_NS;
        let range = match self.below(2) {
            0 => TimeRange { start_ns, end_ns: start_ns + DAY_NS - 1 },
            _ => TimeRange { start_ns: START_NS, end_ns: i64::MAX },
        };
        if range.contains(START_NS - DAY_NS) {
            return;
        }
        let service = ["odd", "even"][self.below(2) as usize].to_owned();
        let [metrics, logs, traces] = [(); 3].map(|()| self.below(3) > 0);
        let attribute = (self.below(4) > 0).then(|| ("service.name".to_owned(), service));
        let deletion = Deletion { metrics, logs, traces, attribute, range };
        let Some(store) = &self.store else { return };
        let done = store.delete(&deletion);
        self.model.delete(&deletion, done.is_ok());
        self.tell(format!("delete {deletion:?}: {done:?}"));
    }

    /// Mostly the clock goes on; sometimes it jumps, also back.
    fn clock(&mut self) {
        let hours = match self.below(8) {
            0 => -(self.below(72) as i64),
            1 => self.below(200) as i64,
            _ => self.below(14) as i64,
        };
        self.now_ns += hours * 3_600_000_000_000 + self.below(3_600_000_000_000) as i64;
        self.tell(format!("the clock says {}", self.now_ns));
    }

    fn hold_snapshot(&mut self) {
        let Some(store) = &self.store else { return };
        let snapshot = store.snapshot();
        if let Ok(found) = find(&snapshot) {
            self.held = Some((snapshot, found));
        }
    }

    /// Lets something go wrong soon.
    fn arm(&mut self) {
        let fault = match self.below(5) {
            0 | 1 => Fault::Crash,
            2 => Fault::NoSpace,
            3 => Fault::FailedSync,
            _ => Fault::Io,
        };
        if self.below(6) == 0 {
            let room = self.below(3000);
            self.vfs.limit(room);
            return self.tell(format!("room for {room} bytes more"));
        }
        let after = 1 + self.below(60);
        self.vfs.fail_at(after, fault);
        self.tell(format!("{fault:?} in {after}"));
    }

    fn rot(&mut self) {
        let which = random(&mut self.random);
        let path = self.vfs.rot(which);
        self.model.rotten |= path.is_some();
        self.tell(format!("a bit of {path:?} flips"));
    }

    fn close(&mut self) -> Step {
        let closed = self.store.take().map(Store::close);
        self.tell(format!("close: {closed:?}"));
        self.leave();
        if self.vfs.crashed() { Ok(()) } else { self.open() }
    }

    /// The process dies, the machine does not.
    fn kill(&mut self) -> Step {
        self.leave();
        self.vfs = self.vfs.after_kill();
        self.tell("killed");
        self.open()
    }

    fn power_cut(&mut self) -> Step {
        self.leave();
        self.vfs = self.vfs.after_power_loss();
        self.tell("power cut");
        self.open()
    }

    fn leave(&mut self) {
        let doubt = self.store.as_ref().is_some_and(|store| store.stats().poisoned.is_some());
        self.model.may_complain |= doubt;
        self.store = None;
        self.held = None;
        // The clock is not asked before the first maintenance.
        self.model.expired_ns = [i64::MIN; 3];
    }

    fn open(&mut self) -> Step {
        // Twice as it is, with what may go wrong; then the disk works again.
        for attempt in 0..4 {
            if self.vfs.crashed() {
                self.vfs = self.vfs.after_power_loss();
                self.tell("power cut");
            }
            if attempt == 2 {
                self.vfs.heal();
            }
            match open::open(Arc::new(self.vfs.clone()), dir(), self.settings.clone()) {
                Ok(store) => {
                    let stats = store.stats();
                    // What was cut off is said once, by the start that did it, also when it fails.
                    self.cut |= self.model.rotten && stats.wal_cut_bytes > 0;
                    self.tell(format!("open: {} replayed", stats.replayed));
                    self.store = Some(store);
                    return self.decide();
                }
                Err(Error::Corrupt { path, why }) if self.model.rotten => {
                    self.tell(format!("{}: {why}", path.display()));
                    self.over = true;
                    return Ok(());
                }
                Err(error) if attempt < 3 => {
                    self.cut |= self.model.rotten && matches!(error, Error::AfterCut { .. });
                    self.tell(format!("does not open: {error}"));
                }
                Err(error) => return Err(format!("does not open: {error}")),
            }
        }
        Ok(())
    }

    /// What is there after a start stays there.
    fn decide(&mut self) -> Step {
        if let Some(found) = self.look()? {
            self.model.settle(&found);
        }
        Ok(())
    }

    /// After a crash or a poisoning somebody starts the store again, sooner or later.
    fn recover(&mut self) -> Step {
        if self.vfs.crashed() {
            return self.power_cut();
        }
        let Some(store) = &self.store else { return if self.over { Ok(()) } else { self.open() } };
        if store.stats().poisoned.is_some() && self.below(2) == 0 {
            return if self.below(2) == 0 { self.kill() } else { self.power_cut() };
        }
        Ok(())
    }

    /// Everything a snapshot shows; `None` if the disk failed meanwhile.
    fn look(&mut self) -> Step<Option<Found>> {
        let Some(store) = &self.store else { return Ok(None) };
        let fired = self.vfs.fired();
        match find(&store.snapshot()) {
            Ok(found) => Ok(Some(found)),
            Err(FindError::Refused(Error::Io { .. }))
                if self.vfs.fired() > fired || self.vfs.crashed() =>
            {
                Ok(None)
            }
            Err(error) => Err(format!("cannot be read: {error}")),
        }
    }

    fn check(&mut self) -> Step {
        let Some(found) = self.look()? else { return Ok(()) };
        let Some(store) = &self.store else { return Ok(()) };
        let stats = store.stats();
        let complains = stats.damaged_blocks + stats.quarantined_files > 0;
        self.model.check(&found, complains, self.cut)?;
        if let Some((snapshot, before)) = &self.held
            && let Ok(now) = find(snapshot)
            && now != *before
            && !self.model.rotten
        {
            return Err("a snapshot has changed".to_owned());
        }
        Ok(())
    }

    /// In the end the disk works: the store goes on and keeps everything once more.
    fn end(&mut self) -> Step {
        self.vfs.heal();
        if self.vfs.crashed() {
            self.power_cut()?;
        } else {
            self.kill()?;
        }
        self.check()?;
        if self.over {
            return Ok(());
        }
        self.append();
        let Some((&last, _)) = self.model.batches.last_key_value() else { return Ok(()) };
        if self.model.batches[&last].0 != Fate::Acknowledged {
            return Err("does not go on".to_owned());
        }
        let Some(store) = &self.store else { return Ok(()) };
        store.flush().map_err(|e| format!("does not flush: {e}"))?;
        store.merge().map_err(|e| format!("does not merge: {e}"))?;
        self.check()?;
        self.power_cut()?;
        self.check()
    }
}

fn run(seed: u64, mistake: Option<Mistake>) -> (Sim, Step) {
    let mut sim = Sim::new(seed, mistake);
    let done = sim.run();
    (sim, done)
}

#[test]
fn simulation_of_everything_that_can_go_wrong() {
    let seeds = seeds(SEEDS);
    let started = std::time::Instant::now();
    let over_time = || seeds == SEEDS && started.elapsed() > PATIENCE;
    let one = seeds.end - seeds.start == 1;
    let next = AtomicU64::new(seeds.start);
    let [done_seeds, over, rotten] = [(); 3].map(|()| AtomicU64::new(0));
    let failed = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end || !hold(&failed).is_empty() || over_time() {
                return;
            }
            let (sim, done) = run(seed, None);
            done_seeds.fetch_add(1, Relaxed);
            over.fetch_add(u64::from(sim.over), Relaxed);
            rotten.fetch_add(u64::from(sim.model.rotten), Relaxed);
            if one {
                eprintln!("{}", sim.story.join("\n"));
            }
            if let Err(why) = done {
                hold(&failed).insert(seed, (why, sim.story));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    if let Some((seed, (why, story))) = hold(&failed).first_key_value() {
        let command = "cargo test -p trefoil-store simulation_of";
        panic!("{}\n{why}\nagain: TREFOIL_SEED={seed} {command}", story.join("\n"));
    }
    let [count, rotten, over] = [&done_seeds, &rotten, &over].map(|n| n.load(Relaxed));
    assert!(count > 0);
    eprintln!("{count} seeds, {rotten} with rot, {over} of them ended by it");
}

/// Controls: a store with a known mistake in it is caught.
mod mistakes {
    use super::*;

    fn caught(mistake: Mistake) {
        const TRIES: u64 = 3000;
        let by = (1..=TRIES).find(|&seed| run(seed, Some(mistake)).1.is_err());
        assert!(by.is_some(), "{mistake:?} is not caught by {TRIES} seeds");
        eprintln!("{mistake:?} is caught by seed {by:?}");
    }

    #[test]
    fn not_to_sync_is_caught() {
        caught(Mistake::NoSync);
    }

    #[test]
    fn not_to_sync_directories_is_caught() {
        caught(Mistake::NoDirSync);
    }

    #[test]
    fn to_name_parts_that_are_not_synced_is_caught() {
        caught(Mistake::NoFileSync("part"));
    }

    #[test]
    fn to_swap_in_a_manifest_that_is_not_synced_is_caught() {
        caught(Mistake::NoFileSync("new"));
    }

    #[test]
    fn to_trim_the_log_before_the_manifest_is_durable_is_caught() {
        caught(Mistake::EarlyTrim);
    }

    #[test]
    fn to_take_a_torn_record_for_whole_is_caught() {
        caught(Mistake::NoChecksum);
    }
}
