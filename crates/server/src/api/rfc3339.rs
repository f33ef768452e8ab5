//! Points in time as RFC 3339 writes them: `2026-11-21T00:10:19.5Z`, `…+01:00`.

/// Unix nanoseconds; `None` if the text is no such time or does not fit.
pub(crate) fn parse_ns(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, offset_s) = split_offset(rest)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let valid = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    (seconds - offset_s).checked_mul(1_000_000_000)?.checked_add(nanoseconds(fraction)?)
}

/// The time of day, and its offset from UTC in seconds.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let [hours, minutes] = numbers(&text[at + 1..], ':', [2, 2])?;
    let offset = hours * 3_600 + minutes * 60;
    Some((&text[..at], if text[at..].starts_with('-') { -offset } else { offset }))
}

/// Numbers of exactly these many digits.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut out = [0; N];
    for (value, digits) in out.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *value = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

/// Up to nine digits after the point; more are cut off.
fn nanoseconds(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nine: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    nine.parse().ok()
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts years from March, so that the leap day comes last. Source: Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::parse_ns;

    #[test]
    fn times_to_unix_nanoseconds() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2017-01-26T15:46:31.639875Z", Some(1_485_445_591_639_875_000)),
            ("2017-01-26T16:46:31.639875+01:00", Some(1_485_445_591_639_875_000)),
            ("2000-02-29t23:59:59.999999999z", Some(951_868_799_999_999_999)),
            ("1969-12-31T23:59:59Z", Some(-1_000_000_000)),
            ("2026-11-21T00:10:19-00:30", Some(1_795_221_619_000_000_000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-21", None),
            ("2026-11-21T24:00:00Z", None),
            ("2026-11-21T00:00:00", None),
            ("2026-11-21T0:00:00Z", None),
            ("9999-12-31T00:00:00Z", None),
            ("2026-11-21T00:00:00.5x", None),
            ("é026-11-21T00:00:00Z", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_ns(text), expected, "{text}");
        }
    }
}
