//! `| unwrap duration(a)`: a label's value becomes the sample.

use crate::error::Result;
use crate::logql::ast::{Conversion, Unwrap};
use crate::logql::row::Row;
use crate::logql::stages::label_filter::LabelStage;
use crate::logql::units::{label_duration_ns, parse_bytes};

/// What `__error__` says when a value cannot be converted.
pub(crate) const SAMPLE_ERROR: &str = "SampleExtractionErr";

/// An unwrap ready to run.
#[derive(Debug)]
pub(crate) struct UnwrapStage {
    pub(crate) label: String,
    conversion: Conversion,
    pub(crate) filters: Vec<LabelStage>,
}

impl UnwrapStage {
    pub(crate) fn new(unwrap: &Unwrap) -> Result<Self> {
        let filters = unwrap.filters.iter().map(LabelStage::new).collect::<Result<_>>()?;
        Ok(UnwrapStage { label: unwrap.label.clone(), conversion: unwrap.conversion, filters })
    }

    /// The row's sample; `None` without the label or when a filter after it drops the row.
    pub(crate) fn sample(&self, row: &mut Row<'_>) -> Option<f64> {
        let text = row.get(&self.label).filter(|text| !text.is_empty())?;
        let value = match self.conversion {
            Conversion::Float => text.parse().ok(),
            Conversion::Duration => label_duration_ns(&text).map(|ns| ns as f64 / 1e9),
            Conversion::Bytes => parse_bytes(&text).map(|bytes| bytes as f64),
        };
        if value.is_none() {
            let why = format!("cannot convert {} to a sample: {text:?}", self.label);
            drop(text);
            row.fail(SAMPLE_ERROR, why);
        }
        self.filters.iter().all(|filter| filter.keeps(row)).then(|| value.unwrap_or(0.0))
    }
}
