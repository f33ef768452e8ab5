//! `trefoil query`: asks a running server in one of the query languages.

mod table;

use std::io::IsTerminal;

use serde_json::Value;
use trefoil_query::duration::parse_prometheus_ms;

use crate::api::Clock;
use crate::args::{self, Exit, Flag, Parsed, Values};
use crate::client::{Answer, Client};
use crate::console::{out, say};
use crate::diagnostic::{self, Language};
use crate::timestamp;
use table::Table;

const USAGE: &str = "query promql|logql|traceql 'EXPR' [FLAGS]";

const FLAGS: &[Flag] = &[
    flag("url", "URL", "http://127.0.0.1:4316", "the server to ask"),
    flag("since", "TIME", "", "how far back; for promql this makes it a range query"),
    flag("from", "WHEN", "", "start of the range: Unix seconds or RFC 3339"),
    flag("to", "WHEN", "", "end of the range, or the moment of an instant query [now]"),
    flag("step", "TIME", "", "distance of the points of a range [a 60th of it]"),
    flag("limit", "N", "100", "lines or traces at most"),
    flag("output", "FORM", "", "-o: table, tsv or json [table on a terminal, else tsv]"),
];

const MORE: &str = "
Without --since or --from promql asks for one moment; the other languages look back one hour.
Exit codes: 0 answered, 1 the server says no, 2 the query or a flag is wrong, 4 no server.";

const fn flag(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    about: &'static str,
) -> Flag {
    Flag { name, value, default, about }
}

/// Runs the verb.
pub(crate) fn run(parser: lexopt::Parser) -> Exit {
    let values = match args::parse(parser, FLAGS, args::environment) {
        Ok(Parsed::Run(values)) => values,
        Ok(Parsed::Help) => {
            out!("{}", args::help(USAGE, FLAGS, MORE));
            return Exit::Success;
        }
        Err(error) => return usage(&error),
    };
    let question = match Question::read(&values) {
        Ok(question) => question,
        Err(error) => return usage(&error),
    };
    if let Err(error) = question.language.check(&question.text) {
        say!("{}", diagnostic::show(&error, &question.text, "query"));
        return Exit::Usage;
    }
    match question.ask() {
        Ok(answer) => question.print(&answer),
        Err(error) => {
            say!(
                "trefoil query: {error}\nIs a server running? Start one with `trefoil serve`, or name it with --url."
            );
            Exit::Unreachable
        }
    }
}

fn usage(error: &str) -> Exit {
    say!("trefoil query: {error}\nSee `trefoil query --help`.");
    Exit::Usage
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Table,
    Tsv,
    Json,
}

struct Question {
    client: Client,
    language: Language,
    text: String,
    /// Unix nanoseconds; `None` for one moment.
    from_ns: Option<i64>,
    to_ns: i64,
    step_ms: i64,
    limit: String,
    form: Form,
}

const HOUR_MS: i64 = 3_600_000;

impl Question {
    fn read(values: &Values) -> Result<Question, String> {
        let [language, text] = &values.words[..] else {
            return Err("a language and a query are expected: query promql 'up'".to_owned());
        };
        let Some(language) = Language::from_name(language) else {
            let hint = args::nearest(language, Language::NAMES);
            return Err(format!("unknown language `{language}`{}", args::did_you_mean(hint)));
        };
        let when = |text: &str| match text {
            "" => Ok(None),
            _ => timestamp::parse(text)
                .map(Some)
                .ok_or("Unix seconds or RFC 3339 is expected".to_owned()),
        };
        let span = |text: &str| match text {
            "" => Ok(None),
            _ => match parse_prometheus_ms(text) {
                Some(ms) if ms > 0 => Ok(Some(ms)),
                _ => Err("a time is expected, e.g. 5m or 1h30m".to_owned()),
            },
        };
        let to_ns = values.read("to", when)?.unwrap_or_else(|| Clock::System.now_ns());
        let since = values.read("since", span)?;
        let default = (language != Language::Promql).then_some(HOUR_MS);
        let from_ns = match (values.read("from", when)?, since.or(default)) {
            (Some(_), _) if since.is_some() => {
                return Err("give --since or --from, not both".to_owned());
            }
            (Some(from), _) => Some(from),
            (None, since) => since.map(|ms| to_ns.saturating_sub(ms.saturating_mul(1_000_000))),
        };
        if from_ns.is_some_and(|from| from >= to_ns) {
            return Err("the range ends before it begins".to_owned());
        }
        let range_ms = from_ns.map_or(0, |from| to_ns.saturating_sub(from) / 1_000_000);
        Ok(Question {
            client: values.read("url", Client::new)?,
            language,
            text: text.clone(),
            from_ns,
            to_ns,
            step_ms: values.read("step", span)?.unwrap_or((range_ms / 60).max(1000)),
            limit: values.read("limit", |text| match text.parse::<u32>() {
                Ok(limit) if limit > 0 => Ok(text.to_owned()),
                _ => Err("a number above 0 is expected".to_owned()),
            })?,
            form: values.read("output", form)?,
        })
    }

    fn ask(&self) -> Result<Answer, String> {
        let seconds = |ns: i64| {
            format!(
                "{}.{:03}",
                ns.div_euclid(1_000_000_000),
                ns.rem_euclid(1_000_000_000) / 1_000_000
            )
        };
        let to = seconds(self.to_ns);
        let from = self.from_ns.map(seconds);
        let step = format!("{}.{:03}", self.step_ms / 1000, self.step_ms % 1000);
        match (self.language, &from) {
            (Language::Promql, None) => {
                self.client.get("/api/v1/query", &[("query", &self.text), ("time", &to)])
            }
            (Language::Promql, Some(from)) => self.client.get(
                "/api/v1/query_range",
                &[("query", &self.text), ("start", from), ("end", &to), ("step", &step)],
            ),
            (Language::Logql, from) => self.client.get(
                "/loki/api/v1/query_range",
                &[
                    ("query", &self.text),
                    ("start", &self.from_ns.unwrap_or(0).to_string()),
                    ("end", &self.to_ns.to_string()),
                    ("step", if from.is_some() { &step } else { "1" }),
                    ("limit", &self.limit),
                ],
            ),
            (Language::Traceql, _) => {
                // Tempo takes whole seconds; the end is rounded up so that nothing is lost.
                let start = self.from_ns.unwrap_or(0).div_euclid(1_000_000_000).to_string();
                let end = (self.to_ns.div_euclid(1_000_000_000) + 1).to_string();
                let parameters =
                    [("q", &*self.text), ("start", &start), ("end", &end), ("limit", &self.limit)];
                self.client.get("/tempo/api/search", &parameters)
            }
        }
    }

    fn print(&self, answer: &Answer) -> Exit {
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 {
            let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
            let error =
                json.as_ref().and_then(|json| json["error"].as_str().or(json["message"].as_str()));
            say!("trefoil query: HTTP {}: {}", answer.status, error.unwrap_or(text.trim()));
            return Exit::Failed;
        }
        if self.form == Form::Json {
            out!("{}", text.trim_end());
            return Exit::Success;
        }
        let Ok(json) = serde_json::from_slice(&answer.body) else {
            say!("trefoil query: {} does not answer like trefoil", self.client.url());
            return Exit::Failed;
        };
        let table = match self.language {
            Language::Traceql => table::traces(&json),
            _ => table::series(&json, self.form == Form::Tsv),
        };
        print(&table, self.form);
        Exit::Success
    }
}

fn form(text: &str) -> Result<Form, String> {
    match text {
        "" if std::io::stdout().is_terminal() => Ok(Form::Table),
        "" | "tsv" => Ok(Form::Tsv),
        "table" => Ok(Form::Table),
        "json" => Ok(Form::Json),
        _ => Err("table, tsv or json is expected".to_owned()),
    }
}

fn print(table: &Table, form: Form) {
    if table.rows.is_empty() {
        say!("nothing found; is the time range right? (--since, --from, --to)");
        return;
    }
    let text = if form == Form::Tsv { table.tsv() } else { table.aligned() };
    out!("{}", text.trim_end());
}
