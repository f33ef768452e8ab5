//! The kinds of receivers, as the lanes see them: something is prepared once and tried
//! until it is taken, refused, or given up.

use std::time::Duration;

use bytes::Bytes;

use super::jaeger::{Agent, Collector};
use super::otlp::Otlp;
use super::stdout::Stdout;
use super::{Memory, Request};
use crate::account::Signal;
use crate::config::{ExporterSettings, OtlpProtocol};

/// Longest that writing to standard output or memory may take: it is not a network.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) enum Target {
    Otlp(Box<Otlp>),
    Collector(Box<Collector>),
    Agent(Agent),
    Stdout(Stdout),
    Memory(Memory),
    /// It can not be started, and why.
    Off(String),
}

/// What goes over the wire, the same in each try.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) messages: Vec<Bytes>,
    /// Items that no message can hold.
    pub(super) rejected: u64,
}

impl From<Vec<u8>> for Prepared {
    fn from(message: Vec<u8>) -> Prepared {
        Prepared { messages: vec![Bytes::from(message)], rejected: 0 }
    }
}

/// The receiver took it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    /// But for so many items.
    pub(super) rejected: u64,
    /// What it said about them, or a warning.
    pub(super) message: Option<String>,
}

/// The receiver did not take it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may the next time; `after` is what the receiver asked for.
    Retry { why: String, after: Option<Duration> },
    /// It never will.
    Final(String),
}

impl Failure {
    pub(super) fn retry(why: impl Into<String>) -> Failure {
        Failure::Retry { why: why.into(), after: None }
    }
}

impl Target {
    pub(super) fn new(settings: &ExporterSettings, signal: Signal) -> Target {
        let only_traces = || Err(format!("Jaeger takes traces, not {}", signal.as_str()));
        let target = match settings {
            ExporterSettings::Otlp(settings) => {
                Otlp::new(settings).map(|otlp| Target::Otlp(Box::new(otlp)))
            }
            ExporterSettings::JaegerCollector { .. } | ExporterSettings::JaegerAgent { .. }
                if signal != Signal::Traces =>
            {
                only_traces()
            }
            ExporterSettings::JaegerCollector { endpoint, timeout, proxy } => {
                let collector = Collector::new(endpoint, *timeout, proxy.clone());
                collector.map(|collector| Target::Collector(Box::new(collector)))
            }
            ExporterSettings::JaegerAgent { address } => Agent::new(address).map(Target::Agent),
            ExporterSettings::Stdout { json } => Ok(Target::Stdout(Stdout::new(*json))),
            ExporterSettings::Memory(memory) => Ok(Target::Memory(memory.clone())),
        };
        target.unwrap_or_else(Target::Off)
    }

    /// The endpoint, or what else says to people where it goes.
    pub(super) fn endpoint_of(settings: &ExporterSettings) -> &str {
        match settings {
            ExporterSettings::Otlp(otlp) => &otlp.endpoint,
            ExporterSettings::JaegerCollector { endpoint, .. } => endpoint,
            ExporterSettings::JaegerAgent { address } => address,
            ExporterSettings::Stdout { .. } => "stdout",
            ExporterSettings::Memory(_) => "memory",
        }
    }

    /// The kind, for people.
    pub(super) fn kind(settings: &ExporterSettings) -> &'static str {
        match settings {
            ExporterSettings::Otlp(otlp) => match otlp.protocol {
                OtlpProtocol::Grpc => "otlp/grpc",
                OtlpProtocol::HttpProtobuf => "otlp/http",
                OtlpProtocol::HttpJson => "otlp/http-json",
            },
            ExporterSettings::JaegerCollector { .. } => "jaeger collector",
            ExporterSettings::JaegerAgent { .. } => "jaeger agent",
            ExporterSettings::Stdout { .. } => "stdout",
            ExporterSettings::Memory(_) => "memory",
        }
    }

    /// Longest that one try takes.
    pub(super) fn timeout(&self) -> Duration {
        match self {
            Target::Otlp(otlp) => otlp.timeout(),
            Target::Collector(collector) => collector.timeout(),
            _ => LOCAL_TIMEOUT,
        }
    }

    /// Requests at once. What is printed keeps its order.
    pub(super) fn in_flight_max(&self) -> usize {
        match self {
            Target::Otlp(_) | Target::Collector(_) => usize::MAX,
            _ => 1,
        }
    }

    /// Whether it acknowledges over a network, so that keeping what it did not take helps.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Target::Otlp(_) | Target::Collector(_))
    }

    /// Makes what goes over the wire out of an OTLP export request.
    ///
    /// # Errors
    /// It cannot be said in this protocol.
    pub(super) fn prepare(&self, signal: Signal, request: Vec<u8>) -> Result<Prepared, String> {
        match self {
            Target::Otlp(otlp) => otlp.prepare(signal, request),
            Target::Collector(_) => super::jaeger::collector_messages(&request),
            Target::Agent(_) => super::jaeger::agent_packets(&request),
            Target::Stdout(stdout) => stdout.prepare(signal, &request),
            Target::Memory(_) => Ok(request.into()),
            Target::Off(why) => Err(why.clone()),
        }
    }

    /// Tries once. The caller limits the time.
    pub(super) async fn attempt(
        &self,
        signal: Signal,
        prepared: &Prepared,
    ) -> Result<Accepted, Failure> {
        match self {
            Target::Otlp(otlp) => otlp.attempt(signal, prepared).await,
            Target::Collector(collector) => collector.attempt(prepared).await,
            Target::Agent(agent) => agent.attempt(prepared).await,
            Target::Stdout(stdout) => stdout.attempt(prepared),
            Target::Memory(memory) if memory.discards => Ok(Accepted::default()),
            Target::Memory(memory) => {
                let bodies = prepared.messages.iter().map(|message| message.to_vec());
                let mut requests =
                    memory.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                requests.extend(bodies.map(|body| Request { signal, body }));
                Ok(Accepted::default())
            }
            Target::Off(why) => Err(Failure::Final(why.clone())),
        }
    }

    /// The receiver's clock at its last answer, in Unix seconds, if it said.
    pub(super) fn date(&self) -> Option<u64> {
        match self {
            Target::Otlp(otlp) => otlp.date(),
            _ => None,
        }
    }

    /// Forgets connections: the last try on one got no answer.
    pub(super) fn disconnect(&self) {
        match self {
            Target::Otlp(otlp) => otlp.disconnect(),
            Target::Collector(collector) => collector.disconnect(),
            _ => {}
        }
    }
}
