//! Strategies that Jaeger hands out, over a real socket (S12).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::RawQuery;
use axum::routing::get;

use crate::edge::{run_with, serve};

#[test]
fn s12_jaegers_strategies_are_asked_for_and_followed() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let asked = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&asked);
    let strategy = |RawQuery(query): RawQuery| async move {
        *keep.lock().unwrap() = query.unwrap_or_default();
        r#"{"strategyType":"PROBABILISTIC","operationSampling":{
            "defaultSamplingProbability":0.0,"defaultLowerBoundTracesPerSecond":0.0,
            "perOperationStrategies":[
                {"operation":"wanted","probabilisticSampling":{"samplingRate":1.0}}]}}"#
    };
    let address = runtime.block_on(serve(Router::new().route("/sampling", get(strategy))));
    let left = run_with(
        |builder| {
            builder.keep_errors(false).variables([
                ("OTEL_TRACES_SAMPLER".to_owned(), "jaeger_remote".to_owned()),
                (
                    "OTEL_TRACES_SAMPLER_ARG".to_owned(),
                    format!("endpoint=http://{address},initialSamplingRate=0.0"),
                ),
            ])
        },
        async |telemetry| {
            let begin = Instant::now();
            while telemetry.counts(trefoil::Signal::Traces).exported == 0 {
                assert!(begin.elapsed() < Duration::from_secs(20), "the strategy never came");
                tracing::info_span!("wanted").in_scope(|| ());
                tracing::info_span!("unwanted").in_scope(|| ());
                telemetry.flush(Duration::from_secs(20));
            }
        },
    );
    assert_eq!(*asked.lock().unwrap(), "service=edge");
    assert!(!left.names().is_empty() && left.names().iter().all(|name| *name == "wanted"));
}
