//! Shares, rules, strategies, and what a parent's decision does to them.

use super::*;
use crate::config::OperationRule;
use crate::context::TraceFlags;
use crate::id::SpanId;

const ROUTE: &str = "/jobs/{id}";

fn trace_id(randomness: u64) -> TraceId {
    TraceId(u128::from(randomness).to_be_bytes())
}

fn parent(flags: u8, state: &str, randomness: u64) -> SpanContext {
    SpanContext {
        trace_id: trace_id(randomness),
        span_id: SpanId([1; 8]),
        flags: TraceFlags(flags),
        state: TraceState::from_members(state),
        remote: true,
    }
}

fn decide(sampler: &Sampler, name: &str, parent: Option<&SpanContext>, random: u64) -> Decision {
    sampler.decide(&Start {
        parent,
        decided: None,
        trace_id: parent.map_or(trace_id(random), |p| p.trace_id),
        name,
        now_ns: 1_000_000_000,
        attribute: &|key| match key {
            "http.route" => Some(ROUTE.into()),
            "tenant" => Some("acme".into()),
            _ => None,
        },
    })
}

/// splitmix64's 56 upper bits.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) >> 8
}

#[test]
fn t3_a_share_of_a_million_is_met_within_four_sigma() {
    for share in [0.0, 0.001, 0.01, 0.25, 0.5, 0.9, 1.0] {
        let sampler = Sampler::new(&SamplerSettings::Ratio(share));
        let (n, mut sampled, mut seed) = (1_000_000_u32, 0_u32, 42);
        for _ in 0..n {
            let decision = decide(&sampler, "", None, random(&mut seed).max(1));
            sampled += u32::from(decision.sampled);
        }
        let sigma = (f64::from(n) * share * (1.0 - share)).sqrt();
        let off = f64::from(sampled) - f64::from(n) * share;
        // The threshold is cut to 16 bits behind its leading ones: 2^-12 at most.
        let cut = f64::from(n) * share / 4096.0;
        assert!(off.abs() <= 4.0 * sigma + cut, "share {share}: {sampled} of {n}");
    }
}

#[test]
fn two_services_with_different_shares_agree_about_the_traces() {
    let few = Sampler::new(&SamplerSettings::Ratio(0.1));
    let many = Sampler::new(&SamplerSettings::Ratio(0.3));
    let mut seed = 1;
    for _ in 0..10_000 {
        let r = random(&mut seed);
        if decide(&few, "", None, r).sampled {
            assert!(decide(&many, "", None, r).sampled, "{r:014x}");
        }
    }
}

/// `traceparent`'s flags × `tracestate` × sampler: sampled, threshold, reason, `tracestate`.
#[test]
fn m3_the_callers_decision_is_honoured() {
    let high = 0xf0_0000_0000_0000; // above the threshold of a half
    let low = 0x10_0000_0000_0000; // below it
    let half = Some(1 << 55);
    let parent_based = |root| SamplerSettings::ParentBased { root: Box::new(root) };
    let follows = [
        parent_based(SamplerSettings::AlwaysOff),
        parent_based(SamplerSettings::AlwaysOn),
        parent_based(SamplerSettings::Ratio(0.5)),
    ];
    for settings in &follows {
        let sampler = Sampler::new(settings);
        for (flags, state, random, expect) in [
            (0b00, "", high, (false, None, None)),
            (0b01, "", low, (true, None, None)),
            (0b10, "", high, (false, None, None)),
            (0b11, "", low, (true, None, None)),
            (0b01, "ot=th:8", high, (true, half, None)),
            (0b01, "ot=th:0", low, (true, None, None)),
            (0b00, "ot=th:8", high, (false, None, None)),
            (0b01, "ot=th:8,a=b", low, (true, None, Some("a=b"))),
            (0b01, "ot=th:8;rv:f0000000000000", low, (true, half, None)),
            (0b01, "a=b,ot=th:zz", high, (true, None, None)),
        ] {
            let parent = parent(flags, state, random);
            let decision = decide(&sampler, "", Some(&parent), random);
            let state = decision.state.as_ref().map(TraceState::as_str);
            let got = (decision.sampled, decision.threshold, state);
            assert_eq!(got, expect, "{settings:?} under flags {flags:02b} and {state:?}");
            assert_eq!(decision.reason, "parent");
        }
    }
}

#[test]
fn m3_without_a_parent_the_root_decides() {
    let high = 0xf0_0000_0000_0000;
    let low = 0x10_0000_0000_0000;
    let ratio = SamplerSettings::Ratio(0.5);
    let sampler = Sampler::new(&SamplerSettings::ParentBased { root: Box::new(ratio) });
    let sampled = decide(&sampler, "", None, high);
    assert_eq!(
        (sampled.sampled, sampled.threshold, sampled.reason),
        (true, Some(1 << 55), "ratio")
    );
    assert_eq!(sampled.state.unwrap_or_default().as_str(), "ot=th:8");
    let left_out = decide(&sampler, "", None, low);
    assert_eq!((left_out.sampled, left_out.threshold, left_out.state), (false, None, None));
}

#[test]
fn a_sampler_that_does_not_follow_replaces_the_threshold() {
    let high = 0xf0_0000_0000_0000;
    let under = |settings, flags, state| {
        let decision = decide(&Sampler::new(&settings), "", Some(&parent(flags, state, high)), 0);
        (decision.sampled, decision.state.map(|state| state.as_str().to_owned()))
    };
    let state = "ot=th:e;x:1,a=b";
    assert_eq!(
        under(SamplerSettings::Ratio(0.5), 0, state),
        (true, Some("ot=th:8;x:1,a=b".to_owned()))
    );
    assert_eq!(under(SamplerSettings::AlwaysOn, 0, state), (true, Some("ot=x:1,a=b".to_owned())));
    assert_eq!(under(SamplerSettings::AlwaysOff, 1, state), (false, Some("ot=x:1,a=b".to_owned())));
    assert_eq!(under(SamplerSettings::AlwaysOff, 1, "a=b"), (false, None));
    assert!(Sampler::new(&SamplerSettings::AlwaysOn).samples_all_new());
}

#[test]
fn s12_each_operation_has_its_sampler() {
    let rule =
        |name: Option<&str>, route: Option<&str>, attribute: Option<(&str, &str)>, sampler| {
            OperationRule {
                name: name.map(str::to_owned),
                route: route.map(str::to_owned),
                attribute: attribute.map(|(k, v)| (k.to_owned(), v.to_owned())),
                sampler,
            }
        };
    let on = SamplerSettings::AlwaysOn;
    let off = SamplerSettings::AlwaysOff;
    for (rules, name, sampled) in [
        (vec![rule(Some("GET /health"), None, None, off.clone())], "GET /health", false),
        (vec![rule(Some("GET /health"), None, None, off.clone())], "GET /health2", true),
        (vec![rule(Some("GET *"), None, None, off.clone())], "GET /health2", false),
        (vec![rule(None, Some("/jobs/*"), None, off.clone())], "x", false),
        (vec![rule(None, Some("/vms/*"), None, off.clone())], "x", true),
        (vec![rule(None, None, Some(("tenant", "acme")), off.clone())], "x", false),
        (vec![rule(None, None, Some(("tenant", "other")), off.clone())], "x", true),
        (vec![rule(Some("x"), None, Some(("tenant", "other")), off.clone())], "x", true),
        (vec![rule(Some("x"), None, None, on.clone()), rule(None, None, None, off)], "x", true),
    ] {
        let text = format!("{rules:?} {name}");
        let otherwise = Box::new(SamplerSettings::AlwaysOn);
        let sampler = Sampler::new(&SamplerSettings::PerOperation { rules, otherwise });
        assert_eq!(decide(&sampler, name, None, 1).sampled, sampled, "{text}");
    }
}

#[test]
fn s12_the_documents_example_samples_one_in_a_hundred_and_all_that_is_critical() {
    let rule = |name: &str, sampler| OperationRule {
        name: Some(name.to_owned()),
        route: None,
        attribute: None,
        sampler,
    };
    let sampler = Sampler::new(&SamplerSettings::PerOperation {
        rules: vec![
            rule("list-*", SamplerSettings::Ratio(0.01)),
            rule("export-vm", SamplerSettings::AlwaysOn),
        ],
        otherwise: Box::new(SamplerSettings::Ratio(0.1)),
    });
    let (mut seed, mut listed, mut exported) = (9, 0, 0);
    for _ in 0..100_000 {
        let r = random(&mut seed);
        listed += u32::from(decide(&sampler, "list-vms", None, r).sampled);
        exported += u32::from(decide(&sampler, "export-vm", None, r).sampled);
    }
    assert!((870..1130).contains(&listed), "{listed}");
    assert_eq!(exported, 100_000);
    assert_eq!(decide(&sampler, "export-vm", None, 1).reason, "operation");
}

#[test]
fn jaegers_strategies_replace_each_other_and_damage_changes_nothing() {
    let sampler = Sampler::new(&SamplerSettings::JaegerRemote {
        endpoint: "http://localhost:5778/sampling".to_owned(),
        interval: std::time::Duration::from_secs(60),
        initial: Box::new(SamplerSettings::AlwaysOff),
    });
    let remote = sampler.remotes()[0].clone();
    assert_eq!(remote.url("a b"), "http://localhost:5778/sampling?service=a%20b");
    for (endpoint, url) in [
        ("127.0.0.1:5778", "127.0.0.1:5778/sampling?service=x"),
        ("http://host:5778/", "http://host:5778/sampling?service=x"),
        ("http://host/api/sampling?a=b", "http://host/api/sampling?a=b&service=x"),
    ] {
        let remote = Remote::new(endpoint, std::time::Duration::ZERO, Node::AlwaysOn);
        assert_eq!(remote.url("x"), url);
    }
    let (high, low) = (0xf0_0000_0000_0000, 0x10_0000_0000_0000);
    let sampled = |name, random| decide(&sampler, name, None, random).sampled;
    assert!(!sampled("x", high));

    let half = br#"{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5}}"#;
    remote.apply(half).unwrap();
    assert!(sampled("x", high) && !sampled("x", low));
    assert_eq!(decide(&sampler, "x", None, high).threshold, Some(1 << 55));

    for damage in ["", "[]", "{}", "{\"probabilisticSampling\":{\"samplingRate\":\"x\"}}", "{{"] {
        assert!(remote.apply(damage.as_bytes()).is_err(), "{damage}");
        assert!(sampled("x", high) && !sampled("x", low), "{damage}");
    }

    let limit = br#"{"strategyType":1,"rateLimitingSampling":{"maxTracesPerSecond":2}}"#;
    remote.apply(limit).unwrap();
    let at_once = (0..100).filter(|_| sampled("x", high)).count();
    assert_eq!(at_once, 2);

    let operations = br#"{"strategyType":"PROBABILISTIC","operationSampling":{
        "defaultSamplingProbability":0.0,"defaultLowerBoundTracesPerSecond":1,
        "perOperationStrategies":[
            {"operation":"export","probabilisticSampling":{"samplingRate":1.0}}]}}"#;
    remote.apply(operations).unwrap();
    assert_eq!((0..100).filter(|_| sampled("export", low)).count(), 100);
    // The lower bound lets the first of an operation pass, and then those with luck.
    assert!(sampled("rare", low) && sampled("rarer", low));
    assert!(!sampled("rare", low));
}
