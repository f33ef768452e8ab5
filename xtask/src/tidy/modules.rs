//! Rust files that no `mod` reaches: the compiler ignores them in silence.

use std::collections::BTreeSet;

use super::rust_source::code_only;
use super::{Findings, Tree};

pub(super) fn dead_files(tree: &Tree) -> Findings {
    let sources = tree.files.iter().filter(|file| file.has_extension("rs"));
    let sources: Vec<_> = sources.collect();
    let text_of = |path: &str| {
        let file = sources.iter().find(|file| file.path == path);
        file.map(|file| file.text.as_str())
    };
    let mut open: Vec<String> =
        sources.iter().map(|file| file.path.clone()).filter(|path| is_root(path)).collect();
    let mut reached: BTreeSet<String> = BTreeSet::new();
    while let Some(path) = open.pop() {
        let Some(text) = text_of(&path) else { continue };
        if reached.insert(path.clone()) {
            open.extend(children(&path, text));
        }
    }
    let dead = sources.iter().filter(|file| !reached.contains(&file.path));
    let fault = |path: &str| format!("{path}: no `mod` reaches it, so it is never compiled");
    Findings { faults: dead.map(|file| fault(&file.path)).collect(), notes: Vec::new() }
}

/// Files that cargo compiles by themselves.
fn is_root(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    // `src/x/tests.rs` may have a folder `src/x/tests`, which is no target.
    let own_target: &[&str] = match folder.contains("/src/") {
        true => &["/src/bin"],
        false => &["/tests", "/benches", "/examples"],
    };
    let starts_target = name == "main.rs" || (name == "lib.rs" && folder.ends_with("/src"));
    starts_target
        || own_target.iter().any(|place| folder.ends_with(place))
        || (folder.starts_with("fuzz") && folder.ends_with("fuzz_targets"))
}

/// Where the files of `mod name;` and `#[path = "…"] mod name;` may lie.
fn children(path: &str, text: &str) -> Vec<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    let stem = name.trim_end_matches(".rs");
    let own = matches!(stem, "main" | "lib") || is_root(path);
    let below = if own { folder.to_owned() } else { format!("{folder}/{stem}") };
    let code = code_only(text);
    let mut found = Vec::new();
    for (line, original) in code.lines().zip(text.lines()) {
        let declared = line.trim().strip_suffix(';').and_then(|line| line.split_once("mod "));
        if let Some((visibility, module)) = declared
            && (visibility.is_empty()
                || visibility.starts_with("pub")
                || visibility.ends_with("] "))
        {
            found.push(format!("{below}/{}.rs", module.trim()));
        }
        if let Some((_, rest)) = original.split_once("#[path = \"")
            && let Some((file, _)) = rest.split_once('"')
        {
            found.push(format!("{folder}/{file}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_lead_to_their_files() {
        let check = |path: &str, text: &str, expect: &[&str]| {
            assert_eq!(children(path, text), expect, "{path}: {text}");
        };
        check("a/src/lib.rs", "mod x;\npub mod y;", &["a/src/x.rs", "a/src/y.rs"]);
        check("a/src/x.rs", "pub(crate) mod z;", &["a/src/x/z.rs"]);
        check("a/src/x.rs", "#[cfg(test)] mod tests;", &["a/src/x/tests.rs"]);
        check("a/src/x/tests/y.rs", "mod z;", &["a/src/x/tests/y/z.rs"]);
        check("a/tests/it/main.rs", "mod crash;", &["a/tests/it/crash.rs"]);
        check("a/src/x.rs", "// mod no;\nmod inline { }", &[]);
    }
}
