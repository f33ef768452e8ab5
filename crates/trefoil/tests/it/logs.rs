//! Log records at the other end of a socket (H5, H6, S12).

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::Level;
use trefoil::{Builder, Console, Dropped, Signal, Telemetry, Trefoil};
use trefoil_otlp_messages::common::v1::any_value::Value;
use trefoil_otlp_messages::common::v1::{AnyValue, KeyValue};
use trefoil_otlp_messages::logs::v1::LogRecord;

use crate::receiver::{Protocol, Receiver};

const SOON: Duration = Duration::from_secs(20);

fn telemetry(
    receiver: &Receiver,
    settings: impl FnOnce(Builder) -> Builder,
) -> (Telemetry, tracing::Dispatch) {
    let nothing: [(String, String); 0] = [];
    let builder = Trefoil::builder("hypeman")
        .variables(nothing)
        .enabled(true)
        .console(Console::Off)
        .runtime_metrics(false)
        .panic_hook(false)
        .code_location(false)
        .logs_follow_sampling(true)
        .otlp(&receiver.url());
    settings(builder).build()
}

fn with_default<T>(dispatch: &tracing::Dispatch, run: impl FnOnce() -> T) -> T {
    tracing::dispatcher::with_default(dispatch, run)
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    }
}

fn attributes(of: &[KeyValue]) -> BTreeMap<&str, String> {
    of.iter().map(|pair| (pair.key.as_str(), text(pair.value.as_ref()))).collect()
}

fn by_message(receiver: &Receiver) -> BTreeMap<String, LogRecord> {
    let records = receiver.log_records().into_iter();
    records.map(|record| (text(record.body.as_ref()), record)).collect()
}

#[test]
fn h5_records_know_trace_span_subsystem_and_resource() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = telemetry(&receiver, |builder| {
        builder.span_field("instance.id").baggage_attribute("tenant.id").version("1.2")
    });
    with_default(&dispatch, || {
        tracing::info!(target: "hypeman::api", "outside");
        let span = tracing::info_span!("boot", instance.id = "vm-1", secret = "no");
        span.in_scope(|| {
            tracing::warn!(target: "hypeman::instances::boot", kernel = "6.1", tries = 2, "slow");
            let deeper = tracing::info_span!("attach", subsystem = "NETWORK");
            deeper.in_scope(|| tracing::error!(target: "hypeman::instances", "no device"));
        });
    });
    telemetry.shutdown(SOON);

    let spans: BTreeMap<_, _> =
        receiver.spans().into_iter().map(|span| (span.name.clone(), span)).collect();
    let records = by_message(&receiver);
    let (outside, slow, no_device) = (&records["outside"], &records["slow"], &records["no device"]);
    assert!(outside.trace_id.is_empty() && outside.span_id.is_empty() && outside.flags == 0);
    assert_eq!(attributes(&outside.attributes)["subsystem"], "API");

    assert_eq!((&slow.trace_id, &slow.span_id), (&spans["boot"].trace_id, &spans["boot"].span_id));
    assert_eq!((slow.severity_number, slow.severity_text.as_str()), (13, "WARN"));
    assert_eq!(slow.flags & 1, 1, "the trace is sampled");
    assert!(slow.time_unix_nano > 0 && slow.observed_time_unix_nano > 0);
    let expect =
        [("kernel", "6.1"), ("tries", "2"), ("subsystem", "INSTANCES"), ("instance.id", "vm-1")];
    let expect: BTreeMap<_, _> = expect.map(|(key, value)| (key, value.to_owned())).into();
    assert_eq!(attributes(&slow.attributes), expect);

    assert_eq!(no_device.span_id, spans["attach"].span_id);
    assert_eq!(attributes(&no_device.attributes)["subsystem"], "NETWORK", "the nearest span's own");
    assert_eq!(attributes(&no_device.attributes)["instance.id"], "vm-1", "of the span around");

    let of_logs = &receiver.logs()[0].resource_logs[0];
    let of_spans = &receiver.traces()[0].resource_spans[0];
    assert_eq!(of_logs.resource, of_spans.resource, "one resource");
    let scopes: Vec<_> = receiver
        .logs()
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|of| &of.scope_logs)
        .map(|of| of.scope.as_ref().map(|scope| scope.name.clone()).unwrap_or_default())
        .collect();
    assert!(scopes.contains(&"hypeman::instances::boot".to_owned()), "{scopes:?}");
}

/// Records of a trace that is not sampled wait for its verdict and follow it.
#[test]
fn h5_m4_records_follow_the_verdict_over_their_trace() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = telemetry(&receiver, |builder| builder.sampling_rate(0.0));
    with_default(&dispatch, || {
        tracing::info_span!("forgotten").in_scope(|| {
            tracing::info!("chatter");
            tracing::warn!("worth telling");
        });
        tracing::info_span!("failed").in_scope(|| {
            tracing::info!("before the error");
            tracing::error!("the error");
        });
    });
    let report = telemetry.shutdown(SOON);
    let records = by_message(&receiver);
    let messages: Vec<_> = records.keys().map(String::as_str).collect();
    assert_eq!(messages, ["before the error", "the error", "worth telling"], "{report}");
    assert_eq!(records["before the error"].flags & 1, 1, "kept with its trace");
    assert_eq!(records["worth telling"].flags & 1, 0, "its trace is not there");
    let span = &receiver.spans()[0];
    assert_eq!((span.name.as_str(), &span.trace_id), ("failed", &records["the error"].trace_id));
}

#[test]
fn h5_identical_lines_are_counted_and_the_law_holds() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = telemetry(&receiver, |builder| builder.repeat_limit(3));
    with_default(&dispatch, || {
        for _ in 0..1000 {
            tracing::warn!("no answer");
        }
    });
    let handle = telemetry.handle();
    telemetry.shutdown(SOON);
    let counts = handle.counts(Signal::Logs);
    let held_back = counts.dropped(Dropped::RateLimited);
    let records = receiver.log_records();
    let told: u64 = records
        .iter()
        .filter_map(|record| {
            attributes(&record.attributes).get("log.repeated")?.parse::<u64>().ok()
        })
        .sum();
    // A second may have passed meanwhile, which lets three more through.
    assert!(held_back > 900, "{held_back}");
    assert_eq!(told, held_back, "what was held back is told as a number");
    assert_eq!(counts.produced, counts.exported + counts.dropped_total());
    assert_eq!(counts.exported, records.len() as u64);
}

#[test]
fn s12_levels_by_subsystem_change_while_the_program_runs() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = telemetry(&receiver, |builder| builder.level("warn,images=info"));
    with_default(&dispatch, || {
        let log = |round: u32| {
            tracing::info!(target: "hypeman::images", "images {round}");
            tracing::debug!(target: "hypeman::images", "images debug {round}");
            tracing::info!(target: "hypeman::api", "api {round}");
        };
        log(1);
        telemetry.set_log_level("IMAGES", Level::DEBUG);
        log(2);
        telemetry.set_log_level("images", None);
        telemetry.set_log_level("", Level::INFO);
        log(3);
    });
    telemetry.shutdown(SOON);
    let records = by_message(&receiver);
    let messages: Vec<_> = records.keys().map(String::as_str).collect();
    assert_eq!(messages, ["api 3", "images 1", "images 2", "images debug 2"]);
}

#[test]
fn s12_severities_go_from_trace_to_fatal() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = telemetry(&receiver, |builder| builder.level("trace"));
    with_default(&dispatch, || {
        tracing::trace!("1");
        tracing::debug!("5");
        tracing::info!("9");
        tracing::warn!("13");
        tracing::error!("17");
        trefoil::fatal!(code = 3, "21");
    });
    telemetry.shutdown(SOON);
    let records = by_message(&receiver);
    assert_eq!(records.len(), 6);
    for (number, record) in &records {
        assert_eq!(record.severity_number.to_string(), *number);
    }
    assert_eq!(records["21"].severity_text, "FATAL");
    assert_eq!(attributes(&records["21"].attributes)["code"], "3");
}
