//! Parts of dates, UTC.

use super::Func;

const DAY: i64 = 86_400;

/// Whether the function is of this family.
pub(super) fn is_date(function: Func) -> bool {
    matches!(
        function,
        Func::Year
            | Func::Month
            | Func::DayOfMonth
            | Func::DayOfWeek
            | Func::DayOfYear
            | Func::DaysInMonth
            | Func::Hour
            | Func::Minute
    )
}

/// One part of the date at a Unix time in seconds; fractions are cut off.
pub(super) fn date_part(function: Func, seconds: f64) -> f64 {
    // Beyond this no calendar makes sense, and the arithmetic below would overflow.
    if !seconds.is_finite() || seconds.abs() > 1e15 {
        return f64::NAN;
    }
    let seconds = seconds as i64;
    let days = seconds.div_euclid(DAY);
    let of_day = seconds.rem_euclid(DAY);
    let (year, month, day) = civil(days);
    (match function {
        Func::Year => year,
        Func::Month => month,
        Func::DayOfMonth => day,
        // 1970-01-01 was a Thursday; Sunday is 0.
        Func::DayOfWeek => (days + 4).rem_euclid(7),
        Func::DayOfYear => days - days_before(year, 1, 1) + 1,
        Func::DaysInMonth => {
            let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            days_before(next_year, next, 1) - days_before(year, month, 1)
        }
        Func::Hour => of_day / 3600,
        _ => of_day % 3600 / 60,
    }) as f64
}

/// Year, month and day of a day since 1970. Years begin in March here, so that the leap
/// day is the last one. Source: H. Hinnant, "chrono-compatible low-level date algorithms".
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days from 1970-01-01 to a date. Same source.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_round_trip() {
        for days in (-1_000_000..1_000_000).step_by(97) {
            let (year, month, day) = civil(days);
            assert_eq!(days_before(year, month, day), days, "{year}-{month}-{day}");
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(11_016), (2000, 2, 29));
    }
}
