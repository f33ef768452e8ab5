//! Records of the `log` crate become records of ours.
//!
//! They go to the subscriber of the thread that logs, so a test that captures telemetry
//! captures them, too.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use log::kv::{self, VisitSource, VisitValue};
use tracing_core::dispatcher;
use tracing_core::{Level, LevelFilter, Metadata};
use trefoil_wire::otlp::logs::LogRecordWriter;

use super::{Logs, record, subsystem};
use crate::subscriber::Subscriber;

/// Targets whose names are kept as names of scopes; others go by the name `log`.
const TARGETS_MAX: usize = 1024;

thread_local! {
    /// Where the thread's last `tracing` event was: its file's text and its line.
    static LAST_EVENT: Cell<(usize, u32)> = const { Cell::new((0, 0)) };
}

/// Notes an event. With its feature `log-always`, `tracing` hands each event to `log`, too,
/// right after the subscriber has seen it: the same text of the same place.
pub(super) fn note_event(metadata: &Metadata<'_>) {
    let place = place(metadata.file(), metadata.line());
    let _ = LAST_EVENT.try_with(|last| last.set(place));
}

/// Whether `log`'s logger is ours.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Lets through `log`'s own filter what ours may want.
pub(super) fn follow(level: LevelFilter) {
    if !INSTALLED.load(Ordering::Relaxed) {
        return;
    }
    log::set_max_level(match level.into_level() {
        None => log::LevelFilter::Off,
        Some(Level::ERROR) => log::LevelFilter::Error,
        Some(Level::WARN) => log::LevelFilter::Warn,
        Some(Level::INFO) => log::LevelFilter::Info,
        Some(Level::DEBUG) => log::LevelFilter::Debug,
        Some(Level::TRACE) => log::LevelFilter::Trace,
    });
}

/// The logger that `log` knows.
#[derive(Debug)]
pub(crate) struct Bridge;

impl Bridge {
    /// Becomes `log`'s logger, unless the program has one already; then it stays.
    pub(crate) fn install(logs: &Logs) {
        static BRIDGE: Bridge = Bridge;
        if log::set_logger(&BRIDGE).is_ok() {
            INSTALLED.store(true, Ordering::Relaxed);
            follow(logs.max_level_hint());
        }
    }
}

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // What `tracing` tells of its spans is no record, and the exporter is silent.
        !crate::export::is_exporting()
            && !metadata.target().starts_with("tracing::span")
            && with_logs(|logs, _| logs.wants(metadata.target(), level(metadata.level())))
                .unwrap_or_default()
    }

    fn log(&self, record: &log::Record<'_>) {
        let place = place(record.file(), record.line());
        let is_twice = LAST_EVENT.try_with(|last| last.replace((0, 0)) == place);
        if (is_twice.unwrap_or_default() && place.0 != 0) || !self.enabled(record.metadata()) {
            return;
        }
        with_logs(|logs, now_ns| logs.on_log(record, now_ns));
    }

    fn flush(&self) {}
}

impl Logs {
    fn wants(&self, target: &str, level: Level) -> bool {
        self.levels.enabled(target, &self.subsystems.of(target), level)
    }

    fn on_log(&self, log: &log::Record<'_>, now_ns: u64) {
        let level = level(log.level());
        let scope = scope(log.target());
        let current = crate::span::current();
        self.encoded(|w| {
            LogRecordWriter(w).times(now_ns, now_ns);
            let line_at = w.len();
            let mut record = LogRecordWriter(w);
            let (severity, text) = record::severity(level);
            record.severity(severity, text);
            record.body(|w| {
                w.format(*log.args(), record::TEXT_BYTES_MAX);
            });
            if self.callsites.code_location {
                if let Some(file) = log.file() {
                    record.attribute("code.file.path", |w| w.str(file));
                }
                if let Some(line) = log.line() {
                    record.attribute("code.line.number", |w| w.int(i64::from(line)));
                }
            }
            let mut pairs = Pairs { record, subsystem: None };
            // Only a failing visitor fails, and ours does not.
            let _ = log.key_values().visit(&mut pairs);
            let Pairs { mut record, subsystem } = pairs;
            let subsystem = subsystem.or_else(|| self.span_subsystem_name());
            let of_target = || self.subsystems.of(log.target()).into_owned();
            let subsystem = subsystem.unwrap_or_else(of_target);
            record.attribute(subsystem::FIELD, |w| w.str(&subsystem));
            let finished = record::close(
                record,
                line_at,
                severity,
                &self.fields,
                &|_| false,
                current.as_ref(),
            );
            self.send(scope, current.as_ref(), now_ns, &finished, w.as_bytes());
        });
    }
}

/// The key-value pairs of a record.
struct Pairs<'w> {
    record: LogRecordWriter<'w>,
    subsystem: Option<String>,
}

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        if key.as_str() == subsystem::FIELD {
            self.subsystem = Some(value.to_string());
            return Ok(());
        }
        self.record.attribute(key.as_str(), |w| {
            let _ = value.visit(Pair(w));
        });
        Ok(())
    }
}

struct Pair<'a, 'w>(&'a mut trefoil_wire::otlp::ValueWriter<'w>);

impl<'v> VisitValue<'v> for Pair<'_, '_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.0.format(format_args!("{value}"), record::TEXT_BYTES_MAX);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0.bool(value);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0.int(value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0.double(value);
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.visit_any(kv::Value::from(value)),
        }
    }
}

/// The logs of the thread's subscriber, if it is ours.
fn with_logs<T>(read: impl FnOnce(&Logs, u64) -> T) -> Option<T> {
    let mut read = Some(read);
    dispatcher::get_default(|dispatch| {
        let logs = dispatch.downcast_ref::<Subscriber>()?.logs();
        read.take().map(|read| read(logs, crate::clock::now_ns()))
    })
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::ERROR,
        log::Level::Warn => Level::WARN,
        log::Level::Info => Level::INFO,
        log::Level::Debug => Level::DEBUG,
        log::Level::Trace => Level::TRACE,
    }
}

fn place(file: Option<&str>, line: Option<u32>) -> (usize, u32) {
    (file.map_or(0, |file| file.as_ptr().addr()), line.unwrap_or_default())
}

/// The target as the name of a scope, which lives as long as the program does.
fn scope(target: &str) -> &'static str {
    static TARGETS: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut targets = TARGETS.lock().unwrap_or_else(PoisonError::into_inner);
    let targets = targets.get_or_insert_default();
    if let Some(known) = targets.get(target) {
        return known;
    }
    if targets.len() >= TARGETS_MAX {
        return "log";
    }
    let kept: &'static str = Box::leak(target.to_owned().into_boxed_str());
    targets.insert(kept);
    kept
}
