//! Reads blocks of parts by way of the cache, and keeps the tally.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Snapshot;
use crate::cache::Cached;
use crate::error::Result;
use crate::part::logs::{LogBlock, LogBlockInfo, LogRows, LogsPart};
use crate::part::metrics::{MetricsPart, SeriesBlock};
use crate::part::spans::{
    IndexBlock, PageInfo, SpanAttributes, SpanBlock, SpanBlockInfo, SpanDetails, SpansPart,
    TracePage,
};
use crate::part::{BlockRef, PartFile};
use crate::tally::Tally;

/// Which of a part's blocks a look-up is for; blocks of different kinds never share a place.
fn key(file: &PartFile, block: &BlockRef) -> (u64, u64) {
    (file.info.id, block.offset())
}

/// Counts what was found; a damaged block is no error, but the answer is partial.
fn count<T>(found: Option<T>, bytes: u64, tally: &Tally) -> Result<Option<T>> {
    match found {
        Some(found) => {
            tally.blocks_read.fetch_add(1, Relaxed);
            tally.add(0, bytes)?;
            Ok(Some(found))
        }
        None => {
            tally.blocks_damaged.fetch_add(1, Relaxed);
            Ok(None)
        }
    }
}

/// Adds what a block of version 1 has in its one piece.
fn add_pieces(rows: &mut LogRows) -> bool {
    *rows = LogRows::of_one_piece(Arc::clone(&rows.block));
    rows.bodies.is_some()
}

/// A decoded block from the cache, else read and kept there. A macro, since the kinds are
/// variants of one type.
macro_rules! cached {
    ($snapshot:ident, $file:expr, $block:expr, $kind:ident, $read:expr) => {{
        let key = key($file, $block);
        match $snapshot.cache.get(key) {
            Some(Cached::$kind(found)) => Some(found),
            _ => {
                let read = $read;
                read.inspect(|b| $snapshot.cache.insert(key, Cached::$kind(Arc::clone(b))))
            }
        }
    }};
}

impl Snapshot {
    pub(super) fn series_block(
        &self,
        part: &MetricsPart,
        at: usize,
        tally: &Tally,
    ) -> Result<Option<Arc<SeriesBlock>>> {
        let Some(info) = part.series_blocks.get(at) else { return Ok(None) };
        let found = cached!(self, &part.file, &info.block, Series, part.read_series(info)?);
        count(found, info.block.raw_len(), tally)
    }

    pub(super) fn data_block(
        &self,
        part: &MetricsPart,
        at: u32,
        tally: &Tally,
    ) -> Result<Option<Arc<Vec<u8>>>> {
        let Some(info) = part.data_blocks.get(at as usize) else { return Ok(None) };
        self.bytes(&part.file, info, tally)
    }

    /// A block as plain bytes.
    pub(super) fn bytes(
        &self,
        file: &PartFile,
        info: &BlockRef,
        tally: &Tally,
    ) -> Result<Option<Arc<Vec<u8>>>> {
        let key = key(file, info);
        if let Some(Cached::Bytes(bytes)) = self.cache.get(key) {
            return Ok(Some(bytes));
        }
        let read = file.read(info)?.map(Arc::new);
        let read = read.inspect(|b| self.cache.insert(key, Cached::Bytes(Arc::clone(b))));
        count(read, info.raw_len(), tally)
    }

    pub(super) fn log_block(
        &self,
        part: &LogsPart,
        info: &LogBlockInfo,
        tally: &Tally,
    ) -> Result<Option<Arc<LogBlock>>> {
        let found = cached!(self, &part.file, &info.block, Log, part.read(info)?);
        count(found, info.block.raw_len(), tally)
    }

    /// Adds the bodies to rows of a block; false if they are damaged.
    pub(super) fn add_bodies(
        &self,
        part: &LogsPart,
        info: &LogBlockInfo,
        rows: &mut LogRows,
        tally: &Tally,
    ) -> Result<bool> {
        if rows.bodies.is_none() {
            let Some(pieces) = &info.more else { return Ok(add_pieces(rows)) };
            let at = &pieces.bodies;
            let found =
                cached!(self, &part.file, at, LogBodies, part.read_bodies(pieces, info.rows)?);
            let bytes = found.as_ref().map_or(0, |bodies| bodies.text_len());
            rows.bodies = count(found, bytes, tally)?;
        }
        Ok(rows.bodies.is_some())
    }

    /// Adds the attributes to rows of a block; false if they are damaged.
    pub(super) fn add_log_attributes(
        &self,
        part: &LogsPart,
        info: &LogBlockInfo,
        rows: &mut LogRows,
        tally: &Tally,
    ) -> Result<bool> {
        if rows.attributes.is_none() {
            let Some(pieces) = &info.more else { return Ok(add_pieces(rows)) };
            let (at, block) = (&pieces.attributes, &rows.block);
            let found =
                cached!(self, &part.file, at, LogAttributes, part.read_attributes(pieces, block)?);
            rows.attributes = count(found, at.raw_len(), tally)?;
        }
        Ok(rows.attributes.is_some())
    }

    /// Adds the ids to rows of a block; false if they are damaged.
    pub(super) fn add_log_ids(
        &self,
        part: &LogsPart,
        info: &LogBlockInfo,
        rows: &mut LogRows,
        tally: &Tally,
    ) -> Result<bool> {
        if rows.ids.is_none() {
            let Some(pieces) = &info.more else { return Ok(add_pieces(rows)) };
            let at = &pieces.ids;
            let found = cached!(self, &part.file, at, LogIds, part.read_ids(pieces, info.rows)?);
            rows.ids = count(found, at.raw_len(), tally)?;
        }
        Ok(rows.ids.is_some())
    }

    pub(super) fn span_block(
        &self,
        part: &SpansPart,
        info: &SpanBlockInfo,
        tally: &Tally,
    ) -> Result<Option<Arc<SpanBlock>>> {
        let found = cached!(self, &part.file, &info.block, Span, part.read(info)?);
        count(found, info.block.raw_len(), tally)
    }

    /// The attributes of a block's spans.
    pub(super) fn span_attributes(
        &self,
        part: &SpansPart,
        info: &SpanBlockInfo,
        block: &SpanBlock,
        tally: &Tally,
    ) -> Result<Option<Arc<SpanAttributes>>> {
        let Some((attributes, _)) = &info.more else {
            return Ok(block.inline.as_ref().map(|(attributes, _)| Arc::clone(attributes)));
        };
        let found = cached!(
            self,
            &part.file,
            attributes,
            SpanAttributes,
            part.read_attributes(attributes, info.rows)?
        );
        count(found, attributes.raw_len(), tally)
    }

    /// Events and links of a block's spans.
    pub(super) fn span_details(
        &self,
        part: &SpansPart,
        info: &SpanBlockInfo,
        block: &SpanBlock,
        tally: &Tally,
    ) -> Result<Option<Arc<SpanDetails>>> {
        let Some((_, details)) = &info.more else {
            return Ok(block.inline.as_ref().map(|(_, details)| Arc::clone(details)));
        };
        let found =
            cached!(self, &part.file, details, SpanDetails, part.read_details(details, info.rows)?);
        count(found, details.raw_len(), tally)
    }

    /// A block of the index by trace.
    pub(super) fn trace_index(
        &self,
        part: &SpansPart,
        block: &BlockRef,
        tally: &Tally,
    ) -> Result<Option<Arc<IndexBlock>>> {
        let found = cached!(self, &part.file, block, TraceIndex, part.read_index(block)?);
        count(found, block.raw_len(), tally)
    }

    /// A page of traces.
    pub(super) fn trace_page(
        &self,
        part: &SpansPart,
        info: &PageInfo,
        tally: &Tally,
    ) -> Result<Option<Arc<TracePage>>> {
        let found = cached!(self, &part.file, &info.structure, TracePage, part.read_page(info)?);
        count(found, info.structure.raw_len() + info.ids.raw_len(), tally)
    }
}
