//! Durations and sizes as LogQL writes them and as log lines contain them.

use crate::duration::{parse_go_ns, parse_prometheus_ms};

/// A duration in a query: Go's form or Prometheus's, in nanoseconds.
pub(crate) fn query_duration_ns(text: &str) -> Option<i64> {
    parse_go_ns(text).or_else(|| parse_prometheus_ms(text).and_then(|ms| ms.checked_mul(1_000_000)))
}

/// A duration in a label value: Go's `time.ParseDuration` and nothing else, in nanoseconds.
pub(crate) fn label_duration_ns(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned.contains('d') { None } else { parse_go_ns(unsigned) }
}

/// A duration as Go prints it: `1h0m0s`, `1.5s`, `250ms`.
pub(crate) fn format_go(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let all = ns.unsigned_abs();
    if all == 0 {
        return "0s".to_owned();
    }
    for (unit, size) in [("ns", 1), ("µs", 1_000), ("ms", 1_000_000)] {
        if all < size * 1_000 {
            return format!("{sign}{}{unit}", fraction(all, size));
        }
    }
    let minutes = all / 60_000_000_000;
    let seconds = fraction(all % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, m) => format!("{sign}{m}m{seconds}s"),
        (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
    }
}

fn fraction(value: u64, unit: u64) -> String {
    let whole = value / unit;
    let part = value % unit;
    if part == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    format!("{whole}.{part:0digits$}").trim_end_matches('0').to_owned()
}

/// A duration as Prometheus writes ranges: `1h30m`, `5m`, `250ms`.
pub(crate) fn format_prometheus(ns: i64) -> String {
    const UNITS: [(&str, i64); 6] = [
        ("w", 604_800_000_000_000),
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ];
    if ns == 0 {
        return "0s".to_owned();
    }
    if ns % 1_000_000 != 0 {
        return format_go(ns);
    }
    let sign = if ns < 0 { "-" } else { "" };
    let mut rest = ns.saturating_abs();
    let mut out = sign.to_owned();
    for (unit, size) in UNITS {
        // A week or a day is only written when nothing is left over, as Prometheus does.
        if (unit == "w" || unit == "d") && rest % size != 0 {
            continue;
        }
        if rest >= size {
            out.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    out
}

/// A size such as `42MB`, `1.5KiB` or `20B`, in bytes; without a unit it is bytes.
/// `kB` is 1000, `KiB` 1024; case does not matter. Source: go-humanize, `ParseBytes`.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')).unwrap_or(text.len());
    let number: f64 = text[..end].replace(',', "").parse().ok()?;
    let unit = text[end..].trim().to_ascii_lowercase();
    let (base, letter) = match unit.as_str() {
        "" | "b" => (1.0, ""),
        _ => match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('i')) {
            Some(letter) => (1024.0, letter),
            None => (1000.0, unit.strip_suffix('b').unwrap_or(&unit)),
        },
    };
    let power = match letter {
        "" if base == 1.0 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    let bytes = number * f64::powi(base, power);
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("42MB", 42_000_000),
            ("1.5KiB", 1536),
            ("20B", 20),
            ("20", 20),
            ("5 MiB", 5 << 20),
            ("3k", 3000),
            ("1G", 1_000_000_000),
            ("1,024 b", 1024),
            ("2tib", 2 << 40),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for bad in ["", "MB", "5XB", "1.2.3B", "-1B", "ib", "5ib"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_print_as_they_are_read() {
        for text in ["1h0m0s", "1.5s", "250ms", "1m0.5s", "100µs", "5ns", "-2s", "0s"] {
            let ns = label_duration_ns(text).expect(text);
            assert_eq!(format_go(ns), text);
        }
        for text in ["5m", "1h30m", "1d", "1w", "250ms", "36h"] {
            let ns = query_duration_ns(text).expect(text);
            let printed = format_prometheus(ns);
            assert_eq!(query_duration_ns(&printed), Some(ns), "{text} {printed}");
        }
        assert_eq!(label_duration_ns("1d"), None);
    }
}
