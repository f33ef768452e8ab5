//! Parts of log records, sorted by stream, then time.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use super::tables::{Owner, Owners, OwnersWriter};
use super::trace_index::{TraceIndex, TraceIndexWriter};
use super::{BlockRef, PartFile, PartWriter};
use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::columns::{
    Attributes, AttributesWriter, ROWS_MAX, Strings, StringsWriter, fixed, ints, put_fixed,
    put_ints, put_signed_ints, signed_ints,
};
use crate::error::Result;
use crate::head::clamp_time;
use crate::labels::Labels;
use crate::model::{LogRecord, StoredLog, TraceId, Value};
use crate::row;
use crate::vfs::Vfs;

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
    pub(crate) rows: u32,
    pub(crate) min_ns: i64,
    pub(crate) max_ns: i64,
    /// First and last stream with rows in the block, by their place in the footer.
    pub(crate) streams: (u32, u32),
}

#[derive(Debug, Default)]
struct BlockWriter {
    streams: Vec<u64>,
    resources: Vec<u64>,
    scopes: Vec<u64>,
    times: Vec<u64>,
    observed: Vec<u64>,
    observed_after: Vec<i64>,
    severities: Vec<u64>,
    severity_texts: StringsWriter,
    body_kinds: Vec<u64>,
    bodies: StringsWriter,
    attributes: AttributesWriter,
    dropped: Vec<u64>,
    flags: Vec<u64>,
    trace_ids: Vec<TraceId>,
    span_ids: Vec<[u8; 8]>,
    event_names: StringsWriter,
    scratch: Vec<u8>,
    /// Of bodies and the other texts.
    text_bytes: usize,
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
        if self.block.times.len() >= BLOCK_ROWS || self.block.byte_len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        let block = std::mem::take(&mut self.block);
        let (Some(&first), Some(&last)) = (block.streams.first(), block.streams.last()) else {
            return Ok(());
        };
        let times = || block.times.iter().map(|&t| clamp_time(t));
        self.blocks.push(LogBlockInfo {
            block: self.part.block(&block.finish())?,
            rows: block.times.len() as u32,
            min_ns: times().min().unwrap_or(0),
            max_ns: times().max().unwrap_or(0),
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

impl BlockWriter {
    fn push(&mut self, stream: u64, (resource, scope): (u32, u32), record: &LogRecord<'_>) {
        self.streams.push(stream);
        self.resources.push(u64::from(resource));
        self.scopes.push(u64::from(scope));
        self.times.push(record.time_ns);
        self.observed.push(u64::from(record.observed_ns != 0));
        if record.observed_ns != 0 {
            self.observed_after.push(record.observed_ns.wrapping_sub(record.time_ns) as i64);
        }
        self.severities.push(u64::from(record.severity));
        self.severity_texts.push(record.severity_text.as_bytes());
        match &record.body {
            Value::Str(text) => {
                self.body_kinds.push(0);
                self.bodies.push(text.as_bytes());
                self.text_bytes += text.len();
            }
            other => {
                self.scratch.clear();
                // Whoever wrote the row once kept to the depth.
                let _ = row::put_value(&mut self.scratch, other, 0);
                self.body_kinds.push(1);
                self.bodies.push(&self.scratch);
                self.text_bytes += self.scratch.len();
            }
        }
        self.attributes.push(&record.attributes);
        self.dropped.push(u64::from(record.dropped_attributes));
        self.flags.push(u64::from(record.flags));
        self.trace_ids.push(record.trace_id);
        self.span_ids.push(record.span_id);
        self.event_names.push(record.event_name.as_bytes());
        self.text_bytes += record.severity_text.len() + record.event_name.len();
    }

    /// Roughly the bytes collected.
    fn byte_len(&self) -> usize {
        self.times.len() * 48 + self.text_bytes + self.attributes.byte_len()
    }

    fn finish(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.byte_len());
        put_varint(&mut out, self.times.len() as u64);
        for column in [&self.streams, &self.resources, &self.scopes, &self.times, &self.observed] {
            put_ints(&mut out, column);
        }
        put_signed_ints(&mut out, &self.observed_after);
        put_ints(&mut out, &self.severities);
        self.severity_texts.finish(&mut out);
        put_ints(&mut out, &self.body_kinds);
        self.bodies.finish(&mut out);
        self.attributes.finish(&mut out);
        put_ints(&mut out, &self.dropped);
        put_ints(&mut out, &self.flags);
        put_fixed(&mut out, &self.trace_ids);
        put_fixed(&mut out, &self.span_ids);
        self.event_names.finish(&mut out);
        out
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
        let Some((owners, streams, blocks, traces)) = read_footer(&mut r) else {
            return Err(file.corrupt("the footer is malformed"));
        };
        Ok(LogsPart { file, owners, streams, blocks, traces })
    }

    /// Every block of the file.
    pub(crate) fn block_refs(&self) -> Vec<BlockRef> {
        self.blocks.iter().map(|info| info.block).chain(self.traces.block_refs()).collect()
    }

    /// Reads a block; `None` if it is damaged.
    pub(crate) fn read(&self, info: &LogBlockInfo) -> Result<Option<Arc<LogBlock>>> {
        let Some(bytes) = self.file.read(&info.block)? else { return Ok(None) };
        let block = LogBlock::read(bytes).filter(|b| b.times.len() == info.rows as usize);
        if block.is_none() {
            self.file.set_aside(&info.block);
        }
        Ok(block.map(Arc::new))
    }

    /// A row of a block of this part.
    pub(crate) fn stored<'a>(&self, block: &'a LogBlock, row: usize) -> Option<StoredLog<'a>> {
        let stream = self.streams.get(usize::try_from(*block.streams.get(row)?).ok()?)?;
        Some(StoredLog {
            record: block.record(row)?,
            stream: stream.labels.clone(),
            resource: Arc::clone(self.owners.resource(*block.resources.get(row)?)?),
            scope: Arc::clone(self.owners.scope(*block.scopes.get(row)?)?),
        })
    }
}

type Footer = (Owners, Vec<PartStream>, Vec<LogBlockInfo>, TraceIndex);

fn read_footer(r: &mut Reader<'_>) -> Option<Footer> {
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
            rows: r.varint32()?,
            min_ns: r.signed()?,
            max_ns: r.signed()?,
            streams: (r.varint32()?, r.varint32()?),
        });
    }
    let traces = TraceIndex::read(r)?;
    r.is_empty().then_some((owners, streams, blocks, traces))
}

/// A decoded block. Strings stay in its bytes.
#[derive(Debug, Default)]
pub(crate) struct LogBlock {
    bytes: Vec<u8>,
    pub(crate) streams: Vec<u64>,
    pub(crate) resources: Vec<u64>,
    pub(crate) scopes: Vec<u64>,
    pub(crate) times: Vec<u64>,
    observed: Vec<u64>,
    severities: Vec<u64>,
    severity_texts: Strings,
    body_kinds: Vec<u64>,
    bodies: Strings,
    attributes: Attributes,
    dropped: Vec<u64>,
    flags: Vec<u64>,
    pub(crate) trace_ids: Vec<TraceId>,
    span_ids: Vec<[u8; 8]>,
    event_names: Strings,
}

impl LogBlock {
    fn read(bytes: Vec<u8>) -> Option<Self> {
        let b = &bytes[..];
        let r = &mut Reader::new(b);
        let rows = usize::try_from(r.varint()?).ok().filter(|&rows| rows <= ROWS_MAX)?;
        let streams = ints(r, rows)?;
        let resources = ints(r, rows)?;
        let scopes = ints(r, rows)?;
        let times = ints(r, rows)?;
        let mut observed = ints(r, rows)?;
        let said = observed.iter().filter(|&&o| o != 0).count();
        let mut after = signed_ints(r, said)?.into_iter();
        for (observed, time) in observed.iter_mut().zip(&times) {
            if *observed != 0 {
                *observed = time.wrapping_add(after.next()? as u64);
            }
        }
        let block = LogBlock {
            streams,
            resources,
            scopes,
            times,
            observed,
            severities: ints(r, rows)?,
            severity_texts: Strings::read(b, r, rows)?,
            body_kinds: ints(r, rows)?,
            bodies: Strings::read(b, r, rows)?,
            attributes: Attributes::read(b, r, rows)?,
            dropped: ints(r, rows)?,
            flags: ints(r, rows)?,
            trace_ids: fixed(r, rows)?,
            span_ids: fixed(r, rows)?,
            event_names: Strings::read(b, r, rows)?,
            bytes: Vec::new(),
        };
        r.is_empty().then_some(LogBlock { bytes, ..block })
    }

    /// The body of a row.
    pub(crate) fn body(&self, row: usize) -> Option<Value<'_>> {
        Some(match self.body_kinds.get(row)? {
            0 => Value::Str(Cow::Borrowed(self.bodies.text(&self.bytes, row))),
            _ => row::value(&mut Reader::new(self.bodies.get(&self.bytes, row)), 0)?,
        })
    }

    pub(crate) fn record(&self, row: usize) -> Option<LogRecord<'_>> {
        let b = &self.bytes[..];
        Some(LogRecord {
            time_ns: *self.times.get(row)?,
            observed_ns: *self.observed.get(row)?,
            severity: *self.severities.get(row)? as u8,
            severity_text: Cow::Borrowed(self.severity_texts.text(b, row)),
            body: self.body(row)?,
            attributes: self.attributes.get(b, row),
            dropped_attributes: *self.dropped.get(row)? as u32,
            flags: *self.flags.get(row)? as u32,
            trace_id: *self.trace_ids.get(row)?,
            span_id: *self.span_ids.get(row)?,
            event_name: Cow::Borrowed(self.event_names.text(b, row)),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len() + self.len() * 112 + self.attributes.byte_len() + self.bodies.byte_len()
    }
}
