//! Series, samples and exemplars of a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::selection::{Place, Selection, select};
use super::{Places, Samples, Series, Snapshot, TimeRange};
use crate::error::Result;
use crate::labels::{Labels, LabelsWriter};
use crate::matcher::Matcher;
use crate::model::{Exemplar, Resource, Scope};
use crate::part::Signal;
use crate::part::metrics::{ChunkReader, MetricsPart, SERIES_PER_BLOCK};
use crate::samples::Gather;
use crate::tally::Tally;

/// All that was selected, with labels; the newest owner counts.
pub(super) fn series(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<Series>> {
    let selection = select(snapshot, matchers, range, tally)?;
    let mut writer = LabelsWriter::default();
    let mut found = Vec::with_capacity(selection.len());
    for at in 0..selection.len() {
        let places = selection.places(at);
        let Some(&newest) = places.last() else { continue };
        let (resource, scope) = owner(snapshot, &selection, newest)?;
        let labels = selection.labels(&mut writer, at);
        let place = |place: &Place| (place.source, selection.number(*place));
        let places = Places::of(places.iter().map(place));
        found.push(Series { labels, resource, scope, places });
    }
    Ok(found)
}

type Owner = (Arc<Resource<'static>>, Arc<Scope<'static>>);

/// Who sent the series at a place.
fn owner(snapshot: &Snapshot, selection: &Selection, place: Place) -> Result<Owner> {
    let parts = &snapshot.parts.metrics;
    if let Some(part) = parts.get(place.source as usize) {
        let owner = selection.row(place).map(|(block, row)| block.owner(row));
        let owner = owner.and_then(|(resource, scope)| {
            Some((part.owners.resource(resource)?, part.owners.scope(scope)?))
        });
        return match owner {
            Some((resource, scope)) => Ok((Arc::clone(resource), Arc::clone(scope))),
            None => Err(part.file.corrupt("a series names an owner that is not there")),
        };
    }
    let tables = snapshot.heads[place.source as usize - parts.len()].head.read();
    let series = &tables.metrics.series[selection.number(place) as usize];
    let resource = &tables.resources.values[series.resource as usize];
    let scope = &tables.scopes.values[series.scope as usize];
    Ok((Arc::clone(resource), Arc::clone(scope)))
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
    let mut chunks = ChunkReader::default();
    for chunk in block.chunks_of(row) {
        if chunk.max_ms < *ms.start() || *ms.end() < chunk.min_ms {
            continue;
        }
        let Some(data) = snapshot.data_block(part, chunk.block, tally)? else { continue };
        let bytes = data.get(chunk.offset as usize..);
        match bytes.and_then(|bytes| chunks.read(bytes, &ms, out)) {
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
