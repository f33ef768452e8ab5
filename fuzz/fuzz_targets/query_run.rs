#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::{seeds, store};
use trefoil_query::{Limits, logql, promql, traceql};
use trefoil_store::{Snapshot, Store, Tally};

/// Within the rows of the store, in Unix seconds.
const NOW: i64 = 1_700_000_008;
const SECOND: i64 = 1_000_000_000;

// The first byte picks the language; the rest is a query, run as every API would run it.
fuzz_target!(init: seeds::write("query_run"), |data: &[u8]| {
    static STORE: OnceLock<Store> = OnceLock::new();
    let store = STORE.get_or_init(|| {
        let store = Store::in_memory(store::settings());
        store.append(&store::batch()).expect("room");
        store.flush().expect("room");
        store.append(&store::batch()).expect("room");
        store
    });
    let Some((&which, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let tally = Tally::new(100 << 20);
    let limits = Limits { samples_max: 20_000, series_max: 1000, ..Limits::new(&tally) };
    let snapshot = store.snapshot();
    match which % 3 {
        0 => promql(&snapshot, text, &limits),
        1 => logql(&snapshot, text, &limits),
        _ => traceql(&snapshot, text, &limits),
    }
});

fn promql(snapshot: &Snapshot, text: &str, limits: &Limits<'_>) {
    let Ok(expr) = promql::parse(text) else { return };
    let now = NOW * 1000;
    let _ = promql::instant(snapshot, &expr, now, 300_000, limits);
    let _ = promql::range(snapshot, &expr, now - 10_000, now, 1000, 300_000, limits);
}

fn logql(snapshot: &Snapshot, text: &str, limits: &Limits<'_>) {
    let Ok(expr) = logql::parse(text) else { return };
    let mut params = logql::Params::instant(NOW * SECOND);
    let _ = logql::run(snapshot, &expr, &params, limits);
    params = logql::Params::range((NOW - 10) * SECOND, NOW * SECOND, SECOND);
    let _ = logql::run(snapshot, &expr, &params, limits);
}

fn traceql(snapshot: &Snapshot, text: &str, limits: &Limits<'_>) {
    let Ok(query) = traceql::plain::translate(text).and_then(|text| traceql::parse(&text)) else {
        return;
    };
    let (start_ns, end_ns) = ((NOW - 10) * SECOND, NOW * SECOND);
    let params = traceql::SearchParams { start_ns, end_ns, limit: 20, spans_per_spanset: 3 };
    let _ = traceql::search(snapshot, &query, &params, limits);
    let _ = traceql::metrics_instant(snapshot, &query, start_ns, end_ns, limits);
    let params = traceql::MetricsParams { start_ns, end_ns, step_ns: SECOND, exemplars: 5 };
    let _ = traceql::metrics_range(snapshot, &query, &params, limits);
}
