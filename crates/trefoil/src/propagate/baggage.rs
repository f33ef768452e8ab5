//! W3C baggage.
//!
//! Source: <https://www.w3.org/TR/baggage/>.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Fields, OWS};
use crate::context::{Baggage, BaggageEntry};

/// Entries that are taken and passed on; the specification asks for no more.
pub(super) const ENTRIES_MAX: usize = 64;
/// Bytes of all entries, as they are written; the specification asks for no more.
pub(super) const BYTES_MAX: usize = 8192;

pub(super) fn read(fields: &dyn Fields) -> Baggage {
    let mut entries = Entries::default();
    fields.each_member("baggage", &mut |member| entries.take(member));
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
        value.push_str(&entry.encoded);
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
        if !is_token(key) || key.len() + value.len() > BYTES_MAX {
            return;
        }
        let entry = read_entry(key, value);
        let entry = BaggageEntry { properties: sound_properties(properties), ..entry };
        let same = self.entries.iter().position(|other| other.key == key);
        let before = same.map_or(0, |at| written_bytes(&self.entries[at]));
        let bytes = self.bytes - before + written_bytes(&entry);
        // A comma stands behind all but the last.
        if bytes > BYTES_MAX + 1 {
            return;
        }
        match same {
            Some(at) => self.entries[at] = entry,
            None if self.entries.len() < ENTRIES_MAX => self.entries.push(entry),
            None => return,
        }
        self.bytes = bytes;
    }

    pub(super) fn into_baggage(self) -> Baggage {
        Baggage((!self.entries.is_empty()).then(|| Arc::from(self.entries)))
    }
}

/// An entry whose value leaves as it came if that was well formed. An encoder of our own,
/// however right, would make others' values longer than there is room for.
fn read_entry(key: &str, value: &str) -> BaggageEntry {
    let decoded = percent_decoded(value);
    // That character is what became of bytes that are not UTF-8.
    let is_sound = is_encoded(value) && !decoded.contains('\u{fffd}');
    let encoded = if is_sound { value.to_owned() } else { percent_encoded(&decoded) };
    BaggageEntry::new(key, &decoded, encoded)
}

/// The well-formed ones of `property;property…`, without white space.
fn sound_properties(text: &str) -> String {
    let mut sound = String::new();
    for property in text.split(';').filter(|property| !property.is_empty()) {
        let (key, value) = property.split_once('=').unwrap_or((property, ""));
        let (key, value) = (trimmed(key), trimmed(value));
        if !is_token(key) || !is_encoded(value) {
            continue;
        }
        if !sound.is_empty() {
            sound.push(';');
        }
        sound.push_str(key);
        if property.contains('=') {
            sound.push('=');
            sound.push_str(value);
        }
    }
    sound
}

/// `key=value;properties,`
fn written_bytes(entry: &BaggageEntry) -> usize {
    let BaggageEntry { key, encoded, properties, .. } = entry;
    let properties = if properties.is_empty() { 0 } else { properties.len() + 1 };
    key.len() + 1 + encoded.len() + properties + 1
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(OWS)
}

/// Whether it may stand as a value: octets of baggage, and percent signs before two digits.
fn is_encoded(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
        b'"' | b',' | b';' | b'\\' => false,
        byte => byte.is_ascii_graphic(),
    })
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
pub(super) fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
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
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}
