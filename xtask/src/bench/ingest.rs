//! `bench ingest`: how fast a server takes in what, and what it costs. Every request is
//! answered only when it is durable.

use std::time::{SystemTime, UNIX_EPOCH};

use super::generate::{self, Load};
use super::server::{self, Server};
use super::{Figure, folder, loadgen, post, save};

/// What to send.
pub(super) struct Options {
    pub(super) spans: u64,
    pub(super) lines: u64,
    pub(super) samples: u64,
    loadgen: bool,
    /// How often; more than once only with the load generator.
    pub(super) runs: usize,
    /// Whether Prometheus takes the same samples in the same run.
    pub(super) prometheus: bool,
    /// One signal instead of all.
    pub(super) only: Option<String>,
}

/// One signal's load.
struct Case {
    name: &'static str,
    item: &'static str,
    path: &'static str,
    generate: fn(u64, u64) -> Load,
    items: u64,
}

/// `cargo xtask bench ingest [--spans N] [--lines N] [--samples N]`, or with
/// `--loadgen [--full] [--runs N] [--prometheus] [--only SIGNAL]` the peers' data, all of it
/// if full.
pub(super) fn run(options: &[String]) -> Result<bool, String> {
    let options = read(options)?;
    let binary = server::build()?;
    if options.loadgen {
        let figures = loadgen::run(&binary, &options)?;
        save("ingest-loadgen", &figures)?;
        return Ok(true);
    }
    let cases = [
        Case {
            name: "spans",
            item: "span",
            path: "/v1/traces",
            generate: generate::spans,
            items: options.spans,
        },
        Case {
            name: "logs",
            item: "line",
            path: "/v1/logs",
            generate: generate::lines,
            items: options.lines,
        },
        Case {
            name: "metrics",
            item: "sample",
            path: "/v1/metrics",
            generate: generate::samples,
            items: options.samples,
        },
    ];
    let mut figures = Vec::new();
    for case in cases.iter().filter(|case| case.items > 0) {
        figures.extend(measure(&binary, case)?);
    }
    save("ingest", &figures)?;
    Ok(true)
}

fn read(words: &[String]) -> Result<Options, String> {
    let mut options = Options {
        spans: 300_000,
        lines: 1_000_000,
        samples: 4_000_000,
        loadgen: false,
        runs: 1,
        prometheus: false,
        only: None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().map(|text| text.replace('_', ""));
            let number = text.and_then(|text| text.parse().ok());
            number.ok_or_else(|| format!("{word}: a number is expected"))
        };
        match word.as_str() {
            "--spans" => options.spans = number()?,
            "--lines" => options.lines = number()?,
            "--samples" => options.samples = number()?,
            "--loadgen" => options.loadgen = true,
            "--runs" => options.runs = number()?.max(1) as usize,
            "--prometheus" => options.prometheus = true,
            "--only" => options.only = words.next().cloned(),
            "--full" => {
                (options.spans, options.lines) = (2_000_000, 5_000_000);
                options.samples = 100_000 * loadgen::SAMPLES_PER_SERIES;
            }
            _ => return Err(format!("`{word}` is no option of bench ingest")),
        }
    }
    Ok(options)
}

fn measure(binary: &std::path::Path, case: &Case) -> Result<Vec<Figure>, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let load = (case.generate)(case.items, now.as_nanos() as u64);
    let server = Server::start(binary, &folder()?.join(format!("data-{}", case.name)))?;
    let cpu_before = server.cpu_seconds()?;
    let loaded = post::all(&server.otlp, case.path, &load.bodies)?;
    let cpu_loaded = server.cpu_seconds()? - cpu_before;
    server.settle();
    let peak = server.peak_memory()?;
    let left = server.stop()?;

    let items = load.items as f64;
    let per_million = |cpu: f64| cpu / items * 1e6;
    let Case { name, item, .. } = case;
    let unit = |text: &'static str| text;
    let per_second = match *item {
        "span" => unit("spans/s"),
        "line" => unit("lines/s"),
        _ => unit("samples/s"),
    };
    let figures = vec![
        Figure::new(format!("{name} · accepted, durable"), items / loaded.seconds, per_second),
        Figure::new(format!("{name} · OTLP"), load.bytes() as f64 / 1e6 / loaded.seconds, "MB/s"),
        Figure::new(format!("{name} · CPU per million"), per_million(cpu_loaded), "s"),
        Figure::new(
            format!("{name} · CPU per million, start to end"),
            per_million(left.cpu_seconds),
            "s",
        ),
        Figure::new(
            format!("{name} · on disk per {item}, settled"),
            left.bytes as f64 / items,
            "B",
        ),
        Figure::new(format!("{name} · peak memory"), peak / 1e6, "MB"),
        Figure::new(format!("{name} · request, median"), loaded.percentile_ms(50), "ms"),
        Figure::new(format!("{name} · request, 99 of 100"), loaded.percentile_ms(99), "ms"),
    ];
    println!("\n{name}: {} items in {} requests", load.items, load.bodies.len());
    figures.iter().for_each(|figure| println!("{}", figure.line()));
    Ok(figures)
}
