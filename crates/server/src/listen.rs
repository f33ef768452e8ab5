//! A listening port: accepts connections, tells HTTP/1 from HTTP/2 by their first
//! bytes, and holds every client to limits of time and number.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Connections one port holds at once; each costs a task and its buffers, some 20 KiB.
/// More wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 2048;
/// A client that has not begun to say within this time what it wants is dropped.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a whole head (slow loris). hyper counts the pause before the next request
/// on a kept connection as well, so this must be longer than the minute after which
/// exporters send again.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Header bytes of one request: cookies and a long query string fit.
const HEADER_BYTES_MAX: u32 = 64 << 10;
/// Headers of one request.
const HEADERS_MAX: usize = 128;
/// Streams one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 128;
/// HTTP/2 clients are asked for a sign of life this often, and dropped after as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long open requests may take once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// After a failed `accept` (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What an HTTP/2 connection starts with: RFC 9113, section 3.4.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a port until `stop` changes, then until its connections are done or
/// the grace period is over.
pub(crate) async fn serve(listener: TcpListener, app: Router, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Reap what has ended, so that the set does not grow.
        while connections.try_join_next().is_some() {}
        let Some((stream, permit)) = accept(&listener, &permits, &mut stop).await else { break };
        let app = app.clone();
        let stop = stop.clone();
        connections.spawn(async move {
            let _permit = permit;
            connection(stream, app, stop).await;
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    stop: &mut watch::Receiver<bool>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let next = async {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, permit)),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    };
    tokio::select! {
        next = next => next,
        () = stopped(stop) => None,
    }
}

async fn connection(stream: TcpStream, app: Router, mut stop: watch::Receiver<bool>) {
    // Answers are written whole; waiting for more to send only costs latency.
    let _ = stream.set_nodelay(true);
    let Ok(Some((stream, is_http2))) =
        tokio::time::timeout(FIRST_BYTES_TIMEOUT, sniff(stream)).await
    else {
        return;
    };
    let service = TowerToHyperService::new(app);
    let stream = TokioIo::new(stream);
    // Errors here are the client's: it went away or does not speak HTTP.
    if is_http2 {
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .serve_connection(stream, service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => {}
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    } else {
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEADER_BYTES_MAX as usize)
            .serve_connection(stream, service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => {}
            () = stopped(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

/// Waits until the server stops (or is gone, which is the same).
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Reads until it is clear whether the client speaks HTTP/2 with prior knowledge.
async fn sniff(mut stream: TcpStream) -> Option<(Sniffed, bool)> {
    let mut head = [0; HTTP2_PREFACE.len()];
    let mut read = 0;
    while read < head.len() && head[..read] == HTTP2_PREFACE[..read] {
        match stream.read(&mut head[read..]).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => read += count,
        }
    }
    let is_http2 = head == *HTTP2_PREFACE;
    Some((Sniffed { head, from: 0, to: read, stream }, is_http2))
}

/// A stream that gives back the bytes that were read to sniff at it.
struct Sniffed {
    head: [u8; HTTP2_PREFACE.len()],
    from: usize,
    to: usize,
    stream: TcpStream,
}

impl AsyncRead for Sniffed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.from < self.to {
            let count = buf.remaining().min(self.to - self.from);
            buf.put_slice(&self.head[self.from..self.from + count]);
            self.from += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl AsyncWrite for Sniffed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Opens a port.
///
/// # Errors
/// A line for the user that says what to do.
pub(crate) async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {} of {} is taken by another process; stop it or choose another with {flag}",
            address.port(),
            address.ip()
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this machine; choose another with {flag}", address.ip())
        }
        io::ErrorKind::PermissionDenied => format!(
            "port {} needs privileges this process has not; choose one above 1023 with {flag}",
            address.port()
        ),
        _ => format!("cannot listen on {address} ({flag}): {error}"),
    })
}
