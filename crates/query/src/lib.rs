//! PromQL, LogQL and TraceQL over a store snapshot. Pure: no IO, no clock.
//!
//! Each language is a folder with its own lexer, parser and evaluator (three languages
//! that look alike are still three languages). They share durations, limits, the error
//! with a position, and the runner of test scripts.

pub mod duration;
pub mod error;
pub mod limits;
pub mod logql;
pub mod promql;
pub mod traceql;

pub use error::{Error, ErrorKind, Result};
pub use limits::Limits;
