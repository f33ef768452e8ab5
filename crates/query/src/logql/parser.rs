//! Tokens to an expression, by recursive descent.
//!
//! The grammar is that of Loki 3.x ("LogQL: Log query language", "Log queries", "Metric
//! queries"). Everything it does not know is refused where it stands.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::limits::{DEPTH_MAX, TEXT_MAX};
use crate::logql::ast::{Expr, LabelMatcher, LogExpr, MatchOp, Text};
use crate::logql::lexer::{Token, TokenKind, tokens};

mod label_filter;
mod metric;
mod stage;

/// How many operators a query may have: each may add a level to the tree, and walking a
/// tree takes stack.
const OPERATORS_MAX: usize = 500;

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Expr> {
    if text.len() > TEXT_MAX {
        return Err(Error::bad(0..0, format!("the query is longer than {TEXT_MAX} bytes")));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, operators: 0 };
    if *parser.kind() == TokenKind::End {
        return Err(Error::bad(0..0, "the query is empty; write a selector such as {app=\"x\"}"));
    }
    let expr = parser.expr(0)?;
    if *parser.kind() != TokenKind::End {
        return Err(parser.unexpected("the end of the query"));
    }
    Ok(expr)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    operators: usize,
}

impl Parser {
    /// The last token is `End` and is never stepped over, so there is always one here.
    fn token(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn kind(&self) -> &TokenKind {
        &self.token().kind
    }

    fn kind_after(&self) -> &TokenKind {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].kind
    }

    fn span(&self) -> Range<usize> {
        self.token().span.clone()
    }

    fn advance(&mut self) -> Token {
        let token = self.token().clone();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.kind(), TokenKind::Sign(s) if *s == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.kind(), TokenKind::Ident(w) if w == word)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.advance();
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn expect_sign(&mut self, sign: &str) -> Result<()> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("{sign:?}"))) }
    }

    fn expect_ident(&mut self, what: &str) -> Result<String> {
        match self.kind() {
            TokenKind::Ident(_) => match self.advance().kind {
                TokenKind::Ident(name) => Ok(name),
                _ => Err(self.unexpected(what)),
            },
            _ => Err(self.unexpected(what)),
        }
    }

    fn expect_text(&mut self, what: &str) -> Result<Text> {
        let span = self.span();
        match self.kind() {
            TokenKind::Text(value) => {
                let text = Text { value: value.clone(), span };
                self.advance();
                Ok(text)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn unexpected(&self, expected: &str) -> Error {
        let found = match self.kind() {
            TokenKind::Ident(word) => format!("{word:?}"),
            TokenKind::Text(_) => "a string".to_owned(),
            TokenKind::Number(_) => "a number".to_owned(),
            TokenKind::Duration(_) => "a duration".to_owned(),
            TokenKind::Bytes(_) => "a size".to_owned(),
            TokenKind::Flag(flag) => format!("{flag:?}"),
            TokenKind::Sign(sign) => format!("{sign:?}"),
            TokenKind::End => "end of the query".to_owned(),
        };
        Error::bad(self.span(), format!("unexpected {found}, expected {expected}"))
    }

    fn nested<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(Error::bad(
                self.span(),
                format!("the query nests more than {DEPTH_MAX} levels deep"),
            ));
        }
        self.depth += 1;
        let result = body(self);
        self.depth -= 1;
        result
    }

    fn count_operator(&mut self) -> Result<()> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            return Err(Error::bad(
                self.span(),
                format!("the query has more than {OPERATORS_MAX} operators"),
            ));
        }
        Ok(())
    }

    /// `{a="b", …}`
    fn selector(&mut self) -> Result<Vec<LabelMatcher>> {
        let start = self.span().start;
        self.expect_sign("{")?;
        let mut matchers = Vec::new();
        while !self.is_sign("}") {
            let name = self.expect_ident("a label name or \"}\"")?;
            matchers.push(self.label_matcher(name)?);
            if !self.take_sign(",") {
                break;
            }
        }
        let end = self.span().end;
        if !self.take_sign("}") {
            return Err(self.unexpected("\",\" or \"}\""));
        }
        check_selective(&matchers, start..end)?;
        Ok(matchers)
    }

    /// What follows a label name in a selector, `drop` or `keep`.
    fn label_matcher(&mut self, name: String) -> Result<LabelMatcher> {
        let op = match self.kind() {
            TokenKind::Sign("=") => MatchOp::Equal,
            TokenKind::Sign("!=") => MatchOp::NotEqual,
            TokenKind::Sign("=~") => MatchOp::Regex,
            TokenKind::Sign("!~") => MatchOp::NotRegex,
            _ => return Err(self.unexpected("one of =, !=, =~, !~")),
        };
        self.advance();
        let value = self.expect_text("a quoted string")?;
        check_regex(op, &value)?;
        Ok(LabelMatcher { name, op, value })
    }

    /// A selector with its pipeline, without `unwrap` (which only ranges have).
    fn log_expr(&mut self) -> Result<LogExpr> {
        let selector = self.selector()?;
        let mut log = LogExpr { selector, stages: Vec::new() };
        self.stages(&mut log.stages)?;
        Ok(log)
    }
}

fn check_regex(op: MatchOp, value: &Text) -> Result<()> {
    if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
        crate::logql::regex::anchored(&value.value)
            .map_err(|why| Error::bad(value.span.clone(), why))?;
    }
    Ok(())
}

/// Loki wants one matcher that does not match the empty value, so that nobody asks for
/// everything by accident.
fn check_selective(matchers: &[LabelMatcher], span: Range<usize>) -> Result<()> {
    for matcher in matchers {
        let matches_empty = match matcher.op {
            MatchOp::Equal => matcher.value.value.is_empty(),
            MatchOp::NotEqual => !matcher.value.value.is_empty(),
            MatchOp::Regex | MatchOp::NotRegex => {
                let regex = crate::logql::regex::anchored(&matcher.value.value)
                    .map_err(|why| Error::bad(matcher.value.span.clone(), why))?;
                regex.is_match("") == (matcher.op == MatchOp::Regex)
            }
        };
        if !matches_empty {
            return Ok(());
        }
    }
    Err(Error::bad(
        span,
        "queries require at least one regexp or equality matcher that does not have an \
         empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but \
         app=~\".+\" will",
    ))
}
