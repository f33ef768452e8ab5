//! Clients that others wrote, against the real binary: `tests/clients/`.

use std::path::Path;
use std::process::Command;

use super::count::Count;
use super::{Verdict, child, install, rust};
use crate::workspace;

/// The official Python SDK, `prometheus-api-client`, `python-logging-loki` and `promtool`; the
/// SDK's propagators against the crate, and the official descriptors against our OTLP.
pub(super) fn python() -> Verdict {
    let folder = workspace::root().join("tests/clients/python");
    let promtool = match install::promtool() {
        Ok(path) => path,
        Err(why) => return Verdict::CannotRun(why),
    };
    let interpreter = match install::python(&folder.join("requirements.txt")) {
        Ok(path) => path,
        Err(why) => return Verdict::CannotRun(why),
    };
    let mut command = Command::new(interpreter);
    command.args(["-m", "pytest", "--color=no", "-p", "no:cacheprovider", "-rs"]);
    command.arg(&folder).current_dir(&folder).env("PROMTOOL", promtool);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    match rust::examples() {
        Ok(examples) => command.env("TREFOIL_EXAMPLES", examples),
        Err(why) => return Verdict::Broke(Count::default(), why),
    };
    against_server(&mut command)
}

/// The official JavaScript SDK, and Loki transports of winston and pino.
pub(super) fn node() -> Verdict {
    let folder = workspace::root().join("tests/clients/node");
    let place = match install::npm("clients/node", &folder) {
        Ok(path) => path,
        Err(why) => return Verdict::CannotRun(why),
    };
    // Node looks for packages beside the script, so the scripts go where the packages are.
    if let Err(why) = copy_scripts(&folder, &place) {
        return Verdict::Broke(Count::default(), why);
    }
    let mut command = Command::new("node");
    command.args(["--test", "--test-reporter=spec"]).current_dir(&place);
    command.args(["traces.test.mjs", "metrics.test.mjs", "logs.test.mjs", "loki.test.mjs"]);
    against_server(&mut command)
}

fn against_server(command: &mut Command) -> Verdict {
    match rust::server() {
        Ok(server) => {
            command.env("TREFOIL_BIN", server);
            if let Some(shared) = workspace::shared() {
                command.env("TREFOIL_SHARED", shared);
            }
            child::count(command)
        }
        Err(why) => Verdict::Broke(Count::default(), why),
    }
}

fn copy_scripts(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot copy {}: {error}", from.display());
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            let name = path.file_name().unwrap_or_default();
            std::fs::copy(&path, to.join(name)).map_err(failed)?;
        }
    }
    Ok(())
}
