//! Durations counted in buckets that grow by a sixteenth: a percentile within 3 %, in memory
//! that does not depend on how many there are.

/// Buckets per power of two, as a number of bits.
const SUB_BITS: u32 = 4;

/// Durations in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations {
    /// Grown to the largest bucket in use.
    counts: Vec<u32>,
    total: u64,
    max: u64,
    /// Of all durations.
    pub(super) sum: u64,
}

impl Durations {
    pub(super) fn add(&mut self, ns: u64) {
        let at = bucket(ns);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] = self.counts[at].saturating_add(1);
        self.total += 1;
        self.max = self.max.max(ns);
        self.sum = self.sum.saturating_add(ns);
    }

    /// Adds what another has counted.
    pub(super) fn merge(&mut self, other: &Durations) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// The duration that a share of all (0 to 1) does not exceed; `None` if there are none.
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let rank = ((share * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return Some(middle(at).min(self.max));
            }
        }
        Some(self.max)
    }

    /// [`Durations::quantile`], 0 if there are none.
    pub(super) fn quantile_or_zero(&self, share: f64) -> u64 {
        self.quantile(share).unwrap_or(0)
    }
}

fn bucket(ns: u64) -> usize {
    let small = 1 << SUB_BITS;
    if ns < small {
        return ns as usize;
    }
    let exponent = ns.ilog2() - SUB_BITS;
    let mantissa = (ns >> exponent) as usize;
    (exponent as usize) * (small as usize) + mantissa
}

/// The middle of a bucket.
fn middle(at: usize) -> u64 {
    let small = 1usize << SUB_BITS;
    if at < small * 2 {
        return at as u64;
    }
    let exponent = at / small - 1;
    let low = ((at - exponent * small) as u64) << exponent;
    low + (1 << exponent) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_own_middle_and_errs_by_three_percent_at_most() {
        for ns in (0..64).chain([100, 999, 12_345, 1_000_000, 45_000_000_000, u64::MAX / 2]) {
            let back = middle(bucket(ns));
            assert_eq!(bucket(back), bucket(ns), "{ns}");
            let error = back.abs_diff(ns) as f64 / (ns.max(1) as f64);
            assert!(error <= 0.032, "{ns} came back as {back}");
        }
    }

    #[test]
    fn quantiles_of_known_numbers() {
        let mut durations = Durations::default();
        assert_eq!(durations.quantile(0.5), None);
        for ms in 1..=1000 {
            durations.add(ms * 1_000_000);
        }
        for (share, want_ms) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0)] {
            let got = durations.quantile(share).unwrap() as f64 / 1e6;
            assert!((got / want_ms - 1.0).abs() < 0.04, "{share}: {got} for {want_ms}");
        }
    }
}
