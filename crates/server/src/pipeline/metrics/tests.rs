//! Metrics written as OTLP/JSON, and the Prometheus series they become.

use trefoil_store::{Tally, TimeRange};

use crate::pipeline::tests::Bench;
use crate::pipeline::{Outcome, Signal};

/// Sends each metric in turn and compares all series.
fn check(metrics: &[&str], expected: &str) {
    let bench = Bench::new();
    for metric in metrics {
        assert_eq!(bench.metric(metric), Outcome::default(), "{metric}");
    }
    assert_eq!(bench.series().trim(), expected.trim());
}

/// Sends one metric of which `refused` points are refused for `reason`.
fn refuses(metric: &str, refused: u64, reason: &str) {
    let bench = Bench::new();
    let outcome = bench.metric(metric);
    assert_eq!(outcome.refused, refused, "{outcome:?}");
    assert!(outcome.message.contains(reason), "{outcome:?}");
}

#[test]
fn gauges_and_sums() {
    check(
        &[
            r#"{"name":"queue.size","unit":"{item}","gauge":{"dataPoints":[
                {"timeUnixNano":"5000000000","asInt":"3","attributes":[
                    {"key":"queue.name","value":{"stringValue":"a"}}]},
                {"timeUnixNano":"5000000000","asDouble":2.5}]}}"#,
            r#"{"name":"requests","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[
                {"startTimeUnixNano":"1000000000","timeUnixNano":"5000000000","asInt":"7"}]}}"#,
            r#"{"name":"open","unit":"1","sum":{"aggregationTemporality":2,"dataPoints":[
                {"timeUnixNano":"5000000000","asInt":"-1"}]}}"#,
            r#"{"name":"gone","gauge":{"dataPoints":[{"timeUnixNano":"5000000000","flags":1}]}}"#,
        ],
        "gone{} stale@5000
open{} -1@5000
queue_size{queue_name=a} 3@5000
queue_size{} 2.5@5000
requests_total{} 7@5000",
    );
}

#[test]
fn deltas_become_cumulative() {
    let point = |start: u32, time: u32, value: i32| {
        format!(
            r#"{{"name":"jobs","sum":{{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
                {{"startTimeUnixNano":"{start}000000000","timeUnixNano":"{time}000000000","asInt":"{value}"}}]}}}}"#
        )
    };
    check(
        &[&point(1, 2, 3), &point(2, 3, 4), &point(3, 4, 0)],
        "jobs_total{} 3@2000 7@3000 7@4000",
    );
    let bench = Bench::new();
    bench.metric(&point(1, 2, 3));
    let again = bench.metric(&point(1, 2, 3));
    assert!(again.message.contains("delta_out_of_order"), "{again:?}");
}

#[test]
fn explicit_histograms() {
    check(
        &[r#"{"name":"took","unit":"s","histogram":{"aggregationTemporality":2,"dataPoints":[
            {"timeUnixNano":"5000000000","count":"6","sum":2.5,
             "bucketCounts":["1","2","3"],"explicitBounds":[0.005,1]}]}}"#],
        "took_seconds_bucket{le=+Inf} 6@5000
took_seconds_bucket{le=0.005} 1@5000
took_seconds_bucket{le=1} 3@5000
took_seconds_count{} 6@5000
took_seconds_sum{} 2.5@5000",
    );
    let delta = r#"{"name":"d","histogram":{"aggregationTemporality":1,"dataPoints":[
            {"timeUnixNano":"TIME","count":"3","sum":2,"bucketCounts":["1","2"],"explicitBounds":[1]}]}}"#;
    check(
        &[&delta.replace("TIME", "1000000000"), &delta.replace("TIME", "2000000000")],
        "d_bucket{le=+Inf} 3@1000 6@2000
d_bucket{le=1} 1@1000 2@2000
d_count{} 3@1000 6@2000
d_sum{} 2@1000 4@2000",
    );
}

#[test]
fn exponential_histograms_become_native_ones() {
    // Scale 1, offset 0: buckets (1, √2], (√2, 2], (2, 2√2]: Prometheus's 1, 2, 3.
    let point = r#"{"name":"e","exponentialHistogram":{"aggregationTemporality":T,"dataPoints":[
        {"timeUnixNano":"TIME","count":"9","sum":3,"scale":SCALE,"zeroCount":"1",
         "positive":{"offset":0,"bucketCounts":["1","2","0","0","0","4"]},
         "negative":{"offset":-1,"bucketCounts":["1"]}}]}}"#;
    let at = |scale: &str, temporality: &str, time: &str| {
        point
            .replace("SCALE", scale)
            .replace("\":T,", &format!("\":{temporality},"))
            .replace("TIME", &format!("{time}000000000"))
    };
    check(
        &[&at("1", "2", "1")],
        "e{} {schema:1 count:9 sum:3 zero:1 [(1, 2), (3, 1)] [1.0, 2.0, 4.0] | [(0, 1)] [1.0]}@1000",
    );
    // Two steps finer than Prometheus can: four buckets become one.
    check(
        &[&at("10", "2", "1")],
        "e{} {schema:8 count:9 sum:3 zero:1 [(1, 2)] [3.0, 4.0] | [(0, 1)] [1.0]}@1000",
    );
    check(
        &[&at("1", "1", "1"), &at("1", "1", "2")],
        "e{} {schema:1 count:9 sum:3 zero:1 [(1, 2), (3, 1)] [1.0, 2.0, 4.0] | [(0, 1)] [1.0]}@1000 \
         {schema:1 count:18 sum:6 zero:2 [(1, 2), (3, 1)] [2.0, 4.0, 8.0] | [(0, 1)] [2.0]}@2000",
    );
    refuses(&at("-5", "2", "1"), 1, "scale_too_small");
}

#[test]
fn summaries() {
    check(
        &[
            r#"{"name":"s","summary":{"dataPoints":[{"timeUnixNano":"5000000000","count":"2","sum":3,
            "quantileValues":[{"quantile":0.5,"value":1},{"quantile":1,"value":2}]}]}}"#,
        ],
        "s{quantile=0.5} 1@5000
s{quantile=1} 2@5000
s_count{} 2@5000
s_sum{} 3@5000",
    );
}

#[test]
fn what_cannot_be_kept_is_refused_by_name() {
    let sum = |fields: &str| format!(r#"{{"name":"s","sum":{{{fields}}}}}"#);
    let point = r#"{"timeUnixNano":"1","asInt":"1"}"#;
    refuses(&sum(&format!(r#""dataPoints":[{point},{point}]"#)), 2, "temporality_unspecified");
    refuses(r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1"}]}}"#, 1, "no_value");
    refuses(
        r#"{"name":"...","gauge":{"dataPoints":[{"timeUnixNano":"1","asInt":"1"}]}}"#,
        1,
        "empty_name",
    );
    refuses(r#"{"name":"nothing"}"#, 1, "no_data");
    refuses(
        r#"{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"18446744073709551615","asInt":"1"}]}}"#,
        1,
        "timestamp_out_of_range",
    );
    let histogram = |counts: &str, bounds: &str| {
        format!(
            r#"{{"name":"h","histogram":{{"aggregationTemporality":2,"dataPoints":[
            {{"timeUnixNano":"1","count":"1","bucketCounts":[{counts}],"explicitBounds":[{bounds}]}}]}}}}"#
        )
    };
    refuses(&histogram(r#""1""#, "1,2"), 1, "bucket_mismatch");
    refuses(&histogram(r#""1","0","0""#, "2,1"), 1, "bounds_not_ascending");
}

#[test]
fn labels_come_from_the_point_the_resource_and_the_scope() {
    let text = r#"{"resourceMetrics":[{"resource":{"attributes":[
            {"key":"service.name","value":{"stringValue":"api"}},
            {"key":"service.namespace","value":{"stringValue":"shop"}},
            {"key":"service.instance.id","value":{"stringValue":"i1"}},
            {"key":"deployment.environment.name","value":{"stringValue":"prod"}},
            {"key":"host.name","value":{"stringValue":"h"}}]},
        "scopeMetrics":[{"scope":{"name":"lib","version":"1"},"metrics":[{"name":"g","gauge":{"dataPoints":[
            {"timeUnixNano":"2000000000","asInt":"1","attributes":[
                {"key":"a.b","value":{"stringValue":"x"}},{"key":"a_b","value":{"stringValue":"y"}},
                {"key":"job","value":{"stringValue":"mine"}}]}]}}]}]}]}"#;
    let labels = |bench: &Bench| {
        bench.export(Signal::Metrics, text).unwrap();
        let all = bench.snapshot().series(&[], TimeRange::ALL, &Tally::unlimited()).unwrap();
        all.iter().map(|series| format!("{:?}", series.labels)).collect::<Vec<_>>()
    };
    assert_eq!(
        labels(&Bench::new()),
        [
            r#"{__name__="g", a_b="x;y", deployment_environment_name="prod", instance="i1", job="shop/api", service_instance_id="i1", service_name="api", service_namespace="shop"}"#,
            r#"{__name__="target_info", deployment_environment_name="prod", host_name="h", instance="i1", job="shop/api"}"#,
        ]
    );
    let scoped = Bench::with(|config| {
        config.promote_scope = true;
        config.promoted_attributes = Vec::new();
    });
    assert_eq!(
        labels(&scoped)[0],
        r#"{__name__="g", a_b="x;y", instance="i1", job="shop/api", otel_scope_name="lib", otel_scope_version="1"}"#
    );
}

#[test]
fn exemplars_and_metadata_are_kept() {
    let bench = Bench::new();
    bench.metric(
        r#"{"name":"took","unit":"s","description":"how long","histogram":{"aggregationTemporality":2,"dataPoints":[
            {"timeUnixNano":"5000000000","count":"1","bucketCounts":["0","1"],"explicitBounds":[1],
             "exemplars":[{"timeUnixNano":"4000000000","asDouble":2,
                "traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0000000000000001",
                "filteredAttributes":[{"key":"user.id","value":{"stringValue":"u"}}]}]}]}}"#,
    );
    let snapshot = bench.snapshot();
    let exemplars = snapshot.exemplars(&[], TimeRange::ALL, &Tally::unlimited()).unwrap();
    let [(series, exemplars)] = &exemplars[..] else { panic!("{exemplars:?}") };
    assert_eq!(series.labels.get("le"), Some("+Inf"));
    assert_eq!(
        format!("{:?} {} {}", exemplars[0].labels, exemplars[0].value, exemplars[0].time_ms),
        r#"{span_id="0000000000000001", trace_id="0102030405060708090a0b0c0d0e0f10", user_id="u"} 2 4000"#
    );
    let metadata = snapshot.metadata();
    assert_eq!(metadata[0].0, "took_seconds");
    assert_eq!((&*metadata[0].1.unit, &*metadata[0].1.help), ("s", "how long"));
}

#[test]
fn too_many_series_of_a_metric_share_one_and_nothing_is_refused() {
    let bench = Bench::with(|config| {
        config.cardinality.series = 2;
    });
    let point = |user: &str, value: u32| {
        format!(
            r#"{{"timeUnixNano":"5000000000","asInt":"{value}","attributes":[
            {{"key":"user","value":{{"stringValue":"{user}"}}}}]}}"#
        )
    };
    let points: Vec<String> =
        ["a", "b", "c", "d"].iter().zip(1..).map(|(user, n)| point(user, n)).collect();
    let sum = |temporality: u32| {
        format!(
            r#"{{"name":"requests","sum":{{"aggregationTemporality":{temporality},
            "isMonotonic":true,"dataPoints":[{}]}}}}"#,
            points.join(",")
        )
    };
    for _ in 0..2 {
        let outcome = bench.metric(&sum(2));
        assert_eq!(outcome.refused, 0, "{outcome:?}");
        assert!(outcome.message.contains("2 points of requests_total"), "{outcome:?}");
        assert!(outcome.message.contains("otel_metric_overflow=\"true\""), "{outcome:?}");
    }
    let gauge = format!(r#"{{"name":"size","gauge":{{"dataPoints":[{}]}}}}"#, points.join(","));
    assert_eq!(bench.metric(&gauge).refused, 0);
    assert_eq!(
        bench.series().trim(),
        "requests_total{otel_metric_overflow=true} 7@5000
requests_total{user=a} 1@5000
requests_total{user=b} 2@5000
size{otel_metric_overflow=true} 4@5000
size{user=a} 1@5000
size{user=b} 2@5000"
    );
    // A running total of deltas of nobody in particular would be wrong.
    let outcome = bench.metric(&sum(1));
    assert_eq!(outcome.refused, 2, "{outcome:?}");
    assert!(outcome.message.contains("2 too_many_series"), "{outcome:?}");
}
