//! The pieces of a block that are read when they are asked for: bodies, attributes, ids.

use std::borrow::Cow;

use super::block::LogBlock;
use crate::bytes::Reader;
use crate::columns::{Attributes, Lines, Strings, ints, numbers, signed_ints};
use crate::model::{Attribute, LogRecord, SpanId, TraceId, Value};
use crate::row;
use crate::search::LineSearch;

/// Earlier versions have lines that are like no other behind the gaps.
const PLAIN_FIRST_SINCE: u8 = 9;

/// The bodies of a block's records.
#[derive(Debug)]
pub(crate) enum LogBodies {
    Lines {
        /// 0 text, 1 a value.
        kinds: Vec<u64>,
        lines: Lines,
        /// Bytes of all bodies once they are put together.
        text_len: u64,
    },
    /// As versions before 5 have them; the kinds are in the block.
    Strings { bytes: Vec<u8>, bodies: Strings },
}

impl LogBodies {
    pub(super) fn read(text: Vec<u8>, gaps: Vec<u8>, rows: usize, version: u8) -> Option<Self> {
        let r = &mut Reader::new(&gaps);
        let text_len = r.varint()?;
        let kinds = numbers(r, rows)?;
        let from = gaps.len() - r.remaining();
        let lines = match version {
            ..PLAIN_FIRST_SINCE => Lines::read_older(text, &gaps[from..], rows)?,
            _ => Lines::read(text, gaps, from, rows)?,
        };
        Some(LogBodies::Lines { kinds, lines, text_len })
    }

    /// The body of a row.
    pub(crate) fn get(&self, block: &LogBlock, row: usize) -> Option<Value<'_>> {
        match self {
            LogBodies::Lines { kinds, lines, .. } => {
                let mut body = Vec::new();
                lines.put(row, *block.times.get(row)?, &mut body).then_some(())?;
                match kinds.get(row)? {
                    0 => Some(Value::Str(Cow::Owned(String::from_utf8(body).ok()?))),
                    _ => Some(row::value(&mut Reader::new(&body), 0)?.into_owned()),
                }
            }
            LogBodies::Strings { bytes, bodies } => {
                Some(match block.older.as_ref()?.body_kinds.get(row)? {
                    0 => Value::Str(Cow::Borrowed(bodies.text(bytes, row))),
                    _ => row::value(&mut Reader::new(bodies.get(bytes, row)), 0)?,
                })
            }
        }
    }

    /// Leaves of some rows those whose bodies satisfy all conditions. `None` if a body is
    /// malformed.
    pub(crate) fn retain(
        &self,
        block: &LogBlock,
        search: &LineSearch<'_>,
        rows: &mut Vec<(i64, u32)>,
    ) -> Option<()> {
        let LogBodies::Lines { kinds, lines, .. } = self else {
            let body = |row: u32| self.get(block, row as usize);
            rows.retain(|&(_, row)| body(row).is_some_and(|body| search.matches(&body)));
            return Some(());
        };
        // Bodies that are no text are other text once they are shown.
        let is_text = |row: u32| kinds.get(row as usize) == Some(&0);
        let mut open = vec![false; kinds.len()];
        for condition in search.conditions() {
            if rows.is_empty() {
                return Some(());
            }
            let decided = lines.decide(condition);
            rows.retain(|&(_, row)| match decided.get(row as usize) {
                Some(Some(satisfies)) => *satisfies || !is_text(row),
                _ => {
                    open[row as usize] = true;
                    true
                }
            });
        }
        let mut text = Vec::new();
        let mut malformed = false;
        rows.retain(|&(_, row)| {
            if !is_text(row) {
                let body = self.get(block, row as usize);
                return body.is_some_and(|body| search.matches(&body));
            }
            let row = row as usize;
            if !open[row] {
                return true;
            }
            text.clear();
            let Some(&time_ns) = block.times.get(row) else { return false };
            let whole = lines.put(row, time_ns, &mut text);
            match std::str::from_utf8(&text) {
                Ok(text) if whole => search.matches_text(text),
                _ => {
                    malformed = true;
                    false
                }
            }
        });
        (!malformed).then_some(())
    }

    /// Bytes of all bodies.
    pub(crate) fn text_len(&self) -> u64 {
        match self {
            LogBodies::Lines { text_len, .. } => *text_len,
            LogBodies::Strings { bytes, .. } => bytes.len() as u64,
        }
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        match self {
            LogBodies::Lines { kinds, lines, .. } => kinds.len() * 8 + lines.byte_len(),
            LogBodies::Strings { bytes, bodies } => bytes.len() + bodies.byte_len(),
        }
    }
}

/// What only OTLP knows of a record, and hardly anybody asks for.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) observed: Vec<u64>,
    pub(super) dropped: Vec<u64>,
    pub(super) event_names: Vec<Box<str>>,
}

impl Details {
    /// Fills them in.
    pub(super) fn put<'r>(&'r self, row: usize, record: &mut LogRecord<'r>) -> Option<()> {
        record.observed_ns = *self.observed.get(row)?;
        record.dropped_attributes = *self.dropped.get(row)? as u32;
        if let Some(name) = self.event_names.get(row) {
            record.event_name = Cow::Borrowed(name);
        }
        Some(())
    }

    pub(super) fn byte_len(&self) -> usize {
        (self.observed.len() + self.dropped.len() + self.event_names.len() * 2) * 8
    }
}

/// Observed times: 0, or so much after the time.
pub(super) fn observed(r: &mut Reader<'_>, times: &[u64]) -> Option<Vec<u64>> {
    let mut observed = ints(r, times.len())?;
    let said = observed.iter().filter(|&&o| o != 0).count();
    let mut after = signed_ints(r, said)?.into_iter();
    for (observed, time) in observed.iter_mut().zip(times) {
        if *observed != 0 {
            *observed = time.wrapping_add(after.next()? as u64);
        }
    }
    Some(observed)
}

/// Event names of rows; none if all are empty.
pub(super) fn event_names(bytes: &[u8], names: &Strings, rows: usize) -> Vec<Box<str>> {
    if (0..names.distinct_len()).all(|code| names.distinct(bytes, code).is_empty()) {
        return Vec::new();
    }
    (0..rows).map(|row| names.text(bytes, row).into()).collect()
}

/// The attributes of a block's records, and their details.
#[derive(Debug)]
pub(crate) struct LogAttributes {
    pub(super) bytes: Vec<u8>,
    pub(super) attributes: Attributes,
    /// In older versions they are elsewhere.
    pub(super) details: Option<Details>,
}

impl LogAttributes {
    pub(super) fn read(bytes: Vec<u8>, block: &LogBlock) -> Option<Self> {
        let r = &mut Reader::new(&bytes);
        let rows = block.len();
        let details = match block.older {
            Some(_) => None,
            None => Some(Details {
                observed: observed(r, &block.times)?,
                dropped: ints(r, rows)?,
                event_names: event_names(&bytes, &Strings::read(&bytes, r, rows)?, rows),
            }),
        };
        let attributes = Attributes::read(&bytes, r, rows)?;
        r.is_empty().then_some(())?;
        Some(LogAttributes { bytes, attributes, details })
    }

    pub(super) fn get(&self, row: usize) -> Vec<Attribute<'_>> {
        self.attributes.get(&self.bytes, row)
    }

    /// For each row a number that is the same for rows with the same wanted attributes.
    pub(crate) fn codes(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<u64> {
        self.attributes.codes(&self.bytes, wanted)
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        let details = self.details.as_ref().map_or(0, Details::byte_len);
        self.bytes.len() + self.attributes.byte_len() + details
    }
}

/// Trace and span ids of a block's records, and the flags that go with them.
#[derive(Debug)]
pub(crate) struct LogIds {
    pub(crate) traces: Vec<TraceId>,
    pub(super) spans: Vec<SpanId>,
    /// In older versions they are elsewhere.
    pub(super) flags: Option<Vec<u32>>,
}

impl LogIds {
    pub(super) fn read(bytes: &[u8], rows: usize) -> Option<Self> {
        let r = &mut Reader::new(bytes);
        let kinds = numbers(r, rows)?;
        let without = kinds.iter().filter(|kind| **kind == 0).count();
        let (mut with, mut without) =
            (numbers(r, rows - without)?.into_iter(), numbers(r, without)?.into_iter());
        let mut flags = Vec::with_capacity(rows);
        for &kind in &kinds {
            let next = if kind == 0 { without.next()? } else { with.next()? };
            flags.push(u32::try_from(next).ok()?);
        }
        let traces = ids(r, &kinds, 1)?;
        let spans = ids(r, &kinds, 2)?;
        r.is_empty().then_some(LogIds { traces, spans, flags: Some(flags) })
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.traces.len() * 28
    }
}

/// Ids of the rows whose kind has the bit; of the others they are zero.
fn ids<const N: usize>(r: &mut Reader<'_>, kinds: &[u64], bit: u64) -> Option<Vec<[u8; N]>> {
    kinds.iter().map(|kind| if kind & bit != 0 { r.array() } else { Some([0; N]) }).collect()
}
