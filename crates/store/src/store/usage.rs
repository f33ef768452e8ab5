//! Who fills the disk: services, and metrics.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Store, hold};
use crate::error::Result;
use crate::part::BlockRef;
use crate::part::logs::LogsPart;
use crate::part::metrics::MetricsPart;
use crate::part::spans::{SpansPart, service_of};
use crate::stats::{Share, Usage};

type Shares = HashMap<String, Share>;

impl Store {
    /// How the bytes of parts are shared out. Columns of several services are compressed
    /// together, so theirs are estimates by rows (spans, log records) or by encoded size
    /// (samples); the sums are exact. Reads every block of spans and of series.
    ///
    /// # Errors
    /// Unreadable.
    pub fn usage(&self) -> Result<Usage> {
        let parts = Arc::clone(&hold(&self.view).parts);
        let (mut services, mut metrics) =
            ([Shares::new(), Shares::new(), Shares::new()], Shares::new());
        for part in &parts.metrics {
            samples(part, &mut services[0], &mut metrics)?;
        }
        for part in &parts.logs {
            logs(part, &mut services[1]);
        }
        for part in &parts.spans {
            spans(part, &mut services[2])?;
        }
        let [of_samples, of_logs, of_spans] = services.map(sorted);
        Ok(Usage {
            samples_by_service: of_samples,
            logs_by_service: of_logs,
            spans_by_service: of_spans,
            samples_by_metric: sorted(metrics),
        })
    }
}

fn sorted(shares: Shares) -> Vec<(String, Share)> {
    let mut all: Vec<(String, Share)> = shares.into_iter().collect();
    all.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(&b.0)));
    all
}

fn add(shares: &mut Shares, name: &str, items: u64, bytes: u64) {
    let share = match shares.get_mut(name) {
        Some(share) => share,
        None => shares.entry(name.to_owned()).or_default(),
    };
    share.items += items;
    share.bytes += bytes;
}

/// `part` of `of` as a share of `bytes`.
fn portion(bytes: u64, part: u64, of: u64) -> u64 {
    (u128::from(bytes) * u128::from(part) / u128::from(of.max(1))) as u64
}

fn logs(part: &LogsPart, services: &mut Shares) {
    let info = &part.file.info;
    for stream in &part.streams {
        let service = stream.labels.get("service_name").unwrap_or("");
        add(services, service, stream.rows, portion(info.bytes, stream.rows, info.rows));
    }
}

fn spans(part: &SpansPart, services: &mut Shares) -> Result<()> {
    let info = &part.file.info;
    let mut rows: HashMap<u64, u64> = HashMap::new();
    for block in &part.blocks {
        let Some(block) = part.read(block)? else { continue };
        for &resource in &block.resources {
            *rows.entry(resource).or_default() += 1;
        }
    }
    for (resource, rows) in rows {
        let service = part.owners.resource(resource).map_or("", |r| service_of(r));
        add(services, service, rows, portion(info.bytes, rows, info.rows));
    }
    Ok(())
}

/// Items of metrics are series.
fn samples(part: &MetricsPart, services: &mut Shares, metrics: &mut Shares) -> Result<()> {
    // Where each chunk begins, and of which series it is.
    let mut chunks: Vec<(u32, u32, usize)> = Vec::new();
    let mut names: Vec<(String, String)> = Vec::new();
    for info in &part.series_blocks {
        let Some(block) = part.read_series(info)? else { continue };
        for row in 0..block.len() {
            let labels = block.labels(row);
            let service = part.owners.resource(block.owner(row).0).map_or("", |r| service_of(r));
            let service =
                if service.is_empty() { labels.get("job").unwrap_or("") } else { service };
            names.push((service.to_owned(), labels.metric_name().unwrap_or("").to_owned()));
            chunks
                .extend(block.chunks_of(row).iter().map(|c| (c.block, c.offset, names.len() - 1)));
        }
    }
    chunks.sort_unstable();
    let mut sizes = vec![0u64; names.len()];
    for (i, &(block, offset, series)) in chunks.iter().enumerate() {
        let end = match chunks.get(i + 1) {
            Some(&(next, offset, _)) if next == block => u64::from(offset),
            _ => part.data_blocks.get(block as usize).map_or(0, BlockRef::raw_len),
        };
        sizes[series] += end.saturating_sub(u64::from(offset));
    }
    let all: u64 = sizes.iter().sum();
    for ((service, metric), size) in names.iter().zip(sizes) {
        let bytes = portion(part.file.info.bytes, size, all);
        add(services, service, 1, bytes);
        add(metrics, metric, 1, bytes);
    }
    Ok(())
}
