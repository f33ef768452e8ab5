//! Running other programs: their output streams through, and is counted on its way.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Verdict;
use super::count::Count;

/// Runs a test runner: its output streams through and its closing lines are counted.
/// A runner that fails without saying how many tests did is told apart.
pub(super) fn count(command: &mut Command) -> Verdict {
    match stream(command) {
        Ok((count, true)) => Verdict::Ran(count),
        Ok((count, false)) if count.failed > 0 => Verdict::Ran(count),
        Ok((count, false)) => Verdict::Broke(count, format!("{} failed", shown(command))),
        Err(why) => Verdict::Broke(Count::default(), why),
    }
}

/// Runs a check that says yes or no.
pub(super) fn check(command: &mut Command) -> Verdict {
    match stream(command) {
        Ok((_, true)) => Verdict::Ran(Count::PASSED),
        Ok((_, false)) => Verdict::Ran(Count::FAILED),
        Err(why) => Verdict::Broke(Count::default(), why),
    }
}

/// Runs a preparation.
///
/// # Errors
/// If it cannot be started or does not succeed.
pub(super) fn prepare(command: &mut Command) -> Result<(), String> {
    match stream(command)? {
        (_, true) => Ok(()),
        (_, false) => Err(format!("{} failed", shown(command))),
    }
}

fn stream(command: &mut Command) -> Result<(Count, bool), String> {
    println!("$ {}", shown(command));
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", shown(command)))?;
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        pass_through(stdout, &mut count)
            .map_err(|error| format!("cannot read its output: {error}"))?;
    }
    let status = child.wait().map_err(|error| format!("lost {}: {error}", shown(command)))?;
    Ok((count, status.success()))
}

fn pass_through(from: impl std::io::Read, count: &mut Count) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    let mut out = std::io::stdout().lock();
    while from.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        out.flush()?;
        count.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}

/// `3:07`
pub(super) fn minutes(duration: Duration) -> String {
    format!("{}:{:02}", duration.as_secs() / 60, duration.as_secs() % 60)
}
