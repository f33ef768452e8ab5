//! `detected_level`: the level Loki derives for every record.
//!
//! Source: Loki, "Labels: automatic discovery of log levels" (`discover_log_levels`): an
//! explicit level label first, then OTLP's severity number, then the line itself.

use crate::logql::json;

/// Where a level may be written, in the order Loki looks.
const FIELDS: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// How much of a line is looked at: a level stands near the start, lines may be megabytes.
const LOOK_MAX: usize = 4096;

/// How soon a field is looked at, if it may hold a level.
pub(crate) fn rank(field: &str) -> Option<usize> {
    // Nearly every name is told apart by its first letter.
    if !matches!(field.as_bytes().first(), Some(b'l' | b'L' | b's' | b'S')) {
        return None;
    }
    FIELDS.iter().position(|name| *name == field)
}

/// The level that OTLP's severity number 1–24 stands for.
pub(crate) fn from_severity(number: u8) -> Option<&'static str> {
    Some(match number {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => return None,
    })
}

/// The level that a word stands for.
pub(crate) fn from_word(word: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 17] = [
        ("trace", "trace"),
        ("trc", "trace"),
        ("debug", "debug"),
        ("dbg", "debug"),
        ("info", "info"),
        ("inf", "info"),
        ("information", "info"),
        ("warn", "warn"),
        ("wrn", "warn"),
        ("warning", "warn"),
        ("error", "error"),
        ("err", "error"),
        ("eror", "error"),
        ("critical", "critical"),
        ("crit", "critical"),
        ("fatal", "fatal"),
        ("emerg", "fatal"),
    ];
    WORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

/// The level that the text of a line tells.
pub(crate) fn from_line(line: &str) -> Option<&'static str> {
    let mut end = line.len().min(LOOK_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let head = &line[..end];
    let by_field =
        if line.trim_start().starts_with('{') { from_json(line) } else { from_pairs(head) };
    by_field.or_else(|| from_words(head))
}

fn from_json(line: &str) -> Option<&'static str> {
    let mut best: Option<(usize, &'static str)> = None;
    // A line that turns out not to be JSON still told what came before the error.
    let _ = json::each_member(line, &mut |key, value| {
        if let Some(rank) = rank(&key)
            && let Some(level) = from_word(&value.text())
            && best.is_none_or(|(other, _)| rank < other)
        {
            best = Some((rank, level));
        }
        Ok(())
    });
    best.map(|(_, level)| level)
}

/// `level=info`, wherever it stands.
fn from_pairs(head: &str) -> Option<&'static str> {
    FIELDS.iter().find_map(|field| {
        head.match_indices(field).find_map(|(at, _)| {
            let starts = at == 0 || head.as_bytes()[at - 1].is_ascii_whitespace();
            let value = head[at + field.len()..].strip_prefix('=')?.trim_start_matches('"');
            let end = value.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(value.len());
            from_word(&value[..end]).filter(|_| starts)
        })
    })
}

/// The first word of the text that is a level.
fn from_words(head: &str) -> Option<&'static str> {
    head.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| (3..=11).contains(&word.len()))
        .find_map(from_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_in_lines() {
        let cases = [
            (r#"{"msg":"error?","level":"WARN"}"#, Some("warn")),
            ("ts=1 level=debug msg=\"an error\"", Some("debug")),
            ("ts=1 level=\"error\" x", Some("error")),
            ("2024 [INFO] started", Some("info")),
            ("ERROR: disk full", Some("error")),
            ("errors are counted", None),
            ("fatal error", Some("fatal")),
            ("nothing here", None),
            ("", None),
        ];
        for (line, level) in cases {
            assert_eq!(from_line(line), level, "{line}");
        }
        assert_eq!(from_severity(17), Some("error"));
        assert_eq!(from_severity(0), None);
    }
}
