//! The data that the peers were measured with, by the load generator that lies beside the
//! checkout: what it costs to take it in, and what questions about it cost afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::ingest::Options;
use super::server::Server;
use super::{Figure, folder, prometheus, questions};
use crate::workspace;

/// What to send, and the best peer on the same data and two cores. It did not run beside us,
/// so its name says when and how it was measured; a ratio here is a hint, not a result. Figures:
/// CPU seconds per million, bytes on disk per item, peak memory in MB.
pub(super) struct Case {
    pub(super) name: &'static str,
    command: &'static [&'static str],
    path: &'static str,
    unit: &'static str,
    item: &'static str,
    /// What the data covers, in seconds.
    covered: u64,
    pub(super) peer: &'static str,
    cpu: f64,
    disk: f64,
    memory: f64,
}

const CASES: &[Case] = &[
    Case {
        name: "spans",
        command: &["spans", "--batch", "1000"],
        path: "/v1/traces",
        unit: "spans/s",
        item: "span",
        covered: 1800,
        peer: "VictoriaTraces, recorded with 2M by OTLP",
        cpu: 23.0,
        disk: 81.2,
        memory: 404.0,
    },
    Case {
        name: "logs",
        command: &["logs", "--batch", "2000"],
        path: "/v1/logs",
        unit: "lines/s",
        item: "line",
        covered: 1800,
        peer: "VictoriaLogs, recorded with 5M by Loki push",
        cpu: 8.4,
        disk: 45.7,
        memory: 474.0,
    },
    Case {
        name: "metrics",
        command: &["metrics", "--batch", "5000", "--interval", "15s"],
        path: "/v1/metrics",
        unit: "samples/s",
        item: "sample",
        covered: 3600,
        peer: "VictoriaMetrics, recorded with 24M by remote write",
        cpu: 1.10,
        disk: 1.76,
        memory: 352.0,
    },
];

/// Samples that one series gets in the hour that the load covers.
pub(super) const SAMPLES_PER_SERIES: u64 = 240;
/// Seconds between the end of the data and the run.
const AGO: u64 = 60;

pub(super) fn run(binary: &Path, options: &Options) -> Result<Vec<Figure>, String> {
    let generator = Generator { program: build()? };
    let mut runs: BTreeMap<String, Vec<Figure>> = BTreeMap::new();
    let mut order = Vec::new();
    for case in CASES.iter().filter(|case| options.only.as_ref().is_none_or(|o| o == case.name)) {
        for number in 1..=options.runs {
            println!("\n{}, run {number} of {}", case.name, options.runs);
            let load = Load::new(case, options)?;
            let mut figures = measure(binary, &generator, case, &load)?;
            if options.prometheus && case.name == "metrics" {
                figures.extend(prometheus::measure(&generator, &load)?);
            }
            for figure in figures {
                println!("{}", figure.line());
                if !runs.contains_key(&figure.case) {
                    order.push(figure.case.clone());
                }
                runs.entry(figure.case.clone()).or_default().push(figure);
            }
        }
    }
    let medians = order.iter().filter_map(|case| Figure::median(runs.remove(case)?));
    let figures: Vec<Figure> = medians.collect();
    if options.runs > 1 {
        println!("\nmedian of {} runs (least–most)", options.runs);
        figures.iter().for_each(|figure| println!("{}", figure.line()));
    }
    Ok(figures)
}

/// How much to send, and what time it covers.
pub(super) struct Load {
    pub(super) amount: [String; 2],
    /// Unix seconds.
    pub(super) from: u64,
    pub(super) until: u64,
}

impl Load {
    fn new(case: &Case, options: &Options) -> Result<Load, String> {
        let amount = match case.name {
            "spans" => ["--total".to_owned(), options.spans.to_string()],
            "logs" => ["--total".to_owned(), options.lines.to_string()],
            _ => ["--series".to_owned(), (options.samples / SAMPLES_PER_SERIES).to_string()],
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
        let until = now.as_secs() - AGO;
        Ok(Load { amount, from: until - case.covered, until })
    }
}

/// The load generator.
pub(super) struct Generator {
    pub(super) program: PathBuf,
}

/// What the generator says after a load.
pub(super) struct Sent {
    report: String,
}

impl Generator {
    /// Sends a load; all of it must be taken.
    pub(super) fn send(
        &self,
        command: &[&str],
        load: &Load,
        url: &str,
        pid: u32,
    ) -> Result<Sent, String> {
        let (from, covered) = (load.from.to_string(), format!("{}s", load.until - load.from));
        let output = Command::new(&self.program)
            .args(command)
            .args(&load.amount)
            .args(["--start", &from, "--span", &covered, "--url", url, "--stop-on-error"])
            .args(["--pregenerate", "--watch-pid", &pid.to_string()])
            .output()
            .map_err(|error| format!("cannot run loadgen: {error}"))?;
        let report = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let sent = Sent { report };
        let refused = (sent.number("errors"), sent.number("items_refused"));
        if !matches!(refused, (Ok(0.0), Ok(0.0))) {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(format!("not everything was taken: {} {stderr}", sent.report));
        }
        Ok(sent)
    }
}

impl Sent {
    /// A number of the report by its name.
    pub(super) fn number(&self, key: &str) -> Result<f64, String> {
        number(&self.report, key)
            .ok_or_else(|| format!("loadgen says `{}` and no {key}", self.report))
    }
}

fn build() -> Result<PathBuf, String> {
    let sources = workspace::shared().map(|shared| shared.join("bench/loadgen"));
    let sources = sources.filter(|sources| sources.join("Cargo.toml").is_file());
    let sources = sources.ok_or("../shared/bench/loadgen is not there; TREFOIL_SHARED names it")?;
    let target = folder()?.join("loadgen");
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--locked", "--manifest-path"]);
    command.arg(sources.join("Cargo.toml")).arg("--target-dir").arg(&target);
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("the load generator does not compile".to_owned());
    }
    Ok(target.join("release/loadgen"))
}

fn measure(
    binary: &Path,
    generator: &Generator,
    case: &Case,
    load: &Load,
) -> Result<Vec<Figure>, String> {
    let Case { name, unit, item, peer, .. } = *case;
    let server = Server::start(binary, &folder()?.join(format!("data-{name}")))?;
    let url = format!("http://{}{}", server.otlp, case.path);
    let sent = generator.send(case.command, load, &url, server.pid())?;
    let items = match name {
        // The generator counts points of OTLP; a point of a histogram is many samples.
        "metrics" => sent.number("series")? * SAMPLES_PER_SERIES as f64,
        _ => sent.number("items")?,
    };
    server.settle();
    let (peak, settled) = (server.peak_memory()?, server.memory()?);
    let mut answers = questions::ask(generator, case, load, &server.web)?;
    let cpu_before = server.cpu_seconds()?;
    let server = server.kill_and_start(binary)?;
    let ready = server.ready_within.as_secs_f64() * 1e3;
    let left = server.stop()?;

    let beside = |figure: Figure, value: f64| Figure { peer: Some((peer, value)), ..figure };
    let per_million = |cpu: f64| cpu / items * 1e6;
    let say = |what: &str, value: f64, unit: &'static str| {
        Figure::new(format!("{name} · {what}"), value, unit)
    };
    let mut figures = vec![
        say("accepted, durable", items / sent.number("seconds")?, unit),
        say("OTLP", sent.number("mb_per_s")?, "MB/s"),
        beside(say("CPU per million", per_million(sent.number("server_cpu_s")?), "s"), case.cpu),
        say("CPU per million, questions too", per_million(cpu_before), "s"),
        beside(
            say(&format!("on disk per {item}, settled"), left.bytes as f64 / items, "B"),
            case.disk,
        ),
        beside(say("peak memory", peak / 1e6, "MB"), case.memory),
        say("memory, settled", settled / 1e6, "MB"),
        say("request, median", sent.number("p50_ms")?, "ms"),
        say("request, 99 of 100", sent.number("p99_ms")?, "ms"),
        say("ready again after kill -9", ready, "ms"),
    ];
    if name == "metrics" {
        let series = items / SAMPLES_PER_SERIES as f64;
        figures.push(say("memory per active series, settled", settled / series, "B"));
    }
    figures.append(&mut answers);
    Ok(figures)
}

/// A number in a line of JSON without nesting, by its key.
pub(super) fn number(report: &str, key: &str) -> Option<f64> {
    let (_, rest) = report.split_once(&format!("\"{key}\":"))?;
    let digits = rest.trim_start().split(['}', ',']).next()?;
    digits.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_a_report() {
        let report = r#"{"items":20,"mb_per_s": 1.5,"errors":0}"#;
        assert_eq!(number(report, "items"), Some(20.0));
        assert_eq!(number(report, "mb_per_s"), Some(1.5));
        assert_eq!(number(report, "errors"), Some(0.0));
        assert_eq!(number(report, "p50_ms"), None);
    }
}
