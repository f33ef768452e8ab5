//! A part's spans read from end to end, as merging does.

use std::sync::Arc;

use super::{PageInfo, SpanRows, SpansPart, TracePage, Traces};
use crate::error::Result;
use crate::model::{StoredSpan, TraceId};

/// A part with all pages of its traces in memory: rows of all traces come all the time.
#[derive(Debug)]
pub(crate) struct WholeSpans<'a> {
    pub(crate) part: &'a SpansPart,
    /// `None` where one is damaged.
    pages: Vec<(PageInfo, Option<Arc<TracePage>>)>,
}

impl<'a> WholeSpans<'a> {
    pub(crate) fn open(part: &'a SpansPart) -> Result<Self> {
        let mut pages = Vec::new();
        if let Traces::Table(table) = &part.traces {
            for info in table.pages() {
                pages.push((*info, part.read_page(info)?));
            }
        }
        Ok(WholeSpans { part, pages })
    }

    /// Whether a page is damaged: its spans have lost their ids.
    pub(crate) fn is_damaged(&self) -> bool {
        self.pages.iter().any(|(_, page)| page.is_none())
    }

    /// Ids and first starts of the part's traces, each once or more often.
    pub(crate) fn traces(&self) -> Result<Vec<(TraceId, i64)>> {
        let pages = self.pages.iter().filter_map(|(_, page)| page.as_ref());
        let mut found: Vec<(TraceId, i64)> = pages.flat_map(|page| page.traces()).collect();
        if let Traces::Index(_) = self.part.traces {
            for info in &self.part.blocks {
                found.extend(self.part.read(info)?.iter().flat_map(|b| b.inline_traces()));
            }
        }
        Ok(found)
    }

    /// A row of a block; `None` if it is malformed or has lost its ids.
    pub(crate) fn stored<'r>(&self, rows: &'r SpanRows, row: usize) -> Option<StoredSpan<'r>> {
        let page = match rows.block.trace_number(row) {
            None => None,
            Some(number) => {
                let after = self.pages.partition_point(|(info, _)| info.begins_by(number));
                Some(self.pages.get(after.checked_sub(1)?)?.1.as_deref()?)
            }
        };
        rows.stored(self.part, row, rows.ids(row, page)?)
    }
}
