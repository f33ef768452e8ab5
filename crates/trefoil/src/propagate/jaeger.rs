//! Jaeger's own headers.
//!
//! Source: Jaeger's documentation, "Client libraries: propagation format".

use super::Fields;
use super::baggage::{Entries, is_token, percent_decoded};
use crate::context::{Baggage, BaggageEntry, SpanContext, TraceFlags, TraceState};
use crate::id::{SpanId, TraceId};

const SAMPLED: u8 = 1;
/// Asks everyone to keep the trace.
const DEBUG: u8 = 2;

/// `uber-trace-id: {trace id}:{span id}:{parent span id}:{flags}`
pub(super) fn read(fields: &dyn Fields) -> Option<SpanContext> {
    // What the third part is does not matter, be it no text. Some clients encode the colons.
    let value = String::from_utf8_lossy(fields.single("uber-trace-id")?);
    let value = percent_decoded(&value);
    let mut parts = value.split(':');
    let (trace_id, span_id) = (parts.next()?, parts.next()?);
    let (_parent, flags) = (parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let trace_id = TraceId::new(number(trace_id, 32)?.to_be_bytes())?;
    let span_id = u64::try_from(number(span_id, 16)?).ok()?;
    let span_id = SpanId::new(span_id.to_be_bytes())?;
    let flags = u8::try_from(number(flags, 2)?).ok()?;
    let flags =
        if flags & (SAMPLED | DEBUG) != 0 { TraceFlags::SAMPLED } else { TraceFlags::default() };
    Some(SpanContext { trace_id, span_id, flags, state: TraceState::default(), remote: true })
}

pub(super) fn write(span: &SpanContext, set: &mut dyn FnMut(&str, &str)) {
    let sampled = u8::from(span.flags.is_sampled());
    set("uber-trace-id", &format!("{}:{}:0:{sampled:x}", span.trace_id, span.span_id));
}

/// `uberctx-{key}: {value}` and, by hand, `jaeger-baggage: {key}={value}, …`
pub(super) fn read_baggage(fields: &dyn Fields) -> Baggage {
    let mut entries = Entries::default();
    fields.each_prefixed("uberctx-", &mut |key, value| entries.insert(key, value.trim(), ""));
    fields.each_member("jaeger-baggage", &mut |pair| {
        if let Some((key, value)) = pair.split_once('=') {
            entries.insert(key.trim(), value.trim(), "");
        }
    });
    entries.into_baggage()
}

pub(super) fn write_baggage(baggage: &Baggage, set: &mut dyn FnMut(&str, &str)) {
    let mut bytes = 0;
    let entries = baggage.entries().iter().filter(|entry| is_token(&entry.key));
    for BaggageEntry { key, encoded, .. } in entries.take(super::baggage::ENTRIES_MAX) {
        bytes += key.len() + encoded.len();
        if bytes <= super::baggage::BYTES_MAX {
            set(&format!("uberctx-{}", key.to_ascii_lowercase()), encoded);
        }
    }
}

/// A hexadecimal number of at most so many digits; zeros in front may be left out.
fn number(text: &str, digits_max: usize) -> Option<u128> {
    let sound =
        (1..=digits_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    sound.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}
