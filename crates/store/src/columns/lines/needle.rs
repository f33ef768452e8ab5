//! Which lines may contain a text, by their templates and gaps, without putting them together.

use regex::bytes::Regex;

use super::slot::{Base, Slot, Widths};
use super::{Line, Lines, Template, bytes_at};

/// Looking for further pieces of a text would hardly rule out more lines.
const PIECES_MAX: usize = 3;

/// A text that is sought in lines: a piece of it that is letters and digits.
///
/// A gap is a whole word, so the piece stands within one gap, or between gaps.
#[derive(Debug)]
pub(crate) struct Needle {
    piece: Vec<u8>,
    finder: Regex,
}

/// Which lines of a template may have the piece.
enum Found {
    No,
    All,
    /// Each by itself.
    Some(Vec<bool>),
}

impl Needle {
    /// `None` if nothing can be said of the text before a line is put together.
    pub(crate) fn new(text: &str) -> Option<Self> {
        Needle::of_piece(pieces(text).max_by_key(|piece| piece.len())?)
    }

    /// One for each of the longest pieces of a text, all of which a line that has it has.
    pub(crate) fn all_of(text: &str) -> Vec<Self> {
        let mut pieces: Vec<&str> = pieces(text).collect();
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
        pieces.into_iter().take(PIECES_MAX).filter_map(Needle::of_piece).collect()
    }

    fn of_piece(piece: &str) -> Option<Self> {
        let finder = Regex::new(piece).ok()?;
        Some(Needle { piece: piece.as_bytes().to_vec(), finder })
    }

    pub(crate) fn piece(&self) -> &[u8] {
        &self.piece
    }

    /// Whether the piece stands in a text.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        text.len() >= self.piece.len() && self.finder.is_match(text)
    }

    /// Marks the lines in whose gap the piece stands. False if no line was.
    fn mark(&self, slot: &Slot, text: &[u8], marks: &mut [bool]) -> bool {
        match slot {
            // Whatever the times are.
            Slot::Clock(_) => {
                let may = self.piece.iter().all(u8::is_ascii_digit);
                marks.iter_mut().for_each(|mark| *mark |= may);
                may
            }
            Slot::Words { places, codes } => {
                let found: Vec<bool> =
                    places.iter().map(|place| self.is_in(bytes_at(text, *place))).collect();
                if !found.contains(&true) {
                    return false;
                }
                for (nth, mark) in marks.iter_mut().enumerate() {
                    let word = codes.get(nth).map_or(nth, |&code| code as usize);
                    *mark |= found.get(word) == Some(&true);
                }
                true
            }
            Slot::Numbers { base, widths, values } => {
                self.mark_numbers(*base, widths, values, marks)
            }
        }
    }

    fn mark_numbers(
        &self,
        base: Base,
        widths: &Widths,
        values: &[u64],
        marks: &mut [bool],
    ) -> bool {
        if !self.piece.iter().all(|byte| base.has(*byte)) || self.piece.len() > base.len_max() {
            return false;
        }
        let piece = base.parse(&self.piece);
        let len = self.piece.len() as u32;
        let mut any = false;
        for (nth, (mark, &value)) in marks.iter_mut().zip(values).enumerate() {
            let has = base.has_piece(value, widths.of(nth), piece, len);
            *mark |= has;
            any |= has;
        }
        any
    }

    /// Whether the piece stands in no line of a template.
    pub(super) fn is_in_none(&self, template: &Template, text: &[u8]) -> bool {
        matches!(self.find(template, text), Found::No)
    }

    fn find(&self, template: &Template, text: &[u8]) -> Found {
        if template.fixed.iter().any(|fixed| self.is_in(bytes_at(text, *fixed))) {
            return Found::All;
        }
        let mut marks = vec![false; template.lines];
        let mut any = false;
        for slot in &template.slots {
            any |= self.mark(slot, text, &mut marks);
        }
        if any { Found::Some(marks) } else { Found::No }
    }
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|piece| !piece.is_empty())
}

impl Lines {
    /// For each body whether it may contain the text; `None` if none does.
    pub(crate) fn may_contain(&self, needle: &Needle) -> Option<Vec<bool>> {
        let found: Vec<Found> = self.templates.iter().map(|t| needle.find(t, &self.text)).collect();
        let plain = |line: &Line| match *line {
            Line::Plain { at, len } => needle.is_in(bytes_at(&self.text, (at, len))),
            Line::Of { .. } => false,
        };
        if found.iter().all(|found| matches!(found, Found::No)) && !self.lines.iter().any(plain) {
            return None;
        }
        let may = |line: &Line| match *line {
            Line::Plain { .. } => plain(line),
            Line::Of { template, nth } => match &found[template as usize] {
                Found::No => false,
                Found::All => true,
                Found::Some(marks) => marks.get(nth as usize) == Some(&true),
            },
        };
        let bodies = self.bodies.windows(2).map(|ends| {
            let lines = self.lines.get(ends[0] as usize..ends[1] as usize);
            lines.is_some_and(|lines| lines.iter().any(may))
        });
        Some(bodies.collect())
    }
}
