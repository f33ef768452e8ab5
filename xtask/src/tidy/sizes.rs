//! The tails of files and functions: shown always, failing above a limit.

use super::rust_source::{code_only, functions, line_of, without_tests};
use super::{Findings, Tree};

/// How many of the longest are shown.
const SHOWN: usize = 5;

struct Item {
    lines: u64,
    /// `path` or `path:function`, as `tidy.toml` names exceptions.
    key: String,
    place: String,
}

pub(super) fn tails(tree: &Tree) -> Findings {
    let (mut files, mut long_functions) = (Vec::new(), Vec::new());
    for file in &tree.files {
        let source = ["rs", "js", "mjs", "py"].iter().any(|kind| file.has_extension(kind));
        let is_test = file.path.contains("test");
        if !source || file.is_vendored() || file.is_generated() || is_test {
            continue;
        }
        let lines = file.text.lines().count() as u64;
        files.push(Item { lines, key: file.path.clone(), place: file.path.clone() });
        if file.has_extension("rs") {
            long_functions.extend(functions_of(&file.path, &file.text));
        }
    }
    let mut findings = Findings::default();
    judge(tree, &mut findings, "files", "file_lines", files);
    judge(tree, &mut findings, "functions", "function_lines", long_functions);
    findings
}

fn functions_of(path: &str, text: &str) -> Vec<Item> {
    let code = without_tests(&code_only(text));
    let item = |(name, from, to): (String, usize, usize)| {
        let lines = code[from..to].lines().count() as u64;
        let place = format!("{path}:{} {name}", line_of(&code, from));
        Item { lines, key: format!("{path}:{name}"), place }
    };
    functions(&code).into_iter().map(item).collect()
}

fn judge(tree: &Tree, findings: &mut Findings, section: &str, general: &str, mut items: Vec<Item>) {
    items.sort_by_key(|item| std::cmp::Reverse(item.lines));
    for item in items.iter().take(SHOWN) {
        findings.notes.push(format!("{:>5} lines  {}", item.lines, item.place));
    }
    for item in &items {
        let limit = tree.limits.for_item(section, &item.key, general);
        if item.lines > limit {
            let Item { lines, key, place } = item;
            findings.faults.push(format!(
                "{place}: {lines} lines, the limit is {limit}: split it at its joints, or add \
                 \"{key}\" to [{section}] in xtask/tidy.toml with a reason"
            ));
        }
    }
}
