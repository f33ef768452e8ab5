//! What people are told on standard error about exporters in trouble: a line at the first
//! failure, one a minute at most while it lasts, one when it is over.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::lane::Known;
use crate::account::Signal;
use crate::config::Told;

/// Between two lines about the same endpoint.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct StatusLine {
    /// All exporters, for the counts.
    exporters: Vec<Arc<Known>>,
    troubles: RefCell<Vec<Trouble>>,
    write: Box<dyn Fn(&str)>,
    /// Between two lines about the same endpoint.
    interval: Duration,
}

/// One endpoint that fails; the signals that go to it share its line.
#[derive(Debug)]
struct Trouble {
    endpoint: String,
    failing: Vec<Signal>,
    since: Instant,
    told: Instant,
    /// Whether the endpoint works again; kept so that one that flaps is not told each time.
    over: bool,
}

impl fmt::Debug for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusLine").field("troubles", &self.troubles).finish_non_exhaustive()
    }
}

impl StatusLine {
    /// On standard error.
    pub(super) fn new(exporters: Vec<Arc<Known>>, told: Told) -> StatusLine {
        let line = Self::to(exporters, Box::new(to_stderr));
        match told {
            Told::All => line,
            Told::Once => StatusLine { interval: Duration::MAX, ..line },
            Told::Nothing => StatusLine { write: Box::new(|_| {}), ..line },
        }
    }

    fn to(exporters: Vec<Arc<Known>>, write: Box<dyn Fn(&str)>) -> StatusLine {
        StatusLine { exporters, troubles: RefCell::default(), write, interval: INTERVAL }
    }

    /// A try failed.
    pub(super) fn failed(&self, endpoint: &str, signal: Signal, why: &str) {
        self.failed_at(Instant::now(), endpoint, signal, why);
    }

    /// Tries succeed again.
    pub(super) fn recovered(&self, endpoint: &str, signal: Signal) {
        self.recovered_at(Instant::now(), endpoint, signal);
    }

    /// The receiver took the rest, but not these.
    pub(super) fn refused(&self, endpoint: &str, signal: Signal, items: u64, message: &str) {
        let why = format!("it refused {items} of a request: {message}");
        self.failed(endpoint, signal, &why);
        self.recovered(endpoint, signal);
    }

    /// Something else that people should know, once.
    pub(super) fn warn(&self, what: &str) {
        (self.write)(&format!("trefoil: {what}"));
    }

    fn failed_at(&self, now: Instant, endpoint: &str, signal: Signal, why: &str) {
        let mut troubles = self.troubles.borrow_mut();
        let authority = authority(endpoint);
        let known = troubles.iter_mut().find(|trouble| trouble.endpoint == authority);
        let Some(trouble) = known else {
            let endpoint = authority.to_owned();
            let failing = vec![signal];
            troubles.push(Trouble { endpoint, failing, since: now, told: now, over: false });
            let what = signal.as_str();
            (self.write)(&format!(
                "trefoil: cannot send {what} to {authority}: {why}; the service goes on"
            ));
            return;
        };
        if trouble.over {
            trouble.over = false;
            trouble.since = now;
        }
        if !trouble.failing.contains(&signal) {
            trouble.failing.push(signal);
        }
        if now.duration_since(trouble.told) >= self.interval {
            trouble.told = now;
            let what: Vec<&str> = trouble.failing.iter().map(|signal| signal.as_str()).collect();
            let what = what.join(", ");
            let since = now.duration_since(trouble.since).as_secs();
            let dropped = self.dropped(authority);
            (self.write)(&format!(
                "trefoil: cannot send {what} to {authority} for {since} s: {why}; {dropped} \
                 dropped so far"
            ));
        }
    }

    fn recovered_at(&self, now: Instant, endpoint: &str, signal: Signal) {
        let authority = authority(endpoint);
        let mut troubles = self.troubles.borrow_mut();
        let known = troubles.iter_mut().find(|trouble| trouble.endpoint == authority);
        let Some(trouble) = known else { return };
        trouble.failing.retain(|failing| *failing != signal);
        if trouble.over || !trouble.failing.is_empty() {
            return;
        }
        trouble.over = true;
        // Trouble of a moment was told once, which is enough if it was told just now.
        let lasted = now.duration_since(trouble.since);
        if lasted >= Duration::from_secs(1) && now.duration_since(trouble.told) < 2 * INTERVAL {
            let dropped = self.dropped(authority);
            let seconds = lasted.as_secs();
            (self.write)(&format!(
                "trefoil: {authority} takes telemetry again after {seconds} s; {dropped} dropped"
            ));
        }
    }

    fn dropped(&self, authority_of: &str) -> u64 {
        let of_endpoint = self.exporters.iter().filter(|known| {
            known.endpoint.as_str() == authority_of || authority(&known.endpoint) == authority_of
        });
        of_endpoint.map(|known| known.counts().dropped_total()).sum()
    }
}

/// Host and port: the three signals of one receiver differ in their paths.
pub(super) fn authority(endpoint: &str) -> &str {
    let after_scheme = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    after_scheme.split('/').next().unwrap_or(after_scheme)
}

#[cfg(test)]
#[allow(clippy::print_stderr, reason = "this one is kept for tests that fail")]
fn to_stderr(line: &str) {
    eprintln!("{line}");
}

#[cfg(not(test))]
fn to_stderr(line: &str) {
    // One write, so that lines of others do not come between; nobody is left to tell if it fails.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn g7_one_line_first_one_a_minute_and_one_when_it_is_over() {
        let lines: Rc<RefCell<Vec<String>>> = Rc::default();
        let into = Rc::clone(&lines);
        let write = Box::new(move |line: &str| into.borrow_mut().push(line.to_owned()));
        let status_line = StatusLine::to(Vec::new(), write);
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let (traces, logs) = ("http://h:4318/v1/traces", "http://h:4318/v1/logs");
        for second in 0..150 {
            status_line.failed_at(at(second), traces, Signal::Traces, "connection refused");
            status_line.failed_at(at(second), logs, Signal::Logs, "connection refused");
        }
        status_line.recovered_at(at(150), traces, Signal::Traces);
        status_line.recovered_at(at(151), logs, Signal::Logs);
        status_line.recovered_at(at(152), logs, Signal::Logs);
        let expected = [
            "trefoil: cannot send traces to h:4318: connection refused; the service goes on",
            "trefoil: cannot send traces, logs to h:4318 for 60 s: connection refused; 0 \
             dropped so far",
            "trefoil: cannot send traces, logs to h:4318 for 120 s: connection refused; 0 \
             dropped so far",
            "trefoil: h:4318 takes telemetry again after 151 s; 0 dropped",
        ];
        assert_eq!(*lines.borrow(), expected);
    }

    #[test]
    fn an_endpoint_that_flaps_is_told_once_a_minute() {
        let lines: Rc<RefCell<usize>> = Rc::default();
        let into = Rc::clone(&lines);
        let write = Box::new(move |_: &str| *into.borrow_mut() += 1);
        let status_line = StatusLine::to(Vec::new(), write);
        let start = Instant::now();
        for tenth in 0..600 {
            let now = start + Duration::from_millis(100 * tenth);
            status_line.failed_at(now, "h:1", Signal::Traces, "503");
            status_line.recovered_at(now, "h:1", Signal::Traces);
        }
        assert_eq!(*lines.borrow(), 1);
    }
}
