//! Runs the scripts in `testdata/promql` and, where it is at hand, Prometheus's own corpus.

use std::path::{Path, PathBuf};

use super::run;

/// Cases of the corpus that are known to fail, with the reason.
/// A case that starts to pass must leave the list.
const KNOWN_FAILURES: &[(&str, usize, &str)] = &[];

/// `$TREFOIL_SHARED`, or `shared` beside the checkout.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("TREFOIL_SHARED").map_or(beside, PathBuf::from);
    shared.is_dir().then_some(shared)
}

fn scripts(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("directory of scripts");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "test"))
        .collect();
    files.sort();
    files
}

/// Runs all scripts of a directory; answers the complaints and how many cases there were.
fn run_all(dir: &Path, known: &[(&str, usize, &str)]) -> (Vec<String>, usize) {
    let mut complaints = Vec::new();
    let mut total = 0;
    for file in scripts(dir) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("script");
        let outcomes = match run(&text) {
            Ok(outcomes) => outcomes,
            Err(why) => {
                complaints.push(format!("{name}: {why}"));
                continue;
            }
        };
        let passed = outcomes.iter().filter(|o| o.failure.is_none()).count();
        eprintln!("{name}: {passed} of {}", outcomes.len());
        total += outcomes.len();
        for outcome in outcomes {
            let listed = known.iter().any(|(f, line, _)| *f == name && *line == outcome.line);
            match outcome.failure {
                Some(why) if !listed => {
                    complaints.push(format!("{name}:{}: {}\n{why}", outcome.line, outcome.expr));
                }
                None if listed => complaints.push(format!(
                    "{name}:{}: passes now; remove it from KNOWN_FAILURES",
                    outcome.line
                )),
                _ => {}
            }
        }
    }
    (complaints, total)
}

#[test]
fn own_scripts_pass() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/promql");
    let (complaints, total) = run_all(&dir, &[]);
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    assert!(total > 0);
}

#[test]
fn prometheus_corpus_passes() {
    let Some(shared) = shared() else {
        eprintln!("SKIPPED: no shared data; set TREFOIL_SHARED to run Prometheus's corpus");
        return;
    };
    let (complaints, total) = run_all(&shared.join("conformance/promqltest"), KNOWN_FAILURES);
    let shown: Vec<&str> = complaints.iter().map(String::as_str).take(200).collect();
    assert!(complaints.is_empty(), "{} of {total}:\n{}", complaints.len(), shown.join("\n\n"));
}
