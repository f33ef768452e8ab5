//! For libraries that use the OpenTelemetry API: what they record appears beside ours.

mod metrics;

pub use metrics::MeterProvider;
