//! Export jobs: takes orders over HTTP, moves virtual machines out of clouds in the
//! background, and registers what comes out as an artifact.

mod business;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tracing::{Instrument, Span, error, info, info_span, warn};
use trefoil::SpanExt;
use trefoil::metric::Registry;

use self::business::{Business, Status};
use crate::database::{self, Database};
use crate::http::{Answer, Failure};
use crate::service::Service;
use crate::telemetry::told;

const SCHEMA: &str = "CREATE TABLE jobs (id INTEGER PRIMARY KEY, vm TEXT NOT NULL,
                                         provider TEXT NOT NULL, status TEXT NOT NULL);";

/// Jobs that wait; more are refused.
const QUEUE: usize = 64;
const WORKERS: usize = 6;
/// How many jobs are kept.
const JOBS_KEPT: i64 = 1000;
/// The documents ask for job 12345, so numbers start a little below.
const FIRST_JOB: i64 = 12_300;
const PURGE_EVERY: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Hypersdk {
    service: Service,
    database: Database,
    metrics: Arc<Business>,
    queue: mpsc::Sender<Job>,
    next_job: Arc<AtomicI64>,
}

/// An accepted order. Its work goes on in the trace of the request.
struct Job {
    id: i64,
    vm: String,
    provider: String,
    user: String,
    tenant: String,
    request: Span,
}

pub(crate) async fn start(service: Service, tasks: &mut JoinSet<()>) -> Result<Router, String> {
    let metrics = Arc::new(Business::new(Registry::global()));
    let database = Database::open(&service, Some("database"), SCHEMA).await?;
    let (queue, jobs) = mpsc::channel(QUEUE);
    let jobs = Arc::new(Mutex::new(jobs));
    let next_job = Arc::new(AtomicI64::new(FIRST_JOB));
    let state = Hypersdk { service, database, metrics: Arc::clone(&metrics), queue, next_job };
    for _ in 0..WORKERS {
        tasks.spawn(worker(state.clone(), Arc::clone(&jobs)));
    }
    tasks.spawn(purge(state.clone()));
    let router = Router::new()
        .route("/api/v1/export", post(export))
        .route("/api/v1/jobs/{id}", get(job))
        .with_state(state);
    Ok(router.route_layer(middleware::from_fn_with_state(metrics, measured)))
}

/// Counts requests under the names that the service's document gives.
async fn measured(
    State(metrics): State<Arc<Business>>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let bytes = request.headers().get("content-length");
    let bytes = bytes.and_then(|bytes| bytes.to_str().ok()?.parse().ok()).unwrap_or(0.0);
    let response = next.run(request).await;
    let (route, method) = (route.as_str(), method.as_str());
    metrics.record_http_requests(route, method, response.status().as_str());
    metrics.record_request_duration(start.elapsed(), route, method);
    metrics.record_request_size_bytes(bytes, route, method);
    response
}

async fn export(State(this): State<Hypersdk>, Json(body): Json<Value>) -> Answer {
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (user, vm, provider) = (field("user"), field("vm_name"), field("provider"));
    if vm.is_empty() || provider.is_empty() {
        let message = "vm_name and provider are needed";
        return Err(Failure::new(StatusCode::BAD_REQUEST, "bad_request", message));
    }
    let request = Span::current();
    request.set_attribute("user.id", user.clone());
    let path = format!("/auth/verify?user={user}");
    let known = this.service.call("ghostworks", Method::GET, &path, &Value::Null).await?;
    let tenant = known["tenant"].as_str().unwrap_or_default().to_owned();
    let id = this.next_job.fetch_add(1, Ordering::Relaxed);
    let job = Job { id, vm, provider, user, tenant, request };
    this.insert(&job).await?;
    info!(job_id = id, provider = job.provider, vm_name = job.vm, "job accepted");
    if this.queue.try_send(job).is_err() {
        warn!(job_id = id, "job queue is full");
        let message = format!("{QUEUE} jobs are waiting already");
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", message));
    }
    Ok(Json(json!({ "job_id": id })))
}

async fn job(State(this): State<Hypersdk>, Path(id): Path<i64>) -> Answer {
    let next = this.database.next().await;
    let select = sqlx::query_scalar::<_, String>("SELECT status FROM jobs WHERE id = ?1");
    let found = select.bind(id).fetch_optional(next.pool).await;
    this.counted("SELECT", found)?
        .map(|status| Json(json!({ "job_id": id, "status": status })))
        .ok_or_else(|| Failure::not_found("such job"))
}

impl Hypersdk {
    async fn insert(&self, job: &Job) -> Result<(), Failure> {
        let next = self.database.next().await;
        let insert = "INSERT INTO jobs (id, vm, provider, status) VALUES (?1, ?2, ?3, 'queued')";
        let insert = sqlx::query(insert).bind(job.id).bind(&job.vm).bind(&job.provider);
        self.counted("INSERT", insert.execute(next.pool).await).map(drop)
    }

    async fn update(&self, job: &Job, status: &'static str) -> Result<(), Failure> {
        let next = self.database.next().await;
        let update = sqlx::query("UPDATE jobs SET status = ?2 WHERE id = ?1");
        let updated = update.bind(job.id).bind(status).execute(next.pool).await;
        self.counted("UPDATE", updated).map(drop)
    }

    /// A statement's failure is counted and logged.
    fn counted<T>(&self, operation: &str, result: Result<T, sqlx::Error>) -> Result<T, Failure> {
        result.map_err(|error| {
            self.metrics.record_database_errors(operation);
            let failure = database::failure(&error);
            error!(error = %failure, table = "jobs", "database error");
            failure
        })
    }
}

async fn worker(mut this: Hypersdk, jobs: Arc<Mutex<mpsc::Receiver<Job>>>) {
    loop {
        let next = async { jobs.lock().await.recv().await };
        let job = tokio::select! {
            job = next => job,
            () = this.service.stop.requested() => None,
        };
        let Some(job) = job else { return };
        let span = info_span!(
            parent: &job.request,
            "vm.export",
            operation = "vm.export",
            job_id = job.id.to_string(),
            job_status = tracing::field::Empty,
            provider = job.provider,
            vm_name = job.vm,
            vm_path = format!("/datacenter/vm/{}", job.vm),
            user.id = job.user,
        );
        // The caller has its answer long since; the span and the job's row say how it went.
        let _ = told(&span, run(&this, &job).instrument(span.clone()).await);
    }
}

/// One export from beginning to end.
async fn run(this: &Hypersdk, job: &Job) -> Result<i64, Failure> {
    let start = Instant::now();
    let Job { id, provider, vm, .. } = job;
    let span = Span::current();
    span.add_event("job-started", &[]);
    this.metrics.add_active_jobs(1, provider);
    let result = steps(this, job).await;
    this.metrics.add_active_jobs(-1, provider);
    let (status, word) = match &result {
        Ok(bytes) => {
            span.add_event("job-completed", &[("bytes", (*bytes).into())]);
            info!(
                job_id = id,
                provider,
                vm_name = vm,
                duration_seconds = start.elapsed().as_secs_f64(),
                bytes_transferred = bytes,
                "export completed"
            );
            this.metrics.record_jobs_completed(provider);
            (Status::Success, "success")
        }
        Err(failure) => {
            error!(error = %failure, job_id = id, provider, vm_name = vm, "export failed");
            this.metrics.record_jobs_failed(provider);
            (Status::Failure, "failure")
        }
    };
    this.metrics.record_exports(provider, status);
    this.metrics.record_export_duration(start.elapsed(), provider);
    span.record("job_status", word);
    // A failure is logged and counted there; the job itself is done either way.
    let _ = this.update(job, word).await;
    result
}

async fn steps(this: &Hypersdk, job: &Job) -> Result<i64, Failure> {
    let body = json!({ "vm_name": job.vm });
    let path = format!("/vms/{}/snapshot", job.vm);
    this.service.call("metald", Method::POST, &path, &body).await?;
    let transfer = info_span!(
        "provider.export",
        otel.kind = "client",
        provider = job.provider,
        operation = "export",
        vm_name = job.vm,
        peer.service = job.provider,
        bytes_transferred = tracing::field::Empty,
    );
    let moved = transfer_disks(this, job).instrument(transfer.clone()).await;
    let bytes = told(&transfer, moved)?;
    drop(transfer);
    this.service.toil(60.0).instrument(info_span!("disk.convert", format = "qcow2")).await;
    let artifact = json!({
        "tenant": job.tenant, "user": job.user, "type": "vm-image", "name": job.vm,
    });
    this.service.call("ghostworks", Method::POST, "/artifacts", &artifact).await?;
    Ok(bytes)
}

/// The provider's side, which is simulated: most of an export is waiting for it.
async fn transfer_disks(this: &Hypersdk, job: &Job) -> Result<i64, Failure> {
    let broken = job.provider == "vsphere" && this.service.strike("provider").await;
    this.service.toil(220.0).await;
    let unlucky = this.service.dice.percent(1.0);
    if broken || unlucky {
        let message = format!("{} refused the disk lease of {}: timeout", job.provider, job.vm);
        return Err(Failure::new(StatusCode::BAD_GATEWAY, "provider", message));
    }
    let bytes = 200_000_000 + this.service.dice.below(2_000_000_000) as i64;
    Span::current().record("bytes_transferred", bytes);
    Ok(bytes)
}

/// Background work: finished jobs are forgotten in time.
async fn purge(mut this: Hypersdk) {
    while this.service.stop.pause(PURGE_EVERY).await {
        let span = info_span!("jobs.purge");
        let _ = told(&span, this.forget().instrument(span.clone()).await);
    }
    this.database.remove();
}

impl Hypersdk {
    async fn forget(&self) -> Result<(), Failure> {
        let next = self.database.next().await;
        let delete = "DELETE FROM jobs WHERE id <= (SELECT max(id) FROM jobs) - ?1";
        let deleted = sqlx::query(delete).bind(JOBS_KEPT).execute(next.pool).await;
        let purged = self.counted("DELETE", deleted)?.rows_affected();
        info!(purged, "jobs purged");
        Ok(())
    }
}
