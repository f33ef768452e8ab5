//! What came in, what is kept, what was refused; the settings that matter.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value as Json, json};
use trefoil_store::{SignalStats, Stats};

use super::answer;
use crate::api::AppState;
use crate::config::{Config, show_retention, show_size};
use crate::pipeline::Signal;

pub(super) async fn get(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    answer(&headers, Ok(build(&state)))
}

fn build(state: &AppState) -> Json {
    let stats = state.store.stats();
    let requests: Vec<Json> = state
        .counters
        .requests_so_far()
        .into_iter()
        .map(|((transport, signal, status), count)| {
            json!({
                "transport": transport,
                "signal": signal.name(),
                "status": status,
                "count": count,
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now_ms": state.clock.now_ms(),
        "started_ms": state.started_ns / 1_000_000,
        "empty": is_empty(&stats, state),
        "signals": [
            signal("spans", &stats.traces, Signal::Traces, state),
            signal("log records", &stats.logs, Signal::Logs, state),
            signal("samples", &stats.metrics, Signal::Metrics, state),
        ],
        "series": stats.series,
        "streams": stats.streams,
        "wal_bytes": stats.wal_bytes,
        "wal_syncs": stats.wal_syncs,
        "replayed": stats.replayed,
        "damaged_blocks": stats.damaged_blocks,
        "poisoned": stats.poisoned,
        "requests": requests,
        "listening": listening(&state.config),
        "settings": settings(&state.config),
    })
}

fn is_empty(stats: &Stats, state: &AppState) -> bool {
    let kept = [&stats.traces, &stats.logs, &stats.metrics];
    let came = [Signal::Traces, Signal::Logs, Signal::Metrics];
    kept.iter().all(|signal| signal.appended + signal.head_items + signal.part_items == 0)
        && came.iter().all(|signal| state.counters.signal(*signal).so_far().0 == 0)
}

fn signal(name: &str, stats: &SignalStats, signal: Signal, state: &AppState) -> Json {
    let (received, refused) = state.counters.signal(signal).so_far();
    let refused: Vec<Json> = refused
        .into_iter()
        .map(|(reason, count)| json!({ "reason": reason, "count": count }))
        .collect();
    json!({
        "name": name,
        "appended": stats.appended,
        "head_items": stats.head_items,
        "head_bytes": stats.head_bytes,
        "part_items": stats.part_items,
        "part_bytes": stats.part_bytes,
        "parts": stats.parts,
        "expired": stats.expired,
        "received": received,
        "refused": refused,
    })
}

fn listening(config: &Config) -> Vec<Json> {
    let http = Some(config.http);
    let ports = [("main", http), ("OTLP/gRPC", config.otlp_grpc), ("OTLP/HTTP", config.otlp_http)];
    let open = ports.iter().filter_map(|(name, address)| Some((name, (*address)?)));
    open.map(|(name, address)| json!({ "name": name, "address": address.to_string() })).collect()
}

fn settings(config: &Config) -> Vec<Json> {
    let row = |name: &str, value: String| json!({ "name": name, "value": value });
    let retention = &config.retention;
    vec![
        row("Data directory", config.data.display().to_string()),
        row("Memory", show_size(config.memory_bytes)),
        row("Spans are kept", show_retention(retention.traces)),
        row("Log records are kept", show_retention(retention.logs)),
        row("Samples are kept", show_retention(retention.metrics)),
        row("A write waits for the disk", if config.fsync { "yes" } else { "no" }.to_owned()),
        row("A query is stopped after", format!("{:?}", config.query_timeout)),
    ]
}
