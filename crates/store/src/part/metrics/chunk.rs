//! A chunk: samples of one series, up to some thousands.
//!
//! Times are a first one and a step, or differences of differences. Values are one of:
//! all equal; decimal numbers with few digits, kept as scaled integers with the odd ones
//! out on a list; or eight planes of bytes, which zstd takes from there. Decoding gives
//! every bit back: the writer checks each value before it chooses the decimal form.

use std::sync::Arc;

use crate::bytes::{Reader, put_signed, put_varint};
use crate::model::Histogram;
use crate::row;
use crate::samples::Gather;

const KIND_FLOATS: u8 = 0;
const KIND_HISTOGRAMS: u8 = 1;

const VALUES_EQUAL: u8 = 0;
const VALUES_DECIMAL: u8 = 1;
const VALUES_DECIMAL_STEPS: u8 = 2;
const VALUES_PLANES: u8 = 3;

/// Powers of ten up to here are exact in a double, and so is the division by them.
const EXPONENT_MAX: u8 = 15;
/// Integers beyond this are not all doubles.
const SCALED_MAX: f64 = 9_007_199_254_740_992.0;

pub(crate) fn put_floats(out: &mut Vec<u8>, times: &[i64], starts: &[i64], values: &[f64]) {
    out.push(KIND_FLOATS);
    put_varint(out, values.len() as u64);
    put_times(out, times);
    put_starts(out, starts);
    let from = out.len();
    put_values(out, values);
    debug_assert!(are_read_from(&out[from..], values), "values come back bit by bit");
}

fn are_read_from(bytes: &[u8], written: &[f64]) -> bool {
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    values(&mut Reader::new(bytes), written.len()).is_some_and(|read| bits(&read) == bits(written))
}

pub(super) fn put_histograms(
    out: &mut Vec<u8>,
    times: &[i64],
    starts: &[i64],
    values: &[Arc<Histogram>],
) {
    out.push(KIND_HISTOGRAMS);
    put_varint(out, values.len() as u64);
    put_times(out, times);
    put_starts(out, starts);
    for histogram in values {
        row::put_histogram(out, histogram);
    }
}

fn put_times(out: &mut Vec<u8>, times: &[i64]) {
    let first = times.first().copied().unwrap_or(0);
    let step = times.get(1).map_or(0, |second| second.wrapping_sub(first));
    put_signed(out, first);
    put_signed(out, step);
    let regular = times.windows(2).all(|w| w[1].wrapping_sub(w[0]) == step);
    out.push(u8::from(!regular));
    if regular {
        return;
    }
    let mut last_step = step;
    for pair in times.windows(2).skip(1) {
        let step = pair[1].wrapping_sub(pair[0]);
        put_signed(out, step.wrapping_sub(last_step));
        last_step = step;
    }
}

fn times(r: &mut Reader<'_>, count: usize) -> Option<Vec<i64>> {
    let mut time = r.signed()?;
    let mut step = r.signed()?;
    let regular = r.u8()? == 0;
    let mut times = Vec::with_capacity(count);
    for i in 0..count {
        if i > 0 {
            if !regular && i > 1 {
                step = step.wrapping_add(r.signed()?);
            }
            time = time.wrapping_add(step);
        }
        times.push(time);
    }
    Some(times)
}

fn put_starts(out: &mut Vec<u8>, starts: &[i64]) {
    let Some(&first) = starts.first() else { return out.push(0) };
    if starts.iter().all(|&s| s == first) {
        out.push(1);
        return put_signed(out, first);
    }
    out.push(2);
    let mut last = 0i64;
    for &start in starts {
        put_signed(out, start.wrapping_sub(last));
        last = start;
    }
}

fn starts(r: &mut Reader<'_>, count: usize) -> Option<Vec<i64>> {
    match r.u8()? {
        0 => Some(Vec::new()),
        1 => Some(vec![r.signed()?; count]),
        2 => {
            let mut starts = Vec::with_capacity(count);
            let mut last = 0i64;
            for _ in 0..count {
                last = last.wrapping_add(r.signed()?);
                starts.push(last);
            }
            Some(starts)
        }
        _ => None,
    }
}

fn put_values(out: &mut Vec<u8>, values: &[f64]) {
    let first = values.first().map_or(0, |v| v.to_bits());
    if values.iter().all(|v| v.to_bits() == first) {
        out.push(VALUES_EQUAL);
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    if let Some(decimal) = Decimal::of(values) {
        return decimal.put(out);
    }
    out.push(VALUES_PLANES);
    for plane in (0..8).rev() {
        out.extend(values.iter().map(|v| (v.to_bits() >> (8 * plane)) as u8));
    }
}

/// Values as integers over a power of ten, with exceptions.
struct Decimal {
    exponent: u8,
    scaled: Vec<i64>,
    /// Place and bits of values that have no such form.
    exceptions: Vec<(usize, u64)>,
}

fn power_of_ten(exponent: u8) -> f64 {
    10f64.powi(i32::from(exponent))
}

/// The integer that gives exactly this value when divided by 10^exponent.
fn scale(value: f64, exponent: u8) -> Option<i64> {
    let power = power_of_ten(exponent);
    let scaled = (value * power).round();
    if scaled.abs() >= SCALED_MAX {
        return None;
    }
    // By way of the integer, as the reader goes: it has no negative zero.
    let scaled = scaled as i64;
    ((scaled as f64 / power).to_bits() == value.to_bits()).then_some(scaled)
}

impl Decimal {
    fn of(values: &[f64]) -> Option<Self> {
        let exceptions_max = values.len() / 16 + 1;
        let mut exponent = 0;
        let mut odd = 0;
        for &value in values {
            match (exponent..=EXPONENT_MAX).find(|&e| scale(value, e).is_some()) {
                Some(needed) => exponent = needed,
                None => odd += 1,
            }
            if odd > exceptions_max {
                return None;
            }
        }
        let mut scaled = Vec::with_capacity(values.len());
        let mut exceptions = Vec::new();
        let mut last = 0;
        for (at, &value) in values.iter().enumerate() {
            match scale(value, exponent) {
                Some(integer) => last = integer,
                None => exceptions.push((at, value.to_bits())),
            }
            scaled.push(last);
            if exceptions.len() > exceptions_max {
                return None;
            }
        }
        Some(Decimal { exponent, scaled, exceptions })
    }

    fn put(&self, out: &mut Vec<u8>) {
        let mut plain = Vec::new();
        let mut steps = Vec::new();
        let (mut last, mut last_step) = (0i64, 0i64);
        for &integer in &self.scaled {
            let step = integer.wrapping_sub(last);
            put_signed(&mut plain, step);
            put_signed(&mut steps, step.wrapping_sub(last_step));
            (last, last_step) = (integer, step);
        }
        let use_steps = steps.len() < plain.len();
        out.push(if use_steps { VALUES_DECIMAL_STEPS } else { VALUES_DECIMAL });
        out.push(self.exponent);
        put_varint(out, self.exceptions.len() as u64);
        let mut last_at = 0;
        for &(at, bits) in &self.exceptions {
            put_varint(out, (at - last_at) as u64);
            out.extend_from_slice(&bits.to_le_bytes());
            last_at = at;
        }
        out.extend_from_slice(if use_steps { &steps } else { &plain });
    }
}

fn values(r: &mut Reader<'_>, count: usize) -> Option<Vec<f64>> {
    match r.u8()? {
        VALUES_EQUAL => Some(vec![r.f64()?; count]),
        VALUES_PLANES => {
            let bytes = r.take(count.checked_mul(8)?)?;
            let mut bits = vec![0u64; count];
            for plane in bytes.chunks_exact(count.max(1)) {
                for (bits, &byte) in bits.iter_mut().zip(plane) {
                    *bits = *bits << 8 | u64::from(byte);
                }
            }
            Some(bits.into_iter().map(f64::from_bits).collect())
        }
        form @ (VALUES_DECIMAL | VALUES_DECIMAL_STEPS) => decimal_values(r, count, form),
        _ => None,
    }
}

fn decimal_values(r: &mut Reader<'_>, count: usize, form: u8) -> Option<Vec<f64>> {
    let exponent = r.u8().filter(|&e| e <= EXPONENT_MAX)?;
    let power = power_of_ten(exponent);
    let mut exceptions = Vec::new();
    let mut at = 0usize;
    for _ in 0..r.count(9)? {
        at = at.checked_add(usize::try_from(r.varint()?).ok()?)?;
        exceptions.push((at, r.f64()?));
    }
    let mut values = Vec::with_capacity(count);
    let (mut last, mut step) = (0i64, 0i64);
    for _ in 0..count {
        let read = r.signed()?;
        step = if form == VALUES_DECIMAL_STEPS { step.wrapping_add(read) } else { read };
        last = last.wrapping_add(step);
        values.push(last as f64 / power);
    }
    for (at, value) in exceptions {
        *values.get_mut(at)? = value;
    }
    Some(values)
}

/// Adds the samples of a chunk that lie within the range; returns how many the chunk
/// has, or `None` if it is malformed.
pub(crate) fn decode_chunk(
    bytes: &[u8],
    range_ms: &std::ops::RangeInclusive<i64>,
    out: &mut Gather<'_>,
) -> Option<usize> {
    let mut r = Reader::new(bytes);
    let kind = r.u8()?;
    let count = usize::try_from(r.varint()?).ok().filter(|&c| c <= super::CHUNK_SAMPLES)?;
    let times = times(&mut r, count)?;
    let starts = starts(&mut r, count)?;
    let start = |i: usize| starts.get(i).copied().unwrap_or(0);
    match kind {
        KIND_FLOATS => {
            let values = values(&mut r, count)?;
            // What is written is sorted; what is not comes out one by one.
            if times.is_sorted() {
                let from = times.partition_point(|time| time < range_ms.start());
                let to = times.partition_point(|time| time <= range_ms.end()).max(from);
                out.floats(
                    &times[from..to],
                    starts.get(from..to).unwrap_or(&[]),
                    &values[from..to],
                );
                return Some(count);
            }
            for (i, (&time, value)) in times.iter().zip(values).enumerate() {
                if range_ms.contains(&time) {
                    out.float(time, start(i), value);
                }
            }
        }
        KIND_HISTOGRAMS => {
            for (i, &time) in times.iter().enumerate() {
                let histogram = row::histogram(&mut r)?;
                if range_ms.contains(&time) {
                    out.histogram(time, start(i), &Arc::new(histogram));
                }
            }
        }
        _ => return None,
    }
    Some(count)
}

#[cfg(test)]
mod tests;
