//! LogQL, with the semantics of Loki 3.x.
//!
//! [`parse`] reads a text, [`run`] answers it from a snapshot. Where Loki's documentation
//! is silent its behaviour is the reference; what is not supported is refused with its
//! place in the text.

pub mod answer;
pub mod ast;
pub mod detect;

mod eval;
mod json;
mod level;
mod lexer;
mod metadata;
mod metric;
mod parser;
mod pipeline;
mod regex;
mod row;
mod stages;
mod template;
mod units;

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Data, Entry, LabelSet, SeriesValues, Stats};
pub use ast::Expr;
pub use eval::{Direction, Params, run};
pub use row::Category;

use crate::error::{Error, Result};

/// Parses a query and checks everything in it that can be wrong: patterns, templates,
/// expressions. `Display` of the result is the canonical form.
///
/// # Errors
/// What is wrong and where.
pub fn parse(text: &str) -> Result<Expr> {
    let expr = parser::parse(text)?;
    match &expr {
        Expr::Log(log) => check(log, None)?,
        Expr::Metric(metric) => check_metric(metric)?,
    }
    Ok(expr)
}

/// Parses a stream selector alone, as `series` and `labels` take it, into the store's terms.
///
/// # Errors
/// What is wrong and where.
pub fn parse_selector(text: &str) -> Result<Vec<trefoil_store::Matcher>> {
    match parser::parse(text)? {
        Expr::Log(log) if log.stages.is_empty() => pipeline::store_matchers(&log.selector),
        _ => Err(Error::bad(0..text.len(), "expected a stream selector such as {app=\"x\"} alone")),
    }
}

fn check(log: &ast::LogExpr, unwrap: Option<&ast::Unwrap>) -> Result<()> {
    pipeline::Pipeline::new(log, unwrap, row::Needed::All, 0).map(drop)
}

fn check_metric(expr: &ast::MetricExpr) -> Result<()> {
    match expr {
        ast::MetricExpr::Number(_) | ast::MetricExpr::Vector(_) => Ok(()),
        ast::MetricExpr::Range(range) => check(&range.log, range.unwrap.as_ref()),
        ast::MetricExpr::Vectors(vectors) => check_metric(&vectors.inner),
        ast::MetricExpr::LabelReplace(replace) => check_metric(&replace.inner),
        ast::MetricExpr::Binary(binary) => {
            check_metric(&binary.left)?;
            check_metric(&binary.right)
        }
    }
}
