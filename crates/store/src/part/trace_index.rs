//! Where the rows of a trace lie in a part.
//!
//! Traces are sorted by a hash of their id and kept in blocks of some thousands; the first
//! hash of each block is in the footer, so that a look-up reads one block. Two ids may
//! share a hash: whoever reads the rows compares the ids.

use xxhash_rust::xxh3::xxh3_64;

use super::{BlockRef, PartWriter};
use crate::bytes::{Reader, put_varint};
use crate::columns::{ints, put_ints};
use crate::error::Result;
use crate::model::TraceId;

const TRACES_PER_BLOCK: usize = 4096;

fn hash(trace: TraceId) -> u64 {
    xxh3_64(&trace)
}

/// A row: its block in the part and its place in the block.
pub(crate) type Place = (u32, u32);

/// Collects the places of rows while a part is written.
#[derive(Debug, Default)]
pub(crate) struct TraceIndexWriter {
    entries: Vec<(u64, u32, u32)>,
}

impl TraceIndexWriter {
    /// Rows without a trace are not indexed.
    pub(crate) fn push(&mut self, trace: TraceId, (block, row): Place) {
        if trace != [0; 16] {
            self.entries.push((hash(trace), block, row));
        }
    }

    /// Writes the index blocks and, into the footer, where they are.
    pub(crate) fn finish(&mut self, part: &mut PartWriter, footer: &mut Vec<u8>) -> Result<()> {
        self.entries.sort_unstable();
        let mut directory = Vec::new();
        let mut blocks = 0u64;
        let mut rest = &self.entries[..];
        while !rest.is_empty() {
            let mut end = rest.len().min(TRACES_PER_BLOCK);
            // A trace does not straddle two blocks.
            while end < rest.len() && rest[end].0 == rest[end - 1].0 {
                end += 1;
            }
            let (now, later) = rest.split_at(end);
            directory.extend_from_slice(&now[0].0.to_le_bytes());
            part.block(&encode(now))?.put(&mut directory);
            blocks += 1;
            rest = later;
        }
        put_varint(footer, blocks);
        footer.extend_from_slice(&directory);
        Ok(())
    }
}

fn encode(entries: &[(u64, u32, u32)]) -> Vec<u8> {
    let mut hashes: Vec<u64> = Vec::new();
    let mut counts: Vec<u64> = Vec::new();
    for &(hash, ..) in entries {
        if hashes.last() == Some(&hash) {
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
        } else {
            hashes.push(hash);
            counts.push(1);
        }
    }
    let mut out = Vec::new();
    put_varint(&mut out, hashes.len() as u64);
    put_ints(&mut out, &hashes);
    put_ints(&mut out, &counts);
    put_varint(&mut out, entries.len() as u64);
    put_ints(&mut out, &entries.iter().map(|e| u64::from(e.1)).collect::<Vec<_>>());
    put_ints(&mut out, &entries.iter().map(|e| u64::from(e.2)).collect::<Vec<_>>());
    out
}

/// The directory of a part's trace index.
#[derive(Debug)]
pub(crate) struct TraceIndex {
    /// First hash of each block.
    blocks: Vec<(u64, BlockRef)>,
}

impl TraceIndex {
    pub(crate) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let mut blocks = Vec::new();
        for _ in 0..r.count(19)? {
            blocks.push((r.u64()?, BlockRef::read(r)?));
        }
        Some(TraceIndex { blocks })
    }

    /// The block that knows the trace, if any does.
    pub(crate) fn block_of(&self, trace: TraceId) -> Option<&BlockRef> {
        let after = self.blocks.partition_point(|&(first, _)| first <= hash(trace));
        after.checked_sub(1).map(|at| &self.blocks[at].1)
    }
}

/// The places of a trace's rows, from an index block; `None` if the block is malformed.
pub(crate) fn places(block: &[u8], trace: TraceId) -> Option<Vec<Place>> {
    let mut r = Reader::new(block);
    let traces = usize::try_from(r.varint()?).ok()?;
    let hashes = ints(&mut r, traces)?;
    let counts = ints(&mut r, traces)?;
    let rows = usize::try_from(r.varint()?).ok()?;
    let blocks = ints(&mut r, rows)?;
    let rows = ints(&mut r, rows)?;
    let Ok(at) = hashes.binary_search(&hash(trace)) else { return Some(Vec::new()) };
    let before = counts.iter().take(at).sum::<u64>() as usize;
    let count = *counts.get(at)? as usize;
    let end = before.checked_add(count)?;
    let blocks = blocks.get(before..end)?;
    let rows = rows.get(before..end)?;
    Some(blocks.iter().zip(rows).map(|(&b, &r)| (b as u32, r as u32)).collect())
}
