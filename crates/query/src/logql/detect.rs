//! Fields that lines have without anybody having asked for them: what Loki's
//! `detected_fields` shows.

use std::borrow::Cow;

use crate::logql::answer::Entry;
use crate::logql::ast::{Expr, Stage};
use crate::logql::row::{Category, ERROR, ERROR_DETAILS};
use crate::logql::stages::json::JsonStage;
use crate::logql::stages::logfmt::LogfmtStage;
use crate::logql::units::{label_duration_ns, parse_bytes};

/// A field of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its label name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The parser that finds it; `None` for structured metadata.
    pub parser: Option<&'static str>,
}

/// The parsers a query has of its own; with any, [`fields`] tries no others.
#[must_use]
pub fn parsers(expr: &Expr) -> Vec<&'static str> {
    let Expr::Log(log) = expr else { return Vec::new() };
    let mut found = Vec::new();
    for stage in &log.stages {
        let name = match stage {
            Stage::Json(_) | Stage::Unpack => "json",
            Stage::Logfmt { .. } => "logfmt",
            Stage::Pattern(_) => "pattern",
            Stage::Regexp(_) => "regexp",
            _ => continue,
        };
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The fields of a line: structured metadata, what the query extracted, and, if it has no
/// parser, what `json` or `logfmt` would extract.
#[must_use]
pub fn fields(entry: &Entry, own_parsers: &[&'static str]) -> Vec<Field> {
    let mut found = Vec::new();
    for (name, value, category) in &entry.labels {
        let parser = match category {
            Category::Stream => continue,
            Category::Structured => None,
            Category::Parsed if name == ERROR || name == ERROR_DETAILS => continue,
            Category::Parsed => Some(own_parsers.first().copied().unwrap_or("logfmt")),
        };
        found.push(Field { name: name.clone(), value: value.clone(), parser });
    }
    if !own_parsers.is_empty() {
        return found;
    }
    let taken: Vec<&str> = entry.labels.iter().map(|(name, _, _)| name.as_str()).collect();
    let json = entry.line.trim_start().starts_with('{');
    let mut sink = |name: Cow<'_, str>, value: Cow<'_, str>| {
        let name = match taken.contains(&&*name) {
            true => format!("{name}_extracted"),
            false => name.into_owned(),
        };
        if !name.is_empty() && !found.iter().any(|field: &Field| field.name == name) {
            let parser = Some(if json { "json" } else { "logfmt" });
            found.push(Field { name, value: value.into_owned(), parser });
        }
    };
    // What came before an error was found all the same.
    if json {
        let _ = JsonStage::everything(&entry.line, &mut sink);
    } else {
        let _ = LogfmtStage::new(false, false, &[]).scan(&entry.line, &mut sink);
    }
    found
}

/// What kind of value a text is, in the words of Loki's `detected_fields`.
#[must_use]
pub fn kind(value: &str) -> &'static str {
    if value.parse::<i64>().is_ok() {
        "int"
    } else if value.parse::<f64>().is_ok() {
        "float"
    } else if matches!(value, "true" | "false") {
        "boolean"
    } else if label_duration_ns(value).is_some() {
        "duration"
    } else if parse_bytes(value).is_some() {
        "bytes"
    } else {
        "string"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<(String, String, Option<&'static str>)> {
        let entry = Entry {
            time_ns: 0,
            line: line.to_owned(),
            labels: vec![
                ("app".into(), "x".into(), Category::Stream),
                ("user".into(), "u".into(), Category::Structured),
            ],
        };
        fields(&entry, &[]).into_iter().map(|f| (f.name, f.value, f.parser)).collect()
    }

    #[test]
    fn fields_of_lines() {
        let field = |n: &str, v: &str, p| (n.to_owned(), v.to_owned(), p);
        assert_eq!(
            found(r#"{"app":"y","n":{"m":1}}"#),
            [
                field("user", "u", None),
                field("app_extracted", "y", Some("json")),
                field("n_m", "1", Some("json")),
            ]
        );
        assert_eq!(
            found("a=1 user=z flag"),
            [
                field("user", "u", None),
                field("a", "1", Some("logfmt")),
                field("user_extracted", "z", Some("logfmt")),
            ]
        );
    }

    #[test]
    fn kinds_of_values() {
        let cases = [
            ("12", "int"),
            ("1.5", "float"),
            ("true", "boolean"),
            ("1m3s", "duration"),
            ("10KB", "bytes"),
            ("x", "string"),
            ("", "string"),
        ];
        for (value, expected) in cases {
            assert_eq!(kind(value), expected, "{value}");
        }
    }
}
