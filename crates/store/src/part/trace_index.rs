//! Which blocks of a part hold rows of a trace.
//!
//! Traces are sorted by a hash of their id and kept in blocks of some thousands; the first
//! hash of each block is in the footer, so that a look-up reads one block. The hash has
//! 32 bits: in a part of four million traces one look-up in a thousand reads a block for
//! nothing. Whoever reads the rows compares the ids.

use xxhash_rust::xxh3::xxh3_64;

use super::{BlockRef, PartWriter};
use crate::bytes::{Reader, put_varint};
use crate::columns::{ints, put_ints};
use crate::error::Result;
use crate::model::TraceId;

const TRACES_PER_BLOCK: usize = 4096;

fn hash(trace: TraceId) -> u32 {
    xxh3_64(&trace) as u32
}

/// Collects the blocks of traces while a part is written.
#[derive(Debug, Default)]
pub(crate) struct TraceIndexWriter {
    /// Hash and block of each row.
    entries: Vec<(u32, u32)>,
}

impl TraceIndexWriter {
    /// Rows without a trace are not indexed.
    pub(crate) fn push(&mut self, trace: TraceId, block: u32) {
        if trace != [0; 16] {
            self.entries.push((hash(trace), block));
        }
    }

    /// Writes the index blocks and, into the footer, where they are.
    pub(crate) fn finish(&mut self, part: &mut PartWriter, footer: &mut Vec<u8>) -> Result<()> {
        self.entries.sort_unstable();
        self.entries.dedup();
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

fn encode(entries: &[(u32, u32)]) -> Vec<u8> {
    let mut hashes: Vec<u64> = Vec::new();
    let mut counts: Vec<u64> = Vec::new();
    for traced in entries.chunk_by(|a, b| a.0 == b.0) {
        hashes.push(u64::from(traced[0].0));
        counts.push(traced.len() as u64);
    }
    let mut out = Vec::new();
    put_varint(&mut out, hashes.len() as u64);
    put_ints(&mut out, &hashes);
    put_ints(&mut out, &counts);
    put_varint(&mut out, entries.len() as u64);
    put_ints(&mut out, &entries.iter().map(|e| u64::from(e.1)).collect::<Vec<_>>());
    out
}

/// The directory of a part's trace index.
#[derive(Debug)]
pub(crate) struct TraceIndex {
    /// First hash of each block.
    blocks: Vec<(u32, BlockRef)>,
}

impl TraceIndex {
    pub(crate) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let mut blocks = Vec::new();
        for _ in 0..r.count(15)? {
            blocks.push((r.u32()?, BlockRef::read(r)?));
        }
        Some(TraceIndex { blocks })
    }

    /// Every block of the index.
    pub(crate) fn block_refs(&self) -> impl Iterator<Item = BlockRef> {
        self.blocks.iter().map(|(_, block)| *block)
    }

    /// The index block that knows the trace, if any does.
    pub(crate) fn block_of(&self, trace: TraceId) -> Option<&BlockRef> {
        let after = self.blocks.partition_point(|&(first, _)| first <= hash(trace));
        after.checked_sub(1).map(|at| &self.blocks[at].1)
    }
}

/// The blocks that may hold rows of a trace, ascending, from an index block; `None` if
/// that is malformed.
pub(crate) fn blocks_of(index: &[u8], trace: TraceId) -> Option<Vec<u32>> {
    let mut r = Reader::new(index);
    let traces = usize::try_from(r.varint()?).ok()?;
    let hashes = ints(&mut r, traces)?;
    let counts = ints(&mut r, traces)?;
    let entries = usize::try_from(r.varint()?).ok()?;
    let blocks = ints(&mut r, entries)?;
    let Ok(at) = hashes.binary_search(&u64::from(hash(trace))) else { return Some(Vec::new()) };
    let before = counts.iter().take(at).sum::<u64>() as usize;
    let end = before.checked_add(*counts.get(at)? as usize)?;
    Some(blocks.get(before..end)?.iter().map(|&block| block as u32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_a_trace_is_found() {
        let id = |n: u16| {
            let mut id = [7; 16];
            id[..2].copy_from_slice(&n.to_le_bytes());
            id
        };
        let mut writer = TraceIndexWriter::default();
        for n in 0..1000u16 {
            for block in [u32::from(n % 7), u32::from(n % 7), 9] {
                writer.push(id(n), block);
            }
        }
        writer.push([0; 16], 3);
        writer.entries.sort_unstable();
        writer.entries.dedup();
        let index = encode(&writer.entries);
        for n in 0..1000u16 {
            let blocks = blocks_of(&index, id(n)).unwrap();
            assert!(blocks.contains(&u32::from(n % 7)) && blocks.contains(&9), "{n}: {blocks:?}");
        }
        assert_eq!(blocks_of(&index, [0; 16]), Some(vec![]));
        for cut in 0..index.len() {
            let _ = blocks_of(&index[..cut], id(1));
        }
    }
}
