//! A block of series: labels by way of a dictionary, owners, and where the chunks are.

use std::cmp::Ordering;

use super::ChunkRef;
use crate::bytes::{Reader, put_bytes, put_varint};
use crate::columns::{ints, put_ints, put_signed_ints, signed_ints};
use crate::intern::Interner;
use crate::labels::{Labels, LabelsWriter};
use crate::matcher::Matcher;

/// Collects series of one block.
#[derive(Debug, Default)]
pub(crate) struct SeriesBlockWriter {
    symbols: Interner,
    pair_counts: Vec<u64>,
    names: Vec<u64>,
    values: Vec<u64>,
    resources: Vec<u64>,
    scopes: Vec<u64>,
    chunk_counts: Vec<u64>,
    blocks: Vec<u64>,
    offsets: Vec<u64>,
    min_ms: Vec<i64>,
    max_ms: Vec<i64>,
    metric_names: (Box<str>, Box<str>),
    /// The last series that came.
    last: Labels,
}

impl SeriesBlockWriter {
    pub(crate) fn push(
        &mut self,
        labels: &Labels,
        (resource, scope): (u32, u32),
        chunks: &[ChunkRef],
    ) {
        let name = labels.metric_name().unwrap_or("");
        if self.len() == 0 {
            self.metric_names.0 = name.into();
        }
        if *self.metric_names.1 != *name {
            self.metric_names.1 = name.into();
        }
        self.push_pairs(labels);
        self.resources.push(u64::from(resource));
        self.scopes.push(u64::from(scope));
        self.chunk_counts.push(chunks.len() as u64);
        for chunk in chunks {
            self.blocks.push(u64::from(chunk.block));
            self.offsets.push(u64::from(chunk.offset));
            self.min_ms.push(chunk.min_ms);
            self.max_ms.push(chunk.max_ms);
        }
    }

    /// Series that follow each other have most of their pairs in common, at the same places.
    fn push_pairs(&mut self, labels: &Labels) {
        let last = std::mem::replace(&mut self.last, labels.clone());
        let from = self.names.len();
        let last_from = from - self.pair_counts.last().map_or(0, |&pairs| pairs as usize);
        let mut last_pairs = (last_from..from).zip(last.iter_bytes());
        for (name, value) in labels.iter_bytes() {
            let (name, value) = match last_pairs.next() {
                Some((at, (last_name, last_value))) => (
                    if name == last_name { self.names[at] } else { self.number(name) },
                    if value == last_value { self.values[at] } else { self.number(value) },
                ),
                None => (self.number(name), self.number(value)),
            };
            self.names.push(name);
            self.values.push(value);
        }
        self.pair_counts.push((self.names.len() - from) as u64);
    }

    fn number(&mut self, text: &[u8]) -> u64 {
        u64::from(self.symbols.insert(text).0)
    }

    pub(crate) fn len(&self) -> usize {
        self.pair_counts.len()
    }

    /// Bytes of all distinct label names and values.
    pub(crate) fn byte_len(&self) -> usize {
        self.symbols.byte_len()
    }

    /// Bounds of the samples' times.
    pub(crate) fn bounds(&self) -> (i64, i64) {
        let min = self.min_ms.iter().copied().min();
        (min.unwrap_or(0), self.max_ms.iter().copied().max().unwrap_or(0))
    }

    /// First and last metric name.
    pub(crate) fn names(&self) -> (Box<str>, Box<str>) {
        self.metric_names.clone()
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.len() as u64);
        put_varint(&mut out, self.symbols.len() as u64);
        for symbol in self.symbols.iter() {
            put_bytes(&mut out, symbol);
        }
        put_ints(&mut out, &self.pair_counts);
        put_varint(&mut out, self.names.len() as u64);
        put_ints(&mut out, &self.names);
        put_ints(&mut out, &self.values);
        put_ints(&mut out, &self.resources);
        put_ints(&mut out, &self.scopes);
        put_ints(&mut out, &self.chunk_counts);
        put_varint(&mut out, self.blocks.len() as u64);
        put_ints(&mut out, &self.blocks);
        put_ints(&mut out, &self.offsets);
        put_signed_ints(&mut out, &self.min_ms);
        let lengths = self.min_ms.iter().zip(&self.max_ms).map(|(a, b)| b.wrapping_sub(*a));
        put_signed_ints(&mut out, &lengths.collect::<Vec<_>>());
        out
    }
}

/// No symbol: see [`SeriesBlock::compare`].
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// A decoded block of series.
#[derive(Debug)]
pub(crate) struct SeriesBlock {
    bytes: Vec<u8>,
    /// Where each symbol lies in `bytes`.
    symbols: Vec<(u32, u32)>,
    /// Where each series' pairs begin; one more entry than series.
    pair_firsts: Vec<u32>,
    /// Name and value of each pair, as symbols.
    pairs: Vec<(u32, u32)>,
    resources: Vec<u64>,
    scopes: Vec<u64>,
    /// Where each series' chunks begin; one more entry than series.
    chunk_firsts: Vec<u32>,
    chunks: Vec<ChunkRef>,
}

impl SeriesBlock {
    pub(crate) fn read(bytes: Vec<u8>) -> Option<Self> {
        let r = &mut Reader::new(&bytes);
        let series = r.count(0).filter(|&n| n <= super::SERIES_PER_BLOCK)?;
        let count = r.count(1)?;
        let mut symbols = Vec::with_capacity(count);
        for _ in 0..count {
            // Checked here, once for all labels that are made of it.
            let len = r.str()?.len();
            symbols.push(((bytes.len() - r.remaining() - len) as u32, len as u32));
        }
        let pair_firsts = firsts(&ints(r, series)?)?;
        let count = usize::try_from(r.varint()?).ok()?;
        let pairs = ints(r, count)?.into_iter().zip(ints(r, count)?);
        let pairs: Vec<(u32, u32)> = pairs.map(|(n, v)| (n as u32, v as u32)).collect();
        let resources = ints(r, series)?;
        let scopes = ints(r, series)?;
        let chunk_firsts = firsts(&ints(r, series)?)?;
        let count = usize::try_from(r.varint()?).ok()?;
        let chunks = chunks(r, count)?;
        let whole = r.is_empty()
            && pair_firsts.last().is_some_and(|&n| n as usize == pairs.len())
            && chunk_firsts.last().is_some_and(|&n| n as usize == chunks.len())
            && pairs.iter().all(|&(n, v)| (n.max(v) as usize) < symbols.len());
        whole.then_some(SeriesBlock {
            symbols,
            pair_firsts,
            pairs,
            resources,
            scopes,
            chunk_firsts,
            chunks,
            bytes,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.resources.len()
    }

    fn symbol(&self, symbol: u32) -> &str {
        std::str::from_utf8(self.symbol_bytes(symbol)).unwrap_or("")
    }

    fn symbol_bytes(&self, symbol: u32) -> &[u8] {
        let Some(&(at, len)) = self.symbols.get(symbol as usize) else { return b"" };
        self.bytes.get(at as usize..at as usize + len as usize).unwrap_or(b"")
    }

    fn pairs_of(&self, series: usize) -> &[(u32, u32)] {
        let (from, to) = (self.pair_firsts[series] as usize, self.pair_firsts[series + 1] as usize);
        self.pairs.get(from..to).unwrap_or(&[])
    }

    pub(crate) fn labels(&self, series: usize) -> Labels {
        self.labels_by(&mut LabelsWriter::default(), series)
    }

    /// The same for many, by way of one buffer.
    pub(crate) fn labels_by(&self, writer: &mut LabelsWriter, series: usize) -> Labels {
        for &(name, value) in self.pairs_of(series) {
            writer.push(self.symbol_bytes(name), self.symbol_bytes(value));
        }
        writer.finish()
    }

    /// Writes those of the labels whose names are wanted.
    pub(crate) fn write_named(
        &self,
        writer: &mut LabelsWriter,
        series: usize,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) {
        for &(name, value) in self.pairs_of(series) {
            let name = self.symbol_bytes(name);
            if wanted(name) {
                writer.push(name, self.symbol_bytes(value));
            }
        }
    }

    pub(crate) fn owner(&self, series: usize) -> (u64, u64) {
        (self.resources[series], self.scopes[series])
    }

    pub(crate) fn chunks_of(&self, series: usize) -> &[ChunkRef] {
        let (Some(&from), Some(&to)) =
            (self.chunk_firsts.get(series), self.chunk_firsts.get(series + 1))
        else {
            return &[];
        };
        self.chunks.get(from as usize..to as usize).unwrap_or(&[])
    }

    /// Series that satisfy all matchers. Each pattern is evaluated once for each distinct
    /// value, not for each series.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Vec<u32> {
        let mut found: Vec<u32> = (0..self.len() as u32).collect();
        for matcher in matchers {
            let wanted = matcher.name.as_bytes();
            let name = (0..self.symbols.len() as u32).find(|&s| self.symbol_bytes(s) == wanted);
            let absent = matcher.matches("");
            let Some(name) = name else {
                if absent {
                    continue;
                }
                return Vec::new();
            };
            let mut known: Vec<Option<bool>> = vec![None; self.symbols.len()];
            found.retain(|&series| {
                let pair = self.pairs_of(series as usize).iter().find(|(n, _)| *n == name);
                pair.map_or(absent, |&(_, value)| {
                    *known[value as usize]
                        .get_or_insert_with(|| matcher.matches(self.symbol(value)))
                })
            });
        }
        found
    }

    /// Whether the name of the metric comes first in the labels of these series: their order
    /// in the part is that of [`Labels`] then.
    pub(crate) fn begin_with_name(&self, series: &[u32]) -> bool {
        let first = |&series: &u32| self.pairs_of(series as usize).first();
        let Some(name) = series.first().and_then(first) else { return series.is_empty() };
        self.symbol_bytes(name.0) == b"__name__"
            && series.iter().all(|series| first(series).is_some_and(|pair| pair.0 == name.0))
    }

    /// Compares the labels of a series with those of one of another block, as [`Labels`] are
    /// compared. `same` has a place for each symbol of the other block, [`UNKNOWN`] to begin
    /// with: it learns which symbol of this block is the same text.
    pub(crate) fn compare(
        &self,
        series: usize,
        (other, other_series): (&SeriesBlock, usize),
        same: &mut [u32],
    ) -> Ordering {
        let (ours, theirs) = (self.pairs_of(series), other.pairs_of(other_series));
        let mut compare = |our: u32, their: u32| {
            if same[their as usize] == our {
                return Ordering::Equal;
            }
            let order = self.symbol_bytes(our).cmp(other.symbol_bytes(their));
            if order == Ordering::Equal {
                same[their as usize] = our;
            }
            order
        };
        for (our, their) in ours.iter().zip(theirs) {
            let order = compare(our.0, their.0).then_with(|| compare(our.1, their.1));
            if order != Ordering::Equal {
                return order;
            }
        }
        ours.len().cmp(&theirs.len())
    }

    /// Compares the labels of a series with a set of labels.
    pub(crate) fn compare_labels(&self, series: usize, labels: &Labels) -> Ordering {
        let text = |symbol| self.symbol_bytes(symbol);
        let ours = self.pairs_of(series).iter().map(|&(name, value)| (text(name), text(value)));
        ours.cmp(labels.iter_bytes())
    }

    /// Number of distinct names and values.
    pub(crate) fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes.len()
            + (self.symbols.len() + self.pairs.len()) * 8
            + self.chunks.len() * 24
            + self.len() * 24
    }
}

/// From counts per series to where each begins; `None` if there are too many.
fn firsts(counts: &[u64]) -> Option<Vec<u32>> {
    let mut firsts = Vec::with_capacity(counts.len() + 1);
    let mut next = 0u64;
    firsts.push(0);
    for &count in counts {
        next = next.checked_add(count).filter(|&n| n <= u64::from(u32::MAX))?;
        firsts.push(next as u32);
    }
    Some(firsts)
}

fn chunks(r: &mut Reader<'_>, count: usize) -> Option<Vec<ChunkRef>> {
    let blocks = ints(r, count)?;
    let offsets = ints(r, count)?;
    let min_ms = signed_ints(r, count)?;
    let lengths = signed_ints(r, count)?;
    let mut chunks = Vec::with_capacity(count);
    for i in 0..count {
        chunks.push(ChunkRef {
            block: u32::try_from(blocks[i]).ok()?,
            offset: u32::try_from(offsets[i]).ok()?,
            min_ms: min_ms[i],
            max_ms: min_ms[i].wrapping_add(lengths[i]),
        });
    }
    Some(chunks)
}
