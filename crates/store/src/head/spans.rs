//! Evaluates a span condition on encoded rows: nothing is decoded that it does not ask for,
//! and what concerns resources is told once for each.

use crate::bytes::Reader;
use crate::filter::{Compare, Field, SpanFilter};
use crate::model::{Resource, Value};
use crate::row;

/// A condition, and what is known of the resources of a head.
#[derive(Debug)]
pub(crate) enum RowFilter<'f> {
    All,
    /// For each resource.
    Resource(Vec<bool>),
    Span(&'f str, &'f Compare),
    /// An attribute of the span, or else what is known of the resource.
    Any(&'f str, &'f Compare, Vec<bool>),
    Front(&'f Field, &'f Compare),
    And(Vec<RowFilter<'f>>),
    Or(Vec<RowFilter<'f>>),
    Not(Box<RowFilter<'f>>),
}

impl<'f> RowFilter<'f> {
    pub(crate) fn new<'r>(
        filter: &'f SpanFilter,
        resources: impl Iterator<Item = &'r Resource<'static>> + Clone,
    ) -> Self {
        let of = |filter| RowFilter::new(filter, resources.clone());
        match filter {
            SpanFilter::All | SpanFilter::Mentions(..) => RowFilter::All,
            SpanFilter::And(all) => {
                let mut all: Vec<RowFilter<'f>> = all.iter().map(of).collect();
                all.sort_by_key(RowFilter::cost);
                RowFilter::And(all)
            }
            SpanFilter::Or(any) => RowFilter::Or(any.iter().map(of).collect()),
            SpanFilter::Not(filter) => RowFilter::Not(Box::new(of(filter))),
            SpanFilter::Field(field, compare) => {
                let known = |key: &str| {
                    let has = |r: &Resource<'_>| {
                        let found = r.attributes.iter().find(|a| a.key == key);
                        found.is_some_and(|attribute| compare.matches(&attribute.value))
                    };
                    resources.clone().map(has).collect()
                };
                match field {
                    Field::Resource(key) => RowFilter::Resource(known(key)),
                    Field::Any(key) => RowFilter::Any(key, compare, known(key)),
                    Field::Span(key) => RowFilter::Span(key, compare),
                    other => RowFilter::Front(other, compare),
                }
            }
        }
    }

    /// What is cheap to tell comes first.
    fn cost(&self) -> u8 {
        match self {
            RowFilter::All | RowFilter::Resource(_) => 0,
            RowFilter::Front(..) => 1,
            _ => 2,
        }
    }

    /// Whether a row of this resource could match: tells most rows without a look at them.
    pub(crate) fn may_be_of(&self, resource: usize) -> bool {
        match self {
            RowFilter::Resource(known) => known.get(resource).copied().unwrap_or(false),
            RowFilter::And(all) => all.iter().all(|filter| filter.may_be_of(resource)),
            RowFilter::Or(any) => any.iter().any(|filter| filter.may_be_of(resource)),
            _ => true,
        }
    }

    /// Whether [`SpanFilter::matches`] would say so of this row, given from its first byte
    /// on, and a resource by its place. `None` if the row is malformed.
    pub(crate) fn matches(&self, row: &[u8], resource: usize) -> Option<bool> {
        let of_resource = |known: &[bool]| known.get(resource).copied().unwrap_or(false);
        Some(match self {
            RowFilter::All => true,
            RowFilter::Resource(known) => of_resource(known),
            RowFilter::Span(key, compare) => {
                row::span_attribute(row, key)?.is_some_and(|value| compare.matches(&value))
            }
            RowFilter::Any(key, compare, known) => match row::span_attribute(row, key)? {
                Some(value) => compare.matches(&value),
                None => of_resource(known),
            },
            RowFilter::Front(field, compare) => front_matches(row, field, compare)?,
            RowFilter::And(all) => {
                for filter in all {
                    if !filter.matches(row, resource)? {
                        return Some(false);
                    }
                }
                true
            }
            RowFilter::Or(any) => {
                for filter in any {
                    if filter.matches(row, resource)? {
                        return Some(true);
                    }
                }
                false
            }
            RowFilter::Not(filter) => !filter.matches(row, resource)?,
        })
    }
}

fn front_matches(row: &[u8], field: &Field, compare: &Compare) -> Option<bool> {
    let mut r = Reader::new(row);
    r.take(16)?;
    let start_ns = r.u64()?;
    r.take(16)?;
    let end_ns = start_ns.wrapping_add(r.signed()? as u64);
    let (kind, status) = row::kind_and_status(r.u8()?)?;
    Some(match field {
        Field::Kind => matches!(compare, Compare::Kind(wanted) if *wanted == kind),
        Field::Status => matches!(compare, Compare::Status(wanted) if *wanted == status),
        Field::Duration => {
            let duration = i64::try_from(end_ns.saturating_sub(start_ns)).unwrap_or(i64::MAX);
            compare.matches(&Value::Int(duration))
        }
        Field::Name => compare.matches_text(r.str()?),
        Field::StatusMessage => {
            r.bytes()?;
            compare.matches_text(r.str()?)
        }
        Field::Span(_) | Field::Resource(_) | Field::Any(_) => false,
    })
}
