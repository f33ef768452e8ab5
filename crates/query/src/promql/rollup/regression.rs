//! `deriv`, `predict_linear`, `double_exponential_smoothing`.

use super::super::functions::Func;
use super::super::histogram::accumulate::kahan_add;
use super::{Roller, Window};

/// The function's value for a window with at least two floats.
pub(super) fn regress(roller: &Roller, w: &Window<'_>, step: usize, time_ms: i64) -> Option<f64> {
    if w.floats.len() < 2 {
        return None;
    }
    Some(match roller.function {
        Func::Deriv => line(w, w.float_times[0]).0,
        Func::PredictLinear => {
            let (slope, intercept) = line(w, time_ms);
            slope * roller.scalar(0, step) + intercept
        }
        _ => smooth(w.floats, roller.scalar(0, step), roller.scalar(1, step)),
    })
}

/// Least squares: slope per second and the value at `origin_ms`.
fn line(w: &Window<'_>, origin_ms: i64) -> (f64, f64) {
    let first = w.floats[0];
    if w.floats.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let (mut x, mut y, mut xy, mut xx) = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0));
    for (time, value) in w.float_times.iter().zip(w.floats) {
        let seconds = (time - origin_ms) as f64 / 1e3;
        x = kahan_add(seconds, x.0, x.1);
        y = kahan_add(*value, y.0, y.1);
        xy = kahan_add(seconds * value, xy.0, xy.1);
        xx = kahan_add(seconds * seconds, xx.0, xx.1);
    }
    let n = w.floats.len() as f64;
    let (x, y, xy, xx) = (x.0 + x.1, y.0 + y.1, xy.0 + xy.1, xx.0 + xx.1);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

/// Holt's linear method.
fn smooth(values: &[f64], level_factor: f64, trend_factor: f64) -> f64 {
    let mut level = values[0];
    let mut trend = values[1] - values[0];
    let mut previous = 0.0;
    for (i, value) in values.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trend_factor * (level - previous) + (1.0 - trend_factor) * trend;
        }
        previous = level;
        level = level_factor * value + (1.0 - level_factor) * (previous + trend);
    }
    level
}
