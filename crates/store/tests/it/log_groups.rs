//! Log records come out of a part as they went in, whole or by groups.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use trefoil_store::model::{LogRecord, StoredLog, Value};
use trefoil_store::{
    Batch, LineFilter, LogScan, LogTimes, Order, Settings, Snapshot, Store, Taken, Tally, TimeRange,
};

use crate::make::{add_record, attribute, text};

/// What a group has in common, as far as the test asks.
fn key(log: &StoredLog<'_>, wanted: &str) -> String {
    let found = log.record.attributes.iter().find(|a| a.key == wanted);
    let value = found.map(|a| &a.value);
    let record = &log.record;
    format!("{:?} {} {} {value:?}", log.stream, record.severity, record.severity_text)
}

fn by_rows(snapshot: &Snapshot, scan: &LogScan<'_>, wanted: &str) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut visit = |log: &StoredLog<'_>| {
        found.entry(key(log, wanted)).or_default().push(log.record.time_ns);
        ControlFlow::Continue(())
    };
    snapshot.logs(scan, &Tally::unlimited(), &mut visit).unwrap();
    found.values_mut().for_each(|times| times.sort_unstable());
    found
}

fn by_groups(
    snapshot: &Snapshot,
    scan: &LogScan<'_>,
    wanted: &str,
    refuse: u64,
) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut asked = 0;
    let mut visit = |log: &StoredLog<'_>, times: LogTimes<'_>| {
        let times = match times {
            LogTimes::All(times) => {
                asked += 1;
                if refuse != 0 && asked % refuse == 0 {
                    return Taken::WantsRows;
                }
                times
            }
            LogTimes::One(time_ns) => {
                assert!(!log.record.body.as_text().is_empty(), "it comes whole");
                &[time_ns]
            }
        };
        let times = times.iter().map(|&t| u64::try_from(t).unwrap());
        found.entry(key(log, wanted)).or_default().extend(times);
        Taken::Yes
    };
    let tally = Tally::unlimited();
    snapshot.log_groups(scan, &|key| key == wanted, &tally, &mut visit).unwrap();
    found.values_mut().for_each(|times| times.sort_unstable());
    found
}

fn batch(from: u64, rows: u64) -> Batch {
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
    let ranges = [TimeRange::ALL, TimeRange { start_ns, end_ns: start_ns + 777_000_000 }];
    for merged in [false, true] {
        if merged {
            store.merge().unwrap();
        }
        let snapshot = store.snapshot();
        for (lines, range) in filters.iter().flat_map(|f| ranges.map(|r| (f, r))) {
            let scan = LogScan { streams: &[], range, lines, order: Order::Any };
            for wanted in ["level", "noise", "none"] {
                let expect = by_rows(&snapshot, &scan, wanted);
                assert!(!expect.is_empty());
                for refuse in [0, 1, 3] {
                    let found = by_groups(&snapshot, &scan, wanted, refuse);
                    assert_eq!(found, expect, "{merged} {lines:?} {range:?} {wanted} {refuse}");
                }
            }
        }
    }
}
