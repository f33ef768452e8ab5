//! What the web app asks for, mounted at `/ui/api`: answers shaped for pixels.
//!
//! Everything here is derived from what the store hands out; nothing is kept but the order
//! in which services were first seen (their colours). A scan that would take too long stops,
//! and the answer says so in `partial`.

mod colors;
mod exemplars;
mod histogram;
mod map;
mod metrics;
mod overview;
mod scan;
mod search;
mod service;
mod status;
mod trace;
mod volume;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use trefoil_query::{Error, ErrorKind};
use trefoil_store::TimeRange;

use crate::api::AppState;
use crate::web;

pub(crate) use colors::ColorBook;

/// Paths relative to the mount.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/overview", get(overview::get))
        .route("/services", get(colors::get))
        .route("/service", get(service::get))
        .route("/map", get(map::get))
        .route("/traces", get(search::get))
        .route("/trace/{id}", get(trace::skeleton))
        .route("/trace/{id}/span/{span}", get(trace::span))
        .route("/trace/{id}/logs", get(trace::logs))
        .route("/logs/volume", get(volume::get))
        .route("/metrics", get(metrics::get))
        .route("/exemplars", get(exemplars::get))
        .route("/status", get(status::get))
}

/// `from` and `to` of a request, in Unix milliseconds.
#[derive(Clone, Copy, Debug)]
struct Window {
    from_ms: i64,
    to_ms: i64,
}

/// Longest window: a century, so that sums of times stay far from overflow.
const WINDOW_MS_MAX: i64 = 100 * 366 * 86_400_000;

impl Window {
    fn read(parts: &Parts) -> Result<Window, String> {
        let number = |name: &str| {
            let text = query_value(parts, name).unwrap_or_default();
            text.parse::<i64>()
                .map_err(|_| format!("`{name}` must be Unix milliseconds, not `{text}`"))
        };
        let window = Window { from_ms: number("from")?, to_ms: number("to")? };
        let inside = (-WINDOW_MS_MAX..WINDOW_MS_MAX).contains(&window.from_ms)
            && (window.from_ms + 1..WINDOW_MS_MAX).contains(&window.to_ms);
        inside
            .then_some(window)
            .ok_or_else(|| "`from` must be before `to`, both within a century of 1970".to_owned())
    }

    fn range(self) -> TimeRange {
        TimeRange::from_ms(self.from_ms, self.to_ms)
    }

    fn width_ms(self) -> i64 {
        (self.to_ms - self.from_ms).max(1)
    }
}

impl<S: Sync> FromRequestParts<S> for Window {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        Window::read(parts).map_err(|message| refuse(&Error::bad(0..0, message)))
    }
}

/// One parameter of the query string.
fn query_value(parts: &Parts, name: &str) -> Option<String> {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).ok()?;
    pairs.0.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Below this a body goes as it is: packing would cost more than it saves.
const PACK_BYTES_MIN: usize = 8 << 10;

/// An answer as JSON, packed if it is large and the browser takes it.
fn answer<T: Serialize>(headers: &HeaderMap, result: Result<T, Error>) -> Response {
    let body = match result.map(|value| serde_json::to_vec(&value)) {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => {
            let message = format!("the answer cannot be written as JSON: {error}");
            return refuse(&Error { kind: ErrorKind::Storage, message, span: 0..0 });
        }
        Err(error) => return refuse(&error),
    };
    let packed = body.len() >= PACK_BYTES_MIN && web::accepts_gzip(headers);
    let body = if packed { web::gzip(&body, flate2::Compression::fast()) } else { body };
    let mut response = body.into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if packed {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// A refusal: the message, and the bytes of the query it speaks of.
fn refuse(error: &Error) -> Response {
    let span = &error.span;
    let body = if span.is_empty() && span.start == 0 {
        json!({ "error": error.message })
    } else {
        json!({ "error": error.message, "start": span.start, "end": span.end })
    };
    (crate::api::status(error), Json(body)).into_response()
}

fn not_found(message: String) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": message }))).into_response()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ms(ns: u64) -> i64 {
    i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX)
}
