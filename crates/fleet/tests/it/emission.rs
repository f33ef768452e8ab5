//! What the fleet emits is what `registry/` declares, and it hangs together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use trefoil_fleet::{Breaks, Fleet, Settings};
use trefoil_otlp_messages::common::v1::{KeyValue, any_value::Value};
use trefoil_otlp_messages::metrics::v1::{metric::Data, number_data_point};
use trefoil_otlp_messages::resource::v1::Resource;
use trefoil_otlp_messages::trace::v1::Span;

use crate::receiver::{self, Received, Shared};
use crate::registry::{ALL, Emitted, declaration, declared};

/// Background work that happens every ten seconds has to happen once.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_g2_m5_what_is_emitted_is_declared_and_what_is_declared_is_emitted() {
    let mut breaks = Breaks::default();
    for text in ["database=errors:20%", "provider=errors:30%", "provider=slow:60%"] {
        breaks.add(text).unwrap();
    }
    for text in ["auth=errors:10%", "vmm=errors:20%", "billing=errors:50%"] {
        breaks.add(text).unwrap();
    }
    let declared = declared();
    let received = run(breaks, 60.0, |received| {
        let emitted = emitted(received);
        let all = |(service, groups): (&String, &Emitted)| {
            emitted.get(service).is_some_and(|seen| groups.keys().all(|key| seen.contains_key(key)))
        };
        declared.iter().filter(|(service, _)| *service != ALL).all(all)
    })
    .await;

    let mut faults = Vec::new();
    let emitted = emitted(&received.lock().unwrap());
    for (service, groups) in &emitted {
        for (key, attributes) in groups {
            let allowed = allowed(&declared, service, key);
            if !known(&declared, service, key) {
                faults.push(format!(
                    "registry/{service}.toml lacks\n{}",
                    declaration(key, attributes)
                ));
                continue;
            }
            let extra: Vec<_> = attributes.difference(&allowed).collect();
            if !extra.is_empty() {
                faults.push(format!("{service}: {key} has undeclared {extra:?}"));
            }
        }
    }
    for (service, groups) in declared.iter().filter(|(service, _)| *service != ALL) {
        let seen = emitted.get(service);
        let missing = groups.keys().filter(|key| !seen.is_some_and(|seen| seen.contains_key(*key)));
        faults.extend(missing.map(|key| format!("{service}: {key} is declared, never emitted")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h1_h5_s10_a_trace_goes_through_all_services_and_logs_belong_to_it() {
    let received = run(Breaks::default(), 30.0, |received| {
        let spans = spans(received);
        let exports = spans.iter().filter(|(_, span)| is_whole_export(span));
        exports.clone().count() > 3
            && exports.clone().all(|(_, export)| reaches(&spans, &export.trace_id).len() >= 4)
            && !received.metrics.is_empty()
    })
    .await;
    let received = received.lock().unwrap();
    let spans = spans(&received);
    let ids: BTreeSet<_> = spans.iter().map(|(_, span)| span.span_id.clone()).collect();
    let exports = spans.iter().filter(|(_, span)| is_whole_export(span));
    assert!(exports.clone().count() > 3, "too few exports came to their end");
    for (_, export) in exports {
        let services = reaches(&spans, &export.trace_id);
        assert!(services.contains("hypeman") && services.contains("ghostworks"), "{services:?}");
    }
    let known = |trace: &[u8], span: &[u8]| {
        ids.contains(span) && spans.iter().any(|(_, s)| s.trace_id == trace && s.span_id == span)
    };
    let mut logs = 0;
    for records in received.logs.iter().flat_map(|logs| &logs.scope_logs) {
        for record in &records.log_records {
            assert!(known(&record.trace_id, &record.span_id), "a log without its span: {record:?}");
            logs += 1;
        }
    }
    assert!(logs > 10, "{logs} logs");

    let resources = received.traces.iter().map(|spans| &spans.resource);
    let resources = resources.chain(received.metrics.iter().map(|metrics| &metrics.resource));
    let mut identities: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for resource in resources.chain(received.logs.iter().map(|logs| &logs.resource)) {
        let resource = resource.as_ref().unwrap();
        let attributes = resource.attributes.iter().map(|attribute| format!("{attribute:?}"));
        let same: BTreeSet<_> = attributes.collect();
        identities.entry(service(resource)).or_default().insert(format!("{same:?}"));
    }
    assert_eq!(identities.len(), 4);
    assert!(identities.values().all(|same| same.len() == 1), "{identities:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h6_g7_without_a_receiver_the_fleet_runs_and_stops() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = settings(&format!("http://{unused}"), 1, 20.0, Breaks::default());
    let fleet = Fleet::start(&settings).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    fleet.stop().await;
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// What the methods that `cargo xtask codegen` made of `registry/ghostworks.toml` have recorded
/// is what the spans of the same work say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g3_g5_business_metrics_agree_with_the_spans_of_the_same_work() {
    let received = run(Breaks::default(), 60.0, |received| {
        let done = operations(&spans(received));
        let of = |name: &str, success| done.get(&(name.to_owned(), success)).copied();
        of("create", true) > Some(10) && of("delete", false) > Some(2) && of("list", true) > Some(2)
    })
    .await;
    let received = received.lock().unwrap();
    let done = operations(&spans(&received));
    let created = points(&received, "ghostworks", "artifacts_created_total");
    let named = |labels: &BTreeMap<_, _>| labels.keys().eq(["artifact_type", "tenant_id"]);
    assert!(created.keys().all(named), "{created:?}");
    let total: u64 = created.values().sum();
    assert_eq!(Some(&total), done.get(&("create".to_owned(), true)), "{created:?}");

    let durations = points(&received, "ghostworks", "artifact_operation_duration_seconds");
    let counted: BTreeMap<(String, bool), u64> = durations
        .into_iter()
        .map(|(labels, count)| ((labels["operation"].clone(), labels["success"] == "true"), count))
        .collect();
    assert_eq!(counted, done);
}

/// How many spans there are of each operation on artifacts, and whether they succeeded.
fn operations(spans: &[(String, Span)]) -> BTreeMap<(String, bool), u64> {
    let mut operations = BTreeMap::new();
    for (_, span) in spans {
        let Some(operation) = span.name.strip_prefix("artifact.") else { continue };
        // One that the stop cut short has no result, and was not recorded either.
        let Some(success) = labels(&span.attributes).remove("operation.success") else { continue };
        *operations.entry((operation.to_owned(), success == "true")).or_default() += 1;
    }
    operations
}

/// The last counts of a metric by labels: of a counter, or of how much was observed.
fn points(received: &Received, of: &str, metric: &str) -> BTreeMap<BTreeMap<String, String>, u64> {
    let mut last = BTreeMap::new();
    for metrics in &received.metrics {
        if service(metrics.resource.as_ref().unwrap()) != of {
            continue;
        }
        let all = metrics.scope_metrics.iter().flat_map(|metrics| &metrics.metrics);
        for found in all.filter(|found| found.name == metric) {
            match found.data.as_ref().unwrap() {
                Data::Sum(sum) => last.extend(sum.data_points.iter().map(|point| {
                    let Some(number_data_point::Value::AsInt(value)) = point.value else {
                        panic!("{point:?}")
                    };
                    (labels(&point.attributes), u64::try_from(value).unwrap())
                })),
                Data::Histogram(histogram) => last
                    .extend(histogram.data_points.iter().map(|p| (labels(&p.attributes), p.count))),
                other => panic!("{other:?}"),
            }
        }
    }
    last
}

fn labels(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let pair = |attribute: &KeyValue| {
        let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::BoolValue(flag)) => flag.to_string(),
            Some(Value::IntValue(number)) => number.to_string(),
            other => text(other),
        };
        (attribute.key.clone(), value)
    };
    attributes.iter().map(pair).collect()
}

fn known(declared: &BTreeMap<String, Emitted>, service: &str, key: &str) -> bool {
    [service, ALL].iter().any(|of| declared.get(*of).is_some_and(|all| all.contains_key(key)))
}

/// The attributes that something may have: its own, and those of all that are like it.
fn allowed(declared: &BTreeMap<String, Emitted>, service: &str, key: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for group in [service, ALL].iter().filter_map(|of| declared.get(*of)) {
        for (of, attributes) in group {
            let alike = of.strip_prefix("on ").is_some_and(|start| key.starts_with(start));
            if alike || of == key {
                allowed.extend(attributes.iter().cloned());
            }
        }
    }
    allowed
}

/// An export that came to its end; one that the stop cut short has not reached everybody.
fn is_whole_export(span: &Span) -> bool {
    let success = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        attribute.key == "job_status" && text(value) == "success"
    };
    span.name == "vm.export" && span.attributes.iter().any(success)
}

/// Runs the fleet until `enough` was received, or the deadline is over, then stops it.
async fn run(breaks: Breaks, rate: f64, enough: impl Fn(&Received) -> bool) -> Shared {
    let (address, received) = receiver::start().await;
    let settings = settings(&format!("http://{address}"), 3, rate, breaks);
    let fleet = Fleet::start(&settings).await.unwrap();
    let start = Instant::now();
    while start.elapsed() < DEADLINE && !enough(&received.lock().unwrap()) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    fleet.stop().await;
    received
}

fn settings(otlp_http: &str, seed: u64, rate: f64, breaks: Breaks) -> Settings {
    Settings {
        program: env!("CARGO_BIN_EXE_trefoil-fleet").into(),
        arguments: Vec::new(),
        otlp_http: otlp_http.to_owned(),
        otlp_grpc: None,
        seed,
        rate,
        breaks,
    }
}

fn emitted(received: &Received) -> BTreeMap<String, Emitted> {
    let mut services: BTreeMap<String, Emitted> = BTreeMap::new();
    let mut add = |service: String, key: String, attributes: &[KeyValue]| {
        let keys = attributes.iter().map(|attribute| attribute.key.clone());
        services.entry(service).or_default().entry(key).or_default().extend(keys);
    };
    for (service, span) in spans(received) {
        let kind = ["", "internal", "server", "client"][span.kind as usize];
        add(service, format!("span {kind} {}", span.name), &span.attributes);
    }
    for logs in &received.logs {
        let service = service(logs.resource.as_ref().unwrap());
        for record in logs.scope_logs.iter().flat_map(|logs| &logs.log_records) {
            let body = record.body.as_ref().and_then(|body| body.value.as_ref());
            add(service.clone(), format!("log {}", message(&text(body))), &record.attributes);
        }
    }
    for metrics in &received.metrics {
        let service = service(metrics.resource.as_ref().unwrap());
        for metric in metrics.scope_metrics.iter().flat_map(|metrics| &metrics.metrics) {
            let (instrument, attributes) = shape(metric.data.as_ref().unwrap());
            let key = format!("{instrument} {} {}", metric.name, metric.unit);
            add(service.clone(), key, &attributes);
        }
    }
    services
}

fn shape(data: &Data) -> (&'static str, Vec<KeyValue>) {
    let numbers = |points: &[trefoil_otlp_messages::metrics::v1::NumberDataPoint]| {
        points.iter().flat_map(|point| point.attributes.clone()).collect()
    };
    match data {
        Data::Gauge(gauge) => ("gauge", numbers(&gauge.data_points)),
        Data::Sum(sum) if sum.is_monotonic => ("counter", numbers(&sum.data_points)),
        Data::Sum(sum) => ("updowncounter", numbers(&sum.data_points)),
        Data::Histogram(histogram) => {
            let points = histogram.data_points.iter();
            ("histogram", points.flat_map(|point| point.attributes.clone()).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn spans(received: &Received) -> Vec<(String, Span)> {
    let mut found = Vec::new();
    for spans in &received.traces {
        let service = service(spans.resource.as_ref().unwrap());
        let all = spans.scope_spans.iter().flat_map(|spans| &spans.spans);
        found.extend(all.map(|span| (service.clone(), span.clone())));
    }
    found
}

/// The services that a trace went through.
fn reaches(spans: &[(String, Span)], trace_id: &[u8]) -> BTreeSet<String> {
    let of_trace = spans.iter().filter(|(_, span)| span.trace_id == trace_id);
    of_trace.map(|(service, _)| service.clone()).collect()
}

fn service(resource: &Resource) -> String {
    let name = resource.attributes.iter().find(|attribute| attribute.key == "service.name");
    text(name.and_then(|name| name.value.as_ref()).and_then(|value| value.value.as_ref()))
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("text is expected, not {other:?}"),
    }
}

/// The message in a line, whichever way the service writes lines.
fn message(line: &str) -> String {
    if let Some((_, rest)) = line.split_once("msg=\"") {
        return rest.split('"').next().unwrap_or_default().to_owned();
    }
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(fields) => fields["message"].as_str().unwrap_or_default().to_owned(),
        Err(_) => line.to_owned(),
    }
}
