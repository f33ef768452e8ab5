//! Parts of samples, sorted by metric name and labels, then time.
//!
//! Data blocks hold chunks of samples, many series to a block. Series blocks hold labels
//! and say where each series' chunks are. The footer knows the first and last metric name
//! of every series block, so that a selector with a name reads few of them.

use std::path::Path;
use std::sync::Arc;

use super::tables::{Owner, Owners, OwnersWriter};
use super::{BlockRef, PartFile, PartWriter};
use crate::bytes::{Reader, put_bytes, put_signed, put_varint};
use crate::error::Result;
use crate::labels::Labels;
use crate::matcher::{MatchOp, Matcher};
use crate::model::{Exemplar, Histogram};
use crate::snapshot::Samples;
use crate::vfs::Vfs;

mod chunk;
mod series;

pub(crate) use chunk::{ChunkReader, LastFloat, last_float, put_floats};
pub(crate) use series::{SeriesBlock, SeriesBlockWriter, UNKNOWN};

/// Raw bytes of chunks after which a data block is closed.
const DATA_BLOCK_BYTES: usize = 128 << 10;
/// Series to a block; a power of two, as places are counted in it.
pub(crate) const SERIES_PER_BLOCK: usize = 1024;
/// Samples to a chunk: a quarter of a day at 15 seconds is one chunk.
const CHUNK_SAMPLES: usize = 2048;
const EXEMPLARS_PER_BLOCK: usize = 4096;
/// Bytes of labels after which a block of series or exemplars is closed, if they are long.
const LABEL_BYTES: usize = 1 << 20;

/// Where a chunk lies, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) block: u32,
    pub(crate) offset: u32,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

/// Order of series in a part: by metric name, then labels.
pub(crate) fn series_order(a: &Labels, b: &Labels) -> std::cmp::Ordering {
    // Text orders as its bytes do.
    a.get_bytes("__name__").cmp(&b.get_bytes("__name__")).then_with(|| a.cmp(b))
}

/// Writes a part; series come in [`series_order`], each with sorted samples.
#[derive(Debug)]
pub(crate) struct MetricsWriter {
    part: PartWriter,
    owners: OwnersWriter,
    data: Vec<u8>,
    data_blocks: Vec<BlockRef>,
    series: SeriesBlockWriter,
    series_blocks: Vec<SeriesBlockInfo>,
    exemplars: Vec<u8>,
    exemplars_in_block: u32,
    exemplar_blocks: Vec<ExemplarBlockInfo>,
    exemplar_bounds: (i64, i64),
    pub(crate) rows: u64,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

/// How many of the first histograms go into one chunk: at least one.
fn histograms_to_chunk(histograms: &[Arc<Histogram>]) -> usize {
    let numbers = |h: &Histogram| {
        let spans = h.positive_spans.len() + h.negative_spans.len();
        let buckets = h.positive_buckets.len() + h.negative_buckets.len();
        8 + spans + buckets + h.custom_values.len()
    };
    let mut bytes = 0;
    let fits = |h: &&Arc<Histogram>| {
        bytes += numbers(h) * 8;
        bytes <= DATA_BLOCK_BYTES
    };
    histograms.iter().take(CHUNK_SAMPLES).take_while(fits).count().max(1)
}

/// What the footer says of a series block.
#[derive(Clone, Debug)]
pub(crate) struct SeriesBlockInfo {
    pub(crate) block: BlockRef,
    pub(crate) series: u32,
    /// First and last metric name.
    pub(crate) names: (Box<str>, Box<str>),
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

/// What the footer says of a block of exemplars.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExemplarBlockInfo {
    pub(crate) block: BlockRef,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

impl MetricsWriter {
    pub(crate) fn create(vfs: &dyn Vfs, path: &Path, level: i32) -> Result<Self> {
        Ok(MetricsWriter {
            part: PartWriter::create(vfs, path, level)?,
            owners: OwnersWriter::default(),
            data: Vec::new(),
            data_blocks: Vec::new(),
            series: SeriesBlockWriter::default(),
            series_blocks: Vec::new(),
            exemplars: Vec::new(),
            exemplars_in_block: 0,
            exemplar_blocks: Vec::new(),
            exemplar_bounds: (i64::MAX, i64::MIN),
            rows: 0,
            min_ms: i64::MAX,
            max_ms: i64::MIN,
        })
    }

    /// Adds a series with all its samples.
    pub(crate) fn push(
        &mut self,
        labels: &Labels,
        owner: Owner<'_>,
        samples: &Samples,
    ) -> Result<()> {
        let mut chunks = Vec::new();
        let floats = samples.floats.len();
        for from in (0..floats).step_by(CHUNK_SAMPLES) {
            let range = from..floats.min(from + CHUNK_SAMPLES);
            let times = &samples.float_times_ms[range.clone()];
            let starts = samples.float_starts_ms.get(range.clone()).unwrap_or(&[]);
            let offset = self.data.len() as u32;
            put_floats(&mut self.data, times, starts, &samples.floats[range]);
            chunks.push(self.chunk_ref(offset, times));
            self.end_data_block(DATA_BLOCK_BYTES)?;
        }
        let histograms = samples.histograms.len();
        let mut from = 0;
        while from < histograms {
            let range = from..from + histograms_to_chunk(&samples.histograms[from..]);
            from = range.end;
            let times = &samples.histogram_times_ms[range.clone()];
            let starts = samples.histogram_starts_ms.get(range.clone()).unwrap_or(&[]);
            let offset = self.data.len() as u32;
            chunk::put_histograms(&mut self.data, times, starts, &samples.histograms[range]);
            chunks.push(self.chunk_ref(offset, times));
            self.end_data_block(DATA_BLOCK_BYTES)?;
        }
        if chunks.is_empty() {
            return Ok(());
        }
        self.rows += (floats + histograms) as u64;
        for chunk in &chunks {
            self.min_ms = self.min_ms.min(chunk.min_ms);
            self.max_ms = self.max_ms.max(chunk.max_ms);
        }
        self.series.push(labels, self.owners.insert(owner), &chunks);
        if self.series.len() >= SERIES_PER_BLOCK || self.series.byte_len() >= LABEL_BYTES {
            self.end_series_block()?;
        }
        Ok(())
    }

    fn chunk_ref(&self, offset: u32, times: &[i64]) -> ChunkRef {
        ChunkRef {
            block: self.data_blocks.len() as u32,
            offset,
            min_ms: times.first().copied().unwrap_or(0),
            max_ms: times.last().copied().unwrap_or(0),
        }
    }

    /// Adds an exemplar; they come by series.
    pub(crate) fn push_exemplar(
        &mut self,
        series: &Labels,
        owner: Owner<'_>,
        exemplar: &Exemplar,
    ) -> Result<()> {
        let (resource, scope) = self.owners.insert(owner);
        put_bytes(&mut self.exemplars, series.as_bytes());
        put_varint(&mut self.exemplars, u64::from(resource));
        put_varint(&mut self.exemplars, u64::from(scope));
        put_signed(&mut self.exemplars, exemplar.time_ms);
        self.exemplars.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
        put_bytes(&mut self.exemplars, exemplar.labels.as_bytes());
        self.exemplars_in_block += 1;
        let (min, max) = &mut self.exemplar_bounds;
        (*min, *max) = ((*min).min(exemplar.time_ms), (*max).max(exemplar.time_ms));
        self.min_ms = self.min_ms.min(exemplar.time_ms);
        self.max_ms = self.max_ms.max(exemplar.time_ms);
        if self.exemplars_in_block as usize >= EXEMPLARS_PER_BLOCK
            || self.exemplars.len() >= LABEL_BYTES
        {
            self.end_exemplar_block()?;
        }
        Ok(())
    }

    fn end_data_block(&mut self, bytes_min: usize) -> Result<()> {
        if self.data.len() >= bytes_min && !self.data.is_empty() {
            self.data_blocks.push(self.part.block(&self.data)?);
            self.data.clear();
        }
        Ok(())
    }

    fn end_series_block(&mut self) -> Result<()> {
        let series = std::mem::take(&mut self.series);
        if series.len() == 0 {
            return Ok(());
        }
        let (min_ms, max_ms) = series.bounds();
        let names = series.names();
        let count = series.len() as u32;
        let block = self.part.block(&series.finish())?;
        self.series_blocks.push(SeriesBlockInfo { block, series: count, names, min_ms, max_ms });
        Ok(())
    }

    fn end_exemplar_block(&mut self) -> Result<()> {
        if self.exemplars_in_block == 0 {
            return Ok(());
        }
        let block = self.part.block(&self.exemplars)?;
        let (min_ms, max_ms) = self.exemplar_bounds;
        self.exemplar_blocks.push(ExemplarBlockInfo { block, min_ms, max_ms });
        self.exemplars.clear();
        self.exemplars_in_block = 0;
        self.exemplar_bounds = (i64::MAX, i64::MIN);
        Ok(())
    }

    /// Writes what is left and syncs; returns the file's length.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.end_data_block(1)?;
        self.end_series_block()?;
        self.end_exemplar_block()?;
        let mut footer = Vec::new();
        self.owners.finish(&mut footer);
        put_varint(&mut footer, self.data_blocks.len() as u64);
        self.data_blocks.iter().for_each(|block| block.put(&mut footer));
        put_varint(&mut footer, self.series_blocks.len() as u64);
        for info in &self.series_blocks {
            info.block.put(&mut footer);
            put_varint(&mut footer, u64::from(info.series));
            put_bytes(&mut footer, info.names.0.as_bytes());
            put_bytes(&mut footer, info.names.1.as_bytes());
            put_signed(&mut footer, info.min_ms);
            put_signed(&mut footer, info.max_ms);
        }
        put_varint(&mut footer, self.exemplar_blocks.len() as u64);
        for info in &self.exemplar_blocks {
            info.block.put(&mut footer);
            put_signed(&mut footer, info.min_ms);
            put_signed(&mut footer, info.max_ms);
        }
        self.part.finish(&footer)
    }
}

/// A part that can be asked.
#[derive(Debug)]
pub(crate) struct MetricsPart {
    pub(crate) file: PartFile,
    pub(crate) owners: Owners,
    pub(crate) data_blocks: Vec<BlockRef>,
    pub(crate) series_blocks: Vec<SeriesBlockInfo>,
    pub(crate) exemplar_blocks: Vec<ExemplarBlockInfo>,
}

/// An exemplar with the series it belongs to and that series' owners in the part.
#[derive(Debug)]
pub(crate) struct PartExemplar {
    pub(crate) series: Labels,
    pub(crate) resource: u64,
    pub(crate) scope: u64,
    pub(crate) exemplar: Exemplar,
}

impl MetricsPart {
    pub(crate) fn new(file: PartFile, footer: &[u8]) -> Result<Self> {
        let mut r = Reader::new(footer);
        let Some((owners, data_blocks, series_blocks, exemplar_blocks)) = read_footer(&mut r)
        else {
            return Err(file.corrupt("the footer is malformed"));
        };
        Ok(MetricsPart { file, owners, data_blocks, series_blocks, exemplar_blocks })
    }

    /// Every block of the file.
    pub(crate) fn block_refs(&self) -> Vec<BlockRef> {
        let series = self.series_blocks.iter().map(|info| info.block);
        let exemplars = self.exemplar_blocks.iter().map(|info| info.block);
        self.data_blocks.iter().copied().chain(series).chain(exemplars).collect()
    }

    /// Reads a series block; `None` if it is damaged.
    pub(crate) fn read_series(&self, info: &SeriesBlockInfo) -> Result<Option<Arc<SeriesBlock>>> {
        let Some(bytes) = self.file.read(&info.block)? else { return Ok(None) };
        let block = SeriesBlock::read(bytes).filter(|b| b.len() == info.series as usize);
        if block.is_none() {
            self.file.set_aside(&info.block);
        }
        Ok(block.map(Arc::new))
    }

    /// Reads a data block; `None` if it is damaged or not there.
    pub(crate) fn read_data(&self, block: u32) -> Result<Option<Arc<Vec<u8>>>> {
        let Some(info) = self.data_blocks.get(block as usize) else { return Ok(None) };
        Ok(self.file.read(info)?.map(Arc::new))
    }

    /// Reads a block of exemplars; `None` if it is damaged.
    pub(crate) fn read_exemplars(
        &self,
        info: &ExemplarBlockInfo,
    ) -> Result<Option<Vec<PartExemplar>>> {
        let Some(bytes) = self.file.read(&info.block)? else { return Ok(None) };
        let exemplars = exemplars(&bytes);
        if exemplars.is_none() {
            self.file.set_aside(&info.block);
        }
        Ok(exemplars)
    }
}

impl SeriesBlockInfo {
    /// Whether a series of the block could satisfy the matchers, by its metric name.
    pub(crate) fn may_match(&self, matchers: &[Matcher]) -> bool {
        matchers.iter().filter(|m| m.name == "__name__").all(|m| match m.op {
            MatchOp::Equal => *self.names.0 <= *m.value && *m.value <= *self.names.1,
            _ if self.names.0 == self.names.1 => m.matches(&self.names.0),
            _ => true,
        })
    }
}

type Footer = (Owners, Vec<BlockRef>, Vec<SeriesBlockInfo>, Vec<ExemplarBlockInfo>);

fn read_footer(r: &mut Reader<'_>) -> Option<Footer> {
    let owners = Owners::read(r)?;
    let mut data_blocks = Vec::new();
    for _ in 0..r.count(11)? {
        data_blocks.push(BlockRef::read(r)?);
    }
    let mut series_blocks = Vec::new();
    for _ in 0..r.count(16)? {
        series_blocks.push(SeriesBlockInfo {
            block: BlockRef::read(r)?,
            series: r.varint32()?,
            names: (r.str()?.into(), r.str()?.into()),
            min_ms: r.signed()?,
            max_ms: r.signed()?,
        });
    }
    let mut exemplar_blocks = Vec::new();
    for _ in 0..r.count(13)? {
        exemplar_blocks.push(ExemplarBlockInfo {
            block: BlockRef::read(r)?,
            min_ms: r.signed()?,
            max_ms: r.signed()?,
        });
    }
    r.is_empty().then_some((owners, data_blocks, series_blocks, exemplar_blocks))
}

fn exemplars(bytes: &[u8]) -> Option<Vec<PartExemplar>> {
    let mut r = Reader::new(bytes);
    let mut exemplars = Vec::new();
    while !r.is_empty() {
        exemplars.push(PartExemplar {
            series: Labels::from_bytes(r.bytes()?)?,
            resource: r.varint()?,
            scope: r.varint()?,
            exemplar: Exemplar {
                time_ms: r.signed()?,
                value: r.f64()?,
                labels: Labels::from_bytes(r.bytes()?)?,
            },
        });
    }
    Some(exemplars)
}
