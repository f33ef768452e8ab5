//! A service in the middle: when asked, it asks the next ones, and all are in one trace.
//!
//! ```sh
//! cargo run --example relay -p trefoil --features axum,reqwest -- 127.0.0.1:8081
//! cargo run --example relay -p trefoil --features axum,reqwest -- 127.0.0.1:8080 http://127.0.0.1:8081
//! curl http://127.0.0.1:8080 -H 'baggage: tenant=acme'
//! ```
//!
//! A caller that is traced itself says so in headers, which `OTEL_PROPAGATORS` chooses; its
//! trace then goes on here, and with it its baggage.

use std::io::Write as _;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use trefoil::reqwest::Sender;

#[derive(Clone)]
struct Relay {
    client: reqwest::Client,
    sender: Sender,
    next: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = trefoil::init("relay")?;
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let relay = Relay {
        client: reqwest::Client::new(),
        // Writes the context into the headers of what it sends.
        sender: telemetry.reqwest(),
        next: arguments.collect(),
    };
    let app = Router::new()
        .route("/", get(ask_next))
        // Reads the context from the headers of what comes.
        .layer(telemetry.http_layer())
        .with_state(relay);
    let listener = tokio::net::TcpListener::bind(address).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let stop = async {
        // An error means that signals cannot be waited for; then only a kill ends it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    // The guard sends what waits.
    Ok(())
}

/// Answers with what the next ones answer, one after the other.
async fn ask_next(State(relay): State<Relay>) -> Result<String, StatusCode> {
    let mut answers = format!("asked {}\n", relay.next.len());
    for url in &relay.next {
        let request = relay.client.get(url);
        let answer = async { relay.sender.send(request).await?.text().await }.await;
        match answer {
            Ok(answer) => answers += &answer,
            Err(error) => {
                tracing::error!(%error, url, "no answer");
                return Err(StatusCode::BAD_GATEWAY);
            }
        }
    }
    Ok(answers)
}
