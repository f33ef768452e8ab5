//! Deleting rows before their time, and thinning traces when it has come.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::open::PARTS_DIR;
use super::{Store, hold};
use crate::deletion::{Deletion, Pending};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::part::prune::{Keep, Pruned, prune};
use crate::part::{PartInfo, Signal};
use crate::quarantine;
use crate::stats::Deleted;

impl Store {
    /// Deletes rows that are there now. When this returns `Ok` no later snapshot shows
    /// them, and their room on the disk comes back with the last reader of the old files
    /// (but for damaged files: they go to quarantine).
    /// It is durable before it begins: after a crash maintenance goes on with it.
    ///
    /// # Errors
    /// Poisoned, or the disk is full or refused; what is left of the deletion is tried again
    /// by every maintenance.
    pub fn delete(&self, deletion: &Deletion) -> Result<Deleted> {
        let _guard = self.poison.on_panic("a deletion");
        let _no_merge = hold(&self.merging);
        let pending = {
            let mut maintenance = hold(&self.maintenance);
            self.poison.check()?;
            // Then everything meant is in parts, and what comes later in others.
            self.flush_all(&mut maintenance)?;
            let through = maintenance.manifest.flushed;
            let pending = Pending { deletion: deletion.clone(), through };
            let mut next = maintenance.manifest.clone();
            next.deletions.push(pending.clone());
            self.change_parts(&mut maintenance, next, &[], &[])?;
            pending
        };
        self.carry_out(&pending)
    }

    /// Goes on with deletions that were interrupted.
    pub(super) fn resume_deletions(&self) -> Result<()> {
        let pending = hold(&self.maintenance).manifest.deletions.clone();
        if pending.is_empty() {
            return Ok(());
        }
        let Ok(_no_merge) = self.merging.try_lock() else { return Ok(()) };
        for pending in pending {
            self.carry_out(&pending)?;
        }
        Ok(())
    }

    /// Whoever calls this holds `merging`: parts of before and after the deletion must not
    /// become one.
    fn carry_out(&self, pending: &Pending) -> Result<Deleted> {
        let Deletion { range, .. } = pending.deletion;
        let meant = |part: &PartInfo| {
            part.first_number <= pending.through
                && pending.deletion.concerns_signal(part.signal)
                && range.overlaps((part.min_ns, part.max_ns))
        };
        let parts = hold(&self.maintenance).manifest.parts.clone();
        let mut deleted = Deleted::default();
        for part in parts.into_iter().filter(meant) {
            let removed = self.replace_pruned(part, &pending.deletion, part.thinned)?;
            match part.signal {
                Signal::Metrics => deleted.samples += removed,
                Signal::Logs => deleted.logs += removed,
                Signal::Traces => deleted.spans += removed,
            }
        }
        let mut maintenance = hold(&self.maintenance);
        let mut next = maintenance.manifest.clone();
        next.deletions.retain(|known| known != pending);
        self.change_parts(&mut maintenance, next, &[], &[])?;
        Ok(deleted)
    }

    /// Puts a part without some of its rows in the place of a part; returns how many went.
    /// If blocks of it cannot be read, the old file goes to quarantine.
    pub(super) fn replace_pruned(
        &self,
        old: PartInfo,
        keep: &dyn Keep,
        thinned: bool,
    ) -> Result<u64> {
        let id = {
            let mut maintenance = hold(&self.maintenance);
            maintenance.manifest.next_part += 1;
            maintenance.manifest.next_part - 1
        };
        if self.valve.free_bytes() < old.bytes {
            return Err(Error::DiskFull(format!(
                "there is no room to write {} anew without what is to go",
                old.file_name()
            )));
        }
        let info = PartInfo { id, thinned, ..old };
        let path = self.dir.join(PARTS_DIR).join(info.file_name());
        let parts = Arc::clone(&hold(&self.view).parts);
        let pruned = prune(&*self.vfs, &path, &parts, old.id, keep, info);
        drop(parts);
        let done = pruned.and_then(|pruned| self.put_in_place(old, pruned, thinned));
        if !matches!(done, Ok((true, _))) && self.poison.why().is_none() {
            // It was begun, or never: then there is nothing to remove.
            let _ = self.vfs.remove(&path);
        }
        done.map(|(_, removed)| removed)
    }

    /// Whether the new file is in its place now, and how many rows went.
    fn put_in_place(&self, old: PartInfo, pruned: Pruned, thinned: bool) -> Result<(bool, u64)> {
        let dir = self.dir.join(PARTS_DIR);
        let (new, lost_blocks) = match pruned {
            Pruned::Written { new, lost_blocks } => (new, lost_blocks),
            Pruned::Untouched if thinned == old.thinned => return Ok((false, 0)),
            Pruned::Untouched => (Some(PartInfo { thinned, ..old }), 0),
        };
        let is_new = new.is_some_and(|new| new.id != old.id);
        if is_new {
            self.vfs.sync_dir(&dir).map_err(|e| Error::io("sync", &dir, e))?;
        }
        if lost_blocks > 0 {
            let path = dir.join(old.file_name());
            quarantine::keep(&*self.vfs, &path).map_err(|e| Error::io("set aside", &path, e))?;
            self.counters.quarantined_files.fetch_add(1, Relaxed);
        }
        let mut maintenance = hold(&self.maintenance);
        self.poison.check()?;
        let mut next: Manifest = maintenance.manifest.clone();
        // It may have expired meanwhile.
        let Some(at) = next.parts.iter().position(|part| *part == old) else {
            return Ok((false, 0));
        };
        match new {
            Some(new) => next.parts[at] = new,
            None => drop(next.parts.remove(at)),
        }
        if new.is_some() && !is_new {
            // Only what the manifest says of it has changed.
            self.change_parts(&mut maintenance, next, &[], &[])?;
            return Ok((false, 0));
        }
        let added: Vec<PartInfo> = new.into_iter().collect();
        self.change_parts(&mut maintenance, next, &added, &[old.id])?;
        let removed = old.rows.saturating_sub(new.map_or(0, |new| new.rows));
        self.counters.deleted[old.signal as usize].fetch_add(removed, Relaxed);
        Ok((is_new, removed))
    }
}
