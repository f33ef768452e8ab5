//! The write-ahead log: every acknowledged batch, until a part holds it.
//!
//! Segments named by the first append they may hold; in them records of a length, the
//! append's number, a checksum and the batch. `docs/format/wal.md` has the bytes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::batch::BATCH_BYTES_MAX;
use crate::error::{Error, Failure, Result};
use crate::quarantine;
use crate::vfs::{Append, Vfs};

mod replay;

pub(crate) use replay::{Replayed, check, replay};

/// The last byte is the version of the format.
const MAGIC: &[u8; 8] = b"TRFWAL\0\x01";
/// Magic, first number, checksum of both.
const SEGMENT_HEADER: usize = 24;
/// Length, number, checksum.
const RECORD_HEADER: usize = 20;
/// A segment that has grown past this is followed by a new one at the next flush of the
/// head or write, so that trimming gives space back.
const SEGMENT_BYTES: u64 = 64 << 20;
/// What is longer is no record, so nothing longer may be written. Encoded batches are a
/// little longer than what [`BATCH_BYTES_MAX`] counts.
pub(crate) const PAYLOAD_BYTES_MAX: usize = BATCH_BYTES_MAX + (BATCH_BYTES_MAX >> 1);
const WRITE_BUFFER: usize = 1 << 20;

/// A batch with its number.
pub(crate) type Record = (u64, Arc<Vec<u8>>);

/// A segment that is not written to any more.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) path: PathBuf,
    /// The last append that it may hold.
    pub(crate) last: u64,
    pub(crate) bytes: u64,
    /// Some of it could not be read: it is set aside when it is due, not removed.
    pub(crate) damaged: bool,
}

/// Writes records to the newest segment.
#[derive(Debug)]
pub(crate) struct Wal {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    path: PathBuf,
    file: Box<dyn Append>,
    /// Whether the segment is there; without room for it on the disk it comes with the
    /// next write.
    begun: bool,
    len: u64,
    last: u64,
    closed: Vec<Closed>,
    buffer: Vec<u8>,
    pub(crate) syncs: u64,
}

fn segment_name(first: u64) -> String {
    format!("{first:016x}.wal")
}

/// The first number a segment may hold, from its name.
fn first_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(".wal").filter(|hex| hex.len() == 16)?, 16).ok()
}

fn record_checksum(header: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.digest()
}

impl Wal {
    /// Starts a segment for appends after `last`; `closed` are the older ones.
    pub(crate) fn start(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        last: u64,
        closed: Vec<Closed>,
    ) -> Result<Self> {
        let (path, file, begun) = match start_segment(&*vfs, dir, last + 1) {
            Ok((path, file)) => (path, file, true),
            // Reading must be possible all the same.
            Err(error) if error.is_disk_full() => {
                (dir.join(segment_name(last + 1)), Box::new(NoRoom) as Box<dyn Append>, false)
            }
            Err(error) => return Err(error),
        };
        // An empty segment of an earlier start has been replaced, not followed.
        let closed = closed.into_iter().filter(|segment| segment.path != path).collect();
        let dir = dir.to_owned();
        let len = SEGMENT_HEADER as u64;
        Ok(Wal { vfs, dir, path, file, begun, len, last, closed, buffer: Vec::new(), syncs: 0 })
    }

    /// Writes and syncs records, all or none.
    pub(crate) fn write(&mut self, records: &[Record]) -> std::result::Result<(), Failure> {
        if !self.begun {
            let segment = start_segment(&*self.vfs, &self.dir, self.last + 1);
            (self.path, self.file) = segment.map_err(Failure::Refused)?;
            self.begun = true;
        }
        if self.len >= SEGMENT_BYTES {
            self.rotate().map_err(Failure::Refused)?;
        }
        let before = self.len;
        if let Err(error) = self.write_unsynced(records) {
            self.len = before;
            self.buffer.clear();
            // What a failed write left behind must not come back after a crash, as if it
            // had been acknowledged.
            return match self.file.cut(before).and_then(|()| self.file.sync()) {
                Ok(()) => Err(Failure::Refused(error)),
                Err(e) => Err(Failure::Lost(Error::io("cut back", &self.path, e))),
            };
        }
        // A failed sync may have dropped the pages it could not write: a second one would
        // succeed and mean nothing.
        self.file.sync().map_err(|e| Failure::Lost(Error::io("sync", &self.path, e)))?;
        self.syncs += 1;
        if let Some(&(last, _)) = records.last() {
            self.last = last;
        }
        Ok(())
    }

    fn write_unsynced(&mut self, records: &[Record]) -> Result<()> {
        for (number, payload) in records {
            let mut header = [0; RECORD_HEADER];
            header[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
            header[4..12].copy_from_slice(&number.to_le_bytes());
            let checksum = record_checksum(&header[..12], payload);
            header[12..].copy_from_slice(&checksum.to_le_bytes());
            self.buffer.extend_from_slice(&header);
            self.buffer.extend_from_slice(payload);
            if self.buffer.len() >= WRITE_BUFFER {
                self.write_buffer()?;
            }
        }
        self.write_buffer()
    }

    fn write_buffer(&mut self) -> Result<()> {
        let written = self.file.append(&self.buffer);
        self.len += self.buffer.len() as u64;
        self.buffer.clear();
        // A batch can be large; its memory is not kept for the next.
        self.buffer.shrink_to(2 * WRITE_BUFFER);
        written.map_err(|e| Error::io("write", &self.path, e))
    }

    /// Closes the segment and starts the next, unless it is empty.
    pub(crate) fn rotate(&mut self) -> Result<()> {
        if self.len == SEGMENT_HEADER as u64 {
            return Ok(());
        }
        let (path, file) = start_segment(&*self.vfs, &self.dir, self.last + 1)?;
        self.file = file;
        let path = std::mem::replace(&mut self.path, path);
        self.closed.push(Closed { path, last: self.last, bytes: self.len, damaged: false });
        self.len = SEGMENT_HEADER as u64;
        Ok(())
    }

    /// Removes closed segments that hold nothing after `flushed`; damaged ones go to
    /// quarantine, because somebody may want to see what they lost.
    pub(crate) fn trim(&mut self, flushed: u64) -> Result<()> {
        let mut removed = false;
        let mut kept = Vec::new();
        let mut failed = None;
        for segment in std::mem::take(&mut self.closed) {
            if segment.last > flushed || failed.is_some() {
                kept.push(segment);
                continue;
            }
            let gone = match segment.damaged {
                true => quarantine::take(&*self.vfs, &segment.path),
                false => self.vfs.remove(&segment.path),
            };
            match gone {
                Ok(()) => removed = true,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    failed = Some(Error::io("remove", &segment.path, e));
                    kept.push(segment);
                }
            }
        }
        self.closed = kept;
        if removed {
            self.vfs.sync_dir(&self.dir).map_err(|e| Error::io("sync", &self.dir, e))?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.len + self.closed.iter().map(|s| s.bytes).sum::<u64>()
    }
}

/// Stands in for a segment that could not be begun. Nothing is written to it.
#[derive(Debug)]
struct NoRoom;

impl Append for NoRoom {
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }
}

/// Creates a segment and makes it and its name durable.
fn start_segment(vfs: &dyn Vfs, dir: &Path, first: u64) -> Result<(PathBuf, Box<dyn Append>)> {
    let path = dir.join(segment_name(first));
    match write_header(vfs, dir, &path, first) {
        Ok(file) => Ok((path, file)),
        Err(error) => {
            // Left behind, it would look like the newest segment at the next start.
            let _ = vfs.remove(&path);
            Err(error)
        }
    }
}

fn write_header(vfs: &dyn Vfs, dir: &Path, path: &Path, first: u64) -> Result<Box<dyn Append>> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&first.to_le_bytes());
    header.extend_from_slice(&xxh3_64(&header).to_le_bytes());
    let mut file = vfs.create(path).map_err(|e| Error::io("create", path, e))?;
    file.append(&header).map_err(|e| Error::io("write", path, e))?;
    file.sync().map_err(|e| Error::io("sync", path, e))?;
    vfs.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
    Ok(file)
}
