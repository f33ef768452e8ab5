//! Bodies that go from one block into another without being put together in between.

use super::{Column, Gaps, Lines, LinesWriter, bytes_at};

/// Which template of the block that is written each template of the block that is read is.
#[derive(Debug, Default)]
pub(crate) struct KnownTemplates {
    /// The block that is written, by its number in the part.
    block: usize,
    numbers: Vec<Option<u32>>,
}

impl KnownTemplates {
    /// Forgets all if it is another block that is written now.
    pub(crate) fn of_block(&mut self, block: usize) -> &mut Self {
        if self.block != block {
            *self = KnownTemplates { block, numbers: Vec::new() };
        }
        self
    }
}

impl LinesWriter {
    /// Adds a body as it was taken apart before; returns the bytes of its text. `None` if a
    /// line of it had too few like it to be taken apart: nothing is added then, and the body is
    /// to be added as text, since here it may have more of them.
    pub(crate) fn push_apart(
        &mut self,
        lines: &Lines,
        row: usize,
        time_ns: u64,
        known: &mut KnownTemplates,
    ) -> Option<usize> {
        let gaps = lines.gaps()?;
        let body = lines.outline.of_body(row);
        let all_apart = body.clone().all(|line| lines.outline.template_of(line).is_some());
        if body.is_empty() || !all_apart {
            return None;
        }
        let mut bytes = body.len() - 1;
        for line in body.clone() {
            if let Some(template) = lines.outline.template_of(line) {
                let number = self.number_of(lines, template, known);
                let place = (template, lines.outline.nth(line));
                bytes += self.push_gaps((lines, gaps), place, number, time_ns);
            }
        }
        self.line_counts.push(body.len() as u64);
        Some(bytes)
    }

    fn number_of(&mut self, lines: &Lines, template: usize, known: &mut KnownTemplates) -> u32 {
        if let Some(Some(number)) = known.numbers.get(template) {
            return *number;
        }
        let text = lines.template(template);
        let (number, new) = self.templates.insert(text);
        if new {
            self.columns.push(Column::new(lines.outline.templates[template].gaps()));
            self.words.text(text);
        }
        if known.numbers.len() <= template {
            known.numbers.resize(template + 1, None);
        }
        known.numbers[template] = Some(number);
        number
    }

    /// Adds a line of a template; returns the bytes of its text.
    fn push_gaps(
        &mut self,
        (lines, gaps): (&Lines, &Gaps),
        (template, nth): (usize, usize),
        number: u32,
        time_ns: u64,
    ) -> usize {
        let from = &lines.outline.templates[template];
        let column = &mut self.columns[number as usize];
        let mut bytes = from.fixed.iter().map(|(_, len)| *len as usize).sum();
        for (slot, read) in column.slots.iter_mut().zip(gaps.of_template(template)) {
            let word = slot.push(|out| read.put(nth, time_ns, &lines.text, out));
            self.words.word(word);
            bytes += word.len();
        }
        column.times.push(time_ns);
        self.lines.push(Some(number));
        bytes
    }
}

impl Lines {
    /// The text of a template, with its gaps.
    fn template(&self, template: usize) -> &[u8] {
        let fixed = &self.outline.templates[template].fixed;
        let from = fixed.first().map_or(0, |(at, _)| *at);
        let end = fixed.last().map_or(0, |(at, len)| at + len);
        bytes_at(&self.text, (from, end - from))
    }
}
