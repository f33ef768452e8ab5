//! Counts log records by what their blocks say they add up to, without a look at rows.

use std::ops::ControlFlow;

use super::{Names, Question, bucket_of};
use crate::error::Result;
use crate::part::logs::{LogBlockInfo, LogTallies};
use crate::snapshot::logs::PartLogs;
use crate::snapshot::{Counted, LogCounter};

/// The tallies of a block, if they tell all that is asked.
pub(super) fn of(block: &PartLogs<'_>, question: &Question<'_>) -> Result<Option<LogTallies>> {
    let (snapshot, part) = (block.snapshot, block.part);
    let place = block.info.tallies.filter(|place| !place.is_empty());
    let (Some(place), []) = (place, question.scan.lines) else { return Ok(None) };
    let Some(page) = part.tallies.get(place.page as usize) else { return Ok(None) };
    // Where the page is damaged the rows tell.
    let Some(page) = snapshot.bytes(&part.file, page, block.tally)? else { return Ok(None) };
    let tallies = place.of(&page).and_then(LogTallies::read);
    Ok(tallies.filter(|tallies| {
        !tallies.has_key(question.wanted_key) && divides(tallies.unit_ns, block.info, question)
    }))
}

/// Whether all rows of a unit lie in the same bucket, and in the range or outside.
fn divides(unit_ns: i64, info: &LogBlockInfo, question: &Question<'_>) -> bool {
    let (bounds_ns, range) = (question.bounds_ns, &question.scan.range);
    let from = bounds_ns.partition_point(|bound| *bound < info.min_ns);
    let within = bounds_ns[from..].iter().take_while(|bound| **bound < info.max_ns);
    let ends = [range.start_ns.saturating_sub(1), range.end_ns];
    let ends = ends.iter().filter(|end| (info.min_ns..info.max_ns).contains(end));
    within.chain(ends).all(|bound| bound % unit_ns == 0)
}

/// Counts a block; `None`, and nothing is counted, if a group of it has to be counted by rows.
pub(super) fn count(
    block: &PartLogs<'_>,
    tallies: &LogTallies,
    question: &Question<'_>,
    names: &mut Names,
    counter: &mut dyn LogCounter,
) -> Result<Option<ControlFlow<()>>> {
    let (part, info) = (block.part, block.info);
    let mut named = Vec::with_capacity(tallies.groups.len());
    for tally in &tallies.groups {
        let group = &tally.group;
        if block.wanted.get(group.stream as usize) != Some(&true) {
            continue;
        }
        let buckets = by_bucket(&tally.cells, tallies.unit_ns, info, question);
        if buckets.is_empty() {
            continue;
        }
        let ask = || {
            let log = part.stored(group, group.record());
            let log = log.ok_or_else(|| part.file.corrupt("a tally is malformed"))?;
            Ok(counter.group(&log))
        };
        match names.of(part.file.info.id, group, ask)? {
            Counted::Stop => return Ok(Some(ControlFlow::Break(()))),
            Counted::Singly => return Ok(None),
            Counted::As(name) => named.push((name, buckets)),
        }
    }
    for (name, buckets) in named {
        buckets.into_iter().for_each(|(bucket, rows)| counter.add(name, bucket, rows));
    }
    block.tally.add(u64::from(info.rows), 0)?;
    Ok(Some(ControlFlow::Continue(())))
}

/// The rows in the range of the scan, by bucket.
fn by_bucket(
    cells: &[(u64, u64)],
    unit_ns: i64,
    info: &LogBlockInfo,
    question: &Question<'_>,
) -> Vec<(usize, u64)> {
    let mut found: Vec<(usize, u64)> = Vec::new();
    let mut bucket = 0;
    for (unit, rows) in cells {
        let end_ns = i64::try_from(unit.saturating_mul(unit_ns as u64)).unwrap_or(i64::MAX);
        // The latest time that a row of the unit may have: no bound is between it and them.
        let time_ns = end_ns.min(info.max_ns);
        if !question.scan.range.contains(time_ns) {
            continue;
        }
        if question.bounds_ns.get(bucket).is_some_and(|bound| *bound < time_ns) {
            bucket += bucket_of(&question.bounds_ns[bucket..], time_ns);
        }
        match found.last_mut() {
            Some((last, count)) if *last == bucket => *count += rows,
            _ => found.push((bucket, *rows)),
        }
    }
    found
}
