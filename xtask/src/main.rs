//! Repository routines: `cargo xtask test`, `tidy`, `bench`, `codegen`, `fuzz`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command talks on its streams")]

mod bench;
mod codegen;
mod fuzz;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// What a routine answers: whether all is well, or why it could not be done at all.
type Outcome = Result<bool, String>;

struct Routine {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Outcome,
}

const ROUTINES: &[Routine] = &[
    Routine {
        name: "test",
        arguments: "[rust|clients|ui|tidy]",
        about: "everything, or one part; sets up what it needs under target/",
        run: test::run,
    },
    Routine {
        name: "fuzz",
        arguments: "[--list] [--seconds N] [TARGET…]",
        about: "every decoder and parser against hostile bytes; fuzz/README.md",
        run: fuzz::run,
    },
    Routine {
        name: "tidy",
        arguments: "",
        about: "the house rules: directions, sizes, names, dead files, links, dependencies",
        run: tidy::run,
    },
    Routine {
        name: "codegen",
        arguments: "",
        about: "the objects by which the fleet's services record what registry/ declares",
        run: codegen::run,
    },
    Routine {
        name: "bench",
        arguments: "sdk|store|ingest [--loadgen]",
        about: "figures of the SDK, the store or a release server, as lines and under target/bench/",
        run: bench::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("help", String::as_str);
    let Some(routine) = ROUTINES.iter().find(|routine| routine.name == name) else {
        return help(name);
    };
    match (routine.run)(&arguments[1..]) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("xtask {name}: {why}");
            ExitCode::from(2)
        }
    }
}

fn help(name: &str) -> ExitCode {
    let asked = matches!(name, "help" | "--help" | "-h");
    if !asked {
        eprintln!("xtask: there is no routine `{name}`");
    }
    println!("Usage: cargo xtask ROUTINE [ARGUMENTS]\n");
    for Routine { name, arguments, about, .. } in ROUTINES {
        println!("  {:<32} {about}", format!("{name} {arguments}"));
    }
    if asked { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
