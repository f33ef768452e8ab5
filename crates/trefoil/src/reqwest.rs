//! Requests of reqwest.

use std::sync::{Arc, OnceLock};

use reqwest::{RequestBuilder, Response, Result};

use crate::http::{Call, ClientMetrics, ClientOptions};
use crate::init::Handle;
use crate::metric::Registry;
use crate::propagate::Propagators;

/// Sends requests of reqwest with a span, a metric and context in their headers, as
/// [`HttpClientLayer`](crate::http::HttpClientLayer) does.
///
/// The span ends when the head of the response is there. Reqwest's own middleware, redirects
/// among it, happens within: one call is one span.
///
/// ```no_run
/// # async fn run(telemetry: trefoil::Handle) -> Result<(), reqwest::Error> {
/// let http = telemetry.reqwest();
/// let client = reqwest::Client::new();
/// let response = http.send(client.get("http://127.0.0.1:8080/jobs")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sender {
    options: Arc<ClientOptions>,
}

impl Handle {
    /// What sends requests of reqwest.
    #[must_use]
    pub fn reqwest(&self) -> Sender {
        Sender { options: Arc::new(ClientOptions::new(self.propagators(), self.registry())) }
    }
}

impl Sender {
    /// Records the values of queries, too, save those of parameters whose names sound like
    /// secrets. By default only the names are recorded.
    #[must_use]
    pub fn query_values(mut self, record: bool) -> Self {
        Arc::make_mut(&mut self.options).query_values = record;
        self
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Those of reqwest's `send`.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response> {
        send(&self.options, request).await
    }
}

/// The same where no [`Sender`] is at hand: the context travels as the telemetry in force has
/// it, and the metric is one of the process's, as are those of `metrics!`.
pub trait SendTraced {
    /// Sends it.
    ///
    /// # Errors
    /// Those of `send`.
    fn send_traced(self) -> impl Future<Output = Result<Response>> + Send;
}

impl SendTraced for RequestBuilder {
    async fn send_traced(self) -> Result<Response> {
        static METRICS: OnceLock<ClientMetrics> = OnceLock::new();
        let metrics = METRICS.get_or_init(|| ClientMetrics::of(Registry::global())).clone();
        let propagators = Propagators::current();
        send(&ClientOptions { propagators, query_values: false, metrics }, self).await
    }
}

async fn send(options: &ClientOptions, request: RequestBuilder) -> Result<Response> {
    let (client, request) = request.build_split();
    let mut request = request?;
    // A URL that is no URI is recorded without its parts; reqwest refuses it anyway.
    let uri = request.url().as_str().parse().unwrap_or_default();
    let method = request.method().clone();
    let mut call = Call::begin_parts(options, &method, &uri, request.headers_mut());
    let span = call.span.clone();
    let sent = tracing::Instrument::instrument(client.execute(request), span).await;
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
