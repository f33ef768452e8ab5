//! The columns of a block of log records.

use std::borrow::Cow;
use std::sync::Arc;

use crate::bytes::{Reader, put_bytes, put_varint};
use crate::columns::{
    Attributes, AttributesWriter, ROWS_MAX, Strings, StringsWriter, fixed, ints, put_fixed,
    put_ints, put_signed_ints, signed_ints,
};
use crate::head::clamp_time;
use crate::model::{Attribute, LogRecord, SpanId, TraceId, Value};
use crate::row;

#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    pub(super) streams: Vec<u64>,
    resources: Vec<u64>,
    scopes: Vec<u64>,
    times: Vec<u64>,
    observed: Vec<u64>,
    observed_after: Vec<i64>,
    severities: Vec<u64>,
    severity_texts: StringsWriter,
    body_kinds: Vec<u64>,
    bodies: StringsWriter,
    attributes: AttributesWriter,
    dropped: Vec<u64>,
    flags: Vec<u64>,
    trace_ids: Vec<TraceId>,
    span_ids: Vec<SpanId>,
    event_names: StringsWriter,
    scratch: Vec<u8>,
    /// Of bodies and the other texts.
    text_bytes: usize,
}

/// The pieces of a block, as they are stored.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) core: Vec<u8>,
    pub(super) bodies: Vec<u8>,
    pub(super) attributes: Vec<u8>,
    /// Does not compress.
    pub(super) ids: Vec<u8>,
}

impl BlockWriter {
    pub(super) fn push(
        &mut self,
        stream: u64,
        (resource, scope): (u32, u32),
        record: &LogRecord<'_>,
    ) {
        self.streams.push(stream);
        self.resources.push(u64::from(resource));
        self.scopes.push(u64::from(scope));
        self.times.push(record.time_ns);
        self.observed.push(u64::from(record.observed_ns != 0));
        if record.observed_ns != 0 {
            self.observed_after.push(record.observed_ns.wrapping_sub(record.time_ns) as i64);
        }
        self.severities.push(u64::from(record.severity));
        self.severity_texts.push(record.severity_text.as_bytes());
        match &record.body {
            Value::Str(text) => {
                self.body_kinds.push(0);
                self.bodies.push(text.as_bytes());
                self.text_bytes += text.len();
            }
            other => {
                self.scratch.clear();
                // Whoever wrote the row once kept to the depth.
                let _ = row::put_value(&mut self.scratch, other, 0);
                self.body_kinds.push(1);
                self.bodies.push(&self.scratch);
                self.text_bytes += self.scratch.len();
            }
        }
        self.attributes.push(&record.attributes);
        self.dropped.push(u64::from(record.dropped_attributes));
        self.flags.push(u64::from(record.flags));
        self.trace_ids.push(record.trace_id);
        self.span_ids.push(record.span_id);
        self.event_names.push(record.event_name.as_bytes());
        self.text_bytes += record.severity_text.len() + record.event_name.len();
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Bounds of the times.
    pub(super) fn bounds(&self) -> (i64, i64) {
        let times = || self.times.iter().map(|&t| clamp_time(t));
        (times().min().unwrap_or(0), times().max().unwrap_or(0))
    }

    /// Roughly the bytes collected.
    pub(super) fn byte_len(&self) -> usize {
        self.times.len() * 48 + self.text_bytes + self.attributes.byte_len()
    }

    pub(super) fn finish(&self) -> Pieces {
        let mut core = Vec::with_capacity(self.times.len() * 8);
        put_varint(&mut core, self.times.len() as u64);
        for column in [&self.streams, &self.resources, &self.scopes, &self.times, &self.observed] {
            put_ints(&mut core, column);
        }
        put_signed_ints(&mut core, &self.observed_after);
        put_ints(&mut core, &self.severities);
        self.severity_texts.finish(&mut core);
        put_ints(&mut core, &self.body_kinds);
        put_ints(&mut core, &self.dropped);
        put_ints(&mut core, &self.flags);
        self.event_names.finish(&mut core);
        let keys: Vec<&[u8]> = self.attributes.keys().collect();
        put_varint(&mut core, keys.len() as u64);
        keys.iter().for_each(|key| put_bytes(&mut core, key));
        let mut bodies = Vec::with_capacity(self.text_bytes);
        self.bodies.finish(&mut bodies);
        let mut attributes = Vec::with_capacity(self.attributes.byte_len());
        self.attributes.finish(&mut attributes);
        let mut ids = Vec::new();
        put_fixed(&mut ids, &self.trace_ids);
        put_fixed(&mut ids, &self.span_ids);
        Pieces { core, bodies, attributes, ids }
    }
}

/// The first piece of a block, decoded. Strings stay in its bytes.
#[derive(Debug, Default)]
pub(crate) struct LogBlock {
    bytes: Arc<Vec<u8>>,
    pub(crate) streams: Vec<u64>,
    pub(crate) resources: Vec<u64>,
    pub(crate) scopes: Vec<u64>,
    pub(crate) times: Vec<u64>,
    observed: Vec<u64>,
    pub(super) severities: Vec<u64>,
    pub(super) severity_texts: Strings,
    body_kinds: Vec<u64>,
    dropped: Vec<u64>,
    flags: Vec<u64>,
    event_names: Strings,
    /// Keys of attributes that rows of the block have.
    keys: Vec<Box<str>>,
    /// The other pieces, where they came with this one (version 1).
    pub(crate) inline: Option<(Arc<LogBodies>, Arc<LogAttributes>, Arc<LogIds>)>,
}

impl LogBlock {
    pub(super) fn read(bytes: Vec<u8>, version: u8) -> Option<Self> {
        if version == 1 { Self::read_v1(bytes) } else { Self::read_v2(bytes) }
    }

    fn read_v2(bytes: Vec<u8>) -> Option<Self> {
        let b = &bytes[..];
        let r = &mut Reader::new(b);
        let rows = usize::try_from(r.varint()?).ok().filter(|&rows| rows <= ROWS_MAX)?;
        let mut block = LogBlock {
            streams: ints(r, rows)?,
            resources: ints(r, rows)?,
            scopes: ints(r, rows)?,
            times: ints(r, rows)?,
            ..LogBlock::default()
        };
        block.observed = observed(r, &block.times)?;
        block.severities = ints(r, rows)?;
        block.severity_texts = Strings::read(b, r, rows)?;
        block.body_kinds = ints(r, rows)?;
        block.dropped = ints(r, rows)?;
        block.flags = ints(r, rows)?;
        block.event_names = Strings::read(b, r, rows)?;
        for _ in 0..r.count(1)? {
            block.keys.push(r.str()?.into());
        }
        r.is_empty().then(|| LogBlock { bytes: Arc::new(bytes), ..block })
    }

    fn read_v1(bytes: Vec<u8>) -> Option<Self> {
        let b = &bytes[..];
        let r = &mut Reader::new(b);
        let rows = usize::try_from(r.varint()?).ok().filter(|&rows| rows <= ROWS_MAX)?;
        let mut block = LogBlock {
            streams: ints(r, rows)?,
            resources: ints(r, rows)?,
            scopes: ints(r, rows)?,
            times: ints(r, rows)?,
            ..LogBlock::default()
        };
        block.observed = observed(r, &block.times)?;
        block.severities = ints(r, rows)?;
        block.severity_texts = Strings::read(b, r, rows)?;
        block.body_kinds = ints(r, rows)?;
        let bodies = Strings::read(b, r, rows)?;
        let attributes = Attributes::read(b, r, rows)?;
        block.dropped = ints(r, rows)?;
        block.flags = ints(r, rows)?;
        let (traces, spans) = (fixed(r, rows)?, fixed(r, rows)?);
        block.event_names = Strings::read(b, r, rows)?;
        r.is_empty().then_some(())?;
        block.keys = attributes.keys(b).map(Into::into).collect();
        let bytes = Arc::new(bytes);
        block.inline = Some((
            Arc::new(LogBodies { bytes: Arc::clone(&bytes), bodies }),
            Arc::new(LogAttributes { bytes: Arc::clone(&bytes), attributes }),
            Arc::new(LogIds { traces, spans }),
        ));
        Some(LogBlock { bytes, ..block })
    }

    /// A record without what the other pieces have.
    pub(super) fn record(&self, row: usize) -> Option<LogRecord<'_>> {
        let b = &self.bytes[..];
        Some(LogRecord {
            time_ns: *self.times.get(row)?,
            observed_ns: *self.observed.get(row)?,
            severity: *self.severities.get(row)? as u8,
            severity_text: Cow::Borrowed(self.severity_texts.text(b, row)),
            dropped_attributes: *self.dropped.get(row)? as u32,
            flags: *self.flags.get(row)? as u32,
            event_name: Cow::Borrowed(self.event_names.text(b, row)),
            ..LogRecord::default()
        })
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
        let inline = self.inline.as_ref().map_or(0, |(bodies, attributes, ids)| {
            bodies.byte_len() + attributes.byte_len() + ids.byte_len()
        });
        self.bytes.len() + self.len() * 88 + inline
    }
}

/// Observed times: 0, or so much after the time.
fn observed(r: &mut Reader<'_>, times: &[u64]) -> Option<Vec<u64>> {
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

/// The bodies of a block's records.
#[derive(Debug)]
pub(crate) struct LogBodies {
    bytes: Arc<Vec<u8>>,
    bodies: Strings,
}

impl LogBodies {
    pub(super) fn read(bytes: Vec<u8>, rows: usize) -> Option<Self> {
        let r = &mut Reader::new(&bytes);
        let bodies = Strings::read(&bytes, r, rows)?;
        r.is_empty().then(|| LogBodies { bytes: Arc::new(bytes), bodies })
    }

    /// The body of a row.
    pub(crate) fn get(&self, block: &LogBlock, row: usize) -> Option<Value<'_>> {
        Some(match block.body_kinds.get(row)? {
            0 => Value::Str(Cow::Borrowed(self.bodies.text(&self.bytes, row))),
            _ => row::value(&mut Reader::new(self.bodies.get(&self.bytes, row)), 0)?,
        })
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len() + self.bodies.byte_len()
    }
}

/// The attributes of a block's records.
#[derive(Debug)]
pub(crate) struct LogAttributes {
    bytes: Arc<Vec<u8>>,
    attributes: Attributes,
}

impl LogAttributes {
    pub(super) fn read(bytes: Vec<u8>, rows: usize) -> Option<Self> {
        let r = &mut Reader::new(&bytes);
        let attributes = Attributes::read(&bytes, r, rows)?;
        r.is_empty().then(|| LogAttributes { bytes: Arc::new(bytes), attributes })
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
        self.bytes.len() + self.attributes.byte_len()
    }
}

/// Trace and span ids of a block's records.
#[derive(Debug)]
pub(crate) struct LogIds {
    pub(crate) traces: Vec<TraceId>,
    pub(super) spans: Vec<SpanId>,
}

impl LogIds {
    pub(super) fn read(bytes: &[u8], rows: usize) -> Option<Self> {
        let r = &mut Reader::new(bytes);
        let (traces, spans) = (fixed(r, rows)?, fixed(r, rows)?);
        r.is_empty().then_some(LogIds { traces, spans })
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.traces.len() * 24
    }
}
