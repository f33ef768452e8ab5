//! Answers to export requests, the same for the three signals but for a field's name.

use crate::protobuf::{Decode, Reader, Result, Writer};

/// Writes the `partial_success` answer that all three signals share: how many items were
/// refused and why. Empty bytes, the answer to complete success, if nothing is to be said.
#[must_use]
pub fn export_response(rejected: u64, error_message: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    if rejected > 0 || !error_message.is_empty() {
        writer.message(1, |w| {
            w.varint_if_any(1, rejected);
            w.str_if_any(2, error_message);
        });
    }
    writer.into_bytes()
}

/// The answer to an export request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportResponse<'a> {
    /// Spans, data points or log records that were refused.
    pub rejected: i64,
    /// Why, or a warning if none was refused.
    pub error_message: &'a str,
}

impl<'a> Decode<'a> for ExportResponse<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut response = ExportResponse::default();
        while let Some(field) = reader.next_field()? {
            if field.number != 1 {
                continue;
            }
            let mut inner = field.reader()?;
            while let Some(field) = inner.next_field()? {
                match field.number {
                    1 => response.rejected = field.i64()?,
                    2 => response.error_message = field.str()?,
                    _ => {}
                }
            }
        }
        Ok(response)
    }
}
