//! Answers of the APIs as rows.

use serde_json::Value;

use crate::timestamp;

/// Rows with the names of their columns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// One row per line, cells separated by tabs; tabs and line breaks within cells are escaped.
    pub(super) fn tsv(&self) -> String {
        let mut text = self.columns.join("\t");
        text.push('\n');
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| escape(cell)).collect();
            text.push_str(&cells.join("\t"));
            text.push('\n');
        }
        text
    }

    /// Columns below each other.
    pub(super) fn aligned(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| escape(cell).chars().count()).max().unwrap_or(0);
            widest.max(self.columns[column].len())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        let heads = self.columns.iter().map(|name| (*name).to_owned()).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{:<width$}  ", escape(cell)));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Control characters would break the table, or do things to the terminal.
fn escape(cell: &str) -> String {
    cell.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// What Prometheus and Loki answer: vectors, matrices, scalars, log streams.
pub(super) fn series(answer: &Value, every_point: bool) -> Table {
    let data = &answer["data"];
    let empty = Vec::new();
    let result = data["result"].as_array().unwrap_or(&empty);
    match data["resultType"].as_str() {
        Some("streams") => streams(result),
        Some("matrix") if every_point => points(result),
        Some("matrix") => matrix(result),
        Some("scalar" | "string") => {
            let row = vec![String::new(), text(&data["result"][1])];
            Table { columns: vec!["series", "value"], rows: vec![row] }
        }
        _ => {
            let rows = result.iter().map(|one| {
                let value = if one["histogram"].is_null() {
                    text(&one["value"][1])
                } else {
                    histogram(&one["histogram"][1])
                };
                vec![labels(&one["metric"]), value]
            });
            Table { columns: vec!["series", "value"], rows: rows.collect() }
        }
    }
}

/// Each series on one line: its extremes, its last value, and its course as a picture.
fn matrix(result: &[Value]) -> Table {
    let mut table =
        Table { columns: vec!["series", "min", "max", "last", "course"], rows: Vec::new() };
    for one in result {
        let texts: Vec<String> = values(one).iter().map(|point| text(&point[1])).collect();
        let numbers: Vec<f64> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        let (min, max) = numbers
            .iter()
            .filter(|number| number.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), n| (min.min(*n), max.max(*n)));
        let last = match texts.last() {
            Some(last) => last.clone(),
            None => one["histograms"]
                .as_array()
                .and_then(|h| h.last())
                .map_or(String::new(), |h| histogram(&h[1])),
        };
        let extreme =
            |number: f64| if number.is_finite() { number.to_string() } else { String::new() };
        let course = numbers.iter().map(|number| bar(*number, min, max)).collect();
        table.rows.push(vec![labels(&one["metric"]), extreme(min), extreme(max), last, course]);
    }
    table
}

fn bar(number: f64, min: f64, max: f64) -> char {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if !number.is_finite() {
        return ' ';
    }
    let share = if max > min { (number - min) / (max - min) } else { 0.0 };
    BARS[((share * 7.0).round() as usize).min(7)]
}

fn points(result: &[Value]) -> Table {
    let mut table = Table { columns: vec!["series", "time", "value"], rows: Vec::new() };
    for one in result {
        for point in values(one) {
            let time = point[0].as_f64().unwrap_or(0.0);
            let time = timestamp::show((time * 1000.0).round() as i64 * 1_000_000);
            table.rows.push(vec![labels(&one["metric"]), time, text(&point[1])]);
        }
    }
    table
}

fn streams(result: &[Value]) -> Table {
    let mut lines: Vec<(i64, Vec<String>)> = Vec::new();
    for stream in result {
        let labels = labels(&stream["stream"]);
        for entry in values(stream) {
            let time = entry[0].as_str().and_then(|time| time.parse().ok()).unwrap_or(0);
            lines.push((time, vec![timestamp::show(time), text(&entry[1]), labels.clone()]));
        }
    }
    lines.sort_by_key(|(time, _)| *time);
    let rows = lines.into_iter().map(|(_, row)| row).collect();
    Table { columns: vec!["time", "line", "stream"], rows }
}

fn values(one: &Value) -> &[Value] {
    one["values"].as_array().map_or(&[], Vec::as_slice)
}

/// What Tempo answers to a search.
pub(super) fn traces(answer: &Value) -> Table {
    let columns = vec!["trace", "start", "duration", "service", "name"];
    let empty = Vec::new();
    let traces = answer["traces"].as_array().unwrap_or(&empty);
    let rows = traces.iter().map(|trace| {
        let start = text(&trace["startTimeUnixNano"]).parse().unwrap_or(0);
        vec![
            text(&trace["traceID"]),
            timestamp::show(start),
            format!("{} ms", trace["durationMs"].as_u64().unwrap_or(0)),
            text(&trace["rootServiceName"]),
            text(&trace["rootTraceName"]),
        ]
    });
    Table { columns, rows: rows.collect() }
}

fn histogram(histogram: &Value) -> String {
    format!("count {} sum {}", text(&histogram["count"]), text(&histogram["sum"]))
}

/// As a selector is written: `name{label="value"}`.
fn labels(metric: &Value) -> String {
    let Some(metric) = metric.as_object() else { return String::new() };
    let name = metric.get("__name__").map(text).unwrap_or_default();
    let pairs: Vec<String> = metric
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={:?}", text(value)))
        .collect();
    if pairs.is_empty() && !name.is_empty() {
        name
    } else {
        format!("{name}{{{}}}", pairs.join(", "))
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, every_point: bool, expected: &[&str]) {
        let table = series(&serde_json::from_str(answer).unwrap(), every_point);
        assert_eq!(table.aligned().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn answers_become_rows() {
        check(
            r#"{"data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1,"1"]}]}}"#,
            false,
            &["series       value", r#"up{job="a"}  1"#],
        );
    }

    #[test]
    fn a_range_is_drawn_or_listed() {
        let answer = r#"{"data":{"resultType":"matrix","result":[{"metric":{"__name__":"up"},
            "values":[[0,"0"],[60,"7"],[120,"NaN"],[180,"3.5"]]}]}}"#;
        check(answer, false, &["series  min  max  last  course", "up      0    7    3.5   ▁█ ▅"]);
        let table = series(&serde_json::from_str(answer).unwrap(), true);
        assert_eq!(table.tsv().lines().nth(2), Some("up\t1970-01-01T00:01:00.000Z\t7"));
    }

    #[test]
    fn lines_are_merged_by_time_and_cannot_harm_the_terminal() {
        check(
            r#"{"data":{"resultType":"streams","result":[
                {"stream":{"a":"1"},"values":[["2000000000","late\u001b[31m"]]},
                {"stream":{"a":"2"},"values":[["1000000000","early"]]}]}}"#,
            false,
            &[
                "time                      line            stream",
                r#"1970-01-01T00:00:01.000Z  early           {a="2"}"#,
                r#"1970-01-01T00:00:02.000Z  late\u{1b}[31m  {a="1"}"#,
            ],
        );
    }

    #[test]
    fn found_traces_become_rows() {
        let table = traces(
            &serde_json::from_str(
                r#"{"traces":[{"traceID":"ab","rootServiceName":"s","rootTraceName":"n",
                "startTimeUnixNano":"1000000000","durationMs":12}]}"#,
            )
            .unwrap(),
        );
        assert_eq!(table.rows, [["ab", "1970-01-01T00:00:01.000Z", "12 ms", "s", "n"]]);
    }
}
