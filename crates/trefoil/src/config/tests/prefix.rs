//! The application's own prefix.

use super::{Builder, expect, resolve_with};

const METALD: &str = "UNKEY_METALD_OTEL";

/// Document 003, "Configuration", with the defaults it gives.
fn metald() -> Builder {
    Builder::new("metald").prefix(METALD).defaults(|d| {
        d.enabled(false).otlp("localhost:4318").sampling_rate(1.0).prometheus("127.0.0.1:9464")
    })
}

#[track_caller]
fn check(variables: &str, expected: &[(&str, &str)]) {
    let variables = variables.replace('~', METALD);
    let resolved = resolve_with(metald(), &variables);
    assert_eq!(resolved.warnings, Vec::<String>::new(), "{variables}");
    expect(&resolved, &variables, expected);
}

#[track_caller]
fn check_warns(variables: &str, warning: &str, expected: &[(&str, &str)]) {
    let variables = variables.replace('~', METALD);
    let resolved = resolve_with(metald(), &variables);
    let told = resolved.warnings.join("\n");
    assert!(told.contains(warning), "{variables}: expected {warning:?} in {told:?}");
    expect(&resolved, &variables, expected);
}

#[test]
fn m1_metald() {
    check(
        "",
        &[
            ("enabled", "false"),
            ("traces.sampler", "parent, else always"),
            ("traces.endpoint", "http://localhost:4318/v1/traces"),
            ("traces.protocol", "http/protobuf"),
            ("metrics.prometheus", "http://127.0.0.1:9464/metrics"),
            ("metrics.exporter", "otlp"),
            ("metrics.high_cardinality", "false"),
            ("resource.service.name", "metald"),
        ],
    );
    for (variables, name, value) in [
        ("~_ENABLED=true", "enabled", "true"),
        ("~_ENABLED=yes", "enabled", "true"),
        ("~_SAMPLING_RATE=0.25", "traces.sampler", "parent, else ratio 0.25"),
        ("~_SAMPLING_RATE=0", "traces.sampler", "parent, else never"),
        ("~_SAMPLING_RATE=1.0", "traces.sampler", "parent, else always"),
        ("~_ENDPOINT=otel:4318", "traces.endpoint", "http://otel:4318/v1/traces"),
        ("~_ENDPOINT=otel:9999", "logs.endpoint", "http://otel:9999/v1/logs"),
        ("~_ENDPOINT=otel:4317", "metrics.endpoint", "http://otel:4317"),
        ("~_ENDPOINT=otel", "traces.endpoint", "http://otel:4318/v1/traces"),
        ("~_OTLP_ENDPOINT=https://otel", "traces.endpoint", "https://otel/v1/traces"),
        ("~_PROTOCOL=grpc", "traces.endpoint", "http://localhost:4318"),
        ("~_INSECURE=false", "traces.endpoint", "https://localhost:4318/v1/traces"),
        ("~_HEADERS=api-key=x", "logs.headers", "api-key=(hidden)"),
        ("~_COMPRESSION=gzip", "metrics.compression", "gzip"),
        ("~_PROMETHEUS_PORT=9999", "metrics.prometheus", "http://127.0.0.1:9999/metrics"),
        ("~_PROMETHEUS_INTERFACE=0.0.0.0", "metrics.prometheus", "http://0.0.0.0:9464/metrics"),
        ("~_PROMETHEUS_INTERFACE=::", "metrics.prometheus", "http://[::]:9464/metrics"),
        ("~_PROMETHEUS_ENABLED=false", "metrics.prometheus", "off"),
        ("~_PROMETHEUS_ENABLED=false;~_PROMETHEUS_PORT=9999", "metrics.prometheus", "off"),
        ("~_SERVICE_NAME=m2", "resource.service.name", "m2"),
        ("~_SERVICE_VERSION=1.2.3", "resource.service.version", "1.2.3"),
        ("~_SERVICE_NAMESPACE=unkey", "resource.service.namespace", "unkey"),
        ("~_SERVICE_INSTANCE_ID=a", "resource.service.instance.id", "a"),
        ("~_ENVIRONMENT=prod", "resource.deployment.environment", "prod"),
        ("~_HIGH_CARDINALITY_ENABLED=true", "metrics.high_cardinality", "true"),
        ("~_CARDINALITY_LIMIT=50", "metrics.cardinality_limit", "50"),
        ("~_METRIC_INTERVAL=15s", "metrics.interval", "15s"),
        ("~_METRIC_INTERVAL=500", "metrics.interval", "500ms"),
        ("~_KEEP_ERRORS=false", "traces.keep.errors", "false"),
        ("~_SLOW=1.5s", "traces.keep.slow", "1.5s"),
        ("~_CONSOLE=json", "logs.console", "json"),
        ("~_LOG_LEVEL=debug", "logs.level", "debug"),
        ("~_SPAN_LEVEL=debug,hyper=warn", "traces.level", "debug,hyper=warn"),
        ("~_LOG_LEVEL_VMM=trace", "logs.level.vmm", "trace"),
        ("~_SPOOL=/var/spool/x", "spool", "/var/spool/x, 268435456 bytes"),
        ("~_SHUTDOWN_TIMEOUT=2s", "shutdown_timeout", "2s"),
    ] {
        check(variables, &[(name, value)]);
    }
}

/// Document 001, "Configuration Options", by variables.
#[test]
fn t8_hypersdk() {
    for (variables, name, value) in [
        ("~_EXPORTER=jaeger", "traces.exporter", "jaeger http://localhost:14268/api/traces"),
        ("~_EXPORTER=otlp", "traces.exporter", "otlp"),
        ("~_EXPORTER=stdout", "traces.exporter", "stdout"),
        ("~_EXPORTER=stdout", "metrics.exporter", "stdout"),
        ("~_EXPORTER=stdout", "logs.exporter", "none"),
        ("~_EXPORTER=none", "traces.exporter", "none"),
        ("~_EXPORTER=none", "logs.exporter", "none"),
        (
            "~_JAEGER_ENDPOINT=http://j:14268/api/traces",
            "traces.exporter",
            "jaeger http://j:14268/api/traces",
        ),
        ("~_MAX_EXPORT_BATCH_SIZE=100", "traces.batch.items", "100"),
        ("~_MAX_EXPORT_BATCH_SIZE=100", "logs.batch.items", "100"),
        ("~_MAX_QUEUE_SIZE=5000", "traces.queue.items", "5000"),
        ("~_MAX_QUEUE_BYTES=1MiB", "traces.queue.bytes", "1048576"),
        ("~_EXPORT_TIMEOUT=10s", "traces.batch.export_timeout", "10s"),
    ] {
        check(variables, &[(name, value)]);
    }
}

/// The same options and defaults set in the program.
#[test]
fn t8_the_defaults_of_the_table() {
    let resolved = resolve_with(
        Builder::new("hypersdk")
            .defaults(|d| d.enabled(false).version("1.0.0").environment("development").stdout()),
        "",
    );
    expect(
        &resolved,
        "",
        &[
            ("enabled", "false"),
            ("resource.service.name", "hypersdk"),
            ("resource.service.version", "1.0.0"),
            ("resource.deployment.environment", "development"),
            ("traces.exporter", "stdout"),
            ("traces.sampler", "parent, else always"),
            ("traces.batch.items", "512"),
            ("traces.queue.items", "2048"),
            ("traces.batch.export_timeout", "30s"),
        ],
    );
    let jaeger = Builder::new("hypersdk").jaeger("http://localhost:14268/api/traces");
    expect(
        &resolve_with(jaeger, ""),
        "",
        &[("traces.exporter", "jaeger http://localhost:14268/api/traces")],
    );
    let both = Builder::new("hypersdk").jaeger_agent("j:6831").otlp("localhost:4317").stdout();
    expect(&resolve_with(both, ""), "", &[("traces.exporter", "jaeger udp://j:6831,otlp,stdout")]);
}

#[test]
fn m1_bad_values_warn_and_fall_back() {
    for (variables, warning, name, value) in [
        ("~_ENABLED=si", "expected true or false", "enabled", "false"),
        ("~_SAMPLING_RATE=1.5", "0.0 to 1.0", "traces.sampler", "parent, else always"),
        ("~_SAMPLING_RATE=-1", "0.0 to 1.0", "traces.sampler", "parent, else always"),
        ("~_SAMPLING_RATE=NaN", "0.0 to 1.0", "traces.sampler", "parent, else always"),
        ("~_ENDPOINT=a b", "expected a URL", "traces.endpoint", "http://localhost:4318/v1/traces"),
        (
            "~_PROMETHEUS_PORT=99999",
            "expected a port",
            "metrics.prometheus",
            "http://127.0.0.1:9464/metrics",
        ),
        (
            "~_PROMETHEUS_INTERFACE=eth0",
            "expected an IP",
            "metrics.prometheus",
            "http://127.0.0.1:9464/metrics",
        ),
        ("~_MAX_QUEUE_SIZE=0", "1 or more", "traces.queue.items", "2048"),
        ("~_MAX_QUEUE_BYTES=1XB", "expected a size", "traces.queue.bytes", "8388608"),
        ("~_EXPORT_TIMEOUT=5 s", "expected a duration", "traces.batch.export_timeout", "30s"),
        ("~_METRIC_INTERVAL=0", "longer than zero", "metrics.interval", "60s"),
        ("~_EXPORTER=zipkin", "expected jaeger", "traces.exporter", "otlp"),
        ("~_CONSOLE=xml", "expected pretty", "logs.console", "pretty"),
        ("~_PROTOCOL=soap", "expected grpc", "traces.protocol", "http/protobuf"),
        (
            "~_SAMPLINGRATE=1",
            "is not known; known after UNKEY_METALD_OTEL_ are",
            "enabled",
            "false",
        ),
    ] {
        check_warns(variables, warning, &[(name, value)]);
    }
}
