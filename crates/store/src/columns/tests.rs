use std::borrow::Cow;

use super::*;
use crate::model::{Attribute, Value};

/// A small generator; the seed is in the name of what failed.
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
}

#[test]
fn numbers_round_trip_in_every_form() {
    let mut random = Random(7);
    let mut cases: Vec<Vec<u64>> = vec![
        vec![],
        vec![5],
        vec![u64::MAX; 3],
        vec![0, u64::MAX, 1],
        (0..100).map(|i| 1_700_000_000_000_000_000 + i * 15).collect(),
        (0..100).map(|_| 3).collect(),
    ];
    for _ in 0..50 {
        let bits = random.below(64);
        let count = random.below(300);
        cases.push((0..count).map(|_| random.next() >> bits).collect());
    }
    let mut forms = [false; 4];
    for case in cases {
        let mut out = Vec::new();
        put_ints(&mut out, &case);
        forms[out[0] as usize] = true;
        let mut r = Reader::new(&out);
        assert_eq!(ints(&mut r, case.len()), Some(case));
        assert!(r.is_empty());
    }
    assert_eq!(forms, [true; 4]);
}

#[test]
fn strings_round_trip_repeated_and_distinct() {
    let mut random = Random(9);
    for distinct in [1, 3, 10_000] {
        let texts: Vec<String> = (0..500)
            .map(|_| {
                "x".repeat(random.below(distinct) as usize % 70)
                    + &random.below(distinct).to_string()
            })
            .collect();
        let mut writer = StringsWriter::default();
        texts.iter().for_each(|t| writer.push(t.as_bytes()));
        let mut block = b"before".to_vec();
        writer.finish(&mut block);
        let mut r = Reader::new(&block);
        r.take(6).unwrap();
        let strings = Strings::read(&block, &mut r, texts.len()).unwrap();
        assert!(r.is_empty());
        for (i, text) in texts.iter().enumerate() {
            assert_eq!(strings.text(&block, i), text, "{distinct} {i}");
        }
    }
}

#[test]
fn ids_round_trip_with_and_without_zeros() {
    let cases: [Vec<[u8; 8]>; 4] =
        [vec![], vec![[0; 8]; 9], vec![[1; 8], [2; 8]], vec![[0; 8], [3; 8], [0; 8]]];
    for case in cases {
        let mut out = Vec::new();
        put_fixed(&mut out, &case);
        let mut r = Reader::new(&out);
        assert_eq!(fixed(&mut r, case.len()), Some(case));
        assert!(r.is_empty());
    }
}

fn random_value(random: &mut Random, depth: u32) -> Value<'static> {
    match random.below(if depth > 2 { 6 } else { 8 }) {
        0 => Value::Empty,
        1 => Value::Str(Cow::Owned(format!("v{}", random.below(5)))),
        2 => Value::Bool(random.below(2) == 0),
        3 => Value::Int(random.next() as i64 >> random.below(64)),
        4 => Value::Double(random.below(1000) as f64 / 8.0),
        5 => Value::Bytes(Cow::Owned(random.next().to_le_bytes().to_vec())),
        6 => Value::Array((0..random.below(3)).map(|_| random_value(random, depth + 1)).collect()),
        _ => Value::Map(random_attributes(random, depth + 1)),
    }
}

fn random_attributes(random: &mut Random, depth: u32) -> Vec<Attribute<'static>> {
    (0..random.below(5))
        .map(|_| Attribute {
            key: Cow::Owned(format!("k{}", random.below(4))),
            value: random_value(random, depth),
        })
        .collect()
}

#[test]
fn attributes_round_trip_with_repeated_keys_and_changing_types() {
    for seed in 1..40 {
        let mut random = Random(seed);
        let rows: Vec<_> = (0..50).map(|_| random_attributes(&mut random, 0)).collect();
        let mut writer = AttributesWriter::default();
        rows.iter().for_each(|row| writer.push(row));
        let mut block = vec![1, 2, 3];
        writer.finish(&mut block);
        let mut r = Reader::new(&block);
        r.take(3).unwrap();
        let read = Attributes::read(&block, &mut r, rows.len()).unwrap();
        assert!(r.is_empty());
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(&read.get(&block, i), row, "seed {seed} row {i}");
        }
    }
}

#[test]
fn damaged_columns_are_refused_or_read_without_panic() {
    let mut random = Random(3);
    let mut writer = AttributesWriter::default();
    for _ in 0..20 {
        writer.push(&random_attributes(&mut random, 0));
    }
    let mut block = Vec::new();
    writer.finish(&mut block);
    for cut in 0..block.len() {
        assert!(Attributes::read(&block[..cut], &mut Reader::new(&block[..cut]), 20).is_none());
    }
    for at in 0..block.len() {
        let mut bad = block.clone();
        bad[at] ^= random.next() as u8;
        if let Some(read) = Attributes::read(&bad, &mut Reader::new(&bad), 20) {
            (0..20).for_each(|row| drop(read.get(&bad, row)));
        }
    }
}
