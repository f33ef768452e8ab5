//! What is measured with: traces of a shop, its log lines, its metrics; or what a store
//! holds already.

use std::ops::ControlFlow;

use trefoil_store::model::{
    Attribute, LogRecord, Resource, Sample, SampleValue, Scope, Span, SpanKind, StatusCode,
    StoredLog, StoredSpan, Value,
};
use trefoil_store::{
    Batch, Labels, LogScan, Order, Samples, SpanFilter, SpanScan, Store, Tally, TimeRange,
};

use crate::Load;

const START_NS: u64 = 1_780_000_000_000_000_000;
/// What the data covers.
const COVERED_NS: u64 = 1_800_000_000_000;
const SERVICES: [&str; 10] = [
    "checkout", "cart", "catalog", "payments", "shipping", "search", "users", "mail", "stock",
    "gateway",
];
const NOUNS: [&str; 5] = ["order", "item", "user", "parcel", "invoice"];

/// Random numbers from a seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Small numbers far more often than large ones.
    pub(crate) fn skewed(&mut self, end: u64) -> u64 {
        let unit = self.below(1 << 30) as f64 / (1u64 << 30) as f64;
        ((end as f64).powf(unit) - 1.0) as u64
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

fn text(text: impl Into<String>) -> Value<'static> {
    Value::Str(text.into().into())
}

fn attribute(key: &'static str, value: Value<'static>) -> Attribute<'static> {
    Attribute { key: key.into(), value }
}

fn resource(service: usize, instance: u64) -> Resource<'static> {
    let name = SERVICES[service];
    let attributes = vec![
        attribute("service.name", text(name)),
        attribute("service.namespace", text("shop")),
        attribute("service.version", text("1.4.2")),
        attribute("service.instance.id", text(format!("{name}-{instance}"))),
        attribute("k8s.pod.name", text(format!("{name}-6d4cf56db6-{instance}"))),
        attribute("telemetry.sdk.language", text("rust")),
    ];
    Resource { attributes, ..Resource::default() }
}

fn scope() -> Scope<'static> {
    Scope { name: "http.server".into(), ..Scope::default() }
}

/// Whole traces of five to thirty spans; each batch is what a collector sends.
pub(crate) fn spans(count: u64) -> Load {
    let mut random = Random(1);
    let mut batches = Vec::new();
    let mut made = 0;
    while made < count {
        let mut batch = Batch::new();
        let end = count.min(made + 1000);
        while made < end {
            let at = START_NS + COVERED_NS / count * made + random.below(1 << 30);
            let size = (5 + random.below(26)).min(end - made);
            trace(&mut random, &mut batch, at, size);
            made += size;
        }
        batches.push(batch);
    }
    Load { signal: "traces", item: "span", items: made, batches }
}

fn trace(random: &mut Random, batch: &mut Batch, at: u64, size: u64) {
    let trace_id = (u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes();
    let mut parents: Vec<[u8; 8]> = Vec::new();
    for number in 0..size {
        let service = random.below(SERVICES.len() as u64) as usize;
        let resource = batch.resource(&resource(service, random.below(3)));
        let scope = batch.scope(&scope());
        let parent = if number == 0 { [0; 8] } else { random.pick(&parents) };
        let span_id = random.next().to_be_bytes();
        parents.push(span_id);
        let start_ns = at + number * 100_000 + random.below(1_000_000);
        let duration = 1_000 << random.below(18);
        let mut span = Span {
            trace_id,
            span_id,
            parent_span_id: parent,
            start_ns,
            end_ns: start_ns + duration + random.below(duration),
            ..Span::default()
        };
        if random.below(2) == 0 {
            serve(random, &mut span);
        } else {
            query(random, &mut span);
        }
        batch.span(resource, scope, &span);
    }
}

fn serve(random: &mut Random, span: &mut Span<'static>) {
    let noun = random.pick(&NOUNS);
    let failed = random.below(50) == 0;
    span.kind = SpanKind::Server;
    span.name = format!("GET /api/v1/{noun}s/{{id}}").into();
    span.status = if failed { StatusCode::Error } else { StatusCode::Unset };
    span.attributes = vec![
        attribute("http.request.method", text("GET")),
        attribute("http.route", text(format!("/api/v1/{noun}s/{{id}}"))),
        attribute("http.response.status_code", Value::Int(if failed { 500 } else { 200 })),
        attribute("url.path", text(format!("/api/v1/{noun}s/{}", random.below(2_000_000)))),
        attribute("user.id", text(format!("u-{:06}", random.skewed(100_000)))),
        attribute("client.address", text(address(random))),
    ];
}

fn query(random: &mut Random, span: &mut Span<'static>) {
    let noun = random.pick(&NOUNS);
    let id = random.below(5_000_000);
    span.kind = SpanKind::Client;
    span.name = format!("SELECT {noun}s").into();
    span.attributes = vec![
        attribute("db.system.name", text("postgresql")),
        attribute("db.collection.name", text(format!("{noun}s"))),
        attribute("db.query.text", text(format!("SELECT * FROM {noun}s WHERE id = {id}"))),
        attribute("server.port", Value::Int(5432)),
    ];
}

fn address(random: &mut Random) -> String {
    format!("10.{}.{}.{}", random.below(32), random.below(256), random.below(256))
}

/// A third JSON, a third logfmt, a third plain text.
pub(crate) fn lines(count: u64) -> Load {
    let mut random = Random(2);
    let mut batches = Vec::new();
    for first in (0..count).step_by(2000) {
        let mut batch = Batch::new();
        for number in first..count.min(first + 2000) {
            let time_ns = START_NS + COVERED_NS / count * number;
            line(&mut random, &mut batch, time_ns);
        }
        batches.push(batch);
    }
    Load { signal: "logs", item: "line", items: count, batches }
}

fn line(random: &mut Random, batch: &mut Batch, time_ns: u64) {
    let service = random.skewed(SERVICES.len() as u64) as usize;
    let resource = batch.resource(&resource(service, random.below(3)));
    let scope = batch.scope(&scope());
    let (severity, word) = match random.below(100) {
        0 => (17, "ERROR"),
        1..6 => (13, "WARN"),
        _ => (9, "INFO"),
    };
    let stream = Labels::from_pairs([("service_name", SERVICES[service]), ("level", word)]);
    let traced = random.below(2) == 0;
    let ids = (random.next(), random.next());
    let record = LogRecord {
        time_ns,
        severity,
        severity_text: word.into(),
        body: text(body(random, service)),
        attributes: vec![attribute("logger", text(format!("shop.{}", NOUNS[service % 5])))],
        trace_id: if traced { u128::from(ids.0).pow(2).to_be_bytes() } else { [0; 16] },
        span_id: if traced { ids.1.to_be_bytes() } else { [0; 8] },
        ..LogRecord::default()
    };
    batch.log(resource, scope, &stream, &record);
}

fn body(random: &mut Random, service: usize) -> String {
    let (user, ms, id) = (random.skewed(100_000), random.skewed(4_000), random.next());
    let (noun, client) = (random.pick(&NOUNS), address(random));
    match (service % 3, random.below(3)) {
        (0, 0) => format!(
            r#"{{"msg":"{noun} loaded","user":"u-{user}","ms":{ms},"request_id":"{id:016x}"}}"#
        ),
        (0, _) => format!(
            r#"{{"msg":"request done","client":"{client}","ms":{ms},"request_id":"{id:016x}"}}"#
        ),
        (1, 0) => format!("msg=\"{noun} loaded\" user=u-{user} ms={ms} request_id={id:016x}"),
        (1, _) => format!("msg=\"request done\" client={client} ms={ms} request_id={id:016x}"),
        (_, 0) => format!("{noun} of user u-{user} loaded in {ms} ms request_id {id:016x}"),
        _ => format!("request of {client} done in {ms} ms request_id {id:016x}"),
    }
}

/// Targets with a hundred series each, scraped every 15 s for an hour at most.
pub(crate) fn samples(count: u64) -> Load {
    const SERIES: u64 = 100;
    const SCRAPES: u64 = 240;
    let targets = count.div_ceil(SERIES * SCRAPES);
    let mut random = Random(3);
    let mut batches = Vec::new();
    let mut values: Vec<f64> = (0..targets * SERIES).map(|n| (n % 1000) as f64).collect();
    for scrape in 0..SCRAPES {
        for target in 0..targets {
            let mut batch = Batch::new();
            let resource = batch.resource(&resource(target as usize % 10, target));
            let scope = batch.scope(&scope());
            let at = START_NS / 1_000_000 + scrape * 15_000 + target * 7 + random.below(5);
            for number in 0..SERIES {
                let value = &mut values[(target * SERIES + number) as usize];
                step(&mut random, number, value);
                let series = batch.series(resource, scope, &labels(target, number));
                let value = SampleValue::Float(*value);
                batch.sample(series, &Sample { time_ms: at as i64, start_ms: 0, value });
            }
            batches.push(batch);
        }
    }
    let items = targets * SERIES * SCRAPES;
    Load { signal: "metrics", item: "sample", items, batches }
}

/// All three signals, minute by minute.
pub(crate) struct Minutes {
    random: Random,
    rows: u64,
    begin_ns: u64,
    values: Vec<f64>,
}

impl Minutes {
    pub(crate) fn new(rows: u64) -> Minutes {
        let values = (0..rows).map(|n| (n % 1000) as f64).collect();
        Minutes { random: Random(9), rows, begin_ns: START_NS, values }
    }

    /// When the next minute begins, and what it brings.
    pub(crate) fn next(&mut self) -> (u64, Vec<Batch>) {
        let begin_ns = self.begin_ns;
        self.begin_ns += 60_000_000_000;
        let step_ns = 60_000_000_000 / self.rows.max(1);
        let mut batches = Vec::new();
        for first in (0..self.rows).step_by(1000) {
            let mut batch = Batch::new();
            let end = self.rows.min(first + 1000);
            let mut at = first;
            while at < end {
                let size = (5 + self.random.below(26)).min(end - at);
                trace(&mut self.random, &mut batch, begin_ns + at * step_ns, size);
                at += size;
            }
            for row in first..end {
                line(&mut self.random, &mut batch, begin_ns + row * step_ns);
            }
            self.scrape(&mut batch, begin_ns, first..end);
            batches.push(batch);
        }
        (begin_ns, batches)
    }

    fn scrape(&mut self, batch: &mut Batch, begin_ns: u64, series: std::ops::Range<u64>) {
        let resource = batch.resource(&resource(0, 0));
        let scope = batch.scope(&scope());
        let time_ms = (begin_ns / 1_000_000) as i64;
        for number in series {
            let value = &mut self.values[number as usize];
            step(&mut self.random, number % 100, value);
            let place = batch.series(resource, scope, &labels(number / 100, number % 100));
            let value = SampleValue::Float(*value);
            batch.sample(place, &Sample { time_ms, start_ms: 0, value });
        }
    }
}

fn labels(target: u64, number: u64) -> Labels {
    let service = SERVICES[target as usize % 10];
    let (name, state) = (number / 10, number % 10);
    Labels::from_pairs([
        ("__name__", &*format!("work_{name}_total")),
        ("instance", &*format!("{service}-{target}")),
        ("job", &*format!("shop/{service}")),
        ("region", "eu-west-1"),
        ("state", &*format!("s{state}")),
    ])
}

/// Constants, counters, decimals, walks with a grain, rare changes, noise.
fn step(random: &mut Random, number: u64, value: &mut f64) {
    match number / 10 {
        0..3 => {}
        3..5 => *value += random.below(200) as f64,
        5 => *value = ((*value * 100.0).round() + random.below(30) as f64) / 100.0,
        6 => *value = (*value + random.below(9) as f64 * 4096.0 - 4.0 * 4096.0).abs(),
        7 => *value += u64::from(random.below(20) == 0) as f64,
        8 => *value = random.below(1000) as f64 / 10.0,
        _ => *value = random.next() as f64 / random.next() as f64,
    }
}

/// What a store holds, in batches of the usual size.
pub(crate) fn of_store(store: &Store) -> Vec<Load> {
    let loads = [stored_spans(store), stored_lines(store), stored_samples(store)];
    loads.into_iter().filter(|load| load.items > 0).collect()
}

/// Puts rows into batches of so many.
struct Filling {
    rows: u64,
    batches: Vec<Batch>,
}

impl Filling {
    fn next(&mut self, per_batch: u64) -> &mut Batch {
        if self.rows.is_multiple_of(per_batch) {
            self.batches.push(Batch::new());
        }
        self.rows += 1;
        let last = self.batches.len() - 1;
        &mut self.batches[last]
    }

    fn load(self, signal: &'static str, item: &'static str) -> Load {
        Load { signal, item, items: self.rows, batches: self.batches }
    }
}

fn stored_spans(store: &Store) -> Load {
    let mut filling = Filling { rows: 0, batches: Vec::new() };
    let scan = SpanScan { range: TimeRange::ALL, filter: &SpanFilter::All, order: Order::Forward };
    let mut take = |stored: &StoredSpan<'_>| {
        let batch = filling.next(1000);
        let resource = batch.resource(&stored.resource);
        let scope = batch.scope(&stored.scope);
        batch.span(resource, scope, &stored.span);
        ControlFlow::Continue(())
    };
    store.snapshot().spans(&scan, &Tally::unlimited(), &mut take).expect("spans can be read");
    filling.load("traces", "span")
}

fn stored_lines(store: &Store) -> Load {
    let mut filling = Filling { rows: 0, batches: Vec::new() };
    let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Forward };
    let mut take = |stored: &StoredLog<'_>| {
        let batch = filling.next(2000);
        let resource = batch.resource(&stored.resource);
        let scope = batch.scope(&stored.scope);
        batch.log(resource, scope, &stored.stream, &stored.record);
        ControlFlow::Continue(())
    };
    store.snapshot().logs(&scan, &Tally::unlimited(), &mut take).expect("lines can be read");
    filling.load("logs", "line")
}

/// Ten samples of fifty series at a time: near enough to how they came.
fn stored_samples(store: &Store) -> Load {
    let snapshot = store.snapshot();
    let tally = Tally::unlimited();
    let all = snapshot.series(&[], TimeRange::ALL, &tally).expect("series can be read");
    let mut items = 0;
    let mut batches = Vec::new();
    for group in all.chunks(500) {
        let mut columns = vec![Samples::default(); group.len()];
        for (series, samples) in group.iter().zip(&mut columns) {
            snapshot.samples(series, TimeRange::ALL, samples, &tally).expect("samples");
        }
        let longest = columns.iter().map(|samples| samples.floats.len()).max().unwrap_or(0);
        for at in 0..longest {
            let mut batch = Batch::new();
            for (series, samples) in group.iter().zip(&columns) {
                let Some(&value) = samples.floats.get(at) else { continue };
                let resource = batch.resource(&series.resource);
                let scope = batch.scope(&series.scope);
                let place = batch.series(resource, scope, &series.labels);
                let start_ms = samples.float_starts_ms.get(at).copied().unwrap_or(0);
                let time_ms = samples.float_times_ms[at];
                let value = SampleValue::Float(value);
                batch.sample(place, &Sample { time_ms, start_ms, value });
                items += 1;
            }
            batches.push((at, batch));
        }
    }
    // In the order of time over all series.
    batches.sort_by_key(|(at, _)| *at);
    let batches = batches.into_iter().map(|(_, batch)| batch).collect();
    Load { signal: "metrics", item: "sample", items, batches }
}
