//! A small HTTP client for the verbs that ask a running server.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// An answer larger than this is not for a terminal.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take: longer than the server gives a query.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(150);
/// An operation may read or write all data.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// A server to ask.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    authority: String,
    prefix: String,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// `grpc-status`, if there is one.
    pub(crate) grpc_status: Option<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// A client for `http://host:port/prefix`.
    ///
    /// # Errors
    /// A line for the user: no URL we can ask.
    pub(crate) fn new(url: &str) -> Result<Client, String> {
        if url.starts_with("https://") {
            return Err("https is not supported here yet; ask through http".to_owned());
        }
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() || authority.contains(char::is_whitespace) {
            return Err("a URL like http://127.0.0.1:4316 is expected".to_owned());
        }
        let has_port =
            authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Client { authority, prefix })
    }

    /// Where it asks.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.prefix)
    }

    /// Asks `path` with these parameters.
    ///
    /// # Errors
    /// A line for the user: unreachable, too slow, too much.
    pub(crate) fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Answer, String> {
        let target = self.target(path, parameters);
        let request = Request::get(&target).header("host", &self.authority);
        self.send(request.body(Full::default()).map_err(|e| e.to_string())?, false)
    }

    /// Posts a body.
    ///
    /// # Errors
    /// A line for the user: unreachable, too slow, too much.
    pub(crate) fn post(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Answer, String> {
        let request = Request::post(format!("{}{path}", self.prefix))
            .header("host", &self.authority)
            .header("content-type", content_type);
        self.send(request.body(Full::from(body)).map_err(|e| e.to_string())?, false)
    }

    /// Has an operation on the data done; that may take its time.
    ///
    /// # Errors
    /// A line for the user: unreachable, too slow, too much.
    pub(crate) fn operate(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Answer, String> {
        let target = self.target(path, parameters);
        let request = Request::post(&target)
            .header("host", &self.authority)
            .header(crate::api::admin::HEADER, "1");
        let request = request.body(Full::default()).map_err(|e| e.to_string())?;
        self.send_within(request, false, OPERATION_TIMEOUT)
    }

    fn target(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        let mut target = format!("{}{path}", self.prefix);
        for (i, (name, value)) in parameters.iter().enumerate() {
            target.push(if i == 0 { '?' } else { '&' });
            target.push_str(&format!("{name}={}", percent(value)));
        }
        target
    }

    /// Calls a unary gRPC method with one message's frame.
    ///
    /// # Errors
    /// A line for the user: unreachable, too slow, too much.
    pub(crate) fn call(&self, path: &str, frame: Vec<u8>) -> Result<Answer, String> {
        let request = Request::post(format!("{}{path}", self.url()))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        self.send(request.body(Full::from(frame)).map_err(|e| e.to_string())?, true)
    }

    fn send(&self, request: Request<Full<Bytes>>, is_http2: bool) -> Result<Answer, String> {
        self.send_within(request, is_http2, ANSWER_TIMEOUT)
    }

    fn send_within(
        &self,
        request: Request<Full<Bytes>>,
        is_http2: bool,
        answer_timeout: Duration,
    ) -> Result<Answer, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        runtime.block_on(async {
            let connect =
                tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.authority));
            let stream = match connect.await {
                Ok(Ok(stream)) => TokioIo::new(stream),
                Ok(Err(error)) => return Err(format!("{}: {error}", self.authority)),
                Err(_) => return Err(format!("{} does not answer", self.authority)),
            };
            let answer = tokio::time::timeout(answer_timeout, exchange(stream, request, is_http2));
            match answer.await {
                Ok(answer) => answer.map_err(|error| format!("{}: {error}", self.authority)),
                Err(_) => Err(format!("{} did not answer in time", self.authority)),
            }
        })
    }
}

async fn exchange(
    stream: TokioIo<TcpStream>,
    request: Request<Full<Bytes>>,
    is_http2: bool,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    // The connection ends with the runtime; its errors come back by the request.
    let response = if is_http2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    };
    let (head, body) = response.into_parts();
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
    let grpc_status = collected
        .trailers()
        .and_then(|trailers| trailers.get("grpc-status"))
        .or_else(|| head.headers.get("grpc-status"))
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok(Answer { status: head.status.as_u16(), grpc_status, body: collected.to_bytes().to_vec() })
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = |text: &str| Client::new(text).map(|client| client.url());
        assert_eq!(url("http://127.0.0.1:4316").unwrap(), "http://127.0.0.1:4316");
        assert_eq!(url("localhost:1/base/").unwrap(), "http://localhost:1/base");
        assert_eq!(url("http://host").unwrap(), "http://host:80");
        for bad in ["https://host", "", "http://", "a b"] {
            assert!(url(bad).is_err(), "{bad}");
        }
        assert_eq!(percent("a{b=\"ä\"}"), "a%7Bb%3D%22%C3%A4%22%7D");
    }
}
