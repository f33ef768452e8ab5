//! Spans as Jaeger's UI reads them.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use trefoil_query::traceql::jaeger::{kind_tag, status_tag};
use trefoil_store::model::{
    Attribute, Event, Link, Resource, Scope, Span, StatusCode, StoredSpan, Value,
};
use trefoil_wire::base64;

/// What Jaeger calls a service whose resource has no `service.name`.
const NO_SERVICE: &str = "OTLPResourceNoServiceName";

/// The greatest integer that JavaScript keeps exactly; greater ones are written as text.
const EXACT_MAX: i64 = 1 << 53;

/// A trace with its processes.
pub(super) fn trace(spans: &[StoredSpan<'_>]) -> Json {
    let mut processes = Map::new();
    let mut keys: HashMap<*const Resource<'static>, String> = HashMap::new();
    let mut out: Vec<Json> = Vec::with_capacity(spans.len());
    for stored in spans {
        let next = format!("p{}", keys.len() + 1);
        let key = keys.entry(Arc::as_ptr(&stored.resource)).or_insert_with(|| {
            processes.insert(next.clone(), process(&stored.resource));
            next
        });
        out.push(span(&stored.span, &stored.scope, key));
    }
    let id = spans.first().map_or_else(String::new, |s| trace_id(&s.span.trace_id));
    json!({ "traceID": id, "spans": out, "processes": processes, "warnings": null })
}

fn process(resource: &Resource<'_>) -> Json {
    let mut service = NO_SERVICE.to_owned();
    let mut tags = Vec::new();
    for attribute in &resource.attributes {
        match &attribute.value {
            Value::Str(name) if attribute.key == "service.name" && !name.is_empty() => {
                service = name.to_string();
            }
            value => tags.push(tag(&attribute.key, value)),
        }
    }
    dropped(&mut tags, "otel.dropped_attributes_count", resource.dropped_attributes);
    json!({ "serviceName": service, "tags": tags })
}

fn span(span: &Span<'_>, scope: &Scope<'_>, process: &str) -> Json {
    let micros = |ns: u64| ns / 1_000;
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| drop(out.insert(key.to_owned(), value));
    put("traceID", json!(trace_id(&span.trace_id)));
    put("spanID", json!(hex(&span.span_id)));
    if span.flags & 0xff != 0 {
        put("flags", json!(span.flags & 0xff));
    }
    put("operationName", json!(span.name));
    put("references", json!(references(span)));
    put("startTime", json!(micros(span.start_ns)));
    put("duration", json!(micros(span.end_ns.saturating_sub(span.start_ns))));
    put("tags", json!(span_tags(span, scope)));
    put("logs", span.events.iter().map(log).collect());
    put("processID", json!(process));
    put("warnings", Json::Null);
    Json::Object(out)
}

/// The parent first, then the links.
fn references(span: &Span<'_>) -> Vec<Json> {
    let reference = |kind: &str, trace: &[u8; 16], id: &[u8; 8]| json!({ "refType": kind, "traceID": trace_id(trace), "spanID": hex(id) });
    let mut out = Vec::new();
    if span.parent_span_id != [0; 8] {
        out.push(reference("CHILD_OF", &span.trace_id, &span.parent_span_id));
    }
    for link in &span.links {
        out.push(reference(link_kind(link), &link.trace_id, &link.span_id));
    }
    out
}

/// A link follows from what it points at, unless OpenTracing said that it is a parent.
fn link_kind(link: &Link<'_>) -> &'static str {
    let is_child = |a: &Attribute<'_>| {
        a.key == "opentracing.ref_type"
            && matches!(&a.value, Value::Str(kind) if kind == "child_of")
    };
    if link.attributes.iter().any(is_child) { "CHILD_OF" } else { "FOLLOWS_FROM" }
}

/// The attributes, then what OTLP keeps in fields of its own.
fn span_tags(span: &Span<'_>, scope: &Scope<'_>) -> Vec<Json> {
    let mut tags: Vec<Json> = Vec::new();
    let text = |tags: &mut Vec<Json>, key: &str, value: &str| {
        if !value.is_empty() {
            tags.push(json!({ "key": key, "type": "string", "value": value }));
        }
    };
    text(&mut tags, "otel.scope.name", &scope.name);
    text(&mut tags, "otel.scope.version", &scope.version);
    tags.extend(scope.attributes.iter().map(|a| tag(&a.key, &a.value)));
    tags.extend(span.attributes.iter().map(|a| tag(&a.key, &a.value)));
    let has = |key: &str| span.attributes.iter().any(|a| a.key == key);
    if let Some(kind) = kind_tag(span.kind).filter(|_| !has("span.kind")) {
        text(&mut tags, "span.kind", kind);
    }
    if let Some(status) = status_tag(span.status) {
        text(&mut tags, "otel.status_code", status);
    }
    text(&mut tags, "otel.status_description", &span.status_message);
    if span.status == StatusCode::Error && !has("error") {
        tags.push(json!({ "key": "error", "type": "bool", "value": true }));
    }
    text(&mut tags, "w3c.tracestate", &span.trace_state);
    dropped(&mut tags, "otel.dropped_attributes_count", span.dropped_attributes);
    dropped(&mut tags, "otel.dropped_events_count", span.dropped_events);
    dropped(&mut tags, "otel.dropped_links_count", span.dropped_links);
    tags
}

fn dropped(tags: &mut Vec<Json>, key: &str, count: u32) {
    if count > 0 {
        tags.push(json!({ "key": key, "type": "int64", "value": count }));
    }
}

fn log(event: &Event<'_>) -> Json {
    let mut fields = Vec::new();
    if !event.name.is_empty() && !event.attributes.iter().any(|a| a.key == "event") {
        fields.push(json!({ "key": "event", "type": "string", "value": event.name }));
    }
    fields.extend(event.attributes.iter().map(|a| tag(&a.key, &a.value)));
    dropped(&mut fields, "otel.dropped_attributes_count", event.dropped_attributes);
    json!({ "timestamp": event.time_ns / 1_000, "fields": fields })
}

fn tag(key: &str, value: &Value<'_>) -> Json {
    let (kind, value) = match value {
        Value::Empty => ("string", json!("")),
        Value::Str(v) => ("string", json!(v)),
        Value::Bool(v) => ("bool", json!(v)),
        Value::Int(v) if (-EXACT_MAX..=EXACT_MAX).contains(v) => ("int64", json!(v)),
        Value::Int(v) => ("int64", json!(v.to_string())),
        Value::Double(v) if v.is_finite() => ("float64", json!(v)),
        Value::Double(v) => ("float64", json!(v.to_string())),
        Value::Bytes(v) => ("binary", json!(base64_text(v))),
        Value::Array(_) | Value::Map(_) => ("string", json!(plain_json(value).to_string())),
    };
    json!({ "key": key, "type": kind, "value": value })
}

/// Lists and maps are shown as JSON text.
fn plain_json(value: &Value<'_>) -> Json {
    match value {
        Value::Empty => Json::Null,
        Value::Str(v) => json!(v),
        Value::Bool(v) => json!(v),
        Value::Int(v) => json!(v),
        Value::Double(v) => json!(v),
        Value::Bytes(v) => json!(base64_text(v)),
        Value::Array(items) => items.iter().map(plain_json).collect(),
        Value::Map(pairs) => {
            let pairs = pairs.iter().map(|a| (a.key.to_string(), plain_json(&a.value)));
            Json::Object(pairs.collect())
        }
    }
}

fn base64_text(bytes: &[u8]) -> String {
    let mut out = String::new();
    base64::encode_into(bytes, &mut out);
    out
}

/// Jaeger writes ids of 64 bits with 16 digits.
fn trace_id(id: &[u8; 16]) -> String {
    match id.strip_prefix(&[0; 8]) {
        Some(low) => hex(low),
        None => hex(id),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
