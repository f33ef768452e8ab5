//! A day of all three signals inside 512 MiB: resident memory, files, the log and the
//! parts hour by hour. What matters is that no column grows from one half of the day to
//! the other once retention (six hours) has set in.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use trefoil_store::{LogScan, Order, Retention, Settings, Store, Tally, TimeRange};

use crate::{Folder, data, figure, memory};

const MEMORY: u64 = 512 << 20;
const MINUTE_NS: u64 = 60_000_000_000;
const HOURS: u64 = 24;

/// The most that was seen in an hour.
#[derive(Default)]
struct Peak {
    resident: u64,
    files: u64,
    part_bytes: u64,
    wal_bytes: u64,
}

/// `rows` of each signal a minute.
pub(crate) fn measure(rows: u64) {
    let folder = Folder::new("day");
    let kept = Some(Duration::from_secs(6 * 3600));
    let settings = Settings {
        memory_bytes: MEMORY,
        retention: Retention { metrics: kept, logs: kept, traces: kept },
        fsync: false,
        ..Settings::default()
    };
    let store = Store::open(&folder.0, settings).expect("the store opens");
    let mut minutes = data::Minutes::new(rows);
    for hour in 0..HOURS {
        let mut peak = Peak::default();
        for _ in 0..60 {
            let (begin_ns, batches) = minutes.next();
            batches.iter().for_each(|batch| store.append(batch).expect("it is stored"));
            store.maintain((begin_ns + MINUTE_NS) as i64).expect("it is maintained");
            look_back(&store, begin_ns);
            peak.see(&store, &folder.0);
        }
        peak.say(hour, rows);
    }
}

/// What a page that is open asks every minute: the last lines of the last half hour.
fn look_back(store: &Store, now_ns: u64) {
    let range = TimeRange { start_ns: (now_ns - 30 * MINUTE_NS) as i64, end_ns: now_ns as i64 };
    let scan = LogScan { streams: &[], range, lines: &[], order: Order::Backward };
    let mut left = 1000;
    let taken = store.snapshot().logs(&scan, &Tally::unlimited(), &mut |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    taken.expect("lines can be read");
}

impl Peak {
    fn see(&mut self, store: &Store, folder: &Path) {
        let stats = store.stats();
        let signals = [&stats.metrics, &stats.logs, &stats.traces];
        self.resident = self.resident.max(memory::resident());
        self.files = self.files.max(files(folder));
        self.part_bytes = self.part_bytes.max(signals.iter().map(|s| s.part_bytes).sum());
        self.wal_bytes = self.wal_bytes.max(stats.wal_bytes);
    }

    fn say(&self, hour: u64, rows: u64) {
        let mega = |bytes: u64| bytes as f64 / 1e6;
        let say = |what: &str, value: f64, unit: &str| {
            figure(&format!("day · {rows} rows a minute · hour {hour:>2} · {what}"), value, unit);
        };
        say("resident", mega(self.resident), "MB");
        say("files", self.files as f64, "files");
        say("parts", mega(self.part_bytes), "MB");
        say("log", mega(self.wal_bytes), "MB");
    }
}

fn files(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => files(&entry.path()),
        _ => 1,
    };
    entries.filter_map(Result::ok).map(count).sum()
}
