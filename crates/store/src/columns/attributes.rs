//! Attributes of many rows: one column for each key and type, and for each row the list
//! of columns it has a value in. Rows of one kind share that list, so it is kept once.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{ROWS_MAX, Strings, StringsWriter, ints, put_ints};
use crate::bytes::{Reader, put_bytes, put_varint, unzigzag, zigzag};
use crate::intern::Interner;
use crate::model::{Attribute, Value};
use crate::row;

const OTHER: u8 = 0;
const STR: u8 = 1;
const INT: u8 = 2;
const DOUBLE: u8 = 3;
const BOOL: u8 = 4;

fn kind_of(value: &Value<'_>) -> u8 {
    match value {
        Value::Str(_) => STR,
        Value::Int(_) => INT,
        Value::Double(_) => DOUBLE,
        Value::Bool(_) => BOOL,
        Value::Empty | Value::Bytes(_) | Value::Array(_) | Value::Map(_) => OTHER,
    }
}

/// Collects attributes of rows.
#[derive(Debug, Default)]
pub(crate) struct AttributesWriter {
    /// Type and key of each column.
    columns: Interner,
    strings: Vec<StringsWriter>,
    numbers: Vec<Vec<u64>>,
    /// Which column came after each the last time; first, which began a row.
    followers: Vec<u32>,
    /// The list of columns, as varints.
    shapes: Interner,
    row_shapes: Vec<u64>,
    scratch: Vec<u8>,
    bytes: usize,
}

impl AttributesWriter {
    pub(crate) fn push(&mut self, attributes: &[Attribute<'_>]) {
        let mut shape = Vec::with_capacity(attributes.len() * 2);
        let mut place = 0;
        for attribute in attributes {
            let column = self.column_after(place, kind_of(&attribute.value), &attribute.key);
            put_varint(&mut shape, u64::from(column));
            self.push_value(column as usize, &attribute.value);
            place = column as usize + 1;
        }
        let (shape, _) = self.shapes.insert(&shape);
        self.row_shapes.push(u64::from(shape));
    }

    /// The column of a type and key: most follow the same one again and again.
    fn column_after(&mut self, place: usize, kind: u8, key: &str) -> u32 {
        self.followers.resize(self.columns.len() + 1, 0);
        let likely = self.columns.get(self.followers[place]).and_then(<[u8]>::split_first);
        if likely == Some((&kind, key.as_bytes())) {
            return self.followers[place];
        }
        self.scratch.clear();
        self.scratch.push(kind);
        self.scratch.extend_from_slice(key.as_bytes());
        let (column, new) = self.columns.insert(&self.scratch);
        if new {
            self.bytes += key.len();
            self.strings.push(StringsWriter::default());
            self.numbers.push(Vec::new());
        }
        self.followers[place] = column;
        column
    }

    fn push_value(&mut self, column: usize, value: &Value<'_>) {
        let numbers = &mut self.numbers[column];
        self.bytes += 8;
        match value {
            Value::Str(text) => {
                self.bytes += text.len();
                self.strings[column].push(text.as_bytes());
            }
            Value::Int(int) => numbers.push(zigzag(*int)),
            Value::Double(double) => numbers.push(double.to_bits()),
            Value::Bool(bool) => numbers.push(u64::from(*bool)),
            Value::Empty | Value::Bytes(_) | Value::Array(_) | Value::Map(_) => {
                self.scratch.clear();
                // Whoever wrote the row once kept to the depth.
                let _ = row::put_value(&mut self.scratch, value, 0);
                self.bytes += self.scratch.len();
                self.strings[column].push(&self.scratch);
            }
        }
    }

    /// Keys of all columns; one may occur with several types.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.columns.iter().filter_map(|column| column.get(1..))
    }

    /// Every distinct value of every column, with its key.
    pub(crate) fn each_distinct(&self, visit: &mut dyn FnMut(&str, &Value<'_>)) {
        for (at, column) in self.columns.iter().enumerate() {
            let Some((&kind, key)) = column.split_first() else { continue };
            let key = std::str::from_utf8(key).unwrap_or("");
            match kind {
                STR => {
                    let texts = self.strings[at].distinct().map(String::from_utf8_lossy);
                    texts.for_each(|text| visit(key, &Value::Str(text)));
                }
                OTHER => {
                    let values =
                        self.strings[at].distinct().map(|b| row::value(&mut Reader::new(b), 0));
                    values.for_each(|value| visit(key, &value.unwrap_or_default()));
                }
                kind => {
                    let mut numbers = self.numbers[at].clone();
                    numbers.sort_unstable();
                    numbers.dedup();
                    numbers.into_iter().for_each(|number| visit(key, &of_number(kind, number)));
                }
            }
        }
    }

    /// Roughly the bytes collected.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        put_varint(out, self.columns.len() as u64);
        for column in self.columns.iter() {
            put_bytes(out, column);
        }
        put_varint(out, self.shapes.len() as u64);
        for shape in self.shapes.iter() {
            put_bytes(out, shape);
        }
        put_ints(out, &self.row_shapes);
        for (column, (strings, numbers)) in
            self.columns.iter().zip(self.strings.iter().zip(&self.numbers))
        {
            match column.first() {
                Some(&(STR | OTHER)) => strings.finish(out),
                _ => put_ints(out, numbers),
            }
        }
    }
}

/// Attributes of many rows, read one row at a time.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    columns: Vec<Column>,
    shapes: Vec<Vec<u32>>,
    row_shapes: Vec<u32>,
    /// Where in `cells` each row begins.
    row_cells: Vec<u32>,
    /// For each value of each row, its place in its column.
    cells: Vec<u32>,
}

#[derive(Debug)]
struct Column {
    /// Where the key lies in the block.
    key: (u32, u32),
    kind: u8,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Strings(Strings),
    Numbers(Vec<u64>),
}

impl Attributes {
    /// Reads the columns of `count` rows out of `block`, where `r` stands.
    pub(crate) fn read(block: &[u8], r: &mut Reader<'_>, count: usize) -> Option<Self> {
        let heads = column_heads(block, r)?;
        let shapes = shapes(r, heads.len())?;
        let row_shapes = ints(r, count)?;
        // Each row takes the next value of each of its columns.
        let mut taken = vec![0u32; heads.len()];
        let mut row_cells = Vec::with_capacity(count);
        let mut cells = Vec::new();
        for &shape in &row_shapes {
            row_cells.push(cells.len() as u32);
            for &column in shapes.get(usize::try_from(shape).ok()?)? {
                let next = taken.get_mut(column as usize)?;
                cells.push(*next);
                *next += 1;
            }
            if cells.len() > ROWS_MAX {
                return None;
            }
        }
        let mut columns = Vec::with_capacity(heads.len());
        for ((key, kind), count) in heads.into_iter().zip(taken) {
            let values = match kind {
                STR | OTHER => Values::Strings(Strings::read(block, r, count as usize)?),
                INT | DOUBLE | BOOL => Values::Numbers(ints(r, count as usize)?),
                _ => return None,
            };
            columns.push(Column { key, kind, values });
        }
        let row_shapes = row_shapes.into_iter().map(|s| s as u32).collect();
        Some(Attributes { columns, shapes, row_shapes, row_cells, cells })
    }

    /// All attributes of a row, in the order they came.
    pub(crate) fn get<'a>(&self, block: &'a [u8], row: usize) -> Vec<Attribute<'a>> {
        self.cells_of(row)
            .map(|(column, cell)| Attribute {
                key: Cow::Borrowed(text(block, column.key)),
                value: column.value(block, cell),
            })
            .collect()
    }

    /// For each row `None` if it lacks the key, else what `test` says of its (first) value.
    pub(crate) fn matching(
        &self,
        block: &[u8],
        key: &str,
        test: &dyn Fn(&Value<'_>) -> bool,
    ) -> Vec<Option<bool>> {
        let has_key = |column: &u32| {
            let column = self.columns.get(*column as usize);
            column.is_some_and(|c| text(block, c.key) == key)
        };
        let place = |shape: &Vec<u32>| shape.iter().position(has_key).map(|at| (at, shape[at]));
        let places: Vec<Option<(usize, u32)>> = self.shapes.iter().map(place).collect();
        // What is known of each distinct string of each column.
        let mut known: Vec<Vec<Option<bool>>> = vec![Vec::new(); self.columns.len()];
        let rows = self.row_shapes.iter().zip(&self.row_cells);
        rows.map(|(&shape, &first)| {
            let (at, column) = (*places.get(shape as usize)?)?;
            let cell = *self.cells.get(first as usize + at)? as usize;
            let values = self.columns.get(column as usize)?;
            let Values::Strings(strings) = &values.values else {
                return Some(test(&values.value(block, cell)));
            };
            let known = known.get_mut(column as usize)?;
            known.resize(strings.distinct_len(), None);
            let known = known.get_mut(strings.code(cell))?;
            Some(*known.get_or_insert_with(|| test(&values.value(block, cell))))
        })
        .collect()
    }

    /// Keys of all columns; one may occur with several types.
    pub(crate) fn keys<'a>(&'a self, block: &'a [u8]) -> impl Iterator<Item = &'a str> {
        self.columns.iter().map(|column| text(block, column.key))
    }

    /// For each row a number that is the same for rows whose attributes with wanted keys
    /// are the same (and may be another for some that are).
    pub(crate) fn codes(&self, block: &[u8], wanted: &dyn Fn(&str) -> bool) -> Vec<u64> {
        let is_wanted: Vec<bool> = self.keys(block).map(wanted).collect();
        let mut known: HashMap<(u64, u32, u64), u64> = HashMap::new();
        (0..self.row_shapes.len())
            .map(|row| {
                let first = self.row_cells.get(row).map_or(0, |&c| c as usize);
                let shape = self.shapes.get(self.row_shapes[row] as usize);
                let columns = shape.map_or(&[][..], Vec::as_slice).iter();
                let cells = self.cells.get(first..).unwrap_or(&[]);
                let mut code = 0;
                for (&at, &cell) in columns.zip(cells) {
                    let column = self.columns.get(at as usize);
                    let (Some(column), Some(true)) = (column, is_wanted.get(at as usize)) else {
                        continue;
                    };
                    let value = match &column.values {
                        Values::Strings(strings) => strings.code(cell as usize) as u64,
                        Values::Numbers(numbers) => {
                            numbers.get(cell as usize).copied().unwrap_or(0)
                        }
                    };
                    let next = known.len() as u64 + 1;
                    code = *known.entry((code, at, value)).or_insert(next);
                }
                code
            })
            .collect()
    }

    fn cells_of(&self, row: usize) -> impl Iterator<Item = (&Column, usize)> {
        let shape = self.row_shapes.get(row).and_then(|&s| self.shapes.get(s as usize));
        let first = self.row_cells.get(row).map_or(0, |&c| c as usize);
        let columns = shape.map_or(&[][..], Vec::as_slice).iter();
        columns.zip(self.cells.get(first..).unwrap_or(&[])).filter_map(|(&column, &cell)| {
            Some((self.columns.get(column as usize)?, cell as usize))
        })
    }

    /// Memory taken, in bytes.
    pub(crate) fn byte_len(&self) -> usize {
        let values = self.columns.iter().map(|c| match &c.values {
            Values::Strings(strings) => strings.byte_len(),
            Values::Numbers(numbers) => numbers.len() * 8,
        });
        self.cells.len() * 4 + self.row_shapes.len() * 8 + values.sum::<usize>()
    }
}

impl Column {
    fn value<'a>(&self, block: &'a [u8], cell: usize) -> Value<'a> {
        match &self.values {
            Values::Strings(strings) if self.kind == STR => {
                Value::Str(Cow::Borrowed(strings.text(block, cell)))
            }
            Values::Strings(strings) => {
                let bytes = strings.get(block, cell);
                row::value(&mut Reader::new(bytes), 0).unwrap_or_default()
            }
            Values::Numbers(numbers) => {
                of_number(self.kind, numbers.get(cell).copied().unwrap_or(0))
            }
        }
    }
}

fn of_number(kind: u8, number: u64) -> Value<'static> {
    match kind {
        INT => Value::Int(unzigzag(number)),
        DOUBLE => Value::Double(f64::from_bits(number)),
        _ => Value::Bool(number != 0),
    }
}

fn text(block: &[u8], (at, len): (u32, u32)) -> &str {
    let bytes = block.get(at as usize..at as usize + len as usize);
    bytes.and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("")
}

/// Place of the key and kind of each column.
type Heads = Vec<((u32, u32), u8)>;

fn column_heads(block: &[u8], r: &mut Reader<'_>) -> Option<Heads> {
    let count = r.count(2)?;
    let mut heads = Vec::with_capacity(count);
    for _ in 0..count {
        let (&kind, key) = r.bytes()?.split_first()?;
        let at = block.len() - r.remaining() - key.len();
        heads.push(((u32::try_from(at).ok()?, u32::try_from(key.len()).ok()?), kind));
    }
    Some(heads)
}

fn shapes(r: &mut Reader<'_>, columns: usize) -> Option<Vec<Vec<u32>>> {
    let count = r.count(1)?;
    let mut shapes = Vec::with_capacity(count);
    for _ in 0..count {
        let mut bytes = Reader::new(r.bytes()?);
        let mut shape = Vec::new();
        while !bytes.is_empty() {
            let column = bytes.varint32()?;
            if column as usize >= columns {
                return None;
            }
            shape.push(column);
        }
        shapes.push(shape);
    }
    Some(shapes)
}
