//! Chance that can be repeated.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Random numbers from a seed (SplitMix64, Steele et al. 2014): not for secrets.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<u64>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, but not including, 1.
    pub(crate) fn fraction(&self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 up to, but not including, `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        (self.fraction() * end as f64) as u64
    }

    /// True so many times out of a hundred.
    pub(crate) fn percent(&self, chance: f64) -> bool {
        self.fraction() * 100.0 < chance
    }

    pub(crate) fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// A latency as real ones are: mostly near the median, now and then ten times that.
    pub(crate) fn latency(&self, median_ms: f64) -> Duration {
        let bell: f64 = (0..4).map(|_| self.fraction()).sum::<f64>() - 2.0;
        Duration::from_secs_f64(median_ms / 1000.0 * (1.6 * bell).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_rolls_the_same_numbers() {
        let roll = |seed| (0..5).map(|_| 0).scan(Dice::new(seed), |d, _| Some(d.next())).collect();
        let (a, b, c): (Vec<u64>, Vec<u64>, Vec<u64>) = (roll(7), roll(7), roll(8));
        assert_eq!(a, b);
        assert_ne!(a, c);
    }

    #[test]
    fn chances_come_out_about_right() {
        let dice = Dice::new(1);
        let hits = (0..10_000).filter(|_| dice.percent(20.0)).count();
        assert!((1_800..2_200).contains(&hits), "{hits}");
        assert!((0..1_000).all(|_| dice.below(3) < 3));
    }
}
