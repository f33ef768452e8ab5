//! The binary `trefoil`: receives telemetry, keeps it, answers for it.

mod admin;
mod api;
mod args;
mod check;
mod client;
mod config;
mod console;
mod demo;
mod diagnostic;
mod doctor;
mod listen;
mod memory;
mod pipeline;
mod query;
mod receive;
mod selfmon;
mod serve;
mod server;
mod ticker;
mod timestamp;
mod web;

use std::process::{ExitCode, Termination};

use args::Exit;
use console::{out, say};

/// One verb of the command line.
struct Verb {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    run: fn(lexopt::Parser) -> Exit,
}

const VERBS: &[Verb] = &[
    Verb {
        name: "serve",
        usage: "serve [--data DIR] [--http ADDR] …",
        about: "receive, keep and answer",
        run: serve::run,
    },
    Verb {
        name: "demo",
        usage: "demo [--break NAME] [--seed N] [--rate N] …",
        about: "serve, with a small fleet of services that emit telemetry",
        run: demo::run,
    },
    Verb {
        name: "query",
        usage: "query promql|logql|traceql 'EXPR' [--since 1h]",
        about: "ask a running server",
        run: query::run,
    },
    Verb {
        name: "check",
        usage: "check FILE…",
        about: "check query and settings files",
        run: check::run,
    },
    Verb {
        name: "doctor",
        usage: "doctor",
        about: "find out why no data arrives",
        run: doctor::run,
    },
    Verb {
        name: "backup",
        usage: "backup DEST [--data DIR | --url URL]",
        about: "copy all data while it is in use",
        run: admin::backup,
    },
    Verb {
        name: "restore",
        usage: "restore SOURCE --data DIR",
        about: "make a directory of data from a backup",
        run: admin::restore,
    },
    Verb {
        name: "verify",
        usage: "verify [--data DIR | --url URL]",
        about: "read everything and compare every checksum",
        run: admin::verify,
    },
    Verb {
        name: "stats",
        usage: "stats [--data DIR | --url URL]",
        about: "who fills the disk",
        run: admin::stats,
    },
    Verb {
        name: "delete",
        usage: "delete [--service NAME] [--from …] [--to …]",
        about: "delete a service, a tenant or a time",
        run: admin::delete,
    },
    Verb { name: "version", usage: "version", about: "print the version", run: version },
    Verb { name: "help", usage: "help [VERB]", about: "print this, or a verb's flags", run: help },
];

/// A verb that users never type: the demo's services are processes of this program.
const FLEET_SERVICE: &str = "fleet-service";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_some_and(|verb| verb == FLEET_SERVICE) {
        return trefoil_fleet::service(arguments);
    }
    memory::allocator::set_up();
    verb().report()
}

fn verb() -> Exit {
    let mut parser = lexopt::Parser::from_env();
    let word = match parser.next() {
        Ok(None) => return quick_help(Exit::Success),
        Ok(Some(lexopt::Arg::Value(word))) => word.to_string_lossy().into_owned(),
        Ok(Some(lexopt::Arg::Short('h') | lexopt::Arg::Long("help"))) => "help".to_owned(),
        Ok(Some(lexopt::Arg::Short('V') | lexopt::Arg::Long("version"))) => "version".to_owned(),
        Ok(Some(other)) => {
            say!("trefoil: a verb comes first, then its flags: {}", other.unexpected());
            return quick_help(Exit::Usage);
        }
        Err(error) => {
            say!("trefoil: {error}");
            return Exit::Usage;
        }
    };
    match VERBS.iter().find(|verb| verb.name == word) {
        Some(verb) => (verb.run)(parser),
        None => {
            let hint = args::nearest(&word, VERBS.iter().map(|verb| verb.name));
            say!("trefoil: unknown verb `{word}`{}", args::did_you_mean(hint));
            quick_help(Exit::Usage)
        }
    }
}

fn version(_: lexopt::Parser) -> Exit {
    out!("trefoil {}", env!("CARGO_PKG_VERSION"));
    Exit::Success
}

/// `trefoil help VERB` is `trefoil VERB --help`.
fn help(mut parser: lexopt::Parser) -> Exit {
    let Ok(Some(lexopt::Arg::Value(word))) = parser.next() else {
        return quick_help(Exit::Success);
    };
    match VERBS.iter().find(|verb| *verb.name == *word && verb.name != "help") {
        Some(verb) => (verb.run)(lexopt::Parser::from_args(["--help"])),
        None => quick_help(Exit::Usage),
    }
}

fn quick_help(code: Exit) -> Exit {
    let mut text = String::from("trefoil: metrics, logs and traces in one binary\n\n");
    for verb in VERBS {
        text.push_str(&format!("  trefoil {:<48} {}\n", verb.usage, verb.about));
    }
    text.push_str("\ntrefoil help VERB shows the verb's flags.");
    if code == Exit::Success {
        out!("{text}");
    } else {
        say!("{text}");
    }
    code
}
