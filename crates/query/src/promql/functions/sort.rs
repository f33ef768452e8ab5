//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`.

use std::cmp::Ordering;

use super::super::ast::{Call, Node};
use super::super::column::{Series, Steps, is_present};
use super::super::eval::Evaluator;
use super::Func;
use crate::error::Result;

/// Sorts an instant vector; a range query's answer is sorted by labels in any case.
pub(super) fn sort(
    ev: &mut Evaluator<'_>,
    node: &Node,
    call: &Call,
    steps: Steps,
) -> Result<Vec<Series>> {
    if ev.is_range {
        ev.notes.warn(
            node.span.start,
            "sort is ineffective for range queries since results are always ordered by labels",
        );
    }
    let function = call.function.id;
    let names = call.args[1..].iter().map(|arg| ev.text(arg)).collect::<Result<Vec<_>>>()?;
    let mut series = ev.vector(&call.args[0], steps)?;
    let by_value = matches!(function, Func::Sort | Func::SortDesc);
    if by_value {
        series.iter_mut().for_each(|one| one.column.drop_histograms());
    }
    if ev.is_range {
        return Ok(series);
    }
    if by_value {
        series.retain(|one| is_present(one.column.floats[0]));
        series.sort_by(|a, b| {
            let (a, b) = (a.column.floats[0], b.column.floats[0]);
            let order = if function == Func::Sort { a.total_cmp(&b) } else { b.total_cmp(&a) };
            // NaN is last, whichever way.
            a.is_nan().cmp(&b.is_nan()).then(order)
        });
        return Ok(series);
    }
    series.sort_by(|a, b| by_labels(a, b, &names));
    if function == Func::SortByLabelDesc {
        series.reverse();
    }
    Ok(series)
}

fn by_labels(a: &Series, b: &Series, names: &[Vec<u8>]) -> Ordering {
    for name in names {
        let name = std::str::from_utf8(name).unwrap_or_default();
        let (a, b) = (a.labels.get(name).unwrap_or(""), b.labels.get(name).unwrap_or(""));
        match natural(a, b) {
            Ordering::Equal => {}
            order => return order,
        }
    }
    a.labels.cmp(&b.labels)
}

/// Text order, but runs of digits by their number: `4m5` before `4m600`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (run_a, rest_a) = run(a);
        let (run_b, rest_b) = run(b);
        if run_a.is_empty() || run_b.is_empty() {
            return a.cmp(b);
        }
        let order = match (run_a.parse::<u128>(), run_b.parse::<u128>()) {
            (Ok(x), Ok(y)) => x.cmp(&y),
            _ => run_a.cmp(run_b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The leading run of digits or of other characters.
fn run(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}
