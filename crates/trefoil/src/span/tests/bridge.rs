//! Both APIs in one trace.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    Span as _, SpanKind, Status as ApiStatus, TraceContextExt as _, Tracer as _,
    TracerProvider as _, mark_span_as_active,
};
use opentelemetry::{Context as ApiContext, KeyValue};
use tracing::{error, info, info_span};

use super::*;

#[track_caller]
fn check_child(child: &Left, parent: &Left) {
    assert_eq!((&child.parent, &child.trace), (&parent.id, &parent.trace));
}

#[test]
fn spans_of_both_apis_are_each_others_children() {
    let rig = Rig::always_on();
    let tracer = rig.spans.tracer_provider().tracer("library");
    rig.run(|| {
        let outer = info_span!("tracing outer").entered();
        tracer.in_span("api", |context| {
            let seen = context.span().span_context().span_id().to_string();
            assert_eq!(Context::current().span.map(|span| span.span_id.to_string()), Some(seen));
            let inner = info_span!("tracing inner").entered();
            let active = ApiContext::current().span().span_context().span_id().to_string();
            assert_eq!(active, inner.context().span.unwrap().span_id.to_string());
            drop(tracer.start("api leaf"));
            drop(inner);
            info!("an event of the api's span");
            drop(info_span!("tracing second"));
        });
        drop(tracer.start_with_context("root", &ApiContext::new()));
        drop(info_span!("tracing last"));
        drop(outer);
        assert!(!ApiContext::current().has_active_span());
        drop(tracer.start("alone"));
    });
    let [outer, api, inner, leaf, second, last] =
        ["tracing outer", "api", "tracing inner", "api leaf", "tracing second", "tracing last"]
            .map(|name| rig.one(name));
    for (child, parent) in
        [(&api, &outer), (&inner, &api), (&leaf, &inner), (&second, &api), (&last, &outer)]
    {
        check_child(child, parent);
    }
    assert_eq!((api.scope, leaf.scope), ("library", "library"));
    assert_eq!(api.events[0].0, "an event of the api's span");
    assert_eq!((rig.one("root").parent, rig.one("alone").parent), (String::new(), String::new()));
    assert!(rig.spans.0.bridge.is_empty());
}

#[test]
fn baggage_is_shared_both_ways() {
    use crate::context::Baggage;
    let rig = Rig::always_on();
    let tracer = rig.spans.tracer_provider().tracer("library");
    let in_api = |key: &str| {
        let value = ApiContext::map_current(|context| context.baggage().get(key).cloned());
        value.map(|value| value.to_string())
    };
    rig.run(|| {
        let ours: Baggage = [("tenant", "acme")].into_iter().collect();
        let _attached = Context::current().with_baggage(ours).attach();
        let outer = info_span!("outer").entered();
        assert_eq!(in_api("tenant").as_deref(), Some("acme"));

        let theirs = ApiContext::current().with_baggage(vec![KeyValue::new("user", "7")]).attach();
        assert_eq!(Context::current().baggage.get("user"), Some("7"));
        let inner = info_span!("inner").entered();
        assert_eq!(inner.context().baggage.get("user"), Some("7"));
        assert_eq!(inner.context().baggage.get("tenant"), None, "it was replaced");
        // Ours, attached inside, counts again, and goes to what the API begins inside of that.
        let again: Baggage = [("tenant", "umbrella")].into_iter().collect();
        let attached = Context::current().with_baggage(again).attach();
        let innermost = info_span!("innermost").entered();
        assert_eq!(in_api("tenant").as_deref(), Some("umbrella"));
        tracer.in_span("api", |_| {
            assert_eq!(Context::current().baggage.get("tenant"), Some("umbrella"));
        });
        drop((innermost, attached));
        drop((inner, theirs));
        assert_eq!(Context::current().baggage.get("tenant"), Some("acme"));
        drop(outer);
        assert_eq!(in_api("tenant"), None);
    });
    check_child(&rig.one("inner"), &rig.one("outer"));
    check_child(&rig.one("innermost"), &rig.one("inner"));
    check_child(&rig.one("api"), &rig.one("innermost"));
    assert!(rig.spans.0.bridge.is_empty());
}

/// The API keeps no order, and values decoded.
#[test]
fn t4_baggage_passes_the_api_as_it_came() {
    use crate::propagate::Propagators;
    use opentelemetry::baggage::KeyValueMetadata;
    const CAME: &str = "z=%2f+;p=1,y=a=b,x=3,w=4,v=%C3%A9,u=6";
    let rig = Rig::always_on();
    let _tracer = rig.spans.tracer_provider().tracer("library");
    let baggage_of = |context: &Context| {
        let mut left = http::HeaderMap::new();
        Propagators::default().inject(context, &mut left);
        left["baggage"].to_str().unwrap().to_owned()
    };
    let mut came = http::HeaderMap::new();
    came.insert("baggage", http::HeaderValue::from_static(CAME));
    rig.run(|| {
        let _attached = Propagators::default().extract(&came).attach();
        let _outer = info_span!("outer").entered();
        assert_eq!(baggage_of(&Context::current()), CAME);
        assert_eq!(baggage_of(&info_span!("inner").context()), CAME);
        let more = ApiContext::map_current(|context| {
            let pairs = context.baggage().iter().filter(|(key, _)| key.as_str() != "w");
            let pairs = pairs.map(|(key, (value, properties))| {
                KeyValueMetadata::new(key.clone(), value.clone(), properties.clone())
            });
            pairs.chain([KeyValue::new("user", "7 8").into()]).collect::<Vec<_>>()
        });
        let _more = ApiContext::current().with_baggage(more).attach();
        let expect = "z=%2f+;p=1,y=a=b,x=3,v=%C3%A9,u=6,user=7%208";
        assert_eq!(baggage_of(&Context::current()), expect);
        assert_eq!(baggage_of(&info_span!("inner").context()), expect);
    });
}

#[test]
fn what_the_api_says_arrives() {
    use std::time::{Duration, UNIX_EPOCH};
    let rig = Rig::always_on();
    let tracer = rig.spans.tracer_provider().tracer("library");
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let mut span = tracer
        .span_builder(format!("GET {}", 7))
        .with_kind(SpanKind::Client)
        .with_start_time(at(100))
        .with_attributes([KeyValue::new("a", 1), KeyValue::new("b", "x"), KeyValue::new("c", true)])
        .start(&tracer);
    span.set_attribute(KeyValue::new("a", 2.5));
    span.add_event_with_timestamp("event", at(101), vec![KeyValue::new("k", "v")]);
    span.record_error(&std::fmt::Error);
    span.set_status(ApiStatus::error("because"));
    let other = tracer.start("other").span_context().clone();
    span.add_link(other, vec![]);
    span.update_name("renamed");
    assert!(span.is_recording());
    span.end_with_timestamp(at(107));
    assert!(!span.is_recording());
    span.set_attribute(KeyValue::new("late", 1));
    drop(span);

    let span = rig.one("renamed");
    assert_eq!(span.attributes, map(&[("a", "2.5"), ("b", "x"), ("c", "true")]));
    assert_eq!((span.kind, span.start, span.end), (3, 100_000_000_000, 107_000_000_000));
    assert_eq!(span.status, (2, "because".into()));
    assert_eq!(span.events[0], ("event".into(), map(&[("k", "v")])));
    assert_eq!(span.events[1].0, "exception");
    assert_eq!(span.links[0].1, rig.one("other").id);
    assert_eq!(rig.left().len(), 2);
}

/// The verdict on a trace counts for the spans of both.
#[test]
fn m4_a_failed_trace_of_both_apis_leaves_whole() {
    let rig = Rig::new(&settings(SamplerSettings::AlwaysOff));
    let tracer = rig.spans.tracer_provider().tracer("library");
    rig.run(|| {
        for fails in [false, true] {
            let root = info_span!("root").entered();
            drop(tracer.start("before"));
            let context = ApiContext::current();
            std::thread::scope(|scope| {
                let (rig, tracer) = (&rig, &tracer);
                scope.spawn(move || {
                    rig.run(|| {
                        let span = tracer.start_with_context("there", &context);
                        let _active = mark_span_as_active(span);
                        info_span!("deep").in_scope(|| {
                            if fails {
                                error!("no");
                            }
                        });
                    });
                });
            });
            drop(root);
        }
    });
    let names: Vec<String> = rig.left().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["deep", "before", "there", "root"]);
    let [before, there, deep, root] = ["before", "there", "deep", "root"].map(|n| rig.one(n));
    for (child, parent) in [(&before, &root), (&there, &root), (&deep, &there)] {
        check_child(child, parent);
    }
    assert_eq!(rig.counts().sampled_out, 4);
    assert!(rig.spans.0.bridge.is_empty());
}

#[test]
fn a_thread_that_ends_within_a_span_does_no_harm() {
    let rig = Rig::always_on();
    let _provider = rig.spans.tracer_provider();
    std::thread::scope(|scope| {
        scope.spawn(|| rig.run(|| std::mem::forget(info_span!("s").entered())));
    });
    rig.run(|| drop(info_span!("after")));
    assert_eq!(rig.one("after").parent, "");
}
