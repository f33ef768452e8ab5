//! The storage engine: one WAL, one head and one kind of immutable part for
//! metrics, logs and traces.
//!
//! Synchronous, without network and without a clock of its own: the time comes in as a
//! value, so that a test can run a week in a second. The whole surface is
//! [`Store::open`], [`Store::append`], [`Store::snapshot`], [`Store::maintain`] and
//! [`Store::close`]; what goes in is a [`Batch`], what comes out is read from a
//! [`Snapshot`].

pub mod model;

mod batch;
mod known;
mod snapshot;
mod store;

mod deletion;
mod filter;
mod labels;
mod matcher;

mod error;
mod settings;
mod stats;
mod tally;

mod head;
mod manifest;
mod part;
mod quarantine;
mod wal;

pub mod ahead;
mod cache;
mod samples;
mod scan;
mod search;

mod bytes;
mod columns;
#[doc(hidden)]
pub mod encodings;
mod intern;
mod payload;
mod row;
mod vfs;
mod words;

pub use batch::{BATCH_BYTES_MAX, Batch, ResourceIndex, ScopeIndex, SeriesIndex};
pub use deletion::Deletion;
pub use error::{Error, Result};
pub use filter::{Compare, Field, LineFilter, SpanFilter, order_int_double};
pub use known::SeriesHandle;
pub use labels::{Labels, LabelsBuilder};
pub use matcher::{MatchOp, Matcher};
pub use part::spans::ThinnedSpans;
pub use settings::{KeptTraces, Retention, RetentionBytes, Settings};
pub use snapshot::{
    Counted, LogCounter, LogScan, Order, Samples, Selection, Series, SeriesReader, Snapshot,
    SpanColumns, SpanScan, TimeRange, TraceOverview,
};
pub use stats::{Copied, Deleted, Share, SignalStats, Stats, Usage, Verified};
pub use store::{Store, restore};
pub use tally::Tally;
