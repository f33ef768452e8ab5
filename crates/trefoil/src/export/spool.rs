//! Batches that could not be sent, in files that survive a restart. The format is described
//! in docs/format/sdk-spool.md.
//!
//! Files are not synced: they outlive the process, not a loss of power. That is enough for
//! telemetry, and costs the service no wait for its disk.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use trefoil_wire::compression::crc32;

use super::queue::Priority;
use crate::account::Signal;
use crate::config::SpoolSettings;

/// Begins each file; the last byte is the version.
const MAGIC: [u8; 8] = *b"TRFSPOL\x01";
/// Magic, length, checksum.
const HEAD_BYTES: usize = 16;
/// Processes that share a folder, each in a slot of its own.
const SLOTS_MAX: usize = 64;
/// Files are no larger than a batch; more is damage.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// One folder with a limit, for all exporters of this process.
#[derive(Debug)]
pub(super) struct Spool {
    slot: PathBuf,
    /// Holds the slot until the process ends, however it ends.
    _lock: File,
    bytes_max: u64,
    bytes: Cell<u64>,
}

impl Spool {
    /// Takes the first slot that no process holds, and what earlier processes left in others.
    ///
    /// # Errors
    /// The folder cannot be made or written to; says why.
    pub(super) fn open(settings: &SpoolSettings) -> Result<Rc<Spool>, String> {
        let folder = &settings.folder;
        let wrong = |error: io::Error| {
            format!(
                "the spool {} cannot be used: {error}; what cannot be sent is kept in memory",
                folder.display()
            )
        };
        let mut own = None;
        for number in 0..SLOTS_MAX {
            let slot = folder.join(format!("slot-{number}"));
            if own.is_some() && !slot.exists() {
                break;
            }
            let Some(lock) = lock(&slot).map_err(wrong)? else { continue };
            match &own {
                None => own = Some((slot, lock)),
                Some((own, _)) => adopt(&slot, own).map_err(wrong)?,
            }
        }
        let Some((slot, lock)) = own else {
            return Err(format!(
                "all {SLOTS_MAX} slots of the spool {} are taken",
                folder.display()
            ));
        };
        let bytes = Cell::new(0);
        Ok(Rc::new(Spool { slot, _lock: lock, bytes_max: settings.bytes_max, bytes }))
    }

    /// The shelf of one exporter of a signal, with what lies there already.
    ///
    /// # Errors
    /// Its folder cannot be made or read; says why.
    pub(super) fn shelf(self: &Rc<Self>, signal: Signal, exporter: usize) -> Result<Shelf, String> {
        let folder = self.slot.join(format!("{}-{exporter}", signal.as_str()));
        let wrong = |error: io::Error| format!("the spool {}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(wrong)?;
        let mut entries = BTreeMap::new();
        for file in fs::read_dir(&folder).map_err(wrong)? {
            let file = file.map_err(wrong)?;
            let name = file.file_name();
            match name.to_str().and_then(Entry::parse) {
                Some((number, mut entry)) => {
                    entry.bytes = file.metadata().map_err(wrong)?.len();
                    self.bytes.set(self.bytes.get() + entry.bytes);
                    entries.insert(number, entry);
                }
                // Half written when the process ended.
                None => fs::remove_file(file.path()).map_err(wrong)?,
            }
        }
        let next = entries.last_key_value().map_or(0, |(number, _)| number + 1);
        let (entries, next) = (RefCell::new(entries), Cell::new(next));
        Ok(Shelf { spool: Rc::clone(self), folder, entries, next })
    }
}

/// Makes a folder of one's own; `None` if another process has it.
fn lock(slot: &Path) -> io::Result<Option<File>> {
    fs::create_dir_all(slot)?;
    let file = File::options().create(true).truncate(false).write(true).open(slot.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Moves the files of a process that is gone behind those of one's own slot.
fn adopt(from: &Path, to: &Path) -> io::Result<()> {
    for folder in fs::read_dir(from)? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        let own = to.join(folder.file_name());
        fs::create_dir_all(&own)?;
        let names = |folder: &Path| -> io::Result<Vec<(u64, Entry)>> {
            let names = fs::read_dir(folder)?.map(|file| file.map(|file| file.file_name()));
            let names = names.collect::<io::Result<Vec<_>>>()?;
            Ok(names.iter().filter_map(|name| Entry::parse(name.to_str()?)).collect())
        };
        let next = names(&own)?.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
        let mut left = names(&folder.path())?;
        left.sort_unstable_by_key(|(number, _)| *number);
        for (next, (number, entry)) in (next..).zip(left) {
            let path = |folder: &Path, number| folder.join(entry.name(number));
            fs::rename(path(&folder.path(), number), path(&own, next))?;
        }
    }
    Ok(())
}

/// What waits for one exporter, the oldest first.
#[derive(Debug)]
pub(super) struct Shelf {
    spool: Rc<Spool>,
    folder: PathBuf,
    entries: RefCell<BTreeMap<u64, Entry>>,
    next: Cell<u64>,
}

/// A file, known by its name: `0000000000000007-512-n.otlp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) items: u64,
    priority: Priority,
    bytes: u64,
}

impl Entry {
    fn name(self, number: u64) -> String {
        let priority = match self.priority {
            Priority::Normal => 'n',
            Priority::Error => 'e',
        };
        format!("{number:016x}-{}-{priority}.otlp", self.items)
    }

    fn parse(name: &str) -> Option<(u64, Entry)> {
        let mut parts = name.strip_suffix(".otlp")?.split('-');
        let number = u64::from_str_radix(parts.next()?, 16).ok()?;
        let items = parts.next()?.parse().ok()?;
        let priority = match parts.next()? {
            "n" => Priority::Normal,
            "e" => Priority::Error,
            _ => return None,
        };
        Some((number, Entry { items, priority, bytes: 0 }))
    }
}

impl Shelf {
    /// Keeps an export request. What is dropped to make room, normal items before errors and
    /// the old before the new, is given to `evicted`.
    ///
    /// # Errors
    /// It cannot be written, or is larger than the spool; the request is not kept.
    pub(super) fn put(
        &self,
        items: u64,
        priority: Priority,
        request: &[u8],
        mut evicted: impl FnMut(u64),
    ) -> io::Result<()> {
        let bytes = (HEAD_BYTES + request.len()) as u64;
        while self.spool.bytes.get() + bytes > self.spool.bytes_max {
            let Some(oldest) = self.first_to_go() else {
                return Err(io::Error::other("the spool is full"));
            };
            evicted(self.remove(oldest));
        }
        let mut file = Vec::with_capacity(HEAD_BYTES + request.len());
        file.extend_from_slice(&MAGIC);
        file.extend_from_slice(&(request.len() as u32).to_le_bytes());
        file.extend_from_slice(&crc32(request).to_le_bytes());
        file.extend_from_slice(request);
        let entry = Entry { items, priority, bytes };
        let number = self.next.get();
        // A name that no file has when the process dies on the way.
        let unfinished = self.folder.join("unfinished");
        fs::write(&unfinished, &file)?;
        fs::rename(&unfinished, self.path(number, entry))?;
        self.next.set(number + 1);
        self.spool.bytes.set(self.spool.bytes.get() + bytes);
        self.entries.borrow_mut().insert(number, entry);
        Ok(())
    }

    fn first_to_go(&self) -> Option<u64> {
        let entries = self.entries.borrow();
        let normal = entries.iter().find(|(_, entry)| entry.priority == Priority::Normal);
        normal.or_else(|| entries.first_key_value()).map(|(number, _)| *number)
    }

    /// The number of the oldest file.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.entries.borrow().first_key_value().map(|(number, _)| *number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// Items and bytes that lie here.
    pub(super) fn amount(&self) -> (u64, u64) {
        let entries = self.entries.borrow();
        let sum = |(items, bytes), entry: &Entry| (items + entry.items, bytes + entry.bytes);
        entries.values().fold((0, 0), sum)
    }

    /// The export request of a file.
    ///
    /// # Errors
    /// The file is gone or damaged.
    pub(super) fn read(&self, number: u64) -> Result<Vec<u8>, String> {
        let entry = self.entries.borrow().get(&number).copied();
        let entry = entry.ok_or("there is no such file")?;
        let path = self.path(number, entry);
        let damaged = |why: &str| format!("the file {} {why}", path.display());
        if entry.bytes > FILE_BYTES_MAX {
            return Err(damaged("is too large to be one of ours"));
        }
        let mut file = fs::read(&path).map_err(|error| damaged(&error.to_string()))?;
        let (head, body) =
            file.split_at_checked(HEAD_BYTES).ok_or_else(|| damaged("ends too early"))?;
        let length = (body.len() as u32).to_le_bytes();
        if head[..8] != MAGIC || head[8..12] != length || head[12..] != crc32(body).to_le_bytes() {
            return Err(damaged("is damaged"));
        }
        file.drain(..HEAD_BYTES);
        Ok(file)
    }

    /// Takes a file away; gives its items.
    pub(super) fn remove(&self, number: u64) -> u64 {
        let Some(entry) = self.entries.borrow_mut().remove(&number) else { return 0 };
        self.spool.bytes.set(self.spool.bytes.get().saturating_sub(entry.bytes));
        // One that cannot be removed is sent again after a restart, which is allowed.
        let _ = fs::remove_file(self.path(number, entry));
        entry.items
    }

    fn path(&self, number: u64, entry: Entry) -> PathBuf {
        self.folder.join(entry.name(number))
    }
}
