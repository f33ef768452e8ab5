//! What stands in one gap of a template, over all its lines.

use crate::bytes::{Reader, put_bytes, put_varint};
use crate::columns::numbers::{numbers, put_numbers};
use crate::intern::Interner;

/// Words, each once, and which of them a line has.
const WORDS: u8 = 0;
/// Words, most of which differ.
const TEXTS: u8 = 1;
/// The record's time: which digits of its seconds and nanoseconds.
const CLOCK: u8 = 2;
/// Numbers of a base, written without leading zeros, or to one width, or to a width each.
const NATURAL: u8 = 3;
const PADDED: u8 = 4;
const RAGGED: u8 = 5;

/// The longest numbers that surely fit.
const DECIMAL_MAX: usize = 19;
const HEX_MAX: usize = 16;

/// How digits are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Decimal = 0,
    Lower = 1,
    Upper = 2,
}

impl Base {
    pub(super) const ALL: [Base; 3] = [Base::Decimal, Base::Lower, Base::Upper];

    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Base::Decimal => byte.is_ascii_digit(),
            Base::Lower => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Base::Upper => byte.is_ascii_digit() || matches!(byte, b'A'..=b'F'),
        }
    }

    pub(super) fn len_max(self) -> usize {
        if self == Base::Decimal { DECIMAL_MAX } else { HEX_MAX }
    }

    /// The number that so many digits are.
    pub(super) fn parse(self, digits: &[u8]) -> u64 {
        let radix = if self == Base::Decimal { 10 } else { 16 };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        digits.iter().fold(0u64, |n, &b| n.wrapping_mul(radix).wrapping_add(u64::from(digit(b))))
    }

    /// Whether a number, written with leading zeros up to a width, has other digits in it:
    /// so many, which are this number.
    pub(super) fn has_piece(self, value: u64, width: usize, piece: u64, len: u32) -> bool {
        if self == Base::Decimal {
            let Some(modulus) = 10u64.checked_pow(len) else { return false };
            let written = (value.checked_ilog10().unwrap_or(0) + 1).max(width as u32);
            let mut rest = value;
            return (0..(written + 1).saturating_sub(len)).any(|_| {
                let has = rest % modulus == piece;
                rest /= 10;
                has
            });
        }
        let mask = u64::MAX >> (64 - 4 * len.clamp(1, HEX_MAX as u32));
        let written = (value.checked_ilog2().unwrap_or(0) / 4 + 1).max(width as u32);
        // What is further left is nothing but zeros.
        let shift = |n: u32| value.checked_shr(4 * n).unwrap_or(0);
        (0..(written + 1).saturating_sub(len)).any(|n| shift(n) & mask == piece)
    }

    /// Appends a number with leading zeros up to a width.
    fn put(self, mut number: u64, width: usize, out: &mut Vec<u8>) {
        let digits = if self == Base::Upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
        let mut buffer = [b'0'; 20];
        let mut from = buffer.len();
        while number > 0 || from == buffer.len() {
            from -= 1;
            // Two loops in one: a division by what is not known beforehand takes far longer.
            if self == Base::Decimal {
                buffer[from] = b'0' + (number % 10) as u8;
                number /= 10;
            } else {
                buffer[from] = digits[(number % 16) as usize];
                number /= 16;
            }
        }
        let from = from.min(buffer.len() - width.min(buffer.len()));
        out.extend_from_slice(&buffer[from..]);
    }
}

/// A part of the record's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    Seconds = 0,
    Millis = 1,
    Micros = 2,
    Nanos = 3,
    /// Of the second, with all digits.
    MillisOf = 4,
    MicrosOf = 5,
    NanosOf = 6,
}

impl Clock {
    const ALL: [Clock; 7] = [
        Clock::Seconds,
        Clock::Millis,
        Clock::Micros,
        Clock::Nanos,
        Clock::MillisOf,
        Clock::MicrosOf,
        Clock::NanosOf,
    ];

    /// The number and how many digits it is written with at least.
    fn of(self, time_ns: u64) -> (u64, usize) {
        let within = time_ns % 1_000_000_000;
        match self {
            Clock::Seconds => (time_ns / 1_000_000_000, 1),
            Clock::Millis => (time_ns / 1_000_000, 1),
            Clock::Micros => (time_ns / 1000, 1),
            Clock::Nanos => (time_ns, 1),
            Clock::MillisOf => (within / 1_000_000, 3),
            Clock::MicrosOf => (within / 1000, 6),
            Clock::NanosOf => (within, 9),
        }
    }

    fn put(self, time_ns: u64, out: &mut Vec<u8>) {
        let (number, width) = self.of(time_ns);
        Base::Decimal.put(number, width, out);
    }
}

/// Collects what stands in a gap.
#[derive(Debug, Default)]
pub(super) struct SlotWriter {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl SlotWriter {
    /// Adds the word that `put` appends, and returns it.
    pub(super) fn push(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let from = self.bytes.len();
        put(&mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
        &self.bytes[from..]
    }

    pub(super) fn get(&self, nth: usize) -> &[u8] {
        let from = nth.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[from..self.ends[nth] as usize]
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|nth| self.get(nth))
    }

    /// Writes the column; `times` are those of the records.
    pub(super) fn finish(&self, times: &[u64], text: &mut Vec<u8>, packed: &mut Vec<u8>) {
        if let Some(clock) = self.clock(times) {
            return packed.extend([CLOCK, clock as u8]);
        }
        match Base::ALL.into_iter().find(|base| self.is_of(*base)) {
            Some(base) => self.put_numbers(base, packed),
            None => self.put_words(text, packed),
        }
    }

    fn is_of(&self, base: Base) -> bool {
        self.iter().all(|word| word.len() <= base.len_max())
            && self.bytes.iter().all(|b| base.has(*b))
    }

    /// The part of the records' times that stands here, if it does everywhere.
    fn clock(&self, times: &[u64]) -> Option<Clock> {
        let mut written = Vec::new();
        let mut says = |clock: Clock, word: &[u8], time_ns: u64| {
            written.clear();
            clock.put(time_ns, &mut written);
            written == word
        };
        Clock::ALL.into_iter().find(|clock| {
            self.iter().zip(times).all(|(word, &time_ns)| says(*clock, word, time_ns))
        })
    }

    fn put_numbers(&self, base: Base, packed: &mut Vec<u8>) {
        let values: Vec<u64> = self.iter().map(|word| base.parse(word)).collect();
        let first_len = self.iter().next().map_or(0, <[u8]>::len);
        if self.iter().all(|word| word.len() == 1 || word.first() != Some(&b'0')) {
            packed.extend([NATURAL, base as u8]);
        } else if self.iter().all(|word| word.len() == first_len) {
            packed.extend([PADDED, base as u8, first_len as u8]);
        } else {
            packed.extend([RAGGED, base as u8]);
            put_numbers(packed, &self.iter().map(|word| word.len() as u64).collect::<Vec<_>>());
        }
        put_numbers(packed, &values);
    }

    fn put_words(&self, text: &mut Vec<u8>, packed: &mut Vec<u8>) {
        let mut words = Interner::default();
        let codes: Vec<u32> = self.iter().map(|word| words.insert(word).0).collect();
        if words.len() * 4 > codes.len() * 3 {
            packed.push(TEXTS);
            put_numbers(packed, &self.iter().map(|word| word.len() as u64).collect::<Vec<_>>());
            return text.extend_from_slice(&self.bytes);
        }
        packed.push(WORDS);
        let mut counts = vec![0u32; words.len()];
        codes.iter().for_each(|&code| counts[code as usize] += 1);
        // Frequent words have small numbers.
        let mut order: Vec<u32> = (0..words.len() as u32).collect();
        order.sort_by_key(|&word| std::cmp::Reverse(counts[word as usize]));
        let mut places = vec![0; words.len()];
        put_varint(packed, order.len() as u64);
        for (place, &word) in (0..).zip(&order) {
            places[word as usize] = place;
            put_bytes(text, words.get(word).unwrap_or(b""));
        }
        put_numbers(packed, &codes.iter().map(|&code| places[code as usize]).collect::<Vec<u64>>());
    }
}

/// What stands in a gap of each line.
#[derive(Debug)]
pub(super) enum Slot {
    /// Where in the text each distinct word lies, and which of them it is; without codes the
    /// line of that number.
    Words {
        places: Vec<(u32, u32)>,
        codes: Vec<u64>,
    },
    Clock(Clock),
    Numbers {
        base: Base,
        widths: Widths,
        values: Vec<u64>,
    },
}

/// How many digits numbers are written with at least.
#[derive(Debug)]
pub(super) enum Widths {
    All(u8),
    Each(Vec<u64>),
}

impl Widths {
    pub(super) fn of(&self, nth: usize) -> usize {
        match self {
            Widths::All(width) => usize::from(*width),
            Widths::Each(widths) => widths.get(nth).map_or(1, |&width| width.min(20) as usize),
        }
    }
}

impl Slot {
    /// Reads what stands in a gap of so many lines; `t` and `p` stand where the writer was.
    pub(super) fn read(
        text: &[u8],
        t: &mut Reader<'_>,
        p: &mut Reader<'_>,
        count: usize,
    ) -> Option<Slot> {
        let form = p.u8()?;
        Some(match form {
            WORDS => {
                let words = usize::try_from(p.varint()?).ok().filter(|w| *w <= t.remaining())?;
                let mut places = Vec::with_capacity(words);
                for _ in 0..words {
                    let len = t.bytes()?.len();
                    places.push(place(text.len() - t.remaining() - len, len)?);
                }
                let codes = numbers(p, count)?;
                codes.iter().all(|code| *code < words as u64).then_some(())?;
                Slot::Words { places, codes }
            }
            TEXTS => {
                let mut places = Vec::with_capacity(count);
                for len in numbers(p, count)? {
                    let len = usize::try_from(len).ok()?;
                    places.push(place(text.len() - t.remaining(), len)?);
                    t.take(len)?;
                }
                Slot::Words { places, codes: Vec::new() }
            }
            CLOCK => Slot::Clock(*Clock::ALL.get(usize::from(p.u8()?))?),
            NATURAL | PADDED | RAGGED => {
                let base = *Base::ALL.get(usize::from(p.u8()?))?;
                let widths = match form {
                    NATURAL => Widths::All(1),
                    PADDED => Widths::All(p.u8()?),
                    _ => Widths::Each(numbers(p, count)?),
                };
                Slot::Numbers { base, widths, values: numbers(p, count)? }
            }
            _ => return None,
        })
    }

    /// Appends what stands in the gap of the `nth` line.
    pub(super) fn put(&self, nth: usize, time_ns: u64, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Slot::Words { places, codes } => {
                let word =
                    if codes.is_empty() { nth } else { codes.get(nth).map_or(0, |&c| c as usize) };
                let place = places.get(word).copied().unwrap_or((0, 0));
                out.extend_from_slice(super::bytes_at(text, place));
            }
            Slot::Clock(clock) => clock.put(time_ns, out),
            Slot::Numbers { base, widths, values } => {
                base.put(values.get(nth).copied().unwrap_or(0), widths.of(nth), out);
            }
        }
    }
}

fn place(at: usize, len: usize) -> Option<(u32, u32)> {
    Some((u32::try_from(at).ok()?, u32::try_from(len).ok()?))
}
