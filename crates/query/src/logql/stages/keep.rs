//! `| keep a, b="c"`: removes all other labels, but not the errors.

use crate::logql::row::{Category, ERROR, ERROR_DETAILS, Row};
use crate::logql::stages::drop::Pick;

/// Removes from a row what is not picked.
pub(crate) fn process(picks: &[Pick], row: &mut Row<'_>) {
    let mut kept: Vec<(String, String, Category)> = Vec::with_capacity(picks.len());
    for pick in picks {
        let name = pick.name();
        if name == ERROR || name == ERROR_DETAILS || kept.iter().any(|(n, _, _)| n == name) {
            continue;
        }
        let (Some(value), Some(category)) = (row.get(name), row.category(name)) else { continue };
        if pick.matches(name, &value) {
            kept.push((name.to_owned(), value.into_owned(), category));
        }
    }
    row.keep_only(kept);
}
