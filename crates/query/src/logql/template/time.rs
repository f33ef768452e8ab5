//! Dates: Go's layouts, and the functions that Loki documents. All times are UTC: a query
//! has no time zone of its own, and other zones are refused.

use super::value::Value;
use crate::logql::units::label_duration_ns;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
/// Go's zero time, 0001-01-01, in Unix nanoseconds.
const ZERO: i128 = -62_135_596_800 * SECOND;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Calls a function of this file; `None` if there is none of this name and arity.
pub(super) fn call(name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    Some(match (name, arguments) {
        ("date", [layout, value]) => {
            instant(value).map(|ns| Value::Text(format(&layout.text(), ns)))
        }
        // As in Loki, a text that does not fit the layout is the zero time.
        ("toDate", [layout, text]) => {
            Ok(Value::Time(parse(&layout.text(), &text.text()).unwrap_or(ZERO)))
        }
        ("toDateInZone", [layout, zone, text]) => match zone.text().as_str() {
            "UTC" | "" | "Local" | "GMT" | "Etc/UTC" => {
                Ok(Value::Time(parse(&layout.text(), &text.text()).unwrap_or(ZERO)))
            }
            other => Err(format!("time zone {other:?} is not supported, use UTC")),
        },
        ("unixEpoch", [value]) => epoch(value, SECOND),
        ("unixEpochMillis", [value]) => epoch(value, 1_000_000),
        ("unixEpochNanos", [value]) => epoch(value, 1),
        ("unixToTime", [value]) => unix_to_time(&value.text()),
        ("duration" | "duration_seconds", [value]) => {
            let text = value.text();
            label_duration_ns(&text)
                .map(|ns| Value::Float(ns as f64 / 1e9))
                .ok_or_else(|| format!("invalid duration {text:?}"))
        }
        _ => return None,
    })
}

fn instant(value: &Value) -> Result<i128, String> {
    match value {
        Value::Time(ns) => Ok(*ns),
        Value::Int(seconds) => Ok(i128::from(*seconds) * SECOND),
        other => Err(format!("{} is not a time", other.text())),
    }
}

fn epoch(value: &Value, unit: i128) -> Result<Value, String> {
    match value {
        Value::Time(ns) => Ok(Value::Text(ns.div_euclid(unit).to_string())),
        other => Err(format!("{} is not a time", other.text())),
    }
}

/// The number of digits tells the unit, as in Loki.
fn unix_to_time(text: &str) -> Result<Value, String> {
    let number: i128 =
        text.parse().map_err(|_| format!("unable to parse time {text:?}: not a number"))?;
    let unit = match text.len() {
        5 => DAY,
        10 => SECOND,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => {
            return Err(format!(
                "unable to parse time {text:?}: expected 5, 10, 13, 16 or 19 digits"
            ));
        }
    };
    Ok(Value::Time(number * unit))
}

/// As Go's `Time.String`.
pub(super) fn default_text(ns: i128) -> String {
    format("2006-01-02 15:04:05.999999999 -0700 MST", ns)
}

/// A calendar date and time of day.
#[derive(Clone, Copy)]
struct Civil {
    year: i128,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    weekday: usize,
    yearday: u32,
}

/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil(ns: i128) -> Civil {
    let days = ns.div_euclid(DAY);
    let rest = ns.rem_euclid(DAY);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let doe = shifted.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    let year = yoe + era * 400 + i128::from(month <= 2);
    let seconds = (rest / SECOND) as u32;
    Civil {
        year,
        month,
        day,
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        nanos: (rest % SECOND) as u32,
        weekday: (days + 4).rem_euclid(7) as usize,
        yearday: (days - days_from_civil(year, 1, 1) + 1) as u32,
    }
}

fn days_from_civil(year: i128, month: u32, day: u32) -> i128 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let month = i128::from(month);
    let mp = if month > 2 { month - 3 } else { month + 9 };
    let doy = (153 * mp + 2) / 5 + i128::from(day) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// The elements of a layout, longest first where one starts another.
const ELEMENTS: [&str; 31] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "-07:00:00",
    "-07:00",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z07:00",
    "Z0700",
    "Z07",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    "__2",
    "_2",
    "1",
    "2",
    "3",
    "4",
    "5",
];

/// The next element of a layout with the text before it and what follows.
fn next_element(layout: &str) -> (&str, Option<&str>, &str) {
    for (at, _) in layout.char_indices() {
        let rest = &layout[at..];
        // `_2006` is an underscore and a year.
        if rest.starts_with("_2006") {
            continue;
        }
        if let Some(len) = fraction(rest) {
            return (&layout[..at], Some(&rest[..len]), &rest[len..]);
        }
        if let Some(element) = ELEMENTS.iter().find(|element| rest.starts_with(**element)) {
            // "Jan" must not be the start of "Janet".
            let word = matches!(*element, "Jan" | "Mon")
                && rest[3..].starts_with(|c: char| c.is_ascii_lowercase());
            if !word {
                return (&layout[..at], Some(&rest[..element.len()]), &rest[element.len()..]);
            }
        }
    }
    (layout, None, "")
}

/// `.000` or `,999` not followed by another digit.
fn fraction(rest: &str) -> Option<usize> {
    let digits = rest.strip_prefix(['.', ','])?;
    let first = digits.bytes().next().filter(|b| matches!(b, b'0' | b'9'))?;
    let len = digits.bytes().take_while(|b| *b == first).count();
    let ends = !digits[len..].starts_with(|c: char| c.is_ascii_digit());
    ends.then_some(1 + len)
}

/// Formats a time by a Go layout.
fn format(layout: &str, ns: i128) -> String {
    let t = civil(ns);
    let mut out = String::new();
    let mut rest = layout;
    while !rest.is_empty() {
        let (before, element, after) = next_element(rest);
        out.push_str(before);
        rest = after;
        let Some(element) = element else { break };
        let hour12 = (t.hour + 11) % 12 + 1;
        let text = match element {
            "2006" => format!("{:04}", t.year),
            "06" => format!("{:02}", t.year.rem_euclid(100)),
            "January" => MONTHS[t.month as usize - 1].to_owned(),
            "Jan" => MONTHS[t.month as usize - 1][..3].to_owned(),
            "01" => format!("{:02}", t.month),
            "1" => t.month.to_string(),
            "Monday" => WEEKDAYS[t.weekday].to_owned(),
            "Mon" => WEEKDAYS[t.weekday][..3].to_owned(),
            "02" => format!("{:02}", t.day),
            "_2" => format!("{:2}", t.day),
            "2" => t.day.to_string(),
            "002" => format!("{:03}", t.yearday),
            "__2" => format!("{:3}", t.yearday),
            "15" => format!("{:02}", t.hour),
            "03" => format!("{hour12:02}"),
            "3" => hour12.to_string(),
            "04" => format!("{:02}", t.minute),
            "4" => t.minute.to_string(),
            "05" => format!("{:02}", t.second),
            "5" => t.second.to_string(),
            "PM" => if t.hour >= 12 { "PM" } else { "AM" }.to_owned(),
            "pm" => if t.hour >= 12 { "pm" } else { "am" }.to_owned(),
            "MST" => "UTC".to_owned(),
            "-07:00:00" => "+00:00:00".to_owned(),
            "-07:00" => "+00:00".to_owned(),
            "-0700" => "+0000".to_owned(),
            "-07" => "+00".to_owned(),
            "Z07:00:00" | "Z07:00" | "Z0700" | "Z07" => "Z".to_owned(),
            fraction => fraction_text(fraction, t.nanos),
        };
        out.push_str(&text);
    }
    out
}

fn fraction_text(element: &str, nanos: u32) -> String {
    let digits = (element.len() - 1).min(9);
    let all = format!("{nanos:09}");
    let shown = &all[..digits];
    let shown = if element.ends_with('9') { shown.trim_end_matches('0') } else { shown };
    if shown.is_empty() { String::new() } else { format!("{}{shown}", &element[..1]) }
}

/// Parses a text by a Go layout; `None` if it does not fit.
fn parse(layout: &str, text: &str) -> Option<i128> {
    let mut read = Reading { year: 0, month: 1, day: 1, ..Reading::default() };
    let (mut layout, mut text) = (layout, text);
    loop {
        let (before, element, after) = next_element(layout);
        text = text.strip_prefix(before)?;
        let Some(element) = element else { break };
        text = read.element(element, text)?;
        layout = after;
        // A fraction of a second is accepted after the seconds even if the layout has none.
        if matches!(element, "05" | "5") && fraction(layout).is_none() {
            text = read.fraction(text);
        }
    }
    text.is_empty().then_some(())?;
    read.ns()
}

#[derive(Default)]
struct Reading {
    year: i128,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    afternoon: Option<bool>,
    offset_s: i128,
}

impl Reading {
    fn element<'t>(&mut self, element: &str, text: &'t str) -> Option<&'t str> {
        let (value, rest) = match element {
            "2006" => {
                let (value, rest) = digits(text, 4, 4)?;
                self.year = i128::from(value);
                return Some(rest);
            }
            "06" => {
                let (value, rest) = digits(text, 2, 2)?;
                self.year = i128::from(if value >= 69 { value + 1900 } else { value + 2000 });
                return Some(rest);
            }
            "January" | "Jan" => {
                let len = |name: &'static str| if element == "Jan" { &name[..3] } else { name };
                let (at, rest) = MONTHS
                    .iter()
                    .enumerate()
                    .find_map(|(i, name)| Some((i, strip_word(text, len(name))?)))?;
                self.month = at as u32 + 1;
                return Some(rest);
            }
            "Monday" => return WEEKDAYS.iter().find_map(|name| strip_word(text, name)),
            "Mon" => return WEEKDAYS.iter().find_map(|name| strip_word(text, &name[..3])),
            "PM" | "pm" => {
                let mark = text.get(..2)?.to_ascii_lowercase();
                self.afternoon = Some(match mark.as_str() {
                    "pm" => true,
                    "am" => false,
                    _ => return None,
                });
                return text.get(2..);
            }
            "MST" => return text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")),
            "-0700" | "-07:00" | "-07" | "-07:00:00" | "Z0700" | "Z07:00" | "Z07" | "Z07:00:00" => {
                return self.offset(element, text);
            }
            "01" | "02" | "03" | "04" | "05" | "15" => digits(text, 2, 2)?,
            "1" | "2" | "3" | "4" | "5" | "_2" => digits(text.trim_start(), 1, 2)?,
            "002" | "__2" => digits(text.trim_start(), 1, 3)?,
            _ => return Some(self.fraction(text)),
        };
        match element {
            "01" | "1" => self.month = value,
            "02" | "2" | "_2" => self.day = value,
            "15" | "03" | "3" => self.hour = value,
            "04" | "4" => self.minute = value,
            "05" | "5" => self.second = value,
            _ => return None,
        }
        Some(rest)
    }

    fn offset<'t>(&mut self, element: &str, text: &'t str) -> Option<&'t str> {
        if element.starts_with('Z')
            && let Some(rest) = text.strip_prefix('Z')
        {
            return Some(rest);
        }
        let sign = match text.bytes().next()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let (hours, mut rest) = digits(&text[1..], 2, 2)?;
        let mut seconds = hours * 3600;
        if element.contains(':') {
            let (minutes, after) = digits(rest.strip_prefix(':')?, 2, 2)?;
            seconds += minutes * 60;
            rest = after;
        } else if element.ends_with("00") {
            let (minutes, after) = digits(rest, 2, 2)?;
            seconds += minutes * 60;
            rest = after;
        }
        self.offset_s = sign * i128::from(seconds);
        Some(rest)
    }

    /// Reads `.123` if it stands here.
    fn fraction<'t>(&mut self, text: &'t str) -> &'t str {
        let Some(after) = text.strip_prefix(['.', ',']) else { return text };
        let len = after.bytes().take_while(u8::is_ascii_digit).count();
        if len == 0 {
            return text;
        }
        let digits: String = after[..len].chars().chain("000000000".chars()).take(9).collect();
        self.nanos = digits.parse().unwrap_or(0);
        &after[len..]
    }

    fn ns(&self) -> Option<i128> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let fits = (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && hour < 24
            && self.minute < 60
            && self.second < 60;
        fits.then_some(())?;
        let days = days_from_civil(self.year, self.month, self.day);
        // The 31st of a shorter month is an error in Go, not the first of the next.
        (civil(days * DAY).day == self.day).then_some(())?;
        let seconds = i128::from(hour * 3600 + self.minute * 60 + self.second) - self.offset_s;
        Some(days * DAY + seconds * SECOND + i128::from(self.nanos))
    }
}

fn digits(text: &str, min: usize, max: usize) -> Option<(u32, &str)> {
    let len = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    (len >= min).then_some(())?;
    Some((text[..len].parse().ok()?, &text[len..]))
}

fn strip_word<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}
