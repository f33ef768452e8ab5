//! Recent data in memory: what the WAL holds and no part does yet.
//!
//! A head only grows. Every row carries the number of the append that brought it, so a
//! reader that remembers the last append it may see needs no copy of anything.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::bytes::Reader;
use crate::intern::Interner;
use crate::labels::Labels;
use crate::model::{LogRecord, Metadata, Resource, Scope, Span, TraceId};
use crate::payload::{Payload, each_exemplar, each_metadata, each_sample};
use crate::row;

mod metrics;
mod ranks;
mod rows;
mod spans;

use metrics::NAMELESS;
pub(crate) use metrics::{HeadExemplar, HeadSeries, MetricsHead};
use ranks::Ranks;
pub(crate) use rows::{RowLog, RowRef, clamp_time};
pub(crate) use spans::RowFilter;

/// One generation of the head; a flush turns it into parts and starts the next.
#[derive(Debug)]
pub(crate) struct Head {
    /// Every append in this head has a greater number.
    base: u64,
    tables: RwLock<Tables>,
    ranks: Ranks,
}

/// What a head holds.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) resources: Arcs<Resource<'static>>,
    pub(crate) scopes: Arcs<Scope<'static>>,
    pub(crate) streams: Arcs<Labels>,
    pub(crate) metrics: MetricsHead,
    pub(crate) logs: RowLog,
    pub(crate) spans: RowLog,
    /// Families named since they were last taken.
    pub(crate) families: BTreeMap<String, Metadata>,
    /// The payloads that `logs` and `spans` point into.
    pub(crate) batches: Vec<Arc<Vec<u8>>>,
    batch_bytes: usize,
}

/// Decoded values numbered by their encoded form.
#[derive(Clone, Debug)]
pub(crate) struct Arcs<T> {
    pub(crate) interner: Interner,
    pub(crate) values: Vec<Arc<T>>,
}

impl<T> Default for Arcs<T> {
    fn default() -> Self {
        Arcs { interner: Interner::default(), values: Vec::new() }
    }
}

impl<T> Arcs<T> {
    fn insert(&mut self, bytes: &[u8], decode: impl FnOnce(&[u8]) -> Option<T>) -> Option<u32> {
        let (index, new) = self.interner.insert(bytes);
        if new {
            self.values.push(Arc::new(decode(bytes)?));
        }
        Some(index)
    }
}

impl Head {
    /// A head whose first append will be `base + 1`.
    pub(crate) fn new(base: u64) -> Self {
        Head { base, tables: RwLock::default(), ranks: Ranks::default() }
    }

    /// The same with room for as many series as there are in the head before.
    pub(crate) fn after(before: &Head, base: u64) -> Self {
        let mut tables = Tables::default();
        tables.metrics.reserve(&before.read().metrics);
        Head { base, tables: RwLock::new(tables), ranks: Ranks::default() }
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Adds an encoded batch under its number. `None` if the bytes are not a batch: then
    /// the head may hold a part of it and must not be used further.
    pub(crate) fn apply(&self, number: u64, bytes: &Arc<Vec<u8>>) -> Option<()> {
        self.apply_with(number, bytes, &[])
    }

    /// The same, sharing the labels that are in memory of the series it names itself.
    pub(crate) fn apply_with(
        &self,
        number: u64,
        bytes: &Arc<Vec<u8>>,
        labels: &[Option<Labels>],
    ) -> Option<()> {
        let payload = Payload::parse(bytes)?;
        let counted = u32::try_from(number.checked_sub(self.base)?).ok()?;
        self.write().apply((number, counted), &payload, bytes, labels)
    }

    /// Learns only which series an append names: later ones refer to it, but its rows are
    /// in parts already.
    pub(crate) fn learn(&self, number: u64, bytes: &[u8]) -> Option<()> {
        let payload = Payload::parse(bytes)?;
        self.write().apply_series(number, &payload, &[]).map(|_| ())
    }

    /// A head for what comes after `last` that still knows the series of this one.
    pub(crate) fn successor(&self, last: u64) -> Head {
        let ranks = self.ranks.known();
        let tables = self.read();
        let next = Tables {
            resources: tables.resources.clone(),
            scopes: tables.scopes.clone(),
            metrics: tables.metrics.without_samples(),
            ..Tables::default()
        };
        let same = next.metrics.series.len() == tables.metrics.series.len();
        let ranks = if same { ranks } else { Ranks::default() };
        Head { base: last, tables: RwLock::new(next), ranks }
    }

    /// Takes over such samples from another head.
    pub(crate) fn note_nameless(&self, samples: u64) {
        self.write().metrics.nameless += samples;
    }

    /// Samples left out because the append that named their series is lost.
    pub(crate) fn nameless_samples(&self) -> u64 {
        self.read().metrics.nameless
    }

    /// Takes what was learned of metric families since the last call.
    pub(crate) fn take_families(&self) -> BTreeMap<String, Metadata> {
        if self.read().families.is_empty() {
            return BTreeMap::new();
        }
        std::mem::take(&mut self.write().families)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        // A panic while applying poisons the store itself, which stops writing; what was
        // acknowledged before stays readable.
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// The number of the append as it is, and as it is counted from the head's base.
    fn apply(
        &mut self,
        (append, number): (u64, u32),
        payload: &Payload<'_>,
        bytes: &Arc<Vec<u8>>,
        labels: &[Option<Labels>],
    ) -> Option<()> {
        let (resources, scopes, series) = self.apply_series(append, payload, labels)?;
        self.apply_metrics(number, payload, &series)?;
        if payload.logs.count == 0 && payload.spans.count == 0 {
            return Some(());
        }
        let batch = self.batches.len() as u32;
        self.batches.push(Arc::clone(bytes));
        self.batch_bytes += bytes.len();
        let mut streams = Vec::with_capacity(payload.streams.len());
        for entry in &payload.streams {
            streams.push(self.streams.insert(entry, Labels::from_bytes)?);
        }
        let owners =
            rows::Owners { batch, streams: &streams, resources: &resources, scopes: &scopes };
        self.logs.apply_logs(number, &owners, payload.logs, bytes)?;
        self.spans.apply_spans(number, &owners, payload.spans, bytes)
    }

    /// Places in this head of a payload's resources, scopes and series.
    fn apply_series(
        &mut self,
        append: u64,
        payload: &Payload<'_>,
        labels: &[Option<Labels>],
    ) -> Option<(Vec<u32>, Vec<u32>, Vec<u32>)> {
        let mut resources = Vec::with_capacity(payload.resources.len());
        for entry in &payload.resources {
            let decode = |b: &[u8]| Some(row::resource(&mut Reader::new(b))?.into_owned());
            resources.push(self.resources.insert(entry, decode)?);
        }
        let mut scopes = Vec::with_capacity(payload.scopes.len());
        for entry in &payload.scopes {
            let decode = |b: &[u8]| Some(row::scope(&mut Reader::new(b))?.into_owned());
            scopes.push(self.scopes.insert(entry, decode)?);
        }
        let runs = &payload.series;
        let series = self.metrics.name_series(append, runs, &resources, &scopes, labels)?;
        Some((resources, scopes, series))
    }

    fn apply_metrics(&mut self, number: u32, payload: &Payload<'_>, series: &[u32]) -> Option<()> {
        each_sample(payload.samples, |sample| {
            self.metrics.push(*series.get(sample.series as usize)?, number, sample)
        })?;
        each_exemplar(payload.exemplars, |at, exemplar| {
            let series = *series.get(at as usize)?;
            if series != NAMELESS {
                self.metrics.exemplars.push(HeadExemplar { series, number, exemplar });
            }
            Some(())
        })?;
        each_metadata(payload.metadata, |family, metadata| {
            self.families.insert(family.to_owned(), metadata);
        })
    }

    /// Roughly the memory the head takes, in bytes: samples, log records, spans.
    pub(crate) fn bytes_by_signal(&self) -> [usize; 3] {
        let logs = self.logs.bytes();
        let spans = self.spans.bytes();
        // Payloads are shared; they count for whom they mostly are.
        let of_logs = match logs + spans {
            0 => 0,
            both => (self.batch_bytes as u128 * logs as u128 / both as u128) as usize,
        };
        [self.metrics.bytes(), logs + of_logs, spans + self.batch_bytes - of_logs]
    }

    pub(crate) fn bytes(&self) -> usize {
        // Each is kept encoded and decoded.
        let tables = self.resources.interner.byte_len()
            + self.scopes.interner.byte_len()
            + self.streams.interner.byte_len();
        self.bytes_by_signal().iter().sum::<usize>() + tables * 3
    }

    /// A log record by its place.
    pub(crate) fn log(&self, row: &RowRef) -> Option<LogRecord<'_>> {
        row::log(&mut Reader::new(self.bytes_of(row)?))
    }

    /// A span by its place.
    pub(crate) fn span(&self, row: &RowRef) -> Option<Span<'_>> {
        row::span(&mut Reader::new(self.bytes_of(row)?))
    }

    /// A span's trace by its place.
    pub(crate) fn trace_of(&self, row: &RowRef) -> Option<TraceId> {
        row::span_front(self.bytes_of(row)?).map(|(_, trace)| trace)
    }

    /// A span's name by its place.
    pub(crate) fn span_name(&self, row: &RowRef) -> Option<&str> {
        row::span_name(self.bytes_of(row)?)
    }

    /// The row and what follows it in its batch.
    fn bytes_of(&self, row: &RowRef) -> Option<&[u8]> {
        self.batches.get(row.batch as usize)?.get(row.offset as usize..)
    }
}
