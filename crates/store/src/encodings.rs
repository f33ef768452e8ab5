//! The encodings of blocks one at a time, without a block around them: for the benchmark,
//! which says what each costs, and for the fuzzer, which gives each arbitrary bytes.
//! Nothing else should use it; it changes with the formats (`docs/format/columns.md`).

use std::ops::RangeInclusive;

use crate::bytes::Reader;
use crate::columns::{
    Attributes, AttributesWriter, Strings, StringsWriter, fixed, ints, put_fixed, put_ints,
};
use crate::model::Attribute;
use crate::part::metrics::{decode_chunk, put_floats};
use crate::row;
use crate::samples::Gather;
use crate::snapshot::Samples;

/// What a column holds. The variants are the encodings.
#[derive(Clone, Debug)]
pub enum Column {
    /// Times, durations, codes, counts.
    Numbers(Vec<u64>),
    /// Names, log lines.
    Strings(Vec<Vec<u8>>),
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
            Column::Numbers(rows) => rows.len(),
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
    /// Only the kind and the number of rows of `self` are looked at.
    pub fn decode_like(&self, bytes: &[u8]) -> Option<Column> {
        let (r, rows) = (&mut Reader::new(bytes), self.rows());
        Some(match self {
            Column::Numbers(_) => Column::Numbers(ints(r, rows)?),
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
                decode_chunk(bytes, &ALL, &mut gather)?;
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

fn row_bytes(attributes: &[Attribute<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    // What is too deep was cut the same way in both.
    let _ = row::put_attributes(&mut out, attributes, 0);
    out
}

#[cfg(test)]
mod tests;
