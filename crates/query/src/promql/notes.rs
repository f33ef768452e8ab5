//! Warnings and remarks about an answer, in Prometheus's words and with its positions.

use std::collections::HashSet;

/// How a note is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Level {
    /// The answer may be wrong.
    Warning,
    /// The answer may surprise.
    Info,
}

/// One note, without its position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Note {
    level: Level,
    text: String,
    at: usize,
}

/// Notes of one query, each once.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    seen: HashSet<Note>,
    order: Vec<Note>,
}

/// Different notes kept; a query over many odd metrics must not flood its answer.
const NOTES_MAX: usize = 1000;

impl Notes {
    /// Adds a warning about the expression that starts at byte `at`.
    pub(crate) fn warn(&mut self, at: usize, text: impl Into<String>) {
        self.add(Level::Warning, at, text.into());
    }

    /// Adds a remark about the expression that starts at byte `at`.
    pub(crate) fn info(&mut self, at: usize, text: impl Into<String>) {
        self.add(Level::Info, at, text.into());
    }

    fn add(&mut self, level: Level, at: usize, text: String) {
        if self.order.len() >= NOTES_MAX {
            return;
        }
        let note = Note { level, text, at };
        if self.seen.insert(note.clone()) {
            self.order.push(note);
        }
    }

    /// Takes over another's notes.
    pub(crate) fn append(&mut self, other: &mut Notes) {
        other.seen.clear();
        for note in other.order.drain(..) {
            self.add(note.level, note.at, note.text);
        }
    }

    /// All notes of a level with their positions in `text`.
    pub(crate) fn render(&self, level: Level, text: &str) -> Vec<String> {
        let word = match level {
            Level::Warning => "warning",
            Level::Info => "info",
        };
        let of_level = self.order.iter().filter(|note| note.level == level);
        of_level
            .map(|note| {
                let before = text.get(..note.at).unwrap_or(text);
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                let line = before.matches('\n').count() + 1;
                let column = before[line_start..].chars().count() + 1;
                format!("PromQL {word}: {} ({line}:{column})", note.text)
            })
            .collect()
    }
}

/// `… for metric name "x"`, or without it if the metric has no name.
pub(crate) fn for_metric(text: &str, name: &str) -> String {
    if name.is_empty() {
        return text.to_owned();
    }
    format!("{text} for metric name {}", super::print::quote(name))
}
