//! Lines on their way to a stream that may be stuck: a bounded buffer and a thread.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that wait: some seconds of a busy service, and little beside its own memory.
const BYTES_MAX: usize = 1 << 20;
/// How long a stream that cannot take more just now is left alone.
const BUSY: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Backlog(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    written: Condvar,
    lost: AtomicU64,
    /// Says in the stream that lines are missing, and how many.
    notice: Option<fn(u64) -> String>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    lines: u64,
    is_writing: bool,
    /// The other end of the pipe is closed; nothing will be read again.
    is_gone: bool,
    is_over: bool,
}

impl Backlog {
    pub(super) fn start(stream: Box<dyn Write + Send>, notice: fn(u64) -> String) -> Backlog {
        let shared = Arc::new(Shared { notice: Some(notice), ..Shared::default() });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("trefoil-console".to_owned());
        if thread.spawn(move || writer.run(stream)).is_err() {
            // No thread, no console; the lines are counted as lost.
            shared.lock().is_gone = true;
        }
        Backlog(shared)
    }

    /// Takes a line, or counts it as lost.
    pub(super) fn take(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.is_gone || state.waiting.len() + line.len() > BYTES_MAX {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        state.lines += 1;
        drop(state);
        if was_empty {
            self.0.arrived.notify_one();
        }
    }

    pub(super) fn flush(&self, deadline: Instant) {
        let mut state = self.0.lock();
        while (state.is_writing || !state.waiting.is_empty()) && !state.is_gone {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.0.written.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        // The thread writes what it has and ends; nobody waits for it.
        self.0.lock().is_over = true;
        self.0.arrived.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut stream: Box<dyn Write + Send>) {
        let mut lines = Vec::new();
        let mut is_torn = false;
        let mut told = 0;
        while let Some(count) = self.next(&mut lines) {
            if is_torn {
                // What failed may have left half a line behind.
                lines.insert(0, b'\n');
            }
            let result = write_whole(&mut stream, &lines);
            is_torn = result.is_err();
            if is_torn {
                self.lost.fetch_add(count, Ordering::Relaxed);
            } else {
                told = self.tell_lost(&mut stream, told);
            }
            let mut state = self.lock();
            state.is_writing = false;
            state.is_gone |= result.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
            drop(state);
            self.written.notify_all();
        }
    }

    /// Waits for lines and says how many there are; `None` once there will be none.
    fn next(&self, lines: &mut Vec<u8>) -> Option<u64> {
        lines.clear();
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.is_over {
                return None;
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, lines);
        state.is_writing = true;
        Some(std::mem::take(&mut state.lines))
    }

    /// Says in the stream itself how many lines are missing, once it takes lines again.
    fn tell_lost(&self, stream: &mut dyn Write, told: u64) -> u64 {
        let lost = self.lost.load(Ordering::Relaxed);
        match self.notice {
            Some(notice) if lost > told => {
                // If this fails, so does the next batch, which counts.
                let _ = write_whole(stream, notice(lost - told).as_bytes());
            }
            _ => {}
        }
        lost
    }
}

/// Writes all; a stream that is set not to block is asked again.
fn write_whole(stream: &mut dyn Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::park_timeout(BUSY),
            Err(error) => return Err(error),
        }
    }
    stream.flush()
}
