//! What the tests need from outside: Python and npm packages under `target/`, programs of
//! the distribution. Nothing is installed that is there already.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::child;
use crate::workspace;

/// A Python of its own with the packages of a requirements file; answers its interpreter.
///
/// # Errors
/// If Python or a package cannot be had; says what would help.
pub(super) fn python(requirements: &Path) -> Result<PathBuf, String> {
    let folder = workspace::target().join("clients/python");
    let interpreter = folder.join("bin/python");
    let wanted = read(requirements)?;
    let stamp = folder.join("requirements.installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(interpreter);
    }
    if !succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        debian(&["python3", "python3-venv"])
            .map_err(|why| format!("Python 3 with venv is missing: {why}"))?;
    }
    child::prepare(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    child::prepare(Command::new(&interpreter).args(pip).arg(requirements))?;
    write(&stamp, &wanted)?;
    Ok(interpreter)
}

/// npm packages of the `package.json` and `package-lock.json` in `from`, installed in
/// `target/<name>`; answers that folder. Scripts find them there if they run from there.
///
/// # Errors
/// If Node or a package cannot be had; says what would help.
pub(super) fn npm(name: &str, from: &Path) -> Result<PathBuf, String> {
    if !on_path("npm") || !on_path("node") {
        debian(&["nodejs", "npm"]).map_err(|why| format!("Node.js with npm is missing: {why}"))?;
    }
    let folder = workspace::target().join(name);
    let lock = from.join("package-lock.json");
    let wanted = read(&lock)?;
    let stamp = folder.join("package-lock.installed");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for file in ["package.json", "package-lock.json"] {
        write(&folder.join(file), &read(&from.join(file))?)?;
    }
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let quiet = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    child::prepare(Command::new("npm").args(quiet).current_dir(&folder))?;
    write(&stamp, &wanted)?;
    Ok(folder)
}

/// A Chromium; `CHROMIUM` names one.
///
/// # Errors
/// If there is none and it cannot be installed.
pub(super) fn chromium() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Ok(PathBuf::from(path));
    }
    let names = ["chromium", "chromium-browser", "google-chrome"];
    if !names.iter().any(|name| on_path(name)) {
        debian(&["chromium"]).map_err(|why| format!("Chromium is missing: {why}"))?;
    }
    names.iter().find_map(|name| which(name)).ok_or_else(|| "Chromium is missing".to_owned())
}

/// Prometheus's `promtool`; `PROMTOOL` names one.
///
/// The distribution's package would start a Prometheus as a service, so it is only
/// unpacked, not installed, which needs no rights either.
///
/// # Errors
/// If there is none and it cannot be had.
pub(super) fn promtool() -> Result<PathBuf, String> {
    let named = std::env::var_os("PROMTOOL").map(PathBuf::from);
    let folder = workspace::target().join("tools/prometheus");
    let unpacked = folder.join("usr/bin/promtool");
    let present = || unpacked.is_file().then(|| unpacked.clone());
    if let Some(path) = named.or_else(|| which("promtool")).or_else(present) {
        return Ok(path);
    }
    let missing = |why: &str| format!("Prometheus's promtool is missing: {why}");
    if !on_path("apt-get") {
        return Err(missing("install it, or name it in PROMTOOL"));
    }
    std::fs::create_dir_all(&folder).map_err(|error| missing(&error.to_string()))?;
    update_lists();
    child::prepare(Command::new("apt-get").args(["download", "prometheus"]).current_dir(&folder))
        .map_err(|why| missing(&why))?;
    let entries = std::fs::read_dir(&folder).map_err(|error| missing(&error.to_string()))?;
    let package = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| missing("the package did not arrive"))?;
    child::prepare(Command::new("dpkg").arg("-x").arg(package).arg(&folder))
        .map_err(|why| missing(&why))?;
    present().ok_or_else(|| missing("the package does not hold it"))
}

/// Installs packages of the distribution, where that is ours to do.
fn debian(packages: &[&str]) -> Result<(), String> {
    let by_hand = format!("install {}", packages.join(" and "));
    if !on_path("apt-get") {
        return Err(by_hand);
    }
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !is_root {
        return Err(format!("{by_hand} (apt-get, as root)"));
    }
    update_lists();
    let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
    child::prepare(
        Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(install)
            .args(packages),
    )
    .map_err(|why| format!("{why}; {by_hand}"))
}

/// Old lists name packages that are gone; without the right to renew them, they must do.
fn update_lists() {
    if let Err(why) = child::prepare(Command::new("apt-get").args(["update", "--quiet"])) {
        println!("going on with the package lists as they are: {why}");
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn on_path(program: &str) -> bool {
    which(program).is_some()
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
