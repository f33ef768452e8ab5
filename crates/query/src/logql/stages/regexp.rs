//! ``| regexp `(?P<name>…)` ``: named groups of the first match become labels.

use std::borrow::Cow;

use regex::Regex;

use crate::logql::regex::plain;
use crate::logql::row::Row;

/// The stage.
#[derive(Debug)]
pub(crate) struct RegexpStage {
    regex: Regex,
    names: Vec<String>,
}

impl RegexpStage {
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let regex = plain(pattern)?;
        let mut names: Vec<String> = regex.capture_names().flatten().map(str::to_owned).collect();
        if names.is_empty() {
            return Err(format!("at least one named capture (?P<name>…) is needed in {pattern:?}"));
        }
        names.dedup();
        Ok(RegexpStage { regex, names })
    }

    pub(crate) fn process(&self, row: &mut Row<'_>) {
        let never = row.extract_from_line(|line, sink| {
            if let Some(captures) = self.regex.captures(line) {
                for name in &self.names {
                    let value = captures.name(name).map_or("", |group| group.as_str());
                    sink(Cow::Owned(name.clone()), Cow::Borrowed(value));
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        match never {
            Ok(()) => {}
        }
    }
}
