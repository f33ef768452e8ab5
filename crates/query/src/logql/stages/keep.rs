//! `| keep a, b="c"`: removes all other labels, but not the errors.

use crate::logql::row::{ERROR, ERROR_DETAILS, Row};
use crate::logql::stages::drop::Pick;

/// Removes from a row what is not picked.
pub(crate) fn process(picks: &[Pick], row: &mut Row<'_>) {
    let gone: Vec<String> = row
        .labels()
        .into_iter()
        .filter(|(name, value, _)| {
            *name != ERROR
                && *name != ERROR_DETAILS
                && !picks.iter().any(|pick| pick.matches(name, value))
        })
        .map(|(name, _, _)| name.into_owned())
        .collect();
    for name in gone {
        row.remove(&name);
    }
}
