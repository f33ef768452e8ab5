//! A service's SQLite database. Its spans and metrics come from the crate; its faults are
//! real locks.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::StatusCode;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::oneshot;
use trefoil::sqlx::{Instrument, Instrumented};

use crate::http::Failure;
use crate::service::Service;

/// Longer than a lock is held, so that whoever waits gets there.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection for statements; they wait for each other, as SQLite's writers do anyway.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    service: Service,
    /// Under which name it can be broken, if it can.
    weakness: Option<&'static str>,
    patient: Pool,
    /// Gives up at once if the database is locked.
    impatient: Pool,
    /// Locks the database when it is to be broken.
    saboteur: SqlitePool,
}

/// What statements run on.
pub(crate) type Pool = Instrumented<SqlitePool>;

impl Database {
    /// Opens a new database with these tables.
    ///
    /// # Errors
    /// A line for the user if SQLite refuses.
    pub(crate) async fn open(
        service: &Service,
        weakness: Option<&'static str>,
        schema: &str,
    ) -> Result<Database, String> {
        let name = service.name;
        let failed = |error: sqlx::Error| format!("cannot open {name}'s database: {error}");
        let file = file(name);
        let patient = pool(&file, PATIENCE).await.map_err(failed)?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(schema)).execute(&patient).await.map_err(failed)?;
        let impatient = pool(&file, Duration::ZERO).await.map_err(failed)?;
        let saboteur = pool(&file, PATIENCE).await.map_err(failed)?;
        Ok(Database {
            service: service.clone(),
            weakness,
            patient: patient.instrumented(),
            impatient: impatient.instrumented(),
            saboteur,
        })
    }

    /// What the next statement runs on. If it is to fail or to take long, somebody has locked
    /// the database meanwhile.
    pub(crate) async fn next(&self) -> Next<'_> {
        let Some(weakness) = self.weakness else {
            return Next { pool: &self.patient, _lock: None };
        };
        let blow = self.service.breaks.blow(weakness, &self.service.dice);
        if blow.fails {
            return Next { pool: &self.impatient, _lock: self.lock(PATIENCE).await };
        }
        if !blow.wait.is_zero() {
            let lock = self.lock(blow.wait).await;
            // It is held for its time, not for that of the statement, which waits for it.
            tokio::spawn(async move {
                tokio::time::sleep(blow.wait).await;
                drop(lock);
            });
        }
        Next { pool: &self.patient, _lock: None }
    }

    /// Locks the database until the answer is dropped, but no longer than this.
    async fn lock(&self, longest: Duration) -> Option<oneshot::Sender<()>> {
        let mut connection = self.saboteur.acquire().await.ok()?;
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut *connection).await.ok()?;
        let (held, dropped) = oneshot::channel();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(longest, dropped).await;
            // Nothing was written, so nothing is lost if this fails.
            let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
        });
        Some(held)
    }

    /// Removes its file.
    pub(crate) fn remove(&self) {
        // What is left is small, and lies where the system cleans up.
        let _ = std::fs::remove_file(file(self.service.name));
    }
}

/// See [`Database::next`].
pub(crate) struct Next<'a> {
    pub(crate) pool: &'a Pool,
    _lock: Option<oneshot::Sender<()>>,
}

/// What a statement that failed means for the caller.
pub(crate) fn failure(error: &sqlx::Error) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "database", error.to_string())
}

async fn pool(file: &std::path::Path, patience: Duration) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Memory)
        .synchronous(SqliteSynchronous::Off)
        .busy_timeout(patience);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await
}

fn file(service: &str) -> PathBuf {
    std::env::temp_dir().join(format!("trefoil-fleet-{}-{service}.db", std::process::id()))
}
