//! The web app: its types, its pure functions, and all of it in a real browser.
//!
//! `ui/package.json` names the tools; they are installed in `target/ui`, so the sources
//! stay free of `node_modules`.

use std::path::PathBuf;
use std::process::Command;

use super::count::Count;
use super::{Verdict, child, install, rust};
use crate::workspace;

/// `tsc --checkJs` over the modules as they are served.
pub(super) fn types() -> Verdict {
    with_tools(|tools, ui| {
        let mut command = Command::new("node");
        command
            .arg(tools.join("node_modules/typescript/bin/tsc"))
            .args(["--project", "jsconfig.json"]);
        child::check(command.current_dir(ui))
    })
}

/// `node --test` on everything that needs no browser.
pub(super) fn unit_tests() -> Verdict {
    with_tools(|tools, ui| {
        let mut command = Command::new("node");
        command.args(["--test", "--test-reporter=spec", "tests/unit/"]);
        child::count(command.current_dir(ui).env("UI_TOOLS", tools))
    })
}

/// The app in Chromium against the real server.
pub(super) fn browser() -> Verdict {
    let chromium = match install::chromium() {
        Ok(path) => path,
        Err(why) => return Verdict::CannotRun(why),
    };
    with_tools(|tools, ui| match rust::server() {
        Ok(server) => {
            let mut command = Command::new("node");
            command.args(["--test", "--test-reporter=spec", "tests/browser/"]).current_dir(ui);
            command.env("UI_TOOLS", tools).env("CHROMIUM", &chromium).env("TREFOIL_BIN", server);
            child::count(&mut command)
        }
        Err(why) => Verdict::Broke(Count::default(), why),
    })
}

fn with_tools(run: impl FnOnce(PathBuf, PathBuf) -> Verdict) -> Verdict {
    let ui = workspace::root().join("ui");
    match install::npm("ui", &ui) {
        Ok(tools) => run(tools, ui),
        Err(why) => Verdict::CannotRun(why),
    }
}
