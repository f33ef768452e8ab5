//! Servers and clients of gRPC, for tonic and all else that is built on tower.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Span, field};

use crate::clock;
use crate::http::{End, Observed, Server, Trust, Watch, exception, panic_message, peer};
use crate::init::Handle;
use crate::metric::Histogram;
use crate::propagate::Propagators;
use crate::span::SpanExt;

crate::label_enum! {
    /// The status codes of gRPC by their numbers.
    pub(crate) enum Code {
        Ok = "0", Cancelled = "1", Unknown = "2", InvalidArgument = "3", DeadlineExceeded = "4",
        NotFound = "5", AlreadyExists = "6", PermissionDenied = "7", ResourceExhausted = "8",
        FailedPrecondition = "9", Aborted = "10", OutOfRange = "11", Unimplemented = "12",
        Internal = "13", Unavailable = "14", DataLoss = "15", Unauthenticated = "16",
    }
}

crate::labels! {
    /// Of a call.
    pub(crate) struct CallLabels<'a> {
        system: &'a str as "rpc.system",
        service: &'a str as "rpc.service",
        method: &'a str as "rpc.method",
        code: Code as "rpc.grpc.status_code",
    }
}

/// Instruments a server or client of gRPC: a span `package.Service/Method` and
/// `rpc.server.duration` or `rpc.client.duration` for each call, and the context in its metadata.
///
/// The status is read from the headers or, behind the last message of a stream, from the
/// trailers. On a server only what is the server's fault is an error of the span (`UNKNOWN`,
/// `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`), on a client all
/// but `OK`. Names and rules are those of the semantic conventions for gRPC.
#[derive(Clone, Debug)]
pub struct GrpcLayer {
    options: Arc<Options>,
}

#[derive(Clone, Debug)]
struct Options {
    side: Side,
    propagators: Propagators,
    trust: Trust,
    duration: Arc<Histogram<CallLabels<'static>>>,
    /// Whom a client calls.
    target: Option<(String, Option<u16>)>,
}

impl Handle {
    /// A layer for servers of tonic.
    #[must_use]
    pub fn grpc_layer(&self) -> GrpcLayer {
        GrpcLayer::new(Side::Server, self)
    }

    /// A layer for clients of tonic.
    #[must_use]
    pub fn grpc_client_layer(&self) -> GrpcLayer {
        GrpcLayer::new(Side::Client, self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Server,
    Client,
}

impl GrpcLayer {
    fn new(side: Side, telemetry: &Handle) -> GrpcLayer {
        let (name, description) = match side {
            Side::Server => ("rpc.server.duration", "Duration of inbound calls."),
            Side::Client => ("rpc.client.duration", "Duration of outbound calls."),
        };
        let metric = telemetry.registry().metric(name).unit("ms").description(description);
        let duration = metric.scope("trefoil::grpc", env!("CARGO_PKG_VERSION")).histogram();
        GrpcLayer {
            options: Arc::new(Options {
                side,
                propagators: telemetry.propagators(),
                trust: Trust::default(),
                duration: Arc::new(duration),
                target: None,
            }),
        }
    }

    /// Whom a client calls, for `server.address` and `server.port`: tonic tells it only below
    /// the layer.
    #[must_use]
    pub fn target(mut self, host: &str, port: Option<u16>) -> Self {
        Arc::make_mut(&mut self.options).target = Some((host.to_owned(), port));
        self
    }

    /// What becomes of the context that callers send to a server. Accepted by default.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        Arc::make_mut(&mut self.options).trust = trust;
        self
    }
}

impl<S> Layer<S> for GrpcLayer {
    type Service = GrpcService<S>;

    fn layer(&self, inner: S) -> GrpcService<S> {
        GrpcService { inner, options: Arc::clone(&self.options) }
    }
}

/// A server or client that [`GrpcLayer`] instruments.
#[derive(Clone, Debug)]
pub struct GrpcService<S> {
    inner: S,
    options: Arc<Options>,
}

impl<S, B, R> Service<Request<B>> for GrpcService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<Observed<R>>;
    type Error = S::Error;
    type Future = Calling<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::begin(&self.options, &mut request);
        let inner = call.span.in_scope(|| self.inner.call(request));
        Calling { inner, call: Some(call) }
    }
}

pin_project_lite::pin_project! {
    /// A call that is being answered.
    #[derive(Debug)]
    pub struct Calling<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, R, E> Future for Calling<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<Observed<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let span = this.call.as_ref().map_or_else(Span::none, |call| call.span.clone());
        let polled =
            span.in_scope(|| catch_unwind(AssertUnwindSafe(|| this.inner.as_mut().poll(cx))));
        let polled = match polled {
            Ok(polled) => ready!(polled),
            Err(panic) => {
                if let Some(call) = this.call.take() {
                    call.end(End::Panicked(panic_message(&*panic)));
                }
                resume_unwind(panic)
            }
        };
        let call = this.call.take();
        Poll::Ready(match (polled, call) {
            (Ok(response), Some(call)) => Ok(call.answered(response)),
            (Ok(response), None) => Ok(response.map(|body| Observed::new(body, None, None))),
            (Err(error), call) => {
                if let Some(call) = call {
                    call.end(End::Failed);
                }
                Err(error)
            }
        })
    }
}

/// A call, until its status is known.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) span: Span,
    options: Arc<Options>,
    /// `/package.Service/Method`
    path: http::Uri,
    started_ns: u64,
    /// In headers or trailers.
    code: Option<Code>,
    ended: bool,
}

impl Call {
    fn begin<B>(options: &Arc<Options>, request: &mut Request<B>) -> Call {
        let uri = request.uri().clone();
        let span = match options.side {
            Side::Client => client_span(options, &uri),
            Side::Server => server_span(options, request),
        };
        if options.side == Side::Client {
            options.propagators.inject(&span.context(), request.headers_mut());
        }
        let started_ns = clock::now_ns();
        let options = Arc::clone(options);
        Call { span, options, path: uri, started_ns, code: None, ended: false }
    }

    fn answered<B: Body>(mut self, response: Response<B>) -> Response<Observed<B>> {
        self.read(response.headers());
        // Proxies answer without gRPC's status: then HTTP's counts.
        if self.code.is_none() && !response.status().is_success() {
            self.code = Some(of_http(response.status().as_u16()));
        }
        let watch = if response.body().is_end_stream() {
            self.end(End::Complete);
            None
        } else {
            Some(Watch::Rpc(self))
        };
        response.map(|body| Observed::new(body, watch, None))
    }

    pub(crate) fn read(&mut self, fields: &HeaderMap) {
        if let Some(status) = fields.get("grpc-status") {
            let code = status.to_str().ok().and_then(|code| code.parse::<usize>().ok());
            let code = code.and_then(|code| Code::ALL.get(code).copied());
            self.code = Some(code.unwrap_or(Code::Unknown));
        }
    }

    pub(crate) fn end(mut self, how: End<'_>) {
        match how {
            End::Complete => self.finish(Code::Unknown),
            End::Failed => self.finish(Code::Unavailable),
            End::Dropped => self.finish(Code::Cancelled),
            End::Panicked(message) => {
                self.code = Some(Code::Internal);
                self.span.add_event("exception", &exception(message));
                self.finish(Code::Internal);
            }
        }
    }

    /// `missing` is what it is if no status came.
    fn finish(&mut self, missing: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let code = self.code.unwrap_or(missing);
        self.span.record("rpc.grpc.status_code", code as u8);
        let failed = match self.options.side {
            Side::Client => code != Code::Ok,
            Side::Server => matches!(
                code,
                Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Unimplemented
                    | Code::Internal
                    | Code::Unavailable
                    | Code::DataLoss
            ),
        };
        if failed {
            self.span.record("error.type", code.as_str());
        }
        let elapsed_ms = clock::now_ns().saturating_sub(self.started_ns) as f64 / 1e6;
        let (service, method) = split(self.path.path());
        // Whoever calls a method that is not there could make series without end.
        let (service, method) = match (self.options.side, code) {
            (Side::Server, Code::Unimplemented) => ("_OTHER", "_OTHER"),
            _ => (service, method),
        };
        let labels = CallLabels { system: "grpc", service, method, code };
        self.span.in_scope(|| self.options.duration.record(elapsed_ms, labels));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
    }
}

fn client_span(options: &Options, uri: &http::Uri) -> Span {
    let (service, method) = split(uri.path());
    let headers = HeaderMap::new();
    let target = options.target.as_ref().map(|(host, port)| Server { host, port: *port });
    let server = target.or_else(|| Server::of(uri, &headers));
    tracing::info_span!(
        target: "trefoil::grpc::client",
        "gRPC",
        otel.name = uri.path().trim_start_matches('/'),
        otel.kind = "client",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        server.address = server.map(|server| server.host),
        server.port = server.and_then(|server| server.port),
        rpc.grpc.status_code = field::Empty,
        error.r#type = field::Empty,
    )
}

fn server_span<B>(options: &Options, request: &Request<B>) -> Span {
    let (uri, headers) = (request.uri(), request.headers());
    let (service, method) = split(uri.path());
    let server = Server::of(uri, headers);
    let peer = peer(request.extensions()).map(|peer| peer.ip());
    options.trust.begin(&options.propagators, headers, |root| {
        macro_rules! span {
            ($($parent:tt)*) => {
                tracing::info_span!(
                    target: "trefoil::grpc",
                    $($parent)*
                    "gRPC",
                    otel.name = uri.path().trim_start_matches('/'),
                    otel.kind = "server",
                    rpc.system = "grpc",
                    rpc.service = service,
                    rpc.method = method,
                    server.address = server.map(|server| server.host),
                    server.port = server.and_then(|server| server.port),
                    network.peer.address = peer.map(field::display),
                    rpc.grpc.status_code = field::Empty,
                    error.r#type = field::Empty,
                )
            };
        }
        if root { span!(parent: None,) } else { span!() }
    })
}

/// `/package.Service/Method`
fn split(path: &str) -> (&str, &str) {
    path.trim_start_matches('/').rsplit_once('/').unwrap_or((path, ""))
}

/// Source: gRPC's "HTTP to gRPC status code mapping".
fn of_http(status: u16) -> Code {
    match status {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}
