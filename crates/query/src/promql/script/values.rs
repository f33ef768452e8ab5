//! Sequences of values: `1 2 _ stale 0+10x5 {{count:1}}+{{count:1}}x3`.

use trefoil_store::model::{BucketSpan, CounterReset, Histogram, STALE_NAN};

use crate::duration::parse_prometheus_ms;
use crate::promql::histogram::accumulate::Accumulator;
use crate::promql::histogram::compact;

type Read<T> = Result<T, String>;

/// Longer repetitions are a mistake in the script.
const REPEAT_MAX: usize = 1_000_000;

/// One value of a sequence.
#[derive(Clone, Debug)]
pub(super) enum Number {
    Omitted,
    Float(f64),
    /// And whether the script says something about a counter reset.
    Histogram(Box<Histogram>, bool),
}

/// A line that is nothing but a number.
pub(super) fn lone_number(text: &str) -> Option<f64> {
    let mut cursor = Cursor { rest: text };
    let value = cursor.number()?;
    cursor.rest.is_empty().then_some(value)
}

/// All values of a line.
pub(super) fn sequence(text: &str) -> Read<Vec<Number>> {
    let mut cursor = Cursor { rest: text.trim() };
    let mut out = Vec::new();
    while !cursor.rest.is_empty() {
        let before = cursor.rest;
        if cursor.take("_") {
            let count = if cursor.take("x") { cursor.count()? } else { 1 };
            out.extend(std::iter::repeat_n(Number::Omitted, count));
        } else if cursor.take("stale") {
            out.push(Number::Float(STALE_NAN));
        } else if cursor.rest.starts_with("{{") {
            histograms(&mut cursor, &mut out)?;
        } else {
            floats(&mut cursor, &mut out)?;
        }
        if !cursor.rest.is_empty() && !cursor.rest.starts_with(char::is_whitespace) {
            return Err(format!("cannot read value at {before:?}"));
        }
        cursor.rest = cursor.rest.trim_start();
    }
    Ok(out)
}

fn floats(cursor: &mut Cursor<'_>, out: &mut Vec<Number>) -> Read<()> {
    let bad = || "not a number".to_owned();
    let mut value = cursor.number().ok_or_else(|| format!("not a number: {:?}", cursor.rest))?;
    let mut delta = 0.0;
    if cursor.rest.starts_with(['+', '-']) {
        delta = cursor.number().ok_or_else(bad)?;
    }
    let more = if cursor.take("x") { cursor.count()? } else { 0 };
    for _ in 0..=more {
        out.push(Number::Float(value));
        value += delta;
    }
    Ok(())
}

fn histograms(cursor: &mut Cursor<'_>, out: &mut Vec<Number>) -> Read<()> {
    let (first, hinted) = cursor.histogram()?;
    let negative = cursor.rest.starts_with('-');
    let delta =
        if cursor.take("+") || cursor.take("-") { Some(cursor.histogram()?.0) } else { None };
    let more = if cursor.take("x") { cursor.count()? } else { 0 };
    let mut value = first;
    for i in 0..=more {
        if i > 0
            && let Some(delta) = &delta
        {
            let mut sum = Accumulator::of(&value);
            let done = if negative { sum.subtract(delta) } else { sum.add(delta) };
            done.map_err(|_| "histograms with different kinds of buckets")?;
            value = sum.finish();
        }
        out.push(Number::Histogram(Box::new(value.clone()), hinted));
    }
    Ok(())
}

/// Offsets of start timestamps in milliseconds: `-30s-1mx2 _ 0`.
pub(super) fn durations(text: &str) -> Read<Vec<Option<f64>>> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        let mut cursor = Cursor { rest: word };
        if cursor.take("_") {
            let count = if cursor.take("x") { cursor.count()? } else { 1 };
            out.extend(std::iter::repeat_n(None, count));
            continue;
        }
        let mut value = cursor.duration()?;
        let delta = if cursor.rest.starts_with(['+', '-']) { cursor.duration()? } else { 0.0 };
        let more = if cursor.take("x") { cursor.count()? } else { 0 };
        if !cursor.rest.is_empty() {
            return Err(format!("not a start timestamp: {word:?}"));
        }
        for _ in 0..=more {
            out.push(Some(value));
            value += delta;
        }
    }
    Ok(out)
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, prefix: &str) -> bool {
        let found = self.rest.strip_prefix(prefix);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn count(&mut self) -> Read<usize> {
        let len = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let count = self.rest[..len].parse().map_err(|_| "x needs a count".to_owned())?;
        self.rest = &self.rest[len..];
        if count > REPEAT_MAX {
            Err(format!("more than {REPEAT_MAX} repetitions"))
        } else {
            Ok(count)
        }
    }

    /// A signed number, `Inf` or `NaN`.
    fn number(&mut self) -> Option<f64> {
        let start = self.rest;
        let sign = if self.take("-") {
            -1.0
        } else {
            self.take("+");
            1.0
        };
        for (word, value) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
            if self.rest.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(word)) {
                self.rest = &self.rest[3..];
                return Some(sign * value);
            }
        }
        let bytes = self.rest.as_bytes();
        let mut len = bytes.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        if matches!(bytes.get(len), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
            let digits = bytes[(len + 1 + signed).min(bytes.len())..]
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count();
            if digits > 0 {
                len += 1 + signed + digits;
            }
        }
        let value = self.rest[..len].parse::<f64>().ok();
        self.rest = if value.is_some() { &self.rest[len..] } else { start };
        value.map(|value| sign * value)
    }

    fn duration(&mut self) -> Read<f64> {
        let negative = self.take("-");
        if !negative {
            self.take("+");
        }
        // `1mx2` is a minute twice: no unit has an x.
        let len = self.rest.find(['+', '-', 'x']).unwrap_or(self.rest.len());
        let ms = parse_prometheus_ms(&self.rest[..len])
            .ok_or_else(|| format!("not a duration: {:?}", &self.rest[..len]))?
            as f64;
        self.rest = &self.rest[len..];
        Ok(if negative { -ms } else { ms })
    }

    /// `{{schema:0 count:1 buckets:[1 2]}}`.
    fn histogram(&mut self) -> Read<(Histogram, bool)> {
        if !self.take("{{") {
            return Err(format!("not a histogram: {:?}", self.rest));
        }
        let end = self.rest.find("}}").ok_or("unclosed histogram")?;
        let body = &self.rest[..end];
        self.rest = &self.rest[end + 2..];
        histogram(body)
    }
}

fn histogram(body: &str) -> Read<(Histogram, bool)> {
    let mut h = Histogram::default();
    let mut hinted = false;
    let (mut offset, mut negative_offset) = (0, 0);
    let mut rest = body.trim();
    while !rest.is_empty() {
        let (key, tail) = rest.split_once(':').ok_or_else(|| format!("not a field: {rest:?}"))?;
        let list = tail.starts_with('[');
        let end =
            if list { tail.find(']').map(|at| at + 1) } else { tail.find(char::is_whitespace) };
        let (value, tail) = tail.split_at(end.unwrap_or(tail.len()));
        rest = tail.trim_start();
        let number = || lone_number(value).ok_or_else(|| format!("not a number: {value:?}"));
        let numbers = || {
            let inner = value.trim_start_matches('[').trim_end_matches(']');
            let parse = |word| lone_number(word).ok_or_else(|| format!("not a number: {word:?}"));
            inner.split_whitespace().map(parse).collect::<Read<Vec<f64>>>()
        };
        match key.trim() {
            "schema" => h.schema = number()? as i8,
            "sum" => h.sum = number()?,
            "count" => h.count = number()?,
            "z_bucket" => h.zero_count = number()?,
            "z_bucket_w" => h.zero_threshold = number()?,
            "offset" => offset = number()? as i32,
            "n_offset" => negative_offset = number()? as i32,
            "buckets" => h.positive_buckets = numbers()?,
            "n_buckets" => h.negative_buckets = numbers()?,
            "custom_values" => h.custom_values = numbers()?,
            "counter_reset_hint" => {
                hinted = true;
                h.counter_reset = match value {
                    "unknown" => CounterReset::Unknown,
                    "reset" => CounterReset::Reset,
                    "not_reset" => CounterReset::NotReset,
                    "gauge" => CounterReset::Gauge,
                    other => return Err(format!("unknown hint {other:?}")),
                };
            }
            other => return Err(format!("unknown field {other:?}")),
        }
    }
    let span = |offset, buckets: &[f64]| vec![BucketSpan { offset, length: buckets.len() as u32 }];
    h.positive_spans = span(offset, &h.positive_buckets);
    h.negative_spans = span(negative_offset, &h.negative_buckets);
    compact(&mut h);
    Ok((h, hinted))
}
