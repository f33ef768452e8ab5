//! Writes one part out of several of the same signal and partition.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use super::logs::{LogBodies, LogRows, LogsPart, LogsWriter};
use super::metrics::{
    ChunkReader, MetricsPart, MetricsWriter, PartExemplar, SeriesBlock, series_order,
};
use super::spans::{
    SpanRows, SpansPart, SpansWriter, ThinnedSpans, TraceNumbers, WholeSpans, service_of,
};
use super::{LEVEL_MERGE, LEVEL_MERGE_LOGS, PartInfo};
use crate::columns::KnownTemplates;
use crate::error::Result;
use crate::head::clamp_time;
use crate::labels::{Labels, LabelsWriter};
use crate::samples::Gather;
use crate::snapshot::{Samples, TimeRange};
use crate::vfs::Vfs;

/// Parts to merge, oldest append first.
#[derive(Debug)]
pub(crate) enum MergeInputs {
    Metrics(Vec<Arc<MetricsPart>>),
    Logs(Vec<Arc<LogsPart>>),
    Spans(Vec<Arc<SpansPart>>),
}

/// Writes the merged part and notes in `info` what it holds. Rows before the cutoff are
/// left out; without any row left there is nothing but an empty part. False if a block of
/// an input is damaged: then the inputs must stay.
pub(crate) fn merge_parts(
    vfs: &dyn Vfs,
    path: &Path,
    inputs: &MergeInputs,
    cutoff_ns: i64,
    info: &mut PartInfo,
) -> Result<bool> {
    match inputs {
        MergeInputs::Metrics(parts) => merge_metrics(vfs, path, parts, cutoff_ns, info),
        MergeInputs::Logs(parts) => merge_logs(vfs, path, parts, cutoff_ns, info),
        MergeInputs::Spans(parts) => merge_spans(vfs, path, parts, cutoff_ns, info),
    }
}

/// The input whose next row comes first; of equal ones the oldest.
fn first_of<T>(
    inputs: &[T],
    order: impl Fn(&T, &T) -> Ordering,
    ended: impl Fn(&T) -> bool,
) -> Option<usize> {
    let mut first: Option<usize> = None;
    for (at, input) in inputs.iter().enumerate() {
        if !ended(input) && first.is_none_or(|f| order(input, &inputs[f]) == Ordering::Less) {
            first = Some(at);
        }
    }
    first
}

struct LogInput<'a> {
    part: &'a LogsPart,
    /// The place of each stream among those of all inputs.
    ranks: Vec<u32>,
    next_block: usize,
    /// But for the bodies.
    rows: Option<LogRows>,
    bodies: Option<Arc<LogBodies>>,
    templates: KnownTemplates,
    row: usize,
}

impl<'a> LogInput<'a> {
    fn new(part: &'a LogsPart, ranks: Vec<u32>) -> Self {
        let templates = KnownTemplates::default();
        LogInput { part, ranks, next_block: 0, rows: None, bodies: None, templates, row: 0 }
    }

    /// Moves to the next block if the current one is used up. False if it is damaged.
    fn settle(&mut self) -> Result<bool> {
        while self.rows.as_ref().is_none_or(|rows| self.row >= rows.block.len()) {
            let Some(info) = self.part.blocks.get(self.next_block) else {
                self.rows = None;
                return Ok(true);
            };
            self.next_block += 1;
            self.row = 0;
            self.rows = self.part.read_whole(info)?;
            let Some(rows) = &mut self.rows else { return Ok(false) };
            self.bodies = rows.bodies.take();
            self.templates = KnownTemplates::default();
        }
        Ok(true)
    }

    /// Hands the current row to the writer, unless it is before the cutoff. `None` if it is
    /// malformed.
    fn give(&mut self, cutoff_ns: i64, writer: &mut LogsWriter) -> Result<Option<()>> {
        let (Some(rows), Some(bodies)) = (&self.rows, &self.bodies) else { return Ok(None) };
        let owner = rows.block.group(self.row);
        let owner = owner.and_then(|g| self.part.owners.encoded(g.resource, g.scope));
        let (Some(mut log), Some(owner)) = (rows.stored(self.part, self.row), owner) else {
            return Ok(None);
        };
        if clamp_time(log.record.time_ns) < cutoff_ns {
            return Ok(Some(()));
        }
        let (place, body) = ((&log.stream, owner), (&**bodies, self.row));
        if !writer.push_apart(place, &log.record, body, &mut self.templates)? {
            let Some(body) = bodies.get(&rows.block, self.row) else { return Ok(None) };
            log.record.body = body;
            writer.push(&log.stream, owner, &log.record)?;
        }
        Ok(Some(()))
    }

    fn key(&self) -> Option<(u32, i64)> {
        let block = &self.rows.as_ref()?.block;
        let stream = block.group(self.row)?.stream as usize;
        Some((*self.ranks.get(stream)?, clamp_time(*block.times.get(self.row)?)))
    }
}

fn merge_logs(
    vfs: &dyn Vfs,
    path: &Path,
    parts: &[Arc<LogsPart>],
    cutoff_ns: i64,
    info: &mut PartInfo,
) -> Result<bool> {
    let mut all: Vec<&Labels> =
        parts.iter().flat_map(|p| p.streams.iter().map(|s| &s.labels)).collect();
    all.sort();
    all.dedup();
    let rank = |labels: &Labels| all.binary_search(&labels).unwrap_or(0) as u32;
    let mut inputs = Vec::with_capacity(parts.len());
    for part in parts {
        let ranks = part.streams.iter().map(|s| rank(&s.labels)).collect();
        let mut input = LogInput::new(part, ranks);
        if !input.settle()? {
            return Ok(false);
        }
        inputs.push(input);
    }
    let mut writer = LogsWriter::create(vfs, path, LEVEL_MERGE_LOGS)?;
    while let Some(first) = first_of(&inputs, |a, b| a.key().cmp(&b.key()), |i| i.rows.is_none()) {
        let input = &mut inputs[first];
        if input.give(cutoff_ns, &mut writer)?.is_none() {
            return Ok(false);
        }
        input.row += 1;
        if !input.settle()? {
            return Ok(false);
        }
    }
    (info.rows, info.min_ns, info.max_ns) = (writer.rows, writer.min_ns, writer.max_ns);
    info.bytes = writer.finish()?;
    Ok(true)
}

struct SpanInput<'a> {
    spans: WholeSpans<'a>,
    next_block: usize,
    rows: Option<SpanRows>,
    row: usize,
}

impl<'a> SpanInput<'a> {
    /// Goes to the first row. `None` if something is damaged.
    fn open(part: &'a SpansPart) -> Result<Option<Self>> {
        let spans = WholeSpans::open(part)?;
        let whole = !spans.is_damaged();
        let mut input = SpanInput { spans, next_block: 0, rows: None, row: 0 };
        Ok((whole && input.settle()?).then_some(input))
    }

    /// As [`LogInput::settle`].
    fn settle(&mut self) -> Result<bool> {
        while self.rows.as_ref().is_none_or(|rows| self.row >= rows.block.len()) {
            let Some(info) = self.spans.part.blocks.get(self.next_block) else {
                self.rows = None;
                return Ok(true);
            };
            self.row = 0;
            self.rows = self.spans.part.read_whole(self.next_block as u32, info)?;
            self.next_block += 1;
            if self.rows.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn key(&self) -> Option<(&str, &str, i64)> {
        let block = &self.rows.as_ref()?.block;
        let resource = self.spans.part.owners.resource(*block.resources.get(self.row)?)?;
        let start = clamp_time(*block.starts.get(self.row)?);
        Some((service_of(resource), block.name(self.row), start))
    }

    /// Hands the current row to the writer, unless it is before the cutoff. `None` if it is
    /// malformed.
    fn give(&self, cutoff_ns: i64, writer: &mut SpansWriter) -> Result<Option<()>> {
        let Some(rows) = &self.rows else { return Ok(Some(())) };
        let block = &rows.block;
        let (resource, scope) = (block.resources[self.row], block.scopes[self.row]);
        let owner = self.spans.part.owners.encoded(resource, scope);
        let (Some(span), Some(owner)) = (self.spans.stored(rows, self.row), owner) else {
            return Ok(None);
        };
        if clamp_time(span.span.start_ns) >= cutoff_ns {
            writer.push(service_of(&span.resource), owner, &span.span)?;
        }
        Ok(Some(()))
    }
}

fn merge_spans(
    vfs: &dyn Vfs,
    path: &Path,
    parts: &[Arc<SpansPart>],
    cutoff_ns: i64,
    info: &mut PartInfo,
) -> Result<bool> {
    let mut inputs = Vec::with_capacity(parts.len());
    for part in parts {
        let Some(input) = SpanInput::open(part)? else { return Ok(false) };
        inputs.push(input);
    }
    let mut traces = Vec::new();
    for input in &inputs {
        traces.extend(input.spans.traces()?);
    }
    let numbers = TraceNumbers::new(traces.into_iter());
    let mut writer = SpansWriter::create(vfs, path, LEVEL_MERGE, numbers)?;
    while let Some(first) = first_of(&inputs, |a, b| a.key().cmp(&b.key()), |i| i.rows.is_none()) {
        let input = &mut inputs[first];
        if input.give(cutoff_ns, &mut writer)?.is_none() {
            return Ok(false);
        }
        input.row += 1;
        if !input.settle()? {
            return Ok(false);
        }
    }
    for part in parts {
        let stays = |counted: &ThinnedSpans<'_>| counted.minute_end_ns >= cutoff_ns;
        let (_, damaged) = writer.take_counts(part, &stays)?;
        if damaged > 0 {
            return Ok(false);
        }
    }
    (info.rows, info.min_ns, info.max_ns) = (writer.rows, writer.min_ns, writer.max_ns);
    info.bytes = writer.finish()?;
    Ok(true)
}

struct SeriesInput<'a> {
    part: &'a MetricsPart,
    next_block: usize,
    block: Option<Arc<SeriesBlock>>,
    row: usize,
    /// Of the current row.
    labels: Labels,
    writer: LabelsWriter,
    /// The data block last read.
    data: Option<(u32, Arc<Vec<u8>>)>,
    chunks: ChunkReader,
}

impl<'a> SeriesInput<'a> {
    fn new(part: &'a MetricsPart) -> Self {
        let (labels, writer) = (Labels::empty(), LabelsWriter::default());
        let (data, chunks) = (None, ChunkReader::default());
        SeriesInput { part, next_block: 0, block: None, row: 0, labels, writer, data, chunks }
    }

    /// As [`LogInput::settle`].
    fn settle(&mut self) -> Result<bool> {
        while self.block.as_ref().is_none_or(|block| self.row >= block.len()) {
            let Some(info) = self.part.series_blocks.get(self.next_block) else {
                self.block = None;
                return Ok(true);
            };
            self.next_block += 1;
            self.row = 0;
            self.block = self.part.read_series(info)?;
            if self.block.is_none() {
                return Ok(false);
            }
        }
        if let Some(block) = &self.block {
            self.labels = block.labels_by(&mut self.writer, self.row);
        }
        Ok(true)
    }

    /// Adds the current series' samples. False if a block is damaged.
    fn gather(&mut self, range: TimeRange, out: &mut Gather<'_>) -> Result<bool> {
        let Some(block) = self.block.clone() else { return Ok(true) };
        for chunk in block.chunks_of(self.row) {
            if self.data.as_ref().is_none_or(|(at, _)| *at != chunk.block) {
                let Some(data) = self.part.read_data(chunk.block)? else { return Ok(false) };
                self.data = Some((chunk.block, data));
            }
            let bytes = self.data.as_ref().and_then(|(_, d)| d.get(chunk.offset as usize..));
            if bytes.and_then(|b| self.chunks.read(b, &range.to_ms(), out)).is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn merge_metrics(
    vfs: &dyn Vfs,
    path: &Path,
    parts: &[Arc<MetricsPart>],
    cutoff_ns: i64,
    info: &mut PartInfo,
) -> Result<bool> {
    let range = TimeRange { start_ns: cutoff_ns, end_ns: i64::MAX };
    let mut inputs = Vec::with_capacity(parts.len());
    for part in parts {
        let mut input = SeriesInput::new(part);
        if !input.settle()? {
            return Ok(false);
        }
        inputs.push(input);
    }
    let mut writer = MetricsWriter::create(vfs, path, LEVEL_MERGE)?;
    let order = |a: &SeriesInput<'_>, b: &SeriesInput<'_>| series_order(&a.labels, &b.labels);
    let mut samples = Samples::default();
    while let Some(first) = first_of(&inputs, order, |i| i.block.is_none()) {
        let labels = inputs[first].labels.clone();
        let mut gather = Gather::new(&mut samples);
        let mut owner = None;
        for input in &mut inputs {
            let Some(block) = input.block.clone().filter(|_| input.labels == labels) else {
                continue;
            };
            if !input.gather(range, &mut gather)? {
                return Ok(false);
            }
            // The newest input's owner counts.
            let (resource, scope) = block.owner(input.row);
            owner = input.part.owners.encoded(resource, scope);
            input.row += 1;
            if !input.settle()? {
                return Ok(false);
            }
        }
        gather.finish();
        let Some(owner) = owner else { return Ok(false) };
        writer.push(&labels, owner, &samples)?;
    }
    if !merge_exemplars(parts, range, &mut writer)? {
        return Ok(false);
    }
    info.rows = writer.rows;
    info.min_ns = writer.min_ms.saturating_mul(1_000_000);
    info.max_ns = writer.max_ms.saturating_mul(1_000_000);
    info.bytes = writer.finish()?;
    Ok(true)
}

struct ExemplarInput<'a> {
    part: &'a MetricsPart,
    next_block: usize,
    /// Of the current block, the next one last.
    rest: Vec<PartExemplar>,
}

impl ExemplarInput<'_> {
    /// As [`LogInput::settle`].
    fn settle(&mut self) -> Result<bool> {
        while self.rest.is_empty() {
            let Some(info) = self.part.exemplar_blocks.get(self.next_block) else { break };
            self.next_block += 1;
            let Some(mut exemplars) = self.part.read_exemplars(info)? else { return Ok(false) };
            exemplars.reverse();
            self.rest = exemplars;
        }
        Ok(true)
    }
}

fn merge_exemplars(
    parts: &[Arc<MetricsPart>],
    range: TimeRange,
    writer: &mut MetricsWriter,
) -> Result<bool> {
    let mut inputs = Vec::with_capacity(parts.len());
    for part in parts {
        let mut input = ExemplarInput { part, next_block: 0, rest: Vec::new() };
        if !input.settle()? {
            return Ok(false);
        }
        inputs.push(input);
    }
    let order = |a: &ExemplarInput<'_>, b: &ExemplarInput<'_>| match (a.rest.last(), b.rest.last())
    {
        (Some(a), Some(b)) => series_order(&a.series, &b.series)
            .then_with(|| a.exemplar.time_ms.cmp(&b.exemplar.time_ms)),
        _ => Ordering::Equal,
    };
    while let Some(first) = first_of(&inputs, order, |i| i.rest.is_empty()) {
        let input = &mut inputs[first];
        if let Some(next) = input.rest.pop()
            && range.to_ms().contains(&next.exemplar.time_ms)
        {
            let Some(owner) = input.part.owners.encoded(next.resource, next.scope) else {
                return Ok(false);
            };
            writer.push_exemplar(&next.series, owner, &next.exemplar)?;
        }
        if !input.settle()? {
            return Ok(false);
        }
    }
    Ok(true)
}
