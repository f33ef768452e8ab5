//! What the server counts about itself, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use trefoil_query::ErrorKind;

use crate::api::{Api, AppState};

/// The counters; all monotonic, all since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    queries: [QueryCounters; Api::ALL.len()],
}

/// One API's queries.
#[derive(Debug, Default)]
struct QueryCounters {
    total: AtomicU64,
    failed: AtomicU64,
    nanos: AtomicU64,
}

impl Counters {
    /// Counts a query that ended.
    pub(crate) fn query(&self, api: Api, took: Duration, error: Option<ErrorKind>) {
        let counters = &self.queries[api as usize];
        counters.total.fetch_add(1, Relaxed);
        counters.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        if error.is_some() {
            counters.failed.fetch_add(1, Relaxed);
        }
    }
}

/// Everything in Prometheus's text format.
pub(crate) fn exposition(state: &AppState) -> String {
    let mut text = String::new();
    text.push_str("# TYPE trefoil_queries_total counter\n");
    for api in Api::ALL {
        let total = state.counters.queries[api as usize].total.load(Relaxed);
        text.push_str(&format!("trefoil_queries_total{{api=\"{}\"}} {total}\n", api.name()));
    }
    text
}
