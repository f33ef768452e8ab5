//! An event as an OTLP `LogRecord`.
//!
//! Source: <https://github.com/open-telemetry/opentelemetry-proto>, `logs/v1/logs.proto`;
//! severities: <https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use tracing_core::field::{Field, Visit};
use tracing_core::{Level, Metadata};
use trefoil_wire::otlp::logs::{LogRecord, LogRecordWriter};
use trefoil_wire::otlp::{AnyValue, ValueWriter};
use trefoil_wire::protobuf::{Decode, Reader, Writer};

use super::callsite::Callsite;
use super::repeat::Repeated;
use super::subsystem;
use crate::attribute::ATTRIBUTES_MAX;
#[cfg(feature = "http")]
use crate::attribute::Encoded;
use crate::config::LogSettings;
use crate::context::Context;
use crate::span::Current;

/// Makes an ERROR a FATAL: `error!(fatal = true, …)`, or `trefoil::fatal!`.
pub(super) const FATAL_FIELD: &str = "fatal";
/// The severity number of WARN; from here on a record is worth keeping before others.
pub(super) const WARN: u8 = 13;
const FATAL: (u8, &str) = (21, "FATAL");

/// Bytes of a text; longer ones are cut. Longer than any stack trace that helps.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 10;
/// Errors below an error that are told; a chain that goes in circles ends here.
const CAUSES_MAX: usize = 16;

/// Number and word of a level.
pub(super) fn severity(level: Level) -> (u8, &'static str) {
    match level {
        Level::TRACE => (1, "TRACE"),
        Level::DEBUG => (5, "DEBUG"),
        Level::INFO => (9, "INFO"),
        Level::WARN => (WARN, "WARN"),
        Level::ERROR => (17, "ERROR"),
    }
}

/// What goes with each record beside its own, and how much may.
#[derive(Debug)]
pub(super) struct Fields {
    of_spans: Vec<String>,
    of_baggage: Vec<String>,
    attributes_max: u32,
    text_bytes_max: usize,
}

/// What the encoded record is.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) severity: u8,
    /// Where the four bytes of the flags lie; 0 if the record is in no trace.
    pub(super) flags_at: usize,
    /// What makes it the line it is: all but times, ids and what the span adds.
    pub(super) line: Range<usize>,
    /// Where the subsystem lies that the event itself names.
    pub(super) subsystem: Option<Range<usize>>,
}

/// Ends a record whose line is written: adds what spans and baggage say beyond what the
/// record itself `is_said` to, and its place in the trace.
pub(super) fn close(
    mut w: LogRecordWriter<'_>,
    line_at: usize,
    severity: u8,
    fields: &Fields,
    is_said: &dyn Fn(&str) -> bool,
    current: Option<&Current>,
) -> Finished {
    let line = line_at..w.0.len();
    fields.write(is_said, &mut w);
    let mut flags_at = 0;
    if let Some(current) = current {
        w.0.encoded(&place_in_trace(current));
        flags_at = w.0.len() - 4;
    }
    Finished { severity, flags_at, line, subsystem: None }
}

/// Trace, span and flags. These are written even if 0: the verdict over the trace may change
/// them in place.
fn place_in_trace(current: &Current) -> [u8; 33] {
    let mut fields = [0; 33];
    // Fields 9 and 10 of so many bytes, field 8 of four.
    fields[..2].copy_from_slice(&[9 << 3 | 2, 16]);
    fields[2..18].copy_from_slice(&current.trace_id.0);
    fields[18..20].copy_from_slice(&[10 << 3 | 2, 8]);
    fields[20..28].copy_from_slice(&current.span_id.0);
    fields[28] = 8 << 3 | 5;
    fields[29] = current.flags.0;
    fields
}

/// A record that is being encoded.
pub(super) struct Record<'r> {
    w: &'r mut Writer,
    callsite: &'r Callsite,
    fields: &'r Fields,
    attributes: u32,
    line_at: usize,
    fatal: bool,
    subsystem: Option<Range<usize>>,
    metadata: &'static Metadata<'static>,
}

impl<'r> Record<'r> {
    pub(super) fn new(
        w: &'r mut Writer,
        now_ns: u64,
        metadata: &'static Metadata<'static>,
        callsite: &'r Callsite,
        fields: &'r Fields,
    ) -> Record<'r> {
        LogRecordWriter(w).times(now_ns, now_ns);
        let line_at = w.len();
        w.encoded(&callsite.head);
        Record {
            w,
            callsite,
            fields,
            attributes: 0,
            line_at,
            fatal: false,
            subsystem: None,
            metadata,
        }
    }

    /// Ends it. `span_subsystem` is what a span around the event names.
    pub(super) fn finish(
        self,
        current: Option<&Current>,
        span_subsystem: Option<String>,
    ) -> Finished {
        let mut severity = severity(self.callsite.level);
        let mut w = LogRecordWriter(self.w);
        if self.fatal && self.callsite.level == Level::ERROR {
            severity = FATAL;
        }
        if self.callsite.may_be_fatal {
            w.severity(severity.0, severity.1);
        }
        w.dropped_attributes_count(self.attributes.saturating_sub(self.fields.attributes_max));
        match span_subsystem {
            _ if self.subsystem.is_some() => {}
            Some(name) => w.attribute(subsystem::FIELD, |value| value.str(&name)),
            None => w.0.encoded(&self.callsite.subsystem),
        }
        let is_said = |key: &str| self.metadata.fields().field(key).is_some();
        let mut finished = close(w, self.line_at, severity.0, self.fields, &is_said, current);
        finished.subsystem = self.subsystem;
        finished
    }

    /// Takes what a layer of ours has encoded.
    #[cfg(feature = "http")]
    pub(super) fn take(&mut self, encoded: &Encoded) {
        self.attributes += encoded.count();
        self.w.encoded(encoded.bytes());
    }

    fn put(&mut self, field: &Field, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        let mut record = LogRecordWriter(self.w);
        match field.name() {
            "message" => record.body(fill),
            name => {
                self.attributes += 1;
                if self.attributes <= self.fields.attributes_max {
                    record.attribute(name.strip_prefix("r#").unwrap_or(name), fill);
                }
            }
        }
    }
}

impl Visit for Record<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == subsystem::FIELD {
            self.put(field, |w| w.str(value));
            let end = self.w.len();
            self.subsystem = Some(end - value.len()..end);
            return;
        }
        let value = &value[..value.floor_char_boundary(self.fields.text_bytes_max)];
        self.put(field, |w| w.str(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, |w| w.int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            // OTLP has no unsigned integers.
            Err(_) => self.text(field, format_args!("{value}")),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.text(field, format_args!("{value}")),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.text(field, format_args!("{value}")),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == FATAL_FIELD {
            self.fatal = value;
            return;
        }
        self.put(field, |w| w.bool(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, |w| w.double(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        let value = &value[..value.len().min(self.fields.text_bytes_max)];
        self.put(field, |w| w.bytes(value));
    }

    /// Its text, and as `….cause` the texts of the errors below it, the nearest first.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, format_args!("{value}"));
        let Some(mut cause) = value.source() else { return };
        let key = format!("{}.cause", field.name());
        let bytes_max = self.fields.text_bytes_max;
        LogRecordWriter(self.w).attribute(&key, |w| {
            w.array(|array| {
                for _ in 0..CAUSES_MAX {
                    array.item(|w| {
                        w.format(format_args!("{cause}"), bytes_max);
                    });
                    let Some(below) = cause.source() else { break };
                    cause = below;
                }
            });
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format_args!("{value:?}"));
    }
}

impl Record<'_> {
    fn text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        let bytes_max = self.fields.text_bytes_max;
        self.put(field, |w| {
            w.format(text, bytes_max);
        });
    }
}

impl Fields {
    /// Whether the limits leave a layer's attributes as they are.
    pub(super) fn takes_encoded(&self) -> bool {
        self.attributes_max >= ATTRIBUTES_MAX && self.text_bytes_max == TEXT_BYTES_MAX
    }

    pub(super) fn new(settings: &LogSettings, of_baggage: &[String]) -> Fields {
        Fields {
            of_spans: settings.span_fields.clone(),
            of_baggage: of_baggage.to_vec(),
            attributes_max: settings.limits.attributes,
            text_bytes_max: settings
                .limits
                .value_bytes
                .map_or(TEXT_BYTES_MAX, |bytes| bytes.min(TEXT_BYTES_MAX)),
        }
    }

    fn write(&self, is_said: &dyn Fn(&str) -> bool, w: &mut LogRecordWriter<'_>) {
        if !self.of_spans.is_empty() {
            // The nearest span's field counts, and it comes first.
            let mut written = vec![false; self.of_spans.len()];
            crate::span::with_span_fields(&mut |key, value| {
                let Some(at) = self.of_spans.iter().position(|wanted| wanted == key) else {
                    return;
                };
                if !std::mem::replace(&mut written[at], true) && !is_said(key) {
                    // Our own encoding is not damaged; a value left empty says enough.
                    w.attribute(key, |w| {
                        let _ = w.copy(&value);
                    });
                }
            });
        }
        if !self.of_baggage.is_empty() {
            let baggage = Context::current().baggage;
            for key in self.of_baggage.iter().filter(|key| !is_said(key)) {
                if let Some(value) = baggage.get(key) {
                    w.attribute(key, |w| w.str(value));
                }
            }
        }
    }
}

/// A record that says how often a line was held back.
pub(super) fn repeated(w: &mut Writer, now_ns: u64, repeated: &Repeated) -> Finished {
    let line = LogRecord::decode(Reader::new(&repeated.line)).unwrap_or_default();
    let mut record = LogRecordWriter(w);
    record.times(now_ns, now_ns);
    record.severity(repeated.severity, line.severity_text);
    record.event_name(line.event_name);
    let text = match line.body {
        Some(AnyValue::Str(text)) => text,
        _ => "",
    };
    let count = repeated.count;
    record.body(|w| {
        w.format(format_args!("{text} (repeated {count} times)"), TEXT_BYTES_MAX + 64);
    });
    for attribute in line.attributes.iter().flatten() {
        record.attribute(attribute.key, |w| {
            let _ = w.copy(&attribute.value);
        });
    }
    record.attribute("log.repeated", |w| w.int(count.cast_signed()));
    Finished { severity: repeated.severity, flags_at: 0, line: 0..0, subsystem: None }
}
