//! OTLP's messages as owned values, encoded and decoded by prost: what our tests judge by.
//!
//! `wire` reads and writes OTLP by hand; these share nothing with it, so a mistake in one is
//! not a mistake in the other. Modules and types are called as in the protocol's packages.
//! Written from the field numbers and types of opentelemetry-proto 1.x; that none is missing
//! or wrong is shown by its official descriptors: `tests/clients/python/test_otlp_messages.py`.
#![allow(missing_docs, reason = "the protocol says what its fields mean")]

mod attributes;
pub mod collector;
pub mod logs;
pub mod metrics;
pub mod resource;
pub mod trace;

/// What the protocol calls its package of values, attributes and scopes.
pub mod common {
    pub use crate::attributes::v1;
}
