//! What one request appends: rows encoded once, in the form the WAL keeps them.

use crate::bytes::{put_bytes, put_signed, put_varint};
use crate::intern::Interner;
use crate::labels::Labels;
use crate::model::{Exemplar, LogRecord, Metadata, Resource, Sample, SampleValue, Scope, Span};
use crate::row::{self, TooDeep};

/// The most bytes one batch may have: four times the largest request body the server
/// takes, and small beside the head it must fit into.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

/// A resource's place in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceIndex(pub(crate) u32);

/// A scope's place in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeIndex(pub(crate) u32);

/// A series' place in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesIndex(pub(crate) u32);

/// Spans, log records and samples that are appended together, all or nothing.
///
/// A row is encoded when it is pushed, so a batch costs a few growing byte strings and
/// the WAL writes them as they are. Equal resources, scopes, streams and series are kept
/// once; a resource is equal to another if its attributes are the same in the same order.
#[derive(Default, Debug)]
pub struct Batch {
    resources: Interner,
    scopes: Interner,
    streams: Interner,
    series: Interner,
    /// Resource and scope of each series, by its index; the last one named counts.
    series_owners: Vec<(u32, u32)>,
    spans: Section,
    logs: Section,
    samples: Section,
    exemplars: Section,
    metadata: Section,
    last_time_ms: i64,
    last_start_ms: i64,
    /// Reused to encode what is interned.
    scratch: Vec<u8>,
    too_deep: bool,
}

/// Rows of one kind.
#[derive(Default, Debug)]
struct Section {
    rows: usize,
    bytes: Vec<u8>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Batch::default()
    }

    /// Names a resource for the rows that follow. Equal resources get equal identities.
    pub fn resource(&mut self, resource: &Resource<'_>) -> ResourceIndex {
        self.scratch.clear();
        self.too_deep |= row::put_resource(&mut self.scratch, resource).is_err();
        ResourceIndex(self.resources.insert(&self.scratch).0)
    }

    /// Names a scope for the rows that follow.
    pub fn scope(&mut self, scope: &Scope<'_>) -> ScopeIndex {
        self.scratch.clear();
        self.too_deep |= row::put_scope(&mut self.scratch, scope).is_err();
        ScopeIndex(self.scopes.insert(&self.scratch).0)
    }

    /// Adds a span.
    pub fn span(&mut self, resource: ResourceIndex, scope: ScopeIndex, span: &Span<'_>) {
        let Section { rows, bytes } = &mut self.spans;
        *rows += 1;
        put_varint(bytes, u64::from(resource.0));
        put_varint(bytes, u64::from(scope.0));
        self.too_deep |= put_row(bytes, |out| row::put_span(out, span)).is_err();
    }

    /// Adds a log record to a stream (the stream's labels as Loki shows them).
    pub fn log(
        &mut self,
        resource: ResourceIndex,
        scope: ScopeIndex,
        stream: &Labels,
        record: &LogRecord<'_>,
    ) {
        let (stream, _) = self.streams.insert(stream.as_bytes());
        let Section { rows, bytes } = &mut self.logs;
        *rows += 1;
        put_varint(bytes, u64::from(stream));
        put_varint(bytes, u64::from(resource.0));
        put_varint(bytes, u64::from(scope.0));
        self.too_deep |= put_row(bytes, |out| row::put_log(out, record)).is_err();
    }

    /// Names a series (labels with `__name__`) for the samples that follow.
    ///
    /// The labels alone identify it: when the same labels come from another resource or
    /// scope, it is the same series and the later owner is remembered.
    pub fn series(
        &mut self,
        resource: ResourceIndex,
        scope: ScopeIndex,
        labels: &Labels,
    ) -> SeriesIndex {
        let (index, new) = self.series.insert(labels.as_bytes());
        let owner = (resource.0, scope.0);
        if new {
            self.series_owners.push(owner);
        } else if let Some(known) = self.series_owners.get_mut(index as usize) {
            *known = owner;
        }
        SeriesIndex(index)
    }

    /// Adds a sample. Samples may come in any order; of two with the same time in one
    /// series the later append wins.
    pub fn sample(&mut self, series: SeriesIndex, sample: &Sample) {
        let Section { rows, bytes } = &mut self.samples;
        *rows += 1;
        put_varint(bytes, u64::from(series.0));
        put_signed(bytes, sample.time_ms.wrapping_sub(self.last_time_ms));
        put_signed(bytes, sample.start_ms.wrapping_sub(self.last_start_ms));
        self.last_time_ms = sample.time_ms;
        self.last_start_ms = sample.start_ms;
        match &sample.value {
            SampleValue::Float(float) => {
                bytes.push(0);
                bytes.extend_from_slice(&float.to_bits().to_le_bytes());
            }
            SampleValue::Histogram(histogram) => {
                bytes.push(1);
                row::put_histogram(bytes, histogram);
            }
        }
    }

    /// Adds an exemplar to a series.
    pub fn exemplar(&mut self, series: SeriesIndex, exemplar: &Exemplar) {
        let Section { rows, bytes } = &mut self.exemplars;
        *rows += 1;
        put_varint(bytes, u64::from(series.0));
        put_signed(bytes, exemplar.time_ms);
        bytes.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
        put_bytes(bytes, exemplar.labels.as_bytes());
    }

    /// Says what is known of a metric family (name without `_bucket`, `_sum`, `_count`).
    pub fn metadata(&mut self, family: &str, metadata: &Metadata) {
        let Section { rows, bytes } = &mut self.metadata;
        *rows += 1;
        put_bytes(bytes, family.as_bytes());
        bytes.push(metadata.kind as u8);
        put_bytes(bytes, metadata.unit.as_bytes());
        put_bytes(bytes, metadata.help.as_bytes());
    }

    /// Number of spans, log records and samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.rows + self.logs.rows + self.samples.rows
    }

    /// True if nothing would be stored: no row, no exemplar, no metadata.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.exemplars.rows == 0 && self.metadata.rows == 0
    }

    /// Encoded size in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tables = [&self.resources, &self.scopes, &self.streams, &self.series];
        let sections = [&self.spans, &self.logs, &self.samples, &self.exemplars, &self.metadata];
        tables.iter().map(|t| t.byte_len() + t.len()).sum::<usize>()
            + sections.iter().map(|s| s.bytes.len()).sum::<usize>()
    }

    /// Number of samples, log records and spans.
    pub(crate) fn rows_by_signal(&self) -> [usize; 3] {
        [self.samples.rows, self.logs.rows, self.spans.rows]
    }

    /// Whether a value was nested too deeply to be kept.
    pub(crate) fn is_too_deep(&self) -> bool {
        self.too_deep
    }

    /// The bytes the WAL holds; `payload.rs` reads them.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes() + 64 + self.series.len() * 4);
        for table in [&self.resources, &self.scopes, &self.streams] {
            put_varint(&mut out, table.len() as u64);
            for entry in table.iter() {
                put_bytes(&mut out, entry);
            }
        }
        put_varint(&mut out, self.series.len() as u64);
        for (labels, (resource, scope)) in self.series.iter().zip(&self.series_owners) {
            put_varint(&mut out, u64::from(*resource));
            put_varint(&mut out, u64::from(*scope));
            put_bytes(&mut out, labels);
        }
        let sections = [&self.samples, &self.exemplars, &self.metadata, &self.logs, &self.spans];
        for section in sections {
            put_varint(&mut out, section.rows as u64);
            put_bytes(&mut out, &section.bytes);
        }
        out
    }
}

/// Writes a row with its length before it, so that the head can pass over what it need
/// not know.
fn put_row(
    out: &mut Vec<u8>,
    put: impl FnOnce(&mut Vec<u8>) -> Result<(), TooDeep>,
) -> Result<(), TooDeep> {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    put(out)?;
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    Ok(())
}
