//! What one request appends: rows encoded once, in the form the WAL keeps them.

use crate::bytes::{put_bytes, put_signed, put_varint};
use crate::intern::Interner;
use crate::known::{Place, SeriesHandle};
use crate::labels::Labels;
use crate::model::{Exemplar, LogRecord, Metadata, Resource, Sample, SampleValue, Scope, Span};
use crate::payload::{FORM_REFERENCES, SAMPLE_HISTOGRAM, SAMPLE_NEXT, SAMPLE_START, SAMPLE_TIME};
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
    series: Vec<BatchSeries>,
    /// Labels of the series that came without a handle.
    labels: Interner,
    /// The place in `series` of each of those.
    labelled: Vec<u32>,
    /// Of the labels of handles that the store does not know yet.
    handle_bytes: usize,
    spans: Section,
    logs: Section,
    samples: Section,
    exemplars: Section,
    metadata: Section,
    last_series: Option<u32>,
    last_time_ms: i64,
    last_start_ms: i64,
    /// Reused to encode what is interned.
    scratch: Vec<u8>,
    too_deep: bool,
}

/// One series of a batch, with the places of its resource and scope.
#[derive(Debug)]
struct BatchSeries {
    owner: (u32, u32),
    name: SeriesName,
}

#[derive(Debug)]
enum SeriesName {
    /// The number of its labels among those of the batch.
    Labels(u32),
    Handle(SeriesHandle),
}

/// A batch as the WAL will hold it.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// The oldest append that it refers to for the labels of a series.
    pub(crate) oldest: Option<u64>,
    /// Labels of the series that it names itself, in their order, as far as handles have them.
    pub(crate) labels: Vec<Option<Labels>>,
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
        let (label, new) = self.labels.insert(labels.as_bytes());
        let owner = (resource.0, scope.0);
        if new {
            self.labelled.push(self.series.len() as u32);
            self.series.push(BatchSeries { owner, name: SeriesName::Labels(label) });
        }
        let index = self.labelled.get(label as usize).copied().unwrap_or(0);
        if let Some(known) = self.series.get_mut(index as usize) {
            known.owner = owner;
        }
        SeriesIndex(index)
    }

    /// Names a series by its handle, for the samples that follow: nothing of its labels is
    /// looked at, and once the store has had them it is not told them again. The handle
    /// must always come with the same resource and scope.
    pub fn known_series(
        &mut self,
        resource: ResourceIndex,
        scope: ScopeIndex,
        handle: &SeriesHandle,
    ) -> SeriesIndex {
        let index = self.series.len() as u32;
        if handle.place().is_none() {
            self.handle_bytes += handle.labels().as_bytes().len();
        }
        let name = SeriesName::Handle(handle.clone());
        self.series.push(BatchSeries { owner: (resource.0, scope.0), name });
        SeriesIndex(index)
    }

    /// A resource of this batch in its stored form: the same bytes for the same resource.
    #[must_use]
    pub fn resource_bytes(&self, resource: ResourceIndex) -> &[u8] {
        self.resources.get(resource.0).unwrap_or(&[])
    }

    /// A scope of this batch in its stored form.
    #[must_use]
    pub fn scope_bytes(&self, scope: ScopeIndex) -> &[u8] {
        self.scopes.get(scope.0).unwrap_or(&[])
    }

    /// Adds a sample. Samples may come in any order; of two with the same time in one
    /// series the later append wins.
    pub fn sample(&mut self, series: SeriesIndex, sample: &Sample) {
        let Section { rows, bytes } = &mut self.samples;
        *rows += 1;
        // Samples come series by series with one time mostly: then that is one byte.
        let next = self.last_series.map_or(0, |last| last.wrapping_add(1)) == series.0;
        let time = sample.time_ms.wrapping_sub(self.last_time_ms);
        let start = sample.start_ms.wrapping_sub(self.last_start_ms);
        let histogram = matches!(sample.value, SampleValue::Histogram(_));
        let mut form = 0;
        for (holds, bit) in [
            (next, SAMPLE_NEXT),
            (time != 0, SAMPLE_TIME),
            (start != 0, SAMPLE_START),
            (histogram, SAMPLE_HISTOGRAM),
        ] {
            form |= if holds { bit } else { 0 };
        }
        bytes.push(form);
        if !next {
            put_varint(bytes, u64::from(series.0));
        }
        if time != 0 {
            put_signed(bytes, time);
        }
        if start != 0 {
            put_signed(bytes, start);
        }
        self.last_series = Some(series.0);
        self.last_time_ms = sample.time_ms;
        self.last_start_ms = sample.start_ms;
        match &sample.value {
            SampleValue::Float(float) => bytes.extend_from_slice(&float.to_bits().to_le_bytes()),
            SampleValue::Histogram(histogram) => row::put_histogram(bytes, histogram),
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
        let tables = [&self.resources, &self.scopes, &self.streams, &self.labels];
        let sections = [&self.spans, &self.logs, &self.samples, &self.exemplars, &self.metadata];
        tables.iter().map(|t| t.byte_len() + t.len()).sum::<usize>()
            + sections.iter().map(|s| s.bytes.len()).sum::<usize>()
            + self.handle_bytes
            + self.series.len() * 2
    }

    /// Number of samples, log records and spans.
    pub(crate) fn rows_by_signal(&self) -> [usize; 3] {
        [self.samples.rows, self.logs.rows, self.spans.rows]
    }

    /// Whether a value was nested too deeply to be kept.
    pub(crate) fn is_too_deep(&self) -> bool {
        self.too_deep
    }

    /// The bytes the WAL holds; `payload.rs` reads them. Series that an append after `base`
    /// has told the store of `instance` are named by reference to it.
    pub(crate) fn encode(&self, instance: u64, base: u64) -> Encoded {
        let mut out = Vec::with_capacity(self.bytes() + 64 + self.series.len() * 4);
        out.extend_from_slice(&FORM_REFERENCES);
        for table in [&self.resources, &self.scopes, &self.streams] {
            put_varint(&mut out, table.len() as u64);
            for entry in table.iter() {
                put_bytes(&mut out, entry);
            }
        }
        let (oldest, labels) = self.encode_series(&mut out, instance, base);
        let sections = [&self.samples, &self.exemplars, &self.metadata, &self.logs, &self.spans];
        for section in sections {
            put_varint(&mut out, section.rows as u64);
            put_bytes(&mut out, &section.bytes);
        }
        Encoded { bytes: out, oldest, labels }
    }

    /// In runs: labels, or references to series that lie one after the other elsewhere.
    fn encode_series(
        &self,
        out: &mut Vec<u8>,
        instance: u64,
        base: u64,
    ) -> (Option<u64>, Vec<Option<Labels>>) {
        let mut oldest: Option<u64> = None;
        let mut labels = Vec::new();
        put_varint(out, self.series.len() as u64);
        let place = |series: &BatchSeries| series.place(instance).filter(|p| p.append > base);
        let follows = |a: &BatchSeries, b: &BatchSeries| match (place(a), place(b)) {
            (None, None) => true,
            (Some(a), Some(b)) => a.append == b.append && a.at + 1 == b.at,
            _ => false,
        };
        for run in self.series.chunk_by(follows) {
            let known = run.first().and_then(place);
            put_varint(out, (run.len() as u64) << 1 | u64::from(known.is_some()));
            if let Some(Place { append, at }) = known {
                oldest = Some(oldest.map_or(append, |oldest| oldest.min(append)));
                put_varint(out, append);
                put_varint(out, u64::from(at));
                continue;
            }
            for series in run {
                put_varint(out, u64::from(series.owner.0));
                put_varint(out, u64::from(series.owner.1));
                match &series.name {
                    SeriesName::Labels(label) => {
                        put_bytes(out, self.labels.get(*label).unwrap_or(&[]));
                        labels.push(None);
                    }
                    SeriesName::Handle(handle) => {
                        put_bytes(out, handle.labels().as_bytes());
                        labels.push(Some(handle.labels().clone()));
                    }
                }
            }
        }
        (oldest, labels)
    }

    /// Notes that the append of this number, encoded with `base`, has told the store of its
    /// series.
    pub(crate) fn settle(&self, instance: u64, base: u64, append: u64) {
        for (series, at) in self.series.iter().zip(0u32..) {
            if let SeriesName::Handle(handle) = &series.name
                && handle.instance() == instance
                && handle.place().is_none_or(|place| place.append <= base)
            {
                handle.set_place(Place { append, at });
            }
        }
    }
}

impl BatchSeries {
    /// Where a store has it from, if it has.
    fn place(&self, instance: u64) -> Option<Place> {
        match &self.name {
            SeriesName::Handle(handle) if handle.instance() == instance => handle.place(),
            _ => None,
        }
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
