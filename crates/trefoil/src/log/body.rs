//! What a record says as its body: the message, or a line with everything in it.

use std::fmt::Write as _;

use trefoil_wire::json::write_string;
use trefoil_wire::otlp::AnyValue;
use trefoil_wire::otlp::logs::{LogRecord, LogRecordWriter};
use trefoil_wire::protobuf::{Decode, Reader, Writer};

use super::console::json;

/// What the body of a log record is, for those who read it: `|= "level=error"` and `| json`
/// look at nothing else. The attributes are the same in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogBody {
    /// The message.
    #[default]
    Message,
    /// `level=info msg="…" key=value`.
    Logfmt,
    /// `{"level":"info","message":"…","key":"value"}`.
    Json,
}

/// The field of the body in OTLP's `LogRecord`.
const BODY: u32 = 5;

/// An encoded record with another body, and where its flags lie, which lay at `flags_at`.
pub(super) fn reworded(kind: LogBody, bytes: &[u8], flags_at: usize) -> (Vec<u8>, usize) {
    // It is our own encoding, which is not damaged.
    let record = LogRecord::decode(Reader::new(bytes)).unwrap_or_default();
    let line = if kind == LogBody::Json { as_json(&record) } else { as_logfmt(&record) };
    let mut w = Writer::from_vec(Vec::with_capacity(bytes.len() + line.len() + 8));
    let mut flags = flags_at;
    let mut reader = Reader::new(bytes);
    loop {
        let start = reader.position();
        let Ok(Some(field)) = reader.next_field() else { break };
        let end = reader.position();
        if field.number != BODY {
            w.encoded(&bytes[start..end]);
        } else if start < flags_at {
            flags -= end - start;
        }
    }
    LogRecordWriter(&mut w).body(|body| body.str(&line));
    (w.into_bytes(), flags)
}

fn as_logfmt(record: &LogRecord<'_>) -> String {
    let mut line = format!("level={} msg=", record.severity_text.to_lowercase());
    quoted(&mut line, &plain(&record.body.unwrap_or_default()));
    for attribute in record.attributes.iter().flatten() {
        let _ = write!(line, " {}=", attribute.key);
        let text = plain(&attribute.value);
        // As the field's loggers do: bare, unless a reader would misread it.
        if text.is_empty() || text.contains([' ', '"', '=', '\n', '\t', '\r']) {
            quoted(&mut line, &text);
        } else {
            line.push_str(&text);
        }
    }
    line
}

fn as_json(record: &LogRecord<'_>) -> String {
    let mut line = String::from("{\"level\":");
    write_string(&record.severity_text.to_lowercase(), &mut line);
    line.push_str(",\"message\":");
    json::value(&mut line, &record.body.unwrap_or_default());
    for attribute in record.attributes.iter().flatten() {
        line.push(',');
        write_string(attribute.key, &mut line);
        line.push(':');
        json::value(&mut line, &attribute.value);
    }
    line.push('}');
    line
}

/// The value as text without quotation marks around it.
fn plain(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Str(text) => (*text).to_owned(),
        AnyValue::Empty => String::new(),
        other => {
            let mut text = String::new();
            json::value(&mut text, other);
            text
        }
    }
}

/// Quoted with JSON's escapes, which logfmt's readers know.
fn quoted(line: &mut String, text: &str) {
    write_string(text, line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> (Vec<u8>, usize) {
        let mut w = Writer::new();
        let mut record = LogRecordWriter(&mut w);
        record.times(7, 7);
        record.severity(17, "ERROR");
        record.body(|body| body.str("export \"failed\""));
        record.attribute("job_id", |w| w.int(12345));
        record.attribute("error", |w| w.str("no room: timeout"));
        record.attribute("provider", |w| w.str("vsphere"));
        record.trace_id(&[1; 16]);
        record.0.fixed32(8, 0);
        let flags_at = w.len() - 4;
        (w.into_bytes(), flags_at)
    }

    fn body(kind: LogBody) -> String {
        let (bytes, flags_at) = record();
        let (mut bytes, flags_at) = reworded(kind, &bytes, flags_at);
        // A verdict sets the flags in place.
        bytes[flags_at..flags_at + 4].copy_from_slice(&1_u32.to_le_bytes());
        let record = LogRecord::decode(Reader::new(&bytes)).unwrap();
        assert_eq!((record.flags, record.time_unix_nano), (1, 7));
        assert_eq!((record.trace_id(), record.attributes.iter().count()), (Some([1; 16]), 3));
        plain(&record.body.unwrap())
    }

    #[test]
    fn h5_a_body_is_a_line_that_logfmt_and_json_readers_take_apart() {
        let logfmt = r#"level=error msg="export \"failed\"" job_id=12345 error="no room: timeout" provider=vsphere"#;
        assert_eq!(body(LogBody::Logfmt), logfmt);
        let json = r#"{"level":"error","message":"export \"failed\"","job_id":12345,"error":"no room: timeout","provider":"vsphere"}"#;
        assert_eq!(body(LogBody::Json), json);
    }
}
