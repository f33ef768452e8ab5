//! OTLP to a receiver: over HTTP as protobuf or JSON, over gRPC.
//!
//! Source: OpenTelemetry protocol specification 1.x: what is retried, what is final, partial
//! success.

mod grpc;
mod http;

use std::cell::Cell;
use std::time::Duration;

use ::http::header::{HeaderName, HeaderValue};
use ::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::Full;
use trefoil_wire::compression::{Encoding, compress};
use trefoil_wire::otlp::json::{self, Style};
use trefoil_wire::otlp::schema;

use super::connection::{Connections, Version};
use super::endpoint::Endpoint;
use super::retry::parse_http_date;
use super::target::{Accepted, Failure, Prepared};
use super::tls::Tls;
use crate::account::Signal;
use crate::config::{OtlpProtocol, OtlpSettings};

/// How we introduce ourselves.
pub(super) const USER_AGENT: &str = concat!("trefoil/", env!("CARGO_PKG_VERSION"));

/// Characters of a receiver's message that are kept.
pub(super) const MESSAGE_CHARACTERS_MAX: usize = 300;

/// Smaller bodies do not get smaller by gzip.
const GZIP_BYTES_MIN: usize = 512;

/// A receiver of one signal.
#[derive(Debug)]
pub(super) struct Otlp {
    protocol: OtlpProtocol,
    gzip: bool,
    timeout: Duration,
    headers: HeaderMap,
    connections: Connections,
    /// The receiver's clock at its last answer, in Unix seconds.
    date: Cell<Option<u64>>,
}

impl Otlp {
    /// # Errors
    /// Endpoint, headers or TLS are not usable; says which and why.
    pub(super) fn new(settings: &OtlpSettings) -> Result<Otlp, String> {
        let (port, version) = match settings.protocol {
            OtlpProtocol::Grpc => (4317, Version::Http2),
            OtlpProtocol::HttpProtobuf | OtlpProtocol::HttpJson => (4318, Version::Http1),
        };
        let endpoint = Endpoint::parse(&settings.endpoint, port)?;
        let tls = match endpoint.secure {
            true => Some(Tls::new(&settings.tls)?),
            false => None,
        };
        Ok(Otlp {
            protocol: settings.protocol,
            gzip: settings.gzip,
            timeout: settings.timeout,
            headers: headers(&settings.headers)?,
            connections: Connections::new(endpoint, version, tls, settings.proxy.clone()),
            date: Cell::new(None),
        })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn date(&self) -> Option<u64> {
        self.date.get()
    }

    pub(super) fn disconnect(&self) {
        self.connections.disconnect();
    }

    /// # Errors
    /// The request is damaged, or too large for a frame.
    pub(super) fn prepare(&self, signal: Signal, request: Vec<u8>) -> Result<Prepared, String> {
        let body = match self.protocol {
            OtlpProtocol::HttpJson => to_json(signal, &request)?.into_bytes(),
            OtlpProtocol::HttpProtobuf | OtlpProtocol::Grpc => request,
        };
        let compressed = match self.gzip && body.len() >= GZIP_BYTES_MIN {
            true => compress(Encoding::Gzip, &body).ok(),
            false => None,
        };
        let gzipped = compressed.is_some();
        let body = compressed.unwrap_or(body);
        if self.protocol != OtlpProtocol::Grpc {
            return Ok(body.into());
        }
        let mut frame = Vec::with_capacity(body.len() + 5);
        trefoil_wire::grpc::push_frame(&body, gzipped, &mut frame)
            .ok_or("the request has more than 4 GiB")?;
        Ok(frame.into())
    }

    pub(super) async fn attempt(
        &self,
        signal: Signal,
        prepared: &Prepared,
    ) -> Result<Accepted, Failure> {
        let mut all = Accepted::default();
        for message in &prepared.messages {
            let request = self.request(signal, message.clone())?;
            let answer = self.connections.send(request).await.map_err(Failure::retry)?;
            let date = answer.headers.get(::http::header::DATE).and_then(|d| d.to_str().ok());
            self.date.set(date.and_then(parse_http_date));
            all = match self.protocol {
                OtlpProtocol::Grpc => grpc::judge(&answer)?,
                OtlpProtocol::HttpProtobuf | OtlpProtocol::HttpJson => {
                    http::judge(signal, &answer)?
                }
            };
        }
        Ok(all)
    }

    fn request(&self, signal: Signal, body: Bytes) -> Result<Request<Full<Bytes>>, Failure> {
        let mut headers = self.headers.clone();
        let uri = match self.protocol {
            OtlpProtocol::Grpc => {
                let gzipped = body.first() == Some(&1);
                grpc::headers(&mut headers, gzipped, self.timeout);
                let endpoint = self.connections.endpoint();
                // HTTP/2 takes `:scheme` and `:authority` from the URI.
                format!("{}://{}{}", endpoint.scheme(), endpoint.authority(), grpc::path(signal))
            }
            protocol => {
                let gzipped = body.starts_with(&[0x1f, 0x8b]);
                http::headers(&mut headers, protocol, gzipped);
                let authority = self.connections.endpoint().authority();
                if let Ok(host) = HeaderValue::try_from(authority) {
                    headers.insert(::http::header::HOST, host);
                }
                self.connections.endpoint().path.clone()
            }
        };
        let mut request = Request::post(uri)
            .body(Full::new(body))
            .map_err(|error| Failure::Final(format!("the endpoint is not a URL: {error}")))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn headers(settings: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(::http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, value) in settings {
        // The value may be a secret, and is not repeated.
        let wrong = || format!("the header `{name}` cannot be sent: name or value is malformed");
        let key = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn to_json(signal: Signal, request: &[u8]) -> Result<String, String> {
    let message = match signal {
        Signal::Traces => &schema::TRACE_REQUEST,
        Signal::Metrics => &schema::METRICS_REQUEST,
        Signal::Logs => &schema::LOGS_REQUEST,
    };
    let mut text = String::with_capacity(2 * request.len());
    json::from_protobuf(message, request, Style::Otlp, &mut text)
        .map_err(|error| error.to_string())?;
    Ok(text)
}

/// The beginning of a receiver's message, on one line.
pub(super) fn short(message: &str) -> String {
    let line = message.trim().lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARACTERS_MAX).collect()
}
