//! `|= != |~ !~ |> !>`: conditions on the line.

use regex::Regex;

use crate::error::{Error, Result};
use crate::logql::ast::{LineFilter, LineMatch, LineOp};
use crate::logql::regex::anywhere;
use crate::logql::stages::ip::IpMatcher;
use crate::logql::stages::pattern::Wildcards;

/// A line filter ready to run.
#[derive(Debug)]
pub(crate) struct LineStage {
    negative: bool,
    any: Vec<Test>,
}

#[derive(Debug)]
enum Test {
    Contains(String),
    Regex(Regex),
    Pattern(Wildcards),
    Ip(IpMatcher),
}

impl LineStage {
    pub(crate) fn new(filter: &LineFilter) -> Result<Self> {
        let negative =
            matches!(filter.op, LineOp::NotContains | LineOp::NotRegex | LineOp::NotPattern);
        let any = filter.any.iter().map(|m| test(filter.op, m)).collect::<Result<_>>()?;
        Ok(LineStage { negative, any })
    }

    pub(crate) fn keeps(&self, line: &str) -> bool {
        let found = self.any.iter().any(|test| match test {
            Test::Contains(text) => line.contains(text.as_str()),
            Test::Regex(regex) => regex.is_match(line),
            Test::Pattern(pattern) => pattern.matches(line),
            Test::Ip(ip) => ip.matches_line(line),
        });
        found != self.negative
    }

    /// The same condition in the store's terms, if the store can evaluate it.
    pub(crate) fn pushed(&self) -> Option<Vec<trefoil_store::LineFilter>> {
        use trefoil_store::LineFilter::{Contains, NotContains, NotRegex, Regex as Matches};
        let one = |test: &Test| match (test, self.negative) {
            (Test::Contains(text), false) => Some(Contains(text.clone())),
            (Test::Contains(text), true) => Some(NotContains(text.clone())),
            (Test::Regex(regex), false) => Some(Matches(regex.clone())),
            (Test::Regex(regex), true) => Some(NotRegex(regex.clone())),
            (Test::Pattern(_) | Test::Ip(_), _) => None,
        };
        // "None of these" is one condition after the other; "any of these" is one pattern.
        if self.negative || self.any.len() == 1 {
            return self.any.iter().map(one).collect();
        }
        let parts: Option<Vec<String>> = self
            .any
            .iter()
            .map(|test| match test {
                Test::Contains(text) => Some(regex::escape(text)),
                Test::Regex(regex) => Some(format!("(?:{})", regex.as_str())),
                Test::Pattern(_) | Test::Ip(_) => None,
            })
            .collect();
        let regex = Regex::new(&parts?.join("|")).ok()?;
        Some(vec![Matches(regex)])
    }
}

fn test(op: LineOp, filter: &LineMatch) -> Result<Test> {
    match filter {
        LineMatch::Ip(text) => IpMatcher::new(&text.value)
            .map(Test::Ip)
            .map_err(|why| Error::bad(text.span.clone(), why)),
        LineMatch::Text(text) => {
            let bad = |why| Error::bad(text.span.clone(), why);
            match op {
                LineOp::Contains | LineOp::NotContains => Ok(Test::Contains(text.value.clone())),
                // A pattern that is nothing but its text: that is found without trying all lines.
                LineOp::Regex | LineOp::NotRegex if is_literal(&text.value) => {
                    Ok(Test::Contains(text.value.clone()))
                }
                LineOp::Regex | LineOp::NotRegex => {
                    anywhere(&text.value).map(Test::Regex).map_err(bad)
                }
                LineOp::Pattern | LineOp::NotPattern => {
                    Wildcards::new(&text.value).map(Test::Pattern).map_err(bad)
                }
            }
        }
    }
}

/// Whether a pattern matches its own text and nothing else.
fn is_literal(pattern: &str) -> bool {
    !pattern.is_empty() && regex::escape(pattern) == pattern
}
