//! Conditions on lines, ready to be looked for: which blocks, which rows, which texts.

use crate::columns::Needle;
use crate::filter::LineFilter;
use crate::model::Value;
use crate::words::SoughtWords;

/// All conditions of a scan on the line.
#[derive(Debug)]
pub(crate) struct LineSearch<'a> {
    lines: &'a [LineFilter],
    /// Of each condition that a text is there.
    needles: Vec<Needle>,
    pub(crate) words: SoughtWords,
}

impl<'a> LineSearch<'a> {
    pub(crate) fn new(lines: &'a [LineFilter]) -> Self {
        let needle = |line: &LineFilter| match line {
            LineFilter::Contains(text) => Needle::new(text),
            _ => None,
        };
        let needles = lines.iter().filter_map(needle).collect();
        LineSearch { lines, needles, words: SoughtWords::of(lines) }
    }

    /// Whether every line will do.
    pub(crate) fn is_nothing(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn needles(&self) -> &[Needle] {
        &self.needles
    }

    /// Whether bytes, which hold bodies as they are, may hold one that matches.
    pub(crate) fn may_be_in(&self, bytes: &[u8]) -> bool {
        self.needles.iter().all(|needle| needle.is_in(bytes))
    }

    pub(crate) fn matches(&self, body: &Value<'_>) -> bool {
        self.is_nothing() || self.matches_text(&body.as_text())
    }

    pub(crate) fn matches_text(&self, line: &str) -> bool {
        self.lines.iter().all(|filter| filter.matches(line))
    }
}
