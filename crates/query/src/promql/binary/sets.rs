//! `and`, `or`, `unless`.

use std::collections::HashMap;

use trefoil_store::Labels;

use super::super::ast::{Binary, BinaryOp};
use super::super::column::{Series, Steps};
use super::super::eval::Evaluator;
use super::{mark, write_signature};
use crate::error::Result;

/// Combines two vectors by the presence of matching samples at each step.
pub(super) fn combine(
    ev: &Evaluator<'_>,
    b: &Binary,
    left: Vec<Series>,
    right: Vec<Series>,
    steps: Steps,
) -> Result<Vec<Series>> {
    ev.check()?;
    match b.op {
        BinaryOp::And => Ok(masked(b, left, &presence(b, &right, steps), true)),
        BinaryOp::Unless => Ok(masked(b, left, &presence(b, &right, steps), false)),
        _ => {
            let there = presence(b, &left, steps);
            let mut out = left;
            let mut known: HashMap<Labels, usize> =
                out.iter().enumerate().map(|(i, s)| (s.labels.clone(), i)).collect();
            for series in masked(b, right, &there, false) {
                match known.get(&series.labels) {
                    // The same series at other steps: one series in the result.
                    Some(i) => {
                        out[*i].drop_name |= series.drop_name;
                        out[*i].column.merge(&series.column);
                    }
                    None => {
                        known.insert(series.labels.clone(), out.len());
                        out.push(series);
                    }
                }
            }
            Ok(out)
        }
    }
}

/// At which steps each signature occurs.
fn presence(b: &Binary, series: &[Series], steps: Steps) -> HashMap<Vec<u8>, Vec<bool>> {
    let mut map: HashMap<Vec<u8>, Vec<bool>> = HashMap::new();
    let mut key = Vec::new();
    for one in series {
        write_signature(&mut key, &one.labels, b);
        if let Some(flags) = map.get_mut(&key) {
            mark(flags, &one.column);
            continue;
        }
        let mut flags = vec![false; steps.count];
        mark(&mut flags, &one.column);
        map.insert(key.clone(), flags);
    }
    map
}

/// The series where their signature is (or is not) there.
fn masked(
    b: &Binary,
    series: Vec<Series>,
    there: &HashMap<Vec<u8>, Vec<bool>>,
    wanted: bool,
) -> Vec<Series> {
    let mut key = Vec::new();
    let mut out = Vec::with_capacity(series.len());
    for mut one in series {
        write_signature(&mut key, &one.labels, b);
        match there.get(&key) {
            None if wanted => continue,
            None => {}
            Some(flags) => {
                for (i, flag) in flags.iter().enumerate() {
                    if *flag != wanted {
                        one.column.clear(i);
                    }
                }
            }
        }
        if !one.column.is_empty() {
            out.push(one);
        }
    }
    out
}
