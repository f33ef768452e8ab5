//! Conditions on lines, ready to be looked for: which blocks, which rows, which texts.

use regex_syntax::hir::literal::{Extractor, Literal, Seq};
use regex_syntax::hir::{Hir, HirKind};

use crate::columns::{Condition, Needle};
use crate::filter::LineFilter;
use crate::model::Value;
use crate::words::SoughtWords;

/// All conditions of a scan on the line.
#[derive(Debug)]
pub(crate) struct LineSearch<'a> {
    lines: &'a [LineFilter],
    conditions: Vec<Condition>,
    pub(crate) words: SoughtWords,
}

impl<'a> LineSearch<'a> {
    pub(crate) fn new(lines: &'a [LineFilter]) -> Self {
        let conditions = lines.iter().map(condition).collect();
        LineSearch { lines, conditions, words: SoughtWords::of(lines) }
    }

    /// Whether every line will do.
    pub(crate) fn is_nothing(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Whether bytes, which hold bodies as they are, may hold one that matches.
    pub(crate) fn may_be_in(&self, bytes: &[u8]) -> bool {
        let mut lists =
            self.conditions.iter().filter(|c| !c.negated).filter_map(|c| c.needles.as_ref());
        lists.all(|any| any.iter().any(|needle| needle.is_in(bytes)))
    }

    pub(crate) fn matches(&self, body: &Value<'_>) -> bool {
        self.is_nothing() || self.matches_text(&body.as_text())
    }

    pub(crate) fn matches_text(&self, line: &str) -> bool {
        self.lines.iter().all(|filter| filter.matches(line))
    }
}

fn condition(filter: &LineFilter) -> Condition {
    let negated = matches!(filter, LineFilter::NotContains(_) | LineFilter::NotRegex(_));
    let (needles, pattern) = match filter {
        LineFilter::Contains(text) | LineFilter::NotContains(text) => {
            (Needle::new(text).map(|needle| vec![needle]), None)
        }
        LineFilter::Regex(pattern) | LineFilter::NotRegex(pattern) => {
            (any_of(pattern.as_str()), Some(pattern.clone()))
        }
    };
    Condition { needles, pattern, negated }
}

/// Looking for more texts than this takes as long as putting lines together.
const LITERALS_MAX: usize = 8;

/// Places of a pattern that are tried, and what is looked at behind each: no pattern, however
/// long, may take longer than the search.
const PLACES_MAX: usize = 32;
const PARTS_MAX: usize = 16;

/// Texts one of which is in whatever a pattern matches. `None` if there is no short list of
/// them, as for `[a-z]+`.
fn any_of(pattern: &str) -> Option<Vec<Needle>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let literals = required(&hir)?;
    let needle = |literal: &Literal| match str::from_utf8(literal.as_bytes()) {
        Ok(text) if !text.is_empty() => Needle::new(text),
        _ => None,
    };
    literals.literals()?.iter().map(needle).collect()
}

/// What must stand somewhere in a match: how it begins, or how the rest of it does from some
/// place on.
fn required(hir: &Hir) -> Option<Seq> {
    let begin = |hir: &Hir| Extractor::new().extract(hir);
    let rests = match hir.kind() {
        HirKind::Capture(capture) => return required(&capture.sub),
        HirKind::Concat(parts) => {
            let end = |from: usize| parts.len().min(from + PARTS_MAX);
            let rest = |from: usize| begin(&Hir::concat(parts[from..end(from)].to_vec()));
            (0..parts.len().min(PLACES_MAX)).map(rest).collect()
        }
        _ => vec![begin(hir)],
    };
    let useful = rests.into_iter().filter(|seq| seq.len().is_some_and(|len| len <= LITERALS_MAX));
    useful.max_by_key(Seq::min_literal_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_requires_is_found() {
        for (pattern, expected) in [
            ("timeout", Some("timeout")),
            (".*timeout.*", Some("timeout")),
            ("time.?out|refused", Some("time|refused")),
            ("request [a-z]+ed", Some("request ")),
            (
                "(connection|socket) (reset|closed)",
                Some("connection reset|connection closed|socket reset|socket closed"),
            ),
            (r"^\w+ failed: \d+", Some(" failed: ")),
            ("x|[0-9]", None),
            ("a*", None),
            ("", None),
            (r"\d{3}", None),
            // However it begins.
            ("(?i)error", Some("ROR|ROr|RoR|Ror|rOR|rOr|roR|ror")),
            ("-+", Some("-")),
            (r"-?", None),
            ("(", None),
        ] {
            let found = any_of(pattern).map(|found| {
                let text = |needle: &Needle| String::from_utf8_lossy(needle.text()).into_owned();
                found.iter().map(text).collect::<Vec<_>>().join("|")
            });
            assert_eq!(found.as_deref(), expected, "{pattern}");
        }
    }
}
