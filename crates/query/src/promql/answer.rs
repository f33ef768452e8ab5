//! What a query answers.

use std::sync::Arc;

use trefoil_store::Labels;
use trefoil_store::model::Histogram;

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The value.
    pub value: AnswerValue,
    /// What may be wrong with it, with positions.
    pub warnings: Vec<String>,
    /// What may be surprising about it, with positions.
    pub infos: Vec<String>,
}

/// The value of a query.
#[derive(Clone, Debug)]
pub enum AnswerValue {
    /// One number and its time in Unix milliseconds.
    Scalar(i64, f64),
    /// A text and its time in Unix milliseconds. May not be UTF-8 if the query had `\xff`.
    String(i64, Vec<u8>),
    /// One sample per series.
    Vector(Vec<AnswerSample>),
    /// Samples over time per series, sorted by labels.
    Matrix(Vec<AnswerSeries>),
}

/// One series' sample.
#[derive(Clone, Debug)]
pub struct AnswerSample {
    /// Its labels.
    pub labels: Labels,
    /// Unix milliseconds.
    pub time_ms: i64,
    /// Its value.
    pub value: SampleValue,
}

/// A number or a native histogram.
#[derive(Clone, Debug)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

/// One series' samples.
#[derive(Clone, Debug, Default)]
pub struct AnswerSeries {
    /// Its labels.
    pub labels: Labels,
    /// Unix milliseconds and numbers, by time.
    pub floats: Vec<(i64, f64)>,
    /// Unix milliseconds and native histograms, by time.
    pub histograms: Vec<(i64, Arc<Histogram>)>,
}
