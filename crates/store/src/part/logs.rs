//! Parts of log records, sorted by stream, then time.
//!
//! A block is kept in pieces that are read on their own: what most questions ask for,
//! bodies (two pieces), attributes, ids.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::tables::{Owner, Owners, OwnersWriter};
use super::trace_index::{TraceIndex, TraceIndexWriter};
use super::{BlockRef, PartFile, PartWriter};
use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::columns::KnownTemplates;
use crate::error::Result;
use crate::head::clamp_time;
use crate::labels::Labels;
use crate::model::{LogRecord, StoredLog};
use crate::vfs::Vfs;
use crate::words::LANE_BYTES;

mod block;
mod older;
mod pages;
mod pieces;
mod tallies;

use block::BlockWriter;
pub(crate) use block::{Groups, LogBlock, LogGroup};
pub(crate) use pages::PagePlace;
use pages::{PagesWriter, read_pages};
pub(crate) use pieces::{LogAttributes, LogBodies, LogIds};
pub(crate) use tallies::LogTallies;

/// A block is closed at this many rows or bytes, whichever comes first: enough for zstd
/// to find what repeats (half as many cost 3 % more), little enough to read for one line,
/// and to hold one of each stream when they are read in the order of time.
const BLOCK_ROWS: usize = 2048;
const BLOCK_BYTES: usize = 1 << 20;

/// The first version of the format whose bodies are taken apart.
const LINES_SINCE: u8 = 5;

/// The first version of the format whose blocks have a filter of words.
const WORDS_SINCE: u8 = 7;

/// The first version of the format whose blocks have tallies.
const TALLIES_SINCE: u8 = 8;

/// Writes a part; records come sorted by stream, then time.
#[derive(Debug)]
pub(crate) struct LogsWriter {
    part: PartWriter,
    owners: OwnersWriter,
    streams: Vec<(Labels, StreamStats)>,
    blocks: Vec<LogBlockInfo>,
    block: BlockWriter,
    words: PagesWriter,
    tallies: PagesWriter,
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
    /// Its word filter, empty if no body of the block has a long word; `None` in versions
    /// that have none.
    pub(crate) words: Option<PagePlace>,
    /// Its tallies, empty if it has none; `None` in versions that have none.
    pub(crate) tallies: Option<PagePlace>,
}

/// Where the other pieces of a block are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogPieces {
    pub(crate) bodies: BlockRef,
    /// What stands in the gaps of the bodies; `None` in versions before 5, whose bodies have none.
    pub(crate) gaps: Option<BlockRef>,
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
            // Half of the bits of a filter are set.
            words: PagesWriter::new(false),
            tallies: PagesWriter::new(true),
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
        let stream = self.count(stream, record);
        let owner = self.owners.insert(owner);
        self.block.push(stream, owner, record);
        self.end_row()
    }

    /// Adds a record without a body, and the body as another block has it taken apart. False
    /// if that does not have it so: then nothing is added.
    pub(crate) fn push_apart(
        &mut self,
        (stream, owner): (&Labels, Owner<'_>),
        record: &LogRecord<'_>,
        (bodies, row): (&LogBodies, usize),
        known: &mut KnownTemplates,
    ) -> Result<bool> {
        let known = known.of_block(self.blocks.len());
        if !self.block.push_body_apart(bodies, row, record.time_ns, known) {
            return Ok(false);
        }
        let stream = self.count(stream, record);
        let owner = self.owners.insert(owner);
        self.block.push_others(stream, owner, record);
        self.end_row()?;
        Ok(true)
    }

    /// Notes where a record belongs; returns the place of its stream.
    fn count(&mut self, stream: &Labels, record: &LogRecord<'_>) -> u64 {
        let time_ns = clamp_time(record.time_ns);
        if self.streams.last().is_none_or(|(last, _)| last != stream) {
            let stats = StreamStats { rows: 0, min_ns: time_ns, max_ns: time_ns };
            self.streams.push((stream.clone(), stats));
        }
        if let Some((_, stats)) = self.streams.last_mut() {
            stats.rows += 1;
            stats.min_ns = stats.min_ns.min(time_ns);
            stats.max_ns = stats.max_ns.max(time_ns);
        }
        self.min_ns = self.min_ns.min(time_ns);
        self.max_ns = self.max_ns.max(time_ns);
        self.rows += 1;
        self.traces.push(record.trace_id, self.blocks.len() as u32);
        self.streams.len() as u64 - 1
    }

    fn end_row(&mut self) -> Result<()> {
        if self.block.len() >= BLOCK_ROWS || self.block.byte_len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        let block = std::mem::take(&mut self.block);
        if block.len() == 0 {
            return Ok(());
        }
        let (min_ns, max_ns) = block.bounds();
        let (rows, streams) = (block.len() as u32, block.streams());
        let pieces = block.finish();
        let words = self.words.add(&mut self.part, &pieces.words)?;
        let tallies = self.tallies.add(&mut self.part, &pieces.tallies)?;
        self.blocks.push(LogBlockInfo {
            block: self.part.raw_block(&pieces.core)?,
            more: Some(LogPieces {
                bodies: self.part.block(&pieces.text)?,
                gaps: Some(self.part.raw_block(&pieces.gaps)?),
                attributes: self.part.block(&pieces.attributes)?,
                ids: self.part.raw_block(&pieces.ids)?,
            }),
            rows,
            min_ns,
            max_ns,
            streams,
            words: Some(words),
            tallies: Some(tallies),
        });
        Ok(())
    }

    /// Writes what is left and syncs; returns the file's length.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.end_block()?;
        self.words.end_page(&mut self.part)?;
        self.tallies.end_page(&mut self.part)?;
        let mut footer = Vec::new();
        self.owners.finish(&mut footer);
        put_varint(&mut footer, self.streams.len() as u64);
        for (labels, stats) in &self.streams {
            put_bytes(&mut footer, labels.as_bytes());
            put_varint(&mut footer, stats.rows);
            put_signed(&mut footer, stats.min_ns);
            put_signed(&mut footer, stats.max_ns);
        }
        self.words.put(&mut footer);
        self.tallies.put(&mut footer);
        put_varint(&mut footer, self.blocks.len() as u64);
        for info in &self.blocks {
            info.block.put(&mut footer);
            if let Some(more) = &info.more {
                more.bodies.put(&mut footer);
                more.gaps.iter().for_each(|gaps| gaps.put(&mut footer));
                more.attributes.put(&mut footer);
                more.ids.put(&mut footer);
            }
            put_varint(&mut footer, u64::from(info.rows));
            put_signed(&mut footer, info.min_ns);
            put_signed(&mut footer, info.max_ns);
            put_varint(&mut footer, u64::from(info.streams.0));
            put_varint(&mut footer, u64::from(info.streams.1));
            info.words.iter().for_each(|words| words.put(LANE_BYTES as u32, &mut footer));
            info.tallies.iter().for_each(|tallies| tallies.put(1, &mut footer));
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
    /// Where the filters of blocks are, and the tallies.
    pub(crate) words: Vec<BlockRef>,
    pub(crate) tallies: Vec<BlockRef>,
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
        let Some(Footer { owners, streams, words, tallies, blocks, traces }) =
            read_footer(&mut r, file.version)
        else {
            return Err(file.corrupt("the footer is malformed"));
        };
        Ok(LogsPart { file, owners, streams, words, tallies, blocks, traces })
    }

    /// Every block of the file.
    pub(crate) fn block_refs(&self) -> Vec<BlockRef> {
        let mut refs = self.words.clone();
        refs.extend(&self.tallies);
        for info in &self.blocks {
            refs.push(info.block);
            if let Some(more) = &info.more {
                refs.extend([more.bodies, more.attributes, more.ids]);
                refs.extend(more.gaps);
            }
        }
        refs.extend(self.traces.block_refs());
        refs
    }

    /// Reads the first piece of a block; `None` if it is damaged.
    pub(crate) fn read(&self, info: &LogBlockInfo) -> Result<Option<Arc<LogBlock>>> {
        let version = self.file.version;
        self.file.decode(&info.block, |bytes| {
            let block = if version < LINES_SINCE {
                older::block(bytes, version)
            } else {
                LogBlock::read(&bytes)
            };
            block.filter(|b| b.len() == info.rows as usize)
        })
    }

    /// Reads the bodies of a block.
    pub(crate) fn read_bodies(
        &self,
        pieces: &LogPieces,
        rows: u32,
    ) -> Result<Option<Arc<LogBodies>>> {
        let gaps = match &pieces.gaps {
            None => None,
            Some(gaps) => match self.file.read(gaps)? {
                None => return Ok(None),
                gaps => gaps,
            },
        };
        self.file.decode(&pieces.bodies, |bytes| match gaps {
            None => older::bodies(bytes, rows as usize),
            Some(gaps) => LogBodies::read(bytes, gaps, rows as usize, self.file.version),
        })
    }

    /// Reads the attributes of a block.
    pub(crate) fn read_attributes(
        &self,
        pieces: &LogPieces,
        block: &LogBlock,
    ) -> Result<Option<Arc<LogAttributes>>> {
        self.file.decode(&pieces.attributes, |bytes| LogAttributes::read(bytes, block))
    }

    /// Reads the ids of a block.
    pub(crate) fn read_ids(&self, pieces: &LogPieces, rows: u32) -> Result<Option<Arc<LogIds>>> {
        let version = self.file.version;
        self.file.decode(&pieces.ids, |bytes| match version {
            ..LINES_SINCE => older::ids(&bytes, rows as usize),
            _ => LogIds::read(&bytes, rows as usize),
        })
    }

    /// Reads all pieces of a block; `None` if one is damaged.
    pub(crate) fn read_whole(&self, info: &LogBlockInfo) -> Result<Option<LogRows>> {
        let Some(block) = self.read(info)? else { return Ok(None) };
        let Some(pieces) = &info.more else { return Ok(Some(LogRows::of_one_piece(block))) };
        let (Some(bodies), Some(attributes), Some(ids)) = (
            self.read_bodies(pieces, info.rows)?,
            self.read_attributes(pieces, &block)?,
            self.read_ids(pieces, info.rows)?,
        ) else {
            return Ok(None);
        };
        let (bodies, attributes, ids) = (Some(bodies), Some(attributes), Some(ids));
        Ok(Some(LogRows { block, bodies, attributes, ids }))
    }

    /// A record of a group.
    pub(crate) fn stored<'r>(
        &self,
        group: &LogGroup,
        record: LogRecord<'r>,
    ) -> Option<StoredLog<'r>> {
        let stream = self.streams.get(usize::try_from(group.stream).ok()?)?;
        Some(StoredLog {
            record,
            stream: stream.labels.clone(),
            resource: Arc::clone(self.owners.resource(group.resource)?),
            scope: Arc::clone(self.owners.scope(group.scope)?),
        })
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
    /// A block without anything more than its first piece.
    pub(crate) fn new(block: Arc<LogBlock>) -> Self {
        LogRows { block, ..LogRows::default() }
    }

    /// A block of version 1.
    pub(crate) fn of_one_piece(block: Arc<LogBlock>) -> Self {
        let pieces = block.older.as_ref().and_then(|older| older.pieces.clone());
        let (bodies, attributes, ids) = pieces
            .map_or((None, None, None), |(bodies, attributes, ids)| {
                (Some(bodies), Some(attributes), Some(ids))
            });
        LogRows { block, bodies, attributes, ids }
    }

    /// A row; what was not read of it is empty.
    pub(crate) fn stored(&self, part: &LogsPart, row: usize) -> Option<StoredLog<'_>> {
        let block = &self.block;
        let group = block.group(row)?;
        let mut record = LogRecord { time_ns: *block.times.get(row)?, ..group.record() };
        if let Some(older) = &block.older {
            older.details.put(row, &mut record)?;
            record.flags = *older.flags.get(row)? as u32;
        }
        if let Some(bodies) = &self.bodies {
            record.body = bodies.get(block, row)?;
        }
        if let Some(attributes) = &self.attributes {
            record.attributes = attributes.get(row);
            if let Some(details) = &attributes.details {
                details.put(row, &mut record)?;
            }
        }
        if let Some(ids) = &self.ids {
            (record.trace_id, record.span_id) = (*ids.traces.get(row)?, *ids.spans.get(row)?);
            if let Some(flags) = &ids.flags {
                record.flags = *flags.get(row)?;
            }
        }
        part.stored(group, record)
    }

    /// Numbers rows so that two of one number differ in nothing but time, body, ids,
    /// attributes that are not wanted, and what only OTLP knows: flags, event name,
    /// observed time, dropped attributes. And how many numbers there are.
    pub(crate) fn groups(&self, wanted: &dyn Fn(&str) -> bool) -> (Cow<'_, [u16]>, usize) {
        let block = &self.block;
        let Some(attributes) = &self.attributes else {
            return (Cow::Borrowed(&block.codes), block.groups.len());
        };
        let mut known: HashMap<(u16, u64), u16> = HashMap::new();
        let of_attributes = attributes.codes(wanted);
        let groups = block.codes.iter().zip(of_attributes).map(|key| {
            // A block with more rows than that was not written by us; it does no harm.
            let next = u16::try_from(known.len()).unwrap_or(u16::MAX);
            *known.entry((*key.0, key.1)).or_insert(next)
        });
        (Cow::Owned(groups.collect()), known.len())
    }
}

struct Footer {
    owners: Owners,
    streams: Vec<PartStream>,
    words: Vec<BlockRef>,
    tallies: Vec<BlockRef>,
    blocks: Vec<LogBlockInfo>,
    traces: TraceIndex,
}

fn read_footer(r: &mut Reader<'_>, version: u8) -> Option<Footer> {
    let owners = Owners::read(r)?;
    let mut streams = Vec::new();
    for _ in 0..r.count(4)? {
        let labels = Labels::from_bytes(r.bytes()?)?;
        let rows = r.varint()?;
        streams.push(PartStream { labels, rows, min_ns: r.signed()?, max_ns: r.signed()? });
    }
    let (has_words, has_tallies) = (version >= WORDS_SINCE, version >= TALLIES_SINCE);
    let words = if has_words { read_pages(r)? } else { Vec::new() };
    let tallies = if has_tallies { read_pages(r)? } else { Vec::new() };
    let mut blocks: Vec<LogBlockInfo> = Vec::new();
    for _ in 0..r.count(16)? {
        let before = blocks.last();
        let (words_before, tallies_before) =
            (before.and_then(|info| info.words), before.and_then(|info| info.tallies));
        blocks.push(LogBlockInfo {
            block: BlockRef::read(r)?,
            more: match version {
                1 => None,
                _ => Some(LogPieces {
                    bodies: BlockRef::read(r)?,
                    gaps: if version < LINES_SINCE { None } else { Some(BlockRef::read(r)?) },
                    attributes: BlockRef::read(r)?,
                    ids: BlockRef::read(r)?,
                }),
            },
            rows: r.varint32()?,
            min_ns: r.signed()?,
            max_ns: r.signed()?,
            streams: (r.varint32()?, r.varint32()?),
            words: match has_words {
                true => Some(PagePlace::read(r, LANE_BYTES as u32, words_before, &words)?),
                false => None,
            },
            tallies: match has_tallies {
                true => Some(PagePlace::read(r, 1, tallies_before, &tallies)?),
                false => None,
            },
        });
    }
    let traces = TraceIndex::read(r)?;
    r.is_empty().then_some(Footer { owners, streams, words, tallies, blocks, traces })
}
