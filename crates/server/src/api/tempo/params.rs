//! Parameters of a request.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use trefoil_query::duration::{parse_go_ns, parse_prometheus_ms};
use trefoil_store::TimeRange;
use trefoil_store::model::TraceId;

use super::Refused;
use crate::api::rfc3339;

/// The parameters in the URL, in the order they came.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|e| Refused::bad(format!("bad parameters: {e}")))?;
        Ok(Params(pairs))
    }
}

impl Params {
    /// The first value of a name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// A whole number above zero.
    pub(super) fn count(&self, name: &str, default: usize) -> Result<usize, Refused> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.parse::<u32>() {
            Ok(count) if count > 0 => Ok(count as usize),
            _ => Err(Refused::bad(format!(
                "invalid {name}: must be a positive number, not {text:?}"
            ))),
        }
    }

    /// A point in time in Unix nanoseconds: Unix seconds, milliseconds, microseconds or
    /// nanoseconds (told apart by their size), or RFC 3339.
    pub(super) fn time_ns(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let ns = match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => number_ns(number, text),
            _ => rfc3339::parse_ns(text),
        };
        let bad = || {
            Refused::bad(format!("invalid {name}: {text:?} is neither a Unix time nor RFC 3339"))
        };
        ns.map(Some).ok_or_else(bad)
    }

    /// A duration in nanoseconds, `1.5s` or `1h30m`.
    pub(super) fn duration_ns(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let ns = parse_go_ns(text).or_else(|| parse_prometheus_ms(text)?.checked_mul(1_000_000));
        ns.map(Some).ok_or_else(|| {
            Refused::bad(format!("invalid {name}: {text:?} is no duration such as 30s"))
        })
    }

    /// From `start` to `end`; all of time where they are not given.
    pub(super) fn range(&self) -> Result<TimeRange, Refused> {
        let start = self.time_ns("start")?.unwrap_or(i64::MIN);
        let end = self.time_ns("end")?;
        // The end is given in whole seconds, so the second it names belongs to the range.
        let end = match end {
            Some(ns) if ns % 1_000_000_000 == 0 => ns.saturating_add(999_999_999),
            Some(ns) => ns,
            None => i64::MAX,
        };
        if start > end {
            return Err(Refused::bad("http parameter start must be before end"));
        }
        Ok(TimeRange { start_ns: start, end_ns: end })
    }
}

fn number_ns(number: f64, text: &str) -> Option<i64> {
    let unit = match number {
        n if n < 1e11 => 1_000_000_000,
        n if n < 1e14 => 1_000_000,
        n if n < 1e17 => 1_000,
        _ => 1,
    };
    match text.parse::<i64>() {
        Ok(whole) => whole.checked_mul(unit),
        Err(_) => Some((number * unit as f64).round() as i64),
    }
}

/// A trace id of at most 32 hexadecimal digits; missing leading zeros are added, since
/// many systems leave them out.
pub(super) fn trace_id(text: &str) -> Result<TraceId, Refused> {
    if let Some(c) = text.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(Refused::bad(format!(
            "trace IDs can only contain hex characters: invalid character {c:?}"
        )));
    }
    if text.is_empty() || text.len() > 32 {
        return Err(Refused::bad(format!(
            "trace IDs have 1 to 32 hex digits, this has {}",
            text.len()
        )));
    }
    u128::from_str_radix(text, 16)
        .map(u128::to_be_bytes)
        .map_err(|e| Refused::bad(format!("bad trace ID: {e}")))
}
