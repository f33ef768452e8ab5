//! B3, of Zipkin: one header or several.
//!
//! Source: <https://github.com/openzipkin/b3-propagation>.

use super::{Fields, hex, text};
use crate::context::{SpanContext, TraceFlags, TraceState};
use crate::id::{SpanId, TraceId};

/// `b3: {trace id}-{span id}[-{sampling state}[-{parent span id}]]`
pub(super) fn read_single(fields: &dyn Fields) -> Option<SpanContext> {
    let mut parts = text(fields.single("b3")?).split('-');
    let (trace_id, span_id) = (parts.next()?, parts.next()?);
    let flags = match parts.next() {
        Some("1" | "d") => TraceFlags::SAMPLED,
        Some("0") => TraceFlags::default(),
        Some(_) => return None,
        None => TraceFlags::DEFERRED,
    };
    if parts.next().is_some_and(|parent| hex::<8>(parent).is_none()) || parts.next().is_some() {
        return None;
    }
    context(trace_id, span_id, flags)
}

/// `X-B3-TraceId`, `X-B3-SpanId`, `X-B3-Sampled`, `X-B3-Flags`
pub(super) fn read_multi(fields: &dyn Fields) -> Option<SpanContext> {
    // Of fields that come twice the first counts.
    let trace_id = fields.first("x-b3-traceid")?;
    let span_id = fields.first("x-b3-spanid")?;
    let debug = fields.first("x-b3-flags") == Some("1");
    let flags = match fields.first("x-b3-sampled") {
        _ if debug => TraceFlags::SAMPLED,
        // Early senders wrote the words.
        Some("1" | "true") => TraceFlags::SAMPLED,
        Some("0" | "false") => TraceFlags::default(),
        Some(_) => return None,
        None => TraceFlags::DEFERRED,
    };
    context(trace_id, span_id, flags)
}

/// `b3: {sampling state}`, or `X-B3-Sampled` and `X-B3-Flags` without ids: the decision about a
/// trace that begins here.
pub(super) fn read_decision(fields: &dyn Fields) -> Option<bool> {
    if let Some(state) = fields.single("b3") {
        return match text(state) {
            "1" | "d" => Some(true),
            "0" => Some(false),
            _ => None,
        };
    }
    let is_named = ["x-b3-traceid", "x-b3-spanid"].iter().any(|id| fields.first(id).is_some());
    match fields.first("x-b3-sampled") {
        _ if is_named => None,
        _ if fields.first("x-b3-flags") == Some("1") => Some(true),
        Some("1" | "true") => Some(true),
        Some("0" | "false") => Some(false),
        _ => None,
    }
}

pub(super) fn write_single(span: &SpanContext, set: &mut dyn FnMut(&str, &str)) {
    let sampled = u8::from(span.flags.is_sampled());
    set("b3", &format!("{}-{}-{sampled}", span.trace_id, span.span_id));
}

pub(super) fn write_multi(span: &SpanContext, set: &mut dyn FnMut(&str, &str)) {
    set("x-b3-traceid", &span.trace_id.to_string());
    set("x-b3-spanid", &span.span_id.to_string());
    set("x-b3-sampled", if span.flags.is_sampled() { "1" } else { "0" });
}

fn context(trace_id: &str, span_id: &str, flags: TraceFlags) -> Option<SpanContext> {
    let trace_id = match hex::<8>(trace_id) {
        Some(low) => u128::from(u64::from_be_bytes(low)).to_be_bytes(),
        None => hex(trace_id)?,
    };
    Some(SpanContext {
        trace_id: TraceId::new(trace_id)?,
        span_id: SpanId::new(hex(span_id)?)?,
        flags,
        state: TraceState::default(),
        remote: true,
    })
}
