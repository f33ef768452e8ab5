//! Which layer wins, and that people are told which did.

use super::{Builder, expect, resolve_with};

#[test]
fn each_layer_wins_over_those_below() {
    let name = "resource.service.name";
    let steps = [
        ("OTEL_RESOURCE_ATTRIBUTES=service.name=list", "list", "OTEL_RESOURCE_ATTRIBUTES"),
        ("OTEL_SERVICE_NAME=standard", "standard", "OTEL_SERVICE_NAME"),
        ("JAEGER_SERVICE_NAME=document", "document", "JAEGER_SERVICE_NAME"),
        ("MY_SERVICE_NAME=prefix", "prefix", "MY_SERVICE_NAME"),
    ];
    let mut variables = String::new();
    for (step, value, source) in steps {
        variables.push_str(step);
        variables.push('\n');
        let resolved = resolve_with(Builder::new("svc").prefix("MY"), &variables);
        assert_eq!(resolved.config.value(name), Some(value), "{variables}");
        assert_eq!(resolved.config.source(name).as_deref(), Some(source), "{variables}");
        let builder = Builder::new("svc").prefix("MY_").attribute("service.name", "last");
        let resolved = resolve_with(builder, &variables);
        assert_eq!(resolved.config.value(name), Some("last"), "{variables}");
        assert_eq!(resolved.config.source(name).as_deref(), Some("the program"), "{variables}");
    }
}

#[test]
fn endpoints_of_strong_layers_win_over_signals_of_weak_ones() {
    let variables =
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://weak:4318/t;OTEL_ENDPOINT=strong:4317";
    expect(
        &resolve_with(Builder::new("svc"), variables),
        variables,
        &[("traces.endpoint", "http://strong:4317")],
    );
    let builder = Builder::new("svc").otlp("http://strongest:4318");
    expect(
        &resolve_with(builder, variables),
        variables,
        &[("traces.endpoint", "http://strongest:4318/v1/traces")],
    );
}

#[test]
fn a_meaningless_value_leaves_the_weaker_layer_in_force() {
    let variables =
        "OTEL_SERVICE_NAME=x;OTEL_EXPORTER_OTLP_ENDPOINT=http://good:4318;OTEL_ENDPOINT=::";
    let resolved = resolve_with(Builder::new("svc").sampling_rate(7.0).otlp("?"), variables);
    expect(
        &resolved,
        variables,
        &[
            ("traces.endpoint", "http://good:4318/v1/traces"),
            ("traces.sampler", "parent, else always"),
        ],
    );
    assert_eq!(resolved.warnings.len(), 3, "{:?}", resolved.warnings);
    assert!(resolved.warnings.iter().any(|w| w.contains("Builder::sampling_rate: 7")));
}

#[test]
fn exporters_of_the_strongest_layer_replace_the_others() {
    let variables = "OTEL_TRACES_EXPORTER=console;JAEGER_AGENT_HOST=j";
    expect(
        &resolve_with(Builder::new("svc"), variables),
        variables,
        &[("traces.exporter", "jaeger udp://j:6831")],
    );
    let builder = Builder::new("svc").otlp("a:4317").stdout().stdout();
    expect(&resolve_with(builder, variables), variables, &[("traces.exporter", "otlp,stdout")]);
    let builder = Builder::new("svc").prometheus("127.0.0.1:0").no_metrics_push();
    expect(
        &resolve_with(builder, ""),
        "",
        &[("metrics.exporter", "none"), ("metrics.prometheus", "http://127.0.0.1:0/metrics")],
    );
}

#[test]
fn s12_operations_have_their_own_shares() {
    let builder = Builder::new("svc")
        .sampling_rate(0.01)
        .sample_operation("vm.export", 1.0)
        .sample_route("/health*", 0.0)
        .sample_attribute("tenant.id", "vip", 2.0);
    let resolved = resolve_with(builder, "");
    expect(&resolved, "", &[("traces.sampler", "parent, else 2 rules, otherwise ratio 0.01")]);
    assert!(resolved.warnings[0].contains("sample_attribute: 2 is no share"));
}

#[test]
fn the_view_shows_each_value_with_its_source() {
    let variables = "OTEL_BSP_MAX_QUEUE_SIZE=4096;LOG_LEVEL_IMAGES=debug";
    let resolved =
        resolve_with(Builder::new("svc").slow(std::time::Duration::from_secs(1)), variables);
    let shown = resolved.config.to_string();
    for line in [
        "traces.queue.items = 4096  (OTEL_BSP_MAX_QUEUE_SIZE)",
        "traces.keep.slow = 1s  (the program)",
        "logs.level.images = debug  (LOG_LEVEL_IMAGES)",
        "traces.batch.items = 512  (default)",
        "traces.headers = (none)  (default)",
    ] {
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.lines().any(|shown| squeezed(shown) == squeezed(line)), "{line}\n{shown}");
    }
}
