//! The small closed set of conditions a scan can evaluate next to the data.
//! Whatever does not fit stays in `query`.

use std::cmp::Ordering;

use regex::Regex;

use crate::model::{Attribute, Resource, Span, SpanKind, StatusCode, Value};

/// What a span condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Operation name.
    Name,
    /// Role.
    Kind,
    /// Status code.
    Status,
    /// Status message.
    StatusMessage,
    /// End minus start in nanoseconds, 0 if negative.
    Duration,
    /// An attribute of the span.
    Span(String),
    /// An attribute of the resource.
    Resource(String),
    /// An attribute of the span or, failing that, of the resource (TraceQL's `.key`).
    Any(String),
}

/// How a field is compared. A comparison between different types is false, and so is
/// every comparison with something that is absent. A list satisfies a comparison when one
/// of its elements does, and `NotEqual` and `NotRegex` when all of them do (TraceQL's rule).
#[derive(Clone, Debug)]
pub enum Compare {
    /// Equal to a value; integers and doubles compare by number.
    Equal(Value<'static>),
    /// Present, of the same type, and different.
    NotEqual(Value<'static>),
    /// Less, for numbers, durations and text.
    Less(Value<'static>),
    /// Less or equal.
    LessEqual(Value<'static>),
    /// Greater.
    Greater(Value<'static>),
    /// Greater or equal.
    GreaterEqual(Value<'static>),
    /// Text that matches the whole pattern. A scan anchors it; flags must be written in
    /// the pattern (`(?s)`), not set on a builder.
    Regex(Regex),
    /// Text that does not.
    NotRegex(Regex),
    /// The span's kind.
    Kind(SpanKind),
    /// The span's status.
    Status(StatusCode),
    /// The attribute exists.
    Exists,
}

/// A condition on one span.
#[derive(Clone, Debug)]
pub enum SpanFilter {
    /// Always true.
    All,
    /// One comparison.
    Field(Field, Compare),
    /// All of them.
    And(Vec<SpanFilter>),
    /// Any of them.
    Or(Vec<SpanFilter>),
    /// Not this one.
    Not(Box<SpanFilter>),
    /// The span, its resource, its scope, an event or a link has an attribute of this key
    /// whose value is written as this text; or an event has it for a name, where the key is
    /// `event`. It only tells which blocks of parts are not worth reading and is true of
    /// every span that is read: whoever asks must look, and must not negate it.
    Mentions(String, String),
}

/// A condition on the text of a log line (the body as text).
#[derive(Clone, Debug)]
pub enum LineFilter {
    /// Contains the text, byte for byte.
    Contains(String),
    /// Does not contain it.
    NotContains(String),
    /// Matches the pattern somewhere. Flags stand in its text, as `(?i)`, and are not given to
    /// whoever built it: from the text is read what a line must have.
    Regex(Regex),
    /// Does not match it anywhere.
    NotRegex(Regex),
}

impl SpanFilter {
    /// Whether a span of this resource satisfies the condition. Patterns are taken as they
    /// are; [`anchored`](Self::anchored) makes them match whole values only.
    #[must_use]
    pub fn matches(&self, span: &Span<'_>, resource: &Resource<'_>) -> bool {
        match self {
            SpanFilter::All | SpanFilter::Mentions(..) => true,
            SpanFilter::Field(field, compare) => field_matches(field, compare, span, resource),
            SpanFilter::And(all) => all.iter().all(|f| f.matches(span, resource)),
            SpanFilter::Or(any) => any.iter().any(|f| f.matches(span, resource)),
            SpanFilter::Not(filter) => !filter.matches(span, resource),
        }
    }

    /// The same condition with every pattern anchored at both ends.
    #[must_use]
    pub fn anchored(&self) -> SpanFilter {
        match self {
            SpanFilter::All | SpanFilter::Mentions(..) => self.clone(),
            SpanFilter::Field(field, compare) => {
                let compare = match compare {
                    Compare::Regex(regex) => Compare::Regex(anchor(regex)),
                    Compare::NotRegex(regex) => Compare::NotRegex(anchor(regex)),
                    other => other.clone(),
                };
                SpanFilter::Field(field.clone(), compare)
            }
            SpanFilter::And(all) => SpanFilter::And(all.iter().map(SpanFilter::anchored).collect()),
            SpanFilter::Or(any) => SpanFilter::Or(any.iter().map(SpanFilter::anchored).collect()),
            SpanFilter::Not(filter) => SpanFilter::Not(Box::new(filter.anchored())),
        }
    }
}

fn anchor(regex: &Regex) -> Regex {
    // It compiled without the anchors; with them it can only fail at the very edge of the
    // size limit, and then the pattern as it is comes nearest.
    Regex::new(&format!("^(?:{})$", regex.as_str())).unwrap_or_else(|_| regex.clone())
}

impl LineFilter {
    /// Whether a line satisfies the condition.
    #[must_use]
    pub fn matches(&self, line: &str) -> bool {
        match self {
            LineFilter::Contains(text) => line.contains(text.as_str()),
            LineFilter::NotContains(text) => !line.contains(text.as_str()),
            LineFilter::Regex(regex) => regex.is_match(line),
            LineFilter::NotRegex(regex) => !regex.is_match(line),
        }
    }
}

fn field_matches(
    field: &Field,
    compare: &Compare,
    span: &Span<'_>,
    resource: &Resource<'_>,
) -> bool {
    let attribute = |attributes: &[Attribute<'_>], key: &str| {
        attributes.iter().find(|a| a.key == key).is_some_and(|a| compare.matches(&a.value))
    };
    match field {
        Field::Name => compare.matches_text(&span.name),
        Field::StatusMessage => compare.matches_text(&span.status_message),
        Field::Kind => matches!(compare, Compare::Kind(kind) if *kind == span.kind),
        Field::Status => matches!(compare, Compare::Status(status) if *status == span.status),
        Field::Duration => {
            let duration = span.end_ns.saturating_sub(span.start_ns);
            compare.matches(&Value::Int(i64::try_from(duration).unwrap_or(i64::MAX)))
        }
        Field::Span(key) => attribute(&span.attributes, key),
        Field::Resource(key) => attribute(&resource.attributes, key),
        Field::Any(key) if span.attributes.iter().any(|a| a.key == *key) => {
            attribute(&span.attributes, key)
        }
        Field::Any(key) => attribute(&resource.attributes, key),
    }
}

impl Compare {
    /// Whether a value that is present satisfies the comparison.
    #[must_use]
    pub fn matches(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Compare::Exists, value) => *value != Value::Empty,
            (Compare::NotEqual(_) | Compare::NotRegex(_), Value::Array(items)) => {
                items.iter().all(|item| self.matches_scalar(item))
            }
            (_, Value::Array(items)) => items.iter().any(|item| self.matches_scalar(item)),
            (_, value) => self.matches_scalar(value),
        }
    }

    /// [`Compare::matches`] for text that is not wrapped in a [`Value`].
    #[must_use]
    pub fn matches_text(&self, text: &str) -> bool {
        self.matches(&Value::Str(text.into()))
    }

    fn matches_scalar(&self, value: &Value<'_>) -> bool {
        let ordered = |other: &Value<'_>| order(value, other);
        match self {
            Compare::Equal(other) => ordered(other).is_some_and(Ordering::is_eq),
            // Not-a-number is different from every number, itself included.
            Compare::NotEqual(other) => {
                same_type(value, other) && ordered(other) != Some(Ordering::Equal)
            }
            Compare::Less(other) => ordered(other).is_some_and(Ordering::is_lt),
            Compare::LessEqual(other) => ordered(other).is_some_and(Ordering::is_le),
            Compare::Greater(other) => ordered(other).is_some_and(Ordering::is_gt),
            Compare::GreaterEqual(other) => ordered(other).is_some_and(Ordering::is_ge),
            Compare::Regex(regex) => matches!(value, Value::Str(text) if regex.is_match(text)),
            Compare::NotRegex(regex) => matches!(value, Value::Str(text) if !regex.is_match(text)),
            Compare::Exists => *value != Value::Empty,
            Compare::Kind(_) | Compare::Status(_) => false,
        }
    }
}

fn same_type(a: &Value<'_>, b: &Value<'_>) -> bool {
    let number = |v: &Value<'_>| matches!(v, Value::Int(_) | Value::Double(_));
    number(a) && number(b) || order(a, b).is_some()
}

/// How two values compare; `None` if their types do not.
fn order(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Double(b)) => order_int_double(*a, *b),
        (Value::Double(a), Value::Int(b)) => order_int_double(*b, *a).map(Ordering::reverse),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// How an integer compares with a double, exactly beyond 2^53, where a conversion to double
/// would round; `None` for NaN.
#[must_use]
pub fn order_int_double(a: i64, b: f64) -> Option<Ordering> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if b.is_nan() {
        return None;
    }
    if b >= TWO_63 {
        return Some(Ordering::Less);
    }
    if b < -TWO_63 {
        return Some(Ordering::Greater);
    }
    let whole = b.trunc();
    Some(a.cmp(&(whole as i64)).then_with(|| 0.0f64.total_cmp(&(b - whole + 0.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_by_type_and_lists_by_element() {
        let int = Value::Int;
        let text = |t: &'static str| Value::Str(t.into());
        let list = Value::Array(vec![text("a"), text("b")]);
        let cases = [
            (Compare::Equal(int(1)), int(1), true),
            (Compare::Equal(int(1)), Value::Double(1.0), true),
            (Compare::Equal(int(1)), text("1"), false),
            (Compare::NotEqual(int(1)), text("1"), false),
            (Compare::NotEqual(int(1)), int(2), true),
            (Compare::Less(text("b")), text("a"), true),
            (Compare::GreaterEqual(Value::Double(0.5)), int(1), true),
            (Compare::Greater(Value::Double(f64::NAN)), int(1), false),
            (Compare::NotEqual(int(1)), Value::Double(f64::NAN), true),
            (Compare::Equal(text("b")), list.clone(), true),
            (Compare::NotEqual(text("b")), list.clone(), false),
            (Compare::NotEqual(text("c")), list.clone(), true),
            (Compare::Exists, list, true),
            (Compare::Exists, Value::Empty, false),
        ];
        for (compare, value, expected) in cases {
            assert_eq!(compare.matches(&value), expected, "{compare:?} {value:?}");
        }
    }

    #[test]
    fn a_span_attribute_hides_the_resource_attribute_of_the_same_name() {
        let attribute = |value| vec![Attribute { key: "a".into(), value }];
        let span = Span { attributes: attribute(Value::Int(1)), ..Span::default() };
        let resource = Resource { attributes: attribute(Value::Int(2)), ..Resource::default() };
        let filter = |field, value| SpanFilter::Field(field, Compare::Equal(Value::Int(value)));
        assert!(filter(Field::Any("a".into()), 1).matches(&span, &resource));
        assert!(!filter(Field::Any("a".into()), 2).matches(&span, &resource));
        assert!(filter(Field::Any("a".into()), 2).matches(&Span::default(), &resource));
        assert!(filter(Field::Resource("a".into()), 2).matches(&span, &resource));
    }

    #[test]
    fn integers_and_doubles_compare_exactly() {
        let cases = [
            ((1i64 << 53) + 1, (1i64 << 53) as f64, Some(Ordering::Greater)),
            (i64::MAX, 9_223_372_036_854_775_808.0, Some(Ordering::Less)),
            (i64::MIN, -9_223_372_036_854_775_808.0, Some(Ordering::Equal)),
            (0, -0.0, Some(Ordering::Equal)),
            (0, -0.5, Some(Ordering::Greater)),
            (-1, -0.5, Some(Ordering::Less)),
            (0, f64::INFINITY, Some(Ordering::Less)),
            (0, f64::NAN, None),
        ];
        for (a, b, expect) in cases {
            assert_eq!(order_int_double(a, b), expect, "{a} {b}");
        }
    }

    #[test]
    fn a_pattern_matches_whole_values_once_anchored() {
        let span = Span { name: "GET /cart".into(), ..Span::default() };
        let cases = [("GET", false), ("GET.*", true), ("GET|GET /cart", true), ("get.*", false)];
        for (pattern, expect) in cases {
            let regex = Regex::new(pattern).unwrap();
            let filter = SpanFilter::Field(Field::Name, Compare::Regex(regex)).anchored();
            assert_eq!(filter.matches(&span, &Resource::default()), expect, "{pattern}");
        }
    }
}
