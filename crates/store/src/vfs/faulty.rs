//! A file system that loses what was not synced, tears writes, and fails on command.
//!
//! It keeps two truths: what a running process sees, and what would be there after the
//! power went. A sync copies the first to the second.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Append, Lock, ReadAt, Vfs};

/// What goes wrong at a numbered operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power goes: this and every later operation fails.
    Crash,
    /// The disk is full: this and the next few writes fail, half done.
    NoSpace,
    /// A sync fails, and what it should have kept may be lost.
    FailedSync,
    /// Any single operation fails with EIO.
    Io,
}

/// What the disk gets wrong on the store's behalf, as a store with a known mistake in it
/// would: tests of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Nothing is synced, though it is said to be.
    NoSync,
    /// As if the store did not sync directories.
    NoDirSync,
    /// As if it did not sync files of this extension before it names them.
    NoFileSync(&'static str),
    /// As if it trimmed the WAL before the manifest is durable.
    EarlyTrim,
    /// As if it took the last record of the WAL without looking at its checksum.
    NoChecksum,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Faulty {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    inodes: Vec<Inode>,
    /// What the process sees.
    names: BTreeMap<PathBuf, usize>,
    /// What survives a crash.
    durable_names: BTreeMap<PathBuf, usize>,
    operations: u64,
    faults: Vec<(u64, Fault)>,
    /// Faults that have happened.
    fired: u64,
    crashed: bool,
    mistake: Option<Mistake>,
    /// Bytes all files together may have.
    capacity: u64,
    random: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// A sync has failed: what it should have written may be dropped from the cache.
    doubtful: bool,
}

/// What the disk writes as a whole, or not.
const SECTOR: usize = 512;

fn failure(fault: Fault) -> io::Error {
    match fault {
        Fault::Crash => io::Error::other("no power"),
        Fault::NoSpace => io::Error::from_raw_os_error(28),
        Fault::FailedSync | Fault::Io => io::Error::from_raw_os_error(5),
    }
}

impl Faulty {
    pub(crate) fn new(seed: u64) -> Self {
        Faulty::with(Vec::new(), BTreeMap::new(), seed, None)
    }

    /// A disk that makes a mistake.
    pub(crate) fn mistaken(seed: u64, mistake: Option<Mistake>) -> Self {
        Faulty::with(Vec::new(), BTreeMap::new(), seed, mistake)
    }

    fn with(
        inodes: Vec<Inode>,
        names: BTreeMap<PathBuf, usize>,
        seed: u64,
        mistake: Option<Mistake>,
    ) -> Self {
        let state = State {
            inodes,
            durable_names: names.clone(),
            names,
            operations: 0,
            faults: Vec::new(),
            fired: 0,
            crashed: false,
            mistake,
            capacity: u64::MAX,
            random: seed | 1,
        };
        Faulty { state: Arc::new(Mutex::new(state)) }
    }

    fn hold(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the operation of this number (counted from now) go wrong, beside what else will.
    pub(crate) fn fail_at(&self, operation: u64, fault: Fault) {
        let mut state = self.hold();
        let at = state.operations.saturating_add(operation);
        state.faults.push((at, fault));
    }

    /// Forgets every fault that has not happened yet.
    pub(crate) fn heal(&self) {
        let mut state = self.hold();
        state.faults.clear();
        state.capacity = u64::MAX;
    }

    /// Faults that have happened.
    pub(crate) fn fired(&self) -> u64 {
        self.hold().fired
    }

    /// From now on there is room for this many bytes more.
    pub(crate) fn limit(&self, more: u64) {
        let mut state = self.hold();
        state.capacity = state.used().saturating_add(more);
    }

    /// From now on syncs do nothing.
    pub(crate) fn lie(&self) {
        self.hold().mistake = Some(Mistake::NoSync);
    }

    pub(crate) fn operations(&self) -> u64 {
        self.hold().operations
    }

    pub(crate) fn crashed(&self) -> bool {
        self.hold().crashed
    }

    /// What another process finds after the power came back.
    pub(crate) fn after_power_loss(&self) -> Faulty {
        let mut state = self.hold();
        let mut inodes = state.inodes.clone();
        for inode in &mut inodes {
            let survived = state.survives(inode);
            *inode = Inode { bytes: survived.clone(), durable: survived, doubtful: false };
        }
        // Of each name whose change was not synced, either may be there.
        let mut names = state.durable_names.clone();
        let changed: Vec<PathBuf> = state.names.keys().chain(names.keys()).cloned().collect();
        for path in changed {
            if state.names.get(&path) != names.get(&path) && state.chance(2) {
                match state.names.get(&path) {
                    Some(&inode) => drop(names.insert(path, inode)),
                    None => drop(names.remove(&path)),
                }
            }
        }
        let random = state.next_random();
        Faulty::with(inodes, names, random, state.mistake)
    }

    /// What another process finds after this one was killed: the kernel goes on. Pages
    /// whose write failed may be gone from its cache, as on Linux.
    pub(crate) fn after_kill(&self) -> Faulty {
        let mut state = self.hold();
        let random = state.next_random();
        let mut inodes = state.inodes.clone();
        for inode in &mut inodes {
            if inode.doubtful && state.chance(2) {
                inode.bytes = state.survives(inode);
            }
        }
        let after = Faulty::with(inodes, state.names.clone(), random, state.mistake);
        after.hold().durable_names = state.durable_names.clone();
        after
    }

    /// Changes one byte of a file, as a bad disk does.
    pub(crate) fn flip(&self, path: &Path, offset: usize) {
        let mut state = self.hold();
        if let Some(&inode) = state.names.get(path) {
            let Inode { bytes, durable, .. } = &mut state.inodes[inode];
            for byte in [bytes.get_mut(offset), durable.get_mut(offset)].into_iter().flatten() {
                *byte ^= 0x55;
            }
        }
    }

    /// Changes one bit of one durable file, and says which.
    pub(crate) fn rot(&self, random: u64) -> Option<PathBuf> {
        let mut state = self.hold();
        let durable = state.names.iter().filter(|(path, inode)| {
            state.durable_names.get(*path) == Some(inode)
                && !state.inodes[**inode].durable.is_empty()
        });
        let durable: Vec<(PathBuf, usize)> = durable.map(|(p, &i)| (p.clone(), i)).collect();
        let (path, inode) = durable.get(random as usize % durable.len().max(1))?.clone();
        let inode = &mut state.inodes[inode];
        let bit = (random >> 16) as usize % (inode.durable.len() * 8);
        inode.durable[bit / 8] ^= 1 << (bit % 8);
        if let Some(byte) = inode.bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        Some(path)
    }

    pub(crate) fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.hold();
        state.names.iter().map(|(p, &i)| (p.clone(), state.inodes[i].bytes.len())).collect()
    }
}

impl State {
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.next_random().is_multiple_of(one_in)
    }

    /// The durable bytes and a random piece of what was written after them. Its sectors
    /// reach the disk in any order; those that did not are empty, the last may be garbage.
    fn survives(&mut self, inode: &Inode) -> Vec<u8> {
        let kept = inode.durable.len();
        if inode.bytes.len() <= kept || inode.bytes[..kept] != inode.durable[..] {
            return inode.durable.clone();
        }
        let fresh = inode.bytes.len() - kept;
        let extra = (self.next_random() % (fresh as u64 + 1)) as usize;
        let mut survived = inode.bytes[..kept + extra].to_vec();
        if self.chance(2) {
            for sector in survived[kept..].chunks_mut(SECTOR) {
                if self.chance(3) {
                    sector.fill(0);
                }
            }
        } else if extra > 0 && self.chance(3) {
            let garbage = (self.next_random() % (extra as u64)) as usize + 1;
            let from = survived.len() - garbage;
            for byte in &mut survived[from..] {
                *byte = self.next_random() as u8;
            }
        }
        survived
    }

    /// Counts an operation and says whether it goes wrong.
    fn step(&mut self) -> io::Result<Option<Fault>> {
        if self.crashed {
            return Err(failure(Fault::Crash));
        }
        self.operations += 1;
        let now = self.operations;
        let hit = self.faults.iter().find(|(at, fault)| match fault {
            Fault::NoSpace => (*at..at.saturating_add(3)).contains(&now),
            _ => *at == now,
        });
        let hit = hit.map(|(_, fault)| *fault);
        self.fired += u64::from(hit.is_some());
        self.crashed |= hit == Some(Fault::Crash);
        Ok(hit)
    }

    /// An operation that is whole or not at all.
    fn plain_step(&mut self) -> io::Result<()> {
        match self.step()? {
            None | Some(Fault::FailedSync | Fault::NoSpace) => Ok(()),
            Some(fault) => Err(failure(fault)),
        }
    }

    /// Bytes of all files that have a name.
    fn used(&self) -> u64 {
        self.names.values().map(|&inode| self.inodes[inode].bytes.len() as u64).sum()
    }

    /// Whether a sync of this file does nothing.
    fn lies(&self, inode: usize) -> bool {
        match self.mistake {
            Some(Mistake::NoSync) => true,
            Some(Mistake::NoFileSync(ending)) => {
                let named = self.names.iter().find(|(_, i)| **i == inode);
                named.is_some_and(|(path, _)| path.extension().is_some_and(|e| e == ending))
            }
            _ => false,
        }
    }

    /// The mistake: closed segments go before the manifest that makes them dispensable.
    fn trim_early(&mut self) {
        let is_segment = |path: &&PathBuf| path.extension().is_some_and(|e| e == "wal");
        let mut segments: Vec<PathBuf> = self.names.keys().filter(is_segment).cloned().collect();
        segments.pop();
        for path in segments {
            self.names.remove(&path);
            self.durable_names.remove(&path);
        }
    }

    /// The mistake: the last record's checksum is made to hold.
    fn bless_last_record(&mut self, inode: usize) {
        let bytes = &mut self.inodes[inode].bytes;
        let mut at = 24;
        while let Some(header) = bytes.get(at..at + 20) {
            let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
            let end = at + 20 + len;
            if end >= bytes.len() {
                let mut hasher = xxhash_rust::xxh3::Xxh3::new();
                hasher.update(&bytes[at..at + 12]);
                hasher.update(bytes.get(at + 20..end).unwrap_or(&[]));
                bytes[at + 12..at + 20].copy_from_slice(&hasher.digest().to_le_bytes());
                return;
            }
            at = end;
        }
    }
}

impl Vfs for Faulty {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.hold().plain_step()
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Lock>> {
        Ok(Some(Box::new(())))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.hold();
        state.plain_step()?;
        let names = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(names.filter_map(|p| Some(p.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let mut state = self.hold();
        if let Some(fault @ (Fault::Crash | Fault::Io | Fault::NoSpace)) = state.step()? {
            return Err(failure(fault));
        }
        if state.mistake == Some(Mistake::EarlyTrim) && path.ends_with("manifest.new") {
            state.trim_early();
        }
        let inode = match state.names.get(path) {
            Some(&inode) => {
                state.inodes[inode].bytes.clear();
                inode
            }
            None => {
                state.inodes.push(Inode::default());
                state.inodes.len() - 1
            }
        };
        state.names.insert(path.to_owned(), inode);
        Ok(Box::new(FaultyFile { vfs: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        let mut state = self.hold();
        state.plain_step()?;
        let &inode = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        if state.mistake == Some(Mistake::NoChecksum)
            && path.extension().is_some_and(|e| e == "wal")
        {
            state.bless_last_record(inode);
        }
        Ok(Arc::new(FaultyFile { vfs: self.clone(), inode }))
    }

    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut state = self.hold();
        state.plain_step()?;
        let &inode = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let inode = &mut state.inodes[inode];
        inode.bytes.truncate(len as usize);
        inode.durable = inode.bytes.clone();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.hold();
        state.plain_step()?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.hold();
        state.plain_step()?;
        let &inode = state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.hold();
        state.plain_step()?;
        state.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.hold();
        match state.step()? {
            None | Some(Fault::NoSpace) => {}
            Some(fault) => return Err(failure(fault)),
        }
        if matches!(state.mistake, Some(Mistake::NoSync | Mistake::NoDirSync)) {
            return Ok(());
        }
        let inside = |path: &PathBuf| path.parent() == Some(dir);
        let mut durable = std::mem::take(&mut state.durable_names);
        durable.retain(|path, _| !inside(path));
        durable.extend(state.names.iter().filter(|(p, _)| inside(p)).map(|(p, &i)| (p.clone(), i)));
        state.durable_names = durable;
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        let mut state = self.hold();
        state.plain_step()?;
        Ok(state.capacity - state.used().min(state.capacity))
    }
}

#[derive(Debug)]
struct FaultyFile {
    vfs: Faulty,
    inode: usize,
}

impl Append for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.vfs.hold();
        let fault = state.step()?;
        let room = state.capacity.saturating_sub(state.used());
        let fault = match fault {
            None if bytes.len() as u64 > room => Some(Fault::NoSpace),
            other => other,
        };
        let kept = match fault {
            None | Some(Fault::FailedSync) => bytes.len(),
            Some(_) => (state.next_random() % (room.min(bytes.len() as u64) + 1)) as usize,
        };
        state.inodes[self.inode].bytes.extend_from_slice(&bytes[..kept]);
        match fault {
            None | Some(Fault::FailedSync) => Ok(()),
            Some(fault) => Err(failure(fault)),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.vfs.hold();
        match state.step()? {
            None | Some(Fault::NoSpace) if state.lies(self.inode) => Ok(()),
            None | Some(Fault::NoSpace) => {
                let inode = &mut state.inodes[self.inode];
                inode.durable = inode.bytes.clone();
                Ok(())
            }
            Some(fault) => {
                state.inodes[self.inode].doubtful = true;
                Err(failure(fault))
            }
        }
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.vfs.hold();
        state.plain_step()?;
        state.inodes[self.inode].bytes.truncate(len as usize);
        Ok(())
    }
}

impl ReadAt for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.vfs.hold().inodes[self.inode].bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.vfs.hold();
        state.plain_step()?;
        let bytes = &state.inodes[self.inode].bytes;
        let from = bytes.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
