//! `count_values`.

use std::collections::HashMap;

use trefoil_store::Labels;

use super::super::ast::Aggregate;
use super::super::column::{Cell, Column, Series, Steps, is_present};
use super::super::eval::Evaluator;
use super::super::{histogram, labels, numbers, print};
use crate::error::{Error, Result};

/// Counts how often each value occurs, the value as a label.
pub(super) fn count(
    ev: &mut Evaluator<'_>,
    aggregate: &Aggregate,
    steps: Steps,
) -> Result<Vec<Series>> {
    let bytes = match &aggregate.param {
        Some(param) => ev.text(param)?,
        None => Vec::new(),
    };
    let name = match std::str::from_utf8(&bytes) {
        Ok(name) if !name.is_empty() => name.to_owned(),
        _ => {
            let shown = print::quote_bytes(&bytes);
            return Err(Error::execution(format!("invalid label name {shown}")));
        }
    };
    let mut grouped = aggregate.labels.clone();
    if !aggregate.without {
        grouped.push(name.clone());
    }
    let mut out: Vec<Series> = Vec::new();
    let mut known: HashMap<Labels, usize> = HashMap::new();
    let mut key = Vec::new();
    ev.stream(&aggregate.expr, steps, &mut |ev, labels, drop_name, column| {
        for step in 0..steps.count {
            let value = match column.get(step) {
                None => continue,
                Some(Cell::Float(value)) => numbers::plain(value),
                Some(Cell::Histogram(h)) => histogram::text(&h),
            };
            let labels = labels::with_label(labels, &name, &value);
            if aggregate.without {
                labels::write_without(&mut key, &labels, &grouped);
            } else {
                labels::write_only(&mut key, &labels, &grouped);
            }
            let labels = labels::from_written(&key);
            let at = match known.get(&labels) {
                Some(at) => *at,
                None => {
                    ev.hold(steps.count)?;
                    known.insert(labels.clone(), out.len());
                    out.push(Series { labels, drop_name, column: Column::absent(steps.count) });
                    out.len() - 1
                }
            };
            let count = &mut out[at].column.floats[step];
            *count = if is_present(*count) { *count + 1.0 } else { 1.0 };
        }
        Ok(())
    })?;
    Ok(out)
}
