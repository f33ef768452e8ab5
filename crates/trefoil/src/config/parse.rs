//! Texts of variables to values. An error says what was expected, as `expected …`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// `true` and `false` in any case. The specification counts everything else as false and
/// asks for a warning; so a default of true stays true only if nothing is said.
pub(super) fn standard_bool(text: &str) -> Result<bool, String> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err("expected true or false".to_owned())
    }
}

/// What Go's `strconv.ParseBool` takes, which the documents' services use, and yes and no.
pub(super) fn bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "yes" | "on" => Ok(true),
        "0" | "f" | "false" | "no" | "off" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

pub(super) fn whole<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number, not negative".to_owned())
}

/// A number of things of which there must be one at least.
pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number, 1 or more".to_owned()),
        Ok(value) => Ok(value),
    }
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "expected a port, 0 to 65535".to_owned())
}

/// A share of traces.
pub(super) fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0.0 to 1.0".to_owned()),
    }
}

/// Milliseconds, as all durations of the specification's variables.
pub(super) fn millis(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(value) => Ok(Duration::from_millis(value)),
        Err(_) => Err("expected milliseconds, as 5000".to_owned()),
    }
}

/// A timeout in milliseconds, where 0 means that there is none.
pub(super) fn timeout_millis(text: &str) -> Result<Duration, String> {
    let value = millis(text)?;
    Ok(if value.is_zero() { Duration::MAX } else { value })
}

/// An interval in milliseconds, which 0 would make a busy loop.
pub(super) fn interval_millis(text: &str) -> Result<Duration, String> {
    match millis(text)? {
        Duration::ZERO => Err("expected milliseconds, 1 or more".to_owned()),
        value => Ok(value),
    }
}

/// `250ms`, `1.5s`, `2m`, or plain milliseconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "" | "ms" => 1e-3,
        "us" => 1e-6,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(EXPECTED_DURATION.to_owned()),
    };
    let number = number.parse::<f64>().map_err(|_| EXPECTED_DURATION)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| EXPECTED_DURATION.to_owned())
}

const EXPECTED_DURATION: &str = "expected a duration, as 250ms, 1.5s or 2m";

/// Bytes, as `16777216`, `16MiB` or `16MB`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1_usize,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        _ => return Err(EXPECTED_BYTES.to_owned()),
    };
    let number = number.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| EXPECTED_BYTES.to_owned())
}

const EXPECTED_BYTES: &str = "expected a size, as 16777216 or 16MiB";

/// Where to listen. Names are not looked up: that may take a resolver's whole timeout.
pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| "expected an IP address or localhost".to_owned())
}

/// Names between commas.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// `key=value,key2=value2`, percent-encoded: W3C baggage without properties, the format of
/// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS`.
///
/// The specification says of resource attributes that an error discards all of them.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (index, member) in text.split(',').map(str::trim).enumerate() {
        if member.is_empty() {
            continue;
        }
        let position = index + 1;
        let Some((key, value)) = member.split_once('=') else {
            return Err(format!(
                "expected key=value between commas, and entry {position} has no ="
            ));
        };
        let key = percent_decode(key.trim())
            .filter(|key| !key.is_empty())
            .ok_or_else(|| format!("entry {position} has a key that is empty or badly encoded"))?;
        let value = percent_decode(value.trim())
            .ok_or_else(|| format!("the value of entry {position} is badly percent-encoded"))?;
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => pairs.push((key, value)),
        }
    }
    Ok(pairs)
}

/// `None` for bytes that are no UTF-8 or `%` without two digits.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

/// Headers whose names and values HTTP allows.
pub(super) fn headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut headers = pairs(text)?;
    for (index, (name, value)) in headers.iter_mut().enumerate() {
        name.make_ascii_lowercase();
        http::HeaderName::try_from(name.as_str())
            .map_err(|_| format!("header {} has a name that HTTP does not allow", index + 1))?;
        // TRAP: the value is a secret and is not repeated.
        http::HeaderValue::try_from(value.as_str())
            .map_err(|_| format!("header {name} has a value that HTTP does not allow"))?;
    }
    Ok(headers)
}

/// A level as the documents write it, to one of `tracing`'s.
pub(super) fn level(text: &str) -> Result<&'static str, String> {
    match text.to_ascii_lowercase().as_str() {
        "trace" => Ok("trace"),
        "debug" => Ok("debug"),
        "info" | "information" => Ok("info"),
        "warn" | "warning" => Ok("warn"),
        // `tracing` has nothing above ERROR.
        "error" | "fatal" | "critical" => Ok("error"),
        "off" | "none" => Ok("off"),
        _ => Err("expected trace, debug, info, warn, error or off".to_owned()),
    }
}
