//! `OTEL_*` as the specification has them.

use super::{check, check_warns, resolve_variables};
use crate::config::ExporterSettings;

#[test]
fn h2_switches_and_resource() {
    check("OTEL_SDK_DISABLED=true", &[("enabled", "false")]);
    check("OTEL_SDK_DISABLED=TRUE", &[("enabled", "false")]);
    check("OTEL_SDK_DISABLED=false", &[("enabled", "true")]);
    check("OTEL_SDK_DISABLED=", &[("enabled", "true")]);
    check_warns(
        "OTEL_SDK_DISABLED=1",
        "OTEL_SDK_DISABLED=1: expected true or false",
        &[("enabled", "true")],
    );
    check("OTEL_SERVICE_NAME=hypeman", &[("resource.service.name", "hypeman")]);
    check(
        "OTEL_SERVICE_NAME=a;OTEL_RESOURCE_ATTRIBUTES=service.name=b",
        &[("resource.service.name", "a")],
    );
    check("OTEL_RESOURCE_ATTRIBUTES=service.name=b", &[("resource.service.name", "b")]);
    check(
        "OTEL_RESOURCE_ATTRIBUTES=a=1, b = two%20words%2C%20one%3Dcomma ,,c=%C3%A9",
        &[("resource.a", "1"), ("resource.b", "two words, one=comma"), ("resource.c", "é")],
    );
    check("OTEL_RESOURCE_ATTRIBUTES=a=b=c", &[("resource.a", "b=c")]);
    check("OTEL_RESOURCE_ATTRIBUTES=k=1,k=2", &[("resource.k", "2")]);
    check("OTEL_RESOURCE_ATTRIBUTES=k=", &[("resource.k", "")]);
    // An error discards the whole value.
    for (value, problem) in [
        ("a=1,b", "entry 2 has no ="),
        ("a=1,=2", "entry 2 has a key that is empty"),
        ("a=%zz", "the value of entry 1 is badly percent-encoded"),
        ("a=%4", "badly percent-encoded"),
        ("a=%ff", "badly percent-encoded"),
    ] {
        let variables = format!("OTEL_RESOURCE_ATTRIBUTES={value}");
        check_warns(&variables, problem, &[("resource.a", "(absent)")]);
    }
    check("OTEL_LOG_LEVEL=none", &[("status_line", "false")]);
    check("OTEL_LOG_LEVEL=debug", &[("status_line", "true")]);
    check_warns("OTEL_LOG_LEVEL=loud", "expected trace, debug", &[("status_line", "true")]);
}

#[test]
fn g4_endpoints_and_protocols() {
    let traces = "http://localhost:4318/v1/traces";
    for (variables, protocol, endpoint) in [
        ("", "http/protobuf", traces),
        ("OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "grpc", "http://localhost:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "http/json", traces),
        ("OTEL_EXPORTER_OTLP_PROTOCOL=HTTP/Protobuf", "http/protobuf", traces),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc", "grpc", "http://localhost:4317"),
        // The document's own default: the port tells what is spoken.
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://otelcol:4317", "grpc", "http://otelcol:4317"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://otelcol:4318",
            "http/protobuf",
            "http://otelcol:4318/v1/traces",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://otelcol:4318/",
            "http/protobuf",
            "http://otelcol:4318/v1/traces",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=https://host/otlp/base",
            "http/protobuf",
            "https://host/otlp/base/v1/traces",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=https://host/otlp/v1/logs",
            "http/protobuf",
            "https://host/otlp/v1/traces",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://h:4317;OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            "http/protobuf",
            "http://h:4317/v1/traces",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=https://h:4318/x;OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
            "grpc",
            "https://h:4318",
        ),
        // An endpoint of one signal is taken as it stands.
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://h:4318/custom",
            "http/protobuf",
            "http://h:4318/custom",
        ),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://h:4318", "http/protobuf", "http://h:4318/"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://a:1;OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://b:2/t",
            "http/protobuf",
            "http://b:2/t",
        ),
        // Without a scheme: TLS, as the specification has it, unless it is this machine.
        ("OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "grpc", "https://collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317", "grpc", "http://localhost:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:4317", "grpc", "http://127.0.0.1:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=[::1]:4317", "grpc", "http://[::1]:4317"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317;OTEL_EXPORTER_OTLP_INSECURE=true",
            "grpc",
            "http://collector:4317",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317;OTEL_EXPORTER_OTLP_INSECURE=false",
            "grpc",
            "https://localhost:4317",
        ),
        // A scheme is the stronger word.
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=https://h:4317;OTEL_EXPORTER_OTLP_INSECURE=true",
            "grpc",
            "https://h:4317",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT=collector",
            "http/protobuf",
            "https://collector:4318/v1/traces",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=grpc://localhost:4317", "grpc", "http://localhost:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT= http://h:4318 ", "http/protobuf", "http://h:4318/v1/traces"),
    ] {
        check(variables, &[("traces.protocol", protocol), ("traces.endpoint", endpoint)]);
    }
    for value in [
        "ftp://h:1",
        "http://",
        "http://h:port",
        "http://h:70000",
        "h:",
        "http://h/?q=1",
        "http://a b",
        "://x",
    ] {
        let variables = format!("OTEL_EXPORTER_OTLP_ENDPOINT={value}");
        check_warns(&variables, "OTEL_EXPORTER_OTLP_ENDPOINT=", &[("traces.endpoint", traces)]);
    }
    check_warns(
        "OTEL_EXPORTER_OTLP_PROTOCOL=thrift",
        "expected grpc, http/protobuf",
        &[("traces.protocol", "http/protobuf")],
    );
}

#[test]
fn signals_go_their_own_ways() {
    check(
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://all:4318
         OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://logs:3100/otlp/v1/logs
         OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=grpc
         OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=https://metrics:443
         OTEL_EXPORTER_OTLP_TIMEOUT=2000
         OTEL_EXPORTER_OTLP_LOGS_TIMEOUT=500
         OTEL_EXPORTER_OTLP_COMPRESSION=gzip
         OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=none",
        &[
            ("traces.endpoint", "http://all:4318/v1/traces"),
            ("logs.endpoint", "http://logs:3100/otlp/v1/logs"),
            ("metrics.endpoint", "https://metrics:443"),
            ("metrics.protocol", "grpc"),
            ("traces.timeout", "2s"),
            ("logs.timeout", "500ms"),
            ("traces.compression", "none"),
            ("metrics.compression", "gzip"),
            ("logs.compression", "gzip"),
        ],
    );
    check("OTEL_EXPORTER_OTLP_TIMEOUT=0", &[("traces.timeout", "no limit")]);
    check_warns(
        "OTEL_EXPORTER_OTLP_TIMEOUT=10s",
        "expected milliseconds",
        &[("traces.timeout", "10s")],
    );
    check_warns("OTEL_EXPORTER_OTLP_COMPRESSION=zstd", "expected gzip or none", &[]);
}

#[test]
fn headers_are_sent_and_never_shown() {
    let variables = "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Basic%20c2VjcmV0,x-tenant=shop
         OTEL_EXPORTER_OTLP_LOGS_HEADERS=api-key=hunter2";
    check(
        variables,
        &[
            ("traces.headers", "authorization=(hidden),x-tenant=(hidden)"),
            ("logs.headers", "api-key=(hidden)"),
        ],
    );
    let resolved = resolve_variables(variables);
    let shown = resolved.config.to_string();
    assert!(!shown.contains("c2VjcmV0") && !shown.contains("hunter2"), "{shown}");
    let ExporterSettings::Otlp(otlp) = &resolved.settings.traces.exporters[0] else {
        panic!("OTLP is the default")
    };
    let expected = [("authorization", "Basic c2VjcmV0"), ("x-tenant", "shop")];
    assert_eq!(otlp.headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    for value in ["bad name=s3cret", "a=s3cret%0Ax", "s3cret"] {
        let resolved = resolve_variables(&format!("OTEL_EXPORTER_OTLP_HEADERS={value}"));
        assert_eq!(resolved.warnings.len(), 1, "{value}");
        assert!(!resolved.warnings[0].contains("s3cret"), "{}", resolved.warnings[0]);
    }
    let resolved = resolve_variables("OTEL_EXPORTER_OTLP_ENDPOINT=http://user:s3cret@h:4318");
    let shown = resolved.config.to_string();
    assert!(!shown.contains("s3cret") && shown.contains("http://(hidden)@h:4318"), "{shown}");
}

#[test]
fn certificates() {
    check(
        "OTEL_EXPORTER_OTLP_CERTIFICATE=/ca.pem
         OTEL_EXPORTER_OTLP_CLIENT_KEY=/key.pem
         OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/cert.pem
         OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE=/other.pem",
        &[
            ("traces.tls.ca", "/ca.pem"),
            ("traces.tls.client_key", "/key.pem"),
            ("traces.tls.client_certificate", "/cert.pem"),
            ("logs.tls.ca", "/other.pem"),
            ("logs.tls.client_key", "/key.pem"),
        ],
    );
    check_warns(
        "OTEL_EXPORTER_OTLP_CLIENT_KEY=/key.pem",
        "the client's certificate is missing",
        &[("traces.tls.client_key", "(absent)")],
    );
}

#[test]
fn exporters_are_selected_by_signal() {
    let otlp = "otlp";
    for (variables, traces, metrics, logs, prometheus) in [
        ("OTEL_TRACES_EXPORTER=none", "none", otlp, otlp, "off"),
        ("OTEL_METRICS_EXPORTER=none", otlp, "none", otlp, "off"),
        ("OTEL_LOGS_EXPORTER=none", otlp, otlp, "none", "off"),
        ("OTEL_TRACES_EXPORTER=otlp", otlp, otlp, otlp, "off"),
        ("OTEL_TRACES_EXPORTER=console", "stdout", otlp, otlp, "off"),
        ("OTEL_TRACES_EXPORTER=stdout", "stdout", otlp, otlp, "off"),
        ("OTEL_TRACES_EXPORTER=logging", "stdout", otlp, otlp, "off"),
        ("OTEL_TRACES_EXPORTER=otlp/stdout", "stdout as json", otlp, otlp, "off"),
        ("OTEL_TRACES_EXPORTER=otlp,console", "otlp,stdout", otlp, otlp, "off"),
        ("OTEL_TRACES_EXPORTER= otlp , console ", "otlp,stdout", otlp, otlp, "off"),
        (
            "OTEL_TRACES_EXPORTER=jaeger",
            "jaeger http://localhost:14268/api/traces",
            otlp,
            otlp,
            "off",
        ),
        (
            "OTEL_TRACES_EXPORTER=otlp,jaeger;OTEL_EXPORTER_JAEGER_ENDPOINT=http://j:14268/api/traces",
            "otlp,jaeger http://j:14268/api/traces",
            otlp,
            otlp,
            "off",
        ),
        (
            "OTEL_TRACES_EXPORTER=jaeger;OTEL_EXPORTER_JAEGER_AGENT_HOST=j",
            "jaeger udp://j:6831",
            otlp,
            otlp,
            "off",
        ),
        ("OTEL_METRICS_EXPORTER=prometheus", otlp, "none", otlp, "http://127.0.0.1:9464/metrics"),
        (
            "OTEL_METRICS_EXPORTER=otlp,prometheus;OTEL_EXPORTER_PROMETHEUS_PORT=9999;OTEL_EXPORTER_PROMETHEUS_HOST=0.0.0.0",
            otlp,
            otlp,
            otlp,
            "http://0.0.0.0:9999/metrics",
        ),
        ("OTEL_METRICS_EXPORTER=console", otlp, "stdout", otlp, "off"),
        // A port alone starts nothing.
        ("OTEL_EXPORTER_PROMETHEUS_PORT=9999", otlp, otlp, otlp, "off"),
        // Records are on the console in any case.
        ("OTEL_LOGS_EXPORTER=console", otlp, otlp, "none", "off"),
        ("OTEL_LOGS_EXPORTER=otlp,console", otlp, otlp, otlp, "off"),
    ] {
        check(
            variables,
            &[
                ("traces.exporter", traces),
                ("metrics.exporter", metrics),
                ("logs.exporter", logs),
                ("metrics.prometheus", prometheus),
            ],
        );
    }
    let unknown = "there is no exporter zipkin for traces";
    check_warns("OTEL_TRACES_EXPORTER=zipkin", unknown, &[("traces.exporter", otlp)]);
    check_warns("OTEL_TRACES_EXPORTER=console,zipkin", unknown, &[("traces.exporter", "stdout")]);
    check_warns("OTEL_TRACES_EXPORTER=none,otlp", "none stands alone", &[]);
    check_warns("OTEL_TRACES_EXPORTER=prometheus", "no exporter prometheus for traces", &[]);
    check_warns("OTEL_METRICS_EXPORTER=jaeger", "no exporter jaeger for metrics", &[]);
    check_warns("OTEL_EXPORTER_PROMETHEUS_PORT=x", "expected a port", &[]);
    check_warns("OTEL_EXPORTER_PROMETHEUS_HOST=example.org", "expected an IP address", &[]);
}

#[test]
fn samplers() {
    for (name, argument, expected) in [
        ("always_on", "", "always"),
        ("always_off", "", "never"),
        ("traceidratio", "0.25", "ratio 0.25"),
        ("traceidratio", "", "always"),
        ("traceidratio", "0", "never"),
        ("traceidratio", "1", "always"),
        ("parentbased_always_on", "", "parent, else always"),
        ("parentbased_always_off", "", "parent, else never"),
        ("parentbased_traceidratio", "0.01", "parent, else ratio 0.01"),
        ("ParentBased_TraceIdRatio", "1e-3", "parent, else ratio 0.001"),
        (
            "jaeger_remote",
            "",
            "asked at http://localhost:5778/sampling every 60s, at first ratio 0.001",
        ),
        (
            "parentbased_jaeger_remote",
            "endpoint=http://j:14250,pollingIntervalMs=5000,initialSamplingRate=0.25",
            "parent, else asked at http://j:14250 every 5s, at first ratio 0.25",
        ),
    ] {
        let variables = format!("OTEL_TRACES_SAMPLER={name};OTEL_TRACES_SAMPLER_ARG={argument}");
        check(&variables, &[("traces.sampler", expected)]);
    }
    let default = ("traces.sampler", "parent, else always");
    check_warns("OTEL_TRACES_SAMPLER=xray", "there is no such sampler", &[default]);
    check_warns("OTEL_TRACES_SAMPLER=rate", "there is no such sampler", &[default]);
    check_warns("OTEL_TRACES_SAMPLER_ARG=0.5", "counts only with OTEL_TRACES_SAMPLER", &[default]);
    for argument in ["1.5", "-0.1", "half", "NaN"] {
        let variables =
            format!("OTEL_TRACES_SAMPLER=traceidratio;OTEL_TRACES_SAMPLER_ARG={argument}");
        check_warns(&variables, "OTEL_TRACES_SAMPLER_ARG", &[("traces.sampler", "always")]);
    }
    check_warns(
        "OTEL_TRACES_SAMPLER=jaeger_remote;OTEL_TRACES_SAMPLER_ARG=pollingIntervalMs=0,x=1",
        "x=1: is not known",
        &[],
    );
}

#[test]
fn t7_batches_and_limits() {
    for (variables, name, value) in [
        ("OTEL_BSP_SCHEDULE_DELAY=200", "traces.batch.delay", "200ms"),
        ("OTEL_BSP_SCHEDULE_DELAY=0", "traces.batch.delay", "0ns"),
        ("OTEL_BSP_EXPORT_TIMEOUT=1500", "traces.batch.export_timeout", "1.5s"),
        ("OTEL_BSP_EXPORT_TIMEOUT=0", "traces.batch.export_timeout", "no limit"),
        ("OTEL_BSP_MAX_QUEUE_SIZE=4096", "traces.queue.items", "4096"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE=100", "traces.batch.items", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY=200", "logs.batch.delay", "200ms"),
        ("OTEL_BLRP_EXPORT_TIMEOUT=1500", "logs.batch.export_timeout", "1.5s"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE=4096", "logs.queue.items", "4096"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=100", "logs.batch.items", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL=15000", "metrics.interval", "15s"),
        ("OTEL_METRIC_EXPORT_TIMEOUT=5000", "metrics.export_timeout", "5s"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT=10", "traces.limits.attributes", "10"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT=10", "logs.limits.attributes", "10"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=64", "traces.limits.value_bytes", "64"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=64", "logs.limits.value_bytes", "64"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=0", "traces.limits.attributes", "0"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT=9", "traces.limits.value_bytes", "9"),
        (
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=5;OTEL_ATTRIBUTE_COUNT_LIMIT=10",
            "traces.limits.attributes",
            "5",
        ),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT=3", "traces.limits.events", "3"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT=3", "traces.limits.links", "3"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT=3", "traces.limits.attributes_per_event", "3"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT=3", "traces.limits.attributes_per_link", "3"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT=3", "logs.limits.attributes", "3"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT=3", "logs.limits.value_bytes", "3"),
    ] {
        check(variables, &[(name, value)]);
    }
    for name in [
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BLRP_SCHEDULE_DELAY",
        "OTEL_BLRP_EXPORT_TIMEOUT",
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "OTEL_METRIC_EXPORT_TIMEOUT",
        "OTEL_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    ] {
        for value in ["many", "-1", "1.5", "10s", "99999999999999999999999"] {
            let variables = format!("{name}={value}");
            check_warns(&variables, &format!("{variables}: expected"), &[]);
            let (bad, good) = (resolve_variables(&variables), resolve_variables(""));
            assert_eq!(bad.config.to_string(), good.config.to_string(), "{variables}");
        }
    }
    check_warns("OTEL_BSP_MAX_QUEUE_SIZE=0", "expected a whole number, 1 or more", &[]);
    check_warns("OTEL_METRIC_EXPORT_INTERVAL=0", "1 or more", &[("metrics.interval", "60s")]);
    check_warns("OTEL_BSP_MAX_QUEUE_SIZE=100", "larger than the queue of 100", &[]);
}

#[test]
fn metrics_of_otlp() {
    const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    for (value, expected) in [
        ("cumulative", "cumulative"),
        ("delta", "delta"),
        ("Delta", "delta"),
        ("lowmemory", "delta"),
    ] {
        check(&format!("{TEMPORALITY}={value}"), &[("metrics.temporality", expected)]);
    }
    check_warns(&format!("{TEMPORALITY}=x"), "expected cumulative", &[]);
    const HISTOGRAM: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    for (value, expected) in [
        ("explicit_bucket_histogram", "explicit buckets"),
        ("base2_exponential_bucket_histogram", "exponential"),
    ] {
        check(&format!("{HISTOGRAM}={value}"), &[("metrics.histograms", expected)]);
    }
    check_warns(&format!("{HISTOGRAM}=x"), "expected explicit_bucket_histogram", &[]);
    for (value, expected) in
        [("trace_based", "true"), ("always_on", "true"), ("always_off", "false")]
    {
        let variables = format!("OTEL_METRICS_EXEMPLAR_FILTER={value}");
        check(&variables, &[("metrics.exemplars", expected)]);
    }
    check_warns("OTEL_METRICS_EXEMPLAR_FILTER=x", "expected trace_based", &[]);
}

#[test]
fn propagators() {
    for (value, expected) in [
        ("tracecontext", "tracecontext"),
        ("tracecontext,baggage,b3,b3multi,jaeger", "tracecontext,baggage,b3,b3multi,jaeger"),
        ("b3, b3", "b3"),
        ("TraceContext", "tracecontext"),
        ("none", ""),
    ] {
        check(&format!("OTEL_PROPAGATORS={value}"), &[("propagators", expected)]);
    }
    for name in ["xray", "ottrace", "x"] {
        check_warns(
            &format!("OTEL_PROPAGATORS=b3,{name}"),
            &format!("there is no propagator {name}"),
            &[("propagators", "tracecontext,baggage")],
        );
    }
}

/// The proxy of the traces' exporter, `host:port` with its authorization, and the warnings.
fn proxy_of(variables: &str) -> (Option<String>, String) {
    let resolved = resolve_variables(&format!("OTEL_EXPORTER_OTLP_ENDPOINT={variables}"));
    let ExporterSettings::Otlp(otlp) = &resolved.settings.traces.exporters[0] else { panic!() };
    let shown = otlp.proxy.as_ref().map(|proxy| {
        let authorization = proxy.authorization.as_ref().map(|value| value.to_str().unwrap());
        format!("{}:{} {}", proxy.host, proxy.port, authorization.unwrap_or_default())
    });
    (shown.map(|shown| shown.trim_end().to_owned()), resolved.warnings.join("\n"))
}

#[test]
fn h6_a_receiver_has_the_proxy_that_is_named_for_it() {
    for (variables, expected) in [
        ("https://o11y.example.org;HTTPS_PROXY=http://p:3128", Some("p:3128")),
        ("https://o11y.example.org;all_proxy=p", Some("p:80")),
        ("https://o11y.example.org;https_proxy=http://[::1]:1;HTTPS_PROXY=p", Some("::1:1")),
        ("https://o11y.example.org;HTTPS_PROXY=http://u:p@p:1", Some("p:1 Basic dTpw")),
        ("https://o11y.example.org;HTTPS_PROXY=http://a%40b@p:1", Some("p:1 Basic YUBiOg==")),
        ("http://collector:4318;http_proxy=http://p:3128", Some("p:3128")),
        ("http://collector:4318;HTTPS_PROXY=http://p:3128", None),
        ("http://localhost:4318;HTTP_PROXY=http://p:3128", None),
        ("http://[::1]:4318;HTTP_PROXY=http://p:3128", None),
        ("https://o11y.example.org;HTTPS_PROXY=", None),
        // A visitor's header, in a CGI program.
        ("http://collector:4318;HTTP_PROXY=http://p:3128;REQUEST_METHOD=GET", None),
        ("http://collector:4318;http_proxy=http://p:3128;REQUEST_METHOD=GET", Some("p:3128")),
        ("http://collector:4318;HTTP_PROXY=x;ALL_PROXY=p;REQUEST_METHOD=GET", Some("p:80")),
    ] {
        assert_eq!(
            proxy_of(variables),
            (expected.map(str::to_owned), String::new()),
            "{variables}"
        );
    }
}

#[test]
fn h6_the_configuration_shows_the_proxy_and_who_names_it() {
    let shown = |variables: &str| {
        let resolved = resolve_variables(&format!("OTEL_EXPORTER_OTLP_ENDPOINT={variables}"));
        let of = |name: &str| resolved.config.value(name).map(str::to_owned);
        (of("traces.proxy"), resolved.config.source("logs.proxy"))
    };
    let (value, source) = shown("https://o11y.example.org;HTTPS_PROXY=http://u:secret@p:3128");
    assert_eq!(value.as_deref(), Some("http://p:3128"));
    assert_eq!(source.as_deref(), Some("HTTPS_PROXY"));
    assert_eq!(shown("https://o;all_proxy=[fd00::1]").0.as_deref(), Some("http://[fd00::1]:80"));
    assert_eq!(shown("http://localhost:4318;HTTP_PROXY=http://p:3128"), (None, None));
}

#[test]
fn h6_no_proxy_excepts_names_domains_networks_and_ports() {
    for (endpoint, except, through) in [
        ("a.example.org", "x, .example.org", false),
        ("a.example.org", "*.EXAMPLE.org", false),
        ("a.example.org", "a.example.org", false),
        ("a.example.org", "*", false),
        ("example.org", "ple.org", true),
        ("example.org", ",", true),
        ("a:4318", "a:4318", false),
        ("a:4318", "a:4317", true),
        ("10.1.2.3", "10.0.0.0/8", false),
        ("11.1.2.3", "10.0.0.0/8", true),
        ("11.1.2.3", "0.0.0.0/0", false),
        ("11.1.2.3", "11.1.2.3/33", true),
        ("[fd00::1]:4318", "fd00::/8", false),
        ("[fd00::1]:4318", "fd00::1", false),
        ("[fe00::1]:4318", "fd00::/8", true),
    ] {
        let variables = format!("https://{endpoint};HTTPS_PROXY=p;NO_PROXY={except}");
        assert_eq!(proxy_of(&variables).0.is_some(), through, "{variables}");
    }
}

#[test]
fn h6_a_proxy_that_cannot_be_used_is_told_without_its_password() {
    for (value, expected) in [
        ("https://u:secret@p", "HTTPS_PROXY names a proxy that speaks https"),
        ("socks5://u:secret@p", "that speaks socks5, and only http is known"),
        ("http://u:secret@ p", "HTTPS_PROXY names no proxy"),
    ] {
        let (proxy, told) = proxy_of(&format!("https://a.example.org;HTTPS_PROXY={value}"));
        assert_eq!(proxy, None, "{value}");
        assert!(told.contains(expected) && told.contains("a.example.org is tried"), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}
