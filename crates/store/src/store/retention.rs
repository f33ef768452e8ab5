//! What is too old is not shown, and its parts are dropped.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::flush::Maintenance;
use super::{Store, hold};
use crate::error::Result;
use crate::part::{PartInfo, Signal};

impl Store {
    /// Moves the limits of what is shown, and drops parts that lie wholly before them.
    pub(super) fn expire(&self, maintenance: &mut Maintenance, now_ns: i64) -> Result<()> {
        let retention = &self.settings.retention;
        let kept = [retention.metrics, retention.logs, retention.traces];
        let cutoffs_ns = kept.map(|kept| cutoff(now_ns, kept));
        hold(&self.view).cutoffs_ns = cutoffs_ns;
        let expired: Vec<PartInfo> = maintenance
            .manifest
            .parts
            .iter()
            .filter(|part| part.max_ns < cutoffs_ns[part.signal as usize])
            .copied()
            .collect();
        if expired.is_empty() {
            return Ok(());
        }
        let ids: Vec<u64> = expired.iter().map(|part| part.id).collect();
        let mut next = maintenance.manifest.clone();
        next.parts.retain(|part| !ids.contains(&part.id));
        self.change_parts(maintenance, next, &[], &ids)?;
        for part in expired {
            self.counters.expired[part.signal as usize].fetch_add(part.rows, Relaxed);
        }
        Ok(())
    }

    /// The oldest time of a signal that is still shown.
    pub(super) fn cutoff_ns(&self, signal: Signal) -> i64 {
        hold(&self.view).cutoffs_ns[signal as usize]
    }
}

fn cutoff(now_ns: i64, kept: Option<Duration>) -> i64 {
    let Some(kept) = kept else { return i64::MIN };
    now_ns.saturating_sub(i64::try_from(kept.as_nanos()).unwrap_or(i64::MAX))
}
