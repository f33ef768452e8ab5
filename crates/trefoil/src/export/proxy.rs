//! Ways through a proxy: a tunnel, or requests that it forwards.

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::connection::{Stream, what_failed};
use super::endpoint::Endpoint;
use crate::config::Proxy;

impl Proxy {
    /// Has the proxy connect to a receiver (`CONNECT`, RFC 9110). It sees nothing of what goes
    /// through but where to.
    ///
    /// # Errors
    /// Says what the proxy said.
    pub(super) async fn tunnel(
        &self,
        stream: TcpStream,
        to: &Endpoint,
    ) -> Result<Box<dyn Stream>, String> {
        let failed = |error| format!("the proxy {}: {}", self.host, what_failed(&error));
        let (mut connection, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::task::spawn_local(async move {
            // Its end is seen by whoever sends on it.
            let _ = driver.with_upgrades().await;
        });
        let authority = to.authority();
        let uri: Uri = authority.parse().map_err(|_| format!("{authority} is no address"))?;
        let mut request = Request::new(Full::<Bytes>::default());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = uri;
        if let Ok(host) = authority.parse() {
            request.headers_mut().insert(HOST, host);
        }
        self.authorize(&mut request);
        let answer = connection.send_request(request).await.map_err(failed)?;
        match answer.status() {
            status if status.is_success() => {
                let upgraded = hyper::upgrade::on(answer).await.map_err(failed)?;
                Ok(Box::new(TokioIo::new(upgraded)))
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(self.unauthorized()),
            status => {
                Err(format!("the proxy {} does not connect to {authority}: {status}", self.host))
            }
        }
    }

    /// Makes a request one that the proxy forwards: proxies often refuse tunnels to ports that
    /// are not those of HTTPS.
    pub(super) fn address(
        &self,
        request: &mut Request<Full<Bytes>>,
        to: &Endpoint,
    ) -> Result<(), String> {
        let uri = format!("{}://{}{}", to.scheme(), to.authority(), request.uri());
        *request.uri_mut() = uri.parse().map_err(|_| format!("{uri} is no URL"))?;
        self.authorize(request);
        Ok(())
    }

    /// What to say of a 407.
    pub(super) fn unauthorized(&self) -> String {
        format!(
            "the proxy {} wants to know who asks (407); name it as http://user:password@host:port",
            self.host
        )
    }

    fn authorize(&self, request: &mut Request<Full<Bytes>>) {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
    }
}
