//! A block of log records: its first piece, and how all of them are written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::pieces::{Details, LogAttributes, LogBodies, LogIds};
use super::tallies;
use crate::bytes::{Reader, put_bytes, put_varint};
use crate::columns::{
    AttributesWriter, KnownTemplates, LinesWriter, ROWS_MAX, StringsWriter, numbers, put_ints,
    put_numbers, put_signed_ints,
};
use crate::head::clamp_time;
use crate::intern::Seeded;
use crate::model::{LogRecord, SpanId, TraceId, Value};
use crate::row;
use crate::words::WordsWriter;

/// The first piece of a block, decoded: when, and by which labels. The rows are sorted by
/// stream, then time.
#[derive(Debug, Default)]
pub(crate) struct LogBlock {
    pub(crate) times: Vec<u64>,
    /// What rows have in common; each occurs.
    pub(crate) groups: Vec<LogGroup>,
    /// Which group each row is of. Blocks have far fewer rows than such a number can tell.
    pub(crate) codes: Vec<u16>,
    /// Keys of attributes that rows of the block have.
    pub(super) keys: Vec<Box<str>>,
    /// What came with this piece in older versions.
    pub(super) older: Option<Box<Older>>,
}

/// What many rows have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LogGroup {
    /// The stream's place in the footer.
    pub(crate) stream: u64,
    pub(crate) resource: u64,
    pub(crate) scope: u64,
    pub(crate) severity: u8,
    pub(crate) severity_text: Box<str>,
}

impl LogGroup {
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Self> {
        Some(LogGroup {
            stream: r.varint()?,
            resource: r.varint()?,
            scope: r.varint()?,
            severity: r.u8()?,
            severity_text: r.str()?.into(),
        })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.stream);
        put_varint(out, self.resource);
        put_varint(out, self.scope);
        out.push(self.severity);
        put_bytes(out, self.severity_text.as_bytes());
    }

    /// A record that has nothing but what the group has in common.
    pub(crate) fn record(&self) -> LogRecord<'_> {
        LogRecord {
            severity: self.severity,
            severity_text: Cow::Borrowed(&self.severity_text),
            ..LogRecord::default()
        }
    }
}

/// What versions before 5 have in the first piece.
#[derive(Debug, Default)]
pub(super) struct Older {
    pub(super) details: Details,
    pub(super) flags: Vec<u64>,
    pub(super) body_kinds: Vec<u64>,
    /// The other pieces, which version 1 has there too.
    pub(super) pieces: Option<(Arc<LogBodies>, Arc<LogAttributes>, Arc<LogIds>)>,
}

/// Numbers groups in the order they appear.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    known: HashMap<LogGroup, u32, Seeded>,
    pub(super) list: Vec<LogGroup>,
    /// Those last asked for, by a few bits of what they are.
    last: [u32; 16],
}

impl Groups {
    pub(crate) fn code(
        &mut self,
        [stream, resource, scope]: [u64; 3],
        severity: u8,
        severity_text: &str,
    ) -> u32 {
        let is = |group: &LogGroup| {
            (group.stream, group.resource, group.scope) == (stream, resource, scope)
                && group.severity == severity
                && *group.severity_text == *severity_text
        };
        let place = (stream.wrapping_mul(5) as usize ^ usize::from(severity)) % self.last.len();
        if self.list.get(self.last[place] as usize).is_some_and(is) {
            return self.last[place];
        }
        let severity_text = severity_text.into();
        let group = LogGroup { stream, resource, scope, severity, severity_text };
        let next = self.list.len() as u32;
        let code = *self.known.entry(group.clone()).or_insert(next);
        if code == next {
            self.list.push(group);
        }
        self.last[place] = code;
        code
    }
}

impl LogBlock {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let r = &mut Reader::new(bytes);
        let rows = usize::try_from(r.varint()?).ok().filter(|&rows| rows <= ROWS_MAX)?;
        let mut groups = Vec::new();
        for _ in 0..r.count(5)? {
            groups.push(LogGroup::read(r)?);
        }
        let codes = numbers(r, rows)?;
        codes.iter().all(|code| *code < groups.len() as u64).then_some(())?;
        let codes = codes.into_iter().map(|code| u16::try_from(code).ok());
        let codes = codes.collect::<Option<_>>()?;
        let times = numbers(r, rows)?;
        let mut keys = Vec::new();
        for _ in 0..r.count(1)? {
            keys.push(r.str()?.into());
        }
        r.is_empty().then_some(LogBlock { times, groups, codes, keys, older: None })
    }

    /// What a row has in common with others.
    pub(crate) fn group(&self, row: usize) -> Option<&LogGroup> {
        self.groups.get(*self.codes.get(row)? as usize)
    }

    /// Runs of rows of one stream.
    pub(crate) fn streams(&self) -> Vec<(u64, Range<usize>)> {
        let of_group: Vec<u64> = self.groups.iter().map(|group| group.stream).collect();
        // Most blocks have one, and then no row need be looked at.
        if let Some(&stream) = of_group.first()
            && of_group.iter().all(|other| *other == stream)
        {
            return vec![(stream, 0..self.codes.len())];
        }
        let stream = |code: u16| of_group.get(code as usize).copied().unwrap_or(0);
        let mut runs = Vec::new();
        let mut from = 0;
        for run in self.codes.chunk_by(|a, b| a == b || stream(*a) == stream(*b)) {
            runs.push((stream(run[0]), from..from + run.len()));
            from += run.len();
        }
        runs
    }

    /// Whether a row has an attribute whose key is wanted.
    pub(crate) fn has_key(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        self.keys.iter().any(|key| wanted(key))
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        let older = self.older.as_ref().map_or(0, |older| {
            let pieces = older.pieces.as_ref().map_or(0, |(bodies, attributes, ids)| {
                bodies.byte_len() + attributes.byte_len() + ids.byte_len()
            });
            pieces + older.details.byte_len() + older.flags.len() * 16
        });
        self.times.len() * 10 + self.groups.len() * 64 + older
    }
}

/// Collects the rows of a block.
#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    groups: Groups,
    codes: Vec<u64>,
    times: Vec<u64>,
    body_kinds: Vec<u64>,
    bodies: LinesWriter,
    /// Of bodies that are no text.
    words: WordsWriter,
    observed: Vec<u64>,
    observed_after: Vec<i64>,
    dropped: Vec<u64>,
    event_names: StringsWriter,
    attributes: AttributesWriter,
    id_kinds: Vec<u64>,
    trace_ids: Vec<TraceId>,
    span_ids: Vec<SpanId>,
    /// Of rows with ids, and of those without.
    flags: [Vec<u64>; 2],
    scratch: Vec<u8>,
    body_bytes: usize,
    /// Of other texts.
    text_bytes: usize,
}

/// The pieces of a block, as they are stored.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Does not compress.
    pub(super) core: Vec<u8>,
    pub(super) text: Vec<u8>,
    /// Does not compress.
    pub(super) gaps: Vec<u8>,
    pub(super) attributes: Vec<u8>,
    /// Does not compress.
    pub(super) ids: Vec<u8>,
    /// The filter over the words of all bodies.
    pub(super) words: Vec<u8>,
    /// See [`LogTallies`](super::LogTallies); empty if there are none.
    pub(super) tallies: Vec<u8>,
}

impl BlockWriter {
    pub(super) fn push(
        &mut self,
        stream: u64,
        (resource, scope): (u32, u32),
        record: &LogRecord<'_>,
    ) {
        self.push_body(&record.body, record.time_ns);
        self.push_others(stream, (resource, scope), record);
    }

    fn push_body(&mut self, body: &Value<'_>, time_ns: u64) {
        match body {
            Value::Str(text) => {
                self.body_kinds.push(0);
                self.bodies.push(text, time_ns);
                self.body_bytes += text.len();
            }
            other => {
                self.scratch.clear();
                // Whoever wrote the row once kept to the depth.
                let _ = row::put_value(&mut self.scratch, other, 0);
                self.body_kinds.push(1);
                self.bodies.push_bytes(&self.scratch);
                // Conditions on the line see it as this text.
                self.words.text(other.as_text().as_bytes());
                self.body_bytes += self.scratch.len();
            }
        }
    }

    /// Adds a body as another block has it taken apart. False if that does not have it so.
    #[must_use]
    pub(super) fn push_body_apart(
        &mut self,
        bodies: &LogBodies,
        row: usize,
        time_ns: u64,
        known: &mut KnownTemplates,
    ) -> bool {
        let LogBodies::Lines { kinds, lines, .. } = bodies else { return false };
        if kinds.get(row) != Some(&0) {
            return false;
        }
        let Some(bytes) = self.bodies.push_apart(lines, row, time_ns, known) else { return false };
        self.body_kinds.push(0);
        self.body_bytes += bytes;
        true
    }

    /// Adds all of a record but its body.
    pub(super) fn push_others(
        &mut self,
        stream: u64,
        (resource, scope): (u32, u32),
        record: &LogRecord<'_>,
    ) {
        let owner = [stream, u64::from(resource), u64::from(scope)];
        let code = self.groups.code(owner, record.severity, &record.severity_text);
        self.codes.push(u64::from(code));
        self.times.push(record.time_ns);
        self.observed.push(u64::from(record.observed_ns != 0));
        if record.observed_ns != 0 {
            self.observed_after.push(record.observed_ns.wrapping_sub(record.time_ns) as i64);
        }
        self.dropped.push(u64::from(record.dropped_attributes));
        self.event_names.push(record.event_name.as_bytes());
        self.attributes.push(&record.attributes);
        self.push_ids(record);
        self.text_bytes += record.severity_text.len() + record.event_name.len();
    }

    fn push_ids(&mut self, record: &LogRecord<'_>) {
        let (has_trace, has_span) = (record.trace_id != [0; 16], record.span_id != [0; 8]);
        self.id_kinds.push(u64::from(has_trace) | u64::from(has_span) << 1);
        if has_trace {
            self.trace_ids.push(record.trace_id);
        }
        if has_span {
            self.span_ids.push(record.span_id);
        }
        let flags = &mut self.flags[usize::from(!has_trace && !has_span)];
        flags.push(u64::from(record.flags));
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Bounds of the times.
    pub(super) fn bounds(&self) -> (i64, i64) {
        let times = || self.times.iter().map(|&t| clamp_time(t));
        (times().min().unwrap_or(0), times().max().unwrap_or(0))
    }

    /// First and last stream.
    pub(super) fn streams(&self) -> (u32, u32) {
        let stream = |group: Option<&LogGroup>| group.map_or(0, |group| group.stream as u32);
        (stream(self.groups.list.first()), stream(self.groups.list.last()))
    }

    /// Roughly the bytes collected.
    pub(super) fn byte_len(&self) -> usize {
        self.times.len() * 48 + self.body_bytes + self.text_bytes + self.attributes.byte_len()
    }

    pub(super) fn finish(mut self) -> Pieces {
        let mut words = std::mem::take(&mut self.words);
        words.add(self.bodies.take_words());
        let (mut text, mut gaps) = (Vec::with_capacity(self.body_bytes / 4), Vec::new());
        put_varint(&mut gaps, self.body_bytes as u64);
        put_numbers(&mut gaps, &self.body_kinds);
        self.bodies.finish(&mut text, &mut gaps);
        let keys = self.attributes.keys();
        let tallies = tallies::put(&self.groups.list, &self.codes, &self.times, keys);
        let mut attributes = Vec::with_capacity(self.attributes.byte_len());
        put_ints(&mut attributes, &self.observed);
        put_signed_ints(&mut attributes, &self.observed_after);
        put_ints(&mut attributes, &self.dropped);
        self.event_names.finish(&mut attributes);
        self.attributes.finish(&mut attributes);
        let (core, ids, words) = (self.core(), self.ids(), words.finish());
        Pieces { core, text, gaps, attributes, ids, words, tallies }
    }

    fn core(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.times.len() * 4);
        put_varint(&mut out, self.times.len() as u64);
        put_varint(&mut out, self.groups.list.len() as u64);
        self.groups.list.iter().for_each(|group| group.put(&mut out));
        put_numbers(&mut out, &self.codes);
        put_numbers(&mut out, &self.times);
        let keys: Vec<&[u8]> = self.attributes.keys().collect();
        put_varint(&mut out, keys.len() as u64);
        keys.iter().for_each(|key| put_bytes(&mut out, key));
        out
    }

    fn ids(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.trace_ids.len() * 24 + self.times.len() / 8);
        put_numbers(&mut out, &self.id_kinds);
        self.flags.iter().for_each(|flags| put_numbers(&mut out, flags));
        self.trace_ids.iter().for_each(|id| out.extend_from_slice(id));
        self.span_ids.iter().for_each(|id| out.extend_from_slice(id));
        out
    }
}
