//! Log records come out of a part as they went in, whole or by groups.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use trefoil_store::model::{LogRecord, StoredLog, Value};
use trefoil_store::{
    Batch, Counted, LineFilter, LogCounter, LogScan, Order, Settings, Snapshot, Store, Tally,
    TimeRange,
};

use crate::make::{add_record, attribute, text};

/// What a group has in common, as far as the test asks.
fn key(log: &StoredLog<'_>, wanted: &str) -> String {
    let found = log.record.attributes.iter().find(|a| a.key == wanted);
    let value = found.map(|a| &a.value);
    let record = &log.record;
    format!("{:?} {} {} {value:?}", log.stream, record.severity, record.severity_text)
}

/// How many records there are of each group and bucket.
type Found = BTreeMap<(String, usize), u64>;

fn bucket_of(bounds_ns: &[i64], log: &StoredLog<'_>) -> usize {
    bounds_ns.iter().filter(|bound| **bound < log.record.time_ns as i64).count()
}

fn by_rows(snapshot: &Snapshot, scan: &LogScan<'_>, bounds_ns: &[i64], wanted: &str) -> Found {
    let mut found = Found::new();
    let mut visit = |log: &StoredLog<'_>| {
        *found.entry((key(log, wanted), bucket_of(bounds_ns, log))).or_default() += 1;
        ControlFlow::Continue(())
    };
    snapshot.logs(scan, &Tally::unlimited(), &mut visit).unwrap();
    found
}

/// Refuses to count every so many groups together.
struct Counter<'a> {
    bounds_ns: &'a [i64],
    wanted: &'a str,
    refuse: u64,
    asked: u64,
    names: Vec<String>,
    found: Found,
}

impl LogCounter for Counter<'_> {
    fn group(&mut self, log: &StoredLog<'_>) -> Counted {
        self.asked += 1;
        if self.refuse != 0 && self.asked.is_multiple_of(self.refuse) {
            return Counted::Singly;
        }
        self.names.push(key(log, self.wanted));
        Counted::As(self.names.len() - 1)
    }

    fn add(&mut self, group: usize, bucket: usize, records: u64) {
        *self.found.entry((self.names[group].clone(), bucket)).or_default() += records;
    }

    fn record(&mut self, log: &StoredLog<'_>) -> ControlFlow<()> {
        assert!(!log.record.body.as_text().is_empty(), "it comes whole");
        let at = (key(log, self.wanted), bucket_of(self.bounds_ns, log));
        *self.found.entry(at).or_default() += 1;
        ControlFlow::Continue(())
    }
}

fn by_groups(
    snapshot: &Snapshot,
    scan: &LogScan<'_>,
    bounds_ns: &[i64],
    wanted: &str,
    refuse: u64,
) -> Found {
    let alone = Tally::unlimited();
    let found = by_threads(snapshot, scan, bounds_ns, wanted, refuse, &alone);
    let shared = Tally::unlimited().with_threads(3);
    assert_eq!(found, by_threads(snapshot, scan, bounds_ns, wanted, refuse, &shared));
    assert_eq!(alone.rows.load(Relaxed), shared.rows.load(Relaxed));
    found
}

fn by_threads(
    snapshot: &Snapshot,
    scan: &LogScan<'_>,
    bounds_ns: &[i64],
    wanted: &str,
    refuse: u64,
    tally: &Tally,
) -> Found {
    let (names, found) = (Vec::new(), Found::new());
    let mut counter = Counter { bounds_ns, wanted, refuse, asked: 0, names, found };
    snapshot.log_counts(scan, bounds_ns, &|key| key == wanted, tally, &mut counter).unwrap();
    counter.found
}

pub(crate) fn batch(from: u64, rows: u64) -> Batch {
    let mut batch = Batch::new();
    for n in from..from + rows {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let mut attributes = vec![attribute("noise", Value::Int(n as i64))];
        if mixed % 3 == 0 {
            attributes.push(attribute("level", text(["info", "warn"][(mixed % 2) as usize])));
        } else if mixed % 5 == 0 {
            attributes.insert(0, attribute("level", Value::Int((mixed % 4) as i64)));
        }
        let record = LogRecord {
            time_ns: 1_780_000_000_000_000_000 + mixed % 5000 * 1_000_000,
            severity: (mixed % 7) as u8,
            severity_text: ["", "INFO"][(mixed % 2) as usize].into(),
            body: text(&format!("line {n} {}", mixed % 10)),
            attributes,
            trace_id: if mixed % 2 == 0 { [(n % 250) as u8 + 1; 16] } else { [0; 16] },
            span_id: [(mixed % 200) as u8; 8],
            flags: (mixed % 2) as u32,
            ..LogRecord::default()
        };
        let stream = ["a", "b", "c"][(mixed % 3) as usize];
        add_record(&mut batch, &[("s", stream)], &record);
    }
    batch
}

#[test]
fn groups_count_what_rows_count() {
    let store = Store::in_memory(Settings::default());
    store.append(&batch(0, 3000)).unwrap();
    store.flush().unwrap();
    store.append(&batch(3000, 2500)).unwrap();
    store.flush().unwrap();
    store.append(&batch(5500, 300)).unwrap();
    let filters = [vec![], vec![LineFilter::Contains("7".into())]];
    let start_ns = 1_780_000_000_000_000_000;
    let ranges = [
        TimeRange::ALL,
        TimeRange { start_ns, end_ns: start_ns + 777_000_000 },
        TimeRange { start_ns: start_ns + 1_000_000_001, end_ns: start_ns + 3_000_000_000 },
        TimeRange { start_ns: start_ns + 1_000_000_000, end_ns: start_ns + 3_000_000_000 },
    ];
    for merged in [false, true] {
        if merged {
            store.merge().unwrap();
        }
        let snapshot = store.snapshot();
        for (lines, range) in filters.iter().flat_map(|f| ranges.map(|r| (f, r))) {
            let scan = LogScan { streams: &[], range, lines, order: Order::Any };
            let few = [start_ns + 1_000_000, start_ns + 400_000_000];
            let many: Vec<i64> = (-3..700).map(|n| start_ns + n * 1_234_567).collect();
            let seconds: Vec<i64> = (-1..6).map(|n| start_ns + n * 1_000_000_000).collect();
            for bounds_ns in [&[][..], &few, &many, &seconds, &seconds[2..4]] {
                for wanted in ["level", "noise", "none"] {
                    let expect = by_rows(&snapshot, &scan, bounds_ns, wanted);
                    assert!(!expect.is_empty());
                    for refuse in [0, 1, 3] {
                        let found = by_groups(&snapshot, &scan, bounds_ns, wanted, refuse);
                        assert_eq!(found, expect, "{merged} {lines:?} {range:?} {wanted} {refuse}");
                    }
                }
            }
        }
    }
}

#[test]
fn whole_seconds_are_counted_without_a_look_at_rows() {
    let store = Store::in_memory(Settings::default());
    store.append(&batch(0, 6000)).unwrap();
    store.flush().unwrap();
    let snapshot = store.snapshot();
    let scan = LogScan { streams: &[], range: TimeRange::ALL, lines: &[], order: Order::Any };
    let start_ns = 1_780_000_000_000_000_000;
    let seconds: Vec<i64> = (0..6).map(|n| start_ns + n * 1_000_000_000).collect();
    let shifted: Vec<i64> = seconds.iter().map(|bound| bound + 1).collect();
    let bytes_for = |bounds_ns: &[i64], wanted: &str| {
        let (names, found) = (Vec::new(), Found::new());
        let mut counter = Counter { bounds_ns, wanted, refuse: 0, asked: 0, names, found };
        let tally = Tally::unlimited();
        snapshot.log_counts(&scan, bounds_ns, &|key| key == wanted, &tally, &mut counter).unwrap();
        assert_eq!(counter.found.values().sum::<u64>(), 6000);
        tally.read_so_far()
    };
    let by_rows = bytes_for(&shifted, "none");
    assert!(bytes_for(&seconds, "none") * 4 < by_rows);
    assert!(bytes_for(&[], "none") * 4 < by_rows);
    assert!(bytes_for(&seconds, "level") > by_rows, "attributes are in the rows only");
}
