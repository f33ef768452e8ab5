//! Functions over the samples of one window.

use crate::logql::ast::RangeOp;

/// A sample: Unix nanoseconds and value.
pub(crate) type Point = (i64, f64);

/// The value of a function over the samples of a window, which are sorted by time and not
/// empty. The window is `(end - range, end]`.
pub(crate) fn value(
    op: RangeOp,
    parameter: f64,
    points: &[Point],
    end_ns: i64,
    range_ns: i64,
) -> f64 {
    let values = || points.iter().map(|(_, value)| *value);
    let seconds = range_ns as f64 / 1e9;
    match op {
        RangeOp::Sum => values().sum(),
        RangeOp::Rate => values().sum::<f64>() / seconds,
        RangeOp::Avg => average(points),
        RangeOp::Min => {
            values().fold(f64::INFINITY, |a, b| if b < a || a.is_nan() { b } else { a })
        }
        RangeOp::Max => {
            values().fold(f64::NEG_INFINITY, |a, b| if b > a || a.is_nan() { b } else { a })
        }
        RangeOp::First => points.first().map_or(f64::NAN, |(_, value)| *value),
        RangeOp::Last => points.last().map_or(f64::NAN, |(_, value)| *value),
        RangeOp::Quantile => quantile(parameter, &mut values().collect::<Vec<_>>()),
        RangeOp::Stdvar => variance(points),
        RangeOp::Stddev => variance(points).sqrt(),
        RangeOp::RateCounter => counter_rate(points, end_ns, range_ns),
        RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Absent => {
            points.len() as f64
        }
    }
}

/// The mean, without the overflow that a sum may have.
fn average(points: &[Point]) -> f64 {
    let mut mean = 0.0;
    for (i, (_, value)) in points.iter().enumerate() {
        if f64::is_infinite(mean) && (!value.is_finite()) && (mean > 0.0) == (*value > 0.0) {
            continue;
        }
        mean += (value - mean) / (i + 1) as f64;
    }
    mean
}

/// Population variance. Source: Welford, "Note on a method for calculating corrected sums
/// of squares and products".
fn variance(points: &[Point]) -> f64 {
    let (mut mean, mut squares) = (0.0, 0.0);
    for (i, (_, value)) in points.iter().enumerate() {
        let delta = value - mean;
        mean += delta / (i + 1) as f64;
        squares += delta * (value - mean);
    }
    squares / points.len() as f64
}

/// The φ-quantile with linear interpolation between ranks, as Prometheus has it.
pub(crate) fn quantile(phi: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || phi.is_nan() {
        return f64::NAN;
    }
    if phi < 0.0 {
        return f64::NEG_INFINITY;
    }
    if phi > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(f64::total_cmp);
    let rank = phi * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// The per-second increase of a counter with resets, extrapolated to the window as
/// Prometheus's `rate` does; 0 with fewer than two samples, as in Loki.
fn counter_rate(points: &[Point], end_ns: i64, range_ns: i64) -> f64 {
    let [(first_ns, first), .., (last_ns, last)] = *points else { return 0.0 };
    let mut increase = last - first;
    for pair in points.windows(2) {
        if pair[1].1 < pair[0].1 {
            increase += pair[0].1;
        }
    }
    let sampled = (last_ns - first_ns) as f64 / 1e9;
    if sampled <= 0.0 {
        return 0.0;
    }
    let between = sampled / (points.len() - 1) as f64;
    let mut to_start = first_ns.saturating_sub(end_ns.saturating_sub(range_ns)) as f64 / 1e9;
    let mut to_end = end_ns.saturating_sub(last_ns) as f64 / 1e9;
    let threshold = between * 1.1;
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    if increase > 0.0 && first >= 0.0 {
        to_start = to_start.min(sampled * (first / increase));
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    increase * ((sampled + to_start + to_end) / sampled) / (range_ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(op: RangeOp, values: &[f64]) -> f64 {
        let points: Vec<Point> =
            values.iter().enumerate().map(|(i, v)| ((i as i64 + 1) * SECOND, *v)).collect();
        value(op, 0.5, &points, 10 * SECOND, 10 * SECOND)
    }

    #[test]
    fn functions_of_known_samples() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let cases = [
            (RangeOp::Sum, 40.0),
            (RangeOp::Rate, 4.0),
            (RangeOp::Avg, 5.0),
            (RangeOp::Min, 2.0),
            (RangeOp::Max, 9.0),
            (RangeOp::First, 2.0),
            (RangeOp::Last, 9.0),
            (RangeOp::Quantile, 4.5),
            (RangeOp::Stdvar, 4.0),
            (RangeOp::Stddev, 2.0),
        ];
        for (op, expected) in cases {
            assert!((at(op, &values) - expected).abs() < 1e-12, "{op:?}");
        }
    }

    #[test]
    fn counters_survive_resets() {
        // 1 per second over samples at 1..=10 s: extrapolated to the whole window of 10 s.
        let steady: Vec<f64> = (1..=10).map(f64::from).collect();
        assert!((at(RangeOp::RateCounter, &steady) - 1.0).abs() < 1e-12);
        let reset = [10.0, 11.0, 1.0, 2.0];
        let grown = at(RangeOp::RateCounter, &reset);
        assert!(grown > 0.0, "{grown}");
        assert_eq!(at(RangeOp::RateCounter, &[5.0]), 0.0);
    }
}
