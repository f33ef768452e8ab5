//! What W3C trace context says as a table, the other formats, and noise.

use super::*;
use crate::context::{Baggage, TraceFlags, TraceState};
use crate::id::{SpanId, TraceId};

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn span_of(names: &[PropagatorName], fields: &[(&str, &str)]) -> Option<String> {
    let context = Propagators::new(names).extract(&headers(fields));
    context.span.map(|span| {
        assert!(span.remote);
        format!("{} {} {:02x}", span.trace_id, span.span_id, span.flags.0)
    })
}

fn written(names: &[PropagatorName], context: &Context) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let set = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    Propagators::new(names).inject_with(context, set);
    fields
}

fn context(flags: u8) -> Context {
    Context::new(
        Some(SpanContext {
            trace_id: TraceId(hex(TRACE).unwrap()),
            span_id: SpanId(hex(SPAN).unwrap()),
            flags: TraceFlags(flags),
            state: TraceState::default(),
            remote: false,
        }),
        Baggage::default(),
    )
}

/// What becomes of each value of `traceparent`.
#[test]
fn t4_traceparent_in_all_forms_that_come() {
    let sound = format!("{TRACE} {SPAN}");
    for (traceparent, flags) in [
        // Version 0.
        (format!("00-{TRACE}-{SPAN}-00"), Some("00")),
        (format!("00-{TRACE}-{SPAN}-01"), Some("01")),
        (format!("00-{TRACE}-{SPAN}-02"), Some("02")),
        (format!("00-{TRACE}-{SPAN}-03"), Some("03")),
        // Flags that we do not know are not ours to pass on.
        (format!("00-{TRACE}-{SPAN}-ff"), Some("03")),
        (format!("00-{TRACE}-{SPAN}-fc"), Some("00")),
        (format!("00-{TRACE}-{SPAN}-01."), None),
        (format!("00-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), None),
        // Later versions may say more, behind a dash.
        (format!("cc-{TRACE}-{SPAN}-01"), Some("01")),
        (format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), Some("01")),
        (format!("cc-{TRACE}-{SPAN}-01-"), Some("01")),
        (format!("cc-{TRACE}-{SPAN}-01.what-the-future-will-be-like"), None),
        // Versions that are none.
        (format!("ff-{TRACE}-{SPAN}-01"), None),
        (format!(".0-{TRACE}-{SPAN}-01"), None),
        (format!("0.-{TRACE}-{SPAN}-01"), None),
        (format!("000-{TRACE}-{SPAN}-01"), None),
        (format!("0-{TRACE}-{SPAN}-01"), None),
        (format!("CC-{TRACE}-{SPAN}-01"), None),
        // Trace ids that are none.
        (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
        (format!("00-.{}-{SPAN}-01", &TRACE[1..]), None),
        (format!("00-{}.-{SPAN}-01", &TRACE[1..]), None),
        (format!("00-{}-{SPAN}-01", &TRACE[1..]), None),
        (format!("00-{TRACE}3-{SPAN}-01"), None),
        (format!("00-{}-{SPAN}-01", "A".repeat(32)), None),
        // Span ids that are none.
        (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
        (format!("00-{TRACE}-.{}-01", &SPAN[1..]), None),
        (format!("00-{TRACE}-{}.-01", &SPAN[1..]), None),
        (format!("00-{TRACE}-{}-01", &SPAN[1..]), None),
        (format!("00-{TRACE}-{SPAN}7-01"), None),
        (format!("00-{TRACE}-{}-01", "A".repeat(16)), None),
        // Flags that are none.
        (format!("00-{TRACE}-{SPAN}-.0"), None),
        (format!("00-{TRACE}-{SPAN}-0."), None),
        (format!("00-{TRACE}-{SPAN}-0"), None),
        (format!("00-{TRACE}-{SPAN}-001"), None),
        (format!("00-{TRACE}-{SPAN}-0A"), None),
        (format!("00-{TRACE}-{SPAN}"), None),
        // Other separators.
        (format!("00_{TRACE}-{SPAN}-01"), None),
        (format!("00-{TRACE}_{SPAN}-01"), None),
        (format!("00-{TRACE}-{SPAN}_01"), None),
        // White space around a field's value is not part of it.
        (format!(" 00-{TRACE}-{SPAN}-01"), Some("01")),
        (format!("\t00-{TRACE}-{SPAN}-01"), Some("01")),
        (format!("00-{TRACE}-{SPAN}-01 "), Some("01")),
        (format!("00-{TRACE}-{SPAN}-01\t \t"), Some("01")),
        (format!("00- {TRACE}-{SPAN}-01"), None),
        (String::new(), None),
        ("00".to_owned(), None),
        ("é".repeat(55), None),
        (format!("0{}", "é".repeat(27)), None),
        (format!("cc-{TRACE}-{SPAN}-01-é"), Some("01")),
        (format!("00-{TRACE}-{SPAN}-0é"), None),
    ] {
        let got = span_of(&[PropagatorName::TraceContext], &[("traceparent", &traceparent)]);
        let expect = flags.map(|flags| format!("{sound} {flags}"));
        assert_eq!(got, expect, "{traceparent:?}");
    }
}

#[test]
fn t4_traceparent_is_there_once_or_not_at_all() {
    let names = [PropagatorName::TraceContext];
    let one = format!("00-{TRACE}-{SPAN}-01");
    let fields = [("TraceParent", one.as_str()), ("traceparent", &one)];
    assert_eq!(span_of(&names, &fields), None);
    assert!(span_of(&names, &fields[..1]).is_some(), "names have no case");
    assert_eq!(span_of(&names, &[("tracestate", "a=1")]), None);
    assert_eq!(span_of(&names, &[("trace-parent", &one), ("trace.parent", &one)]), None);
}

/// What W3C says of `tracestate`, by its fields: what is passed on.
#[test]
fn t4_tracestate_in_all_forms_that_come() {
    let many = |n: usize| (0..n).map(|i| format!("k{i}=1")).collect::<Vec<_>>().join(",");
    let key = |length: usize| "z".repeat(length);
    let cases: Vec<(Vec<String>, String)> = [
        ("foo=1", "foo=1"),
        ("foo=1,bar=2", "foo=1,bar=2"),
        ("foo=1 \t , \t bar=2, \t baz=3", "foo=1,bar=2,baz=3"),
        ("foo=1\t \t,\t \tbar=2,\t \tbaz=3", "foo=1,bar=2,baz=3"),
        (" foo=1", "foo=1"),
        ("foo=1 \t", "foo=1"),
        ("", ""),
        (",", ""),
        ("foo=1,", "foo=1"),
        ("foo=1,,bar=2", "foo=1,bar=2"),
        // A key twice.
        ("foo=1,foo=1", "foo=1"),
        ("foo=1,bar=2,foo=3", "foo=1,bar=2"),
        // Characters of keys.
        ("foo@=1,bar=2", "foo@=1,bar=2"),
        ("@foo=1,bar=2", ""),
        ("foo@bar=1", "foo@bar=1"),
        ("0foo@bar=1", "0foo@bar=1"),
        ("a_b-c*d/e=1", "a_b-c*d/e=1"),
        ("foo =1", ""),
        ("FOO=1", ""),
        ("foo.bar=1", ""),
        ("=1", ""),
        // Characters of values.
        ("foo=bar=baz", ""),
        ("foo=,bar=3", ""),
        ("foo", ""),
        ("foo=a b!#$%&'()*+-./:;<>?@[\\]^_`{|}~", "foo=a b!#$%&'()*+-./:;<>?@[\\]^_`{|}~"),
    ]
    .into_iter()
    .map(|(field, expect)| (vec![field.to_owned()], expect.to_owned()))
    .chain([
        (vec!["foo=1".into(), "bar=2".into()], "foo=1,bar=2".into()),
        (vec!["foo=1".into(), String::new(), "bar=2".into()], "foo=1,bar=2".into()),
        (vec!["foo=1,".into(), "bar=2".into()], "foo=1,bar=2".into()),
        (vec!["foo=1".into(), "foo=2".into()], "foo=1".into()),
        (vec![many(32)], many(32)),
        (vec![many(33)], String::new()),
        (vec![many(20), format!("a=1,{}", many(10))], format!("{},a=1", many(20))),
        (vec![many(20), format!("a=1,{}", many(12))], String::new()),
        (vec![format!("{}=1", key(256))], format!("{}=1", key(256))),
        (vec![format!("{}=1", key(257))], String::new()),
        (vec![format!("a={}", key(256))], format!("a={}", key(256))),
        (vec![format!("a={}", key(257))], String::new()),
        (vec!["a=\u{e9}".into()], String::new()),
        // More than has room: long members go first, then those at the end.
        (vec![format!("a=1,b={},c=2,d={}", key(256), key(250))], format!("a=1,b={},c=2", key(256))),
        (
            vec![(0..6).map(|i| format!("k{i}={}", key(97))).collect::<Vec<_>>().join(",")],
            (0..5).map(|i| format!("k{i}={}", key(97))).collect::<Vec<_>>().join(","),
        ),
    ])
    .collect();
    let parent = format!("00-{TRACE}-{SPAN}-01");
    for (fields, expect) in cases {
        let mut all = vec![("traceparent", parent.as_str())];
        all.extend(fields.iter().map(|field| ("tracestate", field.as_str())));
        let context = Propagators::default().extract(&headers(&all));
        let span = context.span.expect("the parent stays whatever the state is");
        assert_eq!(span.state.as_str(), expect, "{fields:?}");
    }
}

#[test]
fn t4_what_is_written_is_read_again() {
    let mut sent = context(3);
    sent.span.as_mut().unwrap().state = TraceState::from_members("ot=th:8,a=b");
    sent.baggage = [("tenant", "acme & söhne"), ("k", "")].into_iter().collect();
    let mut map = HeaderMap::new();
    Propagators::default().inject(&sent, &mut map);
    assert_eq!(map["traceparent"], format!("00-{TRACE}-{SPAN}-03"));
    assert_eq!(map["tracestate"], "ot=th:8,a=b");
    assert_eq!(map["baggage"], "tenant=acme%20%26%20s%C3%B6hne,k=");
    let mut read = Propagators::default().extract(&map);
    assert!(std::mem::take(&mut read.span.as_mut().unwrap().remote));
    assert_eq!(read, sent);
    // Any carrier will do.
    let get = |name: &str| map.get(name).and_then(|value| value.to_str().ok());
    let mut read = Propagators::default().extract_with(get);
    assert!(std::mem::take(&mut read.span.as_mut().unwrap().remote));
    assert_eq!(read, sent);
    let deferred = TraceFlags::DEFERRED.0;
    assert!(written(&[PropagatorName::TraceContext], &context(deferred))[0].1.ends_with("-00"));
}

#[test]
fn t4_baggage_in_all_forms_that_come() {
    let entries = |n: usize| (0..n).map(|i| format!("k{i}=v")).collect::<Vec<_>>().join(",");
    for (fields, expect) in [
        (vec!["k=v".to_owned()], "k=v"),
        (vec![" k = v ; p1 ; p2=x , l=w".into()], "k=v;p1;p2=x,l=w"),
        (vec!["k=v".into(), "l=w".into()], "k=v,l=w"),
        (vec!["k=%C3%B6%20,l=%zz%,m=%ff".into()], "k=%C3%B6%20,l=%25zz%25,m=%EF%BF%BD"),
        // What came well formed leaves as it came, whatever else it could be written as.
        (vec!["k=a=b".into()], "k=a=b"),
        (vec!["k=%2f%41+/".into()], "k=%2f%41+/"),
        (vec![format!("k={}", "/".repeat(8190))], &format!("k={}", "/".repeat(8190))),
        // What did not, is mended.
        (vec!["k=a b".into(), "l=\"".into()], "k=a%20b,l=%22"),
        (vec!["k=v;;p; =1;q=\";r = %20;s=%2".into()], "k=v;p;r=%20"),
        (vec!["k=ö,l=w".into()], "k=%C3%B6,l=w"),
        (vec!["k=1,l=2,k=3".into()], "k=3,l=2"),
        (vec!["k,=v,(x)=1,,good=1,sp ace=2".into()], "good=1"),
        (vec![String::new()], ""),
        (vec![entries(100)], &entries(64)),
        (vec![format!("a=1,big={},b=2", "x".repeat(9000))], "a=1,b=2"),
        (vec![format!("k={},k=1,l=2", "x".repeat(8000))], "k=1,l=2"),
    ] {
        let all: Vec<_> = fields.iter().map(|field| ("baggage", field.as_str())).collect();
        let context = Propagators::default().extract(&headers(&all));
        let got = written(&[PropagatorName::Baggage], &context);
        let got = got.first().map_or("", |(_, value)| value);
        assert_eq!(got, expect, "{fields:?}");
    }
    let long = (0..64).map(|i| (format!("k{i}"), "ö".repeat(100))).collect::<Baggage>();
    let fields = written(&[PropagatorName::Baggage], &Context::new(None, long));
    assert!(fields[0].1.len() <= 8192 && fields[0].1.len() > 7000, "{}", fields[0].1.len());
}

#[test]
fn jaegers_header_in_all_forms_that_come() {
    let sound = format!("{TRACE} {SPAN}");
    let low = format!("{:032x} {SPAN}", 0xabc);
    for (value, expect) in [
        (format!("{TRACE}:{SPAN}:0:1"), Some(format!("{sound} 01"))),
        (format!("{TRACE}:{SPAN}:0:0"), Some(format!("{sound} 00"))),
        (format!("{TRACE}:{SPAN}:{SPAN}:3"), Some(format!("{sound} 01"))),
        (format!("{TRACE}:{SPAN}::2"), Some(format!("{sound} 01"))),
        (format!("{TRACE}:{SPAN}:é:1"), Some(format!("{sound} 01"))),
        (format!("{TRACE}:{SPAN}:0:01"), Some(format!("{sound} 01"))),
        (format!("{TRACE}%3A{SPAN}%3A0%3A1"), Some(format!("{sound} 01"))),
        (format!("abc:{SPAN}:0:0"), Some(format!("{low} 00"))),
        (format!("ABC:{SPAN}:0:0"), Some(format!("{low} 00"))),
        (format!("0:{SPAN}:0:1"), None),
        (format!("{TRACE}:0:0:1"), None),
        (format!("{TRACE}0:{SPAN}:0:1"), None),
        (format!("{TRACE}:{SPAN}0:0:1"), None),
        (format!("{TRACE}:{SPAN}:0:001"), None),
        (format!("{TRACE}:{SPAN}:0:"), None),
        (format!("{TRACE}:{SPAN}:0"), None),
        (format!("{TRACE}:{SPAN}:0:1:1"), None),
        (format!("+bc:{SPAN}:0:1"), None),
        (String::new(), None),
    ] {
        let got = span_of(&[PropagatorName::Jaeger], &[("uber-trace-id", &value)]);
        assert_eq!(got, expect, "{value:?}");
    }
    let fields = [("uberctx-tenant", "a%20b"), ("jaeger-baggage", "k=v, l=w"), ("uberctx-", "x")];
    let read = Propagators::new(&[PropagatorName::Jaeger]).extract(&headers(&fields));
    let pairs: Vec<_> = read.baggage.iter().collect();
    assert_eq!(pairs, [("tenant", "a b"), ("k", "v"), ("l", "w")]);
    let mut sent = context(1);
    sent.baggage = [("tenant", "a b")].into_iter().collect();
    let expect = [("uberctx-tenant", "a%20b"), ("uber-trace-id", &format!("{TRACE}:{SPAN}:0:1"))];
    let expect = expect.map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(written(&[PropagatorName::Jaeger], &sent), expect);
}

#[test]
fn b3_decides_about_a_trace_that_it_does_not_name() {
    let decided = |fields: &[(&str, &str)]| {
        let get = |name: &str| fields.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        Propagators::new(&[PropagatorName::B3]).extract_with(get).decided
    };
    for (fields, expect) in [
        (&[("b3", "0")][..], Some(false)),
        (&[("b3", "1")], Some(true)),
        (&[("b3", "d")], Some(true)),
        (&[("b3", "2")], None),
        (&[("x-b3-sampled", "0")], Some(false)),
        (&[("x-b3-sampled", "true")], Some(true)),
        (&[("x-b3-sampled", "0"), ("x-b3-flags", "1")], Some(true)),
        (&[("x-b3-sampled", "0"), ("x-b3-traceid", "damaged")], None),
        (&[("x-b3-sampled", "0"), ("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)], None),
        (&[], None),
    ] {
        assert_eq!(decided(fields), expect, "{fields:?}");
    }
}

#[test]
fn b3_in_all_forms_that_come() {
    let sound = format!("{TRACE} {SPAN}");
    let short = format!("0000000000000000{SPAN} {SPAN}");
    for (value, expect) in [
        (format!("{TRACE}-{SPAN}-1-{SPAN}"), Some(format!("{sound} 01"))),
        (format!("{TRACE}-{SPAN}-1"), Some(format!("{sound} 01"))),
        (format!("{TRACE}-{SPAN}-d"), Some(format!("{sound} 01"))),
        (format!("{TRACE}-{SPAN}-0"), Some(format!("{sound} 00"))),
        (format!("{TRACE}-{SPAN}"), Some(format!("{sound} 80"))),
        (format!("{SPAN}-{SPAN}-1"), Some(format!("{short} 01"))),
        (format!("{TRACE}-{SPAN}-2"), None),
        (format!("{TRACE}-{SPAN}-1-xyz"), None),
        (format!("{TRACE}-{SPAN}-1-{SPAN}-1"), None),
        (format!("{TRACE}0-{SPAN}-1"), None),
        ("0".to_owned(), None),
        (String::new(), None),
    ] {
        let got = span_of(&[PropagatorName::B3], &[("b3", &value)]);
        assert_eq!(got, expect, "{value:?}");
    }
    let ids = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)];
    for (more, expect) in [
        (vec![("X-B3-Sampled", "1")], Some("01")),
        (vec![("X-B3-Sampled", "true")], Some("01")),
        (vec![("X-B3-Sampled", "0")], Some("00")),
        (vec![("X-B3-Sampled", "0"), ("X-B3-Flags", "1")], Some("01")),
        (vec![], Some("80")),
        (vec![("X-B3-Sampled", "x")], None),
    ] {
        let fields: Vec<_> = ids.into_iter().chain(more).collect();
        let got = span_of(&[PropagatorName::B3Multi], &fields);
        assert_eq!(got, expect.map(|flags| format!("{sound} {flags}")), "{fields:?}");
    }
    let twice =
        [ids[0], ids[1], ("X-B3-SpanId", "x"), ("X-B3-Sampled", "0"), ("X-B3-Sampled", "1")];
    assert_eq!(span_of(&[PropagatorName::B3Multi], &twice), Some(format!("{sound} 00")));
    let single = written(&[PropagatorName::B3], &context(1));
    assert_eq!(single, [("b3".to_owned(), format!("{TRACE}-{SPAN}-1"))]);
    let multi = written(&[PropagatorName::B3Multi], &context(0));
    assert_eq!(multi[2], ("x-b3-sampled".to_owned(), "0".to_owned()));
}

#[test]
fn the_format_that_is_configured_first_gives_the_parent() {
    let other = TRACE.replace('1', "9");
    let fields =
        [("b3", format!("{other}-{SPAN}-1")), ("traceparent", format!("00-{TRACE}-{SPAN}-01"))];
    let fields: Vec<_> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let (w3c, b3) = (PropagatorName::TraceContext, PropagatorName::B3);
    assert!(span_of(&[w3c, b3], &fields).unwrap().starts_with(TRACE));
    assert!(span_of(&[b3, w3c], &fields).unwrap().starts_with(&other));
    assert!(span_of(&[w3c, b3], &fields[..1]).unwrap().starts_with(&other));
}

/// Well-formed fields with bytes of them changed: nothing panics, and whatever is taken is
/// written in a form that is taken again.
#[test]
fn t4_noise_is_left_out_or_passed_on_sound() {
    let all = [
        PropagatorName::TraceContext,
        PropagatorName::Baggage,
        PropagatorName::Jaeger,
        PropagatorName::B3,
        PropagatorName::B3Multi,
    ];
    let fields = [
        ("traceparent", format!("00-{TRACE}-{SPAN}-01")),
        ("tracestate", "ot=th:8;rv:12345678901234,congo@ucf=t61,a=b c".to_owned()),
        ("baggage", "k=v;p=1, l=%C3%B6 ,m=\"".to_owned()),
        ("uber-trace-id", format!("{TRACE}:{SPAN}:0:1")),
        ("uberctx-x", "%20%".to_owned()),
        ("b3", format!("{TRACE}-{SPAN}-1-{SPAN}")),
        ("x-b3-traceid", TRACE.to_owned()),
        ("x-b3-spanid", SPAN.to_owned()),
        ("x-b3-sampled", "1".to_owned()),
    ];
    let mut seed = 3_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for round in 0..20_000 {
        let mut map = HeaderMap::new();
        for (name, value) in &fields {
            let mut value = value.clone().into_bytes();
            for _ in 0..random(3) {
                let at = random(value.len());
                match random(4) {
                    0 => drop(value.remove(at)),
                    1 => value.insert(at, u8::try_from(random(256)).unwrap()),
                    2 => value[at] = u8::try_from(random(256)).unwrap(),
                    _ => value.extend_from_within(at..),
                }
                value.push(b'0');
            }
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        for name in all {
            let propagators = Propagators::new(&[name]);
            let mut first = propagators.extract(&map);
            if let Some(span) = &mut first.span {
                // What is written says what we decided.
                span.flags = TraceFlags(span.flags.known());
            }
            let mut again = HeaderMap::new();
            propagators.inject(&first, &mut again);
            assert_eq!(propagators.extract(&again), first, "round {round}, {name:?}: {map:?}");
        }
    }
}
