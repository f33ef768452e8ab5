//! Reads the samples of one selected series after the other.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::selection::{Place, Selection};
use super::{Samples, Snapshot, TimeRange};
use crate::error::Result;
use crate::labels::{Labels, LabelsWriter};
use crate::part::Signal;
use crate::part::metrics::ChunkReader;
use crate::samples::Gather;
use crate::tally::Tally;

/// Reads series of a selection: each thread has one of its own. Neighbours lie beside each
/// other on disk as well, so it remembers what it read last.
#[derive(Debug)]
pub struct SeriesReader<'a> {
    snapshot: &'a Snapshot,
    selection: &'a Selection,
    range: TimeRange,
    ms: RangeInclusive<i64>,
    tally: &'a Tally,
    writer: LabelsWriter,
    /// What was read last of each part.
    opened: Vec<Opened>,
}

#[derive(Debug, Default)]
struct Opened {
    data: Option<(u32, Arc<Vec<u8>>)>,
    chunks: ChunkReader,
}

impl<'a> SeriesReader<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        selection: &'a Selection,
        range: TimeRange,
        tally: &'a Tally,
    ) -> Self {
        let range = range.after(snapshot.cutoffs_ns[Signal::Metrics as usize]);
        let mut opened = Vec::new();
        opened.resize_with(snapshot.parts.metrics.len(), Opened::default);
        let (ms, writer) = (range.to_ms(), LabelsWriter::default());
        SeriesReader { snapshot, selection, range, ms, tally, writer, opened }
    }

    /// All labels of a series.
    pub fn labels(&mut self, series: usize) -> Labels {
        self.selection.labels(&mut self.writer, series)
    }

    /// Those labels of a series whose names are wanted.
    pub fn labels_named(&mut self, series: usize, wanted: &dyn Fn(&[u8]) -> bool) -> Labels {
        self.selection.labels_named(&mut self.writer, series, wanted)
    }

    /// Reads a series' samples within the range into `out`, replacing what was there.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn samples(&mut self, series: usize, out: &mut Samples) -> Result<()> {
        let mut gather = Gather::new(out);
        for &place in self.selection.places(series) {
            if (place.source as usize) < self.opened.len() {
                self.of_part(place, &mut gather)?;
            } else {
                self.of_head(place, &mut gather)?;
            }
        }
        gather.finish();
        Ok(())
    }

    fn of_part(&mut self, place: Place, out: &mut Gather<'_>) -> Result<()> {
        let part = &self.snapshot.parts.metrics[place.source as usize];
        let opened = &mut self.opened[place.source as usize];
        let Some((block, row)) = self.selection.row(place) else { return Ok(()) };
        for chunk in block.chunks_of(row) {
            if chunk.max_ms < *self.ms.start() || *self.ms.end() < chunk.min_ms {
                continue;
            }
            let known = opened.data.take_if(|(at, _)| *at == chunk.block);
            let data = match known {
                Some((_, data)) => data,
                None => match self.snapshot.data_block(part, chunk.block, self.tally)? {
                    Some(data) => data,
                    None => continue,
                },
            };
            let bytes = data.get(chunk.offset as usize..);
            let read = bytes.and_then(|bytes| opened.chunks.read(bytes, &self.ms, out));
            opened.data = Some((chunk.block, data));
            match read {
                Some(count) => self.tally.add(count as u64, count as u64 * 16)?,
                None => return Err(part.file.corrupt("a chunk of samples is malformed")),
            }
        }
        Ok(())
    }

    fn of_head(&self, place: Place, out: &mut Gather<'_>) -> Result<()> {
        let head = place.source as usize - self.opened.len();
        let Some(view) = self.snapshot.heads.get(head) else { return Ok(()) };
        let number = self.selection.number(place);
        let tables = view.head.read();
        if let Some(series) = tables.metrics.series.get(number as usize) {
            let rows = series.len() as u64;
            self.tally.add(rows, rows * 16)?;
            series.gather(view.visible, self.range, out);
        }
        Ok(())
    }
}
