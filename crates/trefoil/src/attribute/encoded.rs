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
    bytes: Vec<u8>,
    count: u32,
    /// The number of the field that holds an attribute.
    field: u8,
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

thread_local! {
    static MEMORY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Encoded {
    /// None yet, for messages whose field `field`, below 16, holds an attribute.
    pub(crate) fn new(field: u8) -> Encoded {
        let bytes = MEMORY.try_with(Cell::take).unwrap_or_default();
        Encoded { bytes, count: 0, field }
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
        self.bytes.extend_from_slice(&other.bytes);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
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
