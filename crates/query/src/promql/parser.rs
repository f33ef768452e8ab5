//! Text to tree: precedence climbing over the token list. Selectors and modifiers are in
//! [`selector`], durations in [`span`], what Prometheus checks about types in [`check`].
//! Messages follow Prometheus's wording.

mod check;
mod selector;
mod span;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::ast::{
    AGGREGATES, Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, Kind, Matching, Node,
    Subquery,
};
use super::functions::find;
use super::lexer::{Tok, Token, tokenize};
use crate::error::{Error, Result};
use crate::limits::{DEPTH_MAX, TEXT_MAX};

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Node> {
    if text.len() > TEXT_MAX {
        return Err(Error::limit(format!(
            "query text of {} bytes is longer than {TEXT_MAX}: shorten it",
            text.len()
        )));
    }
    let tokens = tokenize(text)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, operators: 0 };
    if parser.peek() == &Tok::End {
        return Err(Error::bad(0..0, "no expression found in input"));
    }
    let node = parser.expression(0)?;
    if parser.peek() != &Tok::End {
        return Err(parser.unexpected("", ""));
    }
    check::depth(&node)?;
    check::types(&node)?;
    Ok(node)
}

/// Parses a series selector alone, as `match[]` and `/api/v1/series` take it.
pub(crate) fn parse_selector(text: &str) -> Result<super::ast::Selector> {
    let node = parse(text)?;
    match node.kind {
        Kind::Selector(selector) => Ok(*selector),
        _ => Err(Error::bad(node.span, "expected a series selector, such as up{job=\"api\"}")),
    }
}

pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    operators: usize,
}

/// How tightly an operator binds, loosest first.
fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        _ if op.is_comparison() || op.is_trim() => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Pow => POWER,
        _ => 5,
    }
}

/// The tightest binary operator; unary minus binds just looser (`-2^2` is −4).
const POWER: u8 = 6;

/// Chains of operators lean to the left, each one level deeper than the text shows. This
/// keeps even a tree that [`check::depth`] is going to refuse small enough to drop.
const OPERATORS_MAX: usize = 2000;

impl<'a> Parser<'a> {
    fn peek(&self) -> &Tok {
        &self.tokens[self.at.min(self.tokens.len() - 1)].kind
    }

    fn peek_second(&self) -> &Tok {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].kind
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at.min(self.tokens.len() - 1)].span.clone()
    }

    /// End of the token before the current one.
    fn last_end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |at| self.tokens[at].span.end)
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn is_op(&self, op: &str) -> bool {
        matches!(self.peek(), Tok::Op(found) if *found == op)
    }

    fn take_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        if found {
            self.advance();
        }
        found
    }

    fn expect_op(&mut self, op: &str, context: &str) -> Result<()> {
        if self.take_op(op) {
            return Ok(());
        }
        Err(self.unexpected(context, &format!("{op:?}")))
    }

    /// The current token's text if it is a word without a colon.
    fn word(&self) -> Option<&'a str> {
        matches!(self.peek(), Tok::Ident).then(|| &self.text[self.span()])
    }

    fn is_word(&self, keyword: &str) -> bool {
        self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }

    fn take_word(&mut self, keyword: &str) -> bool {
        let found = self.is_word(keyword);
        if found {
            self.advance();
        }
        found
    }

    fn unexpected(&self, context: &str, expected: &str) -> Error {
        let text = &self.text[self.span()];
        let what = match self.peek() {
            Tok::End => "end of input".to_owned(),
            Tok::Ident => format!("identifier {text:?}"),
            Tok::MetricIdent => format!("metric identifier {text:?}"),
            Tok::Number(_) => format!("number {text:?}"),
            Tok::Duration(_) => format!("duration {text:?}"),
            Tok::Str(_) => format!("string {text}"),
            Tok::Op(op) if "(){}[],:".contains(op) => format!("{op:?}"),
            Tok::Op(op) => format!("<op:{op}>"),
        };
        let mut message = format!("unexpected {what}");
        if !context.is_empty() {
            message += &format!(" in {context}");
        }
        if !expected.is_empty() {
            message += &format!(", expected {expected}");
        }
        Error::bad(self.span(), message)
    }

    /// Counts one level of nesting for the time `inner` runs.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(check::too_deep(self.span()));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self, min: u8) -> Result<Node> {
        self.nested(|parser| {
            let mut left = parser.unary()?;
            while let Some(op) = parser.binary_operator() {
                let binds = precedence(op);
                if binds < min {
                    break;
                }
                parser.operators += 1;
                if parser.operators > OPERATORS_MAX {
                    return Err(check::too_deep(parser.span()));
                }
                parser.advance();
                left = parser.binary(op, left)?;
            }
            Ok(left)
        })
    }

    fn binary_operator(&self) -> Option<BinaryOp> {
        match self.peek() {
            Tok::Op(op) => Some(match *op {
                "+" => BinaryOp::Add,
                "-" => BinaryOp::Sub,
                "*" => BinaryOp::Mul,
                "/" => BinaryOp::Div,
                "%" => BinaryOp::Mod,
                "^" => BinaryOp::Pow,
                "==" => BinaryOp::Equal,
                "!=" => BinaryOp::NotEqual,
                "<" => BinaryOp::Less,
                "<=" => BinaryOp::LessEqual,
                ">" => BinaryOp::Greater,
                ">=" => BinaryOp::GreaterEqual,
                "</" => BinaryOp::TrimUpper,
                ">/" => BinaryOp::TrimLower,
                _ => return None,
            }),
            Tok::Ident => {
                let ops = [BinaryOp::And, BinaryOp::Or, BinaryOp::Unless, BinaryOp::Atan2];
                ops.into_iter().find(|op| self.is_word(op.text()))
            }
            _ => None,
        }
    }

    fn binary(&mut self, op: BinaryOp, left: Node) -> Result<Node> {
        let returns_bool = self.take_word("bool");
        let matching = self.matching()?;
        let binds = precedence(op);
        let min = if op == BinaryOp::Pow { binds } else { binds + 1 };
        let right = self.expression(min)?;
        let span = left.span.start..right.span.end;
        let binary = Binary { op, left, right, returns_bool, matching };
        Ok(Node { span, kind: Kind::Binary(Box::new(binary)) })
    }

    /// `on (…) group_left (…) fill (…)`, all optional.
    fn matching(&mut self) -> Result<Matching> {
        let mut matching = Matching::default();
        let on = self.is_word("on");
        if (on || self.is_word("ignoring")) && *self.peek_second() == Tok::Op("(") {
            self.advance();
            matching.on = on;
            matching.labels = self.label_list()?;
            let left = self.is_word("group_left");
            if left || self.is_word("group_right") {
                self.advance();
                matching.cardinality =
                    if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                if self.is_op("(") {
                    matching.include = self.label_list()?;
                }
            }
        }
        while *self.peek_second() == Tok::Op("(") {
            let (left, right) = match self.word() {
                Some(word) if word.eq_ignore_ascii_case("fill") => (true, true),
                Some(word) if word.eq_ignore_ascii_case("fill_left") => (true, false),
                Some(word) if word.eq_ignore_ascii_case("fill_right") => (false, true),
                _ => break,
            };
            self.advance();
            let value = self.fill_value()?;
            if left {
                matching.fill_left = Some(value);
            }
            if right {
                matching.fill_right = Some(value);
            }
        }
        Ok(matching)
    }

    fn fill_value(&mut self) -> Result<f64> {
        self.expect_op("(", "fill modifier")?;
        let negative = self.is_op("-");
        if negative || self.is_op("+") {
            self.advance();
        }
        let Some(value) = self.number() else {
            return Err(self.unexpected("fill modifier", "number"));
        };
        self.expect_op(")", "fill modifier")?;
        Ok(if negative { -value } else { value })
    }

    /// A number, a duration in seconds, `Inf` or `NaN`, taken if it is there.
    fn number(&mut self) -> Option<f64> {
        let value = match self.peek() {
            Tok::Number(value) => *value,
            Tok::Duration(ms) => *ms as f64 / 1e3,
            Tok::Ident if self.is_word("inf") => f64::INFINITY,
            Tok::Ident if self.is_word("nan") => f64::NAN,
            _ => return None,
        };
        self.advance();
        Some(value)
    }

    fn unary(&mut self) -> Result<Node> {
        let negative = self.is_op("-");
        if !negative && !self.is_op("+") {
            return self.postfix();
        }
        let start = self.span().start;
        self.advance();
        let mut expr = self.expression(POWER)?;
        let span = start..expr.span.end;
        // A sign before a literal belongs to the literal, as Prometheus folds it.
        if let Kind::Number { value, .. } = &mut expr.kind {
            if negative {
                *value = -*value;
            }
            expr.span = span;
            return Ok(expr);
        }
        Ok(Node { span, kind: Kind::Unary { negative, expr: Box::new(expr) } })
    }

    /// A primary with the ranges and modifiers after it.
    fn postfix(&mut self) -> Result<Node> {
        let mut node = self.primary()?;
        let mut levels = 0;
        loop {
            if self.is_op("[") {
                levels += 1;
                if levels > DEPTH_MAX {
                    return Err(check::too_deep(self.span()));
                }
                node = self.range(node)?;
            } else if self.is_op("@") || self.is_word("offset") {
                self.shift(&mut node)?;
            } else if self.is_word("anchored") || self.is_word("smoothed") {
                self.edge(&mut node)?;
            } else {
                return Ok(node);
            }
            node.span.end = self.last_end();
        }
    }

    fn primary(&mut self) -> Result<Node> {
        let span = self.span();
        let kind = match self.peek().clone() {
            Tok::Number(value) => self.literal(value, false),
            Tok::Duration(ms) => self.literal(ms as f64 / 1e3, true),
            Tok::Str(value) => {
                self.advance();
                Kind::Str(value)
            }
            Tok::Op("(") => {
                self.advance();
                let inner = self.expression(0)?;
                if !self.take_op(")") {
                    if *self.peek() == Tok::End {
                        return Err(Error::bad(span, "unclosed left parenthesis"));
                    }
                    return Err(self.unexpected("", "\")\""));
                }
                Kind::Paren(Box::new(inner))
            }
            Tok::Op("{") | Tok::MetricIdent => self.selector()?,
            Tok::Ident => self.named()?,
            _ => return Err(self.unexpected("", "")),
        };
        Ok(Node { span: span.start..self.last_end(), kind })
    }

    fn literal(&mut self, value: f64, is_duration: bool) -> Kind {
        self.advance();
        Kind::Number { value, is_duration }
    }

    /// A word at the start of an operand: a number's name, an aggregation, a function, or
    /// the name of a metric.
    fn named(&mut self) -> Result<Kind> {
        let word = self.word().unwrap_or_default();
        let lower = word.to_ascii_lowercase();
        let called = *self.peek_second() == Tok::Op("(");
        if let Some((_, op)) = AGGREGATES.iter().find(|(name, _)| *name == lower) {
            let grouped = self.tokens.get(self.at + 1).is_some_and(|token| {
                let word = &self.text[token.span.clone()];
                word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
            });
            if called || grouped {
                return self.aggregate(*op);
            }
        }
        if called {
            return self.call(word);
        }
        match lower.as_str() {
            "inf" => Ok(self.literal(f64::INFINITY, false)),
            "nan" => Ok(self.literal(f64::NAN, false)),
            _ => self.selector(),
        }
    }

    fn call(&mut self, name: &str) -> Result<Kind> {
        let span = self.span();
        let Some(function) = find(name) else {
            return Err(Error::bad(span, format!("unknown function with name {name:?}")));
        };
        self.advance();
        let args = self.arguments()?;
        Ok(Kind::Call(Box::new(Call { function, args })))
    }

    fn arguments(&mut self) -> Result<Vec<Node>> {
        let open = self.span();
        self.expect_op("(", "function call")?;
        let mut args = Vec::new();
        if self.take_op(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            if self.take_op(")") {
                return Ok(args);
            }
            if *self.peek() == Tok::End {
                return Err(Error::bad(open, "unclosed left parenthesis"));
            }
            if !self.take_op(",") {
                return Err(self.unexpected("", "\",\" or \")\""));
            }
            if self.is_op(")") {
                return Err(Error::bad(
                    self.span(),
                    "trailing commas not allowed in function call args",
                ));
            }
        }
    }

    fn aggregate(&mut self, op: AggregateOp) -> Result<Kind> {
        let span = self.span();
        self.advance();
        let mut grouping = self.grouping()?;
        let mut args = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let expected = if op.has_param() { 2 } else { 1 };
        if args.is_empty() {
            return Err(Error::bad(span, "no arguments for aggregate expression provided"));
        }
        if args.len() != expected {
            return Err(Error::bad(
                span,
                format!(
                    "wrong number of arguments for aggregate expression provided, expected {expected}, got {}",
                    args.len()
                ),
            ));
        }
        let (without, labels) = grouping.unwrap_or_default();
        let param = op.has_param().then(|| args.remove(0));
        let expr = args.remove(0);
        Ok(Kind::Aggregate(Box::new(Aggregate { op, param, expr, without, labels })))
    }

    /// `by (…)` or `without (…)`.
    fn grouping(&mut self) -> Result<Option<(bool, Vec<String>)>> {
        let without = self.is_word("without");
        if !without && !self.is_word("by") {
            return Ok(None);
        }
        self.advance();
        Ok(Some((without, self.label_list()?)))
    }

    /// `(a, b, "c.d")`.
    fn label_list(&mut self) -> Result<Vec<String>> {
        let context = "grouping opts";
        self.expect_op("(", context)?;
        let mut labels = Vec::new();
        while !self.take_op(")") {
            match self.peek().clone() {
                Tok::Ident => labels.push(self.word().unwrap_or_default().to_owned()),
                Tok::Str(bytes) => labels.push(self.utf8(bytes, "label name")?),
                _ => return Err(self.unexpected(context, "label")),
            }
            self.advance();
            if !self.take_op(",") && !self.is_op(")") {
                return Err(self.unexpected(context, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    fn utf8(&self, bytes: Vec<u8>, what: &str) -> Result<String> {
        String::from_utf8(bytes)
            .map_err(|_| Error::bad(self.span(), format!("{what} is not valid UTF-8")))
    }

    /// `[5m]` or `[1h:5m]` after an expression.
    fn range(&mut self, node: Node) -> Result<Node> {
        let open = self.span();
        self.advance();
        let range = self.duration("range")?;
        if self.take_op(":") {
            let step = if self.is_op("]") { None } else { Some(self.duration("subquery step")?) };
            self.close_bracket(open)?;
            check::subquery_of(&node)?;
            let span = node.span.clone();
            let subquery =
                Subquery { expr: node, range, step, shift: super::ast::Shift::default() };
            return Ok(Node { span, kind: Kind::Subquery(Box::new(subquery)) });
        }
        self.close_bracket(open)?;
        check::matrix_of(node, range)
    }

    fn close_bracket(&mut self, open: Range<usize>) -> Result<()> {
        if self.take_op("]") {
            return Ok(());
        }
        if *self.peek() == Tok::End {
            return Err(Error::bad(open, "unclosed left bracket"));
        }
        Err(self.unexpected("subquery or range selector", "\"]\""))
    }
}
