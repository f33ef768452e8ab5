//! The crate with each of its features alone: what all of them together hide.

use std::process::Stdio;

use super::count::Count;
use super::{Verdict, child};
use crate::workspace;

/// Compiles it with no feature and with each. The library alone: its tests need all.
pub(super) fn alone() -> Verdict {
    let features = match features() {
        Ok(features) => features,
        Err(why) => return Verdict::Broke(Count::default(), why),
    };
    let mut total = Count::default();
    for feature in std::iter::once("").chain(features.iter().map(String::as_str)) {
        let mut command = workspace::cargo();
        command.args(["clippy", "--quiet", "-p", "trefoil", "--lib", "--no-default-features"]);
        command.args(["--features", feature, "--", "-D", "warnings"]);
        match child::check(&mut command) {
            Verdict::Ran(count) => total += count,
            other => return other,
        }
    }
    Verdict::Ran(total)
}

/// The names in the crate's manifest.
fn features() -> Result<Vec<String>, String> {
    let path = workspace::root().join("crates/trefoil/Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let manifest: toml::Table = text.parse().map_err(|e| format!("{}: {e}", path.display()))?;
    let features = manifest.get("features").and_then(toml::Value::as_table);
    let names = features.ok_or("the crate trefoil has no features")?.keys();
    Ok(names.filter(|name| *name != "default").cloned().collect())
}

/// Without `tls` a receiver behind https is refused, and the program is told what to do.
pub(super) fn https_without_tls() -> Verdict {
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "-p", "trefoil", "--no-default-features"]);
    command.args(["--example", "command"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1");
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => return Verdict::Broke(Count::default(), format!("cannot run: {error}")),
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let expect = "https needs the feature `tls` of the crate trefoil";
    if output.status.success() && told.contains(expect) {
        return Verdict::Ran(Count::PASSED);
    }
    Verdict::Broke(Count::default(), format!("`{expect}` is not in what it told:\n{told}"))
}
