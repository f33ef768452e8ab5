//! A trace that uses every field, for the tests of the APIs that answer traces.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use trefoil_store::model::{
    Attribute, Event, Link, Resource, Scope, Span, SpanKind, StatusCode as Status, Value,
};
use trefoil_store::{Batch, Settings, Store};

use super::{AppState, router};

/// 2026-11-21 00:00:00 UTC, when the sample's first span starts.
pub(crate) const START_NS: u64 = 1_795_219_200_000_000_000;
/// The sample's trace id; the first byte is zero, so its text is shorter for some systems.
pub(crate) const TRACE: [u8; 16] =
    [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

fn attribute(key: &'static str, value: Value<'static>) -> Attribute<'static> {
    Attribute { key: key.into(), value }
}

fn text(text: &'static str) -> Value<'static> {
    Value::Str(text.into())
}

fn resource(service: &'static str) -> Resource<'static> {
    Resource {
        attributes: vec![
            attribute("service.name", text(service)),
            attribute("deployment.environment", text("prod")),
        ],
        ..Resource::default()
    }
}

/// The spans of the sample: a server span of `front` and, below it, a client span of `db`
/// with everything a span can have.
pub(crate) fn spans() -> [(Resource<'static>, Scope<'static>, Span<'static>); 2] {
    let root = Span {
        trace_id: TRACE,
        span_id: [1; 8],
        name: "GET /orders".into(),
        kind: SpanKind::Server,
        start_ns: START_NS,
        end_ns: START_NS + 250_000_000,
        attributes: vec![attribute("http.status_code", Value::Int(500))],
        status: Status::Ok,
        ..Span::default()
    };
    let child = Span {
        trace_id: TRACE,
        span_id: [2; 8],
        parent_span_id: [1; 8],
        trace_state: "vendor=1".into(),
        flags: 0x101,
        name: "query".into(),
        kind: SpanKind::Client,
        start_ns: START_NS + 10_000_000,
        end_ns: START_NS + 30_000_500,
        attributes: vec![
            attribute("db.system", text("postgresql")),
            attribute("retries", Value::Int(9_007_199_254_740_993)),
            attribute("ratio", Value::Double(0.5)),
            attribute("cached", Value::Bool(false)),
            attribute("key", Value::Bytes(vec![0xff, 0].into())),
            attribute("tables", Value::Array(vec![text("a"), text("b")])),
            attribute("plan", Value::Map(vec![attribute("cost", Value::Int(3))])),
        ],
        dropped_attributes: 1,
        events: vec![Event {
            time_ns: START_NS + 20_000_000,
            name: "exception".into(),
            attributes: vec![attribute("exception.message", text("no rows"))],
            dropped_attributes: 2,
        }],
        dropped_events: 3,
        links: vec![Link {
            trace_id: [7; 16],
            span_id: [8; 8],
            trace_state: "other=2".into(),
            flags: 1,
            attributes: vec![attribute("why", text("batch"))],
            dropped_attributes: 4,
        }],
        dropped_links: 5,
        status: Status::Error,
        status_message: "failed".into(),
    };
    let scope = Scope {
        name: "sqlx".into(),
        version: "0.9".into(),
        attributes: vec![attribute("lang", text("rust"))],
        ..Scope::default()
    };
    [(resource("front"), Scope::default(), root), (resource("db"), scope, child)]
}

/// A server that has the sample, one minute after it began.
pub(crate) fn state() -> Arc<AppState> {
    let store = Store::in_memory(Settings::default());
    let mut batch = Batch::new();
    for (resource, scope, span) in &spans() {
        let (resource, scope) = (batch.resource(resource), batch.scope(scope));
        batch.span(resource, scope, span);
    }
    store.append(&batch).unwrap();
    AppState::for_tests(store, START_NS as i64 + 60_000_000_000)
}

/// Asks the sample's server; spaces, braces and quotes may stand in the path as they are.
pub(crate) async fn get(path: &str) -> (StatusCode, String) {
    let (status, body) = get_bytes(path, "application/json").await;
    (status, String::from_utf8(body).unwrap())
}

/// [`get`] with an `Accept` header.
pub(crate) async fn get_bytes(path: &str, accept: &str) -> (StatusCode, Vec<u8>) {
    let encoded: String = path
        .replace("&&", "%26%26")
        .chars()
        .map(|c| match c {
            ' ' | '{' | '}' | '"' | '|' | '>' | '<' | '+' | '`' | '^' => {
                format!("%{:02X}", c as u32)
            }
            c => c.to_string(),
        })
        .collect();
    let router: Router = router(&state());
    let request = Request::get(encoded).header("accept", accept).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
    (status, body)
}

/// The answer as JSON, which must be one.
pub(crate) async fn get_json(path: &str) -> serde_json::Value {
    let (status, body) = get(path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
}
