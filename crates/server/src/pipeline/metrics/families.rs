//! What was already said of metric families, so that the store is not told with every
//! request.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use trefoil_store::model::Metadata;

use super::known::Key;

/// Families remembered; past that all are forgotten and told once more.
const FAMILIES_MAX: usize = 50_000;

/// Families whose metadata the store has had from this process.
#[derive(Debug, Default)]
pub(crate) struct Families(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    by_name: HashMap<String, Metadata>,
    /// Metrics as they come that say nothing else: no name need be made for them.
    metrics: HashSet<Key>,
}

/// A family and what a batch says of it.
#[derive(Debug)]
pub(crate) struct News {
    /// The metric as it came.
    pub(super) metric: Key,
    pub(super) name: String,
    pub(super) metadata: Metadata,
}

impl Families {
    fn hold(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a metric that came like this says nothing new.
    pub(super) fn knows(&self, metric: Key) -> bool {
        self.hold().metrics.contains(&metric)
    }

    /// Whether the store is still to be told this.
    pub(super) fn is_news(&self, name: &str, metadata: &Metadata) -> bool {
        self.hold().by_name.get(name) != Some(metadata)
    }

    /// Remembers what was stored.
    pub(crate) fn learn(&self, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        let mut told = self.hold();
        if told.by_name.len() + news.len() > FAMILIES_MAX {
            told.by_name.clear();
        }
        for News { metric, name, metadata } in news {
            // Two metrics that say different things of one family take turns: then each of
            // them is news every time, as it was without the keys.
            let known = told.by_name.insert(name, metadata.clone());
            if known.is_some_and(|known| known != metadata) || told.metrics.len() >= FAMILIES_MAX {
                told.metrics.clear();
            }
            told.metrics.insert(metric);
        }
    }
}
