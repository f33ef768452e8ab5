//! Range aggregations: one pass over the rows fills all steps.
//!
//! A row at time `t` counts at every step whose window `(step - offset - range,
//! step - offset]` holds it. Counts are kept as differences between steps, so a row costs
//! two additions however many windows it is in; unwrapped samples are kept per series and
//! the windows slide over them.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use trefoil_store::model::StoredLog;
use trefoil_store::{Counted, LogCounter, LogScan, Order, TimeRange};

use super::window::{self, Point};
use super::{Context, GridSeries, check_size};
use crate::error::{Error, Result};
use crate::logql::answer::LabelSet;
use crate::logql::ast::{Grouping, LabelMatcher, MatchOp, RangeAggregation, RangeOp};
use crate::logql::metadata;
use crate::logql::pipeline::{Pipeline, store_matchers};
use crate::logql::row::{Needed, Row};

/// Which labels tell series apart.
#[derive(Debug)]
enum Keys {
    /// These, sorted.
    By(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

impl Keys {
    /// The range's own grouping, or that of the sum around it.
    fn new(range: &RangeAggregation, outer: Option<&Grouping>) -> Keys {
        let grouping = range.grouping.as_ref().or(outer);
        let mut labels = grouping.map(|g| g.labels.clone()).unwrap_or_default();
        match grouping {
            Some(grouping) if !grouping.without => {
                labels.sort();
                labels.dedup();
                Keys::By(labels)
            }
            _ => {
                // The value that was taken as the sample does not tell series apart.
                labels.extend(range.unwrap.as_ref().map(|unwrap| unwrap.label.clone()));
                Keys::Without(labels)
            }
        }
    }

    fn needed(&self) -> Needed {
        match self {
            Keys::By(names) => Needed::Names(BTreeSet::from_iter(names.iter().cloned())),
            Keys::Without(_) => Needed::All,
        }
    }

    /// The labels of a row's series, and the same as bytes in `key`.
    fn encode(&self, row: &Row<'_>, key: &mut Vec<u8>) {
        key.clear();
        match self {
            Keys::By(names) => {
                for name in names {
                    if let Some(value) = row.get(name).filter(|value| !value.is_empty()) {
                        put(key, name);
                        put(key, &value);
                    }
                }
            }
            Keys::Without(names) => {
                for (name, value, _) in row.labels() {
                    if !names.iter().any(|n| *n == name) {
                        put(key, &name);
                        put(key, &value);
                    }
                }
            }
        }
    }
}

fn put(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u64).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// Reads back what [`Keys::encode`] wrote.
fn decode(key: &[u8]) -> LabelSet {
    let mut rest = key;
    let mut take = || {
        let (len, tail) = rest.split_first_chunk::<8>()?;
        let (text, tail) = tail.split_at_checked(u64::from_le_bytes(*len) as usize)?;
        rest = tail;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let mut labels = Vec::new();
    while let (Some(name), Some(value)) = (take(), take()) {
        labels.push((name, value));
    }
    LabelSet(labels)
}

/// Whether records of a group of the store share this label: fields that differ from one
/// record to the next are no such labels.
fn is_shared(name: &str) -> bool {
    let name = name.strip_suffix("_extracted").unwrap_or(name);
    let differ = [
        "trace_id",
        "span_id",
        "observed_timestamp",
        "flags",
        "dropped_attributes_count",
        "event_name",
    ];
    !differ.contains(&name)
}

/// Lines and bytes that come in at a step (or go out, where negative).
#[derive(Clone, Copy, Default)]
struct Change {
    lines: i64,
    bytes: i64,
}

/// What is gathered for one series.
enum Gathered {
    Changes(Vec<Change>),
    Points(Vec<Point>),
}

impl Gathered {
    /// A group may have been seen without any record that counts at a step.
    fn has_any(&self) -> bool {
        match self {
            Gathered::Changes(changes) => changes.iter().any(|change| change.lines != 0),
            Gathered::Points(points) => !points.is_empty(),
        }
    }
}

/// Adds the counts of groups up.
struct GroupCounter<'c, 'g> {
    gather: &'c mut Gather<'g>,
    needed: &'c Needed,
    by_level: bool,
    /// The first and last step at which the records of each bucket count.
    steps: Vec<Option<(usize, usize)>>,
    failure: Option<Error>,
}

impl LogCounter for GroupCounter<'_, '_> {
    fn group(&mut self, log: &StoredLog<'_>) -> Counted {
        if self.by_level && metadata::known_level(log).is_none() {
            return Counted::Singly;
        }
        match self.gather.series_of(&Row::new(log, self.needed)) {
            Ok(series) => Counted::As(series),
            Err(error) => {
                self.failure = Some(error);
                Counted::Stop
            }
        }
    }

    fn add(&mut self, group: usize, bucket: usize, records: u64) {
        if let Some(steps) = self.steps.get(bucket).copied().flatten() {
            self.gather.matched += records;
            self.gather.add(group, steps, records as i64, 0);
        }
    }

    fn record(&mut self, log: &StoredLog<'_>) -> ControlFlow<()> {
        let time_ns = i64::try_from(log.record.time_ns).unwrap_or(i64::MAX);
        let Some(steps) = self.gather.steps_of(time_ns) else { return ControlFlow::Continue(()) };
        match self.gather.series_of(&Row::new(log, self.needed)) {
            Ok(series) => {
                self.gather.matched += 1;
                self.gather.add(series, steps, 1, 0);
                ControlFlow::Continue(())
            }
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

/// Evaluates a range aggregation. `outer` is the grouping of a sum around it.
pub(crate) fn eval(
    range: &RangeAggregation,
    outer: Option<&Grouping>,
    context: &Context<'_>,
    matched: &mut u64,
) -> Result<Vec<GridSeries>> {
    let none = Grouping { without: false, labels: Vec::new() };
    // Whether anything is there does not depend on labels.
    let outer = if range.op == RangeOp::Absent { Some(&none) } else { outer };
    let keys = Keys::new(range, outer);
    let pipeline =
        Pipeline::new(&range.log, range.unwrap.as_ref(), keys.needed(), context.params.now_ns)?;
    let mut gather = Gather {
        range,
        context,
        keys,
        key: Vec::new(),
        index: HashMap::new(),
        gathered: Vec::new(),
        points: 0,
        matched: 0,
    };
    gather.scan(&pipeline)?;
    *matched += gather.matched;
    if range.op == RangeOp::Absent {
        return Ok(vec![absent(range, &gather)]);
    }
    Ok(gather.finish())
}

struct Gather<'g> {
    range: &'g RangeAggregation,
    context: &'g Context<'g>,
    keys: Keys,
    key: Vec<u8>,
    index: HashMap<Box<[u8]>, usize>,
    gathered: Vec<Gathered>,
    points: usize,
    matched: u64,
}

impl Gather<'_> {
    fn scan(&mut self, pipeline: &Pipeline) -> Result<()> {
        let params = self.context.params;
        let (range, offset) = (self.range.range_ns, self.range.offset_ns);
        let first = params.step_time(0).saturating_sub(offset);
        let last = params.step_time(self.context.steps - 1).saturating_sub(offset);
        let matchers = store_matchers(&self.range.log.selector)?;
        let scan = LogScan {
            streams: &matchers,
            range: TimeRange {
                start_ns: first.saturating_sub(range).saturating_add(1),
                end_ns: last,
            },
            lines: &pipeline.pushed,
            order: if self.keeps_points() { Order::Forward } else { Order::Any },
        };
        let mut failure = None;
        let snapshot = self.context.snapshot;
        if self.counts_groups(pipeline) {
            return self.scan_groups(&scan, pipeline);
        }
        snapshot.logs(
            &scan,
            self.context.limits.tally,
            &mut |log| match self.row(log, pipeline) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        failure.map_or(Ok(()), Err)
    }

    /// Whether rows are only counted, by labels that whole groups of them have in common.
    fn counts_groups(&self, pipeline: &Pipeline) -> bool {
        matches!(self.range.op, RangeOp::Count | RangeOp::Rate | RangeOp::Absent)
            && self.range.unwrap.is_none()
            && pipeline.only_filters_stored_lines()
            && pipeline.needed.names().is_some_and(|names| names.iter().all(|n| is_shared(n)))
    }

    /// All records between two bounds count at the same steps, so they are counted together.
    fn scan_groups(&mut self, scan: &LogScan<'_>, pipeline: &Pipeline) -> Result<()> {
        let needed = &pipeline.needed;
        let names: Vec<&str> = needed.names().into_iter().flatten().map(String::as_str).collect();
        let wanted = |key: &str| names.iter().any(|name| metadata::may_show(key, name));
        let by_level = names.contains(&"detected_level");
        let (snapshot, tally) = (self.context.snapshot, self.context.limits.tally);
        let bounds_ns = self.bounds_ns();
        let steps = bounds_ns.iter().map(|bound| self.steps_of(*bound)).collect();
        let mut counter = GroupCounter { gather: self, needed, by_level, steps, failure: None };
        snapshot.log_counts(scan, &bounds_ns, &wanted, tally, &mut counter)?;
        counter.failure.map_or(Ok(()), Err)
    }

    /// Where windows begin and end, ascending.
    fn bounds_ns(&self) -> Vec<i64> {
        let params = self.context.params;
        let mut bounds = Vec::with_capacity(self.context.steps * 2);
        for step in 0..self.context.steps {
            let end = params.step_time(step).saturating_sub(self.range.offset_ns);
            bounds.extend([end.saturating_sub(self.range.range_ns), end]);
        }
        bounds.sort_unstable();
        bounds.dedup();
        bounds
    }

    fn add(&mut self, at: usize, (first, last): (usize, usize), lines: i64, bytes: i64) {
        if let Gathered::Changes(changes) = &mut self.gathered[at] {
            changes[first].lines += lines;
            changes[first].bytes += bytes;
            if let Some(after) = changes.get_mut(last + 1) {
                after.lines -= lines;
                after.bytes -= bytes;
            }
        }
    }

    fn keeps_points(&self) -> bool {
        self.range.unwrap.is_some() && self.range.op != RangeOp::Absent
    }

    /// The first and last step whose window holds the time, if any.
    fn steps_of(&self, time_ns: i64) -> Option<(usize, usize)> {
        let params = self.context.params;
        let since_start = i128::from(time_ns) + i128::from(self.range.offset_ns)
            - i128::from(params.step_time(0));
        let step = i128::from(params.step_ns.max(1));
        let range = i128::from(self.range.range_ns);
        let last_step = self.context.steps as i128 - 1;
        if last_step == 0 {
            return (since_start <= 0 && since_start + range > 0).then_some((0, 0));
        }
        let first = ceil_div(since_start, step).max(0);
        let last = (ceil_div(since_start + range, step) - 1).min(last_step);
        (first <= last).then_some((first as usize, last as usize))
    }

    fn row(&mut self, log: &StoredLog<'_>, pipeline: &Pipeline) -> Result<()> {
        let time_ns = i64::try_from(log.record.time_ns).unwrap_or(i64::MAX);
        let Some((first, last)) = self.steps_of(time_ns) else { return Ok(()) };
        let row = &mut Row::new(log, &pipeline.needed);
        if !pipeline.keeps(row) {
            return Ok(());
        }
        let sample = match &pipeline.unwrap {
            Some(unwrap) => match unwrap.sample(row) {
                Some(sample) => sample,
                None => return Ok(()),
            },
            None => 0.0,
        };
        self.matched += 1;
        if let Some(error) = row.error {
            return Err(pipeline_error(error, row));
        }
        let at = self.series_of(row)?;
        match &mut self.gathered[at] {
            Gathered::Points(points) => {
                self.points += 1;
                if self.points > self.context.limits.samples_max {
                    let max = self.context.limits.samples_max;
                    return Err(Error::limit(format!("the query holds more than {max} samples")));
                }
                points.push((row.time_ns(), sample));
            }
            Gathered::Changes(_) => self.add(at, (first, last), 1, row.line.len() as i64),
        }
        Ok(())
    }

    fn series_of(&mut self, row: &Row<'_>) -> Result<usize> {
        self.keys.encode(row, &mut self.key);
        if let Some(at) = self.index.get(self.key.as_slice()) {
            return Ok(*at);
        }
        let at = self.gathered.len();
        check_size(at + 1, self.context)?;
        self.gathered.push(if self.keeps_points() {
            Gathered::Points(Vec::new())
        } else {
            Gathered::Changes(vec![Change::default(); self.context.steps])
        });
        self.index.insert(self.key.as_slice().into(), at);
        Ok(at)
    }

    fn finish(mut self) -> Vec<GridSeries> {
        let index = std::mem::take(&mut self.index);
        let gathered = std::mem::take(&mut self.gathered);
        let mut labels: Vec<(usize, LabelSet)> =
            index.into_iter().map(|(key, at)| (at, decode(&key))).collect();
        labels.sort_unstable_by_key(|(at, _)| *at);
        labels
            .into_iter()
            .zip(gathered)
            .filter(|(_, gathered)| gathered.has_any())
            .map(|((_, labels), gathered)| GridSeries { labels, values: self.values(&gathered) })
            .collect()
    }

    fn values(&self, gathered: &Gathered) -> Vec<Option<f64>> {
        match gathered {
            Gathered::Changes(changes) => {
                let seconds = self.range.range_ns as f64 / 1e9;
                let mut now = Change::default();
                let running = changes.iter().map(|change| {
                    now.lines += change.lines;
                    now.bytes += change.bytes;
                    (now.lines > 0).then(|| match self.range.op {
                        RangeOp::Rate => now.lines as f64 / seconds,
                        RangeOp::Bytes => now.bytes as f64,
                        RangeOp::BytesRate => now.bytes as f64 / seconds,
                        _ => now.lines as f64,
                    })
                });
                running.collect()
            }
            Gathered::Points(points) => self.slide(points),
        }
    }

    /// Slides the window over the points, which are sorted by time.
    fn slide(&self, points: &[Point]) -> Vec<Option<f64>> {
        let (range, offset) = (self.range.range_ns, self.range.offset_ns);
        let parameter = self.range.parameter.unwrap_or(0.0);
        let (mut low, mut high) = (0, 0);
        (0..self.context.steps)
            .map(|step| {
                let end = self.context.params.step_time(step).saturating_sub(offset);
                let start = end.saturating_sub(range);
                while high < points.len() && points[high].0 <= end {
                    high += 1;
                }
                while low < high && points[low].0 <= start {
                    low += 1;
                }
                let inside = &points[low..high];
                (!inside.is_empty())
                    .then(|| window::value(self.range.op, parameter, inside, end, range))
            })
            .collect()
    }
}

fn ceil_div(a: i128, b: i128) -> i128 {
    a.div_euclid(b) + i128::from(a.rem_euclid(b) != 0)
}

/// 1 wherever there is no row, with the labels that the selector pins down.
fn absent(range: &RangeAggregation, gather: &Gather<'_>) -> GridSeries {
    let mut lines = vec![0; gather.context.steps];
    for gathered in &gather.gathered {
        if let Gathered::Changes(changes) = gathered {
            let mut now = 0;
            for (total, change) in lines.iter_mut().zip(changes) {
                now += change.lines;
                *total += now;
            }
        }
    }
    GridSeries {
        labels: absent_labels(&range.log.selector),
        values: lines.iter().map(|lines| (*lines == 0).then_some(1.0)).collect(),
    }
}

fn absent_labels(selector: &[LabelMatcher]) -> LabelSet {
    let mut labels = LabelSet::default();
    for matcher in selector {
        let alone = selector.iter().filter(|m| m.name == matcher.name).count() == 1;
        if matcher.op == MatchOp::Equal && alone && !matcher.value.value.is_empty() {
            labels.set(&matcher.name, &matcher.value.value);
        }
    }
    labels
}

/// A sample with an error is no sample: the query fails and says how to leave it out.
fn pipeline_error(error: &str, row: &Row<'_>) -> Error {
    let labels = LabelSet(
        row.labels().into_iter().map(|(n, v, _)| (n.into_owned(), v.into_owned())).collect(),
    );
    Error::bad(
        0..0,
        format!(
            "pipeline error: '{error}' for series: '{labels}'.\nUse a label filter to \
             intentionally skip this error. (e.g | __error__!=\"{error}\").\nTo skip all potential \
             errors you can match empty errors.(e.g __error__=\"\")\nThe label filter can also be \
             specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
        ),
    )
}
