//! The protobuf wire format, read in place and written in one go.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>. Messages are described by
//! hand-written views ([`Decode`]); [`schema`] describes the same messages as data, for
//! JSON and for the paths in errors.

mod error;
mod reader;
mod repeated;
pub mod schema;
mod writer;

pub use error::{Error, ErrorKind, Result};
pub use reader::{Field, Reader, WireType};
pub use repeated::{
    Double, Fixed64, Repeated, RepeatedIter, Scalar, Scalars, ScalarsIter, Sint64, Uint32, Uint64,
};
pub use writer::Writer;

#[cfg(test)]
mod tests;

/// How deep messages may nest, the outermost being 0. The C++, Java and prost decoders
/// stop at 100 by default too, so what they would send or accept passes.
pub const NESTING_MAX: u8 = 100;

/// A view of one message.
pub trait Decode<'a>: Sized {
    /// Reads the message's own fields; repeated messages below stay undecoded.
    ///
    /// # Errors
    /// The bytes are damaged, or a string among the fields is not UTF-8.
    fn decode(reader: Reader<'a>) -> Result<Self>;
}
