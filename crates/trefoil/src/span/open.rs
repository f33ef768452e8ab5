//! A span while it is open.

use std::ops::Range;
use std::sync::Arc;

use tracing_core::Metadata;
use trefoil_wire::otlp::{AnyValue, KeyValue};
use trefoil_wire::protobuf::{Decode, Reader};

use super::callsite::{Callsite, encode_location};
use super::encode::{SPAN_ATTRIBUTE, bytes, put, tag, varint};
use super::fields::Found;
use super::local::{Current, Heritage, KEPT_BYTES_MAX, Parent, empty};
use crate::config::SpanLimits;
use crate::context::TraceFlags;

/// OTLP's `Status.code`.
pub(super) const UNSET: u8 = 0;
pub(super) const OK: u8 = 1;
pub(super) const ERROR: u8 = 2;

/// Fields of `Span` that repeat.
const ATTRIBUTE_TAG: u8 = tag(SPAN_ATTRIBUTE, 2);
const EVENT: u8 = 11;
const LINK: u8 = 13;

/// A span that has not ended: what is fixed as numbers, what grows as OTLP's bytes.
#[derive(Default)]
pub(super) struct Open {
    /// Handles that users hold.
    pub(super) handles: u32,
    /// What others get to know of it.
    pub(super) own: Current,
    /// All zero for a root.
    pub(super) parent_id: [u8; 8],
    /// Key of the parent, if that is a span of this store.
    pub(super) parent_key: u64,
    /// Whether the parent is in another process.
    pub(super) remote_parent: bool,
    /// Whether the parent is in another process, or there is none, or it has ended.
    pub(super) local_root: bool,
    /// Whether others know its ids already.
    pub(super) fixed: bool,
    /// Whether the thread was unwinding already when it began.
    pub(super) in_panic: bool,
    pub(super) start_ns: u64,
    /// When it ended, if its maker says so; else 0.
    pub(super) end_ns: u64,
    /// Its double in the registry of other layers, else 0.
    pub(super) shadow: u64,
    /// Whether it has ended and is here for other layers only.
    pub(super) closed: bool,
    /// Whether the OpenTelemetry API knows it by its id.
    pub(super) bridged: bool,
    pub(super) metadata: Option<&'static Metadata<'static>>,
    pub(super) scope: &'static str,
    pub(super) name: &'static str,
    pub(super) kind: u8,
    pub(super) status: u8,
    /// Whether the status was set as such, not found among fields and events.
    pub(super) status_set: bool,
    pub(super) counts: Counts,
    /// Attributes, events and links as fields of OTLP's `Span`.
    pub(super) body: Vec<u8>,
    /// Replaces the name, unless it is empty. A text, whose bytes is all that is mostly asked for.
    other_name: Vec<u8>,
    /// Goes with the status.
    description: String,
    pub(super) heritage: Option<Arc<Heritage>>,
}

/// How much a span has, and how much beyond its limits.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) attributes: u32,
    /// Those it began with.
    pub(super) attributes_at_start: u32,
    pub(super) attributes_dropped: u32,
    pub(super) events: u32,
    pub(super) events_dropped: u32,
    pub(super) links: u32,
    pub(super) links_dropped: u32,
}

impl Open {
    /// What is begun inside is a child of.
    #[inline]
    pub(super) fn as_parent(&self) -> Parent {
        Parent { span: self.own, remote: false, heritage: self.heritage.clone() }
    }

    pub(super) fn failed(&self) -> bool {
        self.status == ERROR
    }

    pub(super) fn name(&self) -> &str {
        std::str::from_utf8(self.name_bytes()).unwrap_or(self.name)
    }

    fn name_bytes(&self) -> &[u8] {
        if self.other_name.is_empty() { self.name.as_bytes() } else { &self.other_name }
    }

    pub(super) fn set_name(&mut self, name: &str) {
        self.set_name_bytes(name.as_bytes());
    }

    fn set_name_bytes(&mut self, name: &[u8]) {
        empty(&mut self.other_name);
        self.other_name.extend_from_slice(name);
    }

    /// What the user says about the end. Once it is said to be well, it stays so.
    pub(super) fn set_status(&mut self, status: u8, description: &str) {
        if self.status_set && self.status == OK && status != OK {
            return;
        }
        self.status = status;
        self.status_set = true;
        replace(&mut self.description, if status == ERROR { description } else { "" });
    }

    /// Something in the span failed: it did, too, unless the user says otherwise.
    pub(super) fn fail(&mut self, description: &str) {
        if self.status_set {
            return;
        }
        self.status = ERROR;
        if self.description.is_empty() {
            replace(&mut self.description, description);
        }
    }

    /// Takes over what was found among fields. `texts` is where it lies.
    #[inline]
    pub(super) fn take_found(&mut self, found: &Found, texts: &[u8]) {
        if found.kind != 0 {
            self.kind = found.kind;
        }
        // Most spans have no text but attributes.
        if !texts.is_empty() || found.failed {
            self.take_texts(found, texts);
        }
    }

    fn take_texts(&mut self, found: &Found, texts: &[u8]) {
        if !found.name.is_empty() {
            self.set_name_bytes(found.name.bytes(texts));
        }
        let description = found.description.of(texts);
        if let Some(status) = found.status {
            self.set_status(status, description);
        } else if !description.is_empty() {
            replace(&mut self.description, description);
        }
        if found.failed {
            self.fail(found.error.of(texts));
        }
    }

    /// Adds attributes that are fields of `Span` already; a key that is there is replaced.
    pub(super) fn merge_attributes(&mut self, mut added: &[u8], limit: u32) {
        while let Some(length) = field_len(added) {
            let (attribute, rest) = added.split_at(length);
            added = rest;
            if let Some(old) = self.find(attribute_key(attribute)) {
                self.body.drain(old);
            } else if self.counts.attributes < limit {
                self.counts.attributes += 1;
            } else {
                self.counts.attributes_dropped += 1;
                continue;
            }
            self.body.extend_from_slice(attribute);
        }
    }

    /// Where an attribute lies.
    fn find(&self, key: &[u8]) -> Option<Range<usize>> {
        let mut at = 0;
        while let Some(length) = field_len(&self.body[at..]) {
            let field = &self.body[at..at + length];
            if field[0] == ATTRIBUTE_TAG && attribute_key(field) == key {
                return Some(at..at + length);
            }
            at += length;
        }
        None
    }

    /// Adds an event, which is the content of OTLP's message.
    pub(super) fn add_event(&mut self, event: &[u8], limits: &SpanLimits) {
        if self.counts.events < limits.events {
            self.counts.events += 1;
            bytes(&mut self.body, EVENT, event);
        } else {
            self.counts.events_dropped += 1;
        }
    }

    /// Adds a link, which is the content of OTLP's message.
    pub(super) fn add_link(&mut self, link: &[u8], limits: &SpanLimits) {
        if self.counts.links < limits.links {
            self.counts.links += 1;
            bytes(&mut self.body, LINK, link);
        } else {
            self.counts.links_dropped += 1;
        }
    }

    /// Its attributes, one after the other.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&str, AnyValue<'_>)> {
        attributes(&self.body)
    }

    /// Appends it as OTLP's `Span`, without what the verdict on its trace adds: flags,
    /// `tracestate` and why it leaves.
    pub(super) fn encode(&self, out: &mut Vec<u8>, end_ns: u64, code_location: bool) {
        let mut ids = [0; 28];
        ids[0] = tag(1, 2);
        ids[1] = 16;
        ids[2..18].copy_from_slice(&self.own.trace_id.0);
        ids[18] = tag(2, 2);
        ids[19] = 8;
        ids[20..].copy_from_slice(&self.own.span_id.0);
        let mut parent = [0; 10];
        parent[0] = tag(4, 2);
        parent[1] = 8;
        parent[2..].copy_from_slice(&self.parent_id);
        let parent = if self.parent_id == [0; 8] { &[] } else { &parent[..] };
        let mut times = [0; 20];
        times[0] = tag(6, 0);
        times[1] = self.kind;
        times[2] = tag(7, 1);
        times[3..11].copy_from_slice(&self.start_ns.to_le_bytes());
        times[11] = tag(8, 1);
        times[12..].copy_from_slice(&end_ns.to_le_bytes());
        let name = self.name_bytes();
        if name.len() < 0x80 {
            let name_head = [tag(5, 2), name.len() as u8];
            put(out, [&ids, parent, &name_head, name, &times, &self.body]);
        } else {
            put(out, [&ids, parent]);
            bytes(out, 5, name);
            put(out, [&times, &self.body]);
        }
        if code_location {
            self.encode_location(out);
        }
        let dropped =
            [self.counts.attributes_dropped, self.counts.events_dropped, self.counts.links_dropped];
        for (field, count) in [10, 12, 14].into_iter().zip(dropped) {
            if count > 0 {
                out.push(tag(field, 0));
                varint(out, u64::from(count));
            }
        }
        if self.status != UNSET {
            encode_status(out, self.status, &self.description);
        }
    }

    fn encode_location(&self, out: &mut Vec<u8>) {
        let Some(metadata) = self.metadata else { return };
        match Callsite::of(metadata) {
            Some(callsite) => out.extend_from_slice(&callsite.location),
            None => encode_location(out, metadata),
        }
    }

    /// Makes room for the next span. Buffers keep their memory; the rest is set when the
    /// place is taken again.
    #[inline]
    pub(super) fn clear(&mut self) {
        empty(&mut self.body);
        self.heritage = None;
        empty(&mut self.other_name);
        if !self.description.is_empty() {
            replace(&mut self.description, "");
        }
    }
}

/// Another text in the same memory, unless that is large.
fn replace(text: &mut String, by: &str) {
    if text.capacity() > KEPT_BYTES_MAX {
        *text = String::new();
    }
    text.clear();
    text.push_str(by);
}

fn encode_status(out: &mut Vec<u8>, status: u8, description: &str) {
    let length = match description.len() {
        0 => 2,
        length => 2 + 1 + super::encode::varint_len(length) + length,
    };
    out.push(tag(15, 2));
    varint(out, length as u64);
    if !description.is_empty() {
        bytes(out, 2, description.as_bytes());
    }
    out.extend_from_slice(&[tag(3, 0), status]);
}

/// Field 16 of `Span`: W3C's flags, and whether the parent is in another process.
pub(super) fn encode_flags(out: &mut Vec<u8>, flags: TraceFlags, remote_parent: bool) {
    // Bit 8 says that bit 9 says something.
    let flags = u32::from(flags.known()) | 0x100 | u32::from(remote_parent) << 9;
    // The tag of field 16 with four bytes is the first that takes two.
    let mut bytes = [0x85, 0x01, 0, 0, 0, 0];
    bytes[2..].copy_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&bytes);
}

/// Attributes among fields of a `Span`.
pub(super) fn attributes(body: &[u8]) -> impl Iterator<Item = (&str, AnyValue<'_>)> {
    let mut reader = Reader::new(body);
    std::iter::from_fn(move || {
        while let Some(field) = reader.next_field().ok()? {
            if field.number == u32::from(SPAN_ATTRIBUTE) {
                let pair = KeyValue::decode(Reader::new(field.bytes().ok()?)).ok()?;
                return Some((pair.key, pair.value));
            }
        }
        None
    })
}

/// Length of the field that the bytes begin with. All fields here have a length.
#[inline]
fn field_len(fields: &[u8]) -> Option<usize> {
    let (length, head) = length_at(fields, 1)?;
    Some(head + length).filter(|end| *end <= fields.len())
}

/// The key of an attribute: the first field in it.
#[inline]
fn attribute_key(attribute: &[u8]) -> &[u8] {
    let key = || {
        let (_, head) = length_at(attribute, 1)?;
        let (length, start) = length_at(attribute, head + 1)?;
        attribute.get(start..start + length)
    };
    key().unwrap_or_default()
}

/// A varint that is a length, and where it ends.
#[inline]
fn length_at(fields: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut length = 0;
    let mut shift = 0;
    loop {
        let byte = *fields.get(at)?;
        length |= usize::from(byte & 0x7f) << shift;
        at += 1;
        if byte < 0x80 {
            return Some((length, at));
        }
        shift += 7;
    }
}
