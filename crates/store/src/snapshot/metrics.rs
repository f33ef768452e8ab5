//! Series, samples and exemplars of a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Places, Samples, Series, Snapshot, TimeRange};
use crate::error::Result;
use crate::labels::{Labels, LabelsWriter};
use crate::matcher::Matcher;
use crate::model::Exemplar;
use crate::part::Signal;
use crate::part::metrics::{MetricsPart, SERIES_PER_BLOCK, decode_chunk};
use crate::samples::Gather;
use crate::tally::Tally;

pub(super) fn series(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<Series>> {
    let range = range.after(snapshot.cutoffs_ns[Signal::Metrics as usize]);
    let mut found: Vec<Series> = Vec::new();
    for (source, part) in snapshot.parts.metrics.iter().enumerate() {
        if range.overlaps((part.file.info.min_ns, part.file.info.max_ns)) {
            series_of_part(snapshot, source as u32, matchers, range, tally, &mut found)?;
        }
    }
    for (at, view) in snapshot.heads.iter().enumerate() {
        let source = (snapshot.parts.metrics.len() + at) as u32;
        let tables = view.head.read();
        let matching = tables.metrics.matching(matchers);
        tally.add(0, matching.len() as u64 * 64)?;
        for place in matching {
            let series = &tables.metrics.series[place as usize];
            if series.has_samples(view.visible, range) {
                found.push(Series {
                    labels: series.labels.clone(),
                    resource: Arc::clone(&tables.resources.values[series.resource as usize]),
                    scope: Arc::clone(&tables.scopes.values[series.scope as usize]),
                    places: Places::one(source, place),
                });
            }
        }
    }
    Ok(unite(found))
}

fn series_of_part(
    snapshot: &Snapshot,
    source: u32,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
    found: &mut Vec<Series>,
) -> Result<()> {
    let part = &snapshot.parts.metrics[source as usize];
    let ms = range.to_ms();
    let overlaps = |min: i64, max: i64| *ms.start() <= max && min <= *ms.end();
    let mut writer = LabelsWriter::default();
    for (at, info) in part.series_blocks.iter().enumerate() {
        if !overlaps(info.min_ms, info.max_ms) || !info.may_match(matchers) {
            tally.blocks_skipped.fetch_add(1, Relaxed);
            continue;
        }
        let Some(block) = snapshot.series_block(part, at, tally)? else { continue };
        for row in block.matching(matchers) {
            let mut chunks = block.chunks_of(row as usize).iter();
            if !chunks.any(|chunk| overlaps(chunk.min_ms, chunk.max_ms)) {
                continue;
            }
            let (resource, scope) = block.owner(row as usize);
            let (Some(resource), Some(scope)) =
                (part.owners.resource(resource), part.owners.scope(scope))
            else {
                return Err(part.file.corrupt("a series names an owner that is not there"));
            };
            found.push(Series {
                labels: block.labels_by(&mut writer, row as usize),
                resource: Arc::clone(resource),
                scope: Arc::clone(scope),
                places: Places::one(source, (at * SERIES_PER_BLOCK) as u32 + row),
            });
        }
    }
    Ok(())
}

/// Sorts by labels and makes one of equal ones; the newest owner counts.
fn unite(mut found: Vec<Series>) -> Vec<Series> {
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found.dedup_by(|later, kept| {
        if later.labels != kept.labels {
            return false;
        }
        kept.places.append(&later.places);
        kept.resource = Arc::clone(&later.resource);
        kept.scope = Arc::clone(&later.scope);
        true
    });
    found
}

pub(super) fn samples(
    snapshot: &Snapshot,
    series: &Series,
    range: TimeRange,
    out: &mut Samples,
    tally: &Tally,
) -> Result<()> {
    let range = range.after(snapshot.cutoffs_ns[Signal::Metrics as usize]);
    let mut gather = Gather::new(out);
    let parts = &snapshot.parts.metrics;
    for (source, place) in series.places.iter() {
        if let Some(part) = parts.get(source as usize) {
            samples_of_part(snapshot, part, place, range, &mut gather, tally)?;
        } else if let Some(view) = snapshot.heads.get(source as usize - parts.len()) {
            let tables = view.head.read();
            if let Some(series) = tables.metrics.series.get(place as usize) {
                let rows = series.len() as u64;
                tally.add(rows, rows * 16)?;
                series.gather(view.visible, range, &mut gather);
            }
        }
    }
    gather.finish();
    Ok(())
}

fn samples_of_part(
    snapshot: &Snapshot,
    part: &MetricsPart,
    place: u32,
    range: TimeRange,
    out: &mut Gather<'_>,
    tally: &Tally,
) -> Result<()> {
    let (block, row) = (place as usize / SERIES_PER_BLOCK, place as usize % SERIES_PER_BLOCK);
    let Some(block) = snapshot.series_block(part, block, tally)? else { return Ok(()) };
    let ms = range.to_ms();
    for chunk in block.chunks_of(row) {
        if chunk.max_ms < *ms.start() || *ms.end() < chunk.min_ms {
            continue;
        }
        let Some(data) = snapshot.data_block(part, chunk.block, tally)? else { continue };
        let bytes = data.get(chunk.offset as usize..);
        match bytes.and_then(|bytes| decode_chunk(bytes, &ms, out)) {
            Some(count) => tally.add(count as u64, count as u64 * 16)?,
            None => return Err(part.file.corrupt("a chunk of samples is malformed")),
        }
    }
    Ok(())
}

pub(super) fn label_names(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for series in series(snapshot, matchers, range, tally)? {
        for (name, _) in series.labels.iter() {
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
    }
    Ok(names.into_iter().collect())
}

pub(super) fn label_values(
    snapshot: &Snapshot,
    label: &str,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<String>> {
    let mut values = BTreeSet::new();
    for series in series(snapshot, matchers, range, tally)? {
        if let Some(value) = series.labels.get(label)
            && !values.contains(value)
        {
            values.insert(value.to_owned());
        }
    }
    Ok(values.into_iter().collect())
}

fn exemplars_of_part(
    part: &MetricsPart,
    matchers: &[Matcher],
    ms: &RangeInclusive<i64>,
    tally: &Tally,
    found: &mut BTreeMap<Labels, (Series, Vec<Exemplar>)>,
) -> Result<()> {
    for info in &part.exemplar_blocks {
        if info.max_ms < *ms.start() || *ms.end() < info.min_ms {
            tally.blocks_skipped.fetch_add(1, Relaxed);
            continue;
        }
        tally.blocks_read.fetch_add(1, Relaxed);
        let Some(exemplars) = part.read_exemplars(info)? else {
            tally.blocks_damaged.fetch_add(1, Relaxed);
            continue;
        };
        tally.add(exemplars.len() as u64, info.block.raw_len())?;
        for found_here in exemplars {
            if !ms.contains(&found_here.exemplar.time_ms)
                || !matchers.iter().all(|m| m.matches_labels(&found_here.series))
            {
                continue;
            }
            let (Some(resource), Some(scope)) =
                (part.owners.resource(found_here.resource), part.owners.scope(found_here.scope))
            else {
                return Err(part.file.corrupt("an exemplar names an owner that is not there"));
            };
            let entry = found.entry(found_here.series.clone()).or_insert_with(|| {
                let series = Series {
                    labels: found_here.series.clone(),
                    resource: Arc::clone(resource),
                    scope: Arc::clone(scope),
                    places: Places::default(),
                };
                (series, Vec::new())
            });
            entry.1.push(found_here.exemplar);
        }
    }
    Ok(())
}

pub(super) fn exemplars(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<(Series, Vec<Exemplar>)>> {
    let mut found: BTreeMap<Labels, (Series, Vec<Exemplar>)> = BTreeMap::new();
    let range = range.after(snapshot.cutoffs_ns[Signal::Metrics as usize]);
    let ms = range.to_ms();
    for part in &snapshot.parts.metrics {
        exemplars_of_part(part, matchers, &ms, tally, &mut found)?;
    }
    for view in &snapshot.heads {
        let tables = view.head.read();
        for exemplar in &tables.metrics.exemplars {
            tally.add(1, 64)?;
            if exemplar.number > view.visible || !ms.contains(&exemplar.exemplar.time_ms) {
                continue;
            }
            let series = &tables.metrics.series[exemplar.series as usize];
            if !matchers.iter().all(|m| m.matches_labels(&series.labels)) {
                continue;
            }
            let entry = found.entry(series.labels.clone()).or_insert_with(|| {
                let owned = Series {
                    labels: series.labels.clone(),
                    resource: Arc::clone(&tables.resources.values[series.resource as usize]),
                    scope: Arc::clone(&tables.scopes.values[series.scope as usize]),
                    places: Places::default(),
                };
                (owned, Vec::new())
            });
            entry.1.push(exemplar.exemplar.clone());
        }
    }
    let mut out: Vec<(Series, Vec<Exemplar>)> = found.into_values().collect();
    for (_, exemplars) in &mut out {
        exemplars.sort_by_key(|e| e.time_ms);
        // The same exemplar comes with every scrape until the next observation.
        exemplars.dedup_by(|a, b| {
            a.time_ms == b.time_ms && a.value.to_bits() == b.value.to_bits() && a.labels == b.labels
        });
    }
    Ok(out)
}
