//! `trefoil demo`: the server, and a small fleet of services that send to it.

use std::path::{Path, PathBuf};

use trefoil_fleet::{Breaks, Fleet, Settings, catalogue};

use crate::args::{self, Exit, Flag, Parsed, Values};
use crate::config::{Config, FLAGS};
use crate::console::{out, say};
use crate::serve::{self, Signals};
use crate::server::Running;

const USAGE: &str = "demo [FLAGS]";
/// Stands for the directory until one is made; nobody's directory is called so.
const THROWN_AWAY: &str = "thrown away at the end";

const DEMO_FLAGS: &[Flag] = &[
    Flag {
        name: "break",
        value: "NAME[=KIND[:PERCENT]]…",
        default: "",
        about: "break something, such as database or provider=errors:20%; again for more",
    },
    Flag { name: "list-breaks", value: "", default: "", about: "print what can be broken" },
    Flag { name: "rate", value: "N", default: "8", about: "visits a second" },
    Flag { name: "seed", value: "N", default: "42", about: "another seed, other visits" },
];

/// Visits a second that one machine may be asked for.
const RATE_MAX: f64 = 1000.0;

/// Runs the verb.
pub(crate) fn run(parser: lexopt::Parser) -> Exit {
    let flags = flags();
    let values = match args::parse(parser, &flags, args::environment) {
        Ok(Parsed::Run(values)) => values,
        Ok(Parsed::Help) => {
            out!("{}", args::help(USAGE, &flags, &list_breaks()));
            return Exit::Success;
        }
        Err(error) => return usage(&error),
    };
    match asked(&values) {
        Ok(Asked::Print(text)) => {
            out!("{text}");
            Exit::Success
        }
        Ok(Asked::Demo(demo)) => demo.run(),
        Err(error) => usage(&error),
    }
}

/// What the command line asks for.
enum Asked {
    Print(String),
    Demo(Box<Demo>),
}

struct Demo {
    config: Config,
    fleet: Settings,
    broken: String,
    /// Keeps the throw-away directory until the end.
    throw_away: Option<ThrowAway>,
}

fn asked(values: &Values) -> Result<Asked, String> {
    if let Some(word) = values.words.first() {
        return Err(format!("demo takes no words, only flags: `{word}`"));
    }
    if values.switch("list-breaks")? {
        return Ok(Asked::Print(list_breaks().trim().to_owned()));
    }
    if values.switch("print-config")? {
        return Ok(Asked::Print(values.print().trim_end().to_owned()));
    }
    let mut config = Config::from_values(values)?;
    let program = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let fleet = Settings {
        program,
        arguments: vec![crate::FLEET_SERVICE.to_owned()],
        otlp_http: String::new(),
        otlp_grpc: None,
        seed: values
            .read("seed", |text| text.parse().map_err(|_| "a number is expected".into()))?,
        rate: values.read("rate", rate)?,
        breaks: values.read("break", breaks)?,
    };
    let throw_away = match values.get("data") {
        Some(THROWN_AWAY) => Some(ThrowAway::make()?),
        _ => None,
    };
    if let Some(throw_away) = &throw_away {
        throw_away.path().clone_into(&mut config.data);
    }
    let broken = values.get("break").unwrap_or_default().replace(',', " ");
    Ok(Asked::Demo(Box::new(Demo { config, fleet, broken, throw_away })))
}

/// The flags of `serve` and those of the fleet.
fn flags() -> Vec<Flag> {
    let serve = FLAGS.iter().map(|flag| match flag.name {
        "data" => Flag { default: THROWN_AWAY, ..*flag },
        _ => *flag,
    });
    serve.chain(DEMO_FLAGS.iter().copied()).collect()
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= RATE_MAX);
    rate.ok_or_else(|| format!("a number above 0, up to {RATE_MAX}, is expected"))
}

fn breaks(text: &str) -> Result<Breaks, String> {
    let mut breaks = Breaks::default();
    for one in text.split(',').filter(|one| !one.is_empty()) {
        breaks.add(one)?;
    }
    Ok(breaks)
}

fn list_breaks() -> String {
    let mut text = String::from("\nWhat can be broken, and how it breaks if you only name it:\n");
    for (name, about) in catalogue() {
        text.push_str(&format!("  {name:<24} {about}\n"));
    }
    text.push_str("Each takes errors or slow, and how often: --break database=errors:20%");
    text
}

impl Demo {
    fn run(self) -> Exit {
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                say!("trefoil: cannot start threads: {error}");
                return Exit::Failed;
            }
        };
        let throw_away = self.throw_away.as_ref().map(|made| made.path().to_owned());
        let exit = runtime.block_on(show(self.config, self.fleet, &self.broken, throw_away));
        let exit = exit.unwrap_or_else(|error| {
            say!("trefoil: {error}");
            Exit::Failed
        });
        runtime.shutdown_background();
        exit
    }
}

async fn show(
    config: Config,
    settings: Settings,
    broken: &str,
    throw_away: Option<PathBuf>,
) -> Result<Exit, String> {
    let mut signals = Signals::listen()?;
    let server = Running::start(config).await?;
    let receiver = server.otlp_http.unwrap_or(server.http);
    let settings = Settings {
        otlp_http: format!("http://{receiver}"),
        otlp_grpc: server.otlp_grpc.map(|address| address.to_string()),
        ..settings
    };
    let fleet = match Fleet::start(&settings).await {
        Ok(fleet) => fleet,
        Err(error) => {
            serve::stop(server, &mut signals).await;
            return Err(error);
        }
    };
    banner(&server, &fleet, broken, throw_away.as_deref());
    signals.next().await;
    say!("stopping: the fleet first, then the server; a second signal stops at once");
    tokio::select! {
        () = fleet.stop() => {}
        () = signals.next() => return Ok(Exit::Failed),
    }
    Ok(serve::stop(server, &mut signals).await)
}

fn banner(server: &Running, fleet: &Fleet, broken: &str, throw_away: Option<&Path>) {
    let names: Vec<_> = fleet.addresses().iter().map(|(name, _)| *name).collect();
    say!("trefoil demo: {} under load, sending OTLP", names.join(", "));
    say!("  open       http://{}/ui/", server.http);
    match throw_away {
        Some(path) => say!("  data       {} ({THROWN_AWAY})", path.display()),
        None => say!("  data       {}", server.state().config.data.display()),
    }
    if broken.is_empty() {
        say!("  broken     nothing; break something with --break database, see --list-breaks");
    } else {
        say!("  broken     {broken}");
    }
    say!("  stop       with Ctrl-C");
}

fn usage(error: &str) -> Exit {
    say!("trefoil demo: {error}\nSee `trefoil demo --help`.");
    Exit::Usage
}

/// A directory that goes with the demo.
struct ThrowAway(PathBuf);

impl ThrowAway {
    fn make() -> Result<ThrowAway, String> {
        let path = std::env::temp_dir().join(format!("trefoil-demo-{}", std::process::id()));
        // Created, not reused: whoever got there first keeps what is theirs.
        std::fs::create_dir(&path).map_err(|error| {
            format!("cannot make {}: {error}; choose with --data", path.display())
        })?;
        Ok(ThrowAway(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ThrowAway {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            say!("trefoil: {} is left behind: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str) -> Result<Asked, String> {
        let parser = lexopt::Parser::from_args(line.split_whitespace());
        match args::parse(parser, &flags(), |_| None)? {
            Parsed::Run(values) => asked(&values),
            Parsed::Help => Err("help".to_owned()),
        }
    }

    #[test]
    fn takes_the_flags_of_serve_and_its_own() {
        let line = "--http 127.0.0.1:0 --rate 20 --seed 7 --break database --break vmm=slow:5%";
        let Ok(Asked::Demo(demo)) = ask(line) else { panic!("it is well formed") };
        assert_eq!((demo.fleet.rate, demo.fleet.seed), (20.0, 7));
        assert_eq!(demo.broken, "database vmm=slow:5%");
        assert_eq!(demo.config.http.port(), 0);
    }

    #[test]
    fn the_throw_away_directory_goes_with_the_demo_and_a_chosen_one_stays() {
        let Ok(Asked::Demo(demo)) = ask("") else { panic!("nothing is needed") };
        let made = demo.config.data.clone();
        assert!(made.is_dir());
        drop(demo);
        assert!(!made.exists());
        let Ok(Asked::Demo(demo)) = ask("--data kept") else { panic!("it is well formed") };
        assert!(demo.throw_away.is_none() && demo.config.data == Path::new("kept"));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, expect) in [
            ("--break disk", "there is: database"),
            ("--rate 0", "above 0"),
            ("--rate NaN", "above 0"),
            ("--seed x", "a number"),
            ("now", "no words"),
        ] {
            let Err(error) = ask(line) else { panic!("{line}") };
            assert!(error.contains(expect), "{line}: {error}");
        }
    }
}
