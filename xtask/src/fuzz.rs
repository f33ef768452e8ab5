//! `cargo xtask fuzz`: builds the targets of `fuzz/` with coverage counters and runs them.
//!
//! Stable Rust can do it: the compiler's coverage pass and libFuzzer's runtime need no
//! nightly flag, only their names. They are given to this one build and to nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace;

/// Seconds a target runs if nothing else is asked for.
const SECONDS_DEFAULT: u32 = 60;

/// Memory a target may use before it counts as a finding. Inputs are small, so whatever
/// needs this much believed a length that it was told.
const MEMORY_MIB_MAX: u32 = 512;

/// Seconds one input may take before it counts as a finding.
const INPUT_SECONDS_MAX: u32 = 10;

/// Largest input in bytes: enough for every field, small enough for speed.
const INPUT_BYTES_MAX: u32 = 4096;

/// What makes the compiler count coverage the way libFuzzer reads it.
const COVERAGE: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Runs the targets named, or all.
///
/// # Errors
/// If an argument is wrong or the targets cannot be built.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let known = targets()?;
    let mut seconds = SECONDS_DEFAULT;
    let mut asked: Vec<String> = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => {
                println!("{}", known.join("\n"));
                return Ok(true);
            }
            "--seconds" => {
                let value = arguments.next().and_then(|value| value.parse().ok());
                seconds = value.ok_or("--seconds needs a number")?;
            }
            name if known.iter().any(|target| target == name) => asked.push(name.to_owned()),
            other => return Err(format!("there is no target `{other}`: {}", known.join(", "))),
        }
    }
    let targets = if asked.is_empty() { known } else { asked };
    let binaries = build(&targets)?;
    let mut clean = true;
    for target in &targets {
        clean &= fuzz(&binaries, target, seconds)?;
    }
    Ok(clean)
}

/// The names of all targets: the files in `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>, String> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    names.sort();
    Ok(names)
}

/// Builds targets and returns the folder they lie in.
fn build(targets: &[String]) -> Result<PathBuf, String> {
    let triple = host()?;
    let folder = workspace::target().join("fuzz/build");
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    // With a triple of its own the flags stay away from build scripts.
    command.args(["--target", &triple]).arg("--target-dir").arg(&folder);
    command.env("RUSTFLAGS", COVERAGE.join(" "));
    for target in targets {
        command.args(["--bin", target]);
    }
    let status = command.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        return Err("the targets do not build; libFuzzer needs a C++ compiler".to_owned());
    }
    Ok(folder.join(triple).join("release"))
}

/// The triple of this machine, as the compiler calls it.
fn host() -> Result<String, String> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("-vV")
        .output()
        .map_err(|error| format!("cannot start rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not tell its host".to_owned())
}

/// Runs one target; false if it found something.
fn fuzz(binaries: &Path, target: &str, seconds: u32) -> Result<bool, String> {
    let kept = workspace::target().join("fuzz");
    let corpus = kept.join("corpus").join(target);
    let artifacts = kept.join("artifacts").join(target);
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    }
    let scratch = scratch(target);
    println!("fuzz {target} for {seconds} s");
    let binary = binaries.join(target);
    let output = Command::new(&binary)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-malloc_limit_mb={}", MEMORY_MIB_MAX / 2))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=1", "-verbosity=0"])
        .arg(&corpus)
        .env("TREFOIL_FUZZ_SEEDS", &corpus)
        .env("TREFOIL_FUZZ_SCRATCH", &scratch)
        .env("RUST_BACKTRACE", "1")
        .output()
        .map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
    // Targets that work on files leave the last ones behind; others never made the folder.
    let _ = std::fs::remove_dir_all(&scratch);
    let said = String::from_utf8_lossy(&output.stderr);
    let figure = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.map_or("?", |rest| rest.trim_start_matches(':').trim()).to_owned()
    };
    if output.status.success() {
        println!(
            "  clean: {} inputs, {} a second, {} kept, {} MiB at most",
            figure("stat::number_of_executed_units"),
            figure("stat::average_exec_per_sec"),
            std::fs::read_dir(&corpus).map_or(0, Iterator::count),
            figure("stat::peak_rss_mb"),
        );
        return Ok(true);
    }
    eprintln!("{said}");
    eprintln!(
        "{target} found something; to run it again: {} {}/<file>",
        binary.display(),
        artifacts.display()
    );
    Ok(false)
}

/// Where a target may keep files: in memory, if the system has such a folder.
fn scratch(target: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    base.join(format!("trefoil-fuzz-{target}-{}", std::process::id()))
}
