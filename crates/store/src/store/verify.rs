//! Reading everything that is on disk, and setting aside what cannot be read.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::open::{PARTS_DIR, WAL_DIR};
use super::{Store, hold};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::manifest::Manifest;
use crate::model::{Resource, TraceId};
use crate::part::prune::Keep;
use crate::part::{BlockRef, PartFile};
use crate::quarantine;
use crate::stats::Verified;
use crate::wal;

impl Store {
    /// Reads every file and compares every checksum. Damaged blocks are set aside as if a
    /// query had met them.
    ///
    /// # Errors
    /// The disk refused to read at all; damage is no error but in the report.
    pub fn verify(&self) -> Result<Verified> {
        let mut report = Verified::default();
        self.verify_manifest(&mut report)?;
        let parts = Arc::clone(&hold(&self.view).parts);
        let named = hold(&self.maintenance).manifest.parts.clone();
        let mut opened = HashSet::new();
        for part in &parts.metrics {
            opened.insert(part.file.info.id);
            read_all(&part.file, &part.block_refs(), &mut report)?;
        }
        for part in &parts.logs {
            opened.insert(part.file.info.id);
            read_all(&part.file, &part.block_refs(), &mut report)?;
        }
        for part in &parts.spans {
            opened.insert(part.file.info.id);
            read_all(&part.file, &part.block_refs(), &mut report)?;
        }
        let now: HashSet<u64> =
            hold(&self.maintenance).manifest.parts.iter().map(|part| part.id).collect();
        // What came or went in the meantime is not damaged.
        for part in named.iter().filter(|p| !opened.contains(&p.id) && now.contains(&p.id)) {
            let path = self.dir.join(PARTS_DIR).join(part.file_name());
            report.damaged.push(format!("{}: it cannot be opened", path.display()));
        }
        self.verify_wal(&mut report)?;
        report.quarantined = quarantine::files(&*self.vfs, &self.dir)
            .map_err(|e| Error::io("list", &quarantine::dir(&self.dir), e))?;
        Ok(report)
    }

    fn verify_manifest(&self, report: &mut Verified) -> Result<()> {
        // Held, so that it is not replaced while it is read.
        let _maintenance = hold(&self.maintenance);
        report.files += 1;
        match Manifest::load(&*self.vfs, &self.dir) {
            Ok(Some(_)) => {}
            Ok(None) => report.damaged.push("the manifest is gone".to_owned()),
            Err(error @ Error::Corrupt { .. }) => report.damaged.push(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn verify_wal(&self, report: &mut Verified) -> Result<()> {
        // Held, so that no segment is trimmed while it is read. Appends go on.
        let maintenance = hold(&self.maintenance);
        let dir = self.dir.join(WAL_DIR);
        let checked = wal::check(&*self.vfs, &dir, maintenance.manifest.flushed)?;
        report.files += checked.closed.len() as u64;
        report.bytes += checked.closed.iter().map(|segment| segment.bytes).sum::<u64>();
        for segment in checked.closed.iter().filter(|segment| segment.damaged) {
            report.damaged.push(format!("{}: records are damaged", segment.path.display()));
        }
        Ok(())
    }

    /// Writes every damaged part anew without the damaged blocks and moves the old file to
    /// quarantine; returns how many there were. What is in the blocks is lost then, unless
    /// somebody can repair the file.
    ///
    /// # Errors
    /// Poisoned, or the disk is full or refused.
    pub fn quarantine(&self) -> Result<u64> {
        let _guard = self.poison.on_panic("setting parts aside");
        let _no_merge = hold(&self.merging);
        self.poison.check()?;
        let damaged = self.damaged_parts();
        let parts = hold(&self.maintenance).manifest.parts.clone();
        let mut moved = 0;
        for part in parts.into_iter().filter(|part| damaged.contains(&part.id)) {
            self.replace_pruned(part, &Everything, part.thinned)?;
            moved += 1;
        }
        // They are not there any more.
        if moved > 0 {
            self.damage.blocks.store(0, Relaxed);
        }
        Ok(moved)
    }
}

/// Keeps every row.
struct Everything;

impl Keep for Everything {
    fn concerns(&self, _: &Resource<'_>, _: Option<&Labels>) -> bool {
        false
    }

    fn row(&self, _: i64, _: Option<TraceId>) -> bool {
        true
    }
}

fn read_all(file: &PartFile, blocks: &[BlockRef], report: &mut Verified) -> Result<()> {
    report.files += 1;
    report.bytes += file.info.bytes;
    if let Some(why) = file.verify_frame(blocks)? {
        report.damaged.push(format!("{}: {why}", file.path().display()));
    }
    for block in blocks {
        report.blocks += 1;
        if file.read(block)?.is_none() {
            let at = block.offset();
            report.damaged.push(format!("{}: the block at byte {at}", file.path().display()));
        }
    }
    Ok(())
}
