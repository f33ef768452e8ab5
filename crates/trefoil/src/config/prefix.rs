//! The application's own variables: `UNKEY_METALD_OTEL_ENABLED` and any other prefix.

use super::draft::{Choice, Draft, choose_jaeger};
use super::endpoint::Endpoint;
use super::environment::{Environment, Rule};
use super::sampler::{ratio, under_parent};
use super::source::{Layer, Source};
use super::{OtlpProtocol, SpoolSettings, document, parse, standard};
use crate::account::Signal;

/// Bytes of batches on disk unless told otherwise.
const SPOOL_BYTES: u64 = 256 << 20;

/// Lays the layer over the draft. `prefix` comes without an underscore at its end.
pub(super) fn apply(draft: &mut Draft, environment: &mut Environment<'_>, prefix: &str) {
    let prefix = format!("{}_", prefix.trim_end_matches('_'));
    environment.apply(draft, Layer::Prefix, &prefix, RULES);
    document::levels(draft, environment, &format!("{prefix}LOG_LEVEL_"), Layer::Prefix);
    for (name, value) in environment.beginning_with(&prefix) {
        let known = RULES.iter().any(|rule| rule.0 == name) || name.starts_with("LOG_LEVEL_");
        if !known {
            let names = RULES.iter().map(|rule| rule.0).collect::<Vec<_>>().join(", ");
            let problem = format!("is not known; known after {prefix} are {names}");
            environment.warn(&format!("{prefix}{name}"), value, &problem);
        }
    }
}

const RULES: &[Rule] = &[
    ("ENABLED", |d, v, s| {
        d.enabled.set(parse::bool(v)?, s);
        Ok(())
    }),
    ("SERVICE_NAME", |d, v, s| text(d, "service.name", v, s)),
    ("SERVICE_VERSION", |d, v, s| text(d, "service.version", v, s)),
    ("SERVICE_NAMESPACE", |d, v, s| text(d, "service.namespace", v, s)),
    ("SERVICE_INSTANCE_ID", |d, v, s| text(d, "service.instance.id", v, s)),
    ("ENVIRONMENT", |d, v, s| {
        d.environment(v, s);
        Ok(())
    }),
    ("ENDPOINT", endpoint),
    ("OTLP_ENDPOINT", endpoint),
    ("PROTOCOL", |d, v, s| {
        let protocol = standard::protocol(v)?;
        d.signals().into_iter().for_each(|signal| signal.otlp.protocol.set(Some(protocol), s));
        Ok(())
    }),
    ("INSECURE", |d, v, s| {
        let insecure = parse::bool(v)?;
        d.signals().into_iter().for_each(|signal| signal.otlp.insecure.set(Some(insecure), s));
        Ok(())
    }),
    ("HEADERS", |d, v, s| {
        let headers = parse::headers(v)?;
        d.signals().into_iter().for_each(|signal| signal.otlp.headers.set(headers.clone(), s));
        Ok(())
    }),
    ("COMPRESSION", |d, v, s| {
        let gzip = standard::compression(v)?;
        d.signals().into_iter().for_each(|signal| signal.otlp.gzip.set(gzip, s));
        Ok(())
    }),
    ("JAEGER_ENDPOINT", |d, v, s| {
        d.jaeger.endpoint.set(Some(standard::jaeger_url(v)?), s);
        choose_jaeger(d, s);
        Ok(())
    }),
    ("EXPORTER", exporter),
    ("SAMPLING_RATE", |d, v, s| {
        d.sampler.set(under_parent(ratio(parse::ratio(v)?)), s);
        Ok(())
    }),
    ("KEEP_ERRORS", |d, v, s| {
        d.keep.errors.set(parse::bool(v)?, s);
        Ok(())
    }),
    ("SLOW", |d, v, s| {
        d.keep.slow.set(Some(parse::duration(v)?), s);
        Ok(())
    }),
    ("MAX_EXPORT_BATCH_SIZE", |d, v, s| {
        let items = parse::positive(v)?;
        d.traces.batch.batch_items_max.set(items, s);
        d.logs.batch.batch_items_max.set(items, s);
        Ok(())
    }),
    ("MAX_QUEUE_SIZE", |d, v, s| {
        let items = parse::positive(v)?;
        d.traces.batch.queue_items_max.set(items, s);
        d.logs.batch.queue_items_max.set(items, s);
        Ok(())
    }),
    ("MAX_QUEUE_BYTES", |d, v, s| {
        let bytes = parse::bytes(v)?;
        d.traces.batch.queue_bytes_max.set(bytes, s);
        d.logs.batch.queue_bytes_max.set(bytes, s);
        Ok(())
    }),
    ("EXPORT_TIMEOUT", |d, v, s| {
        let timeout = parse::duration(v)?;
        d.signals().into_iter().for_each(|signal| signal.batch.export_timeout.set(timeout, s));
        Ok(())
    }),
    ("METRIC_INTERVAL", |d, v, s| {
        let interval = parse::duration(v)?;
        if interval.is_zero() {
            return Err("expected a duration longer than zero".to_owned());
        }
        d.interval.set(interval, s);
        Ok(())
    }),
    ("PROMETHEUS_INTERFACE", |d, v, s| {
        d.prometheus.host.set(parse::host(v)?, s);
        d.prometheus.enabled.set(true, s);
        Ok(())
    }),
    ("PROMETHEUS_PORT", |d, v, s| {
        d.prometheus.port.set(parse::port(v)?, s);
        d.prometheus.enabled.set(true, s);
        Ok(())
    }),
    // After the two that imply it.
    ("PROMETHEUS_ENABLED", |d, v, s| {
        d.prometheus.enabled.set(parse::bool(v)?, s);
        Ok(())
    }),
    ("HIGH_CARDINALITY_ENABLED", |d, v, s| {
        d.high_cardinality.set(parse::bool(v)?, s);
        Ok(())
    }),
    ("CARDINALITY_LIMIT", |d, v, s| {
        d.cardinality_limit.set(parse::positive(v)?, s);
        Ok(())
    }),
    ("CONSOLE", |d, v, s| {
        d.console.set(document::console(v)?, s);
        Ok(())
    }),
    ("LOG_LEVEL", document::log_level),
    ("SPAN_LEVEL", |d, v, s| {
        d.span_levels.set(document::directives(v)?, s);
        Ok(())
    }),
    ("SPOOL", |d, v, s| {
        let spool = SpoolSettings { folder: v.into(), bytes_max: SPOOL_BYTES };
        d.spool.set(Some(spool), s);
        Ok(())
    }),
    ("SHUTDOWN_TIMEOUT", |d, v, s| {
        d.shutdown_timeout.set(parse::duration(v)?, s);
        Ok(())
    }),
];

fn text(draft: &mut Draft, key: &str, value: &str, source: &Source) -> Result<(), String> {
    draft.attribute(key, value.to_owned(), source);
    Ok(())
}

/// "OTLP endpoint", `localhost:4318`.
fn endpoint(draft: &mut Draft, value: &str, source: &Source) -> Result<(), String> {
    let endpoint = Endpoint::parse(value)?.implying(OtlpProtocol::HttpProtobuf);
    draft.otlp_endpoint(&endpoint, source);
    Ok(())
}

/// `jaeger`, `otlp`, `stdout` or `none`, of traces; `stdout` and `none` of all signals.
fn exporter(draft: &mut Draft, value: &str, source: &Source) -> Result<(), String> {
    let (traces, others) = match value.to_ascii_lowercase().as_str() {
        "otlp" => (vec![Choice::Otlp], Some(vec![Choice::Otlp])),
        "stdout" => {
            (vec![Choice::Stdout { json: false }], Some(vec![Choice::Stdout { json: false }]))
        }
        "jaeger" => (vec![Choice::Jaeger], None),
        "none" => (Vec::new(), Some(Vec::new())),
        _ => return Err("expected jaeger, otlp, stdout or none".to_owned()),
    };
    draft.traces.exporters.set(traces, source);
    if let Some(others) = others {
        draft.metrics.exporters.set(others.clone(), source);
        // Records are on the console already.
        let logs = if matches!(others[..], [Choice::Stdout { .. }]) { Vec::new() } else { others };
        draft.signal(Signal::Logs).exporters.set(logs, source);
    }
    Ok(())
}
