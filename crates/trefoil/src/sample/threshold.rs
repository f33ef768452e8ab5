//! Consistent probability sampling: the member `ot` of `tracestate`.
//!
//! Source: OpenTelemetry's specification, "TraceState: Probability Sampling". A trace is
//! sampled if its 56 random bits are at least the rejection threshold T, so its probability
//! is 1 - T / 2^56. `th` is T in hexadecimal without the zeros at the end.

use std::fmt::Write as _;

use crate::context::TraceState;

/// A threshold that no trace reaches.
pub(crate) const NEVER: u64 = 1 << 56;
/// Hexadecimal digits of a threshold.
const DIGITS: u32 = 14;
/// Digits kept behind those that are all `f`: a relative error of the probability of less
/// than 2^-12, which the written threshold then has exactly.
const PRECISION: u32 = 4;
/// The member of `tracestate` that belongs to OpenTelemetry.
const KEY: &str = "ot";
/// Bytes of the value of a member.
const VALUE_BYTES_MAX: usize = 256;

/// The threshold for a probability. `0` samples all, [`NEVER`] none; what is no number all,
/// so that a mistake does not lose data.
pub(crate) fn from_probability(probability: f64) -> u64 {
    if probability.is_nan() || probability >= 1.0 {
        return 0;
    }
    let rejected = (1.0 - probability.max(0.0)) * NEVER as f64;
    rounded(rejected as u64)
}

/// The probability of a threshold.
pub(crate) fn probability(threshold: u64) -> f64 {
    NEVER.saturating_sub(threshold) as f64 / NEVER as f64
}

/// Cut to the digits that count, so that headers stay short. Never larger than before.
pub(crate) fn rounded(threshold: u64) -> u64 {
    if threshold >= NEVER {
        return NEVER;
    }
    let leading_f = (!(threshold << 8)).leading_zeros() / 4;
    let kept = (leading_f + PRECISION).min(DIGITS);
    let cut = 4 * (DIGITS - kept);
    threshold >> cut << cut
}

/// What OpenTelemetry's member says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ot {
    /// `th`
    pub(crate) threshold: Option<u64>,
    /// `rv`
    pub(crate) randomness: Option<u64>,
}

impl Ot {
    pub(crate) fn of(state: &TraceState) -> Ot {
        let mut ot = Ot::default();
        for field in state.get(KEY).unwrap_or_default().split(';') {
            match field.split_once(':') {
                Some(("th", digits)) => ot.threshold = digits_of(digits, 1),
                Some(("rv", digits)) => ot.randomness = digits_of(digits, DIGITS),
                _ => {}
            }
        }
        ot
    }
}

/// Whether the state says this threshold already.
pub(crate) fn has_threshold(state: &TraceState, threshold: u64) -> bool {
    Ot::of(state).threshold == Some(threshold)
}

/// Lower-case hexadecimal digits, padded with zeros at the end.
fn digits_of(text: &str, at_least: u32) -> Option<u64> {
    let length = u32::try_from(text.len()).ok().filter(|l| (at_least..=DIGITS).contains(l))?;
    if !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let value = u64::from_str_radix(text, 16).ok()?;
    Some(value << (4 * (DIGITS - length)))
}

/// The state with another `th` in OpenTelemetry's member; `None` takes it out. What else the
/// member says stays, as far as there is room.
pub(crate) fn with_threshold(state: &TraceState, threshold: Option<u64>) -> TraceState {
    let mut member = String::new();
    if let Some(threshold) = threshold.filter(|t| *t < NEVER) {
        let digits = format!("{threshold:014x}");
        let digits = digits.trim_end_matches('0');
        let _ = write!(member, "th:{}", if digits.is_empty() { "0" } else { digits });
    }
    let others = state.get(KEY).unwrap_or_default().split(';');
    for field in others.filter(|field| !field.is_empty() && !field.starts_with("th:")) {
        if member.len() + 1 + field.len() > VALUE_BYTES_MAX {
            continue;
        }
        if !member.is_empty() {
            member.push(';');
        }
        member.push_str(field);
    }
    if member.is_empty() { state.without(KEY) } else { state.with(KEY, &member) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t3_thresholds_are_written_as_the_specification_writes_them() {
        // Probabilities and thresholds at precision 4, from the definition of T.
        for (probability, th) in [
            (1.0, "0"),
            (0.5, "8"),
            (0.25, "c"),
            (0.125, "e"),
            (1.0 / 256.0, "ff"),
            (2.0 / 3.0, "5555"),
            (1.0 / 3.0, "aaaa"),
            (0.1, "e666"),
            (0.01, "fd70a"),
            (0.001, "ffbe76"),
        ] {
            let state = with_threshold(&TraceState::default(), Some(from_probability(probability)));
            assert_eq!(state.as_str(), format!("ot=th:{th}"), "probability {probability}");
        }
        assert_eq!(from_probability(0.0), NEVER);
        assert_eq!(from_probability(-1.0), NEVER);
        assert_eq!(from_probability(f64::NAN), 0);
    }

    #[test]
    fn what_is_written_is_what_is_compared() {
        for exponent in 1..40 {
            for digit in [1.0, 1.3, 1.7] {
                let wanted = digit * 0.5_f64.powi(exponent + 1);
                let threshold = from_probability(wanted);
                let state = with_threshold(&TraceState::default(), Some(threshold));
                assert_eq!(Ot::of(&state).threshold, Some(threshold));
                let off = (probability(threshold) - wanted).abs() / wanted;
                assert!(off < 1.0 / 4096.0, "{wanted}: {off}");
            }
        }
    }

    #[test]
    fn damaged_fields_say_nothing() {
        for (member, threshold, randomness) in [
            ("th:c", Some(0xc << 52), None),
            ("th:0", Some(0), None),
            ("th:", None, None),
            ("th:C", None, None),
            ("th:123456789abcdef", None, None),
            ("th:1;rv:00000000000001", Some(1 << 52), Some(1)),
            ("rv:1", None, None),
            ("rv:0000000000000g", None, None),
            ("x:1;th:8", Some(1 << 55), None),
            ("th", None, None),
        ] {
            let state = TraceState::default().with("ot", member);
            assert_eq!(Ot::of(&state), Ot { threshold, randomness }, "{member}");
        }
    }

    #[test]
    fn other_fields_and_members_stay() {
        let state = TraceState::default().with("ot", "x:1;th:8;rv:00000000000001").with("a", "b");
        let other = with_threshold(&state, Some(0));
        assert_eq!(other.as_str(), "ot=th:0;x:1;rv:00000000000001,a=b");
        assert_eq!(with_threshold(&state, None).as_str(), "ot=x:1;rv:00000000000001,a=b");
        let full = TraceState::default().with("ot", &format!("x:{};y:1", "1".repeat(250)));
        assert_eq!(with_threshold(&full, Some(0)).as_str(), "ot=th:0;y:1");
        let alone = TraceState::default().with("ot", "th:8");
        assert_eq!(with_threshold(&alone, None).as_str(), "");
    }
}
