//! Files of declarative configuration.

use std::io::Write as _;

use super::{Builder, expect, resolve_with};

/// Works the settings out from a file and further variables.
fn resolve_file(text: &str, variables: &str) -> (super::Resolved, String) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("it can be written");
    let path = file.path().display().to_string();
    let variables = format!("OTEL_CONFIG_FILE={path}\n{variables}");
    (resolve_with(Builder::new("svc"), &variables), path)
}

const FULL: &str = r#"
file_format: "1.0"
disabled: ${OTEL_SDK_DISABLED:-false}
attribute_limits: {attribute_count_limit: 64, attribute_value_length_limit: 4096}
resource:
  attributes_list: "team=core,service.version=0"
  attributes:
    - {name: service.name, value: "${MY_NAME:-unnamed}"}
    - {name: service.version, value: 1.10}
    - {name: racks, value: [3, 4], type: int_array}
propagator:
  composite: [{tracecontext: }, {b3: }]
  composite_list: "baggage,b3"
tracer_provider:
  processors:
    - batch:
        schedule_delay: 100
        max_queue_size: 4096
        exporter:
          otlp_http:
            endpoint: https://traces.example:4318/custom
            encoding: json
            compression: gzip
            timeout: 2000
            headers_list: "api-key=list,tenant=shop"
            headers: [{name: Api-Key, value: "${SECRET}"}, {name: gone, value: }]
            tls: {ca_file: /ca.pem}
    - batch:
        exporter: {otlp_grpc: {endpoint: "http://second:4317"}}
    - simple: {exporter: {console: }}
  limits: {attribute_count_limit: 32, event_count_limit: 7}
  sampler:
    parent_based:
      root: {trace_id_ratio_based: {ratio: 0.25}}
meter_provider:
  readers:
    - pull: {exporter: {prometheus/development: {host: 0.0.0.0, port: 9999}}}
    - periodic:
        interval: 15000
        timeout: 3000
        exporter:
          otlp_http:
            endpoint: http://metrics:4318/v1/metrics
            temporality_preference: delta
            default_histogram_aggregation: base2_exponential_bucket_histogram
        cardinality_limits: {default: 500}
  exemplar_filter: always_off
logger_provider:
  processors:
    - batch: {schedule_delay: 250, exporter: {otlp_http: {endpoint: "http://logs:4318/v1/logs"}}}
"#;

#[test]
fn a_file_says_it_all() {
    let (resolved, path) = resolve_file(FULL, "MY_NAME=from-variable;SECRET=s3cret");
    assert_eq!(resolved.warnings, Vec::<String>::new());
    expect(
        &resolved,
        FULL,
        &[
            ("enabled", "true"),
            ("resource.service.name", "from-variable"),
            // As it was written, not as a number would be.
            ("resource.service.version", "1.10"),
            ("resource.team", "core"),
            ("resource.racks", "3,4"),
            ("propagators", "tracecontext,b3,baggage"),
            ("traces.exporter", "otlp,otlp,stdout"),
            ("traces.endpoint", "https://traces.example:4318/custom"),
            ("traces.protocol", "http/json"),
            ("traces.headers", "tenant=(hidden),api-key=(hidden)"),
            ("traces.compression", "gzip"),
            ("traces.timeout", "2s"),
            ("traces.tls.ca", "/ca.pem"),
            ("traces.batch.delay", "100ms"),
            ("traces.queue.items", "4096"),
            ("traces.sampler", "parent, else ratio 0.25"),
            ("traces.limits.attributes", "32"),
            ("traces.limits.events", "7"),
            ("traces.limits.value_bytes", "4096"),
            ("logs.limits.attributes", "64"),
            ("metrics.prometheus", "http://0.0.0.0:9999/metrics"),
            ("metrics.interval", "15s"),
            ("metrics.export_timeout", "3s"),
            ("metrics.temporality", "delta"),
            ("metrics.histograms", "exponential"),
            ("metrics.exemplars", "false"),
            ("metrics.cardinality_limit", "500"),
            ("metrics.endpoint", "http://metrics:4318/v1/metrics"),
            ("logs.endpoint", "http://logs:4318/v1/logs"),
            ("logs.batch.delay", "250ms"),
        ],
    );
    assert_eq!(resolved.config.source("traces.endpoint"), Some(path.clone()));
    assert_eq!(resolved.config.source("traces.limits.links").as_deref(), Some("default"));
    assert!(!resolved.config.to_string().contains("s3cret"));
    let super::ExporterSettings::Otlp(otlp) = &resolved.settings.traces.exporters[0] else {
        panic!("the first exporter is OTLP")
    };
    let expected = [("tenant", "shop"), ("api-key", "s3cret")];
    assert_eq!(otlp.headers, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn a_file_stands_in_place_of_the_standard_variables_and_below_the_others() {
    let text = "file_format: '1.0'\ndisabled: ${OTEL_SDK_DISABLED}\n\
        tracer_provider: {processors: [{batch: {exporter: {otlp_http: }}}]}\n";
    let variables = "OTEL_SERVICE_NAME=ignored;OTEL_SDK_DISABLED=true;OTEL_BSP_SCHEDULE_DELAY=1";
    let (resolved, path) = resolve_file(text, variables);
    expect(
        &resolved,
        text,
        &[
            ("enabled", "false"),
            ("resource.service.name", "svc"),
            ("traces.batch.delay", "5s"),
            ("traces.endpoint", "http://localhost:4318/v1/traces"),
            // What the file leaves out exports nothing.
            ("metrics.exporter", "none"),
            ("logs.exporter", "none"),
            ("propagators", ""),
        ],
    );
    assert_eq!(resolved.config.source("metrics.exporter"), Some(path));
    assert_eq!(
        resolved.warnings,
        ["OTEL_CONFIG_FILE is set, so these are ignored: OTEL_BSP_SCHEDULE_DELAY, \
         OTEL_SDK_DISABLED, OTEL_SERVICE_NAME"]
    );
    let (resolved, _) = resolve_file(FULL, "OTEL_ENDPOINT=elsewhere:4318;ENV=prod");
    expect(
        &resolved,
        "",
        &[
            ("traces.endpoint", "http://elsewhere:4318/v1/traces"),
            ("metrics.endpoint", "http://elsewhere:4318/v1/metrics"),
            ("resource.deployment.environment", "prod"),
        ],
    );
}

#[test]
fn a_damaged_file_is_told_and_the_variables_count() {
    let variables = "OTEL_SERVICE_NAME=fallback";
    for (text, problem) in [
        ("", "it holds no settings"),
        ("just text", "it holds no settings"),
        ("disabled: true", "it has no file_format"),
        ("file_format: '1.0'\na: [1", "ignored"),
        ("file_format: '1.0'\na: ${bad-name}", "is no reference to a variable"),
        ("file_format: '1.0'\nfile_format: '1.0'", "is there twice"),
    ] {
        let (resolved, _) = resolve_file(text, variables);
        let told = resolved.warnings.join("\n");
        assert!(told.contains(problem), "{text}: {told}");
        assert!(told.contains("the file is ignored and the other variables count"), "{told}");
        expect(
            &resolved,
            text,
            &[("resource.service.name", "fallback"), ("traces.exporter", "otlp")],
        );
    }
    let resolved = resolve_with(Builder::new("svc"), "OTEL_CONFIG_FILE=/nowhere.yaml");
    assert!(
        resolved.warnings[0].contains("/nowhere.yaml: No such file"),
        "{:?}",
        resolved.warnings
    );
}

#[test]
fn what_means_nothing_is_told_with_its_line() {
    let text = "file_format: '1.0'
tracer_provider:
  processors:
    - batch:
        schedule_delay: soon
        exporter: {zipkin: {endpoint: x}}
    - batch: {max_queue_size: 9, exporter: {otlp_grpc: {endpoint: 'ftp://x'}}}
  sampler: {parent_based: {root: {dice: }, remote_parent_not_sampled: {always_on: }}}
  limitz: {}
meter_provider:
  views: [{}]
";
    let (resolved, path) = resolve_file(text, "");
    let expected = [
        ":11: views are not supported",
        ":5: schedule_delay: soon: expected milliseconds",
        ":6: there is no exporter zipkin",
        ":7: a signal has one queue",
        ":7: endpoint: ftp://x: expected http",
        ":8: remote_parent_not_sampled is always always_off",
        ":8: there is no sampler dice",
        ":9: limitz is not known; known here are processors, limits",
    ];
    for problem in expected {
        let line = format!("{path}{problem}");
        assert!(
            resolved.warnings.iter().any(|w| w.starts_with(&line)),
            "{line}\n{:#?}",
            resolved.warnings
        );
    }
    assert_eq!(resolved.warnings.len(), expected.len(), "{:#?}", resolved.warnings);
    expect(
        &resolved,
        text,
        &[
            ("traces.exporter", "otlp"),
            ("traces.endpoint", "http://localhost:4317"),
            ("traces.sampler", "parent, else always"),
        ],
    );
}

#[test]
fn json_is_read_as_well() {
    let text = r#"{"file_format": "1.0", "resource": {"attributes": [{"name": "a", "value": "b"}]},
        "logger_provider": {"processors": [{"batch": {"exporter": {"otlp_http": {}}}}]}}"#;
    let (resolved, _) = resolve_file(text, "");
    assert_eq!(resolved.warnings, Vec::<String>::new());
    expect(&resolved, text, &[("resource.a", "b"), ("logs.exporter", "otlp")]);
}
