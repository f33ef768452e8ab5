//! Which traces leave, and what their spans say about it.

use std::time::Duration;

use tracing::{error, info_span};

use super::*;
use crate::account::Dropped;
use crate::context::{Baggage, TraceState};

fn never() -> TraceSettings {
    settings(SamplerSettings::AlwaysOff)
}

/// Conservation: what was produced left, was dropped, was left out or waits.
#[track_caller]
fn check_counts(rig: &Rig, produced: u64, left: u64, sampled_out: u64, evicted: u64) {
    let counts = rig.counts();
    assert_eq!(counts.produced, produced, "produced");
    assert_eq!(rig.left().len() as u64, left, "left");
    assert_eq!(counts.sampled_out, sampled_out, "sampled out");
    assert_eq!(counts.dropped(Dropped::Evicted), evicted, "evicted");
    assert_eq!(counts.dropped_total(), evicted, "dropped");
}

#[track_caller]
fn check_mark(span: &Left, reason: &str, probability: &str, state: &str) {
    let Left { attributes, .. } = span;
    let mark =
        (attributes["sampling.reason"].as_str(), attributes["sampling.probability"].as_str());
    assert_eq!((mark, span.state.as_str()), ((reason, probability), state), "{span:?}");
    assert_eq!(span.flags & 1, 1, "who leaves is sampled");
}

#[test]
fn m4_a_failed_trace_leaves_whole_and_says_why() {
    let rig = Rig::new(&never());
    rig.run(|| {
        let root = info_span!("root").entered();
        info_span!("before", a = 1).in_scope(|| drop(info_span!("deep")));
        let open = info_span!("open");
        info_span!("failing").in_scope(|| error!("no"));
        assert_eq!(rig.left().len(), 3, "the verdict is known now");
        drop(open);
        drop(root);
        drop(info_span!("well").entered());
    });
    let left = rig.left();
    assert_eq!(left.len(), 5);
    for span in &left {
        check_mark(span, "error", "1.0", "ot=th:0");
        assert!(span.urgent, "the spans of a failed trace go first");
    }
    let [root, before, deep] = ["root", "before", "deep"].map(|name| rig.one(name));
    assert_eq!((before.parent, deep.parent), (root.id, before.id));
    assert_eq!(before.attributes["a"], "1");
    check_counts(&rig, 6, 5, 1, 0);
}

#[test]
fn t3_shares_say_their_probability() {
    let rig = Rig::new(&settings(SamplerSettings::Ratio(0.25)));
    rig.run(|| {
        for _ in 0..1000 {
            let root = info_span!("root").entered();
            drop(info_span!("child"));
            assert_eq!(rig.left().len() % 2, 0, "nothing leaves before the root ends");
            drop(root);
        }
    });
    let left = rig.left();
    // Six standard deviations of 1000 throws at one in four.
    assert!((left.len() / 2).abs_diff(250) < 83, "{} traces", left.len() / 2);
    for span in &left {
        check_mark(span, "ratio", "0.25", "ot=th:c");
        assert!(!span.urgent);
        // By the definition of consistent sampling.
        let randomness = u64::from_str_radix(&span.trace[18..], 16).unwrap();
        assert!(randomness >= 0xc << 52);
    }
    check_counts(&rig, 2000, left.len() as u64, 2000 - left.len() as u64, 0);
}

/// With a sampled trace that fails the probability is that of errors: one.
#[test]
fn errors_weigh_one_whatever_the_sampler_said() {
    let rig = Rig::new(&settings(SamplerSettings::Ratio(0.5)));
    rig.run(|| {
        for _ in 0..100 {
            let _root = info_span!("root").entered();
            drop(info_span!("child"));
            error!("no");
        }
    });
    let left = rig.left();
    assert_eq!(left.len(), 200);
    left.iter().for_each(|span| check_mark(span, "error", "1.0", "ot=th:0"));
}

#[test]
fn an_always_on_sampler_leaves_no_marks() {
    let rig = Rig::always_on();
    rig.run(|| drop(info_span!("s")));
    let span = rig.one("s");
    assert_eq!((span.attributes, span.state.as_str(), span.flags), (map(&[]), "", 0x103));
}

#[test]
fn slow_traces_are_kept_as_routes_and_names_say() {
    let mut settings = never();
    settings.keep.slow = Some(Duration::ZERO);
    settings.keep.slow_by_route =
        vec![("/fast/*".into(), Duration::from_secs(3600)), ("batch *".into(), Duration::ZERO)];
    let rig = Rig::new(&settings);
    rig.run(|| {
        for (name, route) in [("GET", "/fast/{id}"), ("GET", "/other"), ("batch 7", "/x")] {
            let root = info_span!("root", otel.name = name, http.route = route).entered();
            let child = info_span!("child", of = route);
            // The clock has to go on between start and end.
            while clock::now_ns() == rig.start_of(&root) {}
            drop((child, root));
        }
    });
    let routes: Vec<String> =
        rig.left().iter().map(|s| s.attributes.get("of").cloned().unwrap_or_default()).collect();
    assert_eq!(routes, ["", "/other", "", "/x"]);
    rig.left().iter().for_each(|span| check_mark(span, "slow", "1.0", "ot=th:0"));
    check_counts(&rig, 6, 4, 2, 0);
}

/// Without routes it is known before the root ends.
#[test]
fn a_slow_trace_does_not_wait_for_its_end() {
    let mut settings = never();
    settings.keep.slow = Some(Duration::ZERO);
    let rig = Rig::new(&settings);
    rig.run(|| {
        let root = info_span!("root").entered();
        while clock::now_ns() == rig.start_of(&root) {}
        drop(info_span!("child"));
        assert_eq!(rig.left().len(), 1);
    });
    check_counts(&rig, 2, 2, 0, 0);
}

#[test]
fn who_asks_keeps_the_trace() {
    let rig = Rig::new(&never());
    rig.run(|| {
        let root = info_span!("root").entered();
        drop(info_span!("before"));
        info_span!("asks").keep("support ticket");
        drop(root);
        drop(info_span!("other"));
    });
    assert_eq!(rig.left().len(), 3);
    rig.left().iter().for_each(|span| check_mark(span, "support ticket", "1.0", "ot=th:0"));
    check_counts(&rig, 4, 3, 1, 0);
}

#[test]
fn what_ends_late_follows_the_verdict() {
    let rig = Rig::new(&never());
    rig.run(|| {
        let kept = info_span!("kept").entered();
        let late = info_span!("late of kept");
        error!("no");
        drop(kept);
        drop(late);

        let forgotten = info_span!("forgotten").entered();
        let late = info_span!("late of forgotten");
        let failing = info_span!("late and failing");
        drop(forgotten);
        drop(info_span!(parent: &late, "later still"));
        drop(late);
        failing.in_scope(|| error!("too late for the others"));
        drop(failing);
    });
    check_mark(&rig.one("late of kept"), "error", "1.0", "ot=th:0");
    let alone = rig.one("late and failing");
    check_mark(&alone, "late_error", "1.0", "ot=th:0");
    check_counts(&rig, 6, 3, 3, 0);
}

fn caller(flags: u8, state: &str) -> Context {
    let span = SpanContext {
        trace_id: TraceId([0x80; 16]),
        span_id: SpanId([9; 8]),
        flags: TraceFlags(flags),
        state: TraceState::from_members(state),
        remote: true,
    };
    Context::new(Some(span), Baggage::default())
}

#[test]
fn m3_the_caller_decides_and_errors_leave_nevertheless() {
    let root = Box::new(SamplerSettings::AlwaysOn);
    let rig = Rig::new(&settings(SamplerSettings::ParentBased { root }));
    let serve = |name: &'static str, flags, state, fails: bool| {
        rig.run(|| {
            let _attached = caller(flags, state).attach();
            let span = info_span!("server", otel.name = name).entered();
            let there = span.context().span.unwrap();
            assert_eq!(there.flags.0, flags, "what is sent on is what the caller decided");
            if fails {
                error!("no");
            }
        });
    };
    serve("sampled", 1, "", false);
    serve("not", 0, "", false);
    serve("not, failed", 0, "a=b", true);
    serve("one in two", 3, "ot=th:8", false);
    serve("one in two, failed", 3, "ot=th:8;x:y,a=b", true);

    assert!(!rig.one("sampled").attributes.contains_key("sampling.reason"));
    check_mark(&rig.one("not, failed"), "error", "1.0", "ot=th:0,a=b");
    check_mark(&rig.one("one in two"), "parent", "0.5", "ot=th:8");
    check_mark(&rig.one("one in two, failed"), "error", "1.0", "ot=th:0;x:y,a=b");
    check_counts(&rig, 5, 4, 1, 0);
}

#[test]
fn without_keeping_nothing_waits() {
    let mut settings = settings(SamplerSettings::Ratio(0.5));
    settings.keep.errors = false;
    let rig = Rig::new(&settings);
    let mut sampled = 0;
    rig.run(|| {
        for _ in 0..200 {
            let before = rig.left().len();
            let root = info_span!("root").entered();
            info_span!("child").in_scope(|| error!("no"));
            let is_sampled = root.context().span.unwrap().flags.is_sampled();
            assert_eq!(rig.left().len() - before, usize::from(is_sampled));
            sampled += usize::from(is_sampled);
        }
    });
    assert_eq!(rig.left().len(), 2 * sampled);
    rig.left().iter().for_each(|span| check_mark(span, "ratio", "0.5", "ot=th:8"));
    let left = 2 * sampled as u64;
    check_counts(&rig, 400, left, 400 - left, 0);
}

/// A log record as far as this store knows it: flags at byte 1.
fn log(rig: &Rig, severity: u8, text: &str) -> bool {
    rig.log_account.produced(1);
    let mut message = vec![0x45, 0, 0, 0, 0];
    message.extend_from_slice(text.as_bytes());
    let current = current().unwrap();
    message[1] = current.flags.0;
    rig.spans.hold_log(&current, "logs", Priority::Normal, severity, &message, 1)
}

fn logs(rig: &Rig) -> Vec<(u8, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    rig.logs().iter().map(|message| (message[1] & 1, text(&message[5..]))).collect()
}

#[test]
fn log_records_share_the_fate_of_their_trace() {
    let (info, warn) = (9, 13);
    let rig = Rig::new(&never());
    rig.run(|| {
        let kept = info_span!("kept").entered();
        let late = info_span!("late");
        assert!(log(&rig, info, "waits"));
        assert_eq!(logs(&rig).len(), 0);
        error!("no");
        drop(info_span!("child"));
        drop(kept);
        late.in_scope(|| assert!(log(&rig, info, "late")));
        drop(late);

        let forgotten = info_span!("forgotten").entered();
        let late = info_span!("late");
        assert!(log(&rig, info, "unimportant") && log(&rig, warn, "important"));
        drop(forgotten);
        late.in_scope(|| assert!(log(&rig, info, "late unimportant") && log(&rig, warn, "late!")));
    });
    let expect = [(1, "waits"), (1, "late"), (0, "important"), (0, "late!")];
    assert_eq!(logs(&rig), expect.map(|(flag, text)| (flag, text.to_owned())));
    let counts = rig.log_account.read();
    assert_eq!((counts.produced, counts.sampled_out), (6, 2));

    // Of a span that leaves at once the caller pushes them.
    let direct = Rig::always_on();
    direct.run(|| info_span!("s").in_scope(|| assert!(!log(&direct, info, "x"))));
}

#[test]
fn memory_of_undecided_traces_is_bounded() {
    let mut settings = settings(SamplerSettings::Ratio(0.5));
    settings.keep.pending_bytes_max = 64 << 10;
    let rig = Rig::new(&settings);
    let most = rig.run(|| {
        let roots: Vec<_> = (0..200).map(|_| info_span!("root")).collect();
        let mut most = 0;
        for round in 0..20 {
            for root in &roots {
                let text = "x".repeat(100);
                drop(info_span!(parent: root, "child", round, text));
                root.in_scope(|| log(&rig, 9, "a record"));
                most = most.max(rig.spans.0.held());
            }
        }
        // A failed trace leaves and is not evicted, with what is left of it.
        roots[7].in_scope(|| error!("no"));
        most
    });
    assert!(most <= 66 << 10, "{most} bytes");
    let left = rig.left().len() as u64;
    let counts = rig.counts();
    assert_eq!(counts.produced, 200 * 21);
    let evicted = counts.dropped(Dropped::Evicted);
    assert!(evicted > 1000, "{evicted}");
    check_counts(&rig, 200 * 21, left, 200 * 21 - left - evicted, evicted);
    let counts = rig.log_account.read();
    let dropped = counts.dropped(Dropped::Evicted);
    assert_eq!(4000, rig.logs().len() as u64 + counts.sampled_out + dropped);
    assert!(
        rig.left().iter().any(|s| s.name == "root" && s.attributes["sampling.reason"] == "error")
    );
    assert_eq!(rig.spans.0.held(), 0);
    drop(rig.dispatch);
}

#[test]
fn no_more_open_spans_than_may_be() {
    let mut settings = never();
    settings.keep.open_spans_max = 300;
    let rig = Rig::new(&settings);
    rig.run(|| {
        let spans: Vec<_> = (0..1000).map(|n| info_span!("s", n)).collect();
        let beyond = spans[999].enter();
        // It has no place, and what it is told goes nowhere.
        spans[999].set_attribute("a", 1);
        let inner = info_span!("inner");
        assert_eq!(inner.context(), Context::default());
        assert_eq!(current(), None);
        drop((beyond, inner));
        spans[0].in_scope(|| {
            // Neither has the one in between, so the child belongs to the one around it.
            let between = info_span!("between").entered();
            assert_eq!(current().unwrap().span_id, spans[0].context().span.unwrap().span_id);
            drop(between);
        });
        drop(spans);
        drop(info_span!("room again"));
    });
    check_counts(&rig, 1003, 0, 301, 702);
}

#[test]
fn when_the_process_ends_what_waits_is_decided() {
    let rig = Rig::new(&settings(SamplerSettings::Ratio(0.5)));
    rig.run(|| {
        let roots: Vec<_> = (0..100).map(|_| info_span!("root")).collect();
        roots.iter().for_each(|root| drop(info_span!(parent: root, "child")));
        let sampled = roots.iter().filter(|r| r.context().span.unwrap().flags.is_sampled()).count();
        assert_eq!(rig.left().len(), 0);
        rig.spans.decide_all();
        assert_eq!(rig.left().len(), sampled);
        assert_eq!(rig.counts().pending(), sampled as u64, "those that left count elsewhere");
        drop(roots);
        assert_eq!(rig.left().len(), 2 * sampled);
    });
}

impl Rig {
    fn start_of(&self, span: &tracing::Span) -> u64 {
        let id = span.id().unwrap().into_u64();
        self.spans.with_open(id, |open| open.start_ns).unwrap()
    }
}

impl Store {
    /// Bytes that wait, counted anew.
    fn held(&self) -> usize {
        (0..self.undecided.used()).filter_map(|at| self.undecided.at(at, |t| t.cost())).sum()
    }
}
