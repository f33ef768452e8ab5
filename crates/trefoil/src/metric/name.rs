//! Names of metrics and labels as Prometheus has them.
//!
//! Source: "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry specification;
//! where a declared name already says its unit, it stays as it stands.

use super::declare::Definition;
use super::family::Kind;

/// The name of a metric family as OpenMetrics has it: a counter's without `_total`. And its
/// unit if the name ends in it, else nothing.
pub(super) fn family_name(definition: &Definition, kind: Kind) -> (String, String) {
    let mut name = sanitize(&definition.name, true);
    if kind == Kind::Counter
        && let Some(base) = name.strip_suffix("_total")
    {
        name.truncate(base.len());
    }
    let unit = unit_word(&definition.unit, kind);
    if unit.is_empty() {
        return (name, unit);
    }
    if !says(&name, &unit) {
        name.push('_');
        name.push_str(&unit);
    }
    let ends = name.strip_suffix(&*unit).is_some_and(|rest| rest.ends_with('_'));
    (name, if ends { unit } else { String::new() })
}

pub(super) fn label_name(name: &str) -> String {
    sanitize(name, false)
}

/// Letters, digits, underscores, for metrics also colons; no digit first.
fn sanitize(name: &str, colon: bool) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    let mut clean: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    if !clean.starts_with(|c: char| !c.is_ascii_digit()) {
        clean.insert(0, '_');
    }
    clean
}

/// Whether the name has the unit as words of its own.
fn says(name: &str, unit: &str) -> bool {
    name.match_indices(unit).any(|(at, _)| {
        let before = name[..at].chars().next_back();
        let after = name[at + unit.len()..].chars().next();
        before.is_none_or(|c| c == '_') && after.is_none_or(|c| c == '_')
    })
}

/// UCUM's abbreviation as the words that Prometheus uses.
fn unit_word(unit: &str, kind: Kind) -> String {
    if unit == "1" {
        return if kind == Kind::Gauge { "ratio".to_owned() } else { String::new() };
    }
    let word = match unit.split_once('/') {
        Some((of, per)) => {
            let per = per_word(per);
            let of = simple_word(of);
            if per.is_empty() {
                of
            } else if of.is_empty() {
                format!("per_{per}")
            } else {
                format!("{of}_per_{per}")
            }
        }
        None => simple_word(unit),
    };
    word.trim_matches('_').to_owned()
}

fn simple_word(unit: &str) -> String {
    let known = match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tebibytes",
        "KBy" | "kBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "bit" => "bits",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        "1" => "",
        // What is counted, in braces, is no unit.
        _ if unit.starts_with('{') => "",
        other => return sanitize_unit(other),
    };
    known.to_owned()
}

fn sanitize_unit(unit: &str) -> String {
    unit.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn per_word(unit: &str) -> String {
    match unit {
        "s" => "second".to_owned(),
        "m" | "min" => "minute".to_owned(),
        "h" => "hour".to_owned(),
        "d" => "day".to_owned(),
        "w" => "week".to_owned(),
        "mo" => "month".to_owned(),
        "y" => "year".to_owned(),
        other => simple_word(other),
    }
}

/// What is against the customs of Prometheus's names, with what to do about it.
///
/// Source: "Metric and label naming" of prometheus.io.
pub(super) fn problems(definition: &Definition, kind: Kind) -> Vec<String> {
    let name = &*definition.name;
    let mut problems = Vec::new();
    // Names with dots are those of OpenTelemetry, which get `_total` on the way.
    let is_dotted = name.contains('.');
    match (kind, name.ends_with("_total")) {
        (Kind::Counter, false) if !is_dotted => {
            problems.push("a counter's name ends in _total: append it".to_owned());
        }
        (Kind::Gauge | Kind::UpDownCounter | Kind::Histogram, true) => {
            problems.push("only a counter's name ends in _total: leave it out".to_owned());
        }
        _ => {}
    }
    if let Some(other) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.".contains(*c))) {
        problems.push(format!("{other:?} becomes an underscore: letters, digits, _ and . stay"));
    }
    if name.chars().any(|c| c.is_ascii_uppercase()) {
        problems.push("capitals: write words in small letters, with underscores".to_owned());
    }
    for reserved in ["_count", "_sum", "_bucket", "_created"] {
        if name.ends_with(reserved) {
            problems.push(format!("{reserved} is what histograms append: choose another ending"));
        }
    }
    let base = match &*definition.unit {
        "ms" | "us" | "ns" | "min" | "h" | "d" => "s",
        "KiBy" | "MiBy" | "GiBy" | "TiBy" | "kBy" | "KBy" | "MBy" | "GBy" | "TBy" | "bit" => "By",
        "%" => "1",
        _ => "",
    };
    if !base.is_empty() {
        problems.push(format!("unit {:?}: measure in {base:?}", definition.unit));
    }
    if definition.description.trim().is_empty() {
        problems.push("no description: say what it means".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Buckets;

    #[test]
    fn names_follow_prometheus_and_declared_ones_stand() {
        let check = |name: &'static str, unit: &'static str, kind: Kind, expect: (&str, &str)| {
            let definition = Definition::declared(name, "", unit, ("", ""), Buckets::Default);
            let (name, unit) = family_name(&definition, kind);
            assert_eq!((&*name, &*unit), expect, "{definition:?}");
        };
        use Kind::*;
        check(
            "http.server.request.duration",
            "s",
            Histogram,
            ("http_server_request_duration_seconds", "seconds"),
        );
        check(
            "metald_vm_operation_duration_seconds",
            "s",
            Histogram,
            ("metald_vm_operation_duration_seconds", "seconds"),
        );
        check("hypeman_exec_bytes_sent_total", "By", Counter, ("hypeman_exec_bytes_sent", ""));
        check("hypeman_volumes_used_bytes", "By", Gauge, ("hypeman_volumes_used_bytes", "bytes"));
        check("process.cpu.time", "s", Counter, ("process_cpu_time_seconds", "seconds"));
        check(
            "http.server.active_requests",
            "{request}",
            UpDownCounter,
            ("http_server_active_requests", ""),
        );
        check("cpu.utilization", "1", Gauge, ("cpu_utilization_ratio", "ratio"));
        check("requests_total", "1", Counter, ("requests", ""));
        check("hypeman_images_total", "", Gauge, ("hypeman_images_total", ""));
        check("net.speed", "By/s", Gauge, ("net_speed_bytes_per_second", "bytes_per_second"));
        check("2xx", "", Counter, ("_2xx", ""));
        check(
            "milliseconds_of_something",
            "s",
            Gauge,
            ("milliseconds_of_something_seconds", "seconds"),
        );
    }

    #[test]
    fn s12_names_against_custom_are_told() {
        let check = |name: &'static str, unit: &'static str, kind: Kind, expect: &[&str]| {
            let definition = Definition::declared(name, "D.", unit, ("", ""), Buckets::Default);
            let problems = problems(&definition, kind);
            assert_eq!(problems.len(), expect.len(), "{name}: {problems:?}");
            for (problem, part) in problems.iter().zip(expect) {
                assert!(problem.contains(part), "{name}: {problem}");
            }
        };
        use Kind::*;
        check("jobs_total", "", Counter, &[]);
        check("http.server.requests", "{request}", Counter, &[]);
        check("jobs", "", Counter, &["append it"]);
        check("images_total", "", Gauge, &["leave it out"]);
        check("jobDuration", "ms", Histogram, &["capitals", "measure in \"s\""]);
        check("queue_count", "", Gauge, &["_count"]);
        check("queue-length", "", Gauge, &["'-'"]);
    }
}
