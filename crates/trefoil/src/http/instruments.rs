//! Metrics of servers and clients.

use std::sync::{Arc, OnceLock};

use super::access;
use super::method::{KnownMethod, KnownScheme, KnownVersion};
use crate::attribute::Encoded;
use crate::metric::{BoundHistogram, Counter, Histogram, Registry, UpDownCounter};
use crate::span::SPAN_ATTRIBUTE;

crate::labels! {
    /// Of a request that a server answered.
    pub(crate) struct ServerLabels<'a> {
        method: KnownMethod as "http.request.method",
        scheme: KnownScheme as "url.scheme",
        route: Option<&'a str> as "http.route",
        status: Option<u16> as "http.response.status_code",
        error: Option<&'a str> as "error.type",
        version: KnownVersion as "network.protocol.version",
    }

    /// Of a request that is being answered.
    pub(crate) struct Active {
        method: KnownMethod as "http.request.method",
        scheme: KnownScheme as "url.scheme",
    }

    /// Of a request that a client sent.
    pub(crate) struct ClientLabels<'a> {
        method: KnownMethod as "http.request.method",
        host: Option<&'a str> as "server.address",
        port: Option<u16> as "server.port",
        status: Option<u16> as "http.response.status_code",
        error: Option<&'a str> as "error.type",
        version: Option<KnownVersion> as "network.protocol.version",
        scheme: KnownScheme as "url.scheme",
    }

    /// Of a request, as services documented it before there were conventions.
    pub(crate) struct ServiceLabels<'a> {
        method: KnownMethod as "method",
        path: &'a str as "path",
        status: u16 as "status",
    }
}

/// Of servers.
#[derive(Debug)]
pub(super) struct ServerMetrics {
    pub(super) duration: Histogram<ServerLabels<'static>>,
    pub(super) active: UpDownCounter<Active>,
    pub(super) request_size: Histogram<ServerLabels<'static>>,
    pub(super) response_size: Histogram<ServerLabels<'static>>,
    /// By hash; filled once, read without a lock.
    kinds: Box<[OnceLock<Arc<Kind>>]>,
}

/// What is the same of many requests, made once.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) method: KnownMethod,
    pub(super) scheme: KnownScheme,
    pub(super) version: KnownVersion,
    route: Option<Box<str>>,
    /// `GET /users/{id}`, or `GET` if the route is not known.
    pub(super) name: String,
    /// Attributes of spans and of lines of the access log.
    pub(super) of_span: Encoded,
    pub(super) of_line: Encoded,
    /// Filled one after the other.
    outcomes: [OnceLock<Outcome>; OUTCOMES_MAX],
}

/// What requests of a kind with one status record to, looked up once.
#[derive(Debug)]
struct Outcome {
    status: u16,
    duration: BoundHistogram,
    response_size: BoundHistogram,
    /// Bound by the first request that states a size.
    request_size: OnceLock<BoundHistogram>,
}

/// Kinds that are remembered, a power of two. Routes and methods are few; more are made each
/// time.
const KINDS_MAX: usize = 1024;
/// Places that are looked at for one kind.
const PROBES_MAX: usize = 8;
/// Statuses of a kind that are remembered; more are looked up each time.
const OUTCOMES_MAX: usize = 8;

impl ServerMetrics {
    pub(super) fn of(registry: &Registry) -> ServerMetrics {
        let metric = |name, unit, description| {
            registry.metric(name).unit(unit).description(description).scope(SCOPE, VERSION)
        };
        ServerMetrics {
            duration: metric(
                "http.server.request.duration",
                "s",
                "Duration of HTTP server requests.",
            )
            .histogram(),
            active: metric(
                "http.server.active_requests",
                "{request}",
                "Number of active HTTP server requests.",
            )
            .up_down_counter(),
            request_size: metric(
                "http.server.request.body.size",
                "By",
                "Size of HTTP server request bodies.",
            )
            .histogram(),
            response_size: metric(
                "http.server.response.body.size",
                "By",
                "Size of HTTP server response bodies.",
            )
            .histogram(),
            kinds: (0..KINDS_MAX).map(|_| OnceLock::new()).collect(),
        }
    }

    /// The kind of requests with this in common.
    pub(super) fn kind(
        &self,
        method: KnownMethod,
        scheme: KnownScheme,
        version: KnownVersion,
        route: Option<&str>,
    ) -> Arc<Kind> {
        let parts = [method as u64, scheme as u64, version as u64, u64::from(route.is_some())];
        let hash = hash(route.unwrap_or_default(), parts.into_iter().fold(0, |k, p| k << 16 | p));
        let is_it = |kind: &Kind| {
            (kind.method, kind.scheme, kind.version) == (method, scheme, version)
                && kind.route() == route
        };
        let make = || Arc::new(Kind::new(method, scheme, version, route));
        for probe in 0..PROBES_MAX {
            // Two threads that come with new kinds meet at the same free place.
            let kind = self.kinds[(hash as usize + probe) % KINDS_MAX].get_or_init(make);
            if is_it(kind) {
                return Arc::clone(kind);
            }
        }
        make()
    }

    /// Records a request of a kind that has ended. `status` is 0 if there was no response.
    pub(super) fn record(&self, kind: &Kind, status: u16, error: Option<&str>, measured: Measured) {
        let labels = ServerLabels {
            method: kind.method,
            scheme: kind.scheme,
            route: kind.route(),
            status: (status != 0).then_some(status),
            error,
            version: kind.version,
        };
        // What is rare is looked up: failures, and more statuses than are remembered.
        let outcome = match error {
            None => kind.outcome(status, || Outcome {
                status,
                duration: self.duration.bind(labels),
                response_size: self.response_size.bind(labels),
                request_size: OnceLock::new(),
            }),
            Some(_) => None,
        };
        let Measured { seconds, response_bytes, request_bytes } = measured;
        let Some(outcome) = outcome else {
            self.duration.record(seconds, labels);
            self.response_size.record(response_bytes as f64, labels);
            if let Some(bytes) = request_bytes {
                self.request_size.record(bytes as f64, labels);
            }
            return;
        };
        outcome.duration.record(seconds);
        outcome.response_size.record(response_bytes as f64);
        if let Some(bytes) = request_bytes {
            let size = outcome.request_size.get_or_init(|| self.request_size.bind(labels));
            size.record(bytes as f64);
        }
    }
}

/// What was measured of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    pub(super) response_bytes: u64,
    pub(super) request_bytes: Option<u64>,
}

impl Kind {
    fn new(
        method: KnownMethod,
        scheme: KnownScheme,
        version: KnownVersion,
        route: Option<&str>,
    ) -> Kind {
        let name = match route {
            Some(route) => format!("{} {route}", method.in_name()),
            None => method.in_name().to_owned(),
        };
        let mut of_span = Encoded::new(SPAN_ATTRIBUTE);
        of_span.str("http.request.method", method.as_str());
        of_span.str_if_any("http.route", route);
        of_span.str("url.scheme", scheme.as_str());
        of_span.str("network.protocol.version", version.as_str());
        let mut of_line = Encoded::new(access::ATTRIBUTE);
        of_line.str("http.request.method", method.as_str());
        of_line.str_if_any("http.route", route);
        let outcomes = [const { OnceLock::new() }; OUTCOMES_MAX];
        let route = route.map(Box::from);
        Kind { method, scheme, version, route, name, of_span, of_line, outcomes }
    }

    /// The template that the requests matched.
    pub(super) fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// Two threads that come with the same status meet at the same free place.
    fn outcome(&self, status: u16, make: impl Fn() -> Outcome) -> Option<&Outcome> {
        let places = self.outcomes.iter();
        places.map(|place| place.get_or_init(&make)).find(|outcome| outcome.status == status)
    }
}

/// FNV-1a over words: routes are the program's own, so nobody aims at its collisions.
fn hash(route: &str, others: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ others;
    let (words, rest) = route.as_bytes().as_chunks::<8>();
    let rest = rest.iter().fold(rest.len() as u64, |word, byte| word << 8 | u64::from(*byte));
    for word in words.iter().map(|word| u64::from_le_bytes(*word)).chain([rest]) {
        hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 32;
    }
    // The upper bits depend on all of it.
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// Of clients.
#[derive(Clone, Debug)]
pub(crate) struct ClientMetrics {
    pub(super) duration: Arc<Histogram<ClientLabels<'static>>>,
}

impl ClientMetrics {
    pub(crate) fn of(registry: &Registry) -> ClientMetrics {
        let duration = registry
            .metric("http.client.request.duration")
            .unit("s")
            .description("Duration of HTTP client requests.")
            .scope(SCOPE, VERSION)
            .histogram();
        ClientMetrics { duration: Arc::new(duration) }
    }
}

/// `{service}_http_requests_total` and `{service}_http_request_duration_seconds`.
#[derive(Debug)]
pub(super) struct ServiceMetrics {
    requests: Counter<ServiceLabels<'static>>,
    duration: Histogram<ServiceLabels<'static>>,
}

impl ServiceMetrics {
    pub(super) fn of(registry: &Registry, service: &str) -> ServiceMetrics {
        // As the names of metrics have it in Prometheus.
        let service = service.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        ServiceMetrics {
            requests: registry
                .metric(format!("{service}_http_requests_total"))
                .description("Total HTTP requests")
                .scope(SCOPE, VERSION)
                .counter(),
            duration: registry
                .metric(format!("{service}_http_request_duration_seconds"))
                .unit("s")
                .description("Request latency")
                .scope(SCOPE, VERSION)
                .histogram(),
        }
    }

    pub(super) fn record(&self, seconds: f64, labels: ServiceLabels<'_>) {
        self.requests.inc(labels);
        self.duration.record(seconds, labels);
    }
}

/// Who records.
const SCOPE: &str = "trefoil::http";
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use super::*;

    /// More than are remembered, from two threads: none is taken for another.
    #[test]
    fn kinds_are_what_was_asked_for_however_many_there_are() {
        let metrics = ServerMetrics::of(&Registry::new());
        let routes: Vec<String> = (0..KINDS_MAX + 200).map(|n| format!("/a/{n}/{{id}}")).collect();
        let (https, version) = (KnownScheme::Https, KnownVersion::Http2);
        let ask = || {
            for route in routes.iter().map(|route| Some(route.as_str())).chain([None]) {
                for method in [KnownMethod::Get, KnownMethod::Put] {
                    let kind = metrics.kind(method, https, version, route);
                    assert_eq!((kind.method, kind.route()), (method, route));
                    assert_eq!((kind.scheme, kind.version), (https, version));
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(ask);
            ask();
        });
        let first = || metrics.kind(KnownMethod::Get, https, version, Some(&routes[0]));
        assert!(Arc::ptr_eq(&first(), &first()), "it is remembered");
    }

    #[test]
    fn routes_of_all_lengths_have_hashes_of_their_own() {
        let text = "/aaaaaaaaaaaaaaaaaaaaaaaa";
        let hashes: std::collections::BTreeSet<u64> =
            (0..=text.len()).map(|length| hash(&text[..length], 7)).collect();
        assert_eq!(hashes.len(), text.len() + 1);
        assert_ne!(hash(text, 7), hash(text, 8));
    }
}
