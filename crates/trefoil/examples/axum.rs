//! A server with traces, metrics and logs.
//!
//! ```sh
//! cargo run --example axum -p trefoil --features axum
//! curl http://127.0.0.1:8080/jobs/7
//! curl http://127.0.0.1:8080/metrics
//! ```

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Router, routing::get};
use trefoil::{Counter, Handle};

trefoil::metrics! {
    /// Jobs that were asked for.
    static JOBS: Counter = "example_jobs_total";
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry =
        trefoil::Trefoil::builder("example").version(env!("CARGO_PKG_VERSION")).install()?;
    let app = Router::new()
        .route("/jobs/{id}", get(job))
        .layer(telemetry.http_layer())
        // Below the layer, so that scrapes make no spans.
        .route("/metrics", get(metrics))
        .with_state(telemetry.handle());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    tracing::info!(address = %listener.local_addr()?, "ready");
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

async fn job(Path(id): Path<u64>) -> Result<String, StatusCode> {
    JOBS.add(1, ());
    match load(id).await {
        Ok(job) => Ok(job),
        Err(error) => {
            tracing::error!(error, job.id = id, "no such job");
            Err(StatusCode::NOT_FOUND)
        }
    }
}

#[tracing::instrument(fields(job.id = id))]
async fn load(id: u64) -> Result<String, &'static str> {
    tokio::task::yield_now().await;
    if id == 0 { Err("ids begin at 1") } else { Ok(format!("job {id} is done\n")) }
}

async fn metrics(State(telemetry): State<Handle>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let (content_type, text) = telemetry.metrics_text(accept.unwrap_or_default());
    ([(header::CONTENT_TYPE, content_type)], text)
}
