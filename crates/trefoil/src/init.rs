//! Two lines in `main`: the builder, the guard, and the order in which the parts start.

use std::fmt;

/// Starts telemetry for a service, configured by the environment.
///
/// # Errors
/// Only for mistakes in the program: see [`InitError`]. Bad configuration warns and falls back.
pub fn init(service_name: &str) -> Result<Telemetry, InitError> {
    Trefoil::builder(service_name).install()
}

/// Where it begins.
#[derive(Debug)]
pub struct Trefoil;

impl Trefoil {
    /// A builder for a service of this name.
    #[must_use]
    pub fn builder(service_name: &str) -> Builder {
        Builder { service_name: service_name.to_owned() }
    }
}

/// Settings that the program makes.
#[derive(Debug)]
pub struct Builder {
    service_name: String,
}

impl Builder {
    /// Starts.
    ///
    /// # Errors
    /// See [`InitError`].
    pub fn install(self) -> Result<Telemetry, InitError> {
        let _ = self.service_name;
        Ok(Telemetry {})
    }
}

/// A mistake in the program.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// Something else already receives `tracing`'s spans and events.
    SubscriberTaken,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::SubscriberTaken => f.write_str(
                "tracing already has a global subscriber: call trefoil::init before any other \
                 crate's init, and only once",
            ),
        }
    }
}

impl std::error::Error for InitError {}

/// Telemetry while it runs; dropping it flushes.
#[derive(Debug)]
pub struct Telemetry {}

/// What a shutdown could send and what not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {}
