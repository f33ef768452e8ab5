//! A part: one immutable file of checksummed blocks, sorted the way its signal is asked.
//!
//! ```text
//! magic 8 │ block … block │ footer │ trailer 40
//! ```
//! The footer lists the blocks with their checksums and what they hold; the trailer says
//! where the footer is. `docs/format/part.md` has the bytes.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use crate::bytes::{Reader, put_varint};
use crate::error::{Error, Result};
use crate::vfs::{Append, ReadAt, Vfs};

pub(crate) mod logs;
pub(crate) mod merge;
pub(crate) mod metrics;
pub(crate) mod prune;
mod set;
pub(crate) mod spans;
mod tables;
mod trace_index;

pub(crate) use set::PartSet;
pub(crate) use tables::Owner;
pub(crate) use trace_index::blocks_of;

/// The last byte is the version of the format: the newest, which is written. Older ones are read.
const MAGIC: &[u8; 8] = b"TRFPART\x09";
const TRAILER_LEN: usize = 40;
/// The most a block may decompress to: one row can be as large as a batch.
const BLOCK_RAW_MAX: u64 = 160 << 20;
/// The most a footer may decompress to.
const FOOTER_RAW_MAX: u64 = 1 << 30;
/// zstd level of what a flush writes, and of what merging makes of it.
pub(crate) const LEVEL_FLUSH: i32 = 1;
pub(crate) const LEVEL_MERGE: i32 = 3;
/// What merging log records takes: ids and numbers in their lines meet by chance, and higher
/// levels spend bytes on such matches (level 3 made lines 1.6 % longer).
pub(crate) const LEVEL_MERGE_LOGS: i32 = 1;
const WRITE_BUFFER: usize = 1 << 20;

/// Which signal a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Signal {
    Metrics = 0,
    Logs = 1,
    Traces = 2,
}

impl Signal {
    pub(crate) const ALL: [Signal; 3] = [Signal::Metrics, Signal::Logs, Signal::Traces];

    pub(crate) fn from_code(code: u8) -> Option<Signal> {
        Signal::ALL.get(usize::from(code)).copied()
    }
}

/// What the manifest says of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartInfo {
    pub(crate) signal: Signal,
    /// Unique for the life of the store; names the file.
    pub(crate) id: u64,
    /// The UTC day all rows lie in, or [`partition_of`]'s mark for outlandish times.
    pub(crate) day: i32,
    /// The appends whose rows it holds (of its day).
    pub(crate) first_number: u64,
    pub(crate) last_number: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Bounds of the rows' times in Unix nanoseconds.
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
    /// Its time has come, and only the traces that matter were kept.
    pub(crate) thinned: bool,
}

impl PartInfo {
    pub(crate) fn file_name(&self) -> String {
        format!("{:016x}.part", self.id)
    }
}

/// Days that get a partition of their own: 1990 to 2150. All other times share one, so
/// that senders with broken clocks cannot make partitions without end.
const DAYS: std::ops::Range<i64> = 7_305..65_744;
const DAY_OUTLANDISH: i32 = -1;
const DAY_NS: i64 = 86_400_000_000_000;

/// The partition of a time. It depends on nothing else, so that two rows with one time
/// always meet in one partition.
pub(crate) fn partition_of(time_ns: i64) -> i32 {
    let day = time_ns.div_euclid(DAY_NS);
    if DAYS.contains(&day) { day as i32 } else { DAY_OUTLANDISH }
}

/// Where a block lies and how to check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRef {
    offset: u64,
    stored: u32,
    /// Length after decompression; equal to `stored` if it was not worth compressing.
    raw: u32,
    checksum: u64,
}

impl BlockRef {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.offset);
        put_varint(out, u64::from(self.stored));
        put_varint(out, u64::from(self.raw));
        out.extend_from_slice(&self.checksum.to_le_bytes());
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(BlockRef {
            offset: r.varint()?,
            stored: r.varint32()?,
            raw: r.varint32()?,
            checksum: r.u64()?,
        })
    }

    /// Where it begins in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Length after decompression.
    pub(crate) fn raw_len(&self) -> u64 {
        u64::from(self.raw)
    }
}

/// Writes a part file. Nothing refers to it before [`finish`](Self::finish) has synced it.
pub(crate) struct PartWriter {
    file: Box<dyn Append>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Bytes written, the buffer included.
    offset: u64,
    /// Kept from block to block: to make its tables takes longer than a small block.
    zstd: zstd::bulk::Compressor<'static>,
}

impl fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl PartWriter {
    pub(crate) fn create(vfs: &dyn Vfs, path: &Path, level: i32) -> Result<Self> {
        let file = vfs.create(path).map_err(|e| Error::io("create", path, e))?;
        let buffer = MAGIC.to_vec();
        let zstd = zstd::bulk::Compressor::new(level);
        let zstd = zstd.map_err(|e| Error::io("compress a block of", path, e))?;
        Ok(PartWriter { file, path: path.to_owned(), buffer, offset: 8, zstd })
    }

    /// Compresses and appends a block.
    pub(crate) fn block(&mut self, raw: &[u8]) -> Result<BlockRef> {
        if raw.len() as u64 > BLOCK_RAW_MAX {
            return Err(Error::LimitExceeded { what: "bytes of a block", limit: BLOCK_RAW_MAX });
        }
        let packed =
            self.zstd.compress(raw).map_err(|e| Error::io("compress a block of", &self.path, e))?;
        let stored = if packed.len() < raw.len() { &packed[..] } else { raw };
        self.store(stored, raw.len())
    }

    /// Appends a block as it is: for what does not compress.
    pub(crate) fn raw_block(&mut self, raw: &[u8]) -> Result<BlockRef> {
        if raw.len() as u64 > BLOCK_RAW_MAX {
            return Err(Error::LimitExceeded { what: "bytes of a block", limit: BLOCK_RAW_MAX });
        }
        self.store(raw, raw.len())
    }

    fn store(&mut self, stored: &[u8], raw_len: usize) -> Result<BlockRef> {
        let block = BlockRef {
            offset: self.offset,
            stored: stored.len() as u32,
            raw: raw_len as u32,
            checksum: xxh3_64(stored),
        };
        self.buffer.extend_from_slice(stored);
        self.offset += stored.len() as u64;
        if self.buffer.len() >= WRITE_BUFFER {
            self.write_out()?;
        }
        Ok(block)
    }

    fn write_out(&mut self) -> Result<()> {
        let written = self.file.append(&self.buffer);
        self.buffer.clear();
        written.map_err(|e| Error::io("write", &self.path, e))
    }

    /// Appends footer and trailer and syncs; returns the file's length.
    pub(crate) fn finish(mut self, footer: &[u8]) -> Result<u64> {
        let at = self.offset;
        let packed = self
            .zstd
            .compress(footer)
            .map_err(|e| Error::io("compress the footer of", &self.path, e))?;
        self.buffer.extend_from_slice(&packed);
        let mut trailer = Vec::with_capacity(TRAILER_LEN);
        trailer.extend_from_slice(&at.to_le_bytes());
        trailer.extend_from_slice(&(packed.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&(footer.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&xxh3_64(&packed).to_le_bytes());
        trailer.extend_from_slice(&xxh3_64(&trailer).to_le_bytes());
        self.buffer.extend_from_slice(&trailer);
        self.write_out()?;
        self.file.sync().map_err(|e| Error::io("sync", &self.path, e))?;
        Ok(at + packed.len() as u64 + TRAILER_LEN as u64)
    }
}

/// Counters that parts share with the store.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// Blocks set aside since start.
    pub(crate) blocks: AtomicU64,
}

/// A part file being read. Shared by every snapshot that may look into it; removed from
/// disk when it is doomed and the last of them is gone.
#[derive(Debug)]
pub(crate) struct PartFile {
    pub(crate) info: PartInfo,
    /// Of the format it is written in.
    pub(crate) version: u8,
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    /// Opened when needed; closed again when too many are open.
    file: Mutex<Option<Arc<dyn ReadAt>>>,
    doomed: AtomicBool,
    damage: Arc<Damage>,
    /// Offsets of blocks that were found damaged.
    set_aside: Mutex<HashSet<u64>>,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PartFile {
    /// Opens a part and reads its footer.
    pub(crate) fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        info: PartInfo,
        damage: Arc<Damage>,
    ) -> Result<(PartFile, Vec<u8>)> {
        let path = dir.join(info.file_name());
        let (version, footer) = read_footer(&*vfs, &path)?;
        let file = Mutex::new(None);
        let doomed = AtomicBool::new(false);
        let set_aside = Mutex::default();
        let file = PartFile { info, version, vfs, path, file, doomed, damage, set_aside };
        Ok((file, footer))
    }

    /// The error for a part whose content makes no sense although its checksum holds.
    pub(crate) fn corrupt(&self, why: &str) -> Error {
        Error::Corrupt { path: self.path.clone(), why: why.to_owned() }
    }

    /// The block's bytes; `None` if it is damaged, which is counted once.
    pub(crate) fn read(&self, block: &BlockRef) -> Result<Option<Vec<u8>>> {
        if hold(&self.set_aside).contains(&block.offset) {
            return Ok(None);
        }
        let mut stored = vec![0; block.stored as usize];
        match self.handle()?.read_at(block.offset, &mut stored) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                self.set_aside(block);
                return Ok(None);
            }
            Err(e) => return Err(Error::io("read", &self.path, e)),
        }
        let raw = (xxh3_64(&stored) == block.checksum).then(|| {
            if block.raw == block.stored { Some(stored) } else { unpack(&stored, block.raw_len()) }
        });
        match raw.flatten() {
            Some(raw) => Ok(Some(raw)),
            None => {
                self.set_aside(block);
                Ok(None)
            }
        }
    }

    /// The block as `decode` makes it of its bytes; `None` if it is damaged or malformed, which
    /// is counted once.
    pub(crate) fn decode<T>(
        &self,
        block: &BlockRef,
        decode: impl FnOnce(Vec<u8>) -> Option<T>,
    ) -> Result<Option<Arc<T>>> {
        let Some(bytes) = self.read(block)? else { return Ok(None) };
        let decoded = decode(bytes);
        if decoded.is_none() {
            self.set_aside(block);
        }
        Ok(decoded.map(Arc::new))
    }

    /// Marks a block as damaged: it is not read again.
    pub(crate) fn set_aside(&self, block: &BlockRef) {
        if hold(&self.set_aside).insert(block.offset) {
            self.damage.blocks.fetch_add(1, Relaxed);
        }
    }

    /// Whether a block of this part was found damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        !hold(&self.set_aside).is_empty()
    }

    fn handle(&self) -> Result<Arc<dyn ReadAt>> {
        let mut file = hold(&self.file);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let opened = self.vfs.open(&self.path).map_err(|e| Error::io("open", &self.path, e))?;
        *file = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads footer and trailer anew, and sees that nothing lies between the blocks that no
    /// checksum covers. Damage is counted as a block's.
    pub(crate) fn verify_frame(&self, blocks: &[BlockRef]) -> Result<Option<String>> {
        match read_footer(&*self.vfs, &self.path) {
            Ok(_) => {}
            Err(Error::Corrupt { why, .. }) => return Ok(Some(why)),
            Err(error) => return Err(error),
        }
        let mut ends: Vec<(u64, u64)> =
            blocks.iter().map(|b| (b.offset, b.offset + u64::from(b.stored))).collect();
        ends.sort_unstable();
        let mut next = MAGIC.len() as u64;
        for (from, to) in ends {
            if from != next {
                return Ok(Some(format!("nothing is known of the bytes {next} to {from}")));
            }
            next = to;
        }
        Ok(None)
    }

    /// Closes the file until it is read again.
    pub(crate) fn close(&self) {
        *hold(&self.file) = None;
    }

    /// Removes the file once nobody reads it any more.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Relaxed);
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.doomed.load(Relaxed) {
            // The manifest does not name it any more; if it stays, the next start removes it.
            let _ = self.vfs.remove(&self.path);
        }
    }
}

thread_local! {
    /// Kept from block to block: to make one takes an eighth of the time a block takes.
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        RefCell::new(zstd::bulk::Decompressor::new().ok());
}

fn unpack(stored: &[u8], raw_len: u64) -> Option<Vec<u8>> {
    if raw_len > BLOCK_RAW_MAX.max(FOOTER_RAW_MAX) {
        return None;
    }
    let raw = UNPACKER.with_borrow_mut(|unpacker| match unpacker {
        Some(unpacker) => unpacker.decompress(stored, raw_len as usize).ok(),
        None => zstd::bulk::decompress(stored, raw_len as usize).ok(),
    })?;
    (raw.len() as u64 == raw_len).then_some(raw)
}

/// The version of the format, and the footer's bytes.
fn read_footer(vfs: &dyn Vfs, path: &Path) -> Result<(u8, Vec<u8>)> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => Error::Corrupt {
            path: path.to_owned(),
            why: format!("the file is cut off or gone: {e}"),
        },
        _ => Error::io("read", path, e),
    };
    let corrupt = |why: &str| Error::Corrupt { path: path.to_owned(), why: why.to_owned() };
    let file = vfs.open(path).map_err(failed)?;
    let len = file.len().map_err(failed)?;
    let mut magic = [0; 8];
    file.read_at(0, &mut magic).map_err(failed)?;
    if magic[..7] != MAGIC[..7] {
        return Err(corrupt("it does not begin as a part does"));
    }
    if magic[7] == 0 || magic[7] > MAGIC[7] {
        return Err(Error::unknown_version(path, u32::from(magic[7]), u32::from(MAGIC[7])));
    }
    let trailer_at = len.checked_sub(TRAILER_LEN as u64).ok_or_else(|| corrupt("it is cut off"))?;
    let mut trailer = [0; TRAILER_LEN];
    file.read_at(trailer_at, &mut trailer).map_err(failed)?;
    let mut r = Reader::new(&trailer);
    let mut next = || r.u64().unwrap_or(0);
    let (at, stored_len, raw_len, checksum, own) = (next(), next(), next(), next(), next());
    if own != xxh3_64(&trailer[..TRAILER_LEN - 8]) {
        return Err(corrupt("the trailer's checksum does not hold"));
    }
    if at.checked_add(stored_len) != Some(trailer_at) || raw_len > FOOTER_RAW_MAX {
        return Err(corrupt("the trailer does not point to a footer"));
    }
    let mut stored = vec![0; stored_len as usize];
    file.read_at(at, &mut stored).map_err(failed)?;
    if xxh3_64(&stored) != checksum {
        return Err(corrupt("the footer's checksum does not hold"));
    }
    let footer = unpack(&stored, raw_len);
    Ok((magic[7], footer.ok_or_else(|| corrupt("the footer does not decompress"))?))
}
