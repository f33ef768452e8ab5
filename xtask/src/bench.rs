//! `cargo xtask bench`: figures, one line each, and as JSON under `target/bench/`.

mod generate;
mod ingest;
mod loadgen;
mod post;
mod prometheus;
mod questions;
mod sdk;
mod server;
mod store;

use std::path::PathBuf;

use crate::workspace;

/// `cargo xtask bench NAME [OPTIONS]`
pub(crate) fn run(arguments: &[String]) -> super::Outcome {
    match arguments.split_first() {
        Some((name, options)) if name == "ingest" => ingest::run(options),
        Some((name, options)) if name == "sdk" => sdk::run(options),
        Some((name, options)) if name == "store" => store::run(options),
        _ => {
            Err("which one? There are: sdk [--only TEXT] [--build]; \
                  ingest [--spans N] [--lines N] [--samples N] \
                  [--loadgen [--full] [--runs N] [--prometheus] [--only SIGNAL]]; store [--items N] [--curve] [--series] [--from DIR] [--only SIGNAL]"
                .to_owned())
        }
    }
}

/// One measured number.
struct Figure {
    case: String,
    value: f64,
    unit: &'static str,
    /// The best other system that was measured on the same data, its value there, and
    /// ours divided by it.
    peer: Option<(&'static str, f64)>,
    /// The least and the most, if it is the median of several runs.
    range: Option<(f64, f64)>,
}

impl Figure {
    fn new(case: impl Into<String>, value: f64, unit: &'static str) -> Figure {
        Figure { case: case.into(), value, unit, peer: None, range: None }
    }

    /// The same figure of several runs, as their median.
    fn median(runs: Vec<Figure>) -> Option<Figure> {
        let mut values: Vec<f64> = runs.iter().map(|figure| figure.value).collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let value = *values.get(values.len() / 2)?;
        Some(Figure { value, range: Some((least, most)), ..runs.into_iter().next()? })
    }

    /// A line for people: four digits are more than these measurements are worth.
    fn line(&self) -> String {
        let mut line = format!("{:<44} {:>12} {}", self.case, rounded(self.value), self.unit);
        if let Some((least, most)) = self.range {
            line.push_str(&format!(" ({}–{})", rounded(least), rounded(most)));
        }
        if let Some((peer, value)) = self.peer {
            let ratio = self.value / value;
            line.push_str(&format!("   ({peer}: {}, ratio {ratio:.2})", rounded(value)));
        }
        line
    }

    fn json(&self) -> String {
        let Figure { case, value, unit, peer, range } = self;
        let mut text = format!(r#"{{"case":"{case}","value":{value},"unit":"{unit}""#);
        if let Some((least, most)) = range {
            text.push_str(&format!(r#","least":{least},"most":{most}"#));
        }
        if let Some((peer, other)) = peer {
            let ratio = value / other;
            text.push_str(&format!(r#","peer":"{peer}","peer_value":{other},"ratio":{ratio:.4}"#));
        }
        text.push('}');
        text
    }
}

fn rounded(value: f64) -> String {
    match value.abs() {
        large if large >= 10_000.0 => format!("{:.0}", (value / 100.0).round() * 100.0),
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Where results of benchmarks lie, and what they leave behind while they run.
fn folder() -> Result<PathBuf, String> {
    let folder = workspace::target().join("bench");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// Writes `target/bench/<name>.json`: an array of objects.
fn save(name: &str, figures: &[Figure]) -> Result<(), String> {
    let path = folder()?.join(format!("{name}.json"));
    let objects: Vec<String> = figures.iter().map(Figure::json).collect();
    std::fs::write(&path, format!("[\n{}\n]\n", objects.join(",\n")))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_lines_and_json() {
        let mut figure = Figure::new("spans · accepted", 82_437.2, "spans/s");
        assert!(figure.line().ends_with("82400 spans/s"), "{}", figure.line());
        figure.peer = Some(("Tempo", 41_218.6));
        let expect = r#"{"case":"spans · accepted","value":82437.2,"unit":"spans/s","peer":"Tempo","peer_value":41218.6,"ratio":2.0000}"#;
        assert_eq!(figure.json(), expect);
    }

    #[test]
    fn several_runs_are_their_median_and_their_range() {
        let runs = [3.0, 1.0, 2.0].map(|value| Figure::new("memory", value, "MB"));
        let figure = Figure::median(runs.into()).expect("there are runs");
        assert_eq!((figure.value, figure.range), (2.0, Some((1.0, 3.0))));
        assert!(figure.line().ends_with("2.00 MB (1.00–3.00)"), "{}", figure.line());
        assert!(figure.json().contains(r#""least":1,"most":3"#), "{}", figure.json());
        assert!(Figure::median(Vec::new()).is_none());
    }
}
