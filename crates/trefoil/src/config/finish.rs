//! The draft as plain settings.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::draft::{BatchDraft, Choice, Draft, SignalDraft};
use super::endpoint::url;
use super::source::Layer;
use super::{
    BatchSettings, ExporterSettings, KeepSettings, LogLimits, LogSettings, MetricSettings,
    OtlpProtocol, OtlpSettings, Settings, SpanLimits, TlsSettings, Told, TraceSettings,
};
use crate::account::Signal;

/// Where Jaeger's collector takes spans in Thrift over HTTP.
const JAEGER_COLLECTOR: &str = "http://localhost:14268/api/traces";
/// Where Jaeger's agent takes them in compact Thrift over UDP.
const JAEGER_AGENT_PORT: u16 = 6831;
const JAEGER_AGENT_HOST: &str = "localhost";

/// Works the settings out.
pub(super) fn settings(draft: &mut Draft, warnings: &mut BTreeSet<String>) -> Settings {
    consistent(draft, warnings);
    Settings {
        enabled: draft.enabled.value,
        resource: draft.resource.iter().map(|(k, v)| (k.clone(), v.value.clone())).collect(),
        traces: traces(draft),
        metrics: metrics(draft),
        logs: logs(draft),
        propagators: draft.propagators.value.clone(),
        baggage_attributes: draft.baggage_attributes.value.clone(),
        shutdown_timeout: draft.shutdown_timeout.value,
        spool: draft.spool.value.clone(),
        told: told(draft),
        panic_hook: draft.panic_hook.value,
        flush_on_signals: draft.flush_on_signals.value,
    }
}

/// With no receiver named, one may well not be there.
fn told(draft: &Draft) -> Told {
    let named = |signal: &SignalDraft| {
        signal.exporters.source.layer > Layer::Default
            || signal.otlp.endpoint.source.layer > Layer::Default
    };
    if !draft.status_line.value {
        Told::Nothing
    } else if [&draft.traces, &draft.metrics, &draft.logs].into_iter().any(named) {
        Told::All
    } else {
        Told::Once
    }
}

/// Values that contradict each other.
fn consistent(draft: &mut Draft, warnings: &mut BTreeSet<String>) {
    for (name, signal) in ["traces", "metrics", "logs"].into_iter().zip(draft.signals()) {
        let batch = &mut signal.batch;
        if batch.batch_items_max.value > batch.queue_items_max.value {
            let items = batch.queue_items_max.value;
            warnings.insert(format!(
                "{}: a batch of {} {name} is larger than the queue of {items}; batches have \
                 {items}",
                batch.batch_items_max.source, batch.batch_items_max.value
            ));
            batch.batch_items_max.value = items;
        }
        let (certificate, key) = (&signal.otlp.client_certificate, &signal.otlp.client_key);
        let lone = match (&certificate.value, &key.value) {
            (Some(_), None) => Some((certificate.source.clone(), "key")),
            (None, Some(_)) => Some((key.source.clone(), "certificate")),
            _ => None,
        };
        if let Some((source, missing)) = lone {
            warnings.insert(format!(
                "{source}: the client's {missing} is missing; both are \
                                     needed and none is used"
            ));
            signal.otlp.client_certificate.value = None;
            signal.otlp.client_key.value = None;
        }
    }
}

fn traces(draft: &Draft) -> TraceSettings {
    let limits = &draft.limits;
    TraceSettings {
        exporters: exporters(draft, Signal::Traces, &draft.traces),
        sampler: draft.sampler.value.clone(),
        keep: KeepSettings {
            errors: draft.keep.errors.value,
            slow: draft.keep.slow.value,
            slow_by_route: draft.keep.slow_by_route.value.clone(),
            pending_bytes_max: draft.keep.pending_bytes_max.value,
            open_spans_max: draft.keep.open_spans_max.value,
        },
        limits: SpanLimits {
            attributes: limits.span_attributes.value.unwrap_or(limits.attributes.value),
            value_bytes: limits.span_value_bytes.value.or(limits.value_bytes.value),
            events: limits.events.value,
            links: limits.links.value,
            attributes_per_event: limits.attributes_per_event.value,
            attributes_per_link: limits.attributes_per_link.value,
        },
        batch: batch(&draft.traces.batch),
        span_events: draft.span_events.value,
        levels: draft.span_levels.value.clone(),
        code_location: draft.code_location.value,
    }
}

fn metrics(draft: &Draft) -> MetricSettings {
    let prometheus = &draft.prometheus;
    let address = SocketAddr::new(prometheus.host.value, prometheus.port.value);
    MetricSettings {
        exporters: exporters(draft, Signal::Metrics, &draft.metrics),
        interval: draft.interval.value,
        export_timeout: draft.metrics.batch.export_timeout.value,
        delta: draft.delta.value,
        prometheus: prometheus.enabled.value.then_some(address),
        cardinality_limit: draft.cardinality_limit.value,
        exemplars: draft.exemplars.value,
        high_cardinality: draft.high_cardinality.value,
        exponential_histograms: draft.exponential_histograms.value,
        runtime: draft.runtime.value,
    }
}

fn logs(draft: &Draft) -> LogSettings {
    let mut levels = draft.levels.value.clone();
    for (subsystem, level) in &draft.subsystem_levels {
        levels.push_str(&format!(",{subsystem}={}", level.value));
    }
    let limits = &draft.limits;
    LogSettings {
        exporters: exporters(draft, Signal::Logs, &draft.logs),
        batch: batch(&draft.logs.batch),
        console: draft.console.value,
        console_stream: draft.console_stream.value,
        levels,
        subsystems: draft.subsystems.clone(),
        limits: LogLimits {
            attributes: limits.log_attributes.value.unwrap_or(limits.attributes.value),
            value_bytes: limits.log_value_bytes.value.or(limits.value_bytes.value),
        },
        code_location: draft.code_location.value,
        span_fields: draft.span_fields.value.clone(),
        repeat_limit: draft.repeat_limit.value,
        follow_sampling: draft.follow_sampling.value,
        body: draft.log_body.value,
    }
}

fn batch(draft: &BatchDraft) -> BatchSettings {
    BatchSettings {
        batch_items_max: draft.batch_items_max.value,
        queue_items_max: draft.queue_items_max.value,
        queue_bytes_max: draft.queue_bytes_max.value,
        delay: draft.delay.value,
        export_timeout: draft.export_timeout.value,
    }
}

fn exporters(draft: &Draft, signal: Signal, own: &SignalDraft) -> Vec<ExporterSettings> {
    let built = |choice: &Choice| match choice {
        Choice::Otlp => ExporterSettings::Otlp(otlp(signal, own)),
        Choice::Jaeger => jaeger(draft),
        Choice::Stdout { json } => ExporterSettings::Stdout { json: *json },
        Choice::Built(ExporterSettings::Otlp(settings)) => {
            ExporterSettings::Otlp(overridden(settings, signal, own))
        }
        Choice::Built(exporter) => exporter.clone(),
    };
    own.exporters.value.iter().map(built).collect()
}

pub(super) fn otlp(signal: Signal, own: &SignalDraft) -> OtlpSettings {
    let (protocol, endpoint) = url(&own.otlp, signal);
    OtlpSettings {
        protocol,
        endpoint,
        headers: own.otlp.headers.value.clone(),
        timeout: own.otlp.timeout.value,
        gzip: own.otlp.gzip.value,
        tls: TlsSettings {
            ca: own.otlp.ca.value.clone(),
            client_certificate: own.otlp.client_certificate.value.clone(),
            client_key: own.otlp.client_key.value.clone(),
        },
        proxy: None,
    }
}

/// A file's exporter, sent elsewhere by a stronger layer.
fn overridden(settings: &OtlpSettings, signal: Signal, own: &SignalDraft) -> OtlpSettings {
    let mut settings = settings.clone();
    if own.otlp.endpoint.source.layer > Layer::Standard {
        let (protocol, endpoint) = url(&own.otlp, signal);
        // JSON stays JSON: the file knows what its receiver reads.
        let stays =
            settings.protocol == OtlpProtocol::HttpJson && protocol == OtlpProtocol::HttpProtobuf;
        settings.endpoint = endpoint;
        settings.protocol = if stays { OtlpProtocol::HttpJson } else { protocol };
    }
    if own.otlp.headers.source.layer > Layer::Standard {
        settings.headers.clone_from(&own.otlp.headers.value);
    }
    settings
}

/// The collector if anybody named it, as in Jaeger's clients; the agent if anybody named
/// that; else the collector on this machine.
fn jaeger(draft: &Draft) -> ExporterSettings {
    let jaeger = &draft.jaeger;
    let (host, port) = (&jaeger.agent_host.value, jaeger.agent_port.value);
    if jaeger.endpoint.value.is_none() && (host.is_some() || port.is_some()) {
        let host = host.as_deref().unwrap_or(JAEGER_AGENT_HOST);
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let address = format!("{host}:{}", port.unwrap_or(JAEGER_AGENT_PORT));
        return ExporterSettings::JaegerAgent { address };
    }
    ExporterSettings::JaegerCollector {
        endpoint: jaeger.endpoint.value.clone().unwrap_or_else(|| JAEGER_COLLECTOR.to_owned()),
        timeout: jaeger.timeout.value,
        proxy: None,
    }
}
