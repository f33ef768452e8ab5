//! Export requests as collectors send them: sixty instances of twenty services, the same
//! for the same numbers.

use trefoil_wire::otlp::ResourceWriter;
use trefoil_wire::otlp::logs::LogsWriter;
use trefoil_wire::otlp::metrics::Number;
use trefoil_wire::otlp::metrics::write::{MetricWriter, MetricsWriter, Temporality};
use trefoil_wire::otlp::trace::{SpanWriter, TraceWriter};
use trefoil_wire::protobuf::Writer;

const SERVICES: u64 = 20;
const INSTANCES: u64 = 3;
const ROUTES: &[&str] = &["/orders", "/orders/{id}", "/users/{id}", "/cart", "/search", "/health"];
const TABLES: &[&str] = &["orders", "users", "carts", "items", "payments"];
const TRACE_SPANS: u64 = 14;
const SCRAPE_INTERVAL_NS: u64 = 15_000_000_000;
/// What the data covers ends now and begins an hour before.
const COVERED_NS: u64 = 3_600_000_000_000;

/// Requests, and how many items are in all of them.
pub(super) struct Load {
    pub(super) bodies: Vec<Vec<u8>>,
    pub(super) items: u64,
}

impl Load {
    pub(super) fn bytes(&self) -> u64 {
        self.bodies.iter().map(|body| body.len() as u64).sum()
    }
}

/// Random numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Fills `count` items into requests of `batch` each, whose contents `fill` writes.
fn requests(count: u64, batch: u64, mut fill: impl FnMut(&mut Writer, u64, u64)) -> Load {
    let mut bodies = Vec::new();
    let mut items = 0;
    while items < count {
        let size = batch.min(count - items);
        let mut writer = Writer::new();
        fill(&mut writer, items, size);
        bodies.push(writer.into_bytes());
        items += size;
    }
    Load { bodies, items }
}

/// Spans in whole traces, a request from one instance.
pub(super) fn spans(count: u64, now_ns: u64) -> Load {
    let mut random = Random(1);
    requests(count, 1000, |writer, first, size| {
        let instance = random.below(SERVICES * INSTANCES);
        TraceWriter(writer).resource_spans(|spans| {
            spans.resource(|resource| identity(resource, instance));
            spans.scope_spans(|scope| {
                scope.scope(|scope| scope.name("http.server"));
                let mut trace = 0;
                let mut root = 0;
                for number in first..first + size {
                    let at = now_ns - COVERED_NS + COVERED_NS / count * number;
                    let is_root = (number - first).is_multiple_of(TRACE_SPANS);
                    if is_root {
                        (trace, root) = (random.next(), random.next());
                    }
                    scope.span(|span| fill_span(span, &mut random, (trace, root), is_root, at));
                }
            });
        });
    })
}

fn fill_span(
    span: &mut SpanWriter<'_>,
    random: &mut Random,
    (trace, root): (u64, u64),
    is_root: bool,
    at: u64,
) {
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&trace.to_be_bytes());
    trace_id[8..].copy_from_slice(&root.to_be_bytes());
    let id = if is_root { root } else { random.next() };
    span.ids(&trace_id, &id.to_be_bytes());
    // Most are short, a few take seconds.
    let duration = 1_000_000 << random.below(11);
    let duration = duration + random.below(duration);
    if is_root {
        let route = random.pick(ROUTES);
        let failed = random.below(50) == 0;
        let status = if failed { 500 } else { 200 };
        span.name(&format!("GET {route}"));
        span.kind(2);
        span.times(at, at + duration);
        span.attribute("http.request.method", |value| value.str("GET"));
        span.attribute("http.route", |value| value.str(route));
        span.attribute("http.response.status_code", |value| value.int(status));
        let path = format!("/api/v1{}?page={}", route, random.below(40));
        span.attribute("url.path", |value| value.str(&path));
        let user = format!("user-{}", random.below(5000));
        span.attribute("user.id", |value| value.str(&user));
        let bytes = random.below(20_000) as i64;
        span.attribute("http.response.body.size", |value| value.int(bytes));
        if failed {
            span.event(|event| {
                event.time_unix_nano(at + duration);
                event.name("exception");
                event.attribute("exception.type", |value| value.str("TimeoutError"));
                event.attribute("exception.message", |value| value.str("the database is gone"));
            });
            span.status(2, "the database is gone");
        }
    } else {
        let table = random.pick(TABLES);
        span.parent_span_id(&root.to_be_bytes());
        span.name(&format!("SELECT {table}"));
        span.kind(3);
        span.times(at, at + duration / 8);
        span.attribute("db.system.name", |value| value.str("postgresql"));
        span.attribute("db.collection.name", |value| value.str(table));
        let query = format!("SELECT * FROM {table} WHERE id = $1 AND tenant = $2");
        span.attribute("db.query.text", |value| value.str(&query));
        let rows = random.below(200) as i64;
        span.attribute("db.response.returned_rows", |value| value.int(rows));
        span.attribute("server.address", |value| value.str("db-0.db.svc"));
    }
}

/// Log records: a third JSON, a third logfmt, a third plain text.
pub(super) fn lines(count: u64, now_ns: u64) -> Load {
    let mut random = Random(2);
    requests(count, 2000, |writer, first, size| {
        let instance = random.below(SERVICES * INSTANCES);
        LogsWriter(writer).resource_logs(|logs| {
            logs.resource(|resource| identity(resource, instance));
            logs.scope_logs(|scope| {
                for number in first..first + size {
                    let at = now_ns - COVERED_NS + COVERED_NS / count * number;
                    let body = line(&mut random, instance);
                    let (severity, text) = match random.below(100) {
                        0 => (17, "ERROR"),
                        1..6 => (13, "WARN"),
                        _ => (9, "INFO"),
                    };
                    let traced = random.below(2) == 0;
                    let ids = (random.next(), random.next());
                    scope.log_record(|record| {
                        record.times(at, at);
                        record.severity(severity, text);
                        record.body(|value| value.str(&body));
                        if traced {
                            let trace = (u128::from(ids.0) << 64) | u128::from(ids.1);
                            record.trace_id(&trace.to_be_bytes());
                            record.span_id(&ids.1.to_be_bytes());
                        }
                    });
                }
            });
        });
    })
}

fn line(random: &mut Random, instance: u64) -> String {
    let route = random.pick(ROUTES);
    let (user, ms) = (random.below(5000), random.below(2000));
    let request = random.next();
    match instance % 3 {
        0 => format!(
            r#"{{"msg":"request done","route":"{route}","user":"user-{user}","ms":{ms},"request_id":"{request:016x}"}}"#
        ),
        1 => format!(
            "msg=\"request done\" route={route} user=user-{user} duration={ms}ms request_id={request:016x}"
        ),
        _ => format!("request {request:016x} of user-{user} to {route} answered after {ms} ms"),
    }
}

/// Numbers of one instance, counters and gauges in turn.
const NUMBERS: u64 = 220;
/// Histograms of one instance; each is a series for every bound, +Inf, sum and count.
const HISTOGRAMS: u64 = 20;
const BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counters, gauges and histograms, scraped every 15 s until now; a request is what one
/// instance pushes at once.
pub(super) fn samples(count: u64, now_ns: u64) -> Load {
    let per_push = NUMBERS + HISTOGRAMS * (BOUNDS.len() as u64 + 3);
    let pushes = count / per_push / (SERVICES * INSTANCES);
    let mut random = Random(3);
    let mut bodies = Vec::new();
    for push in 0..pushes {
        let scraped = now_ns - (pushes - 1 - push) * SCRAPE_INTERVAL_NS;
        for instance in 0..SERVICES * INSTANCES {
            // No two clocks tick alike.
            let at = scraped - instance * 1_000_000 - random.below(4_000_000);
            let mut writer = Writer::new();
            MetricsWriter(&mut writer).resource_metrics(|metrics| {
                metrics.resource(|resource| identity(resource, instance));
                metrics.scope_metrics(|scope| {
                    for number in 0..NUMBERS / 2 {
                        scope.metric(|metric| counter(metric, &mut random, number, push, at));
                        scope.metric(|metric| gauge(metric, &mut random, number, at));
                    }
                    for number in 0..HISTOGRAMS {
                        scope.metric(|metric| histogram(metric, number, push, at));
                    }
                });
            });
            bodies.push(writer.into_bytes());
        }
    }
    Load { bodies, items: pushes * SERVICES * INSTANCES * per_push }
}

/// A quarter of the counters never moves.
fn counter(metric: &mut MetricWriter<'_>, random: &mut Random, number: u64, push: u64, at: u64) {
    let rate = if number.is_multiple_of(4) { 0 } else { number * 7 };
    let total = push * rate + random.below(1 + rate);
    metric.names(&format!("work.items.{number}"), "Items.", "");
    metric.sum(Temporality::Cumulative, true, |points| {
        points.point(|point| {
            point.times(0, at);
            point.value(Number::Int(total as i64));
        });
    });
}

/// A third of the gauges has decimals.
fn gauge(metric: &mut MetricWriter<'_>, random: &mut Random, number: u64, at: u64) {
    let divisor = if number.is_multiple_of(3) { 10.0 } else { 1.0 };
    let value = random.below(1000) as f64 / divisor;
    metric.names(&format!("queue.length.{number}"), "Waiting.", "");
    metric.gauge(|points| {
        points.point(|point| {
            point.times(0, at);
            point.value(Number::Double(value));
        });
    });
}

fn histogram(metric: &mut MetricWriter<'_>, number: u64, push: u64, at: u64) {
    let route = ROUTES[number as usize % ROUTES.len()];
    let mut counts = [0; BOUNDS.len() + 1];
    for (bucket, count) in counts.iter_mut().enumerate() {
        *count = push * (1 + (bucket as u64 + number) % 977);
    }
    let all = counts.iter().sum();
    metric.names(&format!("request.duration.{number}"), "How long.", "s");
    metric.histogram(Temporality::Cumulative, |points| {
        points.point(|point| {
            point.attribute("http.route", |value| value.str(route));
            point.times(0, at);
            point.totals(all, Some(all as f64 / 7.0));
            point.buckets(&counts, BOUNDS);
        });
    });
}

fn identity(resource: &mut ResourceWriter<'_>, instance: u64) {
    let service = instance % SERVICES;
    let number = instance / SERVICES;
    let mut set = |key: &str, text: &str| resource.attribute(key, |value| value.str(text));
    set("service.name", &format!("service-{service}"));
    set("service.namespace", "shop");
    set("service.version", "1.4.2");
    set("service.instance.id", &format!("service-{service}-{number}"));
    set("deployment.environment.name", "production");
    set("k8s.namespace.name", "shop");
    set("k8s.pod.name", &format!("service-{service}-6d4cf56db6-{number}"));
    set("k8s.node.name", &format!("node-{}", instance % 7));
    set("telemetry.sdk.name", "opentelemetry");
    set("telemetry.sdk.language", "rust");
}

#[cfg(test)]
mod tests {
    use super::*;
    use trefoil_wire::otlp::{logs, metrics, trace};

    const NOW_NS: u64 = 1_800_000_000_000_000_000;

    #[test]
    fn loads_hold_as_many_items_as_they_say() {
        let load = spans(2500, NOW_NS);
        let mut seen = 0;
        for body in &load.bodies {
            for spans in trace::ExportRequest::new(body).expect("it parses").resource_spans {
                for scope in spans.expect("it parses").scope_spans {
                    seen += scope.expect("it parses").spans.len();
                }
            }
        }
        assert_eq!((seen as u64, load.items, load.bodies.len()), (2500, 2500, 3));

        let load = lines(4100, NOW_NS);
        let mut seen = 0;
        for body in &load.bodies {
            for logs in logs::ExportRequest::new(body).expect("it parses").resource_logs {
                for scope in logs.expect("it parses").scope_logs {
                    seen += scope.expect("it parses").log_records.len();
                }
            }
        }
        assert_eq!((seen as u64, load.items), (4100, 4100));
    }

    #[test]
    fn samples_count_the_series_that_prometheus_makes_of_them() {
        let load = samples(100_000, NOW_NS);
        let mut seen = 0;
        for body in &load.bodies {
            for all in metrics::ExportRequest::new(body).expect("it parses").resource_metrics {
                for scope in all.expect("it parses").scope_metrics {
                    for metric in scope.expect("it parses").metrics {
                        seen += match metric.expect("it parses").data {
                            // 11 bounds, +Inf, sum and count.
                            metrics::Data::Histogram(_) => 14,
                            _ => 1,
                        };
                    }
                }
            }
        }
        assert_eq!(seen, load.items);
    }

    #[test]
    fn the_same_numbers_make_the_same_bytes() {
        assert_eq!(spans(100, NOW_NS).bodies, spans(100, NOW_NS).bodies);
    }
}
