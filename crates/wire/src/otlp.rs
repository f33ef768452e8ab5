//! The OpenTelemetry protocol 1.x.
//!
//! Source: <https://github.com/open-telemetry/opentelemetry-proto>, `opentelemetry/proto`.
//! Each signal has views over an export request, and writers for requests and answers.
//! Fields of profiles and entity references are passed over.

pub mod common;
pub mod json;
pub mod logs;
pub mod metrics;
pub mod schema;
pub mod trace;

#[cfg(test)]
mod tests;
