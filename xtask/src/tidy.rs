//! House rules as a test. Each rule looks at the repository's own files and says what it
//! found, where, and what to do; the hard ones fail, the tails are only shown.

mod crates;
mod generated;
mod imports;
mod links;
mod modules;
mod names;
mod rust_source;
mod sizes;
mod strays;

use std::path::Path;
use std::time::Instant;

use crate::workspace;

/// The repository as the rules see it.
struct Tree {
    files: Vec<File>,
    limits: Limits,
}

/// A text file of the repository.
struct File {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn has_extension(&self, wanted: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == wanted)
    }

    /// What `cargo xtask codegen` made is as long as what it was made from.
    fn is_generated(&self) -> bool {
        self.text.starts_with(crate::codegen::MADE_FROM)
    }

    /// Third-party code that we carry as it came.
    fn is_vendored(&self) -> bool {
        self.path.contains("/vendor/")
    }
}

/// What may be tuned without touching a rule: `xtask/tidy.toml`.
#[derive(Default)]
struct Limits {
    entries: Vec<(String, u64)>,
}

impl Limits {
    /// Reads `key = number` lines; sections prefix their keys with `section.`.
    fn parse(text: &str) -> Result<Limits, String> {
        let mut section = String::new();
        let mut entries = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = format!("{name}.");
                continue;
            }
            let entry = line.split_once('=').and_then(|(key, value)| {
                let value = value.split('#').next()?.trim().parse().ok()?;
                Some((format!("{section}{}", key.trim().trim_matches('"')), value))
            });
            entries.push(entry.ok_or_else(|| format!("xtask/tidy.toml: cannot read `{line}`"))?);
        }
        Ok(Limits { entries })
    }

    fn get(&self, key: &str) -> Option<u64> {
        self.entries.iter().find(|(name, _)| name == key).map(|&(_, value)| value)
    }

    /// The ratchet: an exception above the general limit, or that limit.
    fn for_item(&self, section: &str, item: &str, general: &str) -> u64 {
        let exception = self.get(&format!("{section}.{item}"));
        exception.or_else(|| self.get(general)).unwrap_or(u64::MAX)
    }
}

/// What one rule found.
#[derive(Default)]
struct Findings {
    /// Break the rule.
    faults: Vec<String>,
    /// Worth a look.
    notes: Vec<String>,
}

struct Rule {
    name: &'static str,
    check: fn(&Tree) -> Findings,
}

const RULES: &[Rule] = &[
    Rule { name: "crates depend in one direction only", check: crates::directions },
    Rule { name: "manifests take the workspace's settings", check: crates::manifests },
    Rule { name: "the number of locked packages stays in its budget", check: crates::locked },
    Rule { name: "the stock SDK is no dependency but the bench's", check: crates::stock_sdk },
    Rule { name: "no room imports what it must not know", check: imports::forbidden },
    Rule { name: "modules are named for what they hold", check: names::drawers },
    Rule { name: "every Rust file is reached by a `mod`", check: modules::dead_files },
    Rule { name: "files and functions stay within their limits", check: sizes::tails },
    Rule { name: "what is generated is what the registry says", check: generated::fresh },
    Rule { name: "links in documents resolve", check: links::resolve },
    Rule {
        name: "no strays: machine paths, registry hosts, left-over marks",
        check: strays::found,
    },
];

/// `cargo xtask tidy`
pub(crate) fn run(_arguments: &[String]) -> super::Outcome {
    let (passed, failed) = check()?;
    println!("\n{passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// Checks every rule and prints what was found; answers how many hold and how many do not.
///
/// # Errors
/// If the repository cannot be read.
pub(crate) fn check() -> Result<(usize, usize), String> {
    let begin = Instant::now();
    let tree = read_tree()?;
    let mut failed = 0;
    for rule in RULES {
        let findings = (rule.check)(&tree);
        let verdict = if findings.faults.is_empty() { "ok    " } else { "FAILED" };
        println!("{verdict} {}", rule.name);
        findings.notes.iter().for_each(|note| println!("         {note}"));
        findings.faults.iter().for_each(|fault| println!("    ✗ {fault}"));
        failed += usize::from(!findings.faults.is_empty());
    }
    println!("tidy: {} files in {:.1} s", tree.files.len(), begin.elapsed().as_secs_f64());
    Ok((RULES.len() - failed, failed))
}

fn read_tree() -> Result<Tree, String> {
    let root = workspace::root();
    let limits = std::fs::read_to_string(root.join("xtask/tidy.toml"))
        .map_err(|error| format!("cannot read xtask/tidy.toml: {error}"))?;
    let mut files = Vec::new();
    for path in workspace::files()? {
        let bytes = std::fs::read(root.join(&path))
            .map_err(|error| format!("cannot read {path}: {error}"))?;
        // Pictures and other binary files have no lines to look at.
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path, text });
        }
    }
    Ok(Tree { files, limits: Limits::parse(&limits)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_house_rules() {
        let (_, failed) = check().expect("the repository can be read");
        assert_eq!(failed, 0, "see above; run it alone with `cargo xtask tidy`");
    }

    #[test]
    fn limits_have_sections_and_exceptions() {
        let text = "a = 3 # why\n[functions]\n\"x.rs:f\" = 120\n";
        let limits = Limits::parse(text).expect("it is well formed");
        assert_eq!(limits.get("a"), Some(3));
        assert_eq!(limits.for_item("functions", "x.rs:f", "a"), 120);
        assert_eq!(limits.for_item("functions", "x.rs:g", "a"), 3);
        assert!(Limits::parse("a = x").is_err());
    }
}
