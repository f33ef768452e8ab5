//! A script's text as commands.

use std::collections::BTreeMap;

use trefoil_store::Labels;
use trefoil_store::model::{Histogram, Sample, SampleValue};

use super::values::{self, Number};
use super::{ExpectedSeries, Given, sample};
use crate::duration::parse_prometheus_ms;
use crate::promql::histogram::{CUSTOM, compact};
use crate::promql::labels::{with_label, without_label};
use crate::promql::lexer::{Tok, tokenize};

type Read<T> = Result<T, String>;

pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Eval),
}

pub(super) struct Load {
    pub(super) line: usize,
    pub(super) series: Vec<(Labels, Vec<Sample>)>,
}

pub(super) struct Eval {
    pub(super) line: usize,
    pub(super) expr: String,
    pub(super) when: When,
    pub(super) ordered: bool,
    pub(super) warnings: Notes,
    pub(super) infos: Notes,
    pub(super) expected: Expected,
}

#[derive(Clone, Copy)]
pub(super) enum When {
    At(i64),
    /// Start, end, step in milliseconds.
    Range(i64, i64, i64),
}

/// What is expected of an error's or a note's text.
pub(super) enum Check {
    Text(String),
    Pattern(regex::Regex),
}

#[derive(Default)]
pub(super) struct Notes {
    pub(super) none: bool,
    pub(super) some: bool,
    pub(super) checks: Vec<Check>,
}

pub(super) enum Expected {
    Fail(Vec<Check>),
    Scalar(f64),
    Text(String),
    /// Series with values at the steps of the query, or of a given range.
    Series(Vec<ExpectedSeries>, Option<(i64, i64)>),
}

/// Lines with comments emptied, as a comment ends a block like an empty line does.
pub(super) fn read(script: &str) -> Read<Vec<Command>> {
    let lines: Vec<&str> = script
        .lines()
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let number = at + 1;
        let fail = |why: String| format!("line {number}: {why}");
        at += 1;
        if line.is_empty() {
            continue;
        }
        if line == "clear" {
            commands.push(Command::Clear);
            continue;
        }
        let block: Vec<&str> = lines[at..]
            .iter()
            .take_while(|line| !line.is_empty() && !is_command(line))
            .copied()
            .collect();
        at += block.len();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let command = match word {
            "load" | "load_with_nhcb" => {
                Command::Load(read_load(number, rest, &block, word != "load").map_err(fail)?)
            }
            _ if word.starts_with("eval") => {
                Command::Eval(read_eval(number, word, rest.trim(), &block).map_err(fail)?)
            }
            _ => return Err(fail(format!("unknown command {word:?}"))),
        };
        commands.push(command);
    }
    Ok(commands)
}

fn is_command(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or("");
    word == "clear" || word == "load" || word == "load_with_nhcb" || word == "eval"
}

fn duration(text: &str) -> Read<i64> {
    parse_prometheus_ms(text).ok_or_else(|| format!("not a duration: {text:?}"))
}

fn read_load(line: usize, step: &str, block: &[&str], with_nhcb: bool) -> Read<Load> {
    let step = duration(step.trim())?;
    let mut starts: Vec<(Labels, Vec<Option<f64>>)> = Vec::new();
    let mut series: Vec<(Labels, Vec<Sample>)> = Vec::new();
    for text in block {
        let (labels, rest) = metric(text)?;
        if let Some(offsets) = rest.strip_prefix("@st") {
            starts.push((labels, values::durations(offsets)?));
            continue;
        }
        let of_series = starts.iter().find(|(known, _)| *known == labels);
        let mut samples = Vec::new();
        for (i, value) in values::sequence(rest)?.into_iter().enumerate() {
            let time = i as i64 * step;
            let offset = of_series.and_then(|(_, offsets)| offsets.get(i).copied().flatten());
            let start = offset.map_or(0, |ms| time + ms as i64);
            match value {
                Number::Omitted => {}
                Number::Float(value) => {
                    samples.push(sample(time, start, SampleValue::Float(value)));
                }
                Number::Histogram(h, _) => {
                    samples.push(sample(time, start, SampleValue::Histogram(h)));
                }
            }
        }
        series.push((labels, samples));
    }
    if with_nhcb {
        let converted = custom_histograms(&series);
        series.extend(converted);
    }
    Ok(Load { line, series })
}

/// Native histograms with custom buckets for the classic ones that were given.
fn custom_histograms(series: &[(Labels, Vec<Sample>)]) -> Vec<(Labels, Vec<Sample>)> {
    // Per histogram and time: bounds with cumulative counts, the sum, the count.
    #[derive(Default)]
    struct Classic {
        buckets: Vec<(f64, f64)>,
        sum: f64,
    }
    let mut found: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
    for (labels, samples) in series {
        let name = labels.metric_name().unwrap_or("");
        let Some((base, kind)) = name.rsplit_once('_') else { continue };
        let le = labels.get("le").and_then(|le| le.parse::<f64>().ok());
        let key = with_label(&without_label(labels, &["le"]), "__name__", base);
        for sample in samples {
            let SampleValue::Float(value) = sample.value else { continue };
            let classic = found.entry(key.clone()).or_default().entry(sample.time_ms).or_default();
            match (kind, le) {
                ("bucket", Some(le)) => classic.buckets.push((le, value)),
                ("sum", _) => classic.sum = value,
                _ => {}
            }
        }
    }
    let convert = |(time, mut classic): (i64, Classic)| {
        classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        classic.buckets.dedup_by(|later, earlier| later.0 == earlier.0);
        let bounds: Vec<f64> =
            classic.buckets.iter().map(|(le, _)| *le).filter(|le| le.is_finite()).collect();
        let mut before = 0.0;
        let counts: Vec<f64> = classic
            .buckets
            .iter()
            .map(|(_, n)| (*n - std::mem::replace(&mut before, *n)).max(0.0))
            .collect();
        let mut h = Histogram {
            schema: CUSTOM,
            count: counts.iter().sum(),
            sum: classic.sum,
            custom_values: bounds,
            positive_spans: vec![trefoil_store::model::BucketSpan {
                offset: 0,
                length: counts.len() as u32,
            }],
            positive_buckets: counts,
            ..Histogram::default()
        };
        compact(&mut h);
        sample(time, 0, SampleValue::Histogram(Box::new(h)))
    };
    let with_buckets =
        found.into_iter().filter(|(_, times)| times.values().any(|c| !c.buckets.is_empty()));
    with_buckets.map(|(labels, times)| (labels, times.into_iter().map(convert).collect())).collect()
}

/// `name{a="b"}` at the start of a line, and the rest of the line.
fn metric(line: &str) -> Read<(Labels, &str)> {
    let end = if let Some(open) =
        line.find('{').filter(|at| !line[..*at].contains(char::is_whitespace))
    {
        open + closing_brace(&line[open..])?
    } else {
        line.find([' ', '\t', '@']).unwrap_or(line.len())
    };
    let text = &line[..end];
    let tokens = tokenize(text).map_err(|why| why.message)?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut at = 0;
    let slice = |i: usize| &text[tokens[i].span.clone()];
    if matches!(tokens[0].kind, Tok::Ident | Tok::MetricIdent) {
        pairs.push(("__name__".to_owned(), slice(0).to_owned()));
        at = 1;
    }
    while at + 2 < tokens.len() {
        let name = match &tokens[at].kind {
            Tok::Ident => slice(at).to_owned(),
            Tok::Str(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Tok::Op("{" | "}" | ",") => {
                at += 1;
                continue;
            }
            _ => return Err(format!("not a series: {text}")),
        };
        match (&tokens[at + 1].kind, &tokens[at + 2].kind) {
            (Tok::Op("="), Tok::Str(value)) => {
                pairs.push((name, String::from_utf8_lossy(value).into_owned()));
                at += 3;
            }
            (Tok::Op("," | "}"), _) => {
                pairs.push(("__name__".to_owned(), name));
                at += 1;
            }
            _ => return Err(format!("not a series: {text}")),
        }
    }
    let labels = Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    Ok((labels, line[end..].trim()))
}

/// Bytes up to and including the closing brace; braces in strings do not count.
fn closing_brace(text: &str) -> Read<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (i, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some('"' | '\'') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '}' => return Ok(i + 1),
            None => {}
        }
    }
    Err(format!("unclosed brace in {text}"))
}

fn read_eval(line: usize, word: &str, rest: &str, block: &[&str]) -> Read<Eval> {
    let (when, expr) = read_when(rest)?;
    let mut eval = Eval {
        line,
        expr: expr.to_owned(),
        when,
        ordered: word == "eval_ordered",
        warnings: Notes::default(),
        infos: Notes::default(),
        expected: Expected::Series(Vec::new(), None),
    };
    match word {
        "eval" | "eval_ordered" => {}
        "eval_fail" => eval.expected = Expected::Fail(Vec::new()),
        "eval_warn" => eval.warnings.some = true,
        "eval_info" => eval.infos.some = true,
        _ => return Err(format!("unknown command {word:?}")),
    }
    for text in block {
        if let Some(rest) = text.strip_prefix("expect ") {
            expect(&mut eval, rest.trim())?;
        } else if let Some(message) = text.strip_prefix("expected_fail_message ") {
            add_fail(&mut eval, Some(Check::Text(message.trim().to_owned())))?;
        } else if let Some(pattern) = text.strip_prefix("expected_fail_regexp ") {
            add_fail(&mut eval, Some(pattern_check(pattern)?))?;
        } else {
            expect_value(&mut eval, text)?;
        }
    }
    Ok(eval)
}

fn read_when(rest: &str) -> Read<(When, &str)> {
    let mut words = rest.split_whitespace();
    let mut next = || words.next().ok_or("eval needs a time and an expression");
    let after = |n: usize| {
        let mut text = rest;
        for _ in 0..n {
            text = text.trim_start();
            text = text.find(char::is_whitespace).map_or("", |at| &text[at..]);
        }
        text.trim()
    };
    match next()? {
        "instant" => {
            if next()? != "at" {
                return Err("expected: eval instant at TIME EXPR".to_owned());
            }
            Ok((When::At(duration(next()?)?), after(3)))
        }
        "range" => {
            let mut times = [0; 3];
            for (word, time) in ["from", "to", "step"].into_iter().zip(&mut times) {
                if next()? != word {
                    return Err("expected: eval range from TIME to TIME step TIME EXPR".to_owned());
                }
                *time = duration(next()?)?;
            }
            Ok((When::Range(times[0], times[1], times[2]), after(7)))
        }
        other => Err(format!("expected instant or range, got {other:?}")),
    }
}

fn pattern_check(pattern: &str) -> Read<Check> {
    regex::Regex::new(pattern.trim()).map(Check::Pattern).map_err(|why| why.to_string())
}

/// What follows `fail`, `warn` or `info`: nothing, `msg: …` or `regex: …`.
fn check(rest: &str) -> Read<Option<Check>> {
    let rest = rest.trim();
    if let Some(message) = rest.strip_prefix("msg:") {
        return Ok(Some(Check::Text(message.trim().to_owned())));
    }
    if let Some(pattern) = rest.strip_prefix("regex:") {
        return pattern_check(pattern).map(Some);
    }
    if rest.is_empty() { Ok(None) } else { Err(format!("cannot read expectation {rest:?}")) }
}

fn add_fail(eval: &mut Eval, check: Option<Check>) -> Read<()> {
    match &mut eval.expected {
        Expected::Fail(checks) => checks.extend(check),
        Expected::Series(series, None) if series.is_empty() => {
            eval.expected = Expected::Fail(check.into_iter().collect());
        }
        _ => return Err("an eval expects either an error or a value".to_owned()),
    }
    Ok(())
}

fn expect(eval: &mut Eval, text: &str) -> Read<()> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match word {
        "ordered" => eval.ordered = true,
        "fail" => add_fail(eval, check(rest)?)?,
        "warn" | "info" => {
            let notes = if word == "warn" { &mut eval.warnings } else { &mut eval.infos };
            notes.some = true;
            notes.checks.extend(check(rest)?);
        }
        "no_warn" => eval.warnings.none = true,
        "no_info" => eval.infos.none = true,
        "string" => {
            let tokens = tokenize(rest.trim()).map_err(|why| why.message)?;
            let Tok::Str(bytes) = &tokens[0].kind else {
                return Err(format!("not a string: {rest}"));
            };
            eval.expected = Expected::Text(String::from_utf8_lossy(bytes).into_owned());
        }
        "range" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let ["vector", "from", from, "to", _, "step", step] = words[..] else {
                return Err("expected: range vector from TIME to TIME step TIME".to_owned());
            };
            let grid = Some((duration(from)?, duration(step)?));
            match &mut eval.expected {
                Expected::Series(_, range) => *range = grid,
                _ => return Err("an eval expects one kind of value".to_owned()),
            }
        }
        // `fail` and its kin may have the colon attached: `fail msg:text`.
        _ => return Err(format!("unknown expectation {word:?}")),
    }
    Ok(())
}

fn expect_value(eval: &mut Eval, text: &str) -> Read<()> {
    let Expected::Series(series, _) = &mut eval.expected else {
        return Err("an eval expects one kind of value".to_owned());
    };
    if let Some(number) = values::lone_number(text) {
        if !series.is_empty() {
            return Err("an eval expects one kind of value".to_owned());
        }
        eval.expected = Expected::Scalar(number);
        return Ok(());
    }
    let (labels, rest) = metric(text)?;
    let values = values::sequence(rest)?.into_iter().map(|value| match value {
        Number::Omitted => None,
        Number::Float(value) => Some(Given::Float(value)),
        Number::Histogram(h, hint) => Some(Given::Histogram(h, hint)),
    });
    series.push((labels, values.collect()));
    Ok(())
}
