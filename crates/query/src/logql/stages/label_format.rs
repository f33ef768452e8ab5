//! ``| label_format a=b,c=`{{.d}}` ``: renames and makes labels.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::logql::ast::{LabelFormat, LabelFormatValue};
use crate::logql::row::{Category, Row};
use crate::logql::stages::line_format::{TEMPLATE_ERROR, all_labels};
use crate::logql::template::{Context, Template};

/// One assignment ready to run.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) label: String,
    pub(crate) value: FormatValue,
}

/// What is assigned.
#[derive(Debug)]
pub(crate) enum FormatValue {
    Rename(String),
    Template(Template),
}

impl Format {
    pub(crate) fn new(format: &LabelFormat) -> Result<Self> {
        let value = match &format.value {
            LabelFormatValue::Rename(from) => FormatValue::Rename(from.clone()),
            LabelFormatValue::Template(text) => FormatValue::Template(
                Template::new(&text.value).map_err(|why| Error::bad(text.span.clone(), why))?,
            ),
        };
        Ok(Format { label: format.label.clone(), value })
    }
}

/// Runs the assignments in order.
pub(crate) fn process(formats: &[Format], now_ns: i64, row: &mut Row<'_>) {
    for format in formats {
        match &format.value {
            FormatValue::Rename(from) => {
                let Some(value) = row.get(from).map(Cow::into_owned) else { continue };
                let category = row.category(from).unwrap_or(Category::Parsed);
                // In this order, as in Loki: `label_format a=a` removes the label.
                row.set(&format.label, value, category);
                row.remove(from);
            }
            FormatValue::Template(template) => {
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
                    Ok(value) => row.set(&format.label, value, Category::Parsed),
                    Err(why) => row.fail(TEMPLATE_ERROR, why),
                }
            }
        }
    }
}
