//! Log records: `tracing` events and records of the `log` crate become OTLP log records
//! that know their trace, and lines on the console.
//!
//! A record is encoded once, into OTLP's bytes; the console reads those bytes, so both
//! always tell the same, and neither can fail the other.

mod body;
mod level;
mod record;
mod subsystem;

mod callsite;
mod repeat;

#[cfg(feature = "log")]
mod bridge;
mod console;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata};
use trefoil_wire::protobuf::Writer;

use crate::account::{Account, Dropped};
#[cfg(feature = "http")]
use crate::attribute::Encoded;
use crate::config::LogSettings;
use crate::export::{Priority, Queue};
use crate::span::{Current, Spans};

use callsite::Callsites;
use console::Console;
use record::{Fields, Finished, Record, WARN};
use repeat::{Repeats, Verdict};
use subsystem::Subsystems;

pub use body::LogBody;
#[cfg(feature = "log")]
pub(crate) use bridge::Bridge;
pub(crate) use level::Levels;

/// Says that the process, or a part of it, cannot go on: like [`tracing::error!`], with the
/// severity FATAL. It ends nothing by itself.
///
/// ```
/// trefoil::fatal!(path = "/var/lib/hypeman", "cannot open the store");
/// trefoil::fatal!(target: "hypeman::store", "the store is damaged");
/// ```
#[macro_export]
macro_rules! fatal {
    (target: $target:expr, $($said:tt)+) => {
        $crate::tracing::error!(target: $target, fatal = true, $($said)+)
    };
    ($($said:tt)+) => {
        $crate::tracing::error!(fatal = true, $($said)+)
    };
}

/// A scratch buffer that one huge record has blown up is not kept.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// Where this thread encodes. Taken while in use, so that an event inside a field's
    /// `Debug` gets its own.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// All that happens to an event after the subscriber has let it in.
#[derive(Debug)]
pub(crate) struct Logs {
    levels: Levels,
    subsystems: Subsystems,
    callsites: Callsites,
    fields: Fields,
    /// Whether any span of the program has a field `subsystem`: else none is looked for.
    spans_name_subsystems: AtomicBool,
    repeats: Option<Repeats>,
    console: Option<Console>,
    export: Option<Export>,
}

/// Where records go that leave the process.
#[derive(Debug)]
struct Export {
    queue: Arc<Queue>,
    account: Arc<Account>,
    spans: Option<Arc<Spans>>,
    follow_sampling: bool,
    body: LogBody,
}

impl Logs {
    /// By the service's names its own crate is known. `spans` is where records of undecided
    /// traces wait.
    pub(crate) fn new(
        settings: &LogSettings,
        service_names: &[&str],
        baggage_attributes: &[String],
        queue: Arc<Queue>,
        account: Arc<Account>,
        spans: Option<Arc<Spans>>,
    ) -> Logs {
        let follow_sampling = settings.follow_sampling;
        let body = settings.body;
        let export = Export { queue, account, spans, follow_sampling, body };
        Logs {
            levels: Levels::new(&settings.levels),
            subsystems: Subsystems::new(service_names, &settings.subsystems),
            callsites: Callsites::new(settings.code_location),
            fields: Fields::new(settings, baggage_attributes),
            spans_name_subsystems: AtomicBool::new(false),
            repeats: settings.repeat_limit.map(Repeats::new),
            console: Console::new(settings.console, settings.console_stream),
            export: (!settings.exporters.is_empty()).then_some(export),
        }
    }

    /// Whether records go nowhere.
    pub(crate) fn is_idle(&self) -> bool {
        self.console.is_none() && self.export.is_none()
    }

    /// Takes an event inside `current`, at `now_ns` Unix nanoseconds.
    pub(crate) fn on_event(&self, event: &Event<'_>, current: Option<&Current>, now_ns: u64) {
        if self.is_idle() {
            return;
        }
        let metadata = event.metadata();
        #[cfg(feature = "log")]
        bridge::note_event(metadata);
        self.take(metadata, current, now_ns, |record| event.record(record));
    }

    /// The same of an event whose attributes and body are encoded already.
    #[cfg(feature = "http")]
    pub(crate) fn on_encoded(
        &self,
        metadata: &'static Metadata<'static>,
        encoded: &Encoded,
        current: Option<&Current>,
        now_ns: u64,
    ) {
        self.take(metadata, current, now_ns, |record| record.take(encoded));
    }

    fn take(
        &self,
        metadata: &'static Metadata<'static>,
        current: Option<&Current>,
        now_ns: u64,
        fill: impl FnOnce(&mut Record<'_>),
    ) {
        self.encoded(|w| {
            self.callsites.with(metadata, &self.subsystems, |callsite| {
                let mut record = Record::new(w, now_ns, metadata, callsite, &self.fields);
                fill(&mut record);
                let finished = record.finish(current, self.span_subsystem(callsite));
                if callsite.names_subsystem && !self.allows(metadata, &finished, w) {
                    return;
                }
                self.send(metadata.target(), current, now_ns, &finished, w.as_bytes());
            });
        });
    }

    /// Whether events of this callsite are wanted: never, always, or by subsystem.
    pub(crate) fn interest(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.levels.interest(metadata, &self.subsystems.of(metadata.target()))
    }

    /// To be called for each span callsite that is registered.
    pub(crate) fn register_span(&self, metadata: &'static Metadata<'static>) {
        if metadata.fields().field(subsystem::FIELD).is_some() {
            self.spans_name_subsystems.store(true, Ordering::Relaxed);
        }
    }

    /// Whether an event is wanted whose callsite's interest is "sometimes".
    pub(crate) fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.fields().field(subsystem::FIELD).is_some() {
            // Its value decides, in `on_event`.
            return *metadata.level() <= self.levels.max();
        }
        let subsystem = match self.span_subsystem_name() {
            Some(name) => std::borrow::Cow::Owned(name),
            None => self.subsystems.of(metadata.target()),
        };
        self.levels.enabled(metadata.target(), &subsystem, *metadata.level())
    }

    /// Whether the limits leave a layer's attributes as they are.
    pub(crate) fn takes_encoded(&self) -> bool {
        self.fields.takes_encoded()
    }

    /// The most that may be wanted of any callsite.
    pub(crate) fn max_level_hint(&self) -> LevelFilter {
        self.levels.max()
    }

    /// Changes the level of a subsystem or target; an empty name means all that have none.
    pub(crate) fn set_level(&self, name: &str, level: LevelFilter) {
        self.levels.set(name, level);
        #[cfg(feature = "log")]
        bridge::follow(self.levels.max());
    }

    /// Reports lines whose repetition was held back, and waits until the console has
    /// written what it has, or until the deadline.
    pub(crate) fn flush(&self, now_ns: u64, deadline: std::time::Instant) {
        self.report_repeats(now_ns, true);
        if let Some(console) = &self.console {
            console.flush(deadline);
        }
    }

    /// Lines that the console could not take.
    pub(crate) fn console_lost(&self) -> u64 {
        self.console.as_ref().map_or(0, Console::lost)
    }

    /// Runs `encode` over this thread's scratch buffer.
    fn encoded(&self, encode: impl FnOnce(&mut Writer)) {
        let mut bytes = SCRATCH.try_with(Cell::take).unwrap_or_default();
        bytes.clear();
        let mut w = Writer::from_vec(bytes);
        encode(&mut w);
        let bytes = w.into_bytes();
        if bytes.capacity() <= SCRATCH_BYTES_MAX {
            // The thread may be ending, and its scratch gone.
            let _ = SCRATCH.try_with(|scratch| scratch.set(bytes));
        }
    }

    /// A finished record goes to the console and to the exporters.
    fn send(
        &self,
        scope: &'static str,
        current: Option<&Current>,
        now_ns: u64,
        finished: &Finished,
        bytes: &[u8],
    ) {
        if let Some(repeats) = &self.repeats {
            let line = &bytes[finished.line.clone()];
            match repeats.admit(scope, line, finished.severity, now_ns) {
                Verdict::Admitted => {}
                Verdict::HeldBack => return self.rate_limited(),
            }
            if repeats.is_due(now_ns) {
                self.report_repeats(now_ns, false);
            }
        }
        self.deliver(scope, current, finished, bytes);
    }

    fn deliver(
        &self,
        scope: &'static str,
        current: Option<&Current>,
        finished: &Finished,
        bytes: &[u8],
    ) {
        if let Some(console) = &self.console {
            console.write(scope, bytes);
        }
        if let Some(export) = &self.export {
            export.deliver(scope, current, finished, bytes);
        }
    }

    fn rate_limited(&self) {
        if let Some(Export { account, .. }) = &self.export {
            account.produced(1);
            account.dropped(Dropped::RateLimited, 1);
        }
    }

    /// One line for each line that was held back and is no more.
    #[cold]
    fn report_repeats(&self, now_ns: u64, all: bool) {
        let Some(repeats) = &self.repeats else { return };
        for repeated in repeats.take_due(now_ns, all) {
            self.encoded(|w| {
                let finished = record::repeated(w, now_ns, &repeated);
                self.deliver(repeated.scope, None, &finished, w.as_bytes());
            });
        }
    }

    /// Whether the subsystem that the event itself names lets it through.
    fn allows(&self, metadata: &Metadata<'_>, finished: &Finished, w: &Writer) -> bool {
        let Some(range) = finished.subsystem.clone() else { return true };
        let name = std::str::from_utf8(&w.as_bytes()[range]).unwrap_or_default();
        self.levels.enabled(metadata.target(), name, *metadata.level())
    }

    /// The subsystem of the nearest span that names one, if the event itself cannot.
    fn span_subsystem(&self, callsite: &callsite::Callsite) -> Option<String> {
        if callsite.names_subsystem { None } else { self.span_subsystem_name() }
    }

    fn span_subsystem_name(&self) -> Option<String> {
        if !self.spans_name_subsystems.load(Ordering::Relaxed) {
            return None;
        }
        subsystem::of_span()
    }
}

impl Export {
    fn deliver(
        &self,
        scope: &'static str,
        current: Option<&Current>,
        finished: &Finished,
        bytes: &[u8],
    ) {
        self.account.produced(1);
        let reworded;
        let (bytes, flags_at) = match self.body {
            LogBody::Message => (bytes, finished.flags_at),
            kind => {
                reworded = body::reworded(kind, bytes, finished.flags_at);
                (reworded.0.as_slice(), reworded.1)
            }
        };
        let severity = finished.severity;
        let priority = if severity >= WARN { Priority::Error } else { Priority::Normal };
        if let Some(current) = current {
            let spans = self.spans.as_ref();
            if spans.is_some_and(|spans| {
                spans.hold_log(current, scope, priority, severity, bytes, flags_at)
            }) {
                return;
            }
            if self.follow_sampling && !current.flags.is_sampled() && severity < WARN {
                return self.account.sampled_out(1);
            }
        }
        self.queue.push(scope, priority, bytes);
    }
}
