//! Metrics of servers and clients.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::method::{KnownMethod, KnownScheme, KnownVersion};
use crate::metric::{BoundHistogram, Counter, Histogram, Registry, UpDownCounter};

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
    bound: RwLock<HashMap<u64, Arc<Bound>, BuildHasherDefault<Hashed>>>,
}

/// What requests with the same labels record to, looked up once.
#[derive(Debug)]
struct Bound {
    route: Option<Box<str>>,
    others: u64,
    duration: BoundHistogram,
    response_size: BoundHistogram,
    /// Bound by the first request that states a size.
    request_size: OnceLock<BoundHistogram>,
}

/// Combinations of labels that are remembered. Routes, methods and statuses are few; more are
/// looked up each time.
const BOUND_MAX: usize = 1024;

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
            bound: RwLock::default(),
        }
    }

    pub(super) fn record(
        &self,
        seconds: f64,
        response_bytes: u64,
        request_bytes: Option<u64>,
        labels: ServerLabels<'_>,
    ) {
        let Some(bound) = self.bound(labels) else {
            self.duration.record(seconds, labels);
            self.response_size.record(response_bytes as f64, labels);
            if let Some(bytes) = request_bytes {
                self.request_size.record(bytes as f64, labels);
            }
            return;
        };
        bound.duration.record(seconds);
        bound.response_size.record(response_bytes as f64);
        if let Some(bytes) = request_bytes {
            let size = bound.request_size.get_or_init(|| self.request_size.bind(labels));
            size.record(bytes as f64);
        }
    }

    /// `None` for what is rare: failures, and more combinations than are remembered.
    fn bound(&self, labels: ServerLabels<'_>) -> Option<Arc<Bound>> {
        if labels.error.is_some() {
            return None;
        }
        let others = [
            labels.method as u64,
            labels.scheme as u64,
            labels.version as u64,
            u64::from(labels.status.unwrap_or(0)),
        ];
        let others = others.into_iter().fold(0, |all, part| all << 16 | part);
        let key = hash(labels.route.unwrap_or_default(), others);
        let is_it =
            |bound: &Bound| bound.others == others && bound.route.as_deref() == labels.route;
        let known = self.bound.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(bound) = known.get(&key) {
            return is_it(bound).then(|| Arc::clone(bound));
        }
        if known.len() >= BOUND_MAX {
            return None;
        }
        drop(known);
        let bound = Arc::new(Bound {
            route: labels.route.map(Box::from),
            others,
            duration: self.duration.bind(labels),
            response_size: self.response_size.bind(labels),
            request_size: OnceLock::new(),
        });
        let mut known = self.bound.write().unwrap_or_else(PoisonError::into_inner);
        let bound = known.entry(key).or_insert(bound);
        is_it(bound).then(|| Arc::clone(bound))
    }
}

/// FNV-1a over words: routes are the program's own, so nobody aims at its collisions.
fn hash(route: &str, others: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ others;
    for word in route.as_bytes().chunks(8) {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        hash = (hash ^ u64::from_le_bytes(bytes)).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 32;
    }
    hash
}

/// Keys that are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, hash: u64) {
        // The table takes the upper bits for its tags.
        self.0 = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
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
