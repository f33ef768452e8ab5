//! Durations as the three languages write them.

/// Parses Prometheus's form (`1h30m`, units `y w d h m s ms`, each at most once and in
/// this order) into milliseconds. Source: Prometheus, "Time Durations".
#[must_use]
pub fn parse_prometheus_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: i64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = rest.split_at(letters);
        let at = UNITS.iter().position(|(name, _)| *name == unit)?;
        if at < next_unit {
            return None;
        }
        next_unit = at + 1;
        total = total.checked_add(number.checked_mul(UNITS[at].1)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// Parses Go's form (`1.5s`, `100us`, `1h2m`, units `h m s ms us µs ns`; `d` as well,
/// which Loki and Tempo allow) into nanoseconds.
#[must_use]
pub fn parse_go_ns(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 9] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("μs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
        ("d", 86400e9),
    ];
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(tail) => (true, tail),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, tail) = rest.split_at(end);
        total += number * UNITS.iter().find(|(name, _)| *name == unit)?.1;
        rest = tail;
    }
    let total = if negative { -total } else { total };
    (total.abs() < i64::MAX as f64).then_some(total.round() as i64)
}

/// Writes nanoseconds in Go's form: `1h2m3.5s`, `250ms`, `1.5µs`, `0s`.
/// Source: Go, `time.Duration.String`.
#[must_use]
pub fn format_go_ns(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let abs = ns.unsigned_abs();
    let small = match abs {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{sign}{abs}ns"),
        1_000..1_000_000 => Some((1_000, "µs")),
        1_000_000..1_000_000_000 => Some((1_000_000, "ms")),
        _ => None,
    };
    if let Some((unit, name)) = small {
        return format!("{sign}{}{name}", decimal(abs, unit));
    }
    let seconds = decimal(abs % 60_000_000_000, 1_000_000_000);
    let minutes = abs / 60_000_000_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, m) => format!("{sign}{m}m{seconds}s"),
        (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
    }
}

/// `value / unit` with no more digits than needed; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_durations() {
        let ms = parse_prometheus_ms;
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("5m"), Some(300_000));
        assert_eq!(ms("1ms"), Some(1));
        assert_eq!(ms("1y2w3d4h5m6s7ms"), Some(33_019_506_007));
        for bad in ["", "5", "m", "1m1h", "1m1m", "1.5h", "-1m", "1x"] {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn go_durations() {
        let ns = parse_go_ns;
        assert_eq!(ns("1.5s"), Some(1_500_000_000));
        assert_eq!(ns("-2h45m"), Some(-9_900_000_000_000));
        assert_eq!(ns("100µs"), Some(100_000));
        assert_eq!(ns("1d"), Some(86_400_000_000_000));
        for bad in ["", "1", "s", "1.2.3s", "1y"] {
            assert_eq!(ns(bad), None, "{bad}");
        }
    }

    #[test]
    fn go_durations_are_written_as_go_does() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (2_000_000, "2ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (3_723_000_000_001, "1h2m3.000000001s"),
            (-250_000_000, "-250ms"),
        ];
        for (ns, text) in cases {
            assert_eq!(format_go_ns(ns), text);
            assert_eq!(parse_go_ns(text), Some(ns), "{text}");
        }
    }
}
