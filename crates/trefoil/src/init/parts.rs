//! All that runs, the order in which it starts and the order in which it stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::Dispatch;

use super::report::{Report, SignalReport};
use crate::account::{Account, Signal};
use crate::builder::Builder;
use crate::clock;
use crate::config::{Config, Console, Resolved, SamplerSettings, Settings, Told};
use crate::doctor::Vitals;
use crate::export::{ExporterStatus, Exporters, Exporting, Left, Queue, Sources};
use crate::log::{Levels, Logs};
use crate::metric::{self, ReaderState, Registry, Serving};
use crate::propagate::Propagators;
use crate::resource::{Instance, Resource};
use crate::sample::Sampler;
use crate::span::Spans;
use crate::subscriber::Subscriber;

/// All that runs.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) config: Config,
    pub(crate) warnings: Vec<String>,
    pub(crate) resource: Arc<Resource>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) logs: Arc<Logs>,
    /// `None` while disabled.
    pub(crate) running: Option<Running>,
    /// Unix nanoseconds of the start.
    pub(crate) started_ns: u64,
    pub(crate) vitals: Arc<Vitals>,
    accounts: [Arc<Account>; 3],
    /// A child that forked has memory like ours, but no thread of ours: see [`Parts::is_child`].
    process: u32,
    stopped: AtomicBool,
    /// What the first shutdown came to; later ones have nothing to add.
    report: Mutex<Option<Report>>,
    _instance: Option<Instance>,
}

/// What there is only while telemetry is enabled.
pub(crate) struct Running {
    pub(crate) spans: Spans,
    pub(crate) exporting: Exporting,
    /// `None` once it has ended.
    serving: Mutex<Option<Serving>>,
}

impl Parts {
    /// Starts what the builder and the environment ask for.
    pub(super) fn start(builder: &Builder, registry: Arc<Registry>) -> (Arc<Parts>, Dispatch) {
        let mut resolved = builder.resolve();
        let instance = resolved.claim_instance();
        let Resolved { mut settings, config, mut warnings } = resolved;
        if !settings.enabled {
            quieten(&mut settings, builder.wrapping().has_layers());
        }
        registry.configure(&settings.metrics);
        let accounts = [(); 3].map(|()| Arc::new(Account::default()));
        let resource = Arc::new(Resource::new(settings.resource.clone()));
        let sampler = Arc::new(Sampler::new(&settings.traces.sampler));
        let (spans, queues) = spans(&settings, &sampler, &accounts);
        let names = [builder.service_name(), resource.text("service.name").unwrap_or_default()];
        let logs = Arc::new(logs(&settings, &names, &spans, &queues, &accounts));
        let levels = Levels::new(&settings.traces.levels);
        let silent = !settings.enabled
            && settings.logs.console == Console::Off
            && !builder.wrapping().has_layers();
        let dispatch = if silent {
            Dispatch::none()
        } else {
            let subscriber = Subscriber::new(spans.clone(), levels, Arc::clone(&logs));
            let propagators = Propagators::new(&settings.propagators);
            builder.wrapping().dispatch(subscriber.with_propagators(propagators))
        };
        let running = settings.enabled.then(|| {
            let metrics = &settings.metrics;
            let (serving, unserved) = Serving::start(metrics, &registry, &resource);
            warnings.extend(unserved);
            Running {
                exporting: exporting(&settings, &resource, &sampler, queues, &registry, &accounts),
                serving: Mutex::new(Some(serving)),
                spans,
            }
        });
        if settings.told != Told::Nothing {
            warnings.iter().for_each(|warning| super::say(warning));
        }
        let parts = Parts {
            config,
            warnings,
            resource,
            registry,
            logs,
            running,
            started_ns: clock::now_ns(),
            vitals: Arc::default(),
            accounts,
            process: std::process::id(),
            stopped: AtomicBool::new(false),
            report: Mutex::new(None),
            _instance: instance,
            settings,
        };
        let parts = Arc::new(parts);
        if parts.running.is_some() && parts.settings.metrics.runtime {
            parts.observe();
        }
        (parts, dispatch)
    }

    /// Reports what becomes of the telemetry itself.
    fn observe(self: &Arc<Parts>) {
        for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
            metric::observe_signal(&self.registry, signal, self.account(signal));
        }
        // The registry may be the process's, which outlives these parts.
        let parts = Arc::downgrade(self);
        metric::observe_exporters(&self.registry, move || {
            parts.upgrade().map(|parts| parts.exporters()).unwrap_or_default()
        });
    }

    /// Each exporter of each signal as it stands.
    pub(crate) fn exporters(&self) -> Vec<ExporterStatus> {
        self.running.as_ref().map(|r| r.exporting.status()).unwrap_or_default()
    }

    /// What serves `/metrics` and knows when it was read.
    pub(crate) fn serving<T>(&self, see: impl FnOnce(&Serving) -> T) -> Option<T> {
        let serving = self.running.as_ref()?.serving.lock();
        serving.unwrap_or_else(PoisonError::into_inner).as_ref().map(see)
    }

    pub(crate) fn account(&self, signal: Signal) -> &Arc<Account> {
        &self.accounts[signal as usize]
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some() && !self.stopped.load(Ordering::Relaxed)
    }

    /// Whether a shutdown has begun, whose report somebody else has.
    pub(super) fn has_ended(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether this is a child of the process that telemetry was started in, by `fork` without
    /// `exec`. It has nothing to send: what waits here is the parent's to send.
    ///
    /// TRAP: the parent's threads are not there, and what one of them had locked stays locked.
    fn is_child(&self) -> bool {
        self.process != std::process::id()
    }

    pub(super) fn flush(&self, deadline: Duration) -> Report {
        let begin = Instant::now();
        if self.is_child() {
            return self.report(begin, &[], false);
        }
        self.flush_console(begin, deadline);
        let left = match &self.running {
            Some(running) => running.exporting.flush(deadline.saturating_sub(begin.elapsed())),
            None => Left::default(),
        };
        self.report(begin, &self.exporters(), left == Left::default())
    }

    pub(super) fn shutdown(&self, deadline: Duration) -> Report {
        let begin = Instant::now();
        if self.is_child() {
            self.stopped.store(true, Ordering::Relaxed);
            return self.report(begin, &[], false);
        }
        // A second caller waits for the first and hears the same.
        let mut known = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(report) = &*known {
            return report.clone();
        }
        self.stopped.store(true, Ordering::Relaxed);
        self.flush_console(begin, deadline);
        let mut left = Left::default();
        if let Some(Running { spans, exporting, serving }) = &self.running {
            // Traces whose end nobody will see leave if they failed, and are forgotten if not.
            spans.decide_all();
            left = exporting.shutdown(deadline.saturating_sub(begin.elapsed()));
            // Until now, so that a last scrape finds it.
            let serving = serving.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(serving);
        }
        let report = self.report(begin, &self.exporters(), left == Left::default());
        *known = Some(report.clone());
        report
    }

    /// The same at the end of the process, where nobody reads the report.
    pub(super) fn shutdown_and_tell(&self) {
        let report = self.shutdown(self.settings.shutdown_timeout);
        if report.lost() > 0 && self.settings.told == Told::All && !self.is_child() {
            super::say(&report.to_string());
        }
    }

    /// Before the exporters, since what repeated lines come to is a record, too. A stuck pipe
    /// may not take their time.
    fn flush_console(&self, begin: Instant, deadline: Duration) {
        self.logs.flush(clock::now_ns(), begin + deadline / 4);
    }

    fn report(&self, begin: Instant, status: &[ExporterStatus], complete: bool) -> Report {
        let signal = |signal| {
            let of_signal = status.iter().filter(|status| status.signal == signal);
            let in_trouble = of_signal.filter(|s| s.failing || s.counts.dropped_total() > 0);
            let problems = in_trouble.filter_map(|status| {
                let (_, why) = status.last_error.as_ref()?;
                let endpoint = crate::config::without_secrets(&status.endpoint);
                Some(format!("{} {endpoint}: {why}", status.kind))
            });
            SignalReport::new(signal, self.account(signal).read(), problems.collect())
        };
        Report {
            traces: signal(Signal::Traces),
            metrics: signal(Signal::Metrics),
            logs: signal(Signal::Logs),
            elapsed: begin.elapsed(),
            complete,
        }
    }
}

/// Without telemetry the console stays, which is the program's voice and no telemetry: no
/// spans, no exporters, no port. Other layers still see their spans, of which none is recorded.
fn quieten(settings: &mut Settings, has_layers: bool) {
    settings.traces.exporters.clear();
    if has_layers {
        let keep = &mut settings.traces.keep;
        (keep.errors, keep.slow, keep.slow_by_route) = (false, None, Vec::new());
        settings.traces.sampler = SamplerSettings::AlwaysOff;
    } else {
        settings.traces.levels = "off".to_owned();
        settings.traces.keep.open_spans_max = 0;
    }
    settings.metrics.exporters.clear();
    settings.metrics.prometheus = None;
    settings.metrics.runtime = false;
    settings.logs.exporters.clear();
}

/// Queues of spans and of log records.
type Queues = [Arc<Queue>; 2];

fn spans(
    settings: &Settings,
    sampler: &Arc<Sampler>,
    [traces, _, logs]: &[Arc<Account>; 3],
) -> (Spans, Queues) {
    let queue = |batch: &crate::config::BatchSettings, account: &Arc<Account>| {
        Arc::new(Queue::new(batch.clone(), Arc::clone(account)))
    };
    let queues = [queue(&settings.traces.batch, traces), queue(&settings.logs.batch, logs)];
    let [spans_out, logs_out] = &queues;
    let spans = Spans::new(
        &settings.traces,
        &settings.baggage_attributes,
        settings.logs.follow_sampling,
        Arc::clone(sampler),
        (Arc::clone(spans_out), Arc::clone(traces)),
        (Arc::clone(logs_out), Arc::clone(logs)),
    );
    (spans, queues)
}

fn logs(
    settings: &Settings,
    service_names: &[&str],
    spans: &Spans,
    [_, queue]: &Queues,
    [_, _, account]: &[Arc<Account>; 3],
) -> Logs {
    Logs::new(
        &settings.logs,
        service_names,
        &settings.baggage_attributes,
        Arc::clone(queue),
        Arc::clone(account),
        settings.enabled.then(|| Arc::new(spans.clone())),
    )
}

fn exporting(
    settings: &Settings,
    resource: &Arc<Resource>,
    sampler: &Sampler,
    [traces, logs]: Queues,
    registry: &Arc<Registry>,
    [_, metric_account, _]: &[Arc<Account>; 3],
) -> Exporting {
    let registry = Arc::clone(registry);
    let mut reader = ReaderState::new(settings.metrics.delta);
    let sources = Sources {
        traces,
        logs,
        metrics: Box::new(move |now_ns, bytes_max| {
            registry.write_otlp_in_parts(&mut reader, now_ns, bytes_max)
        }),
        metric_account: Arc::clone(metric_account),
        samplers: sampler.remotes().to_vec(),
    };
    Exporting::start(Exporters::of(settings), Arc::clone(resource), sources)
}
