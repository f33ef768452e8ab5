//! What a TraceQL text means, after parsing and type checks.

use regex::Regex;
use trefoil_store::model::{SpanKind, StatusCode};

/// A whole query.
#[derive(Clone, Debug)]
pub struct Query {
    /// What is asked.
    pub root: Root,
    /// The `with (…)` hints in the order they came. They are kept and shown; none of them
    /// can change an answer here (`most_recent=true` is always so, and nothing is sampled).
    pub hints: Vec<(String, Literal)>,
}

/// A search for traces, or series over time.
#[derive(Clone, Debug)]
pub enum Root {
    /// `{…} | …`: finds traces.
    Search(Pipeline),
    /// `{…} | rate()`: makes series.
    Metrics(MetricsExpr),
}

/// Stages through which the spansets of one trace go, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    /// In the order of the text.
    pub stages: Vec<Stage>,
}

/// One stage of a pipeline.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Selects spans.
    Spansets(SpansetExpr),
    /// Keeps the spansets for which a comparison of aggregates holds.
    Scalar(ScalarFilter),
    /// Splits each spanset by a value.
    By(Expr),
    /// Joins all spansets of the trace into one.
    Coalesce,
    /// Names fields to show.
    Select(Vec<Field>),
}

/// A selection of spans of one trace.
#[derive(Clone, Debug)]
pub enum SpansetExpr {
    /// `{ … }`.
    Filter(Expr),
    /// Two selections related to each other.
    Op(SpansetOp, Box<SpansetExpr>, Box<SpansetExpr>),
    /// `( … | … )`: a pipeline in parentheses.
    Pipeline(Pipeline),
}

/// How two selections are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpansetOp {
    /// `&&`: both found something; all their spans.
    And,
    /// `||`: either found something; all their spans.
    Or,
    /// By their place in the tree.
    Structural(Relation, Mode),
}

/// How the right side's spans relate to the left side's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `>`: the right one is a child.
    Child,
    /// `<`: the right one is the parent.
    Parent,
    /// `>>`: the right one is below.
    Descendant,
    /// `<<`: the right one is above.
    Ancestor,
    /// `~`: both have the same parent.
    Sibling,
}

/// Which spans a structural operator returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The right side's that are related.
    Right,
    /// `!`: the right side's that are not related to any of the left's.
    Not,
    /// `&`: both sides' that are related.
    Union,
}

/// A comparison of two scalars of a spanset.
#[derive(Clone, Debug)]
pub struct ScalarFilter {
    /// How.
    pub op: CompareOp,
    /// Left side.
    pub lhs: ScalarExpr,
    /// Right side.
    pub rhs: ScalarExpr,
}

/// A number computed from a spanset.
#[derive(Clone, Debug)]
pub enum ScalarExpr {
    /// A constant.
    Literal(Literal),
    /// An aggregate over the spans.
    Aggregate(Aggregate),
    /// Arithmetic.
    Arith(ArithOp, Box<ScalarExpr>, Box<ScalarExpr>),
}

/// An aggregate over the spans of a spanset.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Which.
    pub op: AggregateOp,
    /// Of what; `None` for `count()` only.
    pub of: Option<Expr>,
}

/// Which aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateOp {
    /// Number of spans.
    Count,
    /// Mean.
    Avg,
    /// Least.
    Min,
    /// Greatest.
    Max,
    /// Sum.
    Sum,
}

/// An expression on one span.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A constant.
    Literal(Literal),
    /// A value of the span.
    Field(Field),
    /// Two or more terms, evaluated from left to right.
    Logical(LogicalOp, Vec<Expr>),
    /// A comparison.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// `=~` (true) or `!~` (false) with a compiled pattern.
    Match(bool, Box<Expr>, Pattern),
    /// Arithmetic.
    Arith(ArithOp, Box<Expr>, Box<Expr>),
    /// `!x`.
    Not(Box<Expr>),
    /// `-x`.
    Neg(Box<Expr>),
    /// `x != nil`.
    Exists(Box<Expr>),
    /// `x = nil`.
    Missing(Box<Expr>),
}

/// A regular expression, anchored at both ends, and the text it was written as.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As written.
    pub text: String,
    /// Compiled.
    pub regex: Regex,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// Text.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// Nanoseconds.
    Duration(i64),
    /// `ok`, `error`, `unset`.
    Status(StatusCode),
    /// `server`, `client`, ….
    Kind(SpanKind),
}

/// Something a span has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Built in.
    Intrinsic(Intrinsic),
    /// An attribute.
    Attribute {
        /// Where to look.
        scope: Scope,
        /// Look at the parent span instead of the span itself.
        parent: bool,
        /// The key.
        name: String,
    },
}

/// Where an attribute is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `.key`: on the span, then on the resource.
    Any,
    /// `span.`
    Span,
    /// `resource.`
    Resource,
    /// `event.`: any event of the span.
    Event,
    /// `link.`: any link of the span.
    Link,
    /// `instrumentation.`
    Instrumentation,
}

/// What every span has without an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intrinsic {
    /// End minus start.
    Duration,
    /// Operation name.
    Name,
    /// `ok`, `error`, `unset`.
    Status,
    /// Text of the status.
    StatusMessage,
    /// Role.
    Kind,
    /// Direct children.
    ChildCount,
    /// Hex id of the span.
    SpanId,
    /// Hex id of the parent.
    ParentId,
    /// Name of the root span.
    RootName,
    /// Service of the root span.
    RootService,
    /// Latest end minus earliest start of the trace.
    TraceDuration,
    /// Hex id of the trace.
    TraceId,
    /// Left bound in the nested set.
    NestedSetLeft,
    /// Right bound in the nested set.
    NestedSetRight,
    /// The parent's left bound, −1 for a root, 0 if unknown.
    NestedSetParent,
    /// Name of any event.
    EventName,
    /// Time of any event after the span's start.
    EventTimeSinceStart,
    /// Hex id of any linked trace.
    LinkTraceId,
    /// Hex id of any linked span.
    LinkSpanId,
    /// Name of the instrumentation scope.
    InstrumentationName,
    /// Version of the instrumentation scope.
    InstrumentationVersion,
}

/// `&&` or `||`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogicalOp {
    /// All.
    And,
    /// Any.
    Or,
}

/// An ordering or equality comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl CompareOp {
    /// The operator that means the same with the sides exchanged.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            CompareOp::Less => CompareOp::Greater,
            CompareOp::LessEqual => CompareOp::GreaterEqual,
            CompareOp::Greater => CompareOp::Less,
            CompareOp::GreaterEqual => CompareOp::LessEqual,
            same => same,
        }
    }

    /// Whether an ordering (`None`: not comparable, as not-a-number is) satisfies it.
    #[must_use]
    pub fn holds(self, ordering: Option<std::cmp::Ordering>) -> bool {
        match self {
            CompareOp::Equal => ordering.is_some_and(std::cmp::Ordering::is_eq),
            CompareOp::NotEqual => !ordering.is_some_and(std::cmp::Ordering::is_eq),
            CompareOp::Less => ordering.is_some_and(std::cmp::Ordering::is_lt),
            CompareOp::LessEqual => ordering.is_some_and(std::cmp::Ordering::is_le),
            CompareOp::Greater => ordering.is_some_and(std::cmp::Ordering::is_gt),
            CompareOp::GreaterEqual => ordering.is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
}

/// Series made from spans.
#[derive(Clone, Debug)]
pub enum MetricsExpr {
    /// A pipeline that ends in a metrics function.
    Leaf(Pipeline, MetricsFunction),
    /// A pipeline whose spans are compared with each other.
    Compare(Pipeline, CompareFunction),
    /// Two sets of series, matched by their labels.
    Math(ArithOp, Box<MetricsExpr>, Box<MetricsExpr>),
    /// Series and a number; the flag says that the number stands on the left.
    Scaled(ArithOp, Box<MetricsExpr>, f64, bool),
    /// Series and what is done with them afterwards.
    Staged(Box<MetricsExpr>, Vec<SecondStage>),
}

/// `compare({selection}, top, start, end)`.
#[derive(Clone, Debug)]
pub struct CompareFunction {
    /// Which spans are compared with all others.
    pub selection: Expr,
    /// How many values of each attribute are shown.
    pub top: usize,
    /// Only spans that start after the first and not after the second, in Unix
    /// nanoseconds, are part of the selection.
    pub window: Option<(i64, i64)>,
}

/// What a pipeline of a metrics query ends in.
#[derive(Clone, Debug)]
pub enum MetricsTail {
    /// A function such as `rate()`.
    Function(MetricsFunction),
    /// `compare(…)`.
    Compare(CompareFunction),
}

/// A metrics function with its grouping.
#[derive(Clone, Debug)]
pub struct MetricsFunction {
    /// Which.
    pub op: MetricsOp,
    /// The field it measures; `None` for `rate` and `count_over_time`.
    pub of: Option<Field>,
    /// Quantiles of `quantile_over_time`.
    pub quantiles: Vec<f64>,
    /// `by (…)`.
    pub by: Vec<Field>,
}

/// Which metrics function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsOp {
    /// Spans per second.
    Rate,
    /// Spans per interval.
    Count,
    /// Least value per interval.
    Min,
    /// Greatest value per interval.
    Max,
    /// Mean value per interval.
    Avg,
    /// Sum of values per interval.
    Sum,
    /// Estimated quantiles per interval.
    Quantile,
    /// Counts per power of two per interval.
    Histogram,
}

/// What may follow a metrics function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SecondStage {
    /// The greatest k at each instant.
    TopK(usize),
    /// The least k at each instant.
    BottomK(usize),
    /// Keeps the points that compare so.
    Filter(CompareOp, f64),
}
