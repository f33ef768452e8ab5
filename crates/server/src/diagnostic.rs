//! A query error as a compiler shows it: the line, and what in it is meant.

use trefoil_query::Error;

/// Lines longer than this are cut around the error.
const LINE_CHARS_MAX: usize = 160;

/// The query languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Promql,
    Logql,
    Traceql,
}

impl Language {
    pub(crate) const NAMES: [&'static str; 3] = ["promql", "logql", "traceql"];

    /// The language of this name, also the ending of its files.
    pub(crate) fn from_name(name: &str) -> Option<Language> {
        match name {
            "promql" => Some(Language::Promql),
            "logql" => Some(Language::Logql),
            "traceql" => Some(Language::Traceql),
            _ => None,
        }
    }

    /// Whether the text is of the language.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(crate) fn check(self, text: &str) -> Result<(), Error> {
        match self {
            Language::Promql => trefoil_query::promql::parse(text).map(drop),
            Language::Logql => trefoil_query::logql::parse(text).map(drop),
            Language::Traceql => trefoil_query::traceql::parse(text).map(drop),
        }
    }
}

/// The error with the part of `text` it speaks of; `place` names the text.
pub(crate) fn show(error: &Error, text: &str, place: &str) -> String {
    let (line, column) = error.position(text);
    let whole = text.lines().nth(line - 1).unwrap_or("");
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let skip = column.saturating_sub(1 + LINE_CHARS_MAX / 2);
    let skip = if whole.chars().count() <= LINE_CHARS_MAX { 0 } else { skip };
    let shown: String = whole.chars().skip(skip).take(LINE_CHARS_MAX).collect();
    let shown = shown.replace('\t', " ");
    let marked = text
        .get(error.span.clone())
        .map_or(0, |marked| marked.lines().next().unwrap_or("").chars().count());
    let room = (shown.chars().count() + 1).saturating_sub(column - skip).max(1);
    let marks = "^".repeat(marked.clamp(1, room));
    let indent = " ".repeat(column - 1 - skip);
    format!(
        "error: {error}\n{margin}--> {place}:{line}:{column}\n{margin} |\n{number} | {shown}\n{margin} | {indent}{marks}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_are_below_what_is_wrong() {
        let text = "sum(\n  räte(x[5m]))";
        let at = text.find("räte").unwrap();
        let error = Error::bad(at..at + "räte".len(), "unknown function; did you mean `rate`?");
        assert_eq!(
            show(&error, text, "q"),
            "error: unknown function; did you mean `rate`?\n --> q:2:3\n  |\n2 |   räte(x[5m]))\n  |   ^^^^"
        );
        let end = Error::bad(text.len()..text.len(), "more is expected");
        assert!(show(&end, text, "q").ends_with("              ^"), "{}", show(&end, text, "q"));
        let long = format!("{}!{}", "a".repeat(5000), "b".repeat(5000));
        let shown = show(&Error::bad(5000..5001, "no"), &long, "q");
        let lines: Vec<&str> = shown.lines().collect();
        let mark = lines[4].find('^').unwrap();
        assert_eq!(lines[3].as_bytes()[mark], b'!');
        assert!(lines[3].len() < 200);
    }

    #[test]
    fn every_language_shows_its_errors() {
        for (name, text) in [("promql", "rate(up)"), ("logql", "{a=}"), ("traceql", "{ .a = }")] {
            let error = Language::from_name(name).unwrap().check(text).unwrap_err();
            let shown = show(&error, text, "query");
            assert!(shown.contains(text) && shown.contains('^'), "{shown}");
        }
        assert_eq!(Language::Promql.check("up"), Ok(()));
    }
}
