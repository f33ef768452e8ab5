//! What slips in while working and must not stay.

use super::rust_source::code_only;
use super::{File, Findings, Tree};

/// Paths that exist on one machine only. Written in two halves so that this file passes.
const MACHINE_PATHS: &[(&str, &str)] = &[("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/")];

/// Where a machine gets its packages from is that machine's setting.
const REGISTRY_HOSTS: &[(&str, &str)] = &[
    ("registry.np", "mjs.org"),
    ("registry.yarn", "pkg.com"),
    ("py", "pi.org"),
    ("files.python", "hosted.org"),
    ("static.crat", "es.io"),
    ("index.crat", "es.io"),
    ("deb.deb", "ian.org"),
];

/// Marks of unfinished work.
const MARKS: &[(&str, &str)] = &[("TO", "DO"), ("FIX", "ME"), ("XX", "X:"), ("HA", "CK:")];

/// Calls that only help while developing.
const DEBUG_CALLS: &[&str] = &["dbg!(", "todo!(", "unimplemented!("];

pub(super) fn found(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let words = words();
    for file in tree.files.iter().filter(|file| !file.is_vendored()) {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(what) = stray(line, &words) {
                let place = format!("{}:{}", file.path, number + 1);
                findings.faults.push(format!("{place}: `{what}`"));
            }
        }
        debug_calls(file, &mut findings);
    }
    findings
}

fn words() -> Vec<String> {
    let lists = [MACHINE_PATHS, REGISTRY_HOSTS, MARKS];
    lists.into_iter().flatten().map(|(a, b)| format!("{a}{b}")).collect()
}

fn stray<'w>(line: &str, words: &'w [String]) -> Option<&'w str> {
    let stands_alone = |word: &&String| {
        line.match_indices(word.as_str()).any(|(at, _)| {
            // Part of a longer path, name or word: `x/work/`, `TODOS`.
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            let starts =
                !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
            let upper = word.chars().all(char::is_uppercase);
            starts && !(upper && after.is_some_and(char::is_alphanumeric))
        })
    };
    words.iter().find(stands_alone).map(String::as_str)
}

fn debug_calls(file: &File, findings: &mut Findings) {
    if file.has_extension("rs") {
        let code = code_only(&file.text);
        for (number, line) in code.lines().enumerate() {
            if let Some(call) = DEBUG_CALLS.iter().find(|call| line.contains(**call)) {
                findings.faults.push(format!("{}:{}: `{call}…)`", file.path, number + 1));
            }
        }
    }
    let served = file.path.starts_with("ui/") && !file.path.contains("/tests/");
    if served && (file.has_extension("js") || file.has_extension("mjs")) {
        for (number, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("debugger") || line.contains("console.log(") {
                findings.faults.push(format!("{}:{}: `{}`", file.path, number + 1, line.trim()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strays_are_told_from_words_that_contain_them() {
        let words = words();
        let mark = format!("{}{}", "TO", "DO");
        assert_eq!(stray(&format!("// {mark} later"), &words), Some(mark.as_str()));
        assert_eq!(stray(&format!("{mark}S of a demo"), &words), None);
        let path = format!("{}{}", "/ho", "me/me/x");
        assert!(stray(&format!("see {path}"), &words).is_some());
        assert!(stray(&format!("https://example.org{path}"), &words).is_none());
    }
}
