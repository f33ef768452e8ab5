//! What a LogQL text says. Printing an expression (`Display`) gives its canonical form.

use std::ops::Range;

mod print;

/// A whole query.
#[derive(Clone, Debug)]
pub enum Expr {
    /// Asks for lines.
    Log(LogExpr),
    /// Asks for numbers.
    Metric(MetricExpr),
}

/// A stream selector with its pipeline.
#[derive(Clone, Debug)]
pub struct LogExpr {
    /// Which streams.
    pub selector: Vec<LabelMatcher>,
    /// What is done with each line, in order.
    pub stages: Vec<Stage>,
}

/// A string of the query with its place.
#[derive(Clone, Debug)]
pub struct Text {
    /// The string, escapes resolved.
    pub value: String,
    /// Byte range in the query.
    pub span: Range<usize>,
}

/// How a label is compared with a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored
    Regex,
    /// `!~`, anchored
    NotRegex,
}

/// A condition on a label's text.
#[derive(Clone, Debug)]
pub struct LabelMatcher {
    /// The label.
    pub name: String,
    /// How to compare.
    pub op: MatchOp,
    /// With what.
    pub value: Text,
}

/// One step of a pipeline.
#[derive(Clone, Debug)]
pub enum Stage {
    /// `|= "…"` and its kin.
    Line(LineFilter),
    /// `| a="b" and c>1`
    Label(LabelFilter),
    /// `| json a="b[0]"`; without fields everything is taken.
    Json(Vec<Extraction>),
    /// `| logfmt --strict a="b"`
    Logfmt {
        /// Whether a bad pair is an error.
        strict: bool,
        /// Whether keys without a value are kept.
        keep_empty: bool,
        /// What to take; empty for everything.
        fields: Vec<Extraction>,
    },
    /// ``| pattern `<ip> - <_>` ``
    Pattern(Text),
    /// ``| regexp `(?P<a>…)` ``
    Regexp(Text),
    /// `| unpack`
    Unpack,
    /// ``| line_format `{{.a}}` ``
    LineFormat(Text),
    /// ``| label_format a=b,c=`{{.d}}` ``
    LabelFormat(Vec<LabelFormat>),
    /// `| drop a, b="c"`
    Drop(Vec<LabelPick>),
    /// `| keep a, b="c"`
    Keep(Vec<LabelPick>),
    /// `| decolorize`
    Decolorize,
}

/// How a line is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Regex,
    /// `!~`
    NotRegex,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

/// A condition on the line: any of the alternatives, or none of them where the operator
/// is a negative one.
#[derive(Clone, Debug)]
pub struct LineFilter {
    /// How to compare.
    pub op: LineOp,
    /// With what; at least one.
    pub any: Vec<LineMatch>,
}

/// One alternative of a line filter.
#[derive(Clone, Debug)]
pub enum LineMatch {
    /// A text, regular expression or pattern, as the operator says.
    Text(Text),
    /// `ip("…")`
    Ip(Text),
}

/// How a label is compared with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `==` or `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
}

/// A condition on labels.
#[derive(Clone, Debug)]
pub enum LabelFilter {
    /// A text comparison.
    Text(LabelMatcher),
    /// `a > 1`
    Number {
        /// The label.
        name: String,
        /// How to compare.
        op: Compare,
        /// With what.
        value: f64,
    },
    /// `a > 1s`
    Duration {
        /// The label.
        name: String,
        /// How to compare.
        op: Compare,
        /// With what, in nanoseconds.
        ns: i64,
    },
    /// `a > 1KB`
    Bytes {
        /// The label.
        name: String,
        /// How to compare.
        op: Compare,
        /// With what.
        bytes: u64,
    },
    /// `a = ip("…")`
    Ip {
        /// The label.
        name: String,
        /// Whether the address must not match.
        negated: bool,
        /// The address, range or network.
        value: Text,
    },
    /// Both.
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// Either.
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// `label="expression"` of `json` and `logfmt`.
#[derive(Clone, Debug)]
pub struct Extraction {
    /// The label to set.
    pub label: String,
    /// Where its value is found.
    pub path: Text,
}

/// One assignment of `label_format`.
#[derive(Clone, Debug)]
pub struct LabelFormat {
    /// The label to set.
    pub label: String,
    /// From what.
    pub value: LabelFormatValue,
}

/// The right side of a `label_format` assignment.
#[derive(Clone, Debug)]
pub enum LabelFormatValue {
    /// Another label, which goes away.
    Rename(String),
    /// A template.
    Template(Text),
}

/// A label that `drop` or `keep` speaks of.
#[derive(Clone, Debug)]
pub enum LabelPick {
    /// By name.
    Name(String),
    /// By name and value.
    Matcher(LabelMatcher),
}

/// `| unwrap duration(a)` and what may follow it.
#[derive(Clone, Debug)]
pub struct Unwrap {
    /// The label whose value is taken.
    pub label: String,
    /// How its text becomes a number.
    pub conversion: Conversion,
    /// Label filters after it.
    pub filters: Vec<LabelFilter>,
}

/// How `unwrap` reads a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// As a number.
    Float,
    /// As a Go duration, in seconds.
    Duration,
    /// As a size, in bytes.
    Bytes,
}

/// An expression whose value is a vector per step.
#[derive(Clone, Debug)]
pub enum MetricExpr {
    /// A number.
    Number(f64),
    /// `vector(1)`
    Vector(f64),
    /// `rate({…}[5m])` and its kin.
    Range(Box<RangeAggregation>),
    /// `sum by (a) (…)` and its kin.
    Vectors(Box<VectorAggregation>),
    /// `a + b` and its kin.
    Binary(Box<Binary>),
    /// `label_replace(…)`
    LabelReplace(Box<LabelReplace>),
}

/// A function over the lines of a window of time.
#[derive(Clone, Debug)]
pub struct RangeAggregation {
    /// The function.
    pub op: RangeOp,
    /// φ of `quantile_over_time`.
    pub parameter: Option<f64>,
    /// Which lines.
    pub log: LogExpr,
    /// Which label to take as the value.
    pub unwrap: Option<Unwrap>,
    /// Length of the window in nanoseconds.
    pub range_ns: i64,
    /// How far the window lies in the past, in nanoseconds.
    pub offset_ns: i64,
    /// Which labels remain.
    pub grouping: Option<Grouping>,
}

/// Functions over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeOp {
    /// Lines (or unwrapped value) per second.
    Rate,
    /// Unwrapped counter per second.
    RateCounter,
    /// Lines.
    Count,
    /// Bytes per second.
    BytesRate,
    /// Bytes.
    Bytes,
    /// 1 where there is nothing.
    Absent,
    /// Sum.
    Sum,
    /// Mean.
    Avg,
    /// Least.
    Min,
    /// Greatest.
    Max,
    /// Oldest.
    First,
    /// Newest.
    Last,
    /// Quantile.
    Quantile,
    /// Population standard deviation.
    Stddev,
    /// Population variance.
    Stdvar,
}

/// Which labels an aggregation keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// True for `without`.
    pub without: bool,
    /// The labels, as written.
    pub labels: Vec<String>,
}

/// An aggregation over series.
#[derive(Clone, Debug)]
pub struct VectorAggregation {
    /// The function.
    pub op: VectorOp,
    /// k of `topk` and `bottomk`.
    pub parameter: Option<u64>,
    /// Which labels remain.
    pub grouping: Option<Grouping>,
    /// Over what.
    pub inner: MetricExpr,
}

/// Functions over series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorOp {
    /// Sum.
    Sum,
    /// Mean.
    Avg,
    /// Least.
    Min,
    /// Greatest.
    Max,
    /// How many.
    Count,
    /// Population standard deviation.
    Stddev,
    /// Population variance.
    Stdvar,
    /// The k greatest.
    Topk,
    /// The k least.
    Bottomk,
    /// Ascending.
    Sort,
    /// Descending.
    SortDesc,
}

/// Operators between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `unless`
    Unless,
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
    /// A comparison.
    Compare(Compare),
}

/// Two expressions and what is between them.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Whether a comparison gives 0 or 1 instead of filtering.
    pub bool_modifier: bool,
    /// Which series belong together.
    pub matching: Option<Matching>,
    /// Left side.
    pub left: MetricExpr,
    /// Right side.
    pub right: MetricExpr,
}

/// `on (…) group_left (…)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// True for `on`, false for `ignoring`.
    pub on: bool,
    /// The labels.
    pub labels: Vec<String>,
    /// Which side may have several series per match.
    pub group: Option<Group>,
}

/// `group_left` or `group_right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// True if the left side is the one with several.
    pub left: bool,
    /// Labels to copy from the other side.
    pub include: Vec<String>,
}

/// `label_replace(v, dst, replacement, src, regex)`
#[derive(Clone, Debug)]
pub struct LabelReplace {
    /// Over what.
    pub inner: MetricExpr,
    /// The label to set.
    pub target: Text,
    /// To what; `$1` stands for a group.
    pub replacement: Text,
    /// The label to read.
    pub source: Text,
    /// What its whole value must match.
    pub pattern: Text,
}
