//! What scripts cannot show: limits, cancelling, threads, hostile numbers.

use trefoil_store::model::{Resource, Sample, SampleValue as Stored, Scope};
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
    let mut limits = Limits::new(&tally);
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
            let answer = ask(&store, text, |limits| limits.threads = threads).expect(text);
            format!("{answer:?}")
        };
        let alone = shown(1);
        assert!(alone.len() > 200, "{text} answers nothing to compare");
        assert_eq!(alone, shown(4), "{text}");
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
