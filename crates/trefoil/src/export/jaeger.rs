//! Jaeger's own protocols: the collector's Thrift over HTTP, the agent's over UDP.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http_body_util::Full;
use tokio::net::UdpSocket;
use trefoil_wire::jaeger::{Encoding, processes};

use super::connection::{Connections, Version, plain};
use super::endpoint::Endpoint;
use super::otlp::{self, short};
use super::target::{Accepted, Failure, Prepared};
use super::tls::Tls;
use crate::config::{Proxy, TlsSettings};

/// The collector's port for Thrift over HTTP.
const COLLECTOR_PORT: u16 = 14268;

/// Largest packet the agent takes; UDP itself ends at 65,507 bytes.
const PACKET_BYTES_MAX: usize = 65_000;

/// A `Batch` for each resource.
///
/// # Errors
/// The request is damaged.
pub(super) fn collector_messages(request: &[u8]) -> Result<Prepared, String> {
    let processes = processes(request, Encoding::Binary).map_err(|error| error.to_string())?;
    let messages = processes.iter().map(|process| Bytes::from(process.batch())).collect();
    Ok(Prepared { messages, rejected: 0 })
}

/// Packets with a call of `emitBatch` each.
///
/// # Errors
/// The request is damaged.
pub(super) fn agent_packets(request: &[u8]) -> Result<Prepared, String> {
    let mut prepared = Prepared::default();
    for process in processes(request, Encoding::Compact).map_err(|error| error.to_string())? {
        let (calls, too_large) = process.emit_batch_calls(PACKET_BYTES_MAX);
        prepared.messages.extend(calls.into_iter().map(Bytes::from));
        prepared.rejected += too_large;
    }
    Ok(prepared)
}

/// Jaeger's collector.
#[derive(Debug)]
pub(super) struct Collector {
    timeout: Duration,
    connections: Connections,
}

impl Collector {
    /// # Errors
    /// The endpoint is not usable; says why.
    pub(super) fn new(
        endpoint: &str,
        timeout: Duration,
        proxy: Option<Box<Proxy>>,
    ) -> Result<Collector, String> {
        let mut endpoint = Endpoint::parse(endpoint, COLLECTOR_PORT)?;
        if endpoint.path == "/" {
            "/api/traces".clone_into(&mut endpoint.path);
        }
        let tls = match endpoint.secure {
            true => Some(Tls::new(&TlsSettings::default())?),
            false => None,
        };
        let connections = Connections::new(endpoint, Version::Http1, tls, proxy);
        Ok(Collector { timeout, connections })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn disconnect(&self) {
        self.connections.disconnect();
    }

    pub(super) async fn attempt(&self, prepared: &Prepared) -> Result<Accepted, Failure> {
        let endpoint = self.connections.endpoint();
        for message in &prepared.messages {
            let request = Request::post(&endpoint.path)
                .header(HOST, endpoint.authority())
                .header(USER_AGENT, otlp::USER_AGENT)
                .header(CONTENT_TYPE, "application/vnd.apache.thrift.binary")
                .body(Full::new(message.clone()))
                .map_err(|error| Failure::Final(format!("the endpoint is wrong: {error}")))?;
            let answer = self.connections.send(request).await.map_err(Failure::retry)?;
            let said = short(&String::from_utf8_lossy(&answer.body));
            let why = format!("it answers {}: {said}", answer.status);
            match answer.status.as_u16() {
                200..=299 => {}
                // Its queue is full, or it is not up.
                429 | 500..=599 => return Err(Failure::retry(why)),
                _ => return Err(Failure::Final(why)),
            }
        }
        Ok(Accepted::default())
    }
}

/// Jaeger's agent. It never answers: what is handed to the system counts as sent.
#[derive(Debug)]
pub(super) struct Agent {
    host: String,
    port: u16,
    socket: RefCell<Option<(std::rc::Rc<UdpSocket>, SocketAddr)>>,
}

impl Agent {
    /// # Errors
    /// The address is not `host:port`.
    pub(super) fn new(address: &str) -> Result<Agent, String> {
        let endpoint = Endpoint::parse(address, 6831)?;
        Ok(Agent { host: endpoint.host, port: endpoint.port, socket: RefCell::default() })
    }

    pub(super) async fn attempt(&self, prepared: &Prepared) -> Result<Accepted, Failure> {
        let (socket, address) = self.socket().await.map_err(Failure::retry)?;
        for message in &prepared.messages {
            if let Err(error) = socket.send_to(message, address).await {
                // Its name may stand for another address by now.
                *self.socket.borrow_mut() = None;
                return Err(Failure::retry(format!("cannot send: {}", plain(&error))));
            }
        }
        let message = (prepared.rejected > 0).then(|| {
            format!(
                "{} spans are larger than a packet of {PACKET_BYTES_MAX} bytes",
                prepared.rejected
            )
        });
        Ok(Accepted { rejected: prepared.rejected, message })
    }

    async fn socket(&self) -> Result<(std::rc::Rc<UdpSocket>, SocketAddr), String> {
        if let Some((socket, address)) = &*self.socket.borrow() {
            return Ok((std::rc::Rc::clone(socket), *address));
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found =
            found.map_err(|error| format!("the name {} cannot be resolved: {error}", self.host))?;
        let all: Vec<SocketAddr> = found.collect();
        // Nothing tells a wrong choice, and agents listen on IPv4 if on one alone.
        let address = all.iter().find(|address| address.is_ipv4()).or(all.first()).copied();
        let address = address.ok_or("the agent's name has no address")?;
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await.map_err(|error| plain(&error))?;
        let made = (std::rc::Rc::new(socket), address);
        *self.socket.borrow_mut() = Some(made.clone());
        Ok(made)
    }
}
