//! What the layers in front of servers see, as far as it tells what is missing.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

/// Requests whose headers are looked at: enough to know, and then it costs nothing.
const LOOKED_AT: u64 = 1000;

/// Counters of servers' layers.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    layers: AtomicU64,
    requests: AtomicU64,
    with_span: AtomicU64,
    with_caller: AtomicU64,
}

impl Vitals {
    /// A layer was made.
    pub(crate) fn layer(&self) {
        self.layers.fetch_add(1, Ordering::Relaxed);
    }

    /// A request came, and whether a span was begun for it.
    pub(crate) fn request(&self, headers: &HeaderMap, has_span: bool) {
        if self.requests.load(Ordering::Relaxed) >= LOOKED_AT {
            return;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.with_span.fetch_add(u64::from(has_span), Ordering::Relaxed);
        let names = ["traceparent", "uber-trace-id", "b3", "x-b3-traceid"];
        let called = names.iter().any(|name| headers.contains_key(*name));
        self.with_caller.fetch_add(u64::from(called), Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Seen {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Seen {
            layers: read(&self.layers),
            requests: read(&self.requests),
            with_span: read(&self.with_span),
            with_caller: read(&self.with_caller),
        }
    }
}

/// Counters as they stood at one moment, of the first thousand requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) layers: u64,
    pub(super) requests: u64,
    pub(super) with_span: u64,
    pub(super) with_caller: u64,
}
