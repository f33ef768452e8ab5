//! Bytes to views and back, for the protocols the field speaks. No IO.
//!
//! A view borrows from the bytes of a request and is decoded as it is walked, so that a
//! request costs no allocation per item. Damage is reported with an offset; the path of
//! the field is worked out only then.

pub mod base64;
pub mod compression;
pub mod exposition;
pub mod grpc;
pub mod jaeger;
pub mod json;
pub mod loki_push;
pub mod otlp;
pub mod protobuf;
pub mod remote_write;
