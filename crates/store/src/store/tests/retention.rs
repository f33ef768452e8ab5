//! What goes before its time, when its time has come, and what stays for longer.

use std::time::Duration;

use super::*;
use crate::settings::{KeptTraces, RetentionBytes};
use crate::{Deletion, MatchOp, Matcher};

#[test]
fn s12_what_is_older_than_its_retention_is_hidden_and_then_dropped() {
    let day = Duration::from_secs(86_400);
    let retention = Retention { metrics: None, logs: Some(day), traces: Some(2 * day) };
    let settings = Settings { retention, ..Settings::default() };
    let store = open::open(Arc::new(Faulty::new(1)), dir(), settings).unwrap();
    store.append(&numbered(1)).unwrap();
    // Logs of the first day have expired a second after the second day began.
    let now = START_NS + DAY_NS + 1_000_000_000;
    for flushed in [false, true] {
        if flushed {
            store.flush().unwrap();
        }
        store.maintain(now).unwrap();
        let found = find(&store.snapshot());
        assert_eq!(found.logs.keys().collect::<Vec<_>>(), [&(1, 1)]);
        assert_eq!(found.spans.len(), 2);
        assert_eq!(found.samples.len(), 2);
    }
    assert_eq!(store.stats().logs.parts, 1, "the first day's part is gone");
    assert_eq!(store.stats().logs.expired, 1);
    store.maintain(START_NS + 10 * DAY_NS).unwrap();
    let stats = store.stats();
    assert_eq!([stats.metrics.parts, stats.logs.parts, stats.traces.parts], [2, 0, 0]);
    let found = find(&store.snapshot());
    assert_eq!((found.samples.len(), found.logs.len(), found.spans.len()), (2, 0, 0));
}

#[test]
fn the_oldest_parts_go_when_a_signal_has_too_many_bytes() {
    let mut limited = settings();
    limited.retention_bytes = RetentionBytes { logs: Some(1_500), traces: None, metrics: Some(0) };
    let store = open::open(Arc::new(Faulty::new(1)), dir(), limited).unwrap();
    for id in 1..=100 {
        store.append(&numbered(id)).unwrap();
        store.flush().unwrap();
        store.maintain(START_NS).unwrap();
    }
    let stats = store.stats();
    assert!((500..=1_500).contains(&stats.logs.part_bytes), "{stats:?}");
    assert_eq!(stats.logs.part_items + stats.logs.expired, 200);
    assert_eq!((stats.metrics.parts, stats.metrics.expired), (0, 200));
    assert_eq!((stats.traces.part_items, stats.traces.expired), (200, 0));
    // The first day's rows are older than all of the second day's.
    let found = find(&store.snapshot());
    assert!(found.logs.contains_key(&(100, 1)) && !found.logs.contains_key(&(1, 0)));
}

fn of_service(service: &str) -> Deletion {
    let attribute = Some(("service.name".to_owned(), service.to_owned()));
    Deletion { metrics: true, logs: true, traces: true, attribute, range: TimeRange::ALL }
}

/// A batch with a sample, an exemplar, a log record and a span of a service.
fn of(service: &str, time_ns: i64) -> Batch {
    let mut batch = Batch::new();
    let attributes = vec![Attribute {
        key: "service.name".into(),
        value: Value::Str(service.to_owned().into()),
    }];
    let resource = batch.resource(&Resource { attributes, ..Resource::default() });
    let scope = batch.scope(&Scope::default());
    let series = Labels::from_pairs([("__name__", "m"), ("job", service)]);
    let series = batch.series(resource, scope, &series);
    let time_ms = time_ns / 1_000_000;
    batch.sample(series, &Sample { time_ms, start_ms: 0, value: SampleValue::Float(1.0) });
    let labels = Labels::from_pairs([("trace_id", "t")]);
    batch.exemplar(series, &Exemplar { time_ms, value: 1.0, labels });
    let body = Value::Str(format!("of {service}").into());
    let record =
        LogRecord { time_ns: time_ns as u64, body, trace_id: [3; 16], ..LogRecord::default() };
    batch.log(resource, scope, &Labels::from_pairs([("service_name", service)]), &record);
    let span = Span {
        trace_id: [3; 16],
        span_id: [time_ns as u8 | 1; 8],
        start_ns: time_ns as u64,
        ..Span::default()
    };
    batch.span(resource, scope, &span);
    batch
}

/// Everything a snapshot tells, by every question there is.
fn told(store: &Store) -> [usize; 9] {
    let (snapshot, tally) = (store.snapshot(), Tally::unlimited());
    let all = TimeRange::ALL;
    let series = snapshot.series(&[], all, &tally).unwrap();
    let mut samples = Samples::default();
    let mut count = 0;
    for series in &series {
        snapshot.samples(series, all, &mut samples, &tally).unwrap();
        count += samples.floats.len();
    }
    let (mut logs, mut spans) = (0, 0);
    let scan = LogScan { streams: &[], range: all, lines: &[], order: Order::Backward };
    let add = |n: &mut usize| {
        *n += 1;
        ControlFlow::Continue(())
    };
    snapshot.logs(&scan, &tally, &mut |_| add(&mut logs)).unwrap();
    let scan = SpanScan { range: all, filter: &SpanFilter::All, order: Order::Any };
    snapshot.spans(&scan, &tally, &mut |_| add(&mut spans)).unwrap();
    let job = [Matcher::new("job", MatchOp::Regex, ".+").unwrap()];
    [
        series.len(),
        count,
        snapshot.exemplars(&[], all, &tally).unwrap().len(),
        snapshot.label_values("job", &job, all, &tally).unwrap().len(),
        logs,
        snapshot.streams(&[], all, &tally).unwrap().len(),
        snapshot.trace_logs([3; 16], &tally).unwrap().len(),
        spans,
        snapshot.trace([3; 16], &tally).unwrap().len(),
    ]
}

#[test]
fn what_is_deleted_is_gone_from_every_answer_and_gives_its_room_back() {
    let vfs = Faulty::new(1);
    let store = open_on(&vfs).unwrap();
    for n in 0..20 {
        store.append(&of(["cart", "pay"][n as usize % 2], START_NS + n * 10_000_000)).unwrap();
        if n % 8 == 7 {
            store.flush().unwrap();
        }
    }
    assert_eq!(told(&store), [2, 20, 2, 2, 20, 2, 20, 20, 20]);
    let before = store.stats().logs.part_bytes;
    let deleted = store.delete(&of_service("cart")).unwrap();
    assert_eq!((deleted.samples, deleted.logs, deleted.spans), (10, 10, 10));
    let half = [1, 10, 1, 1, 10, 1, 10, 10, 10];
    assert_eq!(told(&store), half);
    assert!(store.stats().logs.part_bytes < before * 2);
    // What comes afterwards is not meant.
    store.append(&of("cart", START_NS)).unwrap();
    assert_eq!(told(&store), [2, 11, 2, 2, 11, 2, 11, 11, 11]);
    store.delete(&of_service("cart")).unwrap();
    store.merge().unwrap();
    drop(store);
    let store = open_on(&vfs.after_power_loss()).unwrap();
    assert_eq!(told(&store), half);
    assert_eq!(store.delete(&of_service("cart")).unwrap(), crate::Deleted::default());
    let range = TimeRange { start_ns: START_NS, end_ns: START_NS + 50_000_000 };
    let some = Deletion { attribute: None, range, metrics: false, ..of_service("") };
    let deleted = store.delete(&some).unwrap();
    assert_eq!((deleted.samples, deleted.logs, deleted.spans), (0, 3, 3));
}

#[test]
fn a_deletion_that_a_crash_interrupts_goes_on_by_itself() {
    for at in 1.. {
        let vfs = Faulty::new(at);
        let store = open_on(&vfs).unwrap();
        for n in 0..6 {
            store.append(&of(["cart", "pay"][n as usize % 2], START_NS + n * 10_000_000)).unwrap();
            store.flush().unwrap();
        }
        vfs.fail_at(at, Fault::Crash);
        if store.delete(&of_service("cart")).is_ok() {
            assert!(at > 40, "{at}");
            return;
        }
        drop(store);
        let store = open_on(&vfs.after_power_loss()).unwrap();
        let pending = !hold(&store.maintenance).manifest.deletions.is_empty();
        // Appended after the request and before the crash is made good.
        store.append(&of("cart", START_NS + DAY_NS)).unwrap();
        store.flush().unwrap();
        store.maintain(START_NS).unwrap();
        let left = told(&store)[7];
        assert!(left == 4 || !pending && left == 7, "crash at {at}: {left} spans are left");
        assert!(hold(&store.maintenance).manifest.deletions.is_empty());
    }
}

#[test]
fn traces_that_matter_outlive_the_rest() {
    let day = Duration::from_secs(86_400);
    let retention = Retention { metrics: None, logs: None, traces: Some(day) };
    let kept_traces = Some(KeptTraces { kept: 5 * day, slow_ns: 1_000_000_000 });
    let settings = Settings { retention, kept_traces, ..Settings::default() };
    let vfs = Faulty::new(1);
    let store = open::open(Arc::new(vfs.clone()), dir(), settings.clone()).unwrap();
    for n in 1..=200u8 {
        let mut batch = Batch::new();
        let resource = batch.resource(&Resource::default());
        let scope = batch.scope(&Scope::default());
        for child in 0..2u8 {
            let start_ns = START_NS as u64 + u64::from(n) * 1_000_000;
            let slow = n % 50 == 0 && child == 0;
            let status = match n % 40 == 0 && child == 1 {
                true => crate::model::StatusCode::Error,
                false => crate::model::StatusCode::Ok,
            };
            let end_ns = start_ns + if slow { 2_000_000_000 } else { 1 };
            let span_id = [child + 1; 8];
            let trace_id = [n; 16];
            let span = Span { trace_id, span_id, start_ns, end_ns, status, ..Span::default() };
            batch.span(resource, scope, &span);
        }
        if n == 7 {
            let series = batch.series(resource, scope, &Labels::from_pairs([("__name__", "m")]));
            let labels = Labels::from_pairs([("trace_id", &*"07".repeat(16))]);
            let time_ms = START_NS / 1_000_000;
            batch.exemplar(series, &Exemplar { time_ms, value: 1.0, labels });
        }
        store.append(&batch).unwrap();
        if n % 60 == 0 {
            store.flush().unwrap();
        }
    }
    store.flush().unwrap();
    let traces = |store: &Store| {
        let mut spans = BTreeMap::new();
        let scan = SpanScan { range: TimeRange::ALL, filter: &SpanFilter::All, order: Order::Any };
        let mut count = |stored: &crate::model::StoredSpan<'_>| {
            *spans.entry(stored.span.trace_id[0]).or_insert(0) += 1;
            ControlFlow::Continue(())
        };
        store.snapshot().spans(&scan, &Tally::unlimited(), &mut count).unwrap();
        spans
    };
    assert_eq!(traces(&store).len(), 200);
    let before = counts(&store);
    let later = START_NS + 2 * DAY_NS;
    (0..6).for_each(|_| store.maintain(later).unwrap());
    let kept: BTreeMap<u8, i32> = [7, 40, 50, 80, 100, 120, 150, 160, 200].map(|n| (n, 2)).into();
    assert_eq!(traces(&store), kept, "whole traces with an error, a slow span or an exemplar");
    assert_eq!(counts(&store), before, "what is gone is counted");
    store.merge().unwrap();
    assert_eq!(counts(&store), before);
    drop(store);
    let store = open::open(Arc::new(vfs), dir(), settings).unwrap();
    (0..3).for_each(|_| store.maintain(later).unwrap());
    assert_eq!(traces(&store), kept);
    assert_eq!(counts(&store), before);
    store.maintain(START_NS + 6 * DAY_NS).unwrap();
    assert_eq!((traces(&store).len(), counts(&store).len()), (0, 0));
}

/// A span's service, name, status and minute, and the class of its duration.
type Counted = (String, String, u8, i64, u32);

/// How many spans of each kind there were, and how long they took, whether or not they are
/// still there.
fn counts(store: &Store) -> BTreeMap<Counted, (u64, u64)> {
    const MINUTE_NS: i64 = 60_000_000_000;
    let mut counts: BTreeMap<Counted, (u64, u64)> = BTreeMap::new();
    let service = |r: &Resource<'_>| {
        r.attributes.first().map_or_else(String::new, |a| a.value.as_text().into_owned())
    };
    let class = |ns: u64| if ns < 2 { 0 } else { ns.next_power_of_two().ilog2() };
    let mut add = |key: Counted, count: u64, duration_ns: u64| {
        let sums = counts.entry(key).or_default();
        *sums = (sums.0 + count, sums.1 + duration_ns);
    };
    let (snapshot, tally) = (store.snapshot(), Tally::unlimited());
    let scan = SpanScan { range: TimeRange::ALL, filter: &SpanFilter::All, order: Order::Any };
    let mut seen = |stored: &crate::model::StoredSpan<'_>| {
        let span = &stored.span;
        let ns = span.end_ns - span.start_ns;
        let minute = (span.start_ns as i64 - 1).div_euclid(MINUTE_NS) * MINUTE_NS + MINUTE_NS;
        let name = span.name.to_string();
        add((service(&stored.resource), name, span.status as u8, minute, class(ns)), 1, ns);
        ControlFlow::Continue(())
    };
    snapshot.spans(&scan, &tally, &mut seen).unwrap();
    let mut counted = |of: &crate::ThinnedSpans<'_>| {
        assert_eq!(class(of.durations_ns.0), class(of.durations_ns.1));
        let key = (
            service(of.resource),
            of.name.to_owned(),
            of.status as u8,
            of.minute_end_ns,
            class(of.durations_ns.0),
        );
        add(key, of.count, of.duration_sum_ns);
    };
    assert!(snapshot.thinned_spans(TimeRange::ALL, &tally, &mut counted).unwrap());
    counts
}

/// Ten thousand spans of two services over three days, none of which matters.
#[test]
fn what_was_thinned_out_is_counted_until_it_is_deleted_or_expires() {
    let day = Duration::from_secs(86_400);
    let retention = Retention { metrics: None, logs: None, traces: Some(day) };
    let kept_traces = Some(KeptTraces { kept: 30 * day, slow_ns: u64::MAX });
    let settings = Settings { retention, kept_traces, ..Settings::default() };
    let vfs = Faulty::new(1);
    let store = open::open(Arc::new(vfs.clone()), dir(), settings.clone()).unwrap();
    for n in 0..10_000u64 {
        let mut batch = Batch::new();
        let value = Value::Str(["cart", "pay"][n as usize % 2].into());
        let attributes = vec![Attribute { key: "service.name".into(), value }];
        let resource = batch.resource(&Resource { attributes, ..Resource::default() });
        let scope = batch.scope(&Scope::default());
        // Some exactly on a minute, which belong to the one that ends there.
        let start_ns = START_NS as u64 / 60_000_000_000 * 60_000_000_000 + n * 15_000_000_000;
        let span = Span {
            trace_id: u128::from(n + 1).to_be_bytes(),
            span_id: (n + 1).to_be_bytes(),
            name: ["a", "b", "c"][n as usize % 3].into(),
            start_ns,
            end_ns: start_ns + n * n % 1_000,
            ..Span::default()
        };
        batch.span(resource, scope, &span);
        store.append(&batch).unwrap();
        if n % 1_000 == 0 {
            store.flush().unwrap();
        }
    }
    store.flush().unwrap();
    let before = counts(&store);
    let later = START_NS + 5 * DAY_NS;
    (0..30).for_each(|_| store.maintain(later).unwrap());
    store.merge().unwrap();
    let mut spans = 0;
    let scan = SpanScan { range: TimeRange::ALL, filter: &SpanFilter::All, order: Order::Any };
    let count = &mut |_: &crate::model::StoredSpan<'_>| {
        spans += 1;
        ControlFlow::Continue(())
    };
    store.snapshot().spans(&scan, &Tally::unlimited(), count).unwrap();
    assert_eq!(spans, 0);
    assert_eq!(counts(&store), before);
    assert!(store.stats().traces.part_bytes < 100_000, "{:?}", store.stats().traces);
    store.delete(&of_service("cart")).unwrap();
    let of_pay: BTreeMap<_, _> = before.clone().into_iter().filter(|(k, _)| k.0 == "pay").collect();
    assert_eq!(counts(&store), of_pay);
    // A minute of which only a part is meant goes as a whole.
    let until = START_NS + DAY_NS;
    let range = TimeRange { start_ns: i64::MIN, end_ns: until };
    store.delete(&Deletion { attribute: None, range, ..of_service("") }).unwrap();
    drop(store);
    let store = open::open(Arc::new(vfs), dir(), settings).unwrap();
    let rest: BTreeMap<_, _> =
        of_pay.into_iter().filter(|(k, _)| k.3 - 60_000_000_000 >= until).collect();
    assert_eq!(counts(&store), rest);
    store.maintain(START_NS + 40 * DAY_NS).unwrap();
    assert_eq!((counts(&store).len(), store.stats().traces.parts), (0, 0));
}
