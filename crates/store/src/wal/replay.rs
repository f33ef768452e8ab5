//! Reads the log back after a stop, however it stopped.

use std::io;
use std::path::Path;

use super::{Closed, MAGIC, PAYLOAD_BYTES_MAX, RECORD_HEADER, SEGMENT_HEADER, first_of};
use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::vfs::{ReadAt, Vfs};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// The number of the last append.
    pub(crate) last: u64,
    /// All segments, for trimming.
    pub(crate) closed: Vec<Closed>,
    /// Places in the middle of the log that could not be read.
    pub(crate) damaged: u64,
    /// Bytes of the log's end that were cut off: a write that a crash tore, most likely.
    pub(crate) cut_bytes: u64,
}

/// Calls `each` for every record, in order: also for those up to `flushed` that are still
/// there, because later ones may refer to them. A torn tail (an invalid end
/// of the last segment with nothing valid after it) is cut off; damage elsewhere is
/// skipped and counted.
pub(crate) fn replay(
    vfs: &dyn Vfs,
    dir: &Path,
    flushed: u64,
    each: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
) -> Result<Replayed> {
    let replayed = walk(vfs, dir, flushed, each)?;
    if let Some(newest) = replayed.closed.last() {
        // Also when nothing is cut: a killed process may have left records that only the
        // kernel has, and what follows them must not become durable before they are.
        vfs.cut(&newest.path, newest.bytes)
            .map_err(|e| Error::io("cut", &newest.path, e).after_cut(replayed.cut_bytes))?;
    }
    Ok(replayed)
}

/// Reads the log without changing it. What stands at its end may be written just now.
pub(crate) fn check(vfs: &dyn Vfs, dir: &Path, flushed: u64) -> Result<Replayed> {
    walk(vfs, dir, flushed, &mut |_, _| Ok(()))
}

fn walk(
    vfs: &dyn Vfs,
    dir: &Path,
    flushed: u64,
    each: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
) -> Result<Replayed> {
    let mut names = vfs.list(dir).map_err(|e| Error::io("list", dir, e))?;
    names.retain(|name| first_of(name).is_some());
    names.sort();
    let mut replayed = Replayed { last: flushed, ..Replayed::default() };
    for (at, name) in names.iter().enumerate() {
        let path = dir.join(name);
        let newest = at + 1 == names.len();
        let first = first_of(name).unwrap_or(0);
        let segment = Segment::open(vfs, &path)?;
        let before = replayed.damaged;
        let bytes = segment.replay(newest, (first, flushed), &mut replayed, each)?;
        if newest {
            replayed.cut_bytes = segment.len - bytes;
        }
        if let Some(next) = names.get(at + 1).and_then(|next| first_of(next)) {
            // The next segment says how far this one went. What is missing was lost, and its
            // numbers (and with them the name of this file) must not be given out again.
            let end = next.saturating_sub(1);
            replayed.damaged += u64::from(end > replayed.last && replayed.damaged == before);
            replayed.last = replayed.last.max(end);
        }
        let last = replayed.last;
        replayed.closed.push(Closed { path, last, bytes, damaged: replayed.damaged > before });
    }
    Ok(replayed)
}

struct Segment<'a> {
    path: &'a Path,
    file: std::sync::Arc<dyn ReadAt>,
    len: u64,
}

impl<'a> Segment<'a> {
    fn open(vfs: &dyn Vfs, path: &'a Path) -> Result<Self> {
        let file = vfs.open(path).map_err(|e| Error::io("open", path, e))?;
        let len = file.len().map_err(|e| Error::io("read", path, e))?;
        Ok(Segment { path, file, len })
    }

    /// Reads the records; returns the length that is worth keeping. `first` is the first
    /// number the segment may hold.
    fn replay(
        &self,
        newest: bool,
        (first, flushed): (u64, u64),
        replayed: &mut Replayed,
        each: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
    ) -> Result<u64> {
        let mut at = match self.check_header(first)? {
            true => SEGMENT_HEADER as u64,
            false => match self.find_record(0, replayed.last)? {
                Some(next) => {
                    replayed.damaged += 1;
                    next
                }
                // The start of a segment was never finished, or is all there was.
                // A failing disk may also have kept one that could not be begun and not be
                // removed; what came after it went elsewhere, and the numbers will tell.
                None => {
                    let held_something = self.len > SEGMENT_HEADER as u64;
                    replayed.damaged += u64::from(!newest && held_something);
                    return Ok(if newest { 0 } else { self.len });
                }
            },
        };
        while at < self.len {
            if let Some((number, payload)) = self.record(at)? {
                at += (RECORD_HEADER + payload.len()) as u64;
                if number <= replayed.last {
                    if number <= flushed {
                        each(number, payload)?;
                    }
                    continue;
                }
                // Numbers have no gaps: what is missing was lost with a damaged place.
                if number > replayed.last + 1 && replayed.damaged == 0 {
                    replayed.damaged += 1;
                }
                replayed.last = number;
                each(number, payload)?;
                continue;
            }
            match self.find_record(at + 1, replayed.last)? {
                Some(next) => {
                    replayed.damaged += 1;
                    at = next;
                }
                None if newest => return Ok(at),
                None => {
                    replayed.damaged += 1;
                    return Ok(self.len);
                }
            }
        }
        Ok(self.len)
    }

    /// False if there is no whole, valid header.
    fn check_header(&self, first: u64) -> Result<bool> {
        let mut header = [0; SEGMENT_HEADER];
        if self.len < SEGMENT_HEADER as u64 {
            return Ok(false);
        }
        self.read(0, &mut header)?;
        let checksum = xxhash_rust::xxh3::xxh3_64(&header[..16]).to_le_bytes();
        if header[16..] != checksum {
            return Ok(false);
        }
        if header[..8] != MAGIC[..] {
            let (found, known) = (u32::from(header[7]), u32::from(MAGIC[7]));
            return Err(Error::unknown_version(self.path, found, known));
        }
        Ok(header[8..16] == first.to_le_bytes())
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        self.file.read_at(at, out).map_err(|e| Error::io("read", self.path, e))
    }

    /// The record at a place, if a whole and valid one is there.
    fn record(&self, at: u64) -> Result<Option<(u64, Vec<u8>)>> {
        if self.len.saturating_sub(at) < RECORD_HEADER as u64 {
            return Ok(None);
        }
        let mut header = [0; RECORD_HEADER];
        self.read(at, &mut header)?;
        let Some((len, number, checksum)) = parse_header(&header) else { return Ok(None) };
        let end = at + RECORD_HEADER as u64 + len as u64;
        if len > PAYLOAD_BYTES_MAX || end > self.len {
            return Ok(None);
        }
        let mut payload = vec![0; len];
        self.read(at + RECORD_HEADER as u64, &mut payload)?;
        let valid = super::record_checksum(&header[..12], &payload) == checksum;
        Ok(valid.then_some((number, payload)))
    }

    /// The first place at or after `from` where a valid record with a later number begins.
    /// Only asked after damage, so it may look at every byte.
    fn find_record(&self, from: u64, last: u64) -> Result<Option<u64>> {
        /// Later numbers than this cannot be in one segment: a record takes 20 bytes.
        const NUMBERS_MAX: u64 = 1 << 32;
        let mut window = vec![0; 64 << 10];
        let mut at = from;
        while at + RECORD_HEADER as u64 <= self.len {
            let len = (self.len - at).min(window.len() as u64) as usize;
            match self.file.read_at(at, &mut window[..len]) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(e) => return Err(Error::io("read", self.path, e)),
            }
            for start in 0..=len - RECORD_HEADER {
                let header = &window[start..start + RECORD_HEADER];
                let Some((size, number, _)) = parse_header(header) else { continue };
                let plausible = number > last
                    && number - last < NUMBERS_MAX
                    && at + (start + RECORD_HEADER + size) as u64 <= self.len;
                if plausible && self.record(at + start as u64)?.is_some() {
                    return Ok(Some(at + start as u64));
                }
            }
            at += (len - RECORD_HEADER + 1) as u64;
        }
        Ok(None)
    }
}

fn parse_header(header: &[u8]) -> Option<(usize, u64, u64)> {
    let mut r = Reader::new(header);
    Some((r.u32()? as usize, r.u64()?, r.u64()?))
}
