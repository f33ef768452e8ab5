//! What is too old, or too much, is not shown and its parts are dropped.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::flush::Maintenance;
use super::{Store, hold};
use crate::error::Result;
use crate::filter::{Compare, Field, SpanFilter};
use crate::labels::Labels;
use crate::model::{Resource, StatusCode, TraceId, Value};
use crate::part::prune::Keep;
use crate::part::{PartInfo, Signal};
use crate::settings::{KeptTraces, RetentionBytes};
use crate::snapshot::{Order, SpanScan, TimeRange};
use crate::tally::Tally;

/// A trace is looked for so long before and after the part that is thinned.
const TRACE_LENGTH_NS: i64 = 3600 * 1_000_000_000;
/// Traces that a part may keep, and for which there is memory meanwhile; with more all of
/// it is kept.
const KEPT_MAX: usize = 1 << 20;

impl Store {
    /// Moves the limits of what is shown, and drops parts that lie wholly before them, or
    /// that are too many.
    pub(super) fn expire(&self, maintenance: &mut Maintenance, now_ns: i64) -> Result<()> {
        let retention = &self.settings.retention;
        let mut kept = [retention.metrics, retention.logs, retention.traces];
        if let Some(longer) = &self.settings.kept_traces {
            let traces = &mut kept[Signal::Traces as usize];
            *traces = traces.map(|traces| traces.max(longer.kept));
        }
        let cutoffs_ns = kept.map(|kept| cutoff(now_ns, kept));
        hold(&self.view).cutoffs_ns = cutoffs_ns;
        let too_many = oldest_beyond(&self.settings.retention_bytes, &maintenance.manifest.parts);
        let is_due = |part: &&PartInfo| {
            part.max_ns < cutoffs_ns[part.signal as usize] || too_many.contains(&part.id)
        };
        let expired: Vec<PartInfo> =
            maintenance.manifest.parts.iter().filter(is_due).copied().collect();
        if expired.is_empty() {
            return Ok(());
        }
        let ids: Vec<u64> = expired.iter().map(|part| part.id).collect();
        let mut next = maintenance.manifest.clone();
        next.parts.retain(|part| !ids.contains(&part.id));
        self.change_parts(maintenance, next, &[], &ids)?;
        for part in expired {
            self.counters.expired[part.signal as usize].fetch_add(part.rows, Relaxed);
        }
        Ok(())
    }

    /// The oldest time of a signal that is still shown.
    pub(super) fn cutoff_ns(&self, signal: Signal) -> i64 {
        hold(&self.view).cutoffs_ns[signal as usize]
    }

    /// Thins one part of traces whose time has come: those that matter stay for longer.
    pub(super) fn thin_traces(&self, now_ns: i64) -> Result<()> {
        let Some(longer) = self.settings.kept_traces else { return Ok(()) };
        let cutoff_ns = cutoff(now_ns, self.settings.retention.traces);
        let damaged = self.damaged_parts();
        let due = |part: &&PartInfo| {
            part.signal == Signal::Traces
                && part.max_ns < cutoff_ns
                && !part.thinned
                && !damaged.contains(&part.id)
        };
        let part = hold(&self.maintenance).manifest.parts.iter().find(due).copied();
        let (Some(part), Ok(_no_merge)) = (part, self.merging.try_lock()) else { return Ok(()) };
        let keep = KeepTraces { traces: self.traces_that_matter(&part, &longer)? };
        self.replace_pruned(part, &keep, true).map(drop)
    }

    /// The traces of a part's time with an error, a slow span, or an exemplar; `None` if
    /// there are too many to tell.
    fn traces_that_matter(
        &self,
        part: &PartInfo,
        longer: &KeptTraces,
    ) -> Result<Option<HashSet<TraceId>>> {
        let range = TimeRange {
            start_ns: part.min_ns.saturating_sub(TRACE_LENGTH_NS),
            end_ns: part.max_ns.saturating_add(TRACE_LENGTH_NS),
        };
        let slow = Value::Int(i64::try_from(longer.slow_ns).unwrap_or(i64::MAX));
        let filter = SpanFilter::Or(vec![
            SpanFilter::Field(Field::Status, Compare::Status(StatusCode::Error)),
            SpanFilter::Field(Field::Duration, Compare::GreaterEqual(slow)),
        ]);
        let (snapshot, tally) = (self.snapshot(), Tally::unlimited());
        let mut traces = HashSet::new();
        let scan = SpanScan { range, filter: &filter, order: Order::Any };
        snapshot.spans(&scan, &tally, &mut |stored| {
            traces.insert(stored.span.trace_id);
            if traces.len() > KEPT_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        for (_, exemplars) in snapshot.exemplars(&[], range, &tally)? {
            let ids = exemplars.iter().filter_map(|e| e.labels.get("trace_id"));
            traces.extend(ids.filter_map(trace_id));
        }
        Ok((traces.len() <= KEPT_MAX).then_some(traces))
    }
}

/// 32 hexadecimal digits.
fn trace_id(text: &str) -> Option<TraceId> {
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| number.to_be_bytes())
}

/// The traces that stay; `None` for all.
struct KeepTraces {
    traces: Option<HashSet<TraceId>>,
}

impl Keep for KeepTraces {
    fn concerns(&self, _: &Resource<'_>, _: Option<&Labels>) -> bool {
        self.traces.is_some()
    }

    fn row(&self, _: i64, trace: Option<TraceId>) -> bool {
        match (&self.traces, trace) {
            (Some(traces), Some(trace)) => traces.contains(&trace),
            _ => true,
        }
    }

    fn counts(&self) -> bool {
        true
    }
}

fn cutoff(now_ns: i64, kept: Option<Duration>) -> i64 {
    let Some(kept) = kept else { return i64::MIN };
    now_ns.saturating_sub(i64::try_from(kept.as_nanos()).unwrap_or(i64::MAX))
}

/// The parts with the oldest rows of each signal that has more bytes than it may.
fn oldest_beyond(limits: &RetentionBytes, parts: &[PartInfo]) -> Vec<u64> {
    let mut beyond = Vec::new();
    for (signal, limit) in Signal::ALL.iter().zip([limits.metrics, limits.logs, limits.traces]) {
        let Some(limit) = limit else { continue };
        let mut own: Vec<&PartInfo> = parts.iter().filter(|p| p.signal == *signal).collect();
        own.sort_by_key(|part| (part.max_ns, part.last_number));
        let mut bytes: u64 = own.iter().map(|part| part.bytes).sum();
        for part in own {
            if bytes <= limit {
                break;
            }
            bytes -= part.bytes;
            beyond.push(part.id);
        }
    }
    beyond
}
