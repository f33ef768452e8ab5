//! Expected and actual text beside each other.

use std::fmt::Write;
use std::path::Path;

/// Set to anything, [`assert_file`] writes what it finds.
const UPDATE: &str = "TREFOIL_UPDATE";

/// Compares texts line by line. The expectation may begin and end with empty lines and be
/// indented as a whole.
///
/// # Panics
/// They differ.
#[track_caller]
pub fn assert_text(expect: &str, actual: &str) {
    let expect = outdented(expect);
    if expect.trim_end() != actual.trim_end() {
        panic!(
            "the telemetry is not as expected (-expected +actual)\n{}\nif it is right as it is \
             now, put this in place of the expectation:\n\n{actual}",
            difference(&expect, actual)
        );
    }
}

/// Compares a text with a file.
///
/// # Panics
/// They differ, and the variable `TREFOIL_UPDATE` is not set; with it, the file is written.
#[track_caller]
pub fn assert_file(path: impl AsRef<Path>, actual: &str) {
    let path = path.as_ref();
    if std::env::var_os(UPDATE).is_some() {
        if let Err(error) = std::fs::write(path, actual) {
            panic!("cannot write {}: {error}", path.display());
        }
        return;
    }
    let expect = std::fs::read_to_string(path).unwrap_or_default();
    if expect.trim_end() != actual.trim_end() {
        panic!(
            "the telemetry is not as {} says (-expected +actual)\n{}\nif it is right as it is \
             now, run the test again with {UPDATE}=1",
            path.display(),
            difference(&expect, actual)
        );
    }
}

/// Without the indentation that all lines share, and without empty lines around it.
fn outdented(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let filled = |line: &&&str| !line.trim().is_empty();
    let indent = lines.iter().filter(filled).map(|line| line.len() - line.trim_start().len()).min();
    let cut = |line: &&str| line.get(indent.unwrap_or_default()..).unwrap_or_default().to_owned();
    let lines: Vec<String> = lines.iter().map(cut).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Lines that both have, that only one has: by the longest common subsequence.
fn difference(expect: &str, actual: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (expect.trim_end().lines().collect(), actual.trim_end().lines().collect());
    // common[i][j]: lines that old[i..] and new[j..] share.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        let _ = if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            writeln!(out, "  {}", new[j - 1])
        } else if j < new.len() && (i == old.len() || common[i][j + 1] > common[i + 1][j]) {
            j += 1;
            writeln!(out, "+ {}", new[j - 1])
        } else {
            i += 1;
            writeln!(out, "- {}", old[i - 1])
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_keeps_what_both_have() {
        assert_eq!(difference("a\nb\nc", "a\nx\nc\nd"), "  a\n- b\n+ x\n  c\n+ d\n");
        assert_eq!(outdented("\n    a\n      b\n\n    c\n    "), "a\n  b\n\nc");
    }
}
