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
    fault: Option<(u64, Fault)>,
    crashed: bool,
    /// Syncs do nothing but say they did: what a test must notice.
    lies: bool,
    random: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

fn failure(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

impl Faulty {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            operations: 0,
            fault: None,
            crashed: false,
            lies: false,
            random: seed | 1,
        };
        Faulty { state: Arc::new(Mutex::new(state)) }
    }

    fn hold(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the operation of this number (counted from now) go wrong.
    pub(crate) fn fail_at(&self, operation: u64, fault: Fault) {
        let mut state = self.hold();
        state.fault = Some((state.operations + operation, fault));
    }

    /// From now on syncs do nothing.
    pub(crate) fn lie(&self) {
        self.hold().lies = true;
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
            *inode = Inode { bytes: survived.clone(), durable: survived };
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
        let after = State {
            inodes,
            durable_names: names.clone(),
            names,
            operations: 0,
            fault: None,
            crashed: false,
            lies: false,
            random: random | 1,
        };
        Faulty { state: Arc::new(Mutex::new(after)) }
    }

    /// What another process finds after this one was killed: the kernel goes on.
    pub(crate) fn after_kill(&self) -> Faulty {
        let mut state = self.hold();
        let random = state.next_random();
        let after = State {
            inodes: state.inodes.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            operations: 0,
            fault: None,
            crashed: false,
            lies: false,
            random: random | 1,
        };
        Faulty { state: Arc::new(Mutex::new(after)) }
    }

    /// Changes one byte of a file, as a bad disk does.
    pub(crate) fn flip(&self, path: &Path, offset: usize) {
        let mut state = self.hold();
        if let Some(&inode) = state.names.get(path)
            && let Some(byte) = state.inodes[inode].bytes.get_mut(offset)
        {
            *byte ^= 0x55;
        }
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

    /// The durable bytes and a random piece of what was written after them, the last
    /// bytes of which may be garbage.
    fn survives(&mut self, inode: &Inode) -> Vec<u8> {
        let kept = inode.durable.len();
        if inode.bytes.len() <= kept || inode.bytes[..kept] != inode.durable[..] {
            return inode.durable.clone();
        }
        let fresh = inode.bytes.len() - kept;
        let extra = (self.next_random() % (fresh as u64 + 1)) as usize;
        let mut survived = inode.bytes[..kept + extra].to_vec();
        if extra > 0 && self.chance(3) {
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
            return Err(failure("no power"));
        }
        self.operations += 1;
        let Some((at, fault)) = self.fault else { return Ok(None) };
        let hit = match fault {
            Fault::NoSpace => (at..at + 3).contains(&self.operations),
            _ => self.operations == at,
        };
        if hit && fault == Fault::Crash {
            self.crashed = true;
        }
        Ok(hit.then_some(fault))
    }

    /// An operation that is whole or not at all.
    fn plain_step(&mut self) -> io::Result<()> {
        match self.step()? {
            None | Some(Fault::FailedSync | Fault::NoSpace) => Ok(()),
            Some(fault) => Err(failure(&format!("{fault:?}"))),
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
            return Err(failure(&format!("{fault:?}")));
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

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.hold();
        state.plain_step()?;
        state.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.hold();
        match state.step()? {
            None | Some(Fault::NoSpace) => {}
            Some(fault) => return Err(failure(&format!("{fault:?}"))),
        }
        let inside = |path: &PathBuf| path.parent() == Some(dir);
        let mut durable = std::mem::take(&mut state.durable_names);
        durable.retain(|path, _| !inside(path));
        durable.extend(state.names.iter().filter(|(p, _)| inside(p)).map(|(p, &i)| (p.clone(), i)));
        state.durable_names = durable;
        Ok(())
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
        let kept = match fault {
            None | Some(Fault::FailedSync) => bytes.len(),
            Some(_) => (state.next_random() % (bytes.len() as u64 + 1)) as usize,
        };
        state.inodes[self.inode].bytes.extend_from_slice(&bytes[..kept]);
        match fault {
            None | Some(Fault::FailedSync) => Ok(()),
            Some(fault) => Err(failure(&format!("{fault:?}"))),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.vfs.hold();
        match state.step()? {
            None | Some(Fault::NoSpace) if state.lies => Ok(()),
            None | Some(Fault::NoSpace) => {
                let inode = &mut state.inodes[self.inode];
                inode.durable = inode.bytes.clone();
                Ok(())
            }
            Some(fault) => Err(failure(&format!("{fault:?}"))),
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
