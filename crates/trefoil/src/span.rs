//! To come.

use trefoil_wire::otlp::AnyValue;

use crate::context::TraceFlags;
use crate::export::Priority;
use crate::id::{SpanId, TraceId};

#[derive(Debug)]
pub(crate) struct Spans {}

pub(crate) struct Current {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) flags: TraceFlags,
}

pub(crate) fn current() -> Option<Current> {
    None
}

pub(crate) fn with_span_fields(f: &mut dyn FnMut(&str, AnyValue<'_>)) {
    let _ = f;
}

impl Spans {
    pub(crate) fn hold_log(
        &self,
        current: &Current,
        scope: &'static str,
        priority: Priority,
        severity: u8,
        message: &[u8],
        flags_at: usize,
    ) -> bool {
        let _ = (current, scope, priority, severity, message, flags_at);
        false
    }
}
