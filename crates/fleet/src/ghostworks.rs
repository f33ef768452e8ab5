//! Accounts and artifacts: the API that everybody asks who somebody is.

mod business;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use rusqlite::OptionalExtension;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::database::{Database, Statement};
use crate::http::{Answer, Failure, SECONDS, observed};
use crate::service::Service;
use crate::telemetry::Work;

const SCHEMA: &str = "
    CREATE TABLE users (name TEXT PRIMARY KEY, tenant TEXT NOT NULL, token TEXT);
    CREATE TABLE artifacts (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, owner TEXT NOT NULL,
                            kind TEXT NOT NULL, name TEXT NOT NULL);
    CREATE TABLE usage (vm TEXT NOT NULL, seconds REAL NOT NULL);
    INSERT INTO users VALUES ('alice', 'acme', NULL), ('bob', 'acme', NULL),
                             ('carol', 'globex', NULL), ('dave', 'initech', NULL);";

/// How many artifacts are kept; the sweep removes the oldest.
const ARTIFACTS_KEPT: i64 = 500;
const SWEEP_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Ghostworks {
    service: Service,
    database: Database,
    metrics: Arc<Metrics>,
}

struct Metrics {
    artifacts_created: Counter<u64>,
    auth_attempts: Counter<u64>,
    workspace_operations: Counter<u64>,
    artifact_duration: Histogram<f64>,
}

pub(crate) fn start(service: Service, tasks: &mut JoinSet<()>) -> Result<Router, String> {
    let meter = &service.telemetry.meter;
    let metrics = Metrics {
        artifacts_created: meter.u64_counter("artifacts_created_total").build(),
        auth_attempts: meter.u64_counter("auth_attempts_total").build(),
        workspace_operations: meter.u64_counter("workspace_operations_total").build(),
        artifact_duration: meter
            .f64_histogram("artifact_operation_duration_seconds")
            .with_unit("s")
            .with_boundaries(SECONDS.to_vec())
            .build(),
    };
    let database = Database::open(&service, None, SCHEMA)?;
    let telemetry = Arc::clone(&service.telemetry);
    let state = Ghostworks { service, database, metrics: Arc::new(metrics) };
    tasks.spawn(sweep(state.clone()));
    let router = Router::new()
        .route("/auth/register", post(register))
        .route("/auth/login", post(login))
        .route("/auth/refresh", post(refresh))
        .route("/auth/verify", get(verify))
        .route("/artifacts", post(create).get(list))
        .route("/artifacts/{id}", put(update).delete(delete))
        .route("/usage", post(usage))
        .with_state(state);
    Ok(observed(router, &telemetry, Arc::new(|_| {})))
}

impl Ghostworks {
    /// Ends an authentication: counted, logged and marked whichever way it went.
    fn authenticated(&self, work: Work, method: &'static str, result: Answer) -> Answer {
        let success = result.is_ok();
        let labels = [KeyValue::new("success", success), KeyValue::new("method", method)];
        self.metrics.auth_attempts.add(1, &labels);
        work.set("operation.success", success);
        match &result {
            Ok(_) => work.info("authenticated", &[KeyValue::new("auth.method", method)]),
            Err(failure) => {
                work.set("error.message", failure.message.clone());
                let attributes = [
                    KeyValue::new("auth.method", method),
                    KeyValue::new("reason", failure.message.clone()),
                ];
                work.warn("authentication refused", &attributes);
            }
        }
        // A wrong password is the user's mistake, not the service's.
        match result {
            Err(failure) if failure.status.is_client_error() => {
                work.close();
                Err(failure)
            }
            result => work.end(result),
        }
    }

    /// Ends an operation on artifacts.
    fn operated(&self, work: Work, name: &'static str, start: Instant, result: Answer) -> Answer {
        let success = result.is_ok();
        let labels = [KeyValue::new("operation", name), KeyValue::new("success", success)];
        self.metrics.artifact_duration.record(start.elapsed().as_secs_f64(), &labels);
        self.metrics.workspace_operations.add(1, &labels[..1]);
        work.set("operation.success", success);
        if let Err(failure) = &result {
            work.set("error.message", failure.message.clone());
        }
        match result {
            Err(failure) if failure.status.is_client_error() => {
                work.close();
                Err(failure)
            }
            result => work.end(result),
        }
    }
}

async fn register(
    State(this): State<Ghostworks>,
    Extension(work): Extension<Work>,
    Json(body): Json<Value>,
) -> Answer {
    let (user, tenant) = (text(&body, "user")?, text(&body, "tenant")?);
    let work = work.part("auth.register", who(&tenant, &user));
    let insert = Statement {
        operation: "INSERT",
        table: "users",
        sql: "INSERT OR IGNORE INTO users (name, tenant) VALUES (?1, ?2)",
    };
    let inserted = this
        .database
        .run(&work, &insert, move |connection, sql| connection.execute(sql, (user, tenant)))
        .await;
    let result = match inserted {
        Ok(0) => Err(Failure::new(StatusCode::CONFLICT, "taken", "the name is taken")),
        Ok(_) => Ok(Json(json!({ "registered": true }))),
        Err(failure) => Err(failure),
    };
    this.authenticated(work, "register", result)
}

async fn login(
    State(this): State<Ghostworks>,
    Extension(work): Extension<Work>,
    Json(body): Json<Value>,
) -> Answer {
    let user = text(&body, "user")?;
    let right = body["password"] == "correct horse";
    let work = work.part("auth.login", vec![KeyValue::new("user.id", user.clone())]);
    // A password hash that is worth its name takes a while.
    this.service.toil(12.0).await;
    let result = if right {
        give_token(&this, &work, user).await
    } else {
        Err(Failure::new(StatusCode::UNAUTHORIZED, "credentials", "wrong password"))
    };
    this.authenticated(work, "password", result)
}

async fn refresh(
    State(this): State<Ghostworks>,
    Extension(work): Extension<Work>,
    Json(body): Json<Value>,
) -> Answer {
    let user = text(&body, "user")?;
    let work = work.part("auth.refresh", vec![KeyValue::new("user.id", user.clone())]);
    let result = give_token(&this, &work, user).await;
    this.authenticated(work, "refresh", result)
}

async fn give_token(this: &Ghostworks, work: &Work, user: String) -> Answer {
    let token = format!("{:016x}", this.service.dice.next());
    let answer = Json(json!({ "token": token }));
    let update = Statement {
        operation: "UPDATE",
        table: "users",
        sql: "UPDATE users SET token = ?2 WHERE name = ?1",
    };
    let known = this
        .database
        .run(work, &update, move |connection, sql| connection.execute(sql, (user, token)))
        .await?;
    if known == 0 {
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "credentials", "unknown user"));
    }
    Ok(answer)
}

/// The other services ask here who a visitor is.
async fn verify(
    State(this): State<Ghostworks>,
    Extension(work): Extension<Work>,
    Query(query): Query<Value>,
) -> Answer {
    let user = text(&query, "user")?;
    let work = work.part("auth.verify", vec![KeyValue::new("user.id", user.clone())]);
    if this.service.strike("auth").await {
        let message = "token service does not answer: timeout";
        let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "token_service", message);
        work.error("token check failed", &failure, &[]);
        return this.authenticated(work, "token", Err(failure));
    }
    let select = Statement {
        operation: "SELECT",
        table: "users",
        sql: "SELECT tenant FROM users WHERE name = ?1",
    };
    let found = this
        .database
        .run(&work, &select, move |connection, sql| {
            connection.query_row(sql, [user], |row| row.get::<_, String>(0)).optional()
        })
        .await;
    let result = match found {
        Ok(Some(tenant)) => Ok(Json(json!({ "tenant": tenant }))),
        Ok(None) => Err(Failure::new(StatusCode::UNAUTHORIZED, "credentials", "unknown user")),
        Err(failure) => Err(failure),
    };
    this.authenticated(work, "token", result)
}

async fn create(
    State(this): State<Ghostworks>,
    Extension(work): Extension<Work>,
    Json(body): Json<Value>,
) -> Answer {
    let start = Instant::now();
    let (tenant, user) = (text(&body, "tenant")?, text(&body, "user")?);
    let (kind, name) = (text(&body, "type")?, text(&body, "name")?);
    let work = work.part("artifact.create", who(&tenant, &user));
    work.set("artifact.type", kind.clone());
    let labels =
        [KeyValue::new("tenant_id", tenant.clone()), KeyValue::new("artifact_type", kind.clone())];
    let insert = Statement {
        operation: "INSERT",
        table: "artifacts",
        sql: "INSERT INTO artifacts (tenant, owner, kind, name) VALUES (?1, ?2, ?3, ?4)",
    };
    let inserted = this
        .database
        .run(&work, &insert, move |connection, sql| {
            connection.execute(sql, (tenant, user, kind, name))?;
            Ok(connection.last_insert_rowid())
        })
        .await;
    if let Ok(id) = inserted {
        this.metrics.artifacts_created.add(1, &labels);
        work.info("artifact created", &[KeyValue::new("artifact_id", id)]);
    }
    let result = inserted.map(|id| Json(json!({ "id": id })));
    this.operated(work, "create", start, result)
}

async fn list(
    State(this): State<Ghostworks>,
    Extension(work): Extension<Work>,
    Query(query): Query<Value>,
) -> Answer {
    let start = Instant::now();
    let (tenant, user) = (text(&query, "tenant")?, text(&query, "user")?);
    let work = work.part("artifact.list", who(&tenant, &user));
    let select = Statement {
        operation: "SELECT",
        table: "artifacts",
        sql: "SELECT id FROM artifacts WHERE tenant = ?1 ORDER BY id DESC LIMIT 50",
    };
    let found = this
        .database
        .run(&work, &select, move |connection, sql| {
            let mut statement = connection.prepare(sql)?;
            let ids = statement.query_map([tenant], |row| row.get::<_, i64>(0))?;
            ids.collect::<Result<Vec<_>, _>>()
        })
        .await;
    if let Ok(ids) = &found {
        work.set("artifact.count", ids.len() as i64);
    }
    let result = found.map(|ids| Json(json!({ "ids": ids })));
    this.operated(work, "list", start, result)
}

async fn update(
    State(this): State<Ghostworks>,
    Extension(work): Extension<Work>,
    Path(id): Path<i64>,
    Json(body): Json<Value>,
) -> Answer {
    let start = Instant::now();
    let (tenant, user) = (text(&body, "tenant")?, text(&body, "user")?);
    let work = work.part("artifact.update", who(&tenant, &user));
    let statement = Statement {
        operation: "UPDATE",
        table: "artifacts",
        sql: "UPDATE artifacts SET owner = ?2 WHERE id = ?1",
    };
    let changed = this
        .database
        .run(&work, &statement, move |connection, sql| connection.execute(sql, (id, user)))
        .await;
    this.operated(work, "update", start, one(changed))
}

async fn delete(
    State(this): State<Ghostworks>,
    Extension(work): Extension<Work>,
    Path(id): Path<i64>,
    Query(query): Query<Value>,
) -> Answer {
    let start = Instant::now();
    let (tenant, user) = (text(&query, "tenant")?, text(&query, "user")?);
    let work = work.part("artifact.delete", who(&tenant, &user));
    let statement = Statement {
        operation: "DELETE",
        table: "artifacts",
        sql: "DELETE FROM artifacts WHERE id = ?1",
    };
    let removed = this
        .database
        .run(&work, &statement, move |connection, sql| connection.execute(sql, [id]))
        .await;
    this.operated(work, "delete", start, one(removed))
}

/// Takes metald's billing batches.
async fn usage(
    State(this): State<Ghostworks>,
    Extension(work): Extension<Work>,
    Json(body): Json<Value>,
) -> Answer {
    let vm = text(&body, "vm_id")?;
    let seconds = body["seconds"].as_f64().unwrap_or(0.0);
    let work = work.part("usage.record", vec![KeyValue::new("vm_id", vm.clone())]);
    let labels = [KeyValue::new("operation", "usage")];
    this.metrics.workspace_operations.add(1, &labels);
    if this.service.strike("billing").await {
        let message = "ledger is closed for maintenance";
        let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "ledger", message);
        work.error("usage refused", &failure, &[KeyValue::new("vm_id", vm)]);
        return work.end(Err(failure));
    }
    let insert = Statement {
        operation: "INSERT",
        table: "usage",
        sql: "INSERT INTO usage (vm, seconds) VALUES (?1, ?2)",
    };
    let inserted = this
        .database
        .run(&work, &insert, move |connection, sql| connection.execute(sql, (vm, seconds)))
        .await;
    work.end(inserted.map(|_| Json(json!({ "recorded": true }))))
}

/// Background work: what nobody needs any more is removed.
async fn sweep(mut this: Ghostworks) {
    while this.service.stop.pause(SWEEP_EVERY).await {
        let work = Work::root(&this.service.telemetry, "workspace.sweep");
        let statement = Statement {
            operation: "DELETE",
            table: "artifacts",
            sql: "DELETE FROM artifacts WHERE id <= (SELECT max(id) FROM artifacts) - ?1",
        };
        let removed = this
            .database
            .run(&work, &statement, |connection, sql| {
                connection.execute("DELETE FROM usage", ())?;
                connection.execute(sql, [ARTIFACTS_KEPT])
            })
            .await;
        if let Ok(removed) = removed {
            work.info("workspace swept", &[KeyValue::new("removed", removed as i64)]);
        }
        let _ = work.end(removed);
    }
}

/// An operation on one artifact must have found it.
fn one(changed: Result<usize, Failure>) -> Answer {
    match changed {
        Ok(0) => Err(Failure::not_found("such artifact")),
        Ok(_) => Ok(Json(json!({ "done": true }))),
        Err(failure) => Err(failure),
    }
}

fn who(tenant: &str, user: &str) -> Vec<KeyValue> {
    vec![KeyValue::new("tenant.id", tenant.to_owned()), KeyValue::new("user.id", user.to_owned())]
}

fn text(body: &Value, field: &'static str) -> Result<String, Failure> {
    let missing = || {
        let message = format!("the field `{field}` is missing");
        Failure::new(StatusCode::BAD_REQUEST, "bad_request", message)
    };
    body[field].as_str().map(str::to_owned).ok_or_else(missing)
}
