//! `| drop a, b="c"`: removes labels.

use crate::error::Result;
use crate::logql::ast::LabelPick;
use crate::logql::row::Row;
use crate::logql::stages::label_filter::TextMatcher;

/// A label to pick, by name or by name and value.
#[derive(Debug)]
pub(crate) enum Pick {
    Name(String),
    Matcher(TextMatcher),
}

impl Pick {
    pub(crate) fn new(pick: &LabelPick) -> Result<Self> {
        Ok(match pick {
            LabelPick::Name(name) => Pick::Name(name.clone()),
            LabelPick::Matcher(matcher) => Pick::Matcher(TextMatcher::new(matcher)?),
        })
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Pick::Name(name) => name,
            Pick::Matcher(matcher) => &matcher.name,
        }
    }

    pub(crate) fn matches(&self, name: &str, value: &str) -> bool {
        match self {
            Pick::Name(wanted) => wanted == name,
            Pick::Matcher(matcher) => matcher.name == name && matcher.matches(value),
        }
    }
}

/// Removes the picked labels from a row.
pub(crate) fn process(picks: &[Pick], row: &mut Row<'_>) {
    for pick in picks {
        let name = pick.name();
        let picked = row.get(name).is_some_and(|value| pick.matches(name, &value));
        if picked {
            row.remove(name);
        }
    }
}
