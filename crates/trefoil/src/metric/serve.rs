//! `/metrics`, as a page to mount and as a server of its own.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use trefoil_wire::compression::{self, Encoding};
use trefoil_wire::exposition::Format;

use super::registry::Registry;
use crate::clock;
use crate::config::MetricSettings;
use crate::resource::Resource;

/// Connections at one time. Prometheus keeps one open; the rest waits to be accepted.
const CONNECTIONS_MAX: usize = 32;
/// Longest that a client may take to ask.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages below this are not worth packing.
const GZIP_BYTES_MIN: usize = 1024;

/// The metrics of one telemetry while it runs: process and runtime are reported, the page
/// can be read, `/metrics` is served if the settings say where.
#[derive(Debug)]
pub(crate) struct Serving {
    page: Arc<Page>,
    scrape: Option<Scrape>,
}

impl Serving {
    /// Starts; what could not be served is the second value, for the operator.
    pub(crate) fn start(
        settings: &MetricSettings,
        registry: &Arc<Registry>,
        resource: &Arc<Resource>,
    ) -> (Serving, Option<String>) {
        if settings.runtime {
            super::runtime::install(registry);
        }
        let page = Arc::new(Page {
            registry: Arc::clone(registry),
            resource: Arc::clone(resource),
            last_read_ns: AtomicU64::new(0),
        });
        let scrape = settings.prometheus.map(|address| Scrape::start(address, Arc::clone(&page)));
        let (scrape, warning) = match scrape.transpose() {
            Ok(scrape) => (scrape, None),
            Err(warning) => (None, Some(warning)),
        };
        (Serving { page, scrape }, warning)
    }

    /// See [`Page::read`].
    pub(crate) fn text(&self, accept: &str) -> (&'static str, String) {
        self.page.read(accept)
    }

    /// Where `/metrics` is served, if it is.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.scrape.as_ref().map(|scrape| scrape.address)
    }

    /// Unix nanoseconds of the last time somebody read the page; `None` if nobody did.
    pub(crate) fn last_read_ns(&self) -> Option<u64> {
        Some(self.page.last_read_ns.load(Relaxed)).filter(|time| *time != 0)
    }
}

/// The metrics as a page.
#[derive(Debug)]
struct Page {
    registry: Arc<Registry>,
    resource: Arc<Resource>,
    /// Unix nanoseconds of the last time somebody read it, 0 for never.
    last_read_ns: AtomicU64,
}

impl Page {
    /// The page for a client that accepts these media types (the `Accept` header): content
    /// type and text.
    fn read(&self, accept: &str) -> (&'static str, String) {
        self.last_read_ns.store(clock::now_ns(), Relaxed);
        let format = choose(accept);
        (format.content_type(), self.registry.write_text(format, Some(&self.resource)))
    }
}

impl Registry {
    /// The metrics as text in the format that an `Accept` header prefers, Prometheus's 0.0.4 or
    /// OpenMetrics 1.0: content type and body.
    #[must_use]
    pub fn text(&self, accept: &str) -> (&'static str, String) {
        let format = choose(accept);
        (format.content_type(), self.write_text(format, None))
    }
}

/// The format that is preferred; of two alike OpenMetrics, which has exemplars.
fn choose(accept: &str) -> Format {
    let weight = |types: &[&str]| {
        let accepted = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next()?;
            let mut parameters = parts.filter_map(|p| p.split_once('='));
            let weight = parameters.find(|(name, _)| name.eq_ignore_ascii_case("q"));
            let weight = weight.map_or(1.0, |(_, weight)| weight.parse().unwrap_or(0.0));
            types.iter().any(|t| t.eq_ignore_ascii_case(media_type)).then_some(weight)
        });
        accepted.fold(0.0, f64::max)
    };
    let open_metrics = weight(&["application/openmetrics-text"]);
    let text = weight(&["text/plain", "text/*", "*/*"]);
    if open_metrics > 0.0 && open_metrics >= text {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

/// A server of the page, on a thread of its own.
struct Scrape {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// After a fork the child has no such thread, and would wait for it for ever.
    process: u32,
}

impl Scrape {
    /// Listens and serves.
    ///
    /// # Errors
    /// The address cannot be had; says which and what to do.
    fn start(address: SocketAddr, page: Arc<Page>) -> Result<Scrape, String> {
        let wrong = |error: std::io::Error| {
            format!(
                "cannot serve metrics on {address}: {error}; stop the other process or choose \
                 another port"
            )
        };
        let listener = std::net::TcpListener::bind(address).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(wrong)?;
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            // Nothing the server does may become telemetry of the service.
            let _quiet = tracing::dispatcher::set_default(&tracing::Dispatch::none());
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, page) => {}
                    // A sender that is gone stops it just as well.
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("trefoil-metrics".to_owned()).spawn(work);
        let thread = thread.map_err(wrong)?;
        let process = std::process::id();
        Ok(Scrape { address, stop: Some(stop), thread: Some(thread), process })
    }
}

/// Stops it; requests in flight are cut off.
impl Drop for Scrape {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrape({})", self.address)
    }
}

async fn serve(listener: std::net::TcpListener, page: Arc<Page>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let page = Arc::clone(&page);
                tokio::spawn(async move {
                    serve_connection(stream, page).await;
                    drop(permit);
                });
            }
            // Out of file descriptors, most likely: others may give some back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, page: Arc<Page>) {
    let service = hyper::service::service_fn(move |request| {
        let answer = answer(&request, &page);
        async move { Ok::<_, Infallible>(answer) }
    });
    // A connection that breaks concerns nobody but its client.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer<B>(request: &Request<B>, page: &Page) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/metrics" | "/health") {
        let text = "not found: metrics are at /metrics, /health says whether this process lives\n";
        return plain(StatusCode::NOT_FOUND, text);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    if path == "/health" {
        return plain(StatusCode::OK, "ok\n");
    }
    let (content_type, text) = page.read(&all(request.headers(), &ACCEPT));
    let mut body = Bytes::from(text);
    let wanted = accepts_gzip(&all(request.headers(), &ACCEPT_ENCODING));
    let packed = (wanted && body.len() >= GZIP_BYTES_MIN)
        .then(|| compression::compress(Encoding::Gzip, &body).ok())
        .flatten();
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    if let Some(packed) = packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        body = Bytes::from(packed);
    }
    *response.body_mut() = Full::new(body);
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// The values of a header, which may come several times.
fn all(headers: &HeaderMap, name: &http::HeaderName) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

fn accepts_gzip(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|p| p.strip_prefix("q="));
        is_gzip && weight.is_none_or(|weight| weight.parse::<f64>().is_ok_and(|w| w > 0.0))
    })
}

#[cfg(test)]
mod tests;
