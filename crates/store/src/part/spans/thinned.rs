//! What is left of spans that were thinned out: how many there were, and how long they took.
//!
//! Spans are counted by minute, resource, name, kind, status, whether they have a parent,
//! and the power of two at or above their duration. `docs/format/part.md` has the bytes.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::tables::Owners;
use crate::bytes::{Reader, put_signed, put_varint};
use crate::columns::{Strings, StringsWriter, ints, put_ints, put_signed_ints, signed_ints};
use crate::error::Result;
use crate::head::clamp_time;
use crate::intern::{Interner, Seeded};
use crate::model::{Resource, Span, SpanKind, StatusCode};
use crate::part::{BlockRef, PartWriter};
use crate::row;

pub(crate) const MINUTE_NS: i64 = 60_000_000_000;
/// Counts to a block.
const BLOCK_COUNTS: usize = 4096;
/// The most counts a part keeps: there is memory for them while it is written. Names that
/// are all different would make one of every span.
const COUNTS_MAX: usize = 1 << 18;

/// Spans that are gone, and what is known of them together.
#[derive(Clone, Debug)]
pub struct ThinnedSpans<'a> {
    /// They start in the minute that ends here (its end belongs to it, its start does not),
    /// in Unix nanoseconds.
    pub minute_end_ns: i64,
    /// Who emitted them.
    pub resource: &'a Arc<Resource<'static>>,
    /// Their name.
    pub name: &'a str,
    /// Their role.
    pub kind: SpanKind,
    /// Their status.
    pub status: StatusCode,
    /// Whether they have no parent.
    pub is_root: bool,
    /// How many they are.
    pub count: u64,
    /// Their durations together, in nanoseconds.
    pub duration_sum_ns: u64,
    /// Least and greatest duration in nanoseconds; both have the same power of two at or
    /// above them, or are less than 2.
    pub durations_ns: (u64, u64),
}

impl ThinnedSpans<'_> {
    /// First and last instant they may start at.
    #[must_use]
    pub fn bounds_ns(&self) -> (i64, i64) {
        (self.minute_end_ns.saturating_sub(MINUTE_NS - 1), self.minute_end_ns)
    }
}

/// The end of the minute of a time.
fn minute_end(time_ns: i64) -> i64 {
    let before = time_ns.saturating_sub(1).div_euclid(MINUTE_NS);
    (before + 1).saturating_mul(MINUTE_NS)
}

/// The power of two at or above a duration, 0 for less than 2.
fn class_of(duration_ns: u64) -> u32 {
    if duration_ns < 2 { 0 } else { u64::BITS - (duration_ns - 1).leading_zeros() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    minute_end_ns: i64,
    resource: u32,
    name: u32,
    flags: u8,
    class: u32,
}

#[derive(Clone, Copy, Debug)]
struct Sum {
    count: u64,
    duration_ns: u64,
    min_ns: u64,
    max_ns: u64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.count = self.count.saturating_add(other.count);
        self.duration_ns = self.duration_ns.saturating_add(other.duration_ns);
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }
}

/// Counts spans that do not stay in a part.
#[derive(Debug, Default)]
pub(super) struct ThinnedWriter {
    names: Interner,
    sums: HashMap<Key, Sum, Seeded>,
    /// Some could not be counted.
    is_incomplete: bool,
}

impl ThinnedWriter {
    pub(super) fn span(&mut self, resource: u32, span: &Span<'_>) {
        let duration_ns = span.end_ns.saturating_sub(span.start_ns);
        let start_ns = clamp_time(span.start_ns);
        let sum = Sum { count: 1, duration_ns, min_ns: duration_ns, max_ns: duration_ns };
        let flags = flags(span.kind, span.status, span.parent_span_id == [0; 8]);
        self.add(minute_end(start_ns), resource, &span.name, flags, sum);
    }

    /// Takes over what another part has counted.
    pub(super) fn counted(&mut self, resource: u32, of: &ThinnedSpans<'_>) {
        let (min_ns, max_ns) = of.durations_ns;
        let sum = Sum { count: of.count, duration_ns: of.duration_sum_ns, min_ns, max_ns };
        let flags = flags(of.kind, of.status, of.is_root);
        self.add(of.minute_end_ns, resource, of.name, flags, sum);
    }

    /// From now on it is known that something is missing.
    pub(super) fn is_incomplete(&mut self) {
        self.is_incomplete = true;
    }

    fn add(&mut self, minute_end_ns: i64, resource: u32, name: &str, flags: u8, sum: Sum) {
        let (name, _) = self.names.insert(name.as_bytes());
        let key = Key { minute_end_ns, resource, name, flags, class: class_of(sum.max_ns) };
        if let Some(known) = self.sums.get_mut(&key) {
            known.add(sum);
        } else if self.sums.len() < COUNTS_MAX {
            self.sums.insert(key, sum);
        } else {
            self.is_incomplete = true;
        }
    }

    /// Writes the blocks and, into the footer, where they are.
    pub(super) fn finish(&self, part: &mut PartWriter, footer: &mut Vec<u8>) -> Result<()> {
        let mut rows: Vec<(Key, Sum)> = self.sums.iter().map(|(key, sum)| (*key, *sum)).collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        footer.push(u8::from(self.is_incomplete));
        put_varint(footer, rows.len().div_ceil(BLOCK_COUNTS) as u64);
        for block in rows.chunks(BLOCK_COUNTS) {
            part.block(&self.encode(block))?.put(footer);
            put_signed(footer, block[0].0.minute_end_ns);
            put_signed(footer, block[block.len() - 1].0.minute_end_ns);
        }
        Ok(())
    }

    fn encode(&self, rows: &[(Key, Sum)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |of: &dyn Fn(&(Key, Sum)) -> u64| {
            put_ints(&mut out, &rows.iter().map(of).collect::<Vec<_>>());
        };
        put(&|(key, _)| u64::from(key.resource));
        put(&|(key, _)| u64::from(key.flags));
        put(&|(_, sum)| sum.count);
        put(&|(_, sum)| sum.duration_ns);
        put(&|(_, sum)| sum.min_ns);
        put(&|(_, sum)| sum.max_ns - sum.min_ns);
        let minutes = rows.iter().map(|(key, _)| key.minute_end_ns.div_euclid(MINUTE_NS));
        put_signed_ints(&mut out, &minutes.collect::<Vec<_>>());
        let mut names = StringsWriter::default();
        rows.iter().for_each(|(key, _)| names.push(self.names.get(key.name).unwrap_or(b"")));
        names.finish(&mut out);
        let mut block = Vec::with_capacity(out.len() + 3);
        put_varint(&mut block, rows.len() as u64);
        block.extend_from_slice(&out);
        block
    }
}

fn flags(kind: SpanKind, status: StatusCode, is_root: bool) -> u8 {
    kind as u8 | (status as u8) << 4 | u8::from(is_root) << 7
}

/// Where the counts of a part are.
#[derive(Debug, Default)]
pub(crate) struct Thinned {
    blocks: Vec<ThinnedBlock>,
    /// Spans were thinned out that nobody counted.
    pub(crate) is_incomplete: bool,
}

/// What the footer says of a block of counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThinnedBlock {
    pub(crate) block: BlockRef,
    /// First and last end of a minute.
    minutes_ns: (i64, i64),
}

impl ThinnedBlock {
    /// First and last instant of its minutes.
    pub(crate) fn bounds_ns(&self) -> (i64, i64) {
        (self.minutes_ns.0.saturating_sub(MINUTE_NS - 1), self.minutes_ns.1)
    }
}

impl Thinned {
    /// Of a part that counts nothing, whether or not there was something to count.
    pub(super) fn uncounted(is_incomplete: bool) -> Self {
        Thinned { blocks: Vec::new(), is_incomplete }
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let is_incomplete = r.u8()? != 0;
        let mut blocks = Vec::new();
        for _ in 0..r.count(13)? {
            let block = BlockRef::read(r)?;
            blocks.push(ThinnedBlock { block, minutes_ns: (r.signed()?, r.signed()?) });
        }
        Some(Thinned { blocks, is_incomplete })
    }

    pub(crate) fn blocks(&self) -> &[ThinnedBlock] {
        &self.blocks
    }
}

/// Hands out the counts of a block; `None` if it is malformed.
pub(super) fn each_count(
    block: &[u8],
    owners: &Owners,
    visit: &mut dyn FnMut(u64, &ThinnedSpans<'_>),
) -> Option<()> {
    let r = &mut Reader::new(block);
    let count = usize::try_from(r.varint()?).ok().filter(|&n| n <= BLOCK_COUNTS)?;
    let (resources, flags) = (ints(r, count)?, ints(r, count)?);
    let (counts, sums) = (ints(r, count)?, ints(r, count)?);
    let (least, wider) = (ints(r, count)?, ints(r, count)?);
    let minutes = signed_ints(r, count)?;
    let names = Strings::read(block, r, count)?;
    r.is_empty().then_some(())?;
    for at in 0..count {
        let flags = u8::try_from(flags[at]).ok()?;
        visit(
            resources[at],
            &ThinnedSpans {
                minute_end_ns: minutes[at].saturating_mul(MINUTE_NS),
                resource: owners.resource(resources[at])?,
                name: names.text(block, at),
                kind: row::span_kind(flags & 0xf)?,
                status: row::status_code(flags >> 4 & 7)?,
                is_root: flags >> 7 == 1,
                count: counts[at],
                duration_sum_ns: sums[at],
                durations_ns: (least[at], least[at].saturating_add(wider[at])),
            },
        );
    }
    Some(())
}
