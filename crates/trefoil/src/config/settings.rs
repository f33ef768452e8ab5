//! The settings with their defaults: plain values, passed down to whom they concern.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Proxy;
use crate::value::Value;

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// False starts nothing: no thread, no socket, and a span costs what `tracing` costs.
    pub(crate) enabled: bool,
    /// Attributes of the resource, `service.name` among them.
    pub(crate) resource: Vec<(String, Value)>,
    pub(crate) traces: TraceSettings,
    pub(crate) metrics: MetricSettings,
    pub(crate) logs: LogSettings,
    pub(crate) propagators: Vec<PropagatorName>,
    /// Baggage keys that become attributes of spans and log records.
    pub(crate) baggage_attributes: Vec<String>,
    /// Longest that dropping the guard may take.
    pub(crate) shutdown_timeout: Duration,
    /// Where batches wait that could not be sent, across restarts; `None` keeps them in memory.
    pub(crate) spool: Option<SpoolSettings>,
    pub(crate) told: Told,
    /// Whether a panic becomes a log record that leaves before the process ends.
    pub(crate) panic_hook: bool,
    /// Whether signals that end the process wait until telemetry has left.
    pub(crate) flush_on_signals: bool,
}

/// What standard error is told of wrong settings and of receivers that cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Told {
    /// The first failure, then a line now and then.
    #[default]
    All,
    /// The first failure alone: nobody named a receiver, so that none need be there.
    Once,
    Nothing,
}

#[derive(Clone, Debug)]
pub(crate) struct TraceSettings {
    pub(crate) exporters: Vec<ExporterSettings>,
    pub(crate) sampler: SamplerSettings,
    pub(crate) keep: KeepSettings,
    pub(crate) limits: SpanLimits,
    pub(crate) batch: BatchSettings,
    /// Whether `tracing` events inside a span become events of the span.
    pub(crate) span_events: bool,
    /// Directives as `info,hyper=warn`: which spans there are, whatever the levels of logs.
    pub(crate) levels: String,
    /// Whether spans say in which file and line they begin.
    pub(crate) code_location: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct MetricSettings {
    /// To whom metrics are pushed.
    pub(crate) exporters: Vec<ExporterSettings>,
    pub(crate) interval: Duration,
    /// Longest that collecting and sending once may take.
    pub(crate) export_timeout: Duration,
    pub(crate) delta: bool,
    /// Where `/metrics` is served; `None` serves it nowhere.
    pub(crate) prometheus: Option<SocketAddr>,
    /// Series per metric, beyond which the overflow series takes the rest.
    pub(crate) cardinality_limit: usize,
    pub(crate) exemplars: bool,
    /// Whether labels that are declared of high cardinality are recorded.
    pub(crate) high_cardinality: bool,
    /// Histograms without buckets of their own become exponential.
    pub(crate) exponential_histograms: bool,
    /// Metrics of the process, the allocator and tokio.
    pub(crate) runtime: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    pub(crate) exporters: Vec<ExporterSettings>,
    pub(crate) batch: BatchSettings,
    pub(crate) console: Console,
    pub(crate) console_stream: ConsoleStream,
    /// Directives as `info,images=debug,hyper=warn`, of subsystems or targets.
    pub(crate) levels: String,
    /// Prefixes of targets and the subsystem that each is, e.g. `hypeman::images`, `IMAGES`.
    pub(crate) subsystems: Vec<(String, String)>,
    pub(crate) limits: LogLimits,
    /// Whether records say in which file and line they were made.
    pub(crate) code_location: bool,
    /// Span fields that become attributes of the log records inside the span.
    pub(crate) span_fields: Vec<String>,
    /// Identical lines per second beyond which the rest is counted, not kept; `None` keeps all.
    pub(crate) repeat_limit: Option<u32>,
    /// Whether records below WARN of traces that sampling leaves out are left out, too.
    pub(crate) follow_sampling: bool,
    /// What readers find in a record's body.
    pub(crate) body: crate::log::LogBody,
}

/// OpenTelemetry's `OTEL_LOGRECORD_*` limits.
#[derive(Clone, Debug)]
pub(crate) struct LogLimits {
    pub(crate) attributes: u32,
    /// Bytes of a text; longer ones are cut at a character.
    pub(crate) value_bytes: Option<usize>,
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits { attributes: 128, value_bytes: None }
    }
}

/// What people see of the log on standard output or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Console {
    /// Nothing.
    Off,
    /// Lines to read, in colour on a terminal.
    Pretty,
    /// An object of JSON a line.
    Json,
}

/// Where the console is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsoleStream {
    /// Lines to read on standard error, JSON on standard output, as programs that read logs
    /// expect them.
    ByForm,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// When a batch leaves. Names and defaults are OpenTelemetry's `OTEL_BSP_*`, `OTEL_BLRP_*`.
#[derive(Clone, Debug)]
pub(crate) struct BatchSettings {
    /// Items in a batch.
    pub(crate) batch_items_max: usize,
    /// Items that wait.
    pub(crate) queue_items_max: usize,
    /// Bytes that wait.
    pub(crate) queue_bytes_max: usize,
    /// Longest that an item waits for its batch to fill.
    pub(crate) delay: Duration,
    /// Longest that a batch is tried, retries included.
    pub(crate) export_timeout: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        BatchSettings {
            batch_items_max: 512,
            queue_items_max: 2048,
            queue_bytes_max: 8 << 20,
            delay: Duration::from_secs(5),
            export_timeout: Duration::from_secs(30),
        }
    }
}

/// OpenTelemetry's `OTEL_SPAN_*` and `OTEL_EVENT_*`, `OTEL_LINK_*` limits.
#[derive(Clone, Debug)]
pub(crate) struct SpanLimits {
    pub(crate) attributes: u32,
    /// Bytes of a text; longer ones are cut at a character.
    pub(crate) value_bytes: Option<usize>,
    pub(crate) events: u32,
    pub(crate) links: u32,
    pub(crate) attributes_per_event: u32,
    pub(crate) attributes_per_link: u32,
}

impl Default for SpanLimits {
    fn default() -> Self {
        SpanLimits {
            attributes: 128,
            value_bytes: None,
            events: 128,
            links: 128,
            attributes_per_event: 128,
            attributes_per_link: 128,
        }
    }
}

/// How it is decided which traces are exported.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SamplerSettings {
    AlwaysOn,
    AlwaysOff,
    /// The share of traces, 0 to 1.
    Ratio(f64),
    /// Traces per second.
    RateLimited(f64),
    /// The first rule that matches decides, else `otherwise`.
    PerOperation {
        rules: Vec<OperationRule>,
        otherwise: Box<SamplerSettings>,
    },
    /// What the caller decided; `root` decides where there is none.
    ParentBased {
        root: Box<SamplerSettings>,
    },
    /// Strategies that Jaeger hands out for a service, asked for at an interval.
    JaegerRemote {
        endpoint: String,
        interval: Duration,
        initial: Box<SamplerSettings>,
    },
}

/// An operation and how it is sampled. What is `None` matches all.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OperationRule {
    /// The span's name; `*` at the end matches any rest.
    pub(crate) name: Option<String>,
    /// The value of `http.route`, likewise.
    pub(crate) route: Option<String>,
    /// An attribute and its value as text.
    pub(crate) attribute: Option<(String, String)>,
    pub(crate) sampler: SamplerSettings,
}

/// Which traces are kept although they are not sampled.
#[derive(Clone, Debug)]
pub(crate) struct KeepSettings {
    /// Those with a span that failed.
    pub(crate) errors: bool,
    /// Those whose local root took longer.
    pub(crate) slow: Option<Duration>,
    /// The same by route or root span name; `*` at the end matches any rest. The first match wins over `slow`.
    pub(crate) slow_by_route: Vec<(String, Duration)>,
    /// Bytes of finished spans and log records of traces that are not decided yet.
    pub(crate) pending_bytes_max: usize,
    /// Spans that are open at once; more are not recorded, and counted.
    pub(crate) open_spans_max: usize,
}

impl Default for KeepSettings {
    fn default() -> Self {
        KeepSettings {
            errors: true,
            slow: None,
            slow_by_route: Vec::new(),
            pending_bytes_max: 16 << 20,
            open_spans_max: 200_000,
        }
    }
}

/// To whom a signal goes.
#[derive(Clone, Debug)]
pub(crate) enum ExporterSettings {
    Otlp(OtlpSettings),
    /// Thrift over HTTP, `http://localhost:14268/api/traces`. Traces only.
    JaegerCollector {
        endpoint: String,
        timeout: Duration,
        proxy: Option<Box<Proxy>>,
    },
    /// Thrift compact over UDP, `localhost:6831`. Traces only.
    JaegerAgent {
        address: String,
    },
    /// Standard output, for people or as a line of JSON an item.
    Stdout {
        json: bool,
    },
    /// A place in memory, for tests.
    Memory(crate::export::Memory),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OtlpSettings {
    pub(crate) protocol: OtlpProtocol,
    /// With a scheme. For HTTP the whole path of the signal, e.g. `http://127.0.0.1:4318/v1/traces`.
    pub(crate) endpoint: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Longest that one try takes.
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) tls: TlsSettings,
    /// What it is reached through.
    pub(crate) proxy: Option<Box<Proxy>>,
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// gRPC, usually on port 4317.
    Grpc,
    /// HTTP with bodies in protobuf, usually on port 4318.
    HttpProtobuf,
    /// HTTP with bodies in JSON, usually on port 4318.
    HttpJson,
}

/// Files in PEM. Without a CA the platform's roots count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) client_certificate: Option<PathBuf>,
    pub(crate) client_key: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub(crate) struct SpoolSettings {
    pub(crate) folder: PathBuf,
    pub(crate) bytes_max: u64,
}

/// How context travels in headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PropagatorName {
    /// W3C trace context, `traceparent` and `tracestate`.
    TraceContext,
    /// W3C baggage.
    Baggage,
    /// Jaeger's `uber-trace-id` and `uberctx-…`.
    Jaeger,
    /// One header, `b3`.
    B3,
    /// Several, `X-B3-…`.
    B3Multi,
}
