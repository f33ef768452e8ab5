//! The way to each receiver, step by step: its name, its port, its answer.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::sniff::{Speaks, sniff};
use super::{Cause, Finding, Thresholds, message};
use crate::account::Signal;
use crate::config::{ExporterSettings, OtlpProtocol, without_secrets};
use crate::export::{Tried, try_once};
use crate::init::Parts;

/// Longest that a connection takes that will come about.
const CONNECT: Duration = Duration::from_secs(2);
/// Longest that a receiver takes to answer one item.
const ANSWER: Duration = Duration::from_secs(4);

/// Tries all ways at the same time.
pub(super) fn examine(parts: &Parts, deadline: Duration, findings: &mut Vec<Finding>) {
    let settings = &parts.settings;
    let signals = [
        (Signal::Traces, &settings.traces.exporters),
        (Signal::Metrics, &settings.metrics.exporters),
        (Signal::Logs, &settings.logs.exporters),
    ];
    let ways = signals.into_iter().flat_map(|(signal, exporters)| {
        exporters.iter().map(move |exporter| (signal, exporter.clone()))
    });
    let (send, receive) = mpsc::channel();
    let mut missing = Vec::new();
    for (index, (signal, exporter)) in ways.enumerate() {
        missing.push((index, signal, exporter.clone()));
        let request = message::request(signal, &parts.resource, crate::clock::now_ns());
        let send = send.clone();
        // A thread of its own: a resolver that hangs must hold up nobody.
        let thread = std::thread::Builder::new().name("trefoil-doctor".to_owned());
        let _ = thread.spawn(move || {
            let found = way(signal, &exporter, request);
            // Who asked may have stopped waiting.
            let _ = send.send((index, found));
        });
    }
    drop(send);
    let end = Instant::now() + deadline;
    let mut found = Vec::new();
    while let Ok(way) = receive.recv_timeout(end.saturating_duration_since(Instant::now())) {
        missing.retain(|(index, ..)| *index != way.0);
        found.push(way);
    }
    for (index, signal, exporter) in missing {
        let message = format!("{} gives no answer", name(&exporter));
        let advice = "the name server or the receiver hangs: try another address";
        found.push((index, vec![Finding::new(Cause::NoAnswer, Some(signal), message, advice)]));
    }
    found.sort_by_key(|(index, _)| *index);
    findings.extend(found.into_iter().flat_map(|(_, findings)| findings));
}

/// What to do about a proxy.
const PROXIES: &str = "check HTTPS_PROXY and HTTP_PROXY, or name the receiver in NO_PROXY";

/// `otlp http://localhost:4318/v1/traces`, for people.
fn name(exporter: &ExporterSettings) -> String {
    match exporter {
        ExporterSettings::Otlp(otlp) => without_secrets(&otlp.endpoint),
        ExporterSettings::JaegerCollector { endpoint, .. } => without_secrets(endpoint),
        ExporterSettings::JaegerAgent { address } => format!("udp://{address}"),
        ExporterSettings::Stdout { .. } => "standard output".to_owned(),
        ExporterSettings::Memory(_) => "memory".to_owned(),
    }
}

fn way(signal: Signal, exporter: &ExporterSettings, request: Vec<u8>) -> Vec<Finding> {
    let here = |cause, message: String, advice: &str| {
        vec![Finding::new(cause, Some(signal), message, advice)]
    };
    let name = name(exporter);
    let (endpoint, proxy) = match exporter {
        ExporterSettings::Otlp(otlp) => (&otlp.endpoint, &otlp.proxy),
        ExporterSettings::JaegerCollector { endpoint, proxy, .. } => (endpoint, proxy),
        ExporterSettings::JaegerAgent { .. } => {
            let message = match try_once(exporter, signal, request, ANSWER).tried {
                Tried::Failed(why) => return here(Cause::Rejected, format!("{name}: {why}"), ""),
                _ => format!("sent to {name}, which acknowledges nothing"),
            };
            let advice = "look for the service in Jaeger, or send to its collector instead";
            return here(Cause::Unverified, message, advice);
        }
        ExporterSettings::Stdout { .. } | ExporterSettings::Memory(_) => {
            return here(Cause::Unverified, format!("goes to {name}"), "");
        }
    };
    // Perhaps nobody but the proxy knows the name; the try itself says how far it came.
    let address = match proxy.is_none().then(|| connect(endpoint)).transpose() {
        Ok(address) => address,
        Err((cause, why)) => return here(cause, format!("{name}: {why}"), advice(cause)),
    };
    let begin = SystemTime::now();
    let probe = try_once(exporter, signal, request, ANSWER);
    let mut findings = match probe.tried {
        Tried::Accepted { rejected: 0 } => here(Cause::Arrives, format!("{name} takes it"), ""),
        Tried::Accepted { .. } => here(
            Cause::Rejected,
            format!("{name} answers, but refuses a correct item"),
            "the receiver's own log says why",
        ),
        Tried::TimedOut => {
            let message = format!("{name} takes connections and gives no answer");
            here(Cause::NoAnswer, message, advice(Cause::NoAnswer))
        }
        Tried::Failed(why) => vec![failed(signal, exporter, address, &name, &why)],
    };
    findings.extend(skew(signal, &name, begin, probe.date));
    findings
}

/// Finds a port that is open, by the steps that can go wrong.
fn connect(endpoint: &str) -> Result<SocketAddr, (Cause, String)> {
    let wrong = || (Cause::BadSetting, "is no address".to_owned());
    let uri: http::Uri = endpoint.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']);
    let port = match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("https")) => 443,
        (None, _) => 80,
    };
    let addresses = (host, port).to_socket_addrs().map_err(|error| {
        (Cause::NameNotResolved, format!("the name {host} is not known ({error})"))
    })?;
    let mut last = (Cause::NameNotResolved, format!("the name {host} has no address"));
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(address),
            Err(error) => {
                last = match error.kind() {
                    ErrorKind::ConnectionRefused => {
                        (Cause::Refused, format!("nobody listens at {address}"))
                    }
                    ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                        (Cause::NoAnswer, format!("{address} does not answer"))
                    }
                    _ => (Cause::Unreachable, format!("{address} cannot be reached: {error}")),
                }
            }
        }
    }
    Err(last)
}

fn failed(
    signal: Signal,
    exporter: &ExporterSettings,
    address: Option<SocketAddr>,
    name: &str,
    why: &str,
) -> Finding {
    // An answer of the right protocol says itself what is wrong.
    let (cause, advice) = match judge(why) {
        Some(cause) => (cause, advice(cause).to_owned()),
        None if why.starts_with("the proxy ") => (Cause::Unreachable, PROXIES.to_owned()),
        None => match address.and_then(|address| misheard(exporter, address)) {
            Some(advice) => (Cause::WrongProtocol, advice),
            None if why.contains("TLS") => (Cause::Tls, advice(Cause::Tls).to_owned()),
            None => (Cause::Rejected, "the receiver's own log says why".to_owned()),
        },
    };
    Finding::new(cause, Some(signal), format!("{name}: {why}"), &advice)
}

/// The cause behind an answer, from the exporter's words for it.
fn judge(why: &str) -> Option<Cause> {
    if why.contains("it redirects") {
        return Some(Cause::WrongPath);
    }
    let answered = why.split_once("answers ")?.1.to_ascii_lowercase();
    let begins = |names: &[&str]| names.iter().any(|name| answered.starts_with(name));
    if begins(&["401", "403", "407", "unauthenticated", "permission"]) {
        Some(Cause::Unauthorized)
    } else if begins(&["404", "405", "unimplemented"]) {
        Some(Cause::WrongPath)
    } else if begins(&["429", "5", "unavailable", "resource", "deadline", "aborted"]) {
        Some(Cause::Overloaded)
    } else if begins(&["4", "invalid", "failed", "internal", "out of range", "data loss"]) {
        Some(Cause::Rejected)
    } else {
        None
    }
}

/// What to change if the port speaks something else than was spoken to it.
fn misheard(exporter: &ExporterSettings, address: SocketAddr) -> Option<String> {
    let (endpoint, grpc) = match exporter {
        ExporterSettings::Otlp(otlp) => (&otlp.endpoint, otlp.protocol == OtlpProtocol::Grpc),
        ExporterSettings::JaegerCollector { endpoint, .. } => (endpoint, false),
        _ => return None,
    };
    let secure = endpoint.starts_with("https://");
    let advice = match (sniff(address), secure, grpc) {
        (Speaks::Tls, false, _) => "the port speaks TLS: begin the endpoint with https://",
        (Speaks::Http1 | Speaks::Http2, true, _) => {
            "the port speaks no TLS: begin the endpoint with http://"
        }
        (Speaks::Http1, false, true) => {
            "the port speaks HTTP/1 and was spoken to in gRPC: set \
             OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or use the port of gRPC, mostly 4317"
        }
        (Speaks::Http2, false, false) => {
            "the port speaks HTTP/2 alone, as gRPC does, and was spoken to in HTTP/1: set \
             OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or use the port of OTLP/HTTP, mostly 4318"
        }
        (Speaks::Unknown, ..) => "the port speaks neither HTTP nor TLS: is it the right one?",
        _ => return None,
    };
    Some(advice.to_owned())
}

fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::Refused => {
            "start the receiver there, or set OTEL_EXPORTER_OTLP_ENDPOINT to where it is"
        }
        Cause::NameNotResolved => "check the name in OTEL_EXPORTER_OTLP_ENDPOINT",
        Cause::NoAnswer => "a firewall may swallow packets, or the receiver hangs",
        Cause::Unreachable => "check address and routes",
        Cause::Unauthorized => "set the key in OTEL_EXPORTER_OTLP_HEADERS",
        Cause::WrongPath => "check port and path of the endpoint: is a receiver of OTLP there?",
        Cause::Overloaded => "the receiver is there; look at its load and its log",
        Cause::Tls => {
            "name the authority's file in OTEL_EXPORTER_OTLP_CERTIFICATE, or use the name that \
             is in the certificate"
        }
        _ => "",
    }
}

fn skew(signal: Signal, name: &str, begin: SystemTime, date: Option<u64>) -> Option<Finding> {
    let theirs = date?;
    let unix = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    // The answer was dated between the two.
    let (before, after) = (unix(begin), unix(SystemTime::now()));
    let apart = if theirs < before { before - theirs } else { theirs.saturating_sub(after) };
    if Duration::from_secs(apart) < Thresholds::default().skew {
        return None;
    }
    let side = if theirs < before { "behind" } else { "ahead of" };
    Some(Finding::new(
        Cause::ClockSkew,
        Some(signal),
        format!("the clock of {name} is {apart} s {side} this one"),
        "synchronise both (NTP): items of the future or of long ago are refused or not found",
    ))
}
