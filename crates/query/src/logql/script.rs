//! Runs test scripts: `testdata/logql/*.test`.
//!
//! A script is a list of commands; `#` starts a comment. Times are durations since
//! 2021-01-01T00:00:00Z.
//!
//! ```text
//! clear                                   forgets everything
//! load {app="x"}                          adds lines to a stream; the record lines follow
//!   5s level=info msg="a"                 at 5 s, the text as it stands
//!   5s "a \"quoted\" text"                at 5 s, with escapes
//!   5s {user="u", @severity="17"} text    with metadata; @ names are fields of the record
//!   0s+10s*60 line $n                     60 lines, 10 s apart, $n counts from 0
//! eval instant at 1m QUERY                one expectation follows
//! eval range from 0s to 5m step 1m QUERY
//! eval lines from 0s to 5m [limit 10] [forward] [interval 1s] QUERY
//! eval parse QUERY
//! fail instant|range|lines|parse … QUERY  the error must contain the text that follows
//! ```
//!
//! An expectation is exactly one kind of result: `nothing`; `scalar 5`; series
//! `{a="b"} 1 _ 3` (after `ordered` their order counts); streams, `{a="b"}` and below it
//! `5s text`; `count 7` lines; or a text for `parse` and `fail`. An eval without one is an
//! error. `detected_level` is compared only where an expectation names it.

use std::collections::BTreeMap;
use std::path::Path;

use trefoil_store::model::{Attribute, LogRecord, Resource, Scope, Value};
use trefoil_store::{Batch, Labels, Settings, Store, Tally};

use crate::limits::Limits;
use crate::logql::Category;
use crate::logql::answer::{Data, LabelSet, group};
use crate::logql::eval::{Direction, Params};
use crate::logql::lexer::{TokenKind, tokens};
use crate::logql::units::query_duration_ns;
use crate::logql::{parse, run};

/// 2021-01-01T00:00:00Z
pub(super) const BASE_NS: i64 = 1_609_459_200_000_000_000;

/// Runs a script; returns how many evals passed.
pub(super) fn run_file(path: &Path) -> Result<usize, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut script = Script {
        lines: text.lines().collect(),
        at: 0,
        store: Store::in_memory(Settings::default()),
        passed: 0,
    };
    let result = script.run();
    let line = script.at;
    result.map_err(|why| format!("{}:{line}: {why}", path.display()))?;
    Ok(script.passed)
}

struct Script<'t> {
    lines: Vec<&'t str>,
    /// Lines read so far: the number of the line at hand.
    at: usize,
    store: Store,
    passed: usize,
}

impl<'t> Script<'t> {
    fn run(&mut self) -> Result<(), String> {
        while self.at < self.lines.len() {
            let line = self.lines[self.at];
            self.at += 1;
            if is_blank(line) {
                continue;
            }
            if line.starts_with(' ') {
                return Err(format!("unexpected indented line {line:?}"));
            }
            let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
            match command {
                "clear" => self.store = Store::in_memory(Settings::default()),
                "load" => self.load(rest)?,
                "eval" | "fail" => self.eval(command == "fail", rest)?,
                _ => return Err(format!("unknown command {command:?}")),
            }
        }
        Ok(())
    }

    /// The indented lines that follow.
    fn body(&mut self) -> Vec<&'t str> {
        let mut body = Vec::new();
        while let Some(line) = self.lines.get(self.at) {
            if !line.starts_with(' ') && !is_blank(line) {
                break;
            }
            self.at += 1;
            if !is_blank(line) {
                body.push(*line);
            }
        }
        body
    }

    fn load(&mut self, head: &str) -> Result<(), String> {
        let (stream, _) = labels(head.trim())?;
        let stream = Labels::from_pairs(stream.0.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let mut batch = Batch::new();
        for line in self.body() {
            let (time, rest) = split_word(line.trim_start());
            let (metadata, text) = if rest.starts_with('{') && rest.contains('=') && !is_json(rest)
            {
                labels(rest)?
            } else {
                (LabelSet::default(), rest)
            };
            let text = text.trim_start();
            let text = if text.starts_with('"') { unquote(text)? } else { text.to_owned() };
            let (start, interval, count) = times(time)?;
            for n in 0..count {
                let time_ns = BASE_NS + start + interval * n;
                let line = text.replace("$n", &n.to_string());
                add(&mut batch, &stream, time_ns, &line, &metadata)?;
            }
        }
        self.store.append(&batch).map_err(|e| e.to_string())
    }

    fn eval(&mut self, must_fail: bool, rest: &str) -> Result<(), String> {
        let line = self.at;
        let (kind, rest) = split_word(rest);
        let (params, query) = params(kind, rest)?;
        let body = self.body();
        let result = self.answer(kind, query, params.as_ref());
        let checked = match (result, must_fail) {
            (Err(error), true) => expect_text(&body, &error, true),
            (Ok(_), true) => Err("expected an error, got an answer".to_owned()),
            (Err(error), false) => Err(error),
            (Ok(Outcome::Text(text)), false) => expect_text(&body, &text, false),
            (Ok(Outcome::Data(data)), false) => check(&data, params.as_ref(), &body),
        };
        checked.map_err(|why| {
            self.at = line;
            format!("{why}\n  query: {query}")
        })?;
        self.passed += 1;
        Ok(())
    }

    fn answer(&self, kind: &str, query: &str, params: Option<&Params>) -> Result<Outcome, String> {
        let told = |error: crate::error::Error| {
            let (line, column) = error.position(query);
            format!("{line}:{column}: {error}")
        };
        let expr = parse(query).map_err(told)?;
        let Some(params) = params.filter(|_| kind != "parse") else {
            let printed = expr.to_string();
            let again =
                parse(&printed).map_err(|e| format!("{printed:?} is not read back: {e}"))?;
            if again.to_string() != printed {
                return Err(format!("{printed:?} becomes {:?}", again.to_string()));
            }
            return Ok(Outcome::Text(printed));
        };
        let tally = Tally::unlimited();
        let answer =
            run(&self.store.snapshot(), &expr, params, &Limits::new(&tally)).map_err(told)?;
        Ok(Outcome::Data(answer.data))
    }
}

enum Outcome {
    Text(String),
    Data(Data),
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// A JSON object starts with a quoted key, metadata with a bare one.
fn is_json(text: &str) -> bool {
    text[1..].trim_start().starts_with(['"', '}'])
}

pub(super) fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn duration(text: &str) -> Result<i64, String> {
    match text {
        "0" => Ok(0),
        _ => query_duration_ns(text).ok_or_else(|| format!("bad duration {text:?}")),
    }
}

/// `5s` or `0s+10s*60`.
fn times(text: &str) -> Result<(i64, i64, i64), String> {
    let Some((start, repeat)) = text.split_once('+') else { return Ok((duration(text)?, 0, 1)) };
    let (interval, count) = repeat.split_once('*').ok_or("expected start+interval*count")?;
    let count = count.parse().map_err(|_| format!("bad count {count:?}"))?;
    Ok((duration(start)?, duration(interval)?, count))
}

fn unquote(text: &str) -> Result<String, String> {
    match tokens(text).map_err(|e| e.to_string())?.first().map(|t| t.kind.clone()) {
        Some(TokenKind::Text(text)) => Ok(text),
        _ => Err(format!("expected a quoted text: {text}")),
    }
}

/// Reads `{a="b", @c="d"}` and returns what follows.
fn labels(text: &str) -> Result<(LabelSet, &str), String> {
    let bad = || format!("expected labels such as {{a=\"b\"}}: {text}");
    let mut rest = text.strip_prefix('{').ok_or_else(bad)?;
    let mut set = LabelSet::default();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((set, after.trim_start()));
        }
        let (name, value) = rest.split_once('=').ok_or_else(bad)?;
        let end = closing_quote(value).ok_or_else(bad)?;
        set.set(name.trim(), &unquote(&value[..end])?);
        rest = &value[end..];
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().enumerate().skip(1).find_map(|(at, byte)| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes.then_some(at + 1)
    })
}

fn add(
    batch: &mut Batch,
    stream: &Labels,
    time_ns: i64,
    line: &str,
    metadata: &LabelSet,
) -> Result<(), String> {
    let mut record = LogRecord {
        time_ns: time_ns as u64,
        body: Value::Str(line.into()),
        ..LogRecord::default()
    };
    let mut resource = Resource::default();
    let mut scope = Scope::default();
    for (name, value) in &metadata.0 {
        let number = || value.parse::<u64>().map_err(|_| format!("bad number {value:?}"));
        let attribute = |key: &str| Attribute {
            key: key.to_owned().into(),
            value: Value::Str(value.clone().into()),
        };
        match name.as_str() {
            "@severity" => record.severity = number()? as u8,
            "@severity_text" => record.severity_text = value.clone().into(),
            "@observed_ns" => record.observed_ns = number()?,
            "@flags" => record.flags = number()? as u32,
            "@event" => record.event_name = value.clone().into(),
            "@trace_id" => record.trace_id = id(value)?,
            "@span_id" => record.span_id = id(value)?,
            "@scope_name" => scope.name = value.clone().into(),
            "@scope_version" => scope.version = value.clone().into(),
            "@int_body" => record.body = Value::Int(number()? as i64),
            "@map_body" => record.body = Value::Map(vec![attribute("key")]),
            _ => match name.strip_prefix("@resource.") {
                Some(key) => resource.attributes.push(attribute(key)),
                None => record.attributes.push(attribute(name)),
            },
        }
    }
    let resource = batch.resource(&resource);
    let scope = batch.scope(&scope);
    batch.log(resource, scope, stream, &record);
    Ok(())
}

fn id<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let mut id = [0; N];
    for (at, byte) in id.iter_mut().enumerate() {
        let digits = text.get(at * 2..at * 2 + 2).ok_or_else(|| format!("bad id {text:?}"))?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| format!("bad id {text:?}"))?;
    }
    Ok(id)
}

/// The parameters of an eval of some kind, and its query.
pub(super) fn params<'q>(kind: &str, rest: &'q str) -> Result<(Option<Params>, &'q str), String> {
    if kind == "parse" {
        return Ok((None, rest));
    }
    if !matches!(kind, "instant" | "range" | "lines") {
        return Err(format!("unknown kind of eval {kind:?}"));
    }
    let mut params = Params { instant: kind == "instant", ..Params::range(BASE_NS, BASE_NS, 0) };
    params.limit = 1000;
    let mut rest = rest;
    loop {
        let (word, after) = split_word(rest);
        if word == "forward" {
            params.direction = Direction::Forward;
            rest = after;
            continue;
        }
        let (value, after) = split_word(after);
        match word {
            "at" | "to" => params.end_ns = BASE_NS + duration(value)?,
            "from" => params.start_ns = BASE_NS + duration(value)?,
            "step" => params.step_ns = duration(value)?,
            "interval" => params.interval_ns = duration(value)?,
            "limit" => params.limit = value.parse().map_err(|_| "bad limit".to_owned())?,
            _ => break,
        }
        rest = after;
    }
    if params.instant {
        params.start_ns = params.end_ns;
    }
    params.now_ns = params.end_ns;
    Ok((Some(params), rest))
}

fn expect_text(body: &[&str], got: &str, part: bool) -> Result<(), String> {
    let [expected] = body else {
        return Err(format!("exactly one line must follow; got: {got}"));
    };
    let expected = expected.trim();
    if got == expected || (part && got.contains(expected)) {
        return Ok(());
    }
    Err(format!("expected {expected}\n       got {got}"))
}

fn check(data: &Data, params: Option<&Params>, body: &[&str]) -> Result<(), String> {
    let Some(first) = body.first().map(|line| line.trim()) else {
        return Err(format!("no expectation follows; got {}", shown(data, params)));
    };
    if first == "nothing" {
        let empty = match data {
            Data::Streams(entries) => entries.is_empty(),
            Data::Matrix(series) => series.is_empty(),
            Data::Vector(series) => series.is_empty(),
            Data::Scalar(_) => false,
        };
        return if empty && body.len() == 1 { Ok(()) } else { Err(differs(body, data, params)) };
    }
    if let Some(count) = first.strip_prefix("count ") {
        return match data {
            Data::Streams(entries) if body.len() == 1 && entries.len().to_string() == count => {
                Ok(())
            }
            Data::Streams(entries) => Err(format!("expected {count} lines, got {}", entries.len())),
            _ => Err(differs(body, data, params)),
        };
    }
    let holds = match data {
        Data::Scalar(value) => {
            first.strip_prefix("scalar ").is_some_and(|text| same(number(text), Some(*value)))
                && body.len() == 1
        }
        Data::Vector(series) => {
            let series: Vec<_> =
                series.iter().map(|(labels, v)| (labels.clone(), vec![Some(*v)])).collect();
            series_match(&series, body)?
        }
        Data::Matrix(_) => series_match(&matrix_rows(data, params), body)?,
        Data::Streams(entries) => streams_text(entries, body) == expected_streams(body)?,
    };
    if holds { Ok(()) } else { Err(differs(body, data, params)) }
}

/// Series with a column for every step.
fn matrix_rows(data: &Data, params: Option<&Params>) -> Vec<Row> {
    let (Data::Matrix(series), Some(params)) = (data, params) else { return Vec::new() };
    series
        .iter()
        .map(|s| {
            let at: BTreeMap<i64, f64> = s.values.iter().copied().collect();
            let steps = 0..params.steps();
            (s.labels.clone(), steps.map(|k| at.get(&params.step_time(k)).copied()).collect())
        })
        .collect()
}

fn number(text: &str) -> Option<f64> {
    match text {
        "_" => None,
        _ => Some(text.parse().unwrap_or_else(|_| panic!("bad number {text:?} in a script"))),
    }
}

fn same(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
        }
        _ => false,
    }
}

type Row = (LabelSet, Vec<Option<f64>>);

fn series_match(got: &[Row], body: &[&str]) -> Result<bool, String> {
    let ordered = body[0].trim() == "ordered";
    let mut expected = Vec::new();
    for line in &body[usize::from(ordered)..] {
        let (labels, values) = labels(line.trim())?;
        expected.push((labels, values.split_whitespace().map(number).collect::<Vec<_>>()));
    }
    let names_level = expected.iter().any(|(l, _)| l.get("detected_level").is_some());
    let mut got: Vec<Row> =
        got.iter().map(|(labels, v)| (visible(labels, names_level), v.clone())).collect();
    if !ordered {
        got.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Ok(got.len() == expected.len()
        && got.iter().zip(&expected).all(|(g, e)| {
            g.0 == e.0 && g.1.len() == e.1.len() && g.1.iter().zip(&e.1).all(|(a, b)| same(*a, *b))
        }))
}

fn visible(labels: &LabelSet, with_level: bool) -> LabelSet {
    let mut labels = labels.clone();
    labels.retain(|name| with_level || name != "detected_level");
    labels
}

/// Streams as lines of text: labels, then times and lines.
fn streams_text(entries: &[crate::logql::Entry], body: &[&str]) -> Vec<String> {
    let names_level = body.iter().any(|line| line.contains("detected_level"));
    let entries: Vec<_> = entries
        .iter()
        .cloned()
        .map(|mut entry| {
            entry.labels.retain(|(name, _, _)| names_level || name != "detected_level");
            entry
        })
        .collect();
    let mut out = Vec::new();
    let all = [Category::Stream, Category::Structured, Category::Parsed];
    for (labels, lines) in group(&entries, &all) {
        out.push(labels.to_string());
        for entry in lines {
            out.push(format!("{} {}", entry.time_ns - BASE_NS, entry.line.escape_debug()));
        }
    }
    out
}

fn expected_streams(body: &[&str]) -> Result<Vec<String>, String> {
    let mut streams: Vec<(LabelSet, Vec<String>)> = Vec::new();
    for line in body {
        let text = line.trim_start();
        if line.len() - text.len() <= 2 {
            streams.push((labels(text)?.0, Vec::new()));
            continue;
        }
        let (time, line) = split_word(text);
        let line = if line.starts_with('"') { unquote(line)? } else { line.to_owned() };
        let Some((_, lines)) = streams.last_mut() else {
            return Err("a line stands before its stream".to_owned());
        };
        lines.push(format!("{} {}", duration(time)?, line.escape_debug()));
    }
    streams.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(streams.into_iter().flat_map(|(l, lines)| [vec![l.to_string()], lines].concat()).collect())
}

fn differs(body: &[&str], data: &Data, params: Option<&Params>) -> String {
    format!("expected\n{}\ngot\n{}", body.join("\n"), shown(data, params))
}

fn shown(data: &Data, params: Option<&Params>) -> String {
    match data {
        Data::Scalar(value) => format!("  scalar {value}"),
        Data::Vector(series) => {
            let lines: Vec<_> = series.iter().map(|(l, v)| format!("  {l} {v}")).collect();
            lines.join("\n")
        }
        Data::Matrix(_) => {
            let line = |(labels, values): (LabelSet, Vec<Option<f64>>)| {
                let values: Vec<_> =
                    values.iter().map(|v| v.map_or("_".to_owned(), |v| v.to_string())).collect();
                format!("  {labels} {}", values.join(" "))
            };
            matrix_rows(data, params).into_iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Data::Streams(entries) => streams_text(entries, &[]).join("\n"),
    }
}
