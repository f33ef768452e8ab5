//! Times as people write them.

use crate::api::rfc3339;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Reads Unix seconds (`1795219200`, `1795219200.5`) or RFC 3339
/// (`2026-11-21T00:00:00Z`, with an offset and a fraction if need be) into Unix
/// nanoseconds.
pub(crate) fn parse(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.abs() < 9.2e9).then_some((seconds * 1e9) as i64);
    }
    rfc3339::parse_ns(text)
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn show(time_ns: i64) -> String {
    let millis = time_ns.div_euclid(1_000_000);
    let (seconds, millis) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    let (days, clock) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar. A year begins
/// in March here, so that the leap day is its last.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown() {
        for (text, shown) in [
            ("2026-11-21T00:00:00Z", "2026-11-21T00:00:00.000Z"),
            ("2026-11-21T01:30:00.25+01:30", "2026-11-21T00:00:00.250Z"),
            ("2024-02-29 23:59:59Z", "2024-02-29T23:59:59.000Z"),
            ("1795219200", "2026-11-21T00:00:00.000Z"),
            ("0", "1970-01-01T00:00:00.000Z"),
            ("-1", "1969-12-31T23:59:59.000Z"),
            ("2000-03-01T00:00:00-00:01", "2000-03-01T00:01:00.000Z"),
        ] {
            assert_eq!(parse(text).map(show).as_deref(), Some(shown), "{text}");
        }
        for bad in [
            "",
            "now",
            "2026-11-21",
            "2026-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "1e99",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
