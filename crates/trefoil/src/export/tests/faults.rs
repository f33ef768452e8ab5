//! The fault matrix: what can go wrong at a receiver × when. The service must end in time,
//! lose nothing uncounted, and not be slowed.

use std::time::Instant;

use super::*;

const SPANS: u64 = 1200;

/// All that lets a receiver come back later.
fn passing(protocol: OtlpProtocol) -> Vec<Fault> {
    let mut faults = vec![
        Fault::Refused,
        Fault::BlackHole,
        Fault::Reset,
        Fault::Garbage,
        Fault::Status(503, Some("0".to_owned())),
        Fault::Status(429, Some("1".to_owned())),
        Fault::Slow(Duration::from_millis(50)),
    ];
    if protocol == OtlpProtocol::Grpc {
        faults.push(Fault::Grpc(14, Some(Duration::from_millis(1))));
    }
    faults
}

/// All that refuses for good.
fn lasting(protocol: OtlpProtocol) -> Vec<Fault> {
    match protocol {
        OtlpProtocol::Grpc => {
            vec![Fault::Malformed, Fault::Grpc(3, None), Fault::Status(404, None)]
        }
        _ => vec![
            Fault::Malformed,
            Fault::Status(400, None),
            Fault::Redirect("http://127.0.0.1:1/".to_owned()),
        ],
    }
}

fn service(protocol: OtlpProtocol, receiver: &Receiver) -> Service {
    // A try ends soon, so that a black hole can be left behind.
    let timeout = Duration::from_millis(300);
    let to = |signal| {
        vec![ExporterSettings::Otlp(OtlpSettings { timeout, ..otlp(protocol, receiver, signal) })]
    };
    Service::start(Exporters {
        traces: to(Signal::Traces),
        metrics: to(Signal::Metrics),
        logs: to(Signal::Logs),
        ..Exporters::default()
    })
}

fn emit(service: &Service) {
    for i in 0..SPANS {
        let priority = if i % 100 == 0 { Priority::Error } else { Priority::Normal };
        service.span("jobs", priority);
    }
    service.log("disk is nearly full");
}

/// Ends the service and checks that it took no longer than it may, and that nothing is
/// left in the dark.
#[track_caller]
fn end(service: &Service, deadline: Duration, what: &str) {
    let begin = Instant::now();
    let lost = service.exporting.shutdown(deadline);
    let took = begin.elapsed();
    // The answer's slack, and a machine that is busy.
    assert!(took < deadline + Duration::from_secs(2), "{what}: {took:?}");
    let counts = service.counts();
    assert_eq!(counts.pending(), 0, "{what}: {counts:?}");
    assert_eq!(lost.traces, counts.dropped(Dropped::Shutdown), "{what}");
    assert_eq!(service.logs.account().read().pending(), 0, "{what}");
    assert_eq!(service.metrics.read().pending(), 0, "{what}");
    assert_eq!(service.traces.waiting(), Default::default(), "{what}");
}

#[test]
fn h6_a_fault_from_the_start_on_costs_the_telemetry_alone() {
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        for fault in passing(protocol).into_iter().chain(lasting(protocol)) {
            let what = format!("{protocol:?} {fault:?} at the start");
            let receiver = receiver_of(protocol);
            receiver.fault(fault.clone());
            let service = service(protocol, &receiver);
            emit(&service);
            end(&service, Duration::from_secs(2), &what);
            let arrived = receiver.spans().len() as u64;
            let exported = service.counts().exported;
            if let Fault::Slow(_) = fault {
                assert_eq!((arrived, exported), (SPANS, SPANS), "{what}");
            } else {
                assert_eq!((arrived, exported), (0, 0), "{what}");
            }
        }
    }
}

#[test]
fn h6_a_fault_that_passes_loses_nothing() {
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        for fault in passing(protocol) {
            let what = format!("{protocol:?} {fault:?} while it runs");
            let receiver = receiver_of(protocol);
            let service = service(protocol, &receiver);
            emit(&service);
            assert_eq!(service.exporting.flush(PATIENCE), Default::default(), "{what}");
            receiver.fault(fault);
            emit(&service);
            // Begins the tries, and ends before they do.
            service.exporting.flush(Duration::from_millis(50));
            service.counts();
            receiver.fault(Fault::None);
            assert_eq!(service.exporting.flush(PATIENCE), Default::default(), "{what}");
            end(&service, Duration::from_secs(2), &what);
            assert_eq!(service.counts().exported, 2 * SPANS, "{what}");
            // An answer that came too late is asked for again: at least once is the promise.
            let mut ids: Vec<_> = receiver.spans().into_iter().map(|span| span.span_id).collect();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len() as u64, 2 * SPANS, "{what}");
        }
    }
}

#[test]
fn h6_a_fault_at_the_end_does_not_hold_up_the_exit() {
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        for fault in passing(protocol).into_iter().chain(lasting(protocol)) {
            let what = format!("{protocol:?} {fault:?} at the end");
            let receiver = receiver_of(protocol);
            let service = service(protocol, &receiver);
            emit(&service);
            assert_eq!(service.exporting.flush(PATIENCE), Default::default(), "{what}");
            receiver.fault(fault);
            emit(&service);
            end(&service, Duration::from_millis(500), &what);
        }
    }
}

#[test]
fn g7_without_a_receiver_the_exit_is_immediate() {
    let receiver = receiver_of(OtlpProtocol::HttpProtobuf);
    receiver.fault(Fault::Refused);
    let service = service(OtlpProtocol::HttpProtobuf, &receiver);
    emit(&service);
    let begin = Instant::now();
    let lost = service.exporting.shutdown(NEVER);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!((lost.traces, lost.logs, lost.metrics), (SPANS, 1, 1));
    service.exporting.shutdown(NEVER);
    service.span("jobs", Priority::Error);
    assert_eq!(service.counts().dropped(Dropped::Shutdown), SPANS + 1, "what comes too late");
}

#[test]
fn t7_errors_go_last_when_the_receiver_is_away_for_long() {
    let receiver = receiver_of(OtlpProtocol::HttpProtobuf);
    receiver.fault(Fault::Refused);
    let settings = otlp(OtlpProtocol::HttpProtobuf, &receiver, Signal::Traces);
    // A batch is given up soon; errors of it are not.
    let batch = BatchSettings {
        delay: Duration::from_millis(10),
        export_timeout: Duration::from_millis(100),
        queue_items_max: 200,
        batch_items_max: 50,
        ..BatchSettings::default()
    };
    let service = Service::start_with(spans_to(settings), batch);
    let mut errors = 0;
    for i in 0..20_000 {
        let error = i % 200 == 0;
        errors += u64::from(error);
        service.span("jobs", if error { Priority::Error } else { Priority::Normal });
    }
    wait("batches were given up", || service.counts().dropped(Dropped::ExportFailed) > 0);
    let counts = service.counts();
    assert!(counts.dropped(Dropped::QueueFull) > 15_000, "{counts:?}");
    receiver.fault(Fault::None);
    service.exporting.flush(PATIENCE);
    end(&service, PATIENCE, "after the outage");
    let failed = receiver.spans().into_iter().filter(|span| {
        let number = u64::from_be_bytes(span.span_id.clone().try_into().unwrap());
        (number - 1) % 200 == 0
    });
    assert_eq!(failed.count() as u64, errors, "all errors arrive, whatever else is lost");
}

#[test]
fn h6_the_application_is_not_slowed() {
    let p999 = |fault: Fault| {
        let receiver = receiver_of(OtlpProtocol::HttpProtobuf);
        receiver.fault(fault);
        let service = service(OtlpProtocol::HttpProtobuf, &receiver);
        let message = span(1).encode_to_vec();
        let mut times: Vec<Duration> = (0..100_000)
            .map(|_| {
                let begin = Instant::now();
                service.traces.account().produced(1);
                service.traces.push("jobs", Priority::Normal, &message);
                begin.elapsed()
            })
            .collect();
        end(&service, Duration::from_secs(1), "after many pushes");
        times.sort();
        times[times.len() / 1000 * 999]
    };
    let healthy = p999(Fault::None);
    for fault in [Fault::Refused, Fault::BlackHole, Fault::Status(503, None)] {
        let faulty = p999(fault.clone());
        // A check of the kind "it never waits"; how close they are is the benchmark's matter.
        let limit = 20 * healthy + Duration::from_millis(2);
        assert!(faulty < limit, "{fault:?}: {faulty:?}, healthy {healthy:?}");
    }
}

#[test]
fn a_dead_receiver_does_not_starve_a_healthy_one() {
    let (healthy, dead) =
        (receiver_of(OtlpProtocol::Grpc), receiver_of(OtlpProtocol::HttpProtobuf));
    dead.fault(Fault::BlackHole);
    let to = [
        otlp(OtlpProtocol::Grpc, &healthy, Signal::Traces),
        otlp(OtlpProtocol::HttpProtobuf, &dead, Signal::Traces),
    ];
    let traces = to.map(ExporterSettings::Otlp).to_vec();
    let service = Service::start(Exporters { traces, ..Exporters::default() });
    for _ in 0..10 {
        let before = healthy.spans().len();
        service.spans(1024);
        healthy.wait("a round has arrived", |receiver| receiver.spans().len() == before + 1024);
    }
    service.counts();
    end(&service, Duration::from_millis(200), "one of two is dead");
    let status = service.exporting.status();
    assert_eq!(status[0].counts.exported, 10_240);
    assert_eq!(status[1].counts.exported, 0);
    assert_eq!(service.counts().exported, 10_240, "one that took it is enough");
}
