//! How long to wait before the next try.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);
/// Longest delay that a receiver may ask for; one that asks for more is asked again then.
const ASKED_LONGEST: Duration = Duration::from_secs(300);

/// Pauses that grow by half, each of them random by a fifth so that clients spread.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff { next: FIRST }
    }

    /// The next pause; what the receiver asked for is kept to.
    pub(super) fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let pause = self.next;
        self.next = (pause * 3 / 2).min(LONGEST);
        match asked {
            Some(asked) => asked.min(ASKED_LONGEST),
            None => pause.mul_f64(0.8 + 0.4 * random()),
        }
    }
}

/// From 0 to 1.
fn random() -> f64 {
    // The standard library's hash keys are random; no other source is needed here.
    let bits = RandomState::new().hash_one(0) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

/// Reads `Retry-After`: seconds, or a date as RFC 9110 §5.6.7 has it in its preferred form.
pub(super) fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = parse_http_date(value)?;
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(at).saturating_sub(now))
}

/// Unix seconds of a date like `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn parse_http_date(text: &str) -> Option<u64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok()?;
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = words.next().filter(|name| name.len() == 3)?;
    let month = months.find(month).filter(|at| at % 3 == 0)? as u64 / 3;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") || day == 0 || day > 31 || hour > 23 || minute > 59 {
        return None;
    }
    // Days since 1970, with the year beginning in March so that the leap day is its last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let since_1970 = days.checked_sub(719_468)?;
    Some(since_1970 * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_keep_to_what_is_asked() {
        let mut backoff = Backoff::new();
        let pauses: Vec<Duration> = (0..10).map(|_| backoff.pause(None)).collect();
        assert!(pauses[0] >= FIRST.mul_f64(0.8) && pauses[0] <= FIRST.mul_f64(1.2), "{pauses:?}");
        assert!(pauses[9] >= LONGEST.mul_f64(0.8) && pauses[9] <= LONGEST.mul_f64(1.2));
        assert_eq!(backoff.pause(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.pause(Some(Duration::from_secs(1 << 40))), ASKED_LONGEST);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // `date -u -d @784111777`: the example of RFC 9110.
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        let check = |value: &str, expect: Option<u64>| {
            let expect = expect.map(Duration::from_secs);
            assert_eq!(parse_retry_after(value, now), expect, "{value}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(30));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        // `date -u -d '2024-02-29 00:00:00' +%s` is 1709164800.
        check("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800 - 784_111_747));
        for wrong in ["", "-1", "soon", "Sun, 06 Nov 1994", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            check(wrong, None);
        }
    }
}
