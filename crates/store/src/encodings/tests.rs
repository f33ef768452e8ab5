use super::*;
use crate::model::{STALE_NAN, Value};

/// A small generator (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn bytes(&mut self, len_max: u64) -> Vec<u8> {
        (0..self.below(len_max + 1)).map(|_| self.next() as u8).collect()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes(12)).into_owned()
    }

    fn number(&mut self) -> u64 {
        let bits = self.below(64);
        self.next() >> bits
    }

    fn float(&mut self) -> f64 {
        match self.below(8) {
            0 => STALE_NAN,
            // Another NaN, with a payload of its own.
            1 => f64::from_bits(0x7ff8_0000_0000_0000 | self.number() >> 13),
            2 => -0.0,
            3 => f64::from_bits(self.next()),
            _ => self.below(1_000_000) as f64 / 1000.0,
        }
    }

    fn value(&mut self, depth: u64) -> Value<'static> {
        match self.below(8 - depth.min(3)) {
            0 => Value::Empty,
            1 => Value::Str(self.text().into()),
            2 => Value::Bool(self.below(2) == 0),
            3 => Value::Int(self.number() as i64),
            4 => Value::Double(self.float()),
            5 => Value::Bytes(self.bytes(9).into()),
            6 => Value::Array((0..self.below(3)).map(|_| self.value(depth + 1)).collect()),
            _ => Value::Map(self.attributes(depth + 1)),
        }
    }

    fn attributes(&mut self, depth: u64) -> Vec<Attribute<'static>> {
        let key = |random: &mut Self| format!("key.{}", random.below(6)).into();
        (0..self.below(5)).map(|_| Attribute { key: key(self), value: self.value(depth) }).collect()
    }

    fn body(&mut self) -> Vec<u8> {
        match self.below(4) {
            0 => self.bytes(20),
            1 => self.text().into_bytes(),
            2 => format!("{}\n{:x}-{:04} done", self.number(), self.number(), self.below(3000))
                .into(),
            _ => format!("took {}.{:02}ms", self.below(1000), self.below(100)).into(),
        }
    }

    fn column(&mut self) -> Column {
        let rows = self.below(200);
        match self.below(7) {
            5 => Column::Packed((0..rows).map(|_| self.number()).collect()),
            6 => Column::Lines {
                times_ns: (0..rows).map(|_| self.number()).collect(),
                bodies: (0..rows).map(|_| self.body()).collect(),
            },
            0 => Column::Numbers((0..rows).map(|_| self.number()).collect()),
            1 => Column::Strings((0..rows).map(|_| self.bytes(3)).collect()),
            2 => {
                let id = |random: &mut Self| match random.below(3) {
                    0 => [0; 16],
                    _ => (u128::from(random.next()) << 64 | 1).to_be_bytes(),
                };
                Column::Ids((0..rows).map(|_| id(self)).collect())
            }
            3 => Column::Attributes((0..rows).map(|_| self.attributes(0)).collect()),
            _ => Column::Floats {
                times_ms: (0..rows as i64).map(|row| row * 15_000).collect(),
                values: (0..rows).map(|_| self.float()).collect(),
            },
        }
    }
}

#[test]
fn every_column_comes_back_bit_by_bit() {
    for seed in 1..3000u64 {
        let column = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).column();
        let bytes = column.encode();
        let read = column.decode_like(&bytes);
        let same = read.is_some_and(|read| read.same_bits(&column));
        assert!(same, "seed {seed}: {column:?} became {bytes:02x?}");
    }
}

#[test]
fn cut_and_changed_bytes_are_refused_or_give_as_many_rows() {
    for seed in 1..600u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let column = random.column();
        let mut bytes = column.encode();
        for _ in 0..20 {
            let at = random.below(bytes.len() as u64) as usize;
            let was = bytes[at];
            bytes[at] = random.next() as u8;
            let cut = &bytes[..bytes.len() - random.below(2) as usize];
            if let (Some(read), false) =
                (column.decode_like(cut), matches!(column, Column::Floats { .. }))
            {
                assert_eq!(read.rows(), column.rows(), "seed {seed}");
            }
            bytes[at] = was;
        }
    }
}
