//! Which lines there are and what they have in common: all that many a search needs.

use std::ops::Range;

use super::bytes_at;
use super::template::GAP;
use crate::bytes::Reader;
use crate::columns::ROWS_MAX;
use crate::columns::numbers::numbers;

/// Lines by their templates.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) templates: Vec<Template>,
    /// The line that each body begins with; one more than there are bodies.
    bodies: Vec<u32>,
    /// The template of each line, counted from one; 0 for a line like no other.
    codes: Vec<u32>,
    /// Which of the lines of its template each line is, or of those like no other.
    nth: Vec<u32>,
    /// Where in the text those like no other lie.
    pub(super) plain: Vec<(u32, u32)>,
    plain_lines: usize,
}

/// What lines of one kind have in common.
#[derive(Debug)]
pub(super) struct Template {
    /// Where in the text that lies which comes before each gap, and after the last.
    pub(super) fixed: Vec<(u32, u32)>,
    /// How many lines have it.
    pub(super) lines: usize,
}

impl Template {
    pub(super) fn gaps(&self) -> usize {
        self.fixed.len() - 1
    }
}

impl Outline {
    /// Reads it from the beginning of both buffers, but for lines like no other.
    pub(super) fn read(
        text: &[u8],
        t: &mut Reader<'_>,
        p: &mut Reader<'_>,
        count: usize,
    ) -> Option<Self> {
        let mut fixed = Vec::new();
        for _ in 0..t.count(1)? {
            fixed.push(between_gaps(text, take(text, t)?));
        }
        let bodies = bodies(p, count)?;
        let mut taken = vec![0u32; fixed.len() + 1];
        let numbers = numbers(p, *bodies.last()? as usize)?;
        let room = || Vec::with_capacity(numbers.len());
        let (mut codes, mut nth) = (room(), room());
        for code in numbers {
            let taken = taken.get_mut(usize::try_from(code).ok()?)?;
            nth.push(*taken);
            codes.push(code as u32);
            *taken += 1;
        }
        let plain_lines = taken[0] as usize;
        let template = |(fixed, &lines)| Template { fixed, lines: lines as usize };
        let templates: Vec<_> = fixed.into_iter().zip(&taken[1..]).map(template).collect();
        let filled = |t: &Template| t.gaps().checked_mul(t.lines);
        let filled = templates.iter().try_fold(0usize, |sum, t| sum.checked_add(filled(t)?))?;
        let plain = Vec::new();
        (filled <= ROWS_MAX).then_some(Outline {
            templates,
            bodies,
            codes,
            nth,
            plain,
            plain_lines,
        })
    }

    /// Reads where lines like no other are; `t` stands at the first.
    pub(super) fn read_plain(
        &mut self,
        text: &[u8],
        t: &mut Reader<'_>,
        p: &mut Reader<'_>,
    ) -> Option<()> {
        for len in numbers(p, self.plain_lines)? {
            let at = u32::try_from(text.len() - t.remaining()).ok()?;
            t.take(usize::try_from(len).ok()?)?;
            self.plain.push((at, len as u32));
        }
        Some(())
    }

    pub(super) fn body_count(&self) -> usize {
        self.bodies.len() - 1
    }

    /// The lines of a body; none if there is no such body.
    pub(super) fn of_body(&self, row: usize) -> Range<usize> {
        match (self.bodies.get(row), self.bodies.get(row + 1)) {
            (Some(&from), Some(&to)) => from as usize..to as usize,
            _ => 0..0,
        }
    }

    /// The template of a line; `None` if it is like no other.
    pub(super) fn template_of(&self, line: usize) -> Option<usize> {
        (self.code(line) as usize).checked_sub(1)
    }

    pub(super) fn code(&self, line: usize) -> u32 {
        self.codes.get(line).copied().unwrap_or(0)
    }

    pub(super) fn nth(&self, line: usize) -> usize {
        self.nth.get(line).map_or(0, |&nth| nth as usize)
    }

    /// Memory of all there is of these lines but the two buffers, in bytes.
    pub(super) fn byte_len(&self) -> usize {
        let filled: usize = self.templates.iter().map(|t| t.gaps() * t.lines).sum();
        (self.bodies.len() + self.codes.len() * 2) * 4 + (self.plain.len() + filled) * 8
    }
}

/// Reads how many lines each body has.
fn bodies(p: &mut Reader<'_>, count: usize) -> Option<Vec<u32>> {
    let mut bodies = Vec::with_capacity(count.min(ROWS_MAX) + 1);
    let mut total = 0usize;
    bodies.push(0);
    for lines in numbers(p, count)? {
        total = total.checked_add(usize::try_from(lines).ok()?).filter(|&t| t <= ROWS_MAX)?;
        bodies.push(total as u32);
    }
    Some(bodies)
}

/// Where the next bytes of the text lie.
fn take(text: &[u8], t: &mut Reader<'_>) -> Option<(u32, u32)> {
    let len = t.bytes()?.len();
    let at = text.len() - t.remaining() - len;
    Some((u32::try_from(at).ok()?, u32::try_from(len).ok()?))
}

/// Where what lies between the gaps of a template is in the text.
fn between_gaps(text: &[u8], place: (u32, u32)) -> Vec<(u32, u32)> {
    let mut at = place.0;
    let parts = bytes_at(text, place).split(|byte| *byte == GAP);
    parts
        .map(|part| {
            let from = at;
            at += part.len() as u32 + 1;
            (from, part.len() as u32)
        })
        .collect()
}
