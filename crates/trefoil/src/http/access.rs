//! Lines of the access log.

use std::ops::Range;

use tracing::Level;
use tracing_core::callsite::DefaultCallsite;
use tracing_core::field::FieldSet;
use tracing_core::{Metadata, identify_callsite};

use super::instruments::Kind;
use crate::attribute::Encoded;
use crate::subscriber::{ACCESS_LOG, log_encoded};

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
    /// Unix nanoseconds.
    pub(super) ended_ns: u64,
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
        let callsite = if failed { &FAILED } else { &ANSWERED };
        let Line { encoded, path } = &mut self;
        let complete = |line: &mut Encoded| complete(line, path, ended);
        let taken = path.len() <= PATH_BYTES_MAX
            && log_encoded(callsite, ended.ended_ns, encoded, complete);
        if !taken {
            self.write_fields(ended, failed);
        }
    }

    /// The same for everyone.
    fn write_fields(&self, ended: Ended<'_>, failed: bool) {
        let Ended { kind, status, response_bytes, elapsed_ns, error, .. } = ended;
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
}

/// Adds all else to the path, which lies there already.
fn complete(line: &mut Encoded, path: &Range<usize>, ended: Ended<'_>) {
    let Ended { kind, status, response_bytes, elapsed_ns, error, .. } = ended;
    let outcome = Outcome::new(status, elapsed_ns);
    line.all_of(&kind.of_line);
    line.int("http.response.status_code", i64::from(status));
    line.int("http.response.body.size", response_bytes.cast_signed());
    line.double("http.server.request.duration", elapsed_ns as f64 / 1e9);
    line.str_if_any("error.type", error);
    let method = kind.method.as_str();
    line.body(method.len() + 1 + path.len() + 1 + outcome.text().len(), |bytes| {
        bytes.extend_from_slice(method.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_within(path.clone());
        bytes.push(b' ');
        bytes.extend_from_slice(outcome.text());
    });
}

/// Where lines come from that are encoded here, for levels and filters as `tracing`'s macros
/// would have it.
macro_rules! callsite {
    ($callsite:ident, $metadata:ident, $level:ident) => {
        static $callsite: DefaultCallsite = DefaultCallsite::new(&$metadata);
        static $metadata: Metadata<'static> = Metadata::new(
            "event of trefoil::http",
            ACCESS_LOG,
            Level::$level,
            None,
            None,
            Some(module_path!()),
            FieldSet::new(&[], identify_callsite!(&$callsite)),
            tracing_core::Kind::EVENT,
        );
    };
}
callsite!(ANSWERED, ANSWERED_METADATA, INFO);
callsite!(FAILED, FAILED_METADATA, ERROR);

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
        outcome.before(&three_digits((microseconds % 1000) as u16));
        outcome.before(b".");
        outcome.number_before(microseconds / 1000);
        outcome.before(b" ");
        match status {
            100..1000 => outcome.before(&three_digits(status)),
            _ => outcome.number_before(status.into()),
        }
        outcome
    }

    fn text(&self) -> &[u8] {
        &self.text[self.start..]
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.text()).unwrap_or_default()
    }

    #[inline]
    fn before(&mut self, text: &[u8]) {
        let end = self.start;
        self.start -= text.len();
        self.text[self.start..end].copy_from_slice(text);
    }

    #[inline]
    fn number_before(&mut self, mut number: u64) {
        loop {
            self.start -= 1;
            self.text[self.start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }
}

/// Of a number below 1000. None waits for the one before.
#[inline]
fn three_digits(number: u16) -> [u8; 3] {
    [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8)
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
