//! Log records and spans of the head: references into the payloads, by time and by trace.

use std::collections::HashMap;

use crate::bytes::Reader;
use crate::model::TraceId;
use crate::payload::Rows;
use crate::row;

/// Rows of one signal in the order they were appended.
#[derive(Debug, Default)]
pub(crate) struct RowLog {
    pub(crate) rows: Vec<RowRef>,
    /// The number of each append that brought rows, and how many rows there were after it.
    marks: Vec<(u32, u32)>,
    /// Payloads with log records whose body is no text, ascending.
    other_bodies: Vec<u32>,
    /// The last row of each trace; `RowRef::previous` leads to the others.
    by_trace: HashMap<TraceId, u32>,
}

/// Where a row lies, and what is asked of it most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRef {
    pub(crate) time_ns: i64,
    /// The payload that holds the row.
    pub(crate) batch: u32,
    /// Where in the payload it begins.
    pub(crate) offset: u32,
    pub(crate) stream: u32,
    pub(crate) resource: u32,
    pub(crate) scope: u32,
    /// The row before this one of the same trace, or [`NONE`].
    previous: u32,
}

const NONE: u32 = u32::MAX;

/// What the places named in a payload are in the head.
#[derive(Debug)]
pub(crate) struct Owners<'a> {
    pub(crate) batch: u32,
    pub(crate) streams: &'a [u32],
    pub(crate) resources: &'a [u32],
    pub(crate) scopes: &'a [u32],
}

impl RowLog {
    pub(crate) fn apply_logs(
        &mut self,
        number: u32,
        owners: &Owners<'_>,
        rows: Rows<'_>,
        payload: &[u8],
    ) -> Option<()> {
        let mut r = Reader::new(rows.bytes);
        for _ in 0..rows.count {
            let stream = *owners.streams.get(r.varint32()? as usize)?;
            let resource = *owners.resources.get(r.varint32()? as usize)?;
            let scope = *owners.scopes.get(r.varint32()? as usize)?;
            let len = r.u32()? as usize;
            let offset = place_in(payload, rows.bytes, &r)?;
            let (time_ns, trace_id, is_text) = row::log_front(r.take(len)?)?;
            if !is_text && self.other_bodies.last() != Some(&owners.batch) {
                self.other_bodies.push(owners.batch);
            }
            let row = RowRef {
                time_ns: clamp_time(time_ns),
                batch: owners.batch,
                offset,
                stream,
                resource,
                scope,
                previous: NONE,
            };
            self.push(row, trace_id)?;
        }
        self.mark(number);
        Some(())
    }

    pub(crate) fn apply_spans(
        &mut self,
        number: u32,
        owners: &Owners<'_>,
        rows: Rows<'_>,
        payload: &[u8],
    ) -> Option<()> {
        let mut r = Reader::new(rows.bytes);
        for _ in 0..rows.count {
            let resource = *owners.resources.get(r.varint32()? as usize)?;
            let scope = *owners.scopes.get(r.varint32()? as usize)?;
            let len = r.u32()? as usize;
            let offset = place_in(payload, rows.bytes, &r)?;
            let (start_ns, trace_id) = row::span_front(r.take(len)?)?;
            let row = RowRef {
                time_ns: clamp_time(start_ns),
                batch: owners.batch,
                offset,
                stream: 0,
                resource,
                scope,
                previous: NONE,
            };
            self.push(row, trace_id)?;
        }
        self.mark(number);
        Some(())
    }

    fn push(&mut self, mut row: RowRef, trace: TraceId) -> Option<()> {
        let index = u32::try_from(self.rows.len()).ok()?;
        if trace != [0; 16] {
            row.previous = self.by_trace.insert(trace, index).unwrap_or(NONE);
        }
        self.rows.push(row);
        Some(())
    }

    fn mark(&mut self, number: u32) {
        let rows = self.rows.len() as u32;
        if self.marks.last().is_none_or(|&(_, before)| before != rows) {
            self.marks.push((number, rows));
        }
    }

    /// The rows that appends up to `visible` have brought.
    pub(crate) fn visible(&self, visible: u32) -> &[RowRef] {
        let marks = self.marks.partition_point(|&(number, _)| number <= visible);
        let rows = marks.checked_sub(1).map_or(0, |last| self.marks[last].1);
        &self.rows[..rows as usize]
    }

    /// Payloads with log records whose body is no text, ascending.
    pub(crate) fn other_bodies(&self) -> &[u32] {
        &self.other_bodies
    }

    /// Visible rows of one trace, in the order they were appended.
    pub(crate) fn of_trace(&self, trace: TraceId, visible: u32) -> Vec<RowRef> {
        let rows = self.visible(visible);
        let mut found = Vec::new();
        let mut next = self.by_trace.get(&trace).copied().unwrap_or(NONE);
        while let Some(row) = self.rows.get(next as usize) {
            if (next as usize) < rows.len() {
                found.push(*row);
            }
            next = row.previous;
        }
        found.reverse();
        found
    }

    /// Roughly the memory taken without the payloads, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.len() * (size_of::<RowRef>() * 5 / 4) + self.by_trace.len() * 32
    }
}

/// Where the reader stands within the payload that `section` is a part of.
fn place_in(payload: &[u8], section: &[u8], r: &Reader<'_>) -> Option<u32> {
    let section_at = (section.as_ptr() as usize).checked_sub(payload.as_ptr() as usize)?;
    u32::try_from(section_at + section.len() - r.remaining()).ok()
}

/// Times past the year 2262 all count as its end.
pub(crate) fn clamp_time(time_ns: u64) -> i64 {
    i64::try_from(time_ns).unwrap_or(i64::MAX)
}
