//! Bodies of log records, taken apart: what many lines have in common is kept once as a
//! template, and what stands in its gaps has a column of its own for each gap.
//!
//! Two buffers come of it. *Text* is for a general compressor: templates, words, and lines
//! that are like no other. *Packed* is dense already: counts, codes and gaps.

use std::ops::Range;
use std::sync::OnceLock;

use super::numbers::put_numbers;
use crate::bytes::{Reader, put_bytes, put_varint};
use crate::intern::Interner;
use crate::words::WordsWriter;

mod apart;
mod condition;
mod gaps;
mod needle;
mod outline;
mod slot;
mod template;

pub(crate) use apart::KnownTemplates;
pub(crate) use condition::Condition;
use gaps::Gaps;
pub(crate) use needle::Needle;
use outline::Outline;
use slot::SlotWriter;
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
        let mut lens = Vec::new();
        self.put_plain(&codes, text, &mut lens);
        put_numbers(packed, &lens);
        for &template in &kept {
            let column = &self.columns[template as usize];
            column.slots.iter().for_each(|slot| slot.finish(&column.times, text, packed));
        }
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
#[derive(Debug)]
pub(crate) struct Lines {
    text: Vec<u8>,
    outline: Outline,
    packed: Vec<u8>,
    /// Where what stands in gaps begins in both buffers.
    gaps_at: (usize, usize),
    gaps: OnceLock<Option<Gaps>>,
}

impl Lines {
    /// Reads the bodies of so many records; what is packed begins at a place. Gaps are read
    /// when they are asked for first, and may be malformed.
    pub(crate) fn read(text: Vec<u8>, packed: Vec<u8>, from: usize, count: usize) -> Option<Self> {
        let (t, p) = (&mut Reader::new(&text), &mut Reader::new(packed.get(from..)?));
        let mut outline = Outline::read(&text, t, p, count)?;
        outline.read_plain(&text, t, p)?;
        let gaps_at = (text.len() - t.remaining(), packed.len() - p.remaining());
        Some(Lines { text, outline, packed, gaps_at, gaps: OnceLock::new() })
    }

    /// The same as versions 5 to 8 of a part have it: lines like no other come last.
    pub(crate) fn read_older(text: Vec<u8>, packed: &[u8], count: usize) -> Option<Self> {
        let (t, p) = (&mut Reader::new(&text), &mut Reader::new(packed));
        let mut outline = Outline::read(&text, t, p, count)?;
        let gaps_at = (text.len() - t.remaining(), 0);
        let gaps = Gaps::read(&outline, &text, t, p)?;
        outline.read_plain(&text, t, p)?;
        let gaps = (t.is_empty() && p.is_empty()).then_some(gaps)?;
        Some(Lines { text, outline, packed: Vec::new(), gaps_at, gaps: Some(gaps).into() })
    }

    /// What stands in the gaps; `None` if it is malformed.
    fn gaps(&self) -> Option<&Gaps> {
        let read = || {
            let t = &mut Reader::new(self.words());
            let p = &mut Reader::new(self.packed.get(self.gaps_at.1..)?);
            let gaps = Gaps::read(&self.outline, &self.text, t, p);
            gaps.filter(|_| t.is_empty() && p.is_empty())
        };
        self.gaps.get_or_init(read).as_ref()
    }

    /// Where in the text all words of gaps are.
    fn words(&self) -> &[u8] {
        self.text.get(self.gaps_at.0..).unwrap_or(b"")
    }

    /// Appends a body; `time_ns` is that of its record. False if it is malformed.
    #[must_use]
    pub(crate) fn put(&self, row: usize, time_ns: u64, out: &mut Vec<u8>) -> bool {
        let lines = self.outline.of_body(row);
        let whole = lines.clone().all(|line| {
            if line > lines.start {
                out.push(b'\n');
            }
            self.put_line(line, time_ns, out).is_some()
        });
        whole && !lines.is_empty()
    }

    fn put_line(&self, line: usize, time_ns: u64, out: &mut Vec<u8>) -> Option<()> {
        let nth = self.outline.nth(line);
        let Some(number) = self.outline.template_of(line) else {
            out.extend_from_slice(bytes_at(&self.text, *self.outline.plain.get(nth)?));
            return Some(());
        };
        let slots = self.gaps()?.of_template(number);
        for (at, fixed) in self.outline.templates.get(number)?.fixed.iter().enumerate() {
            out.extend_from_slice(bytes_at(&self.text, *fixed));
            if let Some(slot) = slots.get(at) {
                slot.put(nth, time_ns, &self.text, out);
            }
        }
        Some(())
    }

    /// Memory that is taken once the gaps are read, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.text.len() + self.packed.len() + self.outline.byte_len()
    }
}

fn bytes_at(bytes: &[u8], (at, len): (u32, u32)) -> &[u8] {
    bytes.get(at as usize..at as usize + len as usize).unwrap_or(b"")
}

#[cfg(test)]
mod tests;
