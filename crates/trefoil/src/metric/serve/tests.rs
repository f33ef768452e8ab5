use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use trefoil_wire::exposition;

use super::*;
use crate::metric::tests::settings;
use crate::metric::{Buckets, Counter, Gauge, Histogram};
use crate::value::Value;
use crate::{label_enum, labels};

#[test]
fn the_format_is_the_one_that_is_preferred() {
    let check = |accept: &str, expect: Format| assert_eq!(choose(accept), expect, "{accept}");
    check("", Format::Prometheus);
    check("*/*", Format::Prometheus);
    check("text/html,application/xhtml+xml,*/*;q=0.8", Format::Prometheus);
    check("application/openmetrics-text", Format::OpenMetrics);
    check("application/openmetrics-text; version=1.0.0; q=0", Format::Prometheus);
    // What Prometheus 2.5 and 3 send.
    check(
        "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        Format::OpenMetrics,
    );
    check(
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
         application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;\
         escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1",
        Format::OpenMetrics,
    );
    let text = "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.5";
    check(text, Format::Prometheus);
}

#[test]
fn gzip_is_for_those_who_ask_for_it() {
    let check = |header: &str, expect: bool| assert_eq!(accepts_gzip(header), expect, "{header}");
    check("", false);
    check("gzip", true);
    check("br, GZIP;q=0.5", true);
    check("gzip;q=0", false);
    check("deflate", false);
}

/// One request over a connection of its own: head and body.
fn ask(address: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&answer[..end]).to_lowercase(), answer[end + 4..].to_vec())
}

fn serving(registry: &Arc<Registry>, runtime: bool) -> Serving {
    let attributes = vec![
        ("service.name".to_owned(), Value::from("hypeman")),
        ("service.version".to_owned(), Value::from("1.2\n\"3\"")),
    ];
    let resource = Arc::new(Resource::new(attributes));
    let prometheus = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let settings = MetricSettings { prometheus, runtime, ..settings() };
    let (serving, warning) = Serving::start(&settings, registry, &resource);
    assert_eq!(warning, None);
    serving
}

#[test]
fn metrics_are_served_in_both_formats_plain_and_packed() {
    let registry = Arc::new(Registry::new());
    let things: Counter = registry.metric("things_total").description("Things.").counter();
    things.add(7, ());
    let serving = serving(&registry, false);
    let address = serving.address().unwrap();
    assert_eq!(serving.last_read_ns(), None);

    let (head, body) = ask(address, "GET /metrics HTTP/1.1");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let expect = "# HELP target_info Who exports the metrics.\n# TYPE target_info gauge\n\
        target_info{service_name=\"hypeman\",service_version=\"1.2\\n\\\"3\\\"\"} 1\n\
        # HELP things_total Things.\n# TYPE things_total counter\nthings_total 7\n";
    assert_eq!(String::from_utf8(body).unwrap(), expect);
    assert!(serving.last_read_ns().is_some());

    let many: Gauge<crate::metric::AnyLabels> = registry.metric("many").gauge();
    (0..200).for_each(|i| many.set(1.0, &[("i", i.into())]));
    let request = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\
                   Accept-Encoding: gzip";
    let (head, body) = ask(address, request);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let mut text = Vec::new();
    compression::decompress(Encoding::Gzip, &body, 1 << 20, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let families = exposition::parse(&text, Format::OpenMetrics).unwrap();
    assert_eq!(families.iter().map(|f| f.name).collect::<Vec<_>>(), ["target", "many", "things"]);
    assert_eq!(families[1].samples.len(), 200);

    let check = |request: &str, status: &str, body: &str| {
        let (head, got) = ask(address, request);
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{request}: {head}");
        assert_eq!(String::from_utf8(got).unwrap(), body, "{request}");
    };
    check("GET /health HTTP/1.1", "200", "ok\n");
    check("HEAD /metrics HTTP/1.1", "200", "");
    check("POST /metrics HTTP/1.1", "405", "only GET and HEAD\n");
    let (head, _) = ask(address, "GET / HTTP/1.1");
    assert!(head.starts_with("http/1.1 404"), "{head}");
}

#[test]
fn a_port_that_is_taken_is_a_warning_and_stopping_frees_it() {
    let registry = Arc::new(Registry::new());
    let first = serving(&registry, false);
    let address = first.address().unwrap();
    let settings = MetricSettings { prometheus: Some(address), ..settings() };
    let resource = Arc::new(Resource::new(Vec::new()));
    let (second, warning) = Serving::start(&settings, &registry, &resource);
    let warning = warning.unwrap();
    assert!(
        warning.contains(&address.to_string()) && warning.contains("another port"),
        "{warning}"
    );
    // The page can still be mounted elsewhere.
    assert!(second.text("").1.contains("target_info"));
    // A client that never says anything does not hold it up.
    let _idle = TcpStream::connect(address).unwrap();
    drop(first);
    std::net::TcpListener::bind(address).unwrap();
}

/// Scraped under load, the values move (H3).
#[test]
fn h3_process_and_tokio_are_reported_and_their_values_move() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let registry = Arc::new(Registry::new());
    let serving = runtime.block_on(async { serving(&registry, true) });
    let address = serving.address().unwrap();
    let scrape = || {
        let (_, body) = ask(address, "GET /metrics HTTP/1.1");
        let text = String::from_utf8(body).unwrap();
        let families = exposition::parse(&text, Format::Prometheus).unwrap();
        let samples = families.iter().flat_map(|family| &family.samples);
        let sum = |name: &str| -> Option<f64> {
            let named: Vec<f64> =
                samples.clone().filter(|s| s.name == name).map(|s| s.value).collect();
            (!named.is_empty()).then(|| named.iter().sum())
        };
        let names = [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
            "process_start_time_seconds",
            "tokio_runtime_workers",
            "tokio_runtime_alive_tasks",
            "tokio_runtime_worker_busy_time_seconds_total",
            "tokio_runtime_worker_parks_total",
        ];
        names.map(|name| sum(name).unwrap_or_else(|| panic!("no {name} in\n{text}")))
    };
    let before = scrape();
    let now = clock::now_ns() as f64 / 1e9;
    assert!(before[6] > now - 3600.0 * 24.0 && before[6] <= now + 2.0, "start at {}", before[6]);
    let hog = vec![1u8; 64 << 20];
    let files: Vec<_> = (0..300).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
    for _ in 0..3 {
        runtime.spawn(std::future::pending::<()>());
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let work = (0..4).map(|_| {
            runtime.spawn(async { (0..500_000u64).fold(0, |a, b| std::hint::black_box(a ^ b)) })
        });
        work.collect::<Vec<_>>().into_iter().for_each(|task| {
            runtime.block_on(task).unwrap();
        });
        let after = scrape();
        let more = |i: usize, by: f64| after[i] >= before[i] + by;
        // Other tests of this process give memory and files back meanwhile.
        let held = more(1, 30e6) && more(2, 30e6) && more(3, 100.0);
        let moved = more(0, 0.05) && held && more(8, 3.0);
        if moved && more(9, 0.01) && more(10, 1.0) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{before:?} {after:?}");
    }
    assert!(hog.iter().all(|byte| *byte == 1) && files.len() == 300);
    // The conventions' names are for receivers of OTLP alone.
    let all = registry.collect();
    assert!(all.iter().any(|metric| metric.definition.name == "process.cpu.time"));
}

label_enum! {
    enum Status { Success, Failed }
}
labels! {
    struct ByStatus { status: Status }
    struct Request<'a> { method: &'a str, path: &'a str, status: u16 }
    struct State<'a> { state: &'a str }
    struct Vmm<'a> { operation: &'a str, status: Status }
}

/// Names, kinds and units of the table stand as they are written, and Prometheus's own tool
/// reads the text (H4).
#[test]
fn h4_the_names_of_the_table_stand() {
    let registry = Arc::new(Registry::new());
    let page = document_000(&registry);
    let expect: [(&str, &str); 13] = [
        ("hypeman_exec_bytes_sent_total", "counter"),
        ("hypeman_http_request_duration_seconds", "histogram"),
        ("hypeman_http_requests_total", "counter"),
        ("hypeman_images_build_duration_seconds", "histogram"),
        ("hypeman_images_build_queue_length", "gauge"),
        ("hypeman_images_total", "gauge"),
        ("hypeman_info", "gauge"),
        ("hypeman_instances_total", "gauge"),
        ("hypeman_network_allocations_total", "gauge"),
        ("hypeman_uptime_seconds", "gauge"),
        ("hypeman_vmm_api_duration_seconds", "histogram"),
        ("hypeman_vmm_api_errors_total", "counter"),
        ("hypeman_volumes_used_bytes", "gauge"),
    ];
    let families = exposition::parse(&page, Format::Prometheus).unwrap();
    let found: Vec<_> = families.iter().map(|f| (f.name, f.kind.as_str())).collect();
    assert_eq!(found, expect);
    let strict = registry.write_text(Format::OpenMetrics, None);
    exposition::parse(&strict, Format::OpenMetrics).unwrap_or_else(|e| panic!("{e}\n{strict}"));
    promtool(&page);
}

fn document_000(registry: &Arc<Registry>) -> String {
    let seconds = |name: &'static str| registry.metric(name).unit("s").description("x");
    super::super::install_service(
        registry,
        "hypeman",
        &[("version", "1.0"), ("rust_version", "1.95")],
    );
    let requests: Counter<Request<'_>> =
        registry.metric("hypeman_http_requests_total").description("x").counter();
    let request = Request { method: "GET", path: "/health", status: 200 };
    requests.inc(request);
    seconds("hypeman_http_request_duration_seconds")
        .histogram::<Request<'_>>()
        .record(0.2, request);
    let queue = registry.metric("hypeman_images_build_queue_length").description("x");
    queue.gauge::<(), i64>().set(3, ());
    let build = seconds("hypeman_images_build_duration_seconds")
        .buckets(Buckets::Explicit(std::borrow::Cow::Borrowed(&[1.0, 10.0, 60.0])));
    build.histogram::<ByStatus>().record(12.0, ByStatus { status: Status::Success });
    let images: Gauge<ByStatus> = registry.metric("hypeman_images_total").description("x").gauge();
    images.set(5.0, ByStatus { status: Status::Failed });
    let instances = registry.metric("hypeman_instances_total").description("x");
    instances.gauge::<State<'_>, u64>().set(2, State { state: "running" });
    let ips = registry.metric("hypeman_network_allocations_total").description("x");
    ips.up_down_counter::<(), i64>().add(4, ());
    let used = registry.metric("hypeman_volumes_used_bytes").unit("By").description("x");
    used.gauge::<(), u64>().set(1 << 40, ());
    let calls: Histogram<Vmm<'_>> = seconds("hypeman_vmm_api_duration_seconds").histogram();
    calls.record(0.01, Vmm { operation: "boot", status: Status::Failed });
    let errors = registry.metric("hypeman_vmm_api_errors_total").description("x");
    errors.counter::<State<'_>, u64>().inc(State { state: "boot" });
    let bytes = registry.metric("hypeman_exec_bytes_sent_total").unit("By").description("x");
    bytes.counter::<(), u64>().add(4096, ());
    registry.write_text(Format::Prometheus, None)
}

/// Has the text checked where the tool is at hand. That gauges are called `_total` is the
/// document's wish, which it dislikes.
fn promtool(text: &str) {
    let tool = std::env::var_os("PROMTOOL").unwrap_or("promtool".into());
    let child = Command::new(tool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: no promtool; name one in PROMTOOL");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let others: Vec<_> = said
        .lines()
        .filter(|line| !line.contains("non-counter metrics should not have \"_total\" suffix"))
        .collect();
    assert_eq!(others, [""; 0], "{text}");
}
