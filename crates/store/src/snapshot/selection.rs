//! Series that match, found in parts and heads and put in order without their labels being
//! put together: whoever sums up a hundred thousand of them needs hardly any.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{HeadView, Snapshot, TimeRange};
use crate::error::Result;
use crate::labels::{Labels, LabelsWriter};
use crate::matcher::Matcher;
use crate::part::Signal;
use crate::part::metrics::{MetricsPart, SERIES_PER_BLOCK, SeriesBlock, UNKNOWN};
use crate::tally::Tally;

/// The series of a snapshot that match all conditions and have samples within a range,
/// sorted by labels. What is on disk is known by chunks: a series whose samples lie before
/// and after a short range may be among them, without samples.
#[derive(Debug)]
pub struct Selection {
    sources: Vec<Source>,
    /// Where each series' places begin.
    firsts: Vec<u32>,
    /// Oldest source first.
    places: Vec<Place>,
}

/// A series of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) source: u32,
    /// Among what was found there; a part's blocks take [`SERIES_PER_BLOCK`] each.
    pub(super) at: u32,
}

/// What was found in a part or a head; the sources are those of the snapshot.
#[derive(Debug)]
pub(super) enum Source {
    /// The blocks in which something was found, and where they stand in the part.
    Part(Vec<(u32, Arc<SeriesBlock>)>),
    /// The head's numbers of series and their labels, sorted by these.
    Head(Vec<(u32, Labels)>),
}

impl Selection {
    /// How many series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.firsts.len()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// Where a series has samples.
    pub(super) fn places(&self, series: usize) -> &[Place] {
        let end = self.firsts.get(series + 1).map_or(self.places.len(), |&end| end as usize);
        self.firsts.get(series).map_or(&[], |&first| &self.places[first as usize..end])
    }

    pub(super) fn labels(&self, writer: &mut LabelsWriter, series: usize) -> Labels {
        match self.places(series).first().map(|&place| self.found(place)) {
            Some(Found::Row(block, row)) => block.labels_by(writer, row),
            Some(Found::Labels(labels)) => labels.clone(),
            None => Labels::empty(),
        }
    }

    /// Writes those labels of a series whose names are wanted.
    pub(super) fn write_named(
        &self,
        writer: &mut LabelsWriter,
        series: usize,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) {
        match self.places(series).first().map(|&place| self.found(place)) {
            Some(Found::Row(block, row)) => block.write_named(writer, row, wanted),
            Some(Found::Labels(labels)) => {
                let pairs = labels.iter_bytes().filter(|(name, _)| wanted(name));
                pairs.for_each(|(name, value)| writer.push(name, value));
            }
            None => {}
        }
    }

    fn found(&self, place: Place) -> Found<'_> {
        find(&self.sources, place)
    }

    /// The block a place of a part lies in, and where.
    pub(super) fn row(&self, place: Place) -> Option<(&SeriesBlock, usize)> {
        match self.found(place) {
            Found::Row(block, row) => Some((block, row)),
            Found::Labels(_) => None,
        }
    }

    /// The number that a part or a head gives to the series at a place.
    pub(super) fn number(&self, place: Place) -> u32 {
        match &self.sources[place.source as usize] {
            Source::Head(found) => found[place.at as usize].0,
            Source::Part(blocks) => {
                let (block, row) = split(place);
                blocks[block].0 * SERIES_PER_BLOCK as u32 + row as u32
            }
        }
    }
}

/// One series of a source.
enum Found<'a> {
    Row(&'a SeriesBlock, usize),
    Labels(&'a Labels),
}

/// The block among those found in a part, and the series in it.
fn split(place: Place) -> (usize, usize) {
    let at = place.at as usize;
    (at / SERIES_PER_BLOCK, at % SERIES_PER_BLOCK)
}

fn find(sources: &[Source], place: Place) -> Found<'_> {
    match &sources[place.source as usize] {
        Source::Part(blocks) => {
            let (block, row) = split(place);
            Found::Row(&blocks[block].1, row)
        }
        Source::Head(found) => Found::Labels(&found[place.at as usize].1),
    }
}

pub(super) fn select(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Selection> {
    let range = range.after(snapshot.cutoffs_ns[Signal::Metrics as usize]);
    let mut sources = Vec::new();
    let mut queues = Vec::new();
    let mut by_name = true;
    for part in &snapshot.parts.metrics {
        let mut found = OfPart { blocks: Vec::new(), rows: Vec::new(), by_name: true };
        if range.overlaps((part.file.info.min_ns, part.file.info.max_ns)) {
            found = of_part(snapshot, part, matchers, range, tally)?;
        }
        by_name &= found.by_name;
        sources.push(Source::Part(found.blocks));
        queues.push(found.rows);
    }
    for view in &snapshot.heads {
        let found = of_head(view, matchers, range, tally)?;
        by_name &= found.iter().all(|(_, labels)| begins_with_name(labels));
        queues.push((0..found.len() as u32).collect());
        sources.push(Source::Head(found));
    }
    let selection = match by_name {
        true => merge(&sources, &queues, tally)?,
        false => sort(&sources, &queues),
    };
    let (firsts, places) = selection;
    Ok(Selection { sources, firsts, places })
}

/// What was found in a part.
struct OfPart {
    blocks: Vec<(u32, Arc<SeriesBlock>)>,
    rows: Vec<u32>,
    /// Whether all series have the metric's name as their first label.
    by_name: bool,
}

fn of_part(
    snapshot: &Snapshot,
    part: &MetricsPart,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<OfPart> {
    let ms = range.to_ms();
    let overlaps = |min: i64, max: i64| *ms.start() <= max && min <= *ms.end();
    let mut found = OfPart { blocks: Vec::new(), rows: Vec::new(), by_name: true };
    for (at, info) in part.series_blocks.iter().enumerate() {
        if !overlaps(info.min_ms, info.max_ms) || !info.may_match(matchers) {
            tally.blocks_skipped.fetch_add(1, Relaxed);
            continue;
        }
        let Some(block) = snapshot.series_block(part, at, tally)? else { continue };
        let mut rows = block.matching(matchers);
        rows.retain(|&row| {
            let mut chunks = block.chunks_of(row as usize).iter();
            chunks.any(|chunk| overlaps(chunk.min_ms, chunk.max_ms))
        });
        found.by_name &= block.begin_with_name(&rows);
        if !rows.is_empty() {
            let first = (found.blocks.len() * SERIES_PER_BLOCK) as u32;
            found.blocks.push((at as u32, block));
            found.rows.extend(rows.iter().map(|row| first + row));
        }
    }
    Ok(found)
}

/// Series of a head that are sorted by its ranks of all of them, not by their labels.
const MANY_IN_HEAD: usize = 1000;

fn of_head(
    view: &HeadView,
    matchers: &[Matcher],
    range: TimeRange,
    tally: &Tally,
) -> Result<Vec<(u32, Labels)>> {
    let mut found = Vec::new();
    {
        let tables = view.head.read();
        let matching = tables.metrics.matching(matchers);
        tally.add(0, matching.len() as u64 * 64)?;
        for place in matching {
            let series = &tables.metrics.series[place as usize];
            if series.has_samples(view.visible, range) {
                found.push((place, series.labels.clone()));
            }
        }
    }
    match found.len() < MANY_IN_HEAD {
        true => found.sort_by(|(_, a), (_, b)| a.cmp(b)),
        false => {
            let ranks = view.head.ranks();
            found.sort_unstable_by_key(|(number, _)| ranks.get(*number as usize));
        }
    }
    Ok(found)
}

fn begins_with_name(labels: &Labels) -> bool {
    labels.iter_bytes().next().is_some_and(|(name, _)| name == b"__name__")
}

/// Where each series' places begin, and all places.
type Order = (Vec<u32>, Vec<Place>);

/// Merges sources that are sorted by labels each.
fn merge(sources: &[Source], queues: &[Vec<u32>], tally: &Tally) -> Result<Order> {
    let mut compare = Compare { sources, same: Vec::new() };
    compare.same.resize_with(sources.len(), Same::default);
    let mut next = vec![0; queues.len()];
    let (mut firsts, mut places): Order = (Vec::new(), Vec::new());
    let mut least: Vec<Place> = Vec::new();
    loop {
        for (source, queue) in queues.iter().enumerate() {
            let Some(&at) = queue.get(next[source]) else { continue };
            let place = Place { source: source as u32, at };
            let order = least.first().map(|&first| compare.order(first, place));
            if order == Some(Ordering::Greater) {
                least.clear();
            }
            if order != Some(Ordering::Less) {
                least.push(place);
            }
        }
        if least.is_empty() {
            return Ok((firsts, places));
        }
        firsts.push(places.len() as u32);
        for place in least.drain(..) {
            next[place.source as usize] += 1;
            places.push(place);
        }
        if firsts.len().is_multiple_of(1024) {
            tally.add(0, 0)?;
        }
    }
}

/// Sorts series of which some have labels before the metric's name: parts sort by the name
/// first.
fn sort(sources: &[Source], queues: &[Vec<u32>]) -> Order {
    let mut writer = LabelsWriter::default();
    let mut all: Vec<(Labels, Place)> = Vec::new();
    for (source, queue) in queues.iter().enumerate() {
        for &at in queue {
            let place = Place { source: source as u32, at };
            let labels = match find(sources, place) {
                Found::Row(block, row) => block.labels_by(&mut writer, row),
                Found::Labels(labels) => labels.clone(),
            };
            all.push((labels, place));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut firsts, mut places): Order = (Vec::new(), Vec::new());
    let mut last = None;
    for (labels, place) in &all {
        if last.replace(labels) != Some(labels) {
            firsts.push(places.len() as u32);
        }
        places.push(*place);
    }
    (firsts, places)
}

/// Compares series of different sources.
struct Compare<'a> {
    sources: &'a [Source],
    /// For each source, what is known of its last block's symbols.
    same: Vec<Same>,
}

/// Which symbols of one block are which of another one.
#[derive(Default)]
struct Same {
    /// The other one's source and block, and this one's block.
    of: Option<(u32, u32, u32)>,
    symbols: Vec<u32>,
}

impl Compare<'_> {
    fn order(&mut self, a: Place, b: Place) -> Ordering {
        match (find(self.sources, a), find(self.sources, b)) {
            (Found::Row(block, row), Found::Row(other, other_row)) => {
                let same = &mut self.same[b.source as usize];
                let blocks = |place: Place| place.at / SERIES_PER_BLOCK as u32;
                let of = Some((a.source, blocks(a), blocks(b)));
                if same.of != of {
                    same.of = of;
                    same.symbols.clear();
                    same.symbols.resize(other.symbol_count(), UNKNOWN);
                }
                block.compare(row, (other, other_row), &mut same.symbols)
            }
            (Found::Row(block, row), Found::Labels(labels)) => block.compare_labels(row, labels),
            (Found::Labels(labels), Found::Row(block, row)) => {
                block.compare_labels(row, labels).reverse()
            }
            (Found::Labels(a), Found::Labels(b)) => a.cmp(b),
        }
    }
}
