//! Receivers that tests send to over real sockets, with faults: OTLP over HTTP and gRPC,
//! Jaeger over HTTP and UDP. What came in is decoded by code that is not ours.
//!
//! The crate's own unit tests use this file, too: hence the paths.

#[path = "receiver/jaeger.rs"]
pub(crate) mod jaeger;
#[path = "receiver/otlp.rs"]
pub(crate) mod otlp;
#[path = "receiver/tls.rs"]
pub(crate) mod tls;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a receiver does to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// All is well.
    None,
    /// Nobody listens on the port.
    Refused,
    /// Connections are taken and bytes swallowed; no answer ever comes.
    BlackHole,
    /// The answer is right, and late.
    Slow(Duration),
    /// An answer of HTTP, with the value of `Retry-After`.
    Status(u16, Option<String>),
    /// An answer of gRPC, with the delay of a `RetryInfo`.
    Grpc(u8, Option<Duration>),
    /// The connection is reset once a request begins.
    Reset,
    /// Bytes that are neither TLS nor HTTP.
    Garbage,
    /// HTTP is right, what it carries is not.
    Malformed,
    /// So many items are refused, with a message.
    Partial(i64, String),
    /// The answer sends elsewhere.
    Redirect(String),
}

/// One request as it came, unpacked.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The path of the URL.
    pub(crate) path: String,
    /// Headers in the order they came.
    pub(crate) headers: Vec<(String, String)>,
    /// The body: without gRPC's frame, not compressed.
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Speaks one protocol on one port of this machine.
pub(crate) struct Receiver {
    address: SocketAddr,
    secure: bool,
    shared: Arc<Shared>,
    orders: tokio::sync::mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// The protocols over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OTLP over HTTP/1, protobuf or JSON.
    Http,
    /// OTLP over gRPC.
    Grpc,
    /// Jaeger's collector.
    Jaeger,
}

struct Shared {
    protocol: Protocol,
    fault: Mutex<Fault>,
    /// Faults of the next requests, before the standing one counts again.
    script: Mutex<VecDeque<Fault>>,
    accepted: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    requests: AtomicUsize,
}

enum Order {
    Fault(Fault, mpsc::Sender<()>),
    Stop,
}

impl Receiver {
    pub(crate) fn start(protocol: Protocol) -> Receiver {
        Self::start_with(protocol, None)
    }

    /// With TLS if `tls` is given.
    pub(crate) fn start_with(protocol: Protocol, tls: Option<tls::Acceptor>) -> Receiver {
        let shared = Arc::new(Shared {
            protocol,
            fault: Mutex::new(Fault::None),
            script: Mutex::default(),
            accepted: Mutex::default(),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
        });
        let (orders, inbox) = tokio::sync::mpsc::unbounded_channel();
        let (ready, address) = mpsc::channel();
        let secure = tls.is_some();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                serve(listener, of_thread, tls, inbox).await;
            });
        });
        let address = address.recv_timeout(PATIENCE).unwrap();
        Receiver { address, secure, shared, orders, thread: Some(thread) }
    }

    /// `http://127.0.0.1:…`, or `https://localhost:…`, the name in the certificate.
    pub(crate) fn url(&self) -> String {
        let port = self.address.port();
        if self.secure {
            format!("https://localhost:{port}")
        } else {
            format!("http://127.0.0.1:{port}")
        }
    }

    /// What happens from now on. Open connections are closed.
    pub(crate) fn fault(&self, fault: Fault) {
        let (done, wait) = mpsc::channel();
        self.orders.send(Order::Fault(fault, done)).unwrap();
        wait.recv_timeout(PATIENCE).unwrap();
    }

    /// What happens to the next requests, one after the other.
    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.script.lock().unwrap().extend(faults);
    }

    /// What was accepted so far, partial successes included.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.accepted.lock().unwrap().clone()
    }

    /// Requests so far, refused ones included.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until a condition holds; fails the test if it does not in half a minute.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, holds: impl Fn(&Receiver) -> bool) {
        wait(what, || holds(self));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits until a condition holds; fails the test if it does not in half a minute.
#[track_caller]
pub(crate) fn wait(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    tls: Option<tls::Acceptor>,
    mut inbox: tokio::sync::mpsc::UnboundedReceiver<Order>,
) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let mut open = JoinSet::new();
    loop {
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = inbox.recv() => {
                let Some(Order::Fault(fault, done)) = order else { return };
                open.shutdown().await;
                listener = match (listener.take(), &fault) {
                    (_, Fault::Refused) => None,
                    (Some(listener), _) => Some(listener),
                    (None, _) => Some(TcpListener::bind(address).await.unwrap()),
                };
                *shared.fault.lock().unwrap() = fault;
                let _ = done.send(());
            }
            accepted = accept => {
                let Ok((stream, _)) = accepted else { continue };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                open.spawn(connection(stream, Arc::clone(&shared), tls.clone()));
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, tls: Option<tls::Acceptor>) {
    let fault = shared.fault.lock().unwrap().clone();
    match fault {
        Fault::BlackHole => {
            let _ = stream.readable().await;
            return std::future::pending().await;
        }
        Fault::Reset => {
            let _ = stream.readable().await;
            let _ = stream.set_zero_linger();
            return;
        }
        Fault::Garbage => {
            let _ = stream.readable().await;
            let _ = stream.try_write(b"\x00\x01garbage that no protocol begins with\r\n\r\n");
            return;
        }
        _ => {}
    }
    let _ = stream.set_nodelay(true);
    match tls {
        None => speak(TokioIo::new(stream), shared).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                speak(TokioIo::new(stream), shared).await;
            }
        }
    }
}

async fn speak<I>(io: I, shared: Arc<Shared>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let protocol = shared.protocol;
    let service = hyper::service::service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move {
            shared.requests.fetch_add(1, Ordering::SeqCst);
            let scripted = shared.script.lock().unwrap().pop_front();
            let fault = scripted.unwrap_or_else(|| shared.fault.lock().unwrap().clone());
            if let Fault::Slow(delay) = fault {
                tokio::time::sleep(delay).await;
            }
            otlp::answer(&shared, protocol, fault, request).await
        }
    });
    // How a connection ends is the client's affair.
    let _ = match protocol {
        Protocol::Grpc => {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.serve_connection(io, service).await
        }
        Protocol::Http | Protocol::Jaeger => {
            hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
        }
    };
}
