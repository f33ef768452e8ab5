//! Attributes that our own layers encode themselves, on their way through `tracing`.

use std::cell::Cell;
use std::error::Error;
use std::fmt;

use crate::span::{attribute_double, attribute_int, attribute_str, text_body};
use crate::subscriber::Subscriber;

/// Attributes as OTLP's bytes, in the disguise of an error.
///
/// Layers that describe every request hand their attributes to `tracing` as the value of one
/// field, in a third of the time that a field for each takes. Nobody but our own subscriber
/// could read it, so they ask [`encodes`] before. An error is what `tracing` lets through
/// whole: its visitors get it as the type that it is.
pub(crate) struct Encoded {
    /// The attributes; behind them the name of a span that begins.
    bytes: Vec<u8>,
    count: u32,
    /// The number of the field that holds an attribute.
    field: u8,
    begins: Option<Begins>,
}

/// What is said of a span that begins, beside its attributes.
#[derive(Clone, Copy)]
struct Begins {
    name_bytes: usize,
    kind: u8,
    start_ns: u64,
}

/// Attributes of a layer at most; where fewer are allowed, or their values are cut, they go one
/// by one.
pub(crate) const ATTRIBUTES_MAX: u32 = 32;

/// Whether the subscriber in force takes attributes that are encoded: it is ours, no other
/// layer wants to see them, and no limit of the settings is in their way.
pub(crate) fn encodes() -> bool {
    tracing::dispatcher::get_default(|dispatch| {
        dispatch.downcast_ref::<Subscriber>().is_some_and(Subscriber::takes_encoded)
    })
}

/// Memory that a thread keeps for the next request.
const KEPT_BYTES_MAX: usize = 4 << 10;
/// Room to begin with where none was kept, as while several requests are under way: for all
/// attributes of most, so that it need not grow with each of them.
const FIRST_BYTES: usize = 512;

thread_local! {
    static MEMORY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Encoded {
    /// None yet, for messages whose field `field`, below 16, holds an attribute.
    pub(crate) fn new(field: u8) -> Encoded {
        let mut bytes = MEMORY.try_with(Cell::take).unwrap_or_default();
        if bytes.capacity() == 0 {
            bytes.reserve_exact(FIRST_BYTES);
        }
        Encoded { bytes, count: 0, field, begins: None }
    }

    pub(crate) fn str(&mut self, key: &str, value: &str) {
        self.count += 1;
        attribute_str(&mut self.bytes, self.field, key, value);
    }

    pub(crate) fn str_if_any(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.str(key, value);
        }
    }

    pub(crate) fn int(&mut self, key: &str, value: i64) {
        self.count += 1;
        attribute_int(&mut self.bytes, self.field, key, value);
    }

    pub(crate) fn double(&mut self, key: &str, value: f64) {
        self.count += 1;
        attribute_double(&mut self.bytes, self.field, key, value);
    }

    /// The body of a log record: a text of so many bytes, which `fill` appends.
    pub(crate) fn body(&mut self, length: usize, fill: impl FnOnce(&mut Vec<u8>)) {
        text_body(&mut self.bytes, length, fill);
    }

    /// Those of another one of the same field.
    pub(crate) fn all_of(&mut self, other: &Encoded) {
        self.count += other.count;
        self.bytes.extend_from_slice(other.bytes());
    }

    /// When all attributes are there: what else is said of a span that begins. `kind` is a
    /// number of OTLP.
    pub(crate) fn begins(&mut self, name: &str, kind: u8, start_ns: u64) {
        self.bytes.extend_from_slice(name.as_bytes());
        self.begins = Some(Begins { name_bytes: name.len(), kind, start_ns });
    }

    /// Attributes, and what goes with them.
    pub(crate) fn bytes(&self) -> &[u8] {
        let name_bytes = self.begins.map_or(0, |begins| begins.name_bytes);
        &self.bytes[..self.bytes.len() - name_bytes]
    }

    /// Name, kind and start, in Unix nanoseconds, of a span that begins.
    pub(crate) fn beginning(&self) -> Option<(&[u8], u8, u64)> {
        let Begins { name_bytes, kind, start_ns } = self.begins?;
        Some((&self.bytes[self.bytes.len() - name_bytes..], kind, start_ns))
    }

    /// Attributes among the bytes.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl Drop for Encoded {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        if bytes.capacity() <= KEPT_BYTES_MAX {
            // The thread may be ending, and its memory gone.
            let _ = MEMORY.try_with(|memory| memory.set(bytes));
        }
    }
}

impl Error for Encoded {}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} attributes)", self.count)
    }
}

impl fmt::Display for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attributes that only trefoil can read", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_span_lies_beside_its_attributes() {
        let mut encoded = Encoded::new(9);
        encoded.str("key", "value");
        let attributes = encoded.bytes().to_vec();
        assert!(encoded.beginning().is_none());
        encoded.begins("GET /", 2, 7);
        assert_eq!((encoded.bytes(), encoded.count()), (&attributes[..], 1));
        assert_eq!(encoded.beginning(), Some((&b"GET /"[..], 2, 7)));
        let mut other = Encoded::new(9);
        other.all_of(&encoded);
        assert_eq!(other.bytes(), attributes);
    }
}
