//! What reading costs: a point, a range, a needle, a scan, each asked several times; the
//! best counts, as others may be at work. The first time is told too: nothing is in the
//! cache then.

use std::ops::ControlFlow;
use std::time::Instant;

use trefoil_store::model::{StoredLog, Value};
use trefoil_store::{
    Compare, Counted, Field, LineFilter, LogCounter, LogScan, MatchOp, Matcher, Order, Samples,
    Snapshot, SpanFilter, SpanScan, Store, Tally, TimeRange,
};

use crate::{Load, figure};

const TIMES: usize = 7;

pub(crate) fn ask(load: &Load, store: &Store) {
    let snapshot = store.snapshot();
    match load.signal {
        "traces" => traces(load, &snapshot),
        "logs" => logs(load, &snapshot),
        _ => metrics(load, &snapshot),
    }
}

/// Asks and tells; `question` gives how many items it found.
fn time(load: &Load, case: &str, mut question: impl FnMut(&Tally) -> u64) {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..TIMES {
        let tally = Tally::unlimited();
        let begin = Instant::now();
        found = question(&tally);
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let first = times[0];
    let best = times.into_iter().fold(f64::INFINITY, f64::min);
    let name = format!("{} · {} · {case}", load.signal, load.items);
    figure(&format!("{name} · found"), found as f64, load.item);
    figure(&format!("{name} · first"), first, "ms");
    figure(&format!("{name} · best"), best, "ms");
}

fn traces(load: &Load, snapshot: &Snapshot) {
    let mut ids = Vec::new();
    let all = SpanScan { range: TimeRange::ALL, filter: &SpanFilter::All, order: Order::Any };
    let step = load.items as usize / 50 + 1;
    let mut seen = 0;
    let found = snapshot.spans(&all, &Tally::unlimited(), &mut |span| {
        seen += 1;
        if seen % step == 0 {
            ids.push(span.span.trace_id);
        }
        ControlFlow::Continue(())
    });
    found.expect("spans can be read");
    time(load, "fifty traces by id", |tally| {
        let of = |id: &[u8; 16]| snapshot.trace(*id, tally).expect("it can be read").len() as u64;
        ids.iter().map(of).sum()
    });
    let text = |text: &'static str| Compare::Equal(Value::Str(text.into()));
    let service = SpanFilter::Field(Field::Resource("service.name".into()), text("checkout"));
    let failed = SpanFilter::Field(
        Field::Span("http.response.status_code".into()),
        Compare::Equal(Value::Int(500)),
    );
    let slow = SpanFilter::Field(Field::Duration, Compare::Greater(Value::Int(5_000_000)));
    let both = SpanFilter::And(vec![service, failed, slow]);
    let user = SpanFilter::Field(Field::Span("user.id".into()), text("u-000777"));
    let cases = [("service, attribute, duration", &both, 20), ("rare attribute", &user, 1 << 40)];
    for (case, filter, limit) in cases {
        time(load, case, |tally| spans(snapshot, filter, Order::Backward, limit, tally));
    }
    time(load, "all", |tally| spans(snapshot, &SpanFilter::All, Order::Any, u64::MAX, tally));
}

fn spans(snapshot: &Snapshot, filter: &SpanFilter, order: Order, limit: u64, tally: &Tally) -> u64 {
    let mut found = 0;
    let scan = SpanScan { range: TimeRange::ALL, filter, order };
    let done = snapshot.spans(&scan, tally, &mut |_| {
        found += 1;
        if found == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    done.expect("spans can be read");
    found
}

fn logs(load: &Load, snapshot: &Snapshot) {
    let needle = std::cell::RefCell::new(String::new());
    let mut seen = 0;
    let all = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Any };
    let read = snapshot.logs(&all, &Tally::unlimited(), &mut |log| {
        seen += 1;
        let line = log.record.body.as_text();
        if seen > load.items / 2
            && let Some((_, rest)) = line.split_once("request_id")
        {
            let word: String = rest.chars().filter(char::is_ascii_hexdigit).take(16).collect();
            if word.len() == 16 {
                *needle.borrow_mut() = word;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    read.expect("lines can be read");
    let needle = needle.into_inner();
    let ask = |lines: &[LineFilter], limit: u64, tally: &Tally| {
        let mut found = 0;
        let scan = LogScan { lines, order: Order::Backward, ..all.clone() };
        let done = snapshot.logs(&scan, tally, &mut |_| {
            found += 1;
            if found == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        done.expect("lines can be read");
        found
    };
    let word = [LineFilter::Contains(needle.clone())];
    time(load, "a word of one line", |tally| ask(&word, u64::MAX, tally));
    let middle = needle.get(3..12).unwrap_or("").to_owned();
    let inside = [LineFilter::Contains(middle)];
    time(load, "a piece of a word of one line", |tally| ask(&inside, u64::MAX, tally));
    time(load, "the last hundred", |tally| ask(&[], 100, tally));
    let minutes = minutes(snapshot);
    time(load, "by severity and minute", |tally| by_severity(snapshot, &minutes, tally));
    time(load, "all", |tally| ask(&[], u64::MAX, tally));
}

/// Where minutes end, from the first line to the last.
fn minutes(snapshot: &Snapshot) -> Vec<i64> {
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for order in [Order::Forward, Order::Backward] {
        let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order };
        let found = snapshot.logs(&scan, &Tally::unlimited(), &mut |log| {
            let time_ns = i64::try_from(log.record.time_ns).unwrap_or(i64::MAX);
            (first, last) = (first.min(time_ns), last.max(time_ns));
            ControlFlow::Break(())
        });
        found.expect("lines can be read");
    }
    let bounds = (0..).map(|minute| first + minute * MINUTE_NS);
    bounds.take_while(|bound| *bound < last).collect()
}

/// Counts lines by severity and minute; returns how many lines there are.
fn by_severity(snapshot: &Snapshot, bounds: &[i64], tally: &Tally) -> u64 {
    let all = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Any };
    let mut counts = BySeverity(vec![0; 256 * (bounds.len() + 1)]);
    let done = snapshot.log_counts(&all, bounds, &|_| false, tally, &mut counts);
    done.expect("lines can be read");
    counts.0.iter().sum()
}

const MINUTE_NS: i64 = 60_000_000_000;

struct BySeverity(Vec<u64>);

impl LogCounter for BySeverity {
    fn group(&mut self, log: &StoredLog<'_>) -> Counted {
        Counted::As(usize::from(log.record.severity))
    }

    fn add(&mut self, group: usize, bucket: usize, records: u64) {
        self.0[bucket * 256 + group] += records;
    }

    fn record(&mut self, _: &StoredLog<'_>) -> ControlFlow<()> {
        unreachable!("all groups are counted together")
    }
}

fn metrics(load: &Load, snapshot: &Snapshot) {
    let mut names: Vec<(String, u64)> = Vec::new();
    for series in snapshot.series(&[], TimeRange::ALL, &Tally::unlimited()).expect("readable") {
        let name = series.labels.metric_name().unwrap_or("").to_owned();
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => names.push((name, 1)),
        }
    }
    names.sort_by_key(|(_, count)| *count);
    let (rare, common) = (&names[0].0, &names[names.len() - 1].0);
    let read = |matchers: &[Matcher], tally: &Tally| {
        let mut samples = Samples::default();
        let mut found = 0;
        for series in snapshot.series(matchers, TimeRange::ALL, tally).expect("readable") {
            let read = snapshot.samples(&series, TimeRange::ALL, &mut samples, tally);
            read.expect("samples can be read");
            found += samples.floats.len() as u64;
        }
        found
    };
    let count = |matchers: &[Matcher], tally: &Tally| {
        let found = snapshot.series(matchers, TimeRange::ALL, tally);
        found.expect("series can be read").len() as u64
    };
    let named = |name: &str| [Matcher::equal("__name__", name)];
    let pattern = Matcher::new("instance", MatchOp::Regex, ".*-1.*").expect("a pattern");
    time(load, "samples of a rare name", |tally| read(&named(rare), tally));
    time(load, "samples of the most common name", |tally| read(&named(common), tally));
    time(load, "all samples", |tally| read(&[], tally));
    time(load, "series by a pattern", |tally| count(std::slice::from_ref(&pattern), tally));
    time(load, "all series", |tally| count(&[], tally));
}
