//! `label_replace(v, dst, replacement, src, regex)`.

use std::collections::HashSet;

use super::GridSeries;
use crate::error::{Error, Result};
use crate::logql::ast::LabelReplace;
use crate::logql::regex::anchored;

/// Sets a label on every series whose source label matches.
pub(super) fn eval(replace: &LabelReplace, mut grid: Vec<GridSeries>) -> Result<Vec<GridSeries>> {
    let pattern = &replace.pattern;
    let regex = anchored(&pattern.value).map_err(|why| Error::bad(pattern.span.clone(), why))?;
    let target = &replace.target.value;
    for series in &mut grid {
        let source = series.labels.get(&replace.source.value).unwrap_or("").to_owned();
        let Some(captures) = regex.captures(&source) else { continue };
        let mut value = String::new();
        captures.expand(&replace.replacement.value, &mut value);
        if value.is_empty() {
            series.labels.retain(|name| name != target);
        } else {
            series.labels.set(target, &value);
        }
    }
    let mut seen = HashSet::with_capacity(grid.len());
    if grid.iter().any(|series| !seen.insert(&series.labels)) {
        return Err(Error::execution("vector cannot contain metrics with the same labelset"));
    }
    Ok(grid)
}
