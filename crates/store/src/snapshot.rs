//! What one query sees: everything acknowledged before it, unchanged while it runs.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::filter::{LineFilter, SpanFilter};
use crate::head::Head;
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::model::{
    Exemplar, Histogram, Metadata, Resource, Scope, StoredLog, StoredSpan, TraceId,
};
use crate::part::PartSet;
use crate::part::spans::ThinnedSpans;
use crate::tally::Tally;

mod blocks;
mod counts;
mod logs;
mod metrics;
mod selection;
mod series_reader;
mod spans;
mod traces;

pub use selection::Selection;
pub use series_reader::SeriesReader;
pub use traces::TraceOverview;

/// A closed range of time, in Unix nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// First instant.
    pub start_ns: i64,
    /// Last instant, included.
    pub end_ns: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { start_ns: i64::MIN, end_ns: i64::MAX };

    /// From the first to the last of whole milliseconds, both included.
    #[must_use]
    pub fn from_ms(start_ms: i64, end_ms: i64) -> Self {
        TimeRange {
            start_ns: start_ms.saturating_mul(1_000_000),
            end_ns: end_ms.saturating_mul(1_000_000).saturating_add(999_999),
        }
    }

    /// Whether an instant lies within.
    #[must_use]
    pub fn contains(&self, time_ns: i64) -> bool {
        (self.start_ns..=self.end_ns).contains(&time_ns)
    }

    /// Whether any instant lies within both.
    pub(crate) fn overlaps(&self, (min_ns, max_ns): (i64, i64)) -> bool {
        self.start_ns <= max_ns && min_ns <= self.end_ns
    }

    /// The part of the range that has not expired.
    fn after(self, cutoff_ns: i64) -> TimeRange {
        TimeRange { start_ns: self.start_ns.max(cutoff_ns), ..self }
    }

    /// The whole milliseconds within; an open end stays open.
    pub(crate) fn to_ms(self) -> RangeInclusive<i64> {
        let start = match self.start_ns {
            i64::MIN => i64::MIN,
            ns => ns.div_euclid(1_000_000) + i64::from(ns.rem_euclid(1_000_000) != 0),
        };
        let end = match self.end_ns {
            i64::MAX => i64::MAX,
            ns => ns.div_euclid(1_000_000),
        };
        start..=end
    }
}

/// One series that matched.
#[derive(Clone, Debug)]
pub struct Series {
    /// All labels, `__name__` among them.
    pub labels: Labels,
    /// Who emitted it.
    pub resource: Arc<Resource<'static>>,
    /// Which library emitted it.
    pub scope: Arc<Scope<'static>>,
    /// Where the snapshot finds its samples.
    pub(crate) places: Places,
}

/// Sources and places in them, oldest first. Most series have one when they are found, and
/// there are many: the first needs no allocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    first: Option<(u32, u32)>,
    more: Vec<(u32, u32)>,
}

impl Places {
    pub(crate) fn of(mut places: impl Iterator<Item = (u32, u32)>) -> Self {
        Places { first: places.next(), more: places.collect() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.first.into_iter().chain(self.more.iter().copied())
    }
}

/// Samples of one series, in columns that the caller owns and reuses. Both lists are
/// sorted by time, without duplicates.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Unix milliseconds of `floats`.
    pub float_times_ms: Vec<i64>,
    /// Start times of `floats` in Unix milliseconds, 0 where not said; empty if none is.
    pub float_starts_ms: Vec<i64>,
    /// Values, staleness markers included.
    pub floats: Vec<f64>,
    /// Unix milliseconds of `histograms`.
    pub histogram_times_ms: Vec<i64>,
    /// Start times of `histograms`, as above.
    pub histogram_starts_ms: Vec<i64>,
    /// Native histograms.
    pub histograms: Vec<Arc<Histogram>>,
}

/// In which order a scan hands out rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
    /// As they lie: the cheapest.
    Any,
}

/// Which log records to hand out.
#[derive(Clone, Debug)]
pub struct LogScan<'a> {
    /// Conditions on the stream's labels.
    pub streams: &'a [Matcher],
    /// When.
    pub range: TimeRange,
    /// Conditions on the line, all of which must hold.
    pub lines: &'a [LineFilter],
    /// Order of time over all streams together.
    pub order: Order,
}

/// Takes the counts of [`Snapshot::log_counts`].
pub trait LogCounter {
    /// Asked about each group before it is counted: the record stands for all of them, and
    /// is without what they need not have in common. The same group may come again.
    fn group(&mut self, log: &StoredLog<'_>) -> Counted;

    /// So many records of the group of this name, between two bounds: see there.
    fn add(&mut self, group: usize, bucket: usize, records: u64);

    /// A record that is counted by itself; it is whole.
    fn record(&mut self, log: &StoredLog<'_>) -> ControlFlow<()>;
}

/// How a group of log records is to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Together, under this name.
    As(usize),
    /// Each by itself: what is shown does not do.
    Singly,
    /// No more of anything.
    Stop,
}

/// Which spans to hand out.
#[derive(Clone, Debug)]
pub struct SpanScan<'a> {
    /// Spans that start within.
    pub range: TimeRange,
    /// The condition.
    pub filter: &'a SpanFilter,
    /// Order of start time.
    pub order: Order,
}

/// What a scan fills in of a span besides name, kind, status, times, resource and scope. What
/// is left out is empty, and need not be read from the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanColumns {
    /// Trace, span and parent id.
    pub ids: bool,
    /// Attributes of the span.
    pub attributes: bool,
    /// Events and links.
    pub details: bool,
}

impl SpanColumns {
    /// Whole spans.
    pub const ALL: SpanColumns = SpanColumns { ids: true, attributes: true, details: true };
    /// Nothing more.
    pub const NONE: SpanColumns = SpanColumns { ids: false, attributes: false, details: false };
}

/// An immutable view of the store. Cheap to take; holds what it needs alive.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) parts: Arc<PartSet>,
    /// Oldest first.
    pub(crate) heads: Vec<HeadView>,
    pub(crate) families: Arc<BTreeMap<String, Metadata>>,
    /// Per signal: rows before this have expired.
    pub(crate) cutoffs_ns: [i64; 3],
    pub(crate) cache: Arc<Cache>,
}

/// A head as far as a snapshot may look into it.
#[derive(Clone, Debug)]
pub(crate) struct HeadView {
    pub(crate) head: Arc<Head>,
    /// The last append to show, counted from the head's base.
    pub(crate) visible: u32,
}

/// Rows between two looks at the tally: often enough to stop a query within a millisecond.
const ROWS_PER_TALLY: usize = 512;

/// The head holds bytes that no append has written: a defect of this program.
fn bad_head() -> Error {
    Error::Corrupt { path: "head".into(), why: "a row in memory cannot be decoded".into() }
}

impl Snapshot {
    /// Series that match all conditions and have samples within the range, sorted by labels.
    /// A series whose samples lie before and after a short range may be among them, without
    /// samples: what is on disk is known by chunks.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn series(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        tally: &Tally,
    ) -> Result<Vec<Series>> {
        metrics::series(self, matchers, range, tally)
    }

    /// The same without putting their labels together: for many of which few are needed.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        tally: &Tally,
    ) -> Result<Selection> {
        selection::select(self, matchers, range, tally)
    }

    /// Reads samples within the range of series that this snapshot has selected.
    #[must_use]
    pub fn reader<'a>(
        &'a self,
        selection: &'a Selection,
        range: TimeRange,
        tally: &'a Tally,
    ) -> SeriesReader<'a> {
        SeriesReader::new(self, selection, range, tally)
    }

    /// Reads one series' samples within the range into `out`, replacing what was there.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn samples(
        &self,
        series: &Series,
        range: TimeRange,
        out: &mut Samples,
        tally: &Tally,
    ) -> Result<()> {
        metrics::samples(self, series, range, out, tally)
    }

    /// Names of labels on matching series, sorted.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        tally: &Tally,
    ) -> Result<Vec<String>> {
        metrics::label_names(self, matchers, range, tally)
    }

    /// Values of one label on matching series, sorted.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn label_values(
        &self,
        label: &str,
        matchers: &[Matcher],
        range: TimeRange,
        tally: &Tally,
    ) -> Result<Vec<String>> {
        metrics::label_values(self, label, matchers, range, tally)
    }

    /// Metric families and what is known of them, sorted by name.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, Metadata)> {
        self.families.iter().map(|(name, known)| (name.clone(), known.clone())).collect()
    }

    /// Exemplars of matching series within the range, by series, then by time.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn exemplars(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        tally: &Tally,
    ) -> Result<Vec<(Series, Vec<Exemplar>)>> {
        metrics::exemplars(self, matchers, range, tally)
    }

    /// Label sets of log streams that match all conditions and have records within the range, sorted.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn streams(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        tally: &Tally,
    ) -> Result<Vec<Labels>> {
        logs::streams(self, matchers, range, tally)
    }

    /// Hands matching log records to `visit` until it breaks.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn logs(
        &self,
        scan: &LogScan<'_>,
        tally: &Tally,
        visit: &mut dyn FnMut(&StoredLog<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        logs::scan(self, scan, tally, visit)
    }

    /// Counts matching log records in groups: those that differ in nothing but time, body,
    /// ids, flags, event name, observed time, and attributes whose key is not wanted.
    /// Nothing is put together for them, and what is not asked for is not read. Records of
    /// the head come one by one.
    ///
    /// `bounds_ns` ascend and divide time into buckets: bucket `i` is after bound `i - 1` and
    /// up to bound `i`, the last one after all of them.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn log_counts(
        &self,
        scan: &LogScan<'_>,
        bounds_ns: &[i64],
        wanted_key: &(dyn Fn(&str) -> bool + Sync),
        tally: &Tally,
        counter: &mut dyn LogCounter,
    ) -> Result<()> {
        counts::count(self, &counts::Question { scan, bounds_ns, wanted_key }, tally, counter)
    }

    /// Log records that carry a trace id (and span id, if given), oldest first.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn trace_logs(&self, trace: TraceId, tally: &Tally) -> Result<Vec<StoredLog<'static>>> {
        logs::of_trace(self, trace, tally)
    }

    /// All spans of a trace by start time; spans received twice appear once. Empty if unknown.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn trace(&self, trace: TraceId, tally: &Tally) -> Result<Vec<StoredSpan<'static>>> {
        traces::whole(self, trace, tally)
    }

    /// What a trace adds up to, without a look at its spans; `None` where they must be
    /// looked at, or there are none.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn trace_overview(&self, trace: TraceId, tally: &Tally) -> Result<Option<TraceOverview>> {
        traces::overview(self, trace, tally)
    }

    /// The spans of a trace that satisfy a condition, by start time, with their ids and what
    /// is wanted besides.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn trace_spans(
        &self,
        trace: TraceId,
        filter: &SpanFilter,
        columns: SpanColumns,
        tally: &Tally,
    ) -> Result<Vec<StoredSpan<'static>>> {
        traces::matching(self, trace, filter, columns, tally)
    }

    /// Who sent spans that start within the range, each once or more often.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn span_resources(
        &self,
        range: TimeRange,
        tally: &Tally,
    ) -> Result<Vec<Arc<Resource<'static>>>> {
        spans::resources(self, range, tally)
    }

    /// Hands out the counts of spans that were thinned out of the range, whole minutes at a
    /// time, in no order. False if some were not counted, or not in what can be read.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn thinned_spans(
        &self,
        range: TimeRange,
        tally: &Tally,
        visit: &mut dyn FnMut(&ThinnedSpans<'_>),
    ) -> Result<bool> {
        spans::thinned(self, range, tally, visit)
    }

    /// Hands matching spans to `visit` until it breaks.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn spans(
        &self,
        scan: &SpanScan<'_>,
        tally: &Tally,
        visit: &mut dyn FnMut(&StoredSpan<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        spans::scan(self, scan, SpanColumns::ALL, tally, visit)
    }

    /// The same with less of each span; spans of the head come with their ids.
    ///
    /// # Errors
    /// Cancelled, over the tally's limit, or unreadable.
    pub fn spans_with(
        &self,
        scan: &SpanScan<'_>,
        columns: SpanColumns,
        tally: &Tally,
        visit: &mut dyn FnMut(&StoredSpan<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        spans::scan(self, scan, columns, tally, visit)
    }
}
