//! What the server counts about itself, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trefoil_query::ErrorKind;

use crate::api::Api;
use crate::pipeline::Signal;

mod exposition;

pub(crate) use exposition::exposition;

/// The counters; all monotonic, all since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    signals: [SignalCounters; Signal::ALL.len()],
    queries: [QueryCounters; Api::ALL.len()],
    /// Queries stopped for want of memory.
    starved: AtomicU64,
    /// Answers to export requests, by transport, signal and status.
    requests: Mutex<BTreeMap<(&'static str, Signal, u16), u64>>,
}

/// One signal's items. received = stored + refused, whenever no request is in flight.
#[derive(Debug, Default)]
pub(crate) struct SignalCounters {
    received: AtomicU64,
    stored: AtomicU64,
    future: AtomicU64,
    overflowed: AtomicU64,
    bytes: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl SignalCounters {
    /// Counts items that came in.
    pub(crate) fn received(&self, count: u64) {
        self.received.fetch_add(count, Relaxed);
    }

    /// Counts items that are durable.
    pub(crate) fn stored(&self, count: u64) {
        self.stored.fetch_add(count, Relaxed);
    }

    /// Counts stored items stamped well ahead of our clock.
    pub(crate) fn future(&self, count: u64) {
        self.future.fetch_add(count, Relaxed);
    }

    /// Counts points that went to an overflow series.
    pub(crate) fn overflowed(&self, count: u64) {
        self.overflowed.fetch_add(count, Relaxed);
    }

    /// Counts bytes of decompressed requests.
    pub(crate) fn bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Relaxed);
    }

    /// Items that came in, and those that were not stored by reason, so far.
    pub(crate) fn so_far(&self) -> (u64, BTreeMap<&'static str, u64>) {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        (self.received.load(Relaxed), refused.clone())
    }

    /// Counts items that were not stored. The reasons are a short list in our own code, so
    /// the map stays small.
    pub(crate) fn refused(&self, reason: &'static str, count: u64) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(reason).or_insert(0) += count;
    }
}

#[cfg(test)]
impl SignalCounters {
    /// All in one line.
    pub(crate) fn summary(&self) -> String {
        let refused: u64 = self.refused.lock().unwrap().values().sum();
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        format!(
            "received {} stored {} refused {refused} future {}",
            load(&self.received),
            load(&self.stored),
            load(&self.future)
        )
    }
}

/// Upper bounds of the query duration histogram, in seconds.
const QUERY_SECONDS: [f64; 11] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 120.0];

/// One API's queries.
#[derive(Debug, Default)]
struct QueryCounters {
    failed: [AtomicU64; 5],
    nanos: AtomicU64,
    /// Per bucket, not cumulated; the last is +Inf.
    buckets: [AtomicU64; QUERY_SECONDS.len() + 1],
}

impl Counters {
    /// One signal's counters.
    pub(crate) fn signal(&self, signal: Signal) -> &SignalCounters {
        &self.signals[signal as usize]
    }

    /// Counts an answered export request.
    pub(crate) fn request(&self, transport: &'static str, signal: Signal, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((transport, signal, status)).or_insert(0) += 1;
    }

    /// Answered export requests so far, by transport, signal and status.
    pub(crate) fn requests_so_far(&self) -> BTreeMap<(&'static str, Signal, u16), u64> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a query that was stopped because all memory was taken.
    pub(crate) fn starved(&self) {
        self.starved.fetch_add(1, Relaxed);
    }

    /// Counts a query that ended.
    pub(crate) fn query(&self, api: Api, took: Duration, error: Option<ErrorKind>) {
        let counters = &self.queries[api as usize];
        let seconds = took.as_secs_f64();
        let bucket = QUERY_SECONDS.partition_point(|bound| *bound < seconds);
        counters.buckets[bucket].fetch_add(1, Relaxed);
        counters.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        if let Some(kind) = error {
            counters.failed[kind as usize].fetch_add(1, Relaxed);
        }
    }
}
