//! Parameters: from the URL and the form, times, durations, selectors.

use std::time::Duration;

use axum::extract::{Form, FromRequest, Query, Request};
use axum::http::{Method, header};
use trefoil_query::duration::parse_prometheus_ms;
use trefoil_query::promql;
use trefoil_store::{Matcher, TimeRange};

use super::envelope::Failure;
use crate::api::rfc3339;

/// All parameters of a request, in the order they came, those of the form first.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Params, Failure> {
        let Query(in_url) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|why| Failure::bad(format!("cannot read the URL's parameters: {why}")))?;
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        if request.method() != Method::POST || !is_form {
            return Ok(Params(in_url));
        }
        let Form(mut all) = Form::<Vec<(String, String)>>::from_request(request, state)
            .await
            .map_err(|why| Failure::bad(format!("error parsing form values: {why}")))?;
        all.extend(in_url);
        Ok(Params(all))
    }
}

impl Params {
    /// The first value of a parameter, if it is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A time in Unix milliseconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match parse_time_ms(text) {
            Some(ms) => Ok(Some(ms)),
            None => Err(Failure::parameter(
                name,
                format!("cannot parse {text:?} to a valid timestamp: seconds or RFC 3339 expected"),
            )),
        }
    }

    /// A time that must be given.
    pub(super) fn required_time(&self, name: &str) -> Result<i64, Failure> {
        self.time(name)?
            .ok_or_else(|| Failure::parameter(name, "cannot parse \"\" to a valid timestamp"))
    }

    /// A duration in milliseconds.
    pub(super) fn duration_ms(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let seconds = || text.parse::<f64>().ok().filter(|s| s.is_finite() && s.abs() < 9e15);
        match parse_prometheus_ms(text).or_else(|| Some((seconds()? * 1e3).round() as i64)) {
            Some(ms) => Ok(Some(ms)),
            None => Err(Failure::parameter(
                name,
                format!("cannot parse {text:?} to a valid duration: seconds or 1h30m expected"),
            )),
        }
    }

    /// How long the query may run.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, Failure> {
        let ms = self.duration_ms("timeout")?;
        Ok(ms.map(|ms| Duration::from_millis(ms.max(0).unsigned_abs())))
    }

    /// How far back samples are looked for.
    pub(super) fn lookback_ms(&self) -> Result<i64, Failure> {
        match self.duration_ms("lookback_delta")? {
            None => Ok(promql::LOOKBACK_MS),
            Some(ms) if ms > 0 => Ok(ms),
            Some(_) => Err(Failure::parameter("lookback_delta", "a positive duration is expected")),
        }
    }

    /// How many items an answer may have; 0 and nothing mean all.
    pub(super) fn limit(&self) -> Result<usize, Failure> {
        let Some(text) = self.get("limit") else { return Ok(usize::MAX) };
        match text.parse::<i64>() {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) if limit > 0 => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
            Ok(_) => Err(Failure::parameter("limit", "limit must be non-negative")),
            Err(_) => Err(Failure::parameter("limit", "limit must be a number")),
        }
    }

    /// The range that `start` and `end` say; all of time without them.
    pub(super) fn range(&self) -> Result<TimeRange, Failure> {
        let (start, end) = (self.time("start")?, self.time("end")?);
        if let (Some(start), Some(end)) = (start, end)
            && end < start
        {
            return Err(Failure::parameter("end", "end timestamp must not be before start time"));
        }
        let all = TimeRange::ALL;
        let given = TimeRange::from_ms(start.unwrap_or(0), end.unwrap_or(0));
        Ok(TimeRange {
            start_ns: if start.is_some() { given.start_ns } else { all.start_ns },
            end_ns: if end.is_some() { given.end_ns } else { all.end_ns },
        })
    }

    /// The selectors of `match[]`.
    pub(super) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, Failure> {
        // Each is a scan over the index; no client needs more.
        const SELECTORS_MAX: usize = 100;
        let texts: Vec<&str> = self.all("match[]").collect();
        if texts.len() > SELECTORS_MAX {
            return Err(Failure::parameter(
                "match[]",
                format!("more than {SELECTORS_MAX} selectors"),
            ));
        }
        let parse = |text: &&str| {
            promql::parse_matchers(text).map_err(|why| Failure::syntax("match[]", text, &why))
        };
        texts.iter().map(parse).collect()
    }
}

/// Unix seconds, perhaps with a fraction, or RFC 3339.
fn parse_time_ms(text: &str) -> Option<i64> {
    // What Prometheus prints for the earliest and latest time it knows.
    match text {
        "-292273086-05-16T16:47:06Z" => return Some(i64::MIN / 1_000_000),
        "292277025-08-18T07:12:54.999999999Z" => return Some(i64::MAX / 1_000_000),
        _ => {}
    }
    if let Ok(seconds) = text.parse::<f64>() {
        // As far as PromQL evaluates; a range beyond the store's nanoseconds ends with them.
        return (seconds.abs() < 9e12).then(|| (seconds * 1e3).round() as i64);
    }
    rfc3339::parse_ns(text).map(|ns| ns.div_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, ms) in [
            ("1435781430.781", Some(1_435_781_430_781)),
            ("0", Some(0)),
            ("-1.5", Some(-1500)),
            ("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781)),
            ("2015-07-01T20:10:51Z", Some(1_435_781_451_000)),
            ("2015-07-01T22:10:51.7819+02:00", Some(1_435_781_451_781)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("2015-07-01", None),
            ("2015-13-01T20:10:51Z", None),
            ("2015-07-01T20:10:51", None),
            ("now", None),
            ("9999999999", Some(9_999_999_999_000)),
            ("1e300", None),
            ("NaN", None),
            ("", None),
            ("é015-07-01T20:10:51Z", None),
        ] {
            assert_eq!(parse_time_ms(text), ms, "{text}");
        }
    }
}
