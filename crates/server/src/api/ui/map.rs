//! Who calls whom: spans whose parent lies in another service, and what clients say of the
//! databases and queues that send no spans themselves.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use trefoil_query::{Error, Limits};
use trefoil_store::model::{Span, SpanId, SpanKind, StatusCode, TraceId};
use trefoil_store::{Snapshot, SpanFilter};

use super::histogram::Durations;
use super::scan::{self, Budget, Services};
use super::{Window, answer};
use crate::api::{Api, AppState};

/// Spans that are remembered while their children and parents are looked for. Sixty bytes
/// each: some thirty megabytes at most.
const SPANS_MAX: usize = 500_000;
/// Edges in an answer.
const EDGES_MAX: usize = 1000;

#[derive(Debug, Default, Serialize)]
pub(super) struct Map {
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    pub(super) partial: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) color: usize,
    pub(super) kind: &'static str,
    pub(super) requests: u64,
    pub(super) errors: u64,
    p95_ns: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) requests: u64,
    pub(super) errors: u64,
    p95_ns: u64,
}

pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    window: Window,
    headers: HeaderMap,
) -> Response {
    let asked = Arc::clone(&state);
    let result = state
        .ask(Api::Ui, None, move |snapshot, limits| {
            let mut map = build(snapshot, limits, window)?;
            for node in &mut map.nodes {
                if node.kind == "service" {
                    node.color = asked.colors.place(&node.name);
                }
            }
            Ok(map)
        })
        .await;
    answer(&headers, result)
}

type Key = (TraceId, SpanId);

/// A span that may be somebody's child, or a call out of the process.
#[derive(Debug)]
struct Seen {
    key: Key,
    parent: Key,
    service: u32,
    /// Number of the database or queue a client span names, plus one.
    outside: u32,
    failed: bool,
    duration_ns: u64,
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    errors: u64,
    durations: Durations,
}

impl Counts {
    fn add(&mut self, failed: bool, duration_ns: u64) {
        self.requests += 1;
        self.errors += u64::from(failed);
        self.durations.add(duration_ns);
    }
}

fn build(snapshot: &Snapshot, limits: &Limits<'_>, window: Window) -> Result<Map, Error> {
    let mut budget = Budget::new();
    let mut services = Services::default();
    let mut outside: Vec<(String, &'static str)> = Vec::new();
    let mut owners: HashMap<Key, u32> = HashMap::new();
    let mut seen: Vec<Seen> = Vec::new();
    let mut nodes: Vec<Counts> = Vec::new();
    let range = window.range();
    scan::spans(snapshot, range, &SpanFilter::All, limits.tally, &mut budget, &mut |stored| {
        let span = &stored.span;
        let service = services.number(&stored.resource);
        while nodes.len() < services.names.len() {
            nodes.push(Counts::default());
        }
        let failed = span.status == StatusCode::Error;
        if scan::is_entry(span) {
            nodes[service].add(failed, scan::duration_ns(span));
        }
        if seen.len() >= SPANS_MAX {
            return;
        }
        let service = u32::try_from(service).unwrap_or(u32::MAX);
        owners.insert((span.trace_id, span.span_id), service);
        seen.push(Seen {
            key: (span.trace_id, span.span_id),
            parent: (span.trace_id, span.parent_span_id),
            service,
            outside: peer(span).map_or(0, |peer| place(&mut outside, peer)),
            failed,
            duration_ns: scan::duration_ns(span),
        });
    })?;
    if seen.len() >= SPANS_MAX && budget.partial.is_empty() {
        budget.partial = format!("drawn from {SPANS_MAX} spans; choose a shorter range");
    }
    let known = |name: &str| services.names.iter().position(|other| other == name);
    let ends: Vec<End> = (0..)
        .zip(&outside)
        .map(|(number, (name, _))| match known(name) {
            Some(service) => (false, u32::try_from(service).unwrap_or(u32::MAX)),
            None => (true, number),
        })
        .collect();
    let edges = edges(&seen, &owners, &ends);
    let mut map = assemble(&services, nodes, &outside, edges);
    map.partial = budget.finish(limits.tally);
    Ok(map)
}

/// Where an edge ends: a service or something outside.
type End = (bool, u32);

/// `ends` says what each peer that a client names is: one of our services, or outside.
fn edges(seen: &[Seen], owners: &HashMap<Key, u32>, ends: &[End]) -> HashMap<(u32, End), Counts> {
    let mut edges: HashMap<(u32, End), Counts> = HashMap::new();
    let mut answered: HashSet<Key> = HashSet::new();
    for span in seen {
        match owners.get(&span.parent) {
            Some(caller) if *caller != span.service => {
                answered.insert(span.parent);
                let edge = edges.entry((*caller, (false, span.service))).or_default();
                edge.add(span.failed, span.duration_ns);
            }
            _ => {}
        }
    }
    // A client span that a service answered is that edge already.
    for span in seen.iter().filter(|s| s.outside > 0 && !answered.contains(&s.key)) {
        let Some(end) = ends.get(span.outside as usize - 1) else { continue };
        let edge = edges.entry((span.service, *end)).or_default();
        edge.add(span.failed, span.duration_ns);
    }
    edges
}

fn assemble(
    services: &Services,
    counts: Vec<Counts>,
    outside: &[(String, &'static str)],
    edges: HashMap<(u32, End), Counts>,
) -> Map {
    let node = |name: &str, kind, counts: &Counts| Node {
        name: name.to_owned(),
        color: 0,
        kind,
        requests: counts.requests,
        errors: counts.errors,
        p95_ns: counts.durations.quantile_or_zero(0.95),
    };
    let mut beyond: Vec<Counts> = outside.iter().map(|_| Counts::default()).collect();
    let mut map = Map::default();
    for ((from, (is_outside, to)), counts) in edges {
        let to = to as usize;
        let name = if is_outside { &outside[to].0 } else { &services.names[to] };
        map.edges.push(Edge {
            from: services.names[from as usize].clone(),
            to: name.clone(),
            requests: counts.requests,
            errors: counts.errors,
            p95_ns: counts.durations.quantile_or_zero(0.95),
        });
        if is_outside {
            beyond[to].merge(counts);
        }
    }
    map.edges.sort_by(|a, b| (b.requests, &a.from, &a.to).cmp(&(a.requests, &b.from, &b.to)));
    if map.edges.len() > EDGES_MAX {
        map.edges.truncate(EDGES_MAX);
    }
    map.nodes = services.names.iter().zip(&counts).map(|(n, c)| node(n, "service", c)).collect();
    let called = outside.iter().zip(&beyond).filter(|(_, counts)| counts.requests > 0);
    map.nodes.extend(called.map(|((name, kind), counts)| node(name, kind, counts)));
    map.nodes.sort_by(|a, b| a.name.cmp(&b.name));
    map
}

impl Counts {
    fn merge(&mut self, other: Counts) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.durations.merge(&other.durations);
    }
}

fn place(outside: &mut Vec<(String, &'static str)>, peer: (String, &'static str)) -> u32 {
    let at = outside.iter().position(|known| *known == peer).unwrap_or_else(|| {
        outside.push(peer);
        outside.len() - 1
    });
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

/// What a client or producer span calls, as the semantic conventions name it (the old names
/// too): a database, a queue, another service.
fn peer(span: &Span<'_>) -> Option<(String, &'static str)> {
    if !matches!(span.kind, SpanKind::Client | SpanKind::Producer) {
        return None;
    }
    let text = |key| scan::text(&span.attributes, key).filter(|text| !text.is_empty());
    let with = |system: &str, detail: Option<&str>| match detail {
        Some(detail) if detail != system => format!("{system} {detail}"),
        _ => system.to_owned(),
    };
    if let Some(system) = text("db.system.name").or_else(|| text("db.system")) {
        let database = text("db.namespace").or_else(|| text("db.name"));
        return Some((with(system, database), "database"));
    }
    if let Some(system) = text("messaging.system") {
        return Some((with(system, text("messaging.destination.name")), "queue"));
    }
    text("service.peer.name")
        .or_else(|| text("peer.service"))
        .map(|name| (name.to_owned(), "external"))
}
