//! The names of the documents, with the defaults that the documents give.

use super::{Builder, check, check_warns, expect, resolve_with};

/// Document 000, "Configuration": each variable with its default.
#[test]
fn h2_hypeman() {
    let hypeman = || {
        Builder::new("hypeman").defaults(|d| {
            d.enabled(false).otlp("127.0.0.1:4317").environment("unset").instance_id("the-host")
        })
    };
    let check = |variables: &str, expected: &[(&str, &str)]| {
        let resolved = resolve_with(hypeman(), variables);
        assert_eq!(resolved.warnings, Vec::<String>::new(), "{variables}");
        expect(&resolved, variables, expected);
    };
    check(
        "",
        &[
            ("enabled", "false"),
            ("traces.endpoint", "http://127.0.0.1:4317"),
            ("traces.protocol", "grpc"),
            ("metrics.endpoint", "http://127.0.0.1:4317"),
            ("logs.endpoint", "http://127.0.0.1:4317"),
            ("resource.service.name", "hypeman"),
            ("resource.service.instance.id", "the-host"),
            ("resource.deployment.environment", "unset"),
        ],
    );
    for (variables, name, value) in [
        ("OTEL_ENABLED=true", "enabled", "true"),
        ("OTEL_ENABLED=1", "enabled", "true"),
        ("OTEL_ENABLED=T", "enabled", "true"),
        ("OTEL_ENABLED=0", "enabled", "false"),
        ("OTEL_ENDPOINT=collector:4317", "traces.endpoint", "http://collector:4317"),
        ("OTEL_ENDPOINT=collector:9999", "traces.protocol", "grpc"),
        ("OTEL_ENDPOINT=collector:4318", "traces.protocol", "http/protobuf"),
        ("OTEL_ENDPOINT=http://collector:4318", "logs.endpoint", "http://collector:4318/v1/logs"),
        ("OTEL_INSECURE=true", "traces.endpoint", "http://127.0.0.1:4317"),
        ("OTEL_INSECURE=false", "traces.endpoint", "https://127.0.0.1:4317"),
        ("OTEL_INSECURE=false;OTEL_ENDPOINT=c:4317", "metrics.endpoint", "https://c:4317"),
        ("OTEL_SERVICE_NAME=other", "resource.service.name", "other"),
        ("OTEL_SERVICE_INSTANCE_ID=i-1", "resource.service.instance.id", "i-1"),
        ("ENV=production", "resource.deployment.environment", "production"),
        ("ENV=production", "resource.deployment.environment.name", "production"),
        ("VERSION=abc123-dirty", "resource.service.version", "abc123-dirty"),
    ] {
        check(variables, &[(name, value)]);
    }
}

#[test]
fn h2_bad_values_warn_and_fall_back() {
    check_warns(
        "OTEL_ENABLED=maybe",
        "OTEL_ENABLED=maybe: expected true or false",
        &[("enabled", "true")],
    );
    check_warns(
        "OTEL_ENDPOINT=ftp://x",
        "expected http://",
        &[("traces.endpoint", "http://localhost:4318/v1/traces")],
    );
    check_warns("OTEL_INSECURE=perhaps", "expected true or false", &[]);
    check_warns(
        "ENV=/etc/shinit",
        "shell's start-up file",
        &[("resource.deployment.environment", "(absent)")],
    );
}

/// Document 002: `OTEL_EXPORTER_OTLP_ENDPOINT`, by default `http://otelcol:4317`, and
/// `ENVIRONMENT`.
#[test]
fn g4_ghostworks() {
    let ghostworks = || Builder::new("ghostworks-api").defaults(|d| d.otlp("http://otelcol:4317"));
    let resolved = resolve_with(ghostworks(), "");
    expect(
        &resolved,
        "",
        &[
            ("traces.endpoint", "http://otelcol:4317"),
            ("traces.protocol", "grpc"),
            ("resource.service.name", "ghostworks-api"),
        ],
    );
    let variables = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318;ENVIRONMENT=staging";
    let resolved = resolve_with(ghostworks(), variables);
    expect(
        &resolved,
        variables,
        &[
            ("traces.endpoint", "http://localhost:4318/v1/traces"),
            ("resource.deployment.environment", "staging"),
            ("resource.deployment.environment.name", "staging"),
        ],
    );
    // The clearer of the two names counts.
    check("ENV=a;ENVIRONMENT=b", &[("resource.deployment.environment.name", "b")]);
}

/// Document 004, "Configure HyperSDK for Tracing", and Jaeger's clients.
#[test]
fn s6_jaeger() {
    let sampler = "traces.sampler";
    for (variables, name, value) in [
        (
            "JAEGER_AGENT_HOST=localhost;JAEGER_AGENT_PORT=6831",
            "traces.exporter",
            "jaeger udp://localhost:6831",
        ),
        ("JAEGER_AGENT_HOST=agent", "traces.exporter", "jaeger udp://agent:6831"),
        ("JAEGER_AGENT_PORT=6000", "traces.exporter", "jaeger udp://localhost:6000"),
        ("JAEGER_AGENT_HOST=::1", "traces.exporter", "jaeger udp://[::1]:6831"),
        (
            "JAEGER_ENDPOINT=http://c:14268/api/traces",
            "traces.exporter",
            "jaeger http://c:14268/api/traces",
        ),
        (
            "JAEGER_ENDPOINT=http://c:14268/api/traces;JAEGER_AGENT_HOST=agent",
            "traces.exporter",
            "jaeger http://c:14268/api/traces",
        ),
        (
            "JAEGER_AGENT_HOST=agent;OTEL_ENDPOINT=c:4317",
            "traces.exporter",
            "otlp,jaeger udp://agent:6831",
        ),
        ("JAEGER_AGENT_HOST=agent", "logs.exporter", "otlp"),
        ("JAEGER_SERVICE_NAME=hypersdk", "resource.service.name", "hypersdk"),
        ("JAEGER_TAGS=region=eu,rack=7", "resource.rack", "7"),
        (
            "JAEGER_SAMPLER_TYPE=probabilistic;JAEGER_SAMPLER_PARAM=0.1",
            sampler,
            "parent, else ratio 0.1",
        ),
        ("JAEGER_SAMPLER_TYPE=probabilistic", sampler, "parent, else ratio 0.001"),
        ("JAEGER_SAMPLER_TYPE=const;JAEGER_SAMPLER_PARAM=1", sampler, "parent, else always"),
        ("JAEGER_SAMPLER_TYPE=const;JAEGER_SAMPLER_PARAM=0", sampler, "parent, else never"),
        ("JAEGER_SAMPLER_TYPE=const", sampler, "parent, else always"),
        (
            "JAEGER_SAMPLER_TYPE=ratelimiting;JAEGER_SAMPLER_PARAM=2.5",
            sampler,
            "parent, else 2.5 per second",
        ),
        (
            "JAEGER_SAMPLER_TYPE=remote;JAEGER_SAMPLER_PARAM=0.5;JAEGER_SAMPLING_ENDPOINT=http://a:5778/sampling",
            sampler,
            "parent, else asked at http://a:5778/sampling every 60s, at first ratio 0.5",
        ),
    ] {
        check(variables, &[(name, value)]);
    }
    check_warns("JAEGER_AGENT_PORT=udp", "expected a port", &[("traces.exporter", "otlp")]);
    check_warns("JAEGER_ENDPOINT=c:14268", "expected a URL", &[("traces.exporter", "otlp")]);
    check_warns("JAEGER_SAMPLER_PARAM=1", "counts only with JAEGER_SAMPLER_TYPE", &[]);
    check_warns("JAEGER_SAMPLER_TYPE=dice", "expected const", &[(sampler, "parent, else always")]);
    check_warns("JAEGER_SAMPLER_TYPE=probabilistic;JAEGER_SAMPLER_PARAM=7", "0.0 to 1.0", &[]);
    check_warns("JAEGER_SAMPLER_TYPE=const;JAEGER_SAMPLER_PARAM=x", "expected a number", &[]);
}

#[test]
fn s12_levels() {
    for (variables, name, value) in [
        ("LOG_LEVEL=debug", "logs.level", "debug"),
        ("LOG_LEVEL=WARNING", "logs.level", "warn"),
        ("LOG_LEVEL=FATAL", "logs.level", "error"),
        ("LOG_LEVEL=info,hyper=WARN", "logs.level", "info,hyper=warn"),
        ("LOG_LEVEL_IMAGES=debug", "logs.level.images", "debug"),
        ("LOG_LEVEL_IMAGES=debug", "logs.level", "info"),
        ("LOG_FORMAT=json", "logs.console", "json"),
        ("LOG_FORMAT=text", "logs.console", "pretty"),
        ("LOG_FORMAT=off", "logs.console", "off"),
    ] {
        check(variables, &[(name, value)]);
    }
    let resolved =
        super::resolve_variables("LOG_LEVEL=warn;LOG_LEVEL_API=info;LOG_LEVEL_VMM=trace");
    assert_eq!(resolved.settings.logs.levels, "warn,api=info,vmm=trace");
    check_warns("LOG_LEVEL=loud", "expected trace, debug", &[("logs.level", "info")]);
    check_warns("LOG_LEVEL_API=loud", "LOG_LEVEL_API=loud", &[("logs.level.api", "(absent)")]);
    check_warns("LOG_FORMAT=xml", "expected pretty, json or off", &[]);
}
