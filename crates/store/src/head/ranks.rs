//! The order of a head's series by labels, which come in any order: worked out when many are
//! asked for, and kept.

use std::sync::{Arc, Mutex, PoisonError};

use super::Head;
use crate::labels::Labels;

/// For each series of a head its place among all of them sorted by labels.
#[derive(Debug, Default)]
pub(super) struct Ranks(Mutex<Arc<Vec<u32>>>);

impl Ranks {
    /// What is known so far, for a head that numbers its first series the same; nothing
    /// while somebody is at work on it, as the flush that asks must not wait for queries.
    pub(super) fn known(&self) -> Ranks {
        let known = self.0.try_lock().map(|known| Arc::clone(&known));
        Ranks(Mutex::new(known.unwrap_or_default()))
    }
}

impl Head {
    /// The ranks of all series by their numbers. TRAP: nobody may ask who holds the tables.
    pub(crate) fn ranks(&self) -> Arc<Vec<u32>> {
        let mut known = self.ranks.0.lock().unwrap_or_else(PoisonError::into_inner);
        let labels: Vec<Labels> = {
            let tables = self.read();
            let series = &tables.metrics.series;
            if series.len() == known.len() {
                return Arc::clone(&known);
            }
            series.iter().map(|series| series.labels.clone()).collect()
        };
        // Without the lock, which appends wait for.
        *known = Arc::new(extend(&known, &labels));
        Arc::clone(&known)
    }
}

/// The ranks of all series, given those of the first ones among these.
fn extend(known: &[u32], labels: &[Labels]) -> Vec<u32> {
    let mut order = vec![0; known.len()];
    for (number, &rank) in known.iter().enumerate() {
        order[rank as usize] = number as u32;
    }
    order.extend(known.len() as u32..labels.len() as u32);
    // The sort finds what is sorted already.
    order.sort_by(|&a, &b| labels[a as usize].cmp(&labels[b as usize]));
    let mut ranks = vec![0; order.len()];
    for (rank, &number) in order.iter().enumerate() {
        ranks[number as usize] = rank as u32;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_order_of_labels_however_they_grow() {
        let set = |n: u32| {
            let (a, b) = ((n * 7919 % 13).to_string(), (n * 104_729 % 1009).to_string());
            Labels::from_pairs([("a", a.as_str()), ("b", b.as_str())])
        };
        let labels: Vec<Labels> = (0..1000).map(set).collect();
        let mut known = Vec::new();
        for len in [0, 1, 300, 300, 301, 1000] {
            known = extend(&known, &labels[..len]);
            let mut sorted: Vec<&Labels> = labels[..len].iter().collect();
            sorted.sort();
            assert_eq!(known.len(), len);
            assert!(known.iter().zip(&labels).all(|(&rank, set)| sorted[rank as usize] == set));
        }
    }
}
