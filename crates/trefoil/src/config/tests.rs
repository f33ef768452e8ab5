//! Tables: variables in, settings out.

mod document;
#[cfg(feature = "config-file")]
mod file;
mod layers;
mod prefix;
mod standard;

use std::collections::BTreeMap;

use super::*;
use crate::builder::Builder;

/// Works the settings out from a builder and lines of `NAME=value`, separated by newlines or
/// `;`, on a machine about which nothing is known.
fn resolve_with(builder: Builder, variables: &str) -> Resolved {
    let lines = variables.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty());
    let variables = lines.map(|line| line.split_once('=').expect("NAME=value"));
    builder.variables(variables).resolve()
}

fn resolve_variables(variables: &str) -> Resolved {
    resolve_with(Builder::new("svc"), variables)
}

/// Checks lines of `name = value`, as [`Config`] displays them without the source, and that
/// nothing was warned about.
#[track_caller]
fn check(variables: &str, expected: &[(&str, &str)]) {
    let resolved = resolve_variables(variables);
    assert_eq!(resolved.warnings, Vec::<String>::new(), "{variables}");
    expect(&resolved, variables, expected);
}

/// Checks that a value is told as meaningless, and that the setting stays as it was.
#[track_caller]
fn check_warns(variables: &str, warning: &str, expected: &[(&str, &str)]) {
    let resolved = resolve_variables(variables);
    let told = resolved.warnings.join("\n");
    assert!(told.contains(warning), "{variables}: expected {warning:?} in {told:?}");
    expect(&resolved, variables, expected);
}

#[track_caller]
fn expect(resolved: &Resolved, variables: &str, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        let found = resolved.config.value(name).unwrap_or("(absent)");
        assert_eq!(found, *value, "{name} with\n{variables}\nin\n{}", resolved.config);
    }
}

#[test]
fn with_nothing_set_everything_goes_to_this_machine() {
    check(
        "",
        &[
            ("enabled", "true"),
            ("resource.service.name", "svc"),
            ("traces.exporter", "otlp"),
            ("traces.endpoint", "http://localhost:4318/v1/traces"),
            ("traces.protocol", "http/protobuf"),
            ("traces.headers", ""),
            ("traces.compression", "none"),
            ("traces.timeout", "10s"),
            ("traces.sampler", "parent, else always"),
            ("traces.keep.errors", "true"),
            ("traces.keep.slow", "off"),
            ("traces.batch.items", "512"),
            ("traces.queue.items", "2048"),
            ("traces.batch.delay", "5s"),
            ("traces.batch.export_timeout", "30s"),
            ("traces.limits.attributes", "128"),
            ("traces.limits.value_bytes", "no limit"),
            ("metrics.exporter", "otlp"),
            ("metrics.endpoint", "http://localhost:4318/v1/metrics"),
            ("metrics.interval", "60s"),
            ("metrics.export_timeout", "30s"),
            ("metrics.temporality", "cumulative"),
            ("metrics.prometheus", "off"),
            ("metrics.cardinality_limit", "2000"),
            ("metrics.high_cardinality", "false"),
            ("metrics.exemplars", "true"),
            ("metrics.histograms", "explicit buckets"),
            ("logs.exporter", "otlp"),
            ("logs.endpoint", "http://localhost:4318/v1/logs"),
            ("logs.batch.delay", "1s"),
            ("logs.console", "pretty"),
            ("logs.level", "info"),
            ("propagators", "tracecontext,baggage"),
            ("shutdown_timeout", "5s"),
            ("spool", "off"),
            ("status_line", "true"),
            ("resource.deployment.environment", "(absent)"),
        ],
    );
    let resolved = resolve_variables("");
    let sources: BTreeMap<_, _> = resolved.config.iter().map(|(n, _, s)| (n, s)).collect();
    for (name, source) in sources {
        let expected = match name {
            "resource.service.name" => "the program's default",
            name if name.starts_with("resource.") => "detected",
            _ => "default",
        };
        assert_eq!(source, expected, "{name}");
    }
}
