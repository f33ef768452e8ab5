//! Opening: lock, manifest, parts, replay.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::commit::Commit;
use super::flush::{self, Maintenance, Relief};
use super::poison::Poison;
use super::valve::Valve;
use super::{Counters, Limits, Store, View};
use crate::cache::Cache;
use crate::error::{Error, Failure, Result};
use crate::head::Head;
use crate::manifest::Manifest;
use crate::part::{Damage, PartInfo, PartSet};
use crate::quarantine;
use crate::settings::Settings;
use crate::vfs::{Lock, Vfs};
use crate::wal::{self, Replayed, Wal};

pub(super) const WAL_DIR: &str = "wal";
pub(super) const PARTS_DIR: &str = "parts";

/// Numbers given to opened stores.
static INSTANCES: AtomicU64 = AtomicU64::new(0);

pub(super) fn open(vfs: Arc<dyn Vfs>, dir: &Path, settings: Settings) -> Result<Store> {
    let parts_dir = dir.join(PARTS_DIR);
    let (lock, manifest) = prepare(&*vfs, dir)?;
    let damage = Arc::new(Damage::default());
    let mut parts = PartSet::default();
    for info in &manifest.parts {
        parts.open(&vfs, &parts_dir, *info, &damage)?;
    }
    let limits = Limits::of(&settings);
    let recovered = Recovery::new(&vfs, dir, limits, parts, manifest, &damage).run()?;

    let counters = Counters::default();
    counters.replayed.store(recovered.rows, Relaxed);
    counters.quarantined_files.store(recovered.quarantined, Relaxed);
    counters.wal_cut_bytes.store(recovered.cut_bytes, Relaxed);
    let store = Store {
        instance: INSTANCES.fetch_add(1, Relaxed),
        dir: dir.to_owned(),
        vfs,
        limits,
        commit: Commit::new(recovered.wal),
        view: Mutex::new(recovered.view),
        maintenance: Mutex::new(Maintenance::new(recovered.manifest)),
        relief: Relief::default(),
        merging: Mutex::new(()),
        cache: Arc::new(Cache::new(limits.cache_bytes)),
        damage,
        poison: Poison::default(),
        counters,
        valve: Valve::new(settings.disk_reserve_bytes),
        settings,
        _lock: lock,
    };
    store.count_head_bytes();
    store.measure_disk();
    Ok(store)
}

/// The directory as it must be before anything in it is read.
fn prepare(vfs: &dyn Vfs, dir: &Path) -> Result<(Lock, Manifest)> {
    let create = |dir: &Path| vfs.create_dir(dir).map_err(|e| Error::io("create", dir, e));
    let (wal_dir, parts_dir) = (dir.join(WAL_DIR), dir.join(PARTS_DIR));
    create(dir)?;
    let lock = vfs.lock(dir).map_err(|e| Error::io("lock", dir, e))?;
    let lock = lock.ok_or_else(|| Error::Locked(dir.to_owned()))?;
    create(&wal_dir)?;
    create(&parts_dir)?;
    let manifest = load_manifest(vfs, dir, &wal_dir)?;
    remove_left_overs(vfs, dir, &parts_dir, &manifest)?;
    Ok((lock, manifest))
}

/// The manifest comes before everything else: a directory with a WAL and without one has
/// lost it.
fn load_manifest(vfs: &dyn Vfs, dir: &Path, wal_dir: &Path) -> Result<Manifest> {
    if let Some(manifest) = Manifest::load(vfs, dir)? {
        // A killed process may have renamed it and not lived to make that durable.
        vfs.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
        return Ok(manifest);
    }
    let segments = vfs.list(wal_dir).map_err(|e| Error::io("list", wal_dir, e))?;
    if !segments.is_empty() {
        let path = dir.join("manifest");
        let why = "it is missing, but there is data; restore it from a backup".to_owned();
        return Err(Error::Corrupt { path, why });
    }
    let manifest = Manifest::default();
    // The directories must be there for as long as the manifest is.
    if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        vfs.sync_dir(parent).map_err(|e| Error::io("sync", parent, e))?;
    }
    manifest.save(vfs, dir).map_err(Failure::into_error)?;
    Ok(manifest)
}

/// Files that a crash left between their making and the manifest that names them.
fn remove_left_overs(
    vfs: &dyn Vfs,
    dir: &Path,
    parts_dir: &Path,
    manifest: &Manifest,
) -> Result<()> {
    let remove = |path: &Path| vfs.remove(path).map_err(|e| Error::io("remove", path, e));
    for name in vfs.list(dir).map_err(|e| Error::io("list", dir, e))? {
        if Manifest::is_left_over(&name) {
            remove(&dir.join(name))?;
        }
    }
    let known: std::collections::HashSet<String> =
        manifest.parts.iter().map(PartInfo::file_name).collect();
    for name in vfs.list(parts_dir).map_err(|e| Error::io("list", parts_dir, e))? {
        if name.ends_with(".part") && !known.contains(&name) {
            remove(&parts_dir.join(name))?;
        }
    }
    Ok(())
}

/// What replay builds up.
struct Recovery<'a> {
    vfs: &'a Arc<dyn Vfs>,
    dir: &'a Path,
    limits: Limits,
    parts: PartSet,
    head: Arc<Head>,
    manifest: Manifest,
    damage: &'a Arc<Damage>,
    replayed: u64,
    /// Appends up to this one were in parts when replay began.
    before: u64,
    /// What the head took when it was empty but for the names of series.
    series_bytes: usize,
    /// Whether a head was flushed before the log had ended.
    split: bool,
    /// The disk was too full to write parts: the head keeps what it has, and the log all
    /// that the head may refer to.
    no_room: bool,
}

/// What a store starts with.
struct Recovered {
    view: View,
    manifest: Manifest,
    wal: Wal,
    /// Items that were replayed.
    rows: u64,
    cut_bytes: u64,
    quarantined: u64,
}

impl<'a> Recovery<'a> {
    fn new(
        vfs: &'a Arc<dyn Vfs>,
        dir: &'a Path,
        limits: Limits,
        parts: PartSet,
        manifest: Manifest,
        damage: &'a Arc<Damage>,
    ) -> Self {
        Recovery {
            vfs,
            dir,
            limits,
            parts,
            head: Arc::new(Head::new(manifest.flushed)),
            before: manifest.flushed,
            manifest,
            damage,
            replayed: 0,
            series_bytes: 0,
            split: false,
            no_room: false,
        }
    }

    fn run(mut self) -> Result<Recovered> {
        let dir = self.dir.join(WAL_DIR);
        let flushed = self.manifest.flushed;
        let vfs = Arc::clone(self.vfs);
        let replayed = wal::replay(&*vfs, &dir, flushed, &mut |n, payload| self.apply(n, payload))?;
        let cut_bytes = replayed.cut_bytes;
        self.finish(&dir, replayed).map_err(|error| error.after_cut(cut_bytes))
    }

    fn finish(mut self, wal_dir: &Path, replayed: Replayed) -> Result<Recovered> {
        self.settle(replayed.last)?;
        let nameless = u64::from(self.head.nameless_samples() > 0);
        self.damage.blocks.fetch_add(replayed.damaged + nameless, Relaxed);
        let mut wal = Wal::start(Arc::clone(self.vfs), wal_dir, replayed.last, replayed.closed)?;
        if !self.no_room {
            wal.trim(self.manifest.flushed)?;
        }
        let quarantined = quarantine::files(&**self.vfs, self.dir)
            .map_err(|e| Error::io("list", &quarantine::dir(self.dir), e))?;
        let view = View {
            head: self.head,
            frozen: None,
            parts: Arc::new(self.parts),
            families: Arc::new(self.manifest.families.clone()),
            last: replayed.last,
            cutoffs_ns: [i64::MIN; 3],
        };
        Ok(Recovered {
            view,
            manifest: self.manifest,
            wal,
            rows: self.replayed,
            cut_bytes: replayed.cut_bytes,
            quarantined: quarantined.len() as u64,
        })
    }

    fn apply(&mut self, number: u64, payload: Vec<u8>) -> Result<()> {
        if number <= self.before {
            // What it says of series is all that is of use. An earlier version's form may
            // not be readable any more: nothing refers to that.
            let _ = self.head.learn(number, &payload);
            self.series_bytes = self.head.read().bytes();
            return Ok(());
        }
        let payload = Arc::new(payload);
        let rows = crate::payload::Payload::parse(&payload);
        self.replayed +=
            rows.map_or(0, |p| (p.samples.count + p.logs.count + p.spans.count) as u64);
        if self.head.apply(number, &payload).is_none() {
            let path = self.dir.join(WAL_DIR);
            let why = format!("append {number} passes its checksum but makes no sense");
            return Err(Error::Corrupt { path, why });
        }
        let families = self.head.take_families();
        flush::learn_into(&mut self.manifest.families, families);
        // A long log must not need more memory than the data did when it came.
        let grown = self.head.read().bytes().saturating_sub(self.series_bytes);
        let limit = match self.no_room {
            true => self.limits.head_bytes_max,
            false => self.limits.head_weight,
        };
        if grown as u64 >= limit {
            match self.flush(number) {
                Err(error) if error.is_disk_full() && !self.no_room => {
                    // To start and answer comes first; there is memory for more.
                    self.no_room = true;
                    return Ok(());
                }
                done => done?,
            }
            // Later appends may name series by those that are flushed now.
            self.head = Arc::new(self.head.successor(number));
            self.series_bytes = self.head.read().bytes();
            self.split = true;
        }
        Ok(())
    }

    /// Ends the replay. TRAP: when a head was flushed in the middle of the log, the appends
    /// after it may refer to appends before it, and the log is trimmed up to there; so the
    /// rest is flushed as well.
    fn settle(&mut self, last: u64) -> Result<()> {
        if !self.split && self.manifest.flushed == self.before && self.series_bytes == 0 {
            return Ok(());
        }
        if last > self.head.base() {
            match self.flush(last) {
                Err(error) if error.is_disk_full() => {
                    self.no_room = true;
                    return Ok(());
                }
                done => done?,
            }
        }
        let nameless = self.head.nameless_samples();
        self.head = Arc::new(Head::new(last));
        self.head.note_nameless(nameless);
        Ok(())
    }

    fn flush(&mut self, last: u64) -> Result<()> {
        let mut next = self.manifest.clone();
        let dir = self.dir.join(PARTS_DIR);
        let infos = flush::write_parts(&**self.vfs, &dir, &self.head, last, &mut next.next_part)?;
        next.parts.extend(&infos);
        next.flushed = last;
        next.save(&**self.vfs, self.dir).map_err(Failure::into_error)?;
        self.manifest = next;
        for info in infos {
            self.parts.open(self.vfs, &dir, info, self.damage)?;
        }
        Ok(())
    }
}
