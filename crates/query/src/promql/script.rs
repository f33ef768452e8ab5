//! Runs test scripts in the language of Prometheus's promqltest: `load` puts series into a
//! store in memory, `eval` asks and says what the answer must be.
//!
//! ```text
//! load 5m
//!   http_requests_total{path="/a"} 0+10x10
//! eval instant at 50m rate(http_requests_total[10m])
//!   {path="/a"} 0.0333333333
//! ```
//!
//! Source: Prometheus documentation, "The PromQL test scripting language".

mod compare;
mod read;
mod values;

use trefoil_store::model::{Histogram, Resource, Sample, SampleValue, Scope};
use trefoil_store::{Batch, Labels, Settings, Store, Tally};

use self::read::{Command, Eval, Expected, Load, When};
use super::{Answer, AnswerSeries, AnswerValue, LOOKBACK_MS};
use crate::error::Result;
use crate::limits::Limits;

/// What became of one `eval`.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Line in the script, from 1.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// What was wrong with the answer, if anything.
    pub failure: Option<String>,
}

/// Runs a script.
///
/// # Errors
/// The script itself is wrong: the line and why.
pub fn run(script: &str) -> std::result::Result<Vec<Outcome>, String> {
    let commands = read::read(script)?;
    let mut store = Store::in_memory(settings());
    let mut outcomes = Vec::new();
    for command in commands {
        match command {
            Command::Clear => store = Store::in_memory(settings()),
            Command::Load(load) => append(&store, &load)?,
            Command::Eval(eval) => {
                let failure = judge(&store, &eval).err();
                outcomes.push(Outcome { line: eval.line, expr: eval.expr, failure });
            }
        }
    }
    Ok(outcomes)
}

/// Scripts play around 1970, so nothing may expire.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.retention.metrics = None;
    settings
}

fn append(store: &Store, load: &Load) -> std::result::Result<(), String> {
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    for (labels, samples) in &load.series {
        let series = batch.series(resource, scope, labels);
        for sample in samples {
            batch.sample(series, sample);
        }
    }
    store.append(&batch).map_err(|why| format!("line {}: cannot append: {why}", load.line))
}

fn ask(store: &Store, eval: &Eval, when: When) -> Result<Answer> {
    let tally = Tally::unlimited();
    let limits = Limits::new(&tally);
    let expr = super::parse(&eval.expr)?;
    let snapshot = store.snapshot();
    match when {
        When::At(ms) => super::instant(&snapshot, &expr, ms, LOOKBACK_MS, &limits),
        When::Range(start, end, step) => {
            super::range(&snapshot, &expr, start, end, step, LOOKBACK_MS, &limits)
        }
    }
}

fn judge(store: &Store, eval: &Eval) -> std::result::Result<(), String> {
    let answer = match (ask(store, eval, eval.when), &eval.expected) {
        (Err(why), Expected::Fail(checks)) => return compare::error(&why.message, checks),
        (Ok(_), Expected::Fail(_)) => return Err("expected an error, got an answer".to_owned()),
        (Err(why), _) => return Err(format!("error: {}", why.message)),
        (Ok(answer), _) => answer,
    };
    compare::notes("warning", &answer.warnings, &eval.warnings)?;
    compare::notes("info", &answer.infos, &eval.infos)?;
    compare::value(&answer.value, eval)?;
    in_a_range(store, eval, &answer)
}

/// An instant answer must also be the middle one of a range query.
fn in_a_range(store: &Store, eval: &Eval, answer: &Answer) -> std::result::Result<(), String> {
    let (When::At(ms), AnswerValue::Vector(_)) = (eval.when, &answer.value) else {
        return Ok(());
    };
    let of_query = ["start", "end", "step", "range"];
    if of_query.iter().any(|word| eval.expr.to_lowercase().contains(&format!("{word}()"))) {
        return Ok(());
    }
    let when = When::Range(ms - 60_000, ms + 60_000, 60_000);
    let ranged =
        ask(store, eval, when).map_err(|why| format!("as a range query: {}", why.message))?;
    let AnswerValue::Matrix(series) = ranged.value else {
        return Err("as a range query: not a matrix".to_owned());
    };
    let middle = series.into_iter().map(|one| AnswerSeries {
        floats: one.floats.into_iter().filter(|(t, _)| *t == ms).collect(),
        histograms: one.histograms.into_iter().filter(|(t, _)| *t == ms).collect(),
        labels: one.labels,
    });
    let middle = middle.filter(|one| !one.floats.is_empty() || !one.histograms.is_empty());
    compare::value_at(&middle.collect::<Vec<_>>(), eval, ms)
        .map_err(|why| format!("as a range query: {why}"))
}

fn sample(time_ms: i64, start_ms: i64, value: SampleValue) -> Sample {
    Sample { time_ms, start_ms, value }
}

/// A value that a script gives or expects, with what it says of a counter reset.
#[derive(Clone, Debug, PartialEq)]
enum Given {
    Float(f64),
    Histogram(Box<Histogram>, bool),
}

/// A series with what is expected at each step.
type ExpectedSeries = (Labels, Vec<Option<Given>>);

#[cfg(test)]
mod tests;
