//! `cargo xtask bench sdk`: the crate beside the stock SDK, fastrace and prometheus-client,
//! in one run. What is measured lies in `bench/sdk`, a workspace of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Figure, folder, rounded, save};
use crate::workspace;

mod clean_build;
mod goals;

/// Operations of the two counted runs; their difference is free of what the first ones cost.
const COUNTED: [u32; 2] = [1024, 9216];
const LOAD_SECONDS: &str = "3";
const LOAD_ROUNDS: usize = 3;
/// Rounds of each outage: of what is rare the least counts, since a busy machine only adds.
const OUTAGE_ROUNDS: usize = 3;

struct Options {
    /// Only cases whose name contains it.
    only: String,
    instructions: bool,
    server: bool,
    outage_seconds: Option<u32>,
    build: bool,
}

pub(super) fn run(arguments: &[String]) -> Result<bool, String> {
    let options = options(arguments)?;
    let bench = Bench { binary: build()? };
    let mut figures = Vec::new();
    bench.cases(&options, &mut figures)?;
    if options.server {
        bench.servers(&mut figures)?;
    }
    if let Some(seconds) = options.outage_seconds {
        bench.outages(seconds, &mut figures)?;
    }
    if options.build {
        clean_build::run(&mut figures)?;
    }
    goals::tell(&figures);
    save("sdk", &figures)?;
    Ok(true)
}

fn options(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        only: String::new(),
        instructions: true,
        server: true,
        outage_seconds: Some(30),
        build: false,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--only" => {
                options.only = rest.next().ok_or("--only needs a part of a case's name")?.clone();
                (options.server, options.outage_seconds) = (false, None);
            }
            "--no-instructions" => options.instructions = false,
            "--no-server" => options.server = false,
            "--no-outage" => options.outage_seconds = None,
            "--outage-seconds" => {
                let seconds = rest.next().and_then(|text| text.parse().ok());
                options.outage_seconds = Some(seconds.ok_or("--outage-seconds needs a number")?);
            }
            "--build" => options.build = true,
            other => {
                return Err(format!(
                    "unknown option `{other}`; there is --only TEXT, --no-instructions, \
                     --no-server, --no-outage, --outage-seconds N, --build"
                ));
            }
        }
    }
    Ok(options)
}

/// The binary of `bench/sdk`, optimised.
fn build() -> Result<PathBuf, String> {
    let target = workspace::target().join("bench-sdk");
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--manifest-path", "bench/sdk/Cargo.toml"]);
    command.arg("--target-dir").arg(&target);
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("bench/sdk does not compile".to_owned());
    }
    Ok(target.join("release/trefoil-bench-sdk"))
}

/// What instrumentation adds to a request: the quickest with it less the quickest without.
fn add_differences(figures: &mut Vec<Figure>) {
    let least = |name: &str| {
        let case = format!("http request · {name} · min");
        figures.iter().find(|figure| figure.case == case).map(|figure| figure.value)
    };
    let mut added = Vec::new();
    for name in ["trefoil", "stock: spans, metrics, log"] {
        if let (Some(bare), Some(whole)) = (least("bare axum"), least(name)) {
            println!("{:<48} {:>9} {:>9.1}", format!("added by {name}"), "", whole - bare);
            added.push(Figure::new(format!("http request · added by {name}"), whole - bare, "ns"));
        }
    }
    figures.extend(added);
}

/// How a receiver may be; the first is what the others are compared with.
const OUTAGES: [&str; 8] =
    ["well", "refused", "black-hole", "slow", "unavailable", "reset", "malformed", "tls"];
/// Of these the stock exporter is shown too.
const STOCK_OUTAGES: usize = 4;

struct Bench {
    binary: PathBuf,
}

impl Bench {
    /// Time, instructions and allocations of each case.
    fn cases(&self, options: &Options, figures: &mut Vec<Figure>) -> Result<(), String> {
        println!(
            "{:<48} {:>9} {:>9} {:>13} {:>7} {:>8}",
            "one operation", "median ns", "min ns", "instructions", "allocs", "bytes"
        );
        for name in self.ask(&["list"])?.lines().filter(|name| name.contains(&options.only)) {
            let [median, minimum, allocations, bytes] = numbers(&self.ask(&["time", name])?)?;
            let counted = options.instructions && !name.contains("2 threads");
            let instructions = if counted { self.instructions(name)? } else { None };
            let shown =
                instructions.map_or_else(|| "–".to_owned(), |number| format!("{number:.0}"));
            println!(
                "{name:<48} {median:>9.1} {minimum:>9.1} {shown:>13} {allocations:>7.2} {bytes:>8.0}"
            );
            figures.push(Figure::new(format!("{name} · time"), median, "ns"));
            figures.push(Figure::new(format!("{name} · min"), minimum, "ns"));
            figures.push(Figure::new(format!("{name} · allocations"), allocations, ""));
            if let Some(number) = instructions {
                figures.push(Figure::new(format!("{name} · instructions"), number, ""));
            }
        }
        add_differences(figures);
        Ok(())
    }

    /// Instructions of one operation in the thread that does it, as its time is taken. `None`
    /// without valgrind.
    ///
    /// TRAP: not those of the whole process: a rival measures the clock for as long as the clock
    /// takes before `main`, and flushes between the operations collect metrics, too.
    fn instructions(&self, name: &str) -> Result<Option<f64>, String> {
        let mut counts = [0.0; 2];
        for (count, operations) in counts.iter_mut().zip(COUNTED) {
            let out = folder()?.join("callgrind.out");
            let output = Command::new("valgrind")
                .args(["--tool=callgrind", "--quiet"])
                .arg("--toggle-collect=trefoil_bench_sdk::operate")
                .arg(format!("--callgrind-out-file={}", out.display()))
                .arg(&self.binary)
                .args(["count", name, &operations.to_string()])
                .stdin(Stdio::null())
                .output();
            let Ok(output) = output else { return Ok(None) };
            if !output.status.success() {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!("callgrind, {name}: {why}"));
            }
            *count = total(&out)?;
        }
        if counts[1] == 0.0 {
            return Err("callgrind found no function `trefoil_bench_sdk::operate`".to_owned());
        }
        let operations = f64::from(COUNTED[1] - COUNTED[0]);
        Ok(Some((counts[1] - counts[0]) / operations))
    }

    /// Requests per second of the bare server and the instrumented ones, in turn.
    fn servers(&self, figures: &mut Vec<Figure>) -> Result<(), String> {
        println!(
            "\na server with one worker, 16 connections, requests/s (median of {LOAD_ROUNDS})"
        );
        let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for _ in 0..LOAD_ROUNDS {
            for name in ["bare", "trefoil", "stock"] {
                rates.entry(name).or_default().push(self.serve_and_load(name)?);
            }
        }
        let median = |name: &str| {
            let mut rates = rates.get(name).cloned().unwrap_or_default();
            rates.sort_by(f64::total_cmp);
            rates.get(rates.len() / 2).copied().unwrap_or(0.0)
        };
        let bare = median("bare");
        for name in ["bare", "trefoil", "stock"] {
            let rate = median(name);
            println!("{name:<48} {:>9}   {:.2} of the bare one", rounded(rate), rate / bare);
            figures.push(Figure::new(format!("server · {name}"), rate, "requests/s"));
            figures.push(Figure::new(format!("server · {name} / bare"), rate / bare, ""));
        }
        Ok(())
    }

    fn serve_and_load(&self, name: &str) -> Result<f64, String> {
        let mut server = Command::new(&self.binary)
            .args(["serve", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start the server: {error}"))?;
        let rate = self.load(&mut server);
        // It ends with its standard input.
        drop(server.stdin.take());
        server.wait().map_err(|error| error.to_string())?;
        rate
    }

    fn load(&self, server: &mut Child) -> Result<f64, String> {
        let out = server.stdout.take().ok_or("the server has no output")?;
        let mut address = String::new();
        BufReader::new(out).read_line(&mut address).map_err(|error| error.to_string())?;
        let [rate] = numbers(&self.ask(&["load", address.trim(), LOAD_SECONDS])?)?;
        Ok(rate)
    }

    /// A service whose receiver is away beside one whose receiver is well. What the service
    /// feels of it is the time of its slowest operations.
    fn outages(&self, seconds: u32, figures: &mut Vec<Figure>) -> Result<(), String> {
        println!("\n50,000 spans/s for {seconds} s, the least of {OUTAGE_ROUNDS} rounds");
        println!(
            "{:<32} {:>9} {:>8} {:>9} {:>6} {:>10} {:>8}",
            "receiver", "peak kB", "p50 ns", "p99.9 ns", "/ well", "max ns", "exit ms"
        );
        for (name, kinds) in [("trefoil", &OUTAGES[..]), ("stock", &OUTAGES[..STOCK_OUTAGES])] {
            let least = self.least_of_outages(name, kinds, &seconds.to_string())?;
            let well = least[0][2];
            for (kind, [peak, median, late, worst, exit]) in kinds.iter().zip(least) {
                let (case, ratio) = (format!("{kind} · {name}"), late / well);
                println!(
                    "{case:<32} {peak:>9} {median:>8} {late:>9} {ratio:>6.2} {worst:>10} {exit:>8}"
                );
                let mut figure = |what: &str, value, unit| {
                    figures.push(Figure::new(format!("outage · {case} · {what}"), value, unit));
                };
                figure("peak RSS", peak, "kB");
                figure("p99.9", late, "ns");
                figure("p99.9 / well", ratio, "");
                figure("exit", exit, "ms");
            }
        }
        Ok(())
    }

    /// Kinds in turn, so that what else the machine does comes over all of them.
    fn least_of_outages(
        &self,
        name: &str,
        kinds: &[&str],
        seconds: &str,
    ) -> Result<Vec<[f64; 5]>, String> {
        let mut least = vec![[f64::INFINITY; 5]; kinds.len()];
        for _ in 0..OUTAGE_ROUNDS {
            for (kind, least) in kinds.iter().zip(&mut least) {
                let found: [f64; 5] = numbers(&self.ask(&["outage", name, kind, seconds])?)?;
                for (least, found) in least.iter_mut().zip(found) {
                    *least = least.min(found);
                }
            }
        }
        Ok(least)
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.binary)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run the benchmark: {error}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("{}: {why}", arguments.join(" ")));
        }
        String::from_utf8(output.stdout).map_err(|error| error.to_string())
    }
}

fn numbers<const N: usize>(text: &str) -> Result<[f64; N], String> {
    let line = text.lines().last().unwrap_or_default();
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().map_err(|_| format!("{N} numbers are expected, not `{line}`"))
}

/// The sum that callgrind writes at the end of its file.
fn total(path: &Path) -> Result<f64, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")));
    line.and_then(|rest| rest.trim().parse().ok()).ok_or("callgrind wrote no total".to_owned())
}
