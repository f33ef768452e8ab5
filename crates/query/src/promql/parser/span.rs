//! Durations: literals and arithmetic on them (`[2 * step()]`, `offset -(1h + 5m)`).

use super::super::ast::{Span, SpanOp};
use super::super::lexer::Tok;
use super::Parser;
use crate::error::{Error, Result};

impl Parser<'_> {
    /// A whole duration expression, as it stands in brackets. A literal must be positive.
    pub(super) fn duration(&mut self, what: &str) -> Result<Span> {
        let start = self.span().start;
        let span = self.span_expression(0)?;
        if let Span::Literal { seconds, .. } = &span
            && (*seconds * 1e3).round() < 1.0
        {
            return Err(Error::bad(
                start..self.last_end(),
                format!("duration must be greater than 0 in {what}"),
            ));
        }
        Ok(span)
    }

    /// The operand of `offset`: a sign and one term. What follows an operator is no part
    /// of it: `x offset 5m + 2` adds 2 to the value.
    pub(super) fn offset_duration(&mut self) -> Result<Span> {
        let negative = self.is_op("-");
        if negative || self.is_op("+") {
            self.advance();
        }
        let term = self.span_term()?;
        Ok(if negative { negate(term) } else { term })
    }

    fn span_expression(&mut self, min: u8) -> Result<Span> {
        self.nested(|parser| {
            let mut left = parser.span_unary()?;
            let mut operators = 0;
            while let Some((op, binds)) = parser.span_operator() {
                if binds < min {
                    break;
                }
                operators += 1;
                if operators > crate::limits::DEPTH_MAX {
                    return Err(super::check::too_deep(parser.span()));
                }
                parser.advance();
                let next = if op == SpanOp::Pow { binds } else { binds + 1 };
                let right = parser.span_expression(next)?;
                left = Span::Binary(op, Box::new(left), Box::new(right));
            }
            Ok(left)
        })
    }

    fn span_operator(&self) -> Option<(SpanOp, u8)> {
        let Tok::Op(op) = self.peek() else {
            return None;
        };
        Some(match *op {
            "+" => (SpanOp::Add, 1),
            "-" => (SpanOp::Sub, 1),
            "*" => (SpanOp::Mul, 2),
            "/" => (SpanOp::Div, 2),
            "%" => (SpanOp::Mod, 2),
            "^" => (SpanOp::Pow, 3),
            _ => return None,
        })
    }

    fn span_unary(&mut self) -> Result<Span> {
        if self.take_op("+") {
            return self.span_expression(3);
        }
        if self.take_op("-") {
            return Ok(negate(self.span_expression(3)?));
        }
        self.span_term()
    }

    fn span_term(&mut self) -> Result<Span> {
        let is_duration = matches!(self.peek(), Tok::Duration(_));
        if is_duration || matches!(self.peek(), Tok::Number(_)) {
            let at = self.span();
            let seconds = self.number().unwrap_or_default();
            // Far more than any retention; keeps all times within i64 milliseconds.
            if !seconds.is_finite() || seconds.abs() > 1e12 {
                return Err(Error::bad(at, "duration out of range"));
            }
            return Ok(Span::Literal { seconds, is_duration });
        }
        if self.take_op("(") {
            let inner = self.span_expression(0)?;
            self.expect_op(")", "duration expression")?;
            return Ok(Span::Paren(Box::new(inner)));
        }
        let word = self.word().unwrap_or_default().to_ascii_lowercase();
        match word.as_str() {
            "step" | "range" => {
                self.advance();
                self.expect_op("(", "duration expression")?;
                self.expect_op(")", "duration expression")?;
                Ok(if word == "step" { Span::Step } else { Span::Range })
            }
            "min_of" | "max_of" => {
                self.advance();
                self.expect_op("(", "duration expression")?;
                let first = Box::new(self.span_expression(0)?);
                self.expect_op(",", "duration expression")?;
                let second = Box::new(self.span_expression(0)?);
                self.expect_op(")", "duration expression")?;
                Ok(if word == "min_of" {
                    Span::Min(first, second)
                } else {
                    Span::Max(first, second)
                })
            }
            _ => {
                Err(self.unexpected("duration expression", "number, duration, step(), or range()"))
            }
        }
    }
}

fn negate(span: Span) -> Span {
    match span {
        Span::Literal { seconds, is_duration } => Span::Literal { seconds: -seconds, is_duration },
        other => Span::Negative(Box::new(other)),
    }
}
