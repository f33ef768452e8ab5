//! Two lines in `main`: the guard, and the order in which the parts start and stop.

mod ending;
mod parts;
mod report;
#[cfg(unix)]
mod signal;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;

use crate::account::{Counts, Signal};
use crate::builder::Builder;
use crate::config::Config;
use crate::metric::{Registry, Serving};

pub(crate) use parts::Parts;
pub use report::{Report, SignalReport};

/// Starts telemetry for a service, configured by the environment.
///
/// # Errors
/// Only for mistakes in the program: see [`InitError`]. Bad configuration warns and falls back.
pub fn init(service_name: &str) -> Result<Telemetry, InitError> {
    Trefoil::builder(service_name).install()
}

/// Where it begins.
#[derive(Debug)]
pub struct Trefoil;

impl Trefoil {
    /// A builder for a service of this name, unless the environment has another for it.
    pub fn builder(service_name: &str) -> Builder {
        Builder::new(service_name)
    }
}

/// A mistake in the program.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// Something else already receives `tracing`'s spans and events.
    SubscriberTaken,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::SubscriberTaken => f.write_str(
                "tracing already has a global subscriber: call trefoil::init before any other \
                 crate's init, and only once",
            ),
        }
    }
}

impl std::error::Error for InitError {}

/// Telemetry while it runs. Keep it until the end of `main`: dropping it sends what waits.
///
/// It does all that a [`Handle`] does; a handle can be cloned and given away.
#[must_use = "telemetry ends when the guard is dropped"]
#[derive(Debug)]
pub struct Telemetry {
    handle: Handle,
}

impl Telemetry {
    /// Sends what waits and stops, within the deadline, which all signals share. What is
    /// recorded later is counted as lost.
    pub fn shutdown(self, deadline: Duration) -> Report {
        self.handle.parts.shutdown(deadline)
    }

    /// For parts of the program that outlive no one, as layers and state of handlers.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl std::ops::Deref for Telemetry {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let parts = &self.handle.parts;
        if !parts.has_ended() {
            parts.shutdown_and_tell();
        }
    }
}

/// A way to running telemetry that does not keep it running.
#[derive(Clone)]
pub struct Handle {
    pub(crate) parts: Arc<Parts>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let enabled = self.parts.settings.enabled;
        f.debug_struct("Handle").field("enabled", &enabled).finish_non_exhaustive()
    }
}

impl Handle {
    /// Whether anything is recorded and sent.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.parts.is_running()
    }

    /// The settings in force, each with where it came from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// What was wrong with the configuration, a line each. It is also told on standard error
    /// once, at the start.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.parts.warnings
    }

    /// What became of a signal's items so far.
    #[must_use]
    pub fn counts(&self, signal: Signal) -> Counts {
        self.parts.account(signal).read()
    }

    /// Metrics of this telemetry. Those declared by [`metrics!`](crate::metrics) are in the
    /// registry of the process, which [`Builder::install`] uses; [`Builder::build`] has one of
    /// its own.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.parts.registry
    }

    /// The page of metrics for a client that sent this `Accept` header: its content type and
    /// its text. For a handler that is mounted beside others; [`Builder::prometheus`] serves
    /// it on a port of its own.
    #[must_use]
    pub fn metrics_text(&self, accept: &str) -> (&'static str, String) {
        self.parts.serving(|serving| serving.text(accept)).unwrap_or_default()
    }

    /// Where `/metrics` is served, if it is: the port is known here even if it was 0.
    #[must_use]
    pub fn prometheus_address(&self) -> Option<SocketAddr> {
        self.parts.serving(Serving::address).flatten()
    }

    /// Changes which log records there are, while the program runs: of a subsystem, of a
    /// target and all below it, or, with an empty name, of all that have no level of their own.
    ///
    /// ```
    /// # let (telemetry, _) = trefoil::Trefoil::builder("x").enabled(false).build();
    /// telemetry.set_log_level("images", tracing::Level::DEBUG);
    /// telemetry.set_log_level("hyper", None);
    /// ```
    pub fn set_log_level(&self, name: &str, level: impl Into<LevelFilter>) {
        self.parts.logs.set_level(name, level.into());
    }

    /// Declares `<service>_info`, which is always 1 and has these labels beside `version`, and
    /// `<service>_uptime_seconds`.
    pub fn service_metrics(&self, labels: &[(&str, &str)]) {
        let resource = &self.parts.resource;
        let version = resource.text("service.version").unwrap_or_default();
        let labels: Vec<_> =
            [("version", version)].into_iter().chain(labels.iter().copied()).collect();
        let service = resource.text("service.name").unwrap_or_default();
        crate::metric::install_service(&self.parts.registry, service, &labels);
    }

    /// Makes tracers of the OpenTelemetry API whose spans go where those of `tracing` go; from
    /// then on both share their context. `None` while disabled. [`Builder::install`] sets it
    /// as the global one.
    #[cfg(feature = "opentelemetry")]
    #[must_use]
    pub fn tracer_provider(&self) -> Option<crate::opentelemetry::TracerProvider> {
        self.parts.running.as_ref().map(|running| running.spans.tracer_provider())
    }

    /// Sends what waits, within the deadline, which all signals share.
    pub fn flush(&self, deadline: Duration) -> Report {
        self.parts.flush(deadline)
    }

    /// Lines that the console could not take: its stream was stuck or closed.
    #[must_use]
    pub fn console_lost(&self) -> u64 {
        self.parts.logs.console_lost()
    }
}

/// Starts the parts; nothing of it is global.
pub(crate) fn build(builder: &Builder) -> (Telemetry, Dispatch) {
    start(builder, Arc::new(Registry::new()))
}

/// Starts the parts for the whole process.
pub(crate) fn install(builder: &Builder) -> Result<Telemetry, InitError> {
    // Before anything starts: a second `init` must not open the first one's ports.
    if tracing::dispatcher::has_been_set() {
        return Err(InitError::SubscriberTaken);
    }
    let (telemetry, dispatch) = start(builder, Arc::clone(Registry::global()));
    if !dispatch.is::<tracing::subscriber::NoSubscriber>() {
        tracing::dispatcher::set_global_default(dispatch)
            .map_err(|_| InitError::SubscriberTaken)?;
        #[cfg(feature = "log")]
        crate::log::Bridge::install(&telemetry.parts.logs);
        #[cfg(feature = "opentelemetry")]
        if let Some(provider) = telemetry.tracer_provider() {
            opentelemetry::global::set_tracer_provider(provider);
        }
        if telemetry.parts.settings.panic_hook {
            ending::watch(&telemetry.parts);
        }
        #[cfg(unix)]
        if telemetry.parts.settings.flush_on_signals
            && let Err(why) = signal::watch(&telemetry.parts)
        {
            say(&why);
        }
    }
    Ok(telemetry)
}

fn start(builder: &Builder, registry: Arc<Registry>) -> (Telemetry, Dispatch) {
    let registry = builder.registry_or(registry);
    let (parts, dispatch) = Parts::start(builder, registry);
    (Telemetry { handle: Handle { parts } }, dispatch)
}

/// The crate's own word to the operator. A closed standard error is no reason to panic.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "trefoil: {line}");
}
