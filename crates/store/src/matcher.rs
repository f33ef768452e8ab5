//! Label matchers: `=`, `!=`, `=~`, `!~`, as PromQL and LogQL have them.

use regex::Regex;

use crate::labels::Labels;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

/// One condition on one label. A label that is absent compares as the empty string.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// How to compare.
    pub op: MatchOp,
    /// The text or pattern.
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Builds a matcher.
    ///
    /// # Errors
    /// A pattern that does not compile (RE2 syntax; `.` matches a newline, as in
    /// Prometheus 3), with the reason as text.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self, String> {
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(
                anchored(value)
                    .map_err(|e| format!("invalid regular expression {value:?}: {e}"))?,
            ),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Matcher { name: name.to_owned(), op, value: value.to_owned(), regex })
    }

    /// `name = value`.
    #[must_use]
    pub fn equal(name: &str, value: &str) -> Self {
        Matcher { name: name.to_owned(), op: MatchOp::Equal, value: value.to_owned(), regex: None }
    }

    /// Whether a label value (empty if the label is absent) satisfies the condition.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.value == value,
        };
        found == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }

    /// Whether a label set satisfies the condition.
    #[must_use]
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }
}

/// A pattern that must match the whole text.
fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    // TRAP: the pattern must compile alone, or `a)|(b` would close the group and escape
    // the anchors.
    Regex::new(pattern)?;
    Regex::new(&format!("^(?s:{pattern})$"))
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.op == other.op && self.value == other.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_whole_value_or_are_refused() {
        let matches = |pattern: &str, value: &str| {
            Matcher::new("l", MatchOp::Regex, pattern).expect(pattern).matches(value)
        };
        assert!(matches("a|b", "b"));
        assert!(!matches("a|b", "ab"));
        assert!(matches(".*", "two\nlines"));
        for bad in ["a)|(b", "(", "[", "(?P<n>x"] {
            assert!(Matcher::new("l", MatchOp::Regex, bad).is_err(), "{bad}");
        }
    }
}
