//! The same figures on the data that the peers were measured with, by the load generator
//! that lies beside the checkout.

use std::path::Path;
use std::process::Command;

use super::ingest::Options;
use super::server::Server;
use super::{Figure, folder};
use crate::workspace;

/// What to send, and the best peer on the same data and two cores. It did not run beside us,
/// so its name says when and how it was measured; a ratio here is a hint, not a result. Figures:
/// CPU seconds per million, bytes on disk per item, peak memory in MB.
struct Case {
    name: &'static str,
    command: &'static [&'static str],
    path: &'static str,
    unit: &'static str,
    item: &'static str,
    peer: &'static str,
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
        peer: "VictoriaLogs, recorded with 5M by Loki push",
        cpu: 8.4,
        disk: 45.7,
        memory: 474.0,
    },
    Case {
        name: "metrics",
        command: &["metrics", "--span", "1h", "--interval", "15s"],
        path: "/v1/metrics",
        unit: "samples/s",
        item: "sample",
        peer: "VictoriaMetrics, recorded with 24M by remote write",
        cpu: 1.10,
        disk: 1.76,
        memory: 352.0,
    },
];

/// Samples that one series gets in the hour that the load covers.
const SAMPLES_PER_SERIES: u64 = 240;

pub(super) fn run(binary: &Path, options: &Options) -> Result<Vec<Figure>, String> {
    let loadgen = build()?;
    let mut figures = Vec::new();
    for case in CASES {
        let amount = match case.name {
            "spans" => ["--total".to_owned(), options.spans.to_string()],
            "logs" => ["--total".to_owned(), options.lines.to_string()],
            _ => ["--series".to_owned(), (options.samples / SAMPLES_PER_SERIES).to_string()],
        };
        figures.extend(measure(binary, &loadgen, case, &amount)?);
    }
    Ok(figures)
}

fn build() -> Result<std::path::PathBuf, String> {
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
    loadgen: &Path,
    case: &Case,
    amount: &[String],
) -> Result<Vec<Figure>, String> {
    let server = Server::start(binary, &folder()?.join(format!("data-{}", case.name)))?;
    let url = format!("http://{}{}", server.otlp, case.path);
    let mut command = Command::new(loadgen);
    command.args(case.command).args(amount).args(["--url", &url, "--stop-on-error"]);
    if case.name != "metrics" {
        command.arg("--pregenerate");
    }
    command.args(["--watch-pid", &server.pid().to_string()]);
    let output = command.output().map_err(|error| format!("cannot run loadgen: {error}"))?;
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = |key| {
        number(&report, key).ok_or_else(|| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            format!("loadgen says `{}` and no {key} {stderr}", report.trim())
        })
    };
    if read("errors")? + read("items_refused")? > 0.0 {
        return Err(format!("not everything was taken: {}", report.trim()));
    }
    let items = read("items")?;
    let cpu = read("server_cpu_s")?;
    server.settle();
    let peak = server.peak_memory()?;
    let left = server.stop()?;
    let Case { name, unit, item, peer, .. } = *case;
    let beside = |figure: Figure, value: f64| Figure { peer: Some((peer, value)), ..figure };
    let per_million = |cpu: f64| cpu / items * 1e6;
    let figures = vec![
        Figure::new(format!("{name} · accepted, durable"), read("items_per_s")?, unit),
        Figure::new(format!("{name} · OTLP"), read("mb_per_s")?, "MB/s"),
        beside(Figure::new(format!("{name} · CPU per million"), per_million(cpu), "s"), case.cpu),
        Figure::new(
            format!("{name} · CPU per million, start to end"),
            per_million(left.cpu_seconds),
            "s",
        ),
        beside(
            Figure::new(
                format!("{name} · on disk per {item}, settled"),
                left.bytes as f64 / items,
                "B",
            ),
            case.disk,
        ),
        beside(Figure::new(format!("{name} · peak memory"), peak / 1e6, "MB"), case.memory),
        Figure::new(format!("{name} · request, median"), read("p50_ms")?, "ms"),
        Figure::new(format!("{name} · request, 99 of 100"), read("p99_ms")?, "ms"),
    ];
    println!("\n{name}: {items} items by loadgen");
    figures.iter().for_each(|figure| println!("{}", figure.line()));
    Ok(figures)
}

/// A number in a line of JSON without nesting, by its key.
fn number(report: &str, key: &str) -> Option<f64> {
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
