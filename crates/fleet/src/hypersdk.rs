//! Export jobs: takes orders over HTTP, moves virtual machines out of clouds in the
//! background, and registers what comes out as an artifact.

mod business;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};
use rusqlite::OptionalExtension;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::database::{Database, Statement};
use crate::http::{Answer, Exchange, Failure, SECONDS, observed};
use crate::service::Service;
use crate::telemetry::Work;

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
    metrics: Arc<Metrics>,
    queue: mpsc::Sender<Job>,
    next_job: Arc<AtomicI64>,
}

struct Metrics {
    http_requests: Counter<u64>,
    request_duration: Histogram<f64>,
    request_size: Histogram<u64>,
    active_jobs: UpDownCounter<i64>,
    exports: Counter<u64>,
    export_duration: Histogram<f64>,
    jobs_completed: Counter<u64>,
    jobs_failed: Counter<u64>,
    database_errors: Counter<u64>,
}

/// An accepted order. Its work goes on in the trace of the request.
struct Job {
    id: i64,
    vm: String,
    provider: String,
    user: String,
    tenant: String,
    request: Work,
}

impl Job {
    fn labels(&self) -> [KeyValue; 3] {
        [
            KeyValue::new("job_id", self.id),
            KeyValue::new("provider", self.provider.clone()),
            KeyValue::new("vm_name", self.vm.clone()),
        ]
    }
}

pub(crate) fn start(service: Service, tasks: &mut JoinSet<()>) -> Result<Router, String> {
    let metrics = Arc::new(instruments(&service));
    let database = Database::open(&service, Some("database"), SCHEMA)?;
    let (queue, jobs) = mpsc::channel(QUEUE);
    let jobs = Arc::new(Mutex::new(jobs));
    let telemetry = Arc::clone(&service.telemetry);
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
    Ok(observed(router, &telemetry, Arc::new(move |exchange| record(&metrics, exchange))))
}

fn instruments(service: &Service) -> Metrics {
    let meter = &service.telemetry.meter;
    let seconds = |name: &'static str, bounds: &[f64]| {
        meter.f64_histogram(name).with_unit("s").with_boundaries(bounds.to_vec()).build()
    };
    Metrics {
        http_requests: meter.u64_counter("hypersdk_http_requests_total").build(),
        request_duration: seconds("hypersdk_request_duration_seconds", SECONDS),
        request_size: meter.u64_histogram("hypersdk_request_size_bytes").with_unit("By").build(),
        active_jobs: meter.i64_up_down_counter("hypersdk_active_jobs").build(),
        exports: meter.u64_counter("hypersdk_exports_total").build(),
        export_duration: seconds(
            "hypersdk_export_duration_seconds",
            &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0],
        ),
        jobs_completed: meter.u64_counter("hypersdk_jobs_completed_total").build(),
        jobs_failed: meter.u64_counter("hypersdk_jobs_failed_total").build(),
        database_errors: meter.u64_counter("hypersdk_database_errors_total").build(),
    }
}

fn record(metrics: &Metrics, exchange: &Exchange<'_>) {
    let endpoint = [
        KeyValue::new("method", exchange.method.to_owned()),
        KeyValue::new("endpoint", exchange.route.to_owned()),
    ];
    let [method, route] = endpoint.clone();
    let status = KeyValue::new("status", exchange.status.to_string());
    metrics.http_requests.add(1, &[method, route, status]);
    metrics.request_duration.record(exchange.seconds, &endpoint);
    metrics.request_size.record(exchange.request_bytes, &endpoint);
}

async fn export(
    State(this): State<Hypersdk>,
    Extension(work): Extension<Work>,
    Json(body): Json<Value>,
) -> Answer {
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let (user, vm, provider) = (field("user"), field("vm_name"), field("provider"));
    if vm.is_empty() || provider.is_empty() {
        let message = "vm_name and provider are needed";
        return Err(Failure::new(StatusCode::BAD_REQUEST, "bad_request", message));
    }
    work.set("user.id", user.clone());
    let path = format!("/auth/verify?user={user}");
    let known = this.service.ghostworks(&work, Method::GET, &path, &Value::Null).await?;
    let tenant = known["tenant"].as_str().unwrap_or_default().to_owned();
    let id = this.next_job.fetch_add(1, Ordering::Relaxed);
    let job = Job { id, vm, provider, user, tenant, request: work.clone() };
    let insert = Statement {
        operation: "INSERT",
        table: "jobs",
        sql: "INSERT INTO jobs (id, vm, provider, status) VALUES (?1, ?2, ?3, 'queued')",
    };
    let row = (job.id, job.vm.clone(), job.provider.clone());
    this.query(&work, &insert, move |connection, sql| connection.execute(sql, row)).await?;
    work.info("job accepted", &job.labels());
    if this.queue.try_send(job).is_err() {
        work.warn("job queue is full", &[KeyValue::new("job_id", id)]);
        let message = format!("{QUEUE} jobs are waiting already");
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", message));
    }
    Ok(Json(json!({ "job_id": id })))
}

async fn job(
    State(this): State<Hypersdk>,
    Extension(work): Extension<Work>,
    Path(id): Path<i64>,
) -> Answer {
    let select = Statement {
        operation: "SELECT",
        table: "jobs",
        sql: "SELECT status FROM jobs WHERE id = ?1",
    };
    let found = this
        .query(&work, &select, move |connection, sql| {
            connection.query_row(sql, [id], |row| row.get::<_, String>(0)).optional()
        })
        .await?;
    found
        .map(|status| Json(json!({ "job_id": id, "status": status })))
        .ok_or_else(|| Failure::not_found("such job"))
}

impl Hypersdk {
    /// Runs a statement; a failure is counted and logged.
    async fn query<T: Send + 'static>(
        &self,
        work: &Work,
        statement: &Statement,
        run: impl FnOnce(&rusqlite::Connection, &'static str) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let result = self.database.run(work, statement, run).await;
        if let Err(failure) = &result {
            let operation = KeyValue::new("operation", statement.operation);
            self.metrics.database_errors.add(1, &[operation]);
            let table = KeyValue::new("table", statement.table);
            work.error("database error", failure, &[table]);
        }
        result
    }

    async fn finish(&self, job: &Job, work: &Work, status: &'static str) {
        let update = Statement {
            operation: "UPDATE",
            table: "jobs",
            sql: "UPDATE jobs SET status = ?2 WHERE id = ?1",
        };
        let id = job.id;
        // A failure is logged and counted there; the job itself is done either way.
        let _ = self
            .query(work, &update, move |connection, sql| connection.execute(sql, (id, status)))
            .await;
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
        run(&this, &job).await;
    }
}

/// One export from beginning to end.
async fn run(this: &Hypersdk, job: &Job) {
    let provider = [KeyValue::new("provider", job.provider.clone())];
    let start = Instant::now();
    let work = job.request.part(
        "vm.export",
        vec![
            KeyValue::new("operation", "vm.export"),
            KeyValue::new("job_id", job.id.to_string()),
            KeyValue::new("provider", job.provider.clone()),
            KeyValue::new("vm_name", job.vm.clone()),
            KeyValue::new("vm_path", format!("/datacenter/vm/{}", job.vm)),
            KeyValue::new("user.id", job.user.clone()),
        ],
    );
    work.event("job-started", Vec::new());
    this.metrics.active_jobs.add(1, &provider);
    let result = steps(this, job, &work).await;
    this.metrics.active_jobs.add(-1, &provider);
    let (status, counter) = match &result {
        Ok(bytes) => {
            work.event("job-completed", vec![KeyValue::new("bytes", *bytes)]);
            let mut attributes = job.labels().to_vec();
            attributes.push(KeyValue::new("duration_seconds", start.elapsed().as_secs_f64()));
            attributes.push(KeyValue::new("bytes_transferred", *bytes));
            work.info("export completed", &attributes);
            ("success", &this.metrics.jobs_completed)
        }
        Err(failure) => {
            work.error("export failed", failure, &job.labels());
            ("failure", &this.metrics.jobs_failed)
        }
    };
    counter.add(1, &provider);
    let [label] = provider.clone();
    this.metrics.exports.add(1, &[label, KeyValue::new("status", status)]);
    this.metrics.export_duration.record(start.elapsed().as_secs_f64(), &provider);
    work.set("job_status", status);
    this.finish(job, &work, status).await;
    let _ = work.end(result);
}

async fn steps(this: &Hypersdk, job: &Job, work: &Work) -> Result<i64, Failure> {
    let body = json!({ "vm_name": job.vm });
    let path = format!("/vms/{}/snapshot", job.vm);
    this.service.metald(work, Method::POST, &path, &body).await?;
    let bytes = transfer(this, job, work).await?;
    let convert = work.part("disk.convert", vec![KeyValue::new("format", "qcow2")]);
    this.service.toil(60.0).await;
    convert.close();
    let artifact = json!({
        "tenant": job.tenant, "user": job.user, "type": "vm-image", "name": job.vm,
    });
    this.service.ghostworks(work, Method::POST, "/artifacts", &artifact).await?;
    Ok(bytes)
}

/// The provider's side, which is simulated: most of an export is waiting for it.
async fn transfer(this: &Hypersdk, job: &Job, work: &Work) -> Result<i64, Failure> {
    let call = work.call(
        "provider.export",
        vec![
            KeyValue::new("provider", job.provider.clone()),
            KeyValue::new("operation", "export"),
            KeyValue::new("vm_name", job.vm.clone()),
            KeyValue::new("peer.service", job.provider.clone()),
        ],
    );
    let broken = job.provider == "vsphere" && this.service.strike("provider").await;
    this.service.toil(220.0).await;
    let unlucky = this.service.dice.percent(1.0);
    if broken || unlucky {
        let message = format!("{} refused the disk lease of {}: timeout", job.provider, job.vm);
        return call.end(Err(Failure::new(StatusCode::BAD_GATEWAY, "provider", message)));
    }
    let bytes = 200_000_000 + this.service.dice.below(2_000_000_000) as i64;
    call.set("bytes_transferred", bytes);
    call.end(Ok(bytes))
}

/// Background work: finished jobs are forgotten in time.
async fn purge(mut this: Hypersdk) {
    while this.service.stop.pause(PURGE_EVERY).await {
        let work = Work::root(&this.service.telemetry, "jobs.purge");
        let statement = Statement {
            operation: "DELETE",
            table: "jobs",
            sql: "DELETE FROM jobs WHERE id <= (SELECT max(id) FROM jobs) - ?1",
        };
        let purged = this
            .query(&work, &statement, |connection, sql| connection.execute(sql, [JOBS_KEPT]))
            .await;
        if let Ok(purged) = purged {
            work.info("jobs purged", &[KeyValue::new("purged", purged as i64)]);
        }
        let _ = work.end(purged);
    }
}
