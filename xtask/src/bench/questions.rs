//! What is asked once a load has settled, and how long the answers take.

use std::process::Command;

use super::loadgen::{Case, Generator, Load, number};
use super::{Figure, folder, post};

/// How often each is asked.
const TIMES: &str = "20";

/// One question; what the best peer took for it on the recorded data, in milliseconds.
pub(super) struct Question {
    pub(super) name: &'static str,
    path: String,
    peer_ms: Option<f64>,
}

/// Asks what is asked of a signal.
pub(super) fn ask(
    generator: &Generator,
    case: &Case,
    load: &Load,
    address: &str,
) -> Result<Vec<Figure>, String> {
    let questions = match case.name {
        "spans" => of_traces(load, address)?,
        "logs" => of_logs(load, address)?,
        _ => of_metrics(load),
    };
    let times = time(generator, &questions, address)?;
    let figure = |(question, ms): (&Question, f64)| Figure {
        peer: question.peer_ms.map(|peer_ms| (case.peer, peer_ms)),
        ..Figure::new(format!("{} · {}", case.name, question.name), ms, "ms")
    };
    Ok(questions.iter().zip(times).map(figure).collect())
}

/// The median of each question in milliseconds.
pub(super) fn time(
    generator: &Generator,
    questions: &[Question],
    address: &str,
) -> Result<Vec<f64>, String> {
    let file = folder()?.join("questions.tsv");
    let line = |q: &Question| format!("{}\thttp://{address}{}\n", q.name, q.path);
    let lines: String = questions.iter().map(line).collect();
    std::fs::write(&file, lines).map_err(|error| format!("{}: {error}", file.display()))?;
    let output = Command::new(&generator.program)
        .args(["query", "--times", TIMES])
        .arg(&file)
        .output()
        .map_err(|error| format!("cannot run loadgen: {error}"))?;
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    questions.iter().map(|question| median(&report, question.name)).collect()
}

/// Reads one question's median from the generator's report, if every answer was good.
fn median(report: &str, name: &str) -> Result<f64, String> {
    let about = report.split_once(&format!("\"{name}\":")).map(|(_, rest)| rest);
    let about = about.ok_or_else(|| format!("nothing about `{name}` in {report}"))?;
    let about = about.split_once('}').map_or(about, |(this, _)| this);
    match (number(about, "failures"), number(about, "p50_ms")) {
        (Some(0.0), Some(ms)) => Ok(ms),
        _ => Err(format!("`{name}` failed: {about}")),
    }
}

fn of_traces(load: &Load, address: &str) -> Result<Vec<Question>, String> {
    let range = format!("start={}&end={}", load.from, load.until + 60);
    let search = |query: &str| format!("/tempo/api/search?{range}&limit=20&q={}", escaped(query));
    let found = text(address, &search("{ resource.service.name = \"checkout\" }"))?;
    let id = between(&found, "\"traceID\":\"", "\"")?;
    let needle = "{ resource.service.name = \"checkout\" && \
                  span.http.response.status_code = 500 && duration > 5ms }";
    let nothing = "{ span.user.id = \"nobody\" }";
    Ok(vec![
        question("trace by id", format!("/tempo/api/traces/{id}"), Some(3.7)),
        question(
            "search by service",
            search("{ resource.service.name = \"checkout\" }"),
            Some(8.3),
        ),
        question("search by service, attribute, duration", search(needle), Some(7.3)),
        question("search for what is nowhere", search(nothing), None),
        question("services", "/jaeger/api/services".to_owned(), None),
        question(
            "rate by service",
            format!(
                "/tempo/api/metrics/query_range?{range}&step=60s&q={}",
                escaped("{ } | rate() by (resource.service.name)")
            ),
            None,
        ),
    ])
}

fn of_logs(load: &Load, address: &str) -> Result<Vec<Question>, String> {
    let range = format!("start={}&end={}", load.from, load.until);
    let all = "{service_name=~\".+\"}";
    let lines = |query: String| {
        format!("/loki/api/v1/query_range?{range}&limit=100&query={}", escaped(&query))
    };
    let middle = (load.from + load.until) / 2;
    let one = format!(
        "/loki/api/v1/query_range?start={}&end={middle}&limit=1&query={}",
        load.from,
        escaped(&format!("{all} |= \"request_id=req-\""))
    );
    let found = text(address, &one)?;
    let id = format!("req-{}", between(&found, "request_id=req-", "\"")?);
    let id = id.get(..20).ok_or("a request id is too short")?;
    let piece = &id[7..17];
    let counted =
        |query: &str| format!("/loki/api/v1/query_range?{range}&step=60&query={}", escaped(query));
    Ok(vec![
        question("needle by word", lines(format!("{all} |= \"{id}\"")), Some(3.0)),
        question("needle by substring", lines(format!("{all} |~ \"{piece}\"")), Some(173.0)),
        question("regular expression, first 100", lines(format!("{all} |~ \"timed? ?out\"")), None),
        question(
            "count by level and minute",
            counted(&format!("sum by (detected_level) (count_over_time({all}[1m]))")),
            Some(48.0),
        ),
        question(
            "phrase by service and minute",
            counted(&format!(
                "sum by (service_name) (count_over_time({all} |= \"request completed\" [1m]))"
            )),
            Some(25.7),
        ),
    ])
}

/// Prometheus is asked the same.
pub(super) fn of_metrics(load: &Load) -> Vec<Question> {
    let range = |query: &str| {
        let Load { from, until, .. } = load;
        format!("/api/v1/query_range?start={from}&end={until}&step=15&query={}", escaped(query))
    };
    let instant =
        |query: &str| format!("/api/v1/query?time={}&query={}", load.until, escaped(query));
    let quantile = "histogram_quantile(0.99, sum by (le, http_route) \
                    (rate(http_server_request_duration_seconds_bucket[5m])))";
    let rate = "sum by (mode) (rate(node_cpu_seconds_total[5m]))";
    vec![
        question("rate, 1 h", range(rate), Some(76.1)),
        question("histogram_quantile, 1 h", range(quantile), Some(180.0)),
        question("count of all", instant("count({__name__=~\".+\"})"), Some(339.0)),
    ]
}

fn question(name: &'static str, path: String, peer_ms: Option<f64>) -> Question {
    Question { name, path, peer_ms }
}

fn text(address: &str, path: &str) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&post::get(address, path)?).into_owned())
}

/// What stands in a text between two others, the first time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Result<&'a str, String> {
    let rest = text.split_once(before).map(|(_, rest)| rest);
    let found = rest.and_then(|rest| rest.split_once(after)).map(|(found, _)| found);
    found.ok_or_else(|| format!("no `{before}` in {text}"))
}

/// A text as a value of a URL's query.
fn escaped(text: &str) -> String {
    text.bytes().map(escaped_byte).collect()
}

fn escaped_byte(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).into(),
        _ => format!("%{byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_questions_that_were_answered() {
        let report = r#"{"a":{"failures":0,"p50_ms":1.5},"b":{"failures":2,"p50_ms":0.0}}"#;
        assert_eq!(median(report, "a"), Ok(1.5));
        assert!(median(report, "b").is_err());
        assert!(median(report, "c").is_err());
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(escaped("{a=\"é\"}"), "%7Ba%3D%22%C3%A9%22%7D");
    }
}
