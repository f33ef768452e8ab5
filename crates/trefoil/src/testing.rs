//! What a test sees of telemetry: everything that would have left the process, as values and
//! as text.
//!
//! ```
//! use trefoil::testing;
//!
//! let captured = testing::capture("shop");
//! captured.run(|| {
//!     let _order = tracing::info_span!("order", order.id = 7).entered();
//!     tracing::info_span!("charge").in_scope(|| tracing::warn!(attempt = 2, "card refused"));
//! });
//! captured.assert_tree(
//!     r#"
//!     order order.id=7
//!       charge
//!         * card refused attempt=2 level="WARN"
//!     "#,
//! );
//! captured.assert_logs(r#"WARN "card refused" attempt=2 in charge"#);
//! ```

mod compare;
mod decoded;
mod render;

#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::Dispatch;
use tracing::dispatcher::with_default;
use tracing::instrument::{WithDispatch, WithSubscriber};
use trefoil_wire::protobuf::Writer;

use crate::account::Signal;
use crate::builder::Builder;
use crate::config::Console;
use crate::export::Memory;
use crate::init::{Telemetry, Trefoil};
use crate::metric::{ReaderState, Registry};

pub use compare::{assert_file, assert_text};
pub use decoded::{Event, Link, Log, Metric, Reading, Span};

/// How long [`Captured::wait_for`] waits: longer than any machine is busy.
const DEADLINE: Duration = Duration::from_secs(20);

/// Captures the telemetry of a service with default settings: everything is sampled, nothing
/// is read from the environment, nothing is printed, nothing leaves the process.
#[must_use]
pub fn capture(service_name: &str) -> Captured {
    capture_with(service_name, |builder| builder)
}

/// Captures with settings of the test's own, e.g. of a sampler.
#[must_use]
pub fn capture_with(service_name: &str, settings: impl FnOnce(Builder) -> Builder) -> Captured {
    let memory = Memory::default();
    let builder = Trefoil::builder(service_name)
        .variables(std::iter::empty::<(String, String)>())
        .enabled(true)
        .console(Console::Off)
        .runtime_metrics(false)
        .panic_hook(false)
        .level("trace")
        .span_level("trace")
        .code_location(false)
        .batch(512, 1 << 20)
        .queue_bytes(1 << 30)
        .memory(&memory);
    let (telemetry, dispatch) = settings(builder).build();
    let before = decoded::metrics(&read(Registry::global()));
    Captured { memory, telemetry, dispatch, before, last_flush: Mutex::new(()) }
}

/// Telemetry that a test captures.
///
/// Spans, events and records of the `log` crate belong to it while code runs under
/// [`Captured::run`], [`Captured::instrument`] or [`Captured::dispatch`]; other tests of the
/// process have their own. Metrics that [`metrics!`](crate::metrics) declares are the process's:
/// they are seen as what they changed since the capture began, whoever changed them.
#[derive(Debug)]
pub struct Captured {
    memory: Memory,
    telemetry: Telemetry,
    dispatch: Dispatch,
    /// The process's metrics when it began.
    before: Vec<Metric>,
    /// One at a time, so that what one reads is all that there was.
    last_flush: Mutex<()>,
}

impl Captured {
    /// Runs code whose telemetry is captured.
    pub fn run<T>(&self, code: impl FnOnce() -> T) -> T {
        with_default(&self.dispatch, code)
    }

    /// A future whose telemetry is captured wherever it is polled.
    pub fn instrument<F: Future>(&self, future: F) -> WithDispatch<F> {
        future.with_subscriber(self.dispatch.clone())
    }

    /// The way into it, for threads and tasks that code under test starts itself.
    #[must_use]
    pub fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// The running telemetry, e.g. for its layers.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The spans that ended, in the order in which they left.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.requests(Signal::Traces).iter().flat_map(|body| decoded::spans(body)).collect()
    }

    /// The log records, in the order of time.
    #[must_use]
    pub fn logs(&self) -> Vec<Log> {
        let requests = self.requests(Signal::Logs);
        let mut logs: Vec<Log> = requests.iter().flat_map(|body| decoded::logs(body)).collect();
        logs.sort_by_key(|log| log.time_ns);
        logs
    }

    /// What metrics say now, ordered by name and labels.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics = decoded::metrics(&read(self.telemetry.registry()));
        let now = decoded::metrics(&read(Registry::global()));
        metrics.extend(now.into_iter().filter_map(|metric| metric.since(&self.before)));
        metrics.sort_by(|a, b| a.place().cmp(&b.place()));
        metrics
    }

    /// Waits until something is so, for what other threads and tasks do.
    ///
    /// # Panics
    /// It does not become so for long.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Captured) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !is_so(self) {
            assert!(
                Instant::now() < end,
                "waited in vain for {what}; spans:\n{}\nlogs:\n{}",
                self.tree(),
                self.log_text()
            );
            std::thread::yield_now();
        }
    }

    /// The spans as text: a line each, children below their parents, siblings by the time at
    /// which they began; kind, status, attributes by name, events behind `*`, links behind
    /// `->`. Without what differs from run to run: ids, times, places in code, threads.
    #[must_use]
    pub fn tree(&self) -> String {
        render::tree(&self.spans())
    }

    /// The log records as text, a line each.
    #[must_use]
    pub fn log_text(&self) -> String {
        render::logs(&self.logs(), &self.spans())
    }

    /// Metrics as text, a line each. Of histograms the number of measurements.
    #[must_use]
    pub fn metric_text(&self) -> String {
        render::metrics(&self.metrics())
    }

    /// Compares [`Captured::tree`]. The expectation may be indented as a whole.
    ///
    /// # Panics
    /// They differ; both are shown, and how to take the new one over.
    #[track_caller]
    pub fn assert_tree(&self, expect: &str) {
        assert_text(expect, &self.tree());
    }

    /// Compares [`Captured::log_text`].
    ///
    /// # Panics
    /// See [`Captured::assert_tree`].
    #[track_caller]
    pub fn assert_logs(&self, expect: &str) {
        assert_text(expect, &self.log_text());
    }

    /// Compares [`Captured::metric_text`].
    ///
    /// # Panics
    /// See [`Captured::assert_tree`].
    #[track_caller]
    pub fn assert_metrics(&self, expect: &str) {
        assert_text(expect, &self.metric_text());
    }

    fn requests(&self, signal: Signal) -> Vec<Vec<u8>> {
        let _one = self.last_flush.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _report = self.telemetry.flush(DEADLINE);
        let requests =
            self.memory.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let of_signal = requests.iter().filter(|request| request.signal == signal);
        of_signal.map(|request| request.body.clone()).collect()
    }
}

/// The fields of a `ResourceMetrics` message.
fn read(registry: &Registry) -> Vec<u8> {
    let mut w = Writer::new();
    registry.write_otlp(&mut w, &mut ReaderState::new(false), crate::clock::now_ns());
    w.into_bytes()
}
