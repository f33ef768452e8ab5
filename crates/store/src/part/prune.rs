//! Writes a part anew without some of its rows.

use std::path::Path;
use std::sync::Arc;

use super::logs::{LogsPart, LogsWriter};
use super::metrics::{ChunkReader, MetricsPart, MetricsWriter, SeriesBlock};
use super::spans::{SpansPart, SpansWriter, ThinnedSpans, TraceNumbers, WholeSpans, service_of};
use super::{LEVEL_MERGE, LEVEL_MERGE_LOGS, PartInfo, PartSet};
use crate::error::Result;
use crate::head::clamp_time;
use crate::labels::Labels;
use crate::model::{Resource, TraceId};
use crate::samples::Gather;
use crate::snapshot::{Samples, TimeRange};
use crate::vfs::Vfs;

/// Which rows stay.
pub(crate) trait Keep {
    /// Whether any row of this owner may go. The labels are those of its stream or series.
    fn concerns(&self, resource: &Resource<'_>, labels: Option<&Labels>) -> bool;

    /// Whether a row of a concerned owner stays.
    fn row(&self, time_ns: i64, trace: Option<TraceId>) -> bool;

    /// Whether spans of a concerned owner that are only counted, and start within these
    /// bounds, stay counted.
    fn counted(&self, _bounds_ns: (i64, i64)) -> bool {
        true
    }

    /// Whether spans that go are counted.
    fn counts(&self) -> bool {
        false
    }
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pruned {
    /// Nothing in it had to go.
    Untouched,
    /// Written anew, or empty now. Some blocks could not be read and are left out.
    Written {
        /// `None` if nothing of it stays.
        new: Option<PartInfo>,
        lost_blocks: u64,
    },
}

/// Writes what stays of a part to `path`; `info` names the new part. Damaged blocks are
/// left out.
pub(crate) fn prune(
    vfs: &dyn Vfs,
    path: &Path,
    parts: &PartSet,
    old: u64,
    keep: &dyn Keep,
    info: PartInfo,
) -> Result<Pruned> {
    if let Some(part) = parts.logs.iter().find(|p| p.file.info.id == old) {
        return prune_logs(vfs, path, part, keep, info);
    }
    if let Some(part) = parts.spans.iter().find(|p| p.file.info.id == old) {
        return prune_spans(vfs, path, part, keep, info);
    }
    match parts.metrics.iter().find(|p| p.file.info.id == old) {
        Some(part) => prune_metrics(vfs, path, part, keep, info),
        // It could not even be opened.
        None => Ok(Pruned::Written { new: None, lost_blocks: 1 }),
    }
}

fn end(removed: u64, lost_blocks: u64, bytes: Result<u64>, info: PartInfo) -> Result<Pruned> {
    let info = PartInfo { bytes: bytes?, ..info };
    Ok(match (removed, lost_blocks) {
        (0, 0) => Pruned::Untouched,
        // Exemplars are no rows, but they have times.
        _ => Pruned::Written { new: (info.min_ns <= info.max_ns).then_some(info), lost_blocks },
    })
}

fn prune_logs(
    vfs: &dyn Vfs,
    path: &Path,
    part: &LogsPart,
    keep: &dyn Keep,
    info: PartInfo,
) -> Result<Pruned> {
    let concerned = part.owners.matching(|r| keep.concerns(r, None));
    let nothing = Resource::default();
    let of_stream = |labels| keep.concerns(&nothing, Some(labels));
    let streams: Vec<bool> = part.streams.iter().map(|s| of_stream(&s.labels)).collect();
    if !part.file.is_damaged() && !concerned.contains(&true) && !streams.contains(&true) {
        return Ok(Pruned::Untouched);
    }
    let is = |flags: &[bool], at: u64| flags.get(at as usize).copied().unwrap_or(false);
    let mut writer = LogsWriter::create(vfs, path, LEVEL_MERGE_LOGS)?;
    let (mut removed, mut lost) = (0, 0);
    for block_info in &part.blocks {
        let Some(rows) = part.read_whole(block_info)? else {
            lost += 1;
            continue;
        };
        let block = &rows.block;
        for row in 0..block.len() {
            let group = block.group(row);
            let owner = group.and_then(|g| part.owners.encoded(g.resource, g.scope));
            let (Some(log), Some(group), Some(owner)) = (rows.stored(part, row), group, owner)
            else {
                lost += 1;
                continue;
            };
            let concerned = is(&concerned, group.resource) || is(&streams, group.stream);
            let trace = Some(log.record.trace_id);
            if concerned && !keep.row(clamp_time(log.record.time_ns), trace) {
                removed += 1;
            } else {
                writer.push(&log.stream, owner, &log.record)?;
            }
        }
    }
    // Or a block of the trace index, which is made anew.
    lost = lost.max(u64::from(part.file.is_damaged()));
    let (rows, min_ns, max_ns) = (writer.rows, writer.min_ns, writer.max_ns);
    end(removed, lost, writer.finish(), PartInfo { rows, min_ns, max_ns, ..info })
}

fn prune_spans(
    vfs: &dyn Vfs,
    path: &Path,
    part: &SpansPart,
    keep: &dyn Keep,
    info: PartInfo,
) -> Result<Pruned> {
    let concerned = part.owners.matching(|r| keep.concerns(r, None));
    if !part.file.is_damaged() && !concerned.contains(&true) {
        return Ok(Pruned::Untouched);
    }
    let spans = WholeSpans::open(part)?;
    let numbers = TraceNumbers::new(spans.traces()?.into_iter());
    let mut writer = SpansWriter::create(vfs, path, LEVEL_MERGE, numbers)?;
    let (mut removed, mut lost) = (0, 0);
    for (at, block_info) in (0u32..).zip(&part.blocks) {
        let Some(rows) = part.read_whole(at, block_info)? else {
            lost += 1;
            continue;
        };
        for row in 0..rows.block.len() {
            let (resource, scope) = (rows.block.resources[row], rows.block.scopes[row]);
            let (Some(stored), Some(owner)) =
                (spans.stored(&rows, row), part.owners.encoded(resource, scope))
            else {
                lost += 1;
                continue;
            };
            let concerned = concerned.get(resource as usize).copied().unwrap_or(false);
            let trace = Some(stored.span.trace_id);
            if concerned && !keep.row(clamp_time(stored.span.start_ns), trace) {
                removed += 1;
                if keep.counts() {
                    writer.thin(owner, &stored.span);
                }
            } else {
                writer.push(service_of(&stored.resource), owner, &stored.span)?;
            }
        }
    }
    let stays = |counted: &ThinnedSpans<'_>| {
        !keep.concerns(counted.resource, None) || keep.counted(counted.bounds_ns())
    };
    let (uncounted, damaged) = writer.take_counts(part, &stays)?;
    removed += uncounted;
    lost += damaged;
    // Or a block of the trace index, which is made anew.
    lost = lost.max(u64::from(part.file.is_damaged()));
    let (rows, min_ns, max_ns) = (writer.rows, writer.min_ns, writer.max_ns);
    end(removed, lost, writer.finish(), PartInfo { rows, min_ns, max_ns, ..info })
}

fn prune_metrics(
    vfs: &dyn Vfs,
    path: &Path,
    part: &MetricsPart,
    keep: &dyn Keep,
    info: PartInfo,
) -> Result<Pruned> {
    if !part.file.is_damaged() && !concerns_any(part, keep)? {
        return Ok(Pruned::Untouched);
    }
    let mut writer = MetricsWriter::create(vfs, path, LEVEL_MERGE)?;
    let (mut removed, mut lost) = (0, 0);
    let mut samples = Samples::default();
    let mut data = None;
    for block_info in &part.series_blocks {
        let Some(block) = part.read_series(block_info)? else {
            lost += 1;
            continue;
        };
        for row in 0..block.len() {
            lost += gather(part, &block, row, &mut data, &mut samples)?;
            let labels = block.labels(row);
            let (resource, scope) = block.owner(row);
            let (Some(owner), Some(resource)) =
                (part.owners.encoded(resource, scope), part.owners.resource(resource))
            else {
                lost += 1;
                continue;
            };
            if keep.concerns(resource, Some(&labels)) {
                removed += thin(&mut samples, keep);
            }
            writer.push(&labels, owner, &samples)?;
        }
    }
    for block_info in &part.exemplar_blocks {
        let Some(exemplars) = part.read_exemplars(block_info)? else {
            lost += 1;
            continue;
        };
        for one in exemplars {
            let (Some(owner), Some(resource)) =
                (part.owners.encoded(one.resource, one.scope), part.owners.resource(one.resource))
            else {
                lost += 1;
                continue;
            };
            let time_ns = one.exemplar.time_ms.saturating_mul(1_000_000);
            if keep.concerns(resource, Some(&one.series)) && !keep.row(time_ns, None) {
                removed += 1;
            } else {
                writer.push_exemplar(&one.series, owner, &one.exemplar)?;
            }
        }
    }
    let (min_ns, max_ns) =
        (writer.min_ms.saturating_mul(1_000_000), writer.max_ms.saturating_mul(1_000_000));
    let info = PartInfo { rows: writer.rows, min_ns, max_ns, ..info };
    end(removed, lost, writer.finish(), info)
}

/// Reads one series' samples; returns how many chunks could not be read. `data` is the
/// block last read.
fn gather(
    part: &MetricsPart,
    block: &SeriesBlock,
    row: usize,
    data: &mut Option<(u32, Arc<Vec<u8>>)>,
    samples: &mut Samples,
) -> Result<u64> {
    let mut gather = Gather::new(samples);
    let mut chunks = ChunkReader::default();
    let mut lost = 0;
    for chunk in block.chunks_of(row) {
        if data.as_ref().is_none_or(|(at, _)| *at != chunk.block) {
            *data = part.read_data(chunk.block)?.map(|read| (chunk.block, read));
        }
        let bytes = data.as_ref().and_then(|(_, d)| d.get(chunk.offset as usize..));
        let all = TimeRange::ALL.to_ms();
        let decoded = bytes.and_then(|bytes| chunks.read(bytes, &all, &mut gather));
        lost += u64::from(decoded.is_none());
    }
    gather.finish();
    Ok(lost)
}

/// Whether any series or exemplar of a part is concerned; reads labels only. What cannot
/// be read may be.
fn concerns_any(part: &MetricsPart, keep: &dyn Keep) -> Result<bool> {
    let of = |resource: u64, labels: &Labels| {
        part.owners.resource(resource).is_none_or(|r| keep.concerns(r, Some(labels)))
    };
    for info in &part.series_blocks {
        let Some(block) = part.read_series(info)? else { return Ok(true) };
        if (0..block.len()).any(|row| of(block.owner(row).0, &block.labels(row))) {
            return Ok(true);
        }
    }
    for info in &part.exemplar_blocks {
        let Some(exemplars) = part.read_exemplars(info)? else { return Ok(true) };
        if exemplars.iter().any(|one| of(one.resource, &one.series)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes samples out; returns how many.
fn thin(samples: &mut Samples, keep: &dyn Keep) -> u64 {
    let all = std::mem::take(samples);
    let mut gather = Gather::new(samples);
    let start = |starts: &[i64], i: usize| starts.get(i).copied().unwrap_or(0);
    let stays = |ms: i64| keep.row(ms.saturating_mul(1_000_000), None);
    let mut removed = 0;
    for (i, &ms) in all.float_times_ms.iter().enumerate() {
        match stays(ms) {
            true => gather.float(ms, start(&all.float_starts_ms, i), all.floats[i]),
            false => removed += 1,
        }
    }
    for (i, &ms) in all.histogram_times_ms.iter().enumerate() {
        match stays(ms) {
            true => gather.histogram(ms, start(&all.histogram_starts_ms, i), &all.histograms[i]),
            false => removed += 1,
        }
    }
    gather.finish();
    removed
}
