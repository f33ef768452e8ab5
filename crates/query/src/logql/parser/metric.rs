//! Metric expressions.

use std::ops::Range;

use super::Parser;
use crate::error::{Error, Result};
use crate::logql::ast::{
    Binary, BinaryOp, Compare, Expr, Group, Grouping, LabelReplace, LogExpr, Matching, MetricExpr,
    RangeAggregation, RangeOp, Unwrap, VectorAggregation, VectorOp,
};
use crate::logql::lexer::TokenKind;

/// A log range as it is read: selector, pipeline, unwrap, window.
struct LogRange {
    log: LogExpr,
    unwrap: Option<Unwrap>,
    window: Option<(i64, i64)>,
}

impl Parser {
    /// An expression whose operators all bind at least as tightly as `floor`.
    pub(super) fn expr(&mut self, floor: u8) -> Result<Expr> {
        let start = self.span().start;
        let mut left = self.nested(Self::primary)?;
        loop {
            let Some((op, power)) = self.binary_op() else { return Ok(left) };
            if power < floor {
                return Ok(left);
            }
            let op_span = self.span();
            self.count_operator()?;
            self.advance();
            let bool_modifier = self.bool_modifier(op)?;
            let matching = self.matching(op)?;
            let right_start = self.span().start;
            // `^` groups to the right, everything else to the left.
            let next_floor = if op == BinaryOp::Pow { power } else { power + 1 };
            let right = self.nested(|p| p.expr(next_floor))?;
            let left_metric = metric_operand(left, op, start..op_span.start)?;
            let right_metric = metric_operand(right, op, right_start..self.span().start)?;
            check_set_operands(op, &left_metric, &right_metric, &op_span)?;
            left = Expr::Metric(MetricExpr::Binary(Box::new(Binary {
                op,
                bool_modifier,
                matching,
                left: left_metric,
                right: right_metric,
            })));
        }
    }

    fn binary_op(&self) -> Option<(BinaryOp, u8)> {
        Some(match self.kind() {
            TokenKind::Ident(word) => match word.as_str() {
                "or" => (BinaryOp::Or, 1),
                "and" => (BinaryOp::And, 2),
                "unless" => (BinaryOp::Unless, 2),
                _ => return None,
            },
            TokenKind::Sign(sign) => match *sign {
                "==" => (BinaryOp::Compare(Compare::Equal), 3),
                "!=" => (BinaryOp::Compare(Compare::NotEqual), 3),
                ">" => (BinaryOp::Compare(Compare::Greater), 3),
                ">=" => (BinaryOp::Compare(Compare::GreaterEqual), 3),
                "<" => (BinaryOp::Compare(Compare::Less), 3),
                "<=" => (BinaryOp::Compare(Compare::LessEqual), 3),
                "+" => (BinaryOp::Add, 4),
                "-" => (BinaryOp::Sub, 4),
                "*" => (BinaryOp::Mul, 5),
                "/" => (BinaryOp::Div, 5),
                "%" => (BinaryOp::Mod, 5),
                "^" => (BinaryOp::Pow, 6),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn bool_modifier(&mut self, op: BinaryOp) -> Result<bool> {
        if !self.is_word("bool") {
            return Ok(false);
        }
        if !matches!(op, BinaryOp::Compare(_)) {
            return Err(Error::bad(self.span(), "bool goes with comparisons only"));
        }
        self.advance();
        Ok(true)
    }

    fn matching(&mut self, op: BinaryOp) -> Result<Option<Matching>> {
        let on = self.is_word("on");
        if !on && !self.is_word("ignoring") {
            return Ok(None);
        }
        self.advance();
        let labels = self.label_list()?;
        let left = self.is_word("group_left");
        if !left && !self.is_word("group_right") {
            return Ok(Some(Matching { on, labels, group: None }));
        }
        if matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) {
            return Err(Error::bad(self.span(), "no grouping allowed for set operations"));
        }
        self.advance();
        let include = if self.is_sign("(") { self.label_list()? } else { Vec::new() };
        Ok(Some(Matching { on, labels, group: Some(Group { left, include }) }))
    }

    /// `(a, b)`
    fn label_list(&mut self) -> Result<Vec<String>> {
        self.expect_sign("(")?;
        let mut labels = Vec::new();
        while !self.is_sign(")") {
            labels.push(self.expect_ident("a label name or \")\"")?);
            if !self.take_sign(",") {
                break;
            }
        }
        self.expect_sign(")")?;
        Ok(labels)
    }

    fn primary(&mut self) -> Result<Expr> {
        match self.kind().clone() {
            TokenKind::Sign("{") => Ok(Expr::Log(self.log_expr()?)),
            TokenKind::Sign("(") => {
                self.advance();
                let inner = self.expr(0)?;
                self.expect_sign(")")?;
                Ok(inner)
            }
            TokenKind::Sign("+" | "-") | TokenKind::Number(_) => {
                Ok(Expr::Metric(MetricExpr::Number(self.number("a number")?)))
            }
            TokenKind::Ident(word) => self.function(&word).map(Expr::Metric),
            _ => Err(self.unexpected("a selector {…}, a function or a number")),
        }
    }

    fn number(&mut self, what: &str) -> Result<f64> {
        let negative = self.take_sign("-");
        if !negative {
            self.take_sign("+");
        }
        let TokenKind::Number(value) = *self.kind() else { return Err(self.unexpected(what)) };
        self.advance();
        Ok(if negative { -value } else { value })
    }

    fn function(&mut self, word: &str) -> Result<MetricExpr> {
        if let Some((_, op)) = RangeOp::NAMES.iter().find(|(name, _)| *name == word) {
            return self.range_aggregation(*op);
        }
        if let Some((_, op)) = VectorOp::NAMES.iter().find(|(name, _)| *name == word) {
            return self.vector_aggregation(*op);
        }
        match word {
            "vector" => {
                self.advance();
                self.expect_sign("(")?;
                let value = self.number("a number")?;
                self.expect_sign(")")?;
                Ok(MetricExpr::Vector(value))
            }
            "label_replace" => self.label_replace(),
            "approx_topk" => Err(Error::bad(
                self.span(),
                "approx_topk is not supported; topk gives the exact answer",
            )),
            _ => Err(Error::bad(self.span(), format!("unknown function {word:?}"))),
        }
    }

    fn grouping(&mut self) -> Result<Option<Grouping>> {
        let without = self.is_word("without");
        if !without && !self.is_word("by") {
            return Ok(None);
        }
        self.advance();
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    fn range_aggregation(&mut self, op: RangeOp) -> Result<MetricExpr> {
        let name_span = self.span();
        self.advance();
        if self.is_word("by") || self.is_word("without") {
            let why = format!("grouping stands after the parentheses of {}", op.name());
            return Err(Error::bad(self.span(), why));
        }
        self.expect_sign("(")?;
        let parameter = match self.kind() {
            TokenKind::Number(_) | TokenKind::Sign("-" | "+") => {
                let value = self.number("a number")?;
                self.expect_sign(",")?;
                Some(value)
            }
            _ => None,
        };
        let range = self.log_range()?;
        let Some((range_ns, offset_ns)) = range.window else {
            return Err(self.unexpected("a range such as [5m]"));
        };
        self.expect_sign(")")?;
        let grouping_span = self.span();
        let grouping = self.grouping()?;
        let aggregation = RangeAggregation {
            op,
            parameter,
            log: range.log,
            unwrap: range.unwrap,
            range_ns,
            offset_ns,
            grouping,
        };
        check_range(&aggregation, name_span, grouping_span)?;
        Ok(MetricExpr::Range(Box::new(aggregation)))
    }

    /// The argument of a range aggregation; parentheses may stand around any of it.
    fn log_range(&mut self) -> Result<LogRange> {
        if self.take_sign("(") {
            let mut range = self.nested(Self::log_range)?;
            self.expect_sign(")")?;
            if range.window.is_none() {
                range.window = self.window()?;
            }
            return Ok(range);
        }
        if !self.is_sign("{") {
            return Err(self.unexpected("a selector {…}"));
        }
        let selector = self.selector()?;
        let mut log = LogExpr { selector, stages: Vec::new() };
        let mut window = self.window()?;
        self.stages(&mut log.stages)?;
        let unwrap = self.unwrap()?;
        if window.is_none() {
            window = self.window()?;
        }
        Ok(LogRange { log, unwrap, window })
    }

    /// `[5m] offset 1h`, if it stands here.
    fn window(&mut self) -> Result<Option<(i64, i64)>> {
        if !self.take_sign("[") {
            return Ok(None);
        }
        let span = self.span();
        let range_ns = match *self.kind() {
            TokenKind::Duration(ns) if ns > 0 => ns,
            _ => return Err(Error::bad(span, "expected a range such as 5m or 1h30m")),
        };
        self.advance();
        self.expect_sign("]")?;
        let offset_ns = if self.take_word("offset") {
            let negative = self.take_sign("-");
            let TokenKind::Duration(ns) = *self.kind() else {
                return Err(self.unexpected("a duration"));
            };
            self.advance();
            if negative { -ns } else { ns }
        } else {
            0
        };
        Ok(Some((range_ns, offset_ns)))
    }

    fn vector_aggregation(&mut self, op: VectorOp) -> Result<MetricExpr> {
        let name_span = self.span();
        self.advance();
        let mut grouping = self.grouping()?;
        self.expect_sign("(")?;
        let takes_k = matches!(op, VectorOp::Topk | VectorOp::Bottomk);
        let parameter = if takes_k { Some(self.count_parameter(op)?) } else { None };
        let start = self.span().start;
        let inner = self.nested(|p| p.expr(0))?;
        let Expr::Metric(inner) = inner else {
            let why = format!("{} needs a metric, e.g. rate({{…}}[5m]), not log lines", op.name());
            return Err(Error::bad(start..self.span().start, why));
        };
        self.expect_sign(")")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        if grouping.is_some() && matches!(op, VectorOp::Sort | VectorOp::SortDesc) {
            return Err(Error::bad(name_span, format!("{} takes no grouping", op.name())));
        }
        Ok(MetricExpr::Vectors(Box::new(VectorAggregation { op, parameter, grouping, inner })))
    }

    fn count_parameter(&mut self, op: VectorOp) -> Result<u64> {
        let span = self.span();
        let value = match *self.kind() {
            TokenKind::Number(value) => value,
            _ => {
                let why = format!("parameter required for operation {}", op.name());
                return Err(Error::bad(span, why));
            }
        };
        if value.fract() != 0.0 || value < 1.0 || value > f64::from(u32::MAX) {
            let why =
                format!("invalid parameter ({value}) for {}: it must be 1 or more", op.name());
            return Err(Error::bad(span, why));
        }
        self.advance();
        self.expect_sign(",")?;
        Ok(value as u64)
    }

    fn label_replace(&mut self) -> Result<MetricExpr> {
        self.advance();
        self.expect_sign("(")?;
        let start = self.span().start;
        let Expr::Metric(inner) = self.nested(|p| p.expr(0))? else {
            let why = "label_replace needs a metric, not log lines";
            return Err(Error::bad(start..self.span().start, why));
        };
        let mut texts = Vec::with_capacity(4);
        for what in ["the label to set", "the replacement", "the label to read", "a pattern"] {
            self.expect_sign(",")?;
            texts.push(self.expect_text(&format!("{what} as a quoted string"))?);
        }
        self.expect_sign(")")?;
        let [target, replacement, source, pattern] =
            <[_; 4]>::try_from(texts).map_err(|_| self.unexpected("four strings"))?;
        crate::logql::regex::anchored(&pattern.value)
            .map_err(|why| Error::bad(pattern.span.clone(), why))?;
        if !is_label_name(&target.value) {
            let why = format!("invalid destination label name: {:?}", target.value);
            return Err(Error::bad(target.span, why));
        }
        Ok(MetricExpr::LabelReplace(Box::new(LabelReplace {
            inner,
            target,
            replacement,
            source,
            pattern,
        })))
    }
}

fn is_label_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn metric_operand(expr: Expr, op: BinaryOp, span: Range<usize>) -> Result<MetricExpr> {
    match expr {
        Expr::Metric(metric) => Ok(metric),
        Expr::Log(_) => Err(Error::bad(
            span,
            format!("{op} stands between metrics, e.g. rate({{…}}[5m]), not between log lines"),
        )),
    }
}

fn check_set_operands(
    op: BinaryOp,
    left: &MetricExpr,
    right: &MetricExpr,
    span: &Range<usize>,
) -> Result<()> {
    let set = matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless);
    let number = |e: &MetricExpr| matches!(e, MetricExpr::Number(_));
    if set && (number(left) || number(right)) {
        let why = format!("unexpected number in the set operation {op}; use vector()");
        return Err(Error::bad(span.clone(), why));
    }
    Ok(())
}

/// Which functions go with `unwrap`, with a parameter and with grouping.
fn check_range(
    range: &RangeAggregation,
    name_span: Range<usize>,
    grouping_span: Range<usize>,
) -> Result<()> {
    use RangeOp::{
        Absent, Avg, Bytes, BytesRate, Count, First, Last, Max, Min, Quantile, Rate, RateCounter,
        Stddev, Stdvar, Sum,
    };
    let name = range.op.name();
    let fits = match range.op {
        Count | BytesRate | Bytes => range.unwrap.is_none(),
        Rate | Absent => true,
        RateCounter | Sum | Avg | Min | Max | First | Last | Quantile | Stddev | Stdvar => {
            range.unwrap.is_some()
        }
    };
    if !fits {
        let with = if range.unwrap.is_some() { "with" } else { "without" };
        return Err(Error::bad(name_span, format!("invalid aggregation {name} {with} unwrap")));
    }
    match (range.op == Quantile, range.parameter) {
        (true, None) => {
            let why = format!("parameter required for operation {name}");
            return Err(Error::bad(name_span, why));
        }
        (false, Some(_)) => {
            return Err(Error::bad(name_span, format!("{name} takes no parameter")));
        }
        _ => {}
    }
    let groups = matches!(range.op, Avg | Min | Max | First | Last | Quantile | Stddev | Stdvar);
    if range.grouping.is_some() && !groups {
        let why = format!("grouping not allowed for {name} aggregation; put sum around it");
        return Err(Error::bad(grouping_span, why));
    }
    Ok(())
}
