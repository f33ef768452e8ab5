//! What the store has promised, row by row, and the comparison with what it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use super::super::{DAY_NS, START_NS};
use crate::labels::Labels;
use crate::model::{
    Attribute, LogRecord, Resource, Sample, SampleValue, Scope, Span, StatusCode, Value,
};
use crate::part::Signal;
use crate::snapshot::{LogScan, Order, Samples, Snapshot, SpanScan, TimeRange};
use crate::tally::Tally;
use crate::{Batch, Deletion, Error, SeriesHandle, SpanFilter, Store};

/// A row of a batch; all of its content follows from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) signal: Signal,
    pub(super) id: u64,
    pub(super) n: u64,
    pub(super) time_ns: i64,
}

/// Rows that overwrite each other go to one of these times.
const SLOTS: u64 = 4;

fn slot_ms(id: u64) -> i64 {
    // On a day of its own, which no deletion is for.
    (START_NS - DAY_NS) / 1_000_000 + (id % SLOTS) as i64 * 1000
}

fn trace_id(row: Row) -> [u8; 16] {
    let mut trace_id = [0xa7; 16];
    trace_id[..8].copy_from_slice(&row.id.to_le_bytes());
    trace_id
}

fn log(row: Row) -> LogRecord<'static> {
    let padding = "x".repeat((row.id * 131 + row.n * 7) as usize % 700);
    LogRecord {
        time_ns: row.time_ns as u64,
        severity: (row.id % 24) as u8,
        body: Value::Str(format!("{} {} {padding}", row.id, row.n).into()),
        attributes: vec![Attribute { key: "n".into(), value: Value::Int(row.n as i64) }],
        trace_id: if row.id.is_multiple_of(2) { trace_id(row) } else { [0; 16] },
        ..LogRecord::default()
    }
}

fn span(row: Row) -> Span<'static> {
    const STATUSES: [StatusCode; 3] = [StatusCode::Unset, StatusCode::Ok, StatusCode::Error];
    Span {
        trace_id: trace_id(row),
        span_id: [row.n as u8 + 1; 8],
        name: format!("op{}", row.n % 3).into(),
        start_ns: row.time_ns as u64,
        end_ns: row.time_ns as u64 + row.id % 1000,
        status: STATUSES[row.id as usize % 3],
        attributes: vec![Attribute { key: "id".into(), value: Value::Int(row.id as i64) }],
        ..Span::default()
    }
}

/// Handles of series, as a sender keeps them, whatever becomes of the store meanwhile.
pub(super) type Handles = BTreeMap<u64, SeriesHandle>;

/// The batch that holds these rows, and a sample that overwrites those of other batches.
/// Every other batch names its series by handles.
pub(super) fn batch_of(id: u64, rows: &[Row], store: &Store, handles: &mut Handles) -> Batch {
    let mut batch = Batch::new();
    let service = if id.is_multiple_of(2) { "even" } else { "odd" };
    let attributes =
        vec![Attribute { key: "service.name".into(), value: Value::Str(service.into()) }];
    let resource = batch.resource(&Resource { attributes, ..Resource::default() });
    let scope = batch.scope(&Scope::default());
    for &row in rows {
        match row.signal {
            Signal::Metrics => {
                // A series has one owner: those of odd batches are not those of even ones.
                let labels = Labels::from_pairs([("__name__", "m"), ("n", &(id % 6).to_string())]);
                let series = match id / 6 % 3 {
                    0 => batch.series(resource, scope, &labels),
                    _ => {
                        let known = handles.get(&(id % 6)).filter(|h| store.made(h)).cloned();
                        let handle = known.unwrap_or_else(|| store.series_handle(labels));
                        handles.insert(id % 6, handle.clone());
                        batch.known_series(resource, scope, &handle)
                    }
                };
                let value = SampleValue::Float((row.id * 1000 + row.n) as f64);
                let time_ms = row.time_ns / 1_000_000;
                batch.sample(series, &Sample { time_ms, start_ms: 0, value });
            }
            Signal::Logs => {
                batch.log(resource, scope, &Labels::from_pairs([("s", service)]), &log(row));
            }
            Signal::Traces => batch.span(resource, scope, &span(row)),
        }
    }
    let series = batch.series(resource, scope, &Labels::from_pairs([("__name__", "w")]));
    let value = SampleValue::Float(id as f64);
    batch.sample(series, &Sample { time_ms: slot_ms(id), start_ms: 0, value });
    batch
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Acknowledged,
    /// May be there or not, but not in pieces.
    Uncertain,
    Refused,
}

/// What the store has promised.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) batches: BTreeMap<u64, (Fate, Vec<Row>)>,
    /// Rows before these may be gone.
    pub(super) may_expire_ns: [i64; 3],
    /// Rows before these must not be shown.
    pub(super) expired_ns: [i64; 3],
    /// A durable file was changed behind the store's back: rows may be missing, if the
    /// store says so.
    pub(super) rotten: bool,
    /// The store may report damage though no file rots: a group was torn in the middle,
    /// or the disk has dropped what it could not write.
    pub(super) may_complain: bool,
    /// Rows that were deleted, and rows that may have been.
    pub(super) deleted: BTreeSet<Row>,
    pub(super) maybe_deleted: BTreeSet<Row>,
}

/// What a snapshot shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    rows: BTreeMap<Row, u32>,
    by_trace: BTreeMap<Row, u32>,
    slots: BTreeMap<i64, u64>,
    complained: bool,
}

impl Model {
    pub(super) fn new() -> Self {
        Model {
            batches: BTreeMap::new(),
            may_expire_ns: [i64::MIN; 3],
            expired_ns: [i64::MIN; 3],
            rotten: false,
            may_complain: false,
            deleted: BTreeSet::new(),
            maybe_deleted: BTreeSet::new(),
        }
    }

    /// Compares what was found with the promises; `complained` is whether the store itself
    /// has reported damage, `cut` whether it has said so of the end of its log.
    pub(super) fn check(&self, found: &Found, complained: bool, cut: bool) -> Result<(), String> {
        let complained = complained || found.complained;
        if complained && !self.rotten && !self.may_complain {
            return Err("damage was reported where there is none".to_owned());
        }
        let excused = (complained || cut) && self.rotten;
        let mut expected = BTreeSet::new();
        for (id, (fate, rows)) in &self.batches {
            expected.extend(rows.iter().copied());
            let lasting = || rows.iter().filter(|row| self.lasts(row));
            let here = lasting().filter(|row| found.rows.contains_key(row)).count();
            let all = lasting().count();
            match fate {
                Fate::Acknowledged if here < all && !excused => {
                    let why = if self.rotten { "and no damage is reported" } else { "" };
                    return Err(format!("batch {id}: {here} of {all} rows are there {why}"));
                }
                Fate::Uncertain if here != 0 && here != all && !excused => {
                    return Err(format!("batch {id} is there in part: {here} of {all}"));
                }
                Fate::Refused if rows.iter().any(|row| found.rows.contains_key(row)) => {
                    return Err(format!("batch {id} was refused and is there"));
                }
                _ => {}
            }
        }
        for (row, times) in &found.rows {
            if !expected.contains(row) {
                return Err(format!("nobody has written {row:?}"));
            }
            if *times != 1 {
                return Err(format!("{row:?} is there {times} times"));
            }
            if self.deleted.contains(row) {
                return Err(format!("{row:?} was deleted and is shown"));
            }
            if row.time_ns < self.expired_ns[row.signal as usize] {
                return Err(format!("{row:?} has expired and is shown"));
            }
        }
        self.check_traces(found, excused)?;
        self.check_slots(found, excused)
    }

    /// A trace that is asked for by its id has the rows that scans show.
    fn check_traces(&self, found: &Found, excused: bool) -> Result<(), String> {
        let traced = |row: &Row| row.signal == Signal::Traces || row.id.is_multiple_of(2);
        for (row, times) in found.rows.iter().filter(|(row, _)| row.signal != Signal::Metrics) {
            let here = found.by_trace.get(row).copied().unwrap_or(0);
            if traced(row) && here != *times && !excused {
                return Err(format!("{row:?} is {here} times in its trace"));
            }
        }
        match found.by_trace.keys().find(|row| !found.rows.contains_key(row)) {
            Some(row) if !excused => Err(format!("{row:?} is in its trace only")),
            _ => Ok(()),
        }
    }

    /// Of samples with one time the one of the latest append is shown.
    fn check_slots(&self, found: &Found, excused: bool) -> Result<(), String> {
        for slot in 0..SLOTS {
            let ms = slot_ms(slot);
            let of_slot = || self.batches.iter().filter(|(id, _)| *id % SLOTS == slot);
            let latest = of_slot().rfind(|(_, (fate, _))| *fate == Fate::Acknowledged);
            let latest = latest.map(|(id, _)| *id);
            let lasts = ms * 1_000_000 >= self.may_expire_ns[Signal::Metrics as usize];
            match found.slots.get(&ms) {
                None if latest.is_some() && lasts && !excused => {
                    return Err(format!("the sample of batch {latest:?} is lost"));
                }
                Some(shown) => {
                    let fate = self.batches.get(shown).map(|(fate, _)| *fate);
                    let known = matches!(fate, Some(Fate::Acknowledged | Fate::Uncertain));
                    if !known || (latest > Some(*shown) && !excused) {
                        return Err(format!("a sample of batch {shown} hides that of {latest:?}"));
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    fn lasts(&self, row: &Row) -> bool {
        row.time_ns >= self.may_expire_ns[row.signal as usize]
            && !self.deleted.contains(row)
            && !self.maybe_deleted.contains(row)
    }

    /// Notes a deletion; the store has said whether it is done.
    pub(super) fn delete(&mut self, deletion: &Deletion, done: bool) {
        let odd = deletion.attribute.as_ref().map(|(_, service)| service == "odd");
        let rows = self.batches.values().flat_map(|(_, rows)| rows);
        let meant = rows.filter(|row| {
            odd.is_none_or(|odd| odd != row.id.is_multiple_of(2))
                && deletion.concerns_signal(row.signal)
                && deletion.range.contains(row.time_ns)
        });
        let meant: Vec<Row> = meant.copied().collect();
        if done { self.deleted.extend(meant) } else { self.maybe_deleted.extend(meant) }
    }

    /// Decides what was uncertain, now that the store has been opened anew.
    pub(super) fn settle(&mut self, found: &Found) {
        if self.rotten || self.may_complain {
            return;
        }
        let mut decided = Vec::new();
        for (id, (_, rows)) in self.batches.iter().filter(|(_, (f, _))| *f == Fate::Uncertain) {
            // Of a batch that has expired nothing can be told.
            if let Some(row) = rows.iter().find(|row| self.lasts(row)) {
                let here = found.rows.contains_key(row);
                decided.push((*id, if here { Fate::Acknowledged } else { Fate::Refused }));
            }
        }
        for (id, fate) in decided {
            if let Some(batch) = self.batches.get_mut(&id) {
                batch.0 = fate;
            }
        }
    }
}

/// Reads everything in every way; content that is not as written is an error.
pub(super) fn find(snapshot: &Snapshot) -> Result<Found, FindError> {
    let tally = Tally::unlimited();
    let mut found = Found::default();
    samples(snapshot, &tally, &mut found)?;
    let mut wrong = None;
    let mut ids = BTreeSet::new();
    let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Forward };
    snapshot.logs(&scan, &tally, &mut |stored| {
        match row_of_log(&stored.record) {
            Some(row) => *found.rows.entry(row).or_default() += 1,
            None => wrong = Some(format!("{stored:?}")),
        }
        ids.insert(stored.record.trace_id);
        ControlFlow::Continue(())
    })?;
    let scan = SpanScan { range: TimeRange::ALL, filter: &SpanFilter::All, order: Order::Any };
    snapshot.spans(&scan, &tally, &mut |stored| {
        match row_of_span(&stored.span) {
            Some(row) => *found.rows.entry(row).or_default() += 1,
            None => wrong = Some(format!("{stored:?}")),
        }
        ids.insert(stored.span.trace_id);
        ControlFlow::Continue(())
    })?;
    for id in ids {
        for stored in snapshot.trace(id, &tally)? {
            match row_of_span(&stored.span) {
                Some(row) => *found.by_trace.entry(row).or_default() += 1,
                None => wrong = Some(format!("{stored:?}")),
            }
        }
        for stored in snapshot.trace_logs(id, &tally)? {
            match row_of_log(&stored.record) {
                Some(row) => *found.by_trace.entry(row).or_default() += 1,
                None => wrong = Some(format!("{stored:?}")),
            }
        }
    }
    found.complained = tally.blocks_damaged.load(Relaxed) > 0;
    wrong.map_or(Ok(found), |row| Err(FindError::Wrong(row)))
}

fn samples(snapshot: &Snapshot, tally: &Tally, found: &mut Found) -> Result<(), FindError> {
    let mut samples = Samples::default();
    for series in snapshot.series(&[], TimeRange::ALL, tally)? {
        snapshot.samples(&series, TimeRange::ALL, &mut samples, tally)?;
        for (&ms, &value) in samples.float_times_ms.iter().zip(&samples.floats) {
            let value = value as u64;
            if series.labels.get("__name__") == Some("w") {
                found.slots.insert(ms, value);
                continue;
            }
            let (id, n) = (value / 1000, value % 1000);
            if series.labels.get("n") != Some(&(id % 6).to_string()) {
                return Err(FindError::Wrong(format!("sample {value} in {:?}", series.labels)));
            }
            let row = Row { signal: Signal::Metrics, id, n, time_ns: ms * 1_000_000 };
            *found.rows.entry(row).or_default() += 1;
        }
    }
    Ok(())
}

fn row_of_log(record: &LogRecord<'_>) -> Option<Row> {
    let text = record.body.as_text();
    let mut words = text.split(' ');
    let (id, n) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let row = Row { signal: Signal::Logs, id, n, time_ns: record.time_ns as i64 };
    (log(row) == *record).then_some(row)
}

fn row_of_span(stored: &Span<'_>) -> Option<Row> {
    let Value::Int(id) = stored.attributes.first()?.value else { return None };
    let (id, n) = (id as u64, u64::from(stored.span_id[0]).checked_sub(1)?);
    let row = Row { signal: Signal::Traces, id, n, time_ns: stored.start_ns as i64 };
    (span(row) == *stored).then_some(row)
}

/// Why a snapshot could not be read.
pub(super) enum FindError {
    Refused(Error),
    /// A row that nobody has written so.
    Wrong(String),
}

impl std::fmt::Display for FindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FindError::Refused(error) => error.fmt(f),
            FindError::Wrong(row) => write!(f, "not as it was written: {row}"),
        }
    }
}

impl From<Error> for FindError {
    fn from(error: Error) -> Self {
        FindError::Refused(error)
    }
}

/// A time for a row: today mostly; also days ago, tomorrow, or outlandish. No two rows of
/// a series have the same.
pub(super) fn time_of(now_ns: i64, id: u64, n: u64, random: u64) -> i64 {
    let day = match random % 12 {
        0 => 5 * 365,
        1 => now_ns.div_euclid(DAY_NS) + 1,
        2..=4 => now_ns.div_euclid(DAY_NS) - (random >> 8) as i64 % 9,
        _ => now_ns.div_euclid(DAY_NS),
    };
    day * DAY_NS + (id * 16 + n) as i64 * 1_000_000
}
