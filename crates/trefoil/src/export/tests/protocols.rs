//! Jaeger, standard output, memory, several at once.

use super::*;
use crate::export::receiver::jaeger::{self, Thrift};
use trefoil_otlp_messages::trace::v1::span::{Event, Link};
use trefoil_otlp_messages::trace::v1::{Span, Status};

/// A span with everything.
fn rich() -> Span {
    Span {
        trace_id: (1..=16).collect(),
        span_id: vec![0xf1, 2, 3, 4, 5, 6, 7, 8],
        parent_span_id: vec![9; 8],
        trace_state: "ot=th:8".to_owned(),
        name: "GET /users/{id}".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_001_000,
        end_time_unix_nano: 1_700_000_000_012_346_000,
        attributes: vec![
            attribute("http.route", Any::StringValue("/users/{id}".into())),
            attribute("retry", Any::BoolValue(true)),
            attribute("bytes", Any::IntValue(-5)),
            attribute("ratio", Any::DoubleValue(0.25)),
            attribute("raw", Any::BytesValue(vec![1, 2])),
            attribute(
                "tags",
                Any::ArrayValue(trefoil_otlp_messages::common::v1::ArrayValue {
                    values: vec![any(Any::StringValue("a".into())), any(Any::IntValue(1))],
                }),
            ),
        ],
        events: vec![Event {
            time_unix_nano: 1_700_000_000_002_000_000,
            name: "exception".to_owned(),
            attributes: vec![attribute("exception.type", Any::StringValue("Timeout".into()))],
            dropped_attributes_count: 3,
        }],
        links: vec![Link { trace_id: vec![7; 16], span_id: vec![8; 8], ..Link::default() }],
        status: Some(Status { message: "too late".to_owned(), code: 2 }),
        dropped_events_count: 4,
        ..Span::default()
    }
}

fn push(service: &Service, span: &Span) {
    service.traces.account().produced(1);
    service.traces.push("my.scope", Priority::Normal, &span.encode_to_vec());
}

fn to_jaeger(settings: ExporterSettings) -> Service {
    Service::start(Exporters { traces: vec![settings], ..Exporters::default() })
}

fn check_batch(batch: &Thrift) {
    let process = batch.field(1);
    assert_eq!(process.field(1).text(), "images");
    assert_eq!(process.field(2).tags()["host.cpus"], Thrift::Int(2));
    let span = &batch.field(2).list()[0];
    let id = |half: i64| u64::from_be_bytes(half.to_be_bytes());
    assert_eq!(id(span.field(1).int()), 0x090a_0b0c_0d0e_0f10, "traceIdLow");
    assert_eq!(id(span.field(2).int()), 0x0102_0304_0506_0708, "traceIdHigh");
    assert_eq!(id(span.field(3).int()), 0xf102_0304_0506_0708, "spanId");
    assert_eq!(id(span.field(4).int()), 0x0909_0909_0909_0909, "parentSpanId");
    assert_eq!(span.field(5).text(), "GET /users/{id}");
    let reference = &span.field(6).list()[0];
    assert_eq!(reference.field(1).int(), 1, "FOLLOWS_FROM");
    assert_eq!(id(reference.field(4).int()), 0x0808_0808_0808_0808);
    assert_eq!(span.field(7).int() & 1, 1, "sampled");
    assert_eq!(span.field(8).int(), 1_700_000_000_000_001, "microseconds");
    assert_eq!(span.field(9).int(), 12_345);
    let text = |text: &str| Thrift::Bytes(text.as_bytes().to_vec());
    let expected = [
        ("bytes", Thrift::Int(-5)),
        ("error", Thrift::Bool(true)),
        ("http.route", text("/users/{id}")),
        ("otel.dropped_events_count", Thrift::Int(4)),
        ("otel.scope.name", text("my.scope")),
        ("otel.status_code", text("ERROR")),
        ("otel.status_description", text("too late")),
        ("ratio", Thrift::Double(0.25)),
        ("raw", Thrift::Bytes(vec![1, 2])),
        ("retry", Thrift::Bool(true)),
        ("span.kind", text("server")),
        ("tags", text(r#"["a",1]"#)),
        ("w3c.tracestate", text("ot=th:8")),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(span.field(10).tags(), expected.into());
    let log = &span.field(11).list()[0];
    assert_eq!(log.field(1).int(), 1_700_000_000_002_000);
    let fields = log.field(2).tags();
    assert_eq!(fields["event"], text("exception"));
    assert_eq!(fields["exception.type"], text("Timeout"));
    assert_eq!(fields["otel.event.dropped_attributes_count"], Thrift::Int(3));
}

#[test]
fn t1_jaegers_collector_takes_thrift_over_http() {
    let receiver = Receiver::start(Protocol::Jaeger);
    let endpoint = format!("{}/api/traces", receiver.url());
    let settings = ExporterSettings::JaegerCollector { endpoint, timeout: PATIENCE, proxy: None };
    let service = to_jaeger(settings);
    push(&service, &rich());
    receiver.script([Fault::Status(503, None)]);
    assert_eq!(service.exporting.flush(PATIENCE).traces, 0);
    let received = receiver.received();
    assert_eq!((received.len(), receiver.requests()), (1, 2));
    assert_eq!(received[0].path, "/api/traces");
    let kind = received[0].header("content-type");
    assert_eq!(kind, Some("application/vnd.apache.thrift.binary"));
    check_batch(&jaeger::read_binary(&received[0].body));
    assert_eq!(service.counts().exported, 1);
    push(&service, &rich());
    receiver.script([Fault::Status(400, None)]);
    service.exporting.flush(PATIENCE);
    assert_eq!(service.counts().dropped(Dropped::Refused), 1);
}

#[test]
fn t1_jaegers_agent_takes_packets_of_its_size() {
    let agent = jaeger::Agent::start();
    let service = to_jaeger(ExporterSettings::JaegerAgent { address: agent.address() });
    push(&service, &rich());
    assert_eq!(service.exporting.flush(PATIENCE).traces, 0);
    wait("the packet has come", || agent.packets().len() == 1);
    check_batch(&agent.batches()[0]);
    // One too large for any packet, among some that need several.
    let filled = |bytes: usize| {
        let filling = attribute("filling", Any::StringValue("x".repeat(bytes)));
        Span { attributes: vec![filling], ..rich() }
    };
    for bytes in [20_000, 20_000, 70_000, 20_000, 20_000, 20_000] {
        push(&service, &filled(bytes));
    }
    assert_eq!(service.exporting.flush(PATIENCE).traces, 0);
    wait("all have come", || {
        agent.batches().iter().map(|batch| batch.field(2).list().len()).sum::<usize>() == 6
    });
    assert!(agent.packets().iter().all(|packet| packet.len() <= 65_000));
    assert_eq!(agent.packets().len(), 3);
    let counts = service.counts();
    assert_eq!((counts.exported, counts.dropped(Dropped::Refused)), (6, 1));
}

#[test]
fn jaeger_takes_many_spans_and_nothing_but_spans() {
    let agent = jaeger::Agent::start();
    let to = ExporterSettings::JaegerAgent { address: agent.address() };
    let service = Service::start(Exporters {
        traces: vec![to.clone()],
        logs: vec![to],
        ..Exporters::default()
    });
    service.spans(400);
    service.log("nobody reads it");
    service.exporting.flush(PATIENCE);
    wait("all have come", || {
        agent.batches().iter().map(|batch| batch.field(2).list().len()).sum::<usize>() == 400
    });
    assert_eq!(service.logs.account().read().dropped(Dropped::Refused), 1);
    let logs = &service.exporting.status()[1];
    assert!(logs.last_error.clone().unwrap().1.contains("Jaeger takes traces"));
}

#[test]
fn several_exporters_get_the_same_and_memory_is_one() {
    let memory = Memory::default();
    let receiver = receiver_of(OtlpProtocol::Grpc);
    let agent = jaeger::Agent::start();
    let traces = vec![
        ExporterSettings::Otlp(otlp(OtlpProtocol::Grpc, &receiver, Signal::Traces)),
        ExporterSettings::Memory(memory.clone()),
        ExporterSettings::JaegerAgent { address: agent.address() },
    ];
    let service = Service::start(Exporters { traces, ..Exporters::default() });
    service.spans(3);
    assert_eq!(service.exporting.flush(PATIENCE), Default::default());
    let kept = memory.requests.lock().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].signal, Signal::Traces);
    assert_eq!(kept[0].body, receiver.received()[0].body);
    wait("the packet has come", || agent.packets().len() == 1);
    assert_eq!(service.counts().exported, 3);
    assert!(service.exporting.status().iter().all(|status| status.counts.exported == 3));
}

#[test]
fn without_an_exporter_items_are_left_out_on_purpose() {
    let service = Service::start(Exporters::default());
    service.spans(3);
    assert_eq!(service.exporting.flush(PATIENCE), Default::default());
    let counts = service.traces.account().read();
    assert_eq!((counts.sampled_out, counts.pending()), (3, 0));
    service.exporting.shutdown(PATIENCE);
}

#[test]
fn the_runtime_of_the_service_does_not_matter() {
    let check = |what: &str, end: &dyn Fn(Service)| {
        let receiver = receiver_of(OtlpProtocol::Grpc);
        let service = Service::start(spans_to(otlp(OtlpProtocol::Grpc, &receiver, Signal::Traces)));
        service.spans(3);
        end(service);
        assert_eq!(receiver.spans().len(), 3, "{what}");
    };
    let ends = |service: Service| {
        assert_eq!(service.exporting.flush(PATIENCE), Default::default());
        assert_eq!(service.exporting.shutdown(PATIENCE), Default::default());
    };
    check("no runtime", &ends);
    for workers in [0, 1, 2] {
        let runtime = || match workers {
            0 => tokio::runtime::Builder::new_current_thread().build().unwrap(),
            n => tokio::runtime::Builder::new_multi_thread().worker_threads(n).build().unwrap(),
        };
        let what = format!("{workers} workers");
        check(&what, &|service| runtime().block_on(async { ends(service) }));
        check(&what, &|service| {
            runtime().block_on(async { tokio::spawn(async move { ends(service) }).await.unwrap() });
        });
    }
}
