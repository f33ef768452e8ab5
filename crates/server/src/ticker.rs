//! A thread that does something again and again until it is stopped.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Ticker {
    /// Calls `tick` after every `interval`.
    ///
    /// # Errors
    /// A line for the user if there is no thread.
    pub(crate) fn start(
        name: &str,
        interval: Duration,
        mut tick: impl FnMut() + Send + 'static,
    ) -> Result<Ticker, String> {
        let (stop, stopped) = mpsc::channel();
        let body = move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
                tick();
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Ticker { stop, thread })
    }

    /// Returns when the last tick is over.
    pub(crate) fn stop(self) {
        drop(self.stop);
        // A panic in it was printed when it happened.
        let _ = self.thread.join();
    }
}
