//! The exporter's thread in a whole process: that it keeps silent about itself, and what it
//! costs when nobody listens.

use std::time::{Duration, Instant};

use trefoil::{Console, Dropped, OtlpProtocol, Signal, Telemetry, Trefoil};
use trefoil_otlp_messages::common::v1::any_value::Value as Any;

use crate::child::{play, plays};
use crate::receiver::{Fault, Protocol, Receiver};

/// Where the receiver is, which must not be in the process that traces everything.
const ENDPOINT: &str = "TREFOIL_TEST_ENDPOINT";

const DEADLINE: Duration = Duration::from_secs(20);

fn install() -> Telemetry {
    let endpoint = std::env::var(ENDPOINT).unwrap();
    Trefoil::builder("hypeman")
        .variables([("ENV", "test")])
        .console(Console::Off)
        .runtime_metrics(false)
        .level("trace")
        .span_level("trace")
        .protocol(OtlpProtocol::Grpc)
        .otlp(&endpoint)
        .install()
        .unwrap()
}

#[test]
fn h6_nothing_the_exporter_does_is_traced() {
    let receiver = Receiver::start(Protocol::Grpc);
    let part = "export::part_that_traces_everything";
    let played = play(part, &[(ENDPOINT, &receiver.url())]);
    assert!(played.status.success(), "{}", played.stderr);
    let spans: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(spans, ["job", "job", "job"]);
    let records = receiver.log_records().into_iter();
    let records: Vec<_> = records.map(|record| record.body.unwrap().value.unwrap()).collect();
    assert_eq!(records, [(); 3].map(|()| Any::StringValue("done".to_owned())));
}

#[test]
fn part_that_traces_everything() {
    if !plays("export::part_that_traces_everything") {
        return;
    }
    let telemetry = install();
    for _ in 0..3 {
        tracing::info_span!("job").in_scope(|| tracing::info!("done"));
        telemetry.flush(DEADLINE);
    }
    let report = telemetry.shutdown(DEADLINE);
    assert!(report.complete, "{report}");
}

/// Spans a second, and how long.
const RATE: u32 = 50_000;
const OUTAGE: Duration = Duration::from_secs(5);
/// What an outage may cost.
const MEMORY_BYTES_MAX: u64 = 16 << 20;

#[test]
fn h6_a_dead_receiver_costs_little_memory_and_no_time_at_the_exit() {
    for fault in [Fault::Refused, Fault::BlackHole] {
        let receiver = Receiver::start(Protocol::Grpc);
        receiver.fault(fault.clone());
        let part = "export::part_that_nobody_listens_to";
        let played = play(part, &[(ENDPOINT, &receiver.url())]);
        assert!(played.status.success(), "{fault:?}: {}", played.stderr);
        let lines = played.stderr.lines().filter(|line| line.starts_with("trefoil: cannot send"));
        assert_eq!(lines.count(), 1, "one line for three signals: {}", played.stderr);
        println!("{fault:?}: {}", played.stderr);
    }
}

#[test]
fn part_that_nobody_listens_to() {
    if !plays("export::part_that_nobody_listens_to") {
        return;
    }
    let before = peak_bytes();
    let telemetry = install();
    let begin = Instant::now();
    let mut made = 0u32;
    while begin.elapsed() < OUTAGE {
        // A slow machine makes as many as it can.
        let due = (begin.elapsed().as_secs_f64() * f64::from(RATE)) as u32;
        for _ in 0..due.saturating_sub(made).min(RATE / 10) {
            made += 1;
            let span = tracing::info_span!("job.export", job.id = made, user = "someone");
            if made.is_multiple_of(1000) {
                span.in_scope(|| tracing::error!("the disk is full"));
            }
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let counts = telemetry.counts(Signal::Traces);
    let grown = peak_bytes() - before;
    let begin = Instant::now();
    let report = telemetry.shutdown(DEADLINE);
    let exit = begin.elapsed();
    eprintln!(
        "{made} spans, {grown} bytes more at the peak, exit in {exit:?}: {counts:?} {report}"
    );
    assert!(counts.dropped(Dropped::QueueFull) > 0, "{counts:?}");
    assert!(grown <= MEMORY_BYTES_MAX, "{grown} bytes");
    // One second, and what a busy machine adds.
    assert!(exit < Duration::from_secs(3), "{exit:?}");
}

/// Most bytes of memory that the process had at once.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
