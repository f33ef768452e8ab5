//! TraceQL: text to tree, traces to answers.
//!
//! Tempo 2.x/3.x is the judge of what a query means; where we differ on purpose, the code
//! says so. The steps: [`parse`] (lexer, parser, type checks), [`prefilter`] (what the
//! store can rule out), whole candidate traces newest first, [`pipeline`] on each of them.
//! [`plain`] translates what people type without knowing TraceQL.

pub mod ast;
pub mod catalog;
mod columns;
mod eval;
mod format;
pub mod jaeger;
mod lexer;
mod metrics;
mod parser;
mod pipeline;
pub mod plain;
mod prefilter;
mod search;
mod trace;
mod value;

pub use metrics::{
    Exemplar, MetricsAnswer, MetricsParams, Series, default_step_ns, metrics_instant, metrics_range,
};
pub use parser::parse;
pub use search::{
    SearchAnswer, SearchParams, ServiceStats, SpanSummary, SpansetSummary, TraceSummary, search,
};
pub use value::{Value, kind_name, status_name};

#[cfg(test)]
mod tests;
