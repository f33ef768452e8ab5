//! Receivers behind a proxy, with a small one that speaks real HTTP.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::*;
use crate::config::Proxy;
use crate::export::receiver::tls::Certificates;

/// Tunnels and forwards to the port that is asked for on this machine, whatever the name.
struct Through {
    address: SocketAddr,
    /// What it was asked, the lines of each head.
    heads: Arc<Mutex<Vec<String>>>,
}

impl Through {
    /// With an answer it refuses whoever does not say `Basic dTpw`.
    fn start(refusal: Option<&'static str>) -> Through {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let of_thread = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming() {
                let heads = Arc::clone(&of_thread);
                thread::spawn(move || {
                    // Whoever ends a connection is seen at the other end.
                    let _ = serve(client?, &heads, refusal);
                    io::Result::Ok(())
                });
            }
        });
        Through { address, heads }
    }

    fn settings(&self, authorization: Option<&'static str>) -> Option<Box<Proxy>> {
        let authorization = authorization.map(http::HeaderValue::from_static);
        let host = self.address.ip().to_string();
        let port = self.address.port();
        Some(Box::new(Proxy { host, port, authorization, named_by: "HTTPS_PROXY" }))
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    mut client: TcpStream,
    heads: &Mutex<Vec<String>>,
    refusal: Option<&'static str>,
) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    heads.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
    if let Some(refusal) = refusal.filter(|_| !head.contains("proxy-authorization: Basic dTpw")) {
        return write!(client, "HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n");
    }
    let target = head.split(' ').nth(1).unwrap_or_default();
    let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let port = authority.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let mut receiver = TcpStream::connect(("127.0.0.1", port))?;
    receiver.set_read_timeout(Some(PATIENCE))?;
    match head.starts_with("CONNECT ") {
        true => client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?,
        false => receiver.write_all(head.as_bytes())?,
    }
    let (mut from, mut to) = (client.try_clone()?, receiver.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write)
    });
    let _ = io::copy(&mut receiver, &mut client);
    client.shutdown(Shutdown::Write)
}

/// Sends three spans through a proxy to a name that nobody but the proxy knows.
fn send_through(protocol: OtlpProtocol, proxy: &Through, authorization: Option<&'static str>) {
    let receiver = receiver_of(protocol);
    let mut settings = otlp(protocol, &receiver, Signal::Traces);
    settings.endpoint = settings.endpoint.replace("127.0.0.1", "collector.invalid");
    settings.proxy = proxy.settings(authorization);
    let service = Service::start(spans_to(settings));
    service.spans(3);
    service.exporting.flush(PATIENCE);
    let told = &service.exporting.status()[0].last_error;
    assert_eq!(receiver.spans().len(), 3, "{protocol:?}: {told:?}");
    let path = &receiver.received()[0].path;
    assert!(!path.contains("collector.invalid"), "{path}");
}

#[test]
fn h6_grpc_goes_through_a_tunnel_and_plain_http_is_forwarded() {
    for (protocol, begins) in [
        (OtlpProtocol::Grpc, "CONNECT collector.invalid:"),
        (OtlpProtocol::HttpProtobuf, "POST http://collector.invalid:"),
        (OtlpProtocol::HttpJson, "POST http://collector.invalid:"),
    ] {
        let proxy = Through::start(None);
        send_through(protocol, &proxy, None);
        let heads = proxy.heads();
        assert!(heads.len() == 1 && heads[0].starts_with(begins), "{heads:?}");
        assert!(!heads[0].contains("proxy-authorization"), "{heads:?}");
        let proxy = Through::start(Some("407 Proxy Authentication Required"));
        send_through(protocol, &proxy, Some("Basic dTpw"));
    }
}

#[test]
fn h6_tls_goes_through_a_tunnel_that_sees_nothing_of_it() {
    let certificates = Certificates::new();
    for (protocol, kind, alpn) in [
        (OtlpProtocol::Grpc, Protocol::Grpc, &b"h2"[..]),
        (OtlpProtocol::HttpProtobuf, Protocol::Http, b"http/1.1"),
    ] {
        let receiver = Receiver::start_with(kind, Some(certificates.acceptor(false, alpn)));
        let proxy = Through::start(Some("407 Proxy Authentication Required"));
        let mut settings = otlp(protocol, &receiver, Signal::Traces);
        settings.tls.ca = Some(certificates.ca());
        settings.proxy = proxy.settings(Some("Basic dTpw"));
        let service = Service::start(spans_to(settings));
        service.spans(3);
        service.exporting.flush(PATIENCE);
        assert_eq!(receiver.spans().len(), 3, "{protocol:?}");
        // The receiver is told nothing of what is between the service and its proxy.
        assert_eq!(receiver.received()[0].header("proxy-authorization"), None);
        let heads = proxy.heads();
        assert!(heads.len() == 1 && heads[0].starts_with("CONNECT localhost:"), "{heads:?}");
        assert!(!heads[0].contains("x-tenant"), "{heads:?}");
    }
}

#[test]
fn h6_a_proxy_that_refuses_is_told_and_nothing_goes_around_it() {
    for (protocol, refusal, expected) in [
        (OtlpProtocol::Grpc, "407 Proxy Authentication Required", "wants to know who asks (407)"),
        (OtlpProtocol::Grpc, "403 Forbidden", "does not connect to"),
        // One that forwards says it in place of the receiver.
        (OtlpProtocol::HttpJson, "407 Authentication Required", "wants to know who asks (407)"),
    ] {
        let receiver = receiver_of(protocol);
        let proxy = Through::start(Some(refusal));
        let mut settings = otlp(protocol, &receiver, Signal::Traces);
        settings.proxy = proxy.settings(None);
        let service = Service::start(spans_to(settings));
        service.spans(1);
        service.exporting.shutdown(Duration::from_secs(2));
        let (_, why) = service.exporting.status()[0].last_error.clone().unwrap();
        assert!(why.contains("the proxy 127.0.0.1") && why.contains(expected), "{why}");
        assert_eq!((receiver.connections(), receiver.requests()), (0, 0));
    }
}
