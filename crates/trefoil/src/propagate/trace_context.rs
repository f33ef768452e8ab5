//! W3C trace context, level 2: `traceparent` and `tracestate`.
//!
//! Source: <https://www.w3.org/TR/trace-context-2/>.

use super::{Fields, hex};
use crate::context::{SpanContext, TraceFlags, TraceState};
use crate::id::{SpanId, TraceId};

/// Bytes of a `tracestate` that are passed on; the specification asks for no more.
const STATE_BYTES_MAX: usize = 512;
/// Members that are longer go first when there is no room.
const LONG_MEMBER_BYTES: usize = 128;
/// Bytes of all `tracestate` fields that are looked at.
const STATE_BYTES_READ_MAX: usize = 8192;
/// Bytes of `00-{trace id}-{span id}-{flags}`.
const PARENT_BYTES: usize = 55;

pub(super) fn read(fields: &dyn Fields) -> Option<SpanContext> {
    let (trace_id, span_id, flags) = parent(fields.single("traceparent")?)?;
    Some(SpanContext { trace_id, span_id, flags, state: state(fields), remote: true })
}

pub(super) fn write(span: &SpanContext, set: &mut dyn FnMut(&str, &str)) {
    let mut buffer = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&span.trace_id.0, &mut buffer[3..35]);
    write_hex(&span.span_id.0, &mut buffer[36..52]);
    write_hex(&[span.flags.known()], &mut buffer[53..55]);
    set("traceparent", std::str::from_utf8(&buffer).unwrap_or_default());
    if !span.state.is_empty() {
        set("tracestate", span.state.as_str());
    }
}

fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn parent(value: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, rest) = value.split_at_checked(PARENT_BYTES)?;
    let [version] = hex(&known[..2])?;
    // A later version may say more, behind a dash, and it need not be text. Version 255 is not
    // allowed.
    let well_ended = match version {
        0 => rest.is_empty(),
        255 => false,
        _ => rest.is_empty() || rest[0] == b'-',
    };
    let dashes = [2, 35, 52].iter().all(|&at| known[at] == b'-');
    if !well_ended || !dashes {
        return None;
    }
    let trace_id = TraceId::new(hex(&known[3..35])?)?;
    let span_id = SpanId::new(hex(&known[36..52])?)?;
    let [flags] = hex(&known[53..55])?;
    Some((trace_id, span_id, TraceFlags(TraceFlags(flags).known())))
}

/// The members of all `tracestate` fields. One that is malformed, or more of them than there may
/// be, makes the whole worthless; the parent stays. Of a key that stands twice the first, which
/// is the newer one, counts: others did nothing wrong.
fn state(fields: &dyn Fields) -> TraceState {
    let mut members: Vec<&str> = Vec::new();
    let (mut sound, mut bytes, mut count) = (true, 0, 0);
    fields.each_member("tracestate", &mut |member| {
        bytes += member.len() + 1;
        sound = sound && bytes <= STATE_BYTES_READ_MAX;
        if !sound || member.is_empty() {
            return;
        }
        count += 1;
        sound = is_member(member) && count <= TraceState::MEMBERS_MAX;
        if !members.iter().any(|other| key(other) == key(member)) {
            members.push(member);
        }
    });
    if !sound {
        return TraceState::default();
    }
    cut(&mut members);
    TraceState::from_members(&members.join(","))
}

/// Takes out members until the rest has room, as the specification says: the long ones first,
/// then from the end.
fn cut(members: &mut Vec<&str>) {
    let fits = |members: &[&str]| {
        members.iter().map(|member| member.len() + 1).sum::<usize>() <= STATE_BYTES_MAX + 1
    };
    while !fits(members) {
        match members.iter().rposition(|member| member.len() > LONG_MEMBER_BYTES) {
            Some(long) => members.remove(long),
            None => members.remove(members.len() - 1),
        };
    }
}

fn key(member: &str) -> &str {
    member.split_once('=').map_or(member, |(key, _)| key)
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let starts = key.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_key_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b);
    starts
        && key.len() <= 256
        && key.bytes().all(is_key_byte)
        && (1..=256).contains(&value.len())
        && value.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b',' && b != b'=')
}
