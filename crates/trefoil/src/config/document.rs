//! Names that the documents' services read, beside the standard ones.

use super::draft::{Draft, choose_jaeger};
use super::endpoint::Endpoint;
use super::environment::{Environment, Rule};
use super::source::{Layer, Source};
use super::{Console, OtlpProtocol, parse, sampler, standard};

/// Lays the layer over the draft.
pub(super) fn apply(draft: &mut Draft, environment: &mut Environment<'_>) {
    environment.apply(draft, Layer::Document, "", RULES);
    sampler::jaeger(draft, environment);
    levels(draft, environment, "LOG_LEVEL_", Layer::Document);
}

const RULES: &[Rule] = &[
    ("OTEL_ENABLED", |d, v, s| {
        d.enabled.set(parse::bool(v)?, s);
        Ok(())
    }),
    ("OTEL_ENDPOINT", |d, v, s| {
        // "OTLP endpoint (gRPC)", `127.0.0.1:4317`.
        d.otlp_endpoint(&Endpoint::parse(v)?.implying(OtlpProtocol::Grpc), s);
        Ok(())
    }),
    ("OTEL_INSECURE", |d, v, s| {
        let insecure = parse::bool(v)?;
        d.signals().into_iter().for_each(|signal| signal.otlp.insecure.set(Some(insecure), s));
        Ok(())
    }),
    ("OTEL_SERVICE_INSTANCE_ID", |d, v, s| {
        d.attribute("service.instance.id", v.to_owned(), s);
        Ok(())
    }),
    ("VERSION", |d, v, s| {
        d.attribute("service.version", v.to_owned(), s);
        Ok(())
    }),
    ("ENV", |d, v, s| {
        // A POSIX shell reads the path of a start-up file from a variable of this name.
        if v.contains(['/', '$']) {
            return Err("looks like a shell's start-up file, not an environment; use \
                        ENVIRONMENT"
                .to_owned());
        }
        d.environment(v, s);
        Ok(())
    }),
    ("ENVIRONMENT", |d, v, s| {
        d.environment(v, s);
        Ok(())
    }),
    ("JAEGER_TAGS", |d, v, s| {
        for (key, value) in parse::pairs(v)? {
            d.attribute(&key, value, s);
        }
        Ok(())
    }),
    ("JAEGER_SERVICE_NAME", |d, v, s| {
        d.attribute("service.name", v.to_owned(), s);
        Ok(())
    }),
    ("JAEGER_AGENT_HOST", |d, v, s| {
        d.jaeger.agent_host.set(Some(v.to_owned()), s);
        choose_jaeger(d, s);
        Ok(())
    }),
    ("JAEGER_AGENT_PORT", |d, v, s| {
        d.jaeger.agent_port.set(Some(parse::port(v)?), s);
        choose_jaeger(d, s);
        Ok(())
    }),
    ("JAEGER_ENDPOINT", |d, v, s| {
        d.jaeger.endpoint.set(Some(standard::jaeger_url(v)?), s);
        choose_jaeger(d, s);
        Ok(())
    }),
    ("JAEGER_SAMPLING_ENDPOINT", |d, v, s| {
        d.jaeger.sampling_endpoint.set(Some(v.to_owned()), s);
        Ok(())
    }),
    ("LOG_LEVEL", log_level),
    ("LOG_FORMAT", |d, v, s| {
        d.console.set(console(v)?, s);
        Ok(())
    }),
];

/// One level, or directives as `info,hyper=warn`.
pub(crate) fn log_level(draft: &mut Draft, value: &str, source: &Source) -> Result<(), String> {
    draft.levels.set(directives(value)?, source);
    Ok(())
}

/// Checks directives and writes their levels as `tracing` does.
pub(crate) fn directives(value: &str) -> Result<String, String> {
    let mut directives = Vec::new();
    for directive in parse::list(value) {
        directives.push(match directive.split_once('=') {
            Some((target, level)) => format!("{target}={}", parse::level(level)?),
            None => parse::level(&directive)?.to_owned(),
        });
    }
    Ok(directives.join(","))
}

/// `LOG_LEVEL_IMAGES=debug`: the level of a subsystem.
pub(super) fn levels(
    draft: &mut Draft,
    environment: &mut Environment<'_>,
    prefix: &str,
    layer: Layer,
) {
    for (subsystem, _) in environment.beginning_with(prefix) {
        environment.one(layer, &format!("{prefix}{subsystem}"), |value, source| {
            let level = parse::level(value)?.to_owned();
            draft.subsystem_level(&subsystem.to_ascii_lowercase(), level, source);
            Ok(())
        });
    }
}

pub(super) fn console(text: &str) -> Result<Console, String> {
    match text.to_ascii_lowercase().as_str() {
        "pretty" | "text" | "console" => Ok(Console::Pretty),
        "json" => Ok(Console::Json),
        "off" | "none" => Ok(Console::Off),
        _ => Err("expected pretty, json or off".to_owned()),
    }
}
