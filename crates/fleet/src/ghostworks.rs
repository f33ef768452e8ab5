//! Accounts and artifacts: the API that everybody asks who somebody is.

mod business;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tracing::{Instrument, Span, error, info, info_span, warn};
use trefoil::SpanExt;
use trefoil::metric::Registry;

use self::business::{ArtifactOperation, Business, Method, WorkspaceOperation};
use crate::database::{self, Database};
use crate::http::{Answer, Failure};
use crate::service::Service;
use crate::telemetry::{failed, told};

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
    metrics: Arc<Business>,
}

pub(crate) async fn start(service: Service, tasks: &mut JoinSet<()>) -> Result<Router, String> {
    let metrics = Arc::new(Business::new(Registry::global()));
    let database = Database::open(&service, None, SCHEMA).await?;
    let state = Ghostworks { service, database, metrics };
    tasks.spawn(sweep(state.clone()));
    Ok(Router::new()
        .route("/auth/register", post(register))
        .route("/auth/login", post(login))
        .route("/auth/refresh", post(refresh))
        .route("/auth/verify", get(verify))
        .route("/artifacts", post(create).get(list))
        .route("/artifacts/{id}", put(update).delete(delete))
        .route("/usage", post(usage))
        .with_state(state))
}

async fn register(State(this): State<Ghostworks>, Json(body): Json<Value>) -> Answer {
    let (user, tenant) = (text(&body, "user")?, text(&body, "tenant")?);
    let span = info_span!("auth.register", tenant.id = tenant, user.id = user);
    let registered = async {
        let insert = "INSERT OR IGNORE INTO users (name, tenant) VALUES (?1, ?2)";
        let insert = sqlx::query(insert).bind(user).bind(tenant);
        match this.done(insert.execute(this.database.next().await.pool).await)? {
            0 => Err(Failure::new(StatusCode::CONFLICT, "taken", "the name is taken")),
            _ => Ok(Json(json!({ "registered": true }))),
        }
    };
    this.authenticate(span, Method::Register, registered).await
}

async fn login(State(this): State<Ghostworks>, Json(body): Json<Value>) -> Answer {
    let user = text(&body, "user")?;
    let right = body["password"] == "correct horse";
    let span = info_span!("auth.login", user.id = user);
    let token = async {
        // A password hash that is worth its name takes a while.
        this.service.toil(12.0).await;
        if !right {
            let message = "wrong password";
            return Err(Failure::new(StatusCode::UNAUTHORIZED, "credentials", message));
        }
        this.give_token(user).await
    };
    this.authenticate(span, Method::Password, token).await
}

async fn refresh(State(this): State<Ghostworks>, Json(body): Json<Value>) -> Answer {
    let user = text(&body, "user")?;
    let span = info_span!("auth.refresh", user.id = user);
    this.authenticate(span, Method::Refresh, this.give_token(user)).await
}

/// The other services ask here who a visitor is.
async fn verify(State(this): State<Ghostworks>, Query(query): Query<Value>) -> Answer {
    let user = text(&query, "user")?;
    let span = info_span!("auth.verify", user.id = user);
    this.authenticate(span, Method::Token, this.tenant_of(user)).await
}

async fn create(State(this): State<Ghostworks>, Json(body): Json<Value>) -> Answer {
    let (tenant, user) = (text(&body, "tenant")?, text(&body, "user")?);
    let (kind, name) = (text(&body, "type")?, text(&body, "name")?);
    let span = info_span!(
        "artifact.create", tenant.id = tenant, user.id = user, artifact.type = kind
    );
    let created = async {
        let insert = "INSERT INTO artifacts (tenant, owner, kind, name) VALUES (?1, ?2, ?3, ?4)";
        let insert = sqlx::query(insert).bind(&tenant).bind(user).bind(&kind).bind(name);
        let inserted = insert.execute(this.database.next().await.pool).await;
        let id = inserted.map_err(|error| database::failure(&error))?.last_insert_rowid();
        this.metrics.record_artifact_created(&tenant, &kind);
        info!(artifact_id = id, "artifact created");
        Ok(Json(json!({ "id": id })))
    };
    this.operate(span, ArtifactOperation::Create, WorkspaceOperation::Create, created).await
}

async fn list(State(this): State<Ghostworks>, Query(query): Query<Value>) -> Answer {
    let (tenant, user) = (text(&query, "tenant")?, text(&query, "user")?);
    let span = info_span!("artifact.list", tenant.id = tenant, user.id = user);
    let listed = async {
        let select = "SELECT id FROM artifacts WHERE tenant = ?1 ORDER BY id DESC LIMIT 50";
        let select = sqlx::query_scalar::<_, i64>(select).bind(tenant);
        let found = select.fetch_all(this.database.next().await.pool).await;
        let ids = found.map_err(|error| database::failure(&error))?;
        Span::current().set_attribute("artifact.count", ids.len());
        Ok(Json(json!({ "ids": ids })))
    };
    this.operate(span, ArtifactOperation::List, WorkspaceOperation::List, listed).await
}

async fn update(
    State(this): State<Ghostworks>,
    Path(id): Path<i64>,
    Json(body): Json<Value>,
) -> Answer {
    let (tenant, user) = (text(&body, "tenant")?, text(&body, "user")?);
    let span = info_span!("artifact.update", tenant.id = tenant, user.id = user);
    let updated = async {
        let update = sqlx::query("UPDATE artifacts SET owner = ?2 WHERE id = ?1");
        let update = update.bind(id).bind(user);
        one(this.done(update.execute(this.database.next().await.pool).await)?)
    };
    this.operate(span, ArtifactOperation::Update, WorkspaceOperation::Update, updated).await
}

async fn delete(
    State(this): State<Ghostworks>,
    Path(id): Path<i64>,
    Query(query): Query<Value>,
) -> Answer {
    let (tenant, user) = (text(&query, "tenant")?, text(&query, "user")?);
    let span = info_span!("artifact.delete", tenant.id = tenant, user.id = user);
    let deleted = async {
        let delete = sqlx::query("DELETE FROM artifacts WHERE id = ?1").bind(id);
        one(this.done(delete.execute(this.database.next().await.pool).await)?)
    };
    this.operate(span, ArtifactOperation::Delete, WorkspaceOperation::Delete, deleted).await
}

/// Takes metald's billing batches.
async fn usage(State(this): State<Ghostworks>, Json(body): Json<Value>) -> Answer {
    let vm = text(&body, "vm_id")?;
    let seconds = body["seconds"].as_f64().unwrap_or(0.0);
    let span = info_span!("usage.record", vm_id = vm);
    this.metrics.record_workspace_operation(WorkspaceOperation::Usage);
    let recorded = this.record_usage(vm, seconds).instrument(span.clone()).await;
    told(&span, recorded)
}

impl Ghostworks {
    /// An authentication: counted, logged and marked whichever way it goes.
    async fn authenticate(
        &self,
        span: Span,
        method: Method,
        work: impl Future<Output = Answer>,
    ) -> Answer {
        let told = async {
            let result = work.await;
            self.metrics.record_auth_attempt(method, result.is_ok());
            match &result {
                Ok(_) => info!(auth.method = method.as_str(), "authenticated"),
                Err(failure) => {
                    let reason = failure.message.as_str();
                    warn!(auth.method = method.as_str(), reason, "authentication refused");
                }
            }
            result
        };
        ended(&span, told.instrument(span.clone()).await)
    }

    /// An operation on artifacts.
    async fn operate(
        &self,
        span: Span,
        operation: ArtifactOperation,
        workspace: WorkspaceOperation,
        work: impl Future<Output = Answer>,
    ) -> Answer {
        let start = Instant::now();
        let result = work.instrument(span.clone()).await;
        let took = start.elapsed();
        self.metrics.record_artifact_operation_duration(took, operation, result.is_ok());
        self.metrics.record_workspace_operation(workspace);
        ended(&span, result)
    }

    async fn give_token(&self, user: String) -> Answer {
        let token = format!("{:016x}", self.service.dice.next());
        let update = sqlx::query("UPDATE users SET token = ?2 WHERE name = ?1");
        let update = update.bind(user).bind(&token);
        match self.done(update.execute(self.database.next().await.pool).await)? {
            0 => Err(Failure::new(StatusCode::UNAUTHORIZED, "credentials", "unknown user")),
            _ => Ok(Json(json!({ "token": token }))),
        }
    }

    async fn tenant_of(&self, user: String) -> Answer {
        if self.service.strike("auth").await {
            let message = "token service does not answer: timeout";
            error!(error = message, "token check failed");
            return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "token_service", message));
        }
        let select = sqlx::query_scalar::<_, String>("SELECT tenant FROM users WHERE name = ?1");
        let found = select.bind(user).fetch_optional(self.database.next().await.pool).await;
        match found.map_err(|error| database::failure(&error))? {
            Some(tenant) => Ok(Json(json!({ "tenant": tenant }))),
            None => Err(Failure::new(StatusCode::UNAUTHORIZED, "credentials", "unknown user")),
        }
    }

    async fn record_usage(&self, vm: String, seconds: f64) -> Answer {
        if self.service.strike("billing").await {
            let message = "ledger is closed for maintenance";
            error!(error = message, vm_id = vm, "usage refused");
            return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "ledger", message));
        }
        let insert = sqlx::query("INSERT INTO usage (vm, seconds) VALUES (?1, ?2)");
        let insert = insert.bind(vm).bind(seconds);
        self.done(insert.execute(self.database.next().await.pool).await)?;
        Ok(Json(json!({ "recorded": true })))
    }

    /// How many rows a statement changed.
    fn done(
        &self,
        result: Result<sqlx::sqlite::SqliteQueryResult, sqlx::Error>,
    ) -> Result<u64, Failure> {
        result.map(|done| done.rows_affected()).map_err(|error| database::failure(&error))
    }

    async fn remove_old(&self) -> Result<(), Failure> {
        let next = self.database.next().await;
        self.done(sqlx::query("DELETE FROM usage").execute(next.pool).await)?;
        let delete = "DELETE FROM artifacts WHERE id <= (SELECT max(id) FROM artifacts) - ?1";
        let delete = sqlx::query(delete).bind(ARTIFACTS_KEPT);
        let removed = self.done(delete.execute(next.pool).await)?;
        info!(removed, "workspace swept");
        Ok(())
    }
}

/// Background work: what nobody needs any more is removed.
async fn sweep(mut this: Ghostworks) {
    while this.service.stop.pause(SWEEP_EVERY).await {
        let span = info_span!("workspace.sweep");
        let _ = told(&span, this.remove_old().instrument(span.clone()).await);
    }
    this.database.remove();
}

/// Says on a span how an operation went, as the document asks for. A visitor's mistake, such
/// as a wrong password, is no failure of the service.
fn ended(span: &Span, result: Answer) -> Answer {
    span.set_attribute("operation.success", result.is_ok());
    if let Err(failure) = &result {
        span.set_attribute("error.message", failure.message.clone());
        if !failure.status.is_client_error() {
            failed(span, failure);
        }
    }
    result
}

/// An operation on one artifact must have found it.
fn one(changed: u64) -> Answer {
    match changed {
        0 => Err(Failure::not_found("such artifact")),
        _ => Ok(Json(json!({ "done": true }))),
    }
}

fn text(body: &Value, field: &'static str) -> Result<String, Failure> {
    let missing = || {
        let message = format!("the field `{field}` is missing");
        Failure::new(StatusCode::BAD_REQUEST, "bad_request", message)
    };
    body[field].as_str().map(str::to_owned).ok_or_else(missing)
}
