//! Damaged queries: whatever happens to a text, it is answered or refused with a place.

use trefoil_store::model::{LogRecord, Resource, Scope, Value};
use trefoil_store::{Batch, Labels, Settings, Store, Tally};

use super::testdata;
use crate::limits::Limits;
use crate::logql::script::{BASE_NS, params, split_word};
use crate::logql::{Params, parse, run};

/// How many mutants one run tries; `LOGQL_MUTANTS` sets another number.
const MUTANTS: u64 = 6_000;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Every query of the scripts.
fn queries() -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(testdata()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for eval in text.lines().filter_map(|line| line.strip_prefix("eval ")) {
            let (kind, rest) = split_word(eval);
            let (_, query) = params(kind, rest).unwrap();
            parse(query).unwrap();
            found.push(query.to_owned());
        }
    }
    found.sort();
    found
}

fn mutate(text: &str, others: &[String], random: &mut Random) -> String {
    const BITS: [&str; 24] = [
        "{", "}", "(", ")", "[5m]", "|", "|=", "\"", "`", " or ", " and ", "é", "\\", "9", "-",
        "{{", "}}", ".", "by", " bool ", "#", "\u{0}", "ip(", "1e999",
    ];
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(2) {
        let at = random.below(chars.len() + 1);
        let end = (at + random.below(8)).min(chars.len());
        match random.below(4) {
            0 => drop(chars.drain(at..end)),
            1 => {
                let copy = chars[at..end].to_vec();
                chars.splice(at..at, copy);
            }
            2 => drop(chars.splice(at..end, BITS[random.below(BITS.len())].chars())),
            _ => {
                let other: Vec<char> = others[random.below(others.len())].chars().collect();
                let from = random.below(other.len());
                chars.truncate(at);
                chars.extend(&other[from..]);
            }
        }
    }
    chars.into_iter().collect()
}

fn store() -> Store {
    let store = Store::in_memory(Settings::default());
    let mut batch = Batch::new();
    let (resource, scope) = (batch.resource(&Resource::default()), batch.scope(&Scope::default()));
    let stream = Labels::from_pairs([("app", "x"), ("job", "a")]);
    let lines =
        [r#"{"level":"info","latency":"2s","n":{"m":[1,2]}}"#, "a=1 took=1.5s msg=\"é\"", ""];
    for (at, line) in lines.iter().enumerate() {
        let record = LogRecord {
            time_ns: BASE_NS as u64 + at as u64,
            body: Value::Str((*line).into()),
            ..LogRecord::default()
        };
        batch.log(resource, scope, &stream, &record);
    }
    store.append(&batch).unwrap();
    store
}

#[test]
fn damaged_queries_are_answered_or_refused() {
    let count = std::env::var("LOGQL_MUTANTS").ok().and_then(|n| n.parse().ok());
    let queries = queries();
    assert!(queries.len() > 200, "{}", queries.len());
    let snapshot = store().snapshot();
    let (mut good, mut bad) = (0, 0);
    for seed in 1..=count.unwrap_or(MUTANTS) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text = mutate(&queries[random.below(queries.len())], &queries, &mut random);
        let expr = match parse(&text) {
            Err(error) => {
                bad += 1;
                assert!(error.span.end <= text.len(), "seed {seed}: {text:?}: {error}");
                assert!(text.get(error.span.clone()).is_some(), "seed {seed}: {text:?}: {error}");
                continue;
            }
            Ok(expr) => expr,
        };
        good += 1;
        let printed = expr.to_string();
        let again = parse(&printed)
            .unwrap_or_else(|e| panic!("seed {seed}: {text:?} prints as {printed:?}: {e}"));
        assert_eq!(again.to_string(), printed, "seed {seed}: {text:?}");
        for params in [
            Params::range(BASE_NS, BASE_NS + 1_000_000_000, 100_000_000),
            Params::instant(BASE_NS + 10),
        ] {
            // Errors are as good as answers; a panic is not.
            let tally = Tally::unlimited();
            let _ = run(&snapshot, &expr, &params, &Limits::new(&tally));
        }
    }
    eprintln!("{good} mutants were good, {bad} refused");
    assert!(good > 100 && bad > 100, "{good} good, {bad} refused");
}

#[test]
fn deep_and_long_queries_are_refused() {
    let cases = [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("sum({}", "sum(".repeat(10_000)),
        format!("1{}", "+1".repeat(20_000)),
        format!("{{a=\"b\"}} | {}x=1", "(".repeat(10_000)),
        format!("{{a=\"b\"}} | x=1{}", " or x=1".repeat(10_000)),
        format!("{{a=\"b\"}} | x=1{}", " x=1".repeat(10_000)),
        format!("{{a=\"b\"}} |= \"x\"{}", " or \"x\"".repeat(10_000)),
        format!("{{a=\"b\"}}{}", "|=\"x\"".repeat(10_000)),
        format!("rate({}{{a=\"b\"}}[5m]", "(".repeat(10_000)),
        format!("1{}", "^1".repeat(20_000)),
        "x".repeat(200_000),
        format!("{{a=\"b\"}} | line_format \"{}\"", "{{if .a}}".repeat(10_000)),
        format!("{{a=\"b\"}} | line_format \"{{{{ {} }}}}\"", "(".repeat(10_000)),
        format!("{{a=~\"{}\"}}", "(a{1000}){1000}"),
        format!("{{a=\"b\"}} | json x=\"{}\"", "a.".repeat(10_000)),
    ];
    for text in &cases {
        let error = parse(text).expect_err(&text[..text.len().min(60)]);
        assert!(!error.message.is_empty());
    }
}
