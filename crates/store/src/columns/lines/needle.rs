//! Which lines have a text, as far as templates and gaps tell without putting them together.

use memchr::memmem::Finder;

use super::outline::Template;
use super::slot::{Base, Slot, Widths};
use super::{Lines, bytes_at};

/// Looking for further pieces of a text would hardly rule out more lines.
const PIECES_MAX: usize = 3;

/// A text that is sought in lines.
#[derive(Debug)]
pub(crate) struct Needle {
    text: Finder<'static>,
    /// The longest runs of letters and digits in it. A gap is a whole word, so each stands
    /// within one gap, or between gaps.
    pieces: Vec<Piece>,
    /// Whether these are all of them: what has none of them in a gap lies between gaps.
    are_all: bool,
}

#[derive(Debug)]
struct Piece(Finder<'static>);

/// Whether each of some lines has a text; `None` where that is not known.
#[derive(Debug)]
pub(super) enum Found {
    All(Option<bool>),
    Each(Vec<Option<bool>>),
}

impl Found {
    /// Lines in which the one or the other is found.
    pub(super) fn or(self, other: Found) -> Found {
        match (self, other) {
            (Found::All(one), Found::All(other)) => Found::All(either(one, other)),
            (Found::All(of_all), Found::Each(mut each))
            | (Found::Each(mut each), Found::All(of_all)) => {
                each.iter_mut().for_each(|of_line| *of_line = either(*of_line, of_all));
                Found::Each(each)
            }
            (Found::Each(mut each), Found::Each(others)) => {
                each.iter_mut().zip(others).for_each(|(one, other)| *one = either(*one, other));
                Found::Each(each)
            }
        }
    }
}

/// Whether the one or the other is so, as far as that is known.
pub(super) fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        _ => one.and(other),
    }
}

impl Needle {
    /// `None` if the text goes over several lines, each of which is looked at by itself.
    pub(crate) fn new(text: &str) -> Option<Self> {
        if text.contains('\n') {
            return None;
        }
        let pieces = text.split(|c: char| !c.is_ascii_alphanumeric());
        let mut pieces: Vec<&str> = pieces.filter(|piece| !piece.is_empty()).collect();
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
        let are_all = pieces.len() <= PIECES_MAX;
        let piece = |piece| Piece(Finder::new(piece).into_owned());
        let pieces = pieces.into_iter().take(PIECES_MAX).map(piece).collect();
        Some(Needle { text: Finder::new(text).into_owned(), pieces, are_all })
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &[u8] {
        self.text.needle()
    }

    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        self.text.find(text).is_some()
    }
}

impl Piece {
    fn text(&self) -> &[u8] {
        self.0.needle()
    }

    fn is_in(&self, text: &[u8]) -> bool {
        self.0.find(text).is_some()
    }

    /// Whether there are numbers that are written with the piece, in times too.
    fn may_be_in_numbers(&self) -> bool {
        Base::ALL.iter().any(|base| self.may_be_of(*base))
    }

    fn may_be_of(&self, base: Base) -> bool {
        self.text().iter().all(|byte| base.has(*byte)) && self.text().len() <= base.len_max()
    }

    /// Marks the lines in whose gap the piece stands.
    fn mark(&self, slot: &Slot, text: &[u8], marks: &mut [bool]) {
        match slot {
            // Whatever the times are.
            Slot::Clock(_) => {
                let may = self.text().iter().all(u8::is_ascii_digit);
                marks.iter_mut().for_each(|mark| *mark |= may);
            }
            Slot::Words { places, codes } => {
                let found: Vec<bool> =
                    places.iter().map(|place| self.is_in(bytes_at(text, *place))).collect();
                if !found.contains(&true) {
                    return;
                }
                for (nth, mark) in marks.iter_mut().enumerate() {
                    let word = codes.get(nth).map_or(nth, |&code| code as usize);
                    *mark |= found.get(word) == Some(&true);
                }
            }
            Slot::Numbers { base, widths, values } if self.may_be_of(*base) => {
                self.mark_numbers(*base, widths, values, marks);
            }
            Slot::Numbers { .. } => {}
        }
    }

    fn mark_numbers(&self, base: Base, widths: &Widths, values: &[u64], marks: &mut [bool]) {
        let piece = base.parse(self.text());
        let len = self.text().len() as u32;
        for (nth, (mark, &value)) in marks.iter_mut().zip(values).enumerate() {
            *mark |= base.has_piece(value, widths.of(nth), piece, len);
        }
    }
}

impl Lines {
    /// Which lines have the text: of those like no other, then of each template. `None` if
    /// gaps had to be read and are malformed.
    pub(super) fn find(&self, needle: &Needle) -> Option<Vec<Found>> {
        // Gaps are read only for a piece that can be there.
        let may_be_in_gaps: Vec<bool> =
            needle.pieces.iter().map(|p| p.may_be_in_numbers() || p.is_in(self.words())).collect();
        let gaps = match may_be_in_gaps.contains(&true) {
            true => Some(self.gaps()?),
            false => None,
        };
        let has = |place: &(u32, u32)| needle.is_in(bytes_at(&self.text, *place));
        let plain = self.outline.plain.iter().map(|place| Some(has(place)));
        let mut found = vec![Found::Each(plain.collect())];
        for (number, template) in self.outline.templates.iter().enumerate() {
            found.push(match template.fixed.iter().any(has) {
                true => Found::All(Some(true)),
                false => {
                    let slots = gaps.map(|gaps| gaps.of_template(number));
                    self.find_over_gaps(needle, &may_be_in_gaps, template, slots)
                }
            });
        }
        Some(found)
    }

    /// Which lines of a template have a text that is not between gaps: all its pieces, and one
    /// of them in a gap.
    fn find_over_gaps(
        &self,
        needle: &Needle,
        may_be_in_gaps: &[bool],
        template: &Template,
        slots: Option<&[Slot]>,
    ) -> Found {
        let fixed = || template.fixed.iter().map(|fixed| bytes_at(&self.text, *fixed));
        let pieces = || needle.pieces.iter().zip(may_be_in_gaps);
        if pieces().any(|(piece, in_gaps)| !in_gaps && !fixed().any(|part| piece.is_in(part))) {
            return Found::All(Some(false));
        }
        let Some(slots) = slots else {
            return Found::All(if needle.are_all { Some(false) } else { None });
        };
        let mut has_all = vec![true; template.lines];
        let mut any_in_gap = vec![!needle.are_all; template.lines];
        for (piece, _) in pieces().filter(|(_, in_gaps)| **in_gaps) {
            let is_fixed = fixed().any(|part| piece.is_in(part));
            let mut marks = vec![false; template.lines];
            slots.iter().for_each(|slot| piece.mark(slot, &self.text, &mut marks));
            for (at, mark) in marks.into_iter().enumerate() {
                has_all[at] &= is_fixed || mark;
                any_in_gap[at] |= mark;
            }
        }
        let may = |(has_all, any_in_gap)| if has_all && any_in_gap { None } else { Some(false) };
        Found::Each(has_all.into_iter().zip(any_in_gap).map(may).collect())
    }
}
