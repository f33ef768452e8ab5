//! Selectors, `offset`, `@`, `anchored` and `smoothed`.

use trefoil_store::{MatchOp, Matcher};

use super::super::ast::{At, Edge, Kind, Node, Selector, Shift};
use super::super::lexer::Tok;
use super::Parser;
use crate::error::{Error, Result};

impl Parser<'_> {
    /// `name{…}`, `name` or `{…}`.
    pub(super) fn selector(&mut self) -> Result<Kind> {
        let mut name = None;
        if matches!(self.peek(), Tok::Ident | Tok::MetricIdent) {
            name = Some(self.text[self.span()].to_owned());
            self.advance();
        }
        let mut matchers = Vec::new();
        if self.is_op("{") {
            self.advance();
            self.matchers(&mut name, &mut matchers)?;
        }
        if let Some(name) = &name {
            matchers.push(Matcher::equal("__name__", name));
        }
        let selector = Selector { name, matchers, shift: Shift::default(), edge: Edge::default() };
        Ok(Kind::Selector(Box::new(selector)))
    }

    fn matchers(&mut self, name: &mut Option<String>, out: &mut Vec<Matcher>) -> Result<()> {
        let context = "label matching";
        while !self.take_op("}") {
            let at = self.span();
            let label = match self.peek().clone() {
                Tok::Ident => self.text[self.span()].to_owned(),
                Tok::Str(bytes) => self.utf8(bytes, "label name")?,
                _ => return Err(self.unexpected(context, "identifier or \"}\"")),
            };
            let quoted = matches!(self.peek(), Tok::Str(_));
            self.advance();
            let op = match self.peek() {
                Tok::Op("=") => MatchOp::Equal,
                Tok::Op("!=") => MatchOp::NotEqual,
                Tok::Op("=~") => MatchOp::Regex,
                Tok::Op("!~") => MatchOp::NotRegex,
                Tok::Op("," | "}") if quoted => {
                    if let Some(earlier) = out.iter().find(|matcher| matcher.name == "__name__") {
                        return Err(set_twice(&Some(earlier.value.clone()), &label, at));
                    }
                    set_name(name, &label, at)?;
                    self.comma(context)?;
                    continue;
                }
                _ => return Err(self.unexpected(context, "label matching operator")),
            };
            self.advance();
            let Tok::Str(bytes) = self.peek().clone() else {
                return Err(self.unexpected(context, "string"));
            };
            let value = self.utf8(bytes, "label value")?;
            if label == "__name__" && name.is_some() {
                return Err(set_twice(name, &value, at));
            }
            let matcher =
                Matcher::new(&label, op, &value).map_err(|why| Error::bad(self.span(), why))?;
            self.advance();
            out.push(matcher);
            self.comma(context)?;
        }
        Ok(())
    }

    fn comma(&mut self, context: &str) -> Result<()> {
        if self.take_op(",") || self.is_op("}") {
            return Ok(());
        }
        Err(self.unexpected(context, "\",\" or \"}\""))
    }

    /// One `offset …` or `@ …` after a selector or subquery.
    pub(super) fn shift(&mut self, node: &mut Node) -> Result<()> {
        let span = self.span();
        let is_at = self.take_op("@");
        if !is_at {
            self.advance();
        }
        let what = if is_at { "@ modifier" } else { "offset modifier" };
        let at = if is_at { Some(self.at_argument()?) } else { None };
        let offset = if is_at { None } else { Some(self.offset_duration()?) };
        let Some(shift) = shift_of(node) else {
            return Err(Error::bad(
                span,
                format!(
                    "{what} must be preceded by an instant vector selector or range vector selector or a subquery"
                ),
            ));
        };
        if is_at && shift.at.is_some() {
            return Err(Error::bad(span, "@ <timestamp> may not be set multiple times"));
        }
        if !is_at && shift.offset.is_some() {
            return Err(Error::bad(span, "offset may not be set multiple times"));
        }
        shift.at = at.or(shift.at);
        shift.offset = offset.or(shift.offset.take());
        Ok(())
    }

    fn at_argument(&mut self) -> Result<At> {
        for (word, at) in [("start", At::Start), ("end", At::End)] {
            if self.take_word(word) {
                self.expect_op("(", "@ modifier")?;
                self.expect_op(")", "@ modifier")?;
                return Ok(at);
            }
        }
        let span = self.span();
        let negative = self.is_op("-");
        if negative || self.is_op("+") {
            self.advance();
        }
        let Some(seconds) = self.number() else {
            return Err(self.unexpected("@ modifier", "timestamp"));
        };
        let ms = if negative { -seconds } else { seconds } * 1e3;
        // Well within i64 milliseconds, so that no offset or range can overflow them.
        if !ms.is_finite() || ms.abs() >= 9e15 {
            return Err(Error::bad(span, "timestamp out of bounds for @ modifier"));
        }
        Ok(At::Time(ms.round() as i64))
    }

    /// `anchored` or `smoothed` after a selector.
    pub(super) fn edge(&mut self, node: &mut Node) -> Result<()> {
        let span = self.span();
        let anchored = self.is_word("anchored");
        self.advance();
        let selector = match &mut node.kind {
            Kind::Matrix(matrix) => &mut matrix.selector,
            Kind::Selector(selector) if !anchored => selector,
            Kind::Subquery(_) => {
                let word = if anchored { "anchored" } else { "smoothed" };
                return Err(Error::bad(
                    span,
                    format!("{word} modifier is not supported for subqueries"),
                ));
            }
            _ if anchored => {
                return Err(Error::bad(
                    span,
                    "anchored modifier must be preceded by a range vector selector",
                ));
            }
            _ => {
                return Err(Error::bad(
                    span,
                    "smoothed modifier must be preceded by an instant or range vector selector",
                ));
            }
        };
        if selector.edge != Edge::Plain {
            return Err(Error::bad(span, "anchored and smoothed exclude each other"));
        }
        selector.edge = if anchored { Edge::Anchored } else { Edge::Smoothed };
        Ok(())
    }
}

fn shift_of(node: &mut Node) -> Option<&mut Shift> {
    match &mut node.kind {
        Kind::Selector(selector) => Some(&mut selector.shift),
        Kind::Matrix(matrix) => Some(&mut matrix.selector.shift),
        Kind::Subquery(subquery) => Some(&mut subquery.shift),
        _ => None,
    }
}

fn set_name(name: &mut Option<String>, value: &str, at: std::ops::Range<usize>) -> Result<()> {
    if name.is_some() {
        return Err(set_twice(name, value, at));
    }
    *name = Some(value.to_owned());
    Ok(())
}

fn set_twice(name: &Option<String>, value: &str, at: std::ops::Range<usize>) -> Error {
    let first = name.as_deref().unwrap_or_default();
    Error::bad(at, format!("metric name must not be set twice: {first:?} or {value:?}"))
}
