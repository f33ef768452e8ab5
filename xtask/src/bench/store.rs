//! `bench store`: what the storage engine takes for an item, in bytes and time, without a
//! server around it. The measuring is a benchmark of the crate, so that it is compiled as
//! users get it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::{Figure, save};
use crate::workspace;

/// `cargo xtask bench store [--items N] [--curve] [--series] [--from DIR] [--only SIGNAL]`
pub(super) fn run(options: &[String]) -> Result<bool, String> {
    let mut command = workspace::cargo();
    command.args(["bench", "--quiet", "--package", "trefoil-store", "--bench", "store", "--"]);
    command.args(options).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run cargo: {error}"))?;
    let mut figures = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Some(figure) = parse(&line) else {
                println!("{line}");
                continue;
            };
            println!("{}", figure.line());
            figures.push(figure);
        }
    }
    let status = child.wait().map_err(|error| format!("cannot wait for cargo: {error}"))?;
    save("store", &figures)?;
    Ok(status.success())
}

/// Case, value and unit, with tabs between them.
fn parse(line: &str) -> Option<Figure> {
    let mut fields = line.split('\t');
    let (case, value) = (fields.next()?, fields.next()?.parse().ok()?);
    // Units are few, and a figure keeps its own until the program ends.
    let unit: &'static str = Box::leak(fields.next()?.to_owned().into_boxed_str());
    fields.next().is_none().then(|| Figure::new(case, value, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_figures_or_are_passed_on() {
        let figure = parse("logs · merged\t41.25\tB/line").expect("a figure");
        assert_eq!(
            (figure.case.as_str(), figure.value, figure.unit),
            ("logs · merged", 41.25, "B/line")
        );
        for other in ["", "warning: something", "a\tb\tc", "a\t1", "a\t1\tB\tmore"] {
            assert!(parse(other).is_none(), "{other}");
        }
    }
}
