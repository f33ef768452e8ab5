//! Links of Markdown documents to files and headings of this repository.

use std::path::{Component, Path, PathBuf};

use super::{File, Findings, Tree};
use crate::workspace;

pub(super) fn resolve(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let documents =
        tree.files.iter().filter(|file| file.has_extension("md") && !file.is_vendored());
    for file in documents {
        for (line, target) in targets(&file.text) {
            if let Err(why) = follow(tree, file, target) {
                findings.faults.push(format!("{}:{line}: ({target}): {why}", file.path));
            }
        }
    }
    findings
}

/// Every `](target)` outside code, with its line.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let in_code = line[..at].matches('`').count() % 2 == 1;
            if let Some((target, _)) = line[at + 2..].split_once(')').filter(|_| !in_code) {
                found.push((number + 1, target.split(' ').next().unwrap_or(target)));
            }
        }
    }
    found
}

fn follow(tree: &Tree, from: &File, target: &str) -> Result<(), &'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() {
        from.path.clone()
    } else {
        let folder = Path::new(&from.path).parent().unwrap_or(Path::new(""));
        flatten(&folder.join(path)).ok_or("leads out of the repository")?
    };
    let file = tree.files.iter().find(|file| file.path == path);
    match file {
        None if workspace::root().join(&path).exists() => Ok(()),
        None => Err("there is no such file"),
        Some(file) if anchor.is_empty() || !file.has_extension("md") => Ok(()),
        Some(file) => {
            let found = headings(&file.text).any(|heading| heading == anchor);
            if found { Ok(()) } else { Err("the document has no such heading") }
        }
    }
}

/// `a/b/../c` as `a/c`.
fn flatten(path: &Path) -> Option<String> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => out.pop().then_some(())?,
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    Some(out.to_string_lossy().into_owned())
}

/// Anchors of a document's headings, as code hosts make them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "see [a](x.md#y) and `[b](no.md)`\n```\n[c](no.md)\n```\n![d](p.png \"t\")";
        assert_eq!(targets(text), [(1, "x.md#y"), (5, "p.png")]);
    }

    #[test]
    fn headings_become_anchors() {
        let anchors: Vec<_> = headings("# One, two\n## A `b`-c\n").collect();
        assert_eq!(anchors, ["one-two", "a-b-c"]);
    }

    #[test]
    fn paths_are_flattened_within_the_repository() {
        assert_eq!(flatten(Path::new("docs/adr/../x.md")).as_deref(), Some("docs/x.md"));
        assert_eq!(flatten(Path::new("../x.md")), None);
    }
}
