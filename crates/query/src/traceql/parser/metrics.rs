//! Metrics functions, arithmetic on their series, and what may follow.

use super::super::ast::{
    ArithOp, CompareFunction, CompareOp, Literal, MetricsExpr, MetricsFunction, MetricsOp,
    MetricsTail, SecondStage, SpansetExpr,
};
use super::super::lexer::Token;
use super::{Parser, field};
use crate::error::{Error, Result};

/// How many series `topk` and `bottomk` may be asked for: more is no selection.
const TOP_MAX: i64 = 100_000;
/// How many quantiles one function may be asked for: each is a series per group.
const QUANTILES_MAX: usize = 32;
/// How many values of each attribute `compare` shows if it is not said, and at most.
const COMPARE_TOP: usize = 10;
const COMPARE_TOP_MAX: usize = 1_000;
/// How many fields `by (…)` takes: what Tempo takes.
const BY_MAX: usize = 5;

/// Series or a constant, while arithmetic is read.
enum Operand {
    Series(MetricsExpr),
    Constant(Literal),
}

impl Parser<'_> {
    /// Whether this is arithmetic on series: metrics functions stand within parentheses.
    pub(super) fn is_metrics_math(&self) -> bool {
        let first = matches!(
            self.peek(),
            Token::Sym("(" | "-") | Token::Int(_) | Token::Float(_) | Token::Duration(_)
        );
        first && self.metrics_depths().any(|(depth, _)| depth > 0)
    }

    /// Whether a metrics function stands directly in the parentheses that open here.
    fn group_has_metrics_function(&self) -> bool {
        let end = self.metrics_depths().take_while(|(_, closed)| !closed);
        end.into_iter().any(|(depth, _)| depth == 1)
    }

    /// Depths of parentheses, counted from here, at which metrics functions stand, and
    /// whether the first group had closed by then.
    fn metrics_depths(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        let (mut depth, mut closed) = (0usize, false);
        self.tokens[self.at..].windows(2).filter_map(move |pair| {
            match &pair[0].0 {
                Token::Sym("(") => depth += 1,
                Token::Sym(")") => {
                    depth = depth.saturating_sub(1);
                    closed |= depth == 0;
                }
                Token::Word(word) if pair[1].0 == Token::Sym("(") && metrics_op(word).is_some() => {
                    return Some((depth, closed));
                }
                _ => {}
            }
            None
        })
    }

    pub(super) fn metrics_function_name(&self) -> Option<MetricsOp> {
        match self.peek() {
            Token::Word(word) => metrics_op(word),
            _ => None,
        }
    }

    pub(super) fn metrics_function(&mut self, op: MetricsOp) -> Result<MetricsFunction> {
        let (name, _) = self.next();
        let Token::Word(name) = name else { return Err(self.unexpected("a metrics function")) };
        self.expect_sym("(", &format!("after {name}"))?;
        let of = match op {
            MetricsOp::Rate | MetricsOp::Count => None,
            _ => Some(self.single_field()?),
        };
        let mut quantiles = Vec::new();
        if op == MetricsOp::Quantile {
            self.expect_sym(
                ",",
                "and the quantiles after the field, as in quantile_over_time(duration, .99)",
            )?;
            quantiles.push(self.quantile()?);
            while self.take_sym(",") {
                quantiles.push(self.quantile()?);
            }
            if quantiles.len() > QUANTILES_MAX {
                return Err(Error::bad(
                    self.span(),
                    format!("at most {QUANTILES_MAX} quantiles at once"),
                ));
            }
        }
        self.expect_sym(")", &format!("after the arguments of {name}"))?;
        let mut by = Vec::new();
        if self.is_word("by") {
            self.next();
            by = self.field_list("by")?;
            if by.len() > BY_MAX {
                return Err(Error::bad(self.span(), format!("at most {BY_MAX} fields in by (…)")));
            }
        }
        Ok(MetricsFunction { op, of, quantiles, by })
    }

    /// `compare({…})`, `compare({…}, top)` or `compare({…}, top, start, end)`.
    pub(super) fn compare_function(&mut self) -> Result<CompareFunction> {
        self.next();
        self.expect_sym("(", "after compare")?;
        let (SpansetExpr::Filter(selection), _) = self.spanset()? else {
            return Err(self.unexpected("one { … } to select spans"));
        };
        let mut function = CompareFunction { selection, top: COMPARE_TOP, window: None };
        if self.take_sym(",") {
            function.top =
                usize::try_from(self.whole("how many values")?).unwrap_or(COMPARE_TOP_MAX);
            if function.top > COMPARE_TOP_MAX {
                return Err(Error::bad(
                    self.span(),
                    format!("at most {COMPARE_TOP_MAX} values of each attribute"),
                ));
            }
        }
        if self.take_sym(",") {
            let start = self.whole("the start in Unix nanoseconds")?;
            self.expect_sym(",", "and the end of the selection")?;
            function.window = Some((start, self.whole("the end in Unix nanoseconds")?));
        }
        self.expect_sym(")", "after the arguments of compare")?;
        Ok(function)
    }

    /// An integer above zero.
    fn whole(&mut self, what: &str) -> Result<i64> {
        match self.next() {
            (Token::Int(number @ 1..), _) => Ok(number),
            (_, span) => Err(Error::bad(span, format!("{what} must be a whole number above zero"))),
        }
    }

    fn quantile(&mut self) -> Result<f64> {
        let (token, span) = self.next();
        let value = match token {
            Token::Float(v) => v,
            Token::Int(v) => v as f64,
            _ => return Err(Error::bad(span, "a quantile is a number from 0 to 1")),
        };
        if !(0.0..=1.0).contains(&value) {
            return Err(Error::bad(
                span,
                format!("a quantile is a number from 0 to 1, not {value}"),
            ));
        }
        Ok(value)
    }

    /// Series, added and multiplied with each other and with constants.
    pub(super) fn metrics_sum(&mut self) -> Result<MetricsExpr> {
        let start = self.span().start;
        match self.metrics_math(0)? {
            Operand::Series(expr) => Ok(expr),
            Operand::Constant(_) => Err(Error::bad(
                start..self.span().start,
                "this is a constant: one side must be a metrics query",
            )),
        }
    }

    fn metrics_math(&mut self, binding: u8) -> Result<Operand> {
        let start = self.span().start;
        let mut depth = self.depth;
        let mut lhs = self.nested(Parser::metrics_operand)?;
        while let Some((op, op_binding)) = self.arith_op()
            && op_binding >= binding
        {
            let (_, op_span) = self.next();
            if matches!(op, ArithOp::Mod | ArithOp::Pow) {
                return Err(Error::bad(op_span, "series are combined with + - * / only"));
            }
            let rhs = self.nested(|p| p.metrics_math(op_binding + 1))?;
            depth += 1;
            self.check_depth(depth)?;
            let span = start..self.span().start;
            lhs = match (lhs, rhs) {
                (Operand::Constant(a), Operand::Constant(b)) => {
                    Operand::Constant(field::fold(op, &a, &b, &span)?)
                }
                (Operand::Series(a), Operand::Constant(b)) => {
                    Operand::Series(MetricsExpr::Scaled(op, Box::new(a), number(&b, &span)?, false))
                }
                (Operand::Constant(a), Operand::Series(b)) => {
                    Operand::Series(MetricsExpr::Scaled(op, Box::new(b), number(&a, &span)?, true))
                }
                (Operand::Series(a), Operand::Series(b)) => {
                    Operand::Series(MetricsExpr::Math(op, Box::new(a), Box::new(b)))
                }
            };
        }
        Ok(lhs)
    }

    fn metrics_operand(&mut self) -> Result<Operand> {
        let start = self.span().start;
        if self.take_sym("-") {
            let Operand::Constant(constant) = self.nested(Parser::metrics_operand)? else {
                return Err(Error::bad(
                    start..self.span().start,
                    "- stands in front of a number only: write 0 - (…) for series",
                ));
            };
            let span = start..self.span().start;
            return field::negate(&constant, &span).map(Operand::Constant);
        }
        let constant = match self.peek() {
            Token::Int(v) => Some(Literal::Int(*v)),
            Token::Float(v) => Some(Literal::Float(*v)),
            Token::Duration(v) => Some(Literal::Duration(*v)),
            _ => None,
        };
        if let Some(constant) = constant {
            self.next();
            return Ok(Operand::Constant(constant));
        }
        if !self.is_sym("(") {
            return Err(self.unexpected("( and a metrics query, or a number"));
        }
        // A function right inside these parentheses makes them a query; otherwise they group.
        let is_query = self.group_has_metrics_function();
        self.next();
        let operand = if is_query {
            let (pipeline, tail) = self.nested(Parser::pipeline)?;
            let function = match tail {
                Some(MetricsTail::Function(function)) => function,
                Some(MetricsTail::Compare(_)) => {
                    return Err(Error::bad(
                        self.span(),
                        "compare() cannot be combined with other series",
                    ));
                }
                None => return Err(self.unexpected("| and a metrics function such as rate()")),
            };
            let leaf = MetricsExpr::Leaf(pipeline, function);
            Operand::Series(self.second_stages(leaf)?)
        } else {
            self.metrics_math(0)?
        };
        self.expect_sym(")", "after the metrics query")?;
        Ok(operand)
    }

    /// `| topk(3)`, `| bottomk(3)`, `> 10`, any number of them.
    pub(super) fn second_stages(&mut self, of: MetricsExpr) -> Result<MetricsExpr> {
        let mut stages = Vec::new();
        loop {
            if let Some(op) = self.compare_op() {
                self.next();
                stages.push(self.threshold(op)?);
            } else if self.take_sym("|") {
                stages.push(self.top()?);
            } else if stages.is_empty() {
                return Ok(of);
            } else {
                return Ok(MetricsExpr::Staged(Box::new(of), stages));
            }
        }
    }

    fn threshold(&mut self, op: CompareOp) -> Result<SecondStage> {
        let start = self.span().start;
        let Operand::Constant(constant) = self.metrics_math(0)? else {
            return Err(Error::bad(
                start..self.span().start,
                "series are compared with a number only",
            ));
        };
        // A duration reads as seconds, the unit in which series show durations.
        Ok(SecondStage::Filter(
            op,
            match constant {
                Literal::Duration(ns) => ns as f64 / 1e9,
                other => number(&other, &(start..self.span().start))?,
            },
        ))
    }

    fn top(&mut self) -> Result<SecondStage> {
        let top = match self.peek() {
            Token::Word(word) if word == "topk" => true,
            Token::Word(word) if word == "bottomk" => false,
            _ => return Err(self.unexpected("topk(…) or bottomk(…) after a metrics function")),
        };
        self.next();
        self.expect_sym("(", "and how many series")?;
        let (token, span) = self.next();
        let Token::Int(k @ 1..=TOP_MAX) = token else {
            return Err(Error::bad(
                span,
                format!("topk and bottomk take a number of series from 1 to {TOP_MAX}"),
            ));
        };
        self.expect_sym(")", "after the number of series")?;
        let k = usize::try_from(k).unwrap_or(usize::MAX);
        Ok(if top { SecondStage::TopK(k) } else { SecondStage::BottomK(k) })
    }
}

fn number(literal: &Literal, span: &std::ops::Range<usize>) -> Result<f64> {
    match literal {
        Literal::Int(v) => Ok(*v as f64),
        Literal::Float(v) => Ok(*v),
        _ => Err(Error::bad(
            span.clone(),
            "series are combined with plain numbers, not with durations",
        )),
    }
}

/// `compare` is listed since it ends a pipeline like the others.
fn metrics_op(word: &str) -> Option<MetricsOp> {
    Some(match word {
        "rate" => MetricsOp::Rate,
        "count_over_time" | "compare" => MetricsOp::Count,
        "min_over_time" => MetricsOp::Min,
        "max_over_time" => MetricsOp::Max,
        "avg_over_time" => MetricsOp::Avg,
        "sum_over_time" => MetricsOp::Sum,
        "quantile_over_time" => MetricsOp::Quantile,
        "histogram_over_time" => MetricsOp::Histogram,
        _ => return None,
    })
}
