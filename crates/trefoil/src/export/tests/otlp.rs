//! OTLP: what arrives, what is tried again and what is not, TLS.

use super::*;
use crate::export::receiver::tls::Certificates;

#[test]
fn h1_three_signals_arrive_with_one_resource_over_each_protocol() {
    for protocol in PROTOCOLS {
        for gzip in [false, true] {
            let receiver = receiver_of(protocol);
            let to = |signal| {
                let settings = OtlpSettings { gzip, ..otlp(protocol, &receiver, signal) };
                vec![ExporterSettings::Otlp(settings)]
            };
            let service = Service::start(Exporters {
                traces: to(Signal::Traces),
                metrics: to(Signal::Metrics),
                logs: to(Signal::Logs),
                ..Exporters::default()
            });
            service.span("jobs", Priority::Normal);
            service.span("http", Priority::Error);
            service.spans(20);
            service.log("disk is nearly full");
            assert_eq!(service.exporting.flush(PATIENCE), Default::default());
            check_arrived(&receiver);
            assert_eq!(service.counts().exported, 22);
            assert_eq!(service.metrics.read().exported, 1);
            let received = receiver.received();
            let first = received.iter().find(|received| received.path.contains("trace")).unwrap();
            assert_eq!(first.header("x-tenant"), Some("blue"));
            assert!(first.header("user-agent").unwrap().starts_with("trefoil/"));
            let encoded = first.header("content-encoding").or(first.header("grpc-encoding"));
            assert_eq!(encoded.is_some(), gzip, "{protocol:?}");
            assert_eq!(service.exporting.shutdown(PATIENCE), Default::default());
        }
    }
}

fn check_arrived(receiver: &Receiver) {
    let (traces, metrics, logs) = (receiver.traces(), receiver.metric_requests(), receiver.logs());
    assert_eq!((traces.len(), metrics.len(), logs.len()), (1, 1, 1));
    let resource = traces[0].resource_spans[0].resource.clone().unwrap();
    let expected =
        [("service.name", Any::StringValue("images".into())), ("host.cpus", Any::IntValue(2))];
    assert_eq!(resource.attributes, expected.map(|(key, value)| attribute(key, value)));
    assert_eq!(metrics[0].resource_metrics[0].resource, Some(resource.clone()));
    assert_eq!(logs[0].resource_logs[0].resource, Some(resource));
    // Errors leave first, and each scope has its spans.
    let scopes: Vec<_> = traces[0].resource_spans[0]
        .scope_spans
        .iter()
        .map(|of| (of.scope.clone().unwrap().name, of.spans.len()))
        .collect();
    assert_eq!(scopes, [("http".to_owned(), 1), ("jobs".to_owned(), 21)]);
    assert_eq!(traces[0].resource_spans[0].scope_spans[0].spans, [span(2)]);
    assert_eq!(receiver.metrics()[0].name, "jobs");
    let body = receiver.log_records()[0].body.clone();
    assert_eq!(body, Some(any(Any::StringValue("disk is nearly full".into()))));
}

#[test]
fn t7_a_full_batch_leaves_at_once_and_the_rest_after_the_delay() {
    let receiver = receiver_of(OtlpProtocol::Grpc);
    let to = spans_to(otlp(OtlpProtocol::Grpc, &receiver, Signal::Traces));
    let service = Service::start(to.clone());
    service.spans(511);
    service.spans(2);
    receiver.wait("a batch has arrived", |receiver| receiver.spans().len() >= 512);
    service.exporting.shutdown(PATIENCE);
    let sizes: Vec<_> =
        receiver.traces().iter().map(|r| r.resource_spans[0].scope_spans[0].spans.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 513);
    assert!(sizes.iter().all(|size| *size <= 512), "{sizes:?}");
    let delay = Duration::from_millis(20);
    let service = Service::start_with(to, BatchSettings { delay, ..BatchSettings::default() });
    service.spans(1);
    receiver.wait("the delay has ended", |receiver| receiver.spans().len() == 514);
}

#[test]
fn connections_are_kept() {
    for protocol in PROTOCOLS {
        let receiver = receiver_of(protocol);
        let service = Service::start(spans_to(otlp(protocol, &receiver, Signal::Traces)));
        for _ in 0..5 {
            service.spans(1);
            service.exporting.flush(PATIENCE);
        }
        assert_eq!((receiver.spans().len(), receiver.connections()), (5, 1), "{protocol:?}");
    }
}

/// Sends one span to a receiver with these faults first, and gives how often it was asked.
fn tries(protocol: OtlpProtocol, faults: &[Fault], exported: u64) -> usize {
    let receiver = receiver_of(protocol);
    receiver.script(faults.iter().cloned());
    let service = Service::start(spans_to(otlp(protocol, &receiver, Signal::Traces)));
    service.spans(1);
    assert_eq!(service.exporting.flush(PATIENCE), Default::default(), "{faults:?}");
    let counts = service.counts();
    let told = service.exporting.status()[0].last_error.clone();
    assert_eq!(counts.exported, exported, "{protocol:?} {faults:?}: {told:?}");
    assert_eq!(counts.dropped(Dropped::Refused), 1 - exported, "{faults:?}: {told:?}");
    receiver.requests()
}

#[test]
fn http_is_tried_again_as_the_protocol_says() {
    for protocol in [OtlpProtocol::HttpProtobuf, OtlpProtocol::HttpJson] {
        for status in [429, 502, 503, 504] {
            let after = Some("0".to_owned());
            assert_eq!(tries(protocol, &[Fault::Status(status, after)], 1), 2, "{status}");
        }
        for status in [400, 401, 403, 404, 413, 500, 501] {
            let refused = [Fault::Status(status, Some("0".to_owned()))];
            assert_eq!(tries(protocol, &refused, 0), 1, "{status}");
        }
        let elsewhere = Fault::Redirect("http://127.0.0.1:1/".to_owned());
        assert_eq!(tries(protocol, &[elsewhere], 0), 1);
        assert_eq!(tries(protocol, &[Fault::Malformed], 0), 1);
    }
    // Without a word when, after a pause.
    assert_eq!(tries(OtlpProtocol::HttpProtobuf, &[Fault::Status(503, None)], 1), 2);
}

#[test]
fn grpc_is_tried_again_as_the_protocol_says() {
    let soon = Some(Duration::from_millis(1));
    let tries = |fault: Fault, exported| tries(OtlpProtocol::Grpc, &[fault], exported);
    for code in [1, 4, 8, 10, 11, 14, 15] {
        assert_eq!(tries(Fault::Grpc(code, soon), 1), 2, "{code}");
    }
    for code in [2, 3, 5, 6, 7, 9, 12, 13, 16] {
        assert_eq!(tries(Fault::Grpc(code, soon), 0), 1, "{code}");
    }
    assert_eq!(tries(Fault::Grpc(8, None), 0), 1, "no RetryInfo: never");
    assert_eq!(tries(Fault::Grpc(14, None), 1), 2);
    assert_eq!(tries(Fault::Status(503, None), 1), 2);
    assert_eq!(tries(Fault::Status(404, None), 0), 1);
    assert_eq!(tries(Fault::Malformed, 0), 1);
}

#[test]
fn retry_after_is_kept_to() {
    let receiver = receiver_of(OtlpProtocol::HttpProtobuf);
    receiver.script([Fault::Status(503, Some("2".to_owned()))]);
    let to = spans_to(otlp(OtlpProtocol::HttpProtobuf, &receiver, Signal::Traces));
    let service = Service::start(to);
    service.spans(1);
    let begin = std::time::Instant::now();
    assert_eq!(service.exporting.flush(PATIENCE).traces, 0);
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn a_partial_success_is_counted_and_its_message_told() {
    for protocol in PROTOCOLS {
        let receiver = receiver_of(protocol);
        receiver.script([Fault::Partial(2, "two are too old".to_owned())]);
        let service = Service::start(spans_to(otlp(protocol, &receiver, Signal::Traces)));
        service.spans(5);
        service.exporting.flush(PATIENCE);
        let counts = service.counts();
        assert_eq!((counts.exported, counts.dropped(Dropped::Refused)), (3, 2), "{protocol:?}");
        let (_, told) = service.exporting.status()[0].last_error.clone().unwrap();
        assert!(told.contains("two are too old"), "{told}");
    }
}

#[test]
fn tls_and_mutual_tls_with_an_authority_of_ones_own() {
    let certificates = Certificates::new();
    let (certificate, key) = certificates.client();
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        let (kind, alpn): (_, &[u8]) = match protocol {
            OtlpProtocol::Grpc => (Protocol::Grpc, b"h2"),
            _ => (Protocol::Http, b"http/1.1"),
        };
        for mutual in [false, true] {
            let acceptor = certificates.acceptor(mutual, alpn);
            let receiver = Receiver::start_with(kind, Some(acceptor));
            let mut settings = otlp(protocol, &receiver, Signal::Traces);
            settings.tls.ca = Some(certificates.ca());
            if mutual {
                settings.tls.client_certificate = Some(certificate.clone());
                settings.tls.client_key = Some(key.clone());
            }
            let service = Service::start(spans_to(settings));
            service.spans(3);
            service.exporting.flush(PATIENCE);
            assert_eq!(receiver.spans().len(), 3, "{protocol:?}, mutual: {mutual}");
        }
    }
}

#[test]
fn a_receiver_of_an_unknown_authority_gets_nothing() {
    let certificates = Certificates::new();
    let acceptor = certificates.acceptor(false, b"http/1.1");
    let receiver = Receiver::start_with(Protocol::Http, Some(acceptor));
    let mut settings = otlp(OtlpProtocol::HttpProtobuf, &receiver, Signal::Traces);
    settings.tls.ca = Some(Certificates::new().ca());
    // The folder of that authority is gone: the exporter is off, and says why.
    let service = Service::start(spans_to(settings.clone()));
    service.spans(1);
    service.exporting.flush(PATIENCE);
    assert_eq!(service.counts().dropped(Dropped::Refused), 1);
    let (_, why) = service.exporting.status()[0].last_error.clone().unwrap();
    assert!(why.contains("ca.pem") && why.contains("cannot be read"), "{why}");
    let others = Certificates::new();
    settings.tls.ca = Some(others.ca());
    let service = Service::start(spans_to(settings));
    service.spans(1);
    service.exporting.shutdown(Duration::from_secs(5));
    assert_eq!(service.counts().dropped(Dropped::Shutdown), 1);
    let (_, why) = service.exporting.status()[0].last_error.clone().unwrap();
    assert!(why.contains("TLS with localhost failed"), "{why}");
    assert_eq!(receiver.requests(), 0);
}
