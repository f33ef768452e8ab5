#![doc = include_str!("../README.md")]
// What a feature alone uses is not taken apart further: fewer switches, and the full set is
// checked in every test run.
#![cfg_attr(
    not(all(feature = "http", feature = "layers", feature = "opentelemetry")),
    allow(dead_code, unreachable_pub, unused_imports)
)]

mod builder;
mod doctor;
mod init;

mod config;
mod resource;

mod context;
mod id;
mod value;

mod clock;
mod log;
pub mod metric;
mod sample;
mod span;
mod spin;
mod subscriber;

mod propagate;

#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "opentelemetry")]
pub mod opentelemetry;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "sqlx")]
pub mod sqlx;

mod account;
mod export;

pub mod attribute;
pub mod testing;
pub mod work;

pub use account::{Counts, Dropped, Signal};
pub use builder::Builder;
pub use config::{Config, Console, ConsoleStream, OtlpProtocol, PropagatorName};
pub use context::{Attached, Baggage, Context, SpanContext, TraceFlags, TraceState};
pub use doctor::{Cause, Diagnosis, Finding};
pub use id::{SpanId, TraceId};
pub use init::{Handle, InitError, Report, SignalReport, Telemetry, Trefoil, init};
pub use log::LogBody;
pub use metric::{
    Counter, Gauge, Histogram, ObservableCounter, ObservableGauge, ObservableUpDownCounter,
    UpDownCounter,
};
pub use propagate::Propagators;
pub use span::{SpanExt, Status};
#[cfg(feature = "layers")]
pub use subscriber::Subscriber;
pub use value::Value;

pub use tracing;
