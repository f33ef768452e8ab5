//! Canonical printing: what `format_query` answers and what messages quote.

use std::fmt::{self, Write as _};

use trefoil_store::{MatchOp, Matcher};

use super::ast::{
    Aggregate, At, Binary, Cardinality, Edge, Kind, Matching, Node, Selector, Shift, Span, SpanOp,
};

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Number { value, is_duration } => {
                if *is_duration {
                    return write_duration(f, *value);
                }
                f.write_str(&plain_number(*value))
            }
            Kind::Str(bytes) => f.write_str(&quote_bytes(bytes)),
            Kind::Selector(selector) => write_selector(f, selector, None),
            Kind::Matrix(matrix) => write_selector(f, &matrix.selector, Some(&matrix.range)),
            Kind::Subquery(subquery) => {
                write!(f, "{}[{}:", subquery.expr, subquery.range)?;
                if let Some(step) = &subquery.step {
                    write!(f, "{step}")?;
                }
                f.write_str("]")?;
                write_shift(f, &subquery.shift)
            }
            Kind::Unary { negative, expr } => {
                write!(f, "{}{expr}", if *negative { "-" } else { "+" })
            }
            Kind::Binary(binary) => write_binary(f, binary),
            Kind::Aggregate(aggregate) => write_aggregate(f, aggregate),
            Kind::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                write_list(f, &call.args)?;
                f.write_str(")")
            }
            Kind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, nodes: &[Node]) -> fmt::Result {
    for (i, node) in nodes.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{node}")?;
    }
    Ok(())
}

fn write_selector(
    f: &mut fmt::Formatter<'_>,
    selector: &Selector,
    range: Option<&Span>,
) -> fmt::Result {
    let outside = selector.name.as_deref().filter(|name| stands_alone(name));
    f.write_str(outside.unwrap_or_default())?;
    let mut parts = Vec::new();
    if let (None, Some(name)) = (outside, &selector.name) {
        parts.push(quote(name));
    }
    let named = |m: &&Matcher| selector.name.is_none() || m.name != "__name__";
    parts.extend(selector.matchers.iter().filter(named).map(matcher_text));
    if !parts.is_empty() || selector.name.is_none() {
        write!(f, "{{{}}}", parts.join(","))?;
    }
    if let Some(range) = range {
        write!(f, "[{range}]")?;
    }
    match selector.edge {
        Edge::Plain => {}
        Edge::Anchored => f.write_str(" anchored")?,
        Edge::Smoothed => f.write_str(" smoothed")?,
    }
    write_shift(f, &selector.shift)
}

fn matcher_text(matcher: &Matcher) -> String {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    format!("{}{op}{}", label_text(&matcher.name), quote(&matcher.value))
}

fn write_shift(f: &mut fmt::Formatter<'_>, shift: &Shift) -> fmt::Result {
    match shift.at {
        None => {}
        Some(At::Time(ms)) => {
            let sign = if ms < 0 { "-" } else { "" };
            let ms = ms.unsigned_abs();
            write!(f, " @ {sign}{}.{:03}", ms / 1000, ms % 1000)?;
        }
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
    }
    match &shift.offset {
        None => Ok(()),
        Some(offset) => write!(f, " offset {offset}"),
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, binary: &Binary) -> fmt::Result {
    write!(f, "{} {}", binary.left, binary.op.text())?;
    if binary.returns_bool {
        f.write_str(" bool")?;
    }
    write_matching(f, &binary.matching)?;
    write!(f, " {}", binary.right)
}

fn write_matching(f: &mut fmt::Formatter<'_>, matching: &Matching) -> fmt::Result {
    let grouped = matching.cardinality != Cardinality::OneToOne;
    if matching.on || !matching.labels.is_empty() || grouped {
        let word = if matching.on { "on" } else { "ignoring" };
        write!(f, " {word} ({})", label_list(&matching.labels))?;
    }
    if grouped {
        let many_left = matching.cardinality == Cardinality::ManyToOne;
        let word = if many_left { "group_left" } else { "group_right" };
        write!(f, " {word} ({})", label_list(&matching.include))?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(l), Some(r)) if l.to_bits() == r.to_bits() || (l.is_nan() && r.is_nan()) => {
            write!(f, " fill ({})", plain_number(l))
        }
        (left, right) => {
            for (word, value) in [("fill_left", left), ("fill_right", right)] {
                if let Some(value) = value {
                    write!(f, " {word} ({})", plain_number(value))?;
                }
            }
            Ok(())
        }
    }
}

fn write_aggregate(f: &mut fmt::Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    f.write_str(aggregate.op.name())?;
    if aggregate.without {
        write!(f, " without ({}) ", label_list(&aggregate.labels))?;
    } else if !aggregate.labels.is_empty() {
        write!(f, " by ({}) ", label_list(&aggregate.labels))?;
    }
    f.write_str("(")?;
    if let Some(param) = &aggregate.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", aggregate.expr)
}

fn label_list(labels: &[String]) -> String {
    labels.iter().map(|l| label_text(l)).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Span::Literal { seconds, .. } => write_duration(f, *seconds),
            other => write_term(f, other),
        }
    }
}

fn write_duration(f: &mut fmt::Formatter<'_>, seconds: f64) -> fmt::Result {
    let ms = (seconds * 1e3).round();
    let sign = if ms < 0.0 { "-" } else { "" };
    write!(f, "{sign}{}", Milliseconds(ms.abs()))
}

/// A part of a duration expression, in which a bare number is a factor.
fn write_term(f: &mut fmt::Formatter<'_>, span: &Span) -> fmt::Result {
    let pair = |f: &mut fmt::Formatter<'_>, a: &Span, between: &str, b: &Span| {
        write_term(f, a)?;
        f.write_str(between)?;
        write_term(f, b)
    };
    match span {
        Span::Literal { seconds, is_duration: true } => write_duration(f, *seconds),
        Span::Literal { seconds, .. } => f.write_str(&plain_number(*seconds)),
        Span::Step => f.write_str("step()"),
        Span::Range => f.write_str("range()"),
        Span::Negative(inner) => {
            f.write_str("-")?;
            write_term(f, inner)
        }
        Span::Binary(op, left, right) => {
            let op = match op {
                SpanOp::Add => " + ",
                SpanOp::Sub => " - ",
                SpanOp::Mul => " * ",
                SpanOp::Div => " / ",
                SpanOp::Mod => " % ",
                SpanOp::Pow => " ^ ",
            };
            pair(f, left, op, right)
        }
        Span::Min(a, b) | Span::Max(a, b) => {
            let name = if matches!(span, Span::Min(..)) { "min_of(" } else { "max_of(" };
            f.write_str(name)?;
            pair(f, a, ", ", b)?;
            f.write_str(")")
        }
        Span::Paren(inner) => {
            f.write_str("(")?;
            write_term(f, inner)?;
            f.write_str(")")
        }
    }
}

/// A duration in Prometheus's form: the largest units that fit, `1h30m`.
struct Milliseconds(f64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, i64, bool); 7] = [
            // Years and weeks only if nothing is left over, as Prometheus does.
            ("y", 365 * 86_400_000, true),
            ("w", 7 * 86_400_000, true),
            ("d", 86_400_000, false),
            ("h", 3_600_000, false),
            ("m", 60_000, false),
            ("s", 1_000, false),
            ("ms", 1, false),
        ];
        let mut rest = self.0.round() as i64;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, ms, exact) in UNITS {
            if exact && rest % ms != 0 {
                continue;
            }
            if rest >= ms {
                write!(f, "{}{unit}", rest / ms)?;
                rest %= ms;
            }
        }
        Ok(())
    }
}

/// A number without exponent, as Prometheus prints literals; but `Inf` without its sign,
/// which before `^` would be read as one of the power.
fn plain_number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value}")
    }
}

/// Whether a name can be written without quotes where an operand is expected.
fn stands_alone(name: &str) -> bool {
    let taken = ["inf", "nan", "bool"].iter().any(|word| name.eq_ignore_ascii_case(word));
    is_metric_name(name) && !name.starts_with(':') && !taken
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`.
fn is_metric_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// A label name, quoted if it is not of the classic alphabet.
pub(crate) fn label_text(name: &str) -> String {
    if is_metric_name(name) && !name.contains(':') { name.to_owned() } else { quote(name) }
}

/// A text in double quotes with Go's escapes.
pub(crate) fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

/// Bytes in double quotes with Go's escapes; what is not UTF-8 becomes `\xhh`.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => {
                    out.push('\\');
                    out.push(c);
                }
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if u32::from(c) < 0x20 || c == '\x7f' => {
                    let _ = write!(out, "\\x{:02x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}
