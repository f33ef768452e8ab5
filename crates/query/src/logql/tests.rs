//! Scripts, and counts on real log files.

use std::path::{Path, PathBuf};

mod counts;
mod mutants;
mod real_logs;

use super::script;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/logql")
}

#[test]
fn scripts_pass() {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(testdata())
        .expect("testdata/logql exists")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no scripts found");
    let mut failures = Vec::new();
    let mut passed = 0;
    for path in &paths {
        match script::run_file(path) {
            Ok(count) => passed += count,
            Err(why) => failures.push(why),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    eprintln!("{} scripts, {passed} evals", paths.len());
}
