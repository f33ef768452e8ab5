//! The layer of clients.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response, header};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Span, field};

use super::address::{self, Server};
use super::body::{End, Observed, Watch};
use super::instruments::{ClientLabels, ClientMetrics};
use super::method::{KnownMethod, KnownScheme, KnownVersion};
use crate::clock;
use crate::init::Handle;
use crate::metric::Registry;
use crate::propagate::Propagators;
use crate::span::SpanExt;

/// Instruments a client of hyper or tower: a span and `http.client.request.duration` for each
/// request, and the context in its headers.
///
/// The span is called as the method, is of kind client, and ends with the last byte of the
/// response's body. Of the URL neither credentials nor values of the query are recorded.
/// Responses of 4xx and 5xx are errors of the span, as the conventions have it for clients.
#[derive(Clone, Debug)]
pub struct HttpClientLayer {
    options: Arc<ClientOptions>,
}

#[derive(Clone, Debug)]
pub(crate) struct ClientOptions {
    pub(crate) propagators: Propagators,
    pub(crate) query_values: bool,
    pub(crate) metrics: ClientMetrics,
}

impl ClientOptions {
    pub(crate) fn new(propagators: Propagators, registry: &Registry) -> ClientOptions {
        ClientOptions { propagators, query_values: false, metrics: ClientMetrics::of(registry) }
    }
}

impl Handle {
    /// A layer for clients of hyper and tower.
    #[must_use]
    pub fn http_client_layer(&self) -> HttpClientLayer {
        let options = ClientOptions::new(self.propagators(), self.registry());
        HttpClientLayer { options: Arc::new(options) }
    }
}

impl HttpClientLayer {
    /// Records the values of queries, too, save those of parameters whose names sound like
    /// secrets. By default only the names are recorded.
    #[must_use]
    pub fn query_values(mut self, record: bool) -> Self {
        Arc::make_mut(&mut self.options).query_values = record;
        self
    }
}

impl<S> Layer<S> for HttpClientLayer {
    type Service = HttpClientService<S>;

    fn layer(&self, inner: S) -> HttpClientService<S> {
        HttpClientService { inner, options: Arc::clone(&self.options) }
    }
}

/// A client that [`HttpClientLayer`] instruments.
#[derive(Clone, Debug)]
pub struct HttpClientService<S> {
    inner: S,
    options: Arc<ClientOptions>,
}

impl<S, B, R> Service<Request<B>> for HttpClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<Observed<R>>;
    type Error = S::Error;
    type Future = Asking<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let call = Call::begin(&self.options, &mut request);
        let inner = call.span.in_scope(|| self.inner.call(request));
        Asking { inner, call: Some(call) }
    }
}

pin_project_lite::pin_project! {
    /// A response that is waited for.
    #[derive(Debug)]
    pub struct Asking<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, R, E> Future for Asking<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<Observed<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let span = this.call.as_ref().map_or_else(Span::none, |call| call.span.clone());
        let polled = ready!(span.in_scope(|| this.inner.as_mut().poll(cx)));
        let call = this.call.take();
        Poll::Ready(match (polled, call) {
            (Ok(response), Some(call)) => Ok(call.answered(response)),
            (Ok(response), None) => Ok(response.map(|body| Observed::new(body, None, None))),
            (Err(error), call) => {
                if let Some(call) = call {
                    call.failed(std::any::type_name::<E>());
                }
                Err(error)
            }
        })
    }
}

/// A request that a client sent, until the last byte of its response.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) span: Span,
    pub(crate) response_bytes: u64,
    started_ns: u64,
    method: KnownMethod,
    scheme: KnownScheme,
    host: Option<Box<str>>,
    port: Option<u16>,
    version: Option<KnownVersion>,
    /// 0 until the head of the response is there.
    status: u16,
    metrics: ClientMetrics,
    ended: bool,
}

impl Call {
    pub(crate) fn begin<B>(options: &ClientOptions, request: &mut Request<B>) -> Call {
        let (method, uri, headers) =
            (request.method().clone(), request.uri().clone(), request.headers_mut());
        Call::begin_parts(options, &method, &uri, headers)
    }

    /// Begins the span, then writes its context into the headers: the other order would make
    /// the server's span a sibling of the client's.
    pub(crate) fn begin_parts(
        options: &ClientOptions,
        method: &http::Method,
        uri: &http::Uri,
        headers: &mut HeaderMap,
    ) -> Call {
        let known = KnownMethod::new(method);
        let scheme = KnownScheme::new(uri.scheme());
        let server = Server::of(uri, headers);
        let host = server.map(|server| Box::from(server.host));
        let port = server.and_then(|server| server.port).or_else(|| scheme.default_port());
        let span = tracing::info_span!(
            target: "trefoil::http::client",
            "HTTP",
            otel.name = known.in_name(),
            otel.kind = "client",
            http.request.method = known.as_str(),
            http.request.method_original = known.original(method),
            server.address = host.as_deref(),
            server.port = port,
            url.full = address::url(uri, options.query_values),
            user_agent.original = address::text(headers, header::USER_AGENT),
            network.protocol.version = field::Empty,
            http.request.body.size = address::content_length(headers),
            http.response.status_code = field::Empty,
            http.response.body.size = field::Empty,
            error.r#type = field::Empty,
        );
        options.propagators.inject(&span.context(), headers);
        Call {
            span,
            response_bytes: 0,
            started_ns: clock::now_ns(),
            method: known,
            scheme,
            host,
            port,
            version: None,
            status: 0,
            metrics: options.metrics.clone(),
            ended: false,
        }
    }

    pub(crate) fn answered<B: Body>(mut self, response: Response<B>) -> Response<Observed<B>> {
        self.head(response.status().as_u16(), response.version());
        let left = address::content_length(response.headers());
        let over = response.body().is_end_stream();
        let watch = if over {
            self.end(End::Complete);
            None
        } else {
            Some(Watch::Client(self))
        };
        response.map(|body| Observed::new(body, watch, left))
    }

    /// The head of the response is there.
    pub(crate) fn head(&mut self, status: u16, version: http::Version) {
        let version = KnownVersion::new(version);
        self.status = status;
        self.version = Some(version);
        self.span.record("http.response.status_code", status);
        self.span.record("network.protocol.version", version.as_str());
    }

    /// There is no response, because of an error of this type.
    pub(crate) fn failed(mut self, error: &str) {
        self.finish(Some(error));
    }

    pub(crate) fn end(mut self, how: End<'_>) {
        match how {
            End::Complete => self.finish(None),
            // Who has seen enough of a body drops it.
            End::Dropped if self.status != 0 => self.finish(None),
            End::Dropped => self.finish(Some(CANCELLED)),
            End::Failed => self.finish(Some("body_error")),
            End::Panicked(_) => self.finish(Some("panic")),
        }
    }

    fn finish(&mut self, error: Option<&str>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut text = [0; 3];
        let error = match error {
            None if self.status >= 400 => Some(super::exchange::digits(self.status, &mut text)),
            error => error,
        };
        if self.status != 0 {
            self.span.record("http.response.body.size", self.response_bytes);
        }
        if let Some(error) = error {
            match error {
                CANCELLED => self.span.cancelled(),
                error => drop(self.span.record("error.type", error)),
            }
        }
        let seconds = clock::now_ns().saturating_sub(self.started_ns) as f64 / 1e9;
        let labels = ClientLabels {
            method: self.method,
            host: self.host.as_deref(),
            port: self.port,
            status: (self.status != 0).then_some(self.status),
            error,
            version: self.version,
            scheme: self.scheme,
        };
        self.span.in_scope(|| self.metrics.duration.record(seconds, labels));
    }
}

/// The caller lost interest before there was a response.
const CANCELLED: &str = "cancelled";

impl Drop for Call {
    fn drop(&mut self) {
        self.finish(Some(CANCELLED));
    }
}
