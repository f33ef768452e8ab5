//! Requests of reqwest.

use std::sync::OnceLock;

use reqwest::{RequestBuilder, Response, Result};

use crate::http::{Call, ClientMetrics, ClientOptions};
use crate::metric::Registry;
use crate::propagate::Propagators;

/// Clients are not told to which telemetry they belong: it is the process's own.
static METRICS: OnceLock<ClientMetrics> = OnceLock::new();

/// Sends requests with a span, a metric and context in their headers, as
/// [`HttpClientLayer`](crate::http::HttpClientLayer) does.
///
/// The span ends when the head of the response is there. Reqwest's own middleware, redirects
/// among it, happens within: one call is one span.
pub trait SendTraced {
    /// Sends it.
    ///
    /// # Errors
    /// Those of `send`.
    fn send_traced(self) -> impl Future<Output = Result<Response>> + Send;
}

impl SendTraced for RequestBuilder {
    async fn send_traced(self) -> Result<Response> {
        let (client, request) = self.build_split();
        let mut request = request?;
        let metrics = METRICS.get_or_init(|| ClientMetrics::of(Registry::global())).clone();
        let propagators = Propagators::current();
        let options = ClientOptions { propagators, query_values: false, metrics };
        // A URL that is no URI is recorded without its parts; reqwest refuses it anyway.
        let uri = request.url().as_str().parse().unwrap_or_default();
        let method = request.method().clone();
        let mut call = Call::begin_parts(&options, &method, &uri, request.headers_mut());
        let sent = {
            let span = call.span.clone();
            tracing::Instrument::instrument(client.execute(request), span).await
        };
        match &sent {
            Ok(response) => {
                call.head(response.status().as_u16(), response.version());
                call.response_bytes = response.content_length().unwrap_or(0);
                call.end(crate::http::End::Complete);
            }
            Err(error) => call.failed(kind(error)),
        }
        sent
    }
}

/// What went wrong, in few words.
fn kind(error: &reqwest::Error) -> &'static str {
    match error {
        error if error.is_timeout() => "timeout",
        error if error.is_connect() => "connect",
        error if error.is_redirect() => "redirect",
        error if error.is_builder() => "builder",
        error if error.is_body() => "body",
        error if error.is_decode() => "decode",
        _ => "request",
    }
}
