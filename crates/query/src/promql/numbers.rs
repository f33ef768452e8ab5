//! Numbers as Go prints them, which is what Prometheus answers with.

/// Without exponent and with as few digits as tell it apart: label values of
/// `count_values`, numbers in messages.
#[must_use]
pub fn plain(value: f64) -> String {
    special(value).unwrap_or_else(|| format!("{value}"))
}

/// As samples stand in JSON: with an exponent below 1e-6 and from 1e21 on.
#[must_use]
pub fn json(value: f64) -> String {
    let abs = value.abs();
    if abs != 0.0 && !(1e-6..1e21).contains(&abs) {
        return special(value).unwrap_or_else(|| exponent(value));
    }
    plain(value)
}

/// Go's `%g`: with an exponent below 1e-4 and from 1e21 on.
pub(crate) fn general(value: f64) -> String {
    let abs = value.abs();
    if abs != 0.0 && !(1e-4..1e21).contains(&abs) {
        return special(value).unwrap_or_else(|| exponent(value));
    }
    plain(value)
}

/// As label values that hold numbers: whole ones with `.0`.
pub(crate) fn open_metrics(value: f64) -> String {
    let text = general(value);
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') { text + ".0" } else { text }
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        return Some("NaN".to_owned());
    }
    value.is_infinite().then(|| if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
}

/// Rust writes `1.5e-7`, Go `1.5e-07`.
fn exponent(value: f64) -> String {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_like_gos() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-07"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (-2.5e300, "-2.5e+300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(json(value), text);
        }
        assert_eq!(open_metrics(1.0), "1.0");
        assert_eq!(open_metrics(0.5), "0.5");
        assert_eq!(general(0.00001), "1e-05");
        assert_eq!(plain(1e21), "1000000000000000000000");
    }
}
