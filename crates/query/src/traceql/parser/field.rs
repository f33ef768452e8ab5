//! Expressions on one span, checked for types as they are built.

use std::ops::Range;

use regex::RegexBuilder;
use trefoil_store::model::{SpanKind, StatusCode};

use super::super::ast::{
    ArithOp, CompareOp, Expr, Field, Intrinsic, Literal, LogicalOp, Pattern, Scope,
};
use super::super::lexer::{self, Token};
use super::super::value;
use super::Parser;
use crate::error::{Error, Result};

/// How large a compiled pattern may be, in bytes: what the regex crate allows by default,
/// said here so that it is a decision.
const PATTERN_BYTES_MAX: usize = 10 << 20;

/// What is known of a value's type before there is a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// An attribute: only the span knows.
    Unknown,
    Int,
    Float,
    Text,
    Bool,
    Duration,
    Status,
    Kind,
}

impl Type {
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Unknown => "an attribute",
            Type::Int => "an integer",
            Type::Float => "a number",
            Type::Text => "text",
            Type::Bool => "true or false",
            Type::Duration => "a duration",
            Type::Status => "a status",
            Type::Kind => "a kind",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Type::Int | Type::Float | Type::Duration)
    }

    fn matches(self, other: Type) -> bool {
        self == other
            || self == Type::Unknown
            || other == Type::Unknown
            || (self.is_number() && other.is_number())
    }

    fn of_literal(literal: &Literal) -> Type {
        match literal {
            Literal::Int(_) => Type::Int,
            Literal::Float(_) => Type::Float,
            Literal::Text(_) => Type::Text,
            Literal::Bool(_) => Type::Bool,
            Literal::Duration(_) => Type::Duration,
            Literal::Status(_) => Type::Status,
            Literal::Kind(_) => Type::Kind,
        }
    }

    fn of_field(field: &Field) -> Type {
        let Field::Intrinsic(intrinsic) = field else { return Type::Unknown };
        match intrinsic {
            Intrinsic::Duration | Intrinsic::TraceDuration | Intrinsic::EventTimeSinceStart => {
                Type::Duration
            }
            Intrinsic::Status => Type::Status,
            Intrinsic::Kind => Type::Kind,
            Intrinsic::ChildCount
            | Intrinsic::NestedSetLeft
            | Intrinsic::NestedSetRight
            | Intrinsic::NestedSetParent => Type::Int,
            _ => Type::Text,
        }
    }
}

/// An expression with what the checks need.
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) ty: Type,
    pub(super) span: Range<usize>,
    /// Whether it depends on the span at all.
    pub(super) reads_span: bool,
    depth: usize,
}

/// An operator between two expressions.
#[derive(Clone, Copy, PartialEq)]
enum Infix {
    Logical(LogicalOp),
    Compare(CompareOp),
    Match(bool),
    Arith(ArithOp),
}

/// Binding of `!`: above `+ -`, below `* / %`.
const NOT_BINDING: u8 = 4;
/// Binding of a leading `-`: that of the operator `-`.
const MINUS_BINDING: u8 = 3;

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Typed> {
        self.nested(|p| p.binary(0))
    }

    fn infix(&self) -> Option<(Infix, u8)> {
        if let Some(op) = self.compare_op() {
            return Some((Infix::Compare(op), 1));
        }
        if let Some((op, binding)) = self.arith_op() {
            let binding = [2, 5, 6][usize::from(binding)];
            return Some((Infix::Arith(op), binding));
        }
        let Token::Sym(symbol) = self.peek() else { return None };
        Some(match *symbol {
            "&&" => (Infix::Logical(LogicalOp::And), 0),
            "||" => (Infix::Logical(LogicalOp::Or), 0),
            "=~" => (Infix::Match(true), 1),
            "!~" => (Infix::Match(false), 1),
            _ => return None,
        })
    }

    fn binary(&mut self, binding: u8) -> Result<Typed> {
        let mut lhs = self.unary()?;
        while let Some((op, op_binding)) = self.infix()
            && op_binding >= binding
        {
            let (_, op_span) = self.next();
            if let Some(exists) = self.nil_after(op) {
                let end = self.next().1.end;
                lhs = nil_comparison(lhs, exists, end)?;
                continue;
            }
            let right_associative = op == Infix::Arith(ArithOp::Pow);
            let next = if right_associative { op_binding } else { op_binding + 1 };
            let rhs = self.nested(|p| p.binary(next))?;
            lhs = combine(op, lhs, rhs, &op_span)?;
            self.check_depth(lhs.depth)?;
        }
        Ok(lhs)
    }

    /// `Some(true)` for `!= nil`, `Some(false)` for `= nil`.
    fn nil_after(&self, op: Infix) -> Option<bool> {
        match op {
            _ if !self.is_word("nil") => None,
            Infix::Compare(CompareOp::NotEqual) => Some(true),
            Infix::Compare(CompareOp::Equal) => Some(false),
            _ => None,
        }
    }

    fn unary(&mut self) -> Result<Typed> {
        let start = self.span();
        if self.take_sym("!") {
            let inner = self.nested(|p| p.binary(NOT_BINDING))?;
            if !inner.ty.matches(Type::Bool) {
                return Err(Error::bad(
                    inner.span,
                    format!("! needs true or false, this is {}", inner.ty.name()),
                ));
            }
            let span = start.start..inner.span.end;
            let (reads_span, depth) = (inner.reads_span, inner.depth + 1);
            return Ok(Typed {
                expr: Expr::Not(Box::new(inner.expr)),
                ty: Type::Bool,
                span,
                reads_span,
                depth,
            });
        }
        if self.take_sym("-") {
            let inner = self.nested(|p| p.binary(MINUS_BINDING))?;
            return minus(inner, start.start);
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Typed> {
        let span = self.span();
        let literal = match self.peek() {
            Token::Sym("(") => {
                self.next();
                let mut inner = self.expression()?;
                self.expect_sym(")", "or an operator")?;
                inner.span = span.start..self.tokens[self.at - 1].1.end;
                return Ok(inner);
            }
            Token::Field(field) => {
                let field = field.clone();
                self.next();
                return Ok(field_typed(field, span));
            }
            Token::Word(word) if word == "nil" => return self.leading_nil(),
            Token::Word(word) if lexer::bare_intrinsic(word).is_some() => {
                let field = self.single_field()?;
                return Ok(field_typed(field, span));
            }
            Token::Word(word) => match keyword(word) {
                Some(literal) => literal,
                None => return Err(self.unknown_word()),
            },
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Int(v) => Literal::Int(*v),
            Token::Float(v) => Literal::Float(*v),
            Token::Duration(v) => Literal::Duration(*v),
            _ => return Err(self.unexpected("a field or a value")),
        };
        self.next();
        let ty = Type::of_literal(&literal);
        Ok(Typed { expr: Expr::Literal(literal), ty, span, reads_span: false, depth: 0 })
    }

    /// `nil = x` and `nil != x`; nil compared with itself is false either way, as in Tempo.
    fn leading_nil(&mut self) -> Result<Typed> {
        let start = self.next().1.start;
        let exists = match self.compare_op() {
            Some(CompareOp::Equal) => false,
            Some(CompareOp::NotEqual) => true,
            _ => return Err(self.unexpected("= or !=, the only things nil can be asked")),
        };
        self.next();
        if self.is_word("nil") {
            let span = start..self.next().1.end;
            let expr = Expr::Literal(Literal::Bool(false));
            return Ok(Typed { expr, ty: Type::Bool, span, reads_span: false, depth: 0 });
        }
        let operand = self.nested(|p| p.binary(2))?;
        let end = operand.span.end;
        let mut typed = nil_comparison(operand, exists, end)?;
        typed.span.start = start;
        Ok(typed)
    }

    fn unknown_word(&self) -> Error {
        let Token::Word(word) = self.peek() else { return self.unexpected("a field or a value") };
        if word == "parent" {
            return Error::bad(
                self.span(),
                "the parent span is asked with parent.<attribute>, span:parentID or nestedSetParent",
            );
        }
        if matches!(
            self.peek_second(),
            Token::Sym("=" | "!=" | "<" | ">" | "<=" | ">=" | "=~" | "!~") | Token::Field(_)
        ) {
            return Error::bad(
                self.span(),
                format!(
                    "unknown field {word}: attributes are written .{word}, span.{word} or resource.{word}"
                ),
            );
        }
        Error::bad(
            self.span(),
            format!(
                "unknown word {word}: text stands in double quotes, attributes are written .{word}"
            ),
        )
    }
}

fn keyword(word: &str) -> Option<Literal> {
    Some(match word {
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        "ok" => Literal::Status(StatusCode::Ok),
        "error" => Literal::Status(StatusCode::Error),
        "unset" => Literal::Status(StatusCode::Unset),
        "unspecified" => Literal::Kind(SpanKind::Unspecified),
        "internal" => Literal::Kind(SpanKind::Internal),
        "server" => Literal::Kind(SpanKind::Server),
        "client" => Literal::Kind(SpanKind::Client),
        "producer" => Literal::Kind(SpanKind::Producer),
        "consumer" => Literal::Kind(SpanKind::Consumer),
        "minInt" => Literal::Int(i64::MIN),
        "maxInt" => Literal::Int(i64::MAX),
        _ => return None,
    })
}

fn field_typed(field: Field, span: Range<usize>) -> Typed {
    let ty = Type::of_field(&field);
    Typed { expr: Expr::Field(field), ty, span, reads_span: true, depth: 0 }
}

/// `x != nil` (exists) or `x = nil`. Intrinsics always exist; Tempo refuses to ask
/// whether they are absent, and so for `resource.service.name`.
fn nil_comparison(operand: Typed, exists: bool, end: usize) -> Result<Typed> {
    let never_nil = match &operand.expr {
        Expr::Field(Field::Intrinsic(_)) => true,
        Expr::Field(Field::Attribute { scope: Scope::Resource, parent: false, name }) => {
            name == "service.name"
        }
        _ => false,
    };
    if never_nil && !exists {
        return Err(Error::bad(operand.span, "this can never be nil: every span has it"));
    }
    let (reads_span, depth) = (operand.reads_span, operand.depth + 1);
    let span = operand.span.start..end;
    let inner = Box::new(operand.expr);
    let expr = if exists { Expr::Exists(inner) } else { Expr::Missing(inner) };
    Ok(Typed { expr, ty: Type::Bool, span, reads_span, depth })
}

fn minus(inner: Typed, start: usize) -> Result<Typed> {
    let span = start..inner.span.end;
    if !inner.ty.is_number() && inner.ty != Type::Unknown {
        return Err(Error::bad(
            inner.span,
            format!("- needs a number, this is {}", inner.ty.name()),
        ));
    }
    if let Expr::Literal(literal) = &inner.expr {
        let literal = negate(literal, &span)?;
        return Ok(Typed { expr: Expr::Literal(literal), span, ..inner });
    }
    let depth = inner.depth + 1;
    Ok(Typed { expr: Expr::Neg(Box::new(inner.expr)), span, depth, ..inner })
}

/// Trace ids are compared without leading zeros and in lower case, so that they may be
/// written as any system shows them.
fn shorten_trace_id(field: &Typed, literal: &mut Typed) {
    let is_id = matches!(
        field.expr,
        Expr::Field(Field::Intrinsic(Intrinsic::TraceId | Intrinsic::LinkTraceId))
    );
    if let (true, Expr::Literal(Literal::Text(id))) = (is_id, &mut literal.expr) {
        *id = id.trim_start_matches('0').to_ascii_lowercase();
    }
}

fn combine(op: Infix, mut lhs: Typed, mut rhs: Typed, op_span: &Range<usize>) -> Result<Typed> {
    if matches!(op, Infix::Compare(_)) {
        shorten_trace_id(&lhs, &mut rhs);
        shorten_trace_id(&rhs, &mut lhs);
    }
    let span = lhs.span.start..rhs.span.end;
    if !lhs.ty.matches(rhs.ty) {
        return Err(Error::bad(
            span,
            format!("{} and {} cannot be compared or combined", lhs.ty.name(), rhs.ty.name()),
        ));
    }
    for side in [&lhs, &rhs] {
        if !allowed(op, side.ty) {
            return Err(Error::bad(
                op_span.clone(),
                format!("this operator does not work on {}", side.ty.name()),
            ));
        }
    }
    let reads_span = lhs.reads_span || rhs.reads_span;
    let depth = lhs.depth.max(rhs.depth) + 1;
    let typed = |expr, ty, depth| Typed { expr, ty, span: span.clone(), reads_span, depth };
    Ok(match op {
        Infix::Logical(op) => {
            let (terms, deeper) = chain(op, lhs, rhs);
            typed(Expr::Logical(op, terms), Type::Bool, deeper)
        }
        Infix::Compare(op) => {
            typed(Expr::Compare(op, Box::new(lhs.expr), Box::new(rhs.expr)), Type::Bool, depth)
        }
        Infix::Match(positive) => {
            let pattern = pattern(&rhs)?;
            typed(Expr::Match(positive, Box::new(lhs.expr), pattern), Type::Bool, depth)
        }
        Infix::Arith(op) => {
            let ty = if lhs.ty == Type::Unknown { rhs.ty } else { lhs.ty };
            if let (Expr::Literal(a), Expr::Literal(b)) = (&lhs.expr, &rhs.expr) {
                let folded = fold(op, a, b, &span)?;
                let ty = Type::of_literal(&folded);
                return Ok(typed(Expr::Literal(folded), ty, 0));
            }
            typed(Expr::Arith(op, Box::new(lhs.expr), Box::new(rhs.expr)), ty, depth)
        }
    })
}

/// `a && b && c` becomes one node with three terms, so that long chains stay flat.
fn chain(op: LogicalOp, lhs: Typed, rhs: Typed) -> (Vec<Expr>, usize) {
    let depth = lhs.depth.max(rhs.depth + 1);
    match lhs.expr {
        Expr::Logical(same, mut terms) if same == op => {
            terms.push(rhs.expr);
            (terms, depth)
        }
        first => (vec![first, rhs.expr], depth.max(lhs.depth + 1)),
    }
}

fn allowed(op: Infix, ty: Type) -> bool {
    match (op, ty) {
        (_, Type::Unknown) | (Infix::Compare(CompareOp::Equal | CompareOp::NotEqual), _) => true,
        (Infix::Logical(_), ty) => ty == Type::Bool,
        (Infix::Match(_), ty) => ty == Type::Text,
        (Infix::Compare(_), ty) => ty.is_number() || ty == Type::Text,
        (Infix::Arith(_), ty) => ty.is_number(),
    }
}

fn pattern(rhs: &Typed) -> Result<Pattern> {
    let Expr::Literal(Literal::Text(text)) = &rhs.expr else {
        return Err(Error::bad(rhs.span.clone(), "the pattern of =~ and !~ is a constant text"));
    };
    compile_pattern(text).map_err(|why| Error::bad(rhs.span.clone(), why))
}

/// Compiles a pattern as Tempo does: anchored at both ends, `.` matches a newline.
pub(in crate::traceql) fn compile_pattern(text: &str) -> std::result::Result<Pattern, String> {
    let refuse = |e: regex::Error| format!("invalid regular expression {text:?}: {e}");
    // Alone first: `a)|(b` must not become valid by the anchors' parentheses.
    let compile = |p: &str| RegexBuilder::new(p).size_limit(PATTERN_BYTES_MAX).build();
    compile(text).map_err(refuse)?;
    let regex = compile(&format!("^(?s:{text})$")).map_err(refuse)?;
    Ok(Pattern { text: text.to_owned(), regex })
}

/// Arithmetic on constants.
pub(super) fn fold(op: ArithOp, a: &Literal, b: &Literal, span: &Range<usize>) -> Result<Literal> {
    value::arith(op, &value::Value::from_literal(a), &value::Value::from_literal(b))
        .to_literal()
        .ok_or_else(|| {
            Error::bad(span.clone(), "this cannot be computed: division by zero, or not numbers")
        })
}

/// `-` on a constant.
pub(super) fn negate(literal: &Literal, span: &Range<usize>) -> Result<Literal> {
    match literal {
        Literal::Int(v) => Ok(Literal::Int(v.wrapping_neg())),
        Literal::Float(v) => Ok(Literal::Float(-v)),
        Literal::Duration(v) => Ok(Literal::Duration(v.wrapping_neg())),
        _ => Err(Error::bad(span.clone(), "- needs a number")),
    }
}
