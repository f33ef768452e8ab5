//! The name a metric gets in Prometheus's world.
//!
//! Source of the rules: OpenTelemetry specification, "Prometheus and OpenMetrics
//! Compatibility", and what Prometheus's own OTLP endpoint does by default
//! (translation strategy `UnderscoreEscapingWithSuffixes`).

/// What the name depends on besides the metric's own name and unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A monotonic sum.
    Counter,
    /// A gauge.
    Gauge,
    /// Anything else: histograms, summaries, sums that go both ways.
    Other,
}

/// UCUM units and the words Prometheus has for them.
const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// Units after a slash, in the singular. `m` is a minute here: so does Prometheus.
const PER_UNITS: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// Translates a name; `None` if nothing valid is left of it.
pub(crate) fn translate(name: &str, unit: &str, shape: Shape) -> Option<String> {
    let mut words: Vec<&str> = split(name).collect();
    let (main, per) = unit_words(unit);
    let had_main = words.contains(&main.as_str());
    let had_per = words.contains(&per.as_str());
    if !main.is_empty() && !had_main {
        words.push(&main);
    }
    if !per.is_empty() && !had_per {
        words.push(&per);
    }
    let suffix = match shape {
        Shape::Counter => Some("total"),
        Shape::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(suffix) = suffix {
        words.retain(|word| *word != suffix);
        words.push(suffix);
    }
    let name = words.join("_");
    match name.as_bytes().first() {
        None => None,
        Some(first) if first.is_ascii_digit() => Some(format!("_{name}")),
        Some(_) => Some(name),
    }
}

/// The unit as it would appear in a name, e.g. `seconds` or `bytes_per_second`.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = match unit.split_once('/') {
        Some((main, per)) => (main.trim(), per.trim()),
        None => (unit.trim(), ""),
    };
    let word = |unit: &str, table: &[(&str, &str)]| match table.iter().find(|(u, _)| *u == unit) {
        Some((_, word)) => (*word).to_owned(),
        // A unit in braces is an annotation, not a unit.
        None if unit.contains(['{', '}']) => String::new(),
        None => split(unit).collect::<Vec<_>>().join("_"),
    };
    let per = word(per, PER_UNITS);
    (word(main, UNITS), if per.is_empty() { per } else { format!("per_{per}") })
}

/// The runs of characters a metric name may have; what lies between becomes one `_`.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prometheus() {
        let check = |name: &str, unit: &str, shape: Shape, expected: &str| {
            let translated = translate(name, unit, shape);
            assert_eq!(translated.as_deref().unwrap_or(""), expected, "{name} {unit} {shape:?}");
        };
        use Shape::{Counter, Gauge, Other};
        check("http.server.request.duration", "s", Other, "http_server_request_duration_seconds");
        check("http.server.active_requests", "{request}", Other, "http_server_active_requests");
        check("system.filesystem.usage", "By", Gauge, "system_filesystem_usage_bytes");
        check("system.io", "By", Counter, "system_io_bytes_total");
        check("requests", "1", Counter, "requests_total");
        check("requests_total", "", Counter, "requests_total");
        check("total.requests", "", Counter, "requests_total");
        check("cpu.utilization", "1", Gauge, "cpu_utilization_ratio");
        check("cpu.utilization", "1", Other, "cpu_utilization");
        check("cpu_ratio", "1", Gauge, "cpu_ratio");
        check("disk.speed", "By/s", Gauge, "disk_speed_bytes_per_second");
        check("disk.speed", "{operation}/s", Gauge, "disk_speed_per_second");
        check("disk.speed", "By/{thing}", Gauge, "disk_speed_bytes");
        check("speed.km", "km/h", Gauge, "speed_km_per_hour");
        check("job.duration_seconds", "s", Other, "job_duration_seconds");
        check("queue.size", "packets", Gauge, "queue_size_packets");
        check("(lambda).function.executions(#)", "", Other, "lambda_function_executions");
        check("a__b", "", Other, "a_b");
        check("2xx", "", Other, "_2xx");
        check("ns:recorded", "", Other, "ns:recorded");
        check("übermaß", "%", Gauge, "berma_percent");
        check("...", "", Other, "");
        check("", "", Counter, "total");
    }
}
