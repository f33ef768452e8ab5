//! Many small parts become few large ones: which, and when.

use std::sync::Arc;

use super::flush::Maintenance;
use super::open::PARTS_DIR;
use super::{Store, hold};
use crate::error::{Error, Result};
use crate::part::merge::{MergeInputs, merge_parts};
use crate::part::{PartInfo, Signal};

/// Parts to one merge.
const WIDTH_MAX: usize = 15;
/// A merge must make at least this of its largest part: then each row is rewritten a few
/// times in its life, and a partition keeps about as many parts as its size has digits.
const GROWTH_MIN: f64 = 2.5;
/// Bytes of a part: bounds how long a merge takes and how much room it needs meanwhile.
const BYTES_MAX: u64 = 1 << 30;

impl Store {
    /// Does one merge, if one is worth it. Appends, flushes and queries go on meanwhile.
    pub(super) fn merge_some(&self) -> Result<bool> {
        let Ok(_one_at_a_time) = self.merging.try_lock() else { return Ok(false) };
        match self.plan(GROWTH_MIN) {
            Some(parts) => self.merge_these(&parts),
            None => Ok(false),
        }
    }

    /// Merges until nothing is left to merge.
    pub(super) fn merge_all(&self) -> Result<()> {
        let _one_at_a_time = hold(&self.merging);
        while let Some(parts) = self.plan(1.0) {
            if !self.merge_these(&parts)? {
                break;
            }
        }
        Ok(())
    }

    /// The run of parts that gains most. Only neighbours in the order of appends are
    /// merged: else it would not be known any more which of two samples is the later one.
    fn plan(&self, growth_min: f64) -> Option<Vec<PartInfo>> {
        if !hold(&self.maintenance).manifest.deletions.is_empty() {
            return None;
        }
        let damaged = self.damaged_parts();
        let mut parts = hold(&self.maintenance).manifest.parts.clone();
        parts.sort_by_key(|p| (p.signal, p.day, p.last_number));
        let mut best: Option<(f64, Vec<PartInfo>)> = None;
        for partition in parts.chunk_by(|a, b| (a.signal, a.day) == (b.signal, b.day)) {
            let whole = partition.split(|part| damaged.contains(&part.id));
            // What is thinned stays so: who knows why its traces were kept.
            for run in whole.flat_map(|run| run.chunk_by(|a, b| a.thinned == b.thinned)) {
                if let Some((growth, window)) =
                    best_window(run, self.limits.merge_rows_max, self.part_bytes_max(run))
                    && growth >= growth_min
                    && best.as_ref().is_none_or(|(known, _)| growth > *known)
                {
                    best = Some((growth, window.to_vec()));
                }
            }
        }
        best.map(|(_, window)| window)
    }

    /// A signal that may have so many bytes loses them in parts: they must not be large
    /// beside it.
    fn part_bytes_max(&self, run: &[PartInfo]) -> u64 {
        let limits = &self.settings.retention_bytes;
        let limit = run.first().and_then(|part| match part.signal {
            Signal::Metrics => limits.metrics,
            Signal::Logs => limits.logs,
            Signal::Traces => limits.traces,
        });
        limit.map_or(BYTES_MAX, |limit| BYTES_MAX.min(limit / 8))
    }

    /// Parts with a damaged block stay as they are: a merge would make the loss final.
    pub(super) fn damaged_parts(&self) -> Vec<u64> {
        let view = hold(&self.view);
        let readable: Vec<u64> =
            view.parts.files().filter(|f| !f.is_damaged()).map(|f| f.info.id).collect();
        drop(view);
        let maintenance = hold(&self.maintenance);
        let all = maintenance.manifest.parts.iter().map(|p| p.id);
        all.filter(|id| !readable.contains(id)).collect()
    }

    /// False if the merge came to nothing: a block was damaged, or an input has expired.
    fn merge_these(&self, inputs: &[PartInfo]) -> Result<bool> {
        let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else { return Ok(false) };
        // Both are there for a while, and what is held in reserve is for the log and the head.
        if !self.valve.has_room(inputs.iter().map(|input| input.bytes).sum()) {
            return Ok(false);
        }
        let id = {
            let mut maintenance = hold(&self.maintenance);
            maintenance.manifest.next_part += 1;
            maintenance.manifest.next_part - 1
        };
        let mut info = PartInfo {
            id,
            first_number: first.first_number,
            last_number: last.last_number,
            rows: 0,
            bytes: 0,
            ..*first
        };
        let dir = self.dir.join(PARTS_DIR);
        let path = dir.join(info.file_name());
        let cutoff_ns = self.cutoff_ns(info.signal);
        let sources = self.sources(inputs);
        let merged = merge_parts(&*self.vfs, &path, &sources, cutoff_ns, &mut info);
        let merged = merged.and_then(|whole| match whole {
            true => self.vfs.sync_dir(&dir).map_err(|e| Error::io("sync", &dir, e)).map(|()| true),
            false => Ok(false),
        });
        let mut maintenance = hold(&self.maintenance);
        let committed = match merged {
            Ok(true) => self.replace(&mut maintenance, inputs, info),
            other => other,
        };
        if !matches!(committed, Ok(true)) && self.poison.why().is_none() {
            let _ = self.vfs.remove(&path);
        }
        committed
    }

    fn sources(&self, inputs: &[PartInfo]) -> MergeInputs {
        let parts = Arc::clone(&hold(&self.view).parts);
        let wanted = |id: u64| inputs.iter().any(|input| input.id == id);
        match inputs.first().map(|input| input.signal) {
            Some(Signal::Metrics) => MergeInputs::Metrics(
                parts.metrics.iter().filter(|p| wanted(p.file.info.id)).cloned().collect(),
            ),
            Some(Signal::Logs) => MergeInputs::Logs(
                parts.logs.iter().filter(|p| wanted(p.file.info.id)).cloned().collect(),
            ),
            _ => MergeInputs::Spans(
                parts.spans.iter().filter(|p| wanted(p.file.info.id)).cloned().collect(),
            ),
        }
    }

    fn replace(
        &self,
        maintenance: &mut Maintenance,
        inputs: &[PartInfo],
        merged: PartInfo,
    ) -> Result<bool> {
        self.poison.check()?;
        let mut next = maintenance.manifest.clone();
        if !inputs.iter().all(|input| next.parts.contains(input)) {
            return Ok(false);
        }
        let ids: Vec<u64> = inputs.iter().map(|input| input.id).collect();
        next.parts.retain(|part| !ids.contains(&part.id));
        let added = if merged.rows > 0 || merged.bytes > 0 { vec![merged] } else { Vec::new() };
        next.parts.extend(&added);
        self.change_parts(maintenance, next, &added, &ids)?;
        Ok(true)
    }
}

/// The neighbours whose sum is largest beside the largest of them.
fn best_window(run: &[PartInfo], rows_max: u64, bytes_max: u64) -> Option<(f64, &[PartInfo])> {
    let mut best: Option<(f64, &[PartInfo])> = None;
    for from in 0..run.len() {
        let (mut bytes, mut rows, mut largest) = (0u64, 0u64, 1u64);
        for to in from..run.len().min(from + WIDTH_MAX) {
            bytes += run[to].bytes;
            rows += run[to].rows;
            largest = largest.max(run[to].bytes);
            if bytes > bytes_max || (run[to].signal != Signal::Metrics && rows > rows_max) {
                break;
            }
            let growth = bytes as f64 / largest as f64;
            if to > from && best.is_none_or(|(known, _)| growth > known) {
                best = Some((growth, &run[from..=to]));
            }
        }
    }
    best
}
