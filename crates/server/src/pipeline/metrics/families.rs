//! What was already said of metric families, so that the store is not told with every
//! request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use trefoil_store::model::Metadata;

/// Families remembered; past that all are forgotten and told once more.
const FAMILIES_MAX: usize = 50_000;

/// Families whose metadata the store has had from this process.
#[derive(Debug, Default)]
pub(crate) struct Families(Mutex<HashMap<String, Metadata>>);

impl Families {
    /// Whether the store is still to be told this.
    pub(super) fn is_news(&self, name: &str, metadata: &Metadata) -> bool {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        families.get(name) != Some(metadata)
    }

    /// Remembers what was stored.
    pub(crate) fn learn(&self, news: Vec<(String, Metadata)>) {
        if news.is_empty() {
            return;
        }
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if families.len() + news.len() > FAMILIES_MAX {
            families.clear();
        }
        families.extend(news);
    }
}
