//! One request that a server answers, from its head to the last byte of its response.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body;
use tracing::{Span, field};

use super::access::{Ended, Line};
use super::address::{self, Server, Shown};
use super::body::{End, Observed, Passed, Watch};
use super::instruments::{Active, Kind, Measured, ServiceLabels};
use super::method::{KnownMethod, KnownScheme, KnownVersion};
use super::route::{Marker, Route};
use super::server::{Options, Trust};
use crate::attribute::{Encoded, encodes};
use crate::clock;
use crate::propagate::{self, Propagators};
use crate::span::{SERVER, SPAN_ATTRIBUTE, SpanExt, complete};
use crate::value::Value;

/// A request while it is answered. It says how it ended even if nobody asks: when it is
/// dropped, the client went away.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(super) span: Span,
    answer: Answer,
}

/// What becomes of a request, beside its span.
#[derive(Debug)]
struct Answer {
    response_bytes: u64,
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
    /// In a box, because it goes from the future to the response and into its body: it is
    /// large, and moving it there cost more than the allocation.
    pub(super) fn begin<B>(options: &Arc<Options>, request: &mut Request<B>) -> Box<Exchange> {
        let started_ns = clock::now_ns();
        let method = KnownMethod::new(request.method());
        let scheme = KnownScheme::new(request.uri().scheme());
        let version = KnownVersion::new(request.version());
        let route = Route::find(request.extensions());
        let kind = options.metrics.kind(method, scheme, version, route);
        let request_bytes = address::content_length(request.headers());
        let span = begin_span(options, request, &kind, (started_ns, request_bytes));
        options.vitals.request(request.headers(), !span.is_disabled());
        let marker = Marker::put(request.extensions_mut(), kind.route().is_none());
        options.metrics.active.add(1, Active { method, scheme });
        let answer = Answer {
            response_bytes: 0,
            options: Arc::clone(options),
            kind,
            started_ns,
            marker,
            request_bytes,
            status: 0,
            line: options.access_log.then(|| Line::new(request.uri().path())),
            ended: false,
        };
        Box::new(Exchange { span, answer })
    }

    /// The head of the response is there. The rest is seen by the body it gets.
    #[inline]
    pub(super) fn answered<B: Body>(
        mut self: Box<Self>,
        mut response: Response<B>,
    ) -> Response<Observed<B>> {
        self.answer.head(&self.span, &mut response);
        let status = response.status();
        // What follows an upgrade is not HTTP: a WebSocket's span is its handshake.
        let over = status == StatusCode::SWITCHING_PROTOCOLS || response.body().is_end_stream();
        // No body is sent for these, whatever the handler made.
        let silent = matches!(self.answer.kind.method, KnownMethod::Head)
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let left = match silent {
            true => Some(0),
            false => address::content_length(response.headers()),
        };
        let watch = if over {
            self.end(End::Complete);
            None
        } else {
            Some(Watch::Server(self))
        };
        response.map(|body| Observed::new(body, watch, left))
    }

    /// Polls the body of the response inside the span. If that was the last of it, what there
    /// is to say is said while the span is entered anyway.
    pub(super) fn poll_body<R>(&mut self, poll: impl FnOnce() -> (R, Passed)) -> (R, Passed) {
        let Exchange { span, answer } = self;
        span.in_scope(|| {
            let (polled, passed) = poll();
            answer.response_bytes += passed.bytes;
            if passed.is_last {
                answer.finish_inside(span, None);
            }
            (polled, passed)
        })
    }

    /// The service failed without a response.
    pub(super) fn failed(mut self) {
        self.finish(Some("service_error"));
    }

    /// Unwinding passed through the service.
    pub(super) fn panicked(mut self, message: &str) {
        self.span.add_event("exception", &exception(message));
        // Servers answer with it, if they can still answer.
        if self.answer.status == 0 {
            self.answer.status = 500;
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
        let Exchange { span, answer } = self;
        if !answer.ended {
            span.in_scope(|| answer.finish_inside(span, error));
        }
    }
}

impl Answer {
    fn head<B>(&mut self, span: &Span, response: &mut Response<B>) {
        self.status = response.status().as_u16();
        if self.kind.route().is_none()
            && let Some(route) = self.marker.route().or_else(|| Route::of(response.extensions()))
        {
            let Kind { method, scheme, version, .. } = *self.kind;
            let route = Some(route.as_str());
            self.kind = self.options.metrics.kind(method, scheme, version, route);
            span.record("otel.name", self.kind.name.as_str());
            span.record("http.route", route);
        }
        if self.options.trace_response
            && let Some(context) = span.context().span
        {
            propagate::respond(&context, response.headers_mut());
        }
    }

    /// Says all that there is to say, once. The span is entered: its line of the access log
    /// and exemplars belong to it.
    fn finish_inside(&mut self, span: &Span, error: Option<&'static str>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let ended_ns = clock::now_ns();
        let mut status_text = [0; 3];
        let error = match error {
            None if self.status >= 500 => Some(digits(self.status, &mut status_text)),
            error => error,
        };
        if self.status != 0 {
            let status = i64::from(self.status);
            let bytes = i64::try_from(self.response_bytes).unwrap_or(i64::MAX);
            let known = [("http.response.status_code", status), ("http.response.body.size", bytes)];
            if !complete(span, ended_ns, &known) {
                span.record("http.response.status_code", status);
                span.record("http.response.body.size", bytes);
            }
        }
        match error {
            // A client that goes away is no failure of the server, nor is 4xx.
            Some(CANCELLED) => span.cancelled(),
            // It says that the span failed.
            Some(error) => drop(span.record("error.type", error)),
            None => {}
        }
        let line = self.line.take();
        self.measure(error, ended_ns, line);
    }

    fn measure(&self, error: Option<&str>, ended_ns: u64, line: Option<Line>) {
        let elapsed_ns = ended_ns.saturating_sub(self.started_ns);
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
            let ended = Ended { kind, status, response_bytes, ended_ns, elapsed_ns, error };
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
    (started_ns, request_bytes): (u64, Option<u64>),
) -> Span {
    let (uri, headers) = (request.uri(), request.headers());
    let server = Server::of(uri, headers);
    let peer = address::peer(request.extensions()).map(|peer| peer.ip());
    let peer = peer.map(Shown::new);
    let forwarded = options.trust_forwarded.then(|| address::forwarded(headers)).flatten();
    let client = forwarded.map(Shown::new).or(peer);
    let described = Described {
        kind,
        original: kind.method.original(request.method()),
        path: uri.path(),
        query: uri.query().map(|query| address::query(query, options.query_values)),
        server,
        peer,
        client,
        user_agent: address::text(headers, header::USER_AGENT),
        request_bytes,
        started_ns,
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
    started_ns: u64,
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
            otel.name = field::Empty,
            http.route = field::Empty,
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
        span.begins(&self.kind.name, SERVER, self.started_ns);
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
            (Trust::Accept, called) if called || inbound.has_more_than_a_span() => {
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
