//! TraceQL tokens to a checked tree.
//!
//! Precedence is Tempo's: `&&` and `||` bind equally and to the left (so
//! `a || b && c` is `(a || b) && c`), tighter are comparisons and structural operators,
//! then `+ -`, then `!`, then `* / %`, then `^`. Source: Tempo's grammar.

mod field;
mod metrics;

use std::ops::Range;

use super::ast::{
    Aggregate, AggregateOp, ArithOp, CompareOp, Field, Literal, MetricsExpr, MetricsTail, Mode,
    Pipeline, Query, Relation, Root, ScalarExpr, ScalarFilter, SpansetExpr, SpansetOp, Stage,
};
use super::lexer::{self, Token};
use crate::error::{Error, Result};
use crate::limits::{DEPTH_MAX, TEXT_MAX};
use field::Type;

/// Parses and checks a query.
///
/// # Errors
/// [`crate::ErrorKind::Bad`] with the place in the text.
pub fn parse(text: &str) -> Result<Query> {
    if text.len() > TEXT_MAX {
        return Err(Error::limit(format!(
            "the query has {} bytes, at most {TEXT_MAX} are read",
            text.len()
        )));
    }
    let mut parser = Parser { text, tokens: lexer::tokens(text)?, at: 0, depth: 0 };
    let root = parser.root()?;
    let hints = parser.hints()?;
    parser.expect_end()?;
    Ok(Query { root, hints })
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    depth: usize,
}

/// What may stand in a comparison of aggregates.
const SCALAR: &str = "a number or count(), avg(…), min(…), max(…), sum(…)";

/// A constant or an aggregate with what the checks need.
struct Scalar {
    expr: ScalarExpr,
    has_aggregate: bool,
    span: Range<usize>,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    /// The token after the next one.
    fn peek_second(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].1.clone()
    }

    /// Takes a token; the end is never passed.
    fn next(&mut self) -> (Token, Range<usize>) {
        let token = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn is_sym(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Sym(s) if *s == symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w == word)
    }

    fn take_sym(&mut self, symbol: &str) -> bool {
        let found = self.is_sym(symbol);
        if found {
            self.next();
        }
        found
    }

    fn expect_sym(&mut self, symbol: &str, after: &str) -> Result<()> {
        if self.take_sym(symbol) {
            return Ok(());
        }
        Err(self.unexpected(&format!("{symbol} {after}")))
    }

    /// The error for a token that cannot stand here.
    fn unexpected(&self, wanted: &str) -> Error {
        let found = match self.peek() {
            Token::End => "the end of the query".to_owned(),
            _ => format!("{:?}", self.text.get(self.span()).unwrap_or("")),
        };
        let hint = match self.peek() {
            Token::Word(w) if w.eq_ignore_ascii_case("and") => " (in TraceQL, AND is &&)",
            Token::Word(w) if w.eq_ignore_ascii_case("or") => " (in TraceQL, OR is ||)",
            Token::Word(w) if w.eq_ignore_ascii_case("not") => " (in TraceQL, NOT is !)",
            _ => "",
        };
        Error::bad(self.span(), format!("unexpected {found}, expected {wanted}{hint}"))
    }

    fn expect_end(&self) -> Result<()> {
        match self.peek() {
            Token::End => Ok(()),
            _ => Err(self.unexpected("| and another stage, or the end")),
        }
    }

    /// Runs a nested part, refusing to go deeper than the stack allows.
    fn nested<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        self.check_depth(self.depth)?;
        let out = part(self);
        self.depth -= 1;
        out
    }

    fn check_depth(&self, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(Error::bad(
                self.span(),
                format!("the query nests deeper than {DEPTH_MAX} levels"),
            ));
        }
        Ok(())
    }

    fn root(&mut self) -> Result<Root> {
        if self.is_metrics_math() {
            let expr = self.metrics_sum()?;
            return Ok(Root::Metrics(self.second_stages(expr)?));
        }
        let (pipeline, function) = self.pipeline()?;
        match function {
            None => Ok(Root::Search(pipeline)),
            Some(MetricsTail::Function(function)) => {
                let leaf = MetricsExpr::Leaf(pipeline, function);
                Ok(Root::Metrics(self.second_stages(leaf)?))
            }
            Some(MetricsTail::Compare(function)) => {
                Ok(Root::Metrics(MetricsExpr::Compare(pipeline, function)))
            }
        }
    }

    /// Stages up to the first thing that is none; a metrics function ends the pipeline.
    fn pipeline(&mut self) -> Result<(Pipeline, Option<MetricsTail>)> {
        let mut stages = Vec::new();
        loop {
            if let Some(op) = self.metrics_function_name() {
                if stages.is_empty() {
                    return Err(Error::bad(
                        self.span(),
                        "a metrics function needs spans to measure: write { } | in front of it",
                    ));
                }
                let tail = if self.is_word("compare") {
                    MetricsTail::Compare(self.compare_function()?)
                } else {
                    MetricsTail::Function(self.metrics_function(op)?)
                };
                return Ok((Pipeline { stages }, Some(tail)));
            }
            stages.push(self.stage()?);
            if !self.take_sym("|") {
                return Ok((Pipeline { stages }, None));
            }
        }
    }

    fn stage(&mut self) -> Result<Stage> {
        match self.peek() {
            Token::Sym("{") => Ok(Stage::Spansets(self.spansets(0)?.0)),
            Token::Sym("(") if self.group_starts_spanset() => {
                Ok(Stage::Spansets(self.spansets(0)?.0))
            }
            Token::Sym("(" | "-") | Token::Int(_) | Token::Float(_) | Token::Duration(_) => {
                self.scalar_filter()
            }
            Token::Word(word) => match word.as_str() {
                "by" => self.by(),
                "coalesce" => {
                    self.next();
                    self.expect_sym("(", "after coalesce")?;
                    self.expect_sym(")", "after coalesce(")?;
                    Ok(Stage::Coalesce)
                }
                "select" => {
                    self.next();
                    Ok(Stage::Select(self.field_list("select")?))
                }
                "count" | "avg" | "min" | "max" | "sum" => self.scalar_filter(),
                _ => Err(self.unexpected("{ … }, an aggregate, by(…), select(…) or coalesce()")),
            },
            Token::Field(_) => Err(self.unexpected("{ in front of a condition")),
            _ => Err(self.unexpected("{ … }, an aggregate, by(…), select(…) or coalesce()")),
        }
    }

    /// Whether behind the opening parentheses here stands a selection of spans.
    fn group_starts_spanset(&self) -> bool {
        let first = self.tokens[self.at..].iter().find(|(t, _)| *t != Token::Sym("("));
        match first {
            Some((Token::Sym("{"), _)) => true,
            Some((Token::Word(w), _)) => matches!(w.as_str(), "by" | "coalesce" | "select"),
            _ => false,
        }
    }

    fn by(&mut self) -> Result<Stage> {
        self.next();
        self.expect_sym("(", "after by")?;
        let value = self.expression()?;
        if !value.reads_span {
            return Err(Error::bad(
                value.span,
                "by(…) needs a value of the span to group by, this is a constant",
            ));
        }
        if self.is_sym(",") {
            return Err(self.unexpected(") after one value; chain | by(…) | by(…) for more"));
        }
        self.expect_sym(")", "after the value to group by")?;
        Ok(Stage::By(value.expr))
    }

    /// `(field, field, …)`.
    fn field_list(&mut self, what: &str) -> Result<Vec<Field>> {
        self.expect_sym("(", &format!("after {what}"))?;
        let mut fields = vec![self.single_field()?];
        while self.take_sym(",") {
            fields.push(self.single_field()?);
        }
        self.expect_sym(")", "after the list of fields")?;
        Ok(fields)
    }

    fn single_field(&mut self) -> Result<Field> {
        let field = match self.peek() {
            Token::Field(field) => Some(field.clone()),
            Token::Word(word) => lexer::bare_intrinsic(word).map(Field::Intrinsic),
            _ => None,
        };
        let Some(field) = field else {
            return Err(self.unexpected("a field such as resource.service.name or duration"));
        };
        self.next();
        Ok(field)
    }

    /// Selections combined by operators of at least this binding (0: `&& ||`, 1: structural),
    /// and the depth of the tree.
    fn spansets(&mut self, binding: u8) -> Result<(SpansetExpr, usize)> {
        let (mut lhs, mut depth) = self.spanset()?;
        while let Some((op, op_binding)) = self.spanset_op()
            && op_binding >= binding
        {
            self.next();
            let (rhs, rhs_depth) = self.spansets(op_binding + 1)?;
            depth = depth.max(rhs_depth) + 1;
            self.check_depth(depth)?;
            lhs = SpansetExpr::Op(op, Box::new(lhs), Box::new(rhs));
        }
        Ok((lhs, depth))
    }

    fn spanset_op(&self) -> Option<(SpansetOp, u8)> {
        let Token::Sym(symbol) = self.peek() else { return None };
        let (mode, relation) = match *symbol {
            "&&" => return Some((SpansetOp::And, 0)),
            "||" => return Some((SpansetOp::Or, 0)),
            "~" => (Mode::Right, Relation::Sibling),
            "!~" => (Mode::Not, Relation::Sibling),
            "&~" => (Mode::Union, Relation::Sibling),
            _ => {
                let (mode, rest) = match symbol.as_bytes().first() {
                    Some(b'!') => (Mode::Not, &symbol[1..]),
                    Some(b'&') => (Mode::Union, &symbol[1..]),
                    _ => (Mode::Right, *symbol),
                };
                let relation = match rest {
                    ">" => Relation::Child,
                    "<" => Relation::Parent,
                    ">>" => Relation::Descendant,
                    "<<" => Relation::Ancestor,
                    _ => return None,
                };
                (mode, relation)
            }
        };
        Some((SpansetOp::Structural(relation, mode), 1))
    }

    fn spanset(&mut self) -> Result<(SpansetExpr, usize)> {
        if self.take_sym("(") {
            let inner = self.nested(Parser::pipeline)?;
            if inner.1.is_some() {
                return Err(Error::bad(self.span(), "series cannot be combined with spans"));
            }
            self.expect_sym(")", "after the pipeline in parentheses")?;
            let mut stages = inner.0.stages;
            if let [Stage::Spansets(_)] = stages.as_slice()
                && let Some(Stage::Spansets(only)) = stages.pop()
            {
                return Ok((only, self.depth));
            }
            return Ok((SpansetExpr::Pipeline(Pipeline { stages }), self.depth));
        }
        if !self.is_sym("{") {
            return Err(self.unexpected("{ … }"));
        }
        self.next();
        if self.take_sym("}") {
            return Ok((SpansetExpr::Filter(super::ast::Expr::Literal(Literal::Bool(true))), 0));
        }
        let condition = self.nested(Parser::expression)?;
        if !matches!(condition.ty, Type::Bool | Type::Unknown) {
            return Err(Error::bad(
                condition.span,
                format!(
                    "a filter must be true or false, this is {}: compare it with something",
                    condition.ty.name()
                ),
            ));
        }
        self.expect_sym("}", "or an operator")?;
        Ok((SpansetExpr::Filter(condition.expr), 0))
    }

    fn scalar_filter(&mut self) -> Result<Stage> {
        let lhs = self.scalar(0)?;
        let Some(op) = self.compare_op() else {
            return Err(self.unexpected("a comparison such as > 2 after the aggregate"));
        };
        self.next();
        let rhs = self.scalar(0)?;
        if !lhs.has_aggregate && !rhs.has_aggregate {
            return Err(Error::bad(
                lhs.span,
                "this compares two constants: one side must be an aggregate such as count()",
            ));
        }
        Ok(Stage::Scalar(ScalarFilter { op, lhs: lhs.expr, rhs: rhs.expr }))
    }

    fn compare_op(&self) -> Option<CompareOp> {
        let Token::Sym(symbol) = self.peek() else { return None };
        Some(match *symbol {
            "=" => CompareOp::Equal,
            "!=" => CompareOp::NotEqual,
            "<" => CompareOp::Less,
            "<=" => CompareOp::LessEqual,
            ">" => CompareOp::Greater,
            ">=" => CompareOp::GreaterEqual,
            _ => return None,
        })
    }

    fn arith_op(&self) -> Option<(ArithOp, u8)> {
        let Token::Sym(symbol) = self.peek() else { return None };
        Some(match *symbol {
            "+" => (ArithOp::Add, 0),
            "-" => (ArithOp::Sub, 0),
            "*" => (ArithOp::Mul, 1),
            "/" => (ArithOp::Div, 1),
            "%" => (ArithOp::Mod, 1),
            "^" => (ArithOp::Pow, 2),
            _ => return None,
        })
    }

    /// Arithmetic on aggregates and constants with operators of at least this binding.
    fn scalar(&mut self, binding: u8) -> Result<Scalar> {
        let mut depth = self.depth;
        let mut lhs = self.nested(Parser::scalar_operand)?;
        while let Some((op, op_binding)) = self.arith_op()
            && op_binding >= binding
        {
            self.next();
            let next = if op == ArithOp::Pow { op_binding } else { op_binding + 1 };
            let rhs = self.nested(|p| p.scalar(next))?;
            depth += 1;
            self.check_depth(depth)?;
            let span = lhs.span.start..rhs.span.end;
            let expr = match (lhs.expr, rhs.expr) {
                (ScalarExpr::Literal(a), ScalarExpr::Literal(b)) => {
                    ScalarExpr::Literal(field::fold(op, &a, &b, &span)?)
                }
                (a, b) => ScalarExpr::Arith(op, Box::new(a), Box::new(b)),
            };
            lhs = Scalar { expr, has_aggregate: lhs.has_aggregate || rhs.has_aggregate, span };
        }
        Ok(lhs)
    }

    fn scalar_operand(&mut self) -> Result<Scalar> {
        let (start, place) = (self.span().start, self.at);
        let constant = |literal, span| {
            Ok(Scalar { expr: ScalarExpr::Literal(literal), has_aggregate: false, span })
        };
        match self.next() {
            (Token::Int(v), span) => constant(Literal::Int(v), span),
            (Token::Float(v), span) => constant(Literal::Float(v), span),
            (Token::Duration(v), span) => constant(Literal::Duration(v), span),
            (Token::Sym("("), _) => {
                let inner = self.scalar(0)?;
                self.expect_sym(")", "after the expression")?;
                Ok(inner)
            }
            (Token::Sym("-"), span) => {
                let inner = self.nested(|p| p.scalar(1))?;
                let span = span.start..inner.span.end;
                match inner.expr {
                    ScalarExpr::Literal(literal) => constant(field::negate(&literal, &span)?, span),
                    expr => {
                        let zero = Box::new(ScalarExpr::Literal(Literal::Int(0)));
                        let expr = ScalarExpr::Arith(ArithOp::Sub, zero, Box::new(expr));
                        Ok(Scalar { expr, has_aggregate: true, span })
                    }
                }
            }
            (Token::Word(word), span) => {
                let Some(op) = aggregate_op(&word) else {
                    self.at = place;
                    return Err(self.unexpected(SCALAR));
                };
                let aggregate = self.aggregate(op, &word)?;
                let span = start..self.tokens[self.at - 1].1.end.max(span.end);
                Ok(Scalar { expr: ScalarExpr::Aggregate(aggregate), has_aggregate: true, span })
            }
            _ => {
                self.at = place;
                Err(self.unexpected(SCALAR))
            }
        }
    }

    fn aggregate(&mut self, op: AggregateOp, word: &str) -> Result<Aggregate> {
        self.expect_sym("(", &format!("after {word}"))?;
        if op == AggregateOp::Count {
            self.expect_sym(")", "after count(: it takes nothing and counts spans")?;
            return Ok(Aggregate { op, of: None });
        }
        let of = self.expression()?;
        if !matches!(of.ty, Type::Unknown | Type::Int | Type::Float | Type::Duration) {
            return Err(Error::bad(
                of.span,
                format!("{word}(…) needs a number, this is {}", of.ty.name()),
            ));
        }
        if !of.reads_span {
            return Err(Error::bad(
                of.span,
                format!("{word}(…) needs a value of the span, this is a constant"),
            ));
        }
        self.expect_sym(")", &format!("after {word}(…"))?;
        Ok(Aggregate { op, of: Some(of.expr) })
    }

    /// Any number of `with (name = constant, …)`.
    fn hints(&mut self) -> Result<Vec<(String, Literal)>> {
        let mut hints = Vec::new();
        while self.is_word("with") {
            self.next();
            self.expect_sym("(", "after with")?;
            loop {
                let (Token::Word(name), _) = self.next() else {
                    self.at = self.at.saturating_sub(1);
                    return Err(
                        self.unexpected("the name of a hint, as in with (most_recent=true)")
                    );
                };
                self.expect_sym("=", "after the hint's name")?;
                let value = self.expression()?;
                let super::ast::Expr::Literal(literal) = value.expr else {
                    return Err(Error::bad(value.span, "a hint's value is a constant"));
                };
                hints.push((name, literal));
                if !self.take_sym(",") {
                    break;
                }
            }
            self.expect_sym(")", "after the hints")?;
        }
        Ok(hints)
    }
}

fn aggregate_op(word: &str) -> Option<AggregateOp> {
    Some(match word {
        "count" => AggregateOp::Count,
        "avg" => AggregateOp::Avg,
        "min" => AggregateOp::Min,
        "max" => AggregateOp::Max,
        "sum" => AggregateOp::Sum,
        _ => return None,
    })
}
