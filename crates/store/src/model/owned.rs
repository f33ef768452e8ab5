//! From borrowed rows to rows that outlive the bytes they were decoded from.

use std::borrow::Cow;

use super::{
    Attribute, Event, Link, LogRecord, Resource, Scope, Span, StoredLog, StoredSpan, Value,
};

fn text(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn pairs(attributes: Vec<Attribute<'_>>) -> Vec<Attribute<'static>> {
    attributes.into_iter().map(Attribute::into_owned).collect()
}

impl Value<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Empty => Value::Empty,
            Value::Str(s) => Value::Str(text(s)),
            Value::Bool(b) => Value::Bool(b),
            Value::Int(i) => Value::Int(i),
            Value::Double(d) => Value::Double(d),
            Value::Bytes(b) => Value::Bytes(Cow::Owned(b.into_owned())),
            Value::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Value::Map(map) => Value::Map(pairs(map)),
        }
    }
}

impl Attribute<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Attribute<'static> {
        Attribute { key: text(self.key), value: self.value.into_owned() }
    }
}

impl Resource<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Resource<'static> {
        Resource {
            attributes: pairs(self.attributes),
            dropped_attributes: self.dropped_attributes,
            schema_url: text(self.schema_url),
        }
    }
}

impl Scope<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Scope<'static> {
        Scope {
            name: text(self.name),
            version: text(self.version),
            attributes: pairs(self.attributes),
            dropped_attributes: self.dropped_attributes,
            schema_url: text(self.schema_url),
        }
    }
}

impl Event<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        Event {
            time_ns: self.time_ns,
            name: text(self.name),
            attributes: pairs(self.attributes),
            dropped_attributes: self.dropped_attributes,
        }
    }
}

impl Link<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Link<'static> {
        Link {
            trace_id: self.trace_id,
            span_id: self.span_id,
            trace_state: text(self.trace_state),
            flags: self.flags,
            attributes: pairs(self.attributes),
            dropped_attributes: self.dropped_attributes,
        }
    }
}

impl Span<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Span<'static> {
        Span {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            trace_state: text(self.trace_state),
            flags: self.flags,
            name: text(self.name),
            kind: self.kind,
            start_ns: self.start_ns,
            end_ns: self.end_ns,
            attributes: pairs(self.attributes),
            dropped_attributes: self.dropped_attributes,
            events: self.events.into_iter().map(Event::into_owned).collect(),
            dropped_events: self.dropped_events,
            links: self.links.into_iter().map(Link::into_owned).collect(),
            dropped_links: self.dropped_links,
            status: self.status,
            status_message: text(self.status_message),
        }
    }
}

impl LogRecord<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> LogRecord<'static> {
        LogRecord {
            time_ns: self.time_ns,
            observed_ns: self.observed_ns,
            severity: self.severity,
            severity_text: text(self.severity_text),
            body: self.body.into_owned(),
            attributes: pairs(self.attributes),
            dropped_attributes: self.dropped_attributes,
            flags: self.flags,
            trace_id: self.trace_id,
            span_id: self.span_id,
            event_name: text(self.event_name),
        }
    }
}

impl StoredSpan<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> StoredSpan<'static> {
        StoredSpan { span: self.span.into_owned(), resource: self.resource, scope: self.scope }
    }
}

impl StoredLog<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> StoredLog<'static> {
        StoredLog {
            record: self.record.into_owned(),
            stream: self.stream,
            resource: self.resource,
            scope: self.scope,
        }
    }
}
