//! Bodies of log records, taken apart: what many lines have in common is kept once as a
//! template, and what stands in its gaps has a column of its own for each gap.
//!
//! Two buffers come of it. *Text* is for a general compressor: templates, words, and lines
//! that are like no other. *Packed* is dense already: counts, codes and gaps.

use std::ops::Range;

use super::ROWS_MAX;
use super::numbers::{numbers, put_numbers};
use crate::bytes::{Reader, put_bytes, put_varint};
use crate::intern::Interner;
use crate::words::WordsWriter;

mod apart;
mod needle;
mod slot;
mod sure;
mod template;

pub(crate) use apart::KnownTemplates;
pub(crate) use needle::Needle;
use slot::{Slot, SlotWriter};
pub(crate) use sure::Sure;
use template::{GAP, split};

/// Fewer lines than this are cheaper as they are than as a template with columns.
const LINES_MIN: usize = 4;

/// Bytes of a body that is taken apart: a longer one is no line, and stays as it is.
const BODY_MAX: usize = 1 << 16;

/// Collects bodies.
#[derive(Debug, Default)]
pub(crate) struct LinesWriter {
    templates: Interner,
    columns: Vec<Column>,
    /// How many lines each body has.
    line_counts: Vec<u64>,
    /// The template of each line; `None` is one that stays as it is.
    lines: Vec<Option<u32>>,
    /// Those that stay as they are, one after the other.
    plain: Vec<u8>,
    plain_lens: Vec<u64>,
    words: WordsWriter,
    scratch: Vec<u8>,
    gaps: Vec<Range<usize>>,
}

/// What stood in the gaps of one template.
#[derive(Debug)]
struct Column {
    slots: Vec<SlotWriter>,
    /// Time of the record of each line.
    times: Vec<u64>,
}

impl Column {
    fn new(gaps: usize) -> Self {
        let slots = std::iter::repeat_with(SlotWriter::default).take(gaps).collect();
        Column { slots, times: Vec::new() }
    }
}

impl LinesWriter {
    /// Adds a body that is text, of a record of that time.
    pub(crate) fn push(&mut self, body: &str, time_ns: u64) {
        if body.len() > BODY_MAX {
            self.words.text(body.as_bytes());
            return self.push_bytes(body.as_bytes());
        }
        let mut count = 0;
        for line in body.split('\n') {
            count += 1;
            self.push_line(line, time_ns);
        }
        self.line_counts.push(count);
    }

    /// Adds a body that stays as it is.
    pub(crate) fn push_bytes(&mut self, body: &[u8]) {
        self.line_counts.push(1);
        self.lines.push(None);
        self.plain.extend_from_slice(body);
        self.plain_lens.push(body.len() as u64);
    }

    fn push_line(&mut self, line: &str, time_ns: u64) {
        self.scratch.clear();
        self.gaps.clear();
        split(line.as_bytes(), &mut self.scratch, &mut self.gaps);
        let (template, new) = self.templates.insert(&self.scratch);
        if new {
            self.columns.push(Column::new(self.gaps.len()));
            // A gap is no letter, so the words between are whole.
            self.words.text(&self.scratch);
        }
        let column = &mut self.columns[template as usize];
        for (slot, gap) in column.slots.iter_mut().zip(&self.gaps) {
            let word = slot.push(|out| out.extend_from_slice(&line.as_bytes()[gap.clone()]));
            self.words.word(word);
        }
        column.times.push(time_ns);
        self.lines.push(Some(template));
    }

    /// The long words of all bodies; those of what is no text are to be added.
    pub(crate) fn take_words(&mut self) -> WordsWriter {
        std::mem::take(&mut self.words)
    }

    /// Writes both buffers. The reader must know how many bodies there are, and their times.
    pub(crate) fn finish(&self, text: &mut Vec<u8>, packed: &mut Vec<u8>) {
        let kept = self.kept();
        put_varint(text, kept.len() as u64);
        for &template in &kept {
            put_bytes(text, self.templates.get(template).unwrap_or(b""));
        }
        put_numbers(packed, &self.line_counts);
        let mut codes = vec![0; self.columns.len()];
        for (code, &template) in (1..).zip(&kept) {
            codes[template as usize] = code;
        }
        let code = |line: &Option<u32>| line.map_or(0, |template| codes[template as usize]);
        put_numbers(packed, &self.lines.iter().map(code).collect::<Vec<u64>>());
        for &template in &kept {
            let column = &self.columns[template as usize];
            column.slots.iter().for_each(|slot| slot.finish(&column.times, text, packed));
        }
        let mut lens = Vec::new();
        self.put_plain(&codes, text, &mut lens);
        put_numbers(packed, &lens);
    }

    /// Templates of enough lines, the most frequent first.
    fn kept(&self) -> Vec<u32> {
        let count = |template: &u32| self.columns[*template as usize].times.len();
        let mut kept: Vec<u32> =
            (0..self.columns.len() as u32).filter(|t| count(t) >= LINES_MIN).collect();
        kept.sort_by_key(|template| std::cmp::Reverse(count(template)));
        kept
    }

    /// Lines whose template is not kept are put together again.
    fn put_plain(&self, codes: &[u64], text: &mut Vec<u8>, lens: &mut Vec<u64>) {
        let mut taken = vec![0; self.columns.len()];
        let (mut plain, mut plain_lens) = (&self.plain[..], self.plain_lens.iter());
        for line in &self.lines {
            let from = text.len();
            match *line {
                None => {
                    let len = plain_lens.next().map_or(0, |&len| len as usize);
                    let (this, rest) = plain.split_at(len);
                    text.extend_from_slice(this);
                    plain = rest;
                }
                Some(template) if codes[template as usize] == 0 => {
                    let at = &mut taken[template as usize];
                    let mut slots = self.columns[template as usize].slots.iter();
                    for &byte in self.templates.get(template).unwrap_or(b"") {
                        match byte {
                            GAP => text.extend_from_slice(slots.next().map_or(b"", |s| s.get(*at))),
                            _ => text.push(byte),
                        }
                    }
                    *at += 1;
                }
                Some(_) => continue,
            }
            lens.push((text.len() - from) as u64);
        }
    }
}

/// Bodies that were taken apart, to be put together one at a time.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    text: Vec<u8>,
    templates: Vec<Template>,
    /// Where in `lines` each body begins; one more than there are bodies.
    bodies: Vec<u32>,
    lines: Vec<Line>,
}

/// A template, and what stands in its gaps.
#[derive(Debug)]
struct Template {
    /// Where in the text that lies which comes before each gap, and after the last.
    fixed: Vec<(u32, u32)>,
    slots: Vec<Slot>,
    /// How many lines have it.
    lines: usize,
}

/// Which template a line has and which of its lines it is; or where it lies in the text.
#[derive(Clone, Copy, Debug)]
enum Line {
    Of { template: u32, nth: u32 },
    Plain { at: u32, len: u32 },
}

impl Lines {
    /// Reads the bodies of so many records.
    pub(crate) fn read(text: Vec<u8>, packed: &[u8], count: usize) -> Option<Self> {
        let t = &mut Reader::new(&text);
        let p = &mut Reader::new(packed);
        let mut places = Vec::new();
        for _ in 0..t.count(1)? {
            let len = t.bytes()?.len();
            let at = text.len() - t.remaining() - len;
            places.push((u32::try_from(at).ok()?, u32::try_from(len).ok()?));
        }
        let mut bodies = Vec::with_capacity(count.min(ROWS_MAX) + 1);
        let mut total = 0usize;
        bodies.push(0);
        for lines in numbers(p, count)? {
            total = total.checked_add(usize::try_from(lines).ok()?).filter(|&t| t <= ROWS_MAX)?;
            bodies.push(total as u32);
        }
        let codes = numbers(p, total)?;
        let mut taken = vec![0u32; places.len() + 1];
        for &code in &codes {
            *taken.get_mut(usize::try_from(code).ok()?)? += 1;
        }
        let mut templates = Vec::with_capacity(places.len());
        let mut filled = 0usize;
        for (place, &lines) in places.into_iter().zip(&taken[1..]) {
            let gaps = bytes_at(&text, place).iter().filter(|byte| **byte == GAP).count();
            filled = gaps.checked_mul(lines as usize)?.checked_add(filled)?;
            if filled > ROWS_MAX {
                return None;
            }
            let slots = (0..gaps).map(|_| Slot::read(&text, t, p, lines as usize));
            let slots = slots.collect::<Option<_>>()?;
            let fixed = between_gaps(&text, place);
            templates.push(Template { fixed, slots, lines: lines as usize });
        }
        let plain_lens = numbers(p, taken[0] as usize)?;
        let lines = places_of(&codes, plain_lens, &text, t)?;
        (t.is_empty() && p.is_empty()).then_some(())?;
        Some(Lines { text, templates, bodies, lines })
    }

    /// Appends a body; `time_ns` is that of its record. False if it is malformed.
    #[must_use]
    pub(crate) fn put(&self, row: usize, time_ns: u64, out: &mut Vec<u8>) -> bool {
        let lines = self.of_body(row);
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                out.push(b'\n');
            }
            self.put_line(*line, time_ns, out);
        }
        !lines.is_empty()
    }

    fn of_body(&self, row: usize) -> &[Line] {
        let (Some(&from), Some(&to)) = (self.bodies.get(row), self.bodies.get(row + 1)) else {
            return &[];
        };
        self.lines.get(from as usize..to as usize).unwrap_or(&[])
    }

    fn put_line(&self, line: Line, time_ns: u64, out: &mut Vec<u8>) {
        let (template, nth) = match line {
            Line::Plain { at, len } => {
                return out.extend_from_slice(bytes_at(&self.text, (at, len)));
            }
            Line::Of { template, nth } => (&self.templates[template as usize], nth as usize),
        };
        for (at, fixed) in template.fixed.iter().enumerate() {
            out.extend_from_slice(bytes_at(&self.text, *fixed));
            if let Some(slot) = template.slots.get(at) {
                slot.put(nth, time_ns, &self.text, out);
            }
        }
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        let slots = self.templates.iter().flat_map(|t| &t.slots).map(Slot::byte_len);
        self.text.len() + self.bodies.len() * 4 + self.lines.len() * 12 + slots.sum::<usize>()
    }
}

/// Which line each code stands for. `t` stands at the first that is like no other.
fn places_of(
    codes: &[u64],
    plain_lens: Vec<u64>,
    text: &[u8],
    t: &mut Reader<'_>,
) -> Option<Vec<Line>> {
    let mut taken = Vec::new();
    let mut plain_lens = plain_lens.into_iter();
    let mut lines = Vec::with_capacity(codes.len());
    for &code in codes {
        let Some(template) = (code as usize).checked_sub(1) else {
            let at = u32::try_from(text.len() - t.remaining()).ok()?;
            let len = usize::try_from(plain_lens.next()?).ok()?;
            t.take(len)?;
            lines.push(Line::Plain { at, len: len as u32 });
            continue;
        };
        if taken.len() <= template {
            taken.resize(template + 1, 0);
        }
        lines.push(Line::Of { template: template as u32, nth: taken[template] });
        taken[template] += 1;
    }
    Some(lines)
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

fn bytes_at(bytes: &[u8], (at, len): (u32, u32)) -> &[u8] {
    bytes.get(at as usize..at as usize + len as usize).unwrap_or(b"")
}

#[cfg(test)]
mod tests;
