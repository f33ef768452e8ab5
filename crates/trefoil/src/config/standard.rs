//! The variables of OpenTelemetry's specification, version 1.50.
//!
//! Names and defaults: "Environment Variable Specification" and "OTLP Exporter
//! Configuration". Those of the Jaeger exporter left the specification in 2023 and are
//! still set in many a manifest.

use super::draft::{Choice, Draft, SignalDraft};
use super::endpoint::Endpoint;
use super::environment::{Environment, Rule};
use super::source::{Layer, Source};
use super::{Console, OtlpProtocol, PropagatorName, parse, sampler};
use crate::account::Signal;

/// Lays the layer over the draft.
pub(super) fn apply(draft: &mut Draft, environment: &mut Environment<'_>) {
    environment.apply(draft, Layer::Standard, "", GENERAL);
    otlp(draft, environment);
    sampler::standard(draft, environment);
    environment.apply(draft, Layer::Standard, "", EXPORTERS);
    // The name counts more than the same attribute in the list.
    environment.apply(draft, Layer::Standard, "", NAME);
}

/// Whether one of the tables has this name: with a file, those are ignored.
#[cfg(feature = "config-file")]
pub(super) fn is_standard(name: &str) -> bool {
    let listed = [GENERAL, EXPORTERS, NAME].iter().any(|table| table.iter().any(|r| r.0 == name));
    listed || name.starts_with("OTEL_EXPORTER_OTLP_") || name.starts_with("OTEL_TRACES_SAMPLER")
}

const NAME: &[Rule] = &[("OTEL_SERVICE_NAME", |d, v, s| {
    d.attribute("service.name", v.to_owned(), s);
    Ok(())
})];

const GENERAL: &[Rule] = &[
    ("OTEL_SDK_DISABLED", |d, v, s| {
        d.enabled.set(!parse::standard_bool(v)?, s);
        Ok(())
    }),
    ("OTEL_LOG_LEVEL", |d, v, s| {
        // Of the crate's own word on standard error, not of the application's records.
        d.status_line.set(parse::level(v)? != "off", s);
        Ok(())
    }),
    ("OTEL_RESOURCE_ATTRIBUTES", |d, v, s| {
        for (key, value) in parse::pairs(v)? {
            d.attribute(&key, value, s);
        }
        Ok(())
    }),
    ("OTEL_PROPAGATORS", |d, v, s| {
        d.propagators.set(propagators(v)?, s);
        Ok(())
    }),
    ("OTEL_BSP_SCHEDULE_DELAY", |d, v, s| {
        d.traces.batch.delay.set(parse::millis(v)?, s);
        Ok(())
    }),
    ("OTEL_BSP_EXPORT_TIMEOUT", |d, v, s| {
        d.traces.batch.export_timeout.set(parse::timeout_millis(v)?, s);
        Ok(())
    }),
    ("OTEL_BSP_MAX_QUEUE_SIZE", |d, v, s| {
        d.traces.batch.queue_items_max.set(parse::positive(v)?, s);
        Ok(())
    }),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", |d, v, s| {
        d.traces.batch.batch_items_max.set(parse::positive(v)?, s);
        Ok(())
    }),
    ("OTEL_BLRP_SCHEDULE_DELAY", |d, v, s| {
        d.logs.batch.delay.set(parse::millis(v)?, s);
        Ok(())
    }),
    ("OTEL_BLRP_EXPORT_TIMEOUT", |d, v, s| {
        d.logs.batch.export_timeout.set(parse::timeout_millis(v)?, s);
        Ok(())
    }),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", |d, v, s| {
        d.logs.batch.queue_items_max.set(parse::positive(v)?, s);
        Ok(())
    }),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", |d, v, s| {
        d.logs.batch.batch_items_max.set(parse::positive(v)?, s);
        Ok(())
    }),
    ("OTEL_METRIC_EXPORT_INTERVAL", |d, v, s| {
        d.interval.set(parse::interval_millis(v)?, s);
        Ok(())
    }),
    ("OTEL_METRIC_EXPORT_TIMEOUT", |d, v, s| {
        d.metrics.batch.export_timeout.set(parse::timeout_millis(v)?, s);
        Ok(())
    }),
    ("OTEL_METRICS_EXEMPLAR_FILTER", |d, v, s| {
        d.exemplars.set(exemplar_filter(v)?, s);
        Ok(())
    }),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", |d, v, s| {
        d.limits.value_bytes.set(Some(parse::whole(v)?), s);
        Ok(())
    }),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", |d, v, s| {
        d.limits.attributes.set(parse::whole(v)?, s);
        Ok(())
    }),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", |d, v, s| {
        d.limits.span_value_bytes.set(Some(parse::whole(v)?), s);
        Ok(())
    }),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", |d, v, s| {
        d.limits.span_attributes.set(Some(parse::whole(v)?), s);
        Ok(())
    }),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", |d, v, s| {
        d.limits.events.set(parse::whole(v)?, s);
        Ok(())
    }),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", |d, v, s| {
        d.limits.links.set(parse::whole(v)?, s);
        Ok(())
    }),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", |d, v, s| {
        d.limits.attributes_per_event.set(parse::whole(v)?, s);
        Ok(())
    }),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", |d, v, s| {
        d.limits.attributes_per_link.set(parse::whole(v)?, s);
        Ok(())
    }),
    ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", |d, v, s| {
        d.limits.log_value_bytes.set(Some(parse::whole(v)?), s);
        Ok(())
    }),
    ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", |d, v, s| {
        d.limits.log_attributes.set(Some(parse::whole(v)?), s);
        Ok(())
    }),
];

const EXPORTERS: &[Rule] = &[
    ("OTEL_EXPORTER_JAEGER_ENDPOINT", |d, v, s| {
        d.jaeger.endpoint.set(Some(jaeger_url(v)?), s);
        Ok(())
    }),
    ("OTEL_EXPORTER_JAEGER_AGENT_HOST", |d, v, s| {
        d.jaeger.agent_host.set(Some(v.to_owned()), s);
        Ok(())
    }),
    ("OTEL_EXPORTER_JAEGER_AGENT_PORT", |d, v, s| {
        d.jaeger.agent_port.set(Some(parse::port(v)?), s);
        Ok(())
    }),
    ("OTEL_EXPORTER_JAEGER_TIMEOUT", |d, v, s| {
        d.jaeger.timeout.set(parse::timeout_millis(v)?, s);
        Ok(())
    }),
    ("OTEL_EXPORTER_PROMETHEUS_HOST", |d, v, s| {
        d.prometheus.host.set(parse::host(v)?, s);
        Ok(())
    }),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", |d, v, s| {
        d.prometheus.port.set(parse::port(v)?, s);
        Ok(())
    }),
    ("OTEL_TRACES_EXPORTER", |d, v, s| select(d, Signal::Traces, v, s)),
    ("OTEL_METRICS_EXPORTER", |d, v, s| select(d, Signal::Metrics, v, s)),
    ("OTEL_LOGS_EXPORTER", |d, v, s| select(d, Signal::Logs, v, s)),
];

/// Selects exporters by their names; what is not known is left out and reported.
pub(super) fn select(
    draft: &mut Draft,
    signal: Signal,
    names: &str,
    source: &Source,
) -> Result<(), String> {
    let names = parse::list(names);
    let mut choices = Vec::new();
    let mut unknown = Vec::new();
    for name in &names {
        match (name.to_ascii_lowercase().as_str(), signal) {
            ("none", _) if names.len() == 1 => {}
            ("none", _) => unknown.push("none stands alone".to_owned()),
            ("otlp", _) => choices.push(Choice::Otlp),
            ("jaeger", Signal::Traces) => choices.push(Choice::Jaeger),
            ("otlp/stdout" | "stdout/json" | "json", _) => {
                choices.push(Choice::Stdout { json: true });
            }
            // Records go to the console in any case; asking for it switches it on.
            ("console" | "stdout" | "logging", Signal::Logs) => {
                draft.console.set(Console::Pretty, source);
            }
            ("console" | "stdout" | "logging", _) => choices.push(Choice::Stdout { json: false }),
            ("prometheus", Signal::Metrics) => draft.prometheus.enabled.set(true, source),
            _ => unknown.push(format!("there is no exporter {name} for {}", signal.as_str())),
        }
    }
    if unknown.is_empty() || !choices.is_empty() {
        draft.signal(signal).exporters.set(choices, source);
    }
    if unknown.is_empty() { Ok(()) } else { Err(unknown.join(", ")) }
}

/// `OTEL_EXPORTER_OTLP_X` for all signals, then `OTEL_EXPORTER_OTLP_TRACES_X` for one.
fn otlp(draft: &mut Draft, environment: &mut Environment<'_>) {
    type OtlpRule =
        (&'static str, fn(&mut SignalDraft, &str, &Source, Option<Signal>) -> Result<(), String>);
    const RULES: &[OtlpRule] = &[
        ("ENDPOINT", |d, v, s, one| {
            let endpoint = Endpoint::parse(v)?.strict();
            d.otlp.endpoint.set(if one.is_some() { endpoint.whole() } else { endpoint }, s);
            Ok(())
        }),
        ("PROTOCOL", |d, v, s, _| {
            d.otlp.protocol.set(Some(protocol(v)?), s);
            Ok(())
        }),
        ("INSECURE", |d, v, s, _| {
            d.otlp.insecure.set(Some(parse::standard_bool(v)?), s);
            Ok(())
        }),
        ("HEADERS", |d, v, s, _| {
            d.otlp.headers.set(parse::headers(v)?, s);
            Ok(())
        }),
        ("COMPRESSION", |d, v, s, _| {
            d.otlp.gzip.set(compression(v)?, s);
            Ok(())
        }),
        ("TIMEOUT", |d, v, s, _| {
            d.otlp.timeout.set(parse::timeout_millis(v)?, s);
            Ok(())
        }),
        ("CERTIFICATE", |d, v, s, _| {
            d.otlp.ca.set(Some(v.into()), s);
            Ok(())
        }),
        ("CLIENT_KEY", |d, v, s, _| {
            d.otlp.client_key.set(Some(v.into()), s);
            Ok(())
        }),
        ("CLIENT_CERTIFICATE", |d, v, s, _| {
            d.otlp.client_certificate.set(Some(v.into()), s);
            Ok(())
        }),
    ];
    let scopes = [
        ("OTEL_EXPORTER_OTLP_", None),
        ("OTEL_EXPORTER_OTLP_TRACES_", Some(Signal::Traces)),
        ("OTEL_EXPORTER_OTLP_METRICS_", Some(Signal::Metrics)),
        ("OTEL_EXPORTER_OTLP_LOGS_", Some(Signal::Logs)),
    ];
    for (prefix, one) in scopes {
        for (name, set) in RULES {
            let name = format!("{prefix}{name}");
            environment.one(Layer::Standard, &name, |value, source| match one {
                Some(signal) => set(draft.signal(signal), value, source, one),
                None => draft.signals().into_iter().try_for_each(|d| set(d, value, source, one)),
            });
        }
    }
    environment.apply(draft, Layer::Standard, "", OTLP_METRICS);
}

const OTLP_METRICS: &[Rule] = &[
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", |d, v, s| {
        d.delta.set(is_delta(v)?, s);
        Ok(())
    }),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", |d, v, s| {
        d.exponential_histograms.set(is_exponential(v)?, s);
        Ok(())
    }),
];

pub(super) fn protocol(text: &str) -> Result<OtlpProtocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "grpc" => Ok(OtlpProtocol::Grpc),
        "http/protobuf" | "http" => Ok(OtlpProtocol::HttpProtobuf),
        "http/json" => Ok(OtlpProtocol::HttpJson),
        _ => Err("expected grpc, http/protobuf or http/json".to_owned()),
    }
}

pub(super) fn compression(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "gzip" => Ok(true),
        "none" => Ok(false),
        _ => Err("expected gzip or none".to_owned()),
    }
}

/// `lowmemory` differs from `delta` in observable counters alone, and is taken as it.
pub(super) fn is_delta(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "cumulative" => Ok(false),
        "delta" | "lowmemory" | "low_memory" => Ok(true),
        _ => Err("expected cumulative, delta or lowmemory".to_owned()),
    }
}

pub(super) fn is_exponential(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "explicit_bucket_histogram" => Ok(false),
        "base2_exponential_bucket_histogram" => Ok(true),
        _ => {
            Err("expected explicit_bucket_histogram or base2_exponential_bucket_histogram"
                .to_owned())
        }
    }
}

/// `always_on` would ask for exemplars outside traces, too, which name nothing to look up.
pub(super) fn exemplar_filter(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "trace_based" | "always_on" => Ok(true),
        "always_off" => Ok(false),
        _ => Err("expected trace_based, always_on or always_off".to_owned()),
    }
}

pub(super) fn propagators(text: &str) -> Result<Vec<PropagatorName>, String> {
    let mut propagators = Vec::new();
    for name in parse::list(text) {
        let propagator = match name.to_ascii_lowercase().as_str() {
            "none" => continue,
            "tracecontext" => PropagatorName::TraceContext,
            "baggage" => PropagatorName::Baggage,
            "b3" => PropagatorName::B3,
            "b3multi" => PropagatorName::B3Multi,
            "jaeger" => PropagatorName::Jaeger,
            _ => {
                return Err(format!(
                    "there is no propagator {name}; known are tracecontext, baggage, b3, \
                     b3multi, jaeger and none"
                ));
            }
        };
        if !propagators.contains(&propagator) {
            propagators.push(propagator);
        }
    }
    Ok(propagators)
}

/// Of Jaeger's collector: whole, with a scheme.
pub(crate) fn jaeger_url(text: &str) -> Result<String, String> {
    const EXPECTED: &str = "expected a URL as http://localhost:14268/api/traces";
    let uri: http::Uri = text.parse().map_err(|_| EXPECTED)?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(text.to_owned()),
        _ => Err(EXPECTED.to_owned()),
    }
}
