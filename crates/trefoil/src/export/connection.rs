//! Connections to a receiver, kept between requests: TCP, perhaps through a proxy, perhaps
//! TLS, HTTP/1 or HTTP/2.

use std::cell::RefCell;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::endpoint::Endpoint;
use super::tls::Tls;
use crate::config::Proxy;

/// Largest answer that is read. Export responses have a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Idle HTTP/1 connections that are kept.
const IDLE_MAX: usize = 4;
/// Longest that one of several addresses of a name is tried before the next.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    /// With prior knowledge, or by ALPN over TLS.
    Http2,
}

/// Makes connections to one endpoint and keeps them.
#[derive(Debug)]
pub(super) struct Connections {
    endpoint: Endpoint,
    version: Version,
    tls: Option<Tls>,
    proxy: Option<Box<Proxy>>,
    idle: RefCell<Vec<http1::SendRequest<Full<Bytes>>>>,
    shared: RefCell<Option<http2::SendRequest<Full<Bytes>>>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

impl Connections {
    pub(super) fn new(
        endpoint: Endpoint,
        version: Version,
        tls: Option<Tls>,
        proxy: Option<Box<Proxy>>,
    ) -> Connections {
        let (idle, shared) = Default::default();
        Connections { endpoint, version, tls, proxy, idle, shared }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request and reads the answer, on a connection that is open if there is one.
    ///
    /// # Errors
    /// Says at which step it failed. All of these may pass.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let forwarder = self.proxy.as_ref().filter(|_| self.is_forwarded());
        if let Some(proxy) = forwarder {
            proxy.address(&mut request, &self.endpoint)?;
        }
        let answer = match self.version {
            Version::Http1 => self.send_http1(request).await,
            Version::Http2 => self.send_http2(request).await,
        }?;
        match forwarder {
            Some(proxy) if answer.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(proxy.unauthorized())
            }
            _ => Ok(answer),
        }
    }

    /// Forgets all connections.
    pub(super) fn disconnect(&self) {
        self.idle.borrow_mut().clear();
        *self.shared.borrow_mut() = None;
    }

    async fn send_http1(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let mut request = Some(request);
        while let Some(mut connection) = self.pop_idle() {
            if connection.ready().await.is_err() {
                continue;
            }
            let Some(again) = request.take() else { break };
            let copy = copy_of(&again);
            match connection.send_request(again).await {
                Ok(response) => return self.finish_http1(response, connection).await,
                // The server closed what was idle while we took it: not its word on the request.
                Err(error) if error.is_canceled() || error.is_incomplete_message() => {
                    request = Some(copy);
                }
                Err(error) => return Err(what_failed(&error)),
            }
        }
        let Some(request) = request else { return Err("the request was lost".to_owned()) };
        let io = self.connect().await?;
        let (mut connection, driver) =
            http1::handshake(io).await.map_err(|error| what_failed(&error))?;
        tokio::task::spawn_local(async move {
            // Its end is seen by whoever sends on it.
            let _ = driver.await;
        });
        let response = connection.send_request(request).await;
        let response = response.map_err(|error| what_failed(&error))?;
        self.finish_http1(response, connection).await
    }

    async fn finish_http1(
        &self,
        response: Response<Incoming>,
        connection: http1::SendRequest<Full<Bytes>>,
    ) -> Result<Answer, String> {
        let answer = read(response).await?;
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_MAX && !connection.is_closed() {
            idle.push(connection);
        }
        Ok(answer)
    }

    fn pop_idle(&self) -> Option<http1::SendRequest<Full<Bytes>>> {
        self.idle.borrow_mut().pop()
    }

    async fn send_http2(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let open = self.shared.borrow().clone();
        if let Some(mut connection) = open.filter(|connection| !connection.is_closed()) {
            match connection.send_request(copy_of(&request)).await {
                Ok(response) => return read(response).await,
                // A connection that ended meanwhile; a new one is tried at once.
                Err(_) => *self.shared.borrow_mut() = None,
            }
        }
        let io = self.connect().await?;
        let (mut connection, driver) = http2::handshake(TokioExecutor::new(), io)
            .await
            .map_err(|error| what_failed(&error))?;
        tokio::task::spawn_local(async move {
            // Its end is seen by whoever sends on it.
            let _ = driver.await;
        });
        let response = connection.send_request(request).await;
        let response = response.map_err(|error| what_failed(&error))?;
        *self.shared.borrow_mut() = Some(connection);
        read(response).await
    }

    async fn connect(&self) -> Result<TokioIo<Box<dyn Stream>>, String> {
        let Endpoint { host, port, .. } = &self.endpoint;
        let stream: Box<dyn Stream> = match &self.proxy {
            None => Box::new(connect_tcp(host, *port).await?),
            Some(proxy) => {
                let to_proxy = connect_tcp(&proxy.host, proxy.port).await;
                let to_proxy =
                    to_proxy.map_err(|why| format!("the proxy {}: {why}", proxy.host))?;
                match self.is_forwarded() {
                    true => Box::new(to_proxy),
                    false => proxy.tunnel(to_proxy, &self.endpoint).await?,
                }
            }
        };
        let stream: Box<dyn Stream> = match &self.tls {
            None => stream,
            Some(tls) => {
                let version = self.version;
                Box::new(tls.connect(host, version, stream).await?)
            }
        };
        Ok(TokioIo::new(stream))
    }

    /// Whether a proxy reads the requests, since nothing but plain HTTP/1 is spoken.
    fn is_forwarded(&self) -> bool {
        self.tls.is_none() && self.version == Version::Http1
    }
}

/// Tries the addresses of the name one after the other.
async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, String> {
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> =
        found.map_err(|error| format!("the name {host} cannot be resolved: {error}"))?.collect();
    let mut why = format!("the name {host} has no address");
    for (i, address) in addresses.iter().enumerate() {
        let connect = TcpStream::connect(address);
        let tried = if i + 1 < addresses.len() {
            let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut));
            tokio::time::timeout(ADDRESS_TIMEOUT, connect).await.unwrap_or_else(late)
        } else {
            connect.await
        };
        match tried {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => why = format!("cannot connect to {address}: {}", plain(&error)),
        }
    }
    Err(why)
}

/// A connection with or without TLS.
pub(super) trait Stream:
    tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin
{
}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for T {}

fn copy_of(request: &Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let (parts, body) = response.into_parts();
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let collected = collected.map_err(|error| match error.downcast_ref::<hyper::Error>() {
        Some(error) => what_failed(error),
        None => format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"),
    })?;
    let trailers = collected.trailers().cloned();
    let body = collected.to_bytes();
    Ok(Answer { status: parts.status, headers: parts.headers, body, trailers })
}

/// hyper says at which step, its source says why.
pub(super) fn what_failed(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Without the number that the system gives an error.
pub(super) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}
