//! Counts log records by groups: from when and of which group they are, and no more.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use super::logs::{Account, HeadLogs, PartLogs, matching_of_part, wanted_blocks};
use super::{Counted, LogCounter, LogScan, Snapshot};
use crate::ahead;
use crate::error::{Error, Result};
use crate::head::clamp_time;
use crate::intern::Seeded;
use crate::model::Value;
use crate::part::Signal;
use crate::part::logs::{Groups, LogBlock, LogGroup, LogRows, LogTallies};
use crate::search::LineSearch;
use crate::tally::Tally;

mod tallied;

/// Groups whose names are remembered from block to block.
const NAMES_MAX: usize = 1024;

/// What is asked: see [`Snapshot::log_counts`].
pub(super) struct Question<'a> {
    pub(super) scan: &'a LogScan<'a>,
    pub(super) bounds_ns: &'a [i64],
    pub(super) wanted_key: &'a (dyn Fn(&str) -> bool + Sync),
}

/// See [`Snapshot::log_counts`].
pub(super) fn count(
    snapshot: &Snapshot,
    question: &Question<'_>,
    tally: &Tally,
    counter: &mut dyn LogCounter,
) -> Result<()> {
    let range = question.scan.range.after(snapshot.cutoffs_ns[Signal::Logs as usize]);
    let scan = &LogScan { range, ..question.scan.clone() };
    let question = &Question { scan, ..*question };
    let wanted: Vec<Vec<bool>> =
        snapshot.parts.logs.iter().map(|part| matching_of_part(part, scan.streams)).collect();
    let mut names = Names::default();
    let search = &LineSearch::new(scan.lines);
    let blocks = wanted_blocks(snapshot, (scan, search), &wanted, tally)?;
    let read = |at: usize, found: &mut Option<Found>| {
        *found = read_block(&blocks[at], question)?;
        Ok(())
    };
    let mut take = |at: usize, found: &mut Option<Found>| {
        let Some(found) = found.take() else { return Ok(ControlFlow::Continue(())) };
        hand_out(&blocks[at], found, question, &mut names, counter)
    };
    let threads = tally.threads();
    if ahead::in_order(blocks.len(), threads, &mut || None, &read, &mut take)?.is_break() {
        return Ok(());
    }
    for head in snapshot.heads.iter().filter_map(|view| HeadLogs::new(view, scan, search)) {
        if count_head(&head, question, search, tally, counter)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// Counts the rows of a head; those with an attribute that is wanted, each by itself.
fn count_head(
    head: &HeadLogs,
    question: &Question<'_>,
    search: &LineSearch<'_>,
    tally: &Tally,
    counter: &mut dyn LogCounter,
) -> Result<ControlFlow<()>> {
    let mut account = Account::new(tally);
    let mut groups = Groups::default();
    let mut names: Vec<Counted> = Vec::new();
    let mut wanted: HashMap<&str, bool, Seeded> = HashMap::default();
    for (at, row) in (0..).zip(&head.rows) {
        let start = head.start(row)?;
        account.add(start.text.map_or(0, <[u8]>::len))?;
        let by_itself = start.text.is_none() && !search.is_nothing()
            || start.keys().any(|key| {
                let Some(key) = key else { return true };
                *wanted.entry(key).or_insert_with(|| (question.wanted_key)(key))
            });
        let matches = || {
            let text = start.text.and_then(|text| std::str::from_utf8(text).ok());
            search.is_nothing() || text.is_some_and(|text| search.matches_text(text))
        };
        let counted = if by_itself {
            Counted::Singly
        } else if !matches() {
            continue;
        } else {
            let owner = [row.stream, row.resource, row.scope].map(u64::from);
            let code = groups.code(owner, start.severity, start.severity_text) as usize;
            if names.len() == code {
                let (mut log, _) = head.record(at)?;
                log.record.body = Value::Empty;
                names.push(counter.group(&log));
            }
            names[code]
        };
        match counted {
            Counted::Stop => return Ok(ControlFlow::Break(())),
            Counted::As(name) => counter.add(name, bucket_of(question.bounds_ns, row.time_ns), 1),
            Counted::Singly => {
                let (log, _) = head.record(at)?;
                if search.matches(&log.record.body) && counter.record(&log).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
    account.settle()?;
    Ok(ControlFlow::Continue(()))
}

/// What groups of a part are called.
#[derive(Default)]
struct Names {
    part: u64,
    known: HashMap<LogGroup, Counted, Seeded>,
}

impl Names {
    /// The name of a group; `ask` finds it out.
    fn of(
        &mut self,
        part: u64,
        group: &LogGroup,
        ask: impl FnOnce() -> Result<Counted>,
    ) -> Result<Counted> {
        if self.part != part || self.known.len() >= NAMES_MAX {
            self.known.clear();
            self.part = part;
        }
        if let Some(name) = self.known.get(group) {
            return Ok(*name);
        }
        let name = ask()?;
        self.known.insert(group.clone(), name);
        Ok(name)
    }
}

/// How many rows of each group there are in a bucket: dense over the groups of a block.
struct Counts {
    groups: usize,
    /// Buckets that occur, and the counts of all groups in each.
    buckets: Vec<usize>,
    counts: Vec<u32>,
    /// A row of each group, by its place.
    examples: Vec<Option<usize>>,
}

impl Counts {
    fn new(groups: usize) -> Self {
        let examples = vec![None; groups];
        Counts { groups, buckets: Vec::new(), counts: Vec::new(), examples }
    }

    /// The counts of a bucket, and the examples. Rows nearly always come in the order of time.
    fn of(&mut self, bucket: usize) -> (&mut [u32], &mut [Option<usize>]) {
        let last = self.buckets.len().wrapping_sub(1);
        let at = match self.buckets.get(last) {
            Some(known) if *known == bucket => last,
            _ => self.buckets.iter().position(|known| *known == bucket).unwrap_or_else(|| {
                self.buckets.push(bucket);
                self.counts.resize(self.buckets.len() * self.groups, 0);
                last.wrapping_add(1)
            }),
        };
        let of_bucket = &mut self.counts[at * self.groups..(at + 1) * self.groups];
        (of_bucket, &mut self.examples)
    }
}

/// What a block has for the question, before groups have names.
enum Found {
    Tallied(LogTallies),
    Rows(Rows),
}

/// Rows of a block, counted by their groups.
struct Rows {
    rows: LogRows,
    /// Those that are wanted, if not all of the range are.
    matching: Option<Vec<(i64, u32)>>,
    counts: Counts,
    by_attributes: bool,
}

/// Counts what can be counted without names; `None` if there is nothing, or it is damaged.
fn read_block(block: &PartLogs<'_>, question: &Question<'_>) -> Result<Option<Found>> {
    Ok(match tallied::of(block, question)? {
        Some(tallies) => Some(Found::Tallied(tallies)),
        None => read_rows(block, question)?.map(Found::Rows),
    })
}

fn read_rows(block: &PartLogs<'_>, question: &Question<'_>) -> Result<Option<Rows>> {
    let (snapshot, part, info, tally) = (block.snapshot, block.part, block.info, block.tally);
    let (mut rows, matching) = match question.scan.lines {
        [] => {
            let Some(read) = snapshot.log_block(part, info, tally)? else { return Ok(None) };
            tally.add(read.len() as u64, 0)?;
            (LogRows::new(read), None)
        }
        _ => match block.read()? {
            Some((rows, matching)) => (rows, Some(matching)),
            None => return Ok(None),
        },
    };
    if matching.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    let by_attributes = rows.block.has_key(question.wanted_key);
    if by_attributes && !snapshot.add_log_attributes(part, info, &mut rows, tally)? {
        return Ok(None);
    }
    let (codes, groups) = rows.groups(question.wanted_key);
    let mut counts = Counts::new(groups);
    match &matching {
        Some(matching) => {
            for &(time_ns, row) in matching {
                let code = codes[row as usize] as usize;
                let (of_bucket, examples) = counts.of(bucket_of(question.bounds_ns, time_ns));
                of_bucket[code] += 1;
                examples[code].get_or_insert(row as usize);
            }
            tally.add(matching.len() as u64, 0)?;
        }
        None => count_all(block, question, &rows.block, &codes, &mut counts),
    }
    drop(codes);
    // They are large, and only records that come one by one need them again.
    rows.bodies = None;
    Ok(Some(Rows { rows, matching, counts, by_attributes }))
}

fn hand_out(
    block: &PartLogs<'_>,
    found: Found,
    question: &Question<'_>,
    names: &mut Names,
    counter: &mut dyn LogCounter,
) -> Result<ControlFlow<()>> {
    match found {
        Found::Rows(rows) => hand_out_rows(block, rows, question, names, counter),
        Found::Tallied(tallies) => {
            if let Some(flow) = tallied::count(block, &tallies, question, names, counter)? {
                return Ok(flow);
            }
            match read_rows(block, question)? {
                Some(rows) => hand_out_rows(block, rows, question, names, counter),
                None => Ok(ControlFlow::Continue(())),
            }
        }
    }
}

fn hand_out_rows(
    block: &PartLogs<'_>,
    found: Rows,
    question: &Question<'_>,
    names: &mut Names,
    counter: &mut dyn LogCounter,
) -> Result<ControlFlow<()>> {
    let Rows { rows, matching, counts, by_attributes } = found;
    let part = block.part;
    let malformed = || part.file.corrupt("a log row is malformed");
    let mut singly = vec![false; counts.groups];
    for (code, example) in counts.examples.iter().enumerate() {
        let Some(row) = *example else { continue };
        let mut ask = || Ok(counter.group(&rows.stored(part, row).ok_or_else(malformed)?));
        let counted = match rows.block.group(row).filter(|_| !by_attributes) {
            Some(group) => names.of(part.file.info.id, group, ask)?,
            None => ask()?,
        };
        match counted {
            Counted::Stop => return Ok(ControlFlow::Break(())),
            Counted::Singly => singly[code] = true,
            Counted::As(name) => {
                let of_buckets = counts.counts.chunks(counts.groups);
                for (bucket, of_bucket) in counts.buckets.iter().zip(of_buckets) {
                    if of_bucket[code] > 0 {
                        counter.add(name, *bucket, u64::from(of_bucket[code]));
                    }
                }
            }
        }
    }
    if !singly.contains(&true) {
        return Ok(ControlFlow::Continue(()));
    }
    each_record(block, rows, matching, &|code| singly[code as usize], question, counter)
}

/// The bucket of a time.
fn bucket_of(bounds_ns: &[i64], time_ns: i64) -> usize {
    bounds_ns.partition_point(|bound| *bound < time_ns)
}

/// Rows of one stream lie in the order of time: only where a bucket ends has to be found.
fn count_all(
    block: &PartLogs<'_>,
    question: &Question<'_>,
    rows: &LogBlock,
    codes: &[u16],
    counts: &mut Counts,
) {
    for (stream, run) in rows.streams() {
        if block.wanted.get(stream as usize) != Some(&true) {
            continue;
        }
        let mut rest = within(rows, run, question.scan);
        while let Some(&time) = rows.times[rest.clone()].first() {
            let bucket = bucket_of(question.bounds_ns, clamp_time(time));
            let times = &rows.times[rest.clone()];
            let len = match question.bounds_ns.get(bucket) {
                Some(bound) => times.partition_point(|time| clamp_time(*time) <= *bound),
                None => times.len(),
            };
            let (first, end) = (rest.start, rest.start + len);
            let (of_bucket, examples) = counts.of(bucket);
            for (row, code) in (first..).zip(&codes[first..end]) {
                let count = &mut of_bucket[*code as usize];
                if *count == 0 {
                    examples[*code as usize].get_or_insert(row);
                }
                *count += 1;
            }
            rest.start = end;
        }
    }
}

/// The rows of a run that lie in the range of the scan.
fn within(rows: &LogBlock, run: Range<usize>, scan: &LogScan<'_>) -> Range<usize> {
    let times = &rows.times[run.clone()];
    let from = times.partition_point(|time| clamp_time(*time) < scan.range.start_ns);
    let to = times.partition_point(|time| clamp_time(*time) <= scan.range.end_ns);
    run.start + from..run.start + to.max(from)
}

/// Hands out the rows of groups that do not do as such.
fn each_record(
    block: &PartLogs<'_>,
    mut rows: LogRows,
    matching: Option<Vec<(i64, u32)>>,
    wanted: &dyn Fn(u16) -> bool,
    question: &Question<'_>,
    counter: &mut dyn LogCounter,
) -> Result<ControlFlow<()>> {
    let go_on = Ok(ControlFlow::Continue(()));
    let (snapshot, part, info, tally) = (block.snapshot, block.part, block.info, block.tally);
    let matching = match matching {
        Some(matching) => matching,
        None => match block.read()? {
            Some((_, matching)) => matching,
            None => return go_on,
        },
    };
    let these: Vec<u32> = {
        let (codes, _) = rows.groups(question.wanted_key);
        let of_group = matching.iter().map(|(_, row)| *row);
        of_group.filter(|row| wanted(codes[*row as usize])).collect()
    };
    if !(snapshot.add_bodies(part, info, &mut rows, tally)?
        && snapshot.add_log_attributes(part, info, &mut rows, tally)?
        && snapshot.add_log_ids(part, info, &mut rows, tally)?)
    {
        return go_on;
    }
    for row in these {
        let log = rows.stored(part, row as usize);
        let log = log.ok_or_else(|| -> Error { part.file.corrupt("a log row is malformed") })?;
        if counter.record(&log).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    go_on
}
