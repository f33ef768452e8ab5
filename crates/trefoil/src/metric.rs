//! Metrics: declared once, recorded in nanoseconds, read by push and by pull.
//!
//! [`metrics!`](crate::metrics) declares them. Every instrument leads from labels to a
//! series ([`family`]), whose cells belong to the threads that write them ([`stripe`]); a
//! [`Registry`] reads them all, and what it reads becomes OTLP ([`otlp`]) or text ([`text`]).

mod declare;
mod label;

mod counter;
mod exponential;
mod gauge;
mod histogram;
mod observe;

mod exemplar;
mod family;
mod instrument;
mod number;
mod registry;
mod series;
mod stripe;
mod table;

mod name;
mod otlp;
mod text;

mod runtime;
mod serve;

#[cfg(test)]
pub(crate) mod tests;

pub use counter::{BoundCounter, BoundUpDownCounter, Counter, UpDownCounter};
pub use declare::{Buckets, Definition};
#[doc(hidden)]
pub use declare::{snake, snake_length, states};
pub use gauge::{BoundGauge, Gauge};
pub use histogram::{BoundHistogram, Histogram};
#[doc(hidden)]
pub use label::Name;
pub use label::{AnyLabels, Label, LabelSet, LabelValue, Labels};
pub use number::Number;
pub use observe::{ObservableCounter, ObservableGauge, ObservableUpDownCounter, Observer};
pub use registry::{MetricBuilder, Registry};
pub use runtime::CountingAllocator;

pub(crate) use exemplar::Candidate;
pub(crate) use family::Kind;
pub(crate) use otlp::{Part, ReaderState};
pub(crate) use runtime::{install_service, observe_exporters, observe_signal};
pub(crate) use serve::Serving;
pub(crate) use stripe::{Stripe, Striped};
