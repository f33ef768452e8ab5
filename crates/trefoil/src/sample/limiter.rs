//! So many traces a second, with weights that still add up.
//!
//! The share of traces follows from the rate at which they came lately, as a threshold of
//! consistent sampling: each sampled trace tells how many it stands for. A bucket of tokens
//! holds the limit in bursts, too. What it refuses although the threshold let it pass is
//! carried over to the next traces as weight, as far as their random bits allow.

use std::sync::{Mutex, PoisonError};

use super::threshold::{self, NEVER};

/// Shortest time over which the rate is measured, in seconds: what may leave at once.
const WINDOW_SECONDS_MIN: f64 = 1.0;
/// How many more pass the threshold in a window than there are tokens, so that chance leaves
/// few of them unused.
const SURPLUS: f64 = 4.0;
/// Weight that no trace took over for so long is given up, in seconds.
const DEBT_SECONDS_MAX: f64 = 10.0;

/// Samples at most `per_second` traces a second.
#[derive(Debug)]
pub(super) struct Limiter {
    per_second: f64,
    window_seconds: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last_ns: u64,
    /// Traces of the window, those longer ago counting exponentially less.
    count: f64,
    tokens: f64,
    /// Traces that those refused by the bucket stand for.
    debt: f64,
}

impl Limiter {
    /// `per_second` is more than 0.
    pub(super) fn new(per_second: f64) -> Limiter {
        let window_seconds = WINDOW_SECONDS_MIN.max(1.0 / per_second);
        let state =
            State { last_ns: 0, count: 0.0, tokens: per_second * window_seconds, debt: 0.0 };
        Limiter { per_second, window_seconds, state: Mutex::new(state) }
    }

    /// The threshold with which a trace of these random bits is sampled, if it is.
    pub(super) fn admit(&self, now_ns: u64, randomness: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let threshold = self.arrive(&mut state, now_ns, SURPLUS);
        if randomness < threshold {
            return None;
        }
        let weight = 1.0 / threshold::probability(threshold);
        if state.tokens < 1.0 {
            state.debt += weight;
            return None;
        }
        state.tokens -= 1.0;
        if state.debt == 0.0 {
            return Some(threshold);
        }
        let heavier = threshold::from_probability(1.0 / (weight + state.debt));
        let threshold = heavier.min(threshold::rounded(randomness)).max(threshold);
        state.debt -= 1.0 / threshold::probability(threshold) - weight;
        state.debt = state.debt.max(0.0);
        Some(threshold)
    }

    /// The threshold that holds the rate, without tokens: a lower bound for samplers that
    /// would otherwise leave out what is rare.
    pub(super) fn threshold(&self, now_ns: u64) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.arrive(&mut state, now_ns, 0.0)
    }

    fn arrive(&self, state: &mut State, now_ns: u64, surplus: f64) -> u64 {
        // The clock may be set back; then no time passed.
        let passed = now_ns.saturating_sub(state.last_ns) as f64 / 1e9;
        state.last_ns = state.last_ns.max(now_ns);
        state.count = state.count * (-passed / self.window_seconds).exp() + 1.0;
        let capacity = self.per_second * self.window_seconds;
        state.tokens = (state.tokens + passed * self.per_second).min(capacity);
        if passed > DEBT_SECONDS_MAX {
            state.debt = 0.0;
        }
        threshold::from_probability((capacity + surplus) / state.count).min(NEVER - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that are the same in each run: splitmix64.
    fn random(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 8
    }

    /// How many left, and how many they stand for.
    fn run(limiter: &Limiter, arrivals_ns: impl Iterator<Item = u64>) -> (u64, f64) {
        let mut seed = 7;
        let (mut sampled, mut weight) = (0, 0.0);
        for now_ns in arrivals_ns {
            let randomness = random(&mut seed);
            if let Some(threshold) = limiter.admit(now_ns, randomness) {
                assert!(randomness >= threshold, "weights must be consistent");
                sampled += 1;
                weight += 1.0 / threshold::probability(threshold);
            }
        }
        (sampled, weight)
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn t3_never_more_than_the_limit_and_the_weights_add_up() {
        for (limit, rate, seconds) in [(10.0, 1000, 100), (50.0, 60, 100), (0.5, 200, 400)] {
            let limiter = Limiter::new(limit);
            let arrivals = (0..rate * seconds).map(|i| i * SECOND / rate);
            let (sampled, weight) = run(&limiter, arrivals);
            let (n, time) = ((rate * seconds) as f64, seconds as f64);
            assert!(sampled as f64 <= limit * time + limit.max(1.0), "{limit}/s: {sampled}");
            assert!(sampled as f64 >= 0.75 * limit * time, "{limit}/s: {sampled}");
            // The spread of a sum of such weights.
            let sigma = n / (sampled as f64).sqrt();
            assert!((weight - n).abs() < 4.0 * sigma, "{weight} for {n} at {limit}/s");
        }
    }

    #[test]
    fn a_burst_is_cut_and_those_after_it_carry_its_weight() {
        let limiter = Limiter::new(10.0);
        let burst = std::iter::repeat_n(SECOND, 10_000);
        let after = (0..6000).map(|i| SECOND + i * SECOND / 100);
        let (sampled, weight) = run(&limiter, burst.chain(after));
        assert!(sampled <= 10 + 10 * 61, "{sampled}");
        let off = (weight - 16_000.0).abs() / 16_000.0;
        assert!(off < 0.25, "{weight} for 16000");
    }

    #[test]
    fn few_traces_all_leave_for_certain() {
        let limiter = Limiter::new(10.0);
        for i in 0..100 {
            assert_eq!(limiter.admit(i * SECOND, i), Some(0));
        }
    }

    #[test]
    fn a_clock_set_back_neither_blocks_nor_opens_it() {
        let limiter = Limiter::new(1.0);
        assert_eq!(limiter.admit(100 * SECOND, 0), Some(0));
        assert_eq!(limiter.admit(50 * SECOND, NEVER - 1), None);
        assert!(limiter.admit(102 * SECOND, NEVER - 1).is_some());
    }
}
