use std::collections::BTreeMap;
use std::time::Duration;

use trefoil_wire::exposition::{self, Format};
use trefoil_wire::otlp::AnyValue;
use trefoil_wire::otlp::metrics::{Data, ExportRequest, Number as WireNumber};
use trefoil_wire::protobuf::Writer;

use super::*;
use crate::config::MetricSettings;
use crate::{label_enum, labels, metrics};

label_enum! {
    enum Operation { Create, Boot, ShutDown, Delete }
    enum Status { Success, Failure, Unknown = "n/a" }
}

labels! {
    struct VmOperation { operation: Operation, status: Status }
    struct Vm<'a> { vm_id: &'a str }
    struct Http<'a> {
        /// The template.
        route: &'a str as "http.route",
        pub status: u16 as "http.response.status_code",
        #[high_cardinality]
        user: Option<&'a str> as "user.id",
        retried: bool,
    }
}

/// Points by name and labels, as they came by one way or the other.
type Values = BTreeMap<String, f64>;

/// OTLP as a receiver of another make would flatten it: histograms as count, sum, buckets.
fn decode(registry: &Registry, reader: &mut ReaderState, now_ns: u64) -> Values {
    let mut w = Writer::new();
    registry.write_otlp(&mut w, reader, now_ns);
    decode_scopes(&w.into_bytes())
}

/// The fields of a `ResourceMetrics`.
fn decode_scopes(scopes: &[u8]) -> Values {
    let mut w = Writer::new();
    w.message(1, |w| w.encoded(scopes));
    let bytes = w.into_bytes();
    let mut values = Values::new();
    for resource in &ExportRequest::new(&bytes).unwrap().resource_metrics {
        for scope in &resource.unwrap().scope_metrics {
            for metric in &scope.unwrap().metrics {
                flatten(&metric.unwrap(), &mut values);
            }
        }
    }
    values
}

fn flatten(metric: &trefoil_wire::otlp::metrics::Metric<'_>, values: &mut Values) {
    let name = metric.name;
    match &metric.data {
        Data::Gauge(points) => {
            for point in points {
                let point = point.unwrap();
                let key = key(name, &point.attributes, "");
                values.insert(key, point.value.map(WireNumber::as_f64).unwrap());
            }
        }
        Data::Sum(points) => {
            for point in &points.data_points {
                let point = point.unwrap();
                let key = key(name, &point.attributes, "");
                values.insert(key, point.value.map(WireNumber::as_f64).unwrap());
            }
        }
        Data::Histogram(points) => {
            for point in &points.data_points {
                let point = point.unwrap();
                let labels = &point.attributes;
                values.insert(key(&format!("{name}_count"), labels, ""), point.count as f64);
                values.insert(key(&format!("{name}_sum"), labels, ""), point.sum.unwrap());
                let mut total = 0;
                let bounds = point.explicit_bounds.iter().map(Result::unwrap);
                let bounds = bounds.chain([f64::INFINITY]);
                for (bound, count) in bounds.zip(point.bucket_counts.iter().map(Result::unwrap)) {
                    total += count;
                    let key = key(&format!("{name}_bucket"), labels, &format!("le={bound}"));
                    values.insert(key, total as f64);
                }
            }
        }
        Data::ExponentialHistogram(points) => {
            for point in &points.data_points {
                let point = point.unwrap();
                let labels = &point.attributes;
                values.insert(key(&format!("{name}_count"), labels, ""), point.count as f64);
                values.insert(key(&format!("{name}_sum"), labels, ""), point.sum.unwrap());
            }
        }
        other => panic!("{name}: {other:?}"),
    }
}

fn key(name: &str, labels: &trefoil_wire::otlp::Attributes<'_>, more: &str) -> String {
    let mut pairs: Vec<String> = labels
        .iter()
        .map(|pair| {
            let pair = pair.unwrap();
            let value = match pair.value {
                AnyValue::Str(text) => text.to_owned(),
                AnyValue::Int(number) => number.to_string(),
                AnyValue::Bool(flag) => flag.to_string(),
                other => panic!("{other:?}"),
            };
            format!("{}={value}", pair.key.replace('.', "_"))
        })
        .collect();
    pairs.extend((!more.is_empty()).then(|| more.to_owned()));
    pairs.sort();
    format!("{}{{{}}}", name.replace('.', "_"), pairs.join(","))
}

/// What a scrape says, read by the strict parser.
fn scrape(registry: &Registry) -> Values {
    let text = registry.write_text(Format::OpenMetrics, None);
    let families = exposition::parse(&text, Format::OpenMetrics)
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut values = Values::new();
    for sample in families.iter().flat_map(|family| &family.samples) {
        let mut pairs: Vec<String> = sample
            .labels
            .iter()
            .map(|(name, value)| match *name {
                "le" => format!(
                    "le={}",
                    if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() }
                ),
                _ => format!("{name}={value}"),
            })
            .collect();
        pairs.sort();
        values.insert(format!("{}{{{}}}", sample.name, pairs.join(",")), sample.value);
    }
    values
}

pub(super) fn settings() -> MetricSettings {
    MetricSettings {
        exporters: Vec::new(),
        interval: Duration::from_secs(60),
        export_timeout: Duration::from_secs(30),
        delta: false,
        prometheus: None,
        cardinality_limit: 2000,
        exemplars: true,
        high_cardinality: false,
        exponential_histograms: false,
        runtime: false,
    }
}

/// Push and pull of the same metrics say the same (M2).
#[test]
fn m2_otlp_and_text_have_equal_values() {
    let registry = Registry::new();
    let operations: Counter<VmOperation> = registry.metric("metald_vm_operations_total").counter();
    let seconds: Histogram<VmOperation> =
        registry.metric("metald_vm_operation_duration_seconds").unit("s").histogram();
    let collected: Counter<Vm<'_>> = registry.metric("metald_metrics_collected_total").counter();
    let in_flight: UpDownCounter = registry.metric("in_flight").up_down_counter();
    let used: Gauge = registry.metric("hypeman_volumes_used_bytes").unit("By").gauge();
    let labels = |i: usize| VmOperation {
        operation: Operation::ALL[i % 4],
        status: if i.is_multiple_of(7) { Status::Unknown } else { Status::Success },
    };
    for i in 0..500 {
        operations.inc(labels(i));
        seconds.record(i as f64 / 37.0, labels(i));
        collected.add(2, Vm { vm_id: &format!("vm-{}", i % 9) });
        in_flight.add(if i % 2 == 0 { 1 } else { -1 }, ());
        used.set(i as f64 * 4096.0, ());
    }
    let pushed = decode(&registry, &mut ReaderState::new(false), 1);
    let pulled = scrape(&registry);
    assert_eq!(pushed, pulled);
    assert_eq!(pushed["metald_metrics_collected_total{vm_id=vm-3}"], 112.0);
    let all: f64 = (pushed.iter().filter(|(key, _)| key.starts_with("metald_vm_operations")))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(all, 500.0);
    assert_eq!(pushed["in_flight{}"], 0.0);
}

/// Deltas add up to the totals, and what did not change is not sent.
#[test]
fn deltas_add_up_and_each_reader_has_its_own() {
    let registry = Registry::new();
    let jobs: Counter<AnyLabels> = registry.metric("jobs_total").counter();
    let seconds: Histogram = registry.metric("job_seconds").unit("s").histogram();
    let spread: Histogram = registry.metric("spread").buckets(Buckets::Exponential).histogram();
    let (mut delta, mut late) = (ReaderState::new(true), ReaderState::new(true));
    let mut sums = Values::new();
    for round in 1..=4u32 {
        for i in 0..round {
            jobs.add(1, &[("queue", "mail".into())]);
            seconds.record(f64::from(i), ());
            spread.record(f64::from(i) * 1000.0, ());
        }
        for (name, value) in decode(&registry, &mut delta, u64::from(round)) {
            *sums.entry(name).or_default() += value;
        }
    }
    assert_eq!(decode(&registry, &mut delta, 9), Values::new());
    assert_eq!(sums, decode(&registry, &mut ReaderState::new(false), 9));
    assert_eq!(sums, decode(&registry, &mut late, 9));
    assert_eq!(sums["jobs_total{queue=mail}"], 10.0);
    assert_eq!(sums["spread_count{}"], 10.0);
}

#[test]
fn a_million_values_of_a_label_stay_within_the_limit() {
    let registry = Registry::new();
    registry.configure(&MetricSettings { cardinality_limit: 100, ..settings() });
    let requests: Counter<Vm<'_>> = registry.metric("requests_total").counter();
    let many = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };
    for i in 0..many {
        requests.inc(Vm { vm_id: &i.to_string() });
    }
    let values = decode(&registry, &mut ReaderState::new(false), 1);
    assert_eq!(values.len(), 100);
    assert_eq!(values.values().sum::<f64>(), f64::from(many));
    let overflow = f64::from(many) - 99.0;
    assert_eq!(values["requests_total{otel_metric_overflow=true}"], overflow);
    assert_eq!(registry.overflowed(), [("requests_total".into(), overflow as u64)]);
}

#[test]
fn labels_of_high_cardinality_are_a_switch() {
    let check = |on: bool, expect: &[&str]| {
        let registry = Registry::new();
        registry.configure(&MetricSettings { high_cardinality: on, ..settings() });
        let requests: Counter<Http<'_>> = registry.metric("requests").counter();
        for user in [Some("ada"), None, Some("bob")] {
            requests.inc(Http { route: "/users/{id}", status: 200, user, retried: false });
        }
        let values = decode(&registry, &mut ReaderState::new(false), 1);
        assert_eq!(values.keys().collect::<Vec<_>>(), expect);
    };
    let without = "requests{http_response_status_code=200,http_route=/users/{id},retried=false}";
    check(false, &[without]);
    let with = |user: &str| {
        format!(
            "requests{{http_response_status_code=200,http_route=/users/{{id}},retried=false,user_id={user}}}"
        )
    };
    check(true, &[&with("ada"), &with("bob"), without]);
}

/// The order of labels is nothing, a name that comes twice is one, absence is not emptiness.
#[test]
fn labels_known_at_run_time_are_a_set() {
    let registry = Registry::new();
    let jobs: Counter<AnyLabels> = registry.metric("jobs").counter();
    jobs.inc(&[("a", "1".into()), ("b", 2.into())]);
    jobs.inc(&[("b", 2.into()), ("a", "1".into())]);
    jobs.inc(&[("b", 7.into()), ("a", "1".into()), ("b", 2.into())]);
    jobs.inc(&[("a", "".into())]);
    jobs.inc(&[]);
    let values = decode(&registry, &mut ReaderState::new(false), 1);
    let expect = [("jobs{a=1,b=2}", 3.0), ("jobs{a=}", 1.0), ("jobs{}", 1.0)];
    assert_eq!(values, expect.map(|(name, value)| (name.to_owned(), value)).into());
}

#[test]
fn the_first_declaration_of_a_name_wins() {
    let registry = Registry::new();
    let first: Counter = registry.metric("things_total").counter();
    let same: Counter = registry.metric("things_total").counter();
    let other: Gauge = registry.metric("things_total").gauge();
    first.inc(());
    same.inc(());
    other.set(9.0, ());
    let values = decode(&registry, &mut ReaderState::new(false), 1);
    assert_eq!(values, [("things_total{}".to_owned(), 2.0)].into());
}

#[test]
fn what_is_wrong_is_left_out() {
    let registry = Registry::new();
    let total: Counter<(), f64> = registry.metric("total").counter();
    let seconds: Histogram = registry.metric("seconds").unit("s").histogram();
    for value in [1.5, -3.0, f64::NAN] {
        total.add(value, ());
        seconds.record(value.abs(), ());
    }
    seconds.record(f64::INFINITY, ());
    let values = decode(&registry, &mut ReaderState::new(false), 1);
    assert_eq!((values["total{}"], values["seconds_count{}"]), (1.5, 2.0));
}

#[test]
fn known_states_can_be_shown_before_they_come() {
    let registry = Registry::new();
    let operations: Counter<VmOperation> = registry.metric("operations_total").counter();
    operations.fill();
    operations.inc(VmOperation { operation: Operation::ShutDown, status: Status::Unknown });
    let machines = registry.metric("machines").observable::<VmOperation, u64>(Kind::Gauge);
    machines.observe(|observer| {
        observer.fill();
        let labels = VmOperation { operation: Operation::Boot, status: Status::Failure };
        observer.set(4, labels);
    });
    let values = decode(&registry, &mut ReaderState::new(false), 1);
    assert_eq!(values.len(), 24);
    assert_eq!(values["operations_total{operation=shut_down,status=n/a}"], 1.0);
    assert_eq!(values["machines{operation=boot,status=failure}"], 4.0);
    assert_eq!(values.values().sum::<f64>(), 5.0);
}

#[test]
fn exponential_histograms_are_a_setting() {
    let registry = Registry::new();
    registry.configure(&MetricSettings { exponential_histograms: true, ..settings() });
    let seconds: Histogram<Vm<'_>> = registry.metric("seconds").unit("s").histogram();
    for i in 0..1000 {
        seconds.record(f64::from(i) / 100.0, Vm { vm_id: "a" });
    }
    seconds.record(-2.0, Vm { vm_id: "a" });
    let pushed = decode(&registry, &mut ReaderState::new(false), 1);
    let mut pulled = scrape(&registry);
    assert_eq!(pulled["seconds_bucket{le=0,vm_id=a}"], 2.0);
    assert_eq!(pulled["seconds_bucket{le=8,vm_id=a}"], 802.0);
    pulled.retain(|key, _| !key.contains("_bucket"));
    assert_eq!(pushed, pulled);
    assert_eq!(pushed["seconds_count{vm_id=a}"], 1001.0);
}

metrics! {
    /// Machines by
    /// state.
    static MACHINES: ObservableGauge<VmOperation, u64> = "test_machines";
    /// Never used.
    static UNUSED: Counter = "test_unused_total";
    /// Used before anything starts.
    static EARLY: Counter = "test_early_total", unit "By";
}

/// Declared metrics are in the global registry from their first use on.
#[test]
fn declared_metrics_are_there_from_their_first_use() {
    EARLY.add(5, ());
    MACHINES.observe(|observer| {
        observer.set(3, VmOperation { operation: Operation::Boot, status: Status::Success });
    });
    let all = Registry::global().collect();
    let find = |name: &str| all.iter().find(|metric| metric.definition.name == name);
    let early = find("test_early_total").unwrap();
    assert_eq!(early.definition.description.trim(), "Used before anything starts.");
    assert_eq!(early.definition.scope.name, "trefoil");
    assert_eq!(find("test_machines").unwrap().definition.description.trim(), "Machines by state.");
    assert!(find("test_unused_total").is_none());
    let _ = &UNUSED;
}

/// A panic costs nothing but the new values; a callback that hangs delays one collection.
#[test]
fn callbacks_can_neither_stop_nor_end_collections() {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::sync::{Arc, Mutex};
    let registry = Registry::new();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let panics = registry.metric("panics").observable::<(), u64>(Kind::Gauge);
    panics.observe(move |observer| {
        let call = counted.fetch_add(1, SeqCst);
        assert!(call != 1, "on purpose");
        observer.set(call, ());
    });
    let gate = Arc::new(Mutex::new(()));
    let inside = Arc::clone(&gate);
    let hangs = registry.metric("hangs").observable::<(), u64>(Kind::Gauge);
    hangs.observe(move |observer| {
        let _free = inside.lock();
        observer.set(1, ());
    });
    let fine = registry.metric("fine").observable::<Vm<'_>, u64>(Kind::Counter);
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    fine.observe(move |observer| {
        let call = count.fetch_add(1, SeqCst);
        // Another series each time: those before are gone.
        observer.set(call, Vm { vm_id: &call.to_string() });
    });
    let read = || decode(&registry, &mut ReaderState::new(false), 1);
    let first = read();
    assert_eq!((first["panics{}"], first["hangs{}"]), (0.0, 1.0));
    assert_eq!(first["fine{vm_id=0}"], 0.0);
    let held = gate.lock();
    let second = read();
    assert_eq!((second["panics{}"], second["hangs{}"]), (0.0, 1.0), "the values of the last time");
    // Printing the panic may itself take longer than a collection waits.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let third = loop {
        let values = read();
        if values["panics{}"] >= 2.0 {
            break values;
        }
        assert!(std::time::Instant::now() < deadline, "one panic has ended it: {values:?}");
    };
    assert_eq!(third["hangs{}"], 1.0);
    assert!(third.keys().any(|key| key.starts_with("fine")), "{third:?}");
    drop(held);
    while seen.load(SeqCst) < 5 {
        read();
        assert!(
            std::time::Instant::now() < deadline,
            "callbacks behind the one that hung do not run"
        );
    }
}

/// However small a request may be, all points are in one of them, and none twice.
#[test]
fn what_is_too_long_for_one_request_goes_in_several() {
    let registry = Registry::new();
    for scope in ["a", "b", "c"] {
        for name in ["one", "two", "three"] {
            let counter: Counter<Vm<'static>> =
                registry.metric(format!("{scope}_{name}_total")).scope(scope, "1").counter();
            for vm in 0..50 {
                counter.add(vm + 1, Vm { vm_id: &format!("vm-{scope}-{name}-{vm}") });
            }
        }
    }
    let whole = decode(&registry, &mut ReaderState::new(false), 7);
    assert_eq!(whole.len(), 3 * 3 * 50);
    for bytes_max in [1, 100, 1_000, 10_000, 1_000_000] {
        let parts = registry.write_otlp_in_parts(&mut ReaderState::new(false), 7, bytes_max);
        let mut values = Values::new();
        for part in &parts {
            let alone = part.points == 1;
            assert!(part.scopes.len() <= bytes_max || alone, "{} points", part.points);
            let in_part = decode_scopes(&part.scopes);
            assert_eq!(in_part.len() as u64, part.points);
            for (key, value) in in_part {
                assert_eq!(values.insert(key.clone(), value), None, "{key} is there twice");
            }
        }
        assert_eq!(values, whole, "requests of {bytes_max} bytes");
        assert_eq!(parts.len() == 1, bytes_max == 1_000_000, "{} parts", parts.len());
    }
}
