//! Rates over a time of which only the traces that matter are left are those from before.

use std::time::Duration;

use trefoil_store::model::{Attribute, Resource, Scope, Span, SpanKind, StatusCode, Value};
use trefoil_store::{Batch, KeptTraces, Retention, Settings, Store, Tally};

use crate::limits::Limits;
use crate::traceql::{MetricsAnswer, MetricsParams, metrics_range, parse};

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE_NS: i64 = 60_000_000_000;
/// A whole hour of a day of its own.
const START_NS: i64 = 20_600 * 86_400_000_000_000 + 36_000_000_000_000;

fn attribute(key: &'static str, value: &str) -> Attribute<'static> {
    Attribute { key: key.into(), value: Value::Str(value.to_owned().into()) }
}

/// Two hours of traces of two spans, of which one in forty fails or is slow.
fn load(store: &Store) {
    for n in 0..2_400u64 {
        let mut batch = Batch::new();
        let scope = batch.scope(&Scope::default());
        let service = ["cart", "pay", "ship"][n as usize % 3];
        let attributes = vec![
            attribute("service.name", service),
            attribute("k8s.pod.name", ["p1", "p2"][n as usize / 1_200]),
        ];
        let resource = batch.resource(&Resource { attributes, ..Resource::default() });
        for child in 0..2u64 {
            let start_ns = START_NS as u64 + n * 3_000_000_000 + child;
            let slow = if n % 100 == 7 { 2_000_000_000 } else { 0 };
            let span = Span {
                trace_id: u128::from(n + 1).to_be_bytes(),
                span_id: (n * 2 + child + 1).to_be_bytes(),
                parent_span_id: (child * (n * 2 + 1)).to_be_bytes(),
                name: ["GET /", "POST /", "query"][(n / 3 + child) as usize % 3].into(),
                kind: [SpanKind::Server, SpanKind::Client][child as usize],
                status: if n % 80 == 3 { StatusCode::Error } else { StatusCode::Unset },
                start_ns,
                end_ns: start_ns + slow + n * 7_919_777 % 50_000_000,
                attributes: vec![attribute("user", ["ann", "bob"][n as usize % 2])],
                ..Span::default()
            };
            batch.span(resource, scope, &span);
        }
        store.append(&batch).unwrap();
    }
    store.flush().unwrap();
}

fn ask(store: &Store, query: &str, step_ns: i64) -> MetricsAnswer {
    let tally = Tally::unlimited();
    let end_ns = START_NS + 120 * MINUTE_NS;
    let params = MetricsParams { start_ns: START_NS, end_ns, step_ns, exemplars: 0 };
    let limits = Limits::new(&tally);
    metrics_range(&store.snapshot(), &parse(query).unwrap(), &params, &limits).unwrap()
}

/// Labels and values, with sums rounded: they are added up in another order.
fn shown(answer: &MetricsAnswer) -> Vec<String> {
    let number = |v: &f64| format!("{v:.9e}");
    let values = |v: &[f64]| v.iter().map(number).collect::<Vec<_>>().join(" ");
    answer.series.iter().map(|s| format!("{:?} {}", s.labels, values(&s.values))).collect()
}

fn thinned() -> (Store, Store) {
    let retention = Retention { traces: Some(DAY), ..Retention::default() };
    let kept_traces = Some(KeptTraces { kept: 30 * DAY, slow_ns: 1_000_000_000 });
    let settings = Settings { retention, kept_traces, ..Settings::default() };
    let (whole, thinned) = (Store::in_memory(settings.clone()), Store::in_memory(settings));
    load(&whole);
    load(&thinned);
    (0..10).for_each(|_| thinned.maintain(START_NS + 3 * 86_400_000_000_000).unwrap());
    assert!(thinned.stats().traces.part_items < 200, "{:?}", thinned.stats().traces);
    (whole, thinned)
}

#[test]
fn s12_rates_over_a_thinned_time_are_those_from_before() {
    let (whole, thinned) = thinned();
    let queries = [
        "{} | rate()",
        "{} | count_over_time()",
        "{} | rate() by (resource.service.name)",
        "{} | count_over_time() by (resource.service.name, name, status)",
        "{ kind = server } | rate() by (resource.k8s.pod.name)",
        "{ resource.service.name = \"pay\" && status = error } | rate()",
        "{ status != error } | rate() by (name)",
        "{ name =~ \"GET.*\" || kind = client } | count_over_time() by (kind)",
        "{ !(status = error) } | count_over_time()",
        "{ duration > 2s } | count_over_time()",
        "{ duration > 1000s } | count_over_time()",
        "{ duration >= 0ns && kind = server } | count_over_time() by (name)",
        "{ kind = server } | quantile_over_time(duration, .5, .99) by (resource.service.name)",
        "{} | histogram_over_time(duration) by (name)",
        "{} | avg_over_time(duration) by (name)",
        "{} | sum_over_time(duration)",
        "{} | min_over_time(duration) by (kind)",
        "{} | max_over_time(duration) by (kind)",
        "({ status = error } | rate()) / ({} | rate())",
        "{} | rate() by (resource.service.name) | topk(2)",
    ];
    for query in queries {
        for step_ns in [MINUTE_NS, 5 * MINUTE_NS] {
            let (before, after) = (ask(&whole, query, step_ns), ask(&thinned, query, step_ns));
            assert!(!before.series.is_empty() && before.partial.is_none(), "{query}");
            assert_eq!(after.partial, None, "{query}");
            assert_eq!(shown(&after), shown(&before), "{query}");
        }
    }
}

#[test]
fn an_answer_says_what_it_lacks_of_a_thinned_time() {
    let (whole, thinned) = thinned();
    let queries = [
        "{ span.user = \"ann\" } | rate()",
        "{ .user = \"ann\" } | rate()",
        "{} | rate() by (span.user)",
        "{ duration > 20ms } | rate()",
        "{ duration = 7919777ns } | rate()",
        "{ duration > 20ms && duration < 45ms } | rate()",
        "{ rootName = \"GET /\" } | rate()",
        "{ kind = server } >> { kind = client } | rate()",
        "{} | rate() by (duration)",
        "{} | avg_over_time(span.size)",
        "{} | compare({ status = error })",
    ];
    for query in queries {
        let answer = ask(&thinned, query, MINUTE_NS);
        let partial = answer.partial.unwrap_or_default();
        assert!(partial.contains("other spans are known by"), "{query}: {partial:?}");
        assert_eq!(ask(&whole, query, MINUTE_NS).partial, None, "{query}");
    }
    // What is certain to be without is no lack.
    let query = "{ span.user = \"ann\" && resource.service.name = \"nobody\" } | rate()";
    assert_eq!(ask(&thinned, query, MINUTE_NS).partial, None);
    let answer = ask(&thinned, "{} | count_over_time()", 45_000_000_000);
    assert!(answer.partial.unwrap_or_default().contains("whole minutes"));
    assert_eq!(answer.series[0].values.iter().sum::<f64>(), 4_800.0);
}
