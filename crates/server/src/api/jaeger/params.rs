//! Parameters of a request.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use trefoil_query::duration::{parse_go_ns, parse_prometheus_ms};
use trefoil_query::traceql::jaeger::TraceQuery;
use trefoil_store::model::{SpanKind, TraceId};

use super::Refused;

/// Traces in an answer if the request does not say.
const LIMIT: i64 = 100;
/// How far back a search looks if the request does not say.
const LOOKBACK_NS: i64 = 3_600_000_000_000;

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

    /// All values of a name that are not empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| Refused::bad(format!("parameter '{name}' is required")))
    }

    /// A whole number, not negative.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(number) if number >= 0 => Ok(Some(number)),
            _ => Err(Refused::bad(format!(
                "unable to parse param '{name}': {text:?} is no whole number"
            ))),
        }
    }

    /// A duration as Go writes it, in nanoseconds.
    pub(super) fn duration_ns(&self, name: &str) -> Result<Option<u64>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let ns = parse_go_ns(text).and_then(|ns| u64::try_from(ns).ok());
        let bad = || {
            Refused::bad(format!(
                "unable to parse param '{name}': {text:?} is no duration such as 100ms"
            ))
        };
        ns.map(Some).ok_or_else(bad)
    }

    pub(super) fn kind(&self, name: &str) -> Result<Option<SpanKind>, Refused> {
        Ok(Some(match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None => return Ok(None),
            Some("server") => SpanKind::Server,
            Some("client") => SpanKind::Client,
            Some("producer") => SpanKind::Producer,
            Some("consumer") => SpanKind::Consumer,
            Some("internal") => SpanKind::Internal,
            Some(other) => {
                return Err(Refused::bad(format!(
                    "unsupported span kind {other:?}: server, client, producer, consumer or internal"
                )));
            }
        }))
    }

    /// What `traces?…` asks for. Times are Unix microseconds.
    pub(super) fn search(&self, now_ns: i64) -> Result<TraceQuery, Refused> {
        let service = self.required("service")?.to_owned();
        let micros = |name| Ok::<_, Refused>(self.number(name)?.map(|us| us.saturating_mul(1_000)));
        let end_ns = micros("end")?.unwrap_or(now_ns);
        let start_ns = match micros("start")? {
            Some(start) => start,
            None => end_ns.saturating_sub(self.lookback_ns()?),
        };
        let (min_duration_ns, max_duration_ns) =
            (self.duration_ns("minDuration")?, self.duration_ns("maxDuration")?);
        if let (Some(min), Some(max)) = (min_duration_ns, max_duration_ns)
            && min > max
        {
            return Err(Refused::bad("'maxDuration' should be greater than 'minDuration'"));
        }
        Ok(TraceQuery {
            service: Some(service),
            operation: self.get("operation").filter(|o| *o != "all").map(str::to_owned),
            tags: self.tags("tags")?,
            start_ns,
            end_ns,
            min_duration_ns,
            max_duration_ns,
            limit: usize::try_from(self.number("limit")?.unwrap_or(LIMIT)).unwrap_or(usize::MAX),
        })
    }

    /// `1h`, `2d`; the UI also sends `custom`, together with a start.
    fn lookback_ns(&self) -> Result<i64, Refused> {
        let Some(text) = self.get("lookback").filter(|text| *text != "custom") else {
            return Ok(LOOKBACK_NS);
        };
        let ns = parse_go_ns(text).or_else(|| parse_prometheus_ms(text)?.checked_mul(1_000_000));
        ns.filter(|ns| *ns > 0).ok_or_else(|| {
            Refused::bad(format!(
                "unable to parse param 'lookback': {text:?} is no duration such as 1h"
            ))
        })
    }

    /// `tags={"key":"value"}` (under this name) and any number of `tag=key:value`.
    pub(super) fn tags(&self, name: &str) -> Result<Vec<(String, String)>, Refused> {
        let mut out = Vec::new();
        for text in self.all(name) {
            let bad = || {
                Refused::bad(format!(
                    "malformed '{name}' parameter, expecting a JSON object of texts such as {{\"error\":\"true\"}}"
                ))
            };
            let tags: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(text).map_err(|_| bad())?;
            for (key, value) in tags {
                let value = match value {
                    serde_json::Value::String(text) => text,
                    serde_json::Value::Number(number) => number.to_string(),
                    serde_json::Value::Bool(truth) => truth.to_string(),
                    _ => return Err(bad()),
                };
                out.push((key, value));
            }
        }
        for text in self.all("tag") {
            let (key, value) = text
                .split_once(':')
                .ok_or_else(|| Refused::bad("malformed 'tag' parameter, expecting key:value"))?;
            out.push((key.to_owned(), value.to_owned()));
        }
        Ok(out)
    }
}

/// A trace id of at most 32 hexadecimal digits; Jaeger leaves leading zeros out.
pub(super) fn trace_id(text: &str) -> Result<TraceId, Refused> {
    let valid = !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !valid {
        return Err(Refused::bad(format!(
            "{text:?} is no trace ID: 1 to 32 hex digits are expected"
        )));
    }
    u128::from_str_radix(text, 16)
        .map(u128::to_be_bytes)
        .map_err(|e| Refused::bad(format!("malformed trace ID: {e}")))
}
