//! `cargo xtask codegen`: from `registry/<service>.toml` to the typed object by which that
//! service of the fleet records its metrics, `crates/fleet/src/<service>/business.rs`.
//!
//! What is generated is checked in, so that it can be read and reviewed; `tidy` compares it
//! with the registry.

mod names;
mod registry;
mod rust;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::workspace;

use registry::Registry;

/// How each generated file begins.
pub(crate) const MADE_FROM: &str = "// Made from ";

/// `cargo xtask codegen`
pub(crate) fn run(_arguments: &[String]) -> super::Outcome {
    for generated in generate()? {
        let path = workspace::root().join(&generated.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        std::fs::write(&path, &generated.text).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("wrote {}", generated.path);
    }
    Ok(true)
}

/// What is not as the registry says: a line each for the user.
///
/// # Errors
/// The registry cannot be read.
pub(crate) fn outdated() -> Result<Vec<String>, String> {
    let mut outdated = Vec::new();
    for Generated { path, source, text } in generate()? {
        let found = std::fs::read_to_string(workspace::root().join(&path)).unwrap_or_default();
        if found != text {
            outdated.push(format!("{path} is not what {source} says: run `cargo xtask codegen`"));
        }
    }
    Ok(outdated)
}

/// A file as it should be.
struct Generated {
    path: String,
    source: String,
    text: String,
}

/// The service that stands for all: what the crate records by itself.
const ALL: &str = "*";

fn generate() -> Result<Vec<Generated>, String> {
    let mut files = Vec::new();
    for path in sources()? {
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let source = format!("registry/{name}");
        let registry = Registry::parse(&text).map_err(|e| format!("{source}: {e}"))?;
        if registry.service == ALL {
            continue;
        }
        let text = formatted(&rust::business(&registry, &source)?)?;
        let path = format!("crates/fleet/src/{}/business.rs", registry.service);
        files.push(Generated { path, source, text });
    }
    Ok(files)
}

fn sources() -> Result<Vec<PathBuf>, String> {
    let folder = workspace::root().join("registry");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Ok(paths)
}

/// As `cargo fmt` would have it.
fn formatted(source: &str) -> Result<String, String> {
    use std::io::Write as _;
    let failed = |error: std::io::Error| format!("cannot run rustfmt: {error}");
    let mut rustfmt = Command::new("rustfmt")
        .current_dir(workspace::root())
        .args(["--edition", "2024", "--emit", "stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = rustfmt.stdin.take() {
        stdin.write_all(source.as_bytes()).map_err(failed)?;
    }
    let output = rustfmt.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err("rustfmt refuses what was generated".to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
