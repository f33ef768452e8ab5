use log::Log as _;

use super::super::bridge::Bridge;
use crate::testing::{Captured, capture};
use crate::value::Value;

/// `log`'s macros over our bridge alone, whatever logger the process has.
fn log(level: log::Level, target: &str, line: u32, text: &str) {
    let pairs: &[(&str, log::kv::Value<'_>)] =
        &[("job", 7.into()), ("ok", true.into()), ("name", "a b".into())];
    let mut record = log::Record::builder();
    record.level(level).target(target).file(Some(file!())).line(Some(line)).key_values(&pairs);
    Bridge.log(&record.args(format_args!("{text}")).build());
}

fn messages(captured: &Captured) -> Vec<String> {
    captured.logs().into_iter().map(|log| log.message).collect()
}

#[test]
fn h5_records_of_log_know_their_span_target_and_pairs() {
    let captured = capture("hypeman");
    captured.run(|| {
        let span = tracing::info_span!("boot");
        span.in_scope(|| log(log::Level::Warn, "hypeman::images", 1, "pulled"));
    });
    let (spans, logs) = (captured.spans(), captured.logs());
    assert_eq!(logs.len(), 1);
    let record = &logs[0];
    assert_eq!((record.severity.as_str(), record.severity_number), ("WARN", 13));
    assert_eq!((record.message.as_str(), record.scope.as_str()), ("pulled", "hypeman::images"));
    assert_eq!(record.span_id, Some(spans[0].span_id));
    assert_eq!(record.attribute("subsystem"), Some(&Value::from("IMAGES")));
    assert_eq!(record.attribute("job"), Some(&Value::Int(7)));
    assert_eq!(record.attribute("ok"), Some(&Value::Bool(true)));
    assert_eq!(record.attribute("name"), Some(&Value::from("a b")));
}

/// With its feature `log-always`, `tracing` hands each event to `log` right after us.
#[test]
fn h5_what_tracing_hands_to_log_is_not_told_twice() {
    let captured = capture("hypeman");
    captured.run(|| {
        for round in 0..3 {
            tracing::info!("event {round}");
            log(log::Level::Info, module_path!(), line!() - 1, "the same event");
        }
        log(log::Level::Info, module_path!(), line!(), "of its own");
        log(log::Level::Info, "tracing::span", line!(), "span life");
    });
    assert_eq!(messages(&captured), ["event 0", "event 1", "event 2", "of its own"]);
}

#[test]
fn s12_levels_hold_for_records_of_log() {
    let captured = capture("hypeman");
    captured.telemetry().set_log_level("", tracing::Level::WARN);
    captured.telemetry().set_log_level("images", tracing::Level::DEBUG);
    captured.run(|| {
        log(log::Level::Info, "hypeman::api", 1, "api");
        log(log::Level::Debug, "hypeman::images", 2, "images");
        log(log::Level::Error, "hypeman::api", 3, "error");
    });
    assert_eq!(messages(&captured), ["images", "error"]);
}
