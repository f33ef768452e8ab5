//! Measurements lead to the traces they were made in, if those were exported.

use trefoil_wire::exposition::{self, Format};
use trefoil_wire::otlp::metrics::{Data, ExportRequest};
use trefoil_wire::protobuf::Writer;

use tracing::{error, info_span};

use super::*;
use crate::metric::{Counter, Histogram, ReaderState, Registry};

/// Trace and span ids, and values, of all exemplars that a push would hold.
fn pushed(registry: &Registry, reader: &mut ReaderState) -> Vec<(String, String, f64)> {
    let mut w = Writer::new();
    w.message(1, |w| {
        registry.write_otlp(w, reader, clock::now_ns());
    });
    let bytes = w.into_bytes();
    let mut all = Vec::new();
    let mut add = |exemplars: &trefoil_wire::protobuf::Repeated<
        '_,
        trefoil_wire::otlp::metrics::Exemplar<'_>,
    >| {
        for exemplar in exemplars {
            let exemplar = exemplar.unwrap();
            let value = exemplar.value.unwrap().as_f64();
            let (trace, span) = (exemplar.trace_id().unwrap(), exemplar.span_id().unwrap());
            all.push((TraceId(trace).to_string(), SpanId(span).to_string(), value));
        }
    };
    for resource in &ExportRequest::new(&bytes).unwrap().resource_metrics {
        for scope in &resource.unwrap().scope_metrics {
            for metric in &scope.unwrap().metrics {
                match metric.unwrap().data {
                    Data::Sum(points) => {
                        points.data_points.iter().for_each(|p| add(&p.unwrap().exemplars));
                    }
                    Data::Histogram(points) => {
                        points.data_points.iter().for_each(|p| add(&p.unwrap().exemplars));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    all
}

#[test]
fn exemplars_name_the_span_that_was_current_and_left() {
    let registry = Registry::new();
    let seconds: Histogram = registry.metric("request_seconds").unit("s").histogram();
    let requests: Counter = registry.metric("requests_total").counter();
    let rig = Rig::always_on();
    rig.run(|| {
        seconds.record(0.003, ());
        requests.inc(());
        let _inside = tracing::info_span!("request").entered();
        seconds.record(0.3, ());
        seconds.record(0.31, ());
        seconds.record(7.0, ());
        requests.inc(());
    });
    let span = rig.one("request");
    let mut reader = ReaderState::new(false);
    let of = |value: f64| (span.trace.clone(), span.id.clone(), value);
    assert_eq!(pushed(&registry, &mut reader), [of(0.3), of(7.0), of(1.0)]);
    assert_eq!(pushed(&registry, &mut reader), [], "each reader is told once");

    let text = registry.write_text(Format::OpenMetrics, None);
    let families = exposition::parse(&text, Format::OpenMetrics).unwrap();
    let samples = families.iter().flat_map(|family| &family.samples);
    let shown: Vec<_> = samples
        .filter_map(|sample| {
            let exemplar = sample.exemplar.as_ref()?;
            assert_eq!(exemplar.labels[0], ("trace_id", span.trace.as_str().into()));
            assert_eq!(exemplar.labels[1], ("span_id", span.id.as_str().into()));
            Some((sample.name, sample.label("le").unwrap_or_default().to_owned(), exemplar.value))
        })
        .collect();
    let expect = [
        ("request_seconds_bucket", "0.5".to_owned(), 0.3),
        ("request_seconds_bucket", "7.5".to_owned(), 7.0),
        ("requests_total", String::new(), 1.0),
    ];
    assert_eq!(shown, expect);
}

/// A trace that is forgotten must not be pointed at.
#[test]
fn traces_that_sampling_leaves_out_have_no_exemplars() {
    let registry = Registry::new();
    let seconds: Histogram = registry.metric("request_seconds").unit("s").histogram();
    let rig = Rig::new(&settings(SamplerSettings::Ratio(0.25)));
    rig.run(|| {
        for i in 0..400 {
            let _inside = tracing::info_span!("request").entered();
            seconds.record(f64::from(i % 20), ());
        }
    });
    let left: std::collections::BTreeSet<String> =
        rig.left().into_iter().map(|span| span.trace).collect();
    assert!(left.len() > 50 && left.len() < 150, "{}", left.len());
    let exemplars = pushed(&registry, &mut ReaderState::new(false));
    assert!(exemplars.len() > 3, "{exemplars:?}");
    for (trace, _, _) in exemplars {
        assert!(left.contains(&trace), "{trace} did not leave");
    }
}

fn fail() {
    info_span!("query").in_scope(|| error!("no such table"));
}

/// Whether a trace is kept is known when it is decided, which may be after a collection.
#[test]
fn a_trace_that_is_kept_in_the_end_is_pointed_at_from_then_on() {
    let registry = Registry::new();
    let seconds: Histogram = registry.metric("request_seconds").unit("s").histogram();
    let requests: Counter = registry.metric("requests_total").counter();
    let rig = Rig::new(&settings(SamplerSettings::AlwaysOff));
    let mut reader = ReaderState::new(false);
    let mut pushed = || pushed(&registry, &mut reader);
    rig.run(|| {
        info_span!("forgotten").in_scope(|| seconds.record(0.3, ()));
        assert_eq!(pushed(), []);
        let _inside = info_span!("kept").entered();
        seconds.record(0.4, ());
        seconds.record(0.31, ());
        requests.inc(());
        assert_eq!(pushed(), [], "it is not known yet");
        fail();
        seconds.record(7.0, ());
        info_span!("child").in_scope(|| {});
    });
    let span = rig.one("kept");
    let of = |value: f64| (span.trace.clone(), span.id.clone(), value);
    assert_eq!(pushed(), [of(0.31), of(7.0), of(1.0)], "the latest of each place");
    assert_eq!(pushed(), [], "each reader is told once");
}

/// Whoever else decides: by name, by asking, at the end of the process.
#[test]
fn exemplars_wait_for_whatever_keeps_the_trace() {
    let rig = Rig::new(&settings(SamplerSettings::AlwaysOff));
    let registry = Registry::new();
    let requests: Counter = registry.metric("requests_total").counter();
    let mut reader = ReaderState::new(false);
    let asked = rig.run(|| {
        let asked = info_span!("asked").entered();
        requests.inc(());
        asked.keep("debugging");
        asked.exit()
    });
    let traces: Vec<_> = pushed(&registry, &mut reader).into_iter().map(|(t, ..)| t).collect();
    drop(asked);
    assert_eq!(traces, [rig.one("asked").trace]);
    rig.run(|| {
        let _open = info_span!("open").entered();
        requests.inc(());
        rig.spans.decide_all();
    });
    assert_eq!(pushed(&registry, &mut reader), [], "forgotten");
}

/// Many measurements in one trace cost no more memory than a few.
#[test]
fn few_exemplars_wait_in_a_trace() {
    let registry = Registry::new();
    let counters: Vec<Counter> =
        (0..100).map(|n| registry.metric(format!("metric_{n}_total")).counter()).collect();
    let rig = Rig::new(&settings(SamplerSettings::AlwaysOff));
    rig.run(|| {
        let _inside = info_span!("kept").entered();
        counters.iter().for_each(|counter| counter.inc(()));
        fail();
    });
    let exemplars = pushed(&registry, &mut ReaderState::new(false));
    assert!((4..=16).contains(&exemplars.len()), "{}", exemplars.len());
}
