//! The syntax tree.

use std::ops::Range;

use trefoil_store::Matcher;

use super::functions::Function;

/// A part of the expression with its bytes in the text.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it stands.
    pub(crate) span: Range<usize>,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A number; `is_duration` if it was written as one (`5m` is 300).
    Number { value: f64, is_duration: bool },
    /// A string. May not be UTF-8 (`"\xff"`).
    Str(Vec<u8>),
    /// An instant vector selector.
    Selector(Box<Selector>),
    /// A range vector selector.
    Matrix(Box<Matrix>),
    /// An expression evaluated on a grid of its own.
    Subquery(Box<Subquery>),
    /// `+x` or `-x`.
    Unary { negative: bool, expr: Box<Node> },
    /// Two operands.
    Binary(Box<Binary>),
    /// `sum by (a) (x)` and its kin.
    Aggregate(Box<Aggregate>),
    /// A function.
    Call(Box<Call>),
    /// `(x)`.
    Paren(Box<Node>),
}

/// Which series, and as of when.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    /// The name written before the braces.
    pub(crate) name: Option<String>,
    /// All conditions; the name's is the last one.
    pub(crate) matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub(crate) shift: Shift,
    /// `anchored` or `smoothed`.
    pub(crate) edge: Edge,
}

/// A selector with a range.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    /// Which series.
    pub(crate) selector: Selector,
    /// How far back.
    pub(crate) range: Span,
}

/// `expr[range:step]`.
#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    /// What to evaluate.
    pub(crate) expr: Node,
    /// How far back.
    pub(crate) range: Span,
    /// The grid; the default interval if absent.
    pub(crate) step: Option<Span>,
    /// `offset` and `@`.
    pub(crate) shift: Shift,
}

/// `offset` and `@`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shift {
    /// How far back in time, negative for forward.
    pub(crate) offset: Option<Span>,
    /// A fixed time instead of the time of evaluation.
    pub(crate) at: Option<At>,
}

/// The argument of `@`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum At {
    /// Unix milliseconds.
    Time(i64),
    /// `start()`.
    Start,
    /// `end()`.
    End,
}

/// What happens at the edges of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Edge {
    /// Only samples within.
    #[default]
    Plain,
    /// The last sample before the range stands at its start.
    Anchored,
    /// Values at both edges are interpolated.
    Smoothed,
}

/// A length of time, perhaps computed: `[step() * 2]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Span {
    /// Seconds, written as a number or a duration.
    Literal { seconds: f64, is_duration: bool },
    /// `step()` of the query.
    Step,
    /// `range()` of the query, end minus start.
    Range,
    /// `-x`.
    Negative(Box<Span>),
    /// `a op b`.
    Binary(SpanOp, Box<Span>, Box<Span>),
    /// `min_of(a, b)`.
    Min(Box<Span>, Box<Span>),
    /// `max_of(a, b)`.
    Max(Box<Span>, Box<Span>),
    /// `(x)`.
    Paren(Box<Span>),
}

/// Operators on durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// `</`: what of a histogram lies below a value.
    TrimUpper,
    /// `>/`: what of a histogram lies above a value.
    TrimLower,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    /// As it is written.
    pub(crate) fn text(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
        }
    }

    /// `== != < <= > >=`.
    pub(crate) fn is_comparison(self) -> bool {
        matches!(
            self,
            BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::Less
                | BinaryOp::LessEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
        )
    }

    /// `and or unless`.
    pub(crate) fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// `</ >/`.
    pub(crate) fn is_trim(self) -> bool {
        matches!(self, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }

    /// Whether the result is something else than the left sample, so that its name no
    /// longer fits.
    pub(crate) fn drops_name(self) -> bool {
        !self.is_comparison() && !self.is_set() && !self.is_trim()
    }
}

/// A binary operation.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    /// The operator.
    pub(crate) op: BinaryOp,
    /// Left operand.
    pub(crate) left: Node,
    /// Right operand.
    pub(crate) right: Node,
    /// `bool`: answer 0 or 1 instead of filtering.
    pub(crate) returns_bool: bool,
    /// How samples find each other.
    pub(crate) matching: Matching,
}

/// How many samples may match one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Cardinality {
    #[default]
    OneToOne,
    /// `group_left`.
    ManyToOne,
    /// `group_right`.
    OneToMany,
}

/// `on`, `ignoring`, `group_left`, `group_right`, `fill…`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    /// How many samples may match one.
    pub(crate) cardinality: Cardinality,
    /// True for `on`, false for `ignoring` and for nothing.
    pub(crate) on: bool,
    /// The labels of `on` or `ignoring`.
    pub(crate) labels: Vec<String>,
    /// Labels that the "one" side gives to the result.
    pub(crate) include: Vec<String>,
    /// Value for a missing left sample.
    pub(crate) fill_left: Option<f64>,
    /// Value for a missing right sample.
    pub(crate) fill_right: Option<f64>,
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    CountValues,
    Quantile,
    LimitK,
    LimitRatio,
}

/// Every aggregation operator with its name.
pub(crate) const AGGREGATES: [(&str, AggregateOp); 14] = [
    ("sum", AggregateOp::Sum),
    ("avg", AggregateOp::Avg),
    ("count", AggregateOp::Count),
    ("min", AggregateOp::Min),
    ("max", AggregateOp::Max),
    ("group", AggregateOp::Group),
    ("stddev", AggregateOp::Stddev),
    ("stdvar", AggregateOp::Stdvar),
    ("topk", AggregateOp::TopK),
    ("bottomk", AggregateOp::BottomK),
    ("count_values", AggregateOp::CountValues),
    ("quantile", AggregateOp::Quantile),
    ("limitk", AggregateOp::LimitK),
    ("limit_ratio", AggregateOp::LimitRatio),
];

impl AggregateOp {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        AGGREGATES.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }

    /// Whether it takes a parameter before the vector.
    pub(crate) fn has_param(self) -> bool {
        matches!(
            self,
            AggregateOp::TopK
                | AggregateOp::BottomK
                | AggregateOp::CountValues
                | AggregateOp::Quantile
                | AggregateOp::LimitK
                | AggregateOp::LimitRatio
        )
    }
}

/// An aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    /// The operator.
    pub(crate) op: AggregateOp,
    /// The parameter, if the operator takes one.
    pub(crate) param: Option<Node>,
    /// What is aggregated.
    pub(crate) expr: Node,
    /// True for `without`.
    pub(crate) without: bool,
    /// The labels of `by` or `without`.
    pub(crate) labels: Vec<String>,
}

/// A function call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Which function.
    pub(crate) function: &'static Function,
    /// Its arguments.
    pub(crate) args: Vec<Node>,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar,
    Vector,
    Matrix,
    String,
}

impl Type {
    /// As Prometheus names it in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::Scalar => "scalar",
            Type::Vector => "instant vector",
            Type::Matrix => "range vector",
            Type::String => "string",
        }
    }
}

impl Node {
    /// The type of the expression's value.
    pub(crate) fn value_type(&self) -> Type {
        match &self.kind {
            Kind::Number { .. } => Type::Scalar,
            Kind::Str(_) => Type::String,
            Kind::Selector(_) | Kind::Aggregate(_) => Type::Vector,
            Kind::Matrix(_) | Kind::Subquery(_) => Type::Matrix,
            Kind::Unary { expr, .. } | Kind::Paren(expr) => expr.value_type(),
            Kind::Binary(binary) => {
                let scalars = binary.left.value_type() == Type::Scalar
                    && binary.right.value_type() == Type::Scalar;
                if scalars { Type::Scalar } else { Type::Vector }
            }
            Kind::Call(call) => call.function.returns,
        }
    }

    /// The operands.
    pub(crate) fn children(&self) -> Vec<&Node> {
        match &self.kind {
            Kind::Number { .. } | Kind::Str(_) | Kind::Selector(_) | Kind::Matrix(_) => Vec::new(),
            Kind::Subquery(subquery) => vec![&subquery.expr],
            Kind::Unary { expr, .. } | Kind::Paren(expr) => vec![expr],
            Kind::Binary(binary) => vec![&binary.left, &binary.right],
            Kind::Aggregate(aggregate) => {
                aggregate.param.iter().chain(std::iter::once(&aggregate.expr)).collect()
            }
            Kind::Call(call) => call.args.iter().collect(),
        }
    }

    /// The expression inside any parentheses.
    pub(crate) fn unparen(&self) -> &Node {
        let mut node = self;
        while let Kind::Paren(inner) = &node.kind {
            node = inner;
        }
        node
    }
}
