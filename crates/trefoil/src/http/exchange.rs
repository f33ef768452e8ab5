//! One request that a server answers, from its head to the last byte of its response.

use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode, header, response};
use http_body::Body;
use tracing::{Span, field};

use super::access::{Ended, Line};
use super::address::{self, Server, Shown};
use super::body::{End, Observed, Watch};
use super::instruments::{Active, Kind, Measured, ServiceLabels};
use super::method::{KnownMethod, KnownScheme, KnownVersion};
use super::route::{Marker, Route};
use super::server::{Options, Trust};
use crate::attribute::{Encoded, encodes};
use crate::clock;
use crate::propagate::{self, Propagators};
use crate::span::{SPAN_ATTRIBUTE, SpanExt, add_integers};
use crate::value::Value;

/// A request while it is answered. It says how it ended even if nobody asks: when it is
/// dropped, the client went away.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(super) span: Span,
    pub(super) response_bytes: u64,
    options: Arc<Options>,
    kind: Arc<Kind>,
    started_ns: u64,
    marker: Marker,
    request_bytes: Option<u64>,
    /// 0 until the head of the response is there.
    status: u16,
    /// In the access log.
    line: Option<Line>,
    ended: bool,
}

impl Exchange {
    pub(super) fn begin<B>(options: &Arc<Options>, request: &mut Request<B>) -> Exchange {
        let method = KnownMethod::new(request.method());
        let scheme = KnownScheme::new(request.uri().scheme());
        let version = KnownVersion::new(request.version());
        let route = Route::find(request.extensions());
        let kind = options.metrics.kind(method, scheme, version, route);
        let request_bytes = address::content_length(request.headers());
        let span = begin_span(options, request, &kind, request_bytes);
        options.vitals.request(request.headers(), !span.is_disabled());
        let marker = Marker::new(kind.route().is_none());
        request.extensions_mut().insert(marker.clone());
        options.metrics.active.add(1, Active { method, scheme });
        Exchange {
            span,
            response_bytes: 0,
            options: Arc::clone(options),
            kind,
            started_ns: clock::now_ns(),
            marker,
            request_bytes,
            status: 0,
            line: options.access_log.then(|| Line::new(request.uri().path())),
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
        let silent = matches!(self.kind.method, KnownMethod::Head)
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
        if self.kind.route().is_none()
            && let Some(route) = self.marker.route().or_else(|| Route::of(&parts.extensions))
        {
            let Kind { method, scheme, version, .. } = *self.kind;
            let route = Some(route.as_str());
            self.kind = self.options.metrics.kind(method, scheme, version, route);
            self.span.record("otel.name", self.kind.name.as_str());
            self.span.record("http.route", route);
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
        let line = self.line.take();
        self.span.in_scope(|| self.measure(error, elapsed_ns, line));
    }

    fn measure(&self, error: Option<&str>, elapsed_ns: u64, line: Option<Line>) {
        let (kind, metrics) = (&*self.kind, &self.options.metrics);
        let seconds = elapsed_ns as f64 / 1e9;
        let (response_bytes, request_bytes) = (self.response_bytes, self.request_bytes);
        let measured = Measured { seconds, response_bytes, request_bytes };
        metrics.record(kind, self.status, error, measured);
        let (method, scheme) = (kind.method, kind.scheme);
        metrics.active.add(-1, Active { method, scheme });
        if let Some(service) = &self.options.service {
            let path = kind.route().unwrap_or("unmatched");
            // Of a client that went away, as nginx has it.
            let status = if self.status == 0 { 499 } else { self.status };
            service.record(seconds, ServiceLabels { method, path, status });
        }
        if let Some(line) = line {
            let status = self.status;
            let ended = Ended { kind, status, response_bytes, elapsed_ns, error };
            line.write(ended, error.is_some_and(|error| error != CANCELLED));
        }
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
    kind: &Kind,
    request_bytes: Option<u64>,
) -> Span {
    let (uri, headers) = (request.uri(), request.headers());
    let server = Server::of(uri, headers);
    let peer = address::peer(request.extensions()).map(|peer| peer.ip());
    let forwarded = options.trust_forwarded.then(|| address::forwarded(headers)).flatten();
    let client = forwarded.or(peer).map(Shown::new);
    let described = Described {
        kind,
        original: kind.method.original(request.method()),
        path: uri.path(),
        query: uri.query().map(|query| address::query(query, options.query_values)),
        server,
        peer: peer.map(Shown::new),
        client,
        user_agent: address::text(headers, header::USER_AGENT),
        request_bytes,
    };
    options.trust.begin(&options.propagators, headers, |root| described.begin(root))
}

/// What is said of a request when its span begins.
struct Described<'a> {
    kind: &'a Kind,
    original: Option<&'a str>,
    path: &'a str,
    query: Option<String>,
    server: Option<Server<'a>>,
    client: Option<Shown>,
    peer: Option<Shown>,
    user_agent: Option<&'a str>,
    request_bytes: Option<u64>,
}

/// Begins a span of a server; if `root`, whatever span is around.
macro_rules! span {
    ($root:expr, $($fields:tt)*) => {
        if $root {
            tracing::info_span!(target: "trefoil::http", parent: None, "HTTP", $($fields)*)
        } else {
            tracing::info_span!(target: "trefoil::http", "HTTP", $($fields)*)
        }
    };
}

impl Described<'_> {
    fn begin(&self, root: bool) -> Span {
        if !encodes() {
            return self.begin_with_fields(root);
        }
        span!(
            root,
            trefoil.encoded = self.encoded().as_error(),
            otel.name = self.kind.name.as_str(),
            otel.kind = "server",
            http.route = field::Empty,
            http.response.status_code = field::Empty,
            http.response.body.size = field::Empty,
            error.r#type = field::Empty,
        )
    }

    /// The same for everyone.
    fn begin_with_fields(&self, root: bool) -> Span {
        let kind = self.kind;
        span!(
            root,
            otel.name = kind.name.as_str(),
            otel.kind = "server",
            http.request.method = kind.method.as_str(),
            http.request.method_original = self.original,
            http.route = kind.route(),
            url.scheme = kind.scheme.as_str(),
            url.path = self.path,
            url.query = self.query.as_deref(),
            server.address = self.server.map(|server| server.host),
            server.port = self.server.and_then(|server| server.port),
            client.address = self.client.as_ref().map(Shown::as_str),
            network.peer.address = self.peer.as_ref().map(Shown::as_str),
            network.protocol.version = kind.version.as_str(),
            user_agent.original = self.user_agent,
            http.request.body.size = self.request_bytes,
            http.response.status_code = field::Empty,
            http.response.body.size = field::Empty,
            error.r#type = field::Empty,
        )
    }

    fn encoded(&self) -> Encoded {
        let mut span = Encoded::new(SPAN_ATTRIBUTE);
        span.all_of(&self.kind.of_span);
        span.str_if_any("http.request.method_original", self.original);
        span.str("url.path", self.path);
        span.str_if_any("url.query", self.query.as_deref());
        span.str_if_any("server.address", self.server.map(|server| server.host));
        if let Some(port) = self.server.and_then(|server| server.port) {
            span.int("server.port", i64::from(port));
        }
        span.str_if_any("client.address", self.client.as_ref().map(Shown::as_str));
        span.str_if_any("network.peer.address", self.peer.as_ref().map(Shown::as_str));
        span.str_if_any("user_agent.original", self.user_agent);
        if let Some(bytes) = self.request_bytes {
            span.int("http.request.body.size", bytes.cast_signed());
        }
        span
    }
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

/// A status as text.
pub(super) fn digits(status: u16, text: &mut [u8; 3]) -> &str {
    for (digit, power) in text.iter_mut().zip([100, 10, 1]) {
        *digit = b'0' + (status / power % 10) as u8;
    }
    std::str::from_utf8(text).unwrap_or_default()
}
