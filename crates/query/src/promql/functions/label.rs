//! `label_replace` and `label_join`.

use std::collections::HashMap;

use regex::Regex;
use trefoil_store::Labels;

use super::super::ast::{Call, Node};
use super::super::column::{Series, Steps};
use super::super::eval::Evaluator;
use super::super::{labels, print};
use crate::error::{Error, Result};

/// `label_replace(v, dst, replacement, src, regex)`.
pub(super) fn replace(ev: &mut Evaluator<'_>, call: &Call, steps: Steps) -> Result<Vec<Series>> {
    let to = destination(ev, &call.args[1], "label_replace")?;
    let replacement = string(ev, &call.args[2])?;
    let from = string(ev, &call.args[3])?;
    let pattern = string(ev, &call.args[4])?;
    let regex = Regex::new(&format!("^(?s:{pattern})$")).map_err(|why| {
        Error::execution(format!("invalid regular expression in label_replace(): {pattern}: {why}"))
    })?;
    let mut series = ev.vector(&call.args[0], steps)?;
    let mut value = String::new();
    for one in &mut series {
        let Some(found) = regex.captures(one.labels.get(&from).unwrap_or("")) else {
            continue;
        };
        value.clear();
        found.expand(&replacement, &mut value);
        set(one, &to, &value);
    }
    distinct(series)
}

/// `label_join(v, dst, separator, src…)`.
pub(super) fn join(ev: &mut Evaluator<'_>, call: &Call, steps: Steps) -> Result<Vec<Series>> {
    let to = destination(ev, &call.args[1], "label_join")?;
    let separator = string(ev, &call.args[2])?;
    let sources = call.args[3..].iter().map(|arg| string(ev, arg)).collect::<Result<Vec<_>>>()?;
    let mut series = ev.vector(&call.args[0], steps)?;
    for one in &mut series {
        let values: Vec<&str> = sources.iter().map(|s| one.labels.get(s).unwrap_or("")).collect();
        let value = values.join(&separator);
        set(one, &to, &value);
    }
    distinct(series)
}

/// Sets a label. A name that was set on purpose stays.
fn set(series: &mut Series, name: &str, value: &str) {
    series.labels = labels::with_label(&series.labels, name, value);
    if name == "__name__" {
        series.drop_name = false;
    }
}

fn string(ev: &Evaluator<'_>, arg: &Node) -> Result<String> {
    String::from_utf8(ev.text(arg)?)
        .map_err(|_| Error::bad(arg.span.clone(), "string is not valid UTF-8"))
}

fn destination(ev: &Evaluator<'_>, arg: &Node, function: &str) -> Result<String> {
    let bytes = ev.text(arg)?;
    match String::from_utf8(bytes) {
        Ok(name) if !name.is_empty() => Ok(name),
        Ok(name) => {
            Err(Error::execution(format!("invalid destination label name in {function}(): {name}")))
        }
        Err(bad) => Err(Error::execution(format!(
            "invalid destination label name in {function}(): {}",
            print::quote_bytes(bad.as_bytes())
        ))),
    }
}

/// Joins series with equal labels; two samples at one time are an error.
pub(crate) fn distinct(series: Vec<Series>) -> Result<Vec<Series>> {
    let mut out: Vec<Series> = Vec::with_capacity(series.len());
    let mut known: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    for one in series {
        match known.get(&one.labels) {
            None => {
                known.insert(one.labels.clone(), out.len());
                out.push(one);
            }
            Some(at) if out[*at].column.merge(&one.column) => out[*at].drop_name |= one.drop_name,
            Some(_) => {
                return Err(Error::execution(
                    "vector cannot contain metrics with the same labelset",
                ));
            }
        }
    }
    Ok(out)
}
