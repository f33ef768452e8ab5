//! Which operations a rule of sampling concerns.

use super::Start;
use crate::config::OperationRule;

/// What a local root must look like; what is `None` matches all.
#[derive(Debug)]
pub(super) struct Operation {
    name: Option<Pattern>,
    route: Option<Pattern>,
    attribute: Option<(String, String)>,
}

impl Operation {
    pub(super) fn new(rule: &OperationRule) -> Operation {
        Operation {
            name: rule.name.as_deref().map(Pattern::new),
            route: rule.route.as_deref().map(Pattern::new),
            attribute: rule.attribute.clone(),
        }
    }

    pub(super) fn matches(&self, start: &Start<'_>) -> bool {
        let attribute_matches = |key: &str, test: &dyn Fn(&str) -> bool| {
            (start.attribute)(key).is_some_and(|value| test(&value))
        };
        self.name.as_ref().is_none_or(|pattern| pattern.matches(start.name))
            && self.route.as_ref().is_none_or(|pattern| {
                attribute_matches("http.route", &|route| pattern.matches(route))
            })
            && self
                .attribute
                .as_ref()
                .is_none_or(|(key, wanted)| attribute_matches(key, &|value| value == wanted))
    }
}

/// A text, or with `*` at its end the beginning of one.
#[derive(Debug)]
struct Pattern {
    text: String,
    open: bool,
}

impl Pattern {
    fn new(text: &str) -> Pattern {
        match text.strip_suffix('*') {
            Some(start) => Pattern { text: start.to_owned(), open: true },
            None => Pattern { text: text.to_owned(), open: false },
        }
    }

    fn matches(&self, text: &str) -> bool {
        if self.open { text.starts_with(&self.text) } else { text == self.text }
    }
}
