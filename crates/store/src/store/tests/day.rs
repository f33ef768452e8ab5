//! A day in a few seconds: memory stays within its bounds, merges keep up, and the number
//! of files does not grow.
//!
//! `TREFOIL_DAY_ROWS=n` takes n rows of each signal a minute instead of a few.

use std::time::Duration;

use super::*;
use crate::vfs::{Memory, Vfs};

const MINUTE_NS: i64 = 60_000_000_000;

/// What one minute brings: rows of each signal, samples of as many series.
fn minute(now_ns: i64, rows: u64) -> Batch {
    let mut batch = Batch::new();
    let attributes =
        vec![Attribute { key: "service.name".into(), value: Value::Str("day".into()) }];
    let resource = batch.resource(&Resource { attributes, ..Resource::default() });
    let scope = batch.scope(&Scope::default());
    for row in 0..rows {
        let time_ns = now_ns as u64 + row * 1000;
        let n = row.to_string();
        let series =
            batch.series(resource, scope, &Labels::from_pairs([("__name__", "m"), ("n", &n)]));
        let value = SampleValue::Float((now_ns / MINUTE_NS) as f64 * 0.5);
        batch.sample(series, &Sample { time_ms: now_ns / 1_000_000, start_ms: 0, value });
        let body = Value::Str(format!("request {row} took {} ms", time_ns % 977).into());
        let record = LogRecord { time_ns, body, ..LogRecord::default() };
        batch.log(resource, scope, &Labels::from_pairs([("s", &*(row % 7).to_string())]), &record);
        let mut trace_id = [1; 16];
        trace_id[..8].copy_from_slice(&time_ns.to_le_bytes());
        let span_id = [1; 8];
        let name = "op".into();
        let end_ns = time_ns + 5;
        let span = Span { trace_id, span_id, start_ns: time_ns, end_ns, name, ..Span::default() };
        batch.span(resource, scope, &span);
    }
    batch
}

/// The most that was seen in some hours.
#[derive(Clone, Copy, Debug, Default)]
struct Peak {
    files: usize,
    part_bytes: u64,
    wal_bytes: u64,
}

#[test]
fn a_day_stays_within_its_memory_and_the_number_of_files_does_not_grow() {
    let rows = std::env::var("TREFOIL_DAY_ROWS").ok().map_or(40, |rows| rows.parse().unwrap());
    let kept = Some(Duration::from_secs(6 * 3600));
    let retention = Retention { metrics: kept, logs: kept, traces: kept };
    let settings = Settings { retention, memory_bytes: 16 << 20, ..Settings::default() };
    let vfs = Memory::default();
    let store = open::open(Arc::new(vfs.clone()), dir(), settings).unwrap();
    let limits = store.limits;
    let mut peaks = [Peak::default(); 24];
    let tally = Tally::unlimited();
    for at in 0..24 * 60 {
        let now_ns = START_NS + DAY_NS / 2 + at * MINUTE_NS;
        store.append(&minute(now_ns, rows)).unwrap();
        // As maintenance would be called sixty times meanwhile.
        (0..4).for_each(|_| store.maintain(now_ns).unwrap());
        let stats = store.stats();
        let signals = [stats.metrics, stats.logs, stats.traces];
        let heads: u64 = signals.iter().map(|signal| signal.head_bytes).sum();
        assert!(heads <= limits.head_bytes_max, "minute {at}: {heads} bytes of heads");
        assert!(stats.cache_bytes <= limits.cache_bytes as u64, "minute {at}: {stats:?}");
        let peak = &mut peaks[at as usize / 60];
        let names = |folder: &str| vfs.list(&dir().join(folder)).unwrap().len();
        peak.files = peak.files.max(names("parts") + names("wal"));
        peak.part_bytes = peak.part_bytes.max(signals.iter().map(|s| s.part_bytes).sum());
        peak.wal_bytes = peak.wal_bytes.max(stats.wal_bytes);
        if at % 20 == 0 {
            let range = TimeRange { start_ns: now_ns - 60 * MINUTE_NS, end_ns: now_ns };
            let scan = LogScan { streams: &[], range, lines: &[], order: Order::Backward };
            let mut lines = 0;
            let mut count = |_: &crate::model::StoredLog<'_>| {
                lines += 1;
                ControlFlow::Continue(())
            };
            store.snapshot().logs(&scan, &tally, &mut count).unwrap();
            assert!(lines >= (at.min(60) as u64) * rows, "minute {at}: {lines} lines");
        }
    }
    let (first, second) = peaks.split_at(12);
    let most = |hours: &[Peak], of: fn(&Peak) -> u64| hours.iter().map(of).max().unwrap();
    for (name, of) in [
        ("files", (|peak| peak.files as u64) as fn(&Peak) -> u64),
        ("bytes of parts", |peak| peak.part_bytes),
        ("bytes of the log", |peak| peak.wal_bytes),
    ] {
        let (first, second) = (most(first, of), most(second, of));
        eprintln!("{name}: {first} in the first half of the day, {second} in the second");
        // Midnight is in the second half: then two days have parts.
        assert!(second * 10 <= first * 15, "{name}: {first}, then {second}");
    }
    assert!(most(&peaks, |peak| peak.files as u64) < 100, "{peaks:?}");
}
