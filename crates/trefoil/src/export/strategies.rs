//! Strategies of samplers that someone else keeps, asked for on the exporter's thread.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http_body_util::Full;

use super::connection::{Connections, Version};
use super::endpoint::Endpoint;
use super::lane::Surroundings;
use super::otlp;
use super::tls::Tls;
use crate::account::Signal;
use crate::config::TlsSettings;
use crate::sample::Remote;

/// The port at which Jaeger hands out strategies over HTTP.
const PORT: u16 = 5778;
/// Longest that one answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Shortest time between two questions.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Asks for a strategy at its interval, for ever. While nobody answers the last one counts.
pub(super) async fn follow(remote: Arc<Remote>, service: String, around: Rc<Surroundings>) {
    let url = remote.url(&service);
    let connections = match connections(&url) {
        Ok(connections) => connections,
        Err(why) => return around.status_line.failed(remote.endpoint(), Signal::Traces, &why),
    };
    loop {
        let answer = tokio::time::timeout(TIMEOUT, ask(&connections)).await;
        let answer = answer.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        let applied =
            answer.and_then(|body| remote.apply(&body).map_err(|error| error.to_string()));
        match applied {
            Ok(()) => around.status_line.recovered(remote.endpoint(), Signal::Traces),
            Err(why) => around.status_line.failed(remote.endpoint(), Signal::Traces, &why),
        }
        tokio::time::sleep(remote.interval().max(INTERVAL_MIN)).await;
    }
}

fn connections(url: &str) -> Result<Connections, String> {
    let endpoint = Endpoint::parse(url, PORT)?;
    let tls = match endpoint.secure {
        true => Some(Tls::new(&TlsSettings::default())?),
        false => None,
    };
    Ok(Connections::new(endpoint, Version::Http1, tls, None))
}

async fn ask(connections: &Connections) -> Result<Bytes, String> {
    let endpoint = connections.endpoint();
    let request = Request::get(&endpoint.path)
        .header(HOST, endpoint.authority())
        .header(USER_AGENT, otlp::USER_AGENT)
        .header(ACCEPT, "application/json")
        .body(Full::default())
        .map_err(|error| format!("the endpoint is wrong: {error}"))?;
    let answer = connections.send(request).await?;
    match answer.status.as_u16() {
        200 => Ok(answer.body),
        status => Err(format!("it answers {status} when asked for a sampling strategy")),
    }
}
