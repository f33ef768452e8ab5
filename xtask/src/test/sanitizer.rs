//! The crate's `unsafe` under AddressSanitizer, which a nightly toolchain brings along.

use std::process::{Command, Stdio};

use super::{Verdict, child};
use crate::workspace;

/// Tests that measure memory, which the sanitizer takes itself, and the child of a fork, which
/// has lost the threads that own what looks leaked.
const NOT_UNDER_IT: [&str; 3] = [
    "h6_a_dead_receiver_costs_little_memory_and_no_time_at_the_exit",
    "m4_memory_holds_at_100k_open_spans",
    "h7_a_forked_child_ends_by_itself_and_its_parent_goes_on",
];

/// Every test of the crate that is no documentation.
pub(super) fn addresses() -> Verdict {
    let target = match nightly_target() {
        Some(target) => target,
        None => {
            let why = "no nightly toolchain; `rustup toolchain install nightly` brings one";
            return Verdict::CannotRun(why.to_owned());
        }
    };
    let mut command = nightly("cargo");
    command.args(["test", "-p", "trefoil", "--all-features", "--lib", "--test", "it"]);
    // With a target named, build scripts and macros stay as they are.
    command.args(["--target", &target, "--target-dir"]);
    command.arg(workspace::target().join("sanitizer"));
    command.arg("--");
    for test in NOT_UNDER_IT {
        command.args(["--skip", test]);
    }
    command.env("RUSTFLAGS", "-Zsanitizer=address");
    child::count(command.current_dir(workspace::root()))
}

/// The nightly toolchain's own target, if there is a toolchain.
fn nightly_target() -> Option<String> {
    let output = nightly("rustc").arg("-vV").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

/// A program of the nightly toolchain, whatever toolchain runs this one.
fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    for set_by_cargo in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(set_by_cargo);
    }
    command.args(["run", "nightly", program]);
    command
}
