//! Fields as TraceQL writes them: names of labels and of attributes in answers.

use std::fmt;

use super::ast::{
    Aggregate, AggregateOp, ArithOp, CompareOp, Expr, Field, Intrinsic, Literal, LogicalOp,
    MetricsOp, Scope,
};
use super::lexer::is_attribute_char;
use super::value::Value;

impl Intrinsic {
    /// As Tempo names it in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Intrinsic::Duration => "duration",
            Intrinsic::Name => "name",
            Intrinsic::Status => "status",
            Intrinsic::StatusMessage => "statusMessage",
            Intrinsic::Kind => "kind",
            Intrinsic::ChildCount => "span:childCount",
            Intrinsic::SpanId => "span:id",
            Intrinsic::ParentId => "span:parentID",
            Intrinsic::RootName => "rootName",
            Intrinsic::RootService => "rootServiceName",
            Intrinsic::TraceDuration => "traceDuration",
            Intrinsic::TraceId => "trace:id",
            Intrinsic::NestedSetLeft => "nestedSetLeft",
            Intrinsic::NestedSetRight => "nestedSetRight",
            Intrinsic::NestedSetParent => "nestedSetParent",
            Intrinsic::EventName => "event:name",
            Intrinsic::EventTimeSinceStart => "event:timeSinceStart",
            Intrinsic::LinkTraceId => "link:traceID",
            Intrinsic::LinkSpanId => "link:spanID",
            Intrinsic::InstrumentationName => "instrumentation:name",
            Intrinsic::InstrumentationVersion => "instrumentation:version",
        }
    }
}

impl Field {
    /// The name without its scope, as attributes of found spans are shown.
    #[must_use]
    pub fn short_name(&self) -> &str {
        match self {
            Field::Intrinsic(intrinsic) => intrinsic.name(),
            Field::Attribute { name, .. } => name,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scope, parent, name) = match self {
            Field::Intrinsic(intrinsic) => return f.write_str(intrinsic.name()),
            Field::Attribute { scope, parent, name } => (scope, parent, name),
        };
        if *parent {
            f.write_str("parent.")?;
        }
        f.write_str(match scope {
            Scope::Any if *parent => "",
            Scope::Any => ".",
            Scope::Span => "span.",
            Scope::Resource => "resource.",
            Scope::Event => "event.",
            Scope::Link => "link.",
            Scope::Instrumentation => "instrumentation.",
        })?;
        f.write_str(&attribute_name(name))
    }
}

/// An attribute's name, in quotes where it needs them.
pub(crate) fn attribute_name(name: &str) -> String {
    let plain = |c| is_attribute_char(c) && c != '"' && c != '\\';
    if !name.is_empty() && name.chars().all(plain) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => f.write_str(&quoted(text)),
            other => f.write_str(&Value::from_literal(other).text()),
        }
    }
}

/// A text in double quotes, with the escapes the lexer reads.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Literal(literal) => write!(f, "{literal}"),
            Expr::Field(field) => write!(f, "{field}"),
            Expr::Logical(op, terms) => {
                let word = if *op == LogicalOp::And { " && " } else { " || " };
                for (i, term) in terms.iter().enumerate() {
                    f.write_str(if i > 0 { word } else { "" })?;
                    operand(f, term)?;
                }
                Ok(())
            }
            Expr::Compare(op, a, b) => infix(f, a, compare_symbol(*op), b),
            Expr::Arith(op, a, b) => infix(f, a, arith_symbol(*op), b),
            Expr::Match(positive, a, pattern) => {
                operand(f, a)?;
                let symbol = if *positive { "=~" } else { "!~" };
                write!(f, " {symbol} {}", quoted(&pattern.text))
            }
            Expr::Not(inner) => {
                f.write_str("!")?;
                operand(f, inner)
            }
            Expr::Neg(inner) => {
                f.write_str("-")?;
                operand(f, inner)
            }
            Expr::Exists(inner) => {
                operand(f, inner)?;
                f.write_str(" != nil")
            }
            Expr::Missing(inner) => {
                operand(f, inner)?;
                f.write_str(" = nil")
            }
        }
    }
}

fn infix(f: &mut fmt::Formatter<'_>, a: &Expr, symbol: &str, b: &Expr) -> fmt::Result {
    operand(f, a)?;
    write!(f, " {symbol} ")?;
    operand(f, b)
}

fn operand(f: &mut fmt::Formatter<'_>, expr: &Expr) -> fmt::Result {
    match expr {
        Expr::Literal(_) | Expr::Field(_) => write!(f, "{expr}"),
        _ => write!(f, "({expr})"),
    }
}

fn compare_symbol(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Equal => "=",
        CompareOp::NotEqual => "!=",
        CompareOp::Less => "<",
        CompareOp::LessEqual => "<=",
        CompareOp::Greater => ">",
        CompareOp::GreaterEqual => ">=",
    }
}

fn arith_symbol(op: ArithOp) -> &'static str {
    match op {
        ArithOp::Add => "+",
        ArithOp::Sub => "-",
        ArithOp::Mul => "*",
        ArithOp::Div => "/",
        ArithOp::Mod => "%",
        ArithOp::Pow => "^",
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.op {
            AggregateOp::Count => "count",
            AggregateOp::Avg => "avg",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Sum => "sum",
        };
        match &self.of {
            None => write!(f, "{name}()"),
            Some(of) => write!(f, "{name}({of})"),
        }
    }
}

impl MetricsOp {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MetricsOp::Rate => "rate",
            MetricsOp::Count => "count_over_time",
            MetricsOp::Min => "min_over_time",
            MetricsOp::Max => "max_over_time",
            MetricsOp::Avg => "avg_over_time",
            MetricsOp::Sum => "sum_over_time",
            MetricsOp::Quantile => "quantile_over_time",
            MetricsOp::Histogram => "histogram_over_time",
        }
    }
}
