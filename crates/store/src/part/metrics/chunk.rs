//! A chunk: samples of one series, up to some thousands.
//!
//! Times are a first one and a step, or differences of differences. Values are one of:
//! all equal; decimal numbers with few digits, kept as scaled integers with the odd ones
//! out on a list; or eight planes of bytes, which zstd takes from there. Decoding gives
//! every bit back: the writer checks each value before it chooses the decimal form.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::bytes::{Reader, put_signed, put_varint};
use crate::model::Histogram;
use crate::row;
use crate::samples::{Gather, Starts, is_ascending};

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
    let mut read = Vec::new();
    let whole = values(&mut Reader::new(bytes), written.len(), &mut read).is_some();
    whole && bits(&read) == bits(written)
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

/// The irregular times that were read last, written and read: series that are scraped
/// together lie beside each other and have the same.
#[derive(Debug, Default)]
struct LastTimes {
    written: Vec<u8>,
    times_ms: Vec<i64>,
    ascending: bool,
}

impl LastTimes {
    /// Reads times onto the end of `out`; whether they are known to ascend.
    fn read(&mut self, r: &mut Reader<'_>, count: usize, out: &mut Vec<i64>) -> Option<bool> {
        // How bytes are read depends on them and the count alone.
        if count == self.times_ms.len() && !self.written.is_empty() && r.skip(&self.written) {
            out.extend_from_slice(&self.times_ms);
            return Some(self.ascending);
        }
        let from = out.len();
        let mut rest = *r;
        let (first, step) = (r.signed()?, r.signed()?);
        if r.u8()? == 0 {
            out.extend((0..count as i64).map(|i| first.wrapping_add(step.wrapping_mul(i))));
            let end = step.checked_mul(count as i64).and_then(|all| all.checked_add(first));
            return Some(step > 0 && end.is_some());
        }
        irregular_times(r, count, (first, step), out)?;
        self.written.clear();
        self.written.extend_from_slice(rest.take(rest.remaining() - r.remaining())?);
        self.times_ms.clear();
        self.times_ms.extend_from_slice(&out[from..]);
        self.ascending = is_ascending(&self.times_ms);
        Some(self.ascending)
    }
}

fn irregular_times(
    r: &mut Reader<'_>,
    count: usize,
    (first, mut step): (i64, i64),
    out: &mut Vec<i64>,
) -> Option<()> {
    out.reserve(count);
    out.extend((count > 0).then_some(first));
    let mut time = first;
    if count > 1 {
        time = time.wrapping_add(step);
        out.push(time);
    }
    r.each_signed(count.saturating_sub(2), |change| {
        step = step.wrapping_add(change);
        time = time.wrapping_add(step);
        out.push(time);
    })
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

fn starts(r: &mut Reader<'_>, count: usize) -> Option<Starts> {
    match r.u8()? {
        0 => Some(Starts::None),
        1 => r.signed().map(Starts::Same),
        2 => {
            let mut starts = Vec::with_capacity(count);
            let mut last = 0i64;
            for _ in 0..count {
                last = last.wrapping_add(r.signed()?);
                starts.push(last);
            }
            Some(Starts::Each(starts))
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

/// Reads values onto the end of `out`.
fn values(r: &mut Reader<'_>, count: usize, out: &mut Vec<f64>) -> Option<()> {
    let at = out.len();
    match r.u8()? {
        VALUES_EQUAL => out.resize(at + count, r.f64()?),
        VALUES_PLANES => {
            let planes = r.take(count.checked_mul(8)?)?;
            out.extend((0..count).map(|i| {
                let byte = |bits, plane| bits << 8 | u64::from(planes[plane * count + i]);
                f64::from_bits((0..8).fold(0, byte))
            }));
        }
        form @ (VALUES_DECIMAL | VALUES_DECIMAL_STEPS) => {
            out.resize(at + count, 0.0);
            decimal_values(r, form, &mut out[at..])?;
        }
        _ => return None,
    }
    Some(())
}

/// What stands before decimal values: their power of ten, and the place and value of those
/// that are none.
struct Decimals {
    power: f64,
    exceptions: Vec<(usize, f64)>,
}

impl Decimals {
    fn read(r: &mut Reader<'_>) -> Option<Decimals> {
        let exponent = r.u8().filter(|&e| e <= EXPONENT_MAX)?;
        let mut exceptions = Vec::new();
        let mut at = 0usize;
        for _ in 0..r.count(9)? {
            at = at.checked_add(usize::try_from(r.varint()?).ok()?)?;
            exceptions.push((at, r.f64()?));
        }
        Some(Decimals { power: power_of_ten(exponent), exceptions })
    }
}

fn decimal_values(r: &mut Reader<'_>, form: u8, out: &mut [f64]) -> Option<()> {
    let Decimals { power, exceptions } = Decimals::read(r)?;
    let mut last = 0i64;
    if form == VALUES_DECIMAL_STEPS {
        let mut step = 0i64;
        r.each_signed_into(out, |change| {
            step = step.wrapping_add(change);
            last = last.wrapping_add(step);
            last as f64
        })?;
    } else {
        r.each_signed_into(out, |step| {
            last = last.wrapping_add(step);
            last as f64
        })?;
    }
    if power > 1.0 {
        out.iter_mut().for_each(|value| *value /= power);
    }
    for (at, value) in exceptions {
        *out.get_mut(at)? = value;
    }
    Some(())
}

/// The last sample of a chunk of floats, whose time is known from elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastFloat {
    pub(crate) start_ms: i64,
    pub(crate) value: f64,
}

/// Reads no more than the last sample of a chunk; `Some(None)` if they are no floats, `None`
/// if the chunk is malformed.
pub(crate) fn last_float(bytes: &[u8]) -> Option<Option<LastFloat>> {
    let mut r = Reader::new(bytes);
    let kind = r.u8()?;
    let count = usize::try_from(r.varint()?).ok().filter(|&c| c <= super::CHUNK_SAMPLES)?;
    let Some(last) = count.checked_sub(1).filter(|_| kind == KIND_FLOATS) else {
        return Some(None);
    };
    let (_first, _step) = (r.signed()?, r.signed()?);
    if r.u8()? != 0 {
        r.skip_varints(count.saturating_sub(2))?;
    }
    let start_ms = starts(&mut r, count)?.get(last);
    let value = last_value(&mut r, count)?;
    Some(Some(LastFloat { start_ms, value }))
}

/// The last of as many values as [`values`] reads.
fn last_value(r: &mut Reader<'_>, count: usize) -> Option<f64> {
    match r.u8()? {
        VALUES_EQUAL => r.f64(),
        VALUES_PLANES => {
            let planes = r.take(count.checked_mul(8)?)?;
            let bits = planes.chunks_exact(count).filter_map(<[u8]>::last);
            Some(f64::from_bits(bits.fold(0, |bits, byte| bits << 8 | u64::from(*byte))))
        }
        form @ (VALUES_DECIMAL | VALUES_DECIMAL_STEPS) => {
            let Decimals { power, exceptions } = Decimals::read(r)?;
            if let Some((at, value)) = exceptions.last()
                && *at + 1 >= count
            {
                return (at + 1 == count).then_some(*value);
            }
            let (mut last, mut step) = (0i64, 0i64);
            r.each_signed(count, |read| {
                step = if form == VALUES_DECIMAL_STEPS { step.wrapping_add(read) } else { read };
                last = last.wrapping_add(step);
            })?;
            Some(last as f64 / power)
        }
        _ => None,
    }
}

/// Reads chunks, one after the other.
#[derive(Debug, Default)]
pub(crate) struct ChunkReader {
    times: LastTimes,
}

impl ChunkReader {
    /// Adds the samples of a chunk that lie within the range; returns how many the chunk
    /// has, or `None` if it is malformed.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        range_ms: &RangeInclusive<i64>,
        out: &mut Gather<'_>,
    ) -> Option<usize> {
        let mut r = Reader::new(bytes);
        let kind = r.u8()?;
        let count = usize::try_from(r.varint()?).ok().filter(|&c| c <= super::CHUNK_SAMPLES)?;
        match kind {
            KIND_FLOATS => {
                let (times_ms, floats) = out.float_columns();
                let at = floats.len();
                let ascending = self.times.read(&mut r, count, times_ms)?;
                let starts = starts(&mut r, count)?;
                values(&mut r, count, floats)?;
                out.take_floats(at, ascending, &starts, range_ms);
            }
            KIND_HISTOGRAMS => {
                let mut times_ms = Vec::new();
                self.times.read(&mut r, count, &mut times_ms)?;
                let starts = starts(&mut r, count)?;
                for (i, &time) in times_ms.iter().enumerate() {
                    let histogram = row::histogram(&mut r)?;
                    if range_ms.contains(&time) {
                        out.histogram(time, starts.get(i), &Arc::new(histogram));
                    }
                }
            }
            _ => return None,
        }
        Some(count)
    }
}

#[cfg(test)]
mod tests;
