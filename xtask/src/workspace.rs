//! Where things are: the repository, its files, the target folder, the shared data beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root, absolute.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo puts what it builds, and we put what we set up.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Reference data that lies beside the checkout and is not part of it.
pub(crate) fn shared() -> Option<PathBuf> {
    let beside = || root().parent().map(|parent| parent.join("shared"));
    let path = std::env::var_os("TREFOIL_SHARED").map(PathBuf::from).or_else(beside)?;
    path.is_dir().then_some(path)
}

/// Files that belong to the repository, tracked or about to be, relative to its root, sorted.
///
/// # Errors
/// If git does not answer.
pub(crate) fn files() -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let listed = String::from_utf8_lossy(&output.stdout);
    let exists = |path: &&str| !path.is_empty() && root().join(path).is_file();
    let mut files: Vec<String> = listed.split('\0').filter(exists).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// Cargo, the one that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
