//! Series selected from several parts and a head are those of a plain map, in its order.

use super::*;
use crate::matcher::MatchOp;
use crate::matcher::Matcher;

/// Random numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// Of many, so that blocks end at different series in each part.
fn labels(random: &mut Random, odd_names: bool) -> Labels {
    let text = |n: u64| ["", "a", "aa", "b", "zz"][n as usize % 5].to_owned() + &n.to_string();
    let mut builder = crate::labels::LabelsBuilder::default();
    builder.set("__name__", &text(random.below(9)));
    builder.set("id", &text(random.below(300)));
    if random.below(3) == 0 {
        builder.set("job", &text(random.below(4)));
    }
    if odd_names && random.below(40) == 0 {
        // Sorts before the metric's name, which a part's order looks at first.
        builder.set("Zone", &text(random.below(3)));
    }
    if odd_names && random.below(40) == 0 {
        builder.set("__name__", "");
    }
    builder.build()
}

type Model = BTreeMap<Labels, BTreeMap<i64, f64>>;

/// A part or head with a sample each of many series.
fn fill(store: &Store, random: &mut Random, round: i64, odd_names: bool, model: &mut Model) {
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    for n in 0..1800 {
        let labels = labels(random, odd_names);
        // Some of them again: the later one counts.
        let time_ms = START_NS / 1_000_000 + round / 2 * 10 + random.below(3) as i64;
        let value = (round * 10_000 + n) as f64;
        let series = batch.series(resource, scope, &labels);
        let sample = Sample { time_ms, start_ms: 0, value: SampleValue::Float(value) };
        batch.sample(series, &sample);
        model.entry(labels).or_default().insert(time_ms, value);
    }
    store.append(&batch).unwrap();
}

fn check(store: &Store, model: &Model, matchers: &[Matcher], range: TimeRange) {
    let snapshot = store.snapshot();
    let tally = Tally::unlimited();
    let selection = snapshot.select(matchers, range, &tally).unwrap();
    let mut reader = snapshot.reader(&selection, range, &tally);
    let ms = range.to_ms();
    let within = |samples: &BTreeMap<i64, f64>| -> Vec<(i64, f64)> {
        samples.iter().filter(|(time, _)| ms.contains(time)).map(|(t, v)| (*t, *v)).collect()
    };
    let expect: Vec<(Labels, Vec<(i64, f64)>)> = model
        .iter()
        .filter(|(labels, _)| matchers.iter().all(|m| m.matches_labels(labels)))
        .map(|(labels, samples)| (labels.clone(), within(samples)))
        .filter(|(_, samples)| !samples.is_empty())
        .collect();
    let mut samples = Samples::default();
    let mut found = Vec::new();
    for series in 0..selection.len() {
        let labels = reader.labels(series);
        let named = reader.labels_named(series, &|name| name != b"id");
        let without_id = labels.iter().filter(|(name, _)| *name != "id");
        assert_eq!(named, Labels::from_pairs(without_id));
        reader.samples(series, &mut samples).unwrap();
        let pairs = samples.float_times_ms.iter().copied().zip(samples.floats.iter().copied());
        let all: Vec<(i64, f64)> = pairs.collect();
        reader.newest(series, &mut samples).unwrap();
        let newest = samples.float_times_ms.last().copied().zip(samples.floats.last().copied());
        assert_eq!(newest, all.last().copied());
        found.push((labels, all));
    }
    assert!(found == expect, "{} of {}", found.len(), expect.len());
    let listed = snapshot.series(matchers, range, &tally).unwrap();
    assert!(listed.iter().map(|s| &s.labels).eq(expect.iter().map(|(labels, _)| labels)));
    for (series, (_, expect)) in listed.iter().zip(&expect) {
        snapshot.samples(series, range, &mut samples, &tally).unwrap();
        let pairs = samples.float_times_ms.iter().copied().zip(samples.floats.iter().copied());
        assert_eq!(pairs.collect::<Vec<_>>(), *expect);
    }
}

#[test]
fn series_of_all_sources_are_united_in_order() {
    for (seed, odd_names) in [(1, false), (2, false), (3, true), (4, true)] {
        let mut random = Random(seed);
        let store = open_on(&Faulty::new(seed)).unwrap();
        let mut model = Model::new();
        for round in 0..5 {
            fill(&store, &mut random, round, odd_names, &mut model);
            if round == 2 {
                // What is found out of a head here, the next ones know from the beginning.
                check(&store, &model, &[], TimeRange::ALL);
            }
            if round < 4 {
                store.flush().unwrap();
            }
        }
        let start_ms = START_NS / 1_000_000;
        let equal = |name: &str, value: &str| Matcher::new(name, MatchOp::Equal, value).unwrap();
        let job = Matcher::new("job", MatchOp::Regex, "a.*|").unwrap();
        for range in [TimeRange::ALL, TimeRange::from_ms(start_ms + 10, start_ms + 20)] {
            check(&store, &model, &[], range);
            check(&store, &model, &[equal("__name__", "b3")], range);
            check(&store, &model, &[equal("nowhere", "")], range);
            check(&store, &model, std::slice::from_ref(&job), range);
        }
    }
}
