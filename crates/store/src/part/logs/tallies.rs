//! How many rows of each group a block has, and when: counting reads this instead of rows.

use super::block::LogGroup;
use crate::bytes::{Reader, put_bytes, put_varint};
use crate::columns::ROWS_MAX;
use crate::head::clamp_time;

/// A second, in nanoseconds: the finest unit.
const SECOND_NS: u64 = 1_000_000_000;
/// How many of each unit make the next one: ten seconds, a minute, ten minutes, an hour.
const COARSER: [u64; 4] = [10, 6, 10, 6];
/// A block has no tallies if they would have more cells than this, and one for so many rows:
/// they would be hardly shorter than what they spare.
const CELLS_MIN: usize = 16;
const ROWS_PER_CELL: usize = 16;

/// What a block's rows add up to. Time is divided into units; unit *n* is after the end of
/// unit *n* − 1 and up to *n* times the unit's length.
#[derive(Debug)]
pub(crate) struct LogTallies {
    pub(crate) unit_ns: i64,
    /// In the order of the block.
    pub(crate) groups: Vec<GroupTally>,
    keys: Vec<Box<str>>,
}

/// The rows of one group.
#[derive(Debug)]
pub(crate) struct GroupTally {
    pub(crate) group: LogGroup,
    /// Units in which there are any, ascending, and how many.
    pub(crate) cells: Vec<(u64, u64)>,
}

impl LogTallies {
    /// Whether a row has an attribute whose key is wanted.
    pub(crate) fn has_key(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        self.keys.iter().any(|key| wanted(key))
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let r = &mut Reader::new(bytes);
        let unit_ns = r.varint()?.checked_mul(SECOND_NS)?;
        let unit_ns = i64::try_from(unit_ns).ok().filter(|unit_ns| *unit_ns > 0)?;
        let mut groups = Vec::new();
        for _ in 0..r.count(8)? {
            let group = LogGroup::read(r)?;
            let mut cells = Vec::new();
            let mut unit = 0u64;
            for _ in 0..r.count(2)? {
                unit = unit.checked_add(r.varint()?)?;
                let rows = r.varint().filter(|rows| *rows <= ROWS_MAX as u64)?;
                cells.push((unit, rows));
            }
            groups.push(GroupTally { group, cells });
        }
        let mut keys = Vec::new();
        for _ in 0..r.count(1)? {
            keys.push(r.str()?.into());
        }
        r.is_empty().then_some(LogTallies { unit_ns, groups, keys })
    }
}

/// The tallies of a block as bytes; none if it has too many groups or is spread too thinly.
/// Rows of one group come in the order of time.
pub(super) fn put<'a>(
    groups: &[LogGroup],
    codes: &[u64],
    times: &[u64],
    keys: impl Iterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let cells_max = CELLS_MIN + codes.len() / ROWS_PER_CELL;
    if groups.len() > cells_max {
        return Vec::new();
    }
    let mut cells = cells_by_second(groups.len(), codes, times);
    let mut unit_s = 1;
    let mut coarser = COARSER.iter();
    while cells.iter().map(Vec::len).sum::<usize>() > cells_max {
        let Some(times) = coarser.next() else { return Vec::new() };
        unit_s *= times;
        cells.iter_mut().for_each(|cells| coarsen(cells, *times));
    }
    let mut out = Vec::new();
    put_varint(&mut out, unit_s);
    put_varint(&mut out, groups.len() as u64);
    for (group, cells) in groups.iter().zip(&cells) {
        group.put(&mut out);
        put_varint(&mut out, cells.len() as u64);
        let mut before = 0;
        for (unit, rows) in cells {
            put_varint(&mut out, unit - before);
            put_varint(&mut out, *rows);
            before = *unit;
        }
    }
    let keys: Vec<&[u8]> = keys.collect();
    put_varint(&mut out, keys.len() as u64);
    keys.iter().for_each(|key| put_bytes(&mut out, key));
    out
}

fn cells_by_second(groups: usize, codes: &[u64], times: &[u64]) -> Vec<Vec<(u64, u64)>> {
    let mut cells = vec![Vec::new(); groups];
    for (code, time) in codes.iter().zip(times) {
        let unit = (clamp_time(*time) as u64).div_ceil(SECOND_NS);
        add(&mut cells[*code as usize], unit, 1);
    }
    cells
}

fn coarsen(cells: &mut Vec<(u64, u64)>, times: u64) {
    let mut coarse = Vec::new();
    for (unit, rows) in cells.drain(..) {
        add(&mut coarse, unit.div_ceil(times), rows);
    }
    *cells = coarse;
}

fn add(cells: &mut Vec<(u64, u64)>, unit: u64, rows: u64) {
    match cells.last_mut() {
        Some((last, count)) if *last == unit => *count += rows,
        _ => cells.push((unit, rows)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(stream: u64) -> LogGroup {
        LogGroup { stream, resource: 1, scope: 2, severity: 9, severity_text: "INFO".into() }
    }

    fn tallies(codes: &[u64], times: &[u64]) -> Vec<u8> {
        put(&[group(0), group(1)], codes, times, [&b"level"[..]].into_iter())
    }

    #[test]
    fn a_unit_has_its_end_and_not_its_start() {
        let times = [0, 1, SECOND_NS, SECOND_NS + 1, 5 * SECOND_NS, u64::MAX];
        let read = LogTallies::read(&tallies(&[0, 0, 0, 1, 1, 1], &times)).unwrap();
        assert_eq!(read.unit_ns, 1_000_000_000);
        assert_eq!(read.groups[0].cells, [(0, 1), (1, 2)]);
        let last = (i64::MAX as u64).div_ceil(SECOND_NS);
        assert_eq!(read.groups[1].cells, [(2, 1), (5, 1), (last, 1)]);
        assert_eq!(read.groups[1].group, group(1));
        assert!(read.has_key(&|key| key == "level") && !read.has_key(&|key| key == "other"));
    }

    #[test]
    fn units_are_as_fine_as_cells_allow() {
        for (every_s, unit_s) in [(1, 10), (9, 60), (59, 600), (500, 3600), (1000, 0)] {
            let times: Vec<u64> = (0..160).map(|n| n * every_s * SECOND_NS).collect();
            let codes = vec![0; times.len()];
            let read = LogTallies::read(&tallies(&codes, &times));
            // Each hour has a cell or more, and there may be 26.
            let thin = every_s * 160 > 27 * 3600;
            assert_eq!(read.is_none(), thin, "{every_s}");
            let Some(read) = read else { continue };
            assert_eq!(read.unit_ns / 1_000_000_000, unit_s, "{every_s}");
            let rows: u64 = read.groups[0].cells.iter().map(|cell| cell.1).sum();
            assert_eq!(rows, 160);
            let first_of = |time: u64| time.div_ceil(read.unit_ns as u64);
            for (unit, rows) in &read.groups[0].cells {
                let expect = times.iter().filter(|time| first_of(**time) == *unit).count();
                assert_eq!(*rows, expect as u64, "{every_s} {unit}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let whole = tallies(&[0, 0, 1], &[1, 2, 3]);
        for len in 0..whole.len() {
            assert!(LogTallies::read(&whole[..len]).is_none(), "{len}");
        }
    }
}
