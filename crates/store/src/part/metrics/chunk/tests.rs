use super::*;
use crate::model::STALE_NAN;
use crate::snapshot::Samples;

fn round_trip(times: &[i64], starts: &[i64], values: &[f64]) -> (u8, usize) {
    let mut bytes = Vec::new();
    put_floats(&mut bytes, times, starts, values);
    let len = bytes.len();
    let mut samples = Samples::default();
    let mut gather = Gather::new(&mut samples);
    let read = ChunkReader::default().read(&bytes, &(i64::MIN..=i64::MAX), &mut gather);
    assert_eq!(read, Some(values.len()));
    gather.finish();
    assert_eq!(samples.float_times_ms, times);
    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&samples.floats), bits(values));
    let expect = if starts.iter().all(|&s| s == 0) { &[] } else { starts };
    assert_eq!(samples.float_starts_ms, expect);
    let last = last_float(&bytes).expect("it is whole");
    let expect = values.last().map(|v| (v.to_bits(), starts.last().copied().unwrap_or(0)));
    assert_eq!(last.map(|last| (last.value.to_bits(), last.start_ms)), expect);
    let mut values_only = Vec::new();
    put_values(&mut values_only, values);
    (values_only[0], len)
}

#[test]
fn floats_come_back_bit_for_bit_in_every_form() {
    let regular: Vec<i64> = (0..300).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    let check = |values: &[f64], form: u8| {
        let (got, _) = round_trip(&regular[..values.len()], &[], values);
        assert_eq!(got, form, "{values:?}");
    };
    check(&[1.5; 100], VALUES_EQUAL);
    check(&[STALE_NAN; 3], VALUES_EQUAL);
    check(&(0..300).map(|i| f64::from(i * i % 17)).collect::<Vec<_>>(), VALUES_DECIMAL);
    check(&(0..300).map(|i| f64::from(i) * 1500.0).collect::<Vec<_>>(), VALUES_DECIMAL_STEPS);
    check(&(0..300).map(|i| f64::from(i % 7) / 1000.0).collect::<Vec<_>>(), VALUES_DECIMAL);
    check(&[0.1, 0.2, 0.30000000000000004, -0.0, 1e15, 123456789.123456], VALUES_PLANES);
    check(&(1..300).map(|i| f64::from(i).sqrt()).collect::<Vec<_>>(), VALUES_PLANES);
    let mut odd: Vec<f64> = (0..300).map(f64::from).collect();
    odd[0] = STALE_NAN;
    odd[7] = -0.0;
    odd[299] = f64::INFINITY;
    check(&odd, VALUES_DECIMAL);
    check(&[f64::NAN, f64::MIN_POSITIVE, f64::MAX, f64::NEG_INFINITY, 5e-324], VALUES_PLANES);
    check(&[], VALUES_EQUAL);
}

#[test]
fn random_chunks_round_trip() {
    for seed in 1u64..300 {
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x
        };
        let count = (next() % 200) as usize + 1;
        let mut time = next() as i64 >> 20;
        let regular = next() % 2 == 0;
        let times: Vec<i64> = (0..count)
            .map(|_| {
                time += if regular { 1000 } else { 1 + (next() % 5000) as i64 };
                time
            })
            .collect();
        let style = next() % 4;
        let values: Vec<f64> = (0..count)
            .map(|_| match style {
                0 => f64::from_bits(next()),
                1 => (next() % 10_000) as f64 / 100.0,
                2 => (next() >> 40) as f64,
                _ if next() % 10 == 0 => f64::from_bits(next()),
                _ => (next() % 100) as f64 - 50.0,
            })
            .collect();
        let starts: Vec<i64> = match next() % 3 {
            0 => vec![],
            1 => vec![77; count],
            _ => (0..count).map(|_| (next() % 3) as i64).collect(),
        };
        round_trip(&times, &starts, &values);
    }
}

#[test]
fn a_regular_counter_takes_about_a_byte_before_compression() {
    let times: Vec<i64> = (0..1000).map(|i| i * 15_000).collect();
    let values: Vec<f64> = (0..1000).map(|i| f64::from(i * 3 + i % 5)).collect();
    let (_, len) = round_trip(&times, &[], &values);
    assert!(len < 1100, "{len}");
}

#[test]
fn damaged_chunks_do_not_panic() {
    let mut bytes = Vec::new();
    put_floats(&mut bytes, &[1, 2, 9], &[1, 1, 2], &[1.0, 2.5, f64::NAN]);
    let mut chunks = ChunkReader::default();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let mut samples = Samples::default();
            let mut gather = Gather::new(&mut samples);
            let _ = chunks.read(&bad, &(i64::MIN..=i64::MAX), &mut gather);
            let _ = last_float(&bad);
            let _ = last_float(&bad[..at]);
            let _ = chunks.read(&bad[..at], &(i64::MIN..=i64::MAX), &mut gather);
        }
    }
}

/// A reader that remembers the last times reads every chunk as one that knows nothing.
#[test]
fn chunks_are_read_the_same_one_after_the_other() {
    let lists: [&[i64]; 7] = [
        &[10, 25, 41, 55],
        &[10, 25, 41, 55],
        &[10, 25, 40, 55],
        &[10, 25, 41],
        &[10, 25, 41, 55, 70],
        &[10],
        &[10, 25, 41, 56],
    ];
    let mut chunks = ChunkReader::default();
    for first in lists {
        for times in [first, lists[0], first, &[], first] {
            let values: Vec<f64> = times.iter().map(|&time| time as f64 * 1.5).collect();
            let mut bytes = Vec::new();
            put_floats(&mut bytes, times, &[], &values);
            let mut samples = Samples::default();
            let mut gather = Gather::new(&mut samples);
            let read = chunks.read(&bytes, &(0..=60), &mut gather);
            gather.finish();
            assert_eq!(read, Some(times.len()));
            let within = times.iter().filter(|&&time| time <= 60).count();
            assert_eq!(samples.float_times_ms, &times[..within]);
            assert_eq!(samples.floats, &values[..within]);
        }
    }
}
