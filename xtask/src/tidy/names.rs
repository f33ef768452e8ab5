//! Names that say nothing.

use super::{Findings, Tree};

/// A module called so holds what found no better place.
const DRAWERS: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "mod"];

pub(super) fn drawers(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for file in tree.files.iter().filter(|file| !file.is_vendored()) {
        let source = ["rs", "js", "mjs", "py", "ts"].iter().any(|kind| file.has_extension(kind));
        let drawer = |part: &&str| {
            let stem = part.split('.').next().unwrap_or(part);
            DRAWERS.contains(&stem)
        };
        if source && let Some(part) = file.path.split('/').find(drawer) {
            let fault = format!("{}: `{part}` is missing its name: what does it hold?", file.path);
            findings.faults.push(fault);
        }
    }
    findings
}
