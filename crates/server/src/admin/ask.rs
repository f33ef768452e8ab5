//! The verbs: from the command line to a directory or a running server.

use std::path::{Path, PathBuf};

use serde_json::Value;
use trefoil_store::{Settings, Store};

use super::{Operation, show};
use crate::args::{self, Exit, Flag, Parsed, Values};
use crate::client::Client;
use crate::console::{out, say};

const fn flag(name: &'static str, value: &'static str, about: &'static str) -> Flag {
    Flag { name, value, default: "", about }
}

const DATA: Flag = Flag {
    name: "data",
    value: "DIR",
    default: "trefoil-data",
    about: "the directory of the data, while no server uses it",
};
const URL: Flag = flag("url", "URL", "ask this running server instead");
const OUTPUT: Flag = flag("output", "FORM", "-o: text or json [text]");
const MORE: &str =
    "\nExit codes: 0 done, 1 refused or damage found, 2 a flag is wrong, 4 no server.";

/// One of the verbs that are operations.
struct Verb {
    name: &'static str,
    usage: &'static str,
    flags: &'static [Flag],
    /// The parameter that is a word and no flag.
    word: Option<&'static str>,
    show: fn(&Value) -> (String, Exit),
}

const BACKUP: Verb = Verb {
    name: "backup",
    usage: "backup DEST [--data DIR | --url URL]",
    flags: &[DATA, URL, OUTPUT],
    word: Some("to"),
    show: show::backup,
};
const VERIFY: Verb = Verb {
    name: "verify",
    usage: "verify [--quarantine] [--data DIR | --url URL]",
    flags: &[DATA, URL, OUTPUT, flag("quarantine", "", "move damaged parts aside, keep the rest")],
    word: None,
    show: show::verify,
};
const STATS: Verb = Verb {
    name: "stats",
    usage: "stats [--data DIR | --url URL]",
    flags: &[DATA, URL, OUTPUT, flag("top", "N", "names of each kind [10]")],
    word: None,
    show: show::stats,
};
const DELETE: Verb = Verb {
    name: "delete",
    usage: "delete [--service NAME] [--from WHEN] [--to WHEN] [--data DIR | --url URL]",
    flags: &[
        DATA,
        URL,
        OUTPUT,
        flag("service", "NAME", "of this service only"),
        flag("attribute", "K=V", "with this resource attribute only, e.g. tenant.id=7"),
        flag("from", "WHEN", "not older: Unix seconds or RFC 3339"),
        flag("to", "WHEN", "not newer"),
        flag("signals", "LIST", "of metrics, logs, traces [all three]"),
    ],
    word: None,
    show: show::delete,
};

/// `trefoil backup`.
pub(crate) fn backup(parser: lexopt::Parser) -> Exit {
    run(&BACKUP, parser)
}

/// `trefoil verify`.
pub(crate) fn verify(parser: lexopt::Parser) -> Exit {
    run(&VERIFY, parser)
}

/// `trefoil stats`.
pub(crate) fn stats(parser: lexopt::Parser) -> Exit {
    run(&STATS, parser)
}

/// `trefoil delete`.
pub(crate) fn delete(parser: lexopt::Parser) -> Exit {
    run(&DELETE, parser)
}

/// `trefoil restore`: from a backup to a directory that does not exist yet.
pub(crate) fn restore(parser: lexopt::Parser) -> Exit {
    const USAGE: &str = "restore SOURCE [--data DIR]";
    let values = match args::parse(parser, &[DATA], args::environment) {
        Ok(Parsed::Run(values)) => values,
        Ok(Parsed::Help) => {
            out!("{}", args::help(USAGE, &[DATA], MORE));
            return Exit::Success;
        }
        Err(error) => return usage("restore", &error),
    };
    let [from] = &values.words[..] else {
        return usage("restore", "the directory of one backup is expected");
    };
    let to = PathBuf::from(values.get("data").unwrap_or_default());
    match trefoil_store::restore(Path::new(from), &to) {
        Ok(copied) => {
            let (files, bytes) = (copied.files, copied.bytes);
            out!("restored {files} parts, {bytes} bytes, to {}", to.display());
            out!("next: trefoil verify --data {0}; trefoil serve --data {0}", to.display());
            Exit::Success
        }
        Err(error) => {
            say!("trefoil restore: {error}");
            Exit::Failed
        }
    }
}

fn usage(verb: &str, error: &str) -> Exit {
    say!("trefoil {verb}: {error}\nSee `trefoil {verb} --help`.");
    Exit::Usage
}

fn run(verb: &Verb, parser: lexopt::Parser) -> Exit {
    let values = match args::parse(parser, verb.flags, args::environment) {
        Ok(Parsed::Run(values)) => values,
        Ok(Parsed::Help) => {
            out!("{}", args::help(verb.usage, verb.flags, MORE));
            return Exit::Success;
        }
        Err(error) => return usage(verb.name, &error),
    };
    let word = match (verb.word, &values.words[..]) {
        (None, []) => None,
        (Some(_), [word]) => Some(word.clone()),
        (Some(_), _) => return usage(verb.name, "one destination is expected"),
        (None, [word, ..]) => return usage(verb.name, &format!("unexpected word `{word}`")),
    };
    let parameter = |name: &str| match verb.word {
        Some(known) if known == name => word.clone(),
        _ => values.get(name).map(str::to_owned),
    };
    let operation = match Operation::read(verb.name, &parameter) {
        Ok(operation) => operation,
        Err(error) => return usage(verb.name, &error),
    };
    let answer = match values.get("url").filter(|url| !url.is_empty()) {
        Some(_) => remote(verb, &values, &parameter),
        None => local(&values, &operation),
    };
    match answer {
        Ok(answer) => {
            let (text, exit) = (verb.show)(&answer);
            match values.get("output") {
                Some("json") => out!("{answer}"),
                _ => out!("{}", text.trim_end()),
            }
            exit
        }
        Err((error, exit)) => {
            say!("trefoil {}: {error}", verb.name);
            exit
        }
    }
}

fn local(values: &Values, operation: &Operation) -> Result<Value, (String, Exit)> {
    let dir = PathBuf::from(values.get("data").unwrap_or_default());
    let failed = |error: String| (error, Exit::Failed);
    if !dir.join("manifest").is_file() {
        return Err(failed(format!(
            "{} is no directory of data; name it with --data",
            dir.display()
        )));
    }
    let store = Store::open(&dir, Settings::default()).map_err(|error| match error {
        trefoil_store::Error::Locked(_) => {
            failed(format!("{error}; ask it with --url http://127.0.0.1:4316"))
        }
        error => failed(error.to_string()),
    })?;
    let answer = operation.run(&store).map_err(failed)?;
    store.close().map_err(|error| failed(error.to_string()))?;
    Ok(answer)
}

fn remote(
    verb: &Verb,
    values: &Values,
    parameter: &dyn Fn(&str) -> Option<String>,
) -> Result<Value, (String, Exit)> {
    let client = values.read("url", Client::new).map_err(|error| (error, Exit::Usage))?;
    let names = verb.flags.iter().map(|flag| flag.name).chain(verb.word);
    let names = names.filter(|name| !["data", "url", "output"].contains(name));
    let given: Vec<(&str, String)> =
        names.filter_map(|name| Some((name, parameter(name).filter(|t| !t.is_empty())?))).collect();
    let given: Vec<(&str, &str)> = given.iter().map(|(name, text)| (*name, &**text)).collect();
    let path = format!("/-/admin/{}", verb.name);
    let answer = client.operate(&path, &given).map_err(|error| (error, Exit::Unreachable))?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status != 200 {
        return Err((text.trim().to_owned(), Exit::Failed));
    }
    serde_json::from_str(&text)
        .map_err(|_| (format!("{} does not answer like trefoil", client.url()), Exit::Failed))
}
