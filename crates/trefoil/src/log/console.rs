//! What people, or a collector of container logs, see of the records.
//!
//! A terminal is written to at once: there, the order of lines matters more than time, and
//! whoever stops it (Ctrl-S) means to. Anything else may be a pipe that nobody reads; it is
//! written to by a thread of its own behind a bounded backlog, so that a stuck or closed
//! pipe or a full disk costs lines, which are counted, and never time.

mod backlog;
pub(super) mod json;
mod pretty;
mod time;

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use trefoil_wire::otlp::logs::LogRecord;
use trefoil_wire::protobuf::{Decode, Reader};

use crate::config::{Console as Form, ConsoleStream};

use backlog::Backlog;

thread_local! {
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// A line that one huge record has blown up is not kept.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Renders records and writes them, whole line by whole line.
#[derive(Debug)]
pub(super) struct Console {
    style: Style,
    sink: Sink,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Pretty { colour: bool },
    Json,
}

impl Style {
    /// How the stream itself says that lines are missing.
    fn notice(self) -> fn(u64) -> String {
        match self {
            Style::Pretty { .. } => |lost| format!("trefoil: {lost} lines lost here\n"),
            Style::Json => |lost| {
                format!("{{\"level\":\"WARN\",\"message\":\"trefoil: {lost} lines lost here\"}}\n")
            },
        }
    }
}

enum Sink {
    Terminal { stream: Mutex<Box<dyn Write + Send>>, lost: AtomicU64 },
    Other(Backlog),
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Sink::Terminal { .. } => "Terminal",
            Sink::Other(_) => "Other",
        })
    }
}

impl Console {
    pub(super) fn new(form: Form, stream: ConsoleStream) -> Option<Console> {
        let json = match form {
            Form::Off => return None,
            Form::Pretty => false,
            Form::Json => true,
        };
        // Lines for machines are the output of a service; those for people are beside it.
        let to_stdout = match stream {
            ConsoleStream::ByForm => json,
            ConsoleStream::Stdout => true,
            ConsoleStream::Stderr => false,
        };
        let (is_terminal, stream): (_, Box<dyn Write + Send>) = match to_stdout {
            true => (io::stdout().is_terminal(), Box::new(io::stdout())),
            false => (io::stderr().is_terminal(), Box::new(io::stderr())),
        };
        // <https://no-color.org>
        let colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let style = if json { Style::Json } else { Style::Pretty { colour } };
        Some(Console::to(style, is_terminal, stream))
    }

    pub(super) fn to(style: Style, is_terminal: bool, stream: Box<dyn Write + Send>) -> Console {
        let sink = match is_terminal {
            true => Sink::Terminal { stream: Mutex::new(stream), lost: AtomicU64::new(0) },
            false => Sink::Other(Backlog::start(stream, style.notice())),
        };
        Console { style, sink }
    }

    /// Writes a record, given as OTLP's `LogRecord`.
    pub(super) fn write(&self, scope: &str, record: &[u8]) {
        let Ok(record) = LogRecord::decode(Reader::new(record)) else { return };
        let mut line = LINE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        match self.style {
            Style::Pretty { colour } => pretty::render(&mut line, &record, colour),
            Style::Json => json::render(&mut line, scope, &record),
        }
        self.sink.take(line.as_bytes());
        if line.capacity() <= LINE_BYTES_MAX {
            let _ = LINE.try_with(|kept| kept.set(line));
        }
    }

    /// Waits until all is written, or until the deadline.
    pub(super) fn flush(&self, deadline: Instant) {
        if let Sink::Other(backlog) = &self.sink {
            backlog.flush(deadline);
        }
    }

    /// Lines that could not be written.
    pub(super) fn lost(&self) -> u64 {
        match &self.sink {
            Sink::Terminal { lost, .. } => lost.load(Ordering::Relaxed),
            Sink::Other(backlog) => backlog.lost(),
        }
    }
}

impl Sink {
    fn take(&self, line: &[u8]) {
        match self {
            Sink::Terminal { stream, lost } => {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                if stream.write_all(line).and_then(|()| stream.flush()).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            Sink::Other(backlog) => backlog.take(line),
        }
    }
}
