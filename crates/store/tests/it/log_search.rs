//! A search finds exactly the lines that have what is sought, whatever is skipped on the way.

use std::ops::ControlFlow;

use trefoil_store::model::{LogRecord, Value};
use trefoil_store::{
    Batch, LineFilter, LogScan, Order, Settings, Snapshot, Store, Tally, TimeRange,
};

use crate::make::{add_record, attribute, text};

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }
}

fn body(random: &mut Random, time_ns: u64) -> Value<'static> {
    let (n, few) = (random.below(1 << 31), random.below(40));
    let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    match few % 8 {
        0 => text(&format!("request req-{id:016x} took {}.{:02}ms", n % 500, n % 100)),
        1 => text(&format!(r#"{{"ts":{},"id":"{id:X}"}}"#, time_ns / 1_000_000)),
        2 => text(&format!("user=u-{:06} état {few}", n % 3000)),
        3 => text(&format!("failed\n\tat com.shop.Basket(Basket.java:{})", n % 900)),
        4 => text(&format!("offset {n} of topic_{few}_events")),
        5 => Value::Map(vec![attribute("session", text(&format!("{id:016x}")))]),
        6 => Value::Int(n as i64),
        _ => text(["UnhandledException", "", "ready"][(n % 3) as usize]),
    }
}

fn batch(random: &mut Random, rows: u64) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..rows {
        let time_ns = 1_780_000_000_000_000_000 + random.below(1 << 36);
        let record = LogRecord { time_ns, body: body(random, time_ns), ..LogRecord::default() };
        let stream = ["a", "b"][random.below(2) as usize];
        add_record(&mut batch, &[("s", stream)], &record);
    }
    batch
}

fn lines(snapshot: &Snapshot, lines: &[LineFilter]) -> (Vec<String>, u64) {
    let mut found = Vec::new();
    let scan = LogScan { streams: &[], range: TimeRange::ALL, lines, order: Order::Forward };
    let tally = Tally::unlimited();
    let visit = &mut |log: &trefoil_store::model::StoredLog<'_>| {
        found.push(log.record.body.as_text().into_owned());
        ControlFlow::Continue(())
    };
    snapshot.logs(&scan, &tally, visit).unwrap();
    (found, tally.blocks_skipped.load(std::sync::atomic::Ordering::Relaxed))
}

#[test]
fn a_search_finds_what_reading_all_finds() {
    let random = &mut Random(5);
    let store = Store::in_memory(Settings::default());
    for rows in [9000, 5000, 300] {
        store.append(&batch(random, rows)).unwrap();
        if rows > 1000 {
            store.flush().unwrap();
        }
    }
    for merged in [false, true] {
        if merged {
            store.merge().unwrap();
        }
        let snapshot = store.snapshot();
        let (all, _) = lines(&snapshot, &[]);
        let mut skipped = 0;
        for n in 0..120 {
            let line: Vec<char> = all[random.below(all.len() as u64) as usize].chars().collect();
            let from = random.below(line.len() as u64 + 1) as usize;
            let len = [3, 9, 17, 40][n % 4];
            let mut sought: String = line[from..].iter().take(len).collect();
            if n % 9 == 0 {
                sought.push_str("0f0");
            }
            let (found, passed_by) = lines(&snapshot, &[LineFilter::Contains(sought.clone())]);
            let expect: Vec<&String> = all.iter().filter(|l| l.contains(&sought)).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), expect, "{merged} {sought:?}");
            skipped += passed_by;
        }
        assert!(skipped > 50, "{skipped}: most blocks have not what is sought");
    }
}

/// A condition of some kind on a piece of a line.
fn condition(random: &mut Random, piece: &str) -> LineFilter {
    let quoted = regex::escape(piece);
    let pattern = match random.below(8) {
        0 => quoted,
        1 => format!(".*{quoted}.*"),
        2 => format!("(?s:^.*{quoted})"),
        3 => format!(r"\b{quoted}\b"),
        4 => format!("(?i){quoted}"),
        5 => format!("{quoted}$|ready"),
        6 => format!(r"\w+[ =]{quoted}|état \d"),
        _ => format!("({quoted}|Unhandled[A-Z])"),
    };
    let pattern = regex::Regex::new(&pattern).unwrap();
    match random.below(6) {
        0 => LineFilter::Contains(piece.to_owned()),
        1 => LineFilter::NotContains(piece.to_owned()),
        2 => LineFilter::NotRegex(pattern),
        _ => LineFilter::Regex(pattern),
    }
}

#[test]
fn conditions_of_all_kinds_find_what_reading_all_finds() {
    let random = &mut Random(11);
    let store = Store::in_memory(Settings::default());
    for rows in [5000, 200] {
        store.append(&batch(random, rows)).unwrap();
        if rows > 1000 {
            store.flush().unwrap();
        }
    }
    let snapshot = store.snapshot();
    let (all, _) = lines(&snapshot, &[]);
    let mut some = 0;
    for n in 0..300 {
        let mut conditions = Vec::new();
        for _ in 0..=n % 2 {
            let line: Vec<char> = all[random.below(all.len() as u64) as usize].chars().collect();
            let from = random.below(line.len() as u64 + 1) as usize;
            let len = [1, 4, 7, 20][random.below(4) as usize];
            let piece: String = line[from..].iter().take(len).collect();
            conditions.push(condition(random, &piece));
        }
        let (found, _) = lines(&snapshot, &conditions);
        let fits = |line: &&String| conditions.iter().all(|condition| condition.matches(line));
        let expect: Vec<&String> = all.iter().filter(fits).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expect, "{conditions:?}");
        some += usize::from(!found.is_empty() && found.len() < all.len());
    }
    assert!(some > 150, "{some} searches find some lines and not all");
}
