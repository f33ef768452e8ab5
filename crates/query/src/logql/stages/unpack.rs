//! `| unpack`: undoes Promtail's `pack` stage.
//!
//! Source: Loki, "Log queries: unpack". The property `_entry` becomes the line, the other
//! strings become labels; a line without `_entry` was not packed and stays as it is.

use std::borrow::Cow;

use crate::logql::json::{Json, Malformed, each_member};
use crate::logql::row::Row;
use crate::logql::stages::json::JSON_ERROR;
use crate::logql::stages::label_name;

/// Unpacks the line of a row.
pub(crate) fn process(row: &mut Row<'_>) {
    let line = row.line.clone().into_owned();
    let mut entry = None;
    let mut labels = Vec::new();
    let result = each_member(&line, &mut |key, value| {
        if let Json::Str(_) = value {
            if key == "_entry" {
                entry = Some(value.text().into_owned());
            } else {
                labels.push((label_name(&key).into_owned(), value.text().into_owned()));
            }
        }
        Ok(())
    });
    if let Err(Malformed(why)) = result {
        row.fail(JSON_ERROR, why);
        return;
    }
    let Some(entry) = entry else { return };
    for (name, value) in labels {
        row.extract(Cow::Owned(name), Cow::Owned(value));
    }
    row.line = Cow::Owned(entry);
}
