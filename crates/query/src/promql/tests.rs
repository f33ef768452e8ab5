//! What scripts cannot show: limits, cancelling, threads, hostile numbers.

use trefoil_store::model::{Histogram, Resource, STALE_NAN, Sample, SampleValue as Stored, Scope};
use trefoil_store::{Batch, Labels, Settings, Store, Tally};

use super::*;
use crate::error::ErrorKind;

/// At 151 steps more than four threads take at a time, so that there are rounds.
const SERIES: usize = 5000;
const SAMPLES: i64 = 20;

fn many_series() -> Store {
    let mut settings = Settings::default();
    settings.retention.metrics = None;
    let store = Store::in_memory(settings);
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    for i in 0..SERIES {
        let (id, group) = (i.to_string(), (i % 7).to_string());
        // Some names end like a counter's, some do not: both leave notes.
        let name = if i % 2 == 0 { "hits_total" } else { "hits" };
        let labels = Labels::from_pairs([("__name__", name), ("group", &group), ("id", &id)]);
        let series = batch.series(resource, scope, &labels);
        for step in 0..SAMPLES {
            // A reset every few samples, at another place in each series.
            let value = ((step + i as i64) % 9 * (1 + i as i64 % 5)) as f64;
            let sample =
                Sample { time_ms: step * 15_000, start_ms: 0, value: Stored::Float(value) };
            batch.sample(series, &sample);
        }
    }
    store.append(&batch).expect("append");
    store
}

fn ask(store: &Store, text: &str, change: impl FnOnce(&mut Limits<'_>)) -> Result<Answer> {
    let tally = Tally::unlimited();
    ask_by(&tally, store, text, change)
}

fn ask_by(
    tally: &Tally,
    store: &Store,
    text: &str,
    change: impl FnOnce(&mut Limits<'_>),
) -> Result<Answer> {
    let mut limits = Limits::new(tally);
    change(&mut limits);
    let expr = parse(text)?;
    range(&store.snapshot(), &expr, 0, 300_000, 2_000, LOOKBACK_MS, &limits)
}

#[test]
fn threads_change_nothing_about_an_answer() {
    let store = many_series();
    for text in [
        "{__name__=~\"hits.*\"}",
        "sum by (group) (rate({__name__=~\"hits.*\"}[1m]))",
        "topk(3, increase(hits[90s])) or hits_total",
        "quantile(0.9, last_over_time(hits_total[2m]))",
        "hits_total - on(id) hits_total offset 30s",
    ] {
        let shown = |threads| {
            let tally = Tally::unlimited().with_threads(threads);
            let answer = ask_by(&tally, &store, text, |_| {}).expect(text);
            format!("{answer:?}")
        };
        let alone = shown(1);
        assert!(alone.len() > 200, "{text} answers nothing to compare");
        assert_eq!(alone, shown(4), "{text}");
    }
}

/// Series of all kinds in two parts and a head, in which some samples come again, some are
/// stale, some are native histograms.
fn many_kinds() -> Store {
    let mut settings = Settings::default();
    settings.retention.metrics = None;
    let store = Store::in_memory(settings);
    for source in 0..3i64 {
        let mut batch = Batch::new();
        let resource = batch.resource(&Resource::default());
        let scope = batch.scope(&Scope::default());
        for i in 0..60i64 {
            let (id, group) = (i.to_string(), (i % 7).to_string());
            let labels = Labels::from_pairs([("__name__", "m"), ("group", &group), ("id", &id)]);
            let series = batch.series(resource, scope, &labels);
            for step in 0..20 {
                let time_ms = (source * 15 + step) * 15_000 + i % 3;
                let value =
                    [(step * i) as f64, (step * i) as f64 / 8.0, f64::from_bits(!0 >> step)];
                // One group is of histograms, and one series was for a while.
                let histogram = i % 7 == 3 || i == 8 && source == 1;
                let value = match (histogram, step * i % 11) {
                    (_, 5) => Stored::Float(STALE_NAN),
                    (true, _) => Stored::Histogram(Box::new(Histogram {
                        count: step as f64,
                        sum: value[0],
                        ..Histogram::default()
                    })),
                    _ => Stored::Float(value[(i + source) as usize % 3]),
                };
                batch.sample(series, &Sample { time_ms, start_ms: 0, value });
            }
        }
        store.append(&batch).expect("append");
        if source < 2 {
            store.flush().expect("flush");
        }
    }
    store
}

/// One instant is answered by way of the newest samples, several by way of all.
#[test]
fn an_instant_is_answered_as_the_first_step_of_a_range() {
    let store = many_kinds();
    let tally = Tally::unlimited();
    let limits = Limits::new(&tally);
    let snapshot = store.snapshot();
    // Which NaN comes out of a sum is not said.
    let bits = |value: f64| if value.is_nan() { u64::MAX } else { value.to_bits() };
    for text in [
        "m",
        "m offset 20s",
        "count(m)",
        "count by (group) (m)",
        "sum by (group, nothing) (m)",
        "sum without (id) (m)",
        "-m",
        "group by (id) (m)",
    ] {
        let expr = parse(text).expect(text);
        let mut found = 0;
        for time in (0..1_200_000).step_by(7_001) {
            let lookback = [LOOKBACK_MS, 40_000][time as usize % 2];
            let shown = |end| {
                let answer = range(&snapshot, &expr, time, end, 1, lookback, &limits).expect(text);
                let AnswerValue::Matrix(series) = answer.value else { panic!("{text}") };
                let first = series.into_iter().filter_map(|one| {
                    let float = one.floats.first().filter(|(at, _)| *at == time).map(|f| bits(f.1));
                    let histogram = one.histograms.first().filter(|(at, _)| *at == time);
                    (float.is_some() || histogram.is_some())
                        .then(|| format!("{:?} {float:?} {histogram:?}", one.labels))
                });
                first.collect::<Vec<_>>()
            };
            let alone = shown(time);
            found += alone.len();
            assert_eq!(alone, shown(time + 1), "{text} at {time}");
        }
        assert!(found > 100, "{text} answers nothing to compare");
    }
}

#[test]
fn a_cancelled_query_stops() {
    let store = many_series();
    let tally = Tally::unlimited();
    tally.cancel();
    let limits = Limits::new(&tally);
    let expr = parse("sum(rate(hits[1m]))").expect("parses");
    let error = instant(&store.snapshot(), &expr, 300_000, LOOKBACK_MS, &limits).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled);
}

#[test]
fn what_a_query_holds_is_limited() {
    let store = many_series();
    let refused = |text: &str, change: fn(&mut Limits<'_>)| {
        let error = ask(&store, text, change).expect_err(text);
        assert_eq!(error.kind, ErrorKind::Limit, "{text}: {error}");
        error.message
    };
    let message = refused("hits", |limits| limits.samples_max = 10_000);
    assert!(message.contains("too many samples"), "{message}");
    refused("hits", |limits| limits.series_max = 100);
    refused("count_values(\"v\", hits)", |limits| limits.samples_max = 1000);
    refused("sum_over_time(hits[100y:1ms])", |_| {});
    // Sums let their series go by: holding all of them at once is not needed.
    let answer = ask(&store, "sum(hits)", |limits| limits.samples_max = 1000);
    assert!(answer.is_ok(), "{answer:?}");
}

#[test]
fn hostile_times_and_numbers_are_refused_or_harmless() {
    let store = many_series();
    let tally = Tally::unlimited();
    let limits = Limits::new(&tally);
    for text in [
        "hits @ 8999999999999",
        "hits @ -8999999999999 offset 10000y",
        "rate(hits[9999y] @ 8999999999999 offset -9999y)",
        "sum_over_time(hits[1ms:9999y] offset 9999y)",
        "hits offset (2 ^ 60)",
        "hits offset (1 / 0)",
        "sum_over_time(hits[0 / 0])",
        "topk(1e300, hits)",
        "topk(-1e300, hits)",
        "year(vector(1e300)) + hour(vector(-1e300)) + month(vector(NaN))",
        "round(hits, 0)",
        "histogram_quantiles(hits, \"q\", NaN)",
        "clamp(hits, NaN, NaN)",
        "label_replace(hits, \"a\", \"$99 ${x} $\", \"id\", \"(.*)\")",
        "predict_linear(hits[1m], 1e308)",
        "limit_ratio(-0, hits)",
        "\"\\xff\"",
    ] {
        let expr = parse(text).expect(text);
        for time in [0, i64::MAX, i64::MIN, 300_000] {
            // Neither a panic nor an overflow; what the answer is does not matter.
            let _ = instant(&store.snapshot(), &expr, time, LOOKBACK_MS, &limits);
        }
    }
    let far = instant(&store.snapshot(), &parse("1").expect("1"), i64::MAX, 1, &limits);
    assert_eq!(far.unwrap_err().kind, ErrorKind::Bad);
}
