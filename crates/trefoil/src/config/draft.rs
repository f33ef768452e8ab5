//! All settings while the layers are laid over each other.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::source::{Given, Layer, Source};
use super::{
    BatchSettings, Console, ConsoleStream, ExporterSettings, KeepSettings, OtlpProtocol,
    PropagatorName, SamplerSettings, SpanLimits, SpoolSettings,
};
use crate::account::Signal;
use crate::log::LogBody;
use crate::value::Value;

/// Longest that one try of an export takes, by OpenTelemetry's specification.
const OTLP_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that dropping the guard holds up the end of the process.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Where OpenTelemetry's Prometheus exporter listens unless told otherwise.
pub(crate) const PROMETHEUS_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);

/// The settings with their sources, in the terms of those who set them.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) enabled: Given<bool>,
    /// Attributes of the resource in the order they came.
    pub(crate) resource: Vec<(String, Given<Value>)>,
    pub(crate) traces: SignalDraft,
    pub(crate) metrics: SignalDraft,
    pub(crate) logs: SignalDraft,
    pub(crate) jaeger: JaegerDraft,
    pub(crate) sampler: Given<SamplerSettings>,
    pub(crate) keep: KeepDraft,
    pub(crate) limits: LimitsDraft,
    pub(crate) span_events: Given<bool>,
    pub(crate) span_levels: Given<String>,
    pub(crate) code_location: Given<bool>,
    pub(crate) interval: Given<Duration>,
    pub(crate) delta: Given<bool>,
    pub(crate) prometheus: PrometheusDraft,
    pub(crate) cardinality_limit: Given<usize>,
    pub(crate) exemplars: Given<bool>,
    pub(crate) high_cardinality: Given<bool>,
    pub(crate) exponential_histograms: Given<bool>,
    pub(crate) runtime: Given<bool>,
    pub(crate) console: Given<Console>,
    pub(crate) console_stream: Given<ConsoleStream>,
    pub(crate) levels: Given<String>,
    /// Subsystem and its level.
    pub(crate) subsystem_levels: Vec<(String, Given<String>)>,
    /// Prefix of a target and the subsystem it is.
    pub(crate) subsystems: Vec<(String, String)>,
    pub(crate) span_fields: Given<Vec<String>>,
    pub(crate) repeat_limit: Given<Option<u32>>,
    pub(crate) follow_sampling: Given<bool>,
    pub(crate) log_body: Given<LogBody>,
    pub(crate) propagators: Given<Vec<PropagatorName>>,
    pub(crate) baggage_attributes: Given<Vec<String>>,
    pub(crate) shutdown_timeout: Given<Duration>,
    pub(crate) spool: Given<Option<SpoolSettings>>,
    pub(crate) status_line: Given<bool>,
    pub(crate) panic_hook: Given<bool>,
    pub(crate) flush_on_signals: Given<bool>,
}

/// What each signal has.
#[derive(Debug)]
pub(crate) struct SignalDraft {
    /// To whom it goes.
    pub(crate) exporters: Given<Vec<Choice>>,
    pub(crate) otlp: OtlpDraft,
    pub(crate) batch: BatchDraft,
}

/// An exporter as people name it.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    Otlp,
    Jaeger,
    Stdout {
        json: bool,
    },
    /// Whole, as a file has it; an endpoint of a stronger layer still replaces its own.
    Built(ExporterSettings),
}

#[derive(Debug)]
pub(crate) struct OtlpDraft {
    pub(crate) endpoint: Given<Endpoint>,
    pub(crate) protocol: Given<Option<OtlpProtocol>>,
    pub(crate) insecure: Given<Option<bool>>,
    pub(crate) headers: Given<Vec<(String, String)>>,
    pub(crate) timeout: Given<Duration>,
    pub(crate) gzip: Given<bool>,
    pub(crate) ca: Given<Option<PathBuf>>,
    pub(crate) client_certificate: Given<Option<PathBuf>>,
    pub(crate) client_key: Given<Option<PathBuf>>,
}

#[derive(Debug)]
pub(crate) struct BatchDraft {
    pub(crate) batch_items_max: Given<usize>,
    pub(crate) queue_items_max: Given<usize>,
    pub(crate) queue_bytes_max: Given<usize>,
    pub(crate) delay: Given<Duration>,
    pub(crate) export_timeout: Given<Duration>,
}

#[derive(Debug)]
pub(crate) struct JaegerDraft {
    /// Of the collector, whole.
    pub(crate) endpoint: Given<Option<String>>,
    pub(crate) agent_host: Given<Option<String>>,
    pub(crate) agent_port: Given<Option<u16>>,
    pub(crate) timeout: Given<Duration>,
    /// Where sampling strategies are asked for.
    pub(crate) sampling_endpoint: Given<Option<String>>,
}

#[derive(Debug)]
pub(crate) struct PrometheusDraft {
    pub(crate) enabled: Given<bool>,
    pub(crate) host: Given<std::net::IpAddr>,
    pub(crate) port: Given<u16>,
}

#[derive(Debug)]
pub(crate) struct KeepDraft {
    pub(crate) errors: Given<bool>,
    pub(crate) slow: Given<Option<Duration>>,
    pub(crate) slow_by_route: Given<Vec<(String, Duration)>>,
    pub(crate) pending_bytes_max: Given<usize>,
    pub(crate) open_spans_max: Given<usize>,
}

/// `None` where the general limit counts.
#[derive(Debug)]
pub(crate) struct LimitsDraft {
    pub(crate) attributes: Given<u32>,
    pub(crate) value_bytes: Given<Option<usize>>,
    pub(crate) span_attributes: Given<Option<u32>>,
    pub(crate) span_value_bytes: Given<Option<usize>>,
    pub(crate) events: Given<u32>,
    pub(crate) links: Given<u32>,
    pub(crate) attributes_per_event: Given<u32>,
    pub(crate) attributes_per_link: Given<u32>,
    pub(crate) log_attributes: Given<Option<u32>>,
    pub(crate) log_value_bytes: Given<Option<usize>>,
}

impl Draft {
    /// What holds with nothing set: see ADR 0009.
    pub(crate) fn new() -> Draft {
        Draft {
            enabled: Given::default(true),
            resource: Vec::new(),
            traces: SignalDraft::new(Duration::from_secs(5)),
            metrics: SignalDraft::new(Duration::from_secs(5)),
            logs: SignalDraft::new(Duration::from_secs(1)),
            jaeger: JaegerDraft::new(),
            sampler: Given::default(SamplerSettings::ParentBased {
                root: Box::new(SamplerSettings::AlwaysOn),
            }),
            keep: KeepDraft::new(),
            limits: LimitsDraft::new(),
            span_events: Given::default(true),
            span_levels: Given::default("info".to_owned()),
            code_location: Given::default(true),
            interval: Given::default(Duration::from_secs(60)),
            delta: Given::default(false),
            prometheus: PrometheusDraft {
                enabled: Given::default(false),
                host: Given::default(PROMETHEUS_DEFAULT.ip()),
                port: Given::default(PROMETHEUS_DEFAULT.port()),
            },
            cardinality_limit: Given::default(2000),
            exemplars: Given::default(true),
            high_cardinality: Given::default(false),
            exponential_histograms: Given::default(false),
            runtime: Given::default(true),
            console: Given::default(Console::Pretty),
            console_stream: Given::default(ConsoleStream::ByForm),
            levels: Given::default("info".to_owned()),
            subsystem_levels: Vec::new(),
            subsystems: Vec::new(),
            span_fields: Given::default(Vec::new()),
            repeat_limit: Given::default(None),
            follow_sampling: Given::default(false),
            log_body: Given::default(LogBody::Message),
            propagators: Given::default(vec![
                PropagatorName::TraceContext,
                PropagatorName::Baggage,
            ]),
            baggage_attributes: Given::default(Vec::new()),
            shutdown_timeout: Given::default(SHUTDOWN_TIMEOUT),
            spool: Given::default(None),
            status_line: Given::default(true),
            panic_hook: Given::default(true),
            flush_on_signals: Given::default(false),
        }
    }

    /// Sets an attribute of the resource.
    pub(crate) fn attribute(&mut self, key: &str, value: impl Into<Value>, source: &Source) {
        let given = Given { value: value.into(), source: source.clone() };
        match self.resource.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = given,
            None => self.resource.push((key.to_owned(), given)),
        }
    }

    /// Sets the environment under its present name and the one of the documents, which is the
    /// one most dashboards still ask for.
    pub(crate) fn environment(&mut self, name: &str, source: &Source) {
        self.attribute("deployment.environment.name", name.to_owned(), source);
        self.attribute("deployment.environment", name.to_owned(), source);
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> &mut SignalDraft {
        match signal {
            Signal::Traces => &mut self.traces,
            Signal::Metrics => &mut self.metrics,
            Signal::Logs => &mut self.logs,
        }
    }

    pub(crate) fn signals(&mut self) -> [&mut SignalDraft; 3] {
        [&mut self.traces, &mut self.metrics, &mut self.logs]
    }

    /// Sets the endpoint of all signals and chooses OTLP for them.
    pub(crate) fn otlp_endpoint(&mut self, endpoint: &Endpoint, source: &Source) {
        for signal in self.signals() {
            signal.otlp.endpoint.set(endpoint.clone(), source);
            signal.choose(Choice::Otlp, source);
        }
    }

    /// The level of one subsystem.
    pub(crate) fn subsystem_level(&mut self, subsystem: &str, level: String, source: &Source) {
        let given = Given { value: level, source: source.clone() };
        match self.subsystem_levels.iter_mut().find(|(known, _)| known == subsystem) {
            Some((_, old)) => *old = given,
            None => self.subsystem_levels.push((subsystem.to_owned(), given)),
        }
    }
}

impl SignalDraft {
    fn new(delay: Duration) -> SignalDraft {
        let batch = BatchSettings { delay, ..BatchSettings::default() };
        SignalDraft {
            exporters: Given::default(vec![Choice::Otlp]),
            otlp: OtlpDraft {
                endpoint: Given::default(Endpoint::local()),
                protocol: Given::default(None),
                insecure: Given::default(None),
                headers: Given::default(Vec::new()),
                timeout: Given::default(OTLP_TIMEOUT),
                gzip: Given::default(false),
                ca: Given::default(None),
                client_certificate: Given::default(None),
                client_key: Given::default(None),
            },
            batch: BatchDraft {
                batch_items_max: Given::default(batch.batch_items_max),
                queue_items_max: Given::default(batch.queue_items_max),
                queue_bytes_max: Given::default(batch.queue_bytes_max),
                delay: Given::default(batch.delay),
                export_timeout: Given::default(batch.export_timeout),
            },
        }
    }

    /// What a file's exporter is made of.
    #[cfg(feature = "config-file")]
    pub(crate) fn unset() -> SignalDraft {
        SignalDraft::new(Duration::ZERO)
    }

    /// Adds an exporter; the first of a layer replaces those of weaker layers.
    pub(crate) fn choose(&mut self, choice: Choice, source: &Source) {
        if self.exporters.source.layer != source.layer {
            self.exporters.set(vec![choice], source);
            return;
        }
        let same = std::mem::discriminant(&choice);
        let known = self.exporters.value.iter().any(|other| std::mem::discriminant(other) == same);
        if !known || matches!(choice, Choice::Built(_)) {
            self.exporters.value.push(choice);
        }
    }
}

impl JaegerDraft {
    fn new() -> JaegerDraft {
        JaegerDraft {
            endpoint: Given::default(None),
            agent_host: Given::default(None),
            agent_port: Given::default(None),
            timeout: Given::default(OTLP_TIMEOUT),
            sampling_endpoint: Given::default(None),
        }
    }
}

impl KeepDraft {
    fn new() -> KeepDraft {
        let default = KeepSettings::default();
        KeepDraft {
            errors: Given::default(default.errors),
            slow: Given::default(default.slow),
            slow_by_route: Given::default(default.slow_by_route),
            pending_bytes_max: Given::default(default.pending_bytes_max),
            open_spans_max: Given::default(default.open_spans_max),
        }
    }
}

impl LimitsDraft {
    fn new() -> LimitsDraft {
        let default = SpanLimits::default();
        LimitsDraft {
            attributes: Given::default(default.attributes),
            value_bytes: Given::default(default.value_bytes),
            span_attributes: Given::default(None),
            span_value_bytes: Given::default(None),
            events: Given::default(default.events),
            links: Given::default(default.links),
            attributes_per_event: Given::default(default.attributes_per_event),
            attributes_per_link: Given::default(default.attributes_per_link),
            log_attributes: Given::default(None),
            log_value_bytes: Given::default(None),
        }
    }
}

impl PrometheusDraft {
    /// Serves `/metrics` there.
    pub(crate) fn serve(&mut self, address: SocketAddr, source: &Source) {
        self.enabled.set(true, source);
        self.host.set(address.ip(), source);
        self.port.set(address.port(), source);
    }
}

/// The first layer that says something about Jaeger's exporter chooses it.
pub(crate) fn choose_jaeger(draft: &mut Draft, source: &Source) {
    debug_assert!(source.layer > Layer::Detected);
    draft.traces.choose(Choice::Jaeger, source);
}
