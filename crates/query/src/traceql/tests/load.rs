//! Span trees written as indented text.
//!
//! ```text
//! load
//!   trace 0a at 10s
//!     "GET /"@front id=1 0ms 100ms server error code=500 resource.env="prod"
//!       query@db id=2 +10ms 20ms client event:exception(2ms type="E") link:0b/1(k=1)
//! ```
//! A deeper line is a child of the line above it that is less deep. After `id` come the
//! start (from the trace's) and the duration. `parent=` overrides the parent, `msg=` is the
//! status message, `lib=name/version` the instrumentation scope, `scope.k=v` its attributes.

use trefoil_store::model::{
    Attribute, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId, Value,
};
use trefoil_store::{Batch, Store};

use crate::traceql::lexer::parse_duration;

/// Spans with their indentation, while a trace is read.
struct Line {
    indent: usize,
    id: SpanId,
}

/// Loads the lines below `load`; an error names the line's offset.
pub(super) fn load(store: &Store, lines: &[&str]) -> Result<(), (usize, String)> {
    let mut batch = Batch::new();
    let mut trace = None;
    let mut above: Vec<Line> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        if let Some(head) = text.strip_prefix("trace ") {
            let (id, start) =
                head.split_once(" at ").ok_or((at, "trace <id> at <time>".to_owned()))?;
            let start = parse_duration(start).ok_or((at, format!("{start} is no time")))?;
            trace = Some((trace_id(id), start));
            above.clear();
            continue;
        }
        let Some((id, start)) = trace else { return Err((at, "no trace yet".to_owned())) };
        above.retain(|line| line.indent < indent);
        let parent = above.last().map_or([0; 8], |line| line.id);
        let span = add_span(&mut batch, text, id, parent, start).map_err(|e| (at, e))?;
        above.push(Line { indent, id: span });
    }
    store.append(&batch).map_err(|e| (0, e.to_string()))
}

/// Hex digits, filled up with zeros on the left.
pub(super) fn trace_id(hex: &str) -> TraceId {
    u128::from_str_radix(hex, 16).unwrap().to_be_bytes()
}

pub(super) fn span_id(hex: &str) -> SpanId {
    u64::from_str_radix(hex, 16).unwrap().to_be_bytes()
}

/// Splits at spaces outside quotes and parentheses.
pub(super) fn words(text: &str) -> Vec<String> {
    let (mut out, mut word) = (Vec::new(), String::new());
    let (mut quoted, mut depth) = (false, 0);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        if c == ' ' && !quoted && depth == 0 {
            if !word.is_empty() {
                out.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        out.push(word);
    }
    out
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text)
}

fn add_span(
    batch: &mut Batch,
    text: &str,
    trace: TraceId,
    parent: SpanId,
    trace_start: i64,
) -> Result<SpanId, String> {
    let mut words = words(text).into_iter();
    let name = words.next().unwrap_or_default();
    let (name, service) = name.rsplit_once('@').ok_or("name@service id=… start duration")?;
    let mut span = Span {
        trace_id: trace,
        parent_span_id: parent,
        name: unquoted(name).to_owned().into(),
        ..Span::default()
    };
    let mut resource = Resource::default();
    if !service.is_empty() {
        resource.attributes.push(attribute("service.name", Value::Str(service.to_owned().into())));
    }
    let mut scope = Scope::default();
    let mut times = Vec::new();
    for word in words {
        if let Some(time) = parse_duration(word.trim_start_matches('+')) {
            times.push(time);
        } else {
            set(&mut span, &mut resource, &mut scope, &word)?;
        }
    }
    let [start, duration] = times[..] else { return Err("a start and a duration".to_owned()) };
    span.start_ns = (trace_start + start) as u64;
    span.end_ns = (trace_start + start + duration) as u64;
    for event in &mut span.events {
        event.time_ns += span.start_ns;
    }
    let (resource, scope) = (batch.resource(&resource), batch.scope(&scope));
    batch.span(resource, scope, &span);
    Ok(span.span_id)
}

fn attribute(key: &str, value: Value<'static>) -> Attribute<'static> {
    Attribute { key: key.to_owned().into(), value }
}

fn set(
    span: &mut Span<'static>,
    resource: &mut Resource<'static>,
    scope: &mut Scope<'static>,
    word: &str,
) -> Result<(), String> {
    if let Some(event) = word.strip_prefix("event:") {
        let (name, inside) = with_inside(event);
        let mut inside = inside.into_iter();
        let time = inside.next().and_then(|t| parse_duration(&t)).ok_or("event:name(time k=v)")?;
        let attributes = inside.map(|w| pair(&w)).collect::<Result<_, _>>()?;
        span.events.push(Event {
            time_ns: time as u64,
            name: name.to_owned().into(),
            attributes,
            ..Event::default()
        });
        return Ok(());
    }
    if let Some(link) = word.strip_prefix("link:") {
        let (ids, inside) = with_inside(link);
        let (trace, id) = ids.split_once('/').ok_or("link:trace/span(k=v)")?;
        let attributes = inside.iter().map(|w| pair(w)).collect::<Result<_, _>>()?;
        span.links.push(Link {
            trace_id: trace_id(trace),
            span_id: span_id(id),
            attributes,
            ..Link::default()
        });
        return Ok(());
    }
    match word {
        "ok" => span.status = StatusCode::Ok,
        "error" => span.status = StatusCode::Error,
        "server" => span.kind = SpanKind::Server,
        "client" => span.kind = SpanKind::Client,
        "producer" => span.kind = SpanKind::Producer,
        "consumer" => span.kind = SpanKind::Consumer,
        "internal" => span.kind = SpanKind::Internal,
        _ => return set_pair(span, resource, scope, word),
    }
    Ok(())
}

fn set_pair(
    span: &mut Span<'static>,
    resource: &mut Resource<'static>,
    scope: &mut Scope<'static>,
    word: &str,
) -> Result<(), String> {
    let (key, text) = word.split_once('=').ok_or(format!("{word:?} is not understood"))?;
    match key {
        "id" => span.span_id = span_id(text),
        "parent" => span.parent_span_id = span_id(text),
        "msg" => span.status_message = unquoted(text).to_owned().into(),
        "lib" => {
            let (name, version) = text.split_once('/').unwrap_or((text, ""));
            scope.name = name.to_owned().into();
            scope.version = version.to_owned().into();
        }
        _ => {
            let attributes = match key.split_once('.') {
                Some(("resource", _)) => &mut resource.attributes,
                Some(("scope", _)) => &mut scope.attributes,
                _ => &mut span.attributes,
            };
            let key = key.strip_prefix("resource.").or(key.strip_prefix("scope.")).unwrap_or(key);
            attributes.push(attribute(unquoted(key), value(text)?));
        }
    }
    Ok(())
}

/// `name(a b)` to `name` and its words.
fn with_inside(text: &str) -> (&str, Vec<String>) {
    match text.split_once('(') {
        Some((name, inside)) => (name, words(inside.strip_suffix(')').unwrap_or(inside))),
        None => (text, Vec::new()),
    }
}

fn pair(word: &str) -> Result<Attribute<'static>, String> {
    let (key, text) = word.split_once('=').ok_or(format!("{word:?} is not k=v"))?;
    Ok(attribute(key, value(text)?))
}

fn value(text: &str) -> Result<Value<'static>, String> {
    if let Some(list) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return Ok(Value::Array(words(list).iter().map(|w| value(w)).collect::<Result<_, _>>()?));
    }
    Ok(match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "bytes" => Value::Bytes(vec![1, 2].into()),
        "empty" => Value::Empty,
        _ if text.starts_with('"') => Value::Str(unquoted(text).to_owned().into()),
        _ => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(v), _) => Value::Int(v),
            (_, Ok(v)) => Value::Double(v),
            _ => return Err(format!("{text:?} is no value")),
        },
    })
}
