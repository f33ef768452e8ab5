//! All parts, by signal, oldest append first.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::logs::LogsPart;
use super::metrics::MetricsPart;
use super::spans::SpansPart;
use super::{Damage, PartFile, PartInfo, Signal};
use crate::error::{Error, Result};
use crate::vfs::Vfs;

/// The parts a snapshot sees. Within a partition their appends do not overlap, so their
/// order says which of two equal samples is the later one.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartSet {
    pub(crate) metrics: Vec<Arc<MetricsPart>>,
    pub(crate) logs: Vec<Arc<LogsPart>>,
    pub(crate) spans: Vec<Arc<SpansPart>>,
}

impl PartSet {
    /// Opens a part and adds it. A part that cannot be read is left out and counted; a
    /// part of an unknown version is an error.
    pub(crate) fn open(
        &mut self,
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        info: PartInfo,
        damage: &Arc<Damage>,
    ) -> Result<()> {
        let opened = PartFile::open(Arc::clone(vfs), dir, info, Arc::clone(damage));
        let added = opened.and_then(|(file, footer)| self.add(file, &footer));
        match added {
            Err(Error::Corrupt { why, .. }) if !why.contains("format version") => {
                damage.blocks.fetch_add(1, Relaxed);
                Ok(())
            }
            other => other,
        }
    }

    fn add(&mut self, file: PartFile, footer: &[u8]) -> Result<()> {
        match file.info.signal {
            Signal::Metrics => {
                self.metrics.push(Arc::new(MetricsPart::new(file, footer)?));
                self.metrics.sort_by_key(|p| (p.file.info.last_number, p.file.info.id));
            }
            Signal::Logs => {
                self.logs.push(Arc::new(LogsPart::new(file, footer)?));
                self.logs.sort_by_key(|p| (p.file.info.last_number, p.file.info.id));
            }
            Signal::Traces => {
                self.spans.push(Arc::new(SpansPart::new(file, footer)?));
                self.spans.sort_by_key(|p| (p.file.info.last_number, p.file.info.id));
            }
        }
        Ok(())
    }

    /// Takes parts out; their files go with their last reader.
    pub(crate) fn remove(&mut self, ids: &[u64]) {
        for file in self.files().filter(|file| ids.contains(&file.info.id)) {
            file.doom();
        }
        self.metrics.retain(|p| !ids.contains(&p.file.info.id));
        self.logs.retain(|p| !ids.contains(&p.file.info.id));
        self.spans.retain(|p| !ids.contains(&p.file.info.id));
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &PartFile> {
        let metrics = self.metrics.iter().map(|p| &p.file);
        let logs = self.logs.iter().map(|p| &p.file);
        metrics.chain(logs).chain(self.spans.iter().map(|p| &p.file))
    }
}
