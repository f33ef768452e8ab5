//! A service that emits 50,000 spans a second while its receiver is away.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

const SPANS_PER_SECOND: u64 = 50_000;

/// Prints `peak_kb p50_ns p999_ns max_ns exit_ms`.
pub(crate) fn run(name: &str, kind: &str, seconds: u64) {
    let endpoint = receiver(kind);
    let before = peak_kb();
    let stop: Box<dyn FnOnce()> = match name {
        "trefoil" => {
            let telemetry = trefoil::Trefoil::builder("bench")
                .otlp(&endpoint)
                .protocol(trefoil::OtlpProtocol::HttpProtobuf)
                .variables([("OTEL_LOGS_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")])
                .console(trefoil::Console::Off)
                .install()
                .expect("nothing else is installed");
            Box::new(move || {
                telemetry.shutdown(Duration::from_secs(1));
            })
        }
        _ => stock(&endpoint),
    };
    let mut latencies = emit(seconds);
    latencies.sort_unstable();
    let start = Instant::now();
    stop();
    let exit = start.elapsed();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!("{} {} {} {} {}", peak_kb() - before, at(0.5), at(0.999), at(1.0), exit.as_millis());
}

fn stock(endpoint: &str) -> Box<dyn FnOnce()> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .build()
        .expect("the endpoint is valid");
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    tracing::subscriber::set_global_default(Registry::default().with(layer))
        .expect("nothing else is installed");
    Box::new(move || {
        let _ = provider.shutdown();
    })
}

/// Nanoseconds of each operation. Every hundredth span fails.
fn emit(seconds: u64) -> Vec<u32> {
    let start = Instant::now();
    let total = seconds * SPANS_PER_SECOND;
    let mut latencies = Vec::with_capacity(total as usize);
    let mut done = 0;
    while done < total {
        let due = (start.elapsed().as_secs_f64() * SPANS_PER_SECOND as f64) as u64;
        if due <= done {
            std::thread::sleep(Duration::from_micros(200));
        }
        while done < due.min(total) {
            let before = Instant::now();
            let span = tracing::info_span!("vm.create", vm.id = done, vm.name = "web-1");
            if done.is_multiple_of(100) {
                let _in = span.enter();
                tracing::error!("no machine has room");
            }
            drop(span);
            latencies.push(before.elapsed().as_nanos() as u32);
            done += 1;
        }
    }
    latencies
}

/// The endpoint of a receiver that is well, or away in one of the known ways.
fn receiver(kind: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let scheme = if kind == "tls" { "https" } else { "http" };
    let endpoint = format!("{scheme}://{}", listener.local_addr().expect("it is bound"));
    let reply = match kind {
        "well" => Reply::Says(Duration::ZERO, OK),
        "slow" => Reply::Says(SLOW, OK),
        "unavailable" => Reply::Says(Duration::ZERO, UNAVAILABLE),
        "malformed" => Reply::Says(Duration::ZERO, MALFORMED),
        "tls" | "reset" => Reply::Resets,
        "black-hole" => {
            std::mem::forget(listener);
            return endpoint;
        }
        "refused" => return endpoint,
        other => panic!("no receiver is `{other}`"),
    };
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || reply.to(connection));
        }
    });
    endpoint
}

/// How long a slow receiver takes: less than any exporter waits, more than any can afford.
const SLOW: Duration = Duration::from_secs(2);
const OK: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const MALFORMED: &str = "SMTP 220 this is no answer\r\n\r\n";

/// What a receiver does with a connection.
#[derive(Clone, Copy)]
enum Reply {
    /// Reads the beginning of a request, or of a handshake, and goes away.
    Resets,
    /// Takes requests with a length; after a while it says this to each.
    Says(Duration, &'static str),
}

impl Reply {
    fn to(self, mut connection: TcpStream) {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read) = connection.read(&mut buffer) {
            let Reply::Says(delay, response) = self else { return };
            if read == 0 {
                return;
            }
            bytes.extend_from_slice(&buffer[..read]);
            while let Some(length) = request_length(&bytes).filter(|l| bytes.len() >= *l) {
                bytes.drain(..length);
                std::thread::sleep(delay);
                if connection.write_all(response.as_bytes()).is_err() {
                    return;
                }
            }
        }
    }
}

/// The bytes of the first request, head and body, once its head is there.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| {
        rest.split("\r\n").next().and_then(|value| value.trim().parse::<usize>().ok())
    });
    Some(end + 4 + length.unwrap_or(0))
}

fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
