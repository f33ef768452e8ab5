//! Which bodies satisfy conditions for sure, by what their templates say, without putting them
//! together.

use regex::Regex;
use regex::bytes::Regex as BytesRegex;

use super::needle::Needle;
use super::{Line, Lines, Template, bytes_at};

/// A condition that a template may decide for all its lines.
#[derive(Debug)]
pub(crate) enum Sure {
    /// The text stands in the body.
    Has(BytesRegex),
    /// A text does not, of which this is a piece.
    HasNot(Needle),
    /// The pattern matches somewhere.
    Matches(Regex),
}

impl Sure {
    pub(crate) fn has(text: &str) -> Option<Self> {
        BytesRegex::new(&regex::escape(text)).ok().map(Sure::Has)
    }

    pub(crate) fn has_not(text: &str) -> Option<Self> {
        Needle::new(text).map(Sure::HasNot)
    }

    /// Whether one line decides for the whole body.
    fn needs_one_line(&self) -> bool {
        !matches!(self, Sure::HasNot(_))
    }

    fn holds_for_all_of(&self, template: &Template, text: &[u8]) -> bool {
        let any_fixed = |holds: &dyn Fn(&[u8]) -> bool| {
            template.fixed.iter().any(|fixed| holds(bytes_at(text, *fixed)))
        };
        match self {
            Sure::Has(finder) => any_fixed(&|fixed| finder.is_match(fixed)),
            Sure::HasNot(needle) => needle.is_in_none(template, text),
            Sure::Matches(pattern) => any_fixed(&|fixed| matches_within(pattern, fixed)),
        }
    }

    fn holds_for_line(&self, line: &[u8]) -> bool {
        match self {
            Sure::Has(finder) => finder.is_match(line),
            Sure::HasNot(needle) => !needle.is_in(line),
            Sure::Matches(pattern) => matches_within(pattern, line),
        }
    }
}

/// Whether a pattern matches within a part of a line, so that it matches in the line as well.
///
/// TRAP: `^`, `$` and `\b` look at what stands on either side, and at the edges of the part that
/// is something else in the line.
fn matches_within(pattern: &Regex, part: &[u8]) -> bool {
    let Ok(part) = str::from_utf8(part) else { return false };
    pattern.find_iter(part).any(|found| found.start() > 0 && found.end() < part.len())
}

impl Lines {
    /// For each body whether it is sure to satisfy all conditions; `None` if none is.
    pub(crate) fn surely(&self, conditions: &[Sure]) -> Option<Vec<bool>> {
        let mut sure = vec![true; self.bodies.len().saturating_sub(1)];
        for condition in conditions {
            let holds_for_all =
                |template: &Template| condition.holds_for_all_of(template, &self.text);
            let of_templates: Vec<bool> = self.templates.iter().map(holds_for_all).collect();
            let holds = |line: &Line| match *line {
                Line::Plain { at, len } => {
                    condition.holds_for_line(bytes_at(&self.text, (at, len)))
                }
                Line::Of { template, .. } => of_templates.get(template as usize) == Some(&true),
            };
            for (row, sure) in sure.iter_mut().enumerate().filter(|(_, sure)| **sure) {
                let lines = self.of_body(row);
                *sure = match condition.needs_one_line() {
                    true => lines.iter().any(holds),
                    false => lines.iter().all(holds),
                };
            }
        }
        sure.contains(&true).then_some(sure)
    }
}
