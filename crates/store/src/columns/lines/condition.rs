//! Which bodies satisfy a condition, as far as templates and gaps tell without putting them
//! together.

use std::ops::Range;

use regex::Regex;

use super::needle::{Found, Needle, either};
use super::{Lines, bytes_at};

/// A condition on a body: that it says something, or that it does not.
#[derive(Debug)]
pub(crate) struct Condition {
    /// Texts one of which is in every body that says it; `None` if there is no short list.
    pub(crate) needles: Option<Vec<Needle>>,
    /// What such a body must match; `None` if it says it by having the text.
    pub(crate) pattern: Option<Regex>,
    pub(crate) negated: bool,
}

impl Lines {
    /// For each body whether it satisfies the condition; `None` for one that has to be put
    /// together to know.
    pub(crate) fn decide(&self, condition: &Condition) -> Vec<Option<bool>> {
        let bodies = 0..self.outline.body_count();
        let Some(found) = self.find_what(condition) else { return vec![None; bodies.len()] };
        let of_body = |row| self.says(&found, self.outline.of_body(row));
        bodies.map(|row| of_body(row).map(|says| says != condition.negated)).collect()
    }

    /// Which lines say it: of those like no other, then of each template. `None` if gaps are
    /// malformed.
    fn find_what(&self, condition: &Condition) -> Option<Vec<Found>> {
        let all = |known| (0..=self.outline.templates.len()).map(move |_| Found::All(known));
        let Condition { needles, pattern, .. } = condition;
        let mut found: Vec<Found> = all(needles.as_ref().map(|_| false)).collect();
        for needle in needles.iter().flatten() {
            let or = |(one, other): (Found, Found)| one.or(other);
            found = found.into_iter().zip(self.find(needle)?).map(or).collect();
        }
        if let Some(pattern) = pattern {
            self.match_parts(pattern, &mut found);
        }
        Some(found)
    }

    /// Of lines that may match leaves open whether they do, unless a part of them tells.
    fn match_parts(&self, pattern: &Regex, found: &mut [Found]) {
        let matches = |place: &(u32, u32)| {
            matches_within(pattern, bytes_at(&self.text, *place)).then_some(true)
        };
        let Some((plain, of_templates)) = found.split_first_mut() else { return };
        if let Found::Each(each) = plain {
            for (known, place) in each.iter_mut().zip(&self.outline.plain) {
                *known = if *known == Some(false) { *known } else { matches(place) };
            }
        }
        for (found, template) in of_templates.iter_mut().zip(&self.outline.templates) {
            match found {
                Found::All(Some(false)) => {}
                _ if template.fixed.iter().any(|fixed| matches(fixed).is_some()) => {
                    *found = Found::All(Some(true));
                }
                Found::All(known) => *known = None,
                Found::Each(each) => {
                    each.iter_mut().filter(|k| **k == Some(true)).for_each(|k| *k = None);
                }
            }
        }
    }

    /// Whether a body of these lines says it.
    fn says(&self, found: &[Found], mut lines: Range<usize>) -> Option<bool> {
        let of_line = |line: usize| match found.get(self.outline.code(line) as usize)? {
            Found::All(known) => *known,
            Found::Each(each) => *each.get(self.outline.nth(line))?,
        };
        let first = of_line(lines.next()?);
        lines.fold(first, |says, line| either(says, of_line(line)))
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
