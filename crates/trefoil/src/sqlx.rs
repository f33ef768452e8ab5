//! Statements and pools of sqlx.

mod pool;
mod run;
mod statement;

pub use pool::{Instrument, Instrumented};

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::Database;
use sqlx::Error;
use sqlx::Pool;
use sqlx::{ConnectOptions, Connection};
use tracing::{Span, field};

use crate::clock;
use crate::metric::{Buckets, Histogram, ObservableUpDownCounter, Registry};
use statement::{Dialect, Statement};

crate::labels! {
    /// Of a statement.
    pub(crate) struct OperationLabels<'a> {
        system: &'a str as "db.system.name",
        namespace: Option<&'a str> as "db.namespace",
        operation: Option<&'a str> as "db.operation.name",
        collection: Option<&'a str> as "db.collection.name",
        error: Option<&'a str> as "error.type",
        host: Option<&'a str> as "server.address",
        port: Option<u16> as "server.port",
    }

    /// Of a pool.
    pub(crate) struct PoolLabels<'a> {
        pool: &'a str as "db.client.connection.pool.name",
    }

    /// Of connections of a pool.
    pub(crate) struct ConnectionLabels<'a> {
        pool: &'a str as "db.client.connection.pool.name",
        state: State as "db.client.connection.state",
    }
}

crate::label_enum! {
    /// Of a connection.
    pub(crate) enum State { Idle, Used }
}

/// Bounds for the duration of operations, of the semantic conventions for databases.
const SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Of statements and pools.
#[derive(Debug)]
pub(crate) struct Metrics {
    operation_duration: Histogram<OperationLabels<'static>>,
    wait_time: Histogram<PoolLabels<'static>>,
    connections: ObservableUpDownCounter<ConnectionLabels<'static>>,
    connections_max: ObservableUpDownCounter<PoolLabels<'static>>,
}

impl Metrics {
    fn of(registry: &Registry) -> Metrics {
        let metric = |name, unit, description| {
            let metric = registry.metric(name).unit(unit).description(description);
            metric.scope("trefoil::sqlx", env!("CARGO_PKG_VERSION"))
        };
        Metrics {
            operation_duration: metric(
                "db.client.operation.duration",
                "s",
                "Duration of database client operations.",
            )
            .buckets(Buckets::Explicit(Cow::Borrowed(&SECONDS)))
            .histogram(),
            wait_time: metric(
                "db.client.connection.wait_time",
                "s",
                "The time it took to obtain an open connection from the pool.",
            )
            .histogram(),
            connections: metric(
                "db.client.connection.count",
                "{connection}",
                "The number of connections that are currently in state described by the state \
                 attribute.",
            )
            .observable_up_down_counter(),
            connections_max: metric(
                "db.client.connection.max",
                "{connection}",
                "The maximum number of open connections allowed.",
            )
            .observable_up_down_counter(),
        }
    }

    /// Those of the process, as those of `metrics!` are.
    fn of_process() -> Arc<Metrics> {
        static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
        Arc::clone(METRICS.get_or_init(|| Arc::new(Metrics::of(Registry::global()))))
    }

    /// Tells how many connections a pool has, as long as it is there.
    fn watch<DB: Database>(&self, name: &Arc<str>, pool: &Arc<Pool<DB>>) {
        let (pool_name, weak) = (Arc::clone(name), Arc::downgrade(pool));
        self.connections.observe(move |observer| {
            if let Some(pool) = weak.upgrade().filter(|pool| !pool.is_closed()) {
                let idle = pool.num_idle() as i64;
                let used = i64::from(pool.size()).saturating_sub(idle);
                let labels = |state| ConnectionLabels { pool: &pool_name, state };
                observer.set(idle, labels(State::Idle));
                observer.set(used.max(0), labels(State::Used));
            }
        });
        let (pool_name, weak) = (Arc::clone(name), Arc::downgrade(pool));
        self.connections_max.observe(move |observer| {
            if let Some(pool) = weak.upgrade().filter(|pool| !pool.is_closed()) {
                let max = pool.options().get_max_connections();
                observer.set(i64::from(max), PoolLabels { pool: &pool_name });
            }
        });
    }
}

/// What is known of a database beside its statements.
#[derive(Debug)]
pub(crate) struct Server {
    /// As the semantic conventions call it.
    system: &'static str,
    dialect: Dialect,
    namespace: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    /// How its pool is called in metrics.
    pool: Arc<str>,
    metrics: Arc<Metrics>,
}

impl Server {
    fn of<DB: Database>(pool: &Pool<DB>, name: Option<&str>, metrics: Arc<Metrics>) -> Server {
        let (system, dialect) = match DB::NAME {
            "PostgreSQL" => ("postgresql", Dialect::Standard),
            "MySQL" => ("mysql", Dialect::MySql),
            "SQLite" => ("sqlite", Dialect::Sqlite),
            _ => ("other_sql", Dialect::Standard),
        };
        let (host, port, database) = match dialect {
            // TRAP: sqlx 0.9.0 panics when it makes the URL of one in memory.
            Dialect::Sqlite => (None, None, None),
            _ => place_of(pool),
        };
        let namespace = name.map(str::to_owned).or(database);
        let pool = Arc::from(namespace.as_deref().unwrap_or(system));
        Server { system, dialect, namespace, host, port, pool, metrics }
    }
}

/// Host, port and name of the database that a pool connects to, if its driver says so.
fn place_of<DB: Database>(pool: &Pool<DB>) -> (Option<String>, Option<u16>, Option<String>) {
    let options: Arc<<DB::Connection as Connection>::Options> = pool.connect_options();
    // Drivers that cannot say panic, as sqlx documents it. Credentials are part of the URL, and
    // are not taken out of it.
    let place = catch_unwind(AssertUnwindSafe(|| {
        let url = options.to_url_lossy();
        let database = Some(url.path().trim_start_matches('/')).filter(|name| !name.is_empty());
        (url.host_str().map(str::to_owned), url.port(), database.map(str::to_owned))
    }));
    place.unwrap_or_default()
}

/// A statement while it runs. It says how it ended even if nobody asks: when it is dropped,
/// nobody wanted the rest.
#[derive(Debug)]
pub(crate) struct Operation {
    span: Span,
    server: Arc<Server>,
    statement: Statement,
    started_ns: u64,
    rows: u64,
    ended: bool,
}

impl Operation {
    fn begin(server: &Arc<Server>, sql: &str) -> Operation {
        let statement = Statement::new(sql, server.dialect);
        let name = match statement.summary.as_str() {
            "" => server.system,
            summary => summary,
        };
        let span = tracing::info_span!(
            target: "trefoil::sqlx",
            "SQL",
            otel.name = name,
            otel.kind = "client",
            db.system.name = server.system,
            db.namespace = server.namespace.as_deref(),
            db.operation.name = statement.operation.as_deref(),
            db.collection.name = statement.collection.as_deref(),
            db.query.summary = statement.summary,
            db.query.text = statement.text,
            db.response.returned_rows = field::Empty,
            db.response.status_code = field::Empty,
            server.address = server.host.as_deref(),
            server.port = server.port,
            error.r#type = field::Empty,
        );
        let server = Arc::clone(server);
        Operation { span, server, statement, started_ns: clock::now_ns(), rows: 0, ended: false }
    }

    fn failed(&mut self, error: &Error) {
        // The message may tell values ("Duplicate entry 'a@b.c'"), so it stays where it is.
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if let Some(code) = &code {
            self.span.record("db.response.status_code", &**code);
        }
        self.end(Some(code.as_deref().unwrap_or_else(|| kind(error))));
    }

    fn end(&mut self, error: Option<&str>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.span.record("db.response.returned_rows", self.rows);
        if let Some(error) = error {
            self.span.record("error.type", error);
        }
        let elapsed = Duration::from_nanos(clock::now_ns().saturating_sub(self.started_ns));
        let labels = OperationLabels {
            system: self.server.system,
            namespace: self.server.namespace.as_deref(),
            operation: self.statement.operation.as_deref(),
            collection: self.statement.collection.as_deref(),
            error,
            host: self.server.host.as_deref(),
            port: self.server.port,
        };
        let duration = &self.server.metrics.operation_duration;
        self.span.in_scope(|| duration.record(elapsed.as_secs_f64(), labels));
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // Who has the row that was wanted drops the stream.
        self.end(None);
    }
}

/// What went wrong, in few words.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Configuration(_) => "configuration",
        Error::Database(_) => "database",
        Error::Io(_) => "io",
        Error::Tls(_) => "tls",
        Error::Protocol(_) => "protocol",
        Error::RowNotFound => "row_not_found",
        Error::TypeNotFound { .. } => "type_not_found",
        Error::ColumnDecode { .. } | Error::Decode(_) => "decode",
        Error::Encode(_) => "encode",
        Error::PoolTimedOut => "pool_timed_out",
        Error::PoolClosed => "pool_closed",
        Error::WorkerCrashed => "worker_crashed",
        _ => "_OTHER",
    }
}
