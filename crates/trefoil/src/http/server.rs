//! The layer of servers.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::body::{Observed, panic_message};
use super::exchange::Exchange;
use super::instruments::{ServerMetrics, ServiceMetrics};
use super::route::Marker;
use crate::doctor::Vitals;
use crate::init::Handle;
use crate::metric::Registry;
use crate::propagate::Propagators;

/// Instruments a server: a span, metrics and a line of the access log for each request.
///
/// It is a layer of tower, for axum, hyper and all else that is built on tower. Its place
/// among other layers does not matter: inside axum's `Router::layer` it knows the route; outside
/// of the router it learns it from a layer within, or from a [`Route`](super::Route) in the
/// response; and where two of them meet, the outer one makes the span.
///
/// - **Span:** `GET /users/{id}`, of kind server, child of what the caller sent. It ends with the
///   last byte of the body, so that of a stream of events with the stream; that of a WebSocket
///   ends with the handshake. Its status is an error for 5xx, panics and bodies that break
///   off, and is left alone for 4xx. If the client goes away first, `error.type` is
///   `cancelled`.
/// - **Metrics:** `http.server.request.duration`, `http.server.active_requests`,
///   `http.server.request.body.size`, `http.server.response.body.size`.
/// - **Access log:** target `trefoil::access`, INFO, ERROR for what failed.
#[derive(Clone, Debug)]
pub struct HttpLayer {
    options: Arc<Options>,
}

impl Handle {
    /// A layer for servers of axum, hyper and tower.
    #[must_use]
    pub fn http_layer(&self) -> HttpLayer {
        self.parts.vitals.layer();
        HttpLayer::new(self.propagators(), self.registry(), &self.parts.vitals)
    }
}

/// What becomes of the context that a caller sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// The span becomes its child, and its baggage travels on: for callers of one's own.
    #[default]
    Accept,
    /// The span begins a trace of its own and links to the caller's. Baggage ends here: for
    /// callers whose sampling and baggage one does not want.
    Link,
    /// As if nothing had been sent.
    Ignore,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) propagators: Propagators,
    pub(super) trust: Trust,
    pub(super) trust_forwarded: bool,
    pub(super) query_values: bool,
    pub(super) access_log: bool,
    pub(super) trace_response: bool,
    pub(super) metrics: Arc<ServerMetrics>,
    pub(super) service: Option<Arc<ServiceMetrics>>,
    registry: Arc<Registry>,
    pub(super) vitals: Arc<Vitals>,
}

impl HttpLayer {
    pub(crate) fn new(
        propagators: Propagators,
        registry: &Arc<Registry>,
        vitals: &Arc<Vitals>,
    ) -> HttpLayer {
        HttpLayer {
            options: Arc::new(Options {
                propagators,
                trust: Trust::default(),
                trust_forwarded: false,
                query_values: false,
                access_log: true,
                trace_response: false,
                metrics: Arc::new(ServerMetrics::of(registry)),
                service: None,
                registry: Arc::clone(registry),
                vitals: Arc::clone(vitals),
            }),
        }
    }

    /// What becomes of the context that callers send. Accepted by default.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        Arc::make_mut(&mut self.options).trust = trust;
        self
    }

    /// Takes the client's address from `X-Forwarded-For`, which anyone can write. Not by default.
    #[must_use]
    pub fn trust_forwarded(mut self, trust: bool) -> Self {
        Arc::make_mut(&mut self.options).trust_forwarded = trust;
        self
    }

    /// Records the values of queries, too, save those of parameters whose names sound like
    /// secrets. By default only the names are recorded.
    #[must_use]
    pub fn query_values(mut self, record: bool) -> Self {
        Arc::make_mut(&mut self.options).query_values = record;
        self
    }

    /// Writes a log record for each request. By default it does.
    #[must_use]
    pub fn access_log(mut self, write: bool) -> Self {
        Arc::make_mut(&mut self.options).access_log = write;
        self
    }

    /// Tells the client its trace in the header `traceresponse`. Not by default.
    #[must_use]
    pub fn trace_response(mut self, tell: bool) -> Self {
        Arc::make_mut(&mut self.options).trace_response = tell;
        self
    }

    /// Records `{service}_http_requests_total` and `{service}_http_request_duration_seconds`
    /// with `method`, `path` (the route, or `unmatched`) and `status`, beside the metrics of the
    /// semantic conventions.
    #[must_use]
    pub fn service_metrics(mut self, service: &str) -> Self {
        let options = Arc::make_mut(&mut self.options);
        options.service = Some(Arc::new(ServiceMetrics::of(&options.registry, service)));
        self
    }
}

impl<S> Layer<S> for HttpLayer {
    type Service = HttpService<S>;

    fn layer(&self, inner: S) -> HttpService<S> {
        HttpService { inner, options: Arc::clone(&self.options) }
    }
}

/// A server that [`HttpLayer`] instruments.
#[derive(Clone, Debug)]
pub struct HttpService<S> {
    inner: S,
    options: Arc<Options>,
}

impl<S, B, R> Service<Request<B>> for HttpService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<Observed<R>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if Marker::found(request.extensions()) {
            return Answering { inner: self.inner.call(request), exchange: None };
        }
        let exchange = Exchange::begin(&self.options, &mut request);
        let called =
            exchange.span.in_scope(|| catch_unwind(AssertUnwindSafe(|| self.inner.call(request))));
        match called {
            Ok(inner) => Answering { inner, exchange: Some(exchange) },
            Err(panic) => {
                exchange.panicked(panic_message(&*panic));
                resume_unwind(panic)
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// A response that is being made.
    #[derive(Debug)]
    pub struct Answering<F> {
        #[pin]
        inner: F,
        exchange: Option<Box<Exchange>>,
    }
}

impl<F, R, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<Observed<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(exchange) = this.exchange.as_ref() else {
            let response = ready!(this.inner.poll(cx))?;
            return Poll::Ready(Ok(response.map(|body| Observed::new(body, None, None))));
        };
        // The payload of a panic is at hand here alone; whoever drops the future later sees no
        // more that there was one.
        let mut polled = Poll::Pending;
        let mut poll = || polled = this.inner.as_mut().poll(cx);
        let caught = exchange.span.in_scope(|| catch_unwind(AssertUnwindSafe(&mut poll)));
        if let Err(panic) = caught {
            if let Some(exchange) = this.exchange.take() {
                exchange.panicked(panic_message(&*panic));
            }
            resume_unwind(panic)
        }
        let polled = ready!(polled);
        let Some(exchange) = this.exchange.take() else { unreachable!() };
        Poll::Ready(match polled {
            Ok(response) => Ok(exchange.answered(response)),
            Err(error) => {
                exchange.failed();
                Err(error)
            }
        })
    }
}
