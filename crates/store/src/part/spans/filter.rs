//! Evaluates a span condition on the columns of a block: no span is put together that
//! the answer does not need, and a pattern is tried once for each distinct value.

use std::collections::HashMap;

use super::{SpanBlock, SpanRows, SpansPart};
use crate::columns::Strings;
use crate::filter::{Compare, Field, SpanFilter};
use crate::model::Value;

impl SpansPart {
    /// For each row of a block, whether [`SpanFilter::matches`] would say so. Attributes are
    /// read already if the filter [needs](needs_attributes) them.
    pub(crate) fn matching(&self, rows: &SpanRows, filter: &SpanFilter) -> Vec<bool> {
        let block = &rows.block;
        match filter {
            SpanFilter::All | SpanFilter::Mentions(..) => vec![true; block.len()],
            SpanFilter::Field(field, compare) => self.field_matching(rows, field, compare),
            SpanFilter::And(all) => {
                let mut matching = vec![true; block.len()];
                for filter in all {
                    if !matching.contains(&true) {
                        break;
                    }
                    let these = self.matching(rows, filter);
                    matching.iter_mut().zip(these).for_each(|(row, this)| *row &= this);
                }
                matching
            }
            SpanFilter::Or(any) => {
                let mut matching = vec![false; block.len()];
                for filter in any {
                    let these = self.matching(rows, filter);
                    matching.iter_mut().zip(these).for_each(|(row, this)| *row |= this);
                }
                matching
            }
            SpanFilter::Not(filter) => {
                self.matching(rows, filter).into_iter().map(|row| !row).collect()
            }
        }
    }

    fn field_matching(&self, rows: &SpanRows, field: &Field, compare: &Compare) -> Vec<bool> {
        let block = &*rows.block;
        match field {
            Field::Name => texts_matching(block, &block.names, compare),
            Field::StatusMessage => texts_matching(block, &block.status_messages, compare),
            Field::Kind => {
                let Compare::Kind(kind) = compare else { return vec![false; block.len()] };
                block.kinds.iter().map(|&k| k == *kind as u64).collect()
            }
            Field::Status => {
                let Compare::Status(status) = compare else { return vec![false; block.len()] };
                block.statuses.iter().map(|&s| s == *status as u64).collect()
            }
            Field::Duration => {
                let rows = block.starts.iter().zip(&block.durations);
                rows.map(|(&start, &duration)| {
                    let end = start.wrapping_add(duration as u64);
                    let duration = i64::try_from(end.saturating_sub(start)).unwrap_or(i64::MAX);
                    compare.matches(&Value::Int(duration))
                })
                .collect()
            }
            Field::Span(key) => {
                let rows = attributes_matching(rows, key, compare);
                rows.into_iter().map(|row| row == Some(true)).collect()
            }
            Field::Resource(key) => self.resources_matching(block, key, compare),
            Field::Any(key) => {
                let rows = attributes_matching(rows, key, compare);
                let resources = self.resources_matching(block, key, compare);
                rows.into_iter().zip(resources).map(|(row, other)| row.unwrap_or(other)).collect()
            }
        }
    }

    fn resources_matching(&self, block: &SpanBlock, key: &str, compare: &Compare) -> Vec<bool> {
        let mut known: HashMap<u64, bool> = HashMap::new();
        let matches = |resource: u64| {
            let attributes = self.owners.resource(resource).map(|r| &r.attributes);
            let found = attributes.and_then(|all| all.iter().find(|a| a.key == *key));
            found.is_some_and(|attribute| compare.matches(&attribute.value))
        };
        let rows = block.resources.iter();
        rows.map(|&r| *known.entry(r).or_insert_with(|| matches(r))).collect()
    }
}

/// For each row `None` if it has no such attribute, else whether that satisfies.
fn attributes_matching(rows: &SpanRows, key: &str, compare: &Compare) -> Vec<Option<bool>> {
    match &rows.attributes {
        Some(attributes) => attributes.matching(key, &|value| compare.matches(value)),
        None => vec![None; rows.block.len()],
    }
}

/// Whether a condition can only be evaluated with the attributes of spans.
pub(crate) fn needs_attributes(filter: &SpanFilter) -> bool {
    match filter {
        SpanFilter::All | SpanFilter::Mentions(..) => false,
        SpanFilter::Field(field, _) => matches!(field, Field::Span(_) | Field::Any(_)),
        SpanFilter::And(filters) | SpanFilter::Or(filters) => filters.iter().any(needs_attributes),
        SpanFilter::Not(filter) => needs_attributes(filter),
    }
}

fn texts_matching(block: &SpanBlock, column: &Strings, compare: &Compare) -> Vec<bool> {
    let mut known: Vec<Option<bool>> = vec![None; column.distinct_len()];
    let rows = 0..block.len();
    rows.map(|row| {
        let matches = || compare.matches_text(column.text(&block.bytes, row));
        match known.get_mut(column.code(row)) {
            Some(known) => *known.get_or_insert_with(matches),
            None => false,
        }
    })
    .collect()
}
