//! What each encoding makes of a column, in bytes and nanoseconds per item, without a
//! block around it: first the column alone, then zstd over it as a part has it; beside
//! that, zstd over the plain bytes.

use std::path::PathBuf;
use std::time::Instant;

use trefoil_store::encodings::Column;
use trefoil_store::model::{Attribute, Value};

use crate::data::Random;
use crate::figure;

/// Rows of a column: what a block has.
const ROWS: u64 = 8192;
const SAMPLES: usize = 2048;
/// zstd level of a merged part.
const LEVEL: i32 = 3;
const TIMES: usize = 5;
const START_NS: u64 = 1_780_000_000_000_000_000;

pub(crate) fn measure() {
    for (name, column) in made().into_iter().chain(recorded()) {
        one(&name, &column);
    }
}

fn one(name: &str, column: &Column) {
    let rows = column.rows() as f64;
    let say = |what: &str, value: f64, unit: &str| {
        figure(&format!("encoding · {name} · {what}"), value / rows, &format!("{unit}/item"));
    };
    let encoded = column.encode();
    let read = column.decode_like(&encoded).expect("it can be read");
    assert!(read.same_bits(column), "{name}: not what went in");
    say("plain", plain(column).len() as f64, "B");
    say("plain, zstd", packed(&plain(column)), "B");
    say("column", encoded.len() as f64, "B");
    say("column, zstd", packed(&encoded), "B");
    say("encode", best_ns(|| drop(column.encode())), "ns");
    say("decode", best_ns(|| drop(column.decode_like(&encoded))), "ns");
}

fn packed(bytes: &[u8]) -> f64 {
    zstd::bulk::compress(bytes, LEVEL).expect("it compresses").len() as f64
}

fn best_ns(mut work: impl FnMut()) -> f64 {
    let mut time = || {
        let begin = Instant::now();
        work();
        begin.elapsed().as_nanos() as f64
    };
    (0..TIMES).map(|_| time()).fold(f64::INFINITY, f64::min)
}

/// The rows as they are in memory: what there would be without an encoding.
fn plain(column: &Column) -> Vec<u8> {
    match column {
        Column::Numbers(rows) | Column::Packed(rows) => {
            rows.iter().flat_map(|n| n.to_le_bytes()).collect()
        }
        Column::Ids(rows) => rows.concat(),
        Column::Lines { bodies: rows, .. } | Column::Strings(rows) => rows.join(&b'\n'),
        Column::Attributes(rows) => rows.iter().flat_map(|row| plain_attributes(row)).collect(),
        Column::Floats { times_ms, values } => {
            let pair = |(time, value): (&i64, &f64)| [time.to_le_bytes(), value.to_le_bytes()];
            times_ms.iter().zip(values).flat_map(pair).flatten().collect()
        }
    }
}

fn plain_attributes(row: &[Attribute<'_>]) -> Vec<u8> {
    let value = |value: &Value<'_>| match value {
        Value::Str(text) => text.as_bytes().to_vec(),
        Value::Int(int) => int.to_le_bytes().to_vec(),
        Value::Double(double) => double.to_le_bytes().to_vec(),
        other => format!("{other:?}").into_bytes(),
    };
    row.iter().flat_map(|a| [a.key.as_bytes(), &value(&a.value)].concat()).collect()
}

fn made() -> Vec<(String, Column)> {
    let mut random = Random(4);
    let mut numbers = |name: &str, next: &mut dyn FnMut(&mut Random, u64) -> u64| {
        let rows = (0..ROWS).map(|row| next(&mut random, row)).collect();
        (format!("numbers, {name}"), Column::Numbers(rows))
    };
    let mut columns = vec![
        numbers("all one", &mut |_, _| 9),
        numbers("times in order", &mut |r, row| START_NS + row * 1_000_000 + r.below(900_000)),
        numbers("durations", &mut |r, _| 1_000 << r.below(18)),
        numbers("codes of ten", &mut |r, _| r.skewed(10)),
        numbers("random", &mut |r, _| r.next()),
    ];
    let mut random = Random(5);
    let mut id = |_| (u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes();
    columns.push(("ids".to_owned(), Column::Ids((0..ROWS).map(&mut id).collect())));
    columns.push(("strings, of fifty".to_owned(), of_fifty()));
    columns.push(("attributes".to_owned(), attributes()));
    columns.extend(series());
    columns
}

fn of_fifty() -> Column {
    let mut random = Random(6);
    let name = |n: u64| format!("GET /api/v1/items/{n}").into_bytes();
    Column::Strings((0..ROWS).map(|_| name(random.skewed(50))).collect())
}

fn attributes() -> Column {
    let mut random = Random(7);
    let mut row = |_| {
        let text = |text: String| Value::Str(text.into());
        let pairs = [
            ("http.request.method", text("GET".to_owned())),
            ("http.route", text(format!("/api/v1/{}s", random.skewed(9)))),
            ("http.response.status_code", Value::Int(200 + random.skewed(5) as i64 * 100)),
            ("user.id", text(format!("u-{:06}", random.skewed(100_000)))),
        ];
        pairs.map(|(key, value)| Attribute { key: key.into(), value }).to_vec()
    };
    Column::Attributes((0..ROWS).map(&mut row).collect())
}

/// Samples by what they are of.
fn series() -> Vec<(String, Column)> {
    let mut random = Random(8);
    let mut of = |name: &str, jitter_ms: u64, next: &mut dyn FnMut(&mut Random, f64) -> f64| {
        let mut value = 1000.0;
        let (mut times_ms, mut values) = (Vec::new(), Vec::new());
        for row in 0..SAMPLES as i64 {
            times_ms.push(1_780_000_000_000 + row * 15_000 + random.below(jitter_ms + 1) as i64);
            value = next(&mut random, value);
            values.push(value);
        }
        (format!("samples, {name}"), Column::Floats { times_ms, values })
    };
    vec![
        of("all one", 0, &mut |_, value| value),
        of("counter", 0, &mut |r, value| value + r.below(200) as f64),
        of("counter, late scrapes", 5, &mut |r, value| value + r.below(200) as f64),
        of("percent of one digit", 0, &mut |r, _| r.below(1000) as f64 / 10.0),
        of("bytes by pages", 0, &mut |r, value| value + r.below(9) as f64 * 4096.0),
        of("sum of seconds", 0, &mut |r, value| value + r.below(1 << 20) as f64 / 1e9),
        of("noise", 0, &mut |r, _| r.next() as f64 / r.next() as f64),
    ]
}

/// Lines of real log files, where they lie beside the repository.
fn recorded() -> Vec<(String, Column)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let mut columns = Vec::new();
    for file in ["apache.log", "nginx-json.log"] {
        let Ok(bytes) = std::fs::read(folder.join(file)) else {
            println!("{file} is not there: its encoding is not measured");
            continue;
        };
        let lines = bytes.split(|&b| b == b'\n').take(ROWS as usize).map(<[u8]>::to_vec);
        columns.push((format!("strings, {file}"), Column::Strings(lines.collect())));
    }
    columns
}
