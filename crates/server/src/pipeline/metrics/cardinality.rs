//! How many series a metric may have: the excess goes to one series that says so.
//!
//! A label with an id in it makes a series of every request, and each costs memory for as
//! long as the head lives. Past a limit, points of new series lose
//! their own labels and get [`OVERFLOW`], the name that OpenTelemetry's SDKs use for the
//! same thing (metrics SDK specification, "Cardinality limits"). Nothing is refused.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use xxhash_rust::xxh3::Xxh3;

use super::series::PointLabels;
use crate::pipeline::Outcome;

/// The label of the series that has what is too much.
pub(crate) const OVERFLOW: &str = "otel_metric_overflow";

/// A series counts for so long after it has appeared, or twice as long at most. (Those that
/// go on sending are not asked about again, see `known.rs`.)
const FORGET_NS: i64 = 12 * 3600 * 1_000_000_000;
/// Metrics that are watched; a sender with more of them has ids in their names, and its
/// further ones are not limited here.
const METRICS_MAX: usize = 50_000;

/// The limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Series of one metric that may appear within [`FORGET_NS`].
    pub(crate) series: usize,
    /// Values of one label of one metric, likewise.
    pub(crate) values: usize,
}

/// The series of each metric that appeared lately.
#[derive(Debug)]
pub(crate) struct Cardinality {
    limits: Limits,
    metrics: RwLock<HashMap<String, Arc<Mutex<Active>>>>,
}

/// One metric's series, by a hash of their labels.
#[derive(Debug, Default)]
struct Active {
    series: Lately,
    values: HashMap<u64, Lately>,
    rotated_ns: i64,
}

/// Hashes that were seen since the last rotation, and before it.
#[derive(Debug, Default)]
struct Lately {
    now: HashSet<u64>,
    before: HashSet<u64>,
}

impl Lately {
    fn has(&mut self, hash: u64) -> bool {
        if self.now.contains(&hash) {
            return true;
        }
        let was = self.before.remove(&hash);
        if was {
            self.now.insert(hash);
        }
        was
    }

    fn len(&self) -> usize {
        self.now.len() + self.before.len()
    }

    fn rotate(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

impl Cardinality {
    pub(crate) fn new(limits: Limits) -> Self {
        Cardinality { limits, metrics: RwLock::default() }
    }

    /// The series of a metric; `None` if there are too many metrics to watch another.
    fn of(&self, metric: &str) -> Option<Arc<Mutex<Active>>> {
        let known = self.metrics.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(active) = known.get(metric) {
            return Some(Arc::clone(active));
        }
        drop(known);
        let mut metrics = self.metrics.write().unwrap_or_else(PoisonError::into_inner);
        if metrics.len() >= METRICS_MAX && !metrics.contains_key(metric) {
            return None;
        }
        Some(Arc::clone(metrics.entry(metric.to_owned()).or_default()))
    }

    /// Whether the metric may have a series with these labels at this time.
    pub(super) fn admits(&self, metric: &str, labels: &PointLabels<'_>, now_ns: i64) -> bool {
        let Some(active) = self.of(metric) else { return true };
        let mut active = active.lock().unwrap_or_else(PoisonError::into_inner);
        active.forget(now_ns);
        let hash = labels.hash();
        if active.series.has(hash) {
            return true;
        }
        if active.series.len() >= self.limits.series {
            return false;
        }
        // Known values are looked at again only with a new series: they are as old as it.
        let fits = |active: &mut Active, (name, value): (&str, &str)| {
            let values = active.values.entry(hash_of(name)).or_default();
            values.has(hash_of(value)) || values.len() < self.limits.values
        };
        if !labels.pairs().all(|pair| fits(&mut active, pair)) {
            return false;
        }
        for (name, value) in labels.pairs() {
            active.values.entry(hash_of(name)).or_default().now.insert(hash_of(value));
        }
        active.series.now.insert(hash);
        true
    }

    /// Series that are known now, over all metrics.
    pub(crate) fn series(&self) -> usize {
        let metrics = self.metrics.read().unwrap_or_else(PoisonError::into_inner);
        let len = |active: &Arc<Mutex<Active>>| {
            active.lock().unwrap_or_else(PoisonError::into_inner).series.len()
        };
        metrics.values().map(len).sum()
    }
}

/// Adds to what the sender is told that points have overflowed. With nothing refused it is
/// a warning.
pub(crate) fn warn(mut outcome: Outcome, points: u64, metric: &str) -> Outcome {
    if points > 0 {
        if !outcome.message.is_empty() {
            outcome.message.push_str("; ");
        }
        outcome.message.push_str(&format!(
            "{points} points of {metric} or others have more series than --series-per-metric or \
             --values-per-label allow and are summed up in {OVERFLOW}=\"true\"; is there an id \
             in an attribute?"
        ));
    }
    outcome
}

impl Active {
    fn forget(&mut self, now_ns: i64) {
        if now_ns.saturating_sub(self.rotated_ns) < FORGET_NS {
            return;
        }
        self.rotated_ns = now_ns;
        self.series.rotate();
        self.values.values_mut().for_each(Lately::rotate);
        self.values.retain(|_, values| values.len() > 0);
    }
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(text.as_bytes());
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(user: &str) -> PointLabels<'_> {
        let mut labels = PointLabels::default();
        labels.set("job", "cart");
        labels.set("user", user);
        labels
    }

    #[test]
    fn a_metric_has_so_many_series_and_a_label_so_many_values() {
        for (limits, fit) in
            [(Limits { series: 3, values: 9 }, 3), (Limits { series: 9, values: 2 }, 2)]
        {
            let cardinality = Cardinality::new(limits);
            let admits = |metric: &str, user: &str, now_ns| {
                cardinality.admits(metric, &labels(user), now_ns)
            };
            let users = ["a", "b", "c", "d", "e"];
            for _ in 0..2 {
                let admitted = users.iter().filter(|user| admits("m", user, 1)).count();
                assert_eq!(admitted, fit, "{limits:?}");
            }
            assert!(admits("other", "e", 1), "each metric has its own");
            assert_eq!(cardinality.series(), fit + 1);
            // Those that go on sending stay; the place of the others is free after a while.
            for time in 1..=3 {
                assert!(admits("m", "a", time * FORGET_NS + 1));
            }
            assert!(admits("m", "e", 3 * FORGET_NS + 2));
            assert!(admits("m", "a", 3 * FORGET_NS + 2));
        }
    }
}
