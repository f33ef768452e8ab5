//! What the services have in common when they tell: two lines in each service's start, and
//! how a failure is told.

use std::time::Duration;

use tracing::Span;
use trefoil::{Builder, SpanExt, Telemetry, Trefoil};

use crate::http::Failure;

/// A demo shows what happened a moment ago, not five seconds.
const SEND_EVERY: Duration = Duration::from_millis(500);
const SEND_METRICS_EVERY: Duration = Duration::from_secs(2);
/// The server is on the same machine; longer means that it is stopping.
pub(crate) const SEND_WITHIN: Duration = Duration::from_secs(2);

/// Starts a service's telemetry.
///
/// # Errors
/// A line for the user if the process has telemetry already.
pub(crate) fn start(service: &'static str) -> Result<Telemetry, String> {
    let builder = Trefoil::builder(service)
        .version(env!("CARGO_PKG_VERSION"))
        .namespace("demo")
        .environment("demo")
        .instance_id(&format!("{service}-1"))
        // The label by which the documents' LogQL finds a service's logs.
        .attribute("app", service)
        .delay(SEND_EVERY)
        .metric_interval(SEND_METRICS_EVERY)
        .shutdown_timeout(SEND_WITHIN)
        .console(trefoil::Console::Off);
    as_documented(service, builder).install().map_err(|error| error.to_string())
}

/// What a service's document asks for besides.
fn as_documented(service: &str, builder: Builder) -> Builder {
    match service {
        "metald" => builder.prefix("UNKEY_METALD_OTEL"),
        "hypersdk" => builder.log_body(trefoil::LogBody::Logfmt),
        "ghostworks" => builder.log_body(trefoil::LogBody::Json),
        _ => builder,
    }
}

/// Says on a span that what it stands for failed, and hands the result on.
pub(crate) fn told<T>(span: &Span, result: Result<T, Failure>) -> Result<T, Failure> {
    if let Err(failure) = &result {
        failed(span, failure);
    }
    result
}

/// Says on a span that what it stands for failed.
pub(crate) fn failed(span: &Span, failure: &Failure) {
    span.set_attribute("error.type", failure.kind);
    span.record_error(failure);
}
