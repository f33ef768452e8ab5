//! Lines of the access log.

use std::ops::Range;

use tracing::Level;

use super::instruments::Kind;
use crate::attribute::{Encoded, encodes};
use crate::subscriber::ACCESS_LOG;

/// What becomes the line of a request: its path so far, which is an attribute already.
#[derive(Debug)]
pub(super) struct Line {
    encoded: Encoded,
    /// Where the path lies.
    path: Range<usize>,
}

/// A request that has ended.
#[derive(Clone, Copy)]
pub(super) struct Ended<'a> {
    pub(super) kind: &'a Kind,
    /// 0 if there was no response.
    pub(super) status: u16,
    pub(super) response_bytes: u64,
    pub(super) elapsed_ns: u64,
    pub(super) error: Option<&'a str>,
}

/// Field of OTLP's `LogRecord`: an attribute.
pub(super) const ATTRIBUTE: u8 = 6;
/// Longer paths are cut where the limits are known.
const PATH_BYTES_MAX: usize = 4096;

impl Line {
    pub(super) fn new(path: &str) -> Line {
        let mut encoded = Encoded::new(ATTRIBUTE);
        encoded.str("url.path", path);
        // The value is the last of an attribute.
        let end = encoded.bytes().len();
        Line { encoded, path: end - path.len()..end }
    }

    fn path(&self) -> &str {
        std::str::from_utf8(&self.encoded.bytes()[self.path.clone()]).unwrap_or_default()
    }

    /// Writes it, as an error or not.
    pub(super) fn write(mut self, ended: Ended<'_>, failed: bool) {
        if self.path.len() > PATH_BYTES_MAX || !encodes() {
            return self.write_fields(ended, failed);
        }
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(
                    target: ACCESS_LOG,
                    Level::$level,
                    trefoil.encoded = self.complete(ended).as_error(),
                )
            };
        }
        if failed { line!(ERROR) } else { line!(INFO) }
    }

    /// The same for everyone.
    fn write_fields(&self, ended: Ended<'_>, failed: bool) {
        let Ended { kind, status, response_bytes, elapsed_ns, error } = ended;
        let (method, path) = (kind.method.as_str(), self.path());
        let seconds = elapsed_ns as f64 / 1e9;
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(
                    target: ACCESS_LOG,
                    Level::$level,
                    {
                        http.request.method = method,
                        url.path = path,
                        http.route = kind.route(),
                        http.response.status_code = status,
                        http.response.body.size = response_bytes,
                        http.server.request.duration = seconds,
                        error.r#type = error,
                    },
                    "{method} {path} {}",
                    Outcome::new(status, elapsed_ns).as_str(),
                )
            };
        }
        if failed { line!(ERROR) } else { line!(INFO) }
    }

    fn complete(&mut self, ended: Ended<'_>) -> &Encoded {
        let Ended { kind, status, response_bytes, elapsed_ns, error } = ended;
        let outcome = Outcome::new(status, elapsed_ns);
        let line = &mut self.encoded;
        line.all_of(&kind.of_line);
        line.int("http.response.status_code", i64::from(status));
        line.int("http.response.body.size", response_bytes.cast_signed());
        line.double("http.server.request.duration", elapsed_ns as f64 / 1e9);
        line.str_if_any("error.type", error);
        let method = kind.method.as_str();
        line.body(method.len() + 1 + self.path.len() + 1 + outcome.text().len(), |bytes| {
            bytes.extend_from_slice(method.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_within(self.path.clone());
            bytes.push(b' ');
            bytes.extend_from_slice(outcome.text());
        });
        line
    }
}

/// `200 0.123 ms`. By hand: the library takes as long for the fraction alone as this for the
/// whole line.
struct Outcome {
    text: [u8; Outcome::BYTES_MAX],
    start: usize,
}

impl Outcome {
    /// Two numbers, of which the longest has 20 digits.
    const BYTES_MAX: usize = 48;

    fn new(status: u16, elapsed_ns: u64) -> Outcome {
        let mut outcome = Outcome { text: [0; Outcome::BYTES_MAX], start: Outcome::BYTES_MAX };
        let microseconds = elapsed_ns.saturating_add(500) / 1000;
        // From the end, as digits come.
        outcome.before(b" ms");
        outcome.number_before(microseconds % 1000, 3);
        outcome.before(b".");
        outcome.number_before(microseconds / 1000, 1);
        outcome.before(b" ");
        outcome.number_before(status.into(), 1);
        outcome
    }

    fn text(&self) -> &[u8] {
        &self.text[self.start..]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.text()).unwrap_or_default()
    }

    fn before(&mut self, text: &[u8]) {
        let end = self.start;
        self.start -= text.len();
        self.text[self.start..end].copy_from_slice(text);
    }

    /// With so many digits at least.
    fn number_before(&mut self, mut number: u64, digits_min: usize) {
        let end = self.start;
        while number > 0 || end - self.start < digits_min {
            self.start -= 1;
            self.text[self.start] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_written_as_the_library_does() {
        for (status, elapsed_ns, expect) in [
            (200, 123_456, "200 0.123 ms"),
            (0, 0, "0 0.000 ms"),
            (404, 499, "404 0.000 ms"),
            (404, 500, "404 0.001 ms"),
            (500, 1_000_000, "500 1.000 ms"),
            (999, 12_345_678_901, "999 12345.679 ms"),
            (65_535, u64::MAX, "65535 18446744073709.551 ms"),
        ] {
            assert_eq!(Outcome::new(status, elapsed_ns).as_str(), expect);
        }
    }

    #[test]
    fn the_path_is_found_again_however_long_it_is() {
        for path in ["/", "/jobs/7", &"/x".repeat(100), &"/x".repeat(10_000)] {
            assert_eq!(Line::new(path).path(), path);
        }
    }
}
