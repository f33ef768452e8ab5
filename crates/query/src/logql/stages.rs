//! The stages of a pipeline, one file each. A stage takes a row, may change it, and says
//! whether the row goes on.

pub(crate) mod decolorize;
pub(crate) mod drop;
pub(crate) mod ip;
pub(crate) mod json;
pub(crate) mod keep;
pub(crate) mod label_filter;
pub(crate) mod label_format;
pub(crate) mod line_filter;
pub(crate) mod line_format;
pub(crate) mod logfmt;
pub(crate) mod pattern;
pub(crate) mod regexp;
pub(crate) mod unpack;
pub(crate) mod unwrap;

use std::borrow::Cow;

/// A key as a label name: what is not a letter, digit or underscore becomes one, and a
/// leading digit gets one before it.
pub(crate) fn label_name<'k>(key: &Cow<'k, str>) -> Cow<'k, str> {
    let trimmed = key.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let digit_first = trimmed.starts_with(|c: char| c.is_ascii_digit());
    if trimmed.len() == key.len() && !digit_first && trimmed.chars().all(fits) {
        return key.clone();
    }
    let mut out = String::with_capacity(trimmed.len() + 1);
    if digit_first {
        out.push('_');
    }
    out.extend(trimmed.chars().map(|c| if fits(c) { c } else { '_' }));
    Cow::Owned(out)
}
