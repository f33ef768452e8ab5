//! A line of JSON an item: plain keys and values, made for `jq`.

use std::fmt::Write as _;

use trefoil_wire::json::write_string;
use trefoil_wire::otlp::json::{self as otlp_json, Style};
use trefoil_wire::otlp::logs::{self, LogRecord};
use trefoil_wire::otlp::metrics;
use trefoil_wire::otlp::schema;
use trefoil_wire::otlp::trace::{self, Span};
use trefoil_wire::otlp::{AnyValue, Attributes};
use trefoil_wire::protobuf::{Decode as _, Reader, Result};

use super::service;

/// An object that is being written.
struct Object<'o> {
    out: &'o mut String,
    first: bool,
}

impl Object<'_> {
    fn key(&mut self, key: &str) -> &mut String {
        self.out.push(if std::mem::take(&mut self.first) { '{' } else { ',' });
        write_string(key, self.out);
        self.out.push(':');
        self.out
    }

    fn text(&mut self, key: &str, value: &str) {
        write_string(value, self.key(key));
    }

    /// Left out if empty.
    fn text_if_any(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = write!(self.key(key), "{value}");
    }

    fn hex(&mut self, key: &str, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let out = self.key(key);
        out.push('"');
        bytes.iter().for_each(|byte| {
            let _ = write!(out, "{byte:02x}");
        });
        out.push('"');
    }

    fn attributes(&mut self, key: &str, attributes: Attributes<'_>) -> Result<()> {
        if attributes.is_empty() {
            return Ok(());
        }
        AnyValue::Map(attributes).write_json(self.key(key))
    }

    fn end(self) {
        self.out.push_str(if self.first { "{}" } else { "}" });
    }
}

fn begin<'o>(out: &'o mut String, signal: &str, service: &str, scope: &str) -> Object<'o> {
    let mut object = Object { out, first: true };
    object.text("signal", signal);
    object.text("service", service);
    object.text_if_any("scope", scope);
    object
}

pub(super) fn spans(request: &[u8], out: &mut String) -> Result<()> {
    for resource in trace::ExportRequest::new(request)?.resource_spans {
        let resource = resource?;
        let service = service(resource.resource.as_ref())?;
        for scope in resource.scope_spans {
            let scope = scope?;
            let name = scope.scope.map_or("", |scope| scope.name);
            for one in scope.spans {
                span(begin(out, "span", service, name), &one?)?;
                out.push('\n');
            }
        }
    }
    Ok(())
}

fn span(mut object: Object<'_>, span: &Span<'_>) -> Result<()> {
    object.hex("trace_id", span.raw_trace_id.bytes());
    object.hex("span_id", span.raw_span_id.bytes());
    object.hex("parent_span_id", span.raw_parent_span_id.bytes());
    object.text_if_any("trace_state", span.trace_state);
    object.text("name", span.name);
    object.text("kind", kind(span.kind));
    object.number("start_ns", span.start_time_unix_nano);
    object.number("end_ns", span.end_time_unix_nano);
    let status = span.status.unwrap_or_default();
    object.text("status", ["unset", "ok", "error"].get(status.code as usize).unwrap_or(&"unset"));
    object.text_if_any("status_message", status.message);
    object.attributes("attributes", span.attributes)?;
    if !span.events.is_empty() {
        object.key("events").push('[');
        for (i, event) in span.events.iter().enumerate() {
            let event = event?;
            object.out.push_str(if i == 0 { "" } else { "," });
            let mut inner = Object { out: object.out, first: true };
            inner.number("time_ns", event.time_unix_nano);
            inner.text("name", event.name);
            inner.attributes("attributes", event.attributes)?;
            inner.end();
        }
        object.out.push(']');
    }
    if !span.links.is_empty() {
        object.key("links").push('[');
        for (i, link) in span.links.iter().enumerate() {
            let link = link?;
            object.out.push_str(if i == 0 { "" } else { "," });
            let mut inner = Object { out: object.out, first: true };
            inner.hex("trace_id", link.raw_trace_id.bytes());
            inner.hex("span_id", link.raw_span_id.bytes());
            inner.attributes("attributes", link.attributes)?;
            inner.end();
        }
        object.out.push(']');
    }
    object.end();
    Ok(())
}

pub(super) fn kind(kind: i32) -> &'static str {
    match kind {
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "internal",
    }
}

pub(super) fn logs(request: &[u8], out: &mut String) -> Result<()> {
    for resource in logs::ExportRequest::new(request)?.resource_logs {
        let resource = resource?;
        let service = service(resource.resource.as_ref())?;
        for scope in resource.scope_logs {
            let scope = scope?;
            let name = scope.scope.map_or("", |scope| scope.name);
            for record in scope.log_records {
                log(begin(out, "log", service, name), &record?)?;
                out.push('\n');
            }
        }
    }
    Ok(())
}

fn log(mut object: Object<'_>, record: &LogRecord<'_>) -> Result<()> {
    object.number("time_ns", record.time_unix_nano);
    object.text("severity", record.severity_text);
    object.number("severity_number", record.severity_number);
    record.body.unwrap_or_default().write_json(object.key("body"))?;
    object.text_if_any("event_name", record.event_name);
    object.hex("trace_id", record.raw_trace_id.bytes());
    object.hex("span_id", record.raw_span_id.bytes());
    object.attributes("attributes", record.attributes)?;
    object.end();
    Ok(())
}

/// A metric a line, its points as OTLP's own JSON has them.
pub(super) fn metrics(request: &[u8], out: &mut String) -> Result<()> {
    let mut request = Reader::new(request);
    while let Some(resource) = request.next_field()? {
        let view = metrics::ResourceMetrics::decode(resource.reader()?)?;
        let service = service(view.resource.as_ref())?;
        let mut inside = resource.reader()?;
        while let Some(scope) = inside.next_field()? {
            if scope.number == SCOPE_METRICS_OF_RESOURCE {
                of_scope(service, scope.reader()?, out)?;
            }
        }
    }
    Ok(())
}

const SCOPE_METRICS_OF_RESOURCE: u32 = 2;
const METRICS_OF_SCOPE: u32 = 2;

fn of_scope(service: &str, mut scope: Reader<'_>, out: &mut String) -> Result<()> {
    let view = metrics::ScopeMetrics::decode(scope)?;
    let name = view.scope.map_or("", |scope| scope.name);
    while let Some(metric) = scope.next_field()? {
        if metric.number == METRICS_OF_SCOPE {
            let mut object = begin(out, "metric", service, name);
            let into = object.key("metric");
            otlp_json::from_protobuf(&schema::METRIC, metric.bytes()?, Style::Otlp, into)?;
            object.end();
            out.push('\n');
        }
    }
    Ok(())
}
