//! What a record says, read from the console's JSON, which is made of the record's bytes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::Level;
use tracing_core::span;
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};

use super::console::Style;
use super::*;
use crate::config::{BatchSettings, ConsoleStream};

#[cfg(feature = "log")]
mod bridge;
mod level;
mod repeat;

/// A stream that lies in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream(Arc<Mutex<Vec<u8>>>);

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

pub(super) fn settings() -> LogSettings {
    LogSettings {
        exporters: Vec::new(),
        batch: BatchSettings::default(),
        console: crate::config::Console::Off,
        console_stream: ConsoleStream::ByForm,
        levels: "trace".to_owned(),
        subsystems: Vec::new(),
        limits: Default::default(),
        code_location: false,
        span_fields: Vec::new(),
        repeat_limit: None,
        body: LogBody::Message,
        follow_sampling: true,
    }
}

/// Logs whose console is a stream in memory.
pub(super) fn logs(settings: &LogSettings, style: Style) -> (Arc<Logs>, Stream) {
    let account = Arc::new(Account::default());
    let queue = Arc::new(Queue::new(BatchSettings::default(), Arc::clone(&account)));
    let mut logs = Logs::new(settings, &["hypeman"], &[], queue, account, None);
    let stream = Stream::default();
    logs.console = Some(Console::to(style, true, Box::new(stream.clone())));
    (Arc::new(logs), stream)
}

/// A subscriber that knows logs alone.
pub(super) struct Only(pub(super) Arc<Logs>);

impl Subscriber for Only {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() {
            return Interest::never();
        }
        self.0.interest(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.max_level_hint())
    }

    fn event(&self, event: &Event<'_>) {
        // 2023-11-14T22:13:20.123456789Z
        self.0.on_event(event, None, 1_700_000_000_123_456_789);
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

/// The line without its timestamp that `log` makes.
fn check(edit: impl FnOnce(&mut LogSettings), log: impl FnOnce(), expect: &str) {
    let mut settings = settings();
    edit(&mut settings);
    let (logs, stream) = logs(&settings, Style::Json);
    tracing::subscriber::with_default(Only(logs), log);
    let lines = stream.text();
    let lines = lines.replace("{\"timestamp\":\"2023-11-14T22:13:20.123456Z\",", "");
    assert_eq!(lines.trim_end(), expect);
}

#[test]
fn h5_an_event_becomes_a_record_with_typed_fields() {
    check(
        |_| {},
        || {
            tracing::info!(
                target: "hypeman::images::pull",
                image = "alpine", bytes = 12_u64, ratio = 0.5, cached = true, r#type = ?Some(1),
                "pulled {} of {}", 1, 2
            );
        },
        r#""level":"INFO","message":"pulled 1 of 2","target":"hypeman::images::pull","subsystem":"IMAGES","image":"alpine","bytes":12,"ratio":0.5,"cached":true,"type":"Some(1)"}"#,
    );
}

#[test]
fn numbers_that_otlp_has_no_type_for_become_text() {
    check(
        |_| {},
        || tracing::warn!(target: "x", a = u64::MAX, b = i128::MIN, c = 7_u128, "big"),
        r#""level":"WARN","message":"big","target":"x","subsystem":"X","a":"18446744073709551615","b":"-170141183460469231731687303715884105728","c":7}"#,
    );
}

#[test]
fn h5_the_subsystem_is_the_events_own_or_declared_or_the_module() {
    let declare = |settings: &mut LogSettings| {
        settings.subsystems =
            vec![("fleet".into(), "FLEET".into()), ("fleet::vm".into(), "INSTANCES".into())];
    };
    let named = |target: &str, subsystem: &str| {
        format!(r#""level":"INFO","message":"m","target":"{target}","subsystem":"{subsystem}"}}"#)
    };
    check(
        declare,
        || tracing::info!(target: "fleet::vm::boot", "m"),
        &named("fleet::vm::boot", "INSTANCES"),
    );
    check(declare, || tracing::info!(target: "fleet::vmm", "m"), &named("fleet::vmm", "FLEET"));
    check(declare, || tracing::info!(target: "hypeman", "m"), &named("hypeman", "HYPEMAN"));
    check(
        declare,
        || tracing::info!(target: "tower_http::trace", "m"),
        &named("tower_http::trace", "TOWER_HTTP"),
    );
    check(
        declare,
        || tracing::info!(target: "fleet::vm", subsystem = "API", "m"),
        &named("fleet::vm", "API"),
    );
}

#[test]
fn an_error_keeps_its_text_and_its_causes() {
    #[derive(Debug)]
    struct Failed(&'static str, Option<Box<Failed>>);
    impl std::fmt::Display for Failed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }
    impl std::error::Error for Failed {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_deref().map(|error| error as _)
        }
    }
    let below = Failed("connection refused", None);
    let error = Failed("no image", Some(Box::new(Failed("no registry", Some(Box::new(below))))));
    check(
        |_| {},
        || tracing::error!(target: "x", error = &error as &dyn std::error::Error, "failed"),
        r#""level":"ERROR","message":"failed","target":"x","subsystem":"X","error":"no image","error.cause":["no registry","connection refused"]}"#,
    );
}

#[test]
fn s12_fatal_is_above_error() {
    check(
        |_| {},
        || {
            tracing::error!(target: "x", fatal = true, "a");
            tracing::error!(target: "x", fatal = false, "b");
        },
        "\"level\":\"FATAL\",\"message\":\"a\",\"target\":\"x\",\"subsystem\":\"X\"}\n\"level\":\"ERROR\",\"message\":\"b\",\"target\":\"x\",\"subsystem\":\"X\"}",
    );
}

#[test]
fn a_field_that_logs_while_it_is_formatted_does_no_harm() {
    // A subscriber of a scope, unlike a global one, does not see events within events.
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            tracing::info!(target: "x", "inner");
            f.write_str("chatty")
        }
    }
    check(
        |_| {},
        || tracing::info!(target: "x", value = ?Chatty, "outer"),
        r#""level":"INFO","message":"outer","target":"x","subsystem":"X","value":"chatty"}"#,
    );
}

#[test]
fn limits_cut_texts_and_count_attributes() {
    let limit = |settings: &mut LogSettings| {
        settings.limits.attributes = 2;
        settings.limits.value_bytes = Some(4);
    };
    check(
        limit,
        || tracing::info!(target: "x", a = "ééé", b = %"12345", c = 1, "message"),
        r#""level":"INFO","message":"mess","target":"x","subsystem":"X","a":"éé","b":"1234"}"#,
    );
}

#[test]
fn fields_named_like_ours_and_texts_of_any_kind_stay_json() {
    check(
        |_| {},
        || tracing::info!(target: "x", level = "a\"b\\c\n\u{1}", timestamp = f64::NAN, "tab\there"),
        r#""level":"INFO","message":"tab\there","target":"x","subsystem":"X","field.level":"a\"b\\c\n\u0001","field.timestamp":"NaN"}"#,
    );
}

#[test]
fn lines_for_people_are_aligned_and_cannot_paint_the_terminal() {
    let (logs, stream) = logs(&settings(), Style::Pretty { colour: false });
    tracing::subscriber::with_default(Only(logs), || {
        tracing::info!(target: "hypeman::api", path = "/a b", count = 3, "ready\nsteady \u{1b}[31m");
        tracing::debug!(target: "hyper", "x");
    });
    let expect = "22:13:20.123  INFO API         ready\n    steady \\u{1b}[31m  path=\"/a b\"  count=3\n\
                  22:13:20.123 DEBUG HYPER       x\n";
    assert_eq!(stream.text(), expect);
}

#[test]
fn the_code_location_is_told_if_asked_for() {
    check(
        |settings| settings.code_location = true,
        || tracing::info!(target: "x", "m"),
        &format!(
            r#""level":"INFO","message":"m","target":"x","subsystem":"X","code.file.path":"{}","code.line.number":{}}}"#,
            file!(),
            line!() - 4
        ),
    );
}

/// Other tests' subscribers make `tracing` ask again; this one is asked for each event.
#[test]
fn s12_levels_change_while_the_program_runs() {
    let mut settings = settings();
    settings.levels = "warn,images=debug".to_owned();
    let (logs, stream) = logs(&settings, Style::Json);
    let count = || stream.text().lines().count();
    tracing::subscriber::with_default(Only(Arc::clone(&logs)), || {
        let log = || {
            tracing::info!(target: "hypeman::api", "a");
            tracing::debug!(target: "hypeman::images", "b");
            tracing::debug!(target: "hypeman::api", subsystem = "images", "c");
        };
        log();
        assert_eq!(count(), 2, "{}", stream.text());
        logs.set_level("API", LevelFilter::INFO);
        log();
        assert_eq!(count(), 5, "{}", stream.text());
        logs.set_level("images", LevelFilter::OFF);
        log();
        assert_eq!(count(), 6, "{}", stream.text());
        logs.set_level("", LevelFilter::TRACE);
        logs.set_level("API", LevelFilter::OFF);
        tracing::trace!(target: "other", "d");
        assert_eq!(count(), 7, "{}", stream.text());
    });
}

#[test]
fn h6_a_stream_that_fails_or_is_stuck_costs_lines_and_no_time() {
    let record = |text: &str| {
        let mut w = Writer::new();
        let mut record = trefoil_wire::otlp::logs::LogRecordWriter(&mut w);
        record.severity(9, "INFO");
        record.body(|w| w.str(text));
        w.into_bytes()
    };
    let soon = || Instant::now() + Duration::from_secs(20);

    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let console = Console::to(Style::Json, false, Box::new(Closed));
    for _ in 0..10 {
        console.write("x", &record("lost"));
        console.flush(soon());
    }
    assert_eq!(console.lost(), 10);

    /// Takes nothing until it may.
    struct Stuck(Stream, Arc<Mutex<()>>);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _open = self.1.lock().unwrap();
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (stream, gate) = (Stream::default(), Arc::new(Mutex::new(())));
    let closed = gate.lock().unwrap();
    let stuck = Stuck(stream.clone(), Arc::clone(&gate));
    let console = Console::to(Style::Json, false, Box::new(stuck));
    let long = "x".repeat(10_000);
    for _ in 0..1000 {
        console.write("x", &record(&long));
    }
    console.flush(Instant::now());
    let lost = console.lost();
    assert!((700..1000).contains(&lost), "{lost} of 1000 lines of 10 kB lost");
    drop(closed);
    console.flush(soon());
    console.write("x", &record("after"));
    console.flush(soon());
    assert_eq!(console.lost(), lost);
    let text = stream.text();
    assert_eq!(text.matches(&long).count() as u64 + lost, 1000, "each line is written or counted");
    assert!(text.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "whole lines");
    assert!(text.contains(&format!("{lost} lines lost here")), "the stream says so itself");
    assert!(
        text.ends_with("\"message\":\"after\",\"target\":\"x\"}\n"),
        "{}",
        &text[text.len() - 200..]
    );
}
