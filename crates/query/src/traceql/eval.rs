//! Evaluates an expression on one span.

use std::borrow::Cow;

use trefoil_store::model::{self, Attribute, Resource, SpanId, StoredSpan};

use super::ast::{Expr, Field, Intrinsic, LogicalOp, Scope};
use super::trace::Trace;
use super::value::{self, Value};

/// A span, and its trace where that is at hand.
#[derive(Clone, Copy)]
pub(crate) struct SpanView<'a> {
    pub(crate) stored: &'a StoredSpan<'a>,
    /// The whole trace and the span's place in it; expressions for which
    /// [`needs_trace`] holds are only evaluated with it.
    pub(crate) trace: Option<(&'a Trace<'a>, usize)>,
}

/// The value of an expression.
pub(crate) fn eval<'a>(expr: &'a Expr, view: SpanView<'a>) -> Value<'a> {
    match expr {
        Expr::Literal(literal) => Value::from_literal(literal),
        Expr::Field(field) => field_value(field, view),
        Expr::Logical(op, terms) => Value::Bool(logical(*op, terms, view)),
        Expr::Compare(op, a, b) => Value::Bool(value::compare(*op, &eval(a, view), &eval(b, view))),
        Expr::Match(positive, a, pattern) => {
            Value::Bool(value::matches(*positive, &eval(a, view), &pattern.regex))
        }
        Expr::Arith(op, a, b) => {
            value::arith(*op, &eval(a, view).single(), &eval(b, view).single())
        }
        // What is neither true nor false has no opposite; the span does not match then.
        Expr::Not(inner) => eval(inner, view).truth().map_or(Value::Nil, |v| Value::Bool(!v)),
        Expr::Neg(inner) => match eval(inner, view).single() {
            Value::Int(v) => Value::Int(v.wrapping_neg()),
            Value::Float(v) => Value::Float(-v),
            Value::Duration(v) => Value::Duration(v.wrapping_neg()),
            _ => Value::Nil,
        },
        Expr::Exists(inner) => Value::Bool(eval(inner, view) != Value::Nil),
        Expr::Missing(inner) => Value::Bool(eval(inner, view) == Value::Nil),
    }
}

/// Whether a span passes a filter.
pub(crate) fn holds(expr: &Expr, view: SpanView<'_>) -> bool {
    eval(expr, view).truth() == Some(true)
}

/// From left to right. `false && x` and `true || x` do not look at x; where they do look,
/// a side that is neither true nor false (a missing attribute) makes the pair false, even
/// with `||`: Tempo's engine does so, since nil compares with nothing.
fn logical(op: LogicalOp, terms: &[Expr], view: SpanView<'_>) -> bool {
    let decisive = op == LogicalOp::Or;
    let mut terms = terms.iter();
    let Some(first) = terms.next() else { return !decisive };
    let mut known = eval(first, view).truth();
    for term in terms {
        if known == Some(decisive) {
            return decisive;
        }
        let next = eval(term, view).truth();
        known = Some(match (known, next) {
            (Some(a), Some(b)) => {
                if decisive {
                    a || b
                } else {
                    a && b
                }
            }
            _ => false,
        });
    }
    known == Some(true)
}

/// The value of a field; nil if the span does not have it.
pub(crate) fn field_value<'a>(field: &'a Field, view: SpanView<'a>) -> Value<'a> {
    match field {
        Field::Intrinsic(intrinsic) => intrinsic_value(*intrinsic, view),
        Field::Attribute { scope, parent: false, name } => {
            attribute_value(*scope, name, view.stored)
        }
        Field::Attribute { scope, parent: true, name } => {
            let Some((trace, at)) = view.trace else { return Value::Nil };
            let Some(parent) = trace.nodes[at].parent else { return Value::Nil };
            attribute_value(*scope, name, &trace.spans[parent])
        }
    }
}

fn attribute_value<'a>(scope: Scope, name: &str, stored: &'a StoredSpan<'a>) -> Value<'a> {
    let span = &stored.span;
    match scope {
        Scope::Span => find(&span.attributes, name),
        Scope::Resource => find(&stored.resource.attributes, name),
        Scope::Instrumentation => find(&stored.scope.attributes, name),
        Scope::Any if span.attributes.iter().any(|a| a.key == name) => find(&span.attributes, name),
        Scope::Any => find(&stored.resource.attributes, name),
        Scope::Event => each(span.events.iter().map(|event| find(&event.attributes, name))),
        Scope::Link => each(span.links.iter().map(|link| find(&link.attributes, name))),
    }
}

fn find<'a>(attributes: &'a [Attribute<'_>], name: &str) -> Value<'a> {
    attributes.iter().find(|a| a.key == name).map_or(Value::Nil, |a| Value::from_model(&a.value))
}

/// The values of several events or links that have one.
fn each<'a>(values: impl Iterator<Item = Value<'a>>) -> Value<'a> {
    let values: Vec<Value<'a>> = values.filter(|v| *v != Value::Nil).collect();
    if values.is_empty() { Value::Nil } else { Value::Each(values) }
}

fn intrinsic_value<'a>(intrinsic: Intrinsic, view: SpanView<'a>) -> Value<'a> {
    let (span, scope) = (&view.stored.span, &view.stored.scope);
    match intrinsic {
        Intrinsic::Duration => Value::Duration(duration_ns(view.stored)),
        Intrinsic::Name => text(&span.name),
        Intrinsic::Status => Value::Status(span.status),
        Intrinsic::StatusMessage => text(&span.status_message),
        Intrinsic::Kind => Value::Kind(span.kind),
        Intrinsic::SpanId => Value::Text(Cow::Owned(hex(&span.span_id))),
        Intrinsic::ParentId => Value::Text(Cow::Owned(parent_hex(span.parent_span_id))),
        Intrinsic::TraceId => Value::Text(Cow::Owned(short_hex(&span.trace_id))),
        Intrinsic::EventName => each(span.events.iter().map(|e| text(&e.name))),
        Intrinsic::EventTimeSinceStart => each(
            span.events
                .iter()
                .map(|e| Value::Duration(e.time_ns.wrapping_sub(span.start_ns) as i64)),
        ),
        Intrinsic::LinkTraceId => {
            each(span.links.iter().map(|l| Value::Text(Cow::Owned(short_hex(&l.trace_id)))))
        }
        Intrinsic::LinkSpanId => {
            each(span.links.iter().map(|l| Value::Text(Cow::Owned(hex(&l.span_id)))))
        }
        Intrinsic::InstrumentationName => text(&scope.name),
        Intrinsic::InstrumentationVersion => text(&scope.version),
        _ => view.trace.map_or(Value::Nil, |(trace, at)| trace_value(intrinsic, trace, at)),
    }
}

/// The intrinsics that only the whole trace knows.
fn trace_value<'a>(intrinsic: Intrinsic, trace: &'a Trace<'a>, at: usize) -> Value<'a> {
    let node = &trace.nodes[at];
    match intrinsic {
        Intrinsic::ChildCount => Value::Int(node.children.len() as i64),
        Intrinsic::RootName => text(trace.root_name().unwrap_or("")),
        Intrinsic::RootService => text(trace.root_service().unwrap_or("")),
        Intrinsic::TraceDuration => {
            Value::Duration(i64::try_from(trace.duration_ns()).unwrap_or(i64::MAX))
        }
        Intrinsic::NestedSetLeft => Value::Int(node.left),
        Intrinsic::NestedSetRight => Value::Int(node.right),
        Intrinsic::NestedSetParent => Value::Int(node.parent_left),
        _ => Value::Nil,
    }
}

/// Whether an expression can only be evaluated on a span whose trace is at hand.
pub(crate) fn needs_trace(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) => false,
        Expr::Field(field) => field_needs_trace(field),
        Expr::Logical(_, terms) => terms.iter().any(needs_trace),
        Expr::Compare(_, a, b) | Expr::Arith(_, a, b) => needs_trace(a) || needs_trace(b),
        Expr::Match(_, a, _) | Expr::Not(a) | Expr::Neg(a) | Expr::Exists(a) | Expr::Missing(a) => {
            needs_trace(a)
        }
    }
}

/// [`needs_trace`] for one field.
pub(crate) fn field_needs_trace(field: &Field) -> bool {
    match field {
        Field::Attribute { parent, .. } => *parent,
        Field::Intrinsic(intrinsic) => matches!(
            intrinsic,
            Intrinsic::ChildCount
                | Intrinsic::RootName
                | Intrinsic::RootService
                | Intrinsic::TraceDuration
                | Intrinsic::NestedSetLeft
                | Intrinsic::NestedSetRight
                | Intrinsic::NestedSetParent
        ),
    }
}

/// End minus start in nanoseconds, 0 where the clock ran backwards.
pub(crate) fn duration_ns(stored: &StoredSpan<'_>) -> i64 {
    i64::try_from(stored.span.end_ns.saturating_sub(stored.span.start_ns)).unwrap_or(i64::MAX)
}

/// The resource's `service.name`, if it is text.
pub(crate) fn service_name<'a>(resource: &'a Resource<'_>) -> Option<&'a str> {
    let found = resource.attributes.iter().find(|a| a.key == "service.name")?;
    match &found.value {
        model::Value::Str(name) => Some(name),
        _ => None,
    }
}

/// A trace id as TraceQL sees it: without leading zeros. Source: Tempo's engine.
fn short_hex(id: &[u8; 16]) -> String {
    hex(id).trim_start_matches('0').to_owned()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)] as char, DIGITS[usize::from(b & 15)] as char])
        .collect()
}

fn parent_hex(id: SpanId) -> String {
    if id == [0; 8] { String::new() } else { hex(&id) }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}
