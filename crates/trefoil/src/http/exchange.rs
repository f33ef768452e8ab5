//! One request that a server answers, from its head to the last byte of its response.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode, header, response};
use http_body::Body;
use tracing::{Span, field};

use super::address::{self, Server};
use super::body::{End, Observed, Watch};
use super::instruments::{Active, ServerLabels, ServiceLabels};
use super::method::{KnownMethod, KnownScheme, KnownVersion};
use super::route::{Marker, Route};
use super::server::{Options, Trust};
use crate::clock;
use crate::propagate::{self, Propagators};
use crate::span::{SpanExt, add_integers};
use crate::subscriber::ACCESS_LOG;
use crate::value::Value;

/// A request while it is answered. It says how it ended even if nobody asks: when it is
/// dropped, the client went away.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(super) span: Span,
    pub(super) response_bytes: u64,
    options: Arc<Options>,
    started_ns: u64,
    method: KnownMethod,
    scheme: KnownScheme,
    version: KnownVersion,
    route: Option<Route>,
    marker: Marker,
    request_bytes: Option<u64>,
    /// 0 until the head of the response is there.
    status: u16,
    /// Kept for the access log alone.
    path: Option<Box<str>>,
    ended: bool,
}

impl Exchange {
    pub(super) fn begin<B>(options: &Arc<Options>, request: &mut Request<B>) -> Exchange {
        let method = KnownMethod::new(request.method());
        let scheme = KnownScheme::new(request.uri().scheme());
        let version = KnownVersion::new(request.version());
        let route = Route::of(request.extensions());
        let request_bytes = address::content_length(request.headers());
        let span = begin_span(options, request, method, scheme, version, route.as_ref());
        options.vitals.request(request.headers(), !span.is_disabled());
        let marker = Marker::new(route.is_none());
        request.extensions_mut().insert(marker.clone());
        options.metrics.active.add(1, Active { method, scheme });
        Exchange {
            span,
            response_bytes: 0,
            options: Arc::clone(options),
            started_ns: clock::now_ns(),
            method,
            scheme,
            version,
            route,
            marker,
            request_bytes,
            status: 0,
            path: options.access_log.then(|| request.uri().path().into()),
            ended: false,
        }
    }

    /// The head of the response is there. The rest is seen by the body it gets.
    pub(super) fn answered<B: Body>(
        mut self,
        response: http::Response<B>,
    ) -> http::Response<Observed<B>> {
        let (mut parts, body) = response.into_parts();
        self.head(&mut parts);
        // What follows an upgrade is not HTTP: a WebSocket's span is its handshake.
        let over = parts.status == StatusCode::SWITCHING_PROTOCOLS || body.is_end_stream();
        // No body is sent for these, whatever the handler made.
        let silent = matches!(self.method, KnownMethod::Head)
            || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let left = match silent {
            true => Some(0),
            false => address::content_length(&parts.headers),
        };
        let watch = if over {
            self.end(End::Complete);
            None
        } else {
            Some(Watch::Server(self))
        };
        http::Response::from_parts(parts, Observed::new(body, watch, left))
    }

    fn head(&mut self, parts: &mut response::Parts) {
        self.status = parts.status.as_u16();
        if self.route.is_none() {
            self.route = self.marker.route().or_else(|| Route::of(&parts.extensions));
            if let Some(route) = &self.route {
                let name = Name { method: self.method, route: Some(route) };
                self.span.record("otel.name", field::display(name));
                self.span.record("http.route", route.as_str());
            }
        }
        if self.options.trace_response
            && let Some(span) = self.span.context().span
        {
            propagate::respond(&span, &mut parts.headers);
        }
    }

    /// The service failed without a response.
    pub(super) fn failed(mut self) {
        self.finish(Some("service_error"));
    }

    /// Unwinding passed through the service.
    pub(super) fn panicked(mut self, message: &str) {
        self.span.add_event("exception", &exception(message));
        // Servers answer with it, if they can still answer.
        if self.status == 0 {
            self.status = 500;
        }
        self.finish(Some("panic"));
    }

    pub(super) fn end(mut self, how: End<'_>) {
        match how {
            End::Complete => self.finish(None),
            End::Failed => self.finish(Some("body_error")),
            End::Panicked(message) => self.panicked(message),
            End::Dropped => self.finish(Some(CANCELLED)),
        }
    }

    fn finish(&mut self, error: Option<&'static str>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut status_text = [0; 3];
        let error = match error {
            None if self.status >= 500 => Some(digits(self.status, &mut status_text)),
            error => error,
        };
        if self.status != 0 {
            let status = i64::from(self.status);
            let bytes = i64::try_from(self.response_bytes).unwrap_or(i64::MAX);
            let known = [("http.response.status_code", status), ("http.response.body.size", bytes)];
            if !add_integers(&self.span, &known) {
                self.span.record("http.response.status_code", status);
                self.span.record("http.response.body.size", bytes);
            }
        }
        match error {
            // A client that goes away is no failure of the server, nor is 4xx.
            Some(CANCELLED) => self.span.cancelled(),
            // It says that the span failed.
            Some(error) => drop(self.span.record("error.type", error)),
            None => {}
        }
        let elapsed_ns = clock::now_ns().saturating_sub(self.started_ns);
        self.span.in_scope(|| self.measure(error, elapsed_ns));
    }

    fn measure(&self, error: Option<&str>, elapsed_ns: u64) {
        let seconds = elapsed_ns as f64 / 1e9;
        let labels = ServerLabels {
            method: self.method,
            scheme: self.scheme,
            route: self.route.as_ref().map(Route::as_str),
            status: (self.status != 0).then_some(self.status),
            error,
            version: self.version,
        };
        let metrics = &self.options.metrics;
        metrics.record(seconds, self.response_bytes, self.request_bytes, labels);
        metrics.active.add(-1, Active { method: self.method, scheme: self.scheme });
        if let Some(service) = &self.options.service {
            let path = labels.route.unwrap_or("unmatched");
            // Of a client that went away, as nginx has it.
            let status = if self.status == 0 { 499 } else { self.status };
            service.record(seconds, ServiceLabels { method: self.method, path, status });
        }
        if self.options.access_log {
            self.log(error, seconds);
        }
    }

    fn log(&self, error: Option<&str>, seconds: f64) {
        let path = self.path.as_deref().unwrap_or_default();
        let method = self.method.as_str();
        let (status, bytes, ms) = (self.status, self.response_bytes, seconds * 1e3);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: ACCESS_LOG,
                    {
                        http.request.method = method,
                        url.path = path,
                        http.route = self.route.as_ref().map(Route::as_str),
                        http.response.status_code = status,
                        http.response.body.size = bytes,
                        http.server.request.duration = seconds,
                        error.r#type = error,
                    },
                    "{method} {path} {status} {ms:.3} ms"
                )
            };
        }
        if error.is_some_and(|error| error != CANCELLED) { line!(error) } else { line!(info) }
    }
}

/// The attributes of the event of a panic.
pub(crate) fn exception(message: &str) -> [(&'static str, Value); 2] {
    [("exception.type", "panic".into()), ("exception.message", message.to_owned().into())]
}

/// The client went away before it had all.
const CANCELLED: &str = "cancelled";

impl Drop for Exchange {
    fn drop(&mut self) {
        self.finish(Some(CANCELLED));
    }
}

/// A server span, child of what the headers say as far as they are trusted.
fn begin_span<B>(
    options: &Options,
    request: &Request<B>,
    method: KnownMethod,
    scheme: KnownScheme,
    version: KnownVersion,
    route: Option<&Route>,
) -> Span {
    let (uri, headers) = (request.uri(), request.headers());
    let server = Server::of(uri, headers);
    let peer = address::peer(request.extensions()).map(|peer| peer.ip());
    let forwarded = options.trust_forwarded.then(|| address::forwarded(headers)).flatten();
    let client = forwarded.or(peer);
    let query = uri.query().map(|query| address::query(query, options.query_values));
    let name = Name { method, route };
    options.trust.begin(&options.propagators, headers, |root| {
        macro_rules! span {
            ($($parent:tt)*) => {
                tracing::info_span!(
                    target: "trefoil::http",
                    $($parent)*
                    "HTTP",
                    otel.name = field::display(&name),
                    otel.kind = "server",
                    http.request.method = method.as_str(),
                    http.request.method_original = method.original(request.method()),
                    http.route = route.map(Route::as_str),
                    url.scheme = scheme.as_str(),
                    url.path = uri.path(),
                    url.query = query,
                    server.address = server.map(|server| server.host),
                    server.port = server.and_then(|server| server.port),
                    client.address = client.map(field::display),
                    network.peer.address = peer.map(field::display),
                    network.protocol.version = version.as_str(),
                    user_agent.original = address::text(headers, header::USER_AGENT),
                    http.request.body.size = address::content_length(headers),
                    http.response.status_code = field::Empty,
                    http.response.body.size = field::Empty,
                    error.r#type = field::Empty,
                )
            };
        }
        if root { span!(parent: None,) } else { span!() }
    })
}

impl Trust {
    /// Begins a server's span with the context that headers carry. `begin` is told whether the
    /// span is a root, whatever span is around the layer.
    pub(crate) fn begin(
        self,
        propagators: &Propagators,
        headers: &HeaderMap,
        begin: impl FnOnce(bool) -> Span,
    ) -> Span {
        if self == Trust::Ignore {
            return begin(false);
        }
        let inbound = propagators.extract(headers);
        match (self, inbound.span.is_some()) {
            (Trust::Link, true) => {
                let span = begin(true);
                if let Some(caller) = &inbound.span {
                    span.add_link(caller, &[]);
                }
                span
            }
            (Trust::Accept, called) if called || !inbound.baggage.is_empty() => {
                let _attached = inbound.attach();
                begin(called)
            }
            _ => begin(false),
        }
    }
}

/// `GET /users/{id}`, or `GET` if the route is not known.
struct Name<'a> {
    method: KnownMethod,
    route: Option<&'a Route>,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.in_name())?;
        if let Some(route) = self.route {
            f.write_str(" ")?;
            f.write_str(route.as_str())?;
        }
        Ok(())
    }
}

/// A status as text.
pub(super) fn digits(status: u16, text: &mut [u8; 3]) -> &str {
    for (digit, power) in text.iter_mut().zip([100, 10, 1]) {
        *digit = b'0' + (status / power % 10) as u8;
    }
    std::str::from_utf8(text).unwrap_or_default()
}
