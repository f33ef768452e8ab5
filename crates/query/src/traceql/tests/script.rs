//! Runs a test script.
//!
//! ```text
//! load                                  adds spans; see `load.rs`
//! clear                                 starts again with an empty store
//! eval search [limit=N spss=N from=T to=T] QUERY
//!   trace 0a: 1 2 [count()=2] | 3       ids of spans; | between spansets
//!   trace 0b: 4{code=500}               a span with exactly these attributes shown
//!   none                                nothing is found
//! eval summary QUERY
//!   0a front "GET /" 100ms front=1/1    root service, root name, duration, spans/errors
//! eval range START END STEP QUERY       eval instant START END QUERY
//!   {name="a"} 1 2 _                    labels, then a point for each step; _ for none
//!   none
//! eval plain TEXT
//!   {translation}
//! eval fail QUERY
//!   at 3: part of the message           byte offset where parsing failed
//!   run: part of the message            parsed, but failed on the data
//! ```
//! Traces and series must come in the given order and no others may come.

use trefoil_store::{Settings, SpanFilter, Store, Tally};

use super::load;
use crate::limits::Limits;
use crate::traceql::ast::Root;
use crate::traceql::lexer::parse_duration;
use crate::traceql::search::{Candidates, search_with};
use crate::traceql::{self, MetricsAnswer, MetricsParams, SearchAnswer, SearchParams, Value, eval};

/// What became of a script.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) evals: usize,
    /// `file:line: …`.
    pub(super) failures: Vec<String>,
}

/// Where the spans lie while a script runs; the answers must be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// As they were received.
    Head,
    /// Each load in a part of its own.
    Parts,
}

pub(super) fn run(file: &str, text: &str, place: Place) -> Outcome {
    let lines: Vec<&str> = text.lines().collect();
    let mut outcome = Outcome::default();
    let mut store = Store::in_memory(Settings::default());
    let mut at = 0;
    while at < lines.len() {
        let head = lines[at];
        let body = body_of(&lines[at + 1..]);
        let next = at + 1 + body.len();
        let body: Vec<&str> = body.iter().copied().filter(|l| is_meaningful(l)).collect();
        let mut fail =
            |line: usize, why: String| outcome.failures.push(format!("{file}:{line}: {why}"));
        match head.split_once(' ').unwrap_or((head, "")) {
            _ if !is_meaningful(head) => {}
            ("clear", _) => store = Store::in_memory(Settings::default()),
            ("load", _) => {
                if let Err((offset, why)) = load::load(&store, &body) {
                    fail(at + 2 + offset, why);
                }
                if place == Place::Parts {
                    store.flush().unwrap();
                    assert_eq!(store.stats().traces.head_items, 0);
                }
            }
            ("eval", rest) => {
                outcome.evals += 1;
                if let Err(why) = evaluate(&store, rest, &body) {
                    fail(at + 1, format!("{rest}\n    {why}"));
                }
            }
            _ => fail(at + 1, format!("unknown command {head:?}")),
        }
        at = next;
    }
    outcome
}

fn is_meaningful(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

/// The indented lines that follow.
fn body_of<'a, 'b>(lines: &'a [&'b str]) -> &'a [&'b str] {
    let end = lines.iter().position(|l| is_meaningful(l) && !l.starts_with(' '));
    &lines[..end.unwrap_or(lines.len())]
}

fn evaluate(store: &Store, command: &str, body: &[&str]) -> Result<(), String> {
    let (kind, rest) = command.split_once(' ').unwrap_or((command, ""));
    let expected: Vec<String> = body.iter().map(|l| l.trim().to_owned()).collect();
    if expected.is_empty() {
        return Err("asserts nothing: say what must come".to_owned());
    }
    let got = match kind {
        "search" => searched(store, rest)?,
        "summary" => summaries(store, rest)?,
        "range" | "instant" => series(store, kind, rest)?,
        "plain" => vec![traceql::plain::translate(rest).map_err(|e| e.to_string())?],
        "fail" => return fails(store, rest, &expected),
        _ => return Err(format!("unknown kind of eval {kind:?}")),
    };
    if got == expected {
        return Ok(());
    }
    Err(format!(
        "expected {}\n    but got  {}",
        expected.join("\n             "),
        got.join("\n             ")
    ))
}

/// Leading `key=value` options.
fn options(text: &str) -> (Vec<(&str, &str)>, &str) {
    let mut rest = text.trim_start();
    let mut out = Vec::new();
    while let Some((word, tail)) = rest.split_once(' ') {
        let Some((key, value)) = word.split_once('=') else { break };
        if !["limit", "spss", "from", "to", "exemplars"].contains(&key) {
            break;
        }
        out.push((key, value));
        rest = tail.trim_start();
    }
    (out, rest)
}

fn search(store: &Store, text: &str) -> Result<(SearchAnswer, String), String> {
    let (options, text) = options(text);
    let mut params =
        SearchParams { start_ns: 0, end_ns: i64::MAX, limit: 100, spans_per_spanset: 100 };
    for (key, value) in options {
        let time = || parse_duration(value).unwrap();
        match key {
            "limit" => params.limit = value.parse().unwrap(),
            "spss" => params.spans_per_spanset = value.parse().unwrap(),
            "from" => params.start_ns = time(),
            _ => params.end_ns = time(),
        }
    }
    let query = traceql::parse(text).map_err(|e| format!("at {}: {e}", e.span.start))?;
    let tally = Tally::unlimited();
    let limits = Limits::new(&tally);
    let snapshot = store.snapshot();
    let answer =
        traceql::search(&snapshot, &query, &params, &limits).map_err(|e| format!("run: {e}"))?;
    let Root::Search(pipeline) = &query.root else { return Err("not a search".to_owned()) };
    let all = Candidates::With(SpanFilter::All);
    let whole =
        search_with(&snapshot, pipeline, &all, &params, &limits).map_err(|e| e.to_string())?;
    if ids(&whole) != ids(&answer) {
        return Err(format!(
            "the prefilter loses traces: {:?} without it, {:?} with it",
            ids(&whole),
            ids(&answer)
        ));
    }
    Ok((answer, text.to_owned()))
}

fn ids(answer: &SearchAnswer) -> Vec<String> {
    answer.traces.iter().map(|t| short_hex(&t.trace_id)).collect()
}

fn short_hex(bytes: &[u8]) -> String {
    let hex = eval::hex(bytes);
    let short = hex.trim_start_matches('0');
    if short.len() % 2 == 1 && bytes.len() == 16 { format!("0{short}") } else { short.to_owned() }
}

fn searched(store: &Store, text: &str) -> Result<Vec<String>, String> {
    let (answer, query) = search(store, text)?;
    // Attributes are shown where the script asks for them, with select(…).
    let with_attributes = query.contains("select(");
    let mut lines: Vec<String> = answer
        .traces
        .iter()
        .map(|trace| {
            let sets: Vec<String> = trace
                .spansets
                .iter()
                .map(|set| {
                    let spans = set.spans.iter().map(|span| {
                        let id = short_hex(&span.span_id);
                        if with_attributes {
                            format!("{id}{{{}}}", pairs(&span.attributes, " "))
                        } else {
                            id
                        }
                    });
                    let mut words: Vec<String> = spans.collect();
                    if set.matched > set.spans.len() {
                        words.push(format!("of {}", set.matched));
                    }
                    if !set.attributes.is_empty() {
                        words.push(format!("[{}]", pairs(&set.attributes, " ")));
                    }
                    words.join(" ")
                })
                .collect();
            format!("trace {}: {}", short_hex(&trace.trace_id), sets.join(" | "))
        })
        .collect();
    if lines.is_empty() {
        lines.push("none".to_owned());
    }
    Ok(lines)
}

fn pairs(attributes: &[(String, Value<'static>)], between: &str) -> String {
    let shown = |v: &Value<'_>| match v {
        Value::Text(text) => format!("{text:?}"),
        other => other.text(),
    };
    let pairs: Vec<String> = attributes.iter().map(|(k, v)| format!("{k}={}", shown(v))).collect();
    pairs.join(between)
}

fn summaries(store: &Store, text: &str) -> Result<Vec<String>, String> {
    let (answer, _) = search(store, text)?;
    let line = |trace: &traceql::TraceSummary| {
        let services: Vec<String> = trace
            .services
            .iter()
            .map(|(name, s)| format!("{name}={}/{}", s.spans, s.errors))
            .collect();
        format!(
            "{} {} {:?} {} {}",
            short_hex(&trace.trace_id),
            trace.root_service.as_deref().unwrap_or("?"),
            trace.root_name.as_deref().unwrap_or("?"),
            crate::duration::format_go_ns(trace.duration_ns as i64),
            services.join(" ")
        )
    };
    Ok(answer.traces.iter().map(line).collect())
}

fn series(store: &Store, kind: &str, text: &str) -> Result<Vec<String>, String> {
    let (options, text) = options(text);
    let count = if kind == "range" { 3 } else { 2 };
    let words: Vec<&str> = text.splitn(count + 1, ' ').collect();
    let times: Vec<i64> = words[..count].iter().map(|w| parse_duration(w).unwrap()).collect();
    let query = traceql::parse(words[count]).map_err(|e| format!("at {}: {e}", e.span.start))?;
    let tally = Tally::unlimited();
    let limits = Limits::new(&tally);
    let snapshot = store.snapshot();
    let exemplars = options.first().map_or(0, |(_, n)| n.parse().unwrap());
    let answer = if kind == "range" {
        let params =
            MetricsParams { start_ns: times[0], end_ns: times[1], step_ns: times[2], exemplars };
        traceql::metrics_range(&snapshot, &query, &params, &limits)
    } else {
        traceql::metrics_instant(&snapshot, &query, times[0], times[1], &limits)
    };
    let answer = answer.map_err(|e| format!("run: {e}"))?;
    let mut lines = vec![format!("at {}", times_of(&answer))];
    for series in &answer.series {
        let values: Vec<String> = series.values.iter().map(|v| number(*v)).collect();
        let exemplars: Vec<String> = series
            .exemplars
            .iter()
            .map(|e| {
                format!(" #{}/{}@{}", short_hex(&e.trace_id), short_hex(&e.span_id), e.time_ms)
            })
            .collect();
        lines.push(format!(
            "{{{}}} {}{}",
            pairs(&series.labels, " "),
            values.join(" "),
            exemplars.join("")
        ));
    }
    if answer.series.is_empty() {
        lines.push("none".to_owned());
    }
    Ok(lines)
}

fn times_of(answer: &MetricsAnswer) -> String {
    let times: Vec<String> =
        answer.times_ms.iter().map(|ms| crate::duration::format_go_ns(ms * 1_000_000)).collect();
    times.join(" ")
}

/// Six digits tell all the numbers in scripts apart.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "_".to_owned();
    }
    let rounded = (value * 1e6).round() / 1e6;
    rounded.to_string()
}

fn fails(store: &Store, text: &str, expected: &[String]) -> Result<(), String> {
    let [expected] = expected else { return Err("one line says how it fails".to_owned()) };
    let error = match traceql::parse(text).map(|q| q.root) {
        Ok(Root::Metrics(_)) => series(store, "instant", &format!("0s 1h {text}")).err(),
        Ok(Root::Search(_)) => search(store, text).err(),
        Err(e) => Some(format!("at {}: {e}", e.span.start)),
    };
    let Some(error) = error else { return Err("it did not fail".to_owned()) };
    let (place, message) = expected.split_once(": ").ok_or("at N: message")?;
    let (got_place, got_message) = error.split_once(": ").unwrap_or(("", &error));
    if place == got_place && got_message.contains(message) {
        return Ok(());
    }
    Err(format!("expected {expected}\n    but got  {error}"))
}
