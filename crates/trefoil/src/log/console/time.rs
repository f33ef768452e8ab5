//! Times as text, in UTC.

use std::fmt::Write;

/// `2026-11-25T18:40:00.123456Z` (RFC 3339).
pub(super) fn rfc3339(out: &mut String, time_ns: u64) {
    let (year, month, day) = date(time_ns / (86_400 * 1_000_000_000));
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T");
    clock(out, time_ns);
    let _ = write!(out, ".{:06}Z", time_ns / 1_000 % 1_000_000);
}

/// `18:40:00`
pub(super) fn clock(out: &mut String, time_ns: u64) {
    let second = time_ns / 1_000_000_000 % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
}

/// Year, month, day of the Gregorian calendar, from days since 1970.
///
/// Counts years from March, so that the leap day is the last of its year, and in cycles of
/// 400 years (146 097 days).
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    // Days from March 1st of the year 0 to January 1st 1970.
    let days = days_since_1970 + 719_468;
    let day = days % 146_097;
    let year_of_cycle = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Months from March, in which 153 days are five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = days / 146_097 * 400 + year_of_cycle + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_those_of_the_calendar() {
        let check = |seconds: u64, expect: &str| {
            let mut text = String::new();
            super::rfc3339(&mut text, seconds * 1_000_000_000 + 1_500);
            assert_eq!(text, expect, "{seconds}");
        };
        // `date -u -d @SECONDS` says the same.
        check(0, "1970-01-01T00:00:00.000001Z");
        check(951_782_399, "2000-02-28T23:59:59.000001Z");
        check(951_782_400, "2000-02-29T00:00:00.000001Z");
        check(951_868_800, "2000-03-01T00:00:00.000001Z");
        check(1_709_164_800, "2024-02-29T00:00:00.000001Z");
        check(1_735_689_599, "2024-12-31T23:59:59.000001Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000001Z");
    }
}
