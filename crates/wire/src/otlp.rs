//! The OpenTelemetry protocol 1.x.
//!
//! Source: <https://github.com/open-telemetry/opentelemetry-proto>, `opentelemetry/proto`.
//! Each signal has views over an export request, and writers for requests and answers.
//! Fields of profiles and entity references are passed over.

mod attributes;
mod id;
pub mod json;
pub mod logs;
pub mod metrics;
mod origin;
mod response;
pub mod schema;
pub mod trace;

pub use attributes::{AnyValue, ArrayWriter, Attributes, KeyValue, MapWriter, ValueWriter};
pub use id::{RawId, SpanId, TraceId};
pub use origin::{Resource, ResourceWriter, Scope, ScopeWriter};
pub use response::{ExportResponse, export_response};

#[cfg(test)]
mod tests;
