//! Log records.

use super::attributes::{AnyValue, Attributes, ValueWriter, write_attribute, write_value};
use super::id::{RawId, SpanId, TraceId};
use super::origin::{Resource, ResourceWriter, Scope, ScopeWriter};
use crate::protobuf::{Decode, Reader, Repeated, Result, Writer};

/// `ExportLogsServiceRequest`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportRequest<'a> {
    /// Log records by resource.
    pub resource_logs: Repeated<'a, ResourceLogs<'a>>,
}

impl<'a> ExportRequest<'a> {
    /// Reads the outermost fields of a request.
    ///
    /// # Errors
    /// The outermost fields are damaged.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        Self::decode(Reader::new(bytes))
    }
}

impl<'a> Decode<'a> for ExportRequest<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut request = ExportRequest::default();
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                request.resource_logs.push(&field, &reader)?;
            }
        }
        Ok(request)
    }
}

/// Log records of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceLogs<'a> {
    /// Who emitted them; `None` means unknown.
    pub resource: Option<Resource<'a>>,
    /// Log records by scope.
    pub scope_logs: Repeated<'a, ScopeLogs<'a>>,
    /// Schema of the resource.
    pub schema_url: &'a str,
}

impl<'a> Decode<'a> for ResourceLogs<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut view = ResourceLogs::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => field.set_message(&mut view.resource)?,
                2 => view.scope_logs.push(&field, &reader)?,
                3 => view.schema_url = field.str()?,
                _ => {}
            }
        }
        Ok(view)
    }
}

/// Log records of one scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeLogs<'a> {
    /// Which library emitted them; `None` means unknown.
    pub scope: Option<Scope<'a>>,
    /// The records.
    pub log_records: Repeated<'a, LogRecord<'a>>,
    /// Schema of the records.
    pub schema_url: &'a str,
}

impl<'a> Decode<'a> for ScopeLogs<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut view = ScopeLogs::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => field.set_message(&mut view.scope)?,
                2 => view.log_records.push(&field, &reader)?,
                3 => view.schema_url = field.str()?,
                _ => {}
            }
        }
        Ok(view)
    }
}

/// One log record.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogRecord<'a> {
    /// Unix nanoseconds, 0 if unknown.
    pub time_unix_nano: u64,
    /// Unix nanoseconds at which the record was first seen, 0 if unknown.
    pub observed_time_unix_nano: u64,
    /// 1–24, 0 if unknown.
    pub severity_number: i32,
    /// The sender's own word for the severity.
    pub severity_text: &'a str,
    /// The body; `None` is an empty value.
    pub body: Option<AnyValue<'a>>,
    /// Attributes as they came.
    pub attributes: Attributes<'a>,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
    /// W3C trace flags.
    pub flags: u32,
    /// The trace's id, not checked; see [`LogRecord::trace_id`].
    pub raw_trace_id: RawId<'a>,
    /// The span's id, not checked; see [`LogRecord::span_id`].
    pub raw_span_id: RawId<'a>,
    /// Name of the event, if the record is one.
    pub event_name: &'a str,
}

impl LogRecord<'_> {
    /// The trace the record belongs to. A wrong id counts as none, as the protocol asks for.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        self.raw_trace_id.lenient()
    }

    /// The span the record belongs to. A wrong id counts as none, as the protocol asks for.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        self.raw_span_id.lenient()
    }
}

impl<'a> Decode<'a> for LogRecord<'a> {
    #[inline]
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut record = LogRecord::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => record.time_unix_nano = field.fixed64()?,
                2 => record.severity_number = field.i32()?,
                3 => record.severity_text = field.str()?,
                5 => field.set_message(&mut record.body)?,
                6 => record.attributes.push(&field, &reader)?,
                7 => record.dropped_attributes_count = field.u32()?,
                8 => record.flags = field.fixed32()?,
                9 => record.raw_trace_id = RawId::of(&field)?,
                10 => record.raw_span_id = RawId::of(&field)?,
                11 => record.observed_time_unix_nano = field.fixed64()?,
                12 => record.event_name = field.str()?,
                _ => {}
            }
        }
        Ok(record)
    }
}

/// Writes an `ExportLogsServiceRequest`.
#[derive(Debug)]
pub struct LogsWriter<'w>(pub &'w mut Writer);

impl LogsWriter<'_> {
    /// Adds records of one resource.
    pub fn resource_logs(&mut self, fill: impl FnOnce(&mut ResourceLogsWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ResourceLogsWriter(w)));
    }
}

/// Writes `ResourceLogs`.
#[derive(Debug)]
pub struct ResourceLogsWriter<'w>(pub &'w mut Writer);

impl ResourceLogsWriter<'_> {
    /// Who emitted the records.
    pub fn resource(&mut self, fill: impl FnOnce(&mut ResourceWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ResourceWriter(w)));
    }

    /// Adds records of one scope.
    pub fn scope_logs(&mut self, fill: impl FnOnce(&mut ScopeLogsWriter<'_>)) {
        self.0.message(2, |w| fill(&mut ScopeLogsWriter(w)));
    }

    /// Schema of the resource.
    pub fn schema_url(&mut self, url: &str) {
        self.0.str_if_any(3, url);
    }
}

/// Writes `ScopeLogs`.
#[derive(Debug)]
pub struct ScopeLogsWriter<'w>(pub &'w mut Writer);

impl ScopeLogsWriter<'_> {
    /// Which library emitted the records.
    pub fn scope(&mut self, fill: impl FnOnce(&mut ScopeWriter<'_>)) {
        self.0.message(1, |w| fill(&mut ScopeWriter(w)));
    }

    /// Adds a record.
    pub fn log_record(&mut self, fill: impl FnOnce(&mut LogRecordWriter<'_>)) {
        self.0.message(2, |w| fill(&mut LogRecordWriter(w)));
    }

    /// Schema of the records.
    pub fn schema_url(&mut self, url: &str) {
        self.0.str_if_any(3, url);
    }
}

/// Writes a log record. Each method writes a field; those of plain values are called once.
#[derive(Debug)]
pub struct LogRecordWriter<'w>(pub &'w mut Writer);

impl LogRecordWriter<'_> {
    /// Event time and time of observation in Unix nanoseconds, 0 if unknown.
    pub fn times(&mut self, time_unix_nano: u64, observed_time_unix_nano: u64) {
        self.0.fixed64_if_any(1, time_unix_nano);
        self.0.fixed64_if_any(11, observed_time_unix_nano);
    }

    /// Severity 1–24 (0 if unknown) and the sender's own word for it.
    pub fn severity(&mut self, number: u8, text: &str) {
        self.0.varint_if_any(2, u64::from(number));
        self.0.str_if_any(3, text);
    }

    /// The body.
    pub fn body(&mut self, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_value(self.0, 5, fill);
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 6, key, fill);
    }

    /// How many attributes were dropped.
    pub fn dropped_attributes_count(&mut self, count: u32) {
        self.0.varint_if_any(7, u64::from(count));
    }

    /// W3C trace flags.
    pub fn flags(&mut self, flags: u32) {
        if flags != 0 {
            self.0.fixed32(8, flags);
        }
    }

    /// The trace the record belongs to.
    pub fn trace_id(&mut self, id: &TraceId) {
        self.0.bytes(9, id);
    }

    /// The span the record belongs to.
    pub fn span_id(&mut self, id: &SpanId) {
        self.0.bytes(10, id);
    }

    /// Name of the event.
    pub fn event_name(&mut self, name: &str) {
        self.0.str_if_any(12, name);
    }
}
