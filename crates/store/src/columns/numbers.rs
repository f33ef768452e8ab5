//! Numbers in as few bits as they need: what does not compress any further.
//!
//! A number is a class and bits: small numbers are classes of their own, of larger ones the
//! class tells the length and the second bit. Classes are written in a Huffman code made for
//! the column, the other bits as they are, so a column of any shape takes hardly more than
//! what it tells, and one of a few hundred numbers already pays for its code.

use super::ROWS_MAX;
use super::bits::{BitReader, BitWriter, PEEKED_BITS};
use crate::bytes::{Reader, put_varint};

mod huffman;

use huffman::{Code, Table};

const EQUAL: u8 = 0;
const PACKED: u8 = 1;
const CLASSES: u8 = 2;
const DELTAS: u8 = 3;

/// Numbers below have a class each.
const SMALL: u64 = 16;
/// Bits of [`SMALL`] numbers.
const SMALL_BITS: u32 = 4;
/// Small numbers, and two classes for each longer length.
const CLASS_COUNT: usize = SMALL as usize + 2 * (64 - SMALL_BITS as usize);

/// Appends numbers in the shortest of four forms. The reader must know how many there are.
pub(crate) fn put_numbers(out: &mut Vec<u8>, values: &[u64]) {
    let (mut min, mut max) = (u64::MAX, 0);
    for &value in values {
        min = min.min(value);
        max = max.max(value);
    }
    if min >= max {
        out.push(EQUAL);
        put_varint(out, values.first().copied().unwrap_or(0));
        return;
    }
    let width = 64 - (max - min).leading_zeros();
    let packed_bits = values.len() * width as usize + 16;
    let plain = Classes::count(values.iter().map(|value| value - min));
    let delta = Classes::count(deltas(values));
    match shortest(packed_bits, &plain, &delta) {
        Form::Packed => {
            out.push(PACKED);
            put_varint(out, min);
            out.push(width as u8);
            let mut bits = BitWriter::new(out);
            values.iter().for_each(|value| bits.put(value - min, width));
            bits.finish();
        }
        Form::Classes(code) => {
            out.push(CLASSES);
            put_varint(out, min);
            put_classes(out, &code, values.iter().map(|value| value - min));
        }
        Form::Deltas(code) => {
            out.push(DELTAS);
            put_varint(out, values[0]);
            put_classes(out, &code, deltas(values));
        }
    }
}

enum Form {
    Packed,
    Classes(Code),
    Deltas(Code),
}

/// The form that takes fewest bits. Making a code takes longer than all else, so none is made
/// where no code could be short enough.
fn shortest(packed_bits: usize, plain: &Classes, delta: &Classes) -> Form {
    let (mut form, mut least) = (Form::Packed, packed_bits);
    let mut try_out = |classes: &Classes, form_of: fn(Code) -> Form| {
        if classes.bits_min() < least {
            let code = Code::new(&classes.counts);
            let bits = classes.bits(&code);
            debug_assert!(classes.bits_min() <= bits, "no code is shorter than the entropy");
            if bits < least {
                (form, least) = (form_of(code), bits);
            }
        }
    };
    // What promises more comes first.
    if plain.bits_min() <= delta.bits_min() {
        try_out(plain, Form::Classes);
        try_out(delta, Form::Deltas);
    } else {
        try_out(delta, Form::Deltas);
        try_out(plain, Form::Classes);
    }
    form
}

/// What is added from each number to the next. Numbers that fall wrap around: where that is
/// rare it costs little.
fn deltas(values: &[u64]) -> impl Iterator<Item = u64> {
    values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]))
}

/// Reads `count` numbers.
pub(crate) fn numbers(r: &mut Reader<'_>, count: usize) -> Option<Vec<u64>> {
    if count > ROWS_MAX {
        return None;
    }
    let form = r.u8()?;
    let first = r.varint()?;
    if form == EQUAL {
        return Some(vec![first; count]);
    }
    // All other forms have a bit or more for each but the first.
    if count / 8 > r.remaining() {
        return None;
    }
    match form {
        PACKED => {
            let width = u32::from(r.u8()?);
            let bytes = r.take((count * usize::try_from(width).ok()?).div_ceil(8))?;
            let mut bits = BitReader::new(bytes);
            (width <= 64)
                .then(|| (0..count).map(|_| first.wrapping_add(bits.take(width))).collect())
        }
        CLASSES => {
            let mut values = vec![0; count];
            classes(r, &mut values)?;
            values.iter_mut().for_each(|value| *value = value.wrapping_add(first));
            Some(values)
        }
        DELTAS => {
            let mut values = vec![0; count];
            let (head, rest) = values.split_first_mut()?;
            *head = first;
            classes(r, rest)?;
            let mut sum = first;
            for value in rest {
                sum = sum.wrapping_add(*value);
                *value = sum;
            }
            Some(values)
        }
        _ => None,
    }
}

/// How often each class occurs.
struct Classes {
    counts: [u32; CLASS_COUNT],
}

impl Classes {
    fn count(values: impl Iterator<Item = u64>) -> Self {
        let mut counts = [0; CLASS_COUNT];
        values.for_each(|value| counts[split(value).0] += 1);
        Classes { counts }
    }

    /// Those that occur, and how often.
    fn used(&self) -> impl Iterator<Item = (usize, u32)> {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// What [`put_classes`] will write, in bits.
    fn bits(&self, code: &Code) -> usize {
        let bits = |(class, count)| count as usize * (code.len(class) + extra(class)) as usize;
        self.used().map(bits).sum::<usize>() + code.head_bits()
    }

    /// What it writes with any code, at least: the entropy, and a head with their lengths.
    fn bits_min(&self) -> usize {
        let total = self.used().map(|(_, count)| count).sum::<u32>() as f32;
        let bits =
            |(class, count)| count as f32 * ((total / count as f32).log2() + extra(class) as f32);
        let values = self.used().map(bits).sum::<f32>();
        // Rounding must not make it more than what it is.
        let sure = (values * 0.999) as usize;
        sure + huffman::head_bits_min(self.used().count())
    }
}

/// Writes the code, then each number's class and its other bits.
fn put_classes(out: &mut Vec<u8>, code: &Code, values: impl Iterator<Item = u64>) {
    let mut bits = BitWriter::new(out);
    code.put_head(&mut bits);
    for value in values {
        let (class, rest) = split(value);
        code.put(&mut bits, class);
        bits.put(rest, extra(class));
    }
    bits.finish();
}

fn classes(r: &mut Reader<'_>, values: &mut [u64]) -> Option<()> {
    let mut after = *r;
    let bytes = after.take(after.remaining())?;
    let mut bits = BitReader::new(bytes);
    let table = Table::read(&mut bits, CLASS_COUNT, extra)?;
    // What takes time is finding where the next bits begin: one look is for as many numbers as
    // are in it for sure.
    match PEEKED_BITS / table.longest {
        0 => each(&table, &mut bits, values)?,
        1 => several::<1>(&table, &mut bits, values)?,
        2 => several::<2>(&table, &mut bits, values)?,
        3 => several::<3>(&table, &mut bits, values)?,
        _ => several::<4>(&table, &mut bits, values)?,
    }
    r.take(bits.bytes_read()?)?;
    Some(())
}

/// Numbers of which so many are in one look.
fn several<const COUNT: usize>(
    table: &Table,
    bits: &mut BitReader<'_>,
    values: &mut [u64],
) -> Option<()> {
    for values in values.chunks_mut(COUNT) {
        let mut word = bits.peek();
        let mut read = 0;
        for value in values {
            let found = table.find(word)?;
            let (extra, base) = CLASSES_OF[found.symbol()];
            *value = base | (word >> found.len()) & ((1 << extra) - 1);
            // The longest takes all that is seen.
            word = word.wrapping_shr(found.whole_len());
            read += found.whole_len();
        }
        bits.skip(read);
    }
    Some(())
}

/// Numbers that one look may not be enough for.
fn each(table: &Table, bits: &mut BitReader<'_>, values: &mut [u64]) -> Option<()> {
    for value in values {
        let found = table.find(bits.peek())?;
        bits.skip(found.len());
        let (extra, base) = CLASSES_OF[found.symbol()];
        *value = base | bits.take(extra);
    }
    Some(())
}

/// A number's class and its other bits.
fn split(value: u64) -> (usize, u64) {
    if value < SMALL {
        return (value as usize, 0);
    }
    let len = 64 - value.leading_zeros();
    let second = (value >> (len - 2) & 1) as usize;
    let class = SMALL as usize + 2 * (len - SMALL_BITS - 1) as usize + second;
    (class, value & ((1 << (len - 2)) - 1))
}

/// How many bits a number of the class has besides.
fn extra(class: usize) -> u32 {
    CLASSES_OF[class].0
}

/// Of each class these bits and the least number, looked up: small and longer numbers come in no
/// order that a processor could foresee.
static CLASSES_OF: [(u32, u64); CLASS_COUNT] = {
    let mut all = [(0, 0); CLASS_COUNT];
    let mut class = 0;
    while class < CLASS_COUNT {
        all[class] = match class.checked_sub(SMALL as usize) {
            None => (0, class as u64),
            Some(above) => {
                let extra = above as u32 / 2 + SMALL_BITS - 1;
                (extra, (2 | above as u64 & 1) << extra)
            }
        };
        class += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_divide_all_numbers() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift, 3 << shift >> 1] {
                let (class, rest) = split(value);
                assert!(class < CLASS_COUNT && (rest == 0 || rest.ilog2() < extra(class)));
                assert_eq!(CLASSES_OF[class].1 | rest, value, "{value:x}");
            }
        }
    }

    #[test]
    fn numbers_round_trip_in_every_form() {
        let mut seed = 7u64;
        let mut random = move || {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            seed ^ seed >> 29
        };
        let mut cases: Vec<Vec<u64>> = vec![
            vec![],
            vec![5],
            vec![u64::MAX; 3],
            vec![0, u64::MAX, 1],
            (0..100).map(|i| 1_700_000_000_000_000_000 + i * i * 15).collect(),
            (0..5000u32)
                .map(|i| if i % 1000 == 1 { 9 } else { u64::from(i.trailing_zeros()) })
                .collect(),
            (0..4000).map(|i| 1u64 << (i % 40)).collect(),
        ];
        for n in 0..300 {
            let (bits, rising) = (random() % 64, n % 3 == 0);
            let mut sum = 0u64;
            let next = || {
                let value = random() >> bits;
                let value = value >> (random() % 64 / 4);
                sum = sum.wrapping_add(value);
                if rising { sum } else { value }
            };
            cases.push(std::iter::repeat_with(next).take(n * 7).collect());
        }
        let mut forms = [0; 4];
        for case in cases {
            let mut out = Vec::new();
            put_numbers(&mut out, &case);
            forms[out[0] as usize] += 1;
            out.extend([0xab; 3]);
            let mut r = Reader::new(&out);
            assert_eq!(numbers(&mut r, case.len()).as_deref(), Some(&case[..]));
            assert_eq!(r.remaining(), 3);
            for len in 0..out.len().min(90) {
                // Cut off it is refused, or read as something else, but never past the end.
                let _ = numbers(&mut Reader::new(&out[..len]), case.len());
            }
        }
        assert!(forms.iter().all(|&count| count > 2), "{forms:?}");
    }

    #[test]
    fn a_column_takes_little_more_than_it_tells() {
        // Waiting times: what they tell is 1.443 + log2(mean) bits each.
        let mut seed = 1u64;
        let mut sum = 0.0;
        let times: Vec<u64> = (0..2000)
            .map(|_| {
                seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                sum -= ((seed >> 11) as f64 / (1u64 << 53) as f64).ln() * 1e7;
                sum as u64
            })
            .collect();
        let mut out = Vec::new();
        put_numbers(&mut out, &times);
        let told = 2000.0 * (std::f64::consts::LOG2_E + 1e7f64.log2()) / 8.0;
        assert!((out.len() as f64) < told * 1.02 + 20.0, "{} for {told}", out.len());
    }
}
