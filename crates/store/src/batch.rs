//! What one request appends: rows encoded once, in the form the WAL keeps them.

use crate::labels::Labels;
use crate::model::{Exemplar, LogRecord, Metadata, Resource, Sample, Scope, Span};

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
/// the WAL writes them as they are.
#[derive(Default, Debug)]
pub struct Batch {}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Batch::default()
    }

    /// Names a resource for the rows that follow. Equal resources get equal identities.
    pub fn resource(&mut self, resource: &Resource<'_>) -> ResourceIndex {
        unimplemented!()
    }

    /// Names a scope for the rows that follow.
    pub fn scope(&mut self, scope: &Scope<'_>) -> ScopeIndex {
        unimplemented!()
    }

    /// Adds a span.
    pub fn span(&mut self, resource: ResourceIndex, scope: ScopeIndex, span: &Span<'_>) {
        unimplemented!()
    }

    /// Adds a log record to a stream (the stream's labels as Loki shows them).
    pub fn log(
        &mut self,
        resource: ResourceIndex,
        scope: ScopeIndex,
        stream: &Labels,
        record: &LogRecord<'_>,
    ) {
        unimplemented!()
    }

    /// Names a series (labels with `__name__`) for the samples that follow.
    pub fn series(&mut self, resource: ResourceIndex, scope: ScopeIndex, labels: &Labels) -> SeriesIndex {
        unimplemented!()
    }

    /// Adds a sample. Samples may come in any order; of two with the same time in one
    /// series the later append wins.
    pub fn sample(&mut self, series: SeriesIndex, sample: &Sample) {
        unimplemented!()
    }

    /// Adds an exemplar to a series.
    pub fn exemplar(&mut self, series: SeriesIndex, exemplar: &Exemplar) {
        unimplemented!()
    }

    /// Says what is known of a metric family (name without `_bucket`, `_sum`, `_count`).
    pub fn metadata(&mut self, family: &str, metadata: &Metadata) {
        unimplemented!()
    }

    /// Number of spans, log records and samples.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// True if nothing would be stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Encoded size in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        unimplemented!()
    }
}
