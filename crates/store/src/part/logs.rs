//! Parts of log records, sorted by stream, then time.
//!
//! A block is kept in four pieces that are read on their own: what most questions ask for,
//! bodies, attributes, ids.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::tables::{Owner, Owners, OwnersWriter};
use super::trace_index::{TraceIndex, TraceIndexWriter};
use super::{BlockRef, PartFile, PartWriter};
use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::error::Result;
use crate::head::clamp_time;
use crate::labels::Labels;
use crate::model::{LogRecord, StoredLog};
use crate::vfs::Vfs;

mod block;

use block::BlockWriter;
pub(crate) use block::{LogAttributes, LogBlock, LogBodies, LogIds};

/// A block is closed at this many rows or bytes, whichever comes first: enough for zstd
/// to find what repeats (half as many cost 3 % more), little enough to read for one line,
/// and to hold one of each stream when they are read in the order of time.
const BLOCK_ROWS: usize = 2048;
const BLOCK_BYTES: usize = 1 << 20;

/// Writes a part; records come sorted by stream, then time.
#[derive(Debug)]
pub(crate) struct LogsWriter {
    part: PartWriter,
    owners: OwnersWriter,
    streams: Vec<(Labels, StreamStats)>,
    blocks: Vec<LogBlockInfo>,
    block: BlockWriter,
    traces: TraceIndexWriter,
    pub(crate) rows: u64,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
}

#[derive(Clone, Copy, Debug)]
struct StreamStats {
    rows: u64,
    min_ns: i64,
    max_ns: i64,
}

/// What the footer says of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogBlockInfo {
    pub(crate) block: BlockRef,
    /// `None` in version 1, whose blocks have everything in one.
    pub(crate) more: Option<LogPieces>,
    pub(crate) rows: u32,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
    /// First and last stream with rows in the block, by their place in the footer.
    pub(crate) streams: (u32, u32),
}

/// Where the other pieces of a block are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogPieces {
    pub(crate) bodies: BlockRef,
    pub(crate) attributes: BlockRef,
    pub(crate) ids: BlockRef,
}

impl LogsWriter {
    pub(crate) fn create(vfs: &dyn Vfs, path: &Path, level: i32) -> Result<Self> {
        Ok(LogsWriter {
            part: PartWriter::create(vfs, path, level)?,
            owners: OwnersWriter::default(),
            streams: Vec::new(),
            blocks: Vec::new(),
            block: BlockWriter::default(),
            traces: TraceIndexWriter::default(),
            rows: 0,
            min_ns: i64::MAX,
            max_ns: i64::MIN,
        })
    }

    pub(crate) fn push(
        &mut self,
        stream: &Labels,
        owner: Owner<'_>,
        record: &LogRecord<'_>,
    ) -> Result<()> {
        let time_ns = clamp_time(record.time_ns);
        if self.streams.last().is_none_or(|(last, _)| last != stream) {
            let stats = StreamStats { rows: 0, min_ns: time_ns, max_ns: time_ns };
            self.streams.push((stream.clone(), stats));
        }
        let index = self.streams.len() as u64 - 1;
        if let Some((_, stats)) = self.streams.last_mut() {
            stats.rows += 1;
            stats.min_ns = stats.min_ns.min(time_ns);
            stats.max_ns = stats.max_ns.max(time_ns);
        }
        self.min_ns = self.min_ns.min(time_ns);
        self.max_ns = self.max_ns.max(time_ns);
        self.rows += 1;
        self.traces.push(record.trace_id, self.blocks.len() as u32);
        self.block.push(index, self.owners.insert(owner), record);
        if self.block.len() >= BLOCK_ROWS || self.block.byte_len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        let block = std::mem::take(&mut self.block);
        let (Some(&first), Some(&last)) = (block.streams.first(), block.streams.last()) else {
            return Ok(());
        };
        let (min_ns, max_ns) = block.bounds();
        let pieces = block.finish();
        self.blocks.push(LogBlockInfo {
            block: self.part.block(&pieces.core)?,
            more: Some(LogPieces {
                bodies: self.part.block(&pieces.bodies)?,
                attributes: self.part.block(&pieces.attributes)?,
                ids: self.part.raw_block(&pieces.ids)?,
            }),
            rows: block.len() as u32,
            min_ns,
            max_ns,
            streams: (first as u32, last as u32),
        });
        Ok(())
    }

    /// Writes what is left and syncs; returns the file's length.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.end_block()?;
        let mut footer = Vec::new();
        self.owners.finish(&mut footer);
        put_varint(&mut footer, self.streams.len() as u64);
        for (labels, stats) in &self.streams {
            put_bytes(&mut footer, labels.as_bytes());
            put_varint(&mut footer, stats.rows);
            put_signed(&mut footer, stats.min_ns);
            put_signed(&mut footer, stats.max_ns);
        }
        put_varint(&mut footer, self.blocks.len() as u64);
        for info in &self.blocks {
            info.block.put(&mut footer);
            if let Some(more) = &info.more {
                more.bodies.put(&mut footer);
                more.attributes.put(&mut footer);
                more.ids.put(&mut footer);
            }
            put_varint(&mut footer, u64::from(info.rows));
            put_signed(&mut footer, info.min_ns);
            put_signed(&mut footer, info.max_ns);
            put_varint(&mut footer, u64::from(info.streams.0));
            put_varint(&mut footer, u64::from(info.streams.1));
        }
        self.traces.finish(&mut self.part, &mut footer)?;
        self.part.finish(&footer)
    }
}

/// A part that can be asked.
#[derive(Debug)]
pub(crate) struct LogsPart {
    pub(crate) file: PartFile,
    pub(crate) owners: Owners,
    pub(crate) streams: Vec<PartStream>,
    pub(crate) blocks: Vec<LogBlockInfo>,
    pub(crate) traces: TraceIndex,
}

/// A stream of a part.
#[derive(Debug)]
pub(crate) struct PartStream {
    pub(crate) labels: Labels,
    pub(crate) rows: u64,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
}

impl LogsPart {
    pub(crate) fn new(file: PartFile, footer: &[u8]) -> Result<Self> {
        let mut r = Reader::new(footer);
        let Some((owners, streams, blocks, traces)) = read_footer(&mut r, file.version) else {
            return Err(file.corrupt("the footer is malformed"));
        };
        Ok(LogsPart { file, owners, streams, blocks, traces })
    }

    /// Every block of the file.
    pub(crate) fn block_refs(&self) -> Vec<BlockRef> {
        let mut refs = Vec::new();
        for info in &self.blocks {
            refs.push(info.block);
            refs.extend(info.more.iter().flat_map(|m| [m.bodies, m.attributes, m.ids]));
        }
        refs.extend(self.traces.block_refs());
        refs
    }

    /// Reads the first piece of a block; `None` if it is damaged.
    pub(crate) fn read(&self, info: &LogBlockInfo) -> Result<Option<Arc<LogBlock>>> {
        self.decode(&info.block, |bytes| {
            let block = LogBlock::read(bytes, self.file.version);
            block.filter(|b| b.times.len() == info.rows as usize)
        })
    }

    /// Reads the bodies of a block.
    pub(crate) fn read_bodies(&self, at: &BlockRef, rows: u32) -> Result<Option<Arc<LogBodies>>> {
        self.decode(at, |bytes| LogBodies::read(bytes, rows as usize))
    }

    /// Reads the attributes of a block.
    pub(crate) fn read_attributes(
        &self,
        at: &BlockRef,
        rows: u32,
    ) -> Result<Option<Arc<LogAttributes>>> {
        self.decode(at, |bytes| LogAttributes::read(bytes, rows as usize))
    }

    /// Reads the ids of a block.
    pub(crate) fn read_ids(&self, at: &BlockRef, rows: u32) -> Result<Option<Arc<LogIds>>> {
        self.decode(at, |bytes| LogIds::read(&bytes, rows as usize))
    }

    /// Reads all pieces of a block; `None` if one is damaged.
    pub(crate) fn read_whole(&self, info: &LogBlockInfo) -> Result<Option<LogRows>> {
        let Some(block) = self.read(info)? else { return Ok(None) };
        let pieces = match (&info.more, &block.inline) {
            (Some(more), _) => (
                self.read_bodies(&more.bodies, info.rows)?,
                self.read_attributes(&more.attributes, info.rows)?,
                self.read_ids(&more.ids, info.rows)?,
            ),
            (None, Some((bodies, attributes, ids))) => {
                (Some(Arc::clone(bodies)), Some(Arc::clone(attributes)), Some(Arc::clone(ids)))
            }
            (None, None) => (None, None, None),
        };
        let (Some(bodies), Some(attributes), Some(ids)) = pieces else { return Ok(None) };
        let (bodies, attributes, ids) = (Some(bodies), Some(attributes), Some(ids));
        Ok(Some(LogRows { block, bodies, attributes, ids }))
    }

    fn decode<T>(
        &self,
        block: &BlockRef,
        decode: impl FnOnce(Vec<u8>) -> Option<T>,
    ) -> Result<Option<Arc<T>>> {
        let Some(bytes) = self.file.read(block)? else { return Ok(None) };
        let decoded = decode(bytes);
        if decoded.is_none() {
            self.file.set_aside(block);
        }
        Ok(decoded.map(Arc::new))
    }
}

/// Rows of a block, with the pieces of it that are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogRows {
    pub(crate) block: Arc<LogBlock>,
    pub(crate) bodies: Option<Arc<LogBodies>>,
    pub(crate) attributes: Option<Arc<LogAttributes>>,
    pub(crate) ids: Option<Arc<LogIds>>,
}

impl LogRows {
    /// A row; what was not read of it is empty.
    pub(crate) fn stored(&self, part: &LogsPart, row: usize) -> Option<StoredLog<'_>> {
        let block = &self.block;
        let mut record = block.record(row)?;
        if let Some(bodies) = &self.bodies {
            record.body = bodies.get(block, row)?;
        }
        if let Some(attributes) = &self.attributes {
            record.attributes = attributes.get(row);
        }
        if let Some(ids) = &self.ids {
            (record.trace_id, record.span_id) = (*ids.traces.get(row)?, *ids.spans.get(row)?);
        }
        let stream = part.streams.get(usize::try_from(*block.streams.get(row)?).ok()?)?;
        Some(StoredLog {
            record,
            stream: stream.labels.clone(),
            resource: Arc::clone(part.owners.resource(*block.resources.get(row)?)?),
            scope: Arc::clone(part.owners.scope(*block.scopes.get(row)?)?),
        })
    }

    /// Numbers rows so that two of one number differ in nothing but time, body, ids,
    /// attributes that are not wanted, and what only OTLP knows: flags, event name,
    /// observed time, dropped attributes.
    pub(crate) fn groups(&self, rows: &[(i64, u32)], wanted: &dyn Fn(&str) -> bool) -> Vec<u32> {
        let block = &self.block;
        let codes = self.attributes.as_ref().map(|attributes| attributes.codes(wanted));
        let mut known: HashMap<[u64; 6], u32> = HashMap::new();
        let mut last: Option<([u64; 6], u32)> = None;
        let mut groups = Vec::with_capacity(rows.len());
        for &(_, row) in rows {
            let row = row as usize;
            let key = [
                block.streams[row],
                block.resources[row],
                block.scopes[row],
                block.severities[row],
                block.severity_texts.code(row) as u64,
                codes.as_ref().map_or(0, |codes| codes[row]),
            ];
            let group = match last {
                Some((last, group)) if last == key => group,
                _ => {
                    let next = known.len() as u32;
                    *known.entry(key).or_insert(next)
                }
            };
            last = Some((key, group));
            groups.push(group);
        }
        groups
    }
}

type Footer = (Owners, Vec<PartStream>, Vec<LogBlockInfo>, TraceIndex);

fn read_footer(r: &mut Reader<'_>, version: u8) -> Option<Footer> {
    let owners = Owners::read(r)?;
    let mut streams = Vec::new();
    for _ in 0..r.count(4)? {
        let labels = Labels::from_bytes(r.bytes()?)?;
        let rows = r.varint()?;
        streams.push(PartStream { labels, rows, min_ns: r.signed()?, max_ns: r.signed()? });
    }
    let mut blocks = Vec::new();
    for _ in 0..r.count(16)? {
        blocks.push(LogBlockInfo {
            block: BlockRef::read(r)?,
            more: match version {
                1 => None,
                _ => Some(LogPieces {
                    bodies: BlockRef::read(r)?,
                    attributes: BlockRef::read(r)?,
                    ids: BlockRef::read(r)?,
                }),
            },
            rows: r.varint32()?,
            min_ns: r.signed()?,
            max_ns: r.signed()?,
            streams: (r.varint32()?, r.varint32()?),
        });
    }
    let traces = TraceIndex::read(r)?;
    r.is_empty().then_some((owners, streams, blocks, traces))
}
