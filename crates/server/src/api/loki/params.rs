//! Parameters of a request: names and values from the URL and, with POST, from the form.

use std::time::Duration;

use axum::extract::{Form, FromRequest, Query, Request};
use axum::http::{HeaderMap, Method, header};
use trefoil_query::duration::{parse_go_ns, parse_prometheus_ms};
use trefoil_query::logql::Direction;

use super::Refused;
use crate::api::rfc3339;

/// The most lines one answer may have (Loki's `max_entries_limit_per_query`).
pub(super) const LINES_MAX: usize = 5000;

/// The lines of an answer if the request does not say.
const LINES: usize = 100;

const SECOND_NS: i64 = 1_000_000_000;

/// How far back a query looks if the request does not say.
pub(super) const HOUR_NS: i64 = 3600 * SECOND_NS;

/// The parameters of a request, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    /// Whether the client wants labels apart by where they come from.
    pub(super) categorize: bool,
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let bad = |why: &dyn std::fmt::Display| Refused::bad(format!("bad parameters: {why}"));
        let categorize = wants_categories(request.headers());
        let Query(mut pairs) =
            Query::<Vec<(String, String)>>::try_from_uri(request.uri()).map_err(|e| bad(&e))?;
        let has_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|v| v.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        if request.method() == Method::POST && has_form {
            let Form(form) = Form::<Vec<(String, String)>>::from_request(request, state)
                .await
                .map_err(|e| bad(&e))?;
            // As in Go's `Request.Form`, the form comes before the URL.
            pairs.splice(0..0, form);
        }
        Ok(Params { pairs, categorize })
    }
}

/// Grafana asks for this with every query. Source: Loki, `X-Loki-Response-Encoding-Flags`.
fn wants_categories(headers: &HeaderMap) -> bool {
    headers
        .get_all("X-Loki-Response-Encoding-Flags")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|flag| flag.trim() == "categorize-labels")
}

impl Params {
    /// The first value of a name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// All values of a name.
    pub(super) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The query, which must be there.
    pub(super) fn query(&self) -> Result<&str, Refused> {
        self.get("query").ok_or_else(|| Refused::bad("the parameter \"query\" is missing"))
    }

    /// How long the answer may take, if the request says.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, Refused> {
        let ns = self.duration("timeout")?;
        Ok(ns.and_then(|ns| u64::try_from(ns).ok()).map(Duration::from_nanos))
    }

    /// A time in Unix nanoseconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        time_ns(text).map(Some).ok_or_else(|| {
            Refused::bad(format!(
                "could not parse {name:?} parameter {text:?}: expected Unix nanoseconds, Unix \
                 seconds with a fraction, or RFC 3339"
            ))
        })
    }

    /// A duration in nanoseconds: `5m`, `1h30m`, `1.5s` or a number of seconds.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, Refused> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let ns = match text.parse::<f64>() {
            Ok(seconds) if seconds.abs() < 1e9 => Some((seconds * 1e9).round() as i64),
            Ok(_) => None,
            Err(_) => parse_go_ns(text)
                .or_else(|| parse_prometheus_ms(text).and_then(|ms| ms.checked_mul(1_000_000))),
        };
        ns.map(Some).ok_or_else(|| {
            Refused::bad(format!("cannot parse {text:?} of {name:?} to a valid duration"))
        })
    }

    /// Start and end: `end` or now, `start` or that much before it.
    pub(super) fn range(&self, now_ns: i64, default_ns: i64) -> Result<(i64, i64), Refused> {
        let end = self.time("end")?.unwrap_or(now_ns);
        let since = self.duration("since")?.unwrap_or(default_ns);
        let start = match self.time("start")? {
            Some(start) => start,
            None => end.min(now_ns).saturating_sub(since),
        };
        if start > end {
            return Err(Refused::bad("end timestamp must not be before or equal to start time"));
        }
        Ok((start, end))
    }

    /// The step of a metric query: at least a second, about 250 points if not said.
    pub(super) fn step(&self, start_ns: i64, end_ns: i64) -> Result<i64, Refused> {
        let Some(step) = self.duration("step")? else {
            let seconds = end_ns.saturating_sub(start_ns) / SECOND_NS / 250;
            return Ok(seconds.max(1) * SECOND_NS);
        };
        if step <= 0 {
            return Err(Refused::bad(
                "zero or negative query resolution step widths are not accepted. Try a positive \
                 integer",
            ));
        }
        Ok(step)
    }

    /// A positive number, `default` if not said.
    pub(super) fn count(&self, name: &str, default: usize) -> Result<usize, Refused> {
        match self.get(name).map(str::parse::<i64>) {
            None => Ok(default),
            Some(Ok(count)) if count > 0 => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            Some(Ok(_)) => Err(Refused::bad(format!("{name} must be a positive value"))),
            Some(Err(error)) => Err(Refused::bad(format!("cannot parse {name:?}: {error}"))),
        }
    }

    /// How many lines are wanted at most.
    pub(super) fn lines(&self) -> Result<usize, Refused> {
        let limit = self.count("limit", LINES)?;
        if limit > LINES_MAX {
            return Err(Refused::bad(format!(
                "max entries limit per query exceeded, limit > max_entries_limit_per_query \
                 ({limit} > {LINES_MAX})"
            )));
        }
        Ok(limit)
    }

    /// Which lines come first.
    pub(super) fn direction(&self) -> Result<Direction, Refused> {
        match self.get("direction").map(str::to_ascii_lowercase).as_deref() {
            None | Some("backward") => Ok(Direction::Backward),
            Some("forward") => Ok(Direction::Forward),
            Some(other) => Err(Refused::bad(format!(
                "invalid direction {other:?}: expected \"forward\" or \"backward\""
            ))),
        }
    }
}

/// A time as Loki's API takes it. Source: Loki HTTP API, "Timestamps"; integers of at most
/// ten digits are seconds, longer ones nanoseconds.
fn time_ns(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return if text.len() <= 10 { number.checked_mul(SECOND_NS) } else { Some(number) };
    }
    let decimal = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    if decimal && let Some((whole, fraction)) = text.split_once('.') {
        let seconds: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let nanos: i64 = digits.parse().ok()?;
        let nanos = if whole.starts_with('-') { -nanos } else { nanos };
        return seconds.checked_mul(SECOND_NS)?.checked_add(nanos);
    }
    rfc3339::parse_ns(text).or_else(|| {
        let seconds: f64 = text.parse().ok()?;
        (seconds.abs() < 9e9).then_some((seconds * 1e9) as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_form() {
        let cases = [
            ("1609459200000000001", Some(1_609_459_200_000_000_001)),
            ("1609459200", Some(1_609_459_200_000_000_000)),
            ("1609459200.5", Some(1_609_459_200_500_000_000)),
            ("1609459200.123456789", Some(1_609_459_200_123_456_789)),
            ("2021-01-01T00:00:00Z", Some(1_609_459_200_000_000_000)),
            ("2021-01-01T02:00:00.25+02:00", Some(1_609_459_200_250_000_000)),
            ("2020-12-31T19:00:00-05:00", Some(1_609_459_200_000_000_000)),
            ("1.6094592e9", Some(1_609_459_200_000_000_000)),
            ("yesterday", None),
            ("2021-13-01T00:00:00Z", None),
            ("2021-01-01T00:00:00", None),
            ("2021-01-01", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(time_ns(text), expected, "{text}");
        }
    }

    fn params(pairs: &[(&str, &str)]) -> Params {
        let pairs = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Params { pairs, categorize: false }
    }

    #[test]
    fn ranges_have_loki_s_defaults() {
        let now = 10 * HOUR_NS;
        let range =
            |pairs: &[(&str, &str)]| params(pairs).range(now, HOUR_NS).map_err(|e| e.reason);
        assert_eq!(range(&[]), Ok((9 * HOUR_NS, now)));
        assert_eq!(range(&[("since", "2h")]), Ok((8 * HOUR_NS, now)));
        assert_eq!(range(&[("end", "7200"), ("since", "1h")]), Ok((HOUR_NS, 2 * HOUR_NS)));
        // An end in the future does not move the start there.
        assert_eq!(range(&[("end", "72000")]), Ok((9 * HOUR_NS, 20 * HOUR_NS)));
        assert!(range(&[("start", "9"), ("end", "8")]).is_err());
    }

    #[test]
    fn steps_and_limits() {
        let step = |pairs: &[(&str, &str)]| params(pairs).step(0, HOUR_NS).map_err(|e| e.reason);
        assert_eq!(step(&[]), Ok(14 * SECOND_NS));
        assert_eq!(step(&[("step", "30")]), Ok(30 * SECOND_NS));
        assert_eq!(step(&[("step", "0.5")]), Ok(SECOND_NS / 2));
        assert_eq!(step(&[("step", "1d")]), Ok(24 * HOUR_NS));
        for bad in ["0", "-5", "x", "1e300"] {
            assert!(step(&[("step", bad)]).is_err(), "{bad}");
        }
        assert_eq!(params(&[]).lines().ok(), Some(100));
        assert_eq!(params(&[("limit", "5000")]).lines().ok(), Some(5000));
        for bad in ["5001", "0", "-1", "x"] {
            assert!(params(&[("limit", bad)]).lines().is_err(), "{bad}");
        }
        assert_eq!(params(&[("direction", "FORWARD")]).direction().ok(), Some(Direction::Forward));
        assert!(params(&[("direction", "up")]).direction().is_err());
    }
}
