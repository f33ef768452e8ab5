//! Label filters: `a="b" and c > 1 or d = ip("::1")`.
//!
//! `and` binds tighter than `or`. A comma, or nothing at all between two filters, also
//! means "and", but everything to its right belongs together first, as in Loki's grammar:
//! `a, b or c` is `a and (b or c)`.

use super::{Parser, check_regex};
use crate::error::{Error, Result};
use crate::logql::ast::{Compare, LabelFilter, LabelMatcher, MatchOp};
use crate::logql::lexer::TokenKind;

impl Parser {
    pub(super) fn label_filter(&mut self) -> Result<LabelFilter> {
        self.nested(|p| {
            let mut left = p.all_of()?;
            while p.take_word("or") {
                p.count_operator()?;
                let right = p.all_of()?;
                left = LabelFilter::Or(Box::new(left), Box::new(right));
            }
            Ok(left)
        })
    }

    fn all_of(&mut self) -> Result<LabelFilter> {
        let mut left = self.with_rest()?;
        while self.take_word("and") {
            self.count_operator()?;
            let right = self.with_rest()?;
            left = LabelFilter::And(Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    /// One filter and, after a comma or a blank, all that follows it.
    fn with_rest(&mut self) -> Result<LabelFilter> {
        let unit = self.unit()?;
        let more = self.take_sign(",") || self.is_sign("(") || self.filter_starts_here();
        if !more {
            return Ok(unit);
        }
        self.count_operator()?;
        let rest = self.label_filter()?;
        Ok(LabelFilter::And(Box::new(unit), Box::new(rest)))
    }

    fn filter_starts_here(&self) -> bool {
        matches!(self.kind(), TokenKind::Ident(word)
            if !matches!(word.as_str(), "and" | "or" | "unless" | "offset"))
    }

    fn unit(&mut self) -> Result<LabelFilter> {
        if self.take_sign("(") {
            let inner = self.label_filter()?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        let name = self.expect_ident("a stage (json, logfmt, pattern, …) or a label filter")?;
        let op_span = self.span();
        let TokenKind::Sign(sign) = *self.kind() else {
            return Err(self.unexpected(&format!("a comparison after the label {name:?}")));
        };
        if !matches!(sign, "=" | "==" | "!=" | "=~" | "!~" | ">" | ">=" | "<" | "<=") {
            return Err(self.unexpected(&format!("a comparison after the label {name:?}")));
        }
        self.advance();
        match self.kind().clone() {
            TokenKind::Text(_) => {
                let op = match sign {
                    "=" => MatchOp::Equal,
                    "!=" => MatchOp::NotEqual,
                    "=~" => MatchOp::Regex,
                    "!~" => MatchOp::NotRegex,
                    _ => {
                        let why = format!("strings are compared with =, !=, =~ or !~, not {sign}");
                        return Err(Error::bad(op_span, why));
                    }
                };
                let value = self.expect_text("a quoted string")?;
                check_regex(op, &value)?;
                Ok(LabelFilter::Text(LabelMatcher { name, op, value }))
            }
            TokenKind::Ident(word) if word == "ip" => {
                if !matches!(sign, "=" | "!=") {
                    return Err(Error::bad(op_span, "ip() goes with = and != only"));
                }
                self.advance();
                self.expect_sign("(")?;
                let value = self.expect_text("a quoted address, range or network")?;
                self.expect_sign(")")?;
                Ok(LabelFilter::Ip { name, negated: sign == "!=", value })
            }
            _ => self.numeric(name, sign, op_span),
        }
    }

    fn numeric(
        &mut self,
        name: String,
        sign: &str,
        op_span: std::ops::Range<usize>,
    ) -> Result<LabelFilter> {
        let op = match sign {
            "=" | "==" => Compare::Equal,
            "!=" => Compare::NotEqual,
            ">" => Compare::Greater,
            ">=" => Compare::GreaterEqual,
            "<" => Compare::Less,
            "<=" => Compare::LessEqual,
            _ => {
                return Err(Error::bad(
                    op_span,
                    format!("{sign} needs a quoted regular expression"),
                ));
            }
        };
        let negative = self.take_sign("-");
        if !negative {
            self.take_sign("+");
        }
        let filter = match *self.kind() {
            TokenKind::Number(value) => {
                LabelFilter::Number { name, op, value: if negative { -value } else { value } }
            }
            TokenKind::Duration(ns) => {
                LabelFilter::Duration { name, op, ns: if negative { -ns } else { ns } }
            }
            TokenKind::Bytes(bytes) if !negative => LabelFilter::Bytes { name, op, bytes },
            _ => return Err(self.unexpected("a quoted string, number, duration, size or ip()")),
        };
        self.advance();
        Ok(filter)
    }
}
