//! From decoded requests to the store: the only way in for anything received.
//!
//! Each signal has a module that turns the wire's views into a [`Batch`]; a bad item is
//! refused with a reason and keeps the others. The batch is appended all or nothing, and
//! the numbers add up: received = stored + refused.

pub(crate) mod attribute;
mod logs;
mod loki_push;
mod metrics;
mod refusal;
mod traces;

use std::sync::Arc;

use trefoil_store::{Batch, Retention, Store};
use trefoil_wire::otlp::schema;
use trefoil_wire::protobuf::schema::Message;

use crate::config::Config;
use crate::selfmon::Counters;
pub(crate) use metrics::cardinality;
use metrics::cardinality::Cardinality;
use metrics::delta::Totals;
use metrics::families::Families;
use metrics::known::KnownSeries;
use refusal::Refusals;
pub(crate) use refusal::Rejected;

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    /// Spans.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    pub(crate) const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    /// As in `/v1/traces` and in the label `signal`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// What describes the fields of its export request.
    pub(crate) fn schema(self) -> &'static Message {
        match self {
            Signal::Traces => &schema::TRACE_REQUEST,
            Signal::Metrics => &schema::METRICS_REQUEST,
            Signal::Logs => &schema::LOGS_REQUEST,
        }
    }

    /// What describes the fields of the answer to it.
    pub(crate) fn response_schema(self) -> &'static Message {
        match self {
            Signal::Traces => &schema::TRACE_RESPONSE,
            Signal::Metrics => &schema::METRICS_RESPONSE,
            Signal::Logs => &schema::LOGS_RESPONSE,
        }
    }
}

/// What became of a request whose batch was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Items refused.
    pub(crate) refused: u64,
    /// Why, for the sender; empty if none was.
    pub(crate) message: String,
}

/// Turns requests into batches and appends them.
#[derive(Debug)]
pub(crate) struct Pipeline {
    store: Arc<Store>,
    counters: Arc<Counters>,
    retention: Retention,
    promoted: Vec<String>,
    promote_scope: bool,
    totals: Totals,
    families: Families,
    known: KnownSeries,
    cardinality: Cardinality,
}

/// Data stamped this far ahead of our clock is kept, and counted as a sign of bad clocks.
const FUTURE_NS: i64 = 5 * 60 * 1_000_000_000;

impl Pipeline {
    /// A pipeline into `store`.
    pub(crate) fn new(store: Arc<Store>, config: &Config, counters: Arc<Counters>) -> Self {
        Pipeline {
            store,
            counters,
            retention: config.retention,
            promoted: config.promoted_attributes.clone(),
            promote_scope: config.promote_scope,
            totals: Totals::default(),
            families: Families::default(),
            known: KnownSeries::new(config.memory_bytes),
            cardinality: Cardinality::new(config.cardinality),
        }
    }

    /// Stores an OTLP export request (protobuf). When this returns `Ok`, what was not
    /// refused is durable. Blocks until then. `now_ns` is when the request came.
    ///
    /// # Errors
    /// The whole request is refused: damaged, or the store is not taking writes.
    pub(crate) fn export(
        &self,
        signal: Signal,
        request: &[u8],
        now_ns: i64,
    ) -> Result<Outcome, Rejected> {
        let mut intake = Intake {
            batch: Batch::new(),
            refusals: Refusals::new(signal.schema(), request),
            received: 0,
            future: 0,
            now_ns,
        };
        let mut effects = metrics::Effects::default();
        let result = match signal {
            Signal::Traces => traces::translate(self, request, &mut intake),
            Signal::Logs => logs::translate(self, request, &mut intake),
            Signal::Metrics => metrics::translate(self, request, &mut intake, &mut effects),
        };
        let result = match result {
            Ok(()) => self.append(&intake.batch),
            Err(error) => Err(Rejected::Malformed(error.explain(signal.schema(), request))),
        };
        let (overflowed, metric) = std::mem::take(&mut effects.overflowed);
        match &result {
            Ok(()) => {
                self.families.learn(effects.families);
                self.counters.signal(signal).overflowed(overflowed);
            }
            Err(_) => self.totals.take_back(&effects.added),
        }
        self.count(signal, &intake, result.as_ref().err());
        result.map(|()| cardinality::warn(intake.refusals.outcome(), overflowed, &metric))
    }

    /// Stores a Loki push (protobuf), like [`export`](Self::export).
    ///
    /// # Errors
    /// The whole request is refused: damaged, or the store is not taking writes.
    pub(crate) fn push(&self, request: &[u8], now_ns: i64) -> Result<Outcome, Rejected> {
        let schema = &trefoil_wire::loki_push::PUSH_REQUEST;
        let mut intake = Intake {
            batch: Batch::new(),
            refusals: Refusals::new(schema, request),
            received: 0,
            future: 0,
            now_ns,
        };
        let result = match loki_push::translate(self, request, &mut intake) {
            Ok(()) => self.append(&intake.batch),
            Err(error) => Err(Rejected::Malformed(error.explain(schema, request))),
        };
        self.count(Signal::Logs, &intake, result.as_ref().err());
        result.map(|()| intake.refusals.outcome())
    }

    fn append(&self, batch: &Batch) -> Result<(), Rejected> {
        if batch.is_empty() {
            return Ok(());
        }
        self.store.append(batch).map_err(Rejected::from)
    }

    /// Metric series that appeared lately.
    pub(crate) fn active_series(&self) -> usize {
        self.cardinality.series()
    }

    /// Series with delta temporality whose running totals are kept.
    pub(crate) fn delta_series(&self) -> usize {
        self.totals.len()
    }

    /// Keeps the books: received = stored + refused.
    fn count(&self, signal: Signal, intake: &Intake<'_>, rejected: Option<&Rejected>) {
        let counters = self.counters.signal(signal);
        match rejected {
            None => {
                counters.received(intake.received);
                counters.stored(intake.received - intake.refusals.total());
                counters.future(intake.future);
                for (reason, count) in intake.refusals.by_reason() {
                    counters.refused(reason, *count);
                }
            }
            // A damaged request was left half-read; what was seen of it counts.
            Some(rejected) => {
                let seen = intake.received.max(1);
                counters.received(seen);
                counters.refused(rejected.reason(), seen);
            }
        }
    }
}

/// One request on its way to the store.
struct Intake<'a> {
    batch: Batch,
    refusals: Refusals<'a>,
    /// Items seen.
    received: u64,
    /// Items from the future.
    future: u64,
    /// When the request came.
    now_ns: i64,
}

impl Intake<'_> {
    /// A time the store can keep: not past the end of `i64`, not older than retention.
    fn check_time(
        &mut self,
        time_ns: u64,
        retention: Option<std::time::Duration>,
    ) -> Result<i64, &'static str> {
        let time = i64::try_from(time_ns).map_err(|_| "timestamp_out_of_range")?;
        if let Some(retention) = retention {
            let keep_ns = i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX);
            if time < self.now_ns.saturating_sub(keep_ns) {
                return Err("older_than_retention");
            }
        }
        if time > self.now_ns.saturating_add(FUTURE_NS) {
            self.future += 1;
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests;
