//! For libraries that use the OpenTelemetry API: what they record appears beside ours.

mod metrics;

pub use crate::span::bridge::{Span, Tracer, TracerProvider};
pub use metrics::MeterProvider;
