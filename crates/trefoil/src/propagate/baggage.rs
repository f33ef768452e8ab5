//! W3C baggage.
//!
//! Source: <https://www.w3.org/TR/baggage/>.

use std::sync::Arc;

use super::Fields;
use crate::context::{Baggage, BaggageEntry};

/// Entries that are taken and passed on; the specification asks for no more.
pub(super) const ENTRIES_MAX: usize = 64;
/// Bytes of all entries, as they are written; the specification asks for no more.
pub(super) const BYTES_MAX: usize = 8192;

pub(super) fn read(fields: &dyn Fields) -> Baggage {
    let mut entries = Entries::default();
    fields.each("baggage", &mut |value| {
        for member in value.split(',') {
            entries.take(member);
        }
    });
    entries.into_baggage()
}

pub(super) fn write(baggage: &Baggage, set: &mut dyn FnMut(&str, &str)) {
    let mut value = String::new();
    for entry in baggage.entries().iter().filter(|entry| is_token(&entry.key)).take(ENTRIES_MAX) {
        let start = value.len();
        if start > 0 {
            value.push(',');
        }
        value.push_str(&entry.key);
        value.push('=');
        value.push_str(&percent_encoded(&entry.value));
        if !entry.properties.is_empty() {
            value.push(';');
            value.push_str(&entry.properties);
        }
        if value.len() > BYTES_MAX {
            value.truncate(start);
        }
    }
    if !value.is_empty() {
        set("baggage", &value);
    }
}

/// Entries as they are read, up to the limits. The last value of a key counts.
#[derive(Default)]
pub(super) struct Entries {
    entries: Vec<BaggageEntry>,
    bytes: usize,
}

impl Entries {
    /// Takes `key=value;property…`; what is malformed is left out.
    pub(super) fn take(&mut self, member: &str) {
        let (pair, properties) = member.split_once(';').unwrap_or((member, ""));
        if let Some((key, value)) = pair.split_once('=') {
            self.insert(trimmed(key), trimmed(value), trimmed(properties));
        }
    }

    pub(super) fn insert(&mut self, key: &str, value: &str, properties: &str) {
        self.bytes = self.bytes.saturating_add(key.len() + value.len() + properties.len() + 2);
        if self.bytes > BYTES_MAX + 1 || !is_token(key) || !properties.bytes().all(is_plain) {
            return;
        }
        let entry = BaggageEntry {
            key: key.to_owned(),
            value: percent_decoded(value),
            properties: properties.to_owned(),
        };
        if let Some(other) = self.entries.iter_mut().find(|other| other.key == key) {
            *other = entry;
        } else if self.entries.len() < ENTRIES_MAX {
            self.entries.push(entry);
        }
    }

    pub(super) fn into_baggage(self) -> Baggage {
        Baggage((!self.entries.is_empty()).then(|| Arc::from(self.entries)))
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// What a header's value may have: text of ASCII without line ends.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e)
}

/// A token of HTTP (RFC 9110, 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Percent-encodes all but what RFC 3986 calls unreserved: good in each part of a URL and in
/// baggage.
pub(crate) fn percent_encoded(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// The text that was encoded. What is not UTF-8 becomes U+FFFD, as the specification says;
/// a `%` without two digits stays.
pub(super) fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let digits = digits.filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(value) if byte == b'%' => {
                decoded.push(value);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
