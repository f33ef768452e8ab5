//! The canonical form of an expression. Reading it back gives the same expression.

use std::fmt::{self, Display, Formatter};

use super::{
    Binary, BinaryOp, Compare, Conversion, Expr, Extraction, Grouping, LabelFilter,
    LabelFormatValue, LabelMatcher, LabelPick, LineFilter, LineMatch, LineOp, LogExpr, MatchOp,
    Matching, MetricExpr, RangeAggregation, RangeOp, Stage, Text, Unwrap, VectorAggregation,
    VectorOp,
};
use crate::logql::units::{format_go, format_prometheus};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Log(log) => log.fmt(f),
            Expr::Metric(metric) => metric.fmt(f),
        }
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        list(f, &self.selector, ", ")?;
        f.write_str("}")?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

/// A string as the lexer reads it back: Go's escapes, not Rust's.
impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        quote(f, &self.value)
    }
}

fn quote(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T], between: &str) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl Display for MatchOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        })
    }
}

impl Display for LabelMatcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, self.op, self.value)
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Line(filter) => filter.fmt(f),
            Stage::Label(filter) => write!(f, "| {filter}"),
            Stage::Json(fields) => {
                f.write_str("| json")?;
                extractions(f, fields)
            }
            Stage::Logfmt { strict, keep_empty, fields } => {
                f.write_str("| logfmt")?;
                f.write_str(if *strict { " --strict" } else { "" })?;
                f.write_str(if *keep_empty { " --keep-empty" } else { "" })?;
                extractions(f, fields)
            }
            Stage::Pattern(text) => write!(f, "| pattern {text}"),
            Stage::Regexp(text) => write!(f, "| regexp {text}"),
            Stage::Unpack => f.write_str("| unpack"),
            Stage::LineFormat(text) => write!(f, "| line_format {text}"),
            Stage::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                for (i, format) in formats.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    match &format.value {
                        LabelFormatValue::Rename(from) => write!(f, "{}={from}", format.label)?,
                        LabelFormatValue::Template(text) => write!(f, "{}={text}", format.label)?,
                    }
                }
                Ok(())
            }
            Stage::Drop(picks) => {
                f.write_str("| drop ")?;
                list(f, picks, ",")
            }
            Stage::Keep(picks) => {
                f.write_str("| keep ")?;
                list(f, picks, ",")
            }
            Stage::Decolorize => f.write_str("| decolorize"),
        }
    }
}

fn extractions(f: &mut Formatter<'_>, fields: &[Extraction]) -> fmt::Result {
    for (i, field) in fields.iter().enumerate() {
        write!(f, "{}{}={}", if i > 0 { "," } else { " " }, field.label, field.path)?;
    }
    Ok(())
}

impl Display for LabelPick {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelPick::Name(name) => f.write_str(name),
            LabelPick::Matcher(matcher) => matcher.fmt(f),
        }
    }
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.op {
            LineOp::Contains => "|= ",
            LineOp::NotContains => "!= ",
            LineOp::Regex => "|~ ",
            LineOp::NotRegex => "!~ ",
            LineOp::Pattern => "|> ",
            LineOp::NotPattern => "!> ",
        })?;
        list(f, &self.any, " or ")
    }
}

impl Display for LineMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LineMatch::Text(text) => text.fmt(f),
            LineMatch::Ip(text) => write!(f, "ip({text})"),
        }
    }
}

impl Display for Compare {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compare::Equal => "==",
            Compare::NotEqual => "!=",
            Compare::Greater => ">",
            Compare::GreaterEqual => ">=",
            Compare::Less => "<",
            Compare::LessEqual => "<=",
        })
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelFilter::Text(matcher) => matcher.fmt(f),
            LabelFilter::Number { name, op, value } => write!(f, "{name}{op}{value}"),
            LabelFilter::Duration { name, op, ns } => write!(f, "{name}{op}{}", format_go(*ns)),
            LabelFilter::Bytes { name, op, bytes } => write!(f, "{name}{op}{bytes}B"),
            LabelFilter::Ip { name, negated, value } => {
                write!(f, "{name}{}ip({value})", if *negated { "!=" } else { "=" })
            }
            LabelFilter::And(a, b) => write!(f, "( {a} , {b} )"),
            LabelFilter::Or(a, b) => write!(f, "( {a} or {b} )"),
        }
    }
}

impl Display for Unwrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.conversion {
            Conversion::Float => write!(f, "| unwrap {}", self.label)?,
            Conversion::Duration => write!(f, "| unwrap duration({})", self.label)?,
            Conversion::Bytes => write!(f, "| unwrap bytes({})", self.label)?,
        }
        self.filters.iter().try_for_each(|filter| write!(f, " | {filter}"))
    }
}

impl Display for MetricExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            MetricExpr::Number(value) => write!(f, "{value}"),
            MetricExpr::Vector(value) => write!(f, "vector({value})"),
            MetricExpr::Range(range) => range.fmt(f),
            MetricExpr::Vectors(vectors) => vectors.fmt(f),
            MetricExpr::Binary(binary) => binary.fmt(f),
            MetricExpr::LabelReplace(r) => write!(
                f,
                "label_replace({},{},{},{},{})",
                r.inner, r.target, r.replacement, r.source, r.pattern
            ),
        }
    }
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.op.name())?;
        if let Some(parameter) = self.parameter {
            write!(f, "{parameter},")?;
        }
        self.log.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        write!(f, "[{}]", format_prometheus(self.range_ns))?;
        if self.offset_ns != 0 {
            write!(f, " offset {}", format_prometheus(self.offset_ns))?;
        }
        f.write_str(")")?;
        match &self.grouping {
            Some(grouping) => grouping.fmt(f),
            None => Ok(()),
        }
    }
}

impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.without { " without (" } else { " by (" })?;
        list(f, &self.labels, ",")?;
        f.write_str(")")
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.name())?;
        if let Some(grouping) = &self.grouping {
            grouping.fmt(f)?;
        }
        match self.parameter {
            Some(k) => write!(f, "({k},{})", self.inner),
            None => write!(f, "({})", self.inner),
        }
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({} {}", self.left, self.op)?;
        f.write_str(if self.bool_modifier { " bool" } else { "" })?;
        if let Some(matching) = &self.matching {
            matching.fmt(f)?;
        }
        write!(f, " {})", self.right)
    }
}

impl Display for Matching {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.on { " on (" } else { " ignoring (" })?;
        list(f, &self.labels, ",")?;
        f.write_str(")")?;
        if let Some(group) = &self.group {
            f.write_str(if group.left { " group_left (" } else { " group_right (" })?;
            list(f, &group.include, ",")?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            BinaryOp::Or => f.write_str("or"),
            BinaryOp::And => f.write_str("and"),
            BinaryOp::Unless => f.write_str("unless"),
            BinaryOp::Add => f.write_str("+"),
            BinaryOp::Sub => f.write_str("-"),
            BinaryOp::Mul => f.write_str("*"),
            BinaryOp::Div => f.write_str("/"),
            BinaryOp::Mod => f.write_str("%"),
            BinaryOp::Pow => f.write_str("^"),
            BinaryOp::Compare(compare) => compare.fmt(f),
        }
    }
}

impl RangeOp {
    /// All functions with the names they have in the language.
    pub(crate) const NAMES: [(&'static str, RangeOp); 15] = [
        ("rate", RangeOp::Rate),
        ("rate_counter", RangeOp::RateCounter),
        ("count_over_time", RangeOp::Count),
        ("bytes_rate", RangeOp::BytesRate),
        ("bytes_over_time", RangeOp::Bytes),
        ("absent_over_time", RangeOp::Absent),
        ("sum_over_time", RangeOp::Sum),
        ("avg_over_time", RangeOp::Avg),
        ("min_over_time", RangeOp::Min),
        ("max_over_time", RangeOp::Max),
        ("first_over_time", RangeOp::First),
        ("last_over_time", RangeOp::Last),
        ("quantile_over_time", RangeOp::Quantile),
        ("stddev_over_time", RangeOp::Stddev),
        ("stdvar_over_time", RangeOp::Stdvar),
    ];

    /// The name in the language.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }
}

impl VectorOp {
    /// All functions with the names they have in the language.
    pub(crate) const NAMES: [(&'static str, VectorOp); 11] = [
        ("sum", VectorOp::Sum),
        ("avg", VectorOp::Avg),
        ("min", VectorOp::Min),
        ("max", VectorOp::Max),
        ("count", VectorOp::Count),
        ("stddev", VectorOp::Stddev),
        ("stdvar", VectorOp::Stdvar),
        ("topk", VectorOp::Topk),
        ("bottomk", VectorOp::Bottomk),
        ("sort", VectorOp::Sort),
        ("sort_desc", VectorOp::SortDesc),
    ];

    /// The name in the language.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }
}
