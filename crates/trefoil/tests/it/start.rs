//! Start and end: one resource for three signals, whatever runtime, whatever the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::instrument::WithSubscriber as _;
use trefoil::{Builder, Console, Signal, Telemetry, Trefoil};
use trefoil_otlp_messages::common::v1::any_value::Value as Any;
use trefoil_otlp_messages::common::v1::{AnyValue, KeyValue};

use crate::child::{play, plays};
use crate::receiver::{Fault, Protocol, Receiver};

const DEADLINE: Duration = Duration::from_secs(20);

/// A service that sends to the receiver and hears nothing of the process's variables.
fn service(receiver: &Receiver) -> Builder {
    Trefoil::builder("hypeman")
        .variables([("ENV", "test")])
        .version("1.2.3")
        .console(Console::Off)
        .runtime_metrics(false)
        .otlp(&receiver.url())
}

/// A span with a record inside, and a count.
fn work(telemetry: &Telemetry) {
    let jobs: trefoil::Counter = telemetry.registry().metric("jobs_total").counter();
    jobs.add(1, ());
    let span = tracing::info_span!("job.export", job.id = 7);
    span.in_scope(|| tracing::warn!("the disk is nearly full"));
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|a| (a.key.clone(), text(a.value.as_ref()))).collect()
}

/// The resource of each request, by signal.
fn resources(receiver: &Receiver) -> Vec<BTreeMap<String, String>> {
    let traces = receiver.traces().into_iter().flat_map(|r| r.resource_spans);
    let traces = traces.filter_map(|r| r.resource);
    let metrics = receiver.metric_requests().into_iter().flat_map(|r| r.resource_metrics);
    let metrics = metrics.filter_map(|r| r.resource);
    let logs = receiver.logs().into_iter().flat_map(|r| r.resource_logs);
    let logs = logs.filter_map(|r| r.resource);
    traces.chain(metrics).chain(logs).map(|resource| attributes(&resource.attributes)).collect()
}

#[test]
fn h1_three_signals_have_one_resource() {
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let receiver = Receiver::start(protocol);
        let said = match protocol {
            Protocol::Grpc => trefoil::OtlpProtocol::Grpc,
            _ => trefoil::OtlpProtocol::HttpProtobuf,
        };
        let (telemetry, dispatch) = service(&receiver).protocol(said).build();
        tracing::dispatcher::with_default(&dispatch, || work(&telemetry));
        let report = telemetry.shutdown(DEADLINE);
        assert!(report.complete && report.lost() == 0, "{report}");

        let span = &receiver.spans()[0];
        let record = &receiver.log_records()[0];
        assert_eq!(span.name, "job.export");
        assert_eq!(text(record.body.as_ref()), "the disk is nearly full");
        assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
        assert!(receiver.metrics().iter().any(|metric| metric.name == "jobs_total"));
        let resources = resources(&receiver);
        assert_eq!(resources.len(), 3, "one request of each signal");
        assert!(resources.iter().all(|other| *other == resources[0]), "{resources:#?}");
        for (key, value) in [
            ("service.name", "hypeman"),
            ("service.version", "1.2.3"),
            ("deployment.environment", "test"),
            ("deployment.environment.name", "test"),
            ("telemetry.sdk.language", "rust"),
            ("process.pid", &std::process::id().to_string()),
        ] {
            assert_eq!(resources[0].get(key).map(String::as_str), Some(value), "{key}");
        }
        assert!(!resources[0]["service.instance.id"].is_empty());
    }
}

#[test]
fn h1_instances_of_a_service_have_different_ids() {
    let receiver = Receiver::start(Protocol::Http);
    let (one, _) = service(&receiver).build();
    let (other, _) = service(&receiver).build();
    let id = |telemetry: &Telemetry| {
        let id = telemetry.config().value("resource.service.instance.id");
        id.expect("it is always set").to_owned()
    };
    assert_ne!(id(&one), id(&other));
    assert_eq!(one.config().source("resource.service.instance.id").as_deref(), Some("detected"));
}

/// What a service does inside a runtime, up to the end of its telemetry.
async fn inside(receiver: &Receiver) -> trefoil::Report {
    let (telemetry, dispatch) = service(receiver).protocol(trefoil::OtlpProtocol::Grpc).build();
    async {
        work(&telemetry);
        tokio::task::yield_now().await;
        work(&telemetry);
    }
    .with_subscriber(dispatch)
    .await;
    telemetry.shutdown(DEADLINE)
}

#[track_caller]
fn arrived(receiver: &Receiver, report: &trefoil::Report) {
    assert!(report.complete && report.lost() == 0, "{report}");
    assert_eq!((receiver.spans().len(), receiver.log_records().len()), (2, 2));
}

#[test]
fn h7_works_in_every_runtime_and_in_none() {
    let receiver = Receiver::start(Protocol::Grpc);
    let current = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    arrived(&receiver, &current.block_on(inside(&receiver)));

    let receiver = Receiver::start(Protocol::Grpc);
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
    let multi = multi.expect("a runtime");
    arrived(&receiver, &multi.block_on(inside(&receiver)));

    // On the only worker, where waiting for a task of the same runtime would never end.
    let receiver = std::sync::Arc::new(Receiver::start(Protocol::Grpc));
    let inner = std::sync::Arc::clone(&receiver);
    let task = multi.spawn(async move { inside(&inner).await });
    arrived(&receiver, &multi.block_on(task).expect("the task ends"));

    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = service(&receiver).build();
    tracing::dispatcher::with_default(&dispatch, || (work(&telemetry), work(&telemetry)));
    arrived(&receiver, &telemetry.shutdown(DEADLINE));
}

#[test]
fn h7_flush_sends_and_goes_on() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = service(&receiver).build();
    let handle = telemetry.handle();
    tracing::dispatcher::with_default(&dispatch, || {
        for round in 1..=3 {
            work(&telemetry);
            let report = handle.flush(DEADLINE);
            assert!(report.complete, "{report}");
            assert_eq!(receiver.spans().len(), round);
            assert_eq!(handle.counts(Signal::Traces).exported, round as u64);
        }
    });
    drop(telemetry);
    assert!(!handle.is_enabled());
    // A handle that outlives the guard finds it ended, and nothing hangs or panics.
    assert_eq!(handle.flush(DEADLINE).traces.counts.exported, 3);
}

#[test]
fn h7_a_shutdown_says_what_was_lost_and_why() {
    let receiver = Receiver::start(Protocol::Http);
    receiver.fault(Fault::Refused);
    let (telemetry, dispatch) = service(&receiver).build();
    tracing::dispatcher::with_default(&dispatch, || work(&telemetry));
    let begin = Instant::now();
    let report = telemetry.shutdown(Duration::from_millis(200));
    assert!(begin.elapsed() < Duration::from_secs(5), "the deadline holds");
    assert!(!report.complete);
    assert_eq!((report.traces.lost_at_the_end(), report.logs.lost_at_the_end()), (1, 1));
    let said = report.to_string();
    for part in ["spans lost: 1 (shutdown 1)", "connection refused", &receiver.url()] {
        assert!(said.contains(part), "{part} in {said}");
    }
    for signal in report.signals() {
        let counts = signal.counts;
        let ended = counts.exported + counts.sampled_out + counts.dropped_total();
        assert_eq!(counts.produced, ended, "{signal}");
    }
}

/// Variables of a child that sends to the receiver.
fn variables(receiver: &Receiver) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
        ("LOG_FORMAT", "off".to_owned()),
    ]
}

fn run(part: &str, receiver: &Receiver, more: &[(&str, &str)]) -> crate::child::Played {
    let variables = variables(receiver);
    let variables = variables.iter().map(|(k, v)| (*k, v.as_str()));
    play(part, &variables.chain(more.iter().copied()).collect::<Vec<_>>())
}

fn bodies(receiver: &Receiver) -> Vec<String> {
    receiver.log_records().iter().map(|record| text(record.body.as_ref())).collect()
}

#[test]
fn h7_exit_loses_nothing() {
    let receiver = Receiver::start(Protocol::Http);
    let played = run("start::part_exit", &receiver, &[]);
    assert_eq!(played.status.code(), Some(3), "{}", played.stderr);
    assert_eq!(receiver.spans().len(), 1, "{}", played.stderr);
    assert_eq!(bodies(&receiver), ["the disk is nearly full"]);
}

#[test]
fn part_exit() {
    if plays("start::part_exit") {
        let telemetry = trefoil::init("svc").expect("the first");
        work(&telemetry);
        // Neither the guard nor anything else is dropped, which is the point.
        #[allow(clippy::disallowed_methods)]
        std::process::exit(3);
    }
}

#[test]
fn h7_a_panic_that_ends_the_process_loses_nothing() {
    let receiver = Receiver::start(Protocol::Http);
    let played = run("start::part_panic", &receiver, &[]);
    assert!(!played.status.success());
    assert!(played.stderr.contains("out of cheese"), "the former hook speaks: {}", played.stderr);
    let records = receiver.log_records();
    let panic = records.iter().find(|record| text(record.body.as_ref()).contains("panicked"));
    let panic = panic.expect("the panic is a record");
    assert_eq!(text(panic.body.as_ref()), "panicked: out of cheese");
    assert_eq!(panic.severity_number, 17);
    let attributes = attributes(&panic.attributes);
    assert_eq!(attributes["exception.message"], "out of cheese");
    assert_eq!(attributes["exception.type"], "panic");
    assert!(attributes["code.file.path"].ends_with("start.rs"), "{attributes:?}");
    assert!(!panic.trace_id.is_empty(), "it knows the span it happened in");
}

#[test]
fn part_panic() {
    if plays("start::part_panic") {
        let telemetry = trefoil::init("svc").expect("the first");
        work(&telemetry);
        std::mem::forget(telemetry);
        let main = std::thread::Builder::new().name("main".to_owned());
        let main = main.spawn(|| {
            let _inside = tracing::info_span!("job.export").entered();
            panic!("out of cheese");
        });
        assert!(main.expect("a thread").join().is_err());
        // Nothing runs after this: what is to leave has left.
        std::process::abort();
    }
}

#[test]
fn h7_an_error_out_of_main_loses_nothing() {
    let receiver = Receiver::start(Protocol::Http);
    let played = run("start::part_question_mark", &receiver, &[]);
    assert!(played.status.success(), "{}", played.stderr);
    assert_eq!((receiver.spans().len(), receiver.log_records().len()), (1, 1));
}

#[test]
fn part_question_mark() {
    fn main() -> Result<(), Box<dyn std::error::Error>> {
        let telemetry = trefoil::init("svc")?;
        work(&telemetry);
        "not a number".parse::<u32>()?;
        Ok(())
    }
    if plays("start::part_question_mark") {
        assert!(main().is_err());
    }
}

#[test]
fn h7_a_second_init_is_a_mistake_and_the_first_goes_on() {
    let receiver = Receiver::start(Protocol::Http);
    let played = run("start::part_twice", &receiver, &[]);
    assert!(played.status.success(), "{}", played.stderr);
    assert_eq!(receiver.spans().len(), 1);
}

#[test]
fn part_twice() {
    if plays("start::part_twice") {
        let telemetry = trefoil::init("svc").expect("the first");
        let error = trefoil::init("svc").expect_err("the second");
        assert!(error.to_string().contains("call trefoil::init before"), "{error}");
        work(&telemetry);
    }
}

#[test]
fn t8_disabled_starts_nothing() {
    let receiver = Receiver::start(Protocol::Http);
    for variable in [("OTEL_SDK_DISABLED", "true"), ("OTEL_ENABLED", "false")] {
        let played = run("start::part_disabled", &receiver, &[variable]);
        assert!(played.status.success(), "{}", played.stderr);
        assert_eq!(receiver.connections(), 0, "{variable:?}");
        let played = run("start::part_disabled", &receiver, &[variable, ("LOG_FORMAT", "pretty")]);
        assert!(played.status.success(), "{}", played.stderr);
        assert!(played.stderr.contains("the disk is nearly full"), "the console stays");
    }
}

#[test]
fn part_disabled() {
    if plays("start::part_disabled") {
        let telemetry = trefoil::init("svc").expect("the first");
        assert!(!telemetry.is_enabled());
        assert!(tracing::info_span!("job.export").is_disabled());
        work(&telemetry);
        let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
        let names = threads
            .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        let ours: Vec<_> = names.filter(|name| name.starts_with("trefoil-export")).collect();
        assert!(ours.is_empty(), "{ours:?}");
        let report = telemetry.shutdown(DEADLINE);
        assert_eq!(report.lost(), 0, "{report}");
    }
}

#[test]
fn h2_bad_values_are_told_once_and_nothing_fails() {
    let receiver = Receiver::start(Protocol::Http);
    let bad = [("OTEL_BSP_MAX_QUEUE_SIZE", "lots"), ("OTEL_TRACES_SAMPLER", "dice")];
    let played = run("start::part_question_mark", &receiver, &bad);
    assert!(played.status.success(), "{}", played.stderr);
    for line in [
        "trefoil: OTEL_BSP_MAX_QUEUE_SIZE=lots: expected a whole number, 1 or more",
        "trefoil: OTEL_TRACES_SAMPLER=dice: there is no such sampler",
    ] {
        assert_eq!(played.stderr.matches(line).count(), 1, "{line} in {}", played.stderr);
    }
    assert_eq!(receiver.spans().len(), 1);
}
