//! Reads the samples of one selected series after the other.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::selection::{Place, Selection};
use super::{Samples, Snapshot, TimeRange};
use crate::error::Result;
use crate::labels::{Labels, LabelsWriter};
use crate::part::Signal;
use crate::part::metrics::{ChunkReader, LastFloat, MetricsPart, last_float};
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
    last_named: Labels,
    /// What was read last of each part.
    opened: Vec<Opened>,
}

#[derive(Debug, Default)]
struct Opened {
    data: Option<(u32, Arc<Vec<u8>>)>,
    chunks: ChunkReader,
}

impl Opened {
    /// A block of the part; `None` if it is damaged.
    fn open(
        &mut self,
        snapshot: &Snapshot,
        part: &MetricsPart,
        block: u32,
        tally: &Tally,
    ) -> Result<Option<Arc<Vec<u8>>>> {
        if self.data.as_ref().is_none_or(|(at, _)| *at != block) {
            self.data = snapshot.data_block(part, block, tally)?.map(|data| (block, data));
        }
        Ok(self.data.as_ref().map(|(_, data)| Arc::clone(data)))
    }
}

/// The newest sample so far and its time in milliseconds.
type Newest = Option<(i64, LastFloat)>;

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
        let last_named = Labels::empty();
        SeriesReader { snapshot, selection, range, ms, tally, writer, last_named, opened }
    }

    /// All labels of a series.
    pub fn labels(&mut self, series: usize) -> Labels {
        self.selection.labels(&mut self.writer, series)
    }

    /// Those labels of a series whose names are wanted. Neighbours that have the same share
    /// them.
    pub fn labels_named(&mut self, series: usize, wanted: &dyn Fn(&[u8]) -> bool) -> Labels {
        self.selection.write_named(&mut self.writer, series, wanted);
        self.writer.finish_like(&mut self.last_named)
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

    /// As [`SeriesReader::samples`], but only the newest sample needs to be there, if there
    /// is one: others are mostly left out, which is much faster.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn newest(&mut self, series: usize, out: &mut Samples) -> Result<()> {
        let mut newest = None;
        // The newest sources and chunks come first; older ones with that time do not count.
        for &place in self.selection.places(series).iter().rev() {
            let known = match (place.source as usize) < self.opened.len() {
                true => self.newest_of_part(place, &mut newest)?,
                false => self.newest_of_head(place, &mut newest, out)?,
            };
            if !known {
                return self.samples(series, out);
            }
        }
        let mut gather = Gather::new(out);
        if let Some((time_ms, LastFloat { start_ms, value })) = newest {
            gather.float(time_ms, start_ms, value);
        }
        gather.finish();
        Ok(())
    }

    /// False if more than floats would have to be read.
    fn newest_of_part(&mut self, place: Place, newest: &mut Newest) -> Result<bool> {
        let part = &self.snapshot.parts.metrics[place.source as usize];
        let opened = &mut self.opened[place.source as usize];
        let Some((block, row)) = self.selection.row(place) else { return Ok(true) };
        for chunk in block.chunks_of(row).iter().rev() {
            if chunk.max_ms < *self.ms.start()
                || *self.ms.end() < chunk.min_ms
                || newest.is_some_and(|(time_ms, _)| chunk.max_ms <= time_ms)
            {
                continue;
            }
            if *self.ms.end() < chunk.max_ms {
                return Ok(false);
            }
            let Some(data) = opened.open(self.snapshot, part, chunk.block, self.tally)? else {
                continue;
            };
            self.tally.add(1, 16)?;
            match data.get(chunk.offset as usize..).and_then(last_float) {
                Some(Some(last)) => *newest = Some((chunk.max_ms, last)),
                Some(None) => return Ok(false),
                None => return Err(part.file.corrupt("a chunk of samples is malformed")),
            }
        }
        Ok(true)
    }

    /// The same of a head, by way of all its samples.
    fn newest_of_head(
        &self,
        place: Place,
        newest: &mut Newest,
        samples: &mut Samples,
    ) -> Result<bool> {
        let mut gather = Gather::new(samples);
        self.of_head(place, &mut gather)?;
        gather.finish();
        if let (Some(&time_ms), Some(&value)) =
            (samples.float_times_ms.last(), samples.floats.last())
            && newest.is_none_or(|(before_ms, _)| before_ms < time_ms)
        {
            let start_ms = samples.float_starts_ms.last().copied().unwrap_or(0);
            *newest = Some((time_ms, LastFloat { start_ms, value }));
        }
        Ok(samples.histograms.is_empty())
    }

    fn of_part(&mut self, place: Place, out: &mut Gather<'_>) -> Result<()> {
        let part = &self.snapshot.parts.metrics[place.source as usize];
        let opened = &mut self.opened[place.source as usize];
        let Some((block, row)) = self.selection.row(place) else { return Ok(()) };
        for chunk in block.chunks_of(row) {
            if chunk.max_ms < *self.ms.start() || *self.ms.end() < chunk.min_ms {
                continue;
            }
            let Some(data) = opened.open(self.snapshot, part, chunk.block, self.tally)? else {
                continue;
            };
            let bytes = data.get(chunk.offset as usize..);
            match bytes.and_then(|bytes| opened.chunks.read(bytes, &self.ms, out)) {
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
