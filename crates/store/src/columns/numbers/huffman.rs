//! A canonical Huffman code with short words.

use super::{BitReader, BitWriter};

/// Longest word in bits: a table of all of them stays in the fastest cache.
const LEN_MAX: u32 = 11;
/// Bits of the count of symbols in the head.
const COUNT_BITS: u32 = 8;
/// Bits of a length in the head, and of a count of absent symbols.
const LEN_BITS: u32 = 4;
const RUN_MAX: usize = 1 << LEN_BITS;

/// The word of each symbol.
pub(super) struct Code {
    lens: Vec<u8>,
    words: Vec<u16>,
}

impl Code {
    /// A code for symbols that occur so often.
    pub(super) fn new(counts: &[u32]) -> Self {
        let used = counts.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        let mut counts = counts[..used].to_vec();
        let mut lens = lengths(&counts);
        while lens.iter().any(|&len| u32::from(len) > LEN_MAX) {
            // Rarer symbols gain on the others until the longest word fits.
            counts.iter_mut().filter(|count| **count > 0).for_each(|count| *count = *count / 2 + 1);
            lens = lengths(&counts);
        }
        let words = words(&lens);
        Code { lens, words }
    }

    /// Bits of a symbol's word, 0 if it does not occur.
    pub(super) fn len(&self, symbol: usize) -> u32 {
        self.lens.get(symbol).map_or(0, |&len| u32::from(len))
    }

    pub(super) fn put(&self, bits: &mut BitWriter<'_>, symbol: usize) {
        bits.put(u64::from(self.words[symbol]), self.len(symbol));
    }

    /// Writes what is needed to read: the count of symbols, and the length of each word; a
    /// length of 0 is followed by how many more of them there are.
    pub(super) fn put_head(&self, bits: &mut BitWriter<'_>) {
        bits.put(self.lens.len() as u64, COUNT_BITS);
        self.each_of_head(&mut |value| bits.put(value, LEN_BITS));
    }

    /// What [`put_head`](Self::put_head) will write, in bits.
    pub(super) fn head_bits(&self) -> usize {
        let mut bits = COUNT_BITS as usize;
        self.each_of_head(&mut |_| bits += LEN_BITS as usize);
        bits
    }

    fn each_of_head(&self, put: &mut dyn FnMut(u64)) {
        let mut at = 0;
        while let Some(&len) = self.lens.get(at) {
            put(u64::from(len));
            let more =
                self.lens[at + 1..].iter().take(RUN_MAX - 1).take_while(|&&l| l == 0).count();
            if len == 0 {
                put(more as u64);
                at += more;
            }
            at += 1;
        }
    }
}

/// What the head of a code for so many symbols takes at least, in bits.
pub(super) fn head_bits_min(symbols: usize) -> usize {
    COUNT_BITS as usize + symbols * LEN_BITS as usize
}

/// Word lengths by Huffman's method. One symbol alone still takes a bit.
fn lengths(counts: &[u32]) -> Vec<u8> {
    let mut lens = vec![0; counts.len()];
    // Symbols, the most frequent last; then trees, which grow in the order they are made.
    let mut leaves: Vec<(u64, usize)> = Vec::new();
    leaves.extend(
        counts.iter().enumerate().filter(|(_, c)| **c > 0).map(|(s, c)| (u64::from(*c), s)),
    );
    if let [(_, symbol)] = leaves[..] {
        lens[symbol] = 1;
        return lens;
    }
    leaves.sort_unstable();
    let leaf_count = leaves.len();
    let mut weights: Vec<u64> = leaves.iter().map(|leaf| leaf.0).collect();
    let mut parents = vec![0; leaf_count];
    let (mut leaf, mut tree) = (0, leaf_count);
    while weights.len() + 1 < 2 * leaf_count {
        let mut next = || {
            let is_leaf =
                leaf < leaf_count && (tree == weights.len() || weights[leaf] <= weights[tree]);
            let taken = if is_leaf { &mut leaf } else { &mut tree };
            *taken += 1;
            *taken - 1
        };
        let (a, b) = (next(), next());
        let parent = weights.len();
        (parents[a], parents[b]) = (parent, parent);
        weights.push(weights[a] + weights[b]);
        parents.push(parent);
    }
    let mut depths = vec![0u8; parents.len()];
    for node in (0..parents.len().saturating_sub(1)).rev() {
        depths[node] = depths[parents[node]].saturating_add(1);
    }
    for ((_, symbol), depth) in leaves.iter().zip(&depths) {
        lens[*symbol] = *depth;
    }
    lens
}

/// Words in order of length, then symbol; the first bit is the low one.
fn words(lens: &[u8]) -> Vec<u16> {
    let mut counts = [0u32; LEN_MAX as usize + 1];
    lens.iter().for_each(|&len| counts[usize::from(len)] += 1);
    counts[0] = 0;
    // The first word of each length follows the last one of the length before.
    let mut next = [0u32; LEN_MAX as usize + 1];
    for len in 1..next.len() {
        next[len] = (next[len - 1] + counts[len - 1]) << 1;
    }
    let word = |&len: &u8| match u32::from(len) {
        0 => 0,
        bits => {
            let next = &mut next[bits as usize];
            *next += 1;
            ((*next - 1).reverse_bits() >> (32 - bits)) as u16
        }
    };
    lens.iter().map(word).collect()
}

/// All words at once, to read with.
pub(super) struct Table {
    /// By the next bits.
    entries: Vec<Entry>,
    mask: u64,
    /// The longest word with what follows it, in bits.
    pub(super) longest: u32,
}

/// A symbol, how long its word is, and how long with what follows it; 0 where no word begins so.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry(u32);

impl Entry {
    fn new(symbol: usize, len: u32, extra: u32) -> Self {
        Entry(symbol as u32 | len << 8 | (len + extra) << 16)
    }

    pub(super) fn symbol(self) -> usize {
        (self.0 & 0xff) as usize
    }

    pub(super) fn len(self) -> u32 {
        self.0 >> 8 & 0xff
    }

    pub(super) fn whole_len(self) -> u32 {
        self.0 >> 16
    }
}

impl Table {
    /// Reads the head; `extra` says how many bits follow the word of a symbol.
    pub(super) fn read(
        bits: &mut BitReader<'_>,
        symbols_max: usize,
        extra: impl Fn(usize) -> u32,
    ) -> Option<Self> {
        let count = bits.take(COUNT_BITS) as usize;
        if count > symbols_max {
            return None;
        }
        let mut lens = Vec::with_capacity(count);
        while lens.len() < count {
            let len = bits.take(LEN_BITS) as u8;
            lens.push(len);
            if len == 0 {
                let more = bits.take(LEN_BITS) as usize;
                lens.resize(lens.len() + more, 0);
            }
        }
        let longest = lens.iter().copied().max().map_or(0, u32::from);
        // No more words than the lengths leave room for.
        let room: u32 = lens
            .iter()
            .filter(|l| **l > 0)
            .map(|l| 1 << (LEN_MAX.max(longest) - u32::from(*l)))
            .sum();
        if lens.len() != count || longest > LEN_MAX || room > 1 << LEN_MAX {
            return None;
        }
        let mut table = Table {
            entries: vec![Entry::default(); 1 << longest],
            mask: (1 << longest) - 1,
            longest: 1,
        };
        for (symbol, (word, len)) in words(&lens).into_iter().zip(&lens).enumerate() {
            if *len > 0 {
                let entry = Entry::new(symbol, u32::from(*len), extra(symbol));
                table.longest = table.longest.max(entry.whole_len());
                let places = table.entries.iter_mut().skip(usize::from(word)).step_by(1 << len);
                places.for_each(|place| *place = entry);
            }
        }
        Some(table)
    }

    /// The symbol whose word these bits begin with.
    pub(super) fn find(&self, bits: u64) -> Option<Entry> {
        let entry = self.entries[(bits & self.mask) as usize];
        (entry.0 > 0).then_some(entry)
    }
}
