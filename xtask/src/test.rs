//! `cargo xtask test`: everything that must pass, one step after the other.
//!
//! A step that fails does not stop the next, so one run shows all there is to mend.

mod child;
mod clients;
mod count;
mod features;
mod install;
mod rust;
mod sanitizer;
mod ui;

use std::time::Instant;

use count::Count;

/// What became of a step.
enum Verdict {
    /// It ran; the count says how it went.
    Ran(Count),
    /// It ran and broke in a way that no count shows.
    Broke(Count, String),
    /// It cannot run on this machine; says why and what would help.
    CannotRun(String),
}

/// One thing to check.
struct Step {
    name: &'static str,
    part: &'static str,
    run: fn() -> Verdict,
    /// What to type to run it alone.
    again: &'static str,
}

const STEPS: &[Step] = &[
    Step {
        name: "formatting",
        part: "rust",
        run: rust::formatting,
        again: "cargo fmt --all --check",
    },
    Step {
        name: "clippy",
        part: "rust",
        run: rust::clippy,
        again: "cargo clippy --workspace --all-targets -- -D warnings",
    },
    Step {
        name: "fuzz targets",
        part: "rust",
        run: rust::fuzz_targets,
        again: "cargo clippy --manifest-path fuzz/Cargo.toml --no-default-features --bins",
    },
    Step {
        name: "bench of the crate",
        part: "rust",
        run: rust::bench,
        again: "cargo clippy --manifest-path bench/sdk/Cargo.toml",
    },
    Step { name: "Rust tests", part: "rust", run: rust::tests, again: "cargo test --workspace" },
    Step { name: "house rules", part: "tidy", run: rust::tidy, again: "cargo xtask tidy" },
    Step {
        name: "Python clients",
        part: "clients",
        run: clients::python,
        again: "cargo xtask test clients",
    },
    Step {
        name: "Node clients",
        part: "clients",
        run: clients::node,
        again: "cargo xtask test clients",
    },
    Step { name: "UI types", part: "ui", run: ui::types, again: "cargo xtask test ui" },
    Step { name: "UI unit tests", part: "ui", run: ui::unit_tests, again: "cargo xtask test ui" },
    Step { name: "browser test", part: "ui", run: ui::browser, again: "cargo xtask test ui" },
    Step {
        name: "features alone",
        part: "features",
        run: features::alone,
        again: "cargo xtask test features",
    },
    Step {
        name: "https without tls",
        part: "features",
        run: features::https_without_tls,
        again: "cargo xtask test features",
    },
    Step {
        name: "AddressSanitizer",
        part: "sanitizer",
        run: sanitizer::addresses,
        again: "cargo xtask test sanitizer",
    },
];

/// Parts that take minutes and change seldom: for whoever touches the crate's manifest, or
/// its `unsafe`.
const ON_DEMAND: [&str; 2] = ["features", "sanitizer"];

/// `cargo xtask test [PART]`
pub(crate) fn run(arguments: &[String]) -> super::Outcome {
    let part = arguments.first().map(String::as_str);
    let chosen: Vec<&Step> = STEPS
        .iter()
        .filter(|step| part.map_or(!ON_DEMAND.contains(&step.part), |p| p == step.part))
        .collect();
    if chosen.is_empty() || arguments.len() > 1 {
        return Err(format!(
            "what is `{}`? The parts are: rust clients ui tidy features sanitizer",
            arguments.join(" ")
        ));
    }
    let begin = Instant::now();
    let mut summary = Summary::default();
    for (number, step) in chosen.iter().enumerate() {
        let elapsed = child::minutes(begin.elapsed());
        println!("\n──── {}/{} {} ({elapsed} so far)", number + 1, chosen.len(), step.name);
        let start = Instant::now();
        let verdict = (step.run)();
        summary.add(step, &verdict, &child::minutes(start.elapsed()));
    }
    Ok(summary.print(&child::minutes(begin.elapsed())))
}

#[derive(Default)]
struct Summary {
    lines: Vec<String>,
    total: Count,
}

impl Summary {
    fn add(&mut self, step: &Step, verdict: &Verdict, took: &str) {
        let strict = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        let (word, mut count, why) = match verdict {
            Verdict::Ran(count) if count.failed == 0 => ("ok", *count, String::new()),
            Verdict::Ran(count) => ("FAILED", *count, String::new()),
            Verdict::Broke(count, why) => ("FAILED", *count, why.clone()),
            Verdict::CannotRun(why) if strict => {
                ("FAILED", Count::default(), format!("{why} (CI is set, so this is an error)"))
            }
            Verdict::CannotRun(why) => ("NOT RUN", Count::SKIPPED, why.clone()),
        };
        if word == "FAILED" {
            count.failed = count.failed.max(1);
        }
        self.total += count;
        let mut line = format!("{word:<8} {:<16} {took:>7}   {count}", step.name);
        if !why.is_empty() {
            line.push_str(&format!("\n         {why}"));
        }
        if word == "FAILED" {
            line.push_str(&format!("\n         again: {}", step.again));
        }
        println!("{line}");
        self.lines.push(line);
    }

    /// Prints the closing lines; answers whether all is well.
    fn print(&self, took: &str) -> bool {
        println!("\n──── summary ({took})");
        self.lines.iter().for_each(|line| println!("{line}"));
        println!("\n{}", self.total);
        self.total.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_step_counts_as_a_failure_and_a_missing_tool_as_skipped() {
        let mut summary = Summary::default();
        let step = &STEPS[0];
        summary.add(step, &Verdict::Ran(Count { passed: 3, failed: 0, skipped: 1 }), "0:00");
        summary.add(
            step,
            &Verdict::Broke(Count { passed: 2, failed: 0, skipped: 0 }, "x".into()),
            "0:00",
        );
        let expect = Count { passed: 5, failed: 1, skipped: 1 };
        assert_eq!(summary.total, expect);
        assert!(!summary.print("0:00"));
    }
}
