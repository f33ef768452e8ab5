//! What a span says.

use tracing::{debug_span, error, info, info_span};

use super::*;
use crate::value::Value;

#[test]
fn a_span_with_fields_of_all_types() {
    let rig = Rig::always_on();
    let before = clock::now_ns();
    rig.run(|| {
        let _span = info_span!(
            "all",
            text = "a\u{e9}",
            debug = ?Some(1),
            display = %"shown",
            yes = true,
            no = false,
            int = -5_i64,
            small = 3_u8,
            large = u64::MAX,
            i128 = i128::MAX,
            double = 1.5,
            long = %"x".repeat(1000),
            empty = tracing::field::Empty,
            "a.dotted" = ""
        )
        .entered();
    });
    let after = clock::now_ns();
    let span = rig.one("all");
    let long = "x".repeat(1000);
    let expect = [
        ("text", "a\u{e9}"),
        ("debug", "Some(1)"),
        ("display", "shown"),
        ("yes", "true"),
        ("no", "false"),
        ("int", "-5"),
        ("small", "3"),
        ("large", "18446744073709551615"),
        ("i128", "170141183460469231731687303715884105727"),
        ("double", "1.5"),
        ("long", long.as_str()),
        ("a.dotted", ""),
    ];
    assert_eq!(span.attributes, map(&expect));
    assert_eq!(span.scope, "trefoil::span::tests::basics");
    assert_eq!((span.kind, span.parent.as_str(), span.state.as_str()), (1, "", ""));
    assert_eq!(span.flags, 0x103, "sampled, random, no remote parent");
    assert_eq!((span.status, span.urgent), ((0, String::new()), false));
    assert!(before <= span.start && span.start <= span.end && span.end <= after, "times");
}

/// Each length at which the length of a length grows.
#[test]
fn texts_of_all_lengths() {
    let rig = Rig::always_on();
    let lengths: Vec<usize> = (0..300).chain([16_300, 16_384, 16_500, 70_000]).collect();
    rig.run(|| {
        for length in &lengths {
            let text = "y".repeat(*length);
            drop(info_span!("s", debug = %text, plain = text, n = length));
        }
    });
    let left = rig.left();
    assert_eq!(left.len(), lengths.len());
    for (span, length) in left.iter().zip(&lengths) {
        assert_eq!(span.attributes["n"], length.to_string());
        assert_eq!(span.attributes["debug"].len(), *length);
        assert_eq!(span.attributes["plain"].len(), *length);
    }
}

#[test]
fn special_fields_are_no_attributes() {
    let rig = Rig::always_on();
    rig.run(|| {
        let span = info_span!(
            "static",
            otel.name = "GET /users/{id}",
            otel.kind = "server",
            otel.status_code = tracing::field::Empty,
            otel.status_description = tracing::field::Empty,
            other = 1
        );
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", "no such user");
        drop(span);
        drop(info_span!("kind", otel.kind = ?"Client"));
        drop(info_span!("ok", otel.status_code = "OK", error = "passed over"));
    });
    let span = rig.one("GET /users/{id}");
    assert_eq!(span.attributes, map(&[("other", "1")]));
    assert_eq!((span.kind, span.status, span.urgent), (2, (2, "no such user".into()), true));
    assert_eq!(rig.one("ok").status, (1, String::new()));
}

#[test]
fn recorded_values_replace_each_other() {
    let rig = Rig::always_on();
    rig.run(|| {
        let span = info_span!("s", a = 1, b = tracing::field::Empty, c = "x");
        span.record("b", 2);
        span.record("a", "eleven");
        span.record("b", 22);
        span.in_scope(|| info!("between"));
        span.record("b", 222);
        span.set_attribute("d", vec![1_i64, 2]);
        span.set_attribute("c", true);
    });
    let span = rig.one("s");
    let expect = [("a", "eleven"), ("b", "222"), ("c", "true"), ("d", "[1,2]")];
    assert_eq!(span.attributes, map(&expect));
    assert_eq!(span.events.len(), 1);
}

#[test]
fn events_and_errors() {
    let rig = Rig::always_on();
    rig.run(|| {
        let span = info_span!("failed").entered();
        info!(rows = 7, "read {}", "all");
        error!(error = "disk is full", code = 28, "cannot write");
        error!("a second error");
        span.add_event("own", &[("k", "v".into())]);
        drop(span);
        let span = info_span!("well").entered();
        span.set_status(Status::Ok);
        error!("retried");
        drop(span);
        drop(info_span!("field", error = "by field"));
        drop(info_span!("flag", error = true));
        drop(info_span!("no flag", error = false));
        let io = std::io::Error::other(std::fmt::Error);
        info_span!("recorded").record_error(&io);
    });
    let span = rig.one("failed");
    let common = ("target", "trefoil::span::tests::basics");
    assert_eq!(
        span.events,
        [
            ("read all".into(), map(&[("rows", "7"), ("level", "INFO"), common])),
            (
                "cannot write".into(),
                map(&[("error", "disk is full"), ("code", "28"), ("level", "ERROR"), common])
            ),
            ("a second error".into(), map(&[("level", "ERROR"), common])),
            ("own".into(), map(&[("k", "v")])),
        ]
    );
    assert_eq!((span.status, span.urgent), ((2, "disk is full".into()), true));
    let well = rig.one("well");
    assert_eq!((well.status, well.urgent), ((1, String::new()), false));
    assert_eq!(rig.one("field").status, (2, "by field".into()));
    assert_eq!(rig.one("flag").status, (2, String::new()));
    assert_eq!(rig.one("no flag").status, (0, String::new()));
    let recorded = rig.one("recorded");
    assert_eq!(recorded.events[0].0, "exception");
    let message = std::fmt::Error.to_string();
    assert_eq!(recorded.events[0].1["exception.message"], message);
    assert_eq!(recorded.status, (2, message));
}

#[test]
fn limits_are_kept_and_counted() {
    let mut settings = settings(SamplerSettings::AlwaysOn);
    settings.limits = SpanLimits {
        attributes: 3,
        value_bytes: Some(4),
        events: 2,
        links: 1,
        attributes_per_event: 1,
        attributes_per_link: 1,
    };
    let rig = Rig::new(&settings);
    rig.run(|| {
        let other = info_span!("other").context().span.unwrap();
        let span = info_span!("s", a = "\u{e9}\u{e9}\u{e9}", b = ?"12345678", c = 1, d = 2);
        span.set_attribute("e", 1);
        span.set_attribute("c", 3);
        for _ in 0..4 {
            span.in_scope(|| info!(x = 1, y = 2, "event"));
            span.add_link(&other, &[("k", 1.into()), ("l", 2.into())]);
        }
    });
    let span = rig.one("s");
    assert_eq!(span.attributes, map(&[("a", "\u{e9}\u{e9}"), ("b", "\"123"), ("c", "3")]));
    assert_eq!(span.dropped, (2, 2, 3));
    assert_eq!(span.events.len(), 2);
    assert!(span.events[0].1.contains_key("x") && !span.events[0].1.contains_key("y"));
    assert_eq!(span.links[0].2, map(&[("k", "1")]));
}

#[test]
fn a_panic_is_told_from_an_end() {
    let rig = Rig::always_on();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        rig.run(|| {
            struct Cleanup;
            impl Drop for Cleanup {
                fn drop(&mut self) {
                    drop(info_span!("during cleanup"));
                }
            }
            let _outer = info_span!("outer").entered();
            let _cleanup = Cleanup;
            let _inner = info_span!("inner").entered();
            std::panic::resume_unwind(Box::new("as a panic does"));
        });
    }));
    assert!(caught.is_err());
    for name in ["outer", "inner"] {
        let span = rig.one(name);
        assert_eq!(span.status, (2, "panicked".into()));
        assert_eq!(span.events[0].0, "exception");
    }
    assert_eq!(rig.one("during cleanup").status.0, 0);
}

#[test]
fn cancelled_is_no_failure() {
    let rig = Rig::always_on();
    rig.run(|| info_span!("s").cancelled());
    let span = rig.one("s");
    assert_eq!(span.attributes, map(&[("cancelled", "true")]));
    assert_eq!((span.events[0].0.as_str(), span.status.0), ("cancelled", 0));
}

#[test]
fn code_location_if_asked_for() {
    let mut settings = settings(SamplerSettings::AlwaysOn);
    settings.code_location = true;
    let rig = Rig::new(&settings);
    rig.run(|| drop(info_span!("s")));
    let line = line!() - 1;
    let attributes = rig.one("s").attributes;
    assert_eq!(attributes["code.line.number"], line.to_string());
    assert!(attributes["code.file.path"].ends_with("basics.rs"));
}

/// Values whose `Debug` uses spans while a span is being made. (`tracing` itself keeps that
/// from a scoped subscriber, but not from a global one.)
#[test]
fn values_may_use_spans_themselves() {
    struct Chatty<'a>(u32, &'a Spans, u64);
    impl std::fmt::Debug for Chatty<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let Chatty(depth, spans, id) = *self;
            spans.enter(id);
            if depth > 0 {
                let deeper = format!("{:?}", Chatty(depth - 1, spans, id));
                spans.add_event(id, "deeper", &[("value", deeper.into())]);
            }
            spans.set_attribute(id, "depth", &i64::from(depth).into());
            spans.exit(id);
            write!(f, "chatty {depth}")
        }
    }
    let rig = Rig::always_on();
    rig.run(|| {
        let other = info_span!("other");
        let id = other.id().unwrap().into_u64();
        let chatty = |depth| tracing::field::debug(Chatty(depth, &rig.spans, id));
        let span = info_span!("outer", value = chatty(6), later = tracing::field::Empty).entered();
        span.record("later", chatty(2));
        info!(value = chatty(1), "event");
        other.record("none", chatty(1));
    });
    let outer = rig.one("outer");
    assert_eq!(outer.attributes, map(&[("value", "chatty 6"), ("later", "chatty 2")]));
    assert_eq!(outer.events[0].1["value"], "chatty 1");
    let other = rig.one("other");
    assert_eq!((other.events.len(), other.attributes["depth"].as_str()), (6 + 2 + 1, "1"));
}

#[test]
fn disabled_spans_take_everything_and_do_nothing() {
    let rig = Rig::always_on();
    rig.run(|| {
        let span = debug_span!("below the level");
        span.set_attribute("a", 1);
        span.set_name("b");
        span.keep("c");
        span.cancelled();
        span.set_parent(&Context::default());
        assert_eq!(span.context(), Context::default());
    });
    assert_eq!(rig.left(), []);
    assert_eq!(rig.counts(), Counts::default());
    let span = info_span!("no subscriber at all");
    span.set_attribute("a", Value::from(1));
    assert_eq!(span.context(), Context::default());
}

#[test]
fn names_and_links_of_the_user() {
    let rig = Rig::always_on();
    rig.run(|| {
        let first = info_span!("first");
        let second = info_span!("second");
        second.follows_from(&first);
        second.set_name("renamed");
        second.set_name("renamed again");
        second.add_link(&first.context().span.unwrap(), &[("why", "own".into())]);
    });
    let first = rig.one("first");
    let second = rig.one("renamed again");
    assert_eq!(
        second.links,
        [
            (first.trace.clone(), first.id.clone(), map(&[])),
            (first.trace, first.id, map(&[("why", "own")])),
        ]
    );
}
