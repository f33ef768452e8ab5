//! Series, samples and exemplars of a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Samples, Series, Snapshot, TimeRange};
use crate::error::Result;
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::model::Exemplar;
use crate::samples::Gather;
use crate::tally::Tally;

pub(super) fn series(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<Series>> {
    let mut found: Vec<Series> = Vec::new();
    for (at, view) in snapshot.heads.iter().enumerate() {
        let source = at as u32;
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
                    places: vec![(source, place)],
                });
            }
        }
    }
    Ok(unite(found))
}

/// Sorts by labels and makes one of equal ones; the newest owner counts.
fn unite(mut found: Vec<Series>) -> Vec<Series> {
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found.dedup_by(|later, kept| {
        if later.labels != kept.labels {
            return false;
        }
        kept.places.append(&mut later.places);
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
    let mut gather = Gather::new(out);
    for &(source, place) in &series.places {
        if let Some(view) = snapshot.heads.get(source as usize) {
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

pub(super) fn exemplars(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<(Series, Vec<Exemplar>)>> {
    let mut found: BTreeMap<Labels, (Series, Vec<Exemplar>)> = BTreeMap::new();
    let ms = range.to_ms();
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
                    places: Vec::new(),
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
