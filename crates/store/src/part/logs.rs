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
use crate::error::Result;
use crate::head::clamp_time;
use crate::labels::Labels;
use crate::model::{LogRecord, StoredLog};
use crate::vfs::Vfs;
use crate::words::LANE_BYTES;

mod block;
mod older;
mod pieces;

use block::BlockWriter;
pub(crate) use block::{Groups, LogBlock, LogGroup};
pub(crate) use pieces::{LogAttributes, LogBodies, LogIds};

/// A block is closed at this many rows or bytes, whichever comes first: enough for zstd
/// to find what repeats (half as many cost 3 % more), little enough to read for one line,
/// and to hold one of each stream when they are read in the order of time.
const BLOCK_ROWS: usize = 2048;
const BLOCK_BYTES: usize = 1 << 20;

/// The first version of the format whose bodies are taken apart.
const LINES_SINCE: u8 = 5;

/// The first version of the format whose blocks have a filter of words.
const WORDS_SINCE: u8 = 7;
/// A page of filters is closed at this many bytes.
const PAGE_BYTES: usize = 64 << 10;

/// Writes a part; records come sorted by stream, then time.
#[derive(Debug)]
pub(crate) struct LogsWriter {
    part: PartWriter,
    owners: OwnersWriter,
    streams: Vec<(Labels, StreamStats)>,
    blocks: Vec<LogBlockInfo>,
    block: BlockWriter,
    /// The page of filters to come, and those that are written.
    page: Vec<u8>,
    pages: Vec<BlockRef>,
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
    /// `None` in versions that have none.
    pub(crate) words: Option<WordsRef>,
}

/// Where the filter of a block is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordsRef {
    /// The page, by its place.
    pub(crate) page: u32,
    /// Where it begins there and how long it is, in bytes.
    at: u32,
    len: u32,
}

impl WordsRef {
    /// Whether no body of the block has a long word.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The filter out of its page.
    pub(crate) fn of<'a>(&self, page: &'a [u8]) -> Option<&'a [u8]> {
        page.get(self.at as usize..self.at as usize + self.len as usize)
    }
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
            page: Vec::new(),
            pages: Vec::new(),
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
        if block.len() == 0 {
            return Ok(());
        }
        let (min_ns, max_ns) = block.bounds();
        let (rows, streams) = (block.len() as u32, block.streams());
        let pieces = block.finish();
        let words = Some(self.add_words(&pieces.words)?);
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
            words,
        });
        Ok(())
    }

    /// Adds the filter of a block to the page.
    fn add_words(&mut self, filter: &[u8]) -> Result<WordsRef> {
        if self.page.len() >= PAGE_BYTES {
            self.end_page()?;
        }
        let (page, at) = (self.pages.len() as u32, self.page.len() as u32);
        self.page.extend_from_slice(filter);
        Ok(WordsRef { page, at, len: filter.len() as u32 })
    }

    fn end_page(&mut self) -> Result<()> {
        if !self.page.is_empty() {
            // Half of the bits are set, so it does not compress.
            self.pages.push(self.part.raw_block(&self.page)?);
            self.page.clear();
        }
        Ok(())
    }

    /// Writes what is left and syncs; returns the file's length.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.end_block()?;
        self.end_page()?;
        let mut footer = Vec::new();
        self.owners.finish(&mut footer);
        put_varint(&mut footer, self.streams.len() as u64);
        for (labels, stats) in &self.streams {
            put_bytes(&mut footer, labels.as_bytes());
            put_varint(&mut footer, stats.rows);
            put_signed(&mut footer, stats.min_ns);
            put_signed(&mut footer, stats.max_ns);
        }
        put_varint(&mut footer, self.pages.len() as u64);
        self.pages.iter().for_each(|page| page.put(&mut footer));
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
            if let Some(words) = &info.words {
                put_varint(&mut footer, u64::from(words.page));
                put_varint(&mut footer, u64::from(words.len) / LANE_BYTES as u64);
            }
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
    /// Where the filters of blocks are.
    pub(crate) pages: Vec<BlockRef>,
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
        let Some((owners, streams, pages, blocks, traces)) = read_footer(&mut r, file.version)
        else {
            return Err(file.corrupt("the footer is malformed"));
        };
        Ok(LogsPart { file, owners, streams, pages, blocks, traces })
    }

    /// Every block of the file.
    pub(crate) fn block_refs(&self) -> Vec<BlockRef> {
        let mut refs = self.pages.clone();
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
            Some(gaps) => LogBodies::read(bytes, &gaps, rows as usize),
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
        let mut record = LogRecord {
            time_ns: *block.times.get(row)?,
            severity: group.severity,
            severity_text: Cow::Borrowed(&group.severity_text),
            ..LogRecord::default()
        };
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
        let stream = part.streams.get(usize::try_from(group.stream).ok()?)?;
        Some(StoredLog {
            record,
            stream: stream.labels.clone(),
            resource: Arc::clone(part.owners.resource(group.resource)?),
            scope: Arc::clone(part.owners.scope(group.scope)?),
        })
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

type Footer = (Owners, Vec<PartStream>, Vec<BlockRef>, Vec<LogBlockInfo>, TraceIndex);

fn read_footer(r: &mut Reader<'_>, version: u8) -> Option<Footer> {
    let owners = Owners::read(r)?;
    let mut streams = Vec::new();
    for _ in 0..r.count(4)? {
        let labels = Labels::from_bytes(r.bytes()?)?;
        let rows = r.varint()?;
        streams.push(PartStream { labels, rows, min_ns: r.signed()?, max_ns: r.signed()? });
    }
    let mut pages = Vec::new();
    if version >= WORDS_SINCE {
        for _ in 0..r.count(11)? {
            pages.push(BlockRef::read(r)?);
        }
    }
    let mut blocks: Vec<LogBlockInfo> = Vec::new();
    for _ in 0..r.count(16)? {
        let before = blocks.last().and_then(|info| info.words);
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
            words: match version >= WORDS_SINCE {
                true => Some(read_words_ref(r, before, &pages)?),
                false => None,
            },
        });
    }
    let traces = TraceIndex::read(r)?;
    r.is_empty().then_some((owners, streams, pages, blocks, traces))
}

/// A filter begins where the one before in its page ends; one without words is empty and
/// may be of a page that is not there.
fn read_words_ref(
    r: &mut Reader<'_>,
    before: Option<WordsRef>,
    pages: &[BlockRef],
) -> Option<WordsRef> {
    let (page, lanes) = (r.varint32()?, r.varint32()?);
    let at = before.filter(|before| before.page == page).map_or(0, |before| before.at + before.len);
    let len = lanes.checked_mul(LANE_BYTES as u32)?;
    let end = u64::from(at) + u64::from(len);
    let page_len = pages.get(page as usize).map_or(0, BlockRef::raw_len);
    (end <= page_len).then_some(WordsRef { page, at, len })
}
