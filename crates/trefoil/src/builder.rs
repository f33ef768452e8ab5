//! Settings that a program makes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{
    self, Change, Choice, Console, ConsoleStream, Draft, Endpoint, ExporterSettings, Inputs,
    OperationRule, OtlpProtocol, PropagatorName, Resolved, SamplerSettings, Source, SpoolSettings,
};
use crate::export::Memory;
use crate::init::{InitError, Telemetry};
use crate::log::LogBody;
use crate::metric::Registry;
use crate::value::Value;

/// Settings that the program makes.
///
/// What is set here wins over the environment; what is set in [`Builder::defaults`] yields to
/// it. A value that means nothing is told on standard error and changes nothing.
pub struct Builder {
    service_name: String,
    prefix: Option<String>,
    variables: Option<BTreeMap<String, String>>,
    registry: Option<Arc<Registry>>,
    defaults: Vec<Change>,
    changes: Vec<Change>,
    wrapping: crate::subscriber::Wrapping,
}

impl Builder {
    pub(crate) fn new(service_name: &str) -> Builder {
        Builder {
            service_name: service_name.to_owned(),
            prefix: None,
            variables: None,
            registry: None,
            defaults: Vec::new(),
            changes: Vec::new(),
            wrapping: crate::subscriber::Wrapping::default(),
        }
    }

    /// Starts, and receives all of the program's `tracing` spans and events.
    ///
    /// # Errors
    /// Something else already receives them: see [`InitError`].
    pub fn install(self) -> Result<Telemetry, InitError> {
        crate::init::install(&self)
    }

    /// Starts without touching anything global: spans and events under the dispatch are
    /// received. Several services in one process, and tests, each have their own.
    ///
    /// ```
    /// use tracing::instrument::WithSubscriber as _;
    ///
    /// let (telemetry, dispatch) = trefoil::Trefoil::builder("worker").enabled(false).build();
    /// let work = async { tracing::info!("ready") }.with_subscriber(dispatch);
    /// # drop((telemetry, work));
    /// ```
    pub fn build(self) -> (Telemetry, tracing::Dispatch) {
        crate::init::build(&self)
    }

    /// Puts other layers of `tracing-subscriber` around telemetry. They see the spans and
    /// events that telemetry lets through ([`Builder::span_level`], [`Builder::level`]); a
    /// filter of a layer chooses among them. When telemetry is disabled they see them still.
    ///
    /// Layers keep what they want at each open span, without a limit, so the number of open
    /// spans has none either.
    ///
    /// ```
    /// use tracing_subscriber::layer::SubscriberExt as _;
    ///
    /// let builder = trefoil::Trefoil::builder("worker")
    ///     .layers(|telemetry| telemetry.with(tracing_subscriber::fmt::layer()));
    /// # let _ = builder.enabled(false);
    /// ```
    #[cfg(feature = "layers")]
    #[must_use]
    pub fn layers<S>(mut self, add: impl FnOnce(crate::Subscriber) -> S + Send + 'static) -> Builder
    where
        S: tracing::Subscriber + Send + Sync,
    {
        self.wrapping = crate::subscriber::Wrapping::new(|ours| ours.with_layers(add));
        self
    }

    pub(crate) fn wrapping(&self) -> &crate::subscriber::Wrapping {
        &self.wrapping
    }

    /// Reads the application's own variables: with `UNKEY_METALD_OTEL` those are
    /// `UNKEY_METALD_OTEL_ENABLED`, `…_ENDPOINT`, `…_SAMPLING_RATE`, `…_PROMETHEUS_PORT` and
    /// others. They win over all other variables.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Builder {
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// Defaults of this program, below everything that the environment says.
    ///
    /// ```
    /// # let _ =
    /// trefoil::Trefoil::builder("hypeman")
    ///     .defaults(|d| d.enabled(false).otlp("127.0.0.1:4317").environment("unset"))
    /// # ;
    /// ```
    #[must_use]
    pub fn defaults(mut self, set: impl FnOnce(Builder) -> Builder) -> Builder {
        let inner = set(Builder::new(&self.service_name));
        self.defaults.extend(inner.defaults);
        self.defaults.extend(inner.changes);
        self
    }

    /// Whether telemetry starts when the environment does not say; `true` unless set.
    #[must_use]
    pub fn enabled_by_default(self, enabled: bool) -> Builder {
        self.defaults(|defaults| defaults.enabled(enabled))
    }

    /// Variables to read in place of the process's own.
    #[must_use]
    pub fn variables<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Builder
    where
        K: Into<String>,
        V: Into<String>,
    {
        let variables = variables.into_iter().map(|(k, v)| (k.into(), v.into()));
        self.variables = Some(variables.collect());
        self
    }

    /// Reads metrics from this registry. Unless set, [`Builder::install`] reads the one of the
    /// process, which [`metrics!`](crate::metrics) declares into, and [`Builder::build`] one of
    /// its own: [`Handle::registry`](crate::Handle::registry).
    #[must_use]
    pub fn registry(mut self, registry: Arc<Registry>) -> Builder {
        self.registry = Some(registry);
        self
    }

    pub(crate) fn service_name(&self) -> &str {
        &self.service_name
    }

    pub(crate) fn registry_or(&self, registry: Arc<Registry>) -> Arc<Registry> {
        self.registry.clone().unwrap_or(registry)
    }

    /// Whether telemetry starts at all.
    #[must_use]
    pub fn enabled(self, enabled: bool) -> Builder {
        self.set("enabled", move |d, s| {
            d.enabled.set(enabled, s);
            Ok(())
        })
    }

    pub(crate) fn set(
        mut self,
        method: &'static str,
        apply: impl Fn(&mut Draft, &Source) -> Result<(), String> + Send + Sync + 'static,
    ) -> Builder {
        self.changes.push(Change { method, apply: Box::new(apply) });
        self
    }

    /// Works the settings out.
    pub(crate) fn resolve(&self) -> Resolved {
        let process = || {
            let variables = std::env::vars_os();
            // A variable that is no text says nothing that could be read.
            variables.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        };
        let variables = self.variables.clone().unwrap_or_else(|| process().collect());
        config::resolve(Inputs {
            service_name: &self.service_name,
            detected: crate::resource::detect(&variables),
            defaults: &self.defaults,
            changes: &self.changes,
            prefix: self.prefix.as_deref(),
            variables: &variables,
        })
    }
}

/// Who emits.
impl Builder {
    /// The service's version.
    #[must_use]
    pub fn version(self, version: &str) -> Builder {
        self.attribute("service.version", version.to_owned())
    }

    /// The namespace that the service's name is unique in.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Builder {
        self.attribute("service.namespace", namespace.to_owned())
    }

    /// What tells this instance of the service from the others. Unless set it is the host's
    /// name, with a number if the host runs several.
    #[must_use]
    pub fn instance_id(self, id: &str) -> Builder {
        self.attribute("service.instance.id", id.to_owned())
    }

    /// The deployment environment: `production`, `staging`…
    #[must_use]
    pub fn environment(self, name: &str) -> Builder {
        let name = name.to_owned();
        self.set("environment", move |d, s| {
            d.environment(&name, s);
            Ok(())
        })
    }

    /// An attribute of the resource, which is on everything that is emitted.
    #[must_use]
    pub fn attribute(self, key: &str, value: impl Into<Value>) -> Builder {
        let (key, value) = (key.to_owned(), value.into());
        self.set("attribute", move |d, s| {
            d.attribute(&key, value.clone(), s);
            Ok(())
        })
    }
}

/// To whom.
impl Builder {
    /// Sends all three signals to a receiver of OTLP: `http://host:4318`, `host:4317`… What
    /// is spoken follows from the port unless [`Builder::protocol`] says it.
    #[must_use]
    pub fn otlp(self, endpoint: &str) -> Builder {
        let endpoint = Endpoint::parse(endpoint);
        self.set("otlp", move |d, s| {
            d.otlp_endpoint(&endpoint.clone()?, s);
            Ok(())
        })
    }

    /// How OTLP is spoken.
    #[must_use]
    pub fn protocol(self, protocol: OtlpProtocol) -> Builder {
        self.set("protocol", move |d, s| {
            d.signals().into_iter().for_each(|signal| signal.otlp.protocol.set(Some(protocol), s));
            Ok(())
        })
    }

    /// A header, or metadata of gRPC, that goes with every request of OTLP.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Builder {
        let header = (name.to_ascii_lowercase(), value.to_owned());
        self.set("header", move |d, s| {
            http::HeaderName::try_from(&header.0)
                .map_err(|_| format!("`{}` is no name of a header", header.0))?;
            http::HeaderValue::try_from(&header.1)
                .map_err(|_| format!("the value of {} is not allowed in HTTP", header.0))?;
            for signal in d.signals() {
                let headers = &mut signal.otlp.headers;
                headers.value.retain(|(name, _)| *name != header.0);
                headers.value.push(header.clone());
                headers.source = s.clone();
            }
            Ok(())
        })
    }

    /// Compresses requests of OTLP with gzip.
    #[must_use]
    pub fn gzip(self, gzip: bool) -> Builder {
        self.set("gzip", move |d, s| {
            d.signals().into_iter().for_each(|signal| signal.otlp.gzip.set(gzip, s));
            Ok(())
        })
    }

    /// Trusts the authorities of this file in PEM instead of the platform's.
    #[must_use]
    pub fn ca(self, file: impl Into<PathBuf>) -> Builder {
        let file = file.into();
        self.set("ca", move |d, s| {
            d.signals().into_iter().for_each(|signal| signal.otlp.ca.set(Some(file.clone()), s));
            Ok(())
        })
    }

    /// Shows this certificate to the receiver; both files are in PEM.
    #[must_use]
    pub fn client_certificate(
        self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Builder {
        let (certificate, key) = (certificate.into(), key.into());
        self.set("client_certificate", move |d, s| {
            for signal in d.signals() {
                signal.otlp.client_certificate.set(Some(certificate.clone()), s);
                signal.otlp.client_key.set(Some(key.clone()), s);
            }
            Ok(())
        })
    }

    /// Sends spans to Jaeger's collector, `http://localhost:14268/api/traces`, in Thrift.
    #[must_use]
    pub fn jaeger(self, endpoint: &str) -> Builder {
        let endpoint = config::jaeger_url(endpoint);
        self.set("jaeger", move |d, s| {
            d.jaeger.endpoint.set(Some(endpoint.clone()?), s);
            d.traces.choose(Choice::Jaeger, s);
            Ok(())
        })
    }

    /// Sends spans to Jaeger's agent, `localhost:6831`, in compact Thrift over UDP.
    #[must_use]
    pub fn jaeger_agent(self, address: &str) -> Builder {
        let address = address.to_owned();
        self.set("jaeger_agent", move |d, s| {
            d.traces.choose(
                Choice::Built(ExporterSettings::JaegerAgent { address: address.clone() }),
                s,
            );
            Ok(())
        })
    }

    /// Prints spans and metrics to standard output, for people. Log records are on the
    /// console already: see [`Builder::console`].
    #[must_use]
    pub fn stdout(self) -> Builder {
        self.set("stdout", |d, s| {
            d.traces.choose(Choice::Stdout { json: false }, s);
            d.metrics.choose(Choice::Stdout { json: false }, s);
            Ok(())
        })
    }

    /// Prints all three signals to standard output as OTLP in JSON, a line each batch.
    #[must_use]
    pub fn stdout_json(self) -> Builder {
        self.set("stdout_json", |d, s| {
            for signal in d.signals() {
                signal.choose(Choice::Stdout { json: true }, s);
            }
            Ok(())
        })
    }

    /// Serves `/metrics` there for Prometheus, beside what is pushed.
    #[must_use]
    pub fn prometheus(self, address: impl ToString) -> Builder {
        let text = address.to_string();
        self.set("prometheus", move |d, s| {
            let expected = |_| format!("`{text}` is no address, as 127.0.0.1:9464");
            let address: SocketAddr = text.parse().map_err(expected)?;
            d.prometheus.serve(address, s);
            Ok(())
        })
    }

    /// Pushes no metrics: they are only served, at [`Builder::prometheus`].
    #[must_use]
    pub fn no_metrics_push(self) -> Builder {
        self.set("no_metrics_push", |d, s| {
            d.metrics.exporters.set(Vec::new(), s);
            Ok(())
        })
    }

    /// Keeps batches that could not be sent in this folder, across restarts, and sends them
    /// when the receiver is back. `bytes_max` bounds it; the oldest are dropped first.
    #[must_use]
    pub fn spool(self, folder: impl Into<PathBuf>, bytes_max: u64) -> Builder {
        let spool = SpoolSettings { folder: folder.into(), bytes_max };
        self.set("spool", move |d, s| {
            d.spool.set(Some(spool.clone()), s);
            Ok(())
        })
    }

    /// Log records do not leave the process; the console and the spans' events stay.
    #[must_use]
    pub fn no_logs(self) -> Builder {
        self.set("no_logs", |d, s| {
            d.logs.exporters.set(Vec::new(), s);
            Ok(())
        })
    }

    /// Encodes and batches everything as for a receiver and then throws it away, for
    /// measuring what telemetry costs.
    #[must_use]
    pub fn discard(self) -> Builder {
        self.memory(&Memory { discards: true, ..Memory::default() }).console(Console::Off)
    }

    /// Keeps what would have left, for a test.
    pub(crate) fn memory(self, memory: &Memory) -> Builder {
        let exporter = ExporterSettings::Memory(memory.clone());
        self.set("memory", move |d, s| {
            for signal in d.signals() {
                signal.choose(Choice::Built(exporter.clone()), s);
            }
            Ok(())
        })
    }
}

/// Of spans.
impl Builder {
    /// The share of traces that are exported, 0.0 to 1.0; a caller's decision is honoured.
    /// Traces with errors are exported in any case: see [`Builder::keep_errors`].
    #[must_use]
    pub fn sampling_rate(self, rate: f64) -> Builder {
        self.set("sampling_rate", move |d, s| {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!("{rate} is no share from 0.0 to 1.0"));
            }
            d.sampler.set(config::under_parent(config::ratio(rate)), s);
            Ok(())
        })
    }

    /// At most so many traces that begin here are exported per second.
    #[must_use]
    pub fn traces_per_second(self, rate: f64) -> Builder {
        self.set("traces_per_second", move |d, s| {
            if !(rate >= 0.0 && rate.is_finite()) {
                return Err(format!("{rate} is no number of traces"));
            }
            d.sampler.set(config::under_parent(SamplerSettings::RateLimited(rate)), s);
            Ok(())
        })
    }

    /// Another share for the spans of this name, or with it before a `*`: 1 % of what is
    /// frequent, all of what is critical. The first that matches counts.
    #[must_use]
    pub fn sample_operation(self, name: &str, rate: f64) -> Builder {
        self.sample(
            "sample_operation",
            rate,
            OperationRule {
                name: Some(name.to_owned()),
                route: None,
                attribute: None,
                sampler: config::ratio(rate),
            },
        )
    }

    /// Another share for a route as the router has it, `/jobs/{id}`, or one before a `*`.
    #[must_use]
    pub fn sample_route(self, route: &str, rate: f64) -> Builder {
        self.sample(
            "sample_route",
            rate,
            OperationRule {
                name: None,
                route: Some(route.to_owned()),
                attribute: None,
                sampler: config::ratio(rate),
            },
        )
    }

    /// Another share for spans that begin with this attribute.
    #[must_use]
    pub fn sample_attribute(self, key: &str, value: &str, rate: f64) -> Builder {
        self.sample(
            "sample_attribute",
            rate,
            OperationRule {
                name: None,
                route: None,
                attribute: Some((key.to_owned(), value.to_owned())),
                sampler: config::ratio(rate),
            },
        )
    }

    fn sample(self, method: &'static str, rate: f64, rule: OperationRule) -> Builder {
        self.set(method, move |d, s| {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!("{rate} is no share from 0.0 to 1.0"));
            }
            let sampler = with_rule(d.sampler.value.clone(), rule.clone());
            d.sampler.set(sampler, s);
            Ok(())
        })
    }

    /// Whether a trace with a failed span is exported although it was not sampled; `true`
    /// unless set.
    #[must_use]
    pub fn keep_errors(self, keep: bool) -> Builder {
        self.set("keep_errors", move |d, s| {
            d.keep.errors.set(keep, s);
            Ok(())
        })
    }

    /// Exports a trace that took longer here, although it was not sampled.
    #[must_use]
    pub fn slow(self, longer_than: Duration) -> Builder {
        self.set("slow", move |d, s| {
            d.keep.slow.set(Some(longer_than), s);
            Ok(())
        })
    }

    /// The same for one route or name of a root span, or those before a `*`.
    #[must_use]
    pub fn slow_route(self, route: &str, longer_than: Duration) -> Builder {
        let route = route.to_owned();
        self.set("slow_route", move |d, s| {
            d.keep.slow_by_route.value.push((route.clone(), longer_than));
            d.keep.slow_by_route.source = s.clone();
            Ok(())
        })
    }

    /// Bytes of traces that are not decided yet; 16 MiB unless set.
    #[must_use]
    pub fn pending_bytes(self, bytes_max: usize) -> Builder {
        self.set("pending_bytes", move |d, s| {
            d.keep.pending_bytes_max.set(bytes_max, s);
            Ok(())
        })
    }

    /// Which spans there are, as `info,hyper=warn`: of targets, whatever the levels of logs.
    #[must_use]
    pub fn span_level(self, directives: &str) -> Builder {
        let directives = directives.to_owned();
        self.set("span_level", move |d, s| {
            d.span_levels.set(config::directives(&directives)?, s);
            Ok(())
        })
    }

    /// Whether `tracing` events become events of the span they are in; `true` unless set.
    #[must_use]
    pub fn span_events(self, record: bool) -> Builder {
        self.set("span_events", move |d, s| {
            d.span_events.set(record, s);
            Ok(())
        })
    }

    /// Whether spans and records say in which file and line they were made.
    #[must_use]
    pub fn code_location(self, record: bool) -> Builder {
        self.set("code_location", move |d, s| {
            d.code_location.set(record, s);
            Ok(())
        })
    }

    /// How context travels in headers.
    #[must_use]
    pub fn propagators(self, propagators: &[PropagatorName]) -> Builder {
        let propagators = propagators.to_vec();
        self.set("propagators", move |d, s| {
            d.propagators.set(propagators.clone(), s);
            Ok(())
        })
    }

    /// A key of the baggage that becomes an attribute of spans and log records.
    #[must_use]
    pub fn baggage_attribute(self, key: &str) -> Builder {
        let key = key.to_owned();
        self.set("baggage_attribute", move |d, s| {
            d.baggage_attributes.value.push(key.clone());
            d.baggage_attributes.source = s.clone();
            Ok(())
        })
    }
}

/// Of batches.
impl Builder {
    /// Items of a batch, and items that wait at most; 512 and 2048 unless set.
    #[must_use]
    pub fn batch(self, items: usize, queue_items: usize) -> Builder {
        self.set("batch", move |d, s| {
            if items == 0 || queue_items == 0 {
                return Err("a batch and a queue have room for one item at least".to_owned());
            }
            for batch in [&mut d.traces.batch, &mut d.logs.batch] {
                batch.batch_items_max.set(items, s);
                batch.queue_items_max.set(queue_items, s);
            }
            Ok(())
        })
    }

    /// Bytes of a signal that wait at most; 8 MiB unless set.
    #[must_use]
    pub fn queue_bytes(self, bytes_max: usize) -> Builder {
        self.set("queue_bytes", move |d, s| {
            d.traces.batch.queue_bytes_max.set(bytes_max, s);
            d.logs.batch.queue_bytes_max.set(bytes_max, s);
            Ok(())
        })
    }

    /// Longest that a span or record waits for its batch to fill; 5 s and 1 s unless set.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Builder {
        self.set("delay", move |d, s| {
            d.traces.batch.delay.set(delay, s);
            d.logs.batch.delay.set(delay, s);
            Ok(())
        })
    }

    /// Longest that a batch is tried, retries included; 30 s unless set.
    #[must_use]
    pub fn export_timeout(self, timeout: Duration) -> Builder {
        self.set("export_timeout", move |d, s| {
            d.signals().into_iter().for_each(|signal| signal.batch.export_timeout.set(timeout, s));
            Ok(())
        })
    }

    /// How often metrics are pushed; every minute unless set.
    #[must_use]
    pub fn metric_interval(self, interval: Duration) -> Builder {
        self.set("metric_interval", move |d, s| {
            if interval.is_zero() {
                return Err("an interval is longer than zero".to_owned());
            }
            d.interval.set(interval, s);
            Ok(())
        })
    }

    /// Longest that dropping the guard may take; 5 s unless set.
    #[must_use]
    pub fn shutdown_timeout(self, timeout: Duration) -> Builder {
        self.set("shutdown_timeout", move |d, s| {
            d.shutdown_timeout.set(timeout, s);
            Ok(())
        })
    }
}

/// Of metrics.
impl Builder {
    /// Pushes what was added since the last push instead of totals.
    #[must_use]
    pub fn delta(self, delta: bool) -> Builder {
        self.set("delta", move |d, s| {
            d.delta.set(delta, s);
            Ok(())
        })
    }

    /// Series per metric; what goes beyond falls into one series of overflow.
    #[must_use]
    pub fn cardinality_limit(self, series: usize) -> Builder {
        self.set("cardinality_limit", move |d, s| {
            d.cardinality_limit.set(series, s);
            Ok(())
        })
    }

    /// Whether labels that are declared of high cardinality are recorded; not unless set.
    #[must_use]
    pub fn high_cardinality(self, record: bool) -> Builder {
        self.set("high_cardinality", move |d, s| {
            d.high_cardinality.set(record, s);
            Ok(())
        })
    }

    /// Whether histograms without buckets of their own are exponential; not unless set.
    #[must_use]
    pub fn exponential_histograms(self, exponential: bool) -> Builder {
        self.set("exponential_histograms", move |d, s| {
            d.exponential_histograms.set(exponential, s);
            Ok(())
        })
    }

    /// Whether metrics of the process and of tokio are recorded; they are unless set.
    #[must_use]
    pub fn runtime_metrics(self, record: bool) -> Builder {
        self.set("runtime_metrics", move |d, s| {
            d.runtime.set(record, s);
            Ok(())
        })
    }
}

/// Of logs.
impl Builder {
    /// What people see of the log.
    #[must_use]
    pub fn console(self, console: Console) -> Builder {
        self.set("console", move |d, s| {
            d.console.set(console, s);
            Ok(())
        })
    }

    /// Where they see it.
    #[must_use]
    pub fn console_stream(self, stream: ConsoleStream) -> Builder {
        self.set("console_stream", move |d, s| {
            d.console_stream.set(stream, s);
            Ok(())
        })
    }

    /// Which records are made, as `info,images=debug,hyper=warn`: of subsystems or targets.
    #[must_use]
    pub fn level(self, directives: &str) -> Builder {
        let directives = directives.to_owned();
        self.set("level", move |d, s| config::log_level(d, &directives, s))
    }

    /// Names the subsystem of a target and those below it: `hypeman::images`, `IMAGES`.
    #[must_use]
    pub fn subsystem(self, target: &str, subsystem: &str) -> Builder {
        let pair = (target.to_owned(), subsystem.to_owned());
        self.set("subsystem", move |d, _| {
            d.subsystems.push(pair.clone());
            Ok(())
        })
    }

    /// A field of spans that records inside the span carry as an attribute.
    #[must_use]
    pub fn span_field(self, field: &str) -> Builder {
        let field = field.to_owned();
        self.set("span_field", move |d, s| {
            d.span_fields.value.push(field.clone());
            d.span_fields.source = s.clone();
            Ok(())
        })
    }

    /// Identical lines per second beyond which the rest is counted, not kept.
    #[must_use]
    pub fn repeat_limit(self, lines_per_second: u32) -> Builder {
        self.set("repeat_limit", move |d, s| {
            d.repeat_limit.set(Some(lines_per_second), s);
            Ok(())
        })
    }

    /// Whether records below WARN of traces that sampling leaves out are left out, too.
    #[must_use]
    pub fn logs_follow_sampling(self, follow: bool) -> Builder {
        self.set("logs_follow_sampling", move |d, s| {
            d.follow_sampling.set(follow, s);
            Ok(())
        })
    }

    /// What the body of a log record is: the message, unless set.
    #[must_use]
    pub fn log_body(self, body: LogBody) -> Builder {
        self.set("log_body", move |d, s| {
            d.log_body.set(body, s);
            Ok(())
        })
    }

    /// Whether a panic becomes a log record, and what waits leaves before the process ends;
    /// it does unless set. Only of [`Builder::install`].
    #[must_use]
    pub fn panic_hook(self, record: bool) -> Builder {
        self.set("panic_hook", move |d, s| {
            d.panic_hook.set(record, s);
            Ok(())
        })
    }

    /// Whether SIGTERM, as Kubernetes and systemd stop a service, and SIGINT send what waits,
    /// within [`Builder::shutdown_timeout`], before they end the process; they do not unless
    /// set. Only of [`Builder::install`], and only on Unix.
    ///
    /// It is for programs that leave the end to the system. A service that drains its requests
    /// first has a handler of its own, returns from `main`, and the guard sends what waits: it
    /// does not need this, and with it nothing changes, since a handler that there is, or comes
    /// later, is in charge alone. The time that the system grants (30 s in Kubernetes) has to
    /// hold both. A second signal ends the process at once.
    #[must_use]
    pub fn flush_on_signals(self, flush: bool) -> Builder {
        self.set("flush_on_signals", move |d, s| {
            d.flush_on_signals.set(flush, s);
            Ok(())
        })
    }
}

/// Adds a rule to those that the sampler has, inside of what honours the caller.
fn with_rule(sampler: SamplerSettings, rule: OperationRule) -> SamplerSettings {
    match sampler {
        SamplerSettings::ParentBased { root } => {
            SamplerSettings::ParentBased { root: Box::new(with_rule(*root, rule)) }
        }
        SamplerSettings::PerOperation { mut rules, otherwise } => {
            rules.push(rule);
            SamplerSettings::PerOperation { rules, otherwise }
        }
        other => SamplerSettings::PerOperation { rules: vec![rule], otherwise: Box::new(other) },
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = |changes: &[Change]| changes.iter().map(|c| c.method).collect::<Vec<_>>();
        f.debug_struct("Builder")
            .field("service_name", &self.service_name)
            .field("prefix", &self.prefix)
            .field("defaults", &methods(&self.defaults))
            .field("changes", &methods(&self.changes))
            .finish_non_exhaustive()
    }
}
