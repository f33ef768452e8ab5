//! Metrics of servers and clients.

use std::sync::Arc;

use super::method::{KnownMethod, KnownScheme, KnownVersion};
use crate::metric::{Counter, Histogram, Registry, UpDownCounter};

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
}

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
        }
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
