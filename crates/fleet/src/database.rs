//! A service's SQLite database, each statement with its span.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use opentelemetry::KeyValue;
use rusqlite::Connection;

use crate::http::Failure;
use crate::service::Service;
use crate::telemetry::Work;

/// One connection; statements wait for each other, as SQLite's writers do anyway.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    service: Service,
    /// Under which name it can be broken, if it can.
    weakness: Option<&'static str>,
    connection: Arc<Mutex<Connection>>,
}

/// A statement and what its span says about it.
pub(crate) struct Statement {
    pub(crate) operation: &'static str,
    pub(crate) table: &'static str,
    pub(crate) sql: &'static str,
}

impl Database {
    /// Opens a database in memory with these tables.
    ///
    /// # Errors
    /// A line for the user if SQLite refuses.
    pub(crate) fn open(
        service: &Service,
        weakness: Option<&'static str>,
        schema: &str,
    ) -> Result<Database, String> {
        let name = service.telemetry.service;
        let failed = |error: rusqlite::Error| format!("cannot open {name}'s database: {error}");
        let connection = Connection::open_in_memory().map_err(failed)?;
        connection.execute_batch(schema).map_err(failed)?;
        let connection = Arc::new(Mutex::new(connection));
        Ok(Database { service: service.clone(), weakness, connection })
    }

    /// Runs a statement on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: &Work,
        statement: &Statement,
        run: impl FnOnce(&Connection, &'static str) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let Statement { operation, table, sql } = *statement;
        let attributes = vec![
            KeyValue::new("db.system.name", "sqlite"),
            KeyValue::new("db.namespace", self.service.telemetry.service),
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("db.collection.name", table),
            KeyValue::new("db.query.text", sql),
        ];
        let call = work.call(format!("{operation} {table}"), attributes);
        if let Some(weakness) = self.weakness
            && self.service.strike(weakness).await
        {
            return call.end(Err(failure("database is locked")));
        }
        let connection = Arc::clone(&self.connection);
        let task = tokio::task::spawn_blocking(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            run(&connection, sql)
        });
        let result = match task.await {
            Ok(result) => result.map_err(|error| failure(&error.to_string())),
            Err(error) => Err(failure(&error.to_string())),
        };
        call.end(result)
    }
}

fn failure(message: &str) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "database", message)
}
