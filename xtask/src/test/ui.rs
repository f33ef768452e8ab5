//! The web app: its types, its pure functions, and all of it in a real browser.
//!
//! `ui/package.json` names the tools; they are installed in `target/ui`, so the sources
//! stay free of `node_modules`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::count::Count;
use super::{Verdict, child, install, rust};
use crate::workspace;

/// `tsc --checkJs` over the modules as they are served.
pub(super) fn types() -> Verdict {
    with_tools(|tools| child::check(node(tools).arg("tests/check.js")))
}

/// Everything that needs no browser.
pub(super) fn unit_tests() -> Verdict {
    with_tools(|tools| run(node(tools), "tests/unit"))
}

/// The app in Chromium against the real server.
pub(super) fn browser() -> Verdict {
    let chromium = match install::chromium() {
        Ok(path) => path,
        Err(why) => return Verdict::CannotRun(why),
    };
    with_tools(|tools| match rust::server() {
        Ok(server) => {
            let mut command = node(tools);
            command.env("CHROMIUM", &chromium).env("TREFOIL_BIN", server);
            run(command, "tests/browser")
        }
        Err(why) => Verdict::Broke(Count::default(), why),
    })
}

fn with_tools(run: impl FnOnce(&Path) -> Verdict) -> Verdict {
    match install::npm("ui", &folder()) {
        Ok(tools) => run(&tools),
        Err(why) => Verdict::CannotRun(why),
    }
}

fn folder() -> PathBuf {
    workspace::root().join("ui")
}

fn node(tools: &Path) -> Command {
    let mut command = Command::new("node");
    command.current_dir(folder()).env("UI_TOOLS", tools);
    command
}

/// Runs the test scripts in a folder of the app.
fn run(mut node: Command, within: &str) -> Verdict {
    let entries = std::fs::read_dir(folder().join(within)).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut scripts: Vec<_> =
        paths.filter(|path| path.to_string_lossy().ends_with(".test.js")).collect();
    scripts.sort();
    if scripts.is_empty() {
        // Without a name node would look for tests everywhere.
        return Verdict::Broke(Count::default(), format!("ui/{within} has no *.test.js"));
    }
    child::count(node.args(["--test", "--test-reporter=spec"]).args(scripts))
}
