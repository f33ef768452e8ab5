// Made from registry/hypersdk.toml by `cargo xtask codegen`; a change belongs there.

//! What hypersdk measures: a method for each metric that it declares.
#![allow(dead_code, reason = "a test judges what is declared by what is emitted")]

use std::time::Duration;

use trefoil::metric::{Counter, Histogram, Registry, UpDownCounter};

trefoil::label_enum! {
    /// How it ended.
    pub(crate) enum Status {
        Success = "success",
        Failure = "failure",
    }
}

trefoil::labels! {
    /// Labels of `hypersdk_active_jobs`.
    pub(crate) struct ActiveJobsLabels<'a> {
        provider: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `hypersdk_database_errors_total`.
    pub(crate) struct DatabaseErrorsLabels<'a> {
        operation: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `hypersdk_export_duration_seconds`.
    pub(crate) struct ExportDurationLabels<'a> {
        provider: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `hypersdk_exports_total`.
    pub(crate) struct ExportsLabels<'a> {
        provider: &'a str,
        status: Status,
    }
}

trefoil::labels! {
    /// Labels of `hypersdk_http_requests_total`.
    pub(crate) struct HttpRequestsLabels<'a> {
        endpoint: &'a str,
        method: &'a str,
        status: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `hypersdk_jobs_completed_total`.
    pub(crate) struct JobsCompletedLabels<'a> {
        provider: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `hypersdk_jobs_failed_total`.
    pub(crate) struct JobsFailedLabels<'a> {
        provider: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `hypersdk_request_duration_seconds`.
    pub(crate) struct RequestDurationLabels<'a> {
        endpoint: &'a str,
        method: &'a str,
    }
}

trefoil::labels! {
    /// Labels of `hypersdk_request_size_bytes`.
    pub(crate) struct RequestSizeBytesLabels<'a> {
        endpoint: &'a str,
        method: &'a str,
    }
}

/// The metrics of hypersdk.
#[derive(Debug)]
pub(crate) struct Business {
    active_jobs: UpDownCounter<ActiveJobsLabels<'static>>,
    database_errors: Counter<DatabaseErrorsLabels<'static>>,
    export_duration: Histogram<ExportDurationLabels<'static>>,
    exports: Counter<ExportsLabels<'static>>,
    http_requests: Counter<HttpRequestsLabels<'static>>,
    jobs_completed: Counter<JobsCompletedLabels<'static>>,
    jobs_failed: Counter<JobsFailedLabels<'static>>,
    request_duration: Histogram<RequestDurationLabels<'static>>,
    request_size_bytes: Histogram<RequestSizeBytesLabels<'static>>,
}

impl Business {
    /// All of them, in a registry.
    pub(crate) fn new(registry: &Registry) -> Business {
        let metric = |name: &'static str, description: &'static str| {
            let scope = ("hypersdk", env!("CARGO_PKG_VERSION"));
            registry.metric(name).description(description).scope(scope.0, scope.1)
        };
        Business {
            active_jobs: metric("hypersdk_active_jobs", "Export jobs that run.").up_down_counter(),
            database_errors: metric("hypersdk_database_errors_total", "Statements that failed.")
                .counter(),
            export_duration: metric("hypersdk_export_duration_seconds", "Duration of exports.")
                .unit("s")
                .histogram(),
            exports: metric("hypersdk_exports_total", "Exports by outcome.").counter(),
            http_requests: metric("hypersdk_http_requests_total", "HTTP requests.").counter(),
            jobs_completed: metric("hypersdk_jobs_completed_total", "Jobs that succeeded.")
                .counter(),
            jobs_failed: metric("hypersdk_jobs_failed_total", "Jobs that failed.").counter(),
            request_duration: metric("hypersdk_request_duration_seconds", "Request latency.")
                .unit("s")
                .histogram(),
            request_size_bytes: metric("hypersdk_request_size_bytes", "Size of request bodies.")
                .unit("By")
                .histogram(),
        }
    }

    /// Export jobs that run.
    pub(crate) fn add_active_jobs(&self, delta: i64, provider: &str) {
        self.active_jobs.add(delta, ActiveJobsLabels { provider });
    }

    /// Statements that failed.
    pub(crate) fn record_database_errors(&self, operation: &str) {
        self.database_errors.inc(DatabaseErrorsLabels { operation });
    }

    /// Duration of exports.
    pub(crate) fn record_export_duration(&self, duration: Duration, provider: &str) {
        self.export_duration.record_duration(duration, ExportDurationLabels { provider });
    }

    /// Exports by outcome.
    pub(crate) fn record_exports(&self, provider: &str, status: Status) {
        self.exports.inc(ExportsLabels { provider, status });
    }

    /// HTTP requests.
    pub(crate) fn record_http_requests(&self, endpoint: &str, method: &str, status: &str) {
        self.http_requests.inc(HttpRequestsLabels { endpoint, method, status });
    }

    /// Jobs that succeeded.
    pub(crate) fn record_jobs_completed(&self, provider: &str) {
        self.jobs_completed.inc(JobsCompletedLabels { provider });
    }

    /// Jobs that failed.
    pub(crate) fn record_jobs_failed(&self, provider: &str) {
        self.jobs_failed.inc(JobsFailedLabels { provider });
    }

    /// Request latency.
    pub(crate) fn record_request_duration(&self, duration: Duration, endpoint: &str, method: &str) {
        self.request_duration.record_duration(duration, RequestDurationLabels { endpoint, method });
    }

    /// Size of request bodies.
    pub(crate) fn record_request_size_bytes(&self, value: f64, endpoint: &str, method: &str) {
        self.request_size_bytes.record(value, RequestSizeBytesLabels { endpoint, method });
    }
}
