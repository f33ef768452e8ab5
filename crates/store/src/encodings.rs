//! The encodings of blocks one at a time, without a block around them: for the benchmark,
//! which says what each costs, and for the fuzzer, which gives each arbitrary bytes.
//! Nothing else should use it; it changes with the formats (`docs/format/columns.md`).

use std::ops::RangeInclusive;

use crate::bytes::{Reader, put_bytes};
use crate::columns::{
    Attributes, AttributesWriter, Lines, LinesWriter, Strings, StringsWriter, fixed, ints, numbers,
    put_fixed, put_ints, put_numbers,
};
use crate::model::Attribute;
use crate::part::metrics::{ChunkReader, put_floats};
use crate::row;
use crate::samples::Gather;
use crate::snapshot::Samples;

/// What a column holds. The variants are the encodings.
#[derive(Clone, Debug)]
pub enum Column {
    /// Times, durations, codes, counts.
    Numbers(Vec<u64>),
    /// The same, for what no compressor sees.
    Packed(Vec<u64>),
    /// Names, words.
    Strings(Vec<Vec<u8>>),
    /// Bodies of log records.
    Lines {
        /// Unix nanoseconds.
        times_ns: Vec<u64>,
        /// One for each time.
        bodies: Vec<Vec<u8>>,
    },
    /// Trace ids.
    Ids(Vec<[u8; 16]>),
    /// The attributes of rows.
    Attributes(Vec<Vec<Attribute<'static>>>),
    /// Samples of one series: at most 2048.
    Floats {
        /// Unix milliseconds, ascending.
        times_ms: Vec<i64>,
        /// One for each time.
        values: Vec<f64>,
    },
}

impl Column {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        match self {
            Column::Numbers(rows) | Column::Packed(rows) => rows.len(),
            Column::Lines { times_ns, .. } => times_ns.len(),
            Column::Strings(rows) => rows.len(),
            Column::Ids(rows) => rows.len(),
            Column::Attributes(rows) => rows.len(),
            Column::Floats { values, .. } => values.len(),
        }
    }

    /// The column as it stands in a block before zstd.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Column::Numbers(rows) => put_ints(&mut out, rows),
            Column::Packed(rows) => put_numbers(&mut out, rows),
            Column::Lines { times_ns, bodies } => put_lines(&mut out, times_ns, bodies),
            Column::Ids(rows) => put_fixed(&mut out, rows),
            Column::Floats { times_ms, values } => put_floats(&mut out, times_ms, &[], values),
            Column::Strings(rows) => {
                let mut writer = StringsWriter::default();
                rows.iter().for_each(|row| writer.push(row));
                writer.finish(&mut out);
            }
            Column::Attributes(rows) => {
                let mut writer = AttributesWriter::default();
                rows.iter().for_each(|row| writer.push(row));
                writer.finish(&mut out);
            }
        }
        out
    }

    /// What `encode` made of a column like this one; `None` if the bytes are malformed.
    /// Only the kind, the number of rows and the times of lines of `self` are looked at.
    pub fn decode_like(&self, bytes: &[u8]) -> Option<Column> {
        let (r, rows) = (&mut Reader::new(bytes), self.rows());
        Some(match self {
            Column::Numbers(_) => Column::Numbers(ints(r, rows)?),
            Column::Packed(_) => Column::Packed(numbers(r, rows)?),
            Column::Lines { times_ns, .. } => lines(r, times_ns)?,
            Column::Ids(_) => Column::Ids(fixed(r, rows)?),
            Column::Strings(_) => {
                let column = Strings::read(bytes, r, rows)?;
                Column::Strings((0..rows).map(|row| column.get(bytes, row).to_vec()).collect())
            }
            Column::Attributes(_) => {
                let column = Attributes::read(bytes, r, rows)?;
                let row = |row| column.get(bytes, row).into_iter().map(Attribute::into_owned);
                Column::Attributes((0..rows).map(|at| row(at).collect()).collect())
            }
            Column::Floats { .. } => {
                const ALL: RangeInclusive<i64> = i64::MIN..=i64::MAX;
                let mut samples = Samples::default();
                let mut gather = Gather::new(&mut samples);
                ChunkReader::default().read(bytes, &ALL, &mut gather)?;
                gather.finish();
                Column::Floats { times_ms: samples.float_times_ms, values: samples.floats }
            }
        })
    }

    /// Whether every bit is the same, those of NaN too.
    pub fn same_bits(&self, other: &Column) -> bool {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        match (self, other) {
            (Column::Numbers(a), Column::Numbers(b)) => a == b,
            (Column::Packed(a), Column::Packed(b)) => a == b,
            (Column::Lines { bodies: a, .. }, Column::Lines { bodies: b, .. }) => a == b,
            (Column::Strings(a), Column::Strings(b)) => a == b,
            (Column::Ids(a), Column::Ids(b)) => a == b,
            (Column::Attributes(a), Column::Attributes(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| row_bytes(a) == row_bytes(b))
            }
            (
                Column::Floats { times_ms: a, values: x },
                Column::Floats { times_ms: b, values: y },
            ) => a == b && bits(x) == bits(y),
            _ => false,
        }
    }
}

/// In a part the two halves are pieces of their own.
fn put_lines(out: &mut Vec<u8>, times_ns: &[u64], bodies: &[Vec<u8>]) {
    let mut writer = LinesWriter::default();
    for (body, time_ns) in bodies.iter().zip(times_ns) {
        match std::str::from_utf8(body) {
            Ok(text) => writer.push(text, *time_ns),
            Err(_) => writer.push_bytes(body),
        }
    }
    let (mut text, mut packed) = (Vec::new(), Vec::new());
    writer.finish(&mut text, &mut packed);
    put_bytes(out, &text);
    out.extend_from_slice(&packed);
}

fn lines(r: &mut Reader<'_>, times_ns: &[u64]) -> Option<Column> {
    let text = r.bytes()?.to_vec();
    let lines = Lines::read(text, r.take(r.remaining())?.to_vec(), 0, times_ns.len())?;
    let body = |(row, time_ns): (usize, &u64)| {
        let mut body = Vec::new();
        lines.put(row, *time_ns, &mut body).then_some(body)
    };
    let bodies = times_ns.iter().enumerate().map(body).collect::<Option<_>>()?;
    Some(Column::Lines { times_ns: times_ns.to_vec(), bodies })
}

fn row_bytes(attributes: &[Attribute<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    // What is too deep was cut the same way in both.
    let _ = row::put_attributes(&mut out, attributes, 0);
    out
}

#[cfg(test)]
mod tests;
