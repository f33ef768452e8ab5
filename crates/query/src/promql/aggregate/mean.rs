//! A mean that neither loses small numbers nor overflows.

use super::super::histogram::accumulate::kahan_add;

/// A compensated sum and a count; once the sum would overflow, an incremental mean.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MeanState {
    /// The sum, or the mean once `incremental`.
    value: f64,
    lost: f64,
    count: f64,
    incremental: bool,
}

impl MeanState {
    /// Adds a value.
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.value = value;
            return;
        }
        if !self.incremental {
            let (sum, lost) = kahan_add(value, self.value, self.lost);
            if !sum.is_infinite() {
                (self.value, self.lost) = (sum, lost);
                return;
            }
            self.incremental = true;
            self.value /= self.count - 1.0;
            self.lost /= self.count - 1.0;
        }
        let weight = (self.count - 1.0) / self.count;
        (self.value, self.lost) =
            kahan_add(value / self.count, weight * self.value, weight * self.lost);
    }

    /// Whether a value was added.
    pub(crate) fn has_any(&self) -> bool {
        self.count > 0.0
    }

    /// The mean.
    pub(crate) fn value(&self) -> f64 {
        if self.incremental {
            return self.value + self.lost;
        }
        self.value / self.count + self.lost / self.count
    }
}
