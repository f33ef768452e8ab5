//! `trefoil check`: reads files and says what is wrong in them.

use std::path::Path;

use crate::args::{self, Exit, Flag, Parsed};
use crate::config::{Config, FLAGS};
use crate::console::{out, say};
use crate::diagnostic::{self, Language};

const USAGE: &str = "check FILE…";
const MORE: &str = "
Checks files by their ending: .promql, .logql and .traceql hold one query each, .toml the
settings of `serve`. Rules and dashboards are not checked yet.
Exit codes: 0 all right, 1 something is wrong, 2 a file cannot be checked.";

/// A file to check may be this large; a query is limited to far less.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Runs the verb.
pub(crate) fn run(parser: lexopt::Parser) -> Exit {
    const NONE: &[Flag] = &[];
    let values = match args::parse(parser, NONE, args::environment) {
        Ok(Parsed::Run(values)) => values,
        Ok(Parsed::Help) => {
            out!("{}", args::help(USAGE, NONE, MORE));
            return Exit::Success;
        }
        Err(error) => return usage(&error),
    };
    if values.words.is_empty() {
        return usage("at least one file is expected");
    }
    // All files are looked at; the worst decides.
    let exits: Vec<Exit> = values.words.iter().map(|file| check(file)).collect();
    exits.into_iter().max_by_key(|exit| *exit as u8).unwrap_or(Exit::Success)
}

fn usage(error: &str) -> Exit {
    say!("trefoil check: {error}\nSee `trefoil check --help`.");
    Exit::Usage
}

fn check(file: &str) -> Exit {
    let path = Path::new(file);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
    let language = Language::from_name(ending);
    if language.is_none() && ending != "toml" {
        say!("{file}: .promql, .logql, .traceql and .toml files can be checked, this cannot yet");
        return Exit::Usage;
    }
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => {
            say!("{file}: {error}");
            return Exit::Usage;
        }
    };
    let wrong = match language {
        Some(language) => {
            language.check(&text).err().map(|error| diagnostic::show(&error, &text, file))
        }
        None => settings(file).err().map(|error| format!("error: {error}")),
    };
    match wrong {
        Some(error) => {
            say!("{error}");
            Exit::Failed
        }
        None => {
            out!("{file}: ok");
            Exit::Success
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("{size} bytes; at most {FILE_BYTES_MAX} are checked"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Reads a settings file as `serve --config` would, without the environment.
fn settings(file: &str) -> Result<(), String> {
    match args::parse(lexopt::Parser::from_args(["--config", file]), FLAGS, |_| None)? {
        Parsed::Run(values) => Config::from_values(&values).map(drop),
        Parsed::Help => Ok(()),
    }
}
