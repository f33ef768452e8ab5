//! `cargo xtask bench store`: what items cost in bytes and nanoseconds at every station of
//! the store, and what questions cost. One tab-separated line a figure: case, value, unit.
//!
//! Everything is made here, the same for the same numbers; `--from DIR` takes the items of
//! a (stopped) store instead.
#![allow(clippy::print_stdout, reason = "a benchmark talks on its streams")]

mod clock;
mod data;
mod day;
mod encodings;
mod memory;
mod questions;

use std::path::{Path, PathBuf};

use clock::Clock;
use trefoil_store::{Batch, Settings, SignalStats, Store};

const USAGE: &str = "\
what the store takes for an item, in bytes and time

  --items N      items of each signal (200000)
  --only WHAT    one of traces, logs, metrics, encodings
  --curve        ten times and a hundred times as many as well
  --series       memory by active series as well: 10k, 100k, 1M
  --day ROWS     instead: a simulated day inside 512 MiB, so many rows of each signal a minute
  --no-zstd      without zstd -3 and -19 of the same beside
  --from DIR     the items of a stopped store instead of made ones";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        Some(arguments.get(at + 1).map_or("", String::as_str))
    };
    if option("--help").is_some() {
        return println!("{USAGE}");
    }
    if let Some(count) = option("--rss-of") {
        return memory::of_series(count.parse().expect("--rss-of takes a number"));
    }
    if let Some(rows) = option("--day") {
        return day::measure(rows.parse().expect("--day takes a number"));
    }
    let items: u64 = option("--items").map_or(200_000, |n| n.parse().expect("--items N"));
    let only = option("--only");
    let wanted = |signal: &str| only.is_none_or(|only| only == signal);
    let beside_zstd = option("--no-zstd").is_none();
    if let Some(dir) = option("--from") {
        let stored = open(Path::new(dir));
        for load in data::of_store(&stored).into_iter().filter(|load| wanted(load.signal)) {
            measure(&load, beside_zstd);
        }
        return;
    }
    if wanted("encodings") {
        encodings::measure();
    }
    let sizes = if option("--curve").is_some() { &[1, 10, 100][..] } else { &[1][..] };
    for size in sizes {
        let items = items * size;
        for load in [data::spans(items), data::lines(items), data::samples(items)] {
            if wanted(load.signal) {
                measure(&load, beside_zstd);
            }
        }
    }
    if option("--series").is_some() {
        memory::curve();
    }
}

/// One line of the result.
pub(crate) fn figure(case: &str, value: f64, unit: &str) {
    println!("{case}\t{value}\t{unit}");
}

/// Items of one signal, in batches as they would come.
pub(crate) struct Load {
    pub(crate) signal: &'static str,
    pub(crate) item: &'static str,
    pub(crate) items: u64,
    pub(crate) batches: Vec<Batch>,
}

fn settings() -> Settings {
    // The head holds all: a flush is what the benchmark says, not what comes about.
    Settings { memory_bytes: 64 << 30, fsync: false, ..Settings::default() }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, settings()).expect("the store opens")
}

/// A folder under the target directory, emptied before and removed after.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("trefoil-bench-{}", std::process::id()));
        let folder = folder.join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Takes a load through the store: append, flush, merge, questions.
fn measure(load: &Load, beside_zstd: bool) {
    let Load { signal, item, items, batches } = load;
    let folder = Folder::new(signal);
    let store = open(&folder.0);
    let count = *items as f64;
    let say = |case: &str, value: f64, unit: &str| {
        figure(&format!("{signal} · {items} · {case}"), value, &format!("{unit}/{item}"));
    };
    // As many flushes as make a merge worth its name.
    let group = batches.len().div_ceil(8).max(1);
    let (mut appending, mut flushing) = (0.0, 0.0);
    let mut wal_bytes = 0;
    let mut raw = Vec::new();
    for batches in batches.chunks(group) {
        let begin = Clock::start();
        batches.iter().for_each(|batch| store.append(batch).expect("it is stored"));
        appending += begin.seconds();
        wal_bytes += store.stats().wal_bytes;
        read_wal(&folder.0, &mut raw);
        let begin = Clock::start();
        store.flush().expect("it is flushed");
        flushing += begin.seconds();
    }
    say("append", appending * 1e9 / count, "ns");
    say("wal", wal_bytes as f64 / count, "B");
    say("flush", flushing * 1e9 / count, "ns");
    say("flushed", part_bytes(&store) as f64 / count, "B");
    let merging = Clock::start();
    store.merge().expect("it is merged");
    say("merge", merging.seconds() * 1e9 / count, "ns");
    say("merged", part_bytes(&store) as f64 / count, "B");
    for level in [3, 19].into_iter().filter(|_| beside_zstd) {
        // zstd -19 takes a minute for a hundred megabytes: a sample says as much.
        let sample = &raw[..raw.len().min(if level > 9 { 16 << 20 } else { raw.len() })];
        let packed = zstd::bulk::compress(sample, level).expect("it compresses").len();
        let share = packed as f64 / sample.len().max(1) as f64;
        say(&format!("zstd -{level} of the log"), share * raw.len() as f64 / count, "B");
    }
    drop(raw);
    questions::ask(load, &store);
}

/// Everything the write-ahead log holds now.
fn read_wal(dir: &Path, out: &mut Vec<u8>) {
    let mut names: Vec<PathBuf> = std::fs::read_dir(dir.join("wal"))
        .expect("the log is there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    names.sort();
    names.iter().for_each(|path| out.extend(std::fs::read(path).expect("it can be read")));
}

fn part_bytes(store: &Store) -> u64 {
    let stats = store.stats();
    [stats.metrics, stats.logs, stats.traces].iter().map(|s: &SignalStats| s.part_bytes).sum()
}
