//! From finished items to receivers: a bounded queue, a thread of its own, exporters.
//!
//! ```text
//! push ─▶ Queue ─▶ Pump (one a signal) ─▶ Lane (one an exporter) ─▶ Target ─▶ receiver
//! ```
//!
//! The thread runs a tokio runtime of its own, so it works with any runtime of the service
//! and with none, and waiting for it never waits for the service's tasks. Nothing it does
//! is traced.

mod batch;
mod connection;
mod ending;
mod endpoint;
mod jaeger;
mod lane;
mod otlp;
mod probe;
mod proxy;
mod pump;
mod queue;
mod retry;
mod spool;
mod status_line;
mod stdout;
mod strategies;
mod target;
mod tls;

pub(crate) use probe::{Tried, try_once};
pub(crate) use pump::Collect;
pub(crate) use queue::{Outbox, Priority, Queue};

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use crate::account::{Account, Counts, Signal};
use crate::config::{BatchSettings, ExporterSettings, Settings, SpoolSettings, Told};
use crate::resource::Resource;
use crate::sample::Remote;
use batch::Ledger;
use ending::Ending;
use lane::{Known, Lane, Surroundings};
use pump::{Pump, Source};
use spool::Spool;
use status_line::StatusLine;
use target::Target;

/// Beyond a deadline: for the answer of the exporter's thread.
const ANSWER_SLACK: Duration = Duration::from_millis(250);

/// Between two comparisons of the clocks, at first and later.
const CLOCK_FIRST: Duration = Duration::from_millis(50);
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Where the requests of a test lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// OTLP export requests in protobuf, as they would have left.
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    /// Whether they are thrown away instead.
    pub(crate) discards: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) signal: Signal,
    /// An OTLP export request in protobuf.
    pub(crate) body: Vec<u8>,
}

/// The exporter's thread, seen from outside.
#[derive(Debug)]
pub(crate) struct Exporting {
    orders: UnboundedSender<Order>,
    thread: Option<ThreadId>,
    /// After a fork the child has no such thread.
    process: u32,
    queues: [Arc<Queue>; 2],
    exporters: Vec<Arc<Known>>,
}

thread_local! {
    static EXPORTS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the exporter's thread.
///
/// TRAP: spans and records of the exporter's own requests would beget requests without end.
/// A scoped dispatcher on the thread would silence them, too, but from then on every span and
/// event of the whole process would have to ask for its thread's dispatcher.
pub(crate) fn is_exporting() -> bool {
    EXPORTS.get()
}

/// Whether code with this target may run on the exporter's thread.
pub(crate) fn may_be_exporting(target: &str) -> bool {
    const CRATES: [&str; 9] = [
        "h2",
        "hyper",
        "hyper_util",
        "mio",
        "rustls",
        "rustls_native_certs",
        "tokio",
        "tokio_rustls",
        "tokio_util",
    ];
    let name = target.split("::").next().unwrap_or_default();
    CRATES.contains(&name)
}

/// To whom each signal goes.
#[derive(Clone, Debug)]
pub(crate) struct Exporters {
    pub(crate) traces: Vec<ExporterSettings>,
    pub(crate) metrics: Vec<ExporterSettings>,
    pub(crate) logs: Vec<ExporterSettings>,
    /// Between two collections of metrics.
    pub(crate) metric_interval: Duration,
    /// Longest that a collection of metrics is tried, retries included.
    pub(crate) metric_timeout: Duration,
    /// What standard error is told of trouble.
    pub(crate) told: Told,
    /// Where batches wait that could not be sent.
    pub(crate) spool: Option<SpoolSettings>,
}

#[cfg(test)]
impl Default for Exporters {
    fn default() -> Self {
        Exporters {
            traces: Vec::new(),
            metrics: Vec::new(),
            logs: Vec::new(),
            metric_interval: Duration::ZERO,
            metric_timeout: BatchSettings::default().export_timeout,
            told: Told::default(),
            spool: None,
        }
    }
}

impl Exporters {
    pub(crate) fn of(settings: &Settings) -> Exporters {
        Exporters {
            traces: settings.traces.exporters.clone(),
            metrics: settings.metrics.exporters.clone(),
            logs: settings.logs.exporters.clone(),
            metric_interval: settings.metrics.interval,
            metric_timeout: settings.metrics.export_timeout,
            told: settings.told,
            spool: settings.spool.clone(),
        }
    }
}

/// Where items come from.
pub(crate) struct Sources {
    pub(crate) traces: Arc<Queue>,
    pub(crate) logs: Arc<Queue>,
    pub(crate) metrics: Collect,
    pub(crate) metric_account: Arc<Account>,
    /// Samplers whose strategies are asked for.
    pub(crate) samplers: Vec<Arc<Remote>>,
}

/// Items that are not sent, by signal: after a flush those on their way, after a shutdown
/// those that were lost by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) traces: u64,
    pub(crate) metrics: u64,
    pub(crate) logs: u64,
}

/// An exporter as it stands.
#[derive(Clone, Debug)]
pub(crate) struct ExporterStatus {
    /// `otlp/grpc`, `jaeger agent`, …
    pub(crate) kind: &'static str,
    pub(crate) endpoint: String,
    pub(crate) signal: Signal,
    /// The law holds for each exporter: produced = exported + dropped + sampled out + pending.
    pub(crate) counts: Counts,
    /// Items and bytes that wait, in the queue and beyond.
    pub(crate) queued: (u64, u64),
    /// Whether the last try failed in a way that may pass.
    pub(crate) failing: bool,
    pub(crate) last_success: Option<SystemTime>,
    pub(crate) last_error: Option<(SystemTime, String)>,
}

enum Order {
    Flush { deadline: Instant, reply: mpsc::Sender<Left> },
    Shutdown { deadline: Instant, reply: mpsc::Sender<Left> },
}

impl Exporting {
    /// Starts the thread. Without one, should the system give none, items are dropped and
    /// counted.
    pub(crate) fn start(
        exporters: Exporters,
        resource: Arc<Resource>,
        sources: Sources,
    ) -> Exporting {
        let (orders, inbox) = unbounded_channel();
        let queues = [Arc::clone(&sources.traces), Arc::clone(&sources.logs)];
        let samplers = sources.samplers.clone();
        let spool = exporters.spool.clone();
        let routes = routes(&exporters, sources);
        let told = exporters.told;
        let exporters: Vec<_> = routes
            .iter()
            .flat_map(|route| route.exporters.iter().map(|(_, k)| Arc::clone(k)))
            .collect();
        let status_line = (exporters.clone(), told);
        let work = move || {
            EXPORTS.set(true);
            run(resource, routes, (spool, samplers), status_line, inbox);
        };
        let thread = thread::Builder::new().name("trefoil-export".to_owned()).spawn(work);
        let thread = thread.map(|handle| handle.thread().id()).ok();
        if thread.is_none() {
            queues.iter().for_each(|queue| queue.close());
        }
        Exporting { orders, thread, process: std::process::id(), queues, exporters }
    }

    /// Sends what is there now, all signals at the same time.
    pub(crate) fn flush(&self, timeout: Duration) -> Left {
        self.order(timeout, |deadline, reply| Order::Flush { deadline, reply })
    }

    /// Sends what is there and ends the thread. What is not sent in time is dropped and
    /// counted; so is what comes later.
    pub(crate) fn shutdown(&self, timeout: Duration) -> Left {
        self.order(timeout, |deadline, reply| Order::Shutdown { deadline, reply })
    }

    /// Never waits longer than the timeout and a bit, whatever the thread is doing.
    fn order(
        &self,
        timeout: Duration,
        order: impl FnOnce(Instant, mpsc::Sender<Left>) -> Order,
    ) -> Left {
        let is_here = self.process == std::process::id() && self.thread.is_some();
        if !is_here || self.thread == Some(thread::current().id()) {
            return self.waiting();
        }
        let (reply, answer) = mpsc::channel();
        // Far enough away to mean "whenever".
        let timeout = timeout.min(Duration::from_secs(24 * 3600));
        if self.orders.send(order(Instant::now() + timeout, reply)).is_err() {
            return self.waiting();
        }
        answer.recv_timeout(timeout + ANSWER_SLACK).unwrap_or_else(|_| self.waiting())
    }

    fn waiting(&self) -> Left {
        let [traces, logs] = &self.queues;
        let items = |queue: &Queue| queue.waiting().items as u64;
        Left { traces: items(traces), logs: items(logs), metrics: 0 }
    }

    /// Each exporter of each signal.
    pub(crate) fn status(&self) -> Vec<ExporterStatus> {
        let status = |known: &Arc<Known>| {
            let queue = match known.signal {
                Signal::Traces => self.queues[0].waiting(),
                Signal::Logs => self.queues[1].waiting(),
                Signal::Metrics => Default::default(),
            };
            let (items, bytes) = known.pending();
            let last = known.last();
            ExporterStatus {
                kind: known.kind,
                endpoint: known.endpoint.clone(),
                signal: known.signal,
                counts: known.counts(),
                queued: (items + queue.items as u64, bytes + queue.bytes as u64),
                failing: known.is_failing(),
                last_success: last.success,
                last_error: last.error,
            }
        };
        self.exporters.iter().map(status).collect()
    }
}

/// A signal and its exporters, on the way to the thread.
struct Route {
    signal: Signal,
    source: Source,
    limits: BatchSettings,
    exporters: Vec<(ExporterSettings, Arc<Known>)>,
    account: Arc<Account>,
    settled: Arc<Account>,
}

fn routes(wanted: &Exporters, sources: Sources) -> Vec<Route> {
    let Sources { traces, logs, metrics, metric_account, .. } = sources;
    let of_queue = |signal, queue: Arc<Queue>, exporters: &[ExporterSettings]| {
        if exporters.is_empty() {
            queue.close_as_unwanted();
            return None;
        }
        let (limits, account) = (queue.settings().clone(), Arc::clone(queue.account()));
        Some(route(signal, Source::Queue(queue), limits, account, exporters))
    };
    let of_metrics = || {
        let source = Source::Metrics {
            collect: RefCell::new(metrics),
            interval: wanted.metric_interval,
            account: Arc::clone(&metric_account),
        };
        // Collections are few and large: bytes are their limit.
        let limits = BatchSettings {
            queue_items_max: usize::MAX,
            export_timeout: wanted.metric_timeout,
            ..BatchSettings::default()
        };
        let exporters = &wanted.metrics;
        let some = !exporters.is_empty();
        some.then(|| route(Signal::Metrics, source, limits, metric_account, exporters))
    };
    let all = [
        of_queue(Signal::Traces, traces, &wanted.traces),
        of_metrics(),
        of_queue(Signal::Logs, logs, &wanted.logs),
    ];
    all.into_iter().flatten().collect()
}

fn route(
    signal: Signal,
    source: Source,
    limits: BatchSettings,
    account: Arc<Account>,
    exporters: &[ExporterSettings],
) -> Route {
    let settled = Arc::new(Account::default());
    let with_known = |settings: &ExporterSettings| {
        let known = Known::new(settings, signal, Arc::clone(&account), Arc::clone(&settled));
        (settings.clone(), known)
    };
    let exporters = exporters.iter().map(with_known).collect();
    Route { signal, source, limits, exporters, account, settled }
}

/// The thread's work.
fn run(
    resource: Arc<Resource>,
    routes: Vec<Route>,
    (spool, samplers): (Option<SpoolSettings>, Vec<Arc<Remote>>),
    (exporters, told): (Vec<Arc<Known>>, Told),
    orders: UnboundedReceiver<Order>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let Ok(runtime) = runtime else {
        for route in &routes {
            if let Source::Queue(queue) = &route.source {
                queue.close();
            }
        }
        return;
    };
    let (ending, status_line) = (Ending::default(), StatusLine::new(exporters, told));
    let around = Rc::new(Surroundings { resource, ending, status_line });
    let service = around.resource.text("service.name").unwrap_or_default().to_owned();
    let tasks = LocalSet::new();
    let answer = tasks.block_on(&runtime, async {
        for sampler in samplers {
            let asking = strategies::follow(sampler, service.clone(), Rc::clone(&around));
            tokio::task::spawn_local(asking);
        }
        let spool = spool.and_then(|settings| match Spool::open(&settings) {
            Ok(spool) => Some(spool),
            Err(why) => {
                around.status_line.warn(&why);
                None
            }
        });
        let pump = |route| pump(route, spool.as_ref(), &around);
        let pumps: Vec<_> = routes.into_iter().map(pump).collect();
        tokio::task::spawn_local(keep_time());
        for pump in &pumps {
            tokio::task::spawn_local(Rc::clone(pump).run());
        }
        follow(orders, &pumps, &around).await
    });
    drop(tasks);
    // A name that is being looked up must not hold up the end.
    runtime.shutdown_background();
    // Last, when connections are closed and the spool is free for whom comes next.
    if let Some((reply, lost)) = answer {
        let _ = reply.send(lost);
    }
}

/// Keeps the clock of spans right for as long as the thread runs.
async fn keep_time() {
    let mut pause = CLOCK_FIRST;
    loop {
        crate::clock::reanchor();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(CLOCK_INTERVAL);
    }
}

fn pump(route: Route, spool: Option<&Rc<Spool>>, around: &Rc<Surroundings>) -> Rc<Pump> {
    let Route { signal, source, limits, exporters, account, settled } = route;
    let freed = Rc::new(Notify::new());
    let ledger = Ledger::new(account, settled);
    let lane = |(place, (settings, known)): (usize, (ExporterSettings, Arc<Known>))| {
        let target = Target::new(&settings, signal);
        if let Target::Off(why) = &target {
            around.status_line.failed(&known.endpoint, signal, why);
        }
        let spool = spool.as_ref().filter(|_| target.is_remote());
        let shelf = spool.and_then(|spool| match spool.shelf(signal, place) {
            Ok(shelf) => Some(shelf),
            Err(why) => {
                around.status_line.failed(&known.endpoint, signal, &why);
                None
            }
        });
        let parts = (target, known, shelf);
        Lane::new(parts, place == 0, limits.clone(), around, &freed, &ledger)
    };
    let lanes: Vec<_> = exporters.into_iter().enumerate().map(lane).collect();
    Pump::new(signal, source, lanes, ledger, freed)
}

/// Follows orders until the one to end; gives whom to answer that, and what.
async fn follow(
    mut orders: UnboundedReceiver<Order>,
    pumps: &[Rc<Pump>],
    around: &Rc<Surroundings>,
) -> Option<(mpsc::Sender<Left>, Left)> {
    loop {
        match orders.recv().await {
            Some(Order::Flush { deadline, reply }) => {
                let pumps = pumps.to_vec();
                tokio::task::spawn_local(async move {
                    let left = flush(&pumps, deadline.into()).await;
                    // Who asked may be gone.
                    let _ = reply.send(left);
                });
            }
            Some(Order::Shutdown { deadline, reply }) => {
                return Some((reply, end(pumps, around, deadline.into()).await));
            }
            None => {
                end(pumps, around, tokio::time::Instant::now()).await;
                return None;
            }
        }
    }
}

async fn flush(pumps: &[Rc<Pump>], deadline: tokio::time::Instant) -> Left {
    let flushed: Vec<_> = pumps
        .iter()
        .map(|pump| {
            let pump = Rc::clone(pump);
            tokio::task::spawn_local(async move { (pump.signal, pump.flush(deadline).await) })
        })
        .collect();
    let mut left = Left::default();
    for task in flushed {
        match task.await {
            Ok((Signal::Traces, items)) => left.traces = items,
            Ok((Signal::Metrics, items)) => left.metrics = items,
            Ok((Signal::Logs, items)) => left.logs = items,
            Err(_) => {}
        }
    }
    left
}

async fn end(
    pumps: &[Rc<Pump>],
    around: &Rc<Surroundings>,
    deadline: tokio::time::Instant,
) -> Left {
    around.ending.begin(deadline);
    flush(pumps, deadline).await;
    let limit = deadline.max(tokio::time::Instant::now()) + ANSWER_SLACK / 2;
    let mut lost = Left::default();
    for pump in pumps {
        pump.end(limit).await;
        let items = pump.lost_by_shutdown();
        match pump.signal {
            Signal::Traces => lost.traces = items,
            Signal::Metrics => lost.metrics = items,
            Signal::Logs => lost.logs = items,
        }
    }
    lost
}

#[cfg(test)]
#[allow(clippy::unwrap_used, dead_code, reason = "the integration tests use the rest")]
#[path = "../tests/it/receiver.rs"]
pub(crate) mod receiver;
#[cfg(test)]
mod tests;
