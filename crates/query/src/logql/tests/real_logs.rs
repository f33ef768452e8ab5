//! Real log files, counted twice: by queries, and here by taking lines apart with nothing
//! but `str`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trefoil_store::model::{LogRecord, Resource, Scope, Value};
use trefoil_store::{Batch, Labels, Settings, Store, Tally};

use crate::limits::Limits;
use crate::logql::script::BASE_NS;
use crate::logql::{Data, Params, parse, run};

const SECOND_NS: i64 = 1_000_000_000;

/// The folder of data that several repositories share; `None`, loudly, where it is not.
fn shared(name: &str) -> Option<String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("TREFOIL_SHARED").map_or(beside, PathBuf::from);
    let path = root.join("data").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("SKIPPED: {} ({error}); set TREFOIL_SHARED", path.display());
            None
        }
    }
}

/// A file's lines, one second apart from the base on, in a stream of their own.
struct Bench {
    store: Store,
    lines: Vec<String>,
}

impl Bench {
    fn new(name: &str) -> Option<Bench> {
        let lines: Vec<String> = shared(name)?.lines().map(str::to_owned).collect();
        let store = Store::in_memory(Settings::default());
        let mut batch = Batch::new();
        let resource = batch.resource(&Resource::default());
        let scope = batch.scope(&Scope::default());
        let stream = Labels::from_pairs([("job", "file")]);
        for (at, line) in lines.iter().enumerate() {
            let record = LogRecord {
                time_ns: (BASE_NS + at as i64 * SECOND_NS) as u64,
                body: Value::Str(line.as_str().into()),
                ..LogRecord::default()
            };
            batch.log(resource, scope, &stream, &record);
        }
        store.append(&batch).unwrap();
        Some(Bench { store, lines })
    }

    fn ask(&self, query: &str, params: &Params) -> Data {
        let expr = parse(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let tally = Tally::unlimited();
        let answer = run(&self.store.snapshot(), &expr, params, &Limits::new(&tally));
        answer.unwrap_or_else(|e| panic!("{query}: {e}")).data
    }

    /// How many lines a query lets through.
    fn lines(&self, query: &str) -> usize {
        let mut params = Params::range(BASE_NS, BASE_NS + 1_000_000 * SECOND_NS, 0);
        params.limit = usize::MAX;
        match self.ask(query, &params) {
            Data::Streams(entries) => entries.len(),
            other => panic!("{query}: {other:?}"),
        }
    }

    /// A vector by the value of one label ("" without it).
    fn by(&self, label: &str, query: &str) -> BTreeMap<String, f64> {
        let params = Params::instant(BASE_NS + 99_999 * SECOND_NS);
        match self.ask(query, &params) {
            Data::Vector(series) => series
                .into_iter()
                .map(|(labels, v)| (labels.get(label).unwrap_or("").to_owned(), v))
                .collect(),
            other => panic!("{query}: {other:?}"),
        }
    }

    fn number(&self, query: &str) -> f64 {
        let found = self.by("", query);
        assert_eq!(found.len(), 1, "{query}: {found:?}");
        found[""]
    }

    fn counted<'l>(&'l self, key: impl Fn(&'l str) -> &'l str) -> BTreeMap<String, f64> {
        let mut counts = BTreeMap::new();
        for line in &self.lines {
            *counts.entry(key(line).to_owned()).or_insert(0.0) += 1.0;
        }
        counts
    }

    fn matching(&self, test: impl Fn(&str) -> bool) -> usize {
        self.lines.iter().filter(|line| test(line)).count()
    }
}

/// The status of a line in Apache's combined format.
fn status(line: &str) -> &str {
    line.split('"').nth(2).unwrap().split_whitespace().next().unwrap()
}

/// The size of the answer, `None` for `-`.
fn size(line: &str) -> Option<f64> {
    line.split('"').nth(2).unwrap().split_whitespace().nth(1).unwrap().parse().ok()
}

const APACHE: &str = r#"<ip> <_> <_> [<_>] "<method> <_>" <status> <size> "<_>"#;

#[test]
fn apache_lines_are_counted_as_str_counts_them() {
    let Some(bench) = Bench::new("apache.log") else { return };
    let all = bench.lines.len();
    assert_eq!(all, 10_000);
    let contains = |text: &'static str| bench.matching(|line| line.contains(text));
    assert_eq!(bench.lines(r#"{job="file"}"#), all);
    assert_eq!(bench.lines(r#"{job="file"} |= "404""#), contains("404"));
    assert_eq!(bench.lines(r#"{job="file"} != "404""#), all - contains("404"));
    assert_eq!(
        bench.lines(r#"{job="file"} |~ "\" 404 [0-9-]+ ""#),
        bench.matching(|line| status(line) == "404")
    );
    assert_eq!(
        bench.lines(r#"{job="file"} |= "Googlebot" or "bingbot" != "GET /robots.txt""#),
        bench.matching(|line| {
            (line.contains("Googlebot") || line.contains("bingbot"))
                && !line.contains("GET /robots.txt")
        })
    );
    assert_eq!(
        bench.lines(r#"{job="file"} |~ "(?i)mozilla/5\\.0 \\(windows""#),
        bench.matching(|line| line.to_lowercase().contains("mozilla/5.0 (windows"))
    );
    assert_eq!(
        bench.lines(r#"{job="file"} |= ip("83.149.9.0/24")"#),
        bench.matching(|line| line.contains("83.149.9."))
    );
    let posts = r#"{job="file"} |> "<_>] \"POST <_>""#;
    assert_eq!(bench.lines(posts), contains("] \"POST "));
}

#[test]
fn apache_fields_add_up_as_str_adds_them() {
    let Some(bench) = Bench::new("apache.log") else { return };
    let pattern = format!("{{job=\"file\"}} | pattern `{APACHE}`");
    let count = |by: &str| format!("sum by ({by}) (count_over_time({pattern}[2d]))");
    assert_eq!(bench.by("status", &count("status")), bench.counted(status));
    assert_eq!(
        bench.by("method", &count("method")),
        bench.counted(|line| line.split('"').nth(1).unwrap().split(' ').next().unwrap())
    );
    let regexp =
        r#"sum by (status) (count_over_time({job="file"} | regexp `" (?P<status>\d{3}) ` [2d]))"#;
    assert_eq!(bench.by("status", regexp), bench.counted(status));

    let ips = bench.counted(|line| line.split(' ').next().unwrap());
    let mut best: Vec<f64> = ips.values().copied().collect();
    best.sort_by(|a, b| b.total_cmp(a));
    let top = bench.by("ip", &format!("topk(5, {})", count("ip")));
    let mut found: Vec<f64> = top.values().copied().collect();
    found.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(found, best[..5]);
    assert!(top.iter().all(|(ip, n)| ips[ip] == *n));

    let mut sizes: Vec<f64> = bench.lines.iter().filter_map(|line| size(line)).collect();
    let unwrapped = format!("{pattern} | size!=\"-\" | keep size | unwrap size [2d]");
    assert_eq!(
        bench.number(&format!("sum(sum_over_time({unwrapped}))")),
        sizes.iter().sum::<f64>()
    );
    sizes.sort_by(f64::total_cmp);
    assert_eq!(
        bench.number(&format!("max_over_time({unwrapped}) by (nope)")),
        sizes[sizes.len() - 1]
    );
    let middle = f64::midpoint(sizes[(sizes.len() - 1) / 2], sizes[sizes.len() / 2]);
    assert_eq!(bench.number(&format!("quantile_over_time(0.5, {unwrapped}) by (nope)")), middle);

    let bytes: usize = bench.lines.iter().map(String::len).sum();
    assert_eq!(bench.number(r#"sum(bytes_over_time({job="file"}[2d]))"#), bytes as f64);
}

#[test]
fn apache_lines_per_step() {
    let Some(bench) = Bench::new("apache.log") else { return };
    let last = bench.lines.len() as i64 - 1;
    let step = 500;
    let params = Params::range(BASE_NS, BASE_NS + last * SECOND_NS, step * SECOND_NS);
    let query =
        r#"sum by (bot) (count_over_time({job="file"} |= "bot" | label_format bot="yes" [700s]))"#;
    let Data::Matrix(series) = bench.ask(query, &params) else { panic!("no matrix") };
    let expected: Vec<(i64, f64)> = (0..=last / step)
        .map(|k| {
            // (t - 700 s, t]: line n was written at n seconds.
            let inside = (k * step - 700 + 1).max(0)..=k * step;
            let count = inside.filter(|n| bench.lines[*n as usize].contains("bot")).count();
            (BASE_NS + k * step * SECOND_NS, count as f64)
        })
        .filter(|(_, count)| *count > 0.0)
        .collect();
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].values, expected);
}

/// What stands between two texts, the first time.
fn between<'l>(line: &'l str, before: &str, after: &str) -> &'l str {
    let (_, rest) = line.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}

#[test]
fn nginx_json_adds_up_as_str_adds_it() {
    let Some(bench) = Bench::new("nginx-json.log") else { return };
    assert_eq!(bench.lines.len(), 500);
    let versions = r#"sum by (nginx_version) (count_over_time({job="file"} | json [2d]))"#;
    assert_eq!(
        bench.by("nginx_version", versions),
        bench.counted(|line| between(line, "\"nginx_version\":\"", "\""))
    );
    let total =
        |line: &str| -> f64 { between(line, "\"requests\":{\"total\":", ",").parse().unwrap() };
    let totals: Vec<f64> = bench.lines.iter().map(|line| total(line)).collect();
    let unwrapped = r#"{job="file"} | json | unwrap requests_total [2d]"#;
    assert_eq!(
        bench.number(&format!("max_over_time({unwrapped}) by (nope)")),
        totals.iter().copied().fold(0.0, f64::max)
    );
    assert_eq!(
        bench.number(&format!("sum(sum_over_time({unwrapped}))")),
        totals.iter().sum::<f64>()
    );
    assert_eq!(bench.number(&format!("first_over_time({unwrapped}) by (nope)")), totals[0]);
    let limit = totals[250];
    assert_eq!(
        bench.lines(&format!(r#"{{job="file"}} | json | requests_total > {limit}"#)),
        totals.iter().filter(|total| **total > limit).count()
    );
    let peer = r#"{job="file"} | json server="upstreams[\"trac-backend\"].peers[0].server" | server="10.0.0.1:8080""#;
    assert_eq!(
        bench.lines(peer),
        bench.matching(|line| {
            line.contains(r#""trac-backend":{"peers":[{"id":0,"server":"10.0.0.1:8080""#)
        })
    );
    let active = r#"sum by (active) (count_over_time({job="file"} | json active="connections.active" [2d]))"#;
    let connections = |line: &str| -> String {
        between(between(line, "\"connections\":", "}"), "\"active\":", ",").to_owned()
    };
    let mut expected = BTreeMap::new();
    for line in &bench.lines {
        *expected.entry(connections(line)).or_insert(0.0) += 1.0;
    }
    assert_eq!(bench.by("active", active), expected);
}
