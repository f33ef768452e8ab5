//! Metrics as receivers and scrapers see them.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use trefoil::{Builder, Console, Counter, Gauge, Histogram, Trefoil, UpDownCounter};
use trefoil_otlp_messages::common::v1::KeyValue;
use trefoil_otlp_messages::common::v1::any_value::Value as Any;
use trefoil_otlp_messages::metrics::v1::Metric;
use trefoil_otlp_messages::metrics::v1::metric::Data;
use trefoil_otlp_messages::metrics::v1::number_data_point::Value as Number;

use crate::receiver::{Protocol, Receiver};

const DEADLINE: Duration = Duration::from_secs(20);

trefoil::label_enum! {
    enum Operation { Create, Boot, Delete }
    enum Status { Success, Failure }
}

trefoil::labels! {
    struct VmOperation { operation: Operation, status: Status }
    struct OfOperation { operation: Operation }
    struct Vm<'a> { vm_id: &'a str }
}

fn service(receiver: &Receiver) -> Builder {
    Trefoil::builder("metald")
        .variables([("ENV", "test")])
        .console(Console::Off)
        .runtime_metrics(false)
        .prometheus("127.0.0.1:0")
        .otlp(&receiver.url())
}

/// Values by name and labels.
type Values = BTreeMap<String, f64>;

/// What a scrape says: lines of `name{labels} value`, with Prometheus's names.
fn scrape(address: SocketAddr) -> Values {
    let mut stream = TcpStream::connect(address).expect("the port is open");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let name = name.replace(['"', '}'], "").replace('{', ",");
        let mut parts: Vec<&str> = name.split(',').collect();
        parts[1..].sort_unstable();
        (parts.join(","), value.parse().expect("a number"))
    };
    samples.map(pair).collect()
}

fn key(name: &str, labels: &[KeyValue], bound: Option<f64>) -> String {
    let text = |label: &KeyValue| {
        let value = label.value.as_ref().and_then(|value| value.value.as_ref());
        let value = match value {
            Some(Any::StringValue(text)) => text.clone(),
            Some(Any::IntValue(number)) => number.to_string(),
            Some(Any::BoolValue(flag)) => flag.to_string(),
            other => panic!("{other:?}"),
        };
        format!("{}={value}", label.key.replace('.', "_"))
    };
    let mut parts: Vec<String> = labels.iter().map(text).collect();
    parts.extend(bound.map(|bound| match bound {
        f64::INFINITY => "le=+Inf".to_owned(),
        bound => format!("le={bound}"),
    }));
    parts.sort_unstable();
    parts.insert(0, name.to_owned());
    parts.join(",")
}

/// The same of a push.
fn flatten(metrics: &[Metric]) -> Values {
    let mut values = Values::new();
    for metric in metrics {
        let name = &*metric.name;
        let points = match metric.data.as_ref().expect("data") {
            Data::Gauge(gauge) => &gauge.data_points,
            Data::Sum(sum) => &sum.data_points,
            Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    let labels = &point.attributes;
                    let count = key(&format!("{name}_count"), labels, None);
                    values.insert(count, point.count as f64);
                    let sum = key(&format!("{name}_sum"), labels, None);
                    values.insert(sum, point.sum.expect("a sum"));
                    let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
                    let mut total = 0;
                    for (bound, count) in bounds.zip(&point.bucket_counts) {
                        total += count;
                        let bucket = key(&format!("{name}_bucket"), labels, Some(bound));
                        values.insert(bucket, total as f64);
                    }
                }
                continue;
            }
            other => panic!("{name}: {other:?}"),
        };
        for point in points {
            let value = match point.value.expect("a value") {
                Number::AsInt(value) => value as f64,
                Number::AsDouble(value) => value,
            };
            values.insert(key(name, &point.attributes, None), value);
        }
    }
    values
}

/// What the service itself measured.
fn own(mut values: Values) -> Values {
    values.retain(|key, _| key.starts_with("metald_"));
    values
}

/// Push and pull at once, from one registry, with equal values.
#[test]
fn m2_push_and_pull_have_equal_values() {
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let receiver = Receiver::start(protocol);
        let said = match protocol {
            Protocol::Grpc => trefoil::OtlpProtocol::Grpc,
            _ => trefoil::OtlpProtocol::HttpProtobuf,
        };
        let (telemetry, _dispatch) = service(&receiver).protocol(said).build();
        let registry = telemetry.registry();
        let operations: Counter<VmOperation> =
            registry.metric("metald_vm_operations_total").counter();
        let seconds: Histogram<OfOperation> =
            registry.metric("metald_vm_operation_duration_seconds").unit("s").histogram();
        let collected: Counter<Vm<'_>> =
            registry.metric("metald_metrics_collected_total").counter();
        let level: Gauge<(), f64> = registry.metric("metald_level").gauge();
        let running: UpDownCounter = registry.metric("metald_running").up_down_counter();
        std::thread::scope(|scope| {
            for thread in 0..4u32 {
                let (operations, seconds, collected) = (&operations, &seconds, &collected);
                let running = &running;
                scope.spawn(move || {
                    for i in 0..1000u32 {
                        let operation = Operation::ALL[(i % 3) as usize];
                        let status = Status::ALL[usize::from(i % 10 == 0)];
                        operations.inc(VmOperation { operation, status });
                        seconds.record(f64::from(i) * 0.011, OfOperation { operation });
                        collected.inc(Vm { vm_id: &format!("vm-{}", (i + thread) % 7) });
                        running.add(if i % 3 == 0 { -1 } else { 1 }, ());
                    }
                });
            }
        });
        level.set(0.75, ());
        let report = telemetry.flush(DEADLINE);
        assert!(report.complete, "{report}");
        let pushed = own(flatten(&receiver.metrics()));
        let pulled = own(scrape(telemetry.prometheus_address().expect("it is served")));
        assert_eq!(pushed, pulled);
        assert_eq!(pushed["metald_vm_operations_total,operation=create,status=failure"], 136.0);
        assert_eq!(pushed["metald_vm_operation_duration_seconds_count,operation=boot"], 1332.0);
        assert_eq!(pushed["metald_running"], 4.0 * (666.0 - 334.0));
        // The page that a program mounts itself is the same one.
        let (content_type, text) = telemetry.metrics_text("application/openmetrics-text");
        assert!(content_type.starts_with("application/openmetrics-text"), "{content_type}");
        assert!(text.contains("metald_level 0.75\n") && text.ends_with("# EOF\n"), "{text}");
        let address = telemetry.prometheus_address().expect("it is served");
        let report = telemetry.shutdown(DEADLINE);
        assert!(report.complete && report.lost() == 0, "{report}");
        std::net::TcpListener::bind(address).expect("the port is free again");
    }
}

/// A Prometheus that scrapes the port knows the values, types, help and units that are pushed.
#[test]
fn g6_a_real_prometheus_scrapes_what_is_pushed() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, _dispatch) = service(&receiver).build();
    let registry = telemetry.registry();
    let operations: Counter<VmOperation> =
        registry.metric("metald_vm_operations_total").description("Operations.").counter();
    let seconds: Histogram<OfOperation> =
        registry.metric("metald_vm_operation_duration_seconds").unit("s").histogram();
    let level: Gauge<(), f64> = registry.metric("metald_level").gauge();
    for i in 0..300u32 {
        let operation = Operation::ALL[(i % 3) as usize];
        operations.inc(VmOperation { operation, status: Status::ALL[usize::from(i % 10 == 0)] });
        seconds.record(f64::from(i) * 0.011, OfOperation { operation });
    }
    level.set(-0.75, ());
    assert!(telemetry.flush(DEADLINE).complete);
    let pushed = own(flatten(&receiver.metrics()));
    let target = telemetry.prometheus_address().expect("it is served");
    let Some(prometheus) = Prometheus::start(target) else {
        // Nothing is to be seen without it.
        eprintln!("SKIPPED: no prometheus; on Debian: apt-get install prometheus");
        return;
    };
    let answer = prometheus.ask("/api/v1/query?query=%7Bjob%3D%22metald%22%7D", |answer| {
        answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty())
    });
    let scraped = answer["data"]["result"].as_array().expect("a vector").iter().map(|series| {
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let labels = series["metric"].as_object().expect("labels");
        let mut parts = Vec::new();
        for (name, value) in labels {
            match (&**name, text(value)) {
                ("__name__" | "instance" | "job", _) => {}
                // It may write bounds in its own way.
                ("le", bound) if bound != "+Inf" => {
                    parts.push(format!("le={}", bound.parse::<f64>().expect("a number")));
                }
                (name, value) => parts.push(format!("{name}={value}")),
            }
        }
        parts.sort_unstable();
        parts.insert(0, text(&labels["__name__"]));
        (parts.join(","), text(&series["value"][1]).parse().expect("a number"))
    });
    assert_eq!(own(scraped.collect()), pushed);

    let metadata = prometheus.ask("/api/v1/metadata", |answer| answer["data"].is_object());
    let of = |metric: &str| &metadata["data"][metric][0];
    assert_eq!(of("metald_vm_operation_duration_seconds")["type"], "histogram");
    let counter = ["metald_vm_operations", "metald_vm_operations_total"].map(of);
    assert!(
        counter.iter().any(|of| of["type"] == "counter" && of["help"] == "Operations."),
        "{metadata}"
    );
    assert_eq!(of("metald_level")["type"], "gauge");
}

/// A Prometheus of its own that scrapes one target, killed when it is dropped.
struct Prometheus {
    child: std::process::Child,
    address: SocketAddr,
    _data: tempfile::TempDir,
}

impl Prometheus {
    /// `None` if the machine has none.
    fn start(target: SocketAddr) -> Option<Self> {
        let data = tempfile::tempdir().expect("a temporary folder");
        let config = data.path().join("prometheus.yml");
        let text = format!(
            "scrape_configs:\n- job_name: metald\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
        );
        std::fs::write(&config, text).expect("the configuration");
        // Another process could take the port before it does: then it ends, and the test fails.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let child = std::process::Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Prometheus { child, address, _data: data }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("prometheus: {error}"),
        }
    }

    /// Asks until the answer is there.
    fn ask(&self, path: &str, is_there: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let until = std::time::Instant::now() + DEADLINE;
        loop {
            let answer = self.get(path);
            if let Some(answer) = answer.as_ref().filter(|answer| is_there(answer)) {
                return answer.clone();
            }
            assert!(std::time::Instant::now() < until, "{path}: {answer:?}");
            // It scrapes when it does.
            #[allow(clippy::disallowed_methods)]
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn get(&self, path: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        // Without chunks, so that the body is as it is.
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// requests = success + failure + in flight, whenever one looks.
#[test]
fn m5_requests_are_success_failure_and_in_flight() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, _dispatch) = service(&receiver).build();
    let registry = telemetry.registry();
    let requests: Counter = registry.metric("metald_requests_total").counter();
    let operations: Counter<VmOperation> = registry.metric("metald_vm_operations_total").counter();
    let in_flight: UpDownCounter = registry.metric("metald_in_flight").up_down_counter();
    operations.fill();
    let begin = || {
        requests.inc(());
        in_flight.add(1, ());
    };
    let end = |operation, status| {
        operations.inc(VmOperation { operation, status });
        in_flight.add(-1, ());
    };
    let check = |waiting: f64| {
        let values = scrape(telemetry.prometheus_address().expect("it is served"));
        let ended: f64 = values
            .iter()
            .filter(|(key, _)| key.starts_with("metald_vm_operations_total"))
            .map(|(_, value)| value)
            .sum();
        assert_eq!(values["metald_in_flight"], waiting);
        assert_eq!(values["metald_requests_total"], ended + waiting, "{values:#?}");
    };
    for i in 0..30 {
        begin();
        if i % 3 == 0 {
            end(Operation::Boot, Status::Failure);
        } else if i % 3 == 1 {
            end(Operation::Delete, Status::Success);
        }
    }
    check(10.0);
    (0..10).for_each(|_| end(Operation::Create, Status::Success));
    check(0.0);
}

/// Process and tokio by the conventions' names, and what became of the telemetry.
#[test]
fn h3_runtime_metrics_are_pushed_and_the_sdk_counts_itself() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("a runtime");
    let receiver = Receiver::start(Protocol::Http);
    let builder = service(&receiver).runtime_metrics(true);
    let (telemetry, dispatch) = runtime.block_on(async { builder.build() });
    tracing::dispatcher::with_default(&dispatch, || {
        (0..7).for_each(|_| drop(tracing::info_span!("job").entered()));
    });
    // The first round counts spans as produced, the second as exported.
    (0..2).for_each(|_| drop(telemetry.flush(DEADLINE)));
    let values = flatten(&receiver.metrics());
    for name in [
        "process.cpu.time,cpu_mode=user",
        "process.cpu.time,cpu_mode=system",
        "process.memory.usage",
        "process.memory.virtual",
        "process.thread.count",
        "process.unix.file_descriptor.count",
        "process.uptime",
        "tokio.runtime.workers",
        "tokio.runtime.alive_tasks",
        "tokio.runtime.global_queue.depth",
        "tokio.runtime.worker.busy_time,tokio_worker=1",
    ] {
        assert!(values.contains_key(name), "no {name} in {values:#?}");
    }
    assert_eq!(values["tokio.runtime.workers"], 2.0);
    let spans = |what: &str| values[&format!("trefoil_sdk_{what}_total,signal=traces")];
    assert_eq!(spans("produced"), 7.0);
    assert_eq!(spans("exported"), 7.0);
    assert_eq!(values["trefoil_sdk_dropped_total,reason=queue_full,signal=traces"], 0.0);
    let scraped = scrape(telemetry.prometheus_address().expect("it is served"));
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_max_fds"] {
        assert!(scraped[name] > 0.0, "{name}");
    }
    assert!(!scraped.keys().any(|key| key.starts_with("process_cpu_time")), "{scraped:#?}");
}
