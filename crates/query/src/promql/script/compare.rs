//! Compares answers with what a script expects.

use std::fmt::Write as _;
use std::sync::Arc;

use trefoil_store::Labels;
use trefoil_store::model::Histogram;

use super::read::{Check, Eval, Expected, Notes, When};
use super::{ExpectedSeries, Given};
use crate::promql::histogram::{CUSTOM, pairs, text};
use crate::promql::{AnswerSample, AnswerSeries, AnswerValue, SampleValue, labels};

type Judged = Result<(), String>;

/// Relative difference up to which two numbers count as equal.
const TOLERANCE: f64 = 1e-6;

impl Check {
    fn accepts(&self, found: &str) -> bool {
        match self {
            Check::Text(text) => found == text,
            Check::Pattern(pattern) => pattern.is_match(found),
        }
    }

    fn text(&self) -> &str {
        match self {
            Check::Text(text) => text,
            Check::Pattern(pattern) => pattern.as_str(),
        }
    }
}

/// An error's message.
pub(super) fn error(message: &str, checks: &[Check]) -> Judged {
    match checks.iter().find(|check| !check.accepts(message)) {
        None => Ok(()),
        Some(check) => {
            Err(format!("wrong error\n  expected: {}\n  got:      {message}", check.text()))
        }
    }
}

/// Warnings or infos.
pub(super) fn notes(level: &str, found: &[String], expected: &Notes) -> Judged {
    if expected.none && !found.is_empty() {
        return Err(format!("expected no {level}, got {found:?}"));
    }
    if expected.some && found.is_empty() {
        return Err(format!("expected a {level}, got none"));
    }
    for check in &expected.checks {
        if !found.iter().any(|note| check.accepts(note)) {
            return Err(format!(
                "missing {level}\n  expected: {}\n  got:      {found:?}",
                check.text()
            ));
        }
    }
    let known = |note: &&String| expected.checks.iter().any(|check| check.accepts(note));
    match found.iter().find(|note| !known(note)) {
        Some(note) if !expected.checks.is_empty() => Err(format!("unexpected {level}: {note}")),
        _ => Ok(()),
    }
}

/// The answer's value.
pub(super) fn value(found: &AnswerValue, eval: &Eval) -> Judged {
    match (found, &eval.expected) {
        (AnswerValue::Scalar(_, found), Expected::Scalar(expected))
            if nearly(*found, *expected) =>
        {
            Ok(())
        }
        (AnswerValue::String(_, found), Expected::Text(expected))
            if found == expected.as_bytes() =>
        {
            Ok(())
        }
        (AnswerValue::Vector(found), Expected::Series(expected, None)) => {
            samples(found, expected, eval.ordered)
        }
        (AnswerValue::Matrix(found), Expected::Series(expected, grid)) => {
            let (start, step) = match (*grid, eval.when) {
                (Some(grid), _) => grid,
                (None, When::Range(start, _, step)) => (start, step),
                (None, When::At(ms)) => (ms, 1),
            };
            series(found, expected, start, step)
        }
        (found, Expected::Scalar(expected)) => Err(format!("expected {expected}, got {found:?}")),
        (found, Expected::Text(expected)) => Err(format!("expected {expected:?}, got {found:?}")),
        (found, _) => Err(format!("expected series, got {found:?}")),
    }
}

/// The samples of a range query at one time, against what an instant query must answer.
pub(super) fn value_at(found: &[AnswerSeries], eval: &Eval, ms: i64) -> Judged {
    match &eval.expected {
        Expected::Series(expected, None) => series(found, expected, ms, 1),
        _ => Ok(()),
    }
}

fn samples(found: &[AnswerSample], expected: &[ExpectedSeries], ordered: bool) -> Judged {
    let as_series: Vec<AnswerSeries> = found
        .iter()
        .map(|sample| {
            let mut one = AnswerSeries { labels: sample.labels.clone(), ..AnswerSeries::default() };
            match &sample.value {
                SampleValue::Float(value) => one.floats.push((0, *value)),
                SampleValue::Histogram(h) => one.histograms.push((0, Arc::clone(h))),
            }
            one
        })
        .collect();
    series(&as_series, expected, 0, 1)?;
    if !ordered {
        return Ok(());
    }
    for (found, (labels, _)) in found.iter().zip(expected) {
        if found.labels != *labels {
            return Err(format!("wrong order: expected {labels:?} where {:?} is", found.labels));
        }
    }
    Ok(())
}

fn series(found: &[AnswerSeries], expected: &[ExpectedSeries], start: i64, step: i64) -> Judged {
    let mut diff = String::new();
    for (labels, values) in expected {
        let Some(one) = found.iter().find(|one| one.labels == *labels) else {
            if values.iter().any(Option::is_some) {
                let _ = writeln!(diff, "  missing: {}", labels::text(labels));
            }
            continue;
        };
        points(&mut diff, one, values, start, step);
    }
    for one in found {
        if !expected.iter().any(|(labels, _)| *labels == one.labels) {
            let _ = writeln!(diff, "  unexpected: {} {}", labels::text(&one.labels), shown(one));
        }
    }
    if diff.is_empty() { Ok(()) } else { Err(format!("wrong series\n{diff}")) }
}

fn shown(one: &AnswerSeries) -> String {
    let histograms: Vec<String> =
        one.histograms.iter().map(|(t, h)| format!("{t}: {}", text(h))).collect();
    format!("{:?} {histograms:?}", one.floats)
}

fn points(diff: &mut String, one: &AnswerSeries, values: &[Option<Given>], start: i64, step: i64) {
    let name = |labels: &Labels| labels::text(labels);
    for (i, value) in values.iter().enumerate() {
        let time = start + i as i64 * step;
        let float = one.floats.iter().find(|(t, _)| *t == time).map(|(_, v)| *v);
        let histogram = one.histograms.iter().find(|(t, _)| *t == time).map(|(_, h)| h);
        let fits = match value {
            None => float.is_none() && histogram.is_none(),
            Some(Given::Float(wanted)) => float.is_some_and(|found| nearly(found, *wanted)),
            Some(Given::Histogram(wanted, hinted)) => {
                histogram.is_some_and(|found| same(found, wanted, *hinted))
            }
        };
        if !fits {
            let wanted = match value {
                None => "nothing".to_owned(),
                Some(Given::Float(wanted)) => wanted.to_string(),
                Some(Given::Histogram(wanted, true)) => {
                    format!("{} {:?}", text(wanted), wanted.counter_reset)
                }
                Some(Given::Histogram(wanted, _)) => text(wanted),
            };
            let got = match (float, histogram) {
                (Some(float), _) => float.to_string(),
                (None, Some(h)) => format!("{} {:?}", text(h), h.counter_reset),
                _ => "nothing".to_owned(),
            };
            let _ =
                writeln!(diff, "  {} at {time}: expected {wanted}, got {got}", name(&one.labels));
        }
    }
    let last = start + step * values.len() as i64;
    let times = one.floats.iter().map(|(t, _)| *t).chain(one.histograms.iter().map(|(t, _)| *t));
    for time in times.filter(|t| *t < start || *t >= last || (t - start) % step != 0) {
        let _ = writeln!(diff, "  {} at {time}: unexpected sample", name(&one.labels));
    }
}

/// Equal up to rounding; NaN equals NaN.
fn nearly(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn same(found: &Histogram, wanted: &Histogram, hinted: bool) -> bool {
    let side = |a: &Histogram, b: &Histogram, negative: bool| {
        let of = |h: &Histogram| -> Vec<(i32, f64)> {
            let (spans, buckets) = if negative {
                (&h.negative_spans, &h.negative_buckets)
            } else {
                (&h.positive_spans, &h.positive_buckets)
            };
            pairs(spans, buckets).filter(|(_, count)| *count != 0.0).collect()
        };
        let (a, b) = (of(a), of(b));
        a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| x.0 == y.0 && nearly(x.1, y.1))
    };
    found.schema == wanted.schema
        && (!hinted || found.counter_reset == wanted.counter_reset)
        && nearly(found.count, wanted.count)
        && nearly(found.sum, wanted.sum)
        && (found.schema != CUSTOM || found.custom_values == wanted.custom_values)
        && (found.schema == CUSTOM
            || (found.zero_threshold == wanted.zero_threshold
                && nearly(found.zero_count, wanted.zero_count)))
        && [true, false].into_iter().all(|negative| side(found, wanted, negative))
}
