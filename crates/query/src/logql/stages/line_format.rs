//! ``| line_format `{{.a}}` ``: rewrites the line.

use std::borrow::Cow;

use crate::logql::row::Row;
use crate::logql::template::{Context, Template};

/// What `__error__` says when a template fails.
pub(crate) const TEMPLATE_ERROR: &str = "TemplateFormatErr";

/// Rewrites the line of a row; a template that fails leaves it as it is.
pub(crate) fn process(template: &Template, now_ns: i64, row: &mut Row<'_>) {
    let result = {
        let labels = |name: &str| row.get(name).map(Cow::into_owned);
        template.run(&Context {
            labels: &labels,
            all: &|| all_labels(row),
            line: &row.line,
            time_ns: row.time_ns(),
            now_ns,
        })
    };
    match result {
        Ok(line) => row.line = Cow::Owned(line),
        Err(why) => row.fail(TEMPLATE_ERROR, why),
    }
}

pub(crate) fn all_labels(row: &Row<'_>) -> Vec<(String, String)> {
    row.labels().into_iter().map(|(n, v, _)| (n.into_owned(), v.into_owned())).collect()
}
