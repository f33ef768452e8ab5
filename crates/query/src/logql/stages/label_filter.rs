//! `| a="b" and c > 1`: conditions on labels.
//!
//! Source: Loki, "Log queries: Label filter expression". A comparison with a number,
//! duration or size keeps a row whose value cannot be converted and marks it with
//! `__error__`, unless it is marked already. A row without the label does not match.

use regex::Regex;

use crate::error::{Error, Result};
use crate::logql::ast::{Compare, LabelFilter, LabelMatcher, MatchOp};
use crate::logql::regex::anchored;
use crate::logql::row::{ERROR, ERROR_DETAILS, Row};
use crate::logql::stages::ip::IpMatcher;
use crate::logql::units::{label_duration_ns, parse_bytes};

/// What `__error__` says when a value cannot be converted.
pub(crate) const LABEL_FILTER_ERROR: &str = "LabelFilterErr";

/// A label filter ready to run.
#[derive(Debug)]
pub(crate) enum LabelStage {
    Text(TextMatcher),
    Number { name: String, op: Compare, value: f64 },
    Duration { name: String, op: Compare, ns: i64 },
    Bytes { name: String, op: Compare, bytes: u64 },
    Ip { name: String, negated: bool, ip: IpMatcher },
    And(Box<LabelStage>, Box<LabelStage>),
    Or(Box<LabelStage>, Box<LabelStage>),
}

/// A comparison of a label with a string.
#[derive(Debug)]
pub(crate) struct TextMatcher {
    pub(crate) name: String,
    negated: bool,
    test: TextTest,
}

#[derive(Debug)]
enum TextTest {
    Equal(String),
    Regex(Regex),
}

impl TextMatcher {
    pub(crate) fn new(matcher: &LabelMatcher) -> Result<Self> {
        let value = &matcher.value;
        let test = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => TextTest::Equal(value.value.clone()),
            MatchOp::Regex | MatchOp::NotRegex => TextTest::Regex(
                anchored(&value.value).map_err(|why| Error::bad(value.span.clone(), why))?,
            ),
        };
        let negated = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
        Ok(TextMatcher { name: matcher.name.clone(), negated, test })
    }

    /// Whether a value matches; a missing label counts as empty.
    pub(crate) fn matches(&self, value: &str) -> bool {
        let found = match &self.test {
            TextTest::Equal(text) => text == value,
            TextTest::Regex(regex) => regex.is_match(value),
        };
        found != self.negated
    }
}

impl LabelStage {
    pub(crate) fn new(filter: &LabelFilter) -> Result<Self> {
        Ok(match filter {
            LabelFilter::Text(matcher) => LabelStage::Text(TextMatcher::new(matcher)?),
            LabelFilter::Number { name, op, value } => {
                LabelStage::Number { name: name.clone(), op: *op, value: *value }
            }
            LabelFilter::Duration { name, op, ns } => {
                LabelStage::Duration { name: name.clone(), op: *op, ns: *ns }
            }
            LabelFilter::Bytes { name, op, bytes } => {
                LabelStage::Bytes { name: name.clone(), op: *op, bytes: *bytes }
            }
            LabelFilter::Ip { name, negated, value } => LabelStage::Ip {
                name: name.clone(),
                negated: *negated,
                ip: IpMatcher::new(&value.value)
                    .map_err(|why| Error::bad(value.span.clone(), why))?,
            },
            LabelFilter::And(a, b) => {
                LabelStage::And(Box::new(LabelStage::new(a)?), Box::new(LabelStage::new(b)?))
            }
            LabelFilter::Or(a, b) => {
                LabelStage::Or(Box::new(LabelStage::new(a)?), Box::new(LabelStage::new(b)?))
            }
        })
    }

    /// Whether the row goes on.
    pub(crate) fn keeps(&self, row: &mut Row<'_>) -> bool {
        match self {
            LabelStage::Text(matcher) => {
                matcher.matches(row.get(&matcher.name).as_deref().unwrap_or(""))
            }
            LabelStage::Number { name, op, value } => {
                converted(row, name, "a number", |text| text.parse::<f64>().ok())
                    .keep(|found| compare(*op, &found, value))
            }
            LabelStage::Duration { name, op, ns } => {
                converted(row, name, "a duration", label_duration_ns)
                    .keep(|found| compare(*op, &found, ns))
            }
            LabelStage::Bytes { name, op, bytes } => converted(row, name, "a size", parse_bytes)
                .keep(|found| compare(*op, &found, bytes)),
            LabelStage::Ip { name, negated, ip } => {
                if row.error.is_some() {
                    return true;
                }
                match row.get(name) {
                    Some(value) => ip.matches_value(&value) != *negated,
                    None => false,
                }
            }
            LabelStage::And(a, b) => a.keeps(row) && b.keeps(row),
            LabelStage::Or(a, b) => a.keeps(row) || b.keeps(row),
        }
    }

    /// Calls `name` with every label that is looked at.
    pub(crate) fn each_name(&self, name: &mut dyn FnMut(&str)) {
        match self {
            LabelStage::Text(matcher) => name(&matcher.name),
            LabelStage::Number { name: n, .. }
            | LabelStage::Duration { name: n, .. }
            | LabelStage::Bytes { name: n, .. }
            | LabelStage::Ip { name: n, .. } => name(n),
            LabelStage::And(a, b) | LabelStage::Or(a, b) => {
                a.each_name(name);
                b.each_name(name);
            }
        }
    }
}

/// What became of a label's value.
enum Converted<T> {
    Value(T),
    Missing,
    Failed,
}

impl<T> Converted<T> {
    fn keep(self, test: impl FnOnce(T) -> bool) -> bool {
        match self {
            Converted::Value(value) => test(value),
            Converted::Missing => false,
            Converted::Failed => true,
        }
    }
}

fn converted<T>(
    row: &mut Row<'_>,
    name: &str,
    what: &str,
    convert: impl FnOnce(&str) -> Option<T>,
) -> Converted<T> {
    // The errors are text: no number can be compared with them.
    if name == ERROR || name == ERROR_DETAILS {
        return Converted::Missing;
    }
    let Some(text) = row.get(name) else { return Converted::Missing };
    if let Some(value) = convert(&text) {
        return Converted::Value(value);
    }
    let why = format!("{name} is not {what}: {text:?}");
    drop(text);
    row.fail(LABEL_FILTER_ERROR, why);
    Converted::Failed
}

pub(crate) fn compare<T: PartialOrd>(op: Compare, left: &T, right: &T) -> bool {
    match op {
        Compare::Equal => left == right,
        Compare::NotEqual => left != right,
        Compare::Greater => left > right,
        Compare::GreaterEqual => left >= right,
        Compare::Less => left < right,
        Compare::LessEqual => left <= right,
    }
}
