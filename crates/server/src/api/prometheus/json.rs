//! Answers as JSON, in Prometheus's shapes: numbers of samples as strings, times as
//! seconds with three digits where they are not whole.

use std::io::Write as _;

use trefoil_query::promql::{
    AnswerSample, AnswerSeries, AnswerValue, SampleValue, api_buckets, numbers,
};
use trefoil_store::Labels;
use trefoil_store::model::Histogram;

/// A string.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    // Writing into memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// An array.
pub(super) fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

/// An object of strings.
pub(super) fn labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        text(out, name);
        out.push(b':');
        text(out, value);
    }
    out.push(b'}');
}

/// Unix milliseconds as seconds.
pub(super) fn time(out: &mut Vec<u8>, ms: i64) {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    let _ = write!(out, "{sign}{}", ms / 1000);
    if !ms.is_multiple_of(1000) {
        let _ = write!(out, ".{:03}", ms % 1000);
    }
}

/// A number as a string.
pub(super) fn number(out: &mut Vec<u8>, value: f64) {
    let _ = write!(out, "\"{}\"", numbers::json(value));
}

fn point(out: &mut Vec<u8>, ms: i64, value: f64) {
    out.push(b'[');
    time(out, ms);
    out.push(b',');
    number(out, value);
    out.push(b']');
}

fn histogram_point(out: &mut Vec<u8>, ms: i64, h: &Histogram) {
    out.push(b'[');
    time(out, ms);
    out.extend_from_slice(br#",{"count":"#);
    number(out, h.count);
    out.extend_from_slice(br#","sum":"#);
    number(out, h.sum);
    let buckets = api_buckets(h);
    if !buckets.is_empty() {
        out.extend_from_slice(br#","buckets":"#);
        list(out, buckets, |out, (rule, lower, upper, count)| {
            let _ = write!(out, "[{rule},");
            number(out, lower);
            out.push(b',');
            number(out, upper);
            out.push(b',');
            number(out, count);
            out.push(b']');
        });
    }
    out.extend_from_slice(b"}]");
}

/// `{"resultType":…,"result":…}`, without the closing brace.
pub(super) fn open_result(out: &mut Vec<u8>, value: &AnswerValue) {
    let kind = match value {
        AnswerValue::Scalar(..) => "scalar",
        AnswerValue::String(..) => "string",
        AnswerValue::Vector(_) => "vector",
        AnswerValue::Matrix(_) => "matrix",
    };
    let _ = write!(out, r#"{{"resultType":"{kind}","result":"#);
    match value {
        AnswerValue::Scalar(ms, value) => point(out, *ms, *value),
        AnswerValue::String(ms, bytes) => {
            out.push(b'[');
            time(out, *ms);
            out.push(b',');
            text(out, &String::from_utf8_lossy(bytes));
            out.push(b']');
        }
        AnswerValue::Vector(samples) => list(out, samples, sample),
        AnswerValue::Matrix(all) => list(out, all, series),
    }
}

fn sample(out: &mut Vec<u8>, sample: &AnswerSample) {
    out.extend_from_slice(br#"{"metric":"#);
    labels(out, &sample.labels);
    match &sample.value {
        SampleValue::Float(value) => {
            out.extend_from_slice(br#","value":"#);
            point(out, sample.time_ms, *value);
        }
        SampleValue::Histogram(h) => {
            out.extend_from_slice(br#","histogram":"#);
            histogram_point(out, sample.time_ms, h);
        }
    }
    out.push(b'}');
}

fn series(out: &mut Vec<u8>, series: &AnswerSeries) {
    out.extend_from_slice(br#"{"metric":"#);
    labels(out, &series.labels);
    if !series.floats.is_empty() {
        out.extend_from_slice(br#","values":"#);
        list(out, &series.floats, |out, (ms, value)| point(out, *ms, *value));
    }
    if !series.histograms.is_empty() {
        out.extend_from_slice(br#","histograms":"#);
        list(out, &series.histograms, |out, (ms, h)| histogram_point(out, *ms, h));
    }
    out.push(b'}');
}
