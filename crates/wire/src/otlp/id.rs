//! Trace and span ids.

use crate::protobuf::{Error, ErrorKind, Field, Result};

/// A 16-byte trace id.
pub type TraceId = [u8; 16];
/// An 8-byte span id.
pub type SpanId = [u8; 8];

/// An id as it came, with the place it came from.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawId<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> RawId<'a> {
    #[inline]
    pub(crate) fn of(field: &Field<'a>) -> Result<Self> {
        Ok(RawId { bytes: field.bytes()?, at: field.at })
    }

    /// The bytes as they came, of any length.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The id, or `None` if it is absent, empty or all zero.
    ///
    /// # Errors
    /// Its length is wrong.
    #[inline]
    pub fn optional<const N: usize>(&self) -> Result<Option<[u8; N]>> {
        match <[u8; N]>::try_from(self.bytes) {
            Ok(id) if id == [0; N] => Ok(None),
            Ok(id) => Ok(Some(id)),
            Err(_) if self.bytes.is_empty() => Ok(None),
            Err(_) => {
                let kind = ErrorKind::IdLength { got: self.bytes.len(), expected: N };
                Err(Error::new(kind, self.at))
            }
        }
    }

    /// The id of a thing that can not be without. `name` and `start` are the field and the
    /// offset of its message, for the case that it is absent.
    #[inline]
    pub(crate) fn required<const N: usize>(
        &self,
        name: &'static str,
        start: usize,
    ) -> Result<[u8; N]> {
        match self.optional()? {
            Some(id) => Ok(id),
            None if self.bytes.is_empty() => Err(Error::new(ErrorKind::Missing(name), start)),
            None => Err(Error::new(ErrorKind::IdZero, self.at)),
        }
    }

    /// The id where a wrong one counts as none, as the log data model asks for.
    #[inline]
    #[must_use]
    pub fn lenient<const N: usize>(&self) -> Option<[u8; N]> {
        self.optional().unwrap_or_default()
    }
}
