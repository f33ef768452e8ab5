//! Which long words the bodies of a block have, roughly: whether it is worth reading for a
//! text that is sought.
//!
//! Of each word (ASCII letters and digits) of [`WORD_MIN`] bytes or more, every third run of
//! six bytes is an entry of a Bloom filter. A text that is sought may be any piece of a
//! word; wherever the piece begins there, one of its own first three runs and every third one
//! after that are entries. So the filter may take a block for one that has the text, never the
//! other way round.

use crate::filter::LineFilter;

/// Words below are not looked at: many numbers are as short, and occur everywhere.
const WORD_MIN: usize = RUN + STRIDE - 1;
const RUN: usize = 6;
const STRIDE: usize = 3;
/// Bytes of a lane: an entry sets its bits in one.
pub(crate) const LANE_BYTES: usize = 64;
const LANE_BITS: u32 = 512;
/// Bits of the filter for each entry, and bits that each sets: one look-up in some forty
/// finds what is not there, and a text of ten bytes already takes two.
const ENTRY_BITS: usize = 8;
const HASHES: u32 = 5;
/// A filter takes at most so many lanes. With more entries it only becomes coarser.
const LANES_MAX: usize = 1 << 12;

/// Collects the words of a block.
#[derive(Debug, Default)]
pub(crate) struct WordsWriter {
    runs: Vec<u64>,
    /// How many of them are sorted, and different.
    sorted: usize,
}

/// Entries that are not sorted yet, at least.
const UNSORTED_MAX: usize = 1 << 14;

impl WordsWriter {
    /// Adds all words of a text.
    pub(crate) fn text(&mut self, text: &[u8]) {
        words(text).for_each(|(word, _)| self.word(word));
    }

    /// Adds one word.
    pub(crate) fn word(&mut self, word: &[u8]) {
        if word.len() < WORD_MIN {
            return;
        }
        self.runs.extend(word.windows(RUN).step_by(STRIDE).map(number));
        if self.runs.len() > 2 * self.sorted + UNSORTED_MAX {
            self.sort();
        }
    }

    /// Adds what another has.
    pub(crate) fn add(&mut self, other: WordsWriter) {
        match self.runs.is_empty() {
            true => *self = other,
            false => self.runs.extend(other.runs),
        }
    }

    fn sort(&mut self) {
        self.runs.sort_unstable();
        self.runs.dedup();
        self.sorted = self.runs.len();
    }

    /// The lanes of the filter.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.sort();
        let lanes = (self.runs.len() * ENTRY_BITS).div_ceil(LANE_BYTES * 8).min(LANES_MAX);
        let mut out = vec![0; lanes * LANE_BYTES];
        for &run in &self.runs {
            let (lane, bits) = place(run, lanes);
            bits.for_each(|bit| out[lane * LANE_BYTES + bit / 8] |= 1 << (bit % 8));
        }
        out
    }
}

/// Runs of letters and digits, and whether something else stands before each.
fn words(text: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let from = at + text[at..].iter().position(u8::is_ascii_alphanumeric)?;
        let rest = &text[from..];
        let len = rest.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len());
        at = from + len;
        Some((&rest[..len], from > 0))
    })
}

fn number(run: &[u8]) -> u64 {
    run.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The lane of an entry and its bits there.
fn place(run: u64, lanes: usize) -> (usize, impl Iterator<Item = usize>) {
    let mut hash = (run ^ run >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^= hash >> 32;
    let lane = (((hash >> 32) * lanes as u64) >> 32) as usize;
    // The lane is told by the high bits, so these are mixed once more.
    let low = hash.wrapping_mul(0x94d0_49bb_1331_11eb) >> 16;
    (lane, (0..HASHES).map(move |n| (low >> (9 * n)) as usize % LANE_BITS as usize))
}

fn has(filter: &[u8], run: u64) -> bool {
    let lanes = filter.len() / LANE_BYTES;
    let (lane, mut bits) = place(run, lanes);
    bits.all(|bit| filter.get(lane * LANE_BYTES + bit / 8).is_some_and(|b| b >> (bit % 8) & 1 == 1))
}

/// What must be in the filter of a block that has a line for some conditions.
#[derive(Debug, Default)]
pub(crate) struct SoughtWords {
    /// Of each piece of a word: the entries there are, for each place where it may begin.
    pieces: Vec<Vec<Vec<u64>>>,
}

impl SoughtWords {
    pub(crate) fn of(lines: &[LineFilter]) -> Self {
        let mut pieces = Vec::new();
        for line in lines {
            let LineFilter::Contains(text) = line else { continue };
            for (piece, is_begin) in words(text.as_bytes()) {
                if piece.len() >= WORD_MIN {
                    let begins = if is_begin { 1 } else { STRIDE };
                    let runs = |skip: usize| piece.windows(RUN).skip(skip).step_by(STRIDE);
                    pieces.push((0..begins).map(|skip| runs(skip).map(number).collect()).collect());
                }
            }
        }
        SoughtWords { pieces }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether a block with this filter may have it.
    pub(crate) fn may_be_in(&self, filter: &[u8]) -> bool {
        let all = |runs: &Vec<u64>| runs.iter().all(|run| has(filter, *run));
        self.pieces.iter().all(|begins| begins.iter().any(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> usize {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            ((self.0 >> 33) % end) as usize
        }

        fn text(&mut self, len: usize) -> String {
            // Few letters, so that pieces meet by chance too.
            (0..len).map(|_| char::from(b"abc012abc012abc0f-_ "[self.below(20)])).collect()
        }
    }

    #[test]
    fn whatever_a_line_contains_passes() {
        let random = &mut Random(3);
        for _ in 0..400 {
            let mut writer = WordsWriter::default();
            let lines: Vec<String> = (0..20).map(|n| random.text(10 + n * 3)).collect();
            lines.iter().for_each(|line| writer.text(line.as_bytes()));
            let filter = writer.finish();
            for line in &lines {
                let from = random.below(line.len() as u64);
                let len = random.below((line.len() - from) as u64 + 1);
                let sought = LineFilter::Contains(line[from..from + len].to_owned());
                assert!(SoughtWords::of(&[sought]).may_be_in(&filter), "{line} {from} {len}");
            }
        }
    }

    #[test]
    fn what_no_line_has_seldom_passes() {
        let mut writer = WordsWriter::default();
        let id = |n: u64| format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()));
        (0..2000).for_each(|n| writer.text(format!("req-{} done", id(n)).as_bytes()));
        let filter = writer.finish();
        assert!(filter.len() < 2000 * 5, "{}", filter.len());
        let passing = |len: usize| {
            let sought =
                |n: u64| SoughtWords::of(&[LineFilter::Contains(id(n)[1..=len].to_owned())]);
            (5000..9000).filter(|n| sought(*n).may_be_in(&filter)).count()
        };
        let (whole, half) = (passing(15), passing(9));
        assert!(whole < 20 && half < 800, "{whole} {half}");
        let short = [LineFilter::Contains("0123456".into()), LineFilter::NotContains(id(1))];
        assert!(SoughtWords::of(&short).is_nothing());
    }
}
