//! `/metrics` in Prometheus's text format, version 0.0.4.

use std::fmt::Write;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use trefoil_store::{SignalStats, Stats};

use super::{Counters, QUERY_SECONDS};
use crate::api::{Api, AppState};
use crate::memory::resident_bytes;
use crate::pipeline::Signal;

/// Everything the server knows about itself.
pub(crate) fn exposition(state: &AppState) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    let stats = state.store.stats();
    page.family("trefoil_build_info", "gauge", "Version of this binary.");
    page.sample("trefoil_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    process(&mut page, state);
    receive(&mut page, &state.counters, state.pipeline.delta_series());
    let help = "Metric series that appeared within the last day.";
    page.single("trefoil_active_series", "gauge", help, state.pipeline.active_series());
    let help = "Data points that went to an overflow series.";
    let overflowed = &state.counters.signal(Signal::Metrics).overflowed;
    page.single("trefoil_overflow_points_total", "counter", help, overflowed.load(Relaxed));
    in_flight(&mut page, state);
    store(&mut page, &stats);
    queries(&mut page, &state.counters);
    page.0
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// All label values are words of ours: none needs escaping.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (i, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{value}\"", if i == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn per_signal(&mut self, name: &str, kind: &str, help: &str, value: impl Fn(Signal) -> u64) {
        self.family(name, kind, help);
        for signal in Signal::ALL {
            self.sample(name, &[("signal", signal.name())], value(signal));
        }
    }
}

fn process(page: &mut Page, state: &AppState) {
    let started = state.started_ns as f64 / 1e9;
    let help = "Unix time at which the process started.";
    page.single("process_start_time_seconds", "gauge", help, started);
    let uptime = (state.clock.now_ns() - state.started_ns) as f64 / 1e9;
    page.single("trefoil_uptime_seconds", "gauge", "Time since the start.", uptime);
    if let Some(bytes) = resident_bytes() {
        let help = "Memory of the process that is in RAM.";
        page.single("process_resident_memory_bytes", "gauge", help, bytes);
    }
    let help = "The budget given by --memory.";
    page.single("trefoil_memory_limit_bytes", "gauge", help, state.config.memory_bytes);
}

fn receive(page: &mut Page, counters: &Counters, delta_series: usize) {
    let load = |signal: Signal| &counters.signals[signal as usize];
    let name = "trefoil_received_items_total";
    page.per_signal(
        name,
        "counter",
        "Spans, data points and log records that came in.",
        |signal| load(signal).received.load(Relaxed),
    );
    let name = "trefoil_stored_items_total";
    page.per_signal(
        name,
        "counter",
        "Items acknowledged; received = stored + refused.",
        |signal| load(signal).stored.load(Relaxed),
    );
    let name = "trefoil_refused_items_total";
    page.family(name, "counter", "Items not stored, by reason.");
    for signal in Signal::ALL {
        let refused = load(signal).refused.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, count) in refused.iter() {
            page.sample(name, &[("signal", signal.name()), ("reason", reason)], count);
        }
    }
    let name = "trefoil_future_items_total";
    let help = "Stored items stamped more than five minutes ahead of this machine's clock.";
    page.per_signal(name, "counter", help, |signal| load(signal).future.load(Relaxed));
    let name = "trefoil_received_bytes_total";
    page.per_signal(name, "counter", "Bytes of decompressed requests.", |signal| {
        load(signal).bytes.load(Relaxed)
    });
    let name = "trefoil_receive_requests_total";
    page.family(name, "counter", "Export requests by transport and HTTP or gRPC status.");
    let requests = counters.requests.lock().unwrap_or_else(PoisonError::into_inner);
    for ((transport, signal, status), count) in requests.iter() {
        let labels =
            [("transport", *transport), ("signal", signal.name()), ("status", &status.to_string())];
        page.sample(name, &labels, count);
    }
    let help = "Series with delta temporality whose running totals are kept.";
    page.single("trefoil_delta_series", "gauge", help, delta_series);
}

fn in_flight(page: &mut Page, state: &AppState) {
    let (used, limit) = state.admission.bytes();
    let help = "Memory reserved for requests in flight.";
    page.single("trefoil_receive_in_flight_bytes", "gauge", help, used);
    let help = "Memory that requests in flight may have; past it they are told to come back.";
    page.single("trefoil_receive_in_flight_limit_bytes", "gauge", help, limit);
    let help = "Requests that are being decoded or wait for the disk.";
    page.single("trefoil_receive_storing_requests", "gauge", help, state.admission.storing());
    memory(page, state);
    let (running, waiting) = state.queries_now();
    page.single("trefoil_queries_running", "gauge", "Queries that run.", running);
    page.single("trefoil_queries_waiting", "gauge", "Queries that wait to run.", waiting);
}

/// Who has which share of `--memory`.
fn memory(page: &mut Page, state: &AppState) {
    let stats = state.store.stats();
    let head: u64 = [stats.metrics, stats.logs, stats.traces].iter().map(|s| s.head_bytes).sum();
    let receive = state.admission.bytes().0 as u64;
    let name = "trefoil_memory_bytes";
    page.family(name, "gauge", "Memory by account; rest is queries, merges and the program.");
    for (account, bytes) in [("receive", receive), ("head", head), ("cache", stats.cache_bytes)] {
        page.sample(name, &[("account", account)], bytes);
    }
    if let Some(all) = resident_bytes() {
        let rest = all.saturating_sub(head + receive + stats.cache_bytes);
        page.sample(name, &[("account", "rest")], rest);
    }
    let help = "The number that all memory stays within, --memory.";
    page.single("trefoil_memory_limit_bytes", "gauge", help, state.config.memory_bytes);
    let name = "trefoil_queries_starved_total";
    let help = "Queries stopped because all memory was taken.";
    page.single(name, "counter", help, state.counters.starved.load(Relaxed));
}

fn store(page: &mut Page, stats: &Stats) {
    let of = |signal: Signal| -> &SignalStats {
        match signal {
            Signal::Traces => &stats.traces,
            Signal::Metrics => &stats.metrics,
            Signal::Logs => &stats.logs,
        }
    };
    let mut gauge = |name: &str, help: &str, value: fn(&SignalStats) -> u64| {
        page.per_signal(name, "gauge", help, |signal| value(of(signal)));
    };
    gauge("trefoil_head_items", "Spans, samples, log records in memory.", |s| s.head_items);
    gauge("trefoil_head_bytes", "Memory of the head.", |s| s.head_bytes);
    gauge("trefoil_part_items", "Items in parts on disk.", |s| s.part_items);
    gauge("trefoil_part_bytes", "Bytes of parts on disk.", |s| s.part_bytes);
    gauge("trefoil_parts", "Parts on disk.", |s| s.parts);
    let help = "Spans, samples, log records appended.";
    page.per_signal("trefoil_appended_items_total", "counter", help, |s| of(s).appended);
    let help = "Items dropped by retention.";
    page.per_signal("trefoil_expired_items_total", "counter", help, |s| of(s).expired);
    let help = "Items deleted on request, and spans of traces that did not matter.";
    page.per_signal("trefoil_deleted_items_total", "counter", help, |s| of(s).deleted);
    page.single("trefoil_head_series", "gauge", "Metric series in memory.", stats.series);
    page.single("trefoil_head_streams", "gauge", "Log streams in memory.", stats.streams);
    let help = "Bytes of the write-ahead log on disk.";
    page.single("trefoil_wal_bytes", "gauge", help, stats.wal_bytes);
    let help = "Times the write-ahead log was made durable; one may serve many requests.";
    page.single("trefoil_wal_syncs_total", "counter", help, stats.wal_syncs);
    let help = "Items replayed from the write-ahead log at start.";
    page.single("trefoil_wal_replayed_items", "gauge", help, stats.replayed);
    let help = "Blocks set aside because their checksum did not hold.";
    page.single("trefoil_damaged_blocks", "gauge", help, stats.damaged_blocks);
    let help = "Damaged files set aside in the directory quarantine.";
    page.single("trefoil_quarantined_files", "gauge", help, stats.quarantined_files);
    let help = "Bytes without a whole record cut off the write-ahead log at start.";
    page.single("trefoil_wal_cut_bytes", "gauge", help, stats.wal_cut_bytes);
    let help = "Bytes free on the data's file system.";
    page.single("trefoil_disk_free_bytes", "gauge", help, stats.disk_free_bytes);
    let help = "Bytes of it that writes leave free.";
    page.single("trefoil_disk_reserve_bytes", "gauge", help, stats.disk_reserve_bytes);
    let help = "1 while writes are refused because the disk is nearly full.";
    page.single("trefoil_disk_full", "gauge", help, u8::from(stats.disk_full.is_some()));
    let help = "1 if writing has stopped until a restart.";
    page.single("trefoil_poisoned", "gauge", help, u8::from(stats.poisoned.is_some()));
}

fn queries(page: &mut Page, counters: &Counters) {
    let name = "trefoil_query_duration_seconds";
    page.family(name, "histogram", "Time from the question to the answer.");
    for api in Api::ALL {
        let query = &counters.queries[api as usize];
        let mut total = 0;
        for (i, bucket) in query.buckets.iter().enumerate() {
            total += bucket.load(Relaxed);
            let bound = QUERY_SECONDS.get(i).map_or("+Inf".to_owned(), f64::to_string);
            page.sample(&format!("{name}_bucket"), &[("api", api.name()), ("le", &bound)], total);
        }
        let sum = query.nanos.load(Relaxed) as f64 / 1e9;
        page.sample(&format!("{name}_sum"), &[("api", api.name())], sum);
        page.sample(&format!("{name}_count"), &[("api", api.name())], total);
    }
    let name = "trefoil_query_failures_total";
    page.family(name, "counter", "Queries that ended with an error, by kind.");
    const KINDS: [&str; 5] = ["bad", "execution", "limit", "cancelled", "storage"];
    for api in Api::ALL {
        for (kind, count) in KINDS.iter().zip(&counters.queries[api as usize].failed) {
            page.sample(name, &[("api", api.name()), ("kind", kind)], count.load(Relaxed));
        }
    }
}
