//! Standard output: traces as trees for people, or a line of JSON an item.

mod json;
mod people;

use std::io::{self, IsTerminal as _, Write as _};

use trefoil_wire::otlp::{AnyValue, Resource};
use trefoil_wire::protobuf;

use super::target::{Accepted, Failure, Prepared};
use crate::account::Signal;

#[derive(Debug)]
pub(super) struct Stdout {
    json: bool,
    colour: bool,
}

impl Stdout {
    pub(super) fn new(json: bool) -> Stdout {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Stdout { json, colour: wanted && io::stdout().is_terminal() }
    }

    /// # Errors
    /// The request is damaged.
    pub(super) fn prepare(&self, signal: Signal, request: &[u8]) -> Result<Prepared, String> {
        let mut text = String::new();
        let written = match (self.json, signal) {
            (true, Signal::Traces) => json::spans(request, &mut text),
            (true, Signal::Metrics) => json::metrics(request, &mut text),
            (true, Signal::Logs) => json::logs(request, &mut text),
            (false, Signal::Traces) => people::spans(request, self.colour, &mut text),
            (false, Signal::Metrics) => people::metrics(request, &mut text),
            (false, Signal::Logs) => people::logs(request, self.colour, &mut text),
        };
        written.map_err(|error| error.to_string())?;
        Ok(text.into_bytes().into())
    }

    pub(super) fn attempt(&self, prepared: &Prepared) -> Result<Accepted, Failure> {
        // A reader that went away never comes back, and the lines of others go on.
        let mut out = io::stdout().lock();
        for message in &prepared.messages {
            out.write_all(message)
                .map_err(|error| Failure::Final(format!("cannot write: {error}")))?;
        }
        out.flush().map_err(|error| Failure::Final(format!("cannot write: {error}")))?;
        Ok(Accepted::default())
    }
}

/// The name of the service that a resource stands for.
fn service<'a>(resource: Option<&Resource<'a>>) -> protobuf::Result<&'a str> {
    for attribute in resource.map(|resource| resource.attributes).unwrap_or_default() {
        let attribute = attribute?;
        if let ("service.name", AnyValue::Str(name)) = (attribute.key, attribute.value) {
            return Ok(name);
        }
    }
    Ok("unknown_service")
}

#[cfg(test)]
mod tests;
