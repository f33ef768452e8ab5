//! Measurements lead to the traces they were made in, if those were exported.

use trefoil_wire::exposition::{self, Format};
use trefoil_wire::otlp::metrics::{Data, ExportRequest};
use trefoil_wire::protobuf::Writer;

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

/// A trace that is forgotten must not be pointed at, nor one of which that is not known yet.
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
