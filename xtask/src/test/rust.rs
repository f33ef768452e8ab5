//! Formatting, lints, Rust's own tests, house rules.

use std::path::PathBuf;

use super::count::Count;
use super::{Verdict, child};
use crate::{tidy, workspace};

pub(super) fn formatting() -> Verdict {
    child::check(workspace::cargo().args(["fmt", "--all", "--check"]))
}

pub(super) fn clippy() -> Verdict {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    child::check(workspace::cargo().args(arguments))
}

/// The fuzz targets compile. They are a workspace of their own, which the steps around
/// this one do not see; without their default feature they need no C++ compiler.
pub(super) fn fuzz_targets() -> Verdict {
    let mut command = workspace::cargo();
    command.args(["clippy", "--manifest-path", "fuzz/Cargo.toml", "--no-default-features"]);
    command.arg("--target-dir").arg(workspace::target());
    child::check(command.args(["--bins", "--", "-D", "warnings"]))
}

/// The crate's bench beside its rivals compiles, a workspace of its own as well.
pub(super) fn bench() -> Verdict {
    let mut command = workspace::cargo();
    command.args(["clippy", "--manifest-path", "bench/sdk/Cargo.toml"]);
    command.arg("--target-dir").arg(workspace::target());
    child::check(command.args(["--", "-D", "warnings"]))
}

pub(super) fn tests() -> Verdict {
    child::count(workspace::cargo().args(["test", "--workspace", "--no-fail-fast"]))
}

pub(super) fn tidy() -> Verdict {
    match tidy::check() {
        Ok((passed, failed)) => {
            Verdict::Ran(Count { passed: passed as u64, failed: failed as u64, skipped: 0 })
        }
        Err(why) => Verdict::Broke(Count::default(), why),
    }
}

/// Builds the server as the Rust tests do, so that nothing is compiled twice, and answers
/// where it lies. `TREFOIL_BIN` names another one instead.
///
/// # Errors
/// If it does not compile.
pub(super) fn server() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("TREFOIL_BIN") {
        return Ok(PathBuf::from(path));
    }
    child::prepare(workspace::cargo().args(["build", "--workspace", "--bin", "trefoil"]))?;
    Ok(workspace::target().join("debug/trefoil"))
}

/// Builds the examples that Python's tests look at, and answers the folder they lie in.
///
/// # Errors
/// If they do not compile.
pub(super) fn examples() -> Result<PathBuf, String> {
    let examples = ["--example", "otlp_*", "--example", "relay*"];
    let features = ["--features", "trefoil/axum,trefoil/grpc,trefoil/reqwest"];
    child::prepare(
        workspace::cargo().args(["build", "--workspace"]).args(examples).args(features),
    )?;
    Ok(workspace::target().join("debug/examples"))
}
